//! Copies of a store that are put back when devices have got more since.

use crate::place::Place;
use crate::rollout_orders::on_the_store;
use crate::rollouts::{ALL, actions, all_have, base, order, rollout, shop, state};
use hoist::engine::simulated::Simulated;
use hoist::store::{OrderKind, Pause, Scope};
use serde_json::Value as Json;

/// As `docs/backup.md` says it.
fn forget() -> String {
    let text = include_str!("../../docs/backup.md");
    let begin = text.find("\"BEGIN;").expect("the words") + 1;
    let end = begin + text[begin..].find('"').expect("their end");
    text[begin..end].to_owned()
}

/// What engines run, by their own word.
fn containers(place: &Place) -> Vec<String> {
    let of = |device: &&str| {
        let file = place.state_folder().join(format!("engines/{device}.json"));
        let engine = Simulated::open(Some(file), device).expect("an engine");
        let seen = engine.control().observed().expect("seen");
        seen.containers.into_iter().map(|container| container.id).collect::<Vec<_>>()
    };
    ALL.iter().flat_map(of).collect()
}

fn put_back(place: &Place, copy: &std::path::Path) {
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(place.state_folder().join(file));
    }
    std::fs::copy(copy, place.state_folder().join("state.db")).expect("put back");
}

#[test]
fn a_copy_from_mid_rollout_that_forgets_what_devices_have_leaves_them_where_they_are() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    let scope = Scope::Device(hoist::model::DeviceId::parse("shop-3").expect("an id"));
    let (reason, who) = ("serviced".to_owned(), "ada".to_owned());
    let pause = Pause { id: 0, scope, reason, who, since: Place::now(), until: None };
    place.store_to_write().pause(&pause).expect("written");
    assert_eq!(daemon.stop(), 0);
    let (store, copy) = (place.state_folder().join("state.db"), place.path("copy.db"));
    std::fs::copy(&store, &copy).expect("a copy");

    place.store_to_write().take_back(OrderKind::Pause, None, "ada", Place::now()).expect("written");
    let daemon = place.watch(&[]);
    place.until("it goes on", || state(&place) == "running");
    for _ in 0..2 {
        place.until("it is told", || order(&place, "promote").0);
    }
    place.until("all", || all_have(&place, &ALL, "web:2") && state(&place) == "done");
    let before = containers(&place);
    assert_eq!(daemon.stop(), 0);

    put_back(&place, &copy);
    on_the_store(&place, &forget());
    assert_eq!(rollout(&place), Json::Null);
    let head = place.head();
    let _daemon = place.watch(&[]);
    let is_at_head = |device: &&str| {
        let in_force = place.device(device).and_then(|stored| stored.in_force);
        in_force.is_some_and(|in_force| in_force.revision == head)
    };
    place.until("all are known again", || ALL.iter().all(is_at_head));
    place.until("the pause holds again", || {
        place.device("shop-3").is_some_and(|d| d.status.description.contains("serviced"))
    });
    place.until("the others are seen", || all_have(&place, &ALL[..3], "web:2"));
    assert_eq!(containers(&place), before, "nothing restarts");
    let admitted = actions(&place).iter().filter(|(action, _)| action == "admit").count();
    assert_eq!(admitted, 1, "that of the copy's day");
}

/// A daemon that begins asks devices before it asks the repository.
#[test]
fn what_runs_of_a_commit_that_is_not_fetched_yet_is_known_when_it_is() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    let first = place.accepted();
    let promoted =
        place.commit(&[("deployments/base.toml", &format!("phased = false\n{}", base("2", "")))]);
    place.until("all", || all_have(&place, &ALL, "web:2"));
    assert_eq!(daemon.stop(), 0);
    let store = place.store_to_write();
    store.set_fleet_state("accepted-revision", first.as_deref()).expect("written");
    drop(store);
    on_the_store(
        &place,
        "UPDATE devices SET revision = NULL, manifest_hash = NULL, manifest = NULL, base = NULL, layers = NULL;",
    );
    let _daemon = place.watch(&["--resync", "1h"]);
    place.until("the newest counts", || place.accepted().as_ref() == Some(&promoted));
    place.until("all are known", || all_have(&place, &ALL, "web:2"));
}
