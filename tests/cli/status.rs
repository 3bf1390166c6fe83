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

/// What was applied last still has it; the device itself is forgotten.
#[test]
fn a_decommissioned_device_is_gone_at_once() {
    let mut stage = Stage::new();
    let status = |stage: &mut Stage, more: &[&str]| {
        let arguments: Vec<&str> =
            ["status", "--simulate", "--format", "json"].iter().chain(more).copied().collect();
        let json = stage.quiet_hoist(&arguments).json();
        let has = |key: &str| {
            let devices = json[key].as_array().into_iter().flatten();
            devices.into_iter().any(|device| device["id"] == "door")
        };
        (has("devices"), has("departed"))
    };
    stage.quiet_hoist(&["apply", "--simulate", "--yes"]);
    assert_eq!(status(&mut stage, &[]), (true, false));
    let door = "\n[[device]]\nid = \"door\"\ntags = { environment = \"prod\", secure = true }\n";
    stage.edit("devices/list.toml", door, "");
    stage.commit("no door");
    let left = stage.quiet_hoist(&["decommission", "door", "--simulate", "--yes"]);
    assert_eq!(left.code, 0, "{}", left.stdout);
    assert_eq!(status(&mut stage, &[]), (false, false));
    // A revision that is named is shown as it is.
    assert_eq!(status(&mut stage, &["--revision", "HEAD~1"]), (true, false));
    // Who comes back is there again.
    stage.git(&["revert", "--no-edit", "HEAD"]);
    stage.quiet_hoist(&["apply", "--simulate", "--yes"]);
    assert_eq!(status(&mut stage, &[]), (true, false));
    // Also where what was applied last is called the same as before: the working tree.
    stage.edit("devices/list.toml", door, "");
    let apply = ["apply", "--simulate", "--yes", "--worktree"];
    stage.quiet_hoist(&apply);
    stage.quiet_hoist(&["decommission", "door", "--simulate", "--yes", "--worktree"]);
    assert_eq!(status(&mut stage, &[]), (false, false));
    stage.git(&["checkout", "--quiet", "--", "."]);
    stage.quiet_hoist(&apply);
    assert_eq!(status(&mut stage, &[]), (true, false));
}
