//! A control host: a fleet folder, a `hoist.toml`, a store, and the built `hoist`.

use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) struct ControlHost {
    dir: tempfile::TempDir,
    variables: Vec<(String, String)>,
    /// All that was printed so far.
    printed: std::cell::RefCell<String>,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl ControlHost {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Self { dir, variables: Vec::new(), printed: Default::default() };
        host.write(
            "fleet/fleet.toml",
            "name = \"f\"\n[defaults]\nprobation = \"300ms\"\nstop-timeout = \"1s\"\n",
        );
        host.write("hoist.toml", "");
        host
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn hoist(&self, arguments: &[&str]) -> Said {
        let output = Command::new(Path::new(env!("CARGO_BIN_EXE_hoist")))
            .args(arguments)
            .current_dir(self.path("fleet"))
            .env_clear()
            .env("HOIST_STATE", self.path("state"))
            .env("HOIST_CONFIG", self.path("hoist.toml"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        self.printed.borrow_mut().push_str(&format!("{}{}", said.stdout, said.stderr));
        said
    }

    pub(crate) fn apply(&self) -> Said {
        self.hoist(&["apply", "--worktree", "--yes"])
    }

    /// A device as `status` has it.
    pub(crate) fn device(&self, id: &str) -> Json {
        let said = self.hoist(&["status", "--format", "json"]);
        let status: Json =
            serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
        let devices = status["devices"].as_array().unwrap();
        devices.iter().find(|device| device["id"] == id).unwrap().clone()
    }

    pub(crate) fn printed(&self) -> String {
        self.printed.borrow().clone()
    }
}
