//! Phases, with simulated engines: who goes when, what goes back, and what survives.

use crate::http::get;
use crate::place::Place;
use serde_json::Value as Json;
use std::time::Duration;

pub(crate) const DEVICES: &str = "[tags]\nenvironment = \"prod\"\n\
    [[device]]\nid = \"canary-1\"\ntags.ring = \"canary\"\n[[device]]\nid = \"shop-1\"\n[[device]]\nid = \"shop-2\"\n\
    [[device]]\nid = \"shop-3\"\n";
pub(crate) const ALL: [&str; 4] = ["canary-1", "shop-1", "shop-2", "shop-3"];
pub(crate) const SHOPS: [&str; 3] = ["shop-1", "shop-2", "shop-3"];

pub(crate) fn fleet(soak: &str) -> String {
    format!(
        "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-devices-disrupted = \"100%\"\n\
         [rollout]\nsoak = \"{soak}\"\nmax-unavailable = 1\n\
         [[rollout.phases]]\nname = \"canary\"\ntarget = \"tags.ring = 'canary'\"\n"
    )
}

pub(crate) fn base(image: &str, more: &str) -> String {
    format!(
        "target = \"tags.environment = 'prod'\"\npriority = 10\n[modules.web]\nimage = \"web:{image}\"\n{more}\n"
    )
}

/// The simulated engine refuses that, as a real one of four CPUs does.
pub(crate) const REFUSED: &str = "cpus = 5";

pub(crate) fn shop(soak: &str) -> Place {
    Place::new(&[
        ("fleet.toml", &fleet(soak)),
        ("devices/all.toml", DEVICES),
        ("deployments/base.toml", &base("1", "")),
    ])
}

pub(crate) fn all_have(place: &Place, devices: &[&str], text: &str) -> bool {
    devices.iter().all(|device| place.has(device, text))
}

pub(crate) fn in_force_has(place: &Place, device: &str, text: &str) -> bool {
    let in_force = place.device(device).and_then(|stored| stored.in_force);
    in_force.is_some_and(|in_force| in_force.manifest.contains(text))
}

/// `hoist rollout status --format json`.
pub(crate) fn rollout(place: &Place) -> Json {
    status_json(place)["rollout"].clone()
}

fn status_json(place: &Place) -> Json {
    let output = place
        .hoist(&["rollout", "status", "--simulate", "--format", "json", "-C"])
        .arg(place.fleet())
        .output()
        .expect("it runs");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

pub(crate) fn state(place: &Place) -> String {
    rollout(place)["state"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn order(place: &Place, order: &str) -> (bool, String) {
    let output = place
        .hoist(&["rollout", order, "--simulate", "-C"])
        .arg(place.fleet())
        .output()
        .expect("it runs");
    let words = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), words)
}

pub(crate) fn actions(place: &Place) -> Vec<(String, String)> {
    let history = place.store().expect("a store").history(&Default::default()).expect("readable");
    history
        .into_iter()
        .map(|entry| (entry.action, entry.device.map_or(String::new(), |d| d.to_string())))
        .collect()
}

#[test]
fn canaries_go_first_and_every_decision_is_told() {
    let place = shop("2s");
    let daemon = place.watch(&[]);
    place.until("the first commit, at once", || all_have(&place, &ALL, "web:1"));
    let from = place.head();
    let to = place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    assert!(all_have(&place, &SHOPS, "web:1"), "nobody else before it has soaked");
    place.until("the reason of the wait", || {
        rollout(&place)["reason"].as_str().is_some_and(|r| r.starts_with("canary soaks until "))
    });
    let address = crate::http::address(&place);
    let headline = "<h1 class=\"standing\">A change is on its way: 1 of 4 devices have it</h1>";
    place.until("a headline that says so", || get(&address, "/").body.contains(headline));
    let (old, new) = (&from[..7], &to[..7]);
    let words = format!("in force <code>{old}</code>, <code>{new}</code> is on its way");
    assert!(get(&address, "/").body.contains(&words), "{words}");
    place.until("all", || all_have(&place, &ALL, "web:2"));
    place.until("the end", || state(&place) == "done");
    let shown = rollout(&place);
    place.until("the same by HTTP", || get(&address, "/api/v1/rollout").json()["rollout"] == shown);
    let metrics = get(&address, "/metrics").body;
    let line = "hoist_rollout_devices{number=\"2\",phase=\"rest\",state=\"success\"} 3\n";
    assert!(metrics.contains(line), "{metrics}");
    let page = get(&address, "/").body;
    let words = ["</span> done</span>", "3 of 3 succeeded"];
    assert!(words.iter().all(|words| page.contains(words)), "{page}");
    assert_eq!(shown["to"], to.as_str());
    assert_eq!(shown["phases"][0]["name"], "canary");
    assert_eq!(shown["phases"][0]["success"], 1);
    assert_eq!(shown["phases"][1]["devices"], 3);
    let actions = actions(&place);
    let fleet_wide: Vec<&str> =
        actions.iter().filter(|(_, device)| device.is_empty()).map(|(a, _)| a.as_str()).collect();
    let expected = ["open phase", "pass phase", "open phase", "pass phase", "end rollout"];
    assert!(fleet_wide.ends_with(&expected), "{fleet_wide:?}");
    let admitted: Vec<&str> =
        actions.iter().filter(|(a, _)| a == "admit").map(|(_, d)| d.as_str()).collect();
    assert_eq!(admitted[0], "canary-1");
    assert_eq!(admitted.len(), 4);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn what_fails_on_the_canary_goes_back_and_is_not_tried_again_until_it_changes() {
    let place = shop("1s");
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", REFUSED))]);
    place.until("back", || state(&place) == "rolled back");
    place.until("the canary is as it was", || place.has("canary-1", "web:1"));
    let reason = rollout(&place)["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.starts_with("canary: 1 of 1 failed: canary-1: web: "), "{reason}");

    // A commit that changes no manifest disturbs nothing; one that changes another device does not try it again.
    let head = place.commit(&[("README.md", "words")]);
    place.until("accepted", || place.accepted().as_ref() == Some(&head));
    assert_eq!(state(&place), "rolled back");
    let layer = "kind = \"layered\"\ntarget = \"deviceId = 'shop-3'\"\npriority = 60\n[modules.extra]\nimage = \"extra:1\"\n";
    place.commit(&[("deployments/extra.toml", layer)]);
    place.until("it waits for what is mended", || state(&place) == "waiting");
    let reason = rollout(&place)["reason"].as_str().unwrap_or_default().to_owned();
    assert_eq!(reason, "canary waits: what failed before is not tried again on canary-1");
    std::thread::sleep(Duration::from_secs(2));
    assert!(SHOPS.iter().all(|shop| !in_force_has(&place, shop, "web:2")));
    assert!(in_force_has(&place, "canary-1", "web:1"));
    let failures = actions(&place).iter().filter(|(action, _)| action == "admit").count();
    assert_eq!(failures, 1, "one try");

    place.commit(&[("deployments/base.toml", &base("3", ""))]);
    place.until("what is mended goes through all phases", || all_have(&place, &ALL, "web:3"));
}

#[test]
fn people_pause_promote_abort_and_retry() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    let (done, words) = order(&place, "pause");
    assert!(!done && words.contains("there is no rollout"), "{words}");
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    assert!(order(&place, "pause").0);
    place.until("paused", || state(&place) == "paused");
    assert!(order(&place, "resume").0);
    place.until("running", || state(&place) == "running");
    assert!(order(&place, "promote").0);
    place.until("the rest", || place.has("shop-1", "web:2"));
    assert!(order(&place, "abort").0);
    place.until("everybody is back", || all_have(&place, &ALL, "web:1"));
    assert_eq!(state(&place), "rolled back");
    assert!(order(&place, "retry").0);
    place.until("the canary again", || place.has("canary-1", "web:2"));
    assert!(all_have(&place, &SHOPS, "web:1"));
    let nothing_goes_on = "no daemon works on this store: nothing goes on until `hoist watch` does";
    assert!(!order(&place, "status").1.contains(nothing_goes_on));
    assert_eq!(daemon.stop(), 0);
    assert!(order(&place, "status").1.contains(nothing_goes_on));
    // What is told meanwhile is kept for the next one, as a pause of devices is.
    let (done, words) = order(&place, "abort");
    assert!(
        done && words.contains("no daemon works on this store: `hoist watch` does it"),
        "{words}"
    );
    let shown = order(&place, "status").1;
    assert!(shown.contains("  told and not done yet: abort, "), "{shown}");
    let told = &status_json(&place)["told"];
    assert_eq!(
        (told[0]["order"].as_str(), told.as_array().map(Vec::len)),
        (Some("abort"), Some(1))
    );
    assert_eq!(told[0]["reason"], "by hand");
    let (done, words) = order(&place, "pause");
    assert!(!done && words.contains("it has gone back already"), "after what was told: {words}");
    assert!(words.contains("shows what was told before and is not done yet"), "{words}");
    let _daemon = place.watch(&[]);
    place.until("it is done first of all", || {
        state(&place) == "rolled back" && all_have(&place, &ALL, "web:1")
    });
    assert!(!order(&place, "status").1.contains("not done yet"));
}

#[test]
fn a_retry_tries() {
    let place = shop("1s");
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", REFUSED))]);
    place.until("back", || state(&place) == "rolled back" && place.has("canary-1", "web:1"));
    let tries = || {
        let history =
            place.store().expect("a store").history(&Default::default()).expect("readable");
        let of_web = history.iter().filter(|entry| entry.module.is_some());
        of_web.filter(|entry| entry.outcome.contains("Range of CPUs")).count()
    };
    assert_eq!(tries(), 1);
    assert!(order(&place, "retry").0);
    place.until("it was tried again", || tries() == 2);
    place.until("and back", || state(&place) == "rolled back" && place.has("canary-1", "web:1"));
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_takes_the_rollout_up() {
    let place = shop("1s");
    let mut daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    for pause in [50, 150, 300, 450, 700, 900, 1200] {
        std::thread::sleep(Duration::from_millis(pause));
        daemon.kill();
        if !place.has("canary-1", "web:2") {
            assert!(SHOPS.iter().all(|shop| !in_force_has(&place, shop, "web:2")));
        }
        daemon = place.watch(&[]);
    }
    place.until("all", || all_have(&place, &ALL, "web:2") && state(&place) == "done");
}

#[test]
fn a_lost_store_does_not_open_later_phases() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    daemon.kill();
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(place.state_folder().join(file));
    }
    let daemon = place.watch(&[]);
    place.until("it waits again", || {
        rollout(&place)["reason"].as_str().is_some_and(|r| r.starts_with("canary soaks until "))
    });
    assert!(SHOPS.iter().all(|shop| in_force_has(&place, shop, "web:1")));
    assert!(in_force_has(&place, "canary-1", "web:2"));
    assert!(actions(&place).iter().any(|(action, _)| action == "rebuild store"), "it is told");
    assert!(order(&place, "abort").0);
    place.until("the canary is back", || place.has("canary-1", "web:1"));
    drop(daemon);
}

/// A copy from before the change: it takes the devices through the phases once more, and ends.
#[test]
fn an_older_copy_of_the_store_goes_through_the_phases_again() {
    let place = shop("1s");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    assert_eq!(daemon.stop(), 0);
    let (store, copy) = (place.state_folder().join("state.db"), place.path("copy.db"));
    std::fs::copy(&store, &copy).expect("a copy");
    let daemon = place.watch(&[]);
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("all", || all_have(&place, &ALL, "web:2") && state(&place) == "done");
    assert_eq!(daemon.stop(), 0);
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(place.state_folder().join(file));
    }
    std::fs::copy(&copy, &store).expect("put back");
    let _daemon = place.watch(&[]);
    let admitted = || actions(&place).iter().filter(|(action, _)| action == "admit").count();
    place.until("the end", || state(&place) == "done" && admitted() == 4);
    assert!(all_have(&place, &ALL, "web:2"));
}

/// Each control host has its own phases; that another's devices are waited for by nobody is said.
#[test]
fn a_phase_of_another_control_host_is_skipped_and_that_is_told() {
    let place = shop("1h");
    let daemon = place.watch(&["--where", "deviceId != 'canary-1'"]);
    place.until("the first commit", || all_have(&place, &SHOPS, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("its own devices", || all_have(&place, &SHOPS, "web:2"));
    assert!(!place.has("canary-1", "web"), "another's");
    let skipped = |(action, _): &(String, String)| action == "skip phase";
    assert_eq!(actions(&place).iter().filter(|entry| skipped(entry)).count(), 1);
    assert_eq!(daemon.stop(), 0);

    // With the canary among its own, it waits as ever.
    let _daemon = place.watch(&["--where", "NOT deviceId = 'shop-3'"]);
    place.until("the canary catches up", || place.has("canary-1", "web:2"));
    place.commit(&[("deployments/base.toml", &base("3", ""))]);
    place.until("the canary", || place.has("canary-1", "web:3"));
    assert!(all_have(&place, &SHOPS, "web:2"));
    assert_eq!(actions(&place).iter().filter(|entry| skipped(entry)).count(), 1);
}

#[test]
fn a_revision_that_git_dropped_is_gone_back_to_all_the_same() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    // The history is written anew: the revision that devices came from is gone.
    place.put("deployments/base.toml", &base("2", ""));
    place.git(&["add", "--all"]);
    place.git(&["checkout", "--quiet", "--orphan", "fresh"]);
    place.git(&["commit", "--quiet", "--message", "anew"]);
    place.git(&["branch", "--quiet", "--force", "main", "fresh"]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    place.git(&["checkout", "--quiet", "main"]);
    assert_eq!(daemon.stop(), 0);
    place.git(&["branch", "--quiet", "-D", "fresh"]);
    place.git(&["reflog", "expire", "--expire=now", "--all"]);
    place.git(&["gc", "--quiet", "--prune=now"]);
    let _daemon = place.watch(&[]);
    place.until("it goes on", || state(&place) == "running");
    assert!(SHOPS.iter().all(|shop| in_force_has(&place, shop, "web:1")));
    // It may not have taken the store yet.
    place.until("it listens", || order(&place, "abort").0);
    place.until("the canary is back", || in_force_has(&place, "canary-1", "web:1"));
}
