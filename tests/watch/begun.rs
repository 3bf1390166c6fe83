//! A new module that can't be started, beside a daemon.

use crate::simulated::{all_have, base, shop};
use crate::truth::engine;
use hoist::engine::simulated::Behaviour;
use hoist::model::DeviceId;
use hoist::store::{HistoryEntry, HistoryFilter};
use std::time::Duration;

/// The engine tells of what a try made and took away, which is no reason for the next one.
#[test]
fn what_can_not_be_started_is_tried_in_its_pauses_alone() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    engine(&place, "till-1").control().behave("next:1", Behaviour::BadCommand).expect("told");
    let next = base("1") + "[modules.next]\nimage = \"next:1\"\n";
    place.commit(&[("deployments/base.toml", &next)]);
    let is_waiting = || {
        let words = place.device("till-1").map(|device| device.status.description);
        words.is_some_and(|words| words.starts_with("next: not tried again before "))
    };
    place.until("it waits", is_waiting);
    std::thread::sleep(Duration::from_secs(5));
    assert!(is_waiting());
    let tries = || {
        let device = Some(DeviceId::parse("till-1").expect("an id"));
        let filter = HistoryFilter { device, since: None, limit: None };
        let entries = place.store().expect("a store").history(&filter).expect("read");
        let is_next = |e: &&HistoryEntry| e.module.as_ref().is_some_and(|m| m.as_str() == "next");
        entries.iter().filter(is_next).map(|entry| entry.at.seconds).collect::<Vec<_>>()
    };
    place.until("it is tried once more", || tries().len() == 2);
    place.until("it waits again, and says so", is_waiting);
    daemon.stop();
    let tries = tries();
    assert_eq!(tries.len(), 2, "one row a try");
    assert!(tries[0].abs_diff(tries[1]) >= 9, "{tries:?}");
}
