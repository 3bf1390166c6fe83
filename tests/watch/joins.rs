//! Devices that facts bring into a rollout while it is under way.

use crate::place::Place;
use crate::rollouts::{ALL, actions, all_have, in_force_has, order, rollout, shop, state};
use std::sync::Arc;

/// A layer that a device gets by its tags, or by what its engine says of itself.
fn layer(target: &str, image: &str, priority: u32) -> String {
    format!(
        "kind = \"layered\"\ntarget = \"{target}\"\npriority = {priority}\n[modules.{image}]\nimage = \"{image}:1\"\n"
    )
}

/// What the engine of a device says will have held for ten minutes in a moment.
fn will_have_held(place: &Place, device: &str) {
    let store = place.store_to_write();
    let known = store.load_devices().expect("readable").remove(device).expect("recorded");
    let mut stored = Arc::unwrap_or_clone(known);
    let facts = Arc::make_mut(stored.facts.as_mut().expect("it was seen"));
    let since = hoist::model::Timestamp { seconds: Place::now().seconds - 600 + 3 };
    facts.held.values_mut().for_each(|held| held.since = since);
    store.record_device(&stored).expect("written");
}

#[test]
fn facts_bring_what_is_proven_at_once_and_nothing_else_before_its_turn() {
    let place = shop("1h");
    place
        .commit(&[("deployments/known.toml", &layer("properties.reported.cpus = 4", "known", 60))]);
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    let wide = layer("tags.ring = 'canary' OR properties.reported.cpus = 4", "extra", 70);
    place.commit(&[("deployments/extra.toml", &wide)]);
    place.until("the canary", || place.has("canary-1", "extra:1"));
    assert_eq!(rollout(&place)["phases"][1]["devices"], 0, "nobody else changes");
    assert_eq!(daemon.stop(), 0);

    will_have_held(&place, "shop-2");
    let daemon = place.watch(&[]);
    place.until("it joins", || rollout(&place)["phases"][1]["devices"] == 1);
    place.until("what had gone through wants more of it now", || place.has("shop-2", "known:1"));
    assert!(!in_force_has(&place, "shop-2", "extra:1"), "not proven");
    assert!(!in_force_has(&place, "canary-1", "known:1"), "its own facts are too young");
    place.until("it soaks on", || {
        rollout(&place)["reason"].as_str().is_some_and(|r| r.starts_with("canary soaks until "))
    });
    // The next daemon knows it as well, and one more joins while nobody looks.
    assert_eq!(daemon.stop(), 0);
    will_have_held(&place, "shop-3");
    std::thread::sleep(std::time::Duration::from_secs(4));
    let _daemon = place.watch(&[]);
    place.until("one more", || rollout(&place)["phases"][1]["devices"] == 2);
    place.until("what is proven", || place.has("shop-3", "known:1"));
    for shop in ["shop-1", "shop-2", "shop-3"] {
        assert!(!in_force_has(&place, shop, "extra:1"), "{shop}");
    }
    assert!(order(&place, "promote").0);
    place.until("their turn", || all_have(&place, &["shop-2", "shop-3"], "extra:1"));
    assert!(order(&place, "promote").0);
    place.until("the end", || state(&place) == "done");
    assert!(all_have(&place, &["shop-2", "shop-3"], "known:1"));
    assert!(!in_force_has(&place, "shop-1", "extra:1"));
    let admitted: Vec<String> =
        actions(&place).into_iter().filter(|(a, _)| a == "admit").map(|(_, d)| d).collect();
    assert_eq!(admitted[0], "canary-1");
    assert_eq!(admitted.len(), 3, "{admitted:?}");
}
