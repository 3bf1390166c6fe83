//! `hoist validate`.

use crate::stage::Stage;

#[test]
fn a_valid_fleet_is_one_line() {
    let mut stage = Stage::loose();
    stage.hoist(&["validate"]);
    stage.hoist(&["validate", "--format", "json"]);
    stage.hoist(&["validate", "--format", "github"]);
    stage.done("validate_ok");
}

#[test]
fn warnings_are_shown_and_can_be_errors() {
    let mut stage = Stage::loose();
    stage.edit("deployments/base.toml", "meter:2.0", "meter");
    stage.hoist(&["validate"]);
    stage.hoist(&["validate", "--format", "github"]);
    stage.hoist(&["validate", "--deny-warnings"]);
    stage.write("fleet.toml", "name = \"shop\"\n[lints]\nmutable-image = \"error\"\n");
    stage.hoist(&["validate"]);
    stage.done("validate_warnings");
}

#[test]
fn ten_mistakes_are_found_in_one_run() {
    let mut stage = Stage::copy_of("tests/wrong-fleets/ten-mistakes");
    stage.hoist(&["validate"]);
    let json = stage.hoist(&["validate", "--format", "json"]).json();
    let diagnostics = json["diagnostics"].as_array().expect("a list");
    assert_eq!(diagnostics.len(), 10);
    for diagnostic in diagnostics {
        for key in ["code", "level", "file", "line", "column", "message", "help", "devices"] {
            assert!(diagnostic.get(key).is_some(), "{diagnostic} lacks {key}");
        }
    }
    stage.hoist(&["validate", "--format", "github"]);
    stage.done("validate_ten_mistakes");
}

#[test]
fn a_wrong_fleet_is_never_applied() {
    let mut stage = Stage::copy_of("tests/wrong-fleets/ten-mistakes");
    stage.begin();
    for command in ["plan", "apply"] {
        let answer = stage.quiet_hoist(&[command, "--simulate"]);
        assert_eq!(answer.code, 1);
        assert!(answer.stderr.contains("is not valid: 10 errors"), "{}", answer.stderr);
        assert_eq!(answer.stdout, "");
    }
    assert!(!stage.root().join("state").exists(), "not even a store was made");
    stage.hoist(&["status", "--simulate"]);
    stage.done("validate_wrong_is_never_applied");
}

#[test]
fn revisions_and_folders() {
    let mut stage = Stage::new();
    stage.edit("deployments/base.toml", "web:1.0", "web:1.0\" # unfinished");
    stage.write("deployments/broken.toml", "target = \n");
    stage.hoist(&["validate"]);
    stage.hoist(&["validate", "--revision", "HEAD"]);
    stage.hoist(&["validate", "--revision", "nothing-like-it"]);
    stage.hoist(&["-C", "deployments", "validate", "--revision", "HEAD"]);
    stage.hoist(&["-C", "..", "validate"]);
    stage.hoist(&["validate", "--format", "toml"]);
    stage.done("validate_revisions_and_folders");
}

#[test]
fn a_fleet_may_lie_deep_in_a_repository_or_in_a_bare_one() {
    let mut stage = Stage::empty();
    stage.put("README.md", "A repository of many things.\n");
    for path in ["fleet.toml", "devices/list.toml", "deployments/base.toml"] {
        let text = Stage::loose().read(path);
        stage.put(&format!("ops/shop/{path}"), &text);
    }
    stage.begin();
    stage.go("fleet/ops/shop/devices");
    stage.hoist(&["validate"]);
    stage.hoist(&["validate", "--revision", "HEAD"]);
    stage.hoist(&["plan", "--simulate", "--device", "till-1"]);
    stage.done("validate_subfolder");

    let mut stage = Stage::new();
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.commit("web 1.1");
    stage.git(&["clone", "--quiet", "--bare", ".", "../bare.git"]);
    stage.go("bare.git");
    stage.hoist(&["validate", "--revision", "HEAD"]);
    stage.hoist(&["validate"]);
    stage.hoist(&["diff"]);
    stage.hoist(&["plan", "--simulate", "--device", "till-1"]);
    stage.done("validate_bare");
}
