//! The whole way on real engines: three dockerds are three devices.

#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::disallowed_methods, reason = "random moments are moments of the clock")]

mod back;
mod cuts;
mod drift;
mod own;
mod rules;
mod reboots;
mod site;
#[path = "../testbed/mod.rs"]
#[expect(dead_code, reason = "shared by several tests, none of which uses all of it")]
mod testbed;
mod twins;
mod two_hosts;
