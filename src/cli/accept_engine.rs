//! `hoist accept-engine`: says that the engine behind a device's address is the device's.

use super::Global;
use super::exit::{Exit, Failure};
use super::opened::device;
use super::output::{count, print, say};
use super::run::{
    RunArguments, block_on, keep_names, known_devices, lock, now, open_gate, open_revision,
    open_store, who,
};
use crate::diagnostic::render::visible;
use crate::model::{Device, Timestamp};
use crate::plan::DeviceMemory;
use crate::reconcile::{Look, device_from_store, look_at_engine};
use crate::store::{HistoryEntry, StatusSince, Store, StoreError, StoredDevice, StoredDevices};

/// Say that the engine behind a device's address is the right one
///
/// A device is held when another engine answers than before, or when the engine holds containers of another
/// device of the fleet. This remembers the engine that answers now, with whatever it runs. Containers of
/// the other device are then somebody else's: they are not touched, and block modules of their names.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The device
    #[arg(value_name = "DEVICE")]
    id: String,
    /// Take the working tree as it is, not HEAD
    #[arg(long)]
    worktree: bool,
    /// The simulated engine behind the device
    #[arg(long)]
    simulate: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let opened =
        open_revision(global, &RunArguments::whole(arguments.worktree, arguments.simulate))?;
    let store = open_store(global, &opened.fleet, arguments.simulate)?;
    let _lock = lock(&store)?;
    let (now, who) = (now(), who());
    let ((stored, _), renamed) = known_devices(&opened.fleet, &store)?;
    let reached = match stored.get(arguments.id.as_str()) {
        Some(left) if !opened.fleet.devices.contains_key(arguments.id.as_str()) => {
            device_from_store(left).map_err(Failure::new)?
        }
        _ => device(&opened.fleet, &arguments.id)?.clone(),
    };
    let gate = open_gate(global, &store, arguments.simulate)?;
    let look = match block_on(look_at_engine(&gate, &reached))? {
        Ok(look) => look,
        Err(words) => {
            say(&visible(&format!("{} is not reached: {words}; nothing was accepted", reached.id)));
            return Ok(Exit::Pending);
        }
    };
    let before = stored.get(&reached.id).and_then(|d| d.engine_id.clone());
    keep_names(&store, &renamed, &who, now)?;
    accept(&store, &stored, &reached, &look, &who, now)?;
    let was = match before.filter(|before| *before != look.report.id) {
        Some(before) => format!(", before {before}"),
        None => String::new(),
    };
    let mut text = format!(
        "{}: engine {}{was} is accepted; it holds {}",
        reached.id,
        look.report.id,
        count(look.observation.containers.len(), "container")
    );
    let others = look.other_devices(&opened.fleet, &reached.id);
    if !others.is_empty() {
        text.push_str(&format!(", some of device {}", others.join(", ")));
    }
    print(&format!("{}\n", visible(&text)));
    Ok(Exit::Done)
}

fn accept(
    store: &Store,
    stored: &StoredDevices,
    device: &Device,
    look: &Look,
    who: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let known = stored.get(&device.id).map(|stored| StoredDevice::clone(stored));
    let mut accepted = known.unwrap_or_else(|| {
        let description = "nothing was applied yet".to_owned();
        let status = StatusSince { code: 202, description, since: at };
        StoredDevice { status, ..StoredDevice::unknown(device.id.clone(), at) }
    });
    let id = look.report.id.clone();
    if accepted.engine_id.as_ref().is_some_and(|before| *before != id) {
        // What was remembered is of containers and networks that are somewhere else.
        store.remember(&device.id, &DeviceMemory::default())?;
    }
    let words = format!("engine {id} was accepted; the next run goes on");
    if accepted.status.code == 409 {
        accepted.status = StatusSince { code: 202, description: words, since: at };
    }
    accepted.engine_id = Some(id.clone());
    accepted.accepted_engine = Some(id.clone());
    store.record_device(&accepted)?;
    store.append_history(&[HistoryEntry {
        at,
        who: who.to_owned(),
        device: Some(device.id.clone()),
        from: None,
        to: None,
        action: "accept-engine".to_owned(),
        module: None,
        reason: format!("engine {id}"),
        outcome: "done".to_owned(),
    }])
}
