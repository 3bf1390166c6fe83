//! The vocabulary as plain data: what the words of the glossary are, and nothing that does anything.
//!
//! Enters: nothing. Leaves: types with public fields, made by the layers below this one in the data flow.
//! Names are parsed once and are then known to be right. Not here: TOML, JSON files, git, engines.

mod address;
mod deployment;
mod device;
mod devices;
mod duration;
mod encoding;
mod hash;
mod made_with;
mod manifest;
mod mapping;
mod module;
mod name;
mod observation;
mod reference;
mod rollout;
mod route;
mod settings;
mod table;
mod template;
mod time;
mod value;

pub use address::{EngineAddress, EngineAddressError};
pub use deployment::{
    Deployment, DeploymentKind, EntryKind, Metric, ModuleEntry, Target, UnsetPath,
};
pub use device::{Device, Facts};
pub use devices::{DeviceChanges, Devices};
pub use duration::{Duration, format_bytes, format_cpus, parse_bytes};
pub use hash::{
    Hash, HashOfTexts, HashedManifest, ModuleHashes, cohort_hash, manifest_hash, module_hashes,
};
pub use made_with::{MadeWith, mounts_of_body};
pub use manifest::{
    Cohort, Manifest, manifest_table, module_table, route_value, short_module_table,
};
pub use mapping::{
    ENGINE_FILES_TAKEN, HostDevice, Port, Volume, bind_target, is_engine_files, real_path,
};
pub use module::Module;
pub use name::{DeploymentId, DeviceId, FleetName, ModuleName, NameError, RouteName, SecretName};
pub use observation::{
    ContainerDetail, ContainerState, ENGINE_FILES, EngineReport, Health, Observation,
    ObservedContainer, ObservedMount, ObservedPort, TwinFile, TwinSeen, label,
};
pub use reference::{ImageReference, ImageReferenceError};
pub use rollout::{
    AT_ONCE, Amount, LATER_PHASES, OnFailure, PhaseSettings, REST, UNWRITTEN_PHASES,
};
pub use route::{HubEvents, Route, RouteEnds, RouteSink, RouteSource};
pub use settings::{
    EnvValue, Gpus, HealthCheck, LogSettings, ModuleSettings, NetworkMode, Protocol, PullPolicy,
    RestartPolicy, Status, TextUse,
};
pub use table::{NEAR, NearPath, Table, Text};
pub use template::{NearFact, Piece, Template, TemplateError, escape_template};
pub use time::Timestamp;
pub use value::{Value, path_above, path_segment};
