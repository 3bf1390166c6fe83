//! `[rollout]`: of the fleet with phases, of a deployment without.

use super::item::Item;
use super::reader::TableReader;
use crate::diagnostic::Code;
use crate::fleet::{Phase, Rollout};
use crate::model::{Amount, Duration, OnFailure, PhaseSettings, REST, UNWRITTEN_PHASES};
use std::collections::BTreeSet;

/// All that take part, in hundredths of a percent.
const ALL: u32 = 10_000;

/// The fleet's rollout.
pub(super) fn rollout(item: &Item<'_>) -> Option<Rollout> {
    let mut reader = item.table("`[rollout]`")?;
    let settings = settings(&mut reader);
    let phases = reader
        .take("phases")
        .and_then(|item| item.list(" of tables: [[rollout.phases]]"))
        .map(|items| {
            let mut before = Before::default();
            let phases = items.enumerate();
            phases.filter_map(|(i, item)| phase(i + 1, &item, &mut before)).collect()
        })
        .unwrap_or_default();
    reader.finish();
    Some(Rollout { settings, phases, place: item.header_place() })
}

/// A deployment's own settings, which tighten the fleet's.
pub(super) fn tightening(item: &Item<'_>) -> Option<PhaseSettings> {
    let mut reader = item.table("`[rollout]` of a deployment")?;
    let settings = settings(&mut reader);
    reader.refuse(
        "phases",
        "a deployment has no phases of its own",
        "phases stand in fleet.toml; a deployment can only be stricter in each of them",
    );
    reader.finish();
    Some(settings)
}

/// What phases before one take up.
#[derive(Default)]
struct Before {
    names: BTreeSet<String>,
    /// Their shares together.
    share: u32,
}

fn phase(number: usize, item: &Item<'_>, before: &mut Before) -> Option<Phase> {
    let mut reader = item.table("a phase")?;
    let said = reader.take("name");
    let name =
        said.as_ref().and_then(Item::text).map_or_else(|| format!("phase {number}"), str::to_owned);
    let place = said.as_ref().unwrap_or(item);
    if UNWRITTEN_PHASES.contains(&name.as_str()) {
        let (words, help) = match name.as_str() {
            REST => (
                "the phase of whoever is in no other has that name",
                "a last phase with settings of its own has another name, and `share = \"100%\"`",
            ),
            _ => ("a diff speaks of others by that name", "give the phase another name"),
        };
        place.report(Code::BadValue, words, Some(help.into()));
    }
    if !before.names.insert(name.clone()) {
        place.bad(format!("a phase before this one is named `{name}`"));
    }
    let settings = settings(&mut reader);
    let target = reader.take("target");
    let share = reader.take("share");
    if target.is_none() && share.is_none() {
        item.report(
            Code::MissingKey,
            format!("phase `{name}` says neither `target` nor `share`"),
            Some(
                "say which devices: `target = \"tags.ring = 'canary'\"` or `share = \"25%\"`"
                    .into(),
            ),
        );
    }
    if let (Some(_), Some(share)) = (&target, &share) {
        share.bad("a phase is by `target` or by `share`, not by both");
    }
    let target = target.and_then(|item| item.condition());
    let share = share.and_then(|item| {
        let share = item.share()?;
        if share == 0 {
            item.bad("a phase of 0% is no phase");
        }
        too_much(&item, share, before.share);
        before.share = before.share.saturating_add(share);
        Some(share)
    });
    reader.finish();
    Some(Phase { name, target, share, settings, place: item.place() })
}

fn settings(reader: &mut TableReader<'_>) -> PhaseSettings {
    PhaseSettings {
        on_failure: reader.take("on-failure").and_then(|item| {
            item.word(&["rollback", "halt"], |word| match word {
                "rollback" => Some(OnFailure::Rollback),
                "halt" => Some(OnFailure::Halt),
                _ => None,
            })
        }),
        max_failures: reader.take("max-failures").and_then(|item| item.amount()),
        min_success: reader.take("min-success").and_then(|item| {
            let words = "no phase passes on nobody's success: at least one device has to succeed";
            not_none(&item, words)
        }),
        max_unavailable: reader.take("max-unavailable").and_then(|item| {
            let words = "where nobody may be away from its work, nobody can get a change";
            not_none(&item, words)
        }),
        soak: reader.take("soak").and_then(|item| item.duration()),
        timeout: reader.take("timeout").and_then(|item| timeout(&item)),
    }
}

/// An amount of which 0 can't be meant.
fn not_none(item: &Item<'_>, words: &str) -> Option<Amount> {
    let amount = item.amount()?;
    if matches!(amount, Amount::Count(0) | Amount::Share(0)) {
        item.report(Code::BadValue, words, Some("`1` is the least".into()));
        return None;
    }
    Some(amount)
}

/// Shares are of all that take part: more than all can't be had. The last one says that it takes all that are left.
fn too_much(item: &Item<'_>, share: u32, before: u32) {
    let left = ALL.saturating_sub(before);
    if left == 0 {
        let help = "shares are of all that take part, not of those that are left";
        item.report(
            Code::BadValue,
            "the shares before this one are all already",
            Some(help.into()),
        );
    } else if share > left && share != ALL {
        let help = "shares are of all that take part, not of those that are left; `100%` is whoever is left";
        item.report(
            Code::BadValue,
            format!("the shares before this one leave {}", in_percent(left)),
            Some(help.into()),
        );
    }
}

/// A share in words.
fn in_percent(share: u32) -> String {
    match share % 100 {
        0 => format!("{}%", share / 100),
        part => format!("{}.{part:02}%", share / 100),
    }
}

/// No device succeeds in no time: each would have failed at its first step.
fn timeout(item: &Item<'_>) -> Option<Duration> {
    let timeout = item.duration()?;
    if timeout == Duration::default() {
        let help = "say how long a device may take to succeed; the default is `1h`";
        item.report(
            Code::BadValue,
            "with a `timeout` of 0 every device has failed at once",
            Some(help.into()),
        );
        return None;
    }
    Some(timeout)
}
