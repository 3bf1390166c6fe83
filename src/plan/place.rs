//! Putting a container in place: the first one, or the next one instead of the one that is there.
//!
//! Foreign names and ports are looked up before anything is stopped; each step that must be taken back has
//! its undo beside it.

use super::adoption;
use super::body::{BodyInput, body, engine_policy};
use super::going_back::policy_of;
use super::module::{Draft, ModuleInput, id, is_up};
use super::networks::{Networking, networking};
use super::ports::published;
use super::twin::files;
use super::{
    Block, ContainerRef, PlanAction, PlanReason, Step, StepKind, Undo, new_name, old_name,
};
use crate::model::{
    ContainerState, Duration, ENGINE_FILES, Module, ObservedContainer, PullPolicy, RestartPolicy,
    SecretName, Status, Value, label, real_path,
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A first look after a start: what ends at once is seen at once.
pub(super) const FIRST_LOOK: Duration = Duration { millis: 500 };

impl Draft<'_> {
    pub(super) fn create(&mut self) -> Result<(), Block> {
        let name = self.input.name.to_string();
        self.refuse_foreign(&[&name])?;
        self.refuse_without_image()?;
        if let Some(double) = self.input.doubtful.iter().find(|container| is_up(container)) {
            let (name, id) = (double.name.clone(), double.id.clone());
            return Err(Block::Doubtful { name, id });
        }
        let target = ContainerRef::Name(name.clone());
        self.out.action = PlanAction::Create;
        self.out.reasons.push(PlanReason::Absent);
        self.out.tries = Some(self.spec.clone());
        let made = self.make(&name, None);
        self.out.phases = [self.out.steps.len(); 3];
        if self.input.module.status == Status::Running {
            self.out.steps.push(Step::Start { container: target.clone() });
            let waits = self.out.steps.len();
            let probation = self.input.module.probation;
            let first_look = Duration { millis: FIRST_LOOK.millis.min(probation.millis) };
            let steady = if self.input.others_go { probation } else { first_look };
            self.out.steps.push(self.wait(&target, steady));
            self.out.phases[2] = self.out.steps.len();
            // It may be the successor of what goes, which then stays: as with a replacement, nothing is left of it.
            let until = if self.input.others_go { self.out.steps.len() } else { waits };
            self.undo(made, until, Step::Remove { container: target });
        } else {
            let end = self.out.steps.len();
            self.undo(made, end, Step::Remove { container: target });
        }
        Ok(())
    }

    pub(super) fn replace(
        &mut self,
        current: &ObservedContainer,
        reason: PlanReason,
    ) -> Result<(), Block> {
        let name = self.input.name.to_string();
        let (new, old) = (new_name(&name), old_name(&name));
        self.refuse_foreign(&[&name, &new, &old])?;
        self.refuse_without_image()?;
        let instead = match &reason {
            // It could not be started.
            PlanReason::NetworkRemade(_) => None,
            _ => self.instead_of_replacing(current),
        };
        let kept = self.input.owned.old.filter(|kept| kept.id != current.id);
        let kept = kept.filter(|kept| !self.removes(Some(kept)));
        let verdict = self.verdict(current);
        // It is no former version, and would be taken for right where it came back.
        let is_no_version =
            matches!(reason, PlanReason::OtherImage { .. } | PlanReason::MadeOtherwise(_));
        // What is there does not work either: the one before it did, and stays the way back.
        let current_goes = self.input.module.keep_previous == Duration::default()
            // Without our labels it could not be told later on whose it is.
            || self.is_adopted(current)
            || is_no_version
            || kept.is_some() && verdict.failing;
        let goes_first = current_goes && (verdict.failing || is_no_version && kept.is_some());
        if let Some(kept) = kept.filter(|_| !goes_first) {
            // Its name is needed, and a newer way back takes its place.
            self.tidy(kept, PlanReason::MakesWay);
        }
        self.out.instead = instead;
        let target = ContainerRef::Name(new.clone());
        self.out.action = PlanAction::Replace;
        self.out.reasons.push(reason);
        self.out.tries = Some(self.spec.clone());
        let made = self.make(&new, Some(self.what_goes_on(current)));

        let policy_at = self.out.steps.len();
        self.take_down(current);
        let start_at = self.out.steps.len();
        if self.input.module.status == Status::Running {
            self.out.steps.push(Step::Start { container: target.clone() });
            self.out.steps.push(self.wait(&target, self.input.module.probation));
        }
        let renames = self.out.steps.len();
        self.out.phases = [policy_at, start_at, renames];
        // A container that ends just now can't be renamed, and then it has not come up. Once both have their
        // names there is no way back; nor once what was there is removed first.
        let settled = if goes_first { renames } else { renames + 2 };
        self.undo(made, settled, Step::Remove { container: target.clone() });
        let name_back = Step::Rename { container: id(current), name: name.clone() };
        self.undo(renames + 1, settled, name_back);
        self.brings_back(current, policy_at, settled);
        if goes_first {
            self.out.steps.push(Step::Remove { container: id(current) });
            self.out.steps.push(Step::Rename { container: target, name });
        } else {
            self.out.steps.push(Step::Rename { container: id(current), name: old });
            self.out.steps.push(Step::Rename { container: target, name });
            if current_goes {
                self.out.steps.push(Step::Remove { container: id(current) });
            } else {
                self.keep_as_previous(current);
            }
        }
        self.tidy_strays(None);
        Ok(())
    }

    /// What is taken down from this step on is as it was where one before that other step fails.
    pub(super) fn brings_back(
        &mut self,
        current: &ObservedContainer,
        policy_at: usize,
        until: usize,
    ) {
        if current.state == ContainerState::Dead {
            return;
        }
        let policy = self.former_policy(current);
        self.undo(policy_at, until, policy_of(current, &policy));
        let comes_back = match (self.is_adopted(current), current.state) {
            (true, _) => adoption::as_it_was(current, self.input.memory).was_up,
            (false, ContainerState::Created) => false,
            // One that ended by itself, and is not started again for that, is not for this either.
            (false, _) => {
                let wanted = self.input.module.status == Status::Running;
                is_up(current) || wanted && self.verdict(current).is_to_run()
            }
        };
        if comes_back {
            self.undo(policy_at + 1, until, Step::Start { container: id(current) });
        }
    }

    fn keep_as_previous(&mut self, current: &ObservedContainer) {
        let known = self.input.memory.containers.get(&current.id).cloned();
        let mut kept = known.unwrap_or_else(|| self.as_remembered(self.twin_version(current)));
        kept.is_compared = self.is_compared(current);
        kept.replaced_at = Some(self.input.now);
        kept.policy = Some(self.former_policy(current));
        self.out.remember.push((id(current), kept));
        let keep = self.input.module.keep_previous.seconds_up();
        self.wait_until(Some(self.input.now.saturating_add_unsigned(keep)));
    }

    /// Makes a container with all its networks and its twin; says the number of the first step after the
    /// create itself.
    pub(super) fn make(&mut self, name: &str, replaced: Option<&ObservedContainer>) -> usize {
        let target = ContainerRef::Name(name.to_owned());
        let carried_over = replaced.map(|old| self.carried_over(old)).unwrap_or_default();
        let (body, secrets) = self.body(&carried_over);
        self.out.needs_image = true;
        self.out.steps.push(Step::Create { name: name.to_owned(), body, secrets });
        let made = self.out.steps.len();
        if let Networking::Networks(networks) = networking(self.input.module, self.input.fleet) {
            for network in networks.iter().skip(1) {
                self.connect(&target, network);
            }
            self.out.networks = networks;
        }
        self.write_twin(&target, replaced);
        made
    }

    /// The body of the call that makes its container, and the variables whose values are secrets.
    pub(super) fn body(
        &self,
        carried_over: &BTreeMap<String, String>,
    ) -> (Json, BTreeMap<String, SecretName>) {
        let ModuleInput { fleet, device, name, module, .. } = self.input;
        body(module, &BodyInput { fleet, device, name, labels: &self.labels(), carried_over })
    }

    pub(super) fn connect(&mut self, container: &ContainerRef, network: &str) {
        self.out.steps.push(Step::Connect {
            container: container.clone(),
            network: network.to_owned(),
            aliases: vec![self.input.name.to_string()],
        });
    }

    pub(super) fn write_twin(
        &mut self,
        container: &ContainerRef,
        known: Option<&ObservedContainer>,
    ) {
        let version = known.map_or(0, |container| self.twin_version(container)) + 1;
        let ModuleInput { module, routes, hashes, .. } = self.input;
        let entries = files(module, routes, version, &hashes.twin);
        self.out.steps.push(Step::WriteFiles { container: container.clone(), entries });
        self.remember(container.clone(), version);
    }

    pub(super) fn stop(&self, container: &ObservedContainer) -> Step {
        Step::Stop {
            container: id(container),
            timeout: Some(self.input.module.effective_stop_timeout()),
        }
    }

    pub(super) fn wait(&self, container: &ContainerRef, steady: Duration) -> Step {
        wait_for(self.input.module, container, steady)
    }

    pub(super) fn undo(&mut self, since: usize, until: usize, step: Step) {
        // A name that can't be given back, as somebody has it now, keeps nothing down.
        let all = self.out.undo.iter().enumerate();
        let needs = all.filter(|(_, undo)| undo.step.kind() != StepKind::Rename);
        let needs = needs.map(|(number, _)| number).collect();
        self.out.undo.push(Undo { since, until, needs, step });
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        BTreeMap::from([
            text(label::FLEET, self.input.fleet.as_str()),
            text(label::DEVICE, self.input.device),
            text(label::MODULE, self.input.name.as_str()),
            text(label::SPEC, self.spec.as_str()),
            text(label::REVISION, self.input.revision),
            text(label::CONTROL, self.input.control),
        ])
    }

    /// Anonymous volumes of the old container hold data; the new one gets them under their names.
    pub(super) fn carried_over(&self, old: &ObservedContainer) -> BTreeMap<String, String> {
        let taken = mounted_paths(self.input.module);
        old.mounts
            .iter()
            .filter(|mount| mount.is_anonymous() && !taken.contains(&real_path(&mount.target)))
            .map(|mount| (mount.volume.clone(), mount.target.clone()))
            .collect()
    }

    pub(super) fn former_policy(&self, current: &ObservedContainer) -> String {
        if self.is_adopted(current) {
            return adoption::as_it_was(current, self.input.memory).policy;
        }
        let seen = current.detail.as_ref().map(|d| d.restart_policy.clone());
        // `no` may be what a cut-off run left; the manifest's own is then the better guess.
        seen.filter(|policy| policy != "no" && !policy.is_empty())
            .unwrap_or_else(|| engine_policy(self.input.module.restart_policy).to_owned())
    }

    /// Foreign containers that have one of these names.
    pub(super) fn refuse_foreign_name(&self, names: &[&str]) -> Result<(), Block> {
        let mut foreign = self.input.foreign.iter();
        match foreign.find(|container| names.contains(&container.name.as_str())) {
            None => Ok(()),
            Some(container) => Err(self.foreign_name(container)),
        }
    }

    /// Where nothing may be pulled, what the engine has is all that there is.
    fn refuse_without_image(&self) -> Result<(), Block> {
        let module = self.input.module;
        let is_refused = self.input.lacks_image && module.image_pull_policy == PullPolicy::Never;
        if is_refused { Err(Block::NoImage(module.image.clone())) } else { Ok(()) }
    }

    /// Foreign names and ports are looked up before anything is stopped: the engine itself tells of a taken
    /// port only at start, when the old container is down.
    pub(super) fn refuse_foreign(&self, names: &[&str]) -> Result<(), Block> {
        let ports = match self.input.module.status {
            Status::Running => published(self.input.module),
            Status::Stopped => Vec::new(),
        };
        self.refuse_foreign_name(names)?;
        for container in self.input.foreign {
            let name = container.name.clone();
            if let Some(port) = ports.iter().find(|port| port.is_taken_by(container)) {
                return Err(Block::ForeignPort { port: port.name(), name });
            }
        }
        Ok(())
    }
}

/// Paths at which the module itself mounts something.
fn mounted_paths(module: &Module) -> BTreeSet<PathBuf> {
    let path_of = |text: &str| real_path(text.split(':').next().unwrap_or_default());
    let mut paths = BTreeSet::from([real_path(ENGINE_FILES)]);
    paths.extend(module.volumes.iter().map(|volume| real_path(&volume.target)));
    paths.extend(module.tmpfs.iter().map(|text| path_of(text)));
    let option = |key| Value::lookup_option(&module.create_options, &["HostConfig", key]);
    if let Some(Value::Table(tmpfs)) = option("Tmpfs") {
        paths.extend(tmpfs.keys().map(|path| real_path(path)));
    }
    if let Some(Value::List(mounts)) = option("Mounts") {
        let tables = mounts.iter().filter_map(Value::as_table);
        let targets = tables.filter_map(|mount| Value::lookup_option(mount, &["Target"])?.as_str());
        paths.extend(targets.map(real_path));
    }
    paths
}

/// Until a module has run for `steady`, or is healthy where it has a check.
pub(super) fn wait_for(module: &Module, container: &ContainerRef, steady: Duration) -> Step {
    let margin = 30_000;
    let millis = match &module.health {
        // The first probe comes one interval after the start.
        Some(check) if !check.is_none() => {
            let round = check.interval.millis.saturating_add(check.timeout.millis);
            check.start_period.millis.saturating_add(round.saturating_mul(u64::from(check.retries)))
        }
        // An image may have a check of its own, by the engine's default every 30 s.
        _ => steady.millis.max(100_000),
    };
    Step::WaitRunning {
        container: container.clone(),
        steady,
        deadline: Duration { millis: millis.saturating_add(margin) },
        may_end: matches!(module.restart_policy, RestartPolicy::Never | RestartPolicy::OnFailure),
    }
}
