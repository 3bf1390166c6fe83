//! Devices that get another id while the store can't be written, or while they are looked at.

use crate::by_hand::hoist;
use crate::place::Place;
use crate::rollout_orders::{log, on_the_store, refuse};
use crate::rollouts::{
    ALL, DEVICES, SHOPS, actions, all_have, base, in_force_has, rollout, shop, state,
};

fn known(place: &Place) -> Vec<String> {
    let devices = place.store().expect("a store").load_devices().expect("readable");
    devices.into_keys().map(|id| id.to_string()).collect()
}

/// What a commit says of names counts when the commit does, or not at all.
#[test]
fn a_name_counts_with_its_revision_or_not_at_all() {
    let place = shop("1h");
    let daemon = place.watch(&["--poll", "1s"]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    let second = place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    let soaks =
        || rollout(&place)["reason"].as_str().is_some_and(|r| r.starts_with("canary soaks"));
    place.until("it soaks", soaks);

    refuse(&place, "accept");
    let devices =
        DEVICES.replace("id = \"canary-1\"", "id = \"canary-a\"\nformerly = [\"canary-1\"]");
    let renamed = place.commit(&[("devices/all.toml", &devices)]);
    place.until("the daemon can't", || log(&place).contains("no room"));
    assert_eq!(known(&place), ALL, "by the ids of what counts");
    assert_eq!(place.accepted().as_ref(), Some(&second));
    place.until("what counts goes on by these", soaks);
    daemon.kill();
    let daemon = place.watch(&["--poll", "1s"]);
    place.until("the same for the next one", || log(&place).matches("no room").count() > 1);
    assert_eq!(known(&place), ALL);
    assert!(in_force_has(&place, "canary-1", "web:2"));

    on_the_store(&place, "DROP TRIGGER full");
    place.until("it counts", || place.accepted().as_ref() == Some(&renamed));
    assert_eq!(known(&place), ["canary-a", "shop-1", "shop-2", "shop-3"]);
    place.until("the canary soaks by its new name", || soaks() && place.has("canary-a", "web:2"));
    assert!(all_have(&place, &SHOPS, "web:1"));
    assert_eq!(state(&place), "running");
    assert_eq!(daemon.stop(), 0);
}

/// Nor does a plan that nobody agreed to change names, and what was ordered of a device holds under the next one.
#[test]
fn an_apply_that_is_not_agreed_to_changes_no_names() {
    let place = shop("1h");
    let fleet = place.fleet().display().to_string();
    let apply =
        |more: &[&str]| hoist(&place, &[&["-C", &fleet, "apply", "--simulate"], more].concat());
    assert_eq!(apply(&["--yes"]).code, 0);
    let paused = ["-C", &fleet, "pause", "canary-1", "--reason", "serviced", "--simulate"];
    let said = hoist(&place, &paused);
    assert_eq!(said.code, 0, "{}", said.err);
    let devices =
        DEVICES.replace("id = \"canary-1\"", "id = \"canary-a\"\nformerly = [\"canary-1\"]");
    place.commit(&[("devices/all.toml", &devices), ("deployments/base.toml", &base("2", ""))]);
    let unasked = apply(&[]);
    assert_eq!(unasked.code, 1, "{}{}", unasked.out, unasked.err);
    assert!(unasked.out.contains("serviced"), "{}", unasked.out);
    assert_eq!(known(&place), ALL);
    let said = apply(&["--yes"]);
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    assert_eq!(known(&place), ["canary-a", "shop-1", "shop-2", "shop-3"]);
    assert!(in_force_has(&place, "canary-a", "web:1") && all_have(&place, &SHOPS, "web:2"));
    assert!(actions(&place).contains(&("rename".to_owned(), "canary-a".to_owned())));
}
