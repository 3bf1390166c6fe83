//! What is news, by tables, and how it is said.

use super::{Context, News, Seen, Told, json, news, slack};
use crate::fleet::FileTree;
use crate::model::{DeviceId, Timestamp};
use crate::reconcile::{Accepted, HeldRevision, Snapshot, Trouble};
use crate::resolve::{Checked, check};
use crate::review::fleet_digest;
use crate::rollout::{PhaseStanding, Standing};
use crate::store::{Pause, Pin, Scope, StatusSince, StoredDevice};
use std::collections::BTreeSet;
use std::sync::Arc;

const HOUR: i64 = 3600;
const REVISION: &str = "3f2a9c10000000000000000000000000000000aa";

fn id(name: &str) -> DeviceId {
    DeviceId::parse(name).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds }
}

/// A fleet of lifts, each with its code, words, and since when.
fn lifts(standing: &[(&str, u16, &str, i64)]) -> Snapshot {
    let files: Vec<(String, String)> = standing
        .iter()
        .map(|(name, ..)| (format!("devices/{name}.toml"), String::new()))
        .chain([("fleet.toml".to_owned(), "name = \"lifts\"\n".to_owned())])
        .collect();
    let tree =
        FileTree::from_texts(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let Checked { fleet, .. } = check(&tree);
    let (fleet, resolution) = fleet.unwrap();
    let digest = fleet_digest(&fleet, &resolution);
    let stored = |(name, code, words, since): &(&str, u16, &str, i64)| {
        let status =
            StatusSince { code: *code, description: (*words).to_owned(), since: at(*since) };
        let stored = StoredDevice { status, ..StoredDevice::unknown(id(name), at(0)) };
        (id(name), Arc::new(stored))
    };
    Snapshot {
        sequence: 1,
        accepted: Some(Accepted {
            revision: REVISION.to_owned(),
            fleet: Arc::new(fleet),
            resolution: Arc::new(resolution),
            digest,
        }),
        devices: Arc::new(standing.iter().map(stored).collect()),
        ..Snapshot::default()
    }
}

/// What is news at a moment, by the words of a text; it is told from then on.
fn told_at(told: &mut Told, snapshot: &Snapshot, now: i64) -> Vec<String> {
    let paused = snapshot.paused();
    let seen = Seen { snapshot, paused: &paused, now: at(now) };
    told.forget_what_is_gone(&seen);
    let news = news(told, &seen);
    news.iter().for_each(|one| told.take(one));
    let again = Told::from_json(&told.to_json());
    assert_eq!(again, *told, "it is read as it was written");
    let context =
        Context { fleet: "lifts", revision: Some(REVISION), at: at(now), is_simulated: false };
    let text = |one: &News| slack(one, &context)["text"].as_str().unwrap().to_owned();
    news.iter().map(text).collect()
}

const NO_IMAGE: &str = "web: the registry has no image web:9";

#[test]
fn one_message_a_cause_and_a_recovery_that_lasts() {
    let mut told = Told::default();
    let failing = lifts(&[
        ("lift-01", 424, NO_IMAGE, 100),
        ("lift-02", 424, NO_IMAGE, 101),
        ("lift-03", 500, "meter: lift-03 meter is in a crash loop", 101),
        ("lift-04", 200, "as desired", 0),
        ("lift-05", 202, "web: starts", 0),
    ]);
    assert_eq!(
        told_at(&mut told, &failing, 101),
        [
            format!("*lifts*: 2 devices fail\n> 424: {NO_IMAGE}\nlift-01, lift-02"),
            "*lifts*: 1 device fails\n> 500: meter: DEVICE meter is in a crash loop\nlift-03"
                .to_owned(),
        ]
    );
    assert!(told_at(&mut told, &failing, 500).is_empty(), "nothing is told twice");
    let other = lifts(&[("lift-01", 500, "web: another trouble", 600), ("lift-02", 200, "", 600)]);
    assert!(told_at(&mut told, &other, 629).is_empty(), "what fails goes on failing");
    assert_eq!(told_at(&mut told, &other, 630), ["*lifts*: 1 device is as desired again\nlift-02"]);
    let gone = lifts(&[("lift-09", 200, "", 0)]);
    assert!(told_at(&mut told, &gone, 700).is_empty(), "who left the fleet is no news");
    assert_eq!(told, Told::default());
}

/// The moment of the next try is another on each device.
#[test]
fn devices_that_wait_for_different_moments_fail_for_one_cause() {
    let mut told = Told::default();
    let failing = lifts(&[
        ("lift-01", 500, "web: not tried again before 20:01:48 UTC: web ends with code 1", 100),
        ("lift-02", 500, "web: not tried again before 20:01:55 UTC: web ends with code 1", 101),
    ]);
    let words = "*lifts*: 2 devices fail\n> 500: web: web ends with code 1\nlift-01, lift-02";
    assert_eq!(told_at(&mut told, &failing, 101), [words]);
}

#[test]
fn the_end_of_a_rollout_is_told_once_each_time() {
    let rollout = |state: &'static str| Standing {
        from: "old".to_owned(),
        to: REVISION.to_owned(),
        state,
        phase: None,
        phases: vec![PhaseStanding {
            name: "canary".to_owned(),
            devices: 3,
            admitted: 3,
            success: 3,
            failure: 0,
        }],
        reason: "because".to_owned(),
        next: None,
        stuck: None,
    };
    let snapshot = |state| Snapshot { rollout: Some(rollout(state)), ..lifts(&[]) };
    let mut told = Told::default();
    assert!(told_at(&mut told, &snapshot("running"), 1).is_empty());
    let back = ["*lifts*: the rollout of 3f2a9c1 is rolled back\n> because"];
    assert_eq!(told_at(&mut told, &snapshot("rolled back"), 2), back);
    assert!(told_at(&mut told, &snapshot("rolled back"), 3).is_empty());
    assert!(told_at(&mut told, &snapshot("running"), 4).is_empty(), "somebody retries");
    assert_eq!(told_at(&mut told, &snapshot("rolled back"), 5), back);
    let done = ["*lifts*: 3f2a9c1 went out in all phases, to 3 devices\n> because"];
    assert_eq!(told_at(&mut told, &snapshot("done"), 6), done);
}

#[test]
fn a_rollout_that_stands_still_is_told_once_for_each_reason() {
    let stands = |from: &str, state: &'static str, stuck: Option<&str>| Snapshot {
        rollout: Some(Standing {
            from: from.to_owned(),
            to: REVISION.to_owned(),
            state,
            phase: None,
            phases: vec![PhaseStanding {
                name: "canary".to_owned(),
                devices: 3,
                admitted: 0,
                success: 0,
                failure: 0,
            }],
            reason: "canary waits: 3 of 3 do not answer".to_owned(),
            next: Some("`hoist rollout promote` goes on all the same"),
            stuck: stuck.map(str::to_owned),
        }),
        ..lifts(&[])
    };
    let mut told = Told::default();
    assert!(told_at(&mut told, &stands("old", "waiting", None), 1).is_empty(), "not for long");
    let words = ["*lifts*: the rollout of 3f2a9c1 waits\n> canary waits: 3 of 3 do not answer\n\
                  > next: `hoist rollout promote` goes on all the same"];
    let away = stands("old", "waiting", Some("canary: away"));
    assert_eq!(told_at(&mut told, &away, 2), words);
    assert!(told_at(&mut told, &away, 3).is_empty());
    assert!(told_at(&mut told, &stands("old", "running", None), 4).is_empty());
    assert!(told_at(&mut told, &away, 5).is_empty(), "they come and go");
    let held = stands("old", "waiting", Some("canary: held"));
    assert_eq!(told_at(&mut told, &held, 6).len(), 1, "another reason");
    assert_eq!(told_at(&mut told, &stands("new", "waiting", Some("canary: away")), 7), words);
    assert_eq!(told_at(&mut told, &stands("new", "rolled back", None), 8).len(), 1);
    assert_eq!(told_at(&mut told, &stands("new", "waiting", Some("canary: away")), 9), words);
}

#[test]
fn many_causes_are_few_messages() {
    let names: Vec<(String, String)> =
        (0..30).map(|n| (format!("lift-{n:02}"), format!("web: trouble {n}"))).collect();
    let standing: Vec<(&str, u16, &str, i64)> =
        names.iter().map(|(name, words)| (name.as_str(), 500, words.as_str(), 0)).collect();
    let messages = told_at(&mut Told::default(), &lifts(&standing), 1);
    assert_eq!(messages.len(), 8);
    assert!(messages[7].contains("23 devices fail\n> 500: 23 other reasons; "), "{}", messages[7]);
    assert!(messages[7].ends_with(" and 15 more"), "{}", messages[7]);
}

#[test]
fn absence_is_news_after_a_day() {
    let mut told = Told::default();
    let away = lifts(&[("lift-01", 406, "it is not reached", 1000)]);
    assert!(told_at(&mut told, &away, 1000 + 24 * HOUR - 1).is_empty());
    assert_eq!(
        told_at(&mut told, &away, 1000 + 24 * HOUR),
        ["*lifts*: 1 device has not been reached for 24 hours\nlift-01"]
    );
    let back = lifts(&[("lift-01", 202, "web: starts", 1000 + 25 * HOUR)]);
    assert_eq!(
        told_at(&mut told, &back, 1000 + 25 * HOUR),
        ["*lifts*: 1 device is reached again\nlift-01"]
    );
}

#[test]
fn what_waits_and_what_cannot_be_fetched() {
    let mut told = Told::default();
    let mut snapshot = lifts(&[]);
    let held = |revision: &str, numbers: &[(&str, u64)]| HeldRevision {
        revision: revision.to_owned(),
        reasons: vec!["guard max-modules-removed: 3 of at most 1".to_owned()],
        since: at(0),
        numbers: numbers.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
    };
    snapshot.held = Some(held(REVISION, &[("modules-removed", 3)]));
    let words = "*lifts*: revision 3f2a9c1 is held; what counted before stays\n\
                 &gt; guard max-modules-removed: 3 of at most 1\n\
                 &gt; `hoist approve 3f2a9c1` lets it through"
        .replace("&gt;", ">");
    assert_eq!(told_at(&mut told, &snapshot, 0), [words]);
    assert!(told_at(&mut told, &snapshot, 10).is_empty());
    snapshot.held = Some(held("another", &[]));
    assert!(!told_at(&mut told, &snapshot, 20)[0].contains("approve"));
    snapshot.held = None;
    assert_eq!(told_at(&mut told, &snapshot, 30), ["*lifts*: no revision is held any more"]);

    snapshot.source.trouble = Some(Trouble { words: "it hangs".to_owned(), since: at(0) });
    assert!(told_at(&mut told, &snapshot, 15 * 60 - 1).is_empty());
    let told_now = told_at(&mut told, &snapshot, 15 * 60);
    assert_eq!(told_now.len(), 1);
    assert!(told_now[0].contains("no new commits can be had since "), "{told_now:?}");
    snapshot.source.trouble = None;
    assert_eq!(told_at(&mut told, &snapshot, 2000), ["*lifts*: new commits can be had again"]);
}

#[test]
fn orders_are_news_after_a_day_and_who_is_paused_neither_fails_nor_is_held() {
    let mut told = Told::default();
    let mut snapshot =
        lifts(&[("lift-01", 400, "paused by ada: serviced", 0), ("lift-02", 400, "no tag", 0)]);
    let order = |scope| (scope, "serviced <now>".to_owned(), "ada".to_owned());
    let (scope, reason, who) = order(Scope::Device(id("lift-01")));
    snapshot.pauses = vec![Pause { id: 7, scope, reason, who, since: at(0), until: None }];
    let (scope, reason, who) = order(Scope::All);
    let revision = REVISION.to_owned();
    snapshot.pins = vec![Pin { id: 8, revision, scope, reason, who, since: at(9), until: None }];
    assert_eq!(
        told_at(&mut told, &snapshot, 1),
        ["*lifts*: 1 device is held: what is there stays\n> no tag\nlift-02"]
    );
    let messages = told_at(&mut told, &snapshot, 24 * HOUR);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].starts_with("*lifts*: lift-01 paused for over 24 hours\n> by ada since "));
    assert!(messages[0].contains("serviced &lt;now&gt;"), "{messages:?}");
    assert!(messages[0].contains("`hoist resume lift-01` ends it"), "{messages:?}");
    let messages = told_at(&mut told, &snapshot, 25 * HOUR);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].starts_with("*lifts*: all devices pinned to 3f2a9c1 for over 24 hours\n"));
    assert!(messages[0].contains("`hoist unpin` ends it"), "{messages:?}");
    snapshot.pauses.clear();
    told_at(&mut told, &snapshot, 26 * HOUR);
    assert_eq!((told.pauses.len(), told.pins.len()), (0, 1));
}

#[test]
fn nothing_is_known_of_devices_before_something_counts() {
    let mut told = Told { failing: BTreeSet::from([id("lift-01")]), held: None, ..Told::default() };
    let mut snapshot = lifts(&[("lift-01", 500, "web: fails", 0), ("lift-02", 500, "", 0)]);
    snapshot.accepted = None;
    assert!(told_at(&mut told, &snapshot, 100).is_empty());
    assert_eq!(told.failing.len(), 1, "it is not forgotten either");
}

#[test]
fn words_from_elsewhere_are_harmless_and_short() {
    let cause = format!("\u{1b}[31m<!channel> {}", "x".repeat(2000));
    let failure = News::Failure {
        code: 500,
        cause,
        devices: (0..300).map(|n| id(&format!("d{n}"))).collect(),
    };
    let context = Context { fleet: "lifts", revision: None, at: at(0), is_simulated: true };
    let text = slack(&failure, &context)["text"].as_str().unwrap().to_owned();
    assert!(text.len() < 1000 && text.starts_with("*lifts* (simulated): "), "{text}");
    assert!(!text.contains('\u{1b}') && text.contains("&lt;!channel&gt;"), "{text}");
    let json = json(&failure, &context);
    assert_eq!((&json["format"], &json["count"]), (&1.into(), &300.into()));
    assert_eq!(json["devices"].as_array().unwrap().len(), 200);
    assert_eq!(json["event"], "failure");
    let keys: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let keys: Vec<&str> = keys.into_iter().collect();
    assert_eq!(
        keys.join(" "),
        "at count details devices event fleet format revision simulated title"
    );
}
