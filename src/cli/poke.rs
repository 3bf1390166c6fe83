//! `hoist poke`: the daemon looks at a device now.

use super::Global;
use super::exit::{Exit, Failure};
use super::opened::device;
use super::output::print;
use super::scope::open;

/// Have the daemon look at a device now, whatever it waits for
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The device
    #[arg(value_name = "DEVICE")]
    id: String,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (opened, store) = open(global, arguments.simulate)?;
    let id = device(&opened.fleet, &arguments.id)?.id.clone();
    if !store.has_daemon()? {
        return Err(Failure::new("no daemon works on this store")
            .help(format!("`hoist apply --device {id}` looks at it and brings it along")));
    }
    store.poke(&id)?;
    print(&format!("{id}: is looked at now; `hoist status --device {id}` says how it stands\n"));
    Ok(Exit::Done)
}
