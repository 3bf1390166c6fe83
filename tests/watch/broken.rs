//! A fault of Hoist's own in the middle of the daemon's work.

use crate::place::Place;
use crate::simulated::base;
use hoist::config::Config;
use hoist::engine::simulated::{Behaviour, Control, Simulated};
use hoist::engine::{
    Engine, EngineFuture, EventStream, FileSeen, LogStream, LogsWanted, SecretValues, Wanted,
};
use hoist::model::{ContainerState, DeviceId, EngineReport, Observation};
use hoist::plan::{Step, StepOutput};
use hoist::reconcile::{
    Gate, Snapshot, Tally, WatchParts, WatchSettings, Wish, kept_rollout, machine_clock, watch,
};
use hoist::source::Remote;
use hoist::store::{Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch as latest};

const FLEET: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n";
const TILLS: &str = "[tags]\nenvironment = \"prod\"\n[[device]]\nid = \"till-1\"\ntags.ring = \"first\"\n[[device]]\nid = \"till-2\"\n";

/// An engine for which Hoist has a fault: the next calls panic.
struct Breaking {
    engine: Simulated,
    facts: AtomicUsize,
    lists: AtomicUsize,
    stops: AtomicUsize,
    waits: AtomicUsize,
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

    fn answers(&self) -> EngineFuture<'_, ()> {
        self.engine.answers()
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
        if matches!(step, Step::Stop { .. }) {
            break_down(&self.stops);
        }
        if matches!(step, Step::WaitRunning { .. }) {
            break_down(&self.waits);
        }
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

/// A daemon over two tills, of which the first one has a [`Breaking`] engine.
struct Shop {
    place: Place,
    breaking: Arc<Breaking>,
    one: Control,
    two: Control,
    runtime: tokio::runtime::Runtime,
    daemon: tokio::task::JoinHandle<Result<(), StoreError>>,
    wish: mpsc::Sender<Wish>,
    stop: latest::Sender<bool>,
}

fn id(name: &str) -> DeviceId {
    DeviceId::parse(name).expect("a name")
}

impl Shop {
    fn open(fleet: &str, facts: usize, lists: usize) -> Self {
        Self::with(fleet, &base("1"), facts, lists)
    }

    fn with(fleet: &str, deployment: &str, facts: usize, lists: usize) -> Self {
        let place = Place::new(&[
            ("fleet.toml", fleet),
            ("devices/tills.toml", TILLS),
            ("deployments/base.toml", deployment),
        ]);
        let open = |name: &str| Simulated::open(None, name).expect("an engine");
        let (first, second) = (open("till-1"), open("till-2"));
        let (one, two) = (first.control(), second.control());
        let (facts, lists) = (AtomicUsize::new(facts), AtomicUsize::new(lists));
        let (stops, waits) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let breaking = Arc::new(Breaking { engine: first, facts, lists, stops, waits });
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
        Self { place, breaking, one, two, runtime, daemon, wish, stop }
    }

    /// Whether the first till's status has this code.
    fn says(&self, code: u16) -> bool {
        self.place.device("till-1").is_some_and(|known| known.status.code == code)
    }

    /// Whoever doesn't want to wait for a pause need not.
    fn poke(&self) {
        self.runtime.block_on(self.wish.send(Wish::Poke(id("till-1")))).expect("a daemon");
    }

    fn close(self) {
        self.stop.send_replace(true);
        let limit = Duration::from_secs(4);
        let daemon = self.daemon;
        let ended = self.runtime.block_on(async { tokio::time::timeout(limit, daemon).await });
        ended.expect("nothing is waited for").expect("no panic").expect("no trouble");
    }
}

fn runs(control: &Control, image: &str) -> bool {
    let all = control.observed().expect("a list").containers;
    all.iter().any(|container| container.image == image)
}

#[test]
fn what_breaks_down_is_told_and_tried_again_and_holds_up_nothing_else() {
    // Within the first look at the repository what runs is listed; a device's own first look asks for facts.
    let shop = Shop::open(FLEET, 1, 1);
    let Shop { place, breaking, one, two, .. } = &shop;
    place.until("the other device", || runs(two, "web:1"));
    place.until("told", || shop.says(500));
    let words = place.device("till-1").expect("known").status.description;
    assert!(words.contains("a fault of Hoist") && !words.contains("a test wants"), "{words}");
    place.until("tried again", || runs(one, "web:1") && shop.says(200));

    breaking.lists.store(1, Ordering::SeqCst);
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("told again", || shop.says(500));
    assert_eq!(breaking.lists.load(Ordering::SeqCst), 0);
    shop.poke();
    place.until("the second", || runs(one, "web:2") && runs(two, "web:2") && shop.says(200));
    shop.close();
}

/// The first till is let in, and no look at it succeeds from then on: its phase waits for that, says so, and fails by its
/// time limit. While it soaks, one look that breaks down is no failure.
#[test]
fn a_rollout_waits_for_what_breaks_down_as_long_as_its_phase_may_take() {
    let phased = |soak: &str| {
        format!(
            "{FLEET}[guards]\nmax-devices-disrupted = \"100%\"\n[rollout]\nsoak = \"{soak}\"\ntimeout = \"4s\"\n\
             [[rollout.phases]]\nname = \"first\"\ntarget = \"tags.ring = 'first'\"\n"
        )
    };
    let shop = Shop::open(&phased("3s"), 0, 0);
    let Shop { place, breaking, one, two, .. } = &shop;
    let rollout = || {
        let kept = kept_rollout(&place.store().expect("a store")).expect("readable");
        kept.map(|rollout| rollout.standing()).map(|standing| (standing.state, standing.reason))
    };
    let says = |state: &str, text: &str| {
        rollout().is_some_and(|(is, reason)| is == state && reason.contains(text))
    };
    place.until("the first", || runs(one, "web:1") && runs(two, "web:1") && shop.says(200));

    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("it soaks", || says("running", "first soaks"));
    breaking.lists.store(1, Ordering::SeqCst);
    shop.poke();
    place.until("told", || shop.says(500));
    // Its pause is longer than the phase may take here.
    shop.poke();
    place.until("well again", || shop.says(200));
    place.until("all have it", || says("done", "") && runs(one, "web:2") && runs(two, "web:2"));

    breaking.lists.store(usize::MAX, Ordering::SeqCst);
    place.commit(&[("deployments/base.toml", &base("3"))]);
    place.until("it says what it waits for", || {
        says("running", "1 of 1 of first not reported yet (till-1: looking at it broke down")
    });
    let why =
        "till-1: it has not succeeded in 4s: looking at it broke down, which is a fault of Hoist";
    place.until("time is up", || says("rolled back", why));
    assert!(says("rolled back", "1 on the way back"), "{:?}", rollout());
    assert!(!runs(two, "web:3"), "nobody else goes");

    breaking.lists.store(0, Ordering::SeqCst);
    shop.poke();
    place.until("back", || shop.says(200) && !says("rolled back", "on the way back"));
    assert!(runs(one, "web:2") && runs(two, "web:2"));
    shop.close();
}

/// A device at which nobody can look is not let in, and that is what its phase says.
#[test]
fn what_breaks_down_before_its_turn_is_not_let_in() {
    let phased = format!(
        "{FLEET}[guards]\nmax-devices-disrupted = \"100%\"\n[rollout]\nsoak = \"0s\"\ntimeout = \"2s\"\n\
         [[rollout.phases]]\nname = \"first\"\ntarget = \"tags.ring = 'first'\"\n"
    );
    let shop = Shop::open(&phased, 0, 0);
    let Shop { place, breaking, one, two, .. } = &shop;
    let reason = || {
        let kept = kept_rollout(&place.store().expect("a store")).expect("readable");
        kept.map_or(String::new(), |rollout| rollout.standing().reason)
    };
    place.until("the first", || runs(one, "web:1") && runs(two, "web:1") && shop.says(200));
    breaking.lists.store(usize::MAX, Ordering::SeqCst);
    shop.poke();
    place.until("told", || shop.says(500));
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("held", || {
        reason().starts_with("first waits: 1 held (till-1: looking at it broke down")
    });
    breaking.lists.store(0, Ordering::SeqCst);
    shop.poke();
    place.until("all have it", || runs(one, "web:2") && runs(two, "web:2"));
    shop.close();
}

/// It breaks down within a run that has taken the policy away by which the engine starts the container itself, and then
/// nothing is to be changed any more.
#[test]
fn what_a_run_did_that_broke_down_is_not_taken_for_undone() {
    let shop = Shop::open(FLEET, 0, 0);
    let Shop { place, breaking, one, two, .. } = &shop;
    place.until("the first", || runs(one, "web:1") && runs(two, "web:1") && shop.says(200));
    breaking.stops.store(usize::MAX, Ordering::SeqCst);
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("told", || shop.says(500));
    assert_eq!(one.restart_policy("web").expect("it is there"), "no");
    breaking.stops.store(0, Ordering::SeqCst);
    place.commit(&[("deployments/base.toml", &base("1"))]);
    place.until("as before", || {
        let policy = one.restart_policy("web").expect("it is there");
        policy == "always" && runs(one, "web:1") && !runs(one, "web:2") && shop.says(200)
    });
    shop.close();
}

/// What made room for a module is owed its place, as the store knows since before it went: it starts again where what came fails.
#[test]
fn what_a_run_that_broke_down_stopped_runs_again_where_what_came_fails() {
    let only = |module: &str| {
        format!(
            "target = \"*\"\n[modules.{module}]\nimage = \"{module}:1\"\nports = [\"8080:80\"]\n"
        )
    };
    let fleet = FLEET.replace("\"0s\"", "\"1s\"");
    let shop = Shop::with(&fleet, &only("former"), 0, 0);
    let Shop { place, breaking, one, two, .. } = &shop;
    place.until("the first", || runs(one, "former:1") && runs(two, "former:1") && shop.says(200));
    one.behave("next:1", Behaviour::Ends { code: 3, after: 0 }).expect("it is told");
    breaking.waits.store(1, Ordering::SeqCst);
    place.commit(&[("deployments/base.toml", &only("next"))]);
    place.until("told", || {
        let told = place.device("till-1").map(|known| known.status.description);
        told.is_some_and(|words| words.contains("a fault of Hoist"))
    });
    assert_eq!(one.restart_policy("former").expect("it is there"), "no");
    shop.poke();
    place.until("as before", || {
        let all = one.observed().expect("a list").containers;
        matches!(all.as_slice(), [c] if c.name == "former" && c.state == ContainerState::Running)
    });
    assert_eq!(one.restart_policy("former").expect("it is there"), "always");
    place.until("the other has it", || runs(two, "next:1") && !runs(two, "former:1"));
    shop.close();
}
