//! The jobs for pull requests: the shell steps of the example's workflow files are run here as they stand.
//!
//! A bare repository is the forge, a checkout like the forge's own is the runner, and `gh` and `curl` are
//! scripts that answer from files and keep what would be posted. Everything else is real: git, hoist, jq,
//! bash, and the user who does not own the checkout.

mod forge;

use crate::stage::Stage;
use forge::{
    Forge, GITHUB_COMMENT, GITHUB_REVIEW, GITLAB, HEAD, file, github_steps, gitlab_steps, give_away,
};
use saphyr::{LoadableYamlNode as _, Yaml};
use std::fs;

const FILES: &str = r#"[{"filename": "deployments/base.toml"}]"#;
const OTHERS: &str = r#"[{"id": 5, "user": {"login": "somebody"},
  "body": "<!-- hoist: what this pull request would change on devices --> mine"}]"#;

fn bump(stage: &mut Stage) {
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.commit("web 1.1");
}

#[test]
fn a_pull_request_gets_one_comment_that_is_kept_up_to_date() {
    let Some(mut forge) = Forge::new(bump) else { return };
    forge.check_out_pull_request(&[]);
    give_away(&forge.stage);
    let job = forge.review();
    assert_eq!(job.code, 0, "{}", job.stdout);
    let annotation = "::warning file=deployments/base.toml,line=6,endLine=6,col=1,endColumn=6,title=published-everywhere::";
    assert!(job.stdout.contains(annotation), "{}", job.stdout);
    let summary = fs::read_to_string(forge.runner.join("summary")).expect("text");

    let job = forge.comment(HEAD, FILES, OTHERS);
    assert_eq!(job.code, 0, "{}", job.stdout);
    let (calls, body) = forge.written().expect("a comment");
    assert_eq!(calls, "POST repos/o/r/issues/7/comments\n");
    assert!(body.starts_with("<!-- hoist: what this pull request would change on devices -->\n"));
    assert!(
        body.contains("3 of 4 devices change, in 1 way: 3 modules recreated, 0 removed"),
        "{body}"
    );
    assert!(body.contains(&summary), "{body}");
    assert!(body.ends_with("/actions/runs/3) for 0123456789ab</sub>\n"), "{body}");

    let own = r#"{"id": 6, "user": {"login": "github-actions[bot]"}, "body": "<!-- hoist: what this
        pull request"}, {"id": 8, "user": {"login": "github-actions[bot]"}, "body":
        "<!-- hoist: what this pull request would change on devices -->\n old"}"#;
    let own = own.replace("this\n        pull", "that pull");
    let comments = OTHERS.replace("}]", &format!("}}, {own}]"));
    assert_eq!(forge.comment(HEAD, FILES, &comments).code, 0);
    assert_eq!(forge.written().expect("a comment").0, "PATCH repos/o/r/issues/comments/8\n");
}

#[test]
fn an_artifact_is_not_trusted() {
    let Some(mut forge) = Forge::new(bump) else { return };
    forge.check_out_pull_request(&[]);
    forge.review();

    // A run that is not of this pull request, or no more of its last commit.
    let job = forge.comment("fedcba9876543210fedcba9876543210fedcba98", FILES, "[]");
    assert_eq!((job.code, forge.written()), (0, None), "{}", job.stdout);

    // It changes what made the report.
    let files = r#"[{"filename": "a"}, {"filename": ".github/workflows/hoist.yml"}]"#;
    assert_eq!(forge.comment(HEAD, files, "[]").code, 0);
    assert!(
        forge.written().expect("a comment").1.contains("> This pull request changes workflows")
    );

    let report = fs::read_to_string(forge.artifact("comment.md")).expect("text");
    fs::write(forge.artifact("comment.md"), "é".repeat(60_001)).expect("a file");
    assert_eq!(forge.comment(HEAD, FILES, "[]").code, 0);
    let body = forge.written().expect("a comment").1;
    assert!(body.contains("The report is too long to show.") && body.len() < 500, "{body}");

    // Words that are commands elsewhere are words here.
    let words = "$(touch owned) `touch owned` ${HEAD_SHA} ::error::x\n";
    fs::write(forge.artifact("comment.md"), words).expect("a file");
    assert_eq!(forge.comment(HEAD, FILES, "[]").code, 0);
    assert!(forge.written().expect("a comment").1.contains(words));
    assert!(!forge.stage.root().join("clone/owned").exists());

    for number in ["", "7/../8", "$(id)", "7 8", "07", "-7", "99999999999", "7\n8\n"] {
        fs::write(forge.artifact("number"), number).expect("a file");
        let job = forge.comment(HEAD, FILES, "[]");
        assert_eq!((job.code, forge.written()), (1, None), "{number:?}: {}", job.stdout);
    }
    fs::write(forge.artifact("number"), "7\n").expect("a file");
    fs::remove_file(forge.artifact("comment.md")).expect("it is there");
    std::os::unix::fs::symlink("/etc/passwd", forge.artifact("comment.md")).expect("a link");
    assert_eq!((forge.comment(HEAD, FILES, "[]").code, forge.written()), (1, None));
    fs::remove_file(forge.artifact("comment.md")).expect("it is there");
    fs::write(forge.artifact("comment.md"), report).expect("a file");
    assert_eq!(forge.comment(HEAD, FILES, "[]").code, 0);
    assert!(forge.written().is_some());

    // Without a report there is nothing to say.
    fs::remove_dir_all(forge.folder.join("artifact")).expect("it is there");
    assert_eq!((forge.comment(HEAD, FILES, "[]").code, forge.written()), (0, None));
}

#[test]
fn a_checkout_that_lacks_something_is_told_in_the_comment() {
    for (options, command) in [
        (&["--depth=1"][..], "git fetch --unshallow"),
        (&["--filter=blob:none", "--depth=2"], "git fetch --refetch --no-filter"),
    ] {
        let Some(mut forge) = Forge::new(bump) else { return };
        forge.check_out_pull_request(options);
        give_away(&forge.stage);
        let job = forge.review();
        assert_eq!(job.code, 1, "{}", job.stdout);
        assert_eq!(forge.comment(HEAD, FILES, "[]").code, 0);
        let body = forge.written().expect("a comment").1;
        assert!(body.contains("**Hoist could not compare the two sides.**"), "{body}");
        assert!(body.contains(&format!("      = help: run `{command}`")), "{body}");
    }
}

#[test]
fn a_pull_request_that_is_wrong_or_needs_consent_fails_and_says_why() {
    let Some(mut forge) = Forge::new(|stage| {
        stage.edit("deployments/base.toml", "priority = 10", "priorty = 10");
        stage.edit("deployments/base.toml", "'prod'", "```\\n::set-output::'");
        stage.commit("wrong");
    }) else {
        return;
    };
    forge.check_out_pull_request(&[]);
    let job = forge.review();
    assert_eq!(job.code, 1, "{}", job.stdout);
    let annotation =
        "::error file=deployments/base.toml,line=2,endLine=2,col=1,endColumn=8,title=unknown-key::";
    assert!(job.stdout.contains(annotation), "{}", job.stdout);
    assert!(!job.stdout.lines().any(|line| line.trim_start().starts_with("::set-output")));
    assert_eq!(forge.comment(HEAD, FILES, "[]").code, 0);
    let body = forge.written().expect("a comment").1;
    assert!(body.contains("did you mean `priority`?"), "{body}");
    // Nobody leaves the block in which the words stand.
    let words = body.split("two sides.**\n").nth(1).expect("words");
    let words = words.split("<sub>").next().expect("words");
    assert!(words.lines().all(|line| line.is_empty() || line.starts_with("    ")), "{words}");

    let Some(mut forge) = Forge::new(|stage| {
        stage.put("fleet.toml", "name = \"shop\"\n[guards]\nmax-modules-removed = 0\n");
        stage.remove("deployments/secure.toml");
        stage.commit("no proxy");
    }) else {
        return;
    };
    forge.check_out_pull_request(&[]);
    let job = forge.review();
    assert_eq!(job.code, 3, "{}", job.stdout);
    assert_eq!(forge.comment(HEAD, FILES, "[]").code, 0);
    let body = forge.written().expect("a comment").1;
    assert!(body.contains("Hoist-Allow: modules-removed=1"), "{body}");
}

#[test]
fn a_fleet_in_a_subfolder_is_annotated_from_the_top() {
    let Some(mut forge) = Forge::new(|stage| {
        stage.shell("mkdir -p sites/eu && git mv fleet.toml devices deployments sites/eu/");
        stage.commit("into a folder");
    }) else {
        return;
    };
    forge.check_out_pull_request(&[]);
    let steps = github_steps(GITHUB_REVIEW, "review");
    let job = forge.run(&steps, &[("FLEET", "sites/eu"), ("HOIST_GIT", "none"), ("NUMBER", "7")]);
    assert_eq!(job.code, 0, "{}", job.stdout);
    assert!(job.stdout.contains("::warning file=sites/eu/deployments/base.toml,line=6,"));
}

#[test]
fn a_merge_request_gets_one_note_and_marked_lines() {
    let Some(mut forge) = Forge::new(bump) else { return };
    let branch = "+refs/heads/proposal:refs/pipelines/9";
    forge.check_out(&[], branch, "refs/pipelines/9");
    give_away(&forge.stage);
    let clone = forge.stage.root().join("clone");
    let clone = clone.to_str().expect("a plain path");
    let variables = [
        ("FLEET", "."),
        ("CARGO_HOME", "/nonexistent"),
        ("CI_PROJECT_DIR", clone),
        ("CI_PROJECT_ID", "4"),
        ("CI_MERGE_REQUEST_PROJECT_ID", "4"),
        ("CI_MERGE_REQUEST_IID", "7"),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ("CI_API_V4_URL", "https://gitlab.example/api/v4"),
        ("CI_PIPELINE_URL", "https://gitlab.example/p/9"),
        ("CI_COMMIT_SHA", HEAD),
        ("HOIST_NOTE_TOKEN", "note-token"),
    ];
    let job = forge.run(&gitlab_steps("hoist-review"), &variables);
    assert_eq!(job.code, 0, "{}", job.stdout);
    let report = format!("{clone}/hoist-report");
    let quality = fs::read_to_string(format!("{report}/code-quality.json")).expect("text");
    let quality: serde_json::Value = serde_json::from_str(&quality).expect("JSON");
    assert_eq!(quality[0]["check_name"], "published-everywhere");
    assert_eq!(quality[0]["location"]["path"], "deployments/base.toml");
    assert_eq!(quality[0]["location"]["lines"]["begin"], 6);
    assert!(quality[0]["fingerprint"].as_str().is_some_and(|text| text.len() > 20));

    forge.answer("user", r#"{"id": 3}"#);
    let notes = "projects_4_merge_requests_7_notes";
    let marked = "<!-- hoist: what this merge request would change on devices -->";
    forge.answer(
        notes,
        &format!(r#"[{{"id": 1, "author": {{"id": 2}}, "body": "{marked} mine"}}]"#),
    );
    let note = gitlab_steps("hoist-note");
    let job = forge.run(&note, &variables);
    assert_eq!(job.code, 0, "{}", job.stdout);
    let url = "https://gitlab.example/api/v4/projects/4/merge_requests/7/notes";
    let (calls, body) = forge.written().expect("a note");
    assert_eq!(calls, format!("POST {url}\n"));
    assert!(body.starts_with(marked) && body.contains("3 of 4 devices change"), "{body}");
    assert!(body.contains("target/main"), "{body}");
    forge
        .answer(notes, &format!(r#"[{{"id": 8, "author": {{"id": 3}}, "body": "{marked} old"}}]"#));
    assert_eq!(forge.run(&note, &variables).code, 0);
    assert_eq!(forge.written().expect("a note").0, format!("PUT {url}/8\n"));

    // In a fork the target is in another project.
    let project = format!("file://{}/remote", forge.stage.root().display());
    let in_fork = [
        &variables[..],
        &[("CI_PROJECT_ID", "5"), ("CI_MERGE_REQUEST_PROJECT_URL", project.as_str())],
    ]
    .concat();
    forge.stage.shell("git -c safe.directory='*' remote remove origin");
    let job = forge.run(&gitlab_steps("hoist-review"), &in_fork);
    assert_eq!(job.code, 0, "{}", job.stdout);
    let job = forge.run(&gitlab_steps("hoist-review"), &variables);
    assert_ne!(job.code, 0, "{}", job.stdout);

    // What conflicts can't land, and that is the answer.
    forge.stage.go("fleet");
    forge.stage.edit("deployments/base.toml", "web:1.0", "web:3.0");
    forge.stage.commit("web 3.0");
    forge.stage.git(&["push", "--quiet", "../remote.git", "main"]);
    forge.stage.go("clone");
    let job = forge.run(&gitlab_steps("hoist-review"), &in_fork);
    assert_eq!(job.code, 1, "{}", job.stdout);
    let comment = fs::read_to_string(format!("{report}/comment.md")).expect("text");
    assert!(comment.contains("conflict in deployments/base.toml"), "{comment}");
}

/// Nothing that others write is put into a script, and a job may do no more than it must.
#[test]
fn workflows_take_no_words_into_scripts_and_have_few_permissions() {
    for (path, job) in [(GITHUB_REVIEW, "review"), (GITHUB_COMMENT, "comment")] {
        for step in github_steps(path, job) {
            assert!(!step.script.contains("${{"), "{path}: {}", step.script);
        }
        let text = file(path);
        assert!(!text.contains("pull_request_target") && !text.contains("secrets."), "{path}");
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("- uses: ")) {
            let (action, version) = line.split_once('@').expect("a version");
            assert!(action.starts_with("actions/") && version.starts_with('v'), "{line}");
        }
    }
    let text = file(GITHUB_COMMENT);
    assert!(!text.contains("actions/checkout"), "what may write sees no files of a pull request");
    let may_write = |path: &str| file(path).matches(": write").count();
    assert_eq!((may_write(GITHUB_REVIEW), may_write(GITHUB_COMMENT)), (0, 1));
    let document = file(GITLAB);
    let document = Yaml::load_from_str(&document).expect("YAML").remove(0);
    assert_eq!(document["hoist-review"]["variables"]["GIT_DEPTH"].as_str(), Some("0"));
}

/// A variable that is read in a script is set somewhere: by the file, by the forge, or by the script.
#[test]
fn scripts_read_no_variable_that_nobody_sets() {
    let scripts = [
        (GITHUB_REVIEW, github_steps(GITHUB_REVIEW, "review")),
        (GITHUB_COMMENT, github_steps(GITHUB_COMMENT, "comment")),
        (GITLAB, gitlab_steps("hoist-review")),
        (GITLAB, gitlab_steps("hoist-note")),
    ];
    for (path, steps) in scripts {
        let text = file(path);
        for name in steps.iter().flat_map(|step| variables_of(&step.script)) {
            let by_forge =
                ["GITHUB_", "RUNNER_", "CI_"].iter().any(|forge| name.starts_with(forge));
            let known = by_forge
                || ["PATH", "HOIST_NOTE_TOKEN"].contains(&name.as_str())
                || text.lines().any(|line| line.trim().starts_with(&format!("{name}: ")));
            assert!(known, "{path}: ${name}");
        }
    }
}

/// The names in capitals behind a `$`.
fn variables_of(script: &str) -> Vec<String> {
    let behind = script.split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
    behind
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect())
        .filter(|name: &String| name.len() > 1)
        .collect()
}
