//! Guards over a plan: what would be disrupted and removed on devices, whatever the cause.

use crate::fleet::Guards;
use crate::plan::{DevicePlan, Plan, PlanAction, Purpose};
use crate::review::{Allowance, GuardVerdict, limit_of};

/// The guards' verdicts on a plan; `guards` are those of the accepted and of the new revision, the stricter
/// counts.
pub fn judge_plan(
    plan: &Plan,
    guards: &[&Guards],
    devices: usize,
    allowances: &[Allowance],
) -> Vec<GuardVerdict> {
    let strictest =
        |limit: &dyn Fn(&Guards) -> u64| guards.iter().map(|g| limit(g)).min().unwrap_or(0);
    let disrupted = plan.devices.values().filter(|device| disrupts(device)).count() as u64;
    let removed = plan.devices.values().map(|d| count(d, PlanAction::Remove)).sum();
    let limit = strictest(&|g| limit_of(g.max_devices_disrupted, devices as u64).max(5));
    vec![
        verdict("max-devices-disrupted", limit, disrupted, allowances),
        verdict("max-modules-removed", strictest(&|g| g.max_modules_removed), removed, allowances),
    ]
}

fn verdict(name: &'static str, limit: u64, actual: u64, allowances: &[Allowance]) -> GuardVerdict {
    let plain = name.strip_prefix("max-").unwrap_or(name);
    let lifted = allowances.iter().filter(|a| a.guard == plain).map(|a| a.limit).max();
    let limit = limit.max(lifted.unwrap_or(0));
    GuardVerdict { name, limit, actual, exceeded: actual > limit }
}

fn disrupts(device: &DevicePlan) -> bool {
    [PlanAction::Replace, PlanAction::Stop, PlanAction::Remove]
        .iter()
        .any(|a| count(device, *a) > 0)
}

fn count(device: &DevicePlan, wanted: PlanAction) -> u64 {
    let is =
        |purpose: &Purpose| matches!(purpose, Purpose::Module { action, .. } if *action == wanted);
    device.works.iter().filter(|work| is(&work.purpose)).count() as u64
}
