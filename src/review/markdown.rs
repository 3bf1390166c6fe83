//! A diff as Markdown, for a comment on a pull request.
//!
//! It is read by GitHub, GitLab and Gitea alike. The only HTML is `<details>` and `<summary>`, which hold
//! words and numbers of ours. Whatever comes from files, git or devices stands in code, a span or a fence
//! that it can't leave: there it is no mark-up, no mention, no link and no issue. The whole is never longer
//! than [`LONGEST_COMMENT`]; what is cut for that is said.

use super::words::{self, Phrase, Piece, summary_line};
use super::{FleetDiff, Group, ModuleChange, Ranks};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::render::visible;
use std::fmt::Write as _;

/// The longest comment that is made, in bytes: hosts count characters, or units of 16 bits, and there are
/// never more of these.
pub const LONGEST_COMMENT: usize = 60_000;

/// Longest name or value in a sentence, in characters.
const LONGEST_NAME: usize = 120;
/// Longest message of a warning, in characters.
const LONGEST_MESSAGE: usize = 400;
/// How many warnings and notices are shown.
const WARNINGS: usize = 25;
/// How many changes of a group, and fields of a change, its headline names.
const CHANGES: usize = 8;
const FIELDS: usize = 4;
/// How many devices and fields the folded part of a group lists.
const DEVICES: usize = 30;
const ALL_FIELDS: usize = 40;

/// The whole diff.
pub fn markdown(diff: &FleetDiff) -> String {
    let all = Cut { diff: usize::MAX, lists: true, groups: diff.groups.len() };
    let fits = |cut: Cut| render(diff, cut).len() <= LONGEST_COMMENT;
    if fits(all) {
        return render(diff, all);
    }
    let longest = diff.groups.iter().map(|group| group.diff.len()).max().unwrap_or(0);
    for lists in [true, false] {
        let cut = |diff| Cut { diff, lists, ..all };
        if let Some(limit) = largest(longest, |limit| fits(cut(limit))) {
            return render(diff, cut(limit));
        }
    }
    let cut = |groups| Cut { diff: 0, lists: false, groups };
    let groups = largest(all.groups, |groups| fits(cut(groups))).unwrap_or(0);
    render(diff, cut(groups))
}

/// What is left out.
#[derive(Clone, Copy)]
struct Cut {
    /// Bytes of a diff that are shown.
    diff: usize,
    /// Whether groups list devices and fields.
    lists: bool,
    /// How many groups are shown.
    groups: usize,
}

/// The largest number up to `most` that is fine; `None` if 0 is not.
fn largest(most: usize, is_fine: impl Fn(usize) -> bool) -> Option<usize> {
    if !is_fine(0) {
        return None;
    }
    let (mut fine, mut bad) = (0, most + 1);
    while bad - fine > 1 {
        let middle = fine + (bad - fine) / 2;
        if is_fine(middle) { fine = middle } else { bad = middle }
    }
    Some(fine)
}

fn render(diff: &FleetDiff, cut: Cut) -> String {
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
    let mut out = format!("**{}**\n\n", summary_line(diff));
    let _ = writeln!(out, "{} {} → {}  ", code(fleet), code(&base.0), code(&head.0));
    let _ = writeln!(out, "digest {} → {}\n", code(base.1.short()), code(head.1.short()));
    if *narrowed {
        out.push_str("Narrowed: other devices were not looked at.\n\n");
    }
    out.push_str(&what_is_cut(diff, cut));
    let mut items: Vec<String> = Vec::new();
    for guard in guards.iter().filter(|guard| guard.exceeded) {
        let (words, trailer) = words::guard(guard);
        let trailer = code(&trailer);
        items.push(format!("✋ {words}: a commit with the trailer {trailer} lets it through"));
    }
    items.extend(guards.iter().filter_map(words::lifted_guard).map(|words| format!("⚠ {words}")));
    items.extend(listed(words::notices(notices).iter().map(|n| format!("⚠ {}", phrase(n)))));
    let new = warnings.iter().filter(|(_, new)| *new).map(|(warning, _)| warning_line(warning));
    let old = warnings.iter().filter(|(_, new)| !*new).count();
    items.extend(listed(new));
    if old > 0 {
        items.push(format!("{} as before", words::count(old, "warning")));
    }
    for item in &items {
        let _ = writeln!(out, "- {item}");
    }
    for group in groups.iter().take(cut.groups) {
        out.push('\n');
        write_group(&mut out, group, ranks, cut);
    }
    out
}

/// The first items, and how many more there are.
fn listed(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut items: Vec<String> = items.collect();
    let more = items.len().saturating_sub(WARNINGS);
    if more > 0 {
        items.truncate(WARNINGS);
        items.push(format!("⚠ … and {more} more"));
    }
    items
}

fn what_is_cut(diff: &FleetDiff, cut: Cut) -> String {
    let shortened =
        diff.groups.iter().take(cut.groups).filter(|group| group.diff.len() > cut.diff).count();
    let hidden = &diff.groups[cut.groups.min(diff.groups.len())..];
    let mut parts = Vec::new();
    if shortened > 0 {
        let largest = if shortened == 1 { "the largest diff is" } else { "the largest diffs are" };
        parts.push(format!("{largest} shortened ({shortened} of {})", diff.groups.len()));
    }
    if !cut.lists {
        parts.push("lists of devices and fields are left out".to_owned());
    }
    if !hidden.is_empty() {
        let devices = hidden.iter().map(|group| group.devices.len()).sum();
        let groups = words::count(hidden.len(), "group");
        let verb = if hidden.len() == 1 { "is" } else { "are" };
        parts.push(format!("{groups} of {} {verb} not shown", words::count(devices, "device")));
    }
    if parts.is_empty() {
        return String::new();
    }
    format!("⚠ Cut to fit into a comment: {}. `hoist diff` shows all.\n\n", parts.join(", "))
}

fn warning_line(warning: &Diagnostic) -> String {
    let place = warning.place.as_ref().map(|p| format!(" {}", code(&p.to_string())));
    let message = code_of(&warning.message, LONGEST_MESSAGE);
    format!("⚠ {}{} {message}", code(warning.code.as_str()), place.unwrap_or_default())
}

fn write_group(out: &mut String, group: &Group, ranks: &Ranks, cut: Cut) {
    let mut parts: Vec<String> = group.changes.iter().take(CHANGES).map(change_words).collect();
    if group.changes.len() > CHANGES {
        parts.push(format!("… (+{})", group.changes.len() - CHANGES));
    }
    let devices = words::count(group.devices.len(), "device");
    let changes = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let _ = writeln!(out, "**{devices}**{changes}  ");
    if let Some(words) = words::membership(group) {
        let _ = writeln!(out, "⚠ {words}  ");
    }
    let causes = words::causes(group);
    if !causes.is_empty() {
        let _ = writeln!(out, "because {}", phrase(&causes));
    }
    let summary = match group.changes.len() {
        0 => devices,
        n => format!("{devices}, {}", words::count(n, "change")),
    };
    let _ = writeln!(out, "\n<details>\n<summary>{summary}</summary>\n");
    if cut.lists {
        write_lists(out, group, ranks);
    }
    write_diff(out, &group.diff, cut.diff);
    out.push_str("</details>\n");
}

/// "recreate `sensor` (`env.PROXY` added)".
fn change_words(change: &ModuleChange) -> String {
    let mut words = match &change.module {
        Some(module) => format!("{} {}", change.action.as_str(), code(module)),
        None => "routes".to_owned(),
    };
    let named = words::named_fields(change);
    let mut fields: Vec<String> =
        named.iter().take(FIELDS).map(|field| phrase(&words::field(change, field))).collect();
    if named.len() > FIELDS {
        fields.push(format!("… (+{})", named.len() - FIELDS));
    }
    if words::is_renamed(change) {
        fields.push("renamed".to_owned());
    }
    if !fields.is_empty() {
        let _ = write!(words, " ({})", fields.join(", "));
    }
    if change.gains_power {
        words.push_str(" ⚠ **gains power over the device**");
    }
    words
}

fn write_lists(out: &mut String, group: &Group, ranks: &Ranks) {
    let mut names: Vec<String> =
        group.devices.iter().take(DEVICES).map(|id| code(id.as_str())).collect();
    if group.devices.len() > DEVICES {
        names.push(format!("… (+{})", group.devices.len() - DEVICES));
    }
    let _ = writeln!(out, "{}", names.join(" "));
    if let Some(words) = words::phases(group) {
        let _ = writeln!(out, "({})", phrase(&words));
    }
    if let Some(words) = words::combinations(group) {
        let _ = writeln!(out, "({words})");
    }
    out.push('\n');
    let fields = group.changes.iter().flat_map(|change| {
        let module = change.module.as_deref().map(|m| format!("{} ", code(m)));
        let module = module.unwrap_or_default();
        words::named_fields(change).into_iter().map(move |field| {
            let by = match phrase(&words::setters(field, ranks)) {
                by if by.is_empty() => by,
                by => format!(", set by {by}"),
            };
            format!("- {module}{}{by}", phrase(&words::field(change, field)))
        })
    });
    let fields: Vec<String> = fields.collect();
    for field in fields.iter().take(ALL_FIELDS) {
        let _ = writeln!(out, "{field}");
    }
    if fields.len() > ALL_FIELDS {
        let _ = writeln!(out, "- … and {} more", fields.len() - ALL_FIELDS);
    }
    if !fields.is_empty() {
        out.push('\n');
    }
}

/// The lines of a diff in a fence, as many as the limit allows.
fn write_diff(out: &mut String, diff: &str, limit: usize) {
    let (mut shown, mut bytes) = (Vec::new(), 0);
    for line in diff.lines() {
        bytes += line.len() + 1;
        if bytes > limit {
            break;
        }
        shown.push(visible(line));
    }
    let left_out = diff.lines().count() - shown.len();
    if !shown.is_empty() {
        let fence = "`".repeat(shown.iter().map(|l| longest_run(l)).max().unwrap_or(0).max(2) + 1);
        let _ = writeln!(out, "{fence}diff");
        for line in &shown {
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "{fence}\n");
    }
    if left_out > 0 {
        let _ = writeln!(out, "⚠ {} of this diff left out.\n", words::count(left_out, "line"));
    }
}

/// A phrase in which everything that is not ours is code.
fn phrase(phrase: &Phrase) -> String {
    phrase
        .iter()
        .map(|piece| match piece {
            Piece::Words(text) => text.clone(),
            Piece::Name(text) | Piece::Quoted(text) => code(text),
        })
        .collect()
}

fn code(text: &str) -> String {
    code_of(text, LONGEST_NAME)
}

/// A code span that its content can't leave.
fn code_of(text: &str, longest: usize) -> String {
    let mut shown: String = visible(text).chars().take(longest).collect();
    if text.chars().count() > longest {
        shown.push('…');
    }
    if shown.trim().is_empty() {
        return format!("`({})`", if shown.is_empty() { "empty" } else { "blank" });
    }
    let fence = "`".repeat(longest_run(&shown) + 1);
    let pad = if shown.starts_with(['`', ' ']) || shown.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_never_left() {
        for (text, span) in [
            ("a", "`a`"),
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("```", "```` ``` ````"),
            (" a ", "`  a  `"),
            ("", "`(empty)`"),
            (" \n", "`(blank)`"),
            ("a\n\nb", "`a  b`"),
        ] {
            assert_eq!(code(text), span, "{text:?}");
        }
        assert_eq!(code(&"x".repeat(500)).chars().count(), LONGEST_NAME + 3);
    }

    #[test]
    fn the_largest_fine_number_is_found() {
        for most in 0..20 {
            for limit in 0..20 {
                assert_eq!(largest(most, |n| n <= limit), Some(most.min(limit)));
            }
        }
        assert_eq!(largest(9, |_| false), None);
    }
}
