//! `hoist status`.

use crate::stage::Stage;

#[test]
fn status_of_a_fleet_and_of_a_device() {
    let mut stage = Stage::new();
    stage.hoist(&["status", "--simulate"]);
    stage.quiet_hoist(&["apply", "--simulate", "--yes", "--device", "door"]);
    stage.hoist(&["status", "--simulate"]);
    stage.hoist(&["status", "--simulate", "--not-converged"]);
    stage.quiet_hoist(&["apply", "--simulate", "--yes"]);
    stage.hoist(&["status", "--simulate"]);
    stage.hoist(&["status", "--simulate", "--device", "door"]);
    stage.hoist(&["status", "--simulate", "--device", "doro"]);
    stage.hoist(&["status", "--simulate", "--where", "tags.floor = 1"]);
    stage.hoist(&["status", "--simulate", "--not-converged", "--where", "tags.floor = 1"]);
    let json = stage.hoist(&["status", "--simulate", "--format", "json"]).json();
    for key in ["format", "fleet", "revision", "held", "rollout", "deployments", "devices"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    // The counts are those of what was applied, until something else is; or of a revision that is named.
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.commit("web 1.1");
    stage.hoist(&["status", "--simulate"]);
    stage.hoist(&["status", "--simulate", "--revision", "HEAD"]);
    stage.done("status");
}
