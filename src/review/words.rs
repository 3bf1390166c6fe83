//! The words that text and Markdown share.
//!
//! A phrase keeps apart what we say and what files, git or devices say: each view makes the latter inert in
//! its own way.

use super::notices::NO_ENGINE;
use super::{
    Action, Cause, FieldChange, FleetDiff, Group, GuardVerdict, Membership, ModuleChange, Notice,
    NoticeKind, Ranks, Reason,
};
use crate::model::Value;
use crate::resolve::SetterKind;
use std::collections::BTreeMap;

/// A part of a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Ours.
    Words(String),
    /// Somebody else's: an id, a path, a value.
    Name(String),
    /// The same, set off from the words around it.
    Quoted(String),
}

/// What is said, piece by piece.
pub(super) type Phrase = Vec<Piece>;

fn words(text: impl Into<String>) -> Piece {
    Piece::Words(text.into())
}

fn name(text: impl ToString) -> Piece {
    Piece::Name(text.to_string())
}

fn quoted(text: impl ToString) -> Piece {
    Piece::Quoted(text.to_string())
}

/// "1 device", "2 devices".
pub(super) fn count(n: usize, noun: &str) -> String {
    let plural = match noun.strip_suffix("ess") {
        Some(stem) => format!("{stem}esses"),
        None => format!("{noun}s"),
    };
    if n == 1 { format!("1 {noun}") } else { format!("{n} {plural}") }
}

/// The line of numbers that comes first.
pub fn summary_line(diff: &FleetDiff) -> String {
    let s = &diff.summary;
    let mut line = if s.changed > 0 {
        let verb = if s.changed == 1 { "changes" } else { "change" };
        let ways = count(s.groups, "way");
        format!("{} of {} {verb}, in {ways}: ", s.changed, count(s.devices, "device"))
            + &actions_line(diff)
    } else if diff.narrowed {
        format!("no change on the {} looked at", count(s.devices, "device"))
    } else if s.engines > 0 || diff.forgets_the_fleet() {
        format!("no manifest changes ({})", count(s.devices, "device"))
    } else {
        format!("no device changes ({})", count(s.devices, "device"))
    };
    if s.engines > 0 {
        let verb = if s.engines == 1 { "changes" } else { "change" };
        line.push_str(&format!("; {} {verb}", count(s.engines, "engine address")));
    }
    if diff.forgets_the_fleet() {
        line.push_str("; what runs now is given up");
    }
    if s.facts_missing > 0 {
        let devices = count(s.facts_missing, "device");
        line.push_str(&format!("; reported facts are missing for {devices}"));
    }
    line
}

fn actions_line(diff: &FleetDiff) -> String {
    let s = &diff.summary;
    let mut parts: Vec<String> = Vec::new();
    for (action, noun) in [
        (Action::Create, "created"),
        (Action::Recreate, "recreated"),
        (Action::Update, "updated"),
        (Action::Start, "started"),
        (Action::Stop, "stopped"),
        (Action::Remove, "removed"),
    ] {
        let n = s.modules.get(&action).copied().unwrap_or(0);
        if n > 0 || action == Action::Remove {
            parts.push(match parts.is_empty() {
                true => format!("{} {noun}", count(n, "module")),
                false => format!("{n} {noun}"),
            });
        }
    }
    if s.routes > 0 {
        parts.push(format!("routes changed on {}", count(s.routes, "device")));
    }
    for (n, word) in [
        (s.joined, "joined"),
        (s.left, "left"),
        (s.retained, "retained"),
        (s.renamed, "renamed"),
        (s.held, "held"),
    ] {
        if n > 0 {
            parts.push(format!("{} {word}", count(n, "device")));
        }
    }
    parts.join(", ")
}

/// Why a group changes, after *because*; empty where no cause is known.
pub(super) fn causes(group: &Group) -> Phrase {
    const SHOWN: usize = 6;
    let mut phrase = Phrase::new();
    for (cause, devices) in group.causes.iter().take(SHOWN) {
        if !phrase.is_empty() {
            phrase.push(words(", "));
        }
        phrase.extend(cause_phrase(cause, *devices, group.devices.len()));
    }
    if group.causes.len() > SHOWN {
        phrase.push(words(format!(", … (+{})", group.causes.len() - SHOWN)));
    }
    phrase
}

fn cause_phrase(cause: &Cause, devices: usize, of: usize) -> Phrase {
    let said = |before: &str, id: &dyn ToString, after: &str| {
        vec![words(before), quoted(id.to_string()), words(after)]
    };
    let mut phrase = match cause {
        Cause::DeviceJoined => vec![words("the device is new")],
        Cause::DeviceLeft => vec![words("the device is gone from the fleet")],
        Cause::DeviceRenamed => vec![words("the device has another id")],
        Cause::InForceDiffers => {
            vec![words("what is in force came from another revision")]
        }
        Cause::NothingInForce => vec![words("nothing is in force there yet")],
        Cause::DeploymentAdded(id) => said("", id, " is new"),
        Cause::DeploymentRemoved(id) => said("", id, " is gone"),
        Cause::KindChanged(id) => said("the kind of ", id, " changed"),
        Cause::TargetChanged(id) => said("the target of ", id, " changed"),
        Cause::PriorityChanged(id) => said("the priority of ", id, " changed"),
        Cause::CreatedChanged(id) => said("`created` of ", id, " changed"),
        Cause::Outranked { deployment, by } => {
            vec![quoted(by), words(" now outranks "), quoted(deployment)]
        }
        Cause::ContentChanged(id) => said("the content of ", id, " changed"),
        Cause::DefaultsChanged => vec![words("[defaults] changed")],
        Cause::TagsChanged(path) => return facts_phrase("tags.", path, devices),
        Cause::ReportedChanged(path) => return facts_phrase("properties.reported.", path, devices),
    };
    if devices < of {
        phrase.push(words(format!(" ({})", count(devices, "device"))));
    }
    phrase
}

fn facts_phrase(root: &str, path: &str, devices: usize) -> Phrase {
    vec![name(format!("{root}{path}")), words(format!(" of {} changed", count(devices, "device")))]
}

/// What happens to a group besides its modules.
pub(super) fn membership(group: &Group) -> Option<&'static str> {
    match group.membership {
        Membership::Stays => None,
        Membership::Joined => Some("new in the fleet"),
        Membership::Left => Some("gone from the fleet: nothing is touched, it becomes departed"),
        Membership::Renamed => {
            Some("renamed: each container is made again, as it knows its device's id")
        }
        Membership::Retained => {
            Some("no deployment targets it any more: what it has stays in force (retained)")
        }
        Membership::Held => {
            Some("a template of its manifest can't be filled: what it has stays in force (held)")
        }
        Membership::WasRetained => Some(
            "before: unknown (no deployment targeted it); what Hoist runs there now is replaced",
        ),
    }
}

/// Which phase takes how many of them; nothing where all go at once anyway.
pub(super) fn phases(group: &Group) -> Option<Phrase> {
    match group.phases.as_slice() {
        [] => None,
        [(name, _)] if name == crate::model::AT_ONCE => Some(vec![words(
            "goes out at once, without phases (phased = false), on devices that wait for nothing else",
        )]),
        phases => {
            let mut phrase = vec![words("in phases:")];
            for (index, (name, devices)) in phases.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                phrase.push(words(format!("{comma} {devices} in ")));
                phrase.push(Piece::Name(name.clone()));
                if name == crate::model::LATER_PHASES {
                    phrase.push(words(" (who is in which, the commit's id decides)"));
                }
            }
            Some(phrase)
        }
    }
}

/// How many combinations of base and layers a group spans, if there are several.
pub(super) fn combinations(group: &Group) -> Option<String> {
    let n = group.cohorts.len();
    (n > 1).then(|| format!("{n} combinations of base and layers"))
}

/// The fields that are named: of a module that comes or goes its image alone.
pub(super) fn named_fields(change: &ModuleChange) -> Vec<&FieldChange> {
    match change.action {
        Action::Create | Action::Remove => {
            change.fields.iter().filter(|field| field.path == "image").collect()
        }
        _ => change.fields.iter().collect(),
    }
}

/// A field, and what becomes of it; of a module that comes or goes the value.
pub(super) fn field(change: &ModuleChange, field: &FieldChange) -> Phrase {
    if let Action::Create | Action::Remove = change.action {
        let value = field.after.as_ref().or(field.before.as_ref());
        let shown = value.and_then(Value::as_str).unwrap_or_default();
        return vec![words("image "), name(shown)];
    }
    let verb = match (&field.before, &field.after) {
        (None, _) => " added",
        (Some(_), None) => " taken away",
        (Some(_), Some(_)) => " changed",
    };
    vec![name(&field.path), words(verb)]
}

/// Who set a field.
pub(super) fn setters(field: &FieldChange, ranks: &Ranks) -> Phrase {
    const SHOWN: usize = 3;
    let setters = &field.set_by;
    let ranks = if field.after.is_some() { &ranks.head } else { &ranks.base };
    let mut phrase = Phrase::new();
    for setter in setters.iter().take(SHOWN) {
        if !phrase.is_empty() {
            phrase.push(words(", "));
        }
        if let Some(place) = &setter.place {
            phrase.push(name(place));
            phrase.push(words(" "));
        }
        match &setter.kind {
            SetterKind::Deployment(id) => {
                let rank = ranks.get(id);
                let word = rank.map(|rank| format!("{} ", rank.word)).unwrap_or_default();
                let priority = rank.and_then(|rank| rank.priority);
                let priority = priority.map(|p| format!(", priority {p}")).unwrap_or_default();
                phrase.extend([
                    words(format!("({word}")),
                    quoted(id),
                    words(format!("{priority})")),
                ]);
            }
            SetterKind::Defaults => phrase.push(words("([defaults])")),
            SetterKind::BuiltIn => phrase.push(words("(built in)")),
        }
    }
    if setters.len() > SHOWN {
        phrase.push(words(format!(", … (+{})", setters.len() - SHOWN)));
    }
    phrase
}

/// Whether a module is made again only because its device is renamed.
pub(super) fn is_renamed(change: &ModuleChange) -> bool {
    change.reasons.contains(&Reason::Renamed)
}

/// A guard that asks for consent, and what gives it.
pub(super) fn guard(guard: &GuardVerdict) -> (String, String) {
    let plain = guard.name.strip_prefix("max-").unwrap_or(guard.name);
    (guard.words(), format!("Hoist-Allow: {plain}={}", guard.actual))
}

/// A guard that would ask for consent, had a commit not given it.
pub(super) fn lifted_guard(guard: &GuardVerdict) -> Option<String> {
    let own = guard.lifted_from?;
    let GuardVerdict { name, limit, actual, .. } = guard;
    Some(format!(
        "guard {name}: {actual} of at most {own}, lifted to {limit} by a commit's trailer"
    ))
}

/// Notices, one phrase each; where there are many of one kind about devices, one for all of them.
pub(super) fn notices(notices: &[Notice]) -> Vec<Phrase> {
    const SINGLE: usize = 4;
    let mut by_kind: BTreeMap<NoticeKind, Vec<&Notice>> = BTreeMap::new();
    for notice in notices {
        by_kind.entry(notice.kind).or_default().push(notice);
    }
    let mut phrases = Vec::new();
    for (kind, notices) in by_kind {
        let of_devices = matches!(kind, NoticeKind::EngineChanged | NoticeKind::DeviceRenamed);
        if of_devices && notices.len() > SINGLE {
            phrases.push(many_devices(kind, &notices));
        } else {
            phrases.extend(notices.into_iter().map(notice));
        }
    }
    phrases
}

fn many_devices(kind: NoticeKind, notices: &[&Notice]) -> Phrase {
    const SHOWN: usize = 6;
    let devices = count(notices.len(), "device");
    let mut phrase = vec![match kind {
        NoticeKind::EngineChanged => words(format!("the engine address of {devices} changes:")),
        _ => words(format!("{devices} are renamed:")),
    }];
    for notice in notices.iter().take(SHOWN) {
        phrase.extend([words(" "), name(&notice.subject)]);
    }
    if notices.len() > SHOWN {
        phrase.push(words(format!(" … (+{})", notices.len() - SHOWN)));
    }
    phrase
}

fn notice(notice: &Notice) -> Phrase {
    let Notice { kind, subject, before, after } = notice;
    let mut phrase = match kind {
        NoticeKind::EngineChanged if before == NO_ENGINE => {
            return vec![
                words("the engine address of "),
                name(subject),
                words(" is new: "),
                name(after),
            ];
        }
        NoticeKind::EngineChanged => {
            vec![words("the engine address of "), name(subject), words(" changes: ")]
        }
        NoticeKind::DeviceRenamed => vec![words("a device is renamed: ")],
        NoticeKind::FleetRenamed => vec![words("the fleet is renamed: ")],
        NoticeKind::FleetForgotten => vec![words(
            "the fleet is renamed, and its `formerly` does not say so; what runs now is given up: ",
        )],
        NoticeKind::GuardLoosened => vec![words("guard "), name(subject), words(" is loosened: ")],
        NoticeKind::LintLoosened => vec![words("lint "), name(subject), words(" is loosened: ")],
    };
    phrase.extend([name(before), words(" → "), name(after)]);
    phrase
}
