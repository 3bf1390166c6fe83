//! What the control host remembers: a SQLite database in one folder a fleet.
//!
//! Enters: what was seen and done, with the moment it happened. Leaves: the same, later, in another
//! process. Every write is one transaction; a crash leaves the state before or after it. Many may read
//! while one writes; [`Store::lock`] keeps two runs from changing devices at once. Only this layer knows
//! SQL. Not here: what anything means, clocks, and values of secrets.

mod brings;
mod departed;
mod device;
mod ends;
mod error;
mod half_done;
mod history;
mod lock;
mod memory;
mod open;
mod orders;
mod rollouts;
mod schema;
mod stored;
mod wishes;

pub use brings::BringWish;
pub use error::StoreError;
pub use history::{HistoryEntry, HistoryFilter};
pub use lock::RunLock;
pub use open::{HashKey, Store};
pub use orders::{Approval, Assignment, OrderKind, Pause, Pin, Scope, WAKE_FILE, fleet_key};
pub use rollouts::{KeptRollout, RolloutOrder, RolloutWrite};
pub use stored::{
    EngineAt, HeldFact, InForce, ModuleReport, ModuleStanding, ReportedFacts, StatusSince,
    StoredDevice, StoredDevices,
};
pub use wishes::{EngineWish, RestartWish};
