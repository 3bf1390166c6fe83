//! One comparison of all with all: what the fleet says, what the engines run, what is to be done, what
//! became of it.
//!
//! Enters: a valid fleet at one revision, the store, a [`Gate`] to the engines. Leaves: a plan, its
//! outcomes, and what the store now knows. Not here: how things look on a terminal, and who asks for it.

mod accept;
mod accept_engine;
mod by_hand;
mod doctor;
mod entries;
mod facts;
mod gate;
mod guard;
mod help;
mod history;
mod in_force;
mod kept_engine;
mod leave;
mod known;
mod learn;
mod noted;
mod pace;
mod reach;
mod record;
mod renamed;
mod report;
mod rival;
mod snapshot;
mod standing;
mod status;
mod status_json;
mod survey;
mod tally;
mod watch;

pub use accept::accept_by_hand;
pub use accept_engine::{AcceptedEngine, accept_engine};
pub use by_hand::{Restart, Restarted, in_force, restart_module};
pub use doctor::{Examined, Finding, examine, modules as module_findings};
pub use facts::{held_facts, live_facts, next_settling, reported_properties, settlings};
pub use gate::Gate;
pub use guard::judge_plan;
pub use help::help_of;
pub use history::{Change, Episode, entry_json, episodes, moment_since};
pub use known::known;
pub use learn::{
    intent, learn_begun, learn_half_done, learn_passed, learn_stops, learn_taken_over,
};
pub use leave::{Leaving, Look, decommission, device_from_store, look_at_engine, survey_leaving};
pub use pace::{Paces, PullsPer};
pub use reach::Reached;
pub use record::{Ran, RunInput, Writes, run_and_record};
pub use renamed::{Renamed, follow_names, renamed};
pub use snapshot::{Accepted, HeldRevision, Snapshot, SourceStanding, Trouble, Wish};
pub use status::{
    Counts, DepartedDevice, DeploymentCounts, DeviceStatus, Elsewhere, FleetStatus, LabelGroup,
    ModuleStatus, StatusInput, fleet_status, label_groups, stale_after,
};
pub use status_json::{Beside, keep_unsigned};
pub use survey::{Consents, Seen, Survey, SurveyInput, answered, details_wanted, survey};
pub use tally::{Tallied, Tally};
pub use watch::{
    Wall, WatchParts, WatchSettings, devices_in, elsewhere, give_up, judge_revision, kept_rollout,
    machine_clock, paused_devices, pinned_elsewhere, watch,
};
