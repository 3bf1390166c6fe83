//! Tags that move: with `image-pull-policy = "always"` the registry is asked once a day which image a tag names now.
//!
//! A pull is that question: of an image that the engine has it loads nothing. What a tag names then shows in the next
//! list, and the planner replaces the container. Enters: what is remembered of former checks. Leaves: works, what is
//! remembered, and when the next check is due.

use super::device::PlanInput;
use super::works::Works;
use super::{PlanReason, Purpose, Step};
use crate::model::{ImageReference, Manifest, Module, PullPolicy, Status};
use std::collections::BTreeMap;

/// So long a check holds, in seconds.
const DAY: i64 = 86_400;
/// So long after a check that failed it is tried again.
const HOUR: i64 = 3_600;

/// What came of looking which checks are due.
pub(super) struct ImageChecks {
    /// By image: when it was checked last.
    pub(super) checked: BTreeMap<String, i64>,
    /// When the next one is due, in seconds since 1970.
    pub(super) due: Option<i64>,
}

/// Adds the checks that are due, of images that no work pulls anyway.
pub(super) fn image_checks(
    input: &PlanInput<'_>,
    manifest: &Manifest,
    works: &mut Works,
) -> ImageChecks {
    let mut checks = ImageChecks { checked: BTreeMap::new(), due: None };
    for (name, module) in manifest.modules.iter().filter(|(_, module)| may_move(module)) {
        let image = &module.image;
        let Ok(reference) = ImageReference::parse(image) else { continue };
        // An image of which nothing is known was there before we were: its day begins now.
        let at = input.memory.checked.get(image).copied().unwrap_or(input.now).min(input.now);
        checks.checked.insert(image.clone(), at);
        let is_pulled = |works: &Works| {
            let purpose = Purpose::Image(image.clone());
            works.list.iter().position(|work| work.purpose == purpose)
        };
        match is_pulled(works) {
            Some(number) => {
                let reasons = works.list.get_mut(number).map(|work| &mut work.reasons);
                if let Some([PlanReason::CheckDue(names)]) = reasons.map(Vec::as_mut_slice) {
                    names.push(name.clone());
                }
            }
            None if input.now.saturating_sub(at) >= DAY => {
                let registry = reference.registry();
                let credentials = registry.and_then(|r| input.registries.get(r)).cloned();
                let step = Step::Pull { image: reference, credentials, if_present_is_enough: true };
                let reasons = vec![PlanReason::CheckDue(vec![name.clone()])];
                works.add(Purpose::Image(image.clone()), reasons, vec![step]);
            }
            None => {
                let due = at.saturating_add(DAY);
                checks.due = Some(checks.due.map_or(due, |other| other.min(due)));
            }
        }
    }
    checks
}

/// When a check counts as made: one that failed is tried again after an hour, not after a day.
pub fn checked_at(has_failed: bool, now: i64) -> i64 {
    if has_failed { now - DAY + HOUR } else { now }
}

fn may_move(module: &Module) -> bool {
    module.image_pull_policy == PullPolicy::Always
        && module.status == Status::Running
        && ImageReference::parse(&module.image).is_ok_and(|image| image.digest().is_none())
}
