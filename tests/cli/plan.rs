//! `hoist plan`, and `hoist apply FILE` with what it kept.

use crate::stage::Stage;

#[test]
fn plans() {
    let mut stage = Stage::new();
    stage.hoist(&["plan", "--simulate"]);
    stage.hoist(&["plan", "--simulate", "--device", "door", "--steps"]);
    stage.hoist(&["plan", "--simulate", "--where", "tags.floor = 1"]);
    stage.hoist(&["plan", "--simulate", "--device", "dor"]);
    let json =
        stage.hoist(&["plan", "--simulate", "--device", "till-1", "--format", "json"]).json();
    assert_eq!(json["narrowed"], true);
    stage.hoist(&["plan", "--simulate", "--revision", "main", "--device", "till-1"]);
    // No engine address: not reachable by push.
    stage.hoist(&["plan"]);
    stage.done("plan");
}

#[test]
fn what_was_approved_is_what_runs() {
    let mut stage = Stage::new();
    stage.hoist(&["plan", "--simulate", "--out", "../plan.json"]);
    stage.hoist(&["apply", "--simulate", "../plan.json", "--device", "door"]);
    stage.hoist(&["apply", "--simulate", "../plan.json"]);
    // Now the engines run something else than when it was made.
    stage.hoist(&["apply", "--simulate", "../plan.json"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.commit("web 1.1");
    stage.hoist(&["apply", "--simulate", "../plan.json"]);
    stage.write("no-plan.json", "{}");
    stage.hoist(&["apply", "--simulate", "no-plan.json", "--worktree"]);
    stage.hoist(&["apply", "--simulate", "nowhere.json", "--worktree"]);
    stage.done("plan_saved");
}

#[test]
fn a_saved_plan_may_run_in_part() {
    let mut stage = Stage::new();
    stage.hoist(&["plan", "--simulate", "--out", "../plan.json"]);
    stage.hoist(&["apply", "--simulate", "--yes", "--device", "door"]);
    stage.hoist(&["apply", "--simulate", "../plan.json"]);
    stage.done("plan_saved_in_part");
}

#[test]
fn every_example_is_planned() {
    for example in ["buildings", "layered-twin", "one-host"] {
        let mut stage = Stage::copy_of(&format!("fleet-examples/{example}"));
        stage.begin();
        stage.hoist(&["validate"]);
        stage.hoist(&["plan", "--simulate", "--steps"]);
        stage.done(&format!("plan_example_{}", example.replace('-', "_")));
    }
}
