//! Real engines for tests: private dockerds, as many as wanted, gone without a trace afterwards.
//!
//! Shared by test binaries (`#[path = "../testbed/mod.rs"] mod testbed;`). Without dockerd the tests say so and
//! pass; with `HOIST_REQUIRE_ENGINES=1` they fail.

pub(crate) mod certificates;
pub(crate) mod programs;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod registry;
pub(crate) mod relay;
pub(crate) mod sshd;

use raw::{Answer, exchange};
use serde_json::{Value as Json, json};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Until a dockerd answers.
const PATIENCE: u32 = 300;
const BETWEEN: Duration = Duration::from_millis(100);

/// One running dockerd.
pub(crate) struct Dockerd {
    supervisor: Child,
    dir: PathBuf,
    arguments: Vec<String>,
}

/// So many dockerds, started side by side; `None` if this machine can't run any.
pub(crate) fn dockerds(count: usize) -> Option<Vec<Dockerd>> {
    programs::skip_without(missing())?;
    let started: Vec<Dockerd> = (0..count).map(|_| Dockerd::spawn("overlay2", &[])).collect();
    Some(started.into_iter().map(Dockerd::ready_or_plain).collect())
}

/// One dockerd with more arguments.
pub(crate) fn dockerd_with(arguments: &[String]) -> Option<Dockerd> {
    programs::skip_without(missing())?;
    Some(Dockerd::spawn("overlay2", arguments).ready_or_plain())
}

fn missing() -> Option<String> {
    for (program, argument, package) in
        [("dockerd", "--version", "docker.io"), ("ip", "-V", "iproute2")]
    {
        if !programs::has(program, argument) {
            return Some(format!("no {program} here; install {package}"));
        }
    }
    if !Path::new("/bin/busybox").exists() {
        return Some("no /bin/busybox here; install busybox-static".to_owned());
    }
    let user = Command::new("id").arg("-u").output().ok()?;
    (user.stdout.trim_ascii() != b"0").then(|| "dockerd needs root".to_owned())
}

impl Dockerd {
    fn spawn(driver: &str, arguments: &[String]) -> Self {
        let dir = tempfile::Builder::new().prefix("hoist-").tempdir().expect("a folder").keep();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/supervise.sh");
        // The supervisor ends the engine when this pipe closes: on drop, panic, and kill alike.
        let supervisor = Command::new("sh")
            .arg(script)
            .arg(&dir)
            .arg(driver)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a shell");
        Self { supervisor, dir, arguments: arguments.to_vec() }
    }

    /// Waits until it answers; where the machine has no overlay file system, one on plain folders instead.
    fn ready_or_plain(self) -> Self {
        match self.wait_ready() {
            Ok(()) => self,
            Err(first) => {
                let arguments = self.arguments.clone();
                drop(self);
                let plain = Self::spawn("vfs", &arguments);
                if let Err(second) = plain.wait_ready() {
                    panic!("dockerd does not start: {first}; then: {second}");
                }
                plain
            }
        }
    }

    fn wait_ready(&self) -> Result<(), String> {
        for _ in 0..PATIENCE {
            if let Ok(words) = std::fs::read_to_string(self.dir.join("failed")) {
                return Err(words);
            }
            if exchange(&self.socket(), "GET", "/_ping", "", &[]).is_ok_and(|a| a.status == 200) {
                return Ok(());
            }
            std::thread::sleep(BETWEEN);
        }
        Err("it does not answer".to_owned())
    }

    /// Kills it with its containerd and all its containers, as a machine that loses its power, and starts it
    /// again; returns when it answers.
    pub(crate) fn lose_power(&mut self) {
        let orders = self.supervisor.stdin.as_mut().expect("a pipe");
        writeln!(orders, "power").expect("the supervisor");
        for _ in 0..PATIENCE {
            if std::fs::remove_file(self.dir.join("back")).is_ok() {
                return self.wait_ready().expect("an engine that comes back");
            }
            std::thread::sleep(BETWEEN);
        }
        panic!("the engine does not come back");
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("engine.sock")
    }

    /// Its address as a device file has it.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Any call of its API, past Hoist.
    pub(crate) fn raw(&self, method: &str, path: &str, body: Option<&Json>) -> Answer {
        let body = body.map(|json| json.to_string().into_bytes()).unwrap_or_default();
        exchange(&self.socket(), method, path, "application/json", &body).expect("the engine")
    }

    /// Makes an image of busybox under a name, with labels and a command. Its health check, if a container has
    /// one, can use `/bin/busybox`.
    pub(crate) fn load_image(&self, name: &str, labels: &[(&str, &str)], command: &[&str]) {
        let (repository, tag) = name.rsplit_once(':').expect("a name with its tag");
        let mut path = format!("/images/create?fromSrc=-&repo={repository}&tag={tag}");
        let command = format!("CMD {}", json!(command));
        let labels = labels.iter().map(|(key, value)| format!("LABEL {key}={value}"));
        for change in std::iter::once(command).chain(labels) {
            path.push_str("&changes=");
            path.push_str(&raw::encoded(&change));
        }
        let tar = busybox().expect("a tar of busybox");
        let answer = exchange(&self.socket(), "POST", &path, "application/x-tar", &tar)
            .expect("the engine takes an image");
        assert!(answer.status == 200 && !answer.text.contains("error"), "{}", answer.text);
    }

    /// Pushes one of its images to a registry under a name that names that registry, and forgets it.
    pub(crate) fn push(&self, image: &str, name: &str, auth: &str) {
        let (repository, tag) = name.rsplit_once(':').expect("a name with its tag");
        let answer =
            self.raw("POST", &format!("/images/{image}/tag?repo={repository}&tag={tag}"), None);
        assert_eq!(answer.status, 201, "{}", answer.text);
        let path = format!("/images/{repository}/push?tag={tag}");
        let headers = [("X-Registry-Auth", auth)];
        let answer = raw::exchange_with(&self.socket(), "POST", &path, &headers, &[]);
        let answer = answer.expect("the engine pushes");
        assert!(answer.status == 200 && !answer.text.contains("errorDetail"), "{}", answer.text);
        self.forget_image(name);
    }

    /// Takes a name from an image, and the image with its last name.
    pub(crate) fn forget_image(&self, name: &str) {
        let answer = self.raw("DELETE", &format!("/images/{name}?force=1"), None);
        assert!(matches!(answer.status, 200 | 404), "{}", answer.text);
    }

    /// Kills the process of a container, as the machine could.
    pub(crate) fn kill_process(&self, container: &str) {
        let pid = self.inspect(container)["State"]["Pid"].as_u64().expect("a process id");
        assert!(pid > 1, "{container} does not run");
        kill(u32::try_from(pid).expect("a process id"));
    }

    /// The engine's own inspect.
    pub(crate) fn inspect(&self, container: &str) -> Json {
        let answer = self.raw("GET", &format!("/containers/{container}/json"), None);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Process id of dockerd.
    pub(crate) fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.dir.join("pid")).expect("a pid file");
        text.trim().parse().expect("a process id")
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        // It has limits of its own; what it could not do is in the folder that stays.
        let _ = self.supervisor.wait();
    }
}

/// Kills a process at once.
pub(crate) fn kill(pid: u32) {
    signal(pid, "KILL");
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(status.expect("kill").success(), "process {pid} could not be sent {name}");
}

fn busybox() -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for folder in ["bin/", "tmp/", "run/"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        builder.append_data(&mut header, folder, io::empty())?;
    }
    builder.append_path_with_name("/bin/busybox", "bin/busybox")?;
    for name in ["sh", "sleep", "cat", "ls", "true", "false"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        builder.append_link(&mut header, format!("bin/{name}"), "busybox")?;
    }
    builder.into_inner()
}
