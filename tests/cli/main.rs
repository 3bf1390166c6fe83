//! The built program from outside: what people type, what they see, and the exit code.
//!
//! Each test plays a story in a temporary repository and keeps all of it, commands and answers, in one
//! snapshot. No engine is needed; what is applied goes to simulated ones.

mod apply;
mod authors;
mod by_hand;
mod diff;
mod documents;
mod explain;
mod generate;
mod import;
mod look;
mod plan;
mod pinned;
mod pull_requests;
mod revisions;
mod rollback;
mod stage;
mod status;
mod validate;
