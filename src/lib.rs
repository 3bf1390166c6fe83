//! Hoist keeps a fleet of container devices as a git repository says it should be.
//!
//! The modules are the layers, from the bottom up; a layer names only those above it in this list.
//! `ARCHITECTURE.md` is the map; `tests/tidy.rs` holds the walls.

pub mod diagnostic;
pub mod model;
pub mod language;
pub mod fleet;
pub mod resolve;
pub mod rollout;
pub mod review;
pub mod azure;
pub mod plan;
pub mod generate;
pub mod source;
pub mod engine;
pub mod store;
pub mod config;
pub mod apply;
pub mod reconcile;
pub mod notices;
pub mod serve;
pub mod cli;
