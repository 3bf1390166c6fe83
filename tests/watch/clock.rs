//! The clock of the control host is set while the daemon works.

use crate::place::Place;
use crate::simulated::base;
use hoist::config::Config;
use hoist::engine::Engine;
use hoist::engine::simulated::{CallKind, Control, Simulated};
use hoist::model::{DeviceId, Timestamp};
use hoist::plan::StepKind;
use hoist::reconcile::{
    Gate, Snapshot, Tally, Wall, WatchParts, WatchSettings, Wish, machine_clock, watch,
};
use hoist::source::Remote;
use hoist::store::{EngineWish, Pause, Scope, StatusSince, Store, StoreError, StoredDevice};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

pub(crate) fn id(name: &str) -> DeviceId {
    DeviceId::parse(name).expect("a name")
}

fn runs(control: &Control) -> bool {
    let all = control.observed().expect("a list").containers;
    all.iter().any(|container| container.image == "web:1")
}

/// A daemon over two tills whose clock can be set.
pub(crate) struct Shop {
    pub(crate) place: Place,
    one: Control,
    pub(crate) two: Control,
    store: Arc<Store>,
    /// How far the clock is off.
    set: Arc<AtomicI64>,
    /// As long as somebody holds it, whoever asks for the time waits: the loop does.
    hold: Arc<Mutex<()>>,
    wall: Wall,
    wish: mpsc::Sender<Wish>,
    seen: latest::Receiver<Arc<Snapshot>>,
    stop: latest::Sender<bool>,
    runtime: tokio::runtime::Runtime,
    daemon: tokio::task::JoinHandle<Result<(), StoreError>>,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::open_with(&[])
    }

    /// With what the store knows before.
    fn open_with(known: &[StoredDevice]) -> Self {
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
        store.record_devices(known).expect("written");
        let lock = store.lock().expect("nobody else works on it");
        let (wish, wishes) = mpsc::channel(8);
        let (snapshots, seen) = latest::channel(Arc::new(Snapshot::default()));
        let (stop, stopped) = latest::channel(false);
        let set = Arc::new(AtomicI64::new(0));
        let hold = Arc::new(Mutex::new(()));
        let (machine, off, held) = (machine_clock(), Arc::clone(&set), Arc::clone(&hold));
        let wall: Wall = Arc::new(move || {
            // Whatever else the runtime does goes on meanwhile.
            let wait = || drop(held.lock().unwrap_or_else(PoisonError::into_inner));
            tokio::task::block_in_place(wait);
            Timestamp { seconds: machine().seconds + off.load(Ordering::SeqCst) }
        });
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
        Self { place, one, two, store, set, hold, wall, wish, seen, stop, runtime, daemon }
    }

    pub(crate) fn wish(&self, wish: Wish) {
        self.runtime.block_on(self.wish.send(wish)).expect("a daemon");
    }

    fn jump(&self, seconds: i64) {
        self.set.store(seconds, Ordering::SeqCst);
        self.wish(Wish::Fetch);
        self.place.until("the daemon has seen it", || {
            let snapshot = self.seen.borrow();
            (snapshot.at.seconds - (self.wall)().seconds).abs() < 5
        });
    }

    fn is_now(&self, at: Timestamp) -> bool {
        (at.seconds - (self.wall)().seconds).abs() < 60
    }

    pub(crate) fn end(self) {
        self.stop.send_replace(true);
        let daemon = self.daemon;
        let ended = self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(8), daemon).await });
        ended.expect("nothing is waited for").expect("no panic").expect("no trouble");
    }
}

/// Seen a moment ago is seen a moment ago, and a pause holds for whom it says so.
#[test]
fn a_clock_that_jumps_makes_nobody_stale_and_pauses_hold_as_they_say() {
    let shop = Shop::open();
    let Shop { place, one, two, store, seen, wall, .. } = &shop;
    let stale = || {
        let snapshot = Arc::clone(&seen.borrow());
        snapshot.status().map(|status| status.devices.iter().filter(|d| d.stale).count())
    };
    let contact = || place.device("till-1").and_then(|d| d.last_contact).expect("seen");
    place.until("the first", || runs(one) && runs(two) && stale() == Some(0));

    // A look that began before the clock was set, and ends after that.
    two.forget_calls();
    two.set_delay(Duration::from_secs(1));
    shop.wish(Wish::Poke(id("till-2")));
    place.until("the look has begun", || !two.calls().is_empty());
    shop.jump(DAY);
    two.set_delay(Duration::ZERO);
    std::thread::sleep(Duration::from_secs(3));
    place.until("it counts as it was", || stale() == Some(0));
    shop.jump(0);

    let pause = Pause {
        id: 0,
        scope: Scope::Device(id("till-1")),
        reason: "serviced".to_owned(),
        who: "ada".to_owned(),
        since: wall(),
        until: Some(Timestamp { seconds: wall().seconds + 3600 }),
    };
    store.pause(&pause).expect("written");
    shop.wish(Wish::Orders);
    place.until("it is paused", || place.device("till-1").is_some_and(|d| d.status.code == 400));

    shop.jump(DAY);
    place.until("all were seen a moment ago", || stale() == Some(0));
    place.until("the store says so too", || shop.is_now(contact()));
    place.until("the pause is over", || {
        place.device("till-1").is_some_and(|d| d.status.code == 200)
    });

    shop.jump(-DAY);
    place.until("and so they were", || stale() == Some(0));
    place.until("it holds again", || place.device("till-1").is_some_and(|d| d.status.code == 400));
    place.until("the store, too", || shop.is_now(contact()));
    for control in [one, two] {
        control.remove("web").expect("removed");
    }
    place.until("who is not paused is repaired", || runs(two));
    assert!(!runs(one), "who is paused is left alone");
    shop.end();
}

/// Whoever was paused by the suspended machine beside it may be away by now: all are asked.
#[test]
fn after_a_jump_every_device_is_looked_at() {
    let shop = Shop::open();
    let Shop { place, one, two, .. } = &shop;
    place.until("the first", || {
        ["till-1", "till-2"].iter().all(|id| place.device(id).is_some_and(|d| d.status.code == 200))
    });
    [one, two].iter().for_each(|control| control.forget_calls());
    shop.jump(DAY);
    place.until("they are looked at", || {
        [one, two].iter().all(|control| control.count(CallKind::List) > 0)
    });
    shop.end();
}

/// A look writes what came of it by itself: the loop hears of it later, here after the jump.
#[test]
fn what_a_look_wrote_before_a_jump_that_it_is_taken_in_after_stays_written() {
    let shop = Shop::open();
    let Shop { place, two, set, hold, .. } = &shop;
    let is_good = || place.device("till-2").is_some_and(|d| d.status.code == 200);
    place.until("the first", || runs(two) && is_good());
    let container = || {
        let device = place.device("till-2").expect("known");
        device.modules.get("web").and_then(|web| web.container.clone())
    };
    let first = container();
    let running = || {
        let all = two.observed().expect("a list").containers;
        all.into_iter().find(|container| container.name == "web").map(|container| container.id)
    };
    two.forget_calls();
    two.set_delay(Duration::from_millis(500));
    two.remove("web").expect("removed");
    // Not merely that a look has begun: one that saw the container as it was would write nothing new.
    let creates = CallKind::Step(StepKind::Create);
    place.until("a look that puts it back", || two.count(creates) > 0);
    let held = hold.lock().expect("not held");
    place.until("it has written what came of it", || {
        container().is_some_and(|id| Some(&id) != first.as_ref())
    });
    set.store(DAY, Ordering::SeqCst);
    drop(held);
    two.set_delay(Duration::ZERO);
    place.until("all is well and written", || container() == running());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(container(), running(), "what was written stays");
    shop.end();
}

/// What a look writes by the clock as it was is moved along where the loop hears of it.
#[test]
fn what_a_look_writes_during_a_jump_is_moved_along_in_the_store_too() {
    let shop = Shop::open();
    let Shop { place, two, .. } = &shop;
    place.until("the first", || place.device("till-2").is_some_and(|d| d.status.code == 200));
    two.forget_calls();
    two.set_delay(Duration::from_millis(700));
    two.remove("web").expect("removed");
    place.until("a look has begun", || !two.calls().is_empty());
    shop.jump(DAY);
    place.until("it goes on", || runs(two));
    two.set_delay(Duration::ZERO);
    place.until("what it wrote is moved along", || {
        place.device("till-2").is_some_and(|d| {
            d.status.code == 200 && d.last_contact.is_some_and(|at| shop.is_now(at))
        })
    });
    shop.end();
}

/// The happening that wakes the loop after a jump is the first that is by the new clock.
#[test]
fn what_happens_right_after_a_jump_is_not_moved_along_with_what_was() {
    let held = StoredDevice {
        engine_id: Some("another".to_owned()),
        ..StoredDevice::unknown(id("till-1"), Timestamp { seconds: 0 })
    };
    let shop = Shop::open_with(&[held]);
    let Shop { place, one, store, set, seen, .. } = &shop;
    let status =
        || -> Option<StatusSince> { Some(seen.borrow().devices.get("till-1")?.status.clone()) };
    place.until("another engine is told of", || status().is_some_and(|s| s.code == 409));
    let engine = "simulated-till-1".to_owned();
    let wish = EngineWish { device: id("till-1"), engine, who: "ada".to_owned() };
    store.wish_engine(&wish).expect("written");
    one.set_delay(Duration::from_secs(3));
    set.store(DAY, Ordering::SeqCst);
    shop.wish(Wish::Orders);
    place.until("it is accepted", || status().is_some_and(|s| s.code == 202));
    assert!(shop.is_now(status().expect("known").since), "{:?}", status());
    one.set_delay(Duration::ZERO);
    shop.end();
}

/// Who reads the store beside the daemon reads the same as the daemon says.
#[test]
fn since_when_a_device_is_as_it_is_moves_along_in_the_store_too() {
    let shop = Shop::open();
    let place = &shop.place;
    let since = || place.device("till-1").filter(|d| d.status.code == 200).map(|d| d.status.since);
    place.until("the first", || since().is_some());
    for jump in [DAY, -DAY] {
        shop.jump(jump);
        place.until("a moment ago", || since().is_some_and(|since| shop.is_now(since)));
    }
    shop.end();
}
