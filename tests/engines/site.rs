//! A fleet folder and the built `hoist`, run against real engines.

use crate::testbed::proxy::Proxy;
use crate::testbed::{Dockerd, dockerds};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A module that ends at once when it is told to, and takes no time of the processor until then.
pub(crate) const OBEDIENT: &str =
    r#"["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"]"#;

/// Devices `d1`, `d2`, …, each an engine behind a proxy, and the fleet folder that names them.
pub(crate) struct Site {
    pub(crate) engines: Vec<Dockerd>,
    pub(crate) proxies: Vec<Proxy>,
    folder: tempfile::TempDir,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Site {
    /// So many devices; `None` where this machine can't run engines.
    pub(crate) fn new(devices: usize) -> Option<Self> {
        let engines = dockerds(devices)?;
        for engine in &engines {
            for image in ["test/app:1", "test/app:2", "test/layer:1", "test/other:1"] {
                engine.load_image(image, &[], &["sleep", "100000"]);
            }
            engine.load_image("test/crash:1", &[], &["sh", "-c", "exit 3"]);
        }
        let proxies = engines.iter().map(|engine| Proxy::before(&engine.socket())).collect();
        let folder = tempfile::tempdir().unwrap();
        let site = Self { engines, proxies, folder };
        site.write(
            "fleet.toml",
            "name = \"f\"\n[defaults]\nprobation = \"300ms\"\nstop-timeout = \"1s\"\n",
        );
        for (i, proxy) in site.proxies.iter().enumerate() {
            let n = i + 1;
            let text = format!(
                "engine = \"{}\"\n[tags]\nring = {n}\nport = {}\n",
                proxy.address(),
                18_200 + n
            );
            site.write(&format!("devices/d{n}.toml"), &text);
        }
        Some(site)
    }

    fn fleet(&self) -> std::path::PathBuf {
        self.folder.path().join("fleet")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.fleet().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.fleet().join(path)).unwrap()
    }

    pub(crate) fn delete(&self, path: &str) {
        std::fs::remove_file(self.fleet().join(path)).unwrap();
    }

    /// The folder of the store.
    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn forget_state(&self) {
        // It may not be there yet.
        let _ = std::fs::remove_dir_all(self.folder.path().join("state"));
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.fleet())
            .env_clear()
            .env("HOIST_STATE", self.folder.path().join("state"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn hoist(&self, arguments: &[&str]) -> Said {
        let program = Path::new(env!("CARGO_BIN_EXE_hoist"));
        self.command(program, arguments).output().unwrap().into()
    }

    pub(crate) fn apply(&self) -> Said {
        self.hoist(&["apply", "--worktree", "--yes"])
    }

    /// A process that waits for a line and then becomes `hoist apply`: its id is known before it begins.
    pub(crate) fn apply_on_signal(&self, extra: &[&str]) -> Waiting {
        self.waiting(&[&["apply", "--worktree", "--yes"], extra].concat())
    }

    /// The same for any command.
    pub(crate) fn waiting(&self, arguments: &[&str]) -> Waiting {
        let script =
            format!("read go; exec {} {}", env!("CARGO_BIN_EXE_hoist"), arguments.join(" "));
        let mut command = self.command(Path::new("/bin/sh"), &["-c", &script]);
        Waiting(
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    pub(crate) fn device_status(&self, device: &str) -> Json {
        let said = self.hoist(&["status", "--format", "json"]);
        let status: Json =
            serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
        let devices = status["devices"].as_array().unwrap();
        devices.iter().find(|d| d["id"] == device).unwrap().clone()
    }

    /// The containers of device `n` (from 1) by name: state and image.
    pub(crate) fn containers(&self, n: usize) -> BTreeMap<String, String> {
        let list = self.engines[n - 1].raw("GET", "/containers/json?all=1", None).json();
        let name = |c: &Json| c["Names"][0].as_str().unwrap().trim_start_matches('/').to_owned();
        let entry =
            |c: &Json| format!("{} {}", c["State"].as_str().unwrap(), c["Image"].as_str().unwrap());
        list.as_array().unwrap().iter().map(|c| (name(c), entry(c))).collect()
    }

    /// Everything that a module could leave behind on device `n`: containers, networks, volumes.
    pub(crate) fn remains(&self, n: usize) -> String {
        let engine = &self.engines[n - 1];
        let networks = engine.raw("GET", "/networks", None).json();
        let mut names: Vec<String> = networks
            .as_array()
            .unwrap()
            .iter()
            .map(|network| network["Name"].as_str().unwrap().to_owned())
            .filter(|name| !["bridge", "host", "none"].contains(&name.as_str()))
            .collect();
        names.sort();
        let volumes = engine.raw("GET", "/volumes", None).json();
        let volumes = volumes["Volumes"].as_array().map_or(0, Vec::len);
        format!("{:?} networks {names:?} volumes {volumes}", self.containers(n))
    }

    pub(crate) fn forget_requests(&self) {
        for proxy in &self.proxies {
            proxy.forget();
        }
    }
}

/// A process that has not begun.
pub(crate) struct Waiting(Child);

impl Waiting {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn go(&mut self) {
        writeln!(self.0.stdin.as_mut().unwrap(), "go").unwrap();
    }

    /// Whether it ended by itself, and not by a signal.
    pub(crate) fn ended_by_itself(mut self) -> bool {
        self.0.wait().unwrap().code().is_some()
    }

    /// Its exit code, once it has ended; `None` if a signal ended it.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }

    pub(crate) fn kill(&mut self) {
        // It may have ended just now.
        let _ = self.0.kill();
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}
