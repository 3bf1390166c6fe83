//! What `hoist apply` takes on a device, each figure beside the engine's own calls and docker-compose, measured in the
//! same run. `cargo bench --bench apply` prints the table that `docs/performance.md` keeps. It needs root and what
//! the tests with real engines need; what is missing is said, and its lines are left out.
//!
//! Without `--bench`, as `cargo test` runs it, each thing is done once and only has to work.

#[path = "../tests/testbed/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod testbed;

use futures_util::stream::{self, StreamExt as _};
use hoist::config::Config;
use hoist::engine::docker::Docker;
use hoist::engine::simulated::Simulated;
use hoist::engine::{Engine, Wanted};
use hoist::fleet::{FileTree, Fleet};
use hoist::model::{DeviceId, EngineAddress, Facts, Hash, Timestamp};
use hoist::plan::DeviceMemory;
use hoist::reconcile::{
    Consents, Gate, RunInput, SurveyInput, Writes, held_facts, run_and_record, survey,
};
use hoist::resolve::{Resolution, check};
use hoist::review::fleet_digest;
use hoist::source::read_folder;
use hoist::store::{Store, StoredDevices};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::{Dockerd, dockerds};

/// As the program has it: what the daemon does is measured in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Devices side by side, as `apply` has it.
const SIDE_BY_SIDE: u32 = 64;
const NOW: Timestamp = Timestamp { seconds: 1_800_000_000 };

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let runs = if measured { 7 } else { 1 };
    let mut table = String::from("| what | takes | beside | ratio |\n| --- | --- | --- | --- |\n");
    if let Some(engines) = dockerds(1) {
        real_engine(&engines[0], runs, &mut table);
    }
    many_simulated(if measured { 1000 } else { 70 }, &mut table);
    quiet_fleet(if measured { 10_000 } else { 70 }, runs.min(5), &mut table);
    print!("{table}");
}

fn line(table: &mut String, what: &str, takes: Duration, beside: &str, other: Duration) {
    let ratio = takes.as_secs_f64() / other.as_secs_f64();
    table.push_str(&format!(
        "| {what} | {} | {beside}: {} | {ratio:.2} |\n",
        shown(takes),
        shown(other)
    ));
}

fn shown(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 100.0 { format!("{millis:.1} ms") } else { format!("{:.2} s", time.as_secs_f64()) }
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn timed(what: impl FnOnce()) -> Duration {
    let began = Instant::now();
    what();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A fleet of one device with so many modules, and where its store is.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(engine: &Dockerd, modules: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        put(
            "fleet/fleet.toml",
            "name = \"bench\"\n[defaults]\nprobation = \"0s\"\nstop-timeout = \"0s\"\nimage-pull-policy = \"never\"\n",
        );
        put("fleet/devices/one.toml", &format!("engine = \"{}\"\n", engine.address()));
        let modules: String =
            (0..modules).map(|n| format!("[modules.web-{n}]\nimage = \"web:1\"\n")).collect();
        put("fleet/deployments/base.toml", &format!("target = \"*\"\n{modules}"));
        put("hoist.toml", &format!("[engines]\nallow = [\"{}\"]\n", engine.address()));
        Self { folder }
    }

    fn apply(&self) {
        self.run(&["apply", "--worktree", "--yes"]);
    }

    fn manifest(&self) {
        self.run(&["manifest", "one"]);
    }

    fn run(&self, arguments: &[&str]) {
        let path = |name: &str| self.folder.path().join(name);
        let output = Command::new(env!("CARGO_BIN_EXE_hoist"))
            .args(arguments)
            .arg("-C")
            .arg(path("fleet"))
            .env("HOIST_STATE", path("state"))
            .env("HOIST_CONFIG", path("hoist.toml"))
            .stdin(Stdio::null())
            .output()
            .expect("hoist");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.folder.path().join("state"));
    }
}

/// Takes away all containers and networks of ours.
fn clear(engine: &Dockerd) {
    let all = engine.raw("GET", "/containers/json?all=1", None).json();
    for container in all.as_array().into_iter().flatten() {
        let id = container["Id"].as_str().unwrap_or_default();
        engine.raw("DELETE", &format!("/containers/{id}?force=1&v=1"), None);
    }
    for network in ["hoist-bench", "bench_default", "raw"] {
        engine.raw("DELETE", &format!("/networks/{network}"), None);
    }
}

fn real_engine(engine: &Dockerd, runs: usize, table: &mut String) {
    engine.load_image("web:1", &[], &["/bin/sleep", "3600"]);
    let (five, ten) = (Place::new(engine, 5), Place::new(engine, 10));
    let compose = compose_folder(5);
    let has_compose = testbed::programs::has("docker-compose", "--version");
    let (mut ours, mut raw, mut composed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        clear(engine);
        five.forget();
        ours.push(timed(|| five.apply()));
        clear(engine);
        raw.push(timed(|| raw_calls(engine, 5)));
        clear(engine);
        if has_compose {
            composed.push(timed(|| compose_up(engine, compose.path())));
        }
    }
    clear(engine);
    if has_compose {
        let manifest = median((0..runs).map(|_| timed(|| five.manifest())).collect());
        let config =
            (0..runs).map(|_| timed(|| docker_compose(engine, compose.path(), &["config"])));
        let what = "`hoist manifest` of 5 modules, whole process";
        line(table, what, manifest, "`docker-compose config`", median(config.collect()));
    }
    let what = "`apply` of 5 modules from nothing, whole process";
    line(table, what, median(ours.clone()), "the same calls, raw and in parallel", median(raw));
    if has_compose {
        line(table, what, median(ours), "`docker-compose up -d`", median(composed));
    } else {
        println!("no docker-compose here; install docker-compose to compare with it");
    }
    no_op(engine, &ten, runs, has_compose, table);
}

fn no_op(engine: &Dockerd, ten: &Place, runs: usize, has_compose: bool, table: &mut String) {
    let (mut ours, mut lists, mut composed) = (Vec::new(), Vec::new(), Vec::new());
    ten.apply();
    ten.apply();
    for _ in 0..runs * 3 {
        ours.push(timed(|| ten.apply()));
        lists.push(timed(|| {
            engine.raw("GET", "/containers/json?all=1", None);
        }));
    }
    quiet_looks(engine, ten, runs, table);
    clear(engine);
    let what = "`apply` of 10 modules with nothing to do, whole process";
    line(table, what, median(ours.clone()), "one list call", median(lists));
    if has_compose {
        let compose = compose_folder(10);
        compose_up(engine, compose.path());
        for _ in 0..runs {
            composed.push(timed(|| compose_up(engine, compose.path())));
        }
        clear(engine);
        line(table, what, median(ours), "`docker-compose up -d`", median(composed));
    }
}

/// What the daemon does at a device with nothing to do, beside the list call that it is made of.
fn quiet_looks(engine: &Dockerd, ten: &Place, runs: usize, table: &mut String) {
    let tree = read_folder(&ten.folder.path().join("fleet")).expect("files");
    let (fleet, resolution) = check(&tree).fleet.expect("a valid fleet");
    let digest = fleet_digest(&fleet, &resolution);
    let store = Store::open(&ten.folder.path().join("state")).expect("a store");
    let (stored, memories) = (store.load_devices().expect("read"), store.memories().expect("read"));
    let config =
        Config::load(Some(&ten.folder.path().join("hoist.toml"))).expect("a configuration");
    let gate = Gate::new(config, None, store.hash_key().0).keep_engines();
    let address = EngineAddress::parse(&engine.address()).expect("an address");
    let bare = Docker::connect(&address).expect("an engine");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let now = stored.values().filter_map(|device| device.last_contact).max().expect("it was seen");
    let (mut looks, mut lists) = (Vec::new(), Vec::new());
    for _ in 0..runs * 10 {
        looks.push(timed(|| {
            let known = (&stored, &memories);
            let fleet = (&fleet, &resolution, &digest);
            runtime.block_on(pass(fleet, &store, &gate, None, known, now));
        }));
        lists.push(timed(|| {
            runtime.block_on(bare.observe(&Wanted::list_only())).expect("a list");
        }));
    }
    line(
        table,
        "a quiet look of the daemon at 10 modules",
        median(looks),
        "the bare list call",
        median(lists),
    );
}

/// What has to be asked of an engine for so many modules with a network and a twin each, by threads.
fn raw_calls(engine: &Dockerd, modules: usize) {
    engine.raw("GET", "/containers/json?all=1", None);
    engine.raw("POST", "/networks/create", Some(&json!({"Name": "raw"})));
    let twin = tar_of_a_twin();
    std::thread::scope(|scope| {
        for number in 0..modules {
            let twin = &twin;
            scope.spawn(move || {
                let name = format!("web-{number}");
                let body = json!({
                    "Image": "web:1", "Volumes": {"/run/hoist": {}},
                    "Env": [format!("HOIST_MODULE_ID={name}")],
                    "HostConfig": {"RestartPolicy": {"Name": "always"}, "NetworkMode": "raw",
                        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}},
                    "NetworkingConfig": {"EndpointsConfig": {"raw": {"Aliases": [name]}}},
                });
                let made = engine.raw("POST", &format!("/containers/create?name={name}"), Some(&body));
                assert_eq!(made.status, 201, "{}", made.text);
                let path = format!("/containers/{name}/archive?path=/run/hoist");
                let put = testbed::raw::exchange(&engine.socket(), "PUT", &path, "application/x-tar", twin);
                assert_eq!(put.expect("the engine").status, 200);
                let started = engine.raw("POST", &format!("/containers/{name}/start"), None);
                assert_eq!(started.status, 204, "{}", started.text);
                engine.inspect(&name);
            });
        }
    });
    engine.raw("GET", "/containers/json?all=1", None);
}

fn tar_of_a_twin() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let content = b"{\"$version\": 1}";
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "desired.json", content.as_slice()).expect("a tar");
    tar.into_inner().expect("a tar")
}

fn compose_folder(modules: usize) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("bench").tempdir().expect("a folder");
    let services: String = (0..modules)
        .map(|n| {
            format!(
                "  web-{n}:\n    image: web:1\n    restart: always\n    stop_grace_period: 0s\n"
            )
        })
        .collect();
    std::fs::write(
        folder.path().join("docker-compose.yml"),
        format!("version: \"3\"\nservices:\n{services}"),
    )
    .expect("a file");
    folder
}

fn compose_up(engine: &Dockerd, folder: &Path) {
    docker_compose(engine, folder, &["up", "-d"]);
}

fn docker_compose(engine: &Dockerd, folder: &Path, arguments: &[&str]) {
    let status = Command::new("docker-compose")
        .args(["--project-name", "bench"])
        .args(arguments)
        .current_dir(folder)
        .env("DOCKER_HOST", engine.address())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("docker-compose").success());
}

/// So many simulated devices, each call of which takes 20 ms, beside what one device alone takes.
fn many_simulated(devices: u32, table: &mut String) {
    let first = |devices| {
        let place = Simulation::new(devices);
        timed(|| place.pass((&BTreeMap::new(), &BTreeMap::new())))
    };
    let (one, many) = (first(1), first(devices));
    let rounds = devices.div_ceil(SIDE_BY_SIDE);
    let what =
        format!("`apply` on {devices} simulated devices at 20 ms a call, {SIDE_BY_SIDE} at a time");
    line(table, &what, many, &format!("{rounds} × one device alone"), one * rounds);
}

/// Looks at so many devices of which each is as it should be, as the daemon has them, beside their list calls, as many at
/// a time.
fn quiet_fleet(devices: u32, runs: usize, table: &mut String) {
    let place = Arc::new(Simulation::new(devices));
    place.pass((&BTreeMap::new(), &BTreeMap::new()));
    let stored = place.store.load_devices().expect("read");
    let memories = Arc::new(place.store.memories().expect("read"));
    let (mut passes, mut lists) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let looks = stored.iter().map(|(id, stored)| {
            let (place, memories, id) = (Arc::clone(&place), Arc::clone(&memories), id.clone());
            let stored = BTreeMap::from([(id.clone(), stored.clone())]);
            async move {
                let memories = BTreeMap::from([(id.clone(), memories[&id].clone())]);
                place.look(&BTreeSet::from([id]), (&stored, &memories)).await;
            }
        });
        passes.push(timed(|| place.side_by_side(looks)));
        let lists_of = place.engines.values().map(Arc::clone).map(async |engine| {
            engine.observe(&Wanted::list_only()).await.expect("a list");
        });
        lists.push(timed(|| place.side_by_side(lists_of)));
    }
    let what = format!(
        "quiet looks at {devices} simulated devices at 20 ms a call, {SIDE_BY_SIDE} at a time"
    );
    line(table, &what, median(passes), "their list calls", median(lists));
}

/// A fleet on simulated engines, each call of which takes 20 ms.
struct Simulation {
    fleet: Fleet,
    resolution: Resolution,
    digest: Hash,
    engines: BTreeMap<DeviceId, Arc<dyn Engine>>,
    gate: Gate,
    store: Store,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Simulation {
    fn new(devices: u32) -> Self {
        let names: Vec<String> = (0..devices).map(|n| format!("d{n}")).collect();
        let list: String =
            names.iter().map(|name| format!("[[device]]\nid = \"{name}\"\n")).collect();
        let tree = FileTree::from_texts([
            ("fleet.toml", "name = \"bench\"\n[defaults]\nprobation = \"0s\"\n"),
            ("devices/all.toml", list.as_str()),
            (
                "deployments/base.toml",
                "target = \"*\"\n[modules.web]\nimage = \"web:1\"\n[modules.meter]\nimage = \"meter:1\"\n",
            ),
        ]);
        let (fleet, resolution) = check(&tree).fleet.expect("a valid fleet");
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let engine = |name: &String| {
            let engine = Simulated::open(None, name).expect("an engine");
            engine.control().set_delay(Duration::from_millis(20));
            (DeviceId::parse(name).expect("an id"), Arc::new(engine) as Arc<dyn Engine>)
        };
        let engines: BTreeMap<DeviceId, Arc<dyn Engine>> = names.iter().map(engine).collect();
        let gate = Gate::new(Config::built_in(), None, [0; 32]).with_engines(engines.clone());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let gate = gate.keep_engines();
        let digest = fleet_digest(&fleet, &resolution);
        Self { fleet, resolution, digest, engines, gate, store, runtime, _folder: folder }
    }

    fn pass(&self, known: Known<'_>) {
        let Self { fleet, resolution, store, gate, digest, .. } = self;
        self.runtime.block_on(pass((fleet, resolution, digest), store, gate, None, known, NOW));
    }

    async fn look(&self, only: &BTreeSet<DeviceId>, known: Known<'_>) {
        let Self { fleet, resolution, store, gate, digest, .. } = self;
        pass((fleet, resolution, digest), store, gate, Some(only), known, NOW).await;
    }

    fn side_by_side(&self, all: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
        let _inside = self.runtime.enter();
        let all = stream::iter(all).map(tokio::spawn).buffer_unordered(SIDE_BY_SIDE as usize);
        self.runtime.block_on(all.for_each(async |ended| ended.expect("it ends")));
    }
}

type Known<'a> = (&'a StoredDevices, &'a BTreeMap<DeviceId, DeviceMemory>);

/// One pass over all devices: survey, run, record.
async fn pass(
    (fleet, resolution, digest): (&Fleet, &Resolution, &Hash),
    store: &Store,
    gate: &Gate,
    only: Option<&BTreeSet<DeviceId>>,
    (stored, memories): Known<'_>,
    now: Timestamp,
) {
    let facts = if gate.asks_for_facts() { held_facts(stored, now) } else { Facts::none() };
    let made = survey(&SurveyInput {
        fleet,
        resolution,
        revision: "working tree",
        digest: digest.clone(),
        only,
        stored,
        memories,
        control: store.control(),
        gate,
        facts: &facts,
        resync: false,
        recorded: None,
        paused: &BTreeMap::new(),
        consents: &Consents::default(),
        now,
    })
    .await;
    let ran = run_and_record(&RunInput {
        fleet,
        survey: &made,
        store,
        who: "bench",
        now,
        before: stored,
        paces: &Default::default(),
        writes: Writes::Changes(memories),
        events: &|_, _| {},
    })
    .await
    .expect("recorded");
    assert!(ran.values().all(|ran| ran.stored.status.code == 200));
}
