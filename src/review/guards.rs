//! Guards: limits on what one change may do.

use super::{Action, Group, Membership, Side};
use crate::fleet::{Amount, Guards};

/// What one guard says of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardVerdict {
    /// Its key in `[guards]`.
    pub name: &'static str,
    /// What is allowed; the stricter of both sides, or what a commit between them allows.
    pub limit: u64,
    /// What the change does.
    pub actual: u64,
    /// Whether consent is needed.
    pub exceeded: bool,
    /// The limit without the commits, where only they let the change through: who reads it must see that.
    pub lifted_from: Option<u64>,
    /// Whether the fleet says less, and the limit is the least that there is.
    pub is_least: bool,
}

impl GuardVerdict {
    fn new(name: &'static str, limit: u64, actual: u64, allowances: &[Allowance]) -> Self {
        let plain = name.strip_prefix("max-").unwrap_or(name);
        let lifted = allowances.iter().filter(|a| a.guard == plain).map(|a| a.limit).max();
        let own = limit;
        let limit = own.max(lifted.unwrap_or(0));
        let exceeded = actual > limit;
        let lifted_from = (actual > own && !exceeded).then_some(own);
        Self { name, limit, actual, exceeded, lifted_from, is_least: false }
    }

    /// What it says of the change, in words.
    pub fn words(&self) -> String {
        let Self { name, limit, actual, exceeded: _, lifted_from: _, is_least } = self;
        let least = if *is_least { ", and that is never less" } else { "" };
        match *name {
            "allow-empty" => format!("guard {name}: no device, or no deployment, would be left"),
            _ => format!("guard {name}: {actual} of at most {limit}{least}"),
        }
    }
}

/// The verdicts on so many devices disrupted and modules removed, in a fleet of so many devices. Of the
/// guards given the strictest counts.
pub fn judge_numbers(
    guards: &[&Guards],
    devices: u64,
    disrupted: u64,
    removed: u64,
    allowances: &[Allowance],
) -> Vec<GuardVerdict> {
    let of_devices = |g: &&Guards| limit_of(g.max_devices_disrupted, devices);
    let said = guards.iter().map(of_devices).min();
    let limit = said.map_or(0, |said| said.max(NEVER_BELOW));
    let disrupted = GuardVerdict::new("max-devices-disrupted", limit, disrupted, allowances);
    let is_least = said.is_some_and(|said| said < NEVER_BELOW) && disrupted.limit == NEVER_BELOW;
    let modules = guards.iter().map(|g| g.max_modules_removed).min().unwrap_or(0);
    vec![
        GuardVerdict { is_least, ..disrupted },
        GuardVerdict::new("max-modules-removed", modules, removed, allowances),
    ]
}

/// A number up to which a commit lifts a guard: `Hoist-Allow: modules-removed=120`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The guard's name without `max-`.
    pub guard: String,
    /// Up to this.
    pub limit: u64,
}

impl Allowance {
    /// Parses the value of a `Hoist-Allow` trailer; what is no allowance is left out.
    pub fn parse_all(value: &str) -> Vec<Self> {
        value
            .split(',')
            .filter_map(|part| {
                let (guard, limit) = part.split_once('=')?;
                let guard = guard.trim();
                let guard = guard.strip_prefix("max-").unwrap_or(guard).to_owned();
                Some(Self { guard, limit: limit.trim().parse().ok()? })
            })
            .collect()
    }
}

/// A guard that allows more on the head than on the base.
pub struct Loosened {
    /// Its key.
    pub name: &'static str,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

const NEVER_BELOW: u64 = 5;

/// How many devices an amount means, of so many.
fn limit_of(amount: Amount, of: u64) -> u64 {
    match amount {
        Amount::Count(n) => n,
        Amount::Share(hundredths) => of * u64::from(hundredths) / 10_000,
    }
}

/// The verdicts of all guards on a change.
pub(super) fn judge(
    base: &Side<'_>,
    head: &Side<'_>,
    groups: &[Group],
    allowances: &[Allowance],
) -> Vec<GuardVerdict> {
    let sides: Vec<&Guards> =
        [base, head].into_iter().filter_map(|side| Some(&side.fleet?.0.guards)).collect();
    let devices = |side: &Side<'_>| side.fleet.map_or(0, |(fleet, _)| fleet.devices.len() as u64);
    let total = devices(base).max(devices(head));

    let disrupted = groups.iter().filter(|group| is_disrupted(group));
    let disrupted = disrupted.map(|group| group.devices.len() as u64).sum();
    let removed = groups
        .iter()
        .map(|group| {
            let removed = group.changes.iter().filter(|c| c.action == Action::Remove).count();
            removed as u64 * group.devices.len() as u64
        })
        .sum();
    let mut verdicts = judge_numbers(&sides, total, disrupted, removed, allowances);
    let became_empty = became_empty(base, head);
    if became_empty {
        let allowed = u64::from(sides.iter().all(|guards| guards.allow_empty));
        verdicts.push(GuardVerdict::new("allow-empty", allowed, 1, allowances));
    }
    verdicts
}

fn is_disrupted(group: &Group) -> bool {
    match group.membership {
        Membership::Left | Membership::Retained | Membership::WasRetained => true,
        Membership::Stays | Membership::Joined | Membership::Renamed | Membership::Held => {
            group.changes.iter().any(|change| change.action.disrupts())
        }
    }
}

fn became_empty(base: &Side<'_>, head: &Side<'_>) -> bool {
    let (Some((before, _)), Some((after, _))) = (base.fleet, head.fleet) else { return false };
    (after.devices.is_empty() && !before.devices.is_empty())
        || (after.deployments.is_empty() && !before.deployments.is_empty())
}

/// The guards that allow more on the head than on the base.
pub(super) fn loosened(base: &Guards, head: &Guards, devices: u64) -> Vec<Loosened> {
    let Guards { max_devices_disrupted, max_modules_removed, allow_empty } = base;
    let mut loosened = Vec::new();
    let mut compare = |name, before: u64, after: u64, words: (String, String)| {
        if after > before {
            loosened.push(Loosened { name, before: words.0, after: words.1 });
        }
    };
    compare(
        "max-devices-disrupted",
        limit_of(*max_devices_disrupted, devices),
        limit_of(head.max_devices_disrupted, devices),
        (words(*max_devices_disrupted), words(head.max_devices_disrupted)),
    );
    compare(
        "max-modules-removed",
        *max_modules_removed,
        head.max_modules_removed,
        (max_modules_removed.to_string(), head.max_modules_removed.to_string()),
    );
    compare(
        "allow-empty",
        u64::from(*allow_empty),
        u64::from(head.allow_empty),
        (allow_empty.to_string(), head.allow_empty.to_string()),
    );
    loosened
}

fn words(amount: Amount) -> String {
    match amount {
        Amount::Count(n) => n.to_string(),
        Amount::Share(hundredths) => format!("{}%", f64::from(hundredths) / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, GuardVerdict, judge_numbers};
    use crate::fleet::{Amount, Guards};

    /// Six of six devices may not be disrupted where a quarter may; five may, and who reads that must know why.
    #[test]
    fn the_least_limit_says_that_it_is_one() {
        let quarter = Guards { max_devices_disrupted: Amount::Share(25_00), ..Guards::default() };
        let says = |devices, disrupted| {
            let verdict = &judge_numbers(&[&quarter], devices, disrupted, 0, &[])[0];
            (verdict.exceeded, verdict.words())
        };
        let words = |words: &str| format!("guard max-devices-disrupted: {words}");
        assert_eq!(says(6, 6), (true, words("6 of at most 5, and that is never less")));
        assert!(!says(6, 5).0);
        assert_eq!(says(40, 11), (true, words("11 of at most 10")));
    }

    #[test]
    fn what_only_a_trailer_lets_through_is_said() {
        let of = |trailer| {
            GuardVerdict::new("max-modules-removed", 1, 12, &Allowance::parse_all(trailer))
        };
        let lifted = |trailer| (of(trailer).exceeded, of(trailer).lifted_from);
        assert_eq!(lifted("modules-removed=12"), (false, Some(1)));
        for too_little in
            ["", "modules-removed=11", "modules-removed=-5", "modules-removed=99999999999999999999"]
        {
            assert_eq!(lifted(too_little), (true, None), "{too_little}");
        }
        let within = GuardVerdict::new(
            "max-modules-removed",
            1,
            1,
            &Allowance::parse_all("modules-removed=9"),
        );
        assert_eq!(within.lifted_from, None);
    }
}
