//! A plan as text: what is done on which devices, why, and by which steps.

use super::{DevicePlan, DeviceState, Plan, Purpose, When, Work};
use crate::diagnostic::render::visible;
use crate::model::DeviceId;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The whole plan; devices with equal works are one group, `steps` shows every step.
pub fn plan_text(plan: &Plan, steps: bool) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} @ {}", plan.fleet, short_revision(&plan.revision));
    let _ = writeln!(out, "{}", summary_line(plan));
    let mut groups: BTreeMap<(usize, String), Vec<&DeviceId>> = BTreeMap::new();
    for (id, device) in &plan.devices {
        let text = device_text(device, steps);
        let rank = usize::from(text.is_empty());
        groups.entry((rank, text)).or_default().push(id);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((rank, _), devices)| (*rank, Reverse(devices.len()), devices[0].clone()));
    if groups.iter().any(|((_, text), _)| !text.is_empty()) {
        out.push('\n');
    }
    for ((_, text), devices) in &groups {
        let n = devices.len();
        let shown: Vec<String> = devices.iter().take(6).map(|id| visible(id.as_str())).collect();
        let more = if n > 6 { format!(" … (+{})", n - 6) } else { String::new() };
        let plural = if n == 1 { "" } else { "s" };
        if text.is_empty() && groups.len() == 1 {
            // The line of numbers has said so.
        } else if text.is_empty() {
            let _ = writeln!(out, "{n} device{plural} as desired");
        } else {
            let _ = writeln!(out, "● {n} device{plural}   {}{more}", shown.join(" "));
            out.push_str(text);
        }
    }
    if plan.narrowed {
        let _ = writeln!(out, "narrowed: other devices were not looked at");
    }
    out
}

/// A commit's id short enough to read; other names as they are.
pub fn short_revision(revision: &str) -> &str {
    let is_id = revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id { &revision[..7] } else { revision }
}

/// The line of numbers that comes first: `2 of 14 devices change: 3 create, 1 replace`.
fn summary_line(plan: &Plan) -> String {
    let devices = plan.devices.len();
    let plural = if devices == 1 { "" } else { "s" };
    let count = |wanted: &dyn Fn(&DevicePlan) -> bool| {
        plan.devices.values().filter(|device| wanted(device)).count()
    };
    let changing = count(&|device| !device.works.is_empty());
    let pending = count(&|device| matches!(device.state, DeviceState::Pending(_)));
    let held =
        count(&|device| matches!(device.state, DeviceState::Paused(_) | DeviceState::Held { .. }));
    let mut parts = Vec::new();
    if changing > 0 {
        let verb = if changing == 1 { "changes" } else { "change" };
        let actions = summary_of(plan.devices.values());
        let colon = if actions.is_empty() { "" } else { ": " };
        let actions = actions.join(", ");
        parts.push(format!("{changing} of {devices} device{plural} {verb}{colon}{actions}"));
    } else if pending + held < devices || devices == 0 {
        parts.push(format!("nothing to do ({devices} device{plural})"));
    }
    let blocked: usize = plan.devices.values().map(|device| device.blocked.len()).sum();
    let modules = if blocked == 1 { "module blocked" } else { "modules blocked" };
    for (n, word) in [(pending, "pending"), (held, "held"), (blocked, modules)] {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    parts.join("; ")
}

fn device_text(device: &DevicePlan, steps: bool) -> String {
    let mut out = String::new();
    match &device.state {
        DeviceState::Observed => {}
        DeviceState::Pending(words) => {
            let _ = writeln!(out, "  ◌ pending: {}", visible(words));
        }
        DeviceState::Paused(words) | DeviceState::Held { words, .. } => {
            let _ = writeln!(out, "  ✋ held: {}", visible(words));
        }
    }
    if let Some(pinned) = &device.pinned {
        let _ = writeln!(out, "  {}", visible(&pinned.to_string()));
    }
    if device.retained && device.manifest.is_none() {
        let _ = writeln!(out, "  no deployment targets it: nothing is touched");
    } else if device.retained {
        let _ = writeln!(out, "  retained: no deployment targets it; what it had stays in force");
    }
    if let Some(words) = &device.held {
        let _ = writeln!(out, "  ✋ held, what it had stays in force: {}", visible(words));
    }
    for (name, block) in &device.blocked {
        let _ = writeln!(out, "  ✗ {name}   blocked: {}", visible(&block.to_string()));
    }
    for name in &device.held_back {
        let down = if device.held_back_down.contains(name) { ", down as it is," } else { "" };
        let _ = writeln!(out, "  … {name}   stays{down} until nothing is blocked");
    }
    for work in &device.works {
        let _ = writeln!(out, "  {}", work_line(work));
        if steps {
            for step in &work.steps {
                let _ = writeln!(out, "      {}", visible(&step.to_string()));
            }
        }
    }
    out
}

/// One work on one line: sign, subject, action, reasons.
pub fn work_line(work: &Work) -> String {
    let mut reasons: Vec<String> = work.reasons.iter().map(ToString::to_string).collect();
    reasons.dedup();
    let because =
        if reasons.is_empty() { String::new() } else { format!("   ({})", reasons.join(", ")) };
    let only_if = match &work.when {
        When::AllPassed(_) => "",
        When::AnyFailed(_) | When::NonePassed(_) => "   only if that fails",
    };
    visible(&format!("{}{because}{only_if}", work_subject(work)))
}

/// What a work does to what, without reasons: `+ camera   create`.
pub fn work_subject(work: &Work) -> String {
    let head = match &work.purpose {
        Purpose::Image(image) => format!("↓ {image}   pull"),
        Purpose::Network(name) => {
            let making = matches!(work.steps.first(), Some(super::Step::CreateNetwork { .. }));
            format!("{} network {name}", if making { '+' } else { '-' })
        }
        Purpose::Module { name, action } => {
            format!("{} {name}   {}", action.sign(), action.as_str())
        }
    };
    visible(&head)
}

/// How often each action stands in the plans: `2 create`, `1 replace`.
fn summary_of<'a>(devices: impl Iterator<Item = &'a DevicePlan>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for work in devices.flat_map(|device| &device.works) {
        if let Purpose::Module { action, .. } = &work.purpose
            && matches!(work.when, When::AllPassed(_))
        {
            *counts.entry(action.as_str()).or_default() += 1;
        }
    }
    counts.iter().map(|(action, n)| format!("{n} {action}")).collect()
}
