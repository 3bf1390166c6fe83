//! `hoist generate`: what it makes is used by the other commands as it is.

use super::stage::Stage;

#[test]
fn a_made_up_fleet_is_valid_and_can_be_applied() {
    let mut stage = Stage::empty();
    stage.go("");
    let generate = ["generate", "--devices", "80", "--deployments", "12", "made-up"];
    assert_eq!(stage.hoist(&generate).code, 0);
    stage.go("made-up");
    let valid = stage.quiet_hoist(&["validate"]);
    assert_eq!(valid.code, 0, "{}", valid.stderr);
    let applied = stage.quiet_hoist(&["apply", "--simulate", "--yes"]);
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
    let again = stage.quiet_hoist(&["plan", "--simulate"]);
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
    stage.go("");
    assert_eq!(stage.hoist(&generate).code, 1);
    stage.done("generate");
}
