//! `hoist rollback`: one commit that goes back, and nothing else. And what a diff says of phases.

use crate::stage::Stage;

#[test]
fn the_files_of_the_fleet_come_back_and_no_others() {
    let mut stage = Stage::new();
    stage.put("notes.md", "first\n");
    stage.commit("notes");
    stage.git(&["tag", "good"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:9.0");
    let more =
        "kind = \"layered\"\ntarget = \"*\"\npriority = 30\n[modules.more]\nimage = \"more:1\"\n";
    stage.put("deployments/more.toml", more);
    stage.put("notes.md", "second\n");
    stage.commit("a change");
    stage.git(&["tag", "bad"]);
    stage.put("notes.md", "not committed\n");

    let unasked = stage.quiet_hoist(&["rollback", "--to", "good"]);
    assert_eq!(unasked.code, 1, "without a terminal it needs --yes");
    assert!(unasked.stdout.contains("web:9.0"), "the diff comes first: {}", unasked.stdout);
    stage.git(&["diff", "--exit-code", "bad", "HEAD"]);

    let answer = stage.quiet_hoist(&["rollback", "--to", "good", "--yes"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    stage.git(&["diff", "--exit-code", "bad", "HEAD~1"]);
    stage.git(&[
        "diff",
        "--exit-code",
        "good",
        "HEAD",
        "--",
        "fleet.toml",
        "devices",
        "deployments",
    ]);
    stage.git(&["diff", "--exit-code", "bad", "HEAD", "--", "notes.md"]);
    assert_eq!(stage.read("notes.md"), "not committed\n");
    assert!(stage.read("deployments/base.toml").contains("web:1.0"));

    let again = stage.quiet_hoist(&["rollback", "--to", "good", "--yes"]);
    assert_eq!(again.code, 0);
    assert!(again.stderr.contains("nothing to commit"), "{}", again.stderr);
    stage.put("deployments/base.toml", "# edited\n");
    let dirty = stage.quiet_hoist(&["rollback", "--to", "bad", "--yes"]);
    assert_eq!(dirty.code, 1);
    assert!(dirty.stderr.contains("not committed"), "{}", dirty.stderr);
}

#[test]
fn it_is_pushed_when_that_is_asked_and_a_push_that_fails_leaves_the_commit() {
    let mut stage = Stage::new();
    stage.git(&["tag", "good"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:9.0");
    stage.commit("a change");
    let alone = stage.quiet_hoist(&["rollback", "--to", "good", "--yes", "--push"]);
    assert_eq!(alone.code, 1, "{}", alone.stdout);
    assert!(alone.stderr.contains("git push: "), "{}", alone.stderr);
    assert!(
        alone.stderr.contains("the commit is made; push it when that works"),
        "{}",
        alone.stderr
    );
    stage.git(&["diff", "--exit-code", "good", "HEAD"]);

    let remote = tempfile::tempdir().unwrap();
    let there = remote.path().display().to_string();
    stage.git(&["init", "--quiet", "--bare", &there]);
    stage.git(&["remote", "add", "origin", &there]);
    stage.git(&["push", "--quiet", "--set-upstream", "origin", "HEAD"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:8.0");
    stage.commit("another");
    stage.git(&["push", "--quiet"]);
    let kept = stage.quiet_hoist(&["rollback", "--to", "good", "--yes"]);
    assert_eq!(kept.code, 0, "{}", kept.stderr);
    stage.git(&["diff", "--exit-code", "HEAD~1", "@{upstream}"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:7.0");
    stage.commit("a third");
    let pushed = stage.quiet_hoist(&["rollback", "--to", "good", "--yes", "--push"]);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert!(pushed.stdout.ends_with("pushed\n"), "{}", pushed.stdout);
    stage.git(&["fetch", "--quiet"]);
    stage.git(&["diff", "--exit-code", "good", "@{upstream}"]);
}

/// Just then one needs it.
#[test]
fn a_head_with_an_error_is_gone_back_from() {
    let mut stage = Stage::new();
    stage.git(&["tag", "good"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:9.0");
    stage.commit("a change");
    stage.put("deployments/base.toml", "target = 5\n");
    stage.commit("a mistake");
    stage.put("fleet.toml", "name = [\n");
    stage.commit("and another");
    let unasked = stage.quiet_hoist(&["rollback", "--to", "good"]);
    assert!(unasked.stdout.contains("web:9.0"), "{}{}", unasked.stdout, unasked.stderr);
    assert!(
        unasked.stderr.contains("is not valid: what changes is shown against"),
        "{}",
        unasked.stderr
    );
    let answer = stage.quiet_hoist(&["rollback", "--to", "good", "--yes"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    stage.git(&["diff", "--exit-code", "good", "HEAD"]);
}

#[test]
fn a_revision_with_an_error_is_not_gone_back_to() {
    let mut stage = Stage::loose();
    stage.put("deployments/base.toml", "target = 5\n");
    stage.begin();
    stage.git(&["tag", "wrong"]);
    stage.put(
        "deployments/base.toml",
        "target = \"*\"\npriority = 1\n[modules.web]\nimage = \"web:1\"\n",
    );
    stage.commit("mended");
    stage.git(&["tag", "right"]);
    let answer = stage.quiet_hoist(&["rollback", "--to", "wrong", "--yes"]);
    assert_eq!(answer.code, 1);
    stage.git(&["diff", "--exit-code", "right", "HEAD"]);
}

#[test]
fn a_diff_says_who_is_in_which_phase_and_first_what_goes_at_once() {
    let mut stage = Stage::loose();
    let phases = "name = \"shop\"\n[rollout]\n[[rollout.phases]]\nname = \"floor one\"\ntarget = \"tags.floor = 1\"\n\
                  [[rollout.phases]]\nname = \"some\"\nshare = \"25%\"\n";
    stage.put("fleet.toml", phases);
    stage.begin();
    stage.edit("deployments/base.toml", "meter:2.0", "meter:3.0");
    stage.commit("phased");
    let answer = stage.quiet_hoist(&["diff", "HEAD~1", "HEAD"]);
    assert!(
        answer.stdout.contains("in phases: 1 in floor one, 1 in some, 1 in rest"),
        "{}",
        answer.stdout
    );
    let json = stage.quiet_hoist(&["diff", "HEAD~1", "HEAD", "--format", "json"]).json();
    assert_eq!(json["groups"][0]["phases"][0]["name"], "floor one");
    // Which devices a share takes depends on the commit, and there is none yet; of one group it is known how many.
    let one_group = stage.quiet_hoist(&["diff", "HEAD~1"]).stdout;
    assert!(one_group.contains("in phases: 1 in floor one, 1 in some, 1 in rest"), "{one_group}");
    let narrowed = ["diff", "HEAD~1", "--where", "NOT deviceId = 'nobody'"];
    let later = stage.quiet_hoist(&narrowed).stdout;
    let honest =
        "in phases: 1 in floor one, 2 in later phases (who is in which, the commit's id decides)";
    assert!(later.contains(honest), "{later}");
    // Of a commit it is known whoever looks.
    let phase_of = |device: &str| {
        let json = ["diff", "HEAD~1", "HEAD", "--device", device, "--format", "json"];
        let json = stage.quiet_hoist(&json).json();
        json["groups"][0]["phases"][0]["name"].as_str().unwrap_or_default().to_owned()
    };
    let devices = stage.quiet_hoist(&["diff", "HEAD~1", "HEAD", "--format", "json"]).json();
    let devices = devices["groups"][0]["devices"].as_array().expect("a list").clone();
    let mut phases: Vec<String> =
        devices.iter().map(|device| phase_of(device.as_str().expect("an id"))).collect();
    phases.sort_unstable();
    assert_eq!(phases, ["floor one", "rest", "some"]);
    let urgent = "phased = false\nkind = \"layered\"";
    stage.edit("deployments/secure.toml", "kind = \"layered\"", urgent);
    stage.edit("deployments/secure.toml", "proxy:1.1", "proxy:1.2");
    stage.edit("deployments/base.toml", "web:1.0", "web:2.0");

    stage.commit("both");
    let text = stage.quiet_hoist(&["diff", "HEAD~1", "HEAD", "--device", "till-1"]).stdout;
    assert!(text.contains("in phases: 1 in floor one"), "{text}");
    stage.edit("deployments/secure.toml", "proxy:1.2", "proxy:1.3");
    stage.commit("urgent alone");
    let text = stage.quiet_hoist(&["diff", "HEAD~1", "HEAD", "--format", "markdown"]).stdout;
    assert!(text.contains("goes out at once, without phases"), "{text}");
}

#[test]
fn a_commit_that_git_refuses_leaves_everything_as_it_was() {
    let mut stage = Stage::new();
    stage.git(&["tag", "good"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:9.0");
    let more =
        "kind = \"layered\"\ntarget = \"*\"\npriority = 30\n[modules.more]\nimage = \"more:1\"\n";
    stage.put("deployments/more.toml", more);
    stage.commit("a change");
    stage.put(".git/hooks/pre-commit", "#!/bin/sh\necho we freeze >&2\nexit 1\n");
    let hook = stage.root().join("fleet/.git/hooks/pre-commit");
    let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(hook, may_run).unwrap();
    for _ in 0..2 {
        let refused = stage.quiet_hoist(&["rollback", "--to", "good", "--yes"]);
        assert_eq!(refused.code, 1, "{}", refused.stdout);
        assert!(refused.stderr.contains("git commit: "), "{}", refused.stderr);
        assert!(refused.stderr.contains("nothing was changed; mend that"), "{}", refused.stderr);
        stage.git(&["diff", "--exit-code", "HEAD"]);
    }
}
