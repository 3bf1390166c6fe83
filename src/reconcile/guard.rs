//! Guards over a plan: what would be disrupted and removed on devices, whatever the cause.

use crate::fleet::Guards;
use crate::plan::{DevicePlan, Plan, PlanAction, Purpose};
use crate::review::{Allowance, GuardVerdict, judge_numbers};

/// The guards' verdicts on a plan; `guards` are those of the accepted and of the new revision, the stricter
/// counts.
pub fn judge_plan(
    plan: &Plan,
    guards: &[&Guards],
    devices: usize,
    allowances: &[Allowance],
) -> Vec<GuardVerdict> {
    let disrupted = plan.devices.values().filter(|device| disrupts(device)).count() as u64;
    let removed = plan.devices.values().map(|d| count(d, PlanAction::Remove)).sum();
    judge_numbers(guards, devices as u64, disrupted, removed, allowances)
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
