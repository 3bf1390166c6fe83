//! What a pass adds to a device's history.
//!
//! Enters: the plan, what became of its works, how the device stood before. Leaves: entries. What is the matter with a device
//! is told when it begins or becomes another thing, and not again at each look.

use crate::apply::{DeviceRun, Outcome};
use crate::plan::{Block, DevicePlan, DeviceState, Purpose};
use crate::store::{HistoryEntry, StoredDevice};

/// What was tried, and what became of it. `blank` says who and when.
pub(super) fn entries_of_works(
    blank: &HistoryEntry,
    plan: &DevicePlan,
    run: &DeviceRun,
) -> Vec<HistoryEntry> {
    plan.works
        .iter()
        .filter_map(|work| {
            let Purpose::Module { name, action } = &work.purpose else { return None };
            let outcome = run.outcomes.get(&work.id)?;
            let reasons: Vec<String> = work.reasons.iter().map(ToString::to_string).collect();
            Some(HistoryEntry {
                action: action.as_str().to_owned(),
                module: Some(name.clone()),
                reason: reasons.join(", "),
                outcome: match outcome {
                    Outcome::NotNeeded => return None,
                    Outcome::Passed { warnings } if warnings.is_empty() => "done".to_owned(),
                    Outcome::Passed { warnings } => format!("done; {}", warnings.join("; ")),
                    Outcome::Failed { .. } => {
                        let words = outcome.failure_and_left_over();
                        format!("failed: {}", words.unwrap_or_default())
                    }
                    Outcome::CalledOff { .. } => match outcome.left_over() {
                        None => "called off".to_owned(),
                        Some(words) => format!("called off; {words}"),
                    },
                    Outcome::Skipped { because } => skipped(plan, run, *because),
                },
                ..blank.clone()
            })
        })
        .collect()
}

/// Why nothing was even tried, where that is news: modules that are blocked, a device that is held.
pub(super) fn news_of_trouble(
    blank: &HistoryEntry,
    plan: &DevicePlan,
    before: Option<&StoredDevice>,
) -> Vec<HistoryEntry> {
    if let DeviceState::Held { code, words } = &plan.state {
        let is_known =
            before.is_some_and(|d| (d.status.code, &d.status.description) == (*code, words));
        let entry = HistoryEntry {
            action: "leave alone".to_owned(),
            outcome: format!("not done: {words}"),
            ..blank.clone()
        };
        return Some(entry).filter(|_| !is_known).into_iter().collect();
    }
    let news = plan.blocked.iter().filter_map(|(name, block)| {
        // That stands there since it failed, and says another time at each try.
        if matches!(block, Block::FailedBefore(_)) {
            return None;
        }
        let words = block.to_string();
        let known = before.and_then(|d| d.modules.get(name)).map(|module| &module.description);
        (known != Some(&words)).then(|| HistoryEntry {
            action: "block".to_owned(),
            module: Some(name.clone()),
            outcome: format!("not done: {words}"),
            ..blank.clone()
        })
    });
    news.collect()
}

/// Why a work was skipped: what failed first, of what.
fn skipped(plan: &DevicePlan, run: &DeviceRun, because: usize) -> String {
    let mut first = because;
    // A work is skipped because of one before it: that ends.
    while let Some(Outcome::Skipped { because }) = run.outcomes.get(&first) {
        first = *because;
    }
    let subject = match plan.works.get(first).map(|work| &work.purpose) {
        Some(Purpose::Module { name, .. }) => name.to_string(),
        Some(Purpose::Image(image)) => format!("image {image}"),
        Some(Purpose::Network(name)) => format!("network {name}"),
        None => "something before it".to_owned(),
    };
    match run.outcomes.get(&first) {
        Some(failed @ Outcome::Failed { .. }) => {
            format!("skipped because {subject} failed: {}", failed.failure().unwrap_or_default())
        }
        Some(Outcome::CalledOff { .. }) => format!("skipped because {subject} was called off"),
        _ => format!("skipped because {subject} failed"),
    }
}
