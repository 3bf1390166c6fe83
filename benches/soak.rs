//! A day of the daemon in minutes: 500 simulated devices under random trouble, commits now and then, time that is simulated
//! as well. At the end, after an hour of calm, every device must run what the newest commit says, and neither memory nor the
//! store may have grown with time. `cargo bench --bench soak` prints the table that `docs/performance.md` keeps;
//! `HOIST_SOAK_HOURS` and `HOIST_SOAK_DEVICES` make it longer or larger.
//!
//! Without `--bench`, as `cargo test` runs it, it is a few hours of a small fleet, and memory is not looked at.

use hoist::config::Config;
use hoist::engine::Engine;
use hoist::engine::simulated::{Control, Simulated};
use hoist::model::{ContainerState, DeviceId, Duration as Span, Timestamp};
use hoist::reconcile::{Gate, Snapshot, Tally, WatchParts, WatchSettings, watch};
use hoist::source::Remote;
use hoist::store::Store;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch as latest};
use tokio::time::Instant;

/// As the program has it: memory is what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// When the simulated day begins.
const BEGIN: i64 = 1_800_000_000;
/// History older than this is dropped, so that a store that grows is told from one that has not filled up yet.
const HISTORY: Duration = Duration::from_secs(90 * 60);
/// Memory and the store are looked at first after so many hours.
const SETTLED: u64 = 2;

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let hours = number("HOIST_SOAK_HOURS", if measured { 24 } else { 4 });
    let devices = number("HOIST_SOAK_DEVICES", if measured { 500 } else { 30 });
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let [early, late] = runtime.block_on(soak(folder.path(), devices, hours));
    println!(
        "| after | memory | store | changes and troubles in the history |\n| --- | --- | --- | --- |"
    );
    for Size { hours, memory, store, history } in [&early, &late] {
        println!("| {hours} h | {memory} KiB | {store} KiB | {history} |");
    }
    assert!(late.store <= early.store * 3 / 2, "the store grows");
    if measured {
        let ratio = late.memory as f64 / early.memory as f64;
        println!("memory at the end: {ratio:.2} × that after {SETTLED} h");
        assert!(ratio <= 1.1, "memory grows");
    }
}

/// How large everything is at a moment.
struct Size {
    hours: u64,
    memory: u64,
    store: u64,
    history: usize,
}

impl Size {
    fn now(hours: u64, place: &Path, store: &Store) -> Self {
        let history = store.history(&Default::default()).expect("readable").len();
        // Not the file of what was written lately, which SQLite keeps below 4 MiB or so.
        let bytes = fs::metadata(place.join("state/state.db")).expect("a store").len();
        Self { hours, memory: resident(), store: bytes / 1024, history }
    }
}

/// KiB of memory that this process has.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

async fn soak(place: &Path, devices: u64, hours: u64) -> [Size; 2] {
    begin_repository(place, devices);
    let simulated: Vec<Simulated> =
        (0..devices).map(|n| Simulated::open(None, id(n).as_str()).expect("an engine")).collect();
    let controls: Vec<Control> = simulated.iter().map(Simulated::control).collect();
    let engines: BTreeMap<DeviceId, Arc<dyn Engine>> = (0..)
        .zip(simulated)
        .map(|(n, engine)| (id(n), Arc::new(engine) as Arc<dyn Engine>))
        .collect();
    let store = Arc::new(Store::open(&place.join("state")).expect("a store"));
    let (_wish, wishes) = mpsc::channel(8);
    let (snapshots, seen) = latest::channel(Arc::new(Snapshot::default()));
    let (stop, stopped) = latest::channel(false);
    let began = Instant::now();
    let parts = WatchParts {
        remote: Arc::new(Remote::here(&place.join("fleet"), "main")),
        gate: Gate::new(Config::built_in(), None, store.hash_key().0).with_engines(engines),
        lock: store.lock().expect("nobody else works on it"),
        store: Arc::clone(&store),
        tally: Arc::new(Tally::default()),
        wishes,
        snapshots,
        stop: stopped,
        wall: Arc::new(move || Timestamp {
            seconds: BEGIN.saturating_add_unsigned(began.elapsed().as_secs()),
        }),
    };
    let daemon = tokio::spawn(watch(settings(), parts));

    let mut weather = Weather { state: 7, away: BTreeMap::new() };
    let (mut image, mut early) = (1, None);
    for minute in 0..hours * 60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        for control in &controls {
            control.advance(Span { millis: 60_000 }).expect("simulated");
            control.forget_calls();
        }
        let is_calm = minute >= (hours - 1) * 60;
        weather.blow(&controls, minute, is_calm);
        if minute % 100 == 99 && !is_calm {
            image += 1;
            commit(place, "deployments/base.toml", &base(image));
            // As somebody on the devices prunes old ones: what piles up on engines is not the daemon's memory.
            for control in controls.iter().filter(|_| image > 2) {
                control.drop_image(&format!("web:{}", image - 2)).expect("simulated");
            }
        }
        if minute == SETTLED * 60 {
            early = Some(Size::now(SETTLED, place, &store));
        }
    }
    let late = Size::now(hours, place, &store);
    let snapshot = seen.borrow().clone();
    let status = snapshot.status().expect("a revision is in force");
    for device in &status.devices {
        assert_eq!(device.code, 200, "{}: {}", device.id, device.description);
    }
    for (number, control) in controls.iter().enumerate() {
        assert_eq!(runs(control), [(format!("web:{image}"), ContainerState::Running)], "d{number}");
    }
    stop.send(true).expect("it listens");
    daemon.await.expect("it ends").expect("the store is whole");
    [early.expect("it takes longer"), late]
}

fn settings() -> WatchSettings {
    WatchSettings {
        poll: Duration::from_secs(30),
        resync: Duration::from_secs(600),
        wanted: None,
        only: None,
        signers: None,
        history: HISTORY,
        side_by_side: 64,
        pulls_per: None,
        stop_limit: Duration::from_secs(5),
        who: "soak".to_owned(),
    }
}

fn id(number: u64) -> DeviceId {
    DeviceId::parse(&format!("d{number:04}")).expect("an id")
}

fn base(image: u64) -> String {
    format!(
        "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:{image}\"\n[modules.web.desired]\nround = {image}\n"
    )
}

fn runs(control: &Control) -> Vec<(String, ContainerState)> {
    let observation = control.observed().expect("simulated");
    observation.containers.into_iter().map(|c| (c.image, c.state)).collect()
}

/// What happens to the devices.
struct Weather {
    state: u64,
    /// Devices that can't be reached, and the minute in which they come back.
    away: BTreeMap<usize, u64>,
}

impl Weather {
    fn next(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) % below
    }

    /// One of fifty devices meets something in each minute, until it is calm.
    fn blow(&mut self, controls: &[Control], minute: u64, is_calm: bool) {
        for (number, control) in controls.iter().enumerate() {
            if is_calm || self.away.get(&number).is_some_and(|until| *until <= minute) {
                self.away.remove(&number);
                control.set_unreachable(false);
                control.calm();
            }
        }
        let count = if is_calm { 0 } else { controls.len().div_ceil(50) };
        for _ in 0..count {
            let number = self.next(controls.len() as u64) as usize;
            let control = &controls[number];
            // What is not there can't be hit.
            let _ = match self.next(7) {
                0 => {
                    control.set_unreachable(true);
                    let back = minute + 1 + self.next(40);
                    self.away.insert(number, back);
                    Ok(())
                }
                1 => {
                    control.trouble(self.next(u64::MAX), 200);
                    let over = minute + 1 + self.next(20);
                    self.away.insert(number, over);
                    Ok(())
                }
                2 => control.restart_engine(),
                3 => control.kill("web", 1),
                4 => control.remove("web"),
                5 => control.pause("web"),
                _ => control.disconnect("web", "hoist-soak"),
            };
        }
    }
}

fn begin_repository(place: &Path, devices: u64) {
    let list = (0..devices).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "[[device]]\nid = \"{}\"", id(n));
        text
    });
    fs::create_dir(place.join("fleet")).expect("a folder");
    git(place, &["init", "--quiet", "--initial-branch=main"]);
    let fleet = "name = \"soak\"\n[guards]\nmax-devices-disrupted = \"100%\"\n";
    for (path, text) in [("fleet.toml", fleet), ("devices/all.toml", &list)] {
        write(place, path, text);
    }
    commit(place, "deployments/base.toml", &base(1));
}

fn write(place: &Path, path: &str, text: &str) {
    let path = place.join("fleet").join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

fn commit(place: &Path, path: &str, text: &str) {
    write(place, path, text);
    git(place, &["add", "--all"]);
    git(
        place,
        &[
            "-c",
            "user.name=soak",
            "-c",
            "user.email=soak@example.com",
            "commit",
            "--quiet",
            "--message",
            path,
        ],
    );
}

fn git(place: &Path, arguments: &[&str]) {
    let status = Command::new("git").arg("-C").arg(place.join("fleet")).args(arguments).status();
    assert!(status.expect("git").success());
}
