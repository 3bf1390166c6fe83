//! Ctrl-C while devices are worked on: the first finishes what runs, the second leaves at once.

use super::exit::Exit;
use super::output::say;
use crate::apply::CallOff;

/// From now on Ctrl-C calls the run off.
pub(super) fn listen() -> CallOff {
    let call_off = CallOff::default();
    let told = call_off.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        told.now();
        say("finishing what runs, and beginning nothing new; once more to leave at once");
        if tokio::signal::ctrl_c().await.is_ok() {
            say("left at once; the next run goes on from what is there");
            std::process::exit(Exit::Failed.code().into());
        }
    });
    call_off
}
