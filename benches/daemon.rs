//! How soon the daemon does what it is told of, with three real engines: a commit from its webhook to the last new
//! container, and containers that somebody killed or removed until they run again. `cargo bench --bench daemon` prints
//! the table that `docs/performance.md` keeps. It needs root and what the tests with real engines need.
//!
//! Without `--bench`, as `cargo test` runs it, each thing is done once and only has to work.

#[path = "../tests/testbed/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod testbed;

use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testbed::{Dockerd, dockerds};

const SECRET: &str = "a secret of the bench";
/// Nothing that is measured is waited for by polling or by a resync.
const NEVER: [&str; 4] = ["--poll", "24h", "--resync", "24h"];
/// A limit against hanging.
const LIMIT: Duration = Duration::from_secs(120);

fn main() {
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 9 } else { 1 };
    let Some(engines) = dockerds(3) else { return };
    let site = Site::new(&engines, rounds);
    let daemon = site.watch();
    let address = daemon.address();
    until(|| engines.iter().all(|engine| runs(engine, 0)));
    let (mut hooked, mut killed, mut removed, mut raw) = (vec![], vec![], vec![], vec![]);
    for round in 1..=rounds {
        site.push(round);
        hooked.push(timed(|| {
            hook(&address);
            until(|| engines.iter().all(|engine| runs(engine, round)));
        }));
        // What it itself did is looked at before something else happens.
        std::thread::sleep(Duration::from_secs(3));
        let engine = &engines[round % engines.len()];
        raw.push(timed(|| raw_replacement(engine)));
        let call = |method: &str, path: &str| {
            assert_eq!(engine.raw(method, path, None).status, 204, "{path}");
        };
        killed.push(timed(|| {
            call("POST", "/containers/web/kill");
            until(|| runs(engine, round));
        }));
        std::thread::sleep(Duration::from_secs(3));
        removed.push(timed(|| {
            call("DELETE", "/containers/web?force=1");
            until(|| runs(engine, round));
        }));
        std::thread::sleep(Duration::from_secs(3));
    }
    println!("| what | median | longest |\n| --- | --- | --- |");
    line("from the webhook of a commit until its containers run on all of 3 engines", hooked);
    line("beside: one container replaced by bare calls, on one engine", raw);
    line("a container that was killed runs again", killed);
    line("a container that was removed is there again and runs", removed);
}

fn line(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let seconds = |time: &Duration| format!("{:.2} s", time.as_secs_f64());
    let longest = times.last().map(seconds).unwrap_or_default();
    println!("| {what} | {} | {longest} |", seconds(&times[times.len() / 2]));
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn timed(what: impl FnOnce()) -> Duration {
    let began = Instant::now();
    what();
    began.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn image(round: usize) -> String {
    format!("web:{round}")
}

fn runs(engine: &Dockerd, round: usize) -> bool {
    let answer = engine.raw("GET", "/containers/web/json", None);
    answer.status == 200 && {
        let json = answer.json();
        json["Config"]["Image"] == image(round) && json["State"]["Running"] == true
    }
}

/// What replacing a container costs the engine itself.
fn raw_replacement(engine: &Dockerd) {
    let body = json!({"Image": image(0)});
    let call = |method: &str, path: &str, body| {
        let answer = engine.raw(method, path, body);
        assert!(answer.status < 300, "{path}: {}", answer.text);
    };
    call("POST", "/containers/create?name=raw-old", Some(&body));
    call("POST", "/containers/raw-old/start", None);
    call("POST", "/containers/create?name=raw-new", Some(&body));
    call("POST", "/containers/raw-old/stop?t=0", None);
    call("POST", "/containers/raw-new/start", None);
    call("DELETE", "/containers/raw-old?force=1", None);
    call("DELETE", "/containers/raw-new?force=1", None);
}

fn hook(address: &str) {
    let mut stream = TcpStream::connect(address).expect("the daemon listens");
    let request = format!(
        "POST /hooks/git HTTP/1.1\r\nHost: {address}\r\nX-Gitlab-Token: {SECRET}\r\nContent-Length: 2\r\n\
         Connection: close\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

/// A fleet of a device an engine, and the bare repository that it is pushed to.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(engines: &[Dockerd], rounds: usize) -> Self {
        let site = Self { folder: tempfile::tempdir().expect("a folder") };
        site.put(
            "fleet/fleet.toml",
            "name = \"bench\"\n[defaults]\nprobation = \"0s\"\nstop-timeout = \"0s\"\nimage-pull-policy = \"never\"\n",
        );
        let mut allow = Vec::new();
        for (number, engine) in engines.iter().enumerate() {
            for round in 0..=rounds {
                engine.load_image(&image(round), &[], &["/bin/sleep", "3600"]);
            }
            let address = engine.address();
            site.put(
                &format!("fleet/devices/d{number}.toml"),
                &format!("engine = \"{address}\"\n"),
            );
            allow.push(format!("\"{address}\""));
        }
        site.put("hoist.toml", &format!("[engines]\nallow = [{}]\n", allow.join(", ")));
        site.put("secret", SECRET);
        let (fleet, bare) = (site.path("fleet"), site.path("remote.git"));
        git(&fleet, &["init", "--quiet", "--initial-branch=main"]);
        git(&fleet, &["init", "--quiet", "--bare", "--initial-branch=main", &shown(&bare)]);
        site.push(0);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn push(&self, round: usize) {
        let module = format!("target = \"*\"\n[modules.web]\nimage = \"{}\"\n", image(round));
        self.put("fleet/deployments/base.toml", &module);
        let fleet = self.path("fleet");
        git(&fleet, &["add", "--all"]);
        git(&fleet, &["commit", "--quiet", "--message", "a round"]);
        git(&fleet, &["push", "--quiet", &shown(&self.path("remote.git")), "main"]);
    }

    fn watch(&self) -> Daemon {
        let log = self.path("log");
        let child = Command::new(env!("CARGO_BIN_EXE_hoist"))
            .args(["watch", &format!("file://{}", shown(&self.path("remote.git")))])
            .args(NEVER)
            .args(["--listen", "127.0.0.1:0", "--hook-secret-file", &shown(&self.path("secret"))])
            .env("HOIST_STATE", self.path("state"))
            .env("HOIST_CONFIG", self.path("hoist.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("a daemon");
        Daemon { child, log }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=Bench", "-c", "user.email=bench@example.com"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .status();
    assert!(status.expect("git").success(), "git {arguments:?}");
}

struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Where it listens, by its own words.
    fn address(&self) -> String {
        let said = || {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            log.lines()
                .find_map(|line| Some(line.split_once("the page is at http://")?.1.to_owned()))
        };
        until(|| said().is_some());
        said().expect("just said")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
