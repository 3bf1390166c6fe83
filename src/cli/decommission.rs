//! `hoist decommission`: takes away what is ours on a device that left the fleet, and forgets it.

use super::Global;
use super::apply::asked;
use super::calling_off::CallingOff;
use super::exit::{Exit, Failure};
use super::opened::Opened;
use super::output::{count, print, say};
use super::run::{
    RunArguments, block_on, keep_names, known_devices, lock, now, open_gate, open_revision,
    open_store, who,
};
use crate::apply::{Event, Outcome, Pace};
use crate::diagnostic::{did_you_mean, render::visible};
use crate::model::{Device, EngineAddress};
use crate::plan::{DeviceState, Plan, plan_text, work_subject};
use crate::reconcile::{Leaving, decommission, device_from_store, survey_leaving};
use crate::review::fleet_digest;
use crate::store::{StoredDevice, StoredDevices};

/// Remove what Hoist runs on a device that left the fleet, and forget the device
///
/// Shows what it removes, and asks. Containers and networks of this fleet and device go; volumes with names
/// stay. A device that is not reached stays listed.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The device
    #[arg(value_name = "DEVICE")]
    id: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Where its engine is, if the store does not know
    #[arg(long, value_name = "ADDRESS")]
    engine: Option<String>,
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
    if let Some(device) = opened.fleet.devices.get(arguments.id.as_str()) {
        return Err(Failure::new(format!(
            "{} is still in the fleet, in {}: nothing was removed",
            device.id,
            device.place.file()
        ))
        .help("take it out of the fleet first; to stop its modules let a deployment without them target it"));
    }
    let store = open_store(global, &opened.fleet, arguments.simulate)?;
    let _lock = lock(&store)?;
    let (now, who) = (now(), who());
    let ((stored, memories), renamed) = known_devices(&opened.fleet, &store)?;
    let Some(known) = stored.get(arguments.id.as_str()) else {
        return Err(unknown(&arguments.id, &stored, &opened));
    };
    let device = reached(known, arguments)?;
    let gate = open_gate(global, &store, arguments.simulate)?;
    let memory = memories.get(&device.id).cloned().unwrap_or_default();
    let control = store.control();
    let looked = survey_leaving(&gate, &opened.fleet, &device, known, &memory, control, now);
    let leaving = match block_on(looked)? {
        Ok(leaving) => leaving,
        Err(words) => {
            say(&visible(&format!("{} is not reached: {words}; it stays listed", device.id)));
            return Ok(Exit::Pending);
        }
    };
    if let DeviceState::Held { words, .. } = &leaving.plan.state {
        say(&visible(&format!("{}: {words}; nothing was removed, it stays listed", device.id)));
        return Ok(Exit::Failed);
    }
    print(&plan_text(&shown(&leaving, &opened), false));
    if !leaving.plan.works.is_empty() && !arguments.yes && !asked("remove this?", "give --yes")? {
        say("nothing was removed");
        return Ok(Exit::Changes);
    }
    keep_names(&store, &renamed, &who, now)?;
    let run = block_on(async {
        let calling_off = CallingOff::listen();
        let events = |event: Event<'_>| {
            calling_off.take(&device.id, &event);
            if let Event::WorkEnded { work, outcome } = event {
                show(&leaving, work, outcome);
            }
        };
        let pace = Pace { call_off: calling_off.call_off.clone(), ..Pace::default() };
        decommission(&leaving, &store, &who, now, &pace, &events).await
    })??;
    if run.has_failures() || run.was_called_off() {
        say(&format!("{} stays listed: not all of it could be removed", device.id));
        return Ok(Exit::Failed);
    }
    print(&format!("{} is forgotten\n", visible(device.id.as_str())));
    Ok(Exit::Done)
}

fn unknown(id: &str, stored: &StoredDevices, opened: &Opened) -> Failure {
    let departed = || stored.keys().filter(|id| !opened.fleet.devices.contains_key(*id));
    let failure = Failure::new(format!(
        "`{id}` is in no file, and the store does not know it: nothing is there to remove"
    ));
    match did_you_mean(id, departed().map(AsRef::as_ref)) {
        Some(help) => failure.help(help),
        None if departed().next().is_none() => failure.help("no device has departed"),
        None => failure.help(format!(
            "{} departed; `hoist status` lists them",
            count(departed().count(), "device")
        )),
    }
}

/// The device, and how it is reached.
fn reached(known: &StoredDevice, arguments: &Arguments) -> Result<Device, Failure> {
    let mut device = device_from_store(known).map_err(Failure::new)?;
    if let Some(text) = &arguments.engine {
        let address = EngineAddress::parse(text)
            .map_err(|error| Failure::new(format!("`{text}` is no engine address: {error}")))?;
        device.engine = Some(address);
    }
    if device.engine.is_none() && !arguments.simulate {
        return Err(Failure::new(format!(
            "the store does not know where the engine of {} was",
            device.id
        ))
        .help("name it with --engine ADDRESS, as its file did"));
    }
    Ok(device)
}

/// The plan of this one device, as plans are shown.
fn shown(leaving: &Leaving, opened: &Opened) -> Plan {
    Plan {
        fleet: opened.fleet.name.to_string(),
        revision: opened.name.clone(),
        digest: fleet_digest(&opened.fleet, &opened.resolution),
        narrowed: false,
        devices: [(leaving.plan.device.clone(), leaving.plan.clone())].into(),
    }
}

fn show(leaving: &Leaving, work: usize, outcome: &Outcome) {
    let Some(work) = leaving.plan.works.get(work) else { return };
    let subject = work_subject(work);
    match outcome {
        Outcome::Passed { .. } => print(&format!("✓ {subject}\n")),
        Outcome::Failed { .. } => {
            let words = outcome.failure().unwrap_or_default();
            print(&format!("✗ {}\n", visible(&format!("{subject}   failed: {words}"))));
        }
        Outcome::CalledOff { .. } => print(&format!("… {subject}   called off\n")),
        Outcome::Skipped { .. } => print(&format!("✗ {subject}   skipped\n")),
        Outcome::NotNeeded => {}
    }
}
