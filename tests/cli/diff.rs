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
fn a_comment_for_a_pull_request() {
    let mut stage = Stage::new();
    stage.edit("deployments/secure.toml", "priority = 20", "priority = 5");
    stage.edit("deployments/base.toml", "web:1.0", "web");
    stage.hoist(&["diff", "--format", "markdown"]);
    stage.hoist(&["diff", "--format", "markdown", "--device", "till-1", "--exit-zero"]);
    stage.hoist(&["diff", "HEAD", "HEAD", "--format", "markdown", "--where", "tags.floor = 7"]);
    stage.hoist(&["diff", "--format", "toml"]);
    stage.done("diff_markdown");
}

#[test]
fn what_devices_have_now_is_a_base() {
    let mut stage = Stage::new();
    stage.hoist(&["diff", "in-force"]);
    stage.hoist(&["apply", "--simulate", "--yes", "--device", "door"]);
    let state = stage.root().join("state/simulated");
    let state = state.to_str().expect("a plain path").to_owned();
    // Nothing was applied to all devices yet, so no revision says what the others should have.
    stage.hoist(&["diff", "in-force", "--state", &state]);
    stage.hoist(&["apply", "--simulate", "--yes"]);
    stage.hoist(&["diff", "in-force", "HEAD", "--state", &state, "--expect", "no-change"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.hoist(&["diff", "in-force", "--state", &state]);
    stage.commit("web 1.1");
    stage.hoist(&["apply", "--simulate", "--yes", "--device", "door"]);
    // One device has it already.
    stage.hoist(&["diff", "in-force..HEAD", "--state", &state]);
    stage.edit("deployments/base.toml", "tags.environment = 'prod'", "tags.floor = 1");
    stage.hoist(&["diff", "in-force", "--state", &state, "--format", "markdown"]);
    stage.hoist(&["diff", "HEAD", "in-force"]);
    stage.done("diff_in_force");
}

#[test]
fn facts_come_from_a_saved_answer() {
    let mut stage = Stage::new();
    stage.edit(
        "deployments/secure.toml",
        "tags.secure = true",
        "tags.secure = true OR properties.reported.model = 'x'",
    );
    stage.hoist(&["diff"]);
    stage.hoist(&["diff", "--require-facts"]);
    let device = |model: &str| {
        format!(
            r#"{{"reported": {{"model": "{model}"}}, "seen": "2026-01-05T09:00:00Z", "in_force": null}}"#
        )
    };
    let state = |fleet: &str| {
        let devices = format!(
            r#"{{"till-1": {}, "till-2": {}, "lab": {}}}"#,
            device("x"),
            device("y"),
            device("x")
        );
        format!(r#"{{"format": 1, "fleet": "{fleet}", "revision": null, "devices": {devices}}}"#)
    };
    stage.write("../state.json", &state("shop"));
    stage.hoist(&["diff", "--facts", "../state.json", "--require-facts"]);
    stage.hoist(&[
        "diff",
        "--facts",
        "../state.json",
        "--where",
        "properties.reported.model = 'x'",
    ]);
    stage.hoist(&["diff", "--where", "properties.reported.model = 'x'"]);
    stage.hoist(&[
        "what-if",
        "--set",
        "secure=true",
        "--device",
        "till-2",
        "--facts",
        "../state.json",
    ]);
    stage.write("../other.json", &state("other"));
    stage.hoist(&["diff", "--facts", "../other.json"]);
    stage.write("../wrong.json", &state("shop").replace("\"seen\"", "\"saw\""));
    stage.hoist(&["diff", "--facts", "../wrong.json"]);
    stage.hoist(&["diff", "--facts", "../nowhere.json"]);
    // It also says what devices have: nothing yet.
    stage.hoist(&["diff", "in-force", "HEAD", "--facts", "../state.json", "--device", "till-1"]);
    stage.done("diff_facts");
}

#[test]
fn another_engine_is_a_change_although_no_manifest_is() {
    let mut stage = Stage::new();
    stage.edit("devices/lab.toml", "[tags]", "engine = \"tcp://127.0.0.1:9\"\n[tags]");
    stage.hoist(&["diff"]);
    stage.hoist(&["diff", "--expect", "no-change"]);
    stage.hoist(&["diff", "--device", "lab", "--exit-zero"]);
    stage.hoist(&["diff", "--device", "door"]);
    stage.done("diff_engine");
}

#[test]
fn what_if_a_device_had_other_tags() {
    let mut stage = Stage::new();
    stage.hoist(&["what-if", "--set", "secure=true", "--device", "till-1", "--device", "till-2"]);
    stage.hoist(&["what-if", "--unset", "secure", "--device", "door"]);
    stage.hoist(&[
        "what-if",
        "--set",
        "environment=prod",
        "--device",
        "lab",
        "--format",
        "markdown",
    ]);
    stage.hoist(&[
        "what-if",
        "--set",
        "place.floor=3",
        "--set",
        "note=two words",
        "--device",
        "lab",
    ]);
    let json = stage.quiet_hoist(&[
        "what-if",
        "--unset",
        "environment",
        "--set",
        "environment=\"prod\"",
        "--set",
        "secure = true",
        "--device",
        "lab",
        "--format",
        "json",
    ]);
    assert_eq!(json.code, 2);
    assert_eq!(json.json()["groups"][0]["causes"][0]["kind"], "tags-changed");
    assert_eq!(json.json()["summary"]["modules"]["created"], 3);
    // Nothing was made.
    stage.hoist(&["diff", "HEAD", "--expect", "no-change"]);
    for wrong in [
        &["what-if", "--device", "door"][..],
        &["what-if", "--set", "a=1"],
        &["what-if", "--set", "a", "--device", "door"],
        &["what-if", "--set", "a b=1", "--device", "door"],
        &["what-if", "--set", "a/b=1", "--device", "door"],
        &["what-if", "--set", "\"a/b\"=1", "--device", "door"],
        &["what-if", "--set", "[a]\nb=1", "--device", "door"],
        &["what-if", "--set", "a=1e999", "--device", "door"],
        &["what-if", "--unset", "secur", "--device", "door"],
        &["what-if", "--set", "a=1", "--device", "dor"],
    ] {
        stage.hoist(wrong);
    }
    stage.done("what_if");
}

#[test]
fn a_bad_edit_of_a_device_is_the_same_mistake_as_in_a_file() {
    let mut stage = Stage::new();
    stage.edit("deployments/secure.toml", "env = {", "env = { FLOOR = \"${device.tags.room}\",");
    stage.edit("devices/list.toml", "secure = true", "secure = true, room = 1");
    stage.hoist(&["validate"]);
    stage.hoist(&["what-if", "--unset", "room", "--device", "door"]);
    stage.hoist(&["what-if", "--set", "secure=true", "--device", "till-1"]);
    stage.done("what_if_bad");
}

#[test]
fn hostile_words_stay_words_in_annotations() {
    let mut stage = Stage::new();
    let evil = "\\n::error::EVIL\\r\\u001b[2J ##[error]EVIL %0A::set-output name=a::EVIL";
    stage.write(
        "deployments/evil.toml",
        &format!("target = \"tags.a = 1\"\n\"{evil}\" = 1\n[modules.mm]\nimage = \"{evil}\"\n"),
    );
    let answer = stage.hoist(&["validate", "--format", "github"]);
    for line in answer.stdout.lines() {
        assert!(line.starts_with("::error file=deployments/evil.toml,line="), "{line}");
        assert!(!line.contains(|c: char| c.is_control()) && !line.contains("##["), "{line}");
    }
    stage.hoist(&["validate", "--format", "json"]);
    stage.hoist(&["validate"]);
    stage.done("validate_hostile");
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

#[test]
fn warnings_know_the_facts_that_the_diff_knows() {
    let stage = Stage::new();
    stage.put(
        "deployments/model.toml",
        "kind = \"layered\"\ntarget = \"properties.reported.model = 'x'\"\npriority = 30\n\
         [modules.extra]\nimage = \"extra:1.0\"\n",
    );
    stage.put(
        "facts.json",
        r#"{"format": 1, "fleet": "shop", "revision": null, "devices": {"door": {"reported": {"model": "x"}, "seen": null, "in_force": null}}}"#,
    );
    let files = stage.quiet_hoist(&["diff", "HEAD"]);
    assert!(files.stdout.contains("matches-nothing"), "{}{}", files.stdout, files.stderr);
    let facts = stage.quiet_hoist(&["diff", "HEAD", "--facts", "facts.json"]);
    assert_eq!(facts.code, 2, "{}{}", facts.stdout, facts.stderr);
    assert!(facts.stdout.contains("+ extra"), "{}", facts.stdout);
    assert!(!facts.stdout.contains("matches-nothing"), "{}", facts.stdout);
}
