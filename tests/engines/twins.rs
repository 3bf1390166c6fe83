//! Module twins on a real engine: readers see the old or the new, never a part; and what modules report is
//! taken only where it is fit, whatever lies there.

use crate::site::{OBEDIENT, Site};
use crate::testbed::Dockerd;
use hoist::apply::run_device;
use hoist::engine::docker::Docker;
use hoist::engine::{Engine, SecretValues, Wanted};
use hoist::fleet::{FileTree, load};
use hoist::model::{DeviceId, EngineAddress, Facts, FleetName, HashedManifest, Observation};
use hoist::plan::{DeviceMemory, DevicePlan, PlanInput, plan_device};
use hoist::resolve::resolve;
use hoist::store::Store;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WRITES: u64 = 1000;

fn manifest(n: u64) -> Arc<HashedManifest> {
    let text = format!(
        "target = \"*\"\n[modules.reader]\nimage = \"test/bare:1\"\nuser = \"1000:1000\"\nread-only = true\n\
         image-pull-policy = \"never\"\nprobation = \"1ms\"\ncap-drop = [\"ALL\"]\n\
         [modules.reader.desired]\nn = {n}\nfiller = \"{}\"\nend = {n}\n",
        "x".repeat(500)
    );
    let tree = FileTree::from_texts([
        ("fleet.toml", "name = \"f\"\n"),
        ("devices/d1.toml", "[tags]\na = 1\n"),
        ("deployments/base.toml", text.as_str()),
    ]);
    let fleet = load(&tree).fleet.unwrap();
    let device = DeviceId::parse("d1").unwrap();
    let manifest = resolve(&fleet, &Facts::none()).manifest(&fleet, &device);
    Arc::new(HashedManifest::of(manifest.unwrap().unwrap()))
}

fn plan(
    manifest: Arc<HashedManifest>,
    observation: &Observation,
    memory: &DeviceMemory,
) -> DevicePlan {
    plan_device(&PlanInput {
        fleet: &FleetName::parse("f").unwrap(),
        fleet_formerly: &[],
        device: &DeviceId::parse("d1").unwrap(),
        device_formerly: &[],
        manifest: Some(manifest),
        retained: false,
        is_kept: false,
        revision: "r",
        control: "c",
        subnet: None,
        registries: &BTreeMap::new(),
        secrets: &BTreeMap::new(),
        observation,
        memory,
        engine: Default::default(),
        consent: Default::default(),
        now: 0,
    })
}

/// Where a container's folder for Hoist lies on this machine.
fn folder(engine: &Dockerd, container: &str) -> PathBuf {
    let mounts = engine.inspect(container)["Mounts"].clone();
    let mount = mounts.as_array().unwrap().iter().find(|m| m["Destination"] == "/run/hoist");
    PathBuf::from(mount.unwrap()["Source"].as_str().unwrap())
}

/// What one reader saw.
#[derive(Debug, Default)]
struct Seen {
    reads: u64,
    parts: Vec<String>,
    backwards: u64,
    versions: u64,
    /// How long the file was not there, where it was not.
    gaps: Vec<Duration>,
}

/// Reads again and again until it is stopped, with pauses that leave the processor to who writes.
fn read(path: &Path, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let (mut last, mut missing): (u64, Option<Instant>) = (0, None);
    while !stop.load(Ordering::Relaxed) {
        seen.reads += 1;
        std::thread::sleep(Duration::from_micros(100));
        let Ok(content) = std::fs::read(path) else {
            missing.get_or_insert_with(Instant::now);
            continue;
        };
        seen.gaps.extend(missing.take().map(|since| since.elapsed()));
        let json: Json = match serde_json::from_slice(&content) {
            Ok(json) => json,
            Err(error) => {
                seen.parts.push(format!("{error}: {} bytes", content.len()));
                continue;
            }
        };
        if json["n"] != json["end"] {
            seen.parts.push(json.to_string());
        }
        let version = json["$version"].as_u64().unwrap();
        seen.backwards += u64::from(version < last);
        seen.versions += u64::from(version > last);
        last = version;
    }
    seen
}

#[test]
fn a_reader_sees_the_old_or_the_new_twin_and_never_a_part() {
    let Some(site) = Site::new(1) else { return };
    let dockerd = &site.engines[0];
    // An image with one program and no shell.
    dockerd.load_image("test/bare:1", &[], &["/bin/busybox", "sleep", "100000"]);
    let engine = Docker::connect(&EngineAddress::parse(&dockerd.address()).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pass = |n: u64, observation: &Observation, memory: &mut DeviceMemory| {
        let plan = plan(manifest(n), observation, memory);
        let run = runtime.block_on(run_device(
            &engine,
            &plan,
            &SecretValues::default(),
            &Default::default(),
            &|_| {},
        ));
        assert!(!run.has_failures(), "{:?}", run.outcomes);
        memory.containers.extend(run.remembered);
        plan.works.len()
    };
    let mut memory = DeviceMemory::default();
    pass(0, &Observation::default(), &mut memory);
    let observation = runtime.block_on(engine.observe(&Wanted::list_only())).unwrap();
    let started = dockerd.inspect("reader")["State"]["StartedAt"].clone();

    let path = folder(dockerd, "reader").join("desired.json");
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (path, stop) = (path.clone(), Arc::clone(&stop));
            std::thread::spawn(move || read(&path, &stop))
        })
        .collect();
    for n in 1..=WRITES {
        assert_eq!(pass(n, &observation, &mut memory), 1, "one work writes the twin");
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let seen = reader.join().unwrap();
        assert_eq!(seen.parts, [""; 0], "of {} reads", seen.reads);
        assert_eq!(seen.backwards, 0);
        assert!(
            seen.versions > WRITES / 4,
            "only {} versions in {} reads",
            seen.versions,
            seen.reads
        );
        // A machine with too much to do stretches a few.
        let long = seen.gaps.iter().filter(|gap| **gap >= Duration::from_millis(50)).count();
        assert!(long <= 10, "{long} gaps of 50 ms and more: {:?}", seen.gaps.iter().max());
        println!(
            "{} reads, {} gaps, longest {:?}",
            seen.reads,
            seen.gaps.len(),
            seen.gaps.iter().max()
        );
    }
    let twin: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&twin["$version"], &twin["n"]), (&Json::from(WRITES + 1), &Json::from(WRITES)));
    assert_eq!(dockerd.inspect("reader")["State"]["StartedAt"], started, "nothing restarts");
}

type Make = fn(&Path);

/// What a module may put where its report should be, and the words about it.
const HOSTILE: [(&str, Make, &str); 10] = [
    ("link", |p| std::os::unix::fs::symlink("/etc/shadow", p).unwrap(), "it is a symbolic link"),
    ("folder", |p| std::fs::create_dir(p).unwrap(), "it is a directory"),
    ("pipe", |p| make("mkfifo", &[p.to_str().unwrap()]), "it is a pipe"),
    ("device", |p| make("mknod", &[p.to_str().unwrap(), "c", "1", "5"]), "it is a device"),
    (
        "large",
        |p| std::fs::File::create(p).unwrap().set_len(300 << 20).unwrap(),
        "it has 314572800 bytes",
    ),
    (
        "deep",
        |p| write(p, format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40)).as_bytes()),
        "nested deeper than 10",
    ),
    ("text", |p| write(p, b"hello"), "no JSON"),
    ("twice", |p| write(p, b"{\"a\": 1, \"a\": 2}"), "`a` stands twice"),
    ("bytes", |p| write(p, b"{\"a\": \"\xff\xfe\"}"), "not UTF-8"),
    ("empty", |p| write(p, b""), "it is empty"),
];

fn make(program: &str, arguments: &[&str]) {
    assert!(Command::new(program).args(arguments).status().unwrap().success());
}

fn write(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap();
}

#[test]
fn reports_are_taken_only_where_they_are_fit() {
    let Some(site) = Site::new(1) else { return };
    let engine = &site.engines[0];
    let modules: String = HOSTILE
        .iter()
        .map(|(name, _, _)| *name)
        .chain(["good", "kept"])
        .map(|name| format!("[modules.{name}]\nimage = \"test/app:1\"\ncommand = {OBEDIENT}\n"))
        .collect();
    site.write("deployments/base.toml", &format!("target = \"*\"\n{modules}"));
    site.write(
        "fleet.toml",
        "name = \"f\"\n[defaults]\nprobation = \"300ms\"\nstop-timeout = \"1s\"\n\
         [reported-properties]\ndevicemodel = \"good.device.model\"\n",
    );
    site.apply().expect(0);
    let place = |module: &str| folder(engine, module).join("out/reported.json");
    for (name, make, _) in HOSTILE {
        make(&place(name));
    }
    write(&place("good"), br#"{"device": {"model": "4000x"}, "n": 1}"#);
    write(&place("kept"), br#"{"n": 1}"#);
    a_minute_passes(&site);
    let begun = Instant::now();
    site.apply().expect(0);
    assert!(begun.elapsed() < Duration::from_secs(30), "nothing hangs");
    let problem = |module: &str| {
        let status = site.device_status("d1");
        let modules = status["modules"].as_array().unwrap().clone();
        modules.into_iter().find(|m| m["name"] == module).unwrap()["report_problem"].clone()
    };
    for (name, _, words) in HOSTILE {
        let said = problem(name);
        assert!(said.as_str().is_some_and(|said| said.contains(words)), "{name}: {said}");
    }
    assert_eq!((problem("good"), problem("kept")), (Json::Null, Json::Null));
    let told = site.hoist(&["status", "--device", "d1"]).expect(0).stdout;
    assert!(told.contains("its report is not taken: it is a symbolic link"), "{told}");
    let found = site.hoist(&["status", "--where", "properties.reported.devicemodel = '4000x'"]);
    assert!(found.stdout.contains("d1"), "{}", found.stdout);

    // Within the minute nothing is looked at; after it what is bad or gone leaves the last good one.
    write(&place("kept"), b"no more");
    std::fs::remove_file(place("good")).unwrap();
    site.apply().expect(0);
    assert_eq!(problem("kept"), Json::Null);
    a_minute_passes(&site);
    site.apply().expect(0);
    assert!(problem("kept").as_str().unwrap().contains("no JSON"));
    assert_eq!(problem("good"), "it is gone");
    let stored = Store::open_to_read(&site.state()).unwrap().unwrap().load_devices().unwrap();
    let content = |module: &str| {
        let standing = stored["d1"].modules.iter().find(|(name, _)| name.as_str() == module);
        standing.unwrap().1.report.clone().unwrap().content.unwrap()["n"].clone()
    };
    assert_eq!((content("kept"), content("good")), (Json::from(1), Json::from(1)));
    write(&place("good"), br#"{"n": 2}"#);
    a_minute_passes(&site);
    site.apply().expect(0);
    assert_eq!(problem("good"), Json::Null);
}

/// As if all reports had been looked at a minute ago.
fn a_minute_passes(site: &Site) {
    let store = Store::open(&site.state()).unwrap();
    for device in store.load_devices().unwrap().into_values() {
        let mut device = std::sync::Arc::unwrap_or_clone(device);
        for standing in device.modules.values_mut() {
            if let Some(report) = &mut standing.report {
                report.looked_at -= 61;
            }
        }
        store.record_device(&device).unwrap();
    }
}
