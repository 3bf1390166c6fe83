//! `hoist apply`, against simulated engines.

use crate::stage::Stage;
use hoist::engine::simulated::Simulated;
use hoist::engine::{Engine as _, SecretValues};
use hoist::plan::{ContainerRef, Step};
use serde_json::Value as Json;

const APPLY: [&str; 3] = ["apply", "--simulate", "--yes"];

#[test]
fn twice_is_once() {
    let mut stage = Stage::new();
    // Nobody to ask.
    stage.hoist(&["apply", "--simulate"]);
    stage.hoist(&APPLY);
    stage.hoist(&APPLY);
    // Nothing to do needs no consent.
    stage.hoist(&["apply", "--simulate"]);
    stage.hoist(&["plan", "--simulate"]);
    stage.done("apply_twice");
}

#[test]
fn a_dirty_folder_is_refused() {
    let mut stage = Stage::new();
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.hoist(&APPLY);
    stage.hoist(&["apply", "--simulate", "--yes", "--worktree", "--device", "till-1"]);
    stage.hoist(&["apply", "--simulate", "--yes", "--revision", "HEAD", "--device", "till-2"]);
    stage.hoist(&["status", "--simulate"]);
    stage.done("apply_dirty");
}

#[test]
fn a_working_tree_needs_no_repository() {
    let mut stage = Stage::loose();
    stage.hoist(&APPLY);
    stage.hoist(&["apply", "--simulate", "--yes", "--worktree"]);
    stage.hoist(&["status", "--simulate"]);
    stage.done("apply_worktree");
}

#[test]
fn changes_replace_update_and_remove() {
    let mut stage = Stage::new();
    stage.quiet_hoist(&APPLY);
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.edit("deployments/base.toml", "Interval = 5", "Interval = 9");
    stage.commit("a new image, a new interval");
    stage.hoist(&APPLY);
    // Without its layer the door is as the tills are.
    stage.remove("deployments/secure.toml");
    stage.commit("no layer");
    stage.hoist(&APPLY);
    // Only a part of the fleet.
    stage.edit("deployments/base.toml", "web:1.1", "web:1.2");
    stage.commit("web 1.2");
    stage.hoist(&["apply", "--simulate", "--yes", "--where", "tags.floor = 2"]);
    stage.hoist(&["apply", "--simulate", "--yes", "--device", "till-1"]);
    stage.hoist(&["status", "--simulate"]);
    stage.done("apply_changes");
}

#[test]
fn without_a_base_nothing_is_touched_and_an_empty_base_removes() {
    let mut stage = Stage::new();
    stage.quiet_hoist(&APPLY);
    stage.remove("deployments/base.toml");
    stage.commit("no base");
    stage.hoist(&APPLY);
    stage.hoist(&["status", "--simulate", "--device", "door"]);
    stage.write("deployments/base.toml", "target = \"tags.environment = 'prod'\"\n");
    stage.commit("a base without modules");
    stage.hoist(&APPLY);
    stage.hoist(&["status", "--simulate", "--device", "till-1"]);
    stage.done("apply_retained");
}

#[test]
fn an_invalid_revision_changes_nothing() {
    let mut stage = Stage::new();
    stage.quiet_hoist(&APPLY);
    stage.edit("deployments/base.toml", "image = \"web:1.0\"", "imgae = \"web:1.1\"");
    stage.commit("a slip");
    stage.hoist(&APPLY);
    stage.git(&["revert", "--no-edit", "HEAD"]);
    stage.hoist(&APPLY);
    stage.done("apply_invalid");
}

#[test]
fn json_is_one_object_a_line() {
    let mut stage = Stage::new();
    let mut arguments = APPLY.to_vec();
    arguments.extend(["--device", "door", "--format", "json"]);
    let answer = stage.hoist(&arguments);
    let lines: Vec<Json> = answer
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let (last, works) = lines.split_last().expect("there are lines");
    assert!(works.iter().all(|line| line["event"] == "work" && line["outcome"] == "done"));
    assert_eq!((&last["event"], &last["run"]), (&"summary".into(), &true.into()));
    stage.done("apply_json");
}

#[test]
fn devices_without_an_engine_are_pending() {
    let mut stage = Stage::new();
    stage.edit("devices/lab.toml", "[tags]", "engine = \"unix:///nowhere/docker.sock\"\n[tags]");
    stage.edit("devices/lab.toml", "test", "prod");
    stage.commit("a lab with an engine that is away");
    stage.hoist(&["apply", "--yes"]);
    stage.hoist(&["status", "--not-converged"]);
    stage.done("apply_pending");
}

#[test]
fn guards_hold_for_the_working_tree_too() {
    let mut stage = Stage::new();
    stage.write("fleet.toml", "name = \"shop\"\n[guards]\nmax-modules-removed = 0\n");
    stage.commit("no module goes unasked");
    stage.hoist(&["apply", "--simulate", "--yes"]);
    // Loosened in the same breath: the stricter of both sides counts.
    stage.write("fleet.toml", "name = \"shop\"\n");
    stage.remove("deployments/secure.toml");
    let answer = stage.hoist(&["apply", "--simulate", "--yes", "--worktree"]);
    assert_eq!(answer.code, 3);
    stage.commit("the same, committed");
    let answer = stage.hoist(&["apply", "--simulate", "--yes"]);
    assert_eq!(answer.code, 3);
    stage.done("apply_guards");
}

#[test]
fn a_secret_goes_to_whom_the_control_host_names() {
    let mut stage = Stage::new();
    let value = stage.root().join("value").display().to_string();
    std::fs::write(&value, "s3cr3t-value\n").expect("a new file");
    let control = stage.root().join("hoist.toml");
    let text = format!(
        "[secrets.puller]\npassword = {{ file = \"{value}\" }}\nregistries = [\"r.example:5000\"]\n\
         [secrets.db]\npassword = {{ file = \"{value}\" }}\ndevices = \"tags.floor = 1\"\n",
    );
    std::fs::write(control, text).expect("a new file");
    let env = "env = { STEAL = { secret = \"puller\" }, DB = { secret = \"db\" } }";
    stage.edit("deployments/base.toml", "env = { LEVEL = \"info\" }", env);
    stage.commit("secrets");
    let apply = ["apply", "--simulate", "--yes"];
    let answer = stage.hoist(&apply);
    assert_eq!(answer.code, 5);
    stage.edit("deployments/base.toml", "STEAL = { secret = \"puller\" }, ", "");
    stage.commit("no theft");
    stage.hoist(&apply);
    let status = stage.hoist(&["status", "--simulate", "--format", "json"]);
    assert!(!status.stdout.contains("s3cr3t"));
    stage.done("apply_secrets");
}

#[test]
fn pulls_take_turns_by_a_tag_or_the_mistake_is_said() {
    let stage = Stage::new();
    let apply = |per: &str| {
        stage.quiet_hoist(&["apply", "--simulate", "--yes", "--pulls-per", per, "--format", "json"])
    };
    for per in ["floor=1", "tags.floor", "tags.floor=0"] {
        assert_eq!(apply(per).code, 1, "{per}");
    }
    let answer = apply("tags.environment=1");
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stdout.contains("\"subject\":\"web\""), "{}", answer.stdout);
}

#[test]
fn a_control_file_that_is_not_there_is_told_with_the_reason() {
    let stage = Stage::new();
    let answer = stage.quiet_hoist(&["plan", "--simulate", "--config", "/no/such/hoist.toml"]);
    assert_eq!(answer.code, 1);
    assert!(
        answer.stderr.contains("cannot read /no/such/hoist.toml: No such file"),
        "{}",
        answer.stderr
    );
}

/// What goes stays until what is in its pause has come up: that is on its way, whoever says it, and has not failed.
#[test]
fn what_waits_for_a_module_in_its_pause_is_on_the_way() {
    let mut stage = Stage::empty();
    let (next, former) =
        ("[modules.next]\nimage = \"next:1\"\n", "[modules.former]\nimage = \"former:1\"\n");
    stage.put("fleet.toml", "name = \"shop\"\n");
    stage.put("devices/till.toml", "");
    stage.put("deployments/base.toml", &format!("target = \"*\"\n{next}{former}"));
    stage.begin();
    let stop = || {
        let file = stage.root().join("state/simulated/engines/till.json");
        let engine = Simulated::open(Some(file), "till").expect("an engine");
        let container = ContainerRef::Name("next".to_owned());
        let step = Step::Stop { container, timeout: None };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(engine.execute(&step, &SecretValues::default())).expect("it stops");
    };
    // It is started once at once, and then after a pause.
    assert_eq!(stage.quiet_hoist(&APPLY).code, 0);
    stop();
    assert_eq!(stage.quiet_hoist(&APPLY).code, 0);
    stop();
    let apply = stage.quiet_hoist(&APPLY);
    assert_eq!(apply.code, 4, "{}", apply.stdout);
    assert!(apply.stdout.contains("\n1 device: 1 on the way\n"), "{}", apply.stdout);
    stage.put("deployments/base.toml", &format!("target = \"*\"\n{next}"));
    stage.git(&["add", "--all"]);
    stage.commit("without former");

    let plan = stage.quiet_hoist(&["plan", "--simulate"]);
    assert_eq!(plan.code, 4, "{}", plan.stdout);
    let apply = stage.quiet_hoist(&APPLY);
    assert_eq!(apply.code, 4, "{}", apply.stdout);
    assert!(apply.stdout.contains("\n1 device: 1 on the way\n"), "{}", apply.stdout);
    let status = stage.quiet_hoist(&["status", "--simulate", "--not-converged"]);
    assert_eq!(status.code, 4, "{}", status.stdout);
    assert!(status.stdout.contains("1 on the way"), "{}", status.stdout);
    let last = apply.stdout.lines().last().unwrap_or_default();
    assert!(last.contains("next: it ended with code "), "{last}");
    assert!(
        last.ends_with(" UTC") && last.matches("started again not before").count() == 1,
        "{last}"
    );
}
