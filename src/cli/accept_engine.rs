//! `hoist accept-engine`: says that the engine behind a device's address is the device's.

use super::Global;
use super::exit::{Exit, Failure};
use super::opened::device;
use super::output::{count, print, say};
use super::run::{
    RunArguments, block_on, keep_names, known_devices, lock, now, open_gate, open_revision,
    open_store, who,
};
use super::scope;
use crate::diagnostic::render::visible;
use crate::fleet::Fleet;
use crate::model::{Device, label};
use crate::reconcile::{Look, accept_engine, device_from_store, look_at_engine};
use crate::store::{EngineWish, Store, StoredDevice, StoredDevices};

/// Say that the engine behind a device's address is the right one
///
/// A device is held when another engine answers than before, or when the engine holds containers of another
/// device of the fleet. This remembers the engine that answers now, with whatever it runs. Containers of
/// the other device are then somebody else's: they are not touched, and block modules of their names. Beside a running
/// daemon it is the daemon that goes on with that engine, at once.
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
    if !arguments.worktree && global.revision.is_none() {
        // Beside a daemon counts what it goes by, and not what lies here.
        let (opened, store) = scope::open(global, arguments.simulate)?;
        if store.has_daemon()? {
            return ask_the_daemon(global, arguments, &opened.fleet, &store);
        }
    }
    let opened =
        open_revision(global, &RunArguments::whole(arguments.worktree, arguments.simulate))?;
    let store = open_store(global, &opened.fleet, arguments.simulate)?;
    let _lock = lock(&store)?;
    let ((stored, _), renamed) = known_devices(&opened.fleet, &store)?;
    let Some((reached, look)) = look(global, arguments, &opened.fleet, &store, &stored)? else {
        return Ok(Exit::Pending);
    };
    let (now, wish) = (now(), wish(&reached, &look));
    keep_names(&store, &renamed, &wish.who, now)?;
    let known = stored.get(&reached.id).map(AsRef::as_ref);
    accept_engine(&store, known, &wish, now)?;
    print(&words(&opened.fleet, &reached, &look, &stored));
    Ok(Exit::Done)
}

/// A daemon works on the devices: it takes the engine that was seen here, and no other.
fn ask_the_daemon(
    global: &Global,
    arguments: &Arguments,
    fleet: &Fleet,
    store: &Store,
) -> Result<Exit, Failure> {
    let stored = store.load_devices()?;
    let Some((reached, look)) = look(global, arguments, fleet, store, &stored)? else {
        return Ok(Exit::Pending);
    };
    store.wish_engine(&wish(&reached, &look))?;
    print(&words(fleet, &reached, &look, &stored));
    print(&format!(
        "the daemon goes on with it; `hoist status --device {}` says how it stands\n",
        reached.id
    ));
    Ok(Exit::Done)
}

fn wish(device: &Device, look: &Look) -> EngineWish {
    EngineWish { device: device.id.clone(), engine: look.report.id.clone(), who: who() }
}

/// What answers behind the device's address; `None`, and why is said, if nothing does.
fn look(
    global: &Global,
    arguments: &Arguments,
    fleet: &Fleet,
    store: &Store,
    stored: &StoredDevices,
) -> Result<Option<(Device, Look)>, Failure> {
    let id = arguments.id.as_str();
    let reached = match stored.get(id) {
        Some(left) if !fleet.devices.contains_key(id) => {
            device_from_store(left).map_err(Failure::new)?
        }
        _ => device(fleet, id)?.clone(),
    };
    let gate = open_gate(global, store, arguments.simulate)?;
    match block_on(look_at_engine(&gate, &reached))? {
        Ok(look) => Ok(Some((reached, look))),
        Err(words) => {
            say(&visible(&format!("{} is not reached: {words}; nothing was accepted", reached.id)));
            Ok(None)
        }
    }
}

/// What was accepted, and what becomes of what is on the engine before.
fn words(fleet: &Fleet, device: &Device, look: &Look, stored: &StoredDevices) -> String {
    let (id, engine) = (&device.id, &look.report.id);
    let known = stored.get(id).map(AsRef::as_ref);
    let before = known.and_then(|d| d.engine_id.as_deref()).filter(|before| before != engine);
    let was = before.map_or(String::new(), |before| format!(", before {before},"));
    let mut text = format!(
        "{id}: engine {engine}{was} is accepted; it holds {}",
        count(look.observation.containers.len(), "container")
    );
    let others = look.other_devices(fleet, id);
    if !others.is_empty() {
        text.push_str(&format!(", some of device {}", others.join(", ")));
    }
    let mut lines = vec![text];
    // The same machine may come with another id: what runs there is then what is looked after.
    let is_moved = known.is_some_and(|d| d.in_force.is_some()) && !look.is_of(fleet, device);
    if let Some(before) = before.filter(|_| is_moved) {
        lines.extend(left_behind(fleet, device, before, stored));
    }
    lines.iter().map(|line| format!("{}\n", visible(line))).collect()
}

/// What Hoist made on the engine before stays there, where there is still such an engine.
fn left_behind(
    fleet: &Fleet,
    device: &Device,
    before: &str,
    stored: &StoredDevices,
) -> [String; 2] {
    let is_there = |other: &&StoredDevice| {
        other.device != device.id && other.engine_id.as_deref() == Some(before)
    };
    let now_of = stored.values().map(AsRef::as_ref).find(is_there);
    let now_of = now_of.map_or(String::new(), |other| format!(", now of {},", other.device));
    let of_fleet = in_quotes(&format!("label={}={}", label::FLEET, fleet.name));
    let of_device = in_quotes(&format!("label={}={}", label::DEVICE, device.id));
    [
        format!(
            "  if engine {before}{now_of} is still there, the modules of {} run on there, and Hoist looks after them no more; \
             on that machine this removes them, and the volumes of theirs that have no name:",
            device.id
        ),
        format!(
            "  docker rm --force --volumes $(docker ps --all --quiet --filter {of_fleet} --filter {of_device})"
        ),
    ]
}

/// As one word for a shell: ids of devices may hold characters that mean something there.
pub(super) fn in_quotes(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::in_quotes;

    #[test]
    fn an_id_is_one_word_for_a_shell_whatever_it_holds() {
        let word = "label=hoist.device=a b'$(rm -rf /)#*";
        let echoed = std::process::Command::new("sh")
            .args(["-c", &format!("printf %s {}", in_quotes(word))])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(echoed.stdout).unwrap(), word);
    }
}
