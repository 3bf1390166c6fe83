//! A store that takes nothing for a while, in simulated time: pauses are counted, not waited for.

use crate::place::Place;
use crate::rollout_orders::on_the_store;
use hoist::config::Config;
use hoist::engine::Engine;
use hoist::engine::simulated::Simulated;
use hoist::model::{DeviceId, Timestamp};
use hoist::reconcile::{Gate, Snapshot, Tally, WatchParts, WatchSettings, watch};
use hoist::source::Remote;
use hoist::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch as latest};
use tokio::time::{Instant, sleep};

const FLEET: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n";
const BASE: &str = "target = \"*\"\n[modules.web]\nimage = \"web:1\"\n";

/// Longer than what is tried below.
const NEVER: Duration = Duration::from_secs(7200);

fn settings() -> WatchSettings {
    WatchSettings {
        poll: NEVER,
        resync: NEVER,
        wanted: None,
        only: None,
        signers: None,
        history: NEVER,
        side_by_side: 4,
        pulls_per: None,
        stop_limit: Duration::from_secs(5),
        who: "test".to_owned(),
    }
}

/// What a full disk refuses; what was there before can be read.
fn refuse_everything() -> String {
    let refuse = |(number, on): (usize, &str)| {
        format!("CREATE TRIGGER full{number} BEFORE {on} BEGIN SELECT RAISE(FAIL, 'no room'); END;")
    };
    ["INSERT ON history", "INSERT ON fleet_state", "INSERT ON devices", "INSERT ON memories"]
        .into_iter()
        .enumerate()
        .map(refuse)
        .collect()
}

#[test]
fn who_was_cut_short_is_looked_at_as_soon_as_there_is_room() {
    let place = Place::new(&[
        ("fleet.toml", FLEET),
        ("devices/till.toml", ""),
        ("deployments/base.toml", BASE),
    ]);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let engine = Simulated::open(None, "till").expect("an engine");
        let control = engine.control();
        let store = Arc::new(Store::open(&place.state_folder()).expect("a store"));
        let (_wish, wishes) = mpsc::channel(8);
        let (snapshots, _seen) = latest::channel(Arc::new(Snapshot::default()));
        let (stop, stopped) = latest::channel(false);
        let began = Instant::now();
        let till = DeviceId::parse("till").expect("an id");
        let engines = BTreeMap::from([(till, Arc::new(engine) as Arc<dyn Engine>)]);
        let parts = WatchParts {
            remote: Arc::new(Remote::here(&place.fleet(), "main")),
            gate: Gate::new(Config::built_in(), None, store.hash_key().0).with_engines(engines),
            lock: store.lock().expect("nobody else works on it"),
            store: Arc::clone(&store),
            tally: Arc::new(Tally::default()),
            wishes,
            snapshots,
            stop: stopped,
            wall: Arc::new(move || Timestamp {
                seconds: 1_800_000_000_i64.saturating_add_unsigned(began.elapsed().as_secs()),
            }),
        };
        let daemon = tokio::spawn(watch(settings(), parts));
        let runs = || control.observed().expect("simulated").containers.len();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(runs(), 1);

        on_the_store(&place, &refuse_everything());
        control.remove("web").expect("simulated");
        // Tries after 5, 10, 20, 40, 80 and 160 s; the next one would come after 300 s more.
        sleep(Duration::from_secs(360)).await;
        assert_eq!(runs(), 0, "nothing is done that can't be written down");

        let again: String = (0..4).map(|number| format!("DROP TRIGGER full{number};")).collect();
        on_the_store(&place, &again);
        sleep(Duration::from_secs(15)).await;
        assert_eq!(runs(), 1, "it does not sit out a pause that grew by no fault of its own");
        stop.send(true).expect("it listens");
        daemon.await.expect("it ends").expect("the store is whole");
    });
}
