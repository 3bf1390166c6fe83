//! The daemon from outside: its process, its repository, its store, its engines.

#[path = "../testbed/mod.rs"]
#[expect(dead_code, reason = "other test binaries use the rest")]
mod testbed;

mod adverse;
mod begun;
mod broken;
mod brought;
mod browser;
mod by_hand;
mod clock;
mod copies;
mod disk;
mod doctor;
mod engines;
mod fetches;
pub(crate) mod http;
mod joins;

mod names;
mod no_room;
mod notices;
mod place;
mod poked;
mod ports;
mod remotes;
mod rollout_apart;
mod rollout_commits;
mod rollout_killed;
mod rollout_large;
mod rollout_orders;
mod rollouts;
mod rollouts_real;
mod settings;
mod signed;
mod simulated;
mod status;
mod truth;
mod webdriver;
