//! Any two revisions can be compared, however the repository is kept; what can't be had is told with the
//! command that helps, and that command is run here.

use crate::stage::{Answer, Stage};
use serde_json::Value as Json;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The small fleet on `main`, and a branch `feature` beside it, both with a commit of their own.
fn forked() -> Stage {
    let mut stage = Stage::new();
    stage.git(&["switch", "--quiet", "--create", "feature"]);
    stage.edit("deployments/secure.toml", "proxy:1.1", "proxy:1.2");
    stage.commit("proxy 1.2");
    stage.git(&["switch", "--quiet", "main"]);
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.commit("web 1.1");
    stage
}

/// The repository as others reach it, with the ends that forges keep for them.
fn published() -> Stage {
    let mut stage = forked();
    stage.git(&["switch", "--quiet", "--detach", "main"]);
    stage.git(&["merge", "--quiet", "--no-ff", "--message", "Merge 7 into main", "feature"]);
    stage.git(&["update-ref", "refs/pull/7/merge", "HEAD"]);
    stage.git(&["switch", "--quiet", "feature"]);
    stage.git(&["clone", "--quiet", "--mirror", ".", "../remote.git"]);
    stage.git(&["-C", "../remote.git", "symbolic-ref", "HEAD", "refs/heads/main"]);
    stage.git(&["-C", "../remote.git", "config", "uploadpack.allowFilter", "true"]);
    stage
}

fn url(stage: &Stage) -> String {
    format!("file://{}/remote.git", stage.root().display())
}

fn cloned(options: &[&str]) -> Stage {
    let mut stage = published();
    let url = url(&stage);
    let mut arguments = vec!["clone", "--quiet"];
    arguments.extend(options);
    arguments.extend([url.as_str(), "../clone"]);
    stage.git(&arguments);
    stage.go("clone");
    stage
}

/// Runs `hoist diff` and keeps what it compared and found, however the text of a diff looks.
fn compare(stage: &mut Stage, arguments: &[&str]) -> Answer {
    let answer = stage.quiet_hoist(&[arguments, &["--format", "json"]].concat());
    let found = serde_json::from_str::<Json>(&answer.stdout).map_or(String::new(), |json| {
        let (base, head) = (&json["base"]["revision"], &json["head"]["revision"]);
        let modules = json["summary"]["modules"].as_object().expect("a table");
        let modules: Vec<String> = modules
            .iter()
            .filter(|(_, number)| **number != 0)
            .map(|(action, number)| format!("{number} {action}"))
            .collect();
        let devices = &json["summary"]["changed"];
        format!("{base} -> {head}: {devices} devices; {}\n", modules.join(", "))
    });
    let Answer { code, stdout: _, stderr } = &answer;
    stage.tell(&format!("hoist {}\n{found}{stderr}--- exit {code} ---\n", arguments.join(" ")));
    answer
}

/// Runs the command that an answer recommends.
fn follow(stage: &mut Stage, answer: &Answer) {
    let help = answer.stderr.lines().find_map(|line| line.split_once("help: run `"));
    let (_, command) = help.unwrap_or_else(|| panic!("no command in {}", answer.stderr));
    let command = command.trim_end().trim_end_matches('`').to_owned();
    stage.shell(&command);
}

#[test]
fn what_a_merge_would_change_is_named_by_three_dots() {
    let mut stage = forked();
    compare(&mut stage, &["diff", "main...feature"]);
    compare(&mut stage, &["diff", "main..feature"]);
    stage.git(&["switch", "--quiet", "feature"]);
    compare(&mut stage, &["diff", "main..."]);
    stage.edit("deployments/base.toml", "web:1.0", "web:2.0");
    // What is not committed is not what would land.
    compare(&mut stage, &["diff"]);
    stage.commit("web 2.0");
    compare(&mut stage, &["diff", "main...feature"]);
    stage.done("revisions_three_dots");
}

#[test]
fn merges_are_compared_with_their_first_parent() {
    let mut stage = forked();
    stage.git(&["merge", "--quiet", "--no-ff", "--message", "Merge feature", "feature"]);
    compare(&mut stage, &["diff"]);
    compare(&mut stage, &["diff", "HEAD^2", "HEAD"]);
    // A merge of the target into a branch is not a merge into the target.
    stage.git(&["switch", "--quiet", "--detach", "feature"]);
    stage.git(&["merge", "--quiet", "--no-ff", "--message", "Merge main~1", "main~1"]);
    compare(&mut stage, &["diff"]);
    stage.done("revisions_merges");
}

#[test]
fn what_ci_checks_out_is_compared_with_the_target() {
    // As GitHub's checkout leaves it: the proposed merge, and nothing else.
    let mut stage = published();
    let url = url(&stage);
    stage.git(&["init", "--quiet", "../clone"]);
    stage.go("clone");
    stage.git(&["remote", "add", "origin", &url]);
    let fetch = ["fetch", "--quiet", "origin", "--depth"];
    let proposed = "+refs/pull/7/merge:refs/remotes/pull/7/merge";
    stage.git(&[&fetch[..], &["1", proposed]].concat());
    stage.git(&["checkout", "--quiet", "--force", "refs/remotes/pull/7/merge"]);
    stage.hoist(&["validate"]);
    compare(&mut stage, &["diff"]);
    stage.git(&[&fetch[..], &["2", proposed]].concat());
    compare(&mut stage, &["diff"]);
    let answer = compare(&mut stage, &["diff", "origin/main"]);
    follow(&mut stage, &answer);
    compare(&mut stage, &["diff", "origin/main", "--expect", "no-change"]);
    stage.done("revisions_ci_merge");

    // With all history there are all branches, and the merge is found by what it merges.
    let mut stage = cloned(&[]);
    stage.git(&["fetch", "--quiet", "origin", "refs/pull/7/merge"]);
    stage.git(&["checkout", "--quiet", "--detach", "FETCH_HEAD"]);
    compare(&mut stage, &["diff"]);
    stage.git(&["checkout", "--quiet", "--detach", "origin/feature"]);
    compare(&mut stage, &["diff"]);
    for commit in ["origin/main", "origin/main~1"] {
        stage.git(&["checkout", "--quiet", "--detach", commit]);
        compare(&mut stage, &["diff"]);
    }
    stage.done("revisions_ci_full");
}

#[test]
fn a_shallow_clone_is_told_how_to_get_the_rest() {
    let mut stage = cloned(&["--depth", "1", "--branch", "feature"]);
    compare(&mut stage, &["diff", "HEAD"]);
    let answer = compare(&mut stage, &["diff", "HEAD~1"]);
    assert_eq!(answer.code, 1);
    let answer = compare(&mut stage, &["diff"]);
    follow(&mut stage, &answer);
    let answer = compare(&mut stage, &["diff", "origin/main..."]);
    follow(&mut stage, &answer);
    compare(&mut stage, &["diff", "origin/main..."]);
    compare(&mut stage, &["diff"]);
    stage.done("revisions_shallow");
}

#[test]
fn a_clone_of_one_branch_is_told_how_to_get_another() {
    let mut stage = cloned(&["--single-branch", "--branch", "feature"]);
    for wanted in ["origin/main", "main", "feature~9"] {
        compare(&mut stage, &["diff", wanted]);
    }
    let answer = compare(&mut stage, &["diff"]);
    follow(&mut stage, &answer);
    compare(&mut stage, &["diff"]);
    stage.done("revisions_single_branch");

    let mut stage = cloned(&[]);
    stage.git(&["branch", "--quiet", "--move", "main", "other"]);
    stage.git(&["update-ref", "-d", "refs/remotes/origin/HEAD"]);
    stage.git(&["update-ref", "-d", "refs/remotes/origin/main"]);
    compare(&mut stage, &["diff", "main"]);
    let answer = compare(&mut stage, &["diff"]);
    follow(&mut stage, &answer);
    compare(&mut stage, &["diff", "--expect", "no-change"]);
    stage.done("revisions_no_target");
}

#[test]
fn a_partial_clone_is_told_how_to_get_the_files() {
    let mut stage = cloned(&["--filter=blob:none"]);
    stage.hoist(&["validate"]);
    let answer = compare(&mut stage, &["diff"]);
    assert_eq!(answer.code, 1);
    follow(&mut stage, &answer);
    compare(&mut stage, &["diff"]);
    // Written by git before 2.24, and nothing that we could read past.
    stage.git(&["config", "core.repositoryFormatVersion", "1"]);
    stage.git(&["config", "extensions.partialClone", "origin"]);
    let answer = compare(&mut stage, &["diff"]);
    follow(&mut stage, &answer);
    assert_eq!(compare(&mut stage, &["diff"]).code, 2);
    stage.done("revisions_partial");
}

#[test]
fn trailers_count_only_where_history_shows_that_they_are_new() {
    let mut stage = Stage::loose();
    stage.put("fleet.toml", "name = \"shop\"\n[guards]\nmax-modules-removed = 0\n");
    stage.begin();
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.commit("old\n\nHoist-Allow: modules-removed=9");
    stage.git(&["switch", "--quiet", "--create", "feature"]);
    stage.remove("deployments/secure.toml");
    stage.commit("no proxy");
    stage.git(&["switch", "--quiet", "main"]);
    for number in 0..3 {
        stage.put("note.txt", &format!("{number}\n"));
        stage.commit("a note");
    }
    compare(&mut stage, &["diff", "main...feature"]);
    let (url, start) = (format!("file://{}/fleet", stage.root().display()), "feature");
    stage.git(&[
        "clone",
        "--quiet",
        "--depth",
        "2",
        "--no-single-branch",
        "-b",
        start,
        &url,
        "../clone",
    ]);
    stage.go("clone");
    // In what is here, the old trailer is in `feature` and not in `main`.
    let answer = compare(&mut stage, &["diff", "origin/main", "feature"]);
    assert_eq!(answer.code, 3);
    follow(&mut stage, &answer);
    assert_eq!(compare(&mut stage, &["diff", "origin/main", "feature"]).code, 3);
    stage.done("revisions_cut_trailers");
}

#[test]
fn bare_repositories_and_linked_worktrees_are_read() {
    let mut stage = published();
    stage.go("remote.git");
    stage.hoist(&["validate"]);
    compare(&mut stage, &["diff"]);
    compare(&mut stage, &["diff", "main...feature"]);
    compare(
        &mut stage,
        &["diff", "refs/pull/7/merge^1", "refs/pull/7/merge", "--expect", "no-change"],
    );
    stage.git(&["worktree", "add", "--quiet", "../linked", "feature"]);
    stage.go("linked");
    compare(&mut stage, &["diff"]);
    stage.edit("deployments/secure.toml", "proxy:1.2", "proxy:1.3");
    compare(&mut stage, &["diff", "HEAD"]);
    stage.done("revisions_bare_and_linked");
}

#[test]
fn a_fleet_in_a_subfolder_has_a_submodule_beside_it() {
    let mut stage = forked();
    stage.git(&["init", "--quiet", "--initial-branch=main", "../both"]);
    stage.go("both");
    stage.put("README.md", "Two fleets.\n");
    stage.commit("begin");
    for (path, text) in [
        ("eu/fleet.toml", "name = \"eu\"\n"),
        ("eu/devices/gate.toml", ""),
        ("eu/deployments/base.toml", "target = \"*\"\n[modules.web]\nimage = \"web:1\"\n"),
        ("us/fleet.toml", "name = \"us\"\n"),
        ("us/devices/gate.toml", ""),
    ] {
        stage.put(path, text);
    }
    let allow = ["-c", "protocol.file.allow=always"];
    let add = ["submodule", "--quiet", "add", "--branch", "main", "../fleet", "vendor/fleet"];
    let path = format!("{}/fleet", stage.root().display());
    let add: Vec<&str> =
        add.iter().map(|word| if *word == "../fleet" { path.as_str() } else { word }).collect();
    stage.git(&[&allow[..], &add].concat());
    // The same on every machine, so that the commit has the same id.
    stage.git(&["config", "-f", ".gitmodules", "submodule.vendor/fleet.url", "../fleet"]);
    stage.commit("two fleets and a submodule");
    stage.edit("eu/deployments/base.toml", "web:1", "web:2");
    stage.commit("web 2");
    for fleet in ["eu", "us"] {
        compare(&mut stage, &["-C", fleet, "diff"]);
    }
    compare(&mut stage, &["-C", "eu", "diff", "HEAD~1"]);
    compare(&mut stage, &["-C", "vendor/fleet", "diff", "HEAD"]);
    compare(&mut stage, &["diff"]);
    // The first commit knew no such fleet.
    compare(&mut stage, &["-C", "eu", "diff", "HEAD~2", "HEAD"]);
    compare(&mut stage, &["-C", "eu", "diff", "HEAD", "HEAD~2"]);
    // In a bare repository the rest of the path names the folder.
    stage.git(&["clone", "--quiet", "--bare", ".", "../both.git"]);
    stage.go(".");
    compare(&mut stage, &["-C", "both.git/eu", "diff"]);
    stage.go("both.git");
    compare(&mut stage, &["-C", "eu", "diff"]);
    stage.go(".");
    stage.hoist(&["-C", "both.git/eu", "validate"]);
    stage.hoist(&["-C", "both.git/asia", "validate"]);
    stage.done("revisions_subfolder");
}

#[test]
fn a_repository_without_commits_says_so() {
    let mut stage = Stage::loose();
    stage.git(&["init", "--quiet", "--initial-branch=main"]);
    stage.hoist(&["validate"]);
    compare(&mut stage, &["diff", "main"]);
    let answer = compare(&mut stage, &["diff"]);
    assert!(answer.stderr.contains("run `git add --all && git commit`"));
    stage.commit("begin");
    compare(&mut stage, &["diff"]);
    stage.git(&["clone", "--quiet", "--no-checkout", ".", "../clone"]);
    stage.go("clone");
    stage.hoist(&["validate", "--revision", "HEAD"]);
    stage.done("revisions_no_commits");
}

#[test]
fn a_repository_of_another_user_is_told_with_the_command() {
    for bare in [false, true] {
        let mut stage = published();
        let folder = stage.root().join(if bare { "remote.git" } else { "fleet" });
        if !give_away(&folder) {
            eprintln!("skipped: only root can give a repository to another user");
            return;
        }
        stage.go(if bare { "remote.git" } else { "fleet" });
        let answer = compare(&mut stage, &["diff"]);
        if answer.code != 1 {
            eprintln!("skipped: this machine's settings trust every repository");
            return;
        }
        stage.hoist(&["validate"]);
        // A home of its own, to which the command may write.
        stage.use_home();
        follow(&mut stage, &answer);
        compare(&mut stage, &["diff"]);
        stage.done(if bare { "revisions_other_owner_bare" } else { "revisions_other_owner" });
    }
}

/// Makes a folder and all below it somebody else's.
fn give_away(folder: &Path) -> bool {
    let user = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let is_root = user.lines().any(|line| line.starts_with("Uid:\t0\t"));
    is_root
        && Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(folder)
            .status()
            .is_ok_and(|status| status.success())
}

/// The table of what may be lacking says what the program says: each row is found in the stories above.
#[test]
fn the_table_of_the_document_is_what_is_said() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(package.join("docs/pull-requests.md")).expect("it is there");
    let stories: String = fs::read_dir(package.join("tests/cli/snapshots"))
        .expect("it is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| {
            path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("revisions_"))
        })
        .map(|path| fs::read_to_string(path).expect("text"))
        .collect();
    let table = document.split("## When the checkout lacks something").nth(1).expect("a section");
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
        .skip(1)
        .collect();
    assert!(rows.len() > 5);
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let said = |line: &str| {
            let mut rest = line;
            cells[1].split('…').map(str::trim).all(|part| {
                let at = rest.find(part);
                at.map(|at| rest = &rest[at + part.len()..]).is_some()
            })
        };
        assert!(stories.lines().any(said), "nobody says: {}", cells[1]);
        let command = cells[3].strip_prefix("`git ").and_then(|rest| rest.split('`').next());
        if let Some(command) = command {
            let command = command.replace("FOLDER", "[root]/fleet");
            assert!(stories.contains(&format!("help: run `git {command}`")), "{command}");
        }
    }
}
