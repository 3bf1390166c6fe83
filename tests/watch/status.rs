//! `hoist status` beside a daemon, in a folder that holds no fleet.

use crate::by_hand::{done, hoist};
use crate::place::Place;
use crate::simulated::{all_have, base, shop};
use hoist::model::{Cohort, DeploymentId, DeviceId, Timestamp};
use hoist::store::fleet_key;
use serde_json::Value as Json;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

fn json(place: &Place, arguments: &[&str]) -> Json {
    let all = [&["status", "--format", "json"], arguments].concat();
    serde_json::from_str(&done(place, &all)).expect("JSON")
}

#[test]
fn what_waits_and_what_people_ordered_is_shown_although_the_newest_commit_is_wrong() {
    let place = shop();
    let strict =
        "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-modules-removed = 1\n";
    let first = place.commit(&[("fleet.toml", strict)]);
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let without = "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\n";
    let held = place.commit(&[("deployments/base.toml", without)]);
    place.until("held", || place.held().is_some());
    let out = done(&place, &["status"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], format!("shop @ {}", &first[..7]), "{out}");
    assert!(lines[1].starts_with(&format!("held: {}, ", &held[..7])), "{out}");
    assert!(out.contains(&format!("`hoist approve {}` lets it through", &held[..7])), "{out}");
    assert!(out.contains("modules-removed"), "{out}");

    let wrong = place.commit(&[("deployments/base.toml", "target = 5\n")]);
    place.until("that is held", || place.held().is_some_and(|h| h["revision"] == wrong.as_str()));
    done(&place, &["pause", "till-1", "--reason", "a lift is serviced"]);
    done(&place, &["pin", &first, "--where", "deviceId = 'till-2'", "--for", "1h"]);
    let out = done(&place, &["status"]);
    assert!(out.contains("  deployments/base.toml:1:10: "), "{out}");
    assert!(!out.contains("hoist approve"), "what is wrong can't be approved: {out}");
    assert!(out.contains("paused: till-1, by "), "{out}");
    assert!(out.contains(&format!("pinned: devices where deviceId = 'till-2' at {}", &first[..7])));
    let json = json(&place, &[]);
    assert_eq!(json["revision"], first.as_str());
    assert_eq!(json["held"]["revision"], wrong.as_str());
    assert_eq!(json["held"]["numbers"], serde_json::json!({}));
    assert_eq!(json["pauses"][0]["device"], "till-1");
    assert_eq!(json["pauses"][0]["until"], Json::Null);
    assert_eq!(json["pins"][0]["where"], "deviceId = 'till-2'");
    assert_eq!(json["pins"][0]["revision"], first.as_str());
}

#[test]
fn deployments_are_chosen_and_counted_by_their_labels() {
    let place = shop();
    place.commit(&[
        ("deployments/base.toml", &format!("{}[labels]\nteam = \"tills\"\n", base("1"))),
        (
            "deployments/extra.toml",
            "kind = \"layered\"\ntarget = \"deviceId = 'till-2'\"\npriority = 20\n\
             [labels]\nteam = \"it\"\n[modules.extra]\nimage = \"extra:1\"\n",
        ),
    ]);
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.stop();
    let of = |arguments: &[&str]| {
        let json = json(&place, arguments);
        let ids = |key: &str| {
            let list = json[key].as_array().expect("a list").iter();
            list.map(|one| one["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
        };
        (ids("deployments"), ids("devices"))
    };
    let texts = |of: &[&str]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
    let extra = (texts(&["extra"]), texts(&["till-2"]));
    assert_eq!(of(&["--deployment", "extra"]), extra);
    assert_eq!(of(&["--label", "team=it"]), extra);
    assert_eq!(of(&["--label", "team=it", "--where", "deviceId = 'till-1'"]).1, texts(&[]));
    let groups = json(&place, &["--group-by", "label:team"])["groups"].clone();
    let shown: Vec<_> =
        groups.as_array().expect("a list").iter().map(|g| (&g["value"], &g["success"])).collect();
    assert_eq!(shown, [(&Json::from("it"), &Json::from(1)), (&"tills".into(), &3.into())]);
    let out = done(&place, &["status", "--group-by", "label:team"]);
    assert!(out.contains("\ntills            1         3       3       3"), "{out}");
    for (arguments, words) in [
        (["--deployment", "extar"], "did you mean `extra`"),
        (["--label", "team"], "it is KEY=VALUE"),
        (["--label", "team=x"], "labels of this fleet's deployments: team"),
        (["--group-by", "team"], "it is label:KEY"),
    ] {
        let said = hoist(&place, &[&["status", "--simulate"], &arguments[..]].concat());
        assert_eq!(said.code, 1, "{arguments:?}");
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
    }
}

/// A device that the daemon has not seen for long is neither as desired nor failed.
#[test]
fn a_device_that_is_away_looks_neither_healthy_nor_failed() {
    let place = shop();
    let daemon = place.watch(&["--resync", "100s"]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.stop();
    let till = DeviceId::parse("till-2").expect("an id");
    let store = place.store_to_write();
    assert_eq!(store.fleet_state(fleet_key::RESYNC).expect("read").as_deref(), Some("100"));
    let seen = |ago| Timestamp { seconds: Place::now().seconds - ago };
    store.record_contacts([(&till, seen(250))]).expect("written");
    assert_eq!(json(&place, &[])["deployments"][0]["success"], 3, "not three looks yet");
    store.record_contacts([(&till, seen(7300))]).expect("written");
    let json = json(&place, &[]);
    let counts = &json["deployments"][0];
    assert_eq!((&counts["success"], &counts["stale"]), (&2.into(), &1.into()));
    assert_eq!((&counts["pending"], &counts["failure"]), (&0.into(), &0.into()));
    assert_eq!(json["devices"][1]["stale"], true);
    let said = hoist(&place, &["status", "--simulate", "--not-converged"]);
    assert_eq!(said.code, 4, "{}", said.out);
    assert!(said.out.contains("2 h ago"), "{}", said.out);
    assert!(said.out.contains("not seen lately; it was 200 as desired"), "{}", said.out);
}

#[test]
fn status_can_be_watched() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let mut watching = place
        .hoist(&["status", "--simulate", "--watch", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("hoist");
    let mut lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Json {
        let line = lines.next().expect("a line").expect("a line");
        serde_json::from_str(&line).expect("JSON on a line")
    };
    assert_eq!(next()["format"], 1);
    let second = place.commit(&[("deployments/base.toml", &base("2"))]);
    // It ends when the commit is everywhere; else the test hangs.
    while {
        let json = next();
        json["revision"] != second.as_str() || json["deployments"][0]["success"] != 3
    } {}
    watching.kill().expect("killed");
    watching.wait().expect("it ends");
    daemon.stop();
}

#[test]
fn history_tells_who_did_what_on_how_many_devices() {
    let place = shop();
    let first = place.head();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let second = place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the second", || all_have(&place, "web:2"));
    daemon.stop();
    done(&place, &["restart", "till-1", "web", "--reason", "it hung"]);
    let out = done(&place, &["history"]);
    let head = format!("  {} → {}  by watch, ", &first[..7], &second[..7]);
    let at = out.find(&head).unwrap_or_else(|| panic!("{head} is not in {out}"));
    let lines: Vec<&str> = out[at..].lines().collect();
    assert_eq!(
        lines[1..3],
        ["  3 devices: till-1 till-2 till-3", "    ✓ replace web  (specification differs)"]
    );
    assert!(out.ends_with("  till-1\n    ✓ restart web  (it hung)\n"), "{out}");
    assert!(out.contains(&format!("  to {}  by watch, ", &first[..7])), "{out}");
    assert_eq!(done(&place, &["history", "till-2"]).matches("restart").count(), 0);
    assert_eq!(done(&place, &["history", "--since", "2999-01-01T00:00:00Z"]), "nothing was done\n");
    let newest = done(&place, &["history", "till-1", "--limit", "1", "--format", "json"]);
    let json: Json = serde_json::from_str(&newest).expect("JSON");
    assert_eq!((&json["entries"][0]["action"], &json["cut"]), (&"restart".into(), &true.into()));
    let said = hoist(&place, &["history", "tlil-1", "--simulate"]);
    assert!(said.err.contains("did you mean `till-1`"), "{}", said.err);
}

/// A first commit that is held is not what devices have.
#[test]
fn as_long_as_nothing_is_in_force_nothing_is_called_so() {
    let place = shop();
    let wrong = place.commit(&[("deployments/base.toml", "target = 5\n")]);
    let daemon = place.watch(&[]);
    place.until("held", || place.held().is_some());
    let out = done(&place, &["status"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "shop: nothing is known to be in force yet", "{out}");
    assert!(lines[1].starts_with(&format!("held: {}, ", &wrong[..7])), "{out}");
    assert!(lines[2].starts_with("  deployments/base.toml:1:10: "), "{out}");
    let said = hoist(&place, &["status", "--simulate", "--group-by", "label:team"]);
    assert!(said.code == 1 && said.err.contains("is not valid: 1 error"), "{}", said.err);
    assert_eq!(daemon.stop(), 0);

    let good = place.commit(&[("deployments/base.toml", &base("1"))]);
    std::fs::write(place.path("nobody"), "").expect("a file");
    let daemon = place.watch(&["--require-signed", "nobody"]);
    place.until("held", || place.held().is_some_and(|held| held["revision"] == good.as_str()));
    let out = done(&place, &["status"]);
    assert!(out.starts_with("shop: nothing is known to be in force yet\nheld: "), "{out}");
    assert!(out.contains(&format!("\nas {} would have it:\ndeployment ", &good[..7])), "{out}");
    assert_eq!(daemon.stop(), 0);
}

/// Between a commit and a look that hangs a device is as it was desired, and not as it is: nobody is told otherwise.
#[test]
fn who_has_not_got_what_counts_has_not_converged() {
    let place = shop();
    let first = place.head();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(daemon.stop(), 0);
    let second = place.commit(&[("deployments/base.toml", &base("2"))]);
    let store = place.store_to_write();
    for key in [fleet_key::ACCEPTED, fleet_key::APPLIED] {
        store.set_fleet_state(key, Some(&second)).expect("written");
    }
    done(&place, &["pin", &first, "--device", "till-3"]);
    let said = hoist(&place, &["status", "--simulate", "--not-converged"]);
    assert_eq!(said.code, 4, "{}", said.out);
    let waits = format!("  202 has not got {} yet\n", &second[..7]);
    assert_eq!(said.out.matches(&waits).count(), 2, "{}", said.out);
    assert!(!said.out.contains("till-3  "), "who is pinned waits for nothing: {}", said.out);
    let said = done(&place, &["status"]);
    assert_eq!(said.matches(&waits).count(), 2, "{said}");
    assert!(said.contains("\n3 devices: 1 as desired, 2 on the way\n"), "{said}");
    let json = json(&place, &[]);
    let codes: Vec<_> = (0..3).map(|n| json["devices"][n]["status"]["code"].clone()).collect();
    assert_eq!(codes, [202, 202, 200]);
    // Who should go back to where it is pinned has not got that either.
    let till = DeviceId::parse("till-3").expect("an id");
    let base = DeploymentId::parse("base").expect("an id");
    let cohort = Cohort { base, layers: Vec::new() };
    place.store_to_write().move_devices(&second, &[(till, cohort)]).expect("written");
    let said = done(&place, &["status"]);
    assert!(said.contains(&format!("  202 has not got {} yet\n", &first[..7])), "{said}");
}

#[test]
fn that_the_fleet_has_none_of_the_devices_here_is_not_all_well() {
    let place = shop();
    let daemon = place.watch(&["--only", "tlil-1"]);
    place.until("accepted", || place.accepted().is_some());
    let words = "the fleet has none of these devices";
    assert!(done(&place, &["status"]).contains(words));
    assert!(done(&place, &["status", "--not-converged"]).contains(words));
    assert_eq!(daemon.stop(), 0);
}

/// What a device was left alone for is not said of it once that is over, though nothing was done on it since.
#[test]
fn a_pause_that_is_over_is_not_said_of_a_device() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    done(&place, &["pause", "till-1", "--reason", "a lift is serviced"]);
    let is_paused = || place.device("till-1").is_some_and(|d| d.status.code == 400);
    place.until("left alone", is_paused);
    daemon.stop();
    assert_eq!(json(&place, &["--device", "till-1"])["devices"][0]["status"]["code"], 400);
    done(&place, &["resume", "till-1"]);
    assert!(is_paused(), "nobody looked at it");
    let status = &json(&place, &["--device", "till-1"])["devices"][0]["status"];
    assert_eq!(status["code"], 202);
    assert_eq!(status["description"], "its pause is over, and no look at it has ended since");
    let out = done(&place, &["status", "--device", "till-1"]);
    assert!(!out.contains("paused"), "{out}");
}
