//! A diff as text for a terminal.

use super::words::{self, Phrase, Piece, summary_line};
use super::{Action, FleetDiff, Group, ModuleChange, Ranks};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::render::visible;
use crate::model::DeviceId;
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

/// Where a headline is broken, in characters.
const LONGEST_LINE: usize = 110;

type Paint<'a> = &'a dyn Fn(Tone, &str) -> String;

/// The whole diff. `paint` colours a piece of text.
pub fn text(diff: &FleetDiff, paint: Paint<'_>) -> String {
    let mut out = String::new();
    let FleetDiff {
        fleet,
        narrowed,
        base,
        head,
        summary: _,
        guards,
        groups,
        notices,
        warnings,
        facts_missing: _,
        ranks,
    } = diff;
    let names = format!("{}  {} → {}", visible(fleet), visible(&base.0), visible(&head.0));
    let _ = writeln!(out, "{}", paint(Tone::Strong, &names));
    let _ = writeln!(out, "digest {} → {}\n", base.1.short(), head.1.short());
    let _ = writeln!(out, "{}", paint(Tone::Strong, &summary_line(diff)));
    if *narrowed {
        let _ =
            writeln!(out, "{}", paint(Tone::Warning, "narrowed: other devices were not looked at"));
    }
    for guard in guards.iter().filter(|guard| guard.exceeded) {
        let (words, trailer) = words::guard(guard);
        let _ = writeln!(out, "{}", paint(Tone::Warning, &format!("✋ {words}")));
        let _ = writeln!(out, "  a commit with the trailer `{trailer}` lets it through");
    }
    for words in guards.iter().filter_map(words::lifted_guard) {
        let _ = writeln!(out, "{}", paint(Tone::Warning, &format!("⚠ {words}")));
    }
    for notice in words::notices(notices) {
        let _ = writeln!(out, "{}", paint(Tone::Warning, &format!("⚠ {}", plain(&notice))));
    }
    for group in groups {
        out.push('\n');
        write_group(&mut out, group, ranks, paint);
    }
    if !warnings.is_empty() {
        out.push('\n');
    }
    let new = warnings.iter().filter(|(_, new)| *new);
    for (warning, _) in new.clone() {
        let _ = writeln!(out, "{}", paint(Tone::Warning, &warning_line(warning)));
    }
    let old = warnings.len() - new.count();
    if old > 0 {
        let line = format!("{} as before", words::count(old, "warning"));
        let _ = writeln!(out, "{}", paint(Tone::Quiet, &line));
    }
    out
}

fn warning_line(warning: &Diagnostic) -> String {
    let place = warning.place.as_ref().map(|p| format!("{p}  ")).unwrap_or_default();
    format!("⚠ {}  {}{}", warning.code, visible(&place), visible(&warning.message))
}

/// Why the devices of a group change, on one line; empty where no cause was found.
pub fn causes_line(group: &Group) -> String {
    plain(&words::causes(group))
}

/// A phrase on one line.
fn plain(phrase: &Phrase) -> String {
    phrase
        .iter()
        .map(|piece| match piece {
            Piece::Words(text) => text.clone(),
            Piece::Name(text) => visible(text),
            Piece::Quoted(text) => format!("\"{}\"", visible(text)),
        })
        .collect()
}

fn write_group(out: &mut String, group: &Group, ranks: &Ranks, paint: Paint<'_>) {
    let devices = words::count(group.devices.len(), "device");
    let head = format!("● {devices}   {}", names(&group.devices));
    let because = match words::causes(group) {
        causes if causes.is_empty() => String::new(),
        causes => format!("because {}", plain(&causes)),
    };
    let is_short = head.chars().count() + because.chars().count() < LONGEST_LINE;
    let gap = if because.is_empty() {
        ""
    } else if is_short {
        "   "
    } else {
        "\n  "
    };
    let _ = writeln!(out, "{}{gap}{}", paint(Tone::Strong, &head), paint(Tone::Quiet, &because));
    if let Some(words) = words::membership(group) {
        let _ = writeln!(out, "  {}", paint(Tone::Warning, words));
    }
    if let Some(words) = words::phases(group) {
        let _ = writeln!(out, "  {}", paint(Tone::Quiet, &plain(&words)));
    }
    if let Some(words) = words::combinations(group) {
        let _ = writeln!(out, "  {}", paint(Tone::Quiet, &words));
    }
    for change in &group.changes {
        write_change(out, change, ranks, paint);
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

fn write_change(out: &mut String, change: &ModuleChange, ranks: &Ranks, paint: Paint<'_>) {
    let (sign, tone) = match change.action {
        Action::Create => ('+', Tone::Added),
        Action::Remove => ('-', Tone::Removed),
        Action::Recreate => ('±', Tone::Changed),
        Action::Update | Action::Routes => ('~', Tone::Changed),
        Action::Start => ('▶', Tone::Added),
        Action::Stop => ('■', Tone::Removed),
    };
    let mut head = match &change.module {
        Some(module) => format!("  {sign} {}   {}", visible(module), change.action.as_str()),
        None => format!("  {sign} routes"),
    };
    if words::is_renamed(change) {
        head.push_str(" (renamed)");
    }
    let power = if change.gains_power { "   gains power over the device" } else { "" };
    let fields: Vec<(String, String)> = words::named_fields(change)
        .into_iter()
        .map(|field| {
            let by = match plain(&words::setters(field, ranks)) {
                by if by.is_empty() => by,
                by => format!("   {by}"),
            };
            (plain(&words::field(change, field)), by)
        })
        .collect();
    let _ = write!(out, "{}", paint(tone, &head));
    if let [(field, by)] = fields.as_slice() {
        let _ = write!(out, "   {field}{}", paint(Tone::Quiet, by));
    }
    let _ = writeln!(out, "{}", paint(Tone::Warning, power));
    if fields.len() > 1 {
        for (field, by) in &fields {
            let _ = writeln!(out, "      {field}{}", paint(Tone::Quiet, by));
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
