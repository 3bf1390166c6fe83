//! Whole passes with a store: what facts bring about holds one device alone, what modules report is kept,
//! devices that leave are listed for 30 days.

use crate::block_on;
use crate::world::{World, manifest};
use hoist::config::Config;
use hoist::engine::simulated::{Behaviour, CallKind, Control, Fault, Simulated};
use hoist::engine::{Engine, FileForm, SecretValues};
use hoist::fleet::{FileTree, Fleet, load};
use hoist::model::{DeviceId, Timestamp, Value};
use hoist::plan::{ContainerRef, Step};
use hoist::reconcile::{
    Elsewhere, FleetStatus, Gate, Ran, RunInput, StatusInput, SurveyInput, fleet_status,
    held_facts, live_facts, run_and_record, survey,
};
use hoist::resolve::resolve;
use hoist::review::fleet_digest;
use hoist::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct House {
    folder: Arc<tempfile::TempDir>,
    /// The store's folder.
    state: &'static str,
    files: BTreeMap<&'static str, String>,
    /// Engines in place of those that lie in the folder.
    pub(crate) given: BTreeMap<DeviceId, Arc<dyn Engine>>,
    pub(crate) now: i64,
}

const BASE: &str = "target = \"*\"\n[modules.web]\nimage = \"web:1\"\n";

impl House {
    pub(crate) fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path().join("engines")).unwrap();
        std::fs::write(folder.path().join("hoist.toml"), "").unwrap();
        let (files, given) = (BTreeMap::new(), BTreeMap::new());
        let mut house = Self { folder, state: "state", files, given, now: 1_800_000_000 };
        house.write(
            "fleet.toml",
            "name = \"f\"\n[defaults]\nprobation = \"1s\"\n\
             [reported-properties]\nmodel = \"web.device.model\"\n",
        );
        for device in ["devices/d1.toml", "devices/d2.toml"] {
            house.write(device, "[tags]\na = 1\n");
        }
        house.write("deployments/base.toml", BASE);
        house
    }

    /// Another control host of the same fleet and engines, with a store of its own.
    pub(crate) fn beside(&self) -> Self {
        let (folder, given) = (Arc::clone(&self.folder), self.given.clone());
        Self { folder, state: "second-state", files: self.files.clone(), given, now: self.now }
    }

    pub(crate) fn write(&mut self, path: &'static str, text: &str) {
        self.files.insert(path, text.to_owned());
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.folder.path().join(self.state)).unwrap()
    }

    pub(crate) fn fleet(&self) -> Fleet {
        let files = self.files.iter().map(|(path, text)| (*path, text.as_str()));
        let loaded = load(&FileTree::from_texts(files));
        assert!(!loaded.diagnostics.has_errors(), "{:#?}", loaded.diagnostics);
        loaded.fleet.unwrap()
    }

    /// A device goes away; what its engine runs is not to be had until it comes back.
    pub(crate) fn take_away(&self, device: &str) {
        let path = self.folder.path().join(format!("engines/{device}.json"));
        // One that was never there leaves nothing to come back.
        let _ = std::fs::rename(&path, path.with_extension("away"));
        std::fs::write(path, "it is not here").unwrap();
    }

    /// It comes back with what its engine runs.
    pub(crate) fn bring_back(&self, device: &str) {
        let path = self.folder.path().join(format!("engines/{device}.json"));
        std::fs::rename(path.with_extension("away"), path).unwrap();
    }

    pub(crate) fn control(&self, device: &str) -> Control {
        let path = self.folder.path().join(format!("engines/{device}.json"));
        Simulated::open(Some(path), device).unwrap().control()
    }

    /// Somebody stops a container.
    pub(crate) fn stop(&self, device: &str, name: &str) {
        let path = self.folder.path().join(format!("engines/{device}.json"));
        let engine = Simulated::open(Some(path), device).unwrap();
        let seen = engine.control().observed().unwrap().containers;
        let id = seen.iter().find(|container| container.name == name).unwrap().id.clone();
        let stop = Step::Stop { container: ContainerRef::Id(id), timeout: None };
        block_on(async { engine.execute(&stop, &SecretValues::default()).await.unwrap() });
    }

    /// One apply, so many seconds after the former.
    pub(crate) fn apply(&mut self, later: i64) -> BTreeMap<DeviceId, Ran> {
        self.apply_after(later, || {})
    }

    /// The same, with something that happens between the look and the first step.
    pub(crate) fn apply_after(
        &mut self,
        later: i64,
        between: impl FnOnce(),
    ) -> BTreeMap<DeviceId, Ran> {
        self.now += later;
        let now = Timestamp { seconds: self.now };
        let (store, fleet) = (self.store(), self.fleet());
        let stored = store.load_devices().unwrap();
        let memories = store.memories().unwrap();
        let facts = held_facts(&stored, now);
        let resolution = resolve(&fleet, &facts);
        let config = Config::load(Some(&self.folder.path().join("hoist.toml"))).unwrap();
        let engines = self.folder.path().join("engines");
        let gate = Gate::new(config, Some(engines), store.hash_key().0);
        let gate = gate.with_engines(self.given.clone());
        let survey = block_on(survey(&SurveyInput {
            fleet: &fleet,
            resolution: &resolution,
            revision: "r",
            digest: fleet_digest(&fleet, &resolution),
            only: None,
            stored: &stored,
            memories: &memories,
            control: store.control(),
            gate: &gate,
            facts: &facts,
            recorded: None,
            paused: &Default::default(),
            resync: false,
            consents: &Default::default(),
            now,
        }));
        between();
        block_on(async {
            run_and_record(&RunInput {
                fleet: &fleet,
                survey: &survey,
                store: &store,
                who: "test",
                now,
                before: &stored,
                writes: hoist::reconcile::Writes::All,
                paces: &Default::default(),
                events: &|_, _| {},
            })
            .await
            .unwrap()
        })
    }

    fn status(&self) -> FleetStatus {
        self.with_status_input(None, fleet_status)
    }

    pub(crate) fn with_status_input<T>(
        &self,
        stale_after: Option<i64>,
        take: impl FnOnce(&StatusInput<'_>) -> T,
    ) -> T {
        let (stored, fleet) = (self.store().load_devices().unwrap(), self.fleet());
        let now = Timestamp { seconds: self.now };
        let resolution = resolve(&fleet, &held_facts(&stored, now));
        take(&StatusInput {
            fleet: &fleet,
            resolution: &resolution,
            revision: "r",
            stored: &stored,
            elsewhere: &Elsewhere::new(),
            returning: &std::collections::BTreeSet::new(),
            paused: &std::collections::BTreeSet::new(),
            only: None,
            stale_after,
            now,
        })
    }

    pub(crate) fn words(&self, device: &str) -> (u16, String) {
        let status = self.status();
        let found = status.devices.iter().find(|d| d.id.as_str() == device).unwrap();
        (found.code, found.description.clone())
    }
}

const REPORT: &str = "/run/hoist/out/reported.json";

/// A module's word, once it has held for ten minutes, brings a layer whose template one device can't fill: that
/// device alone is held, and what it had is still enforced.
#[test]
fn a_fact_that_makes_a_manifest_invalid_holds_that_device_alone() {
    let mut house = House::new();
    house.write("devices/d2.toml", "[tags]\na = 1\nzone = \"north\"\n");
    house.write(
        "deployments/layer.toml",
        "kind = \"layered\"\npriority = 5\ntarget = \"properties.reported.model = '4000x'\"\n\
         [modules.extra]\nimage = \"extra:1\"\nenv = { ZONE = \"${device.tags.zone}\" }\n",
    );
    house.apply(0);
    for device in ["d1", "d2"] {
        let json = br#"{"device": {"model": "4000x"}}"#;
        house.control(device).write_file("web", REPORT, json).unwrap();
    }
    house.apply(61);
    house.apply(300);
    assert!(house.words("d1").1 == "as desired", "{:?}", house.words("d1"));
    let live = live_facts(&house.store().load_devices().unwrap());
    assert_eq!(live.0["d1"]["model"], Value::from("4000x"), "seen at once, but not by targets");

    let ran = house.apply(400);
    assert!(ran["d2"].stored.modules.keys().any(|name| name.as_str() == "extra"));
    let (code, words) = house.words("d1");
    assert_eq!(code, 400);
    insta::assert_snapshot!(words, @"its manifest can't be filled: extra.env.ZONE: the device has no tag `zone`; what it had stays in force");

    // What it had is put right all the same.
    house.control("d1").remove("web").unwrap();
    house.apply(60);
    let running = house.control("d1").observed().unwrap();
    assert_eq!(running.containers.len(), 1);
    assert_eq!(house.words("d1").0, 400);

    house.write("devices/d1.toml", "[tags]\na = 1\nzone = \"south\"\n");
    house.apply(60);
    assert_eq!(house.words("d1"), (200, "as desired".to_owned()));
}

/// Two layers that only live facts bring together publish one port.
#[test]
fn facts_that_bring_two_modules_to_one_port_hold_the_device() {
    let mut house = House::new();
    house.write(
        "deployments/base.toml",
        "target = \"*\"\n[modules.web]\nimage = \"web:1\"\nports = [\"8080:80\"]\n",
    );
    house.write(
        "deployments/layer.toml",
        "kind = \"layered\"\npriority = 5\ntarget = \"properties.reported.model = '4000x'\"\n\
         [modules.extra]\nimage = \"extra:1\"\nports = [\"8080:81\"]\n",
    );
    house.apply(0);
    let json = br#"{"device": {"model": "4000x"}}"#;
    house.control("d1").write_file("web", REPORT, json).unwrap();
    house.apply(61);
    house.apply(700);
    let (code, words) = house.words("d1");
    assert_eq!(code, 400);
    insta::assert_snapshot!(words, @"modules extra and web both publish port 8080/tcp; what it had stays in force");
    assert_eq!(house.words("d2").0, 200);
}

/// A report is looked for once a minute, read when it changed, and kept where what follows is unfit.
#[test]
fn reports_are_read_when_due_and_the_last_good_one_is_kept() {
    let mut house = House::new();
    house.apply(0);
    let control = house.control("d1");
    let content = |house: &House| {
        let stored = house.store().load_devices().unwrap();
        let report = stored["d1"].modules.values().next().unwrap().report.clone().unwrap();
        (report.content.map(|json| json.to_string()), report.problem)
    };
    control.write_file("web", REPORT, b"{\"n\": 1}").unwrap();
    house.apply(30);
    assert_eq!(content(&house), (None, None), "not due");
    house.apply(31);
    let good = Some("{\"n\":1}".to_owned());
    assert_eq!(content(&house), (good.clone(), None));
    for (form, words) in [
        (FileForm::Link, "it is a symbolic link; a report is a regular file"),
        (FileForm::Folder, "it is a directory; a report is a regular file"),
        (FileForm::Plain, "it is empty"),
    ] {
        control.write_oddity("web", REPORT, form).unwrap();
        house.apply(61);
        assert_eq!(content(&house), (good.clone(), Some(words.to_owned())));
    }
    // A new container begins anew; what was reported last stands until then.
    house.write("deployments/base.toml", &BASE.replace("web:1", "web:2"));
    house.apply(61);
    assert_eq!(content(&house), (good, None));
    house.control("d1").write_file("web", REPORT, b"{\"n\": 2}").unwrap();
    house.apply(61);
    assert_eq!(content(&house), (Some("{\"n\":2}".to_owned()), None));
}

/// A device whose file goes is not touched, is listed, and forgotten after 30 days.
#[test]
fn a_departed_device_is_listed_for_thirty_days() {
    let mut house = House::new();
    house.apply(0);
    let file = house.files.remove("devices/d2.toml").unwrap();
    assert_eq!(house.status().departed.len(), 1, "listed at once");
    let departed = |house: &House| {
        let status = house.status();
        status.departed.iter().map(|d| d.id.to_string()).collect::<Vec<_>>()
    };
    house.apply(60);
    let before = house.control("d2").observed().unwrap();
    house.apply(29 * 86_400);
    assert_eq!(departed(&house), ["d2"]);
    assert_eq!(house.control("d2").observed().unwrap(), before, "nothing of it is touched");
    house.write("devices/d2.toml", &file);
    house.apply(60);
    assert_eq!(departed(&house), [""; 0]);
    assert_eq!(house.words("d2").0, 200);
    house.files.remove("devices/d2.toml");
    house.apply(60);
    house.apply(30 * 86_400);
    assert_eq!(departed(&house), [""; 0]);
    assert!(!house.store().load_devices().unwrap().contains_key("d2"));
}

/// With the store as it is kept between two processes: going back, its words, and the pause.
#[test]
fn what_failed_is_remembered_from_one_process_to_the_next() {
    let mut house = House::new();
    house.files.remove("devices/d2.toml");
    house.apply(0);
    let kept = BASE.replace("web:1", "web:2") + "keep-previous = \"10m\"\n";
    house.control("d1").behave("web:2", Behaviour::Ends { code: 3, after: 2_000 }).unwrap();
    house.write("deployments/base.toml", &kept);
    house.apply(60);
    assert_eq!(house.words("d1").0, 200, "{:?}", house.words("d1"));
    house.control("d1").advance(hoist::model::Duration::seconds(30)).unwrap();
    // The simulated clock began at another time than this one: what the engine says of moments is set right.
    house.now = house.control("d1").now().unwrap().seconds;
    house.apply(0);
    let (code, words) = house.words("d1");
    assert_eq!(code, 500, "{words}");
    assert!(words.contains("went back to the previous container: crash loop"), "{words}");
    assert!(words.contains("not tried again before"), "{words}");
    house.apply(10);
    assert!(house.words("d1").1.contains("not tried again before"), "{:?}", house.words("d1"));
    let images: Vec<String> =
        house.control("d1").observed().unwrap().containers.into_iter().map(|c| c.image).collect();
    assert_eq!(images, ["web:1"]);
}

/// With `image-pull-policy = "always"` a tag that moves is seen within a day, and not asked for before.
#[test]
fn a_tag_that_moves_is_seen_once_a_day() {
    let mut house = House::new();
    let always =
        format!("{BASE}image-pull-policy = \"always\"\n[modules.meter]\nimage = \"meter:1\"\n");
    house.write("deployments/base.toml", &always);
    house.apply(0);
    let control = house.control("d1");
    let id = || {
        let seen = control.observed().unwrap();
        let web = seen.containers.iter().find(|c| c.name == "web").unwrap();
        (web.id.clone(), seen.images.clone())
    };
    let before = id();
    let changes = |house: &mut House, later| {
        let ran = house.apply(later).remove("d1").unwrap();
        ran.run.outcomes.len()
    };
    control.publish("web:1").unwrap();
    control.publish("meter:1").unwrap();
    assert_eq!(changes(&mut house, 3600), 0, "not before a day has passed");
    assert_eq!(changes(&mut house, 86_400), 1, "one question, for the one image that may move");
    assert_eq!(id(), before, "and nothing else in the same pass");
    assert_eq!(changes(&mut house, 1), 2, "then the pull before a create, and the replacement");
    assert_ne!(id(), before);
    assert_eq!(changes(&mut house, 3600), 0);
    assert_eq!(house.words("d1").0, 200);

    // The registry is away when the next day's question comes: a warning, and asked again after an hour.
    control.set_missing("web:1", true).unwrap();
    assert_eq!(changes(&mut house, 86_400), 1);
    assert_eq!(house.words("d1").0, 200, "what runs goes on");
    assert_eq!(changes(&mut house, 1800), 0);
    assert_eq!(changes(&mut house, 1801), 1);
}

/// An engine that crashed while it started a container may take a port for published that nobody publishes.
#[test]
fn a_port_that_the_engine_forgot_to_free_is_told_with_what_helps() {
    let mut house = House::new();
    house.write("deployments/base.toml", &format!("{BASE}ports = [\"8080:80\"]\n"));
    let control = house.control("d1");
    control.leak_port(8080).unwrap();
    house.apply(0);
    let (code, words) = house.words("d1");
    assert_eq!(code, 409);
    assert!(
        words.ends_with(
            "port is already allocated; but no container publishes 8080: the engine forgot to free it when it \
             crashed, restart dockerd"
        ),
        "{words}"
    );
    assert_eq!(house.words("d2").0, 200);
    control.restart_engine().unwrap();
    house.apply(3600);
    assert_eq!(house.words("d1").0, 200);
}

/// What is known to have failed is not waited for: the others of a run would wait as well.
#[test]
fn an_engine_that_answers_one_question_and_hangs_on_the_other_is_pending_at_once() {
    for (fails, hangs) in [(CallKind::Facts, CallKind::List), (CallKind::List, CallKind::Facts)] {
        let mut house = House::new();
        let engine = Simulated::open(None, "d1").unwrap();
        engine.control().fault_next(fails, Fault::Unreachable);
        engine.control().fault_next(hangs, Fault::Hang);
        house.given.insert(DeviceId::parse("d1").unwrap(), Arc::new(engine));
        let ran = house.apply(0);
        assert_eq!(ran["d1"].stored.status.code, 406);
        assert_eq!(ran["d2"].stored.status.code, 200);
    }
}

/// Labels that an image brings say nothing of who made its container, and the words don't say that it is this device's.
#[test]
fn a_container_whose_image_names_this_very_device_is_somebody_elses() {
    block_on(async {
        let world = World::new();
        let labels = [
            ("fleet", "f"),
            ("device", "d1"),
            ("module", "web"),
            ("spec", "s"),
            ("revision", "r"),
            ("control", "c"),
        ];
        let labels = labels.map(|(key, value)| (format!("hoist.{key}"), value.to_owned())).into();
        world.control().load_image("impostor:1", &labels).unwrap();
        world.control().run_foreign("web", &serde_json::json!({"Image": "impostor:1"})).unwrap();
        let plan =
            world.plan(&manifest("target = \"*\"\n[modules.web]\nimage = \"web:1\"\n")).await;
        assert!(plan.works.is_empty(), "{:#?}", plan.works);
        let words = plan.blocked.values().next().unwrap().to_string();
        assert!(
            words.ends_with("is not Hoist's and has the name; only `hoist adopt` touches it"),
            "{words}"
        );
    });
}

/// It may be Hoist's all the same, of another fleet.
#[test]
fn a_port_that_another_fleets_container_publishes_is_not_called_a_strangers() {
    block_on(async {
        let world = World::new();
        let bindings = serde_json::json!({"80/tcp": [{"HostIp": "", "HostPort": "8080"}]});
        let body = serde_json::json!({"Image": "x:1", "HostConfig": {"PortBindings": bindings}});
        world.control().load_image("x:1", &BTreeMap::new()).unwrap();
        world.control().run_foreign("other", &body).unwrap();
        let web = "target = \"*\"\n[modules.web]\nimage = \"web:1\"\nports = [\"8080:80\"]\n";
        let plan = world.plan(&manifest(web)).await;
        insta::assert_snapshot!(
            plan.blocked.values().next().unwrap(),
            @"container other publishes port 8080/tcp and is none of this device's modules; it is not touched"
        );
    });
}

#[test]
fn what_was_not_even_tried_is_in_the_history_once() {
    let mut house = House::new();
    house.take_away("d2");
    let lacks = |image: &str| {
        format!(
            "target = \"*\"\n[modules.web]\nimage = \"{image}\"\nimage-pull-policy = \"never\"\n"
        )
    };
    let told = |house: &House| {
        let history = house.store().history(&Default::default()).unwrap();
        let of_d1 =
            history.into_iter().filter(|entry| entry.device.as_ref().unwrap().as_str() == "d1");
        of_d1.map(|entry| format!("{}: {}", entry.action, entry.outcome)).collect::<Vec<_>>()
    };
    let words = |image: &str| {
        format!("block: not done: the engine lacks image {image}, and image-pull-policy is never")
    };
    house.write("deployments/base.toml", &lacks("web:1"));
    for later in [0, 60, 60] {
        house.apply(later);
    }
    assert_eq!(told(&house), [words("web:1")]);
    house.write("deployments/base.toml", &lacks("web:2"));
    for later in [60, 60] {
        house.apply(later);
    }
    assert_eq!(told(&house), [words("web:1"), words("web:2")]);
}
