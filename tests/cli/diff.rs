//! `hoist diff`.

use crate::stage::Stage;
use serde_json::Value as Json;

#[test]
fn between_revisions_and_against_the_working_tree() {
    let mut stage = Stage::new();
    stage.hoist(&["diff"]);
    stage.hoist(&["diff", "main"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.hoist(&["diff", "--expect", "no-change"]);
    stage.commit("web 1.1");
    stage.edit("deployments/base.toml", "Interval = 5", "Interval = 9\nBurst = true");
    stage.hoist(&["diff", "HEAD"]);
    stage.hoist(&["diff", "HEAD~1..HEAD"]);
    stage.hoist(&["diff", "HEAD", "HEAD~1", "--exit-zero"]);
    stage.hoist(&["diff", "HEAD~1..HEAD", "--device", "door"]);
    stage.hoist(&["diff", "HEAD~1..HEAD", "--where", "tags.floor = 1"]);
    stage.hoist(&["diff", "HEAD~1..HEAD", "--where", "tags.environment = 'test'"]);
    stage.hoist(&["diff", "--device", "till-9"]);
    stage.hoist(&["diff", "--revision", "HEAD"]);
    stage.done("diff_revisions");
}

#[test]
fn what_changes_no_device_is_no_change() {
    let mut stage = Stage::new();
    stage.edit("deployments/base.toml", "priority = 10", "# The base.\npriority = 10");
    stage.edit("deployments/base.toml", "LEVEL = \"info\"", "\"LEVEL\" = 'info'");
    stage.hoist(&["diff", "--expect", "no-change"]);
    stage.done("diff_no_change");
}

#[test]
fn on_a_branch_the_merge_result_is_shown() {
    let mut stage = Stage::new();
    stage.git(&["switch", "--quiet", "--create", "feature"]);
    stage.edit("deployments/secure.toml", "proxy:1.1", "proxy:1.2");
    stage.commit("proxy 1.2");
    stage.git(&["switch", "--quiet", "main"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.commit("web 1.1");
    stage.git(&["switch", "--quiet", "feature"]);
    // What main got meanwhile is no part of it.
    stage.hoist(&["diff"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:2.0");
    stage.commit("web 2.0, which main changed, too");
    stage.hoist(&["diff"]);
    stage.git(&["switch", "--quiet", "main"]);
    // On main: its parent.
    stage.hoist(&["diff"]);
    stage.done("diff_branch");
}

#[test]
fn devices_and_deployments_that_come_and_go() {
    let mut stage = Stage::new();
    stage.remove("deployments/secure.toml");
    stage.hoist(&["diff"]);
    stage.remove("deployments/base.toml");
    stage.write("devices/lab.toml", "[tags]\nenvironment = \"prod\"\n");
    stage.hoist(&["diff"]);
    stage.git(&["checkout", "--quiet", "."]);
    stage.remove("devices/list.toml");
    stage.write("devices/till-3.toml", "tags = { environment = \"prod\" }\n");
    stage.hoist(&["diff"]);
    stage.done("diff_come_and_go");
}

#[test]
fn an_invalid_side_is_an_error() {
    let mut stage = Stage::new();
    stage.write("deployments/base.toml", "target = \"tags.environment == 'prod'\"\n");
    stage.hoist(&["diff"]);
    stage.commit("wrong");
    stage.git(&["checkout", "--quiet", "HEAD~1", "--", "."]);
    stage.hoist(&["diff", "HEAD"]);
    stage.done("diff_invalid");
}

#[test]
fn guards_ask_for_consent_and_a_trailer_gives_it() {
    let mut stage = Stage::loose();
    stage.put("fleet.toml", "name = \"shop\"\n[guards]\nmax-modules-removed = 0\n");
    stage.begin();
    stage.hoist(&["apply", "--simulate", "--yes", "--device", "door", "--device", "till-1"]);
    stage.git(&["switch", "--quiet", "--create", "no-secure"]);
    stage.remove("deployments/secure.toml");
    stage.commit("no proxy");
    stage.hoist(&["diff"]);
    stage.hoist(&["diff", "--exit-zero"]);
    stage.hoist(&["plan", "--simulate", "--device", "door"]);
    stage.hoist(&["apply", "--simulate", "--yes", "--device", "door"]);
    stage.git(&[
        "commit",
        "--quiet",
        "--allow-empty",
        "--message",
        "said\n\nHoist-Allow: modules-removed=1",
    ]);
    stage.hoist(&["diff"]);
    stage.hoist(&["apply", "--simulate", "--yes", "--device", "door"]);
    stage.done("diff_guards");
}

#[test]
fn json_has_every_documented_field() {
    let mut stage = Stage::new();
    stage.edit("deployments/secure.toml", "priority = 20", "priority = 30");
    stage.edit("deployments/secure.toml", "proxy:1.1", "proxy");
    stage.edit("deployments/base.toml", "LEVEL = \"info\"", "LEVEL = \"debug\"");
    let json = stage.hoist(&["diff", "--format", "json"]).json();
    let groups = json["groups"].as_array().expect("a list");
    let field = &groups[0]["changes"][0]["fields"][0];
    for (of, value, keys) in [
        ("", &json, "format fleet narrowed base head summary guards groups notices warnings"),
        ("base", &json["base"], "revision digest"),
        ("head", &json["head"], "revision digest"),
        ("summary", &json["summary"], "devices changed groups joined left retained modules"),
        (
            "modules",
            &json["summary"]["modules"],
            "created recreated updated started stopped removed",
        ),
        ("guards", &json["guards"][0], "name limit actual exceeded"),
        ("group", &groups[0], "devices cohorts causes changes diff"),
        ("cohort", &groups[0]["cohorts"][0], "before after devices"),
        ("cause", &groups[0]["causes"][0], "kind deployment"),
        ("change", &groups[0]["changes"][0], "module action reasons fields"),
        ("field", field, "path before after set_by"),
        ("set_by", &field["set_by"], "deployment file line"),
        ("warning", &json["warnings"][0], "code level new file line column message devices"),
    ] {
        has(of, value, keys);
    }
    stage.done("diff_json");
}

fn has(of: &str, value: &Json, keys: &str) {
    for key in keys.split(' ') {
        assert!(value.get(key).is_some(), "{of} lacks {key}: {value}");
    }
}

#[test]
fn the_first_commit_and_folders_without_git() {
    let mut stage = Stage::new();
    stage.hoist(&["diff"]);
    let answer = stage.hoist(&["diff", "--color", "always"]);
    assert!(answer.stdout.contains("\u{1b}[1m"));
    stage.done("diff_first_commit");

    let mut stage = Stage::loose();
    stage.hoist(&["diff"]);
    stage.hoist(&["plan", "--simulate"]);
    stage.hoist(&["validate", "--revision", "HEAD"]);
    stage.done("diff_without_git");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let stage = Stage::new();
    let mut command = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_hoist");
    let script = format!("{{ '{program}' diff; echo $? >&2; }} | head -n 1");
    let output = stage.cleared(&mut command).args(["-c", &script]).output().expect("a shell");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "2\n");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("shop  "));
}
