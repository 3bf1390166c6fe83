//! Devices that stand apart in a rollout: pinned ones, and ones on which something failed before.

use crate::place::Place;
use crate::rollouts::{ALL, REFUSED, actions, all_have, base, rollout, shop, state};

fn hoist(place: &Place, arguments: &[&str]) {
    let output = place
        .hoist(arguments)
        .args(["--simulate", "-C"])
        .arg(place.fleet())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn reason(place: &Place) -> String {
    rollout(place)["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn who_is_pinned_is_not_waited_for_and_comes_when_it_is_not() {
    let place = shop("1s");
    let daemon = place.watch(&[]);
    place.until("the first commit, at once", || all_have(&place, &ALL, "web:1"));
    let first = place.head();
    hoist(&place, &["pin", &first, "--device", "shop-2"]);
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the end", || state(&place) == "done");
    assert!(all_have(&place, &["canary-1", "shop-1", "shop-3"], "web:2"));
    assert!(place.has("shop-2", "web:1"), "the pinned one keeps what it has");
    assert_eq!(reason(&place), "all phases have passed; to come when they can: shop-2");
    let admitted = || actions(&place).iter().any(|one| *one == ("admit".into(), "shop-2".into()));
    assert!(!admitted());
    hoist(&place, &["unpin", "--device", "shop-2"]);
    place.until("it comes when it is not pinned any more", || place.has("shop-2", "web:2"));
    place.until("nobody is left behind", || reason(&place) == "all phases have passed");

    // Where all canaries are pinned nobody tries it before the others.
    hoist(&place, &["pin", &place.head(), "--device", "canary-1"]);
    place.commit(&[("deployments/base.toml", &base("3", ""))]);
    place.until("it waits", || state(&place) == "waiting");
    assert!(
        reason(&place).contains("canary waits: 1 held (canary-1: pinned by "),
        "{}",
        reason(&place)
    );
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(all_have(&place, &ALL, "web:2"));
    hoist(&place, &["unpin", "--device", "canary-1"]);
    place.until("it goes on", || all_have(&place, &ALL, "web:3"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn what_failed_before_and_stays_as_it_is_says_nothing_of_a_change() {
    let place = shop("1s");
    let sick = |more: &str| format!("[modules.sick]\nimage = \"sick:1\"\n{REFUSED}\n{more}");
    place.commit(&[("deployments/base.toml", &base("1", &sick("")))]);
    let daemon = place.watch(&[]);
    let fails = |device: &str| place.device(device).is_some_and(|stored| stored.status.code == 422);
    place.until("it fails on all", || ALL.iter().all(|device| fails(device)));

    let second = place.commit(&[("deployments/base.toml", &base("2", &sick("")))]);
    let ends = |to: &str, how: &str| rollout(&place)["to"] == to && state(&place) == how;
    place.until("it goes through all phases", || ends(&second, "done"));
    let has = |device: &str, text: &str| {
        let in_force = place.device(device).and_then(|stored| stored.in_force);
        in_force.is_some_and(|in_force| in_force.manifest.contains(text))
    };
    assert!(ALL.iter().all(|device| has(device, "web:2")));

    // What changes and fails is no excuse.
    let third = place.commit(&[("deployments/base.toml", &base("3", &sick("env.A = \"1\"")))]);
    place.until("it goes back", || ends(&third, "rolled back"));
    assert!(
        reason(&place).starts_with("canary: 1 of 1 failed: canary-1: sick: "),
        "{}",
        reason(&place)
    );
    place.until("the canary too", || has("canary-1", "web:2"));
    assert!(!has("shop-1", "web:3"));
    assert_eq!(daemon.stop(), 0);
}
