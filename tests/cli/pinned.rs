//! Pins without a daemon: `plan` and `apply` go by them as a daemon does, and say so.

use crate::stage::{Answer, Stage};

const APPLY: [&str; 3] = ["apply", "--simulate", "--yes"];
const PLAN: [&str; 2] = ["plan", "--simulate"];

fn pin(stage: &mut Stage, revision: &str, device: &str) -> Answer {
    stage.hoist(&["pin", revision, "--device", device, "--simulate", "--reason", "a bad night"])
}

#[test]
fn a_pinned_device_goes_to_its_revision_and_stays_there() {
    let mut stage = Stage::new();
    stage.quiet_hoist(&APPLY);
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.commit("web 1.1");
    stage.quiet_hoist(&APPLY);
    pin(&mut stage, "HEAD~1", "till-1");
    stage.hoist(&PLAN);
    stage.hoist(&APPLY);
    // A newer commit is for the others.
    stage.edit("deployments/base.toml", "web:1.1", "web:1.2");
    stage.commit("web 1.2");
    let saved = stage.root().join("plan.json").display().to_string();
    stage.quiet_hoist(&["plan", "--simulate", "--out", &saved]);
    stage.hoist(&["apply", "--simulate", &saved]);
    stage.hoist(&APPLY);
    stage.hoist(&["status", "--simulate"]);
    // What was agreed to was for another revision.
    stage.quiet_hoist(&["plan", "--simulate", "--device", "till-1", "--out", &saved]);
    pin(&mut stage, "HEAD~1", "till-1");
    let refused = stage.quiet_hoist(&["apply", "--simulate", &saved]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    stage.quiet_hoist(&["unpin", "--device", "till-1", "--simulate"]);
    stage.hoist(&APPLY);
    stage.done("pinned");
}

#[test]
fn a_device_that_its_pinned_revision_does_not_have_is_left_alone() {
    let mut stage = Stage::new();
    stage.quiet_hoist(&APPLY);
    stage.edit("devices/list.toml", "id = \"till-2\"", "id = \"till-3\"");
    stage.commit("another till");
    stage.hoist(&["pin", "HEAD~1", "--all", "--simulate", "--reason", "a bad night"]);
    stage.hoist(&["apply", "--simulate", "--yes", "--device", "till-3"]);
    stage.done("pinned_to_what_has_it_not");
}
