//! One comparison of all with all: what the fleet says, what the engines run, what is to be done, what
//! became of it.
//!
//! Enters: a valid fleet at one revision, the store, a [`Gate`] to the engines. Leaves: a plan, its
//! outcomes, and what the store now knows. Not here: how things look on a terminal, and who asks for it.

mod facts;
mod gate;
mod guard;
mod leave;
mod known;
mod pace;
mod reach;
mod record;
mod renamed;
mod report;
mod standing;
mod status;
mod survey;

pub use facts::{held_facts, live_facts, next_settling, reported_properties};
pub use gate::Gate;
pub use guard::judge_plan;
pub use known::known;
pub use leave::{Leaving, Look, decommission, device_from_store, look_at_engine, survey_leaving};
pub use pace::{Paces, PullsPer};
pub use reach::Reached;
pub use record::{Ran, RunInput, run_and_record};
pub use renamed::{Renamed, follow_names, renamed};
pub use status::{
    DepartedDevice, DeploymentCounts, DeviceStatus, FleetStatus, ModuleStatus, fleet_status,
};
pub use survey::{Consents, Seen, Survey, SurveyInput, survey};
