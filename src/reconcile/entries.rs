//! What a pass adds to a device's history.
//!
//! Enters: the plan, what became of its works, how the device stood before. Leaves: entries. What is the matter with a device
//! is told when it begins or becomes another thing, and not again at each look.

use crate::apply::{DeviceRun, Outcome};
use crate::plan::{Block, DevicePlan, DeviceState, Purpose};
use crate::reconcile::watch::PAUSED;
use crate::store::{HistoryEntry, StatusSince, Store, StoreError, StoredDevice};

/// A device as a whole is left alone, and goes on.
const LEAVE_ALONE: &str = "leave alone";
const GO_ON: &str = "go on";

/// So the outcome of what was not even tried begins.
const NOT_DONE: &str = "not done: ";

/// Why a device was left alone when it was last looked at, where it was away or paused since: how it stands says that, and no
/// more why it was left alone before.
///
/// # Errors
/// The store can't be read.
pub(super) fn left_alone_before(
    store: &Store,
    before: Option<&StoredDevice>,
) -> Result<Option<String>, StoreError> {
    let is_hidden =
        |status: &StatusSince| status.code == 406 || status.description.starts_with(PAUSED);
    let Some(before) = before.filter(|before| is_hidden(&before.status)) else { return Ok(None) };
    let newest = store.newest_of(&before.device, [LEAVE_ALONE, GO_ON])?;
    let outcome = newest.filter(|(action, _)| action == LEAVE_ALONE).map(|(_, outcome)| outcome);
    Ok(outcome.and_then(|outcome| Some(outcome.strip_prefix(NOT_DONE)?.to_owned())))
}

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

/// Why nothing was even tried, where that is news: modules that are blocked, a device that is held; and where that is over.
pub(super) fn news_of_trouble(
    blank: &HistoryEntry,
    plan: &DevicePlan,
    run: &DeviceRun,
    (before, after): (Option<&StoredDevice>, &StoredDevice),
    left_alone: Option<&str>,
) -> Vec<HistoryEntry> {
    let not_done = |words: &str| HistoryEntry {
        action: LEAVE_ALONE.to_owned(),
        outcome: format!("{NOT_DONE}{words}"),
        ..blank.clone()
    };
    if let DeviceState::Held { code, words } = &plan.state {
        let is_known = before
            .is_some_and(|d| (d.status.code, &d.status.description) == (*code, words))
            || left_alone == Some(words.as_str());
        return Some(not_done(words)).filter(|_| !is_known).into_iter().collect();
    }
    let status = before.map(|d| d.status.description.as_str());
    let is_news = |words: &&str| is_new(status, words) && is_new(left_alone, words);
    let held = plan.held.as_deref().filter(is_news);
    let blocked = plan.blocked.iter().filter_map(|(name, block)| {
        // That stands there since it failed, and says another time at each try.
        if matches!(block, Block::FailedBefore(_) | Block::InPause { .. }) {
            return None;
        }
        let words = block.to_string();
        let known = before.and_then(|d| d.modules.get(name)).map(|m| m.description.as_str());
        is_new(known, &words).then(|| HistoryEntry {
            action: "block".to_owned(),
            module: Some(name.clone()),
            ..not_done(&words)
        })
    });
    let news = held.map(not_done).into_iter().chain(blocked);
    news.chain(ends_of_trouble(blank, plan, run, (before, after), left_alone)).collect()
}

/// Whether something else was known before. What was known may say more, of what goes on meanwhile.
fn is_new(known: Option<&str>, words: &str) -> bool {
    known.is_none_or(|known| !known.starts_with(words))
}

/// What stood in the way before, and does no more: something was done, or nothing is left to do. That nothing is tried for a
/// while is no end of it.
fn ends_of_trouble(
    blank: &HistoryEntry,
    plan: &DevicePlan,
    run: &DeviceRun,
    (before, after): (Option<&StoredDevice>, &StoredDevice),
    left_alone: Option<&str>,
) -> Vec<HistoryEntry> {
    let Some(before) = before.filter(|_| plan.state == DeviceState::Observed) else {
        return Vec::new();
    };
    let over = |action: &str, words: &str| HistoryEntry {
        action: action.to_owned(),
        reason: format!("no longer: {words}"),
        outcome: "done".to_owned(),
        ..blank.clone()
    };
    let was_held = is_held(before).then_some(before.status.description.as_str()).or(left_alone);
    let device = was_held.filter(|_| plan.held.is_none()).map(|words| over(GO_ON, words));
    let modules = before.modules.iter().filter_map(|(name, standing)| {
        let outcomes = || {
            plan.works.iter().filter_map(|work| match &work.purpose {
                Purpose::Module { name: of, .. } if of == name => run.outcomes.get(&work.id),
                _ => None,
            })
        };
        let has_passed = |outcome: &Outcome| matches!(outcome, Outcome::Passed { .. });
        let is_fine = |outcome: &Outcome| has_passed(outcome) || *outcome == Outcome::NotNeeded;
        let is_as_desired = after.modules.get(name).is_none_or(|module| module.code == 200);
        let is_well = outcomes().all(is_fine) && (is_as_desired || outcomes().any(has_passed));
        let is_over = was_blocked(standing.code) && !plan.blocked.contains_key(name) && is_well;
        is_over.then(|| HistoryEntry {
            module: Some(name.clone()),
            ..over("unblock", &standing.description)
        })
    });
    device.into_iter().chain(modules).collect()
}

/// Whether a device as a whole was left alone, and not because somebody paused it: that is told as an order.
fn is_held(before: &StoredDevice) -> bool {
    let StatusSince { code, description, since: _ } = &before.status;
    let is_by_a_module = before.modules.values().any(|module| module.code == *code);
    was_blocked(*code) && !is_by_a_module && !description.starts_with(PAUSED)
}

/// The codes of what stands in the way from outside. Of what the engine refused and of images the next work tells.
fn was_blocked(code: u16) -> bool {
    matches!(code, 400 | 409)
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
