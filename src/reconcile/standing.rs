//! How modules and devices stand after a pass.
//!
//! Enters: the manifest, what runs, what became of the works, what is remembered. Leaves: codes and words
//! for the store and for people. Nothing is decided by them.

use crate::apply::{DeviceRun, Outcome};
use crate::engine::{EngineError, EngineErrorKind};
use crate::model::{ContainerState, Health, Manifest, ModuleName, ObservedContainer, label};
use crate::plan::{
    Block, DeviceMemory, DevicePlan, FailedChange, ModuleMemory, PlanAction, Purpose, Verdict, Work,
};
use crate::store::{ModuleReport, ModuleStanding};
use std::collections::BTreeMap;

/// The code of what goes on by itself.
const ON_ITS_WAY: u16 = 202;

/// What a standing depends on besides the containers.
pub(super) struct Views<'a> {
    pub(super) plan: &'a DevicePlan,
    pub(super) run: &'a DeviceRun,
    /// Whether the engine answered when all was done.
    pub(super) answers: bool,
    pub(super) memory: &'a DeviceMemory,
    /// How the modules stood before.
    pub(super) former: &'a BTreeMap<ModuleName, ModuleStanding>,
    pub(super) now: i64,
}

/// How each module of a manifest stands.
pub(super) fn standings(
    manifest: &Manifest,
    views: &Views<'_>,
    ours: &[(ModuleName, &ObservedContainer)],
    mut reports: BTreeMap<ModuleName, ModuleReport>,
) -> BTreeMap<ModuleName, ModuleStanding> {
    let none = ModuleMemory::default();
    let mut standings = BTreeMap::new();
    for (name, module) in &manifest.modules {
        let container = ours.iter().find(|(of, _)| of == name).map(|(_, c)| *c);
        let tried = views.memory.modules.get(name).unwrap_or(&none);
        let verdict = views.memory.stops.judge(module, container, tried, views.now);
        let (code, description) = trouble(name, views, container, &verdict)
            .map(|trouble| with_its_pause(trouble, tried.failed.as_ref(), views))
            .or_else(|| went_back(tried.failed.as_ref(), container, views.now))
            .unwrap_or((verdict.code, verdict.words));
        let former = views
            .former
            .get(name)
            .filter(|former| container.is_some_and(|c| former.container.as_ref() == Some(&c.id)));
        // What only an inspect tells is as it was, unless there was one.
        let detail = container.and_then(|c| c.detail.as_ref());
        let restart_count = detail
            .map(|d| d.restart_count)
            .or_else(|| former.map(|former| former.restart_count))
            .unwrap_or(0);
        let started_at = detail
            .map(|d| d.started_at.clone())
            .filter(|text| !text.starts_with("0001-"))
            .or_else(|| former.and_then(|former| former.started_at.clone()));
        let standing = ModuleStanding {
            status: status_word(container, code).to_owned(),
            exit_code: container.and_then(|c| match c.state {
                ContainerState::Exited(code) => Some(code),
                _ => None,
            }),
            restart_count,
            container: container.map(|c| c.id.clone()),
            code,
            description,
            started_at,
            image_id: container.map(|c| c.image_id.clone()),
            report: reports.remove(name),
        };
        standings.insert(name.clone(), standing);
    }
    standings
}

/// The container before runs, because what should run failed.
fn went_back(
    failed: Option<&FailedChange>,
    container: Option<&ObservedContainer>,
    now: i64,
) -> Option<(u16, String)> {
    let failed = failed.filter(|failed| now < failed.not_before())?;
    let spec = container?.labels.get(label::SPEC)?;
    (spec != failed.spec.as_str())
        .then(|| (failed.code_in_pause(), Block::FailedBefore(failed.clone()).to_string()))
}

/// What broke off just now waits until some moment, which is said at once.
fn with_its_pause(
    (code, words): (u16, String),
    failed: Option<&FailedChange>,
    views: &Views<'_>,
) -> (u16, String) {
    let is_it = |failed: &&FailedChange| {
        failed.broke_off() && views.now < failed.not_before() && words.starts_with(&failed.reason)
    };
    match failed.filter(is_it).filter(|_| code == ON_ITS_WAY) {
        Some(failed) => (code, format!("{}: {words}", failed.when_again())),
        None => (code, words),
    }
}

/// That it was not reached in the middle is past where it answers again.
fn code_of(error: &EngineError, views: &Views<'_>) -> u16 {
    match error.kind {
        EngineErrorKind::Unreachable if views.answers => ON_ITS_WAY,
        kind => kind.code(),
    }
}

/// What stood in the way of a module: a block, the failure of one of its works, or both.
fn trouble(
    name: &ModuleName,
    views: &Views<'_>,
    container: Option<&ObservedContainer>,
    verdict: &Verdict,
) -> Option<(u16, String)> {
    let mut failures = failures(name, views);
    let block = views.plan.blocked.get(name);
    let (code, words) = match block {
        Some(block) => (block.code(), block.to_string()),
        None => failures.next()?,
    };
    // What it has goes on, and where it does not, that is said too.
    let is_down = container.is_some_and(|c| c.state != ContainerState::Running);
    let is_amiss = is_down && verdict.code != 200 || container.is_some() && verdict.code >= 400;
    // That it is in its pause says all of that already.
    let is_in_the_way = block.is_some_and(|block| !matches!(block, Block::InPause { .. }));
    let is_about_another = is_in_the_way || could_not_be_replaced(name, views.plan, views.run);
    let amiss = (is_about_another && is_amiss).then(|| (verdict.code, verdict.words.clone()));
    Some(match failures.next().or(amiss) {
        None => (code, words),
        Some((other, more)) => (worse(code, other), format!("{words}; what it has: {more}")),
    })
}

/// Whether what failed is the replacement of what it has.
fn could_not_be_replaced(name: &ModuleName, plan: &DevicePlan, run: &DeviceRun) -> bool {
    let replacement = Purpose::Module { name: name.clone(), action: PlanAction::Replace };
    let is_undone = |work: &Work| {
        matches!(run.outcomes.get(&work.id), Some(Outcome::Failed { .. } | Outcome::Skipped { .. }))
    };
    plan.works.iter().any(|work| work.purpose == replacement && is_undone(work))
}

/// The one that speaks for both.
fn worse(one: u16, other: u16) -> u16 {
    [one, other].into_iter().max_by_key(|code| weight(*code)).unwrap_or(one)
}

/// What failed weighs more than what was refused, and that more than what is on its way.
fn weight(code: u16) -> (bool, bool, u16) {
    (code >= 400, code >= 500, code)
}

/// The failures of its works: of what brings it to its manifest, and of what is done instead.
fn failures<'a>(
    name: &'a ModuleName,
    views: &'a Views<'_>,
) -> impl Iterator<Item = (u16, String)> + 'a {
    let Views { plan, run, .. } = *views;
    let outcome_of = |id: &usize| run.outcomes.get(id);
    plan.works.iter().filter_map(move |work| {
        let Purpose::Module { name: of, .. } = &work.purpose else { return None };
        if of != name {
            return None;
        }
        match outcome_of(&work.id)? {
            failed @ Outcome::Failed { error, .. } => {
                Some((code_of(error, views), failed.failure_and_left_over()?))
            }
            Outcome::Skipped { because } => match first_cause(run, *because)? {
                failed @ Outcome::Failed { error, .. } => {
                    Some((code_of(error, views), failed.failure()?))
                }
                Outcome::CalledOff { .. } => {
                    Some((202, "the run was called off; the next one goes on".to_owned()))
                }
                _ => Some((500, "skipped because something before it failed".to_owned())),
            },
            outcome @ Outcome::CalledOff { .. } => Some(match outcome.left_over() {
                None => (202, "the run was called off; the next one goes on".to_owned()),
                Some(words) => (500, format!("called off; {words}")),
            }),
            Outcome::Passed { .. } | Outcome::NotNeeded => None,
        }
    })
}

/// What became of the first work of those that were skipped one because of the other.
fn first_cause(run: &DeviceRun, because: usize) -> Option<&Outcome> {
    let mut outcome = run.outcomes.get(&because)?;
    while let Outcome::Skipped { because } = outcome {
        outcome = run.outcomes.get(because)?;
    }
    Some(outcome)
}

fn status_word(container: Option<&ObservedContainer>, code: u16) -> &'static str {
    let Some(container) = container else { return "unknown" };
    match container.state {
        ContainerState::Running if container.health == Health::Unhealthy => "unhealthy",
        ContainerState::Running => "running",
        ContainerState::Restarting => "backoff",
        ContainerState::Paused | ContainerState::Created => "stopped",
        ContainerState::Exited(0) => "stopped",
        ContainerState::Exited(_) if code < 400 => "stopped",
        ContainerState::Exited(_) | ContainerState::Dead => "failed",
        ContainerState::Removing | ContainerState::Unknown => "unknown",
    }
}

/// The worst of its modules speaks for the device, and says how many others there are.
pub(super) fn device_status(
    modules: &BTreeMap<ModuleName, ModuleStanding>,
    views: &Views<'_>,
) -> (u16, String) {
    let Views { plan, run, .. } = *views;
    if let Some(words) = &plan.held {
        return (400, format!("{words}; what it had stays in force"));
    }
    let amiss = || modules.iter().filter(|(_, m)| m.code != 200);
    let worst = amiss().max_by_key(|(_, m)| weight(m.code));
    match worst {
        Some((name, standing)) => {
            let more = match amiss().count() - 1 {
                0 => String::new(),
                1 => " (and 1 more module is not as desired)".to_owned(),
                n => format!(" (and {n} more modules are not as desired)"),
            };
            (standing.code, format!("{name}: {}{more}", standing.description))
        }
        None if run.has_failures() => {
            let failed = plan.works.iter().find_map(|work| match run.outcomes.get(&work.id)? {
                failed @ Outcome::Failed { error, .. } => {
                    Some((code_of(error, views), failed.failure()?))
                }
                _ => None,
            });
            failed.unwrap_or((500, "something was skipped".to_owned()))
        }
        None if plan.retained => {
            (200, "retained: no deployment targets it; what it had is in force".to_owned())
        }
        None => (200, "as desired".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_says_how_many_of_its_modules_are_not_as_desired() {
        let plan = DevicePlan::idle(
            crate::model::DeviceId::parse("d1").unwrap(),
            crate::plan::DeviceState::Observed,
        );
        let (run, memory) = (DeviceRun::default(), DeviceMemory::default());
        let former = BTreeMap::new();
        let views = Views {
            plan: &plan,
            run: &run,
            answers: true,
            memory: &memory,
            former: &former,
            now: 0,
        };
        let status = |codes: &[u16]| {
            let modules = codes.iter().zip('a'..).map(|(code, name)| {
                let standing = ModuleStanding {
                    code: *code,
                    description: format!("is {code}"),
                    ..ModuleStanding::default()
                };
                (ModuleName::parse(&format!("m{name}")).unwrap(), standing)
            });
            device_status(&modules.collect(), &views)
        };
        let said = |code, words: &str| (code, words.to_owned());
        assert_eq!(status(&[200, 200]), said(200, "as desired"));
        assert_eq!(status(&[200, 500]), said(500, "mb: is 500"));
        assert_eq!(
            status(&[202, 424, 200]),
            said(424, "mb: is 424 (and 1 more module is not as desired)")
        );
        assert_eq!(
            status(&[202, 500, 409, 200, 422]),
            said(500, "mb: is 500 (and 3 more modules are not as desired)")
        );
    }
}
