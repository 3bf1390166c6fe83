//! Cases by hand; [`random`] holds fleets at random against the rules of the module's first lines.

mod random;

use super::*;
use crate::fleet;
use crate::model::{Amount, Duration, Hash, OnFailure, PhaseSettings};
use std::collections::BTreeSet;

fn id(number: usize) -> DeviceId {
    DeviceId::parse(&format!("d{number:03}")).expect("an id")
}

fn settings() -> PhaseSettings {
    PhaseSettings {
        soak: Some(Duration::seconds(10)),
        timeout: Some(Duration::seconds(100)),
        max_unavailable: Some(Amount::Count(2)),
        ..PhaseSettings::default()
    }
}

/// A fleet's settings: canaries by condition (the condition itself is the rim's), then shares.
fn declared(settings: PhaseSettings, shares: &[u32]) -> fleet::Rollout {
    let source = crate::diagnostic::Source::new("fleet.toml", "");
    let place = crate::diagnostic::Place::new(&source, 0..0);
    let target = crate::language::Condition::parse("tags.ring = 'canary'").ok();
    let canary = fleet::Phase {
        name: "canary".to_owned(),
        target,
        share: None,
        settings: PhaseSettings::default(),
        place: place.clone(),
    };
    let shares = shares.iter().enumerate().map(|(index, share)| fleet::Phase {
        name: format!("share {index}"),
        target: None,
        share: Some(*share),
        settings: PhaseSettings::default(),
        place: place.clone(),
    });
    let phases = std::iter::once(canary.clone()).chain(shares).collect();
    fleet::Rollout { settings, phases, place: place.clone() }
}

fn candidate(number: usize, canaries: usize, content: &str) -> Candidate {
    let device = id(number);
    Candidate {
        phase: (number < canaries).then_some(0),
        back_to: "old".to_owned(),
        wanted: Hash::of_texts("manifest", [device.as_str(), content]),
        template: Hash::of_texts("template", [content]),
        is_moved: false,
        between: false,
    }
}

fn begin(declared: &fleet::Rollout, devices: usize, canaries: usize) -> Rollout {
    begin_with(declared, devices, canaries, "v2", Vec::new())
}

fn begin_with(
    declared: &fleet::Rollout,
    devices: usize,
    canaries: usize,
    content: &str,
    marks: Vec<Mark>,
) -> Rollout {
    Rollout::begin(Plan {
        from: "old",
        to: "new",
        settings: declared,
        tighter: Vec::new(),
        candidates: (0..devices).map(|n| (id(n), candidate(n, canaries, content))).collect(),
        marks,
        disturbed: BTreeSet::new(),
        unheard: BTreeMap::new(),
        unphased: BTreeSet::new(),
        withheld: BTreeSet::new(),
    })
}

fn all_good(devices: usize) -> BTreeMap<DeviceId, Seen> {
    let seen = Seen {
        reachable: true,
        contact: Contact::Lately,
        last: None,
        held: None,
        report: Some(Report::Good),
        works: true,
    };
    (0..devices).map(|n| (id(n), seen.clone())).collect()
}

fn admitted(decisions: &[Decision]) -> BTreeSet<DeviceId> {
    let device = |decision: &Decision| match decision {
        Decision::Admit(device) => Some(device.clone()),
        _ => None,
    };
    decisions.iter().filter_map(device).collect()
}

fn back(decisions: &[Decision]) -> BTreeSet<DeviceId> {
    let device = |decision: &Decision| match decision {
        Decision::Back(device) => Some(device.clone()),
        _ => None,
    };
    decisions.iter().filter_map(device).collect()
}

fn state(rollout: &Rollout) -> (&'static str, String) {
    let standing = rollout.standing();
    (standing.state, standing.reason)
}

#[test]
fn canaries_go_first_and_soak_before_the_rest() {
    let mut rollout = begin(&declared(settings(), &[25_00]), 12, 2);
    let mut seen = all_good(12);
    seen.values_mut().for_each(|seen| seen.report = None);
    let first = rollout.step(&seen, 0);
    assert_eq!(admitted(&first), BTreeSet::from([id(0), id(1)]));
    let words = "2 of 2 of canary not reported yet (d000, d001)";
    assert_eq!(state(&rollout), ("running", words.to_owned()));
    assert!(rollout.step(&seen, 5_000).is_empty());
    let good = all_good(12);
    assert!(rollout.step(&good, 0).is_empty());
    let (state_word, reason) = state(&rollout);
    assert_eq!(state_word, "running");
    assert_eq!(reason, "canary soaks until 1970-01-01T00:00:10Z (10s more)");
    assert!(rollout.step(&good, 9_999).is_empty());
    let looks = [Decision::Look(id(0)), Decision::Look(id(1))];
    assert_eq!(rollout.step(&good, 1), looks, "once more before it passes");
    let words = "canary has soaked: 2 of 2 are looked at once more before it passes (d000, d001)";
    assert_eq!(state(&rollout), ("running", words.to_owned()));
    let opened = rollout.step(&good, 1);
    assert!(opened.contains(&Decision::Passed("canary".to_owned(), 2)));
    assert_eq!(admitted(&opened).len(), 2, "two of three at once");
    for _ in 0..20 {
        rollout.step(&good, 10_000);
    }
    assert_eq!(rollout.stage, Stage::Done);
    assert_eq!(rollout.phases.iter().filter(|phase| phase.opened).count(), 3);
}

#[test]
fn who_has_not_answered_lately_is_asked_and_let_in_only_then() {
    let mut rollout = begin(&declared(settings(), &[]), 3, 1);
    let mut seen = all_good(3);
    let mut hears = |rollout: &mut Rollout, contact: Contact| {
        seen.values_mut().for_each(|seen| (seen.contact, seen.report) = (contact.clone(), None));
        rollout.step(&seen, 200)
    };
    let asked = hears(&mut rollout, Contact::Before);
    assert_eq!(asked, [Decision::Opened("canary".to_owned()), Decision::Ask(id(0))]);
    let words = "1 of 1 of canary not reported yet (asked first whether they answer: d000)";
    assert_eq!(state(&rollout), ("running", words.to_owned()));
    let silent = Contact::Asked("no answer since noon".to_owned());
    assert!(hears(&mut rollout, silent).is_empty(), "what hangs is not let in");
    let words = "canary waits: 1 of 1 were asked and are silent (d000: no answer since noon)";
    assert_eq!(state(&rollout), ("waiting", words.to_owned()));
    let answered = hears(&mut rollout, Contact::Lately);
    assert_eq!(answered, [Decision::Admit(id(0))]);
}

/// Where a network is slow, many are silent for a while: that makes no phase fail or pass that would not with all of them.
#[test]
fn who_is_silent_for_now_is_one_of_its_phase() {
    let shares = with(|s| {
        s.max_failures = Some(Amount::Share(10_00));
        s.min_success = Some(Amount::Share(50_00));
        s.max_unavailable = Some(Amount::Count(20));
    });
    let mut rollout = begin(&declared(shares, &[]), 24, 20);
    let mut seen = all_good(24);
    for number in 8..20 {
        seen.get_mut(&id(number)).unwrap().contact = Contact::Asked("no answer".to_owned());
    }
    assert_eq!(admitted(&rollout.step(&seen, 0)).len(), 8);
    seen.get_mut(&id(0)).unwrap().report = bad("refused");
    assert!(back(&rollout.step(&seen, 0)).is_empty(), "one of twenty: {:?}", rollout.standing());
    for _ in 0..5 {
        assert!(admitted(&rollout.step(&seen, 10_000)).is_empty(), "seven of twenty");
    }
    let words = "canary waits: 7 have succeeded, 10 are needed; 12 of 20 were asked and are silent \
                 (d008: no answer); d000 failed";
    assert_eq!(state(&rollout), ("waiting", words.to_owned()));
    // The looks at most of them fail: whoever is away is not counted.
    for number in 9..20 {
        seen.insert(id(number), Seen::default());
    }
    let words = "canary: 1 of 9 failed: d000: refused";
    assert_eq!(back(&rollout.step(&seen, 0)).len(), 8);
    assert_eq!(
        state(&rollout).1,
        format!("{words}; 8 on the way back (d000, d001, d002 and 5 more)")
    );
}

/// Of two that have room one is down, and the other is asked: not the limit holds it up.
#[test]
fn who_is_asked_is_not_said_to_wait_for_the_limit() {
    let tolerant = with(|s| s.max_failures = Some(Amount::Count(1)));
    let mut rollout = begin(&declared(tolerant, &[]), 6, 3);
    let mut seen = all_good(6);
    assert_eq!(admitted(&rollout.step(&seen, 0)), BTreeSet::from([id(0), id(1)]));
    let down = Seen { report: bad("it ends"), works: false, ..seen[&id(0)].clone() };
    seen.insert(id(0), down);
    seen.get_mut(&id(2)).unwrap().contact = Contact::Before;
    assert!(rollout.step(&seen, 0).contains(&Decision::Ask(id(2))));
    let words = "1 of 3 of canary not reported yet (asked first whether they answer: d002)";
    assert_eq!(state(&rollout), ("running", words.to_owned()));
}

/// What is kept is not written at every step: whoever reads it knows how late it is.
#[test]
fn a_soak_gets_shorter_for_whoever_looks_later() {
    let mut rollout = begin(&declared(settings(), &[]), 2, 1);
    rollout.step(&all_good(2), 0);
    rollout.step(&all_good(2), 0);
    let reason = |seconds: i64| rollout.standing_at(Timestamp { seconds }).reason;
    assert_eq!(reason(0), "canary soaks until 1970-01-01T00:00:10Z (10s more)");
    assert_eq!(reason(7), "canary soaks until 1970-01-01T00:00:10Z (3s more)");
    assert_eq!(reason(12), "canary soaks until 1970-01-01T00:00:12Z (0s more)", "any moment now");
    assert_eq!(reason(-5), "canary soaks until 1970-01-01T00:00:10Z (10s more)");
}

#[test]
fn who_is_on_the_way_back_does_not_arrive_where_no_daemon_works() {
    let mut rollout = begin(&declared(settings(), &[]), 2, 1);
    rollout.step(&all_good(2), 0);
    rollout.obey(Order::Abort, "abort by ada").expect("it makes sense");
    rollout.step(&BTreeMap::from([(id(0), Seen::default())]), 0);
    assert_eq!(rollout.returning(), BTreeSet::from([id(0)]));
    let words = rollout.standing_left_alone().reason;
    assert!(words.contains("1 on the way back (d000); no daemon works on this store"), "{words}");
    rollout.step(&all_good(2), 0);
    assert_eq!(
        (rollout.returning().len(), rollout.standing_left_alone().reason.as_str()),
        (0, "abort by ada")
    );
}

/// What is recorded of a device that does not answer is of before it was moved back.
#[test]
fn who_does_not_answer_has_not_come_back() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 2);
    rollout.step(&all_good(4), 0);
    rollout.obey(Order::Abort, "abort by ada").expect("it makes sense");
    let mut seen = all_good(4);
    seen.get_mut(&id(0)).unwrap().reachable = false;
    rollout.step(&seen, 0);
    assert_eq!(state(&rollout).1, "abort by ada; 1 on the way back (d000)");
    rollout.step(&all_good(4), 0);
    assert_eq!(state(&rollout).1, "abort by ada");
}

/// Who was let in and is not reached is named, and not what was said before.
#[test]
fn a_wait_for_who_does_not_answer_says_who_and_since_when() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 2);
    rollout.step(&all_good(4), 0);
    let last = Some(Timestamp { seconds: 60 });
    let unreached = |report| Seen { last, report, ..Seen::default() };
    let mut seen = all_good(4);
    seen.insert(id(0), unreached(Some(Report::OnTheWay("web: it ended with code 1".into()))));
    seen.insert(id(1), unreached(bad("web: refused")));
    rollout.step(&seen, 0);
    let words = "2 of 2 of canary not reported yet (d000, d001 do not answer, d000 the last time at \
                 1970-01-01T00:01:00Z)";
    assert_eq!(state(&rollout), ("running", words.to_owned()));
    seen.insert(id(0), all_good(1)[&id(0)].clone());
    seen.get_mut(&id(1)).unwrap().last = None;
    rollout.step(&seen, 0);
    let words = "1 of 2 of canary not reported yet (d001 does not answer)";
    assert_eq!(state(&rollout), ("running", words.to_owned()));
    // Somebody has paused it.
    seen.get_mut(&id(1)).unwrap().held = Some("paused by ada".into());
    rollout.step(&seen, 0);
    let words = "1 of 2 of canary not reported yet (d001: paused by ada)";
    assert_eq!(state(&rollout), ("running", words.to_owned()));
}

#[test]
fn a_failing_canary_goes_back_and_is_not_tried_again() {
    let declared = declared(settings(), &[]);
    let mut rollout = begin(&declared, 5, 2);
    let mut seen = all_good(5);
    seen.values_mut().for_each(|seen| seen.report = None);
    rollout.step(&seen, 0);
    seen.get_mut(&id(1)).unwrap().report = Some(Report::Bad("it ends".to_owned()));
    let decisions = rollout.step(&seen, 1_000);
    assert_eq!(back(&decisions), BTreeSet::from([id(0), id(1)]));
    let words = "canary: 1 of 2 failed: d001: it ends";
    assert_eq!(
        state(&rollout),
        ("rolled back", format!("{words}; 2 on the way back (d000, d001)"))
    );
    assert!(rollout.step(&all_good(5), 1_000_000).is_empty(), "nobody else is let in");
    assert_eq!(state(&rollout), ("rolled back", words.to_owned()));

    // The same content in the next commit: nobody tries it.
    let mut next = begin_with(&declared, 5, 2, "v2", rollout.marks.clone());
    assert_eq!(next.step(&all_good(5), 1_000_000), [Decision::Opened("canary".to_owned())]);
    assert!(next.members.values().all(|member| !member.is_moved()));
    assert_eq!(state(&next).0, "waiting");
    // Other content goes out.
    let mut fixed = begin_with(&declared, 5, 2, "v3", rollout.marks.clone());
    assert_eq!(admitted(&fixed.step(&all_good(5), 0)).len(), 2);
    // Somebody who wants it tried again gets that.
    next.obey(Order::Retry, "by hand").unwrap();
    assert_eq!(admitted(&next.step(&all_good(5), 0)).len(), 2);
}

#[test]
fn a_canary_that_falls_silent_after_the_change_fails_at_its_timeout() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 1);
    let mut seen = all_good(4);
    rollout.step(&seen, 0);
    seen.insert(id(0), Seen::default());
    let mut decisions = Vec::new();
    for _ in 0..9 {
        decisions.extend(rollout.step(&seen, 10_000));
    }
    assert!(decisions.is_empty(), "{decisions:?}");
    let decisions = rollout.step(&seen, 10_000);
    assert_eq!(back(&decisions), BTreeSet::from([id(0)]));
    assert!(matches!(rollout.stage, Stage::RolledBack { .. }));
}

#[test]
fn a_canary_that_falls_silent_after_it_was_good_lets_nobody_through() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 1);
    let mut seen = all_good(4);
    rollout.step(&seen, 0);
    rollout.step(&seen, 0);
    // Nobody noticed yet that its engine hangs: it is looked at before the phase passes, and that look does not end.
    assert_eq!(rollout.step(&seen, 10_000), [Decision::Look(id(0))]);
    seen.get_mut(&id(0)).unwrap().report = None;
    for _ in 0..10 {
        assert!(rollout.step(&seen, 10_000).is_empty());
    }
    seen.insert(id(0), Seen::default());
    let mut decisions = Vec::new();
    for _ in 0..10 {
        decisions.extend(rollout.step(&seen, 10_000));
    }
    assert_eq!(back(&decisions), BTreeSet::from([id(0)]));
    assert!(admitted(&decisions).is_empty());
}

#[test]
fn where_nobody_answers_no_time_passes() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 1);
    rollout.step(&all_good(4), 0);
    let nobody = BTreeMap::new();
    for _ in 0..1000 {
        assert!(rollout.step(&nobody, 60_000).is_empty());
    }
    assert_eq!(rollout.stage, Stage::Running);
}

#[test]
fn a_phase_without_a_reachable_device_waits() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 1);
    let mut seen = all_good(4);
    seen.insert(id(0), Seen::default());
    for _ in 0..100 {
        assert!(admitted(&rollout.step(&seen, 60_000)).is_empty());
    }
    assert_eq!(
        state(&rollout),
        ("waiting", "canary waits: 1 of 1 do not answer (d000)".to_owned())
    );
    seen = all_good(4);
    seen.get_mut(&id(0)).unwrap().held = Some("paused by ada".to_owned());
    assert!(rollout.step(&seen, 60_000).is_empty());
    let words = "canary waits: 1 held (d000: paused by ada)";
    assert_eq!(state(&rollout), ("waiting", words.to_owned()));
}

#[test]
fn a_phase_of_which_nothing_changes_is_skipped() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 0);
    let decisions = rollout.step(&all_good(4), 0);
    assert_eq!(admitted(&decisions).len(), 2, "the rest is open: {decisions:?}");
}

#[test]
fn who_is_away_comes_later_and_is_not_counted() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 2);
    let mut seen = all_good(4);
    seen.insert(id(1), Seen::default());
    assert_eq!(admitted(&rollout.step(&seen, 0)), BTreeSet::from([id(0)]));
    rollout.step(&seen, 10_000);
    rollout.step(&seen, 0);
    assert_eq!(rollout.open, 1, "one of one succeeded: {:?}", rollout.wait);
    let back = rollout.step(&all_good(4), 0);
    assert!(admitted(&back).contains(&id(1)), "{back:?}");
}

#[test]
fn halting_keeps_what_is_and_people_decide() {
    let halt = PhaseSettings { on_failure: Some(OnFailure::Halt), ..settings() };
    let mut rollout = begin(&declared(halt, &[]), 4, 2);
    let mut seen = all_good(4);
    rollout.step(&seen, 0);
    seen.get_mut(&id(0)).unwrap().report = Some(Report::Bad("it ends".to_owned()));
    let decisions = rollout.step(&seen, 0);
    assert!(back(&decisions).is_empty());
    assert_eq!(state(&rollout).0, "halted");
    assert!(admitted(&rollout.step(&seen, 1_000_000)).is_empty());
    assert!(rollout.obey(Order::Resume, "").is_err());
    let mut promoted = rollout.clone();
    promoted.obey(Order::Promote, "seen").unwrap();
    assert!(!admitted(&promoted.step(&seen, 0)).is_empty());
    assert_eq!(promoted.stage, Stage::Running);
    let decisions = rollout.obey(Order::Abort, "enough").unwrap();
    assert_eq!(back(&decisions).len(), 2);
    assert!(rollout.obey(Order::Pause, "").is_err());
}

#[test]
fn a_paused_rollout_lets_in_nobody_and_still_goes_back() {
    let mut rollout = begin(&declared(settings(), &[]), 6, 1);
    rollout.step(&all_good(6), 0);
    rollout.obey(Order::Pause, "paused by ada").unwrap();
    assert!(rollout.step(&all_good(6), 60_000).is_empty());
    assert_eq!(state(&rollout), ("paused", "paused by ada".to_owned()));
    let mut seen = all_good(6);
    seen.get_mut(&id(0)).unwrap().report = Some(Report::Bad("it ends".to_owned()));
    assert_eq!(back(&rollout.step(&seen, 0)), BTreeSet::from([id(0)]));
}

#[test]
fn amounts_are_rounded_towards_caution() {
    let rules = |settings: PhaseSettings, tighter: &[&PhaseSettings]| {
        Rules::new(&settings, &PhaseSettings::default(), tighter)
    };
    let said = rules(
        PhaseSettings {
            max_failures: Some(Amount::Share(10_00)),
            min_success: Some(Amount::Share(90_00)),
            max_unavailable: Some(Amount::Share(10_00)),
            ..PhaseSettings::default()
        },
        &[],
    );
    assert_eq!((said.failures_allowed(19), said.failures_allowed(20)), (1, 2));
    assert_eq!((said.success_needed(11, 1), said.success_needed(0, 0)), (10, 1));
    assert_eq!((said.unavailable_allowed(5), said.unavailable_allowed(29)), (1, 2));
    let silent = rules(PhaseSettings::default(), &[]);
    assert_eq!((silent.success_needed(10, 0), silent.success_needed(11, 0)), (10, 10));
    assert_eq!((silent.success_needed(10, 2), silent.success_needed(1, 1)), (8, 1));
    assert_eq!(silent.failures_allowed(1000), 0);
    let tight = PhaseSettings {
        max_failures: Some(Amount::Count(0)),
        soak: Some(Duration::seconds(3600)),
        timeout: Some(Duration::seconds(5)),
        ..PhaseSettings::default()
    };
    let loose = PhaseSettings { max_failures: Some(Amount::Count(7)), ..settings() };
    let tightened = rules(loose, &[&tight]);
    assert_eq!(tightened.failures_allowed(100), 0);
    assert_eq!((tightened.soak, tightened.timeout), (3_600_000, 5_000));
}

#[test]
fn what_is_written_down_is_taken_up() {
    let mut rollout = begin(&declared(settings(), &[25_00]), 12, 2);
    rollout.step(&all_good(12), 0);
    let members = rollout.members.clone();
    let text = serde_json::to_string(&rollout).unwrap();
    let mut read: Rollout = serde_json::from_str(&text).unwrap();
    read.members = members
        .iter()
        .map(|(device, member)| {
            let text = serde_json::to_string(member).unwrap();
            (device.clone(), serde_json::from_str(&text).unwrap())
        })
        .collect();
    assert_eq!(read, rollout);
}

fn bad(words: &str) -> Option<Report> {
    Some(Report::Bad(words.to_owned()))
}

fn with(change: impl FnOnce(&mut PhaseSettings)) -> PhaseSettings {
    let mut settings = settings();
    change(&mut settings);
    settings
}

/// Steps with everybody well until nothing goes on.
fn settle(rollout: &mut Rollout, seen: &BTreeMap<DeviceId, Seen>) -> Vec<Decision> {
    (0..50).flat_map(|_| rollout.step(seen, 10_000)).collect()
}

/// What a reviewer reads is what happens.
#[test]
fn who_is_in_which_phase_is_known_before() {
    let declared = declared(settings(), &[25_00, 30_00]);
    let devices = (0..20).map(|n| (id(n), (n < 3).then_some(0))).collect();
    let known = phases_of(&declared, &devices, "new");
    let mut rollout = begin(&declared, 20, 3);
    settle(&mut rollout, &all_good(20));
    settle(&mut rollout, &all_good(20));
    assert_eq!(rollout.stage, Stage::Done);
    let were: BTreeMap<DeviceId, usize> =
        rollout.members.iter().map(|(device, m)| (device.clone(), m.phase.unwrap())).collect();
    assert_eq!(known, were);
    let count = |phase| known.values().filter(|of| **of == phase).count();
    assert_eq!([count(0), count(1), count(2), count(3)], [3, 5, 6, 6]);
    assert_ne!(phases_of(&declared, &devices, "newer"), known, "not always the same go ahead");
}

#[test]
fn a_failure_that_is_put_up_with_stops_nobody_else() {
    let tolerant = with(|s| {
        s.max_failures = Some(Amount::Count(1));
        s.max_unavailable = Some(Amount::Count(1));
    });
    let mut rollout = begin(&declared(tolerant, &[]), 6, 3);
    let mut seen = all_good(6);
    assert_eq!(admitted(&rollout.step(&seen, 0)), BTreeSet::from([id(0)]));
    // It fails, and what worked before works there again.
    seen.get_mut(&id(0)).unwrap().report = bad("refused");
    let decisions = settle(&mut rollout, &seen);
    assert_eq!(admitted(&decisions).len(), 5, "{decisions:?}");
    assert_eq!(rollout.stage, Stage::Done);
    assert_eq!(state(&rollout).1, "all phases have passed; failed: d000");
    assert!(rollout.marks.is_empty(), "{:?}", rollout.marks);
}

#[test]
fn what_is_down_by_our_doing_counts_until_it_works_again() {
    let tolerant = with(|s| {
        s.max_failures = Some(Amount::Count(1));
        s.max_unavailable = Some(Amount::Count(1));
    });
    let mut rollout = begin(&declared(tolerant, &[]), 6, 3);
    let mut seen = all_good(6);
    rollout.step(&seen, 0);
    *seen.get_mut(&id(0)).unwrap() = Seen {
        reachable: true,
        contact: Contact::Lately,
        last: None,
        held: None,
        report: bad("it ends"),
        works: false,
    };
    assert!(admitted(&settle(&mut rollout, &seen)).is_empty());
    let words = "canary waits: 1 of at most 1 out of order by a change (max-unavailable): d000";
    assert_eq!(state(&rollout), ("waiting", words.to_owned()));
    // Somebody who has seen that goes on.
    let mut promoted = rollout.clone();
    promoted.obey(Order::Promote, "by hand").unwrap();
    assert!(!admitted(&promoted.step(&seen, 0)).is_empty());
    seen.get_mut(&id(0)).unwrap().works = true;
    assert_eq!(admitted(&settle(&mut rollout, &seen)).len(), 5);
}

#[test]
fn a_newer_commit_does_not_forget_who_is_down() {
    let one = declared(with(|s| s.max_unavailable = Some(Amount::Count(1))), &[]);
    let mut former = begin(&one, 4, 1);
    let mut seen = all_good(4);
    settle(&mut former, &seen);
    let mut former = begin_with(&one, 4, 1, "v3", Vec::new());
    former.step(&seen, 0);
    former.obey(Order::Promote, "by hand").unwrap();
    // Device 0 is good; device 1 is on its way when the next commit comes.
    former.step(&seen, 0);
    let on_its_way = Seen {
        reachable: true,
        contact: Contact::Lately,
        last: None,
        held: None,
        report: None,
        works: false,
    };
    seen.insert(id(1), on_its_way);
    assert_eq!(former.disturbed_now(), BTreeSet::from([id(1)]));
    let mut next = begin_with(&one, 4, 1, "v4", Vec::new());
    next.disturbed = former.disturbed_now();
    assert!(admitted(&next.step(&seen, 0)).is_empty());
    let words = "canary waits: 1 of at most 1 out of order by a change (max-unavailable): d001";
    assert_eq!(state(&next).1, words);
    seen.get_mut(&id(1)).unwrap().works = true;
    assert_eq!(admitted(&next.step(&seen, 0)), BTreeSet::from([id(0)]));
    // Whether it answers or not, until it has been silent for as long as a change may take: then it is away as any other.
    let mut silent = begin_with(&one, 4, 1, "v4", Vec::new());
    silent.disturbed = former.disturbed_now();
    seen.insert(id(1), Seen::default());
    for _ in 0..10 {
        assert!(admitted(&silent.step(&seen, 9_900)).is_empty(), "{:?}", silent.unheard);
    }
    let mut promoted = silent.clone();
    assert_eq!(admitted(&silent.step(&seen, 1_000)), BTreeSet::from([id(0)]));
    // The next commit knows of it, and somebody who has seen it does not wait.
    assert_eq!(silent.unheard, BTreeMap::from([(id(1), 100_000)]));
    promoted.obey(Order::Promote, "by hand").unwrap();
    assert_eq!(admitted(&promoted.step(&seen, 0)).len(), 1);
}

/// A daemon that has just begun knows of no device whether it is at work: who was in the middle of a change counts, however
/// long the look at it takes, and nobody is said not to answer.
#[test]
fn who_was_in_the_middle_when_a_daemon_ended_counts_until_it_was_looked_at() {
    let mut rollout =
        begin(&declared(with(|s| s.max_unavailable = Some(Amount::Count(1))), &[]), 4, 2);
    rollout.disturbed = BTreeSet::from([id(3)]);
    let not_yet = Seen { contact: Contact::NotYet("at work: web: stop".into()), ..Seen::default() };
    let mut seen = all_good(4);
    seen.insert(id(0), not_yet.clone());
    seen.insert(id(3), not_yet.clone());
    for _ in 0..20 {
        assert!(admitted(&rollout.step(&seen, 60_000)).is_empty());
    }
    let words = "canary waits: 1 of at most 1 out of order by a change (max-unavailable): d003";
    assert_eq!(state(&rollout), ("waiting", words.to_owned()));
    seen.insert(id(1), not_yet);
    rollout.step(&seen, 0);
    let words = "canary waits: 2 of 2 were not looked at yet since the daemon began \
                 (d000: at work: web: stop)";
    assert_eq!(state(&rollout), ("waiting", words.to_owned()));
    assert_eq!(admitted(&rollout.step(&all_good(4), 0)), BTreeSet::from([id(0)]));
}

#[test]
fn a_retry_forgets_nobody_who_is_on_the_way_back_and_tries_one_after_the_other() {
    let one = with(|s| {
        s.max_unavailable = Some(Amount::Count(1));
        s.max_failures = Some(Amount::Count(2));
    });
    let mut rollout = begin(&declared(one, &[]), 5, 3);
    let mut seen = all_good(5);
    for number in 0..3 {
        rollout.step(&seen, 0);
        seen.get_mut(&id(number)).unwrap().report = bad("refused");
    }
    assert_eq!(back(&rollout.step(&seen, 0)).len(), 3);
    for number in 0..3 {
        *seen.get_mut(&id(number)).unwrap() = Seen {
            reachable: true,
            contact: Contact::Lately,
            last: None,
            held: None,
            report: None,
            works: number == 1,
        };
    }
    rollout.step(&seen, 0);
    rollout.obey(Order::Retry, "by hand").unwrap();
    assert!(rollout.marks.is_empty());
    // Two are on their way back: they may go on to what is new, nobody else may be moved with them.
    assert_eq!(admitted(&rollout.step(&seen, 0)), BTreeSet::from([id(0), id(2)]));
}

/// What a device says of the new revision at the moment at which it is moved back does not say that it is back.
#[test]
fn nobody_is_back_before_it_was_looked_at() {
    let one = with(|s| s.max_unavailable = Some(Amount::Count(1)));
    let mut rollout = begin(&declared(one, &[]), 4, 2);
    let mut seen = all_good(4);
    rollout.step(&seen, 0);
    rollout.step(&seen, 0);
    seen.get_mut(&id(1)).unwrap().report = bad("refused");
    assert_eq!(back(&rollout.step(&seen, 0)).len(), 2);
    assert!(matches!(rollout.wait, Wait::Back { missing: 2, .. }), "{:?}", rollout.wait);
    rollout.obey(Order::Retry, "by hand").unwrap();
    for number in 0..2 {
        let seen = seen.get_mut(&id(number)).unwrap();
        (seen.report, seen.works) = (None, number > 0);
    }
    // The first is on its way back from what was good: it is the one that may be moved.
    assert_eq!(admitted(&rollout.step(&seen, 0)), BTreeSet::from([id(0)]));
}

/// A device that failed twice over two commits and was let pass is not counted for the first of them.
#[test]
fn who_was_let_pass_is_not_counted_for_a_commit_before() {
    let one = with(|s| {
        s.max_unavailable = Some(Amount::Count(1));
        s.max_failures = Some(Amount::Count(1));
    });
    let mut candidates: BTreeMap<DeviceId, Candidate> =
        (0..3).map(|n| (id(n), candidate(n, 1, "v2"))).collect();
    candidates.get_mut(&id(0)).unwrap().is_moved = true;
    let mut rollout = Rollout::begin(Plan {
        from: "old",
        to: "new",
        settings: &declared(one, &[]),
        tighter: Vec::new(),
        candidates,
        marks: Vec::new(),
        disturbed: BTreeSet::from([id(0)]),
        unheard: BTreeMap::new(),
        unphased: BTreeSet::new(),
        withheld: BTreeSet::new(),
    });
    let mut seen = all_good(3);
    let first = Seen {
        reachable: true,
        contact: Contact::Lately,
        last: None,
        held: None,
        report: bad("it ends"),
        works: false,
    };
    seen.insert(id(0), first);
    rollout.step(&seen, 0);
    assert!(rollout.members.values().all(|m| m.place == Place::Waiting || m.is_moved()));
    rollout.obey(Order::Promote, "by hand").unwrap();
    assert_eq!(admitted(&rollout.step(&seen, 0)).len(), 1, "{:?}", rollout.standing());
}

#[test]
fn a_retry_after_a_halt_tries_again_from_the_first_phase() {
    let halt = with(|s| s.on_failure = Some(OnFailure::Halt));
    let mut rollout = begin(&declared(halt, &[50_00]), 7, 1);
    let mut seen = all_good(7);
    while rollout.open == 0 {
        rollout.step(&seen, 10_000);
    }
    let failed = rollout.members.iter().find(|(_, m)| m.phase == Some(1) && m.is_moved());
    let failed = failed.map(|(device, _)| device.clone()).unwrap();
    seen.get_mut(&failed).unwrap().report = bad("it ends");
    rollout.step(&seen, 0);
    assert_eq!(state(&rollout).0, "halted");
    let before = rollout.clone();
    assert!(rollout.obey(Order::Pause, "").unwrap_err().words.starts_with("it halted"));
    rollout.obey(Order::Retry, "by hand").unwrap();
    let mut again = Vec::new();
    // What it said before the retry is not what it says after it.
    while rollout.open == 0 {
        again.extend(rollout.step(&seen, 10_000));
        assert_eq!(rollout.stage, Stage::Running);
    }
    assert!(again.contains(&Decision::Again(failed.clone())), "{again:?}");
    seen.get_mut(&failed).unwrap().report = Some(Report::Good);
    settle(&mut rollout, &seen);
    assert_eq!(rollout.stage, Stage::Done);

    // A promotion lets the others go on, and leaves that one as one whose failure is put up with: it tries again by itself.
    let mut promoted = before;
    assert!(promoted.is_given_up(&failed));
    seen.get_mut(&failed).unwrap().report = bad("it ends");
    promoted.obey(Order::Promote, "by hand").unwrap();
    assert!(!promoted.is_given_up(&failed));
    let decisions = settle(&mut promoted, &seen);
    assert_eq!(promoted.stage, Stage::Done, "{:?}", promoted.standing());
    assert!(!decisions.contains(&Decision::Again(failed.clone())));
    assert_eq!(promoted.members.values().filter(|m| m.place == Place::Good).count(), 6);
    // What fails after that is judged as ever.
    assert!(promoted.obey(Order::Promote, "").is_err());
}

#[test]
fn a_promotion_in_the_last_phase_lets_in_the_others_one_after_the_other() {
    let mut rollout = begin(&declared(settings(), &[]), 8, 0);
    let mut seen = all_good(8);
    seen.values_mut().for_each(|seen| (seen.report, seen.works) = (None, false));
    assert_eq!(admitted(&rollout.step(&seen, 0)).len(), 2);
    rollout.obey(Order::Promote, "by hand").unwrap();
    assert!(admitted(&rollout.step(&seen, 0)).is_empty(), "two are on their way");
    assert_eq!(rollout.stage, Stage::Running);
    let decisions = settle(&mut rollout, &all_good(8));
    assert_eq!(admitted(&decisions).len(), 6);
    assert_eq!(rollout.stage, Stage::Done);
}

#[test]
fn who_comes_back_after_the_end_is_let_in_within_the_limit() {
    let mut rollout = begin(&declared(settings(), &[]), 8, 1);
    let mut seen = all_good(8);
    for number in 3..8 {
        seen.insert(id(number), Seen::default());
    }
    settle(&mut rollout, &seen);
    assert_eq!(state(&rollout).0, "done");
    let words = "all phases have passed; to come when they can: d003, d004, d005 and 2 more";
    assert_eq!(state(&rollout).1, words);
    assert!(!rollout.is_settled());
    let mut seen = all_good(8);
    seen.values_mut().for_each(|seen| seen.report = None);
    assert_eq!(admitted(&rollout.step(&seen, 0)).len(), 2);
    assert!(admitted(&rollout.step(&seen, 0)).is_empty());
    settle(&mut rollout, &all_good(8));
    assert_eq!(state(&rollout), ("done", "all phases have passed".to_owned()));
    assert!(rollout.is_settled());
}

#[test]
fn who_joins_while_the_rest_is_open_is_let_in() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 1);
    while rollout.open == 0 {
        rollout.step(&all_good(4), 10_000);
    }
    rollout.enrol(id(7), candidate(7, 0, "v2"));
    let mut decisions = Vec::new();
    for _ in 0..10 {
        decisions.extend(rollout.step(&all_good(8), 10_000));
    }
    assert!(admitted(&decisions).contains(&id(7)), "{decisions:?}");
}

#[test]
fn a_device_that_has_it_already_proves_it_first() {
    // The canary had v2 when a commit came that changes the others only.
    let former = {
        let mut former = begin(&declared(settings(), &[]), 4, 1);
        former.step(&all_good(4), 0);
        former
    };
    let takes_part = TakesPart::of(&id(0), "new", true, Some(&former)).unwrap();
    assert_eq!((takes_part.back_to.as_str(), takes_part.is_moved), ("old", true));
    assert_eq!(TakesPart::of(&id(1), "old", true, Some(&former)), None);
    let other = TakesPart::of(&id(0), "new", false, Some(&former)).unwrap();
    assert_eq!((other.back_to.as_str(), other.is_moved, other.between), ("old", false, true));
    let done = Rollout { stage: Stage::Done, ..former };
    assert_eq!(TakesPart::of(&id(0), "new", true, Some(&done)), None);

    let mut next = begin(&declared(settings(), &[]), 4, 1);
    next.enrol(id(0), Candidate { is_moved: true, ..candidate(0, 1, "v2") });
    let mut seen = all_good(4);
    seen.get_mut(&id(0)).unwrap().report = None;
    assert!(admitted(&next.step(&seen, 60_000)).is_empty(), "nobody before it has reported");
    assert!(admitted(&next.step(&all_good(4), 0)).is_empty(), "and soaked");
    let decisions = settle(&mut next, &all_good(4));
    assert_eq!(admitted(&decisions).len(), 3);
}

#[test]
fn going_back_takes_along_who_is_between_two_revisions() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 1);
    rollout.enrol(id(2), Candidate { between: true, ..candidate(2, 1, "v2") });
    rollout.step(&all_good(4), 0);
    let decisions = rollout.obey(Order::Abort, "enough").unwrap();
    assert_eq!(back(&decisions), BTreeSet::from([id(0), id(2)]));
}

#[test]
fn a_soak_that_does_not_go_on_does_not_say_so() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 2);
    let mut seen = all_good(4);
    rollout.step(&seen, 0);
    rollout.step(&seen, 0);
    seen.get_mut(&id(1)).unwrap().report = None;
    rollout.step(&seen, 60_000);
    let words = "canary soaks on as soon as 1 of 2 were looked at again (d001)";
    assert_eq!(state(&rollout), ("running", words.to_owned()));
}

#[test]
fn who_stands_still_for_long_says_what_for_whoever_it_is() {
    let mut rollout = begin(&declared(settings(), &[]), 4, 2);
    let mut seen = all_good(4);
    for number in 0..2 {
        seen.insert(id(number), Seen::default());
    }
    let stuck = |rollout: &mut Rollout, seen: &BTreeMap<DeviceId, Seen>, passed: u64| {
        rollout.step(seen, passed);
        rollout.standing().stuck
    };
    assert_eq!(stuck(&mut rollout, &seen, 50_000), None);
    assert_eq!(stuck(&mut rollout, &seen, 50_000), None);
    let away = Some("canary: away".to_owned());
    assert_eq!(stuck(&mut rollout, &seen, 10_000), away);
    let written = serde_json::to_string(&rollout).unwrap();
    let again: Rollout = serde_json::from_str(&written).unwrap();
    assert_eq!(again.stuck, rollout.stuck, "a daemon that begins anew does not begin to wait anew");
    // Another reason has to last as well.
    seen.get_mut(&id(0)).unwrap().held = Some("paused by ada".to_owned());
    assert_eq!(stuck(&mut rollout, &seen, 60_000), None);
    assert_eq!(stuck(&mut rollout, &seen, 60_000), Some("canary: away+held".to_owned()));
    // Nobody answers: no time counts for anybody, and it stands still all the same.
    let nobody = BTreeMap::new();
    assert_eq!(stuck(&mut rollout, &nobody, 60_000), None);
    assert_eq!(stuck(&mut rollout, &nobody, 60_000), Some("canary: cut off".to_owned()));
    assert_eq!(stuck(&mut rollout, &all_good(4), 1000), None);
}

#[test]
fn rules_are_taken_from_the_same_phases_alone() {
    let mut rollout = begin(&declared(settings(), &[50]), 4, 1);
    let before = rollout.phases.clone();
    let soaks = PhaseSettings { soak: Some(Duration::seconds(1)), ..settings() };
    let mut others = declared(soaks.clone(), &[50]);
    "half".clone_into(&mut others.phases[1].name);
    rollout.take_rules(&others, &[]);
    assert_eq!(rollout.phases, before);
    rollout.take_rules(&declared(soaks, &[50]), &[]);
    assert_ne!(rollout.phases, before);
}

#[test]
fn of_a_rollout_from_an_older_version_it_is_not_known_whose_rules_count() {
    let rollout = begin(&declared(settings(), &[50]), 4, 1);
    let mut stored = serde_json::json!(rollout);
    stored.as_object_mut().expect("an object").remove("changed");
    let read: Rollout = serde_json::from_value(stored).expect("it is read");
    assert_eq!(read.changed, None);
}
