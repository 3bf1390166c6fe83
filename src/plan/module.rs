//! One module: what differs between its manifest and its containers, and the steps that bring it there.
//!
//! A replace gives names last: the new container is made under a name of its own, the old one is stopped,
//! the new one started and watched, and only then are names changed. Until then the way back needs no
//! rename. What a cut-off run left behind is told by labels and names, and taken up from there.

use super::body::engine_policy;
use super::room::has_come_up;
use super::spec_label::spec_label;
use super::standing::Repair;
use super::{
    Block, ContainerRef, DeviceMemory, HalfDone, ModuleMemory, PlanAction, PlanReason,
    RememberedContainer, Starts, Step, Stops, Undo, Verdict,
};
use crate::model::{
    ContainerState, FleetName, Hash, Module, ModuleHashes, ModuleName, ObservedContainer, Route,
    RouteName, SecretName, Status,
};
use std::collections::{BTreeMap, BTreeSet};

/// The containers of one module, by what they are to it.
#[derive(Debug, Default, Clone)]
pub(super) struct Owned<'a> {
    pub(super) current: Option<&'a ObservedContainer>,
    pub(super) new: Option<&'a ObservedContainer>,
    pub(super) old: Option<&'a ObservedContainer>,
    /// Ours by id, under names that we never give.
    pub(super) renamed: Vec<&'a ObservedContainer>,
    /// The id of the one among them that is somebody else's and is taken over.
    pub(super) adopted: Option<String>,
}

impl<'a> Owned<'a> {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a ObservedContainer> {
        let Self { current, new, old, renamed, adopted: _ } = self;
        [*current, *new, *old].into_iter().flatten().chain(renamed.iter().copied())
    }
}

/// What the decision on a module depends on.
pub(super) struct ModuleInput<'a> {
    pub(super) fleet: &'a FleetName,
    pub(super) device: &'a str,
    pub(super) is_kept: bool,
    pub(super) revision: &'a str,
    pub(super) control: &'a str,
    pub(super) secrets: &'a BTreeMap<SecretName, Result<Hash, String>>,
    pub(super) memory: &'a DeviceMemory,
    pub(super) foreign: &'a [&'a ObservedContainer],
    /// Those of them that bear this module's labels without their image bearing them.
    pub(super) doubtful: Vec<&'a ObservedContainer>,
    pub(super) routes: &'a BTreeMap<RouteName, Route>,
    pub(super) hashes: &'a ModuleHashes,
    pub(super) name: &'a ModuleName,
    pub(super) module: &'a Module,
    pub(super) owned: &'a Owned<'a>,
    /// Whether the engine was asked for the module's image and has it not.
    pub(super) lacks_image: bool,
    /// The ids of the engine's networks, where they were asked for.
    pub(super) network_ids: Option<&'a BTreeMap<String, String>>,
    /// Whether something is removed once this has passed: a first look is then not enough.
    pub(super) others_go: bool,
    /// Whether it was agreed to that what others started is taken over.
    pub(super) may_adopt: bool,
    /// What a run began beside others that go, as far as it is still so.
    pub(super) half_done: &'a HalfDone,
    /// Whether something stands there, stopped, that made room for it and is started again where it goes.
    pub(super) has_way_back: bool,
    /// Which containers are down since they were stopped from here.
    pub(super) stops: &'a Stops,
    pub(super) now: i64,
}

/// What is to be done about a module.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    pub(super) action: PlanAction,
    pub(super) reasons: Vec<PlanReason>,
    pub(super) steps: Vec<Step>,
    pub(super) undo: Vec<Undo>,
    /// Whether a container is made, so that its image must be there.
    pub(super) needs_image: bool,
    /// Networks that must be there.
    pub(super) networks: Vec<String>,
    pub(super) remember: Vec<(ContainerRef, RememberedContainer)>,
    /// The specification that takes the place of another one.
    pub(super) tries: Option<Hash>,
    /// Whether it starts what was down or unhealthy.
    pub(super) is_revival: bool,
    /// Whether what it starts is what a try left down, for the pause before the next one.
    pub(super) is_for_pause: bool,
    /// Whether it only keeps up the container that is there, whose ports are not those of its manifest.
    pub(super) keeps_up: bool,
    /// Whether the probation is made up for that a run which was cut off did not see the end of.
    pub(super) is_late: bool,
    /// What a run that was cut off made, and is taken back before anything else is done.
    pub(super) takes_back: Option<String>,
    /// What is done instead of a replacement that can't begin, if what is there needs something.
    pub(super) instead: Option<Box<Self>>,
    /// Where its steps begin that take down what is there, bring up what comes, and settle names.
    pub(super) phases: [usize; 3],
}

/// What was decided on a module.
pub(super) struct Decided {
    /// What is to be done, if anything.
    pub(super) decision: Option<Decision>,
    /// The specification label of its container, if it can be told.
    pub(super) spec: Option<Hash>,
    /// What is remembered of containers that stay as they are.
    pub(super) kept: Vec<(String, RememberedContainer)>,
    /// What is remembered of what was tried.
    pub(super) memory: ModuleMemory,
    /// Why it is not brought to its manifest, though something else may be done about it.
    pub(super) block: Option<Block>,
    /// When there is more to do.
    pub(super) due: Option<i64>,
}

/// Decides on one module.
pub(super) fn decide(input: &ModuleInput<'_>) -> Result<Decided, Block> {
    let (spec, lacks) = match spec_label(&input.hashes.spec, input.module, input.secrets) {
        Ok(spec) => (Some(spec), None),
        Err(words) => (None, Some(Block::NoSecret(words))),
    };
    let memory = input.memory.modules.get(input.name).cloned().unwrap_or_default();
    let mut draft = Draft {
        input,
        spec: spec.clone().unwrap_or_else(|| input.hashes.spec.clone()),
        out: Decision::empty(),
        memory,
        block: None,
        due: None,
        strays: Vec::new(),
    };
    if input.owned.current.is_none()
        && let Err(foreign) = draft.refuse_foreign_name(&[input.name.as_str()])
    {
        // Nothing can be put in place, also not what is half done.
        return draft.keep_up_aside(foreign, lacks, spec);
    }
    let current = draft.settle_names();
    let wanted = current.filter(|_| lacks.is_none());
    let original = wanted.and_then(|current| draft.original_to_put_back(current));
    draft.stop_strays(original);
    match (current, lacks) {
        (None, Some(block)) => return Err(block),
        (Some(current), Some(block)) if input.has_way_back && draft.is_left_coming(current) => {
            draft.out.takes_back = Some(current.id.clone());
            draft.block = Some(block);
        }
        (Some(current), Some(block)) => draft.keep_up(draft.worked_last(current), block, None),
        (None, None) => draft.settle_on_none()?,
        (Some(current), None) => draft.settle_on(current, original)?,
    }
    let stays = current.filter(|_| draft.out.takes_back.is_none());
    Ok(draft.decided(stays, spec))
}

impl Decision {
    fn empty() -> Self {
        Self {
            action: PlanAction::Tidy,
            reasons: Vec::new(),
            steps: Vec::new(),
            undo: Vec::new(),
            needs_image: false,
            networks: Vec::new(),
            remember: Vec::new(),
            tries: None,
            is_revival: false,
            is_for_pause: false,
            keeps_up: false,
            is_late: false,
            takes_back: None,
            instead: None,
            phases: [0; 3],
        }
    }
}

/// A decision in the making.
pub(super) struct Draft<'a> {
    pub(super) input: &'a ModuleInput<'a>,
    pub(super) spec: Hash,
    pub(super) out: Decision,
    pub(super) memory: ModuleMemory,
    pub(super) block: Option<Block>,
    pub(super) due: Option<i64>,
    /// Containers of the module that somebody renamed, and that go only once what comes has passed: what is in place may be a
    /// stranger's.
    pub(super) strays: Vec<&'a ObservedContainer>,
}

impl<'a> Draft<'a> {
    pub(super) fn decided(
        self,
        current: Option<&ObservedContainer>,
        spec: Option<Hash>,
    ) -> Decided {
        let kept = self.kept(current);
        let compared = current.map(|current| (id(current), self.is_compared(current)));
        let Self { mut out, memory, block, due, .. } = self;
        if let Some((container, is_compared)) = compared {
            let own = out.remember.iter_mut().filter(|(it, _)| *it == container);
            own.for_each(|(_, kept)| kept.is_compared = is_compared);
        }
        let is_something = !out.steps.is_empty() || out.takes_back.is_some();
        let mut said = BTreeSet::new();
        out.reasons.retain(|reason| said.insert(reason.clone()));
        let decision = is_something.then_some(out);
        Decided { decision, spec, kept, memory, block, due }
    }

    /// What is done about the container that is in place.
    fn settle_on(
        &mut self,
        current: &ObservedContainer,
        original: Option<&ObservedContainer>,
    ) -> Result<(), Block> {
        self.put_off_while_its_room_is_taken(current);
        if self.goes_before_the_next(current) {
            self.out.takes_back = Some(current.id.clone());
            self.block = self.settle_on_none().err().or(self.block.take());
            return Ok(());
        }
        if self.input.module.status == Status::Stopped {
            self.memory.starts = Starts::default();
        }
        if self.memory.failed.as_ref().is_some_and(|failed| failed.spec != self.spec)
            && self.gone_back_from(current).is_none()
        {
            self.memory.failed = None;
            self.memory.back_failed_at = None;
        }
        if let Some(original) = original {
            if let Err(block) = self.put_back(current, original) {
                self.keep_up(current, block, None);
            }
            return Ok(());
        }
        let adopted =
            self.is_adopted(current).then(|| PlanReason::Adopted { id: current.id.clone() });
        if adopted.is_none()
            && let Some((old, words)) = self.way_back(current)
        {
            self.go_back(current, old, words);
            return Ok(());
        }
        if adopted.is_none() && self.keep_up_what_came_back(current) {
            return Ok(());
        }
        if current.state == ContainerState::Dead
            && adopted.is_none()
            && self.verdict(current).repair == Repair::Start
        {
            // Half removed by somebody: an engine neither starts it nor writes its settings.
            self.tidy(current, PlanReason::Down("dead".to_owned()));
            self.block = self.settle_on_none().err().or(self.block.take());
            return Ok(());
        }
        let reason = adopted.or_else(|| self.why_replace(current));
        if self.is_left_to_others(current) {
            self.keep_up(current, self.foreign_name(current), None);
            return Ok(());
        }
        if reason.is_some() {
            self.put_off_while_down(current);
        }
        match (reason, self.failed_before()) {
            // It was stopped again beside others that go when it has come up.
            (None, Some(failed)) if self.input.others_go && !is_up(current) => {
                self.not_tried_again(failed);
                Ok(())
            }
            (None, _) => self.repair(current),
            (Some(_), Some(failed)) => {
                let not_before = failed.not_before();
                self.keep_up(current, Block::FailedBefore(failed), Some(not_before));
                Ok(())
            }
            // It could not be started.
            (Some(reason @ PlanReason::NetworkRemade(_)), None) => self.replace(current, reason),
            (Some(reason), None) => {
                if let Err(block) = self.replace(current, reason) {
                    self.keep_up(current, block, None);
                }
                Ok(())
            }
        }
    }

    /// How the container in its place stands.
    pub(super) fn verdict(&self, current: &ObservedContainer) -> Verdict {
        self.input.stops.judge(self.input.module, Some(current), &self.memory, self.input.now)
    }

    /// Clears away what a cut-off run left, gives names their containers, and says which one is current.
    fn settle_names(&mut self) -> Option<&'a ObservedContainer> {
        let Owned { current, new, old: _, renamed, adopted: _ } = self.input.owned;
        let there = current.or_else(|| self.heir())?;
        if let Some(new) = new.filter(|new| new.id != there.id) {
            self.tidy(new, PlanReason::LeftBehind);
        }
        if current.is_none() {
            self.rename_into_place(there, self.why_named_otherwise(there));
        }
        let others = renamed.iter().copied().filter(|other| other.id != there.id);
        let there = if self.may_be_strangers(there) {
            self.strays = others.collect();
            self.own_instead_of(there)
        } else {
            others.for_each(|other| self.tidy(other, PlanReason::Renamed(other.name.clone())));
            there
        };
        self.memory.notice(there, self.input.now);
        self.retire_old(there);
        Some(there)
    }

    /// Which of the module's containers gets its name, where none of them has it.
    pub(super) fn heir(&self) -> Option<&'a ObservedContainer> {
        let Owned { current: _, new, old, renamed, adopted: _ } = self.input.owned;
        // A run was cut off between the two renames, and what had passed its probation may have ended since.
        let passed = new.filter(|new| old.is_none() || !self.has_failed(new));
        let is_put_aside =
            |old: &ObservedContainer| self.is_adopted(old) || new.is_some() && !self.is_former(old);
        let has_passed = passed.is_some_and(|new| has_come_up(new, Some(self.input.module)));
        let own = match old.is_some_and(is_put_aside) {
            true => None,
            false => self.own_of(renamed).filter(|own| is_up(own) || !has_passed),
        };
        own.or(passed).or(*old).or_else(|| self.original_of(renamed))
    }

    pub(super) fn has_failed(&self, new: &ObservedContainer) -> bool {
        let ended = match new.state {
            ContainerState::Restarting | ContainerState::Created | ContainerState::Dead => true,
            ContainerState::Exited(code) => code != 0,
            _ => false,
        };
        ended && self.input.module.status == Status::Running
    }

    fn retire_old(&mut self, current: &ObservedContainer) {
        let Some(old) = self.input.owned.old.filter(|old| old.id != current.id) else { return };
        let keep = self.input.module.keep_previous.seconds_up();
        let since = self.input.memory.containers.get(&old.id).and_then(|r| r.replaced_at);
        let until = since.unwrap_or(self.input.now).saturating_add_unsigned(keep);
        let is_over = keep == 0 || until <= self.input.now;
        if self.is_adopted(old) || is_over && !self.may_be_needed(old, current) {
            self.tidy(old, PlanReason::KeptLongEnough);
            return;
        }
        self.wait_until(Some(until).filter(|_| !is_over));
        if is_up(current) {
            self.stop_the_other(current);
        }
    }

    /// Two of one module must never run: the previous one somebody else started.
    pub(super) fn stop_the_other(&mut self, current: &ObservedContainer) {
        let old = self.input.owned.old.filter(|old| old.id != current.id && is_up(old));
        if let Some(old) = old.filter(|old| !self.removes(Some(old))) {
            self.out.steps.push(stop_policy(old));
            self.out.steps.push(self.stop(old));
            self.note(PlanAction::Stop, PlanReason::LeftBehind);
        }
    }

    /// Whether it is somebody else's, and taken over.
    pub(super) fn is_adopted(&self, container: &ObservedContainer) -> bool {
        self.input.owned.adopted.as_ref() == Some(&container.id)
    }

    /// Takes down what is there. The engine may start a container that is down by itself, when it restarts
    /// between the look and now, unless its policy was taken away before.
    pub(super) fn take_down(&mut self, current: &ObservedContainer) {
        if current.state == ContainerState::Dead {
            return;
        }
        self.out.steps.push(stop_policy(current));
        let known = self.input.memory.containers.get(&current.id);
        let policy = match &current.detail {
            Some(detail) => detail.restart_policy.as_str(),
            None if known.is_some_and(|known| known.replaced_at.is_some()) => "no",
            None => wanted_policy(self.input.module),
        };
        let has_ended = matches!(current.state, ContainerState::Exited(_));
        if is_up(current) || has_ended && !matches!(policy, "no" | "") {
            self.out.steps.push(self.stop(current));
        }
    }

    pub(super) fn tidy(&mut self, container: &ObservedContainer, reason: PlanReason) {
        self.out.steps.push(Step::Remove { container: id(container) });
        self.out.reasons.push(reason);
    }

    fn why_named_otherwise(&self, container: &ObservedContainer) -> PlanReason {
        let mut renamed = self.input.owned.renamed.iter();
        match renamed.any(|renamed| renamed.id == container.id) {
            true => PlanReason::Renamed(container.name.clone()),
            false => PlanReason::LeftBehind,
        }
    }

    pub(super) fn rename_into_place(&mut self, container: &ObservedContainer, why: PlanReason) {
        // A container between two restarts can't be renamed.
        if container.state == ContainerState::Restarting {
            self.out.steps.push(stop_policy(container));
            self.out.steps.push(self.stop(container));
        }
        let name = self.input.name.to_string();
        self.out.steps.push(Step::Rename { container: id(container), name });
        self.out.reasons.push(why);
        self.out.action = PlanAction::Update;
    }

    pub(super) fn removes(&self, container: Option<&ObservedContainer>) -> bool {
        container.is_some_and(|c| self.out.steps.contains(&Step::Remove { container: id(c) }))
    }
}

pub(super) fn id(container: &ObservedContainer) -> ContainerRef {
    ContainerRef::Id(container.id.clone())
}

pub(super) fn is_up(container: &ObservedContainer) -> bool {
    matches!(
        container.state,
        ContainerState::Running
            | ContainerState::Restarting
            | ContainerState::Paused
            | ContainerState::Unknown
    )
}

/// Before every stop: engines revive stopped containers when they restart.
pub(super) fn stop_policy(container: &ObservedContainer) -> Step {
    without_policy(id(container))
}

/// No engine that restarts starts it then.
pub(super) fn without_policy(container: ContainerRef) -> Step {
    Step::Update { container, restart_policy: Some("no".to_owned()), memory: None, nano_cpus: None }
}

/// What the store remembers of the settings: also the engine's policy, which `status` decides with them.
pub fn settings_to_remember(module: &Module, settings: &Hash) -> Hash {
    let texts = [settings.as_str(), wanted_policy(module)];
    Hash::of_texts("hoist settings as written", texts)
}

/// The engine's word for the restart policy that a module should have now.
pub(super) fn wanted_policy(module: &Module) -> &'static str {
    match module.status {
        Status::Running => engine_policy(module.restart_policy),
        Status::Stopped => "no",
    }
}
