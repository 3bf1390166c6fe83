//! `hoist apply` of some devices beside the daemon of this control host: it is the daemon that does it.

use super::apply::{Arguments, asked};
use super::exit::{Exit, Failure};
use super::output::{count, print, print_json_line, say};
use super::run::{now, who};
use super::{Format, Global, scope};
use crate::diagnostic::render::visible;
use crate::model::DeviceId;
use crate::plan::short_revision;
use crate::store::{BringWish, fleet_key};
use serde_json::json;

/// Leaves to the daemon what was typed; `None` where there is none, or it can't do that.
pub(super) fn leave_to_daemon(
    global: &Global,
    arguments: &Arguments,
    format: Format,
) -> Result<Option<Exit>, Failure> {
    let Arguments { file, run, yes, take_over, pulls_per } = arguments;
    let is_by_what_counts = file.is_none() && global.revision.is_none() && pulls_per.is_none();
    if !is_by_what_counts || !run.is_for_a_daemon(*take_over) {
        return Ok(None);
    }
    // What is wrong with the fleet here is said by who plans.
    let Ok((opened, store)) = scope::open(global, run.simulate) else { return Ok(None) };
    if !store.has_daemon()? {
        return Ok(None);
    }
    let only = run.narrowed(&opened.fleet, &store.load_devices()?)?;
    let devices: Vec<DeviceId> = match only {
        Some(only) => only.into_iter().collect(),
        None => opened.fleet.devices.keys().cloned().collect(),
    };
    let subject = match devices.as_slice() {
        [] => return Err(Failure::new("no device meets that")),
        [one] => one.to_string(),
        many => count(many.len(), "device"),
    };
    let counts = match store.fleet_state(fleet_key::ACCEPTED)? {
        Some(accepted) => format!("what counts there ({})", short_revision(&accepted)),
        None => "what will count there".to_owned(),
    };
    let over = if *take_over { ", whatever another control host did there" } else { "" };
    if !yes {
        say(&visible(&format!(
            "a daemon keeps this fleet: it would bring {subject} to {counts}{over}"
        )));
        if !asked("tell it?", "give --yes")? {
            say("nothing was told");
            return Ok(Some(Exit::Changes));
        }
    }
    let (who, said) = (who(), now());
    let wish = |device: &DeviceId| BringWish {
        device: device.clone(),
        take_over: *take_over,
        named: run.names(device),
        who: who.clone(),
        said,
        told: false,
    };
    store.wish_brought(&devices.iter().map(wish).collect::<Vec<_>>())?;
    match format {
        Format::Json => print_json_line(&json!({
            "format": 1,
            "event": "left-to-daemon",
            "devices": devices.iter().map(DeviceId::as_str).collect::<Vec<_>>(),
            "take_over": take_over,
        })),
        _ => {
            let (them, stand, status) = match devices.as_slice() {
                [one] => ("it", "it stands", format!("hoist status --device {one}")),
                _ => ("them", "they stand", "hoist status".to_owned()),
            };
            let line = format!(
                "{subject}: the daemon brings {them} to {counts}{over}, unless a pause, a pin or a turn in a \
                 rollout says otherwise; `{status}` says how {stand}"
            );
            print(&format!("{}\n", visible(&line)));
        }
    }
    Ok(Some(Exit::Done))
}
