//! What a commit is to a rollout, and a rollout to what comes to it: newer commits, new devices, orders after its end.

use crate::by_hand::{done, hoist};
use crate::http::get;
use crate::place::Place;
use crate::rollouts::{
    ALL, DEVICES, REFUSED, SHOPS, actions, all_have, base, fleet, in_force_has, order, rollout,
    shop, state,
};
use serde_json::Value as Json;

#[test]
fn whatever_the_cause_it_goes_in_phases() {
    let place = shop("1s");
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    let narrow = "kind = \"layered\"\ntarget = \"tags.ring = 'none'\"\npriority = 60\n[modules.extra]\nimage = \"extra:1\"\n";
    place.commit(&[("deployments/extra.toml", narrow)]);
    let first_admitted_after = |from: usize| {
        let actions = actions(&place);
        let admitted: Vec<String> =
            actions[from..].iter().filter(|(a, _)| a == "admit").map(|(_, d)| d.clone()).collect();
        (admitted.first().cloned().unwrap_or_default(), admitted.len())
    };
    let other = |priority: i32| {
        format!("target = \"*\"\npriority = {priority}\n[modules.web]\nimage = \"web:other\"\n")
    };
    type Change<'a> = (&'a str, Vec<(&'a str, String)>, &'a str);
    let defaults = fleet("1s").replace("[defaults]\n", "[defaults]\nstop-timeout = \"3s\"\n");
    let changes: [Change<'_>; 4] = [
        ("an edit of [defaults]", vec![("fleet.toml", defaults)], "3s"),
        (
            "a widened target",
            vec![("deployments/extra.toml", narrow.replace("tags.ring = 'none'", "*"))],
            "extra:1",
        ),
        (
            "an added deployment",
            vec![("deployments/other.toml", other(1)), ("deployments/base.toml", base("5", ""))],
            "web:5",
        ),
        ("a raised priority", vec![("deployments/other.toml", other(50))], "web:other"),
    ];
    for (what, files, text) in changes {
        let before = actions(&place).len();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        place.commit(&files);
        place.until(what, || all_have(&place, &ALL, text) && state(&place) == "done");
        assert_eq!(first_admitted_after(before), ("canary-1".to_owned(), 4), "{what}");
    }
    let before = actions(&place).len();
    std::fs::remove_file(place.fleet().join("deployments/other.toml")).expect("it is there");
    let layer = narrow.replace("tags.ring = 'none'", "*").replace("extra:1", "extra:2");
    place.commit(&[("deployments/base.toml", &base("6", "")), ("deployments/extra.toml", &layer)]);
    place.until("a deleted deployment, a base and its layer", || {
        all_have(&place, &ALL, "web:6")
            && all_have(&place, &ALL, "extra:2")
            && state(&place) == "done"
    });
    assert_eq!(first_admitted_after(before), ("canary-1".to_owned(), 4));
}

#[test]
fn what_says_that_it_is_not_phased_goes_at_once() {
    let place = shop("1h");
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    let urgent = format!("phased = false\n{}", base("2", ""));
    place.commit(&[("deployments/base.toml", &urgent)]);
    place.until("all", || all_have(&place, &ALL, "web:2"));
}

/// A device is at one revision: what goes at once brings all that is between along, so that this has to be such as well.
#[test]
fn devices_that_were_left_behind_get_at_once_what_comes_with_nothing_else() {
    let place = shop("1h");
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", REFUSED))]);
    place.until("it goes back", || state(&place) == "rolled back");
    let urgent = "kind = \"layered\"\nphased = false\ntarget = \"*\"\npriority = 70\n[modules.more]\nimage = \"more:1\"\n";
    let on_top = place.commit(&[("deployments/more.toml", urgent)]);
    place.until("it goes back again", || {
        rollout(&place)["to"] == on_top.as_str() && state(&place) == "rolled back"
    });
    let reason = rollout(&place)["reason"].as_str().unwrap_or_default().to_owned();
    let words = "; what says `phased = false` waits as well on canary-1, shop-1, shop-2";
    assert!(reason.contains(words), "{reason}");
    assert!(SHOPS.iter().all(|shop| !in_force_has(&place, shop, "more:1")));
    place.commit(&[("deployments/base.toml", &base("1", ""))]);
    place.until("it comes with nothing else", || all_have(&place, &ALL, "more:1"));
    assert_eq!(state(&place), "done");

    // The same as a rollout goes on: a newer one of the same deployment leaves nothing of it to be proven.
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    assert!(all_have(&place, &SHOPS, "web:1"));
    let urgent = format!("phased = false\n{}", base("3", ""));
    place.commit(&[("deployments/base.toml", &urgent)]);
    place.until("all have the newer one", || all_have(&place, &ALL, "web:3"));
}

#[test]
fn a_newer_commit_becomes_the_target_and_going_back_leads_to_what_was_proven() {
    let place = shop("1h");
    let first = place.head();
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    let second = place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    let newer = place.commit(&[("deployments/base.toml", &base("3", ""))]);
    place.until("the canary goes on", || place.has("canary-1", "web:3"));
    assert_eq!(rollout(&place)["to"], newer.as_str());
    assert!(all_have(&place, &SHOPS, "web:1"));
    assert!(order(&place, "abort").0);
    place.until("back to what all had", || all_have(&place, &ALL, "web:1"));
    // What is told of each way names both of its ends.
    let history = place.store().expect("a store").history(&Default::default()).expect("readable");
    let of_the_canary = history.into_iter().filter(|entry| {
        ["admit", "move back"].contains(&entry.action.as_str()) && entry.device.is_some()
    });
    let ways: Vec<_> = of_the_canary.map(|entry| (entry.from, entry.to)).collect();
    let way = |from: &str, to: &str| (Some(from.to_owned()), Some(to.to_owned()));
    assert_eq!(ways, [way(&first, &second), way(&second, &newer), way(&newer, &first)]);
}

/// The canary has what the newer commit wants, and that is not proven by a commit on top of it.
#[test]
fn a_newer_commit_that_leaves_the_canary_as_it_is_waits_for_it_all_the_same() {
    let place = shop("1h");
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    let layer = "kind = \"layered\"\ntarget = \"deviceId = 'shop-3'\"\npriority = 60\n[modules.extra]\nimage = \"extra:1\"\n";
    let newer = place.commit(&[("deployments/extra.toml", layer)]);
    place.until("it waits for the canary", || {
        let shown = rollout(&place);
        shown["to"] == newer.as_str()
            && shown["reason"].as_str().is_some_and(|r| r.starts_with("canary soaks until "))
    });
    assert!(all_have(&place, &SHOPS, "web:1"));
    // What goes at once on top of that proves it as little.
    let urgent = "kind = \"layered\"\nphased = false\ntarget = \"*\"\npriority = 70\n[modules.more]\nimage = \"more:1\"\n";
    let newer = place.commit(&[("deployments/more.toml", urgent)]);
    place.until("the canary has it at once", || place.has("canary-1", "more:1"));
    place.until("and is waited for", || {
        let shown = rollout(&place);
        shown["to"] == newer.as_str()
            && shown["reason"].as_str().is_some_and(|r| r.starts_with("canary soaks until "))
    });
    assert!(SHOPS.iter().all(|shop| !in_force_has(&place, shop, "web:2")));
    assert!(order(&place, "promote").0);
    place.until("all", || all_have(&place, &ALL, "web:2") && place.has("shop-3", "extra:1"));
}

#[test]
fn a_device_that_is_new_or_has_another_name_waits_for_its_turn() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    let devices = DEVICES
        .replace("id = \"canary-1\"", "id = \"canary-a\"\nformerly = [\"canary-1\"]")
        .replace("id = \"shop-1\"", "id = \"till-1\"\nformerly = [\"shop-1\"]")
        + "[[device]]\nid = \"shop-4\"\n";
    let newer = place.commit(&[("devices/all.toml", &devices)]);
    place.until("the canary goes first, by its new name", || {
        place.has("canary-a", "web:2")
            && rollout(&place)["to"] == newer.as_str()
            && rollout(&place)["reason"].as_str().is_some_and(|r| r.starts_with("canary soaks "))
    });
    assert_eq!(rollout(&place)["phases"][1]["devices"], 4);
    // A container knows its device by name: one is made anew when its turn has come, and not before.
    let made_for = || {
        let file = place.state_folder().join("engines/shop-1.json");
        let engine =
            hoist::engine::simulated::Simulated::open(Some(file), "till-1").expect("an engine");
        let seen = engine.control().observed().expect("seen");
        let web = seen.containers.into_iter().find(|c| c.name == "web").expect("a container");
        web.labels[hoist::model::label::DEVICE].clone()
    };
    let waits = || {
        assert_eq!(made_for(), "shop-1");
        assert!(in_force_has(&place, "till-1", "web:1"));
        assert!(!in_force_has(&place, "shop-4", "web:2"));
        assert!(in_force_has(&place, "shop-2", "web:1"));
    };
    waits();
    // Another daemon knows it as well.
    assert_eq!(daemon.stop(), 0);
    let _daemon = place.watch(&[]);
    place.until("it soaks on", || {
        rollout(&place)["reason"].as_str().is_some_and(|r| r.starts_with("canary soaks "))
    });
    waits();
    // A daemon that just began may not have taken the store yet.
    place.until("it is called off", || order(&place, "abort").0);
    place.until("the canary is back", || in_force_has(&place, "canary-a", "web:1"));
    waits();
    assert!(order(&place, "retry").0);
    place.until("the canary again", || place.has("canary-a", "web:2"));
    assert!(order(&place, "promote").0);
    let all = ["canary-a", "till-1", "shop-2", "shop-3", "shop-4"];
    place.until("all", || all_have(&place, &all, "web:2"));
    assert_eq!(made_for(), "till-1");
}

fn fleet_of(place: &Place) -> String {
    place.fleet().display().to_string()
}

#[test]
fn a_rollout_that_halted_is_retried_promoted_and_not_paused() {
    let place = shop("1s");
    let halt = fleet("1s").replace("[rollout]\n", "[rollout]\non-failure = \"halt\"\n");
    place.commit(&[("fleet.toml", &halt)]);
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", REFUSED))]);
    place.until("it halts", || state(&place) == "halted");
    let headline = "<h1 class=\"standing\">A change has halted: 0 of 4 devices have it</h1>";
    let address = crate::http::address(&place);
    place.until("a headline about it", || get(&address, "/").body.contains(headline));
    let (done, words) = order(&place, "pause");
    assert!(!done && words.contains("it halted because it failed"), "{words}");
    let tries = |device: &str| {
        let history =
            place.store().expect("a store").history(&Default::default()).expect("readable");
        let of_web = history.iter().filter(|entry| entry.module.is_some());
        let here = of_web.filter(|e| e.device.as_ref().is_some_and(|d| d.as_str() == device));
        here.filter(|entry| entry.outcome.contains("Range of CPUs")).count()
    };
    // Nor does the device itself try it again, be it that somebody wants it looked at.
    let before = tries("canary-1");
    crate::by_hand::done(&place, &["poke", "canary-1"]);
    let words = "web: not tried again until `hoist rollout retry`, or it changes: ";
    place.until("it says so", || {
        place.device("canary-1").is_some_and(|stored| stored.status.description.starts_with(words))
    });
    assert_eq!(tries("canary-1"), before);
    // Whoever plans or looks for trouble beside the daemon is told the same.
    for look in [&["plan", "--device", "canary-1"][..], &["doctor", "canary-1"]] {
        let said = hoist(&place, &[look, &["--simulate", "-C", &fleet_of(&place)]].concat());
        let words = "not tried again until `hoist rollout retry`, or it changes: ";
        assert!(said.out.contains(words) && !said.out.contains("again before"), "{}", said.out);
    }
    let fleet = fleet_of(&place);
    let said = hoist(&place, &["doctor", "shop-1", "--simulate", "-C", &fleet]);
    assert!(said.out.contains("its turn has not come: canary: 1 of 1 failed"), "{}", said.out);
    assert!(order(&place, "retry").0);
    place.until("it was tried again", || tries("canary-1") > before && state(&place) == "halted");
    assert!(SHOPS.iter().all(|shop| tries(shop) == 0));
    assert!(order(&place, "promote").0);
    place.until("the next phase opens, and fails", || {
        SHOPS.iter().any(|shop| tries(shop) == 1) && state(&place) == "halted"
    });
    let history = place.store().expect("a store").history(&Default::default()).expect("readable");
    let passed: Vec<&str> =
        history.iter().filter(|e| e.action == "pass phase").map(|e| e.reason.as_str()).collect();
    assert_eq!(passed, ["canary: promoted, nobody succeeded"]);
}

#[test]
fn a_rollout_that_cannot_be_read_begins_anew() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    assert_eq!(daemon.stop(), 0);
    let another_version = Some("{\"shape\": 9}");
    place.store_to_write().set_fleet_state("rollout", another_version).expect("written");
    let _daemon = place.watch(&[]);
    place.until("it waits for the canary", || {
        rollout(&place)["reason"].as_str().is_some_and(|r| r.starts_with("canary soaks until "))
    });
    assert!(all_have(&place, &SHOPS, "web:1"));
    assert!(actions(&place).iter().any(|(action, _)| action == "begin rollout anew"));
    assert!(order(&place, "abort").0);
    place.until("the canary goes back", || all_have(&place, &ALL, "web:1"));
}

/// What was to come later, and is not wanted any more, does not come.
#[test]
fn who_was_to_come_later_is_forgotten_by_a_commit_that_wants_what_it_has() {
    let place = shop("1s");
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    done(&place, &["pause", "shop-3", "--reason", "serviced"]);
    let layer = |target: &str| {
        format!(
            "kind = \"layered\"\ntarget = \"{target}\"\npriority = 60\n[modules.extra]\nimage = \"extra:1\"\n"
        )
    };
    let both = layer("deviceId = 'shop-2' OR deviceId = 'shop-3'");
    place.commit(&[("deployments/extra.toml", &both)]);
    let reason = || rollout(&place)["reason"].as_str().unwrap_or_default().to_owned();
    place.until("the end", || state(&place) == "done");
    assert_eq!(reason(), "all phases have passed; to come when they can: shop-3");
    let one = place.commit(&[("deployments/extra.toml", &layer("deviceId = 'shop-2'"))]);
    place.until("it counts", || place.accepted().as_ref() == Some(&one));
    assert_eq!(reason(), "all phases have passed");
    done(&place, &["resume", "shop-3"]);
    place.until("it is looked at", || {
        let in_force = place.device("shop-3").and_then(|stored| stored.in_force);
        place.has("shop-3", "web:1") && in_force.is_some_and(|f| f.revision == one)
    });
    std::thread::sleep(std::time::Duration::from_secs(1));
    let of_it = ("admit".to_owned(), "shop-3".to_owned());
    assert!(!actions(&place).contains(&of_it) && !in_force_has(&place, "shop-3", "extra"));
}

/// Else the daemon would lead the devices back to what they waited at.
#[test]
fn an_apply_of_everything_ends_the_rollout() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    let to = place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    assert_eq!(daemon.stop(), 0);
    assert!(order(&place, "pause").0);
    let applied = place
        .hoist(&["apply", "--simulate", "--yes", "-C"])
        .arg(place.fleet())
        .output()
        .expect("it runs");
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    assert_eq!(place.accepted().as_ref(), Some(&to));
    assert!(all_have(&place, &ALL, "web:2"));
    assert_eq!(rollout(&place), Json::Null);
    assert!(place.store().expect("a store").assignments().expect("readable").is_empty());
    // What was told before that is about no rollout of later, and whoever told it can read that.
    let store = place.store().expect("a store");
    assert!(store.rollout_orders().expect("readable").is_empty());
    let history = store.history(&Default::default()).expect("readable");
    let pause = history.iter().find(|entry| entry.action == "rollout pause").expect("it is told");
    assert!(pause.outcome.starts_with("not done: `hoist apply` brought"), "{}", pause.outcome);
    let before = actions(&place).len();
    let _daemon = place.watch(&[]);
    let head = place.commit(&[("README.md", "words")]);
    place.until("the daemon goes on", || place.accepted().as_ref() == Some(&head));
    assert!(all_have(&place, &ALL, "web:2"));
    assert!(!actions(&place)[before..].iter().any(|(action, _)| action == "admit"));
}

/// What a commit says of how long it soaks counts for what is under way; other phases begin anew.
#[test]
fn settings_of_phases_count_for_what_is_under_way() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit, at once", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    let reason = || rollout(&place)["reason"].as_str().unwrap_or_default().to_owned();
    place.until("it soaks for long", || reason().starts_with("canary soaks until "));
    let shorter = place.commit(&[("fleet.toml", &fleet("1s"))]);
    place.until("it goes on", || all_have(&place, &ALL, "web:2") && state(&place) == "done");
    assert_eq!(rollout(&place)["to"], shorter.as_str());

    place.commit(&[("fleet.toml", &fleet("1h")), ("deployments/base.toml", &base("3", ""))]);
    place.until("it soaks for long again", || reason().starts_with("canary soaks until "));
    let other = fleet("1s").replace(
        "\"canary\"\ntarget = \"tags.ring = 'canary'\"",
        "\"pilot\"\ntarget = \"deviceId = 'shop-1'\"",
    );
    let to = place.commit(&[("fleet.toml", &other)]);
    place.until("other phases", || {
        rollout(&place)["to"] == to.as_str() && rollout(&place)["phases"][0]["name"] == "pilot"
    });
    place.until("all", || all_have(&place, &ALL, "web:3") && state(&place) == "done");
    assert_eq!(daemon.stop(), 0);
}

/// A commit that changes no device disturbs nothing, and says so where somebody could think otherwise.
#[test]
fn phases_that_are_taken_away_count_for_what_is_under_way() {
    let place = shop("1h");
    let _daemon = place.watch(&[]);
    place.until("the first commit, at once", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    let reason = || rollout(&place)["reason"].as_str().unwrap_or_default().to_owned();
    place.until("it soaks for long", || reason().starts_with("canary soaks until "));
    let (without, _) = fleet("1h")
        .split_once("[rollout]")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("phases");
    let newest = place.commit(&[("fleet.toml", &without)]);
    place.until("that it is kept is told", || {
        rollout(&place)["to"] == newest.as_str()
            && actions(&place).iter().any(|(action, _)| action == "keep rollout")
    });
    assert!(reason().starts_with("canary soaks until "), "{}", reason());
    assert!(all_have(&place, &SHOPS, "web:1"));
    place.commit(&[("deployments/base.toml", &base("3", ""))]);
    place.until("the next one has no phases", || all_have(&place, &ALL, "web:3"));
}
