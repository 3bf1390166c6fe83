//! A diff as text for a terminal.

use super::{
    Action, FieldChange, FleetDiff, Group, Membership, ModuleChange, Notice, NoticeKind, shown,
};
use crate::diagnostic::render::visible;
use crate::model::DeviceId;
use crate::resolve::SetterKind;
use std::fmt::Write as _;

/// How a piece of text is meant; the caller turns it into colour, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A headline.
    Strong,
    /// Something new.
    Added,
    /// Something that goes.
    Removed,
    /// Something that changes.
    Changed,
    /// Something to look at.
    Warning,
    /// Less important.
    Quiet,
}

/// The whole diff. `paint` colours a piece of text.
pub fn text(diff: &FleetDiff, paint: &dyn Fn(Tone, &str) -> String) -> String {
    let mut out = String::new();
    let FleetDiff { fleet, narrowed, base, head, summary: _, guards, groups, notices, warnings } =
        diff;
    let names = format!("{}  {} → {}", visible(fleet), visible(&base.0), visible(&head.0));
    let _ = writeln!(out, "{}", paint(Tone::Strong, &names));
    let _ = writeln!(out, "digest {} → {}\n", base.1.short(), head.1.short());
    let _ = writeln!(out, "{}", paint(Tone::Strong, &summary_line(diff)));
    if *narrowed {
        let _ =
            writeln!(out, "{}", paint(Tone::Warning, "narrowed: other devices were not looked at"));
    }
    for guard in guards.iter().filter(|guard| guard.exceeded) {
        let words = format!("✋ guard {}: {} of at most {}", guard.name, guard.actual, guard.limit);
        let _ = writeln!(out, "{}", paint(Tone::Warning, &words));
        let plain = guard.name.strip_prefix("max-").unwrap_or(guard.name);
        let _ = writeln!(
            out,
            "  a commit with the trailer `Hoist-Allow: {plain}={}` lets it through",
            guard.actual
        );
    }
    for group in groups {
        out.push('\n');
        write_group(&mut out, group, paint);
    }
    if !notices.is_empty() {
        out.push('\n');
    }
    for notice in notices {
        let _ = writeln!(out, "{}", paint(Tone::Warning, &notice_line(notice)));
    }
    let new = warnings.iter().filter(|(_, new)| *new).count();
    if !warnings.is_empty() {
        out.push('\n');
    }
    for (warning, _) in warnings.iter().filter(|(_, new)| *new) {
        let place = warning.place.as_ref().map(|p| format!("{p}  ")).unwrap_or_default();
        let line = format!("⚠ {}  {}{}", warning.code, visible(&place), visible(&warning.message));
        let _ = writeln!(out, "{}", paint(Tone::Warning, &line));
    }
    let old = warnings.len() - new;
    if old > 0 {
        let line = format!("{old} warning{} as before", if old == 1 { "" } else { "s" });
        let _ = writeln!(out, "{}", paint(Tone::Quiet, &line));
    }
    out
}

/// The line of numbers that comes first.
pub fn summary_line(diff: &FleetDiff) -> String {
    let s = &diff.summary;
    if s.changed == 0 {
        return match diff.narrowed {
            true => format!("no change on the {} devices looked at", s.devices),
            false => format!("no device changes ({} devices)", s.devices),
        };
    }
    let verb = if s.changed == 1 { "changes" } else { "change" };
    let mut line = format!(
        "{} of {} devices {verb}, in {} way{}",
        s.changed,
        s.devices,
        s.groups,
        plural(s.groups)
    );
    let mut parts: Vec<String> = Vec::new();
    for (action, noun) in [
        (Action::Create, "created"),
        (Action::Recreate, "recreated"),
        (Action::Update, "updated"),
        (Action::Start, "started"),
        (Action::Stop, "stopped"),
    ] {
        if let Some(n) = s.modules.get(&action) {
            parts.push(format!("{n} {noun}"));
        }
    }
    parts.push(format!("{} removed", s.modules.get(&Action::Remove).copied().unwrap_or(0)));
    for (n, words) in [(s.joined, "joined"), (s.left, "left"), (s.retained, "retained")] {
        if n > 0 {
            parts.push(format!("{n} device{} {words}", plural(n)));
        }
    }
    let _ = write!(line, ": {}", parts.join(", "));
    line
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn write_group(out: &mut String, group: &Group, paint: &dyn Fn(Tone, &str) -> String) {
    let n = group.devices.len();
    let head = format!("● {n} device{}   {}", plural(n), names(&group.devices));
    let causes: Vec<String> = group.causes.iter().map(ToString::to_string).collect();
    let because = if causes.is_empty() {
        String::new()
    } else {
        format!("   because {}", visible(&causes.join(", ")))
    };
    let _ = writeln!(out, "{}{}", paint(Tone::Strong, &head), paint(Tone::Quiet, &because));
    let membership = match group.membership {
        Membership::Stays => None,
        Membership::Joined => Some("new in the fleet"),
        Membership::Left => Some("gone from the fleet: nothing is touched, it becomes departed"),
        Membership::Retained => {
            Some("no deployment targets it any more: what it has stays in force (retained)")
        }
        Membership::WasRetained => Some(
            "before: unknown (no deployment targeted it); what Hoist runs there now is replaced",
        ),
    };
    if let Some(words) = membership {
        let _ = writeln!(out, "  {}", paint(Tone::Warning, words));
    }
    if group.cohorts.len() > 1 {
        let words = format!("{} combinations of base and layers", group.cohorts.len());
        let _ = writeln!(out, "  {}", paint(Tone::Quiet, &words));
    }
    for change in &group.changes {
        write_change(out, change, paint);
    }
}

/// The first ids, and how many more there are.
pub fn names(devices: &[DeviceId]) -> String {
    const SHOWN: usize = 6;
    let mut names: Vec<String> =
        devices.iter().take(SHOWN).map(|id| visible(id.as_str())).collect();
    if devices.len() > SHOWN {
        names.push(format!("… (+{})", devices.len() - SHOWN));
    }
    names.join(" ")
}

fn write_change(out: &mut String, change: &ModuleChange, paint: &dyn Fn(Tone, &str) -> String) {
    let (sign, tone) = match change.action {
        Action::Create => ('+', Tone::Added),
        Action::Remove => ('-', Tone::Removed),
        Action::Recreate => ('±', Tone::Changed),
        Action::Update | Action::Routes => ('~', Tone::Changed),
        Action::Start => ('▶', Tone::Added),
        Action::Stop => ('■', Tone::Removed),
    };
    let subject = change.module.as_deref().unwrap_or("routes");
    let head = match change.module {
        Some(_) => format!("  {sign} {subject}   {}", change.action.as_str()),
        None => format!("  {sign} routes"),
    };
    let power = if change.gains_power { "   gains power over the device" } else { "" };
    let _ = writeln!(out, "{}{}", paint(tone, &head), paint(Tone::Warning, power));
    if matches!(change.action, Action::Create | Action::Remove) {
        let image = change.fields.iter().find(|f| f.path == "image");
        let value = image.and_then(|f| f.after.as_ref().or(f.before.as_ref()));
        if let Some(value) = value {
            let _ = writeln!(out, "      image {}{}", shown(value), set_by(image, paint));
        }
    } else {
        for field in &change.fields {
            let verb = match (&field.before, &field.after) {
                (None, _) => "added",
                (Some(_), None) => "taken away",
                (Some(_), Some(_)) => "changed",
            };
            let words = format!("{} {verb}", field.path);
            let _ = writeln!(out, "      {}{}", visible(&words), set_by(Some(field), paint));
        }
    }
    for line in change.diff.lines() {
        let tone = match line.as_bytes().first() {
            Some(b'+') => Tone::Added,
            Some(b'-') => Tone::Removed,
            _ => Tone::Quiet,
        };
        let _ = writeln!(out, "    {}", paint(tone, &visible(line)));
    }
}

fn set_by(field: Option<&FieldChange>, paint: &dyn Fn(Tone, &str) -> String) -> String {
    let Some(setter) = field.and_then(|f| f.set_by.as_ref()) else { return String::new() };
    let place = setter.place.as_ref().map(ToString::to_string).unwrap_or_default();
    let words = match &setter.kind {
        SetterKind::Deployment(id) => format!("   {place} (\"{id}\")"),
        SetterKind::Defaults => format!("   {place} ([defaults])"),
        SetterKind::BuiltIn => "   (built in)".to_owned(),
    };
    paint(Tone::Quiet, &visible(&words))
}

fn notice_line(notice: &Notice) -> String {
    let Notice { kind, subject, before, after } = notice;
    let (subject, before, after) = (visible(subject), visible(before), visible(after));
    match kind {
        NoticeKind::EngineChanged => {
            format!("⚠ the engine address of {subject} changes: {before} → {after}")
        }
        NoticeKind::GuardLoosened => format!("⚠ guard {subject} is loosened: {before} → {after}"),
        NoticeKind::LintLoosened => format!("⚠ lint {subject} is loosened: {before} → {after}"),
    }
}
