//! A forge with one proposal, a runner that has checked it out, and the steps of the workflow files.

use crate::stage::Stage;
use saphyr::{LoadableYamlNode as _, Yaml};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const GITHUB_REVIEW: &str = "fleet-examples/buildings/.github/workflows/hoist.yml";
pub(super) const GITHUB_COMMENT: &str =
    "fleet-examples/buildings/.github/workflows/hoist-comment.yml";
pub(super) const GITLAB: &str = "fleet-examples/buildings/.gitlab-ci.yml";

/// Stand-ins for the programs that would speak to a forge.
const STAND_INS: [(&str, &str); 2] =
    [("gh", include_str!("gh.sh")), ("curl", include_str!("curl.sh"))];

/// A forge with one proposal, and a runner that has checked it out.
pub(super) struct Forge {
    pub(super) stage: Stage,
    pub(super) folder: PathBuf,
    pub(super) runner: PathBuf,
}

/// What a job gave.
pub(super) struct Job {
    pub(super) code: i32,
    pub(super) stdout: String,
}

impl Forge {
    /// `prepare` makes the proposal on a branch of the small fleet; `None` where jq is not installed.
    pub(super) fn new(prepare: impl FnOnce(&mut Stage)) -> Option<Self> {
        let mut stage = Stage::new();
        if Command::new("jq").arg("--version").output().is_err() {
            eprintln!("skipped: jq is not installed");
            return None;
        }
        stage.use_home();
        stage.git(&["switch", "--quiet", "--create", "proposal"]);
        prepare(&mut stage);
        stage.git(&["switch", "--quiet", "main"]);
        stage.put("note.txt", "main goes on\n");
        stage.commit("main goes on");
        stage.git(&["switch", "--quiet", "--detach", "main"]);
        stage.git(&["merge", "--quiet", "--no-ff", "--message", "Merge 7 into main", "proposal"]);
        stage.git(&["update-ref", "refs/pull/7/merge", "HEAD"]);
        stage.git(&["switch", "--quiet", "main"]);
        stage.git(&["clone", "--quiet", "--mirror", ".", "../remote.git"]);
        stage.git(&["-C", "../remote.git", "config", "uploadpack.allowFilter", "true"]);
        let (folder, runner) = (stage.root().join("forge"), stage.root().join("runner"));
        for new in [&folder, &runner, &runner.join("bin"), &runner.join("temp")] {
            fs::create_dir_all(new).expect("a new folder");
        }
        for (name, script) in STAND_INS {
            let path = runner.join("bin").join(name);
            fs::write(&path, script).expect("a new file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        Some(Self { stage, folder, runner })
    }

    /// Checks out what `refspec` brings, detached, as forges do.
    pub(super) fn check_out(&mut self, options: &[&str], refspec: &str, revision: &str) {
        let url = format!("file://{}/remote.git", self.stage.root().display());
        self.stage.git(&["init", "--quiet", "../clone"]);
        self.stage.go("clone");
        self.stage.git(&["remote", "add", "origin", &url]);
        let fetch = ["fetch", "--quiet", "--no-tags", "origin"];
        let all = "+refs/heads/*:refs/remotes/origin/*";
        let shallow = options.iter().any(|option| option.starts_with("--depth"));
        let refspecs = if shallow { vec![refspec] } else { vec![all, refspec] };
        self.stage.git(&[&fetch[..], options, &refspecs].concat());
        self.stage.git(&["checkout", "--quiet", "--force", "--detach", revision]);
    }

    pub(super) fn check_out_pull_request(&mut self, options: &[&str]) {
        let own = "+refs/pull/7/merge:refs/remotes/pull/7/merge";
        self.check_out(options, own, "refs/remotes/pull/7/merge");
    }

    /// Runs shell steps one after the other, as long as they succeed.
    pub(super) fn run(&self, steps: &[Step], variables: &[(&str, &str)]) -> Job {
        let mut job = Job { code: 0, stdout: String::new() };
        for step in steps {
            if job.code != 0 && !step.always {
                continue;
            }
            let mut command = Command::new("bash");
            let program = Path::new(env!("CARGO_BIN_EXE_hoist")).parent().expect("a folder");
            let path = std::env::var("PATH").unwrap_or_default();
            let path =
                format!("{}:{}:{path}", self.runner.join("bin").display(), program.display());
            let output = self
                .stage
                .cleared(&mut command)
                .env("PATH", path)
                .env("FORGE", &self.folder)
                .env("RUNNER_TEMP", self.runner.join("temp"))
                .env("GITHUB_STEP_SUMMARY", self.runner.join("summary"))
                .env("GITHUB_WORKSPACE", self.stage.root().join("clone"))
                .envs(variables.iter().copied())
                .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step.script.as_str()])
                .output()
                .expect("bash is there");
            job.stdout.push_str(&String::from_utf8_lossy(&output.stdout));
            job.stdout.push_str(&String::from_utf8_lossy(&output.stderr));
            if job.code == 0 {
                job.code = output.status.code().expect("it was not killed");
            }
        }
        job
    }

    /// The review of the pull request; its report becomes the artifact.
    pub(super) fn review(&self) -> Job {
        let steps = github_steps(GITHUB_REVIEW, "review");
        let job = self.run(&steps, &[("FLEET", "."), ("HOIST_GIT", "none"), ("NUMBER", "7")]);
        fs::create_dir_all(self.folder.join("artifact")).expect("a new folder");
        for file in ["number", "comment.md"] {
            fs::copy(self.runner.join("temp/hoist").join(file), self.artifact(file))
                .unwrap_or_else(|error| panic!("{file}: {error} after {}", job.stdout));
        }
        fs::remove_dir_all(self.runner.join("temp/hoist")).expect("it is there");
        job
    }

    pub(super) fn artifact(&self, file: &str) -> PathBuf {
        self.folder.join("artifact").join(file)
    }

    pub(super) fn answer(&self, endpoint: &str, json: &str) {
        fs::write(self.folder.join(format!("{endpoint}.json")), json).expect("a new file");
    }

    /// The comment of a pull request whose head is `head`, which changes `files` and has `comments`.
    pub(super) fn comment(&self, head: &str, files: &str, comments: &str) -> Job {
        self.answer(
            "repos_o_r_pulls_7",
            &format!(r#"{{"state": "open", "head": {{"sha": "{head}"}}}}"#),
        );
        self.answer("repos_o_r_pulls_7_files", files);
        self.answer("repos_o_r_issues_7_comments", comments);
        let _ = fs::remove_dir_all(self.runner.join("temp/hoist"));
        let steps = github_steps(GITHUB_COMMENT, "comment");
        let url = "https://github.example/o/r/actions/runs/3";
        self.run(
            &steps,
            &[
                ("GITHUB_REPOSITORY", "o/r"),
                ("RUN_ID", "3"),
                ("RUN_URL", url),
                ("HEAD_SHA", HEAD),
                ("GH_TOKEN", "token"),
            ],
        )
    }

    /// What was written to the forge since the last look: the calls, and the last body.
    pub(super) fn written(&self) -> Option<(String, String)> {
        let calls = fs::read_to_string(self.folder.join("written")).ok()?;
        fs::remove_file(self.folder.join("written")).expect("it is there");
        Some((calls, fs::read_to_string(self.folder.join("body")).expect("text")))
    }
}

/// The commit for which a run was started.
pub(super) const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";
pub(super) struct Step {
    pub(super) script: String,
    pub(super) always: bool,
}

pub(super) fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there")
}

/// The steps of a job that are shell. What its variables are is the test's business.
pub(super) fn github_steps(path: &str, job: &str) -> Vec<Step> {
    let text = file(path);
    let document = Yaml::load_from_str(&text).expect("YAML").remove(0);
    let steps = document["jobs"][job]["steps"].as_sequence().expect("a list");
    let shell = steps.iter().filter_map(|step| {
        let condition = step.as_mapping_get("if").and_then(Yaml::as_str).unwrap_or_default();
        Some(Step {
            script: step.as_mapping_get("run")?.as_str()?.to_owned(),
            always: condition.contains("!cancelled()"),
        })
    });
    let steps: Vec<Step> = shell.collect();
    assert!(!steps.is_empty());
    steps
}

/// The lines of a job of GitLab's, `before_script` first, and its variables.
pub(super) fn gitlab_steps(job: &str) -> Vec<Step> {
    let text = file(GITLAB);
    let document = Yaml::load_from_str(&text).expect("YAML").remove(0);
    let lines = ["before_script", "script"].iter().flat_map(|key| {
        document[job][*key].as_sequence().expect("a list").iter().filter_map(Yaml::as_str)
    });
    // One shell runs all of them.
    let script: Vec<&str> = lines.collect();
    vec![Step { script: script.join("\n"), always: false }]
}

/// Gives the checkout to another user, where the tests may.
pub(super) fn give_away(stage: &Stage) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        let clone = stage.root().join("clone");
        let done = Command::new("chown").args(["-R", "65534:65534"]).arg(clone).status();
        assert!(done.expect("chown is there").success());
    } else {
        eprintln!("not tried with another owner: that needs root");
    }
}
