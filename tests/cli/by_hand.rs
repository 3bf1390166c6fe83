//! `hoist logs` and `hoist restart`, on simulated engines.

use crate::stage::Stage;

#[test]
fn logs_and_restart_of_simulated_modules() {
    let mut stage = Stage::new();
    stage.hoist(&["restart", "till-1", "web", "--simulate"]);
    stage.quiet_hoist(&["apply", "--simulate", "--yes"]);
    stage.hoist(&["logs", "till-1", "web", "--simulate"]);
    stage.hoist(&["restart", "till-1", "web", "--simulate", "--reason", "it hung"]);
    stage.hoist(&["restart", "till-1", "web", "--simulate", "--format", "json"]);
    stage.hoist(&["logs", "till-1", "web", "--simulate", "--tail", "2"]);
    stage.hoist(&["logs", "till-1", "wep", "--simulate"]);
    stage.hoist(&["logs", "till-9", "web", "--simulate"]);
    stage.hoist(&["restart", "till-1", "wep", "--simulate"]);
    stage.hoist(&["logs", "till-1", "web", "--simulate", "--previous"]);
    stage.hoist(&["logs", "till-1", "web", "--simulate", "--format", "json"]);
    stage.hoist(&["status", "--simulate"]);
    stage.done("by_hand");
}
