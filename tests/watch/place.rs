//! A fleet repository, a store, and a daemon that watches them.

use hoist::model::{DeviceId, Timestamp};
use hoist::store::{Store, StoredDevice, fleet_key};
use serde_json::Value as Json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// So long anything may take: a limit against hanging, no measure.
const PATIENCE: u32 = 2000;
const BETWEEN: Duration = Duration::from_millis(30);

/// Where it all is.
pub(crate) struct Place {
    root: TempDir,
    /// Whether the daemon is given the simulated engine.
    pub(crate) simulated: bool,
    /// Variables of every `hoist` that is started here.
    pub(crate) variables: Vec<(String, String)>,
}

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Place {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let place = Self { root, simulated: true, variables: Vec::new() };
        fs::create_dir(place.fleet()).expect("a folder");
        fs::write(place.root.path().join("hoist.toml"), "").expect("a file");
        place.git(&["init", "--quiet", "--initial-branch=main"]);
        place.commit(files);
        place
    }

    pub(crate) fn fleet(&self) -> PathBuf {
        self.root.path().join("fleet")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.fleet().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Writes files, commits all, and says which commit it is.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            self.put(path, text);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "a change"]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.fleet(), arguments)
    }

    /// The command line, with this place's store and settings, in a folder that holds no fleet.
    pub(crate) fn hoist(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hoist"));
        command
            .args(arguments)
            .current_dir(self.root.path())
            .env("HOIST_STATE", self.root.path().join("state"))
            .env("HOIST_CONFIG", self.root.path().join("hoist.toml"))
            .env("HOME", self.root.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("XDG_STATE_HOME")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a daemon on the repository here.
    pub(crate) fn watch(&self, arguments: &[&str]) -> Daemon {
        let fleet = self.fleet();
        self.watch_of(&fleet.display().to_string(), arguments)
    }

    /// Starts a daemon on any repository.
    pub(crate) fn watch_of(&self, repository: &str, arguments: &[&str]) -> Daemon {
        let log = self.root.path().join("log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = self.hoist(&["watch", repository]);
        if self.simulated {
            command.arg("--simulate");
        }
        if !arguments.contains(&"--listen") {
            // Daemons of many tests run side by side.
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let child = command
            .args(arguments)
            .env("HOIST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("a daemon");
        Daemon { child, log }
    }

    pub(crate) fn state_folder(&self) -> PathBuf {
        let state = self.root.path().join("state");
        if self.simulated { state.join("simulated") } else { state }
    }

    /// The store, once there is one.
    pub(crate) fn store(&self) -> Option<Store> {
        Store::open_to_read(&self.state_folder()).ok().flatten()
    }

    pub(crate) fn store_to_write(&self) -> Store {
        Store::open(&self.state_folder()).expect("the store")
    }

    pub(crate) fn device(&self, id: &str) -> Option<StoredDevice> {
        let known = self.store()?.load_devices().ok()?.remove(&DeviceId::parse(id).expect("an id"));
        known.map(std::sync::Arc::unwrap_or_clone)
    }

    /// The revision that counts.
    pub(crate) fn accepted(&self) -> Option<String> {
        self.store()?.fleet_state(fleet_key::ACCEPTED).ok()?
    }

    /// The revision that waits, and why.
    pub(crate) fn held(&self) -> Option<Json> {
        let text = self.store()?.fleet_state(fleet_key::HELD).ok()??;
        serde_json::from_str(&text).ok()
    }

    /// Whether a device has a text in its manifest and is as desired.
    pub(crate) fn has(&self, device: &str, text: &str) -> bool {
        self.device(device).is_some_and(|stored| {
            let in_force = stored.in_force.as_ref();
            stored.status.code == 200 && in_force.is_some_and(|f| f.manifest.contains(text))
        })
    }

    pub(crate) fn now() -> Timestamp {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
        Timestamp { seconds: i64::try_from(since.as_secs()).expect("a moment") }
    }

    /// Waits until something holds; says what was in the log if it never does.
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        for tries in 0.. {
            if holds() {
                return;
            }
            if tries > PATIENCE {
                let log = fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(40).collect();
                panic!(
                    "it never came: {what}\n{}",
                    tail.into_iter().rev().collect::<Vec<_>>().join("\n")
                );
            }
            std::thread::sleep(BETWEEN);
        }
    }
}

pub(crate) fn git_in(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Daemon {
    /// SIGTERM, and waits for its end; its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its own end: its exit code and what it said.
    pub(crate) fn ends(mut self) -> (i32, String) {
        let code = self.child.wait().expect("it ends").code().unwrap_or(-1);
        (code, fs::read_to_string(&self.log).expect("a log"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
