//! The clock of the control host is set while the daemon works.

use crate::place::Place;
use crate::simulated::base;
use hoist::config::Config;
use hoist::engine::Engine;
use hoist::engine::simulated::{Control, Simulated};
use hoist::model::{DeviceId, Timestamp};
use hoist::reconcile::{
    Gate, Snapshot, Tally, Wall, WatchParts, WatchSettings, Wish, machine_clock, watch,
};
use hoist::source::Remote;
use hoist::store::{Pause, Scope, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch as latest};

const FLEET: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n";
const TILLS: &str =
    "[tags]\nenvironment = \"prod\"\n[[device]]\nid = \"till-1\"\n[[device]]\nid = \"till-2\"\n";
const DAY: i64 = 86_400;

fn settings() -> WatchSettings {
    WatchSettings {
        poll: Duration::from_secs(600),
        resync: Duration::from_secs(600),
        wanted: None,
        only: None,
        signers: None,
        history: Duration::from_secs(90 * 86_400),
        side_by_side: 64,
        pulls_per: None,
        stop_limit: Duration::from_secs(5),
        who: "test".to_owned(),
    }
}

fn id(name: &str) -> DeviceId {
    DeviceId::parse(name).expect("a name")
}

fn runs(control: &Control) -> bool {
    let all = control.observed().expect("a list").containers;
    all.iter().any(|container| container.image == "web:1")
}

/// A daemon over two tills whose clock can be set.
struct Shop {
    place: Place,
    one: Control,
    two: Control,
    store: Arc<Store>,
    /// How far the clock is off.
    set: Arc<AtomicI64>,
    wall: Wall,
    wish: mpsc::Sender<Wish>,
    seen: latest::Receiver<Arc<Snapshot>>,
    stop: latest::Sender<bool>,
    runtime: tokio::runtime::Runtime,
    daemon: tokio::task::JoinHandle<Result<(), StoreError>>,
}

impl Shop {
    fn open() -> Self {
        let place = Place::new(&[
            ("fleet.toml", FLEET),
            ("devices/tills.toml", TILLS),
            ("deployments/base.toml", &base("1")),
        ]);
        let open = |name: &str| Simulated::open(None, name).expect("an engine");
        let (first, second) = (open("till-1"), open("till-2"));
        let (one, two) = (first.control(), second.control());
        let engines: BTreeMap<DeviceId, Arc<dyn Engine>> =
            [(id("till-1"), Arc::new(first) as Arc<dyn Engine>), (id("till-2"), Arc::new(second))]
                .into();
        let store = Arc::new(Store::open(&place.state_folder()).expect("a store"));
        let lock = store.lock().expect("nobody else works on it");
        let (wish, wishes) = mpsc::channel(8);
        let (snapshots, seen) = latest::channel(Arc::new(Snapshot::default()));
        let (stop, stopped) = latest::channel(false);
        let set = Arc::new(AtomicI64::new(0));
        let (machine, off) = (machine_clock(), Arc::clone(&set));
        let wall: Wall =
            Arc::new(move || Timestamp { seconds: machine().seconds + off.load(Ordering::SeqCst) });
        let parts = WatchParts {
            remote: Arc::new(Remote::here(&place.fleet(), "main")),
            gate: Gate::new(Config::built_in(), None, store.hash_key().0).with_engines(engines),
            store: Arc::clone(&store),
            lock,
            tally: Arc::new(Tally::default()),
            wishes,
            snapshots,
            stop: stopped,
            wall: Arc::clone(&wall),
        };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let daemon = runtime.spawn(watch(settings(), parts));
        Self { place, one, two, store, set, wall, wish, seen, stop, runtime, daemon }
    }
}

/// Seen a moment ago is seen a moment ago, and a pause holds for whom it says so.
#[test]
fn a_clock_that_jumps_makes_nobody_stale_and_pauses_hold_as_they_say() {
    let Shop { place, one, two, store, set, wall, wish, seen, stop, runtime, daemon } =
        Shop::open();
    let jump = |seconds: i64| {
        set.store(seconds, Ordering::SeqCst);
        runtime.block_on(wish.send(Wish::Fetch)).expect("a daemon");
        place.until("the daemon has seen it", || {
            let snapshot = seen.borrow();
            (snapshot.at.seconds - wall().seconds).abs() < 5
        });
    };
    let stale = || {
        let snapshot = Arc::clone(&seen.borrow());
        snapshot.status().map(|status| status.devices.iter().filter(|d| d.stale).count())
    };
    let contact = || place.device("till-1").and_then(|d| d.last_contact).expect("seen").seconds;
    place.until("the first", || runs(&one) && runs(&two) && stale() == Some(0));

    // A look that began before the clock was set, and ends after that.
    two.set_delay(Duration::from_secs(1));
    runtime.block_on(wish.send(Wish::Poke(id("till-2")))).expect("a daemon");
    std::thread::sleep(Duration::from_millis(300));
    jump(DAY);
    two.set_delay(Duration::ZERO);
    std::thread::sleep(Duration::from_secs(3));
    place.until("it counts as it was", || stale() == Some(0));
    jump(0);

    let pause = Pause {
        id: 0,
        scope: Scope::Device(id("till-1")),
        reason: "serviced".to_owned(),
        who: "ada".to_owned(),
        since: wall(),
        until: Some(Timestamp { seconds: wall().seconds + 3600 }),
    };
    store.pause(&pause).expect("written");
    runtime.block_on(wish.send(Wish::Orders)).expect("a daemon");
    place.until("it is paused", || place.device("till-1").is_some_and(|d| d.status.code == 400));

    jump(DAY);
    place.until("all were seen a moment ago", || stale() == Some(0));
    place.until("the store says so too", || (contact() - wall().seconds).abs() < 60);
    place.until("the pause is over", || {
        place.device("till-1").is_some_and(|d| d.status.code == 200)
    });

    jump(-DAY);
    place.until("and so they were", || stale() == Some(0));
    place.until("it holds again", || place.device("till-1").is_some_and(|d| d.status.code == 400));
    place.until("the store, too", || (contact() - wall().seconds).abs() < 60);
    for control in [&one, &two] {
        control.remove("web").expect("removed");
    }
    place.until("who is not paused is repaired", || runs(&two));
    assert!(!runs(&one), "who is paused is left alone");
    stop.send_replace(true);
    let ended =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(8), daemon).await });
    ended.expect("nothing is waited for").expect("no panic").expect("no trouble");
}
