//! What people want of a rollout is done once, whatever becomes of the store or the daemon meanwhile.

use crate::place::Place;
use crate::rollouts::{ALL, actions, all_have, base, order, shop, state};

/// Some of what the daemon writes can't be written.
pub(crate) fn refuse(place: &Place, action: &str) {
    let words = format!(
        "CREATE TRIGGER full BEFORE INSERT ON history WHEN NEW.action = '{action}' \
         BEGIN SELECT RAISE(FAIL, 'no room'); END"
    );
    on_the_store(place, &words);
}

pub(crate) fn on_the_store(place: &Place, words: &str) {
    let file = place.state_folder().join("state.db");
    let store = rusqlite::Connection::open(file).expect("the store");
    store.busy_timeout(std::time::Duration::from_secs(30)).expect("set");
    store.execute_batch(words).expect(words);
}

pub(crate) fn log(place: &Place) -> String {
    std::fs::read_to_string(place.path("log")).unwrap_or_default()
}

#[test]
fn an_order_that_can_not_be_written_down_is_obeyed_when_it_can() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    refuse(&place, "rollout abort");
    assert!(order(&place, "abort").0);
    place.until("the daemon can't", || log(&place).contains("no room"));
    assert_eq!(state(&place), "running");
    on_the_store(&place, "DROP TRIGGER full");
    place.until("it is obeyed", || all_have(&place, &ALL, "web:1"));
    assert_eq!(state(&place), "rolled back");

    // Nor is it lost with the daemon that was told.
    refuse(&place, "rollout retry");
    assert!(order(&place, "retry").0);
    let tries = || log(&place).matches("no room").count();
    place.until("the daemon can't", || tries() > 1);
    daemon.kill();
    on_the_store(&place, "DROP TRIGGER full");
    let _daemon = place.watch(&[]);
    place.until("the next one obeys", || place.has("canary-1", "web:2"));
    let told = |wanted: &str| actions(&place).iter().filter(|(a, _)| a == wanted).count();
    assert_eq!((told("rollout abort"), told("rollout retry")), (1, 1), "once each");
    assert!(place.store().expect("a store").rollout_orders().expect("readable").is_empty());
}
