//! Fleets at random: devices that fail, fall silent or are away, commits, devices that join or get another name, orders, and
//! daemons that are killed, so that the next one knows of no device how it is before the look at it has ended.
//! What the machine decides is played on a model of the devices, and the model is asked whether a rule was broken.

use super::{declared, settings};
use crate::model::{Amount, DeviceId, Hash, OnFailure, PhaseSettings};
use crate::rollout::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// How a device behaves with anything that is not what it had at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Good,
    Bad,
    Silent,
    Slow,
    Away,
    /// It answered the last look, and answers nothing any more.
    Hung,
}

/// What happens besides time.
#[derive(Debug, Clone, Copy)]
enum Event {
    Order(Order),
    /// A commit that changes devices whose number leaves a rest below the second, divided by the first.
    Commit(usize, usize),
    /// The daemon is killed, and begins again.
    Restart,
    /// The same a moment after it has accepted a commit.
    CommitAndRestart(usize, usize),
    /// A commit that goes back to what had gone through.
    Revert,
    /// A commit with one more device.
    Join(bool),
    /// A commit that names a device anew.
    Rename(usize),
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        14 => Just(Behaviour::Good),
        1 => Just(Behaviour::Bad),
        1 => Just(Behaviour::Silent),
        2 => Just(Behaviour::Slow),
        1 => Just(Behaviour::Away),
        1 => Just(Behaviour::Hung),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let orders = [Order::Pause, Order::Resume, Order::Promote, Order::Abort, Order::Retry];
    prop_oneof![
        2 => (0usize..5).prop_map(move |order| Event::Order(orders[order])),
        3 => (1usize..5, 1usize..4).prop_map(|(by, rest)| Event::Commit(by, rest)),
        1 => Just(Event::Restart),
        2 => (1usize..5, 1usize..4).prop_map(|(by, rest)| Event::CommitAndRestart(by, rest)),
        1 => Just(Event::Revert),
        1 => any::<bool>().prop_map(Event::Join),
        1 => (0usize..40).prop_map(Event::Rename),
    ]
}

struct Device {
    id: DeviceId,
    behaviour: Behaviour,
    is_canary: bool,
    /// The content that it has; 0 is what it had at first.
    has: u32,
    /// Whether it never had anything.
    is_new: bool,
    /// At which step it was moved last; 0 is never.
    since: usize,
    /// Whether it fell silent.
    is_silent: bool,
    /// Before which step it counts as one that has answered lately.
    lately_before: usize,
    /// Since which step it is asked whether it answers.
    asked: Option<usize>,
    /// Whether it hangs, and a look at it has failed for that.
    has_failed_a_look: bool,
    /// When the daemon began, if no look at the device has ended since.
    not_looked_at_since: Option<usize>,
    /// For how long it has not answered.
    unheard: u64,
}

impl Device {
    fn answers(&self) -> bool {
        !matches!(self.behaviour, Behaviour::Away | Behaviour::Hung) && !self.is_silent
    }
}

/// So many steps after it was asked a device is silent, and after so many a look at it has failed.
const PATIENCE: usize = 2;
const LOOK_FAILS: usize = 4;
/// How long a change may take, in milliseconds.
const TIMEOUT: u64 = 100_000;

/// The devices and what a daemon knows, in small.
struct World {
    devices: Vec<Device>,
    /// By revision: the content of each device that it has.
    revisions: Vec<Vec<u32>>,
    accepted: usize,
    behind: BTreeMap<usize, usize>,
    rollout: Option<Rollout>,
    settings: crate::fleet::Rollout,
    next_content: u32,
    next_name: usize,
    /// Phases of this rollout that passed, or that somebody let pass.
    passed: BTreeSet<usize>,
    /// Devices that joined this rollout after its phases were judged.
    late: BTreeSet<usize>,
    /// What devices had that the end of the rollout before had left behind: they go back to that.
    left: BTreeMap<usize, u32>,
}

fn name(number: usize) -> DeviceId {
    DeviceId::parse(&format!("d{number:03}")).unwrap()
}

impl World {
    fn new(behaviours: &[Behaviour], canaries: usize, settings: crate::fleet::Rollout) -> Self {
        let device = |(number, behaviour): (usize, &Behaviour)| Device {
            id: name(number),
            behaviour: *behaviour,
            is_canary: number < canaries,
            has: 0,
            is_new: false,
            since: 0,
            is_silent: false,
            lately_before: 0,
            asked: None,
            has_failed_a_look: false,
            not_looked_at_since: None,
            unheard: 0,
        };
        let devices: Vec<Device> = behaviours.iter().enumerate().map(device).collect();
        Self {
            revisions: vec![vec![0; devices.len()]],
            next_name: devices.len(),
            devices,
            accepted: 0,
            behind: BTreeMap::new(),
            rollout: None,
            settings,
            next_content: 1,
            passed: BTreeSet::new(),
            late: BTreeSet::new(),
            left: BTreeMap::new(),
        }
    }

    fn number(&self, id: &DeviceId) -> usize {
        self.devices.iter().position(|device| device.id == *id).unwrap()
    }

    fn revision(text: &str) -> usize {
        text.parse().unwrap()
    }

    fn unfinished(&self) -> Option<&Rollout> {
        self.rollout.as_ref().filter(|rollout| rollout.stage != Stage::Done)
    }

    fn proven(&self) -> usize {
        self.unfinished().map_or(self.accepted, |rollout| Self::revision(&rollout.from))
    }

    fn take_event(&mut self, event: Event, step: usize) {
        let mut next = self.revisions[self.accepted].clone();
        match event {
            Event::Order(order) => {
                let Some(rollout) = &mut self.rollout else { return };
                let open = rollout.open;
                let Ok(decisions) = rollout.obey(order, "by hand") else { return };
                if order == Order::Promote {
                    self.passed.insert(open);
                    for number in 0..self.devices.len() {
                        if !self.answered_the_last_look(number) {
                            self.devices[number].unheard = u64::MAX;
                        }
                    }
                }
                self.play(&decisions, step);
                return;
            }
            Event::Restart => return self.restart(step),
            Event::Commit(by, rest) | Event::CommitAndRestart(by, rest) => {
                self.next_content += 1;
                for (number, content) in next.iter_mut().enumerate() {
                    if number % by < rest {
                        *content = self.next_content;
                    }
                }
            }
            Event::Revert => next[..].clone_from_slice(&self.with_all(self.proven())),
            Event::Join(is_canary) => {
                let content = next.iter().copied().max().unwrap_or(0);
                next.push(content);
                self.devices.push(Device {
                    id: name(self.next_name),
                    behaviour: Behaviour::Good,
                    is_canary,
                    has: 0,
                    is_new: true,
                    since: 0,
                    is_silent: false,
                    lately_before: 0,
                    asked: None,
                    has_failed_a_look: false,
                    not_looked_at_since: None,
                    unheard: 0,
                });
                self.next_name += 1;
            }
            Event::Rename(number) => {
                let number = number % self.devices.len();
                let (former, id) = (self.devices[number].id.clone(), name(self.next_name));
                self.next_name += 1;
                self.devices[number].id = id.clone();
                if let Some(rollout) = &mut self.rollout {
                    rollout.rename(&former, &id);
                }
                self.next_content += 1;
                next[number] = self.next_content;
            }
        }
        self.revisions.push(next);
        self.accept(step);
        if matches!(event, Event::CommitAndRestart(..)) {
            self.restart(step);
        }
    }

    /// Another daemon takes up what is written down, and looks at devices one after the other.
    fn restart(&mut self, step: usize) {
        self.take_up();
        for device in &mut self.devices {
            (device.lately_before, device.asked) = (0, None);
            device.not_looked_at_since = Some(step);
        }
    }

    fn take_up(&mut self) {
        if let Some(rollout) = &mut self.rollout {
            let members = std::mem::take(&mut rollout.members);
            let text = serde_json::to_string(rollout).unwrap();
            *rollout = serde_json::from_str(&text).unwrap();
            rollout.members = members;
        }
    }

    /// The looks that end before a step: one at a device in the middle of something takes until that is done.
    fn end_looks(&mut self, step: usize) {
        for (number, device) in self.devices.iter_mut().enumerate() {
            let needs = if device.behaviour == Behaviour::Slow { 3 } else { 1 };
            let is_busy = device.since > 0 && step < device.since + needs;
            let ends = |began: usize| step >= began + number % 3 && !is_busy;
            if device.not_looked_at_since.take_if(|began| ends(*began)).is_some() {
                device.lately_before = step + 2;
                device.has_failed_a_look |= device.behaviour == Behaviour::Hung;
            }
        }
    }

    /// A revision's contents, of devices that it lacks those of the accepted one.
    fn with_all(&self, revision: usize) -> Vec<u32> {
        let mut contents = self.revisions[revision].clone();
        contents.extend_from_slice(&self.revisions[self.accepted][contents.len()..]);
        contents
    }

    /// What the daemon does with a newer commit.
    fn accept(&mut self, step: usize) {
        let to = self.revisions.len() - 1;
        let proven: BTreeSet<u32> = self.revisions[self.proven()].iter().copied().collect();
        let mut candidates = BTreeMap::new();
        let mut behind = BTreeMap::new();
        for (number, wanted) in self.revisions[to].iter().enumerate() {
            let device = &self.devices[number];
            let at = self.behind.get(&number).copied().unwrap_or(self.accepted);
            let has = match self.revisions[at].get(number) {
                Some(content) => content == wanted,
                None if proven.contains(wanted) => continue,
                None => false,
            };
            let Some(part) = TakesPart::of(&device.id, &at.to_string(), has, self.rollout.as_ref())
            else {
                continue;
            };
            if !part.is_moved {
                behind.insert(number, at);
            }
            let content = wanted.to_string();
            let candidate = Candidate {
                phase: device.is_canary.then_some(0),
                back_to: part.back_to,
                wanted: Hash::of_texts("manifest", [device.id.as_str(), &content]),
                template: Hash::of_texts("template", [content.as_str()]),
                is_moved: part.is_moved,
                between: part.between,
            };
            candidates.insert(device.id.clone(), candidate);
        }
        let former = self.rollout.as_ref();
        let is_over = former.is_none_or(|former| former.stage == Stage::Done);
        if is_over {
            let content = |(number, at): (&usize, &usize)| {
                Some((*number, *self.revisions[*at].get(*number)?))
            };
            self.left = self.behind.iter().filter_map(content).collect();
        }
        if !(candidates.is_empty() && is_over) {
            let rollout = Rollout::begin(Plan {
                from: &self.proven().to_string(),
                to: &to.to_string(),
                settings: &self.settings,
                tighter: Vec::new(),
                candidates,
                marks: former.map(|former| former.marks.clone()).unwrap_or_default(),
                disturbed: former.map(Rollout::disturbed_now).unwrap_or_default(),
                unheard: former.map(|former| former.unheard.clone()).unwrap_or_default(),
                unphased: BTreeSet::new(),
                withheld: BTreeSet::new(),
            });
            self.rollout = Some(rollout);
            self.passed.clear();
            self.late.clear();
        } else if let Some(rollout) = &mut self.rollout {
            let stay: BTreeSet<&DeviceId> =
                behind.keys().map(|number| &self.devices[*number].id).collect();
            rollout.wait_only_for(&stay);
        }
        self.behind = behind;
        self.accepted = to;
        self.bring(step);
    }

    /// Devices get what the revision that they are at wants of them, as far as they can be reached.
    fn bring(&mut self, step: usize) {
        for number in 0..self.devices.len() {
            let at = self.behind.get(&number).copied().unwrap_or(self.accepted);
            let device = &mut self.devices[number];
            let Some(wanted) = self.revisions[at].get(number).copied() else { continue };
            let can = device.answers();
            if can && device.has != wanted {
                // Who had nothing does no work that anybody would miss.
                device.since = if device.is_new { 0 } else { step + 1 };
                (device.has, device.is_new) = (wanted, false);
                device.is_silent = device.behaviour == Behaviour::Silent && wanted != 0;
            }
        }
    }

    fn play(&mut self, decisions: &[Decision], step: usize) {
        for decision in decisions {
            match decision {
                Decision::Admit(device) => {
                    let number = self.number(device);
                    self.behind.remove(&number);
                }
                Decision::Ask(device) => {
                    let number = self.number(device);
                    let device = &mut self.devices[number];
                    match device.answers() {
                        true => (device.lately_before, device.asked) = (step + 2, None),
                        false => device.asked = device.asked.or(Some(step)),
                    }
                }
                Decision::Again(device) => {
                    let number = self.number(device);
                    self.devices[number].since = step + 1;
                }
                Decision::Back(device) => {
                    let number = self.number(device);
                    let back_to = &self.rollout.as_ref().unwrap().members[device].back_to;
                    self.behind.insert(number, Self::revision(back_to));
                }
                _ => {}
            }
        }
        self.bring(step);
    }

    fn works(&self, number: usize, step: usize) -> bool {
        let device = &self.devices[number];
        let needs = if device.behaviour == Behaviour::Slow { 3 } else { 1 };
        let is_bad = device.behaviour == Behaviour::Bad && device.has != 0;
        !is_bad && !device.is_silent && (device.since == 0 || step >= device.since + needs)
    }

    /// Whether it answered when it was looked at last.
    fn answered_the_last_look(&self, number: usize) -> bool {
        let device = &self.devices[number];
        match device.behaviour {
            Behaviour::Hung => !device.has_failed_a_look,
            _ => device.answers(),
        }
    }

    /// The same, as far as the daemon knows: who was good when the one before ended counts as such.
    fn is_reachable(&self, number: usize) -> bool {
        let device = &self.devices[number];
        let member = self.rollout.as_ref().and_then(|rollout| rollout.members.get(&device.id));
        let is_known = device.not_looked_at_since.is_none()
            || member.is_some_and(|member| member.place == Place::Good);
        is_known && self.answered_the_last_look(number)
    }

    fn contact(&self, number: usize, step: usize) -> Contact {
        let device = &self.devices[number];
        match device.asked {
            _ if device.not_looked_at_since.is_some() => Contact::NotYet("at work".to_owned()),
            _ if step < device.lately_before => Contact::Lately,
            Some(at) if step >= at + PATIENCE => Contact::Asked("no answer".to_owned()),
            _ => Contact::Before,
        }
    }

    fn seen(&self, step: usize) -> BTreeMap<DeviceId, Seen> {
        let seen = |number: usize| {
            let device = &self.devices[number];
            let works = self.works(number, step);
            let has_tried = device.since == 0 || step > device.since;
            let at = self.behind.get(&number).copied().unwrap_or(self.accepted);
            let lacks = self.revisions[at].get(number).is_none();
            let was_looked_at = device.not_looked_at_since.is_none();
            let report = match (self.is_reachable(number) && was_looked_at, works) {
                (false, _) => None,
                _ if lacks => Some(Report::Good),
                (true, true) => Some(Report::Good),
                (true, false) if device.behaviour == Behaviour::Bad && has_tried => {
                    Some(Report::Bad("bad".to_owned()))
                }
                (true, false) => None,
            };
            let reachable = self.is_reachable(number);
            let contact = self.contact(number, step);
            let works = reachable && was_looked_at && works;
            (device.id.clone(), Seen { reachable, last: None, contact, held: None, report, works })
        };
        (0..self.revisions[self.accepted].len()).map(seen).collect()
    }

    /// Devices that are down because of us, whatever the machine thinks and whoever knows of it. Those that have not answered for
    /// as long as a change may take only if they are of this rollout, and of those that failed only who was not let pass.
    fn down(&self, step: usize) -> BTreeSet<usize> {
        let rollout = self.rollout.as_ref();
        let is_down = |number: &usize| {
            let member = rollout.and_then(|rollout| rollout.members.get(&self.devices[*number].id));
            if member.is_some_and(|member| member.pardoned) {
                return false;
            }
            let is_of_now = member.is_some_and(Member::is_moved);
            let was_moved = self.devices[*number].since > 0;
            let is_heard = self.devices[*number].unheard < TIMEOUT;
            was_moved && !self.works(*number, step) && (is_heard || is_of_now)
        };
        (0..self.devices.len()).filter(is_down).collect()
    }

    /// Whether what it gets is new to those who have gone through.
    fn changes(&self, number: usize) -> bool {
        let proven = &self.revisions[self.proven()];
        let wanted = self.revisions[self.accepted][number];
        match proven.get(number) {
            Some(content) => *content != wanted,
            None => !proven.contains(&wanted),
        }
    }

    /// One step, played; what it broke.
    fn step(&mut self, step: usize, passed: u64, limit: usize) -> Result<(), TestCaseError> {
        for device in &mut self.devices {
            device.has_failed_a_look |= device.asked.is_some_and(|at| step >= at + LOOK_FAILS);
        }
        self.end_looks(step);
        for number in 0..self.devices.len() {
            let answers = self.answered_the_last_look(number);
            let unheard = &mut self.devices[number].unheard;
            *unheard = if answers { 0 } else { unheard.saturating_add(passed) };
        }
        let seen = self.seen(step);
        let before = self.down(step);
        let Some(rollout) = &mut self.rollout else { return Ok(()) };
        let was_done = rollout.stage == Stage::Done;
        let open = rollout.open;
        let decisions = rollout.step(&seen, passed);
        let rollout = rollout.clone();
        let phase_named = |name: &str| rollout.phases.iter().position(|p| p.name == name).unwrap();
        for decision in &decisions {
            match decision {
                Decision::Passed(name, good) => {
                    let phase = phase_named(name);
                    let is_promoted = rollout.phases[phase].promoted;
                    prop_assert!(*good > 0 || is_promoted, "passed on nobody's success");
                    self.passed.insert(phase);
                }
                Decision::Admit(device) => {
                    let phase = rollout.members[device].phase.unwrap();
                    prop_assert!(phase <= rollout.open, "a later phase's device");
                    prop_assert!(seen[device].reachable);
                    let answers = self.devices[self.number(device)].answers();
                    prop_assert!(answers, "{device} hangs, and was let in");
                    let canaries = (0..self.revisions[self.accepted].len()).filter(|number| {
                        self.devices[*number].is_canary
                            && self.changes(*number)
                            && !self.late.contains(number)
                    });
                    let waits_for_canaries = phase > 0 && canaries.count() > 0 && !was_done;
                    prop_assert!(
                        !waits_for_canaries || self.passed.contains(&0),
                        "{device} of phase {phase} before the canaries"
                    );
                }
                _ => {}
            }
        }
        prop_assert!(rollout.open >= open);
        let admitted: Vec<usize> = decisions
            .iter()
            .filter_map(|decision| match decision {
                Decision::Admit(device) | Decision::Again(device) => Some(self.number(device)),
                _ => None,
            })
            .collect();
        self.play(&decisions, step);
        let more: BTreeSet<usize> =
            before.iter().copied().chain(admitted.iter().copied()).collect();
        prop_assert!(more.len() <= before.len().max(limit), "{more:?} at once, {limit} may be");
        for (device, member) in &rollout.members {
            let number = self.number(device);
            let is_behind = self.behind.contains_key(&number);
            prop_assert_eq!(member.is_moved(), !is_behind, "{} {:?}", device, member);
        }
        if matches!(rollout.stage, Stage::RolledBack { .. }) {
            for (number, device) in self.devices.iter().enumerate() {
                let proven = self.revisions[self.proven()].get(number);
                let is_there = proven.is_none_or(|proven| *proven == device.has)
                    || self.left.get(&number) == Some(&device.has);
                prop_assert!(
                    is_there || !self.is_reachable(number),
                    "{} was left behind",
                    device.id
                );
            }
        }
        let standing = rollout.standing();
        let in_phases: usize = standing.phases.iter().map(|phase| phase.devices).sum();
        prop_assert_eq!(in_phases, rollout.members.len());
        Ok(())
    }

    /// It has stood still for long: it has ended, or what it says it waits for is so.
    fn check_the_end(&self, step: usize) -> Result<(), TestCaseError> {
        let Some(rollout) = &self.rollout else { return Ok(()) };
        let standing = rollout.standing();
        let waiting = |is_so: &dyn Fn(&DeviceId, &Member) -> bool| {
            let members = rollout.members.iter();
            let until_now = |m: &&Member| m.phase.is_some_and(|phase| phase <= rollout.open);
            members.filter(|(_, m)| until_now(m)).any(|(device, member)| is_so(device, member))
        };
        let is_away = |device: &DeviceId, member: &Member| {
            member.place == Place::Waiting && !self.is_reachable(self.number(device))
                || member.again && !self.is_reachable(self.number(device))
        };
        let is_marked = |device: &DeviceId, member: &Member| {
            member.place == Place::Waiting && rollout.is_marked(device, member)
        };
        let has_failed =
            |_: &DeviceId, member: &Member| matches!(member.place, Place::Failed { .. });
        let reasons = |because: &str| -> Result<(), TestCaseError> {
            prop_assert!(!because.is_empty(), "{standing:?}");
            let away = because.contains("do not answer") || because.contains("are silent");
            let marked = because.contains("not tried again");
            prop_assert!(!away || waiting(&is_away), "{standing:?}");
            prop_assert!(!marked || waiting(&is_marked), "{standing:?}");
            prop_assert!(away || marked || waiting(&has_failed), "{standing:?}");
            Ok(())
        };
        match (standing.state, &rollout.wait) {
            ("done", _) => {
                for (number, device) in self.devices.iter().enumerate() {
                    let wanted = self.revisions[self.accepted].get(number);
                    let has = wanted.is_none_or(|wanted| *wanted == device.has);
                    prop_assert!(
                        has || !self.is_reachable(number) || standing.reason.contains(';'),
                        "{} was left behind: {standing:?}",
                        device.id
                    );
                }
            }
            ("paused" | "halted" | "rolled back", _) => {}
            ("waiting", Wait::Nobody { because, .. } | Wait::TooFew { because, .. }) => {
                reasons(because)?;
            }
            ("waiting", Wait::CutOff) => {
                let answers = (0..self.devices.len()).any(|number| self.is_reachable(number));
                prop_assert!(!answers, "somebody answers: {standing:?}");
            }
            ("waiting", Wait::Full { .. }) => {
                prop_assert!(!self.down(step).is_empty(), "nobody is down: {standing:?}");
            }
            _ => prop_assert!(false, "it stands still and does not say why: {standing:?}"),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_at_every_step(
        behaviours in proptest::collection::vec(behaviour(), 1..24),
        all_well in any::<bool>(),
        canaries in 0usize..4,
        shares in proptest::collection::vec(1u32..60_00, 0..4),
        unavailable in 1u64..5,
        failures in 0u64..3,
        halt in any::<bool>(),
        events in proptest::collection::vec((0usize..150, event()), 0..8),
        pace in 1u64..20_000,
    ) {
        let settings = PhaseSettings {
            on_failure: Some(if halt { OnFailure::Halt } else { OnFailure::Rollback }),
            max_failures: Some(Amount::Count(failures)),
            max_unavailable: Some(Amount::Count(unavailable)),
            ..settings()
        };
        let well = |behaviour: &Behaviour| match behaviour {
            Behaviour::Slow => Behaviour::Slow,
            other if !all_well => *other,
            _ => Behaviour::Good,
        };
        let behaviours: Vec<Behaviour> = behaviours.iter().map(well).collect();
        let mut world = World::new(&behaviours, canaries, declared(settings, &shares));
        world.take_event(Event::Commit(1, 1), 0);
        let limit = unavailable as usize;
        for step in 0..150 {
            let passed = step as u64 * 7919 * pace % 20_000;
            for (_, event) in events.iter().filter(|(at, _)| *at == step) {
                world.take_event(*event, step);
            }
            // What is written down now and then says all of it.
            if step % 17 == 0 {
                world.take_up();
            }
            world.step(step, passed, limit)?;
        }
        // Nothing happens any more: it ends, or waits for something that is so.
        for step in 150..600 {
            world.step(step, 20_000, limit)?;
        }
        let rollout = world.rollout.as_ref().unwrap();
        let at_rest = |of: &Rollout| (of.stage.clone(), of.open, of.members.clone());
        let before = at_rest(rollout);
        for step in 600..620 {
            world.step(step, 20_000, limit)?;
        }
        prop_assert_eq!(before, at_rest(world.rollout.as_ref().unwrap()), "it never comes to rest");
        world.check_the_end(620)?;
        let no_orders = !events.iter().any(|(_, event)| matches!(event, Event::Order(_)));
        if all_well && no_orders {
            prop_assert_eq!(world.rollout.as_ref().unwrap().standing().state, "done");
        }
    }
}
