//! From TOML files to a fleet.
//!
//! Enters: a [`FileTree`], all files of one revision. Leaves: a [`Fleet`] and every problem of every file,
//! collected. Files are decoded from toml's spanned tree by a collecting decoder of our own, so that a run
//! reports all mistakes with their places. Not here: who is targeted and what is merged.

mod decode;
mod known_devices;
mod known_files;
mod load;
mod manifest;
mod paths;
mod policy;
mod print;
mod print_file;
mod schema;
mod side_by_side;
mod tags;
mod tree;
mod unique;

pub use crate::model::{Amount, OnFailure, PhaseSettings};
pub use load::{LoadCache, Seen, fleet_name, fleet_names, load, load_after};
pub use manifest::decode_manifest;
pub use policy::decode_policy;
pub use print::{print_inline, print_manifest, print_module, print_toml};
pub use print_file::{print_deployment, print_device, print_device_list, print_fleet};
pub use schema::{FileKind, schema};
pub(crate) use side_by_side::{both, shares, side_by_side, while_given};
pub use tags::decode_tags;
pub use tree::{FileTree, TreeChanges, TreeEntry};

use crate::diagnostic::{Code, Diagnostics, Level, Place};
use crate::language::{Condition, Query};
use crate::model::{
    Deployment, DeploymentId, Devices, FleetName, ModuleName, ModuleSettings, SecretName,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Levels of lints that somebody wrote; `None` is allow.
pub type LintLevels = BTreeMap<Code, Option<Level>>;

/// All files of one revision, parsed. Valid only if its diagnostics hold no error.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Its name.
    pub name: FleetName,
    /// Former names whose containers are still ours.
    pub formerly: Vec<FleetName>,
    /// Filled into finished modules, below everything.
    pub defaults: ModuleSettings,
    /// Where each default stands, by its key (`log`, `env.TZ`).
    pub default_places: BTreeMap<String, Place>,
    /// Registry host → name of its credentials.
    pub registries: BTreeMap<String, SecretName>,
    /// Name in `properties.reported` → the module's word that conditions may read.
    pub reported_properties: BTreeMap<String, ModuleWord>,
    /// Levels of lints.
    pub lints: LintLevels,
    /// Limits on one change.
    pub guards: Guards,
    /// How changes go out.
    pub rollout: Option<Rollout>,
    /// Subnet of the network that Hoist makes on a device.
    pub subnet: Option<String>,
    /// All devices; the same list where a revision beside another one changes none.
    pub devices: Arc<Devices>,
    /// All deployments; of a file that stays, the same one from revision to revision.
    pub deployments: BTreeMap<DeploymentId, Arc<Deployment<Condition, Query>>>,
    /// Where `name` stands in `fleet.toml`.
    pub place: Place,
}

/// A word of a module's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleWord {
    /// Whose report.
    pub module: ModuleName,
    /// Path in it.
    pub path: Vec<String>,
}

/// Limits on what one change may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    /// Devices on which something is recreated, stopped or removed, or that leave or become retained.
    pub max_devices_disrupted: Amount,
    /// Modules that are removed.
    pub max_modules_removed: u64,
    /// Whether no device or no deployment is fine where there was one.
    pub allow_empty: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            max_devices_disrupted: Amount::Share(25_00),
            max_modules_removed: 20,
            allow_empty: false,
        }
    }
}

/// How changes go out. Decoded and checked; carried out by the daemon.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Settings of all phases.
    pub settings: PhaseSettings,
    /// The phases before the rest.
    pub phases: Vec<Phase>,
    /// Where it stands.
    pub place: Place,
}

/// One phase.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Its name; `phase N` if none is written.
    pub name: String,
    /// Which devices, by condition.
    pub target: Option<Condition>,
    /// How much of them, by hash; hundredths of a percent.
    pub share: Option<u32>,
    /// Its own settings.
    pub settings: PhaseSettings,
    /// Where it stands.
    pub place: Place,
}

/// A loaded fleet and everything that was found wrong or suspicious. `fleet` is there if `fleet.toml`
/// could be read; devices and deployments with errors are left out of it, so with errors it is good for
/// finding more problems and for nothing else.
#[derive(Debug)]
pub struct Loaded {
    /// The fleet, whole if `diagnostics` has no error.
    pub fleet: Option<Fleet>,
    /// All problems, not yet sorted or levelled.
    pub diagnostics: Diagnostics,
}
