//! What `logs` and `restart` share: one device, one module, and the way there.

use super::Global;
use super::exit::Failure;
use super::opened::{self, device};
use super::remembered;
use super::run::{load_config, state_folder};
use super::scope::Opener;
use crate::diagnostic::closest;
use crate::engine::{EngineError, EngineErrorKind};
use crate::fleet::Fleet;
use crate::model::{Device, ModuleName};
use crate::plan::{DeviceMemory, Role};
use crate::reconcile::{Gate, Reached, help_of};
use crate::store::{Store, StoredDevice};
use std::sync::Arc;

/// Arguments of both.
#[derive(clap::Args)]
pub(super) struct ModuleArguments {
    /// The device
    #[arg(value_name = "DEVICE")]
    device: String,
    /// The module
    #[arg(value_name = "MODULE")]
    module: String,
    /// Take the working tree as it is, not HEAD
    #[arg(long, conflicts_with = "revision")]
    worktree: bool,
    /// Ask the simulated engine: nothing real is reached
    #[arg(long)]
    simulate: bool,
}

/// A module of a device, and what is needed to reach it.
pub(super) struct OneModule {
    pub(super) device: Arc<Device>,
    pub(super) module: ModuleName,
    pub(super) store: Store,
    pub(super) stored: Option<Arc<StoredDevice>>,
    pub(super) fleet: Fleet,
    pub(super) memory: DeviceMemory,
    pub(super) gate: Gate,
}

/// Opens the fleet, the store and the gate.
pub(super) fn open(
    global: &Global,
    arguments: &ModuleArguments,
    opener: Opener,
) -> Result<OneModule, Failure> {
    let ModuleArguments { device: id, module, worktree, simulate } = arguments;
    let revision =
        if *worktree { None } else { Some(global.revision.as_deref().unwrap_or("HEAD")) };
    let opened = opened::open(global, revision).or_else(|why| {
        let place = remembered::place(global, *simulate, why)?;
        remembered::fleet_of(global, &opener(&place)?)
    })?;
    let module = ModuleName::parse(module).map_err(|error| Failure::new(error.to_string()))?;
    let device = Arc::new(device(&opened.fleet, id)?.clone());
    let folder = state_folder(global, &opened.fleet, *simulate)?;
    let config = load_config(global)?;
    let store = opener(&folder)?;
    let stored = store.load_devices()?.remove(&device.id);
    let memory = store.memory(&device.id)?;
    let gate = Gate::new(config, simulate.then(|| folder.join("engines")), store.hash_key().0);
    Ok(OneModule { device, module, store, stored, fleet: opened.fleet, memory, gate })
}

impl OneModule {
    /// Its container in one of these roles, the first role first.
    pub(super) async fn reach(&self, roles: &[Role]) -> Result<Reached, Failure> {
        let Self { device, module, fleet, memory, gate, store: _, stored: _ } = self;
        gate.reach(fleet, device, module, roles, memory).await.map_err(|error| {
            let help = self.which_it_has().filter(|_| error.kind == EngineErrorKind::NotFound);
            match help {
                Some(help) => failure(&error).help(help),
                None => failure(&error),
            }
        })
    }

    /// The modules that the device has, where the one that was named is none of them.
    fn which_it_has(&self) -> Option<String> {
        let has = &self.stored.as_ref()?.modules;
        let names: Vec<&str> = has.keys().map(ModuleName::as_str).collect();
        if names.is_empty() || has.contains_key(&self.module) {
            return None;
        }
        Some(match closest(self.module.as_str(), names.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("it has {}", names.join(", ")),
        })
    }
}

/// An engine's error, with what helps where that is known.
pub(super) fn failure(error: &EngineError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error.cause.and_then(help_of) {
        Some(help) => failure.help(help),
        None => failure,
    }
}
