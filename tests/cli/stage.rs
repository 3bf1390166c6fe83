//! A temporary place with a fleet repository in it, and a transcript of what was done there.

use serde_json::Value as Json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A small fleet: two tills and a door run the base, the door a layer on top; a lab has nothing.
const FLEET: [(&str, &str); 5] = [
    ("fleet.toml", "name = \"shop\"\n"),
    (
        "devices/list.toml",
        "[[device]]\nid = \"till-1\"\ntags = { environment = \"prod\", floor = 1 }\n\n\
         [[device]]\nid = \"till-2\"\ntags = { environment = \"prod\", floor = 2 }\n\n\
         [[device]]\nid = \"door\"\ntags = { environment = \"prod\", secure = true }\n",
    ),
    ("devices/lab.toml", "[tags]\nenvironment = \"test\"\n"),
    (
        "deployments/base.toml",
        "target = \"tags.environment = 'prod'\"\npriority = 10\n\n\
         [modules.web]\nimage = \"web:1.0\"\nports = [\"8080:80\"]\nenv = { LEVEL = \"info\" }\n\n\
         [modules.meter]\nimage = \"meter:2.0\"\n[modules.meter.desired]\nInterval = 5\n",
    ),
    (
        "deployments/secure.toml",
        "kind = \"layered\"\ntarget = \"tags.secure = true\"\npriority = 20\n\n\
         [modules.proxy]\nimage = \"proxy:1.1\"\nstartup-order = 1\n\n\
         [modules.web]\npatch = true\nenv = { PROXY = \"http://proxy:3128\" }\n",
    ),
];

/// The stage.
pub(crate) struct Stage {
    root: TempDir,
    /// The fleet folder below the root.
    folder: PathBuf,
    transcript: String,
    /// Whether git reads and writes the settings in the stage's home.
    has_home: bool,
}

/// What one command gave.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// The answer as one JSON document.
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).expect("one document of JSON")
    }
}

impl Stage {
    /// An empty folder, no repository.
    pub(crate) fn empty() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("fleet");
        fs::create_dir(&folder).expect("a new folder");
        fs::write(root.path().join("hoist.toml"), "").expect("a new file");
        Self { root, folder, transcript: String::new(), has_home: false }
    }

    /// The small fleet, in no repository.
    pub(crate) fn loose() -> Self {
        let stage = Self::empty();
        for (path, text) in FLEET {
            stage.put(path, text);
        }
        stage
    }

    /// The small fleet, committed on `main`.
    pub(crate) fn new() -> Self {
        let mut stage = Self::loose();
        stage.begin();
        stage
    }

    /// A copy of a folder of this package, in no repository.
    pub(crate) fn copy_of(folder: &str) -> Self {
        let stage = Self::empty();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &stage.folder);
        stage
    }

    /// Makes the folder a repository with everything in its first commit.
    pub(crate) fn begin(&mut self) {
        self.quiet_git(&["init", "--quiet", "--initial-branch=main"]);
        self.commit("begin");
        self.transcript.clear();
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Goes to another folder below the root.
    pub(crate) fn go(&mut self, folder: &str) {
        self.folder = self.root.path().join(folder);
        self.note(&format!("cd {folder}"));
    }

    /// Writes a file, without a word in the transcript.
    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a new folder");
        fs::write(path, text).expect("a new file");
    }

    pub(crate) fn write(&mut self, path: &str, text: &str) {
        self.put(path, text);
        self.note(&format!("write {path}"));
    }

    pub(crate) fn edit(&mut self, path: &str, before: &str, after: &str) {
        let text = self.read(path);
        assert!(text.contains(before), "{path} lacks {before:?}");
        self.put(path, &text.replacen(before, after, 1));
        let shown = |text: &str| text.trim_end().replace('\n', "⏎");
        self.note(&format!("edit {path}: {} → {}", shown(before), shown(after)));
    }

    pub(crate) fn remove(&mut self, path: &str) {
        fs::remove_file(self.folder.join(path)).expect("the file is there");
        self.note(&format!("remove {path}"));
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).expect("the file is there")
    }

    pub(crate) fn git(&mut self, arguments: &[&str]) {
        self.note(&format!("git {}", arguments.join(" ")));
        self.quiet_git(arguments);
    }

    /// Commits everything.
    pub(crate) fn commit(&mut self, message: &str) {
        self.quiet_git(&["add", "-A"]);
        self.quiet_git(&["commit", "--quiet", "--message", message]);
        self.note(&format!("git commit: {}", message.replace('\n', "⏎")));
    }

    fn quiet_git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        let output = self.cleared(&mut command).args(arguments).output().expect("git is there");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {words}");
    }

    /// Runs the program and keeps what it said in the transcript.
    pub(crate) fn hoist(&mut self, arguments: &[&str]) -> Answer {
        let answer = self.quiet_hoist(arguments);
        let quoted: Vec<String> = arguments
            .iter()
            .map(|a| if a.contains(' ') { format!("\"{a}\"") } else { (*a).to_owned() })
            .collect();
        let Answer { code, stdout, stderr } = &answer;
        self.note(&format!("hoist {}", quoted.join(" ")));
        self.transcript.push_str(stdout);
        if !stderr.is_empty() {
            self.transcript.push_str(&format!("--- stderr ---\n{stderr}"));
        }
        self.transcript.push_str(&format!("--- exit {code} ---\n\n"));
        answer
    }

    /// Runs the program, without a word in the transcript.
    pub(crate) fn quiet_hoist(&self, arguments: &[&str]) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hoist"));
        let output = self.cleared(&mut command).args(arguments).output().expect("it runs");
        let Output { status, stdout, stderr } = output;
        Answer {
            code: status.code().expect("it was not killed"),
            stdout: String::from_utf8(stdout).expect("text"),
            stderr: String::from_utf8(stderr).expect("text"),
        }
    }

    /// A command in the fleet folder that sees nothing of the user who runs the tests.
    pub(crate) fn cleared<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path())
            .env("USER", "tester")
            .env("HOIST_STATE", self.root.path().join("state"))
            .env("HOIST_CONFIG", self.root.path().join("hoist.toml"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.git_settings())
            .env("GIT_CEILING_DIRECTORIES", self.root.path())
            .env("GIT_AUTHOR_NAME", "Test")
            .env("GIT_AUTHOR_EMAIL", "test@example.com")
            .env("GIT_AUTHOR_DATE", "2026-01-05T09:00:00Z")
            .env("GIT_COMMITTER_NAME", "Test")
            .env("GIT_COMMITTER_EMAIL", "test@example.com")
            .env("GIT_COMMITTER_DATE", "2026-01-05T09:00:00Z")
    }

    /// From now on git has settings of a user, as yet none.
    pub(crate) fn use_home(&mut self) {
        self.has_home = true;
    }

    fn git_settings(&self) -> PathBuf {
        if self.has_home { self.root.path().join(".gitconfig") } else { "/dev/null".into() }
    }

    /// Runs a line of shell that must succeed.
    pub(crate) fn shell(&mut self, line: &str) {
        self.note(line);
        let mut command = Command::new("bash");
        let output = self.cleared(&mut command).args(["-c", line]).output().expect("bash is there");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {words}");
    }

    /// Adds to the transcript what a test did and saw in its own way.
    pub(crate) fn tell(&mut self, text: &str) {
        self.note(text);
    }

    fn note(&mut self, line: &str) {
        self.transcript.push_str(&format!("$ {line}\n"));
    }

    /// Compares the transcript with the snapshot of this name.
    pub(crate) fn done(&self, name: &str) {
        let root = self.root.path().to_str().expect("a plain path");
        let text = self.transcript.replace(root, "[root]");
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]");
        settings.add_filter(r"\b\d+ s ago", "[n] s ago");
        settings.add_filter(r"\btester@[\w.-]+", "tester@[host]");
        settings.add_filter(r"v1:[0-9a-f]{64}", "v1:[hash]");
        settings.add_filter(r"\b[0-9a-f]{64}\b", "[hash]");
        settings.bind(|| insta::assert_snapshot!(name, text));
    }
}

/// Copies a folder, but nothing that is no part of a fleet: no words in a README move a commit's id.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().expect("it has a name");
        if name == ".github" {
            continue;
        }
        if path.is_dir() {
            fs::create_dir_all(to.join(name)).expect("a new folder");
            copy(&path, &to.join(name));
        } else if !["expected.txt", "README.md", ".gitlab-ci.yml"]
            .iter()
            .any(|left_out| name == *left_out)
        {
            fs::copy(&path, to.join(name)).expect("it can be copied");
        }
    }
}
