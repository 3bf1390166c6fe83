//! Cases by hand, and a fleet at random held against the rules of the module's first lines.

use super::*;
use crate::fleet;
use crate::model::{Amount, Duration, Hash, OnFailure, PhaseSettings};
use proptest::prelude::*;
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
    })
}

fn all_good(devices: usize) -> BTreeMap<DeviceId, Seen> {
    let seen = Seen { reachable: true, held: None, report: Some(Report::Good) };
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
    assert_eq!(state(&rollout), ("running", "2 of 2 of canary not reported yet".to_owned()));
    assert!(rollout.step(&seen, 5_000).is_empty());
    let good = all_good(12);
    assert!(rollout.step(&good, 0).is_empty());
    let (state_word, reason) = state(&rollout);
    assert_eq!(state_word, "running");
    assert_eq!(reason, "canary soaks until 1970-01-01T00:00:10Z (10s more)");
    assert!(rollout.step(&good, 9_999).is_empty());
    let looks = [Decision::Look(id(0)), Decision::Look(id(1))];
    assert_eq!(rollout.step(&good, 1), looks, "once more before it passes");
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
    assert_eq!(state(&rollout), ("rolled back", format!("{words}; 2 on the way back")));
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
    assert_eq!(state(&rollout), ("waiting", "canary waits: 1 of 1 do not answer".to_owned()));
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
    assert_eq!((said.success_needed(11), said.success_needed(0)), (10, 1));
    assert_eq!((said.unavailable_allowed(5), said.unavailable_allowed(29)), (1, 2));
    let silent = rules(PhaseSettings::default(), &[]);
    assert_eq!((silent.success_needed(10), silent.success_needed(11)), (10, 10));
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

/// How a device of the model behaves at the new revision.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    Good,
    Bad,
    Silent,
    Slow,
    Away,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        12 => Just(Behaviour::Good),
        1 => Just(Behaviour::Bad),
        1 => Just(Behaviour::Silent),
        2 => Just(Behaviour::Slow),
        1 => Just(Behaviour::Away),
    ]
}

fn seen_of(
    behaviours: &[Behaviour],
    moved: &BTreeMap<DeviceId, usize>,
    step: usize,
) -> BTreeMap<DeviceId, Seen> {
    let seen = |(n, behaviour): (usize, &Behaviour)| {
        let since = moved.get(&id(n)).map(|since| step - since);
        let (reachable, report) = match (behaviour, since) {
            (Behaviour::Away, _) | (Behaviour::Silent, Some(_)) => (false, None),
            (_, None) | (Behaviour::Slow, Some(0..3)) => (true, None),
            (Behaviour::Good | Behaviour::Slow, Some(_)) => (true, Some(Report::Good)),
            (Behaviour::Bad, Some(_)) => (true, Some(Report::Bad("bad".to_owned()))),
        };
        (id(n), Seen { reachable, held: None, report })
    };
    behaviours.iter().enumerate().map(seen).collect()
}

proptest! {
    /// A fleet at random, orders at random moments, restarts in between.
    #[test]
    fn the_rules_hold_at_every_step(
        behaviours in proptest::collection::vec(behaviour(), 1..40),
        canaries in 0usize..4,
        shares in proptest::collection::vec(1u32..60_00, 0..4),
        unavailable in 1u64..5,
        failures in 0u64..3,
        halt in any::<bool>(),
        orders in proptest::collection::vec((0usize..200, 0usize..5), 0..4),
        steps in proptest::collection::vec(0u64..20_000, 200),
    ) {
        let settings = PhaseSettings {
            on_failure: Some(if halt { OnFailure::Halt } else { OnFailure::Rollback }),
            max_failures: Some(Amount::Count(failures)),
            max_unavailable: Some(Amount::Count(unavailable)),
            ..settings()
        };
        let devices = behaviours.len();
        let mut rollout = begin(&declared(settings, &shares), devices, canaries);
        // The model: which devices are at the new revision, and for how many steps.
        let mut moved: BTreeMap<DeviceId, usize> = BTreeMap::new();
        let mut promoted = false;
        let mut was_retried = false;
        for (number, passed) in steps.into_iter().enumerate() {
            let seen = seen_of(&behaviours, &moved, number);
            let mut decisions = Vec::new();
            for (_, order) in orders.iter().filter(|(at, _)| *at == number) {
                let order = [Order::Pause, Order::Resume, Order::Promote, Order::Abort, Order::Retry][*order];
                let obeyed = rollout.obey(order, "by hand").unwrap_or_default();
                promoted |= order == Order::Promote;
                was_retried |= order == Order::Retry;
                decisions.extend(obeyed);
            }
            let open_before = rollout.open;
            decisions.extend(rollout.step(&seen, passed));
            for decision in &decisions {
                match decision {
                    Decision::Admit(device) => {
                        prop_assert!(moved.insert(device.clone(), number + 1).is_none(), "moved twice");
                        let member = &rollout.members[device];
                        let phase = member.phase.unwrap();
                        prop_assert!(phase <= rollout.open, "a later phase's device");
                        prop_assert!(seen[device].reachable);
                    }
                    Decision::Back(device) => {
                        prop_assert!(moved.remove(device).is_some(), "back without having been moved");
                    }
                    Decision::Passed(_, good) => {
                        prop_assert!(*good > 0 || promoted, "passed on nobody's success");
                    }
                    _ => {}
                }
            }
            prop_assert!(rollout.open >= open_before || was_retried);
            // A device is at exactly one revision, and the machine knows at which.
            for (device, member) in &rollout.members {
                prop_assert_eq!(member.is_moved(), moved.contains_key(device));
            }
            let admitted_now = decisions.iter().any(|d| matches!(d, Decision::Admit(_)));
            let away = rollout
                .members
                .values()
                .filter(|m| matches!(m.place, Place::Admitted { .. } | Place::Failed { .. }))
                .count() as u64;
            prop_assert!(!admitted_now || away <= unavailable, "{away} of {unavailable} at once");
            if matches!(rollout.stage, Stage::RolledBack { .. }) {
                prop_assert!(moved.is_empty(), "somebody was left at the new revision");
            }
            let standing = rollout.standing();
            prop_assert!(!standing.reason.is_empty());
            let devices_in_phases: usize = standing.phases.iter().map(|phase| phase.devices).sum();
            prop_assert_eq!(devices_in_phases, devices);
        }
        // It ends, or says what it waits for.
        let standing = rollout.standing();
        let ends = ["done", "rolled back", "halted", "paused", "waiting"].contains(&standing.state);
        prop_assert!(ends || standing.reason.contains(' '), "{standing:?}");
        let all_good = behaviours.iter().all(|b| matches!(b, Behaviour::Good | Behaviour::Slow));
        let nobody_spoke = orders.is_empty();
        if all_good && nobody_spoke && devices / (unavailable as usize) < 20 {
            prop_assert_eq!(standing.state, "done");
        }
    }
}
