//! A fault of Hoist's own in the middle of the daemon's work.

use crate::place::Place;
use crate::simulated::base;
use hoist::config::Config;
use hoist::engine::simulated::{Control, Simulated};
use hoist::engine::{
    Engine, EngineFuture, EventStream, FileSeen, LogStream, LogsWanted, SecretValues, Wanted,
};
use hoist::model::{DeviceId, EngineReport, Observation};
use hoist::plan::{Step, StepOutput};
use hoist::reconcile::{
    Gate, Snapshot, Tally, WatchParts, WatchSettings, Wish, machine_clock, watch,
};
use hoist::source::Remote;
use hoist::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch as latest};

const FLEET: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n";
const TILLS: &str =
    "[tags]\nenvironment = \"prod\"\n[[device]]\nid = \"till-1\"\n[[device]]\nid = \"till-2\"\n";

/// An engine for which Hoist has a fault: the next calls panic.
struct Breaking {
    engine: Simulated,
    facts: AtomicUsize,
    lists: AtomicUsize,
}

fn break_down(left: &AtomicUsize) {
    let take = |left: usize| left.checked_sub(1);
    if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
        panic!("a fault that a test wants");
    }
}

impl Engine for Breaking {
    fn facts(&self) -> EngineFuture<'_, EngineReport> {
        break_down(&self.facts);
        self.engine.facts()
    }

    fn observe<'a>(&'a self, wanted: &'a Wanted) -> EngineFuture<'a, Observation> {
        break_down(&self.lists);
        self.engine.observe(wanted)
    }

    fn execute<'a>(
        &'a self,
        step: &'a Step,
        secrets: &'a SecretValues,
    ) -> EngineFuture<'a, StepOutput> {
        self.engine.execute(step, secrets)
    }

    fn look_at<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> EngineFuture<'a, Option<FileSeen>> {
        self.engine.look_at(container, path)
    }

    fn read_file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
        limit: usize,
    ) -> EngineFuture<'a, Option<Vec<u8>>> {
        self.engine.read_file(container, path, limit)
    }

    fn events<'a>(&'a self, fleets: &'a [String]) -> EngineFuture<'a, EventStream> {
        self.engine.events(fleets)
    }

    fn logs<'a>(
        &'a self,
        container: &'a str,
        wanted: &'a LogsWanted,
    ) -> EngineFuture<'a, LogStream> {
        self.engine.logs(container, wanted)
    }
}

fn settings() -> WatchSettings {
    WatchSettings {
        poll: Duration::from_millis(200),
        resync: Duration::from_secs(600),
        wanted: None,
        only: None,
        signers: None,
        history: Duration::from_secs(86_400),
        side_by_side: 64,
        pulls_per: None,
        stop_limit: Duration::from_secs(5),
        who: "test".to_owned(),
    }
}

#[test]
fn what_breaks_down_is_told_and_tried_again_and_holds_up_nothing_else() {
    let place = Place::new(&[
        ("fleet.toml", FLEET),
        ("devices/tills.toml", TILLS),
        ("deployments/base.toml", &base("1")),
    ]);
    let id = |name: &str| DeviceId::parse(name).expect("a name");
    let open = |name: &str| Simulated::open(None, name).expect("an engine");
    let (first, second) = (open("till-1"), open("till-2"));
    let (one, two) = (first.control(), second.control());
    // Within the first look at the repository what runs is listed; a device's own first look asks for facts.
    let (facts, lists) = (AtomicUsize::new(1), AtomicUsize::new(1));
    let breaking = Arc::new(Breaking { engine: first, facts, lists });
    let engines: BTreeMap<DeviceId, Arc<dyn Engine>> = [
        (id("till-1"), Arc::clone(&breaking) as Arc<dyn Engine>),
        (id("till-2"), Arc::new(second)),
    ]
    .into();
    let store = Arc::new(Store::open(&place.state_folder()).expect("a store"));
    let lock = store.lock().expect("nobody else works on it");
    let (wish, wishes) = mpsc::channel(8);
    let (snapshots, _seen) = latest::channel(Arc::new(Snapshot::default()));
    let (stop, stopped) = latest::channel(false);
    let parts = WatchParts {
        remote: Arc::new(Remote::here(&place.fleet(), "main")),
        gate: Gate::new(Config::built_in(), None, store.hash_key().0).with_engines(engines),
        store,
        lock,
        tally: Arc::new(Tally::default()),
        wishes,
        snapshots,
        stop: stopped,
        wall: machine_clock(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let daemon = runtime.spawn(watch(settings(), parts));
    let says = |code: u16| place.device("till-1").is_some_and(|known| known.status.code == code);
    let runs = |control: &Control, image: &str| {
        let all = control.observed().expect("a list").containers;
        all.iter().any(|container| container.image == image)
    };

    place.until("the other device", || runs(&two, "web:1"));
    place.until("told", || says(500));
    let words = place.device("till-1").expect("known").status.description;
    assert!(words.contains("a fault of Hoist") && !words.contains("a test wants"), "{words}");
    place.until("tried again", || runs(&one, "web:1") && says(200));

    breaking.lists.store(1, Ordering::SeqCst);
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("told again", || says(500));
    assert_eq!(breaking.lists.load(Ordering::SeqCst), 0);
    // Whoever doesn't want to wait for the pause need not.
    let poke = Wish::Poke(id("till-1"));
    runtime.block_on(wish.send(poke)).expect("a daemon");
    place.until("the second", || runs(&one, "web:2") && runs(&two, "web:2") && says(200));

    stop.send_replace(true);
    let limit = Duration::from_secs(4);
    let ended = runtime.block_on(async { tokio::time::timeout(limit, daemon).await });
    ended.expect("nothing is waited for").expect("no panic").expect("no trouble");
}
