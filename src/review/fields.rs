//! Two states of one module side by side: what must be done, and which fields say so.

use crate::fleet::print_module;
use crate::model::{
    Module, Table, TextUse, Value, module_hashes, module_table, path_segment, short_module_table,
};
use crate::resolve::{Setter, is_credential, is_credential_after};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What happens to a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It goes.
    Remove,
    /// A new container takes its place.
    Recreate,
    /// It stops.
    Stop,
    /// It is new.
    Create,
    /// It starts.
    Start,
    /// Twin, version or settings change without a restart.
    Update,
    /// The device's routes change.
    Routes,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 7] = [
        Self::Remove,
        Self::Recreate,
        Self::Stop,
        Self::Create,
        Self::Start,
        Self::Update,
        Self::Routes,
    ];

    /// Its name in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Recreate => "recreate",
            Self::Stop => "stop",
            Self::Create => "create",
            Self::Start => "start",
            Self::Update => "update",
            Self::Routes => "routes",
        }
    }

    /// Whether a running module is interrupted.
    pub fn disrupts(self) -> bool {
        matches!(self, Self::Remove | Self::Recreate | Self::Stop)
    }
}

/// Why an action: the top-level key that differs, or that the module is new or gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A key differs.
    Key(String),
    /// It was not there.
    New,
    /// It is not wanted any more.
    Gone,
    /// Its device has another id, which every container knows.
    Renamed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::New => f.write_str("new"),
            Self::Gone => f.write_str("gone"),
            Self::Renamed => f.write_str("renamed"),
        }
    }
}

/// A difference on one module, or of the routes.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleChange {
    /// The module; none for routes.
    pub module: Option<String>,
    /// What happens.
    pub action: Action,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The fields that differ, by path.
    pub fields: Vec<FieldChange>,
    /// Whether it gives the module power over its device that it did not have.
    pub gains_power: bool,
    /// The same as lines of canonical TOML, `+` and `-`.
    pub diff: String,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// Its path in the module.
    pub path: String,
    /// Before, masked where it looks like a credential.
    pub before: Option<Value>,
    /// After, likewise.
    pub after: Option<Value>,
    /// Who set it, on the side that has it; several where devices of one group have it from several.
    pub set_by: Vec<Setter>,
}

/// A module for comparison: filled, and with the templates it was filled from.
#[derive(Clone, Copy)]
pub struct Compared<'a> {
    /// Filled.
    pub filled: &'a Module,
    /// Not filled; the same where it holds no template.
    pub template: &'a Module,
}

/// Compares two states of a module; `None` where nothing differs.
pub fn compare_modules(
    name: &str,
    before: Option<Compared<'_>>,
    after: Option<Compared<'_>>,
) -> Option<ModuleChange> {
    let (action, reasons) = match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => (Action::Create, vec![Reason::New]),
        (Some(_), None) => (Action::Remove, vec![Reason::Gone]),
        (Some(before), Some(after)) => {
            if before.filled == after.filled {
                return None;
            }
            (action_between(before.filled, after.filled), Vec::new())
        }
    };
    let (shown_before, shown_after) = shown_modules(before, after);
    let fields = changed_fields(shown_before.as_ref(), shown_after.as_ref());
    let diff = text_diff(name, shown_before.as_ref(), shown_after.as_ref(), &fields);
    let keys: BTreeSet<&str> = fields.iter().filter_map(|f| f.path.split('.').next()).collect();
    let reasons = if reasons.is_empty() {
        keys.into_iter().map(|key| Reason::Key(key.to_owned())).collect()
    } else {
        reasons
    };
    let gains_power = after.is_some_and(|after| {
        let had = before.map(|b| powers(b.filled)).unwrap_or_default();
        powers(after.filled).iter().any(|power| !had.contains(power))
    });
    Some(ModuleChange { module: Some(name.to_owned()), action, reasons, fields, gains_power, diff })
}

/// What happens to a module of a device that has another id now, besides what differs otherwise.
pub(super) fn renamed_module(name: &str, change: Option<ModuleChange>) -> ModuleChange {
    let mut change = change.unwrap_or_else(|| ModuleChange {
        module: Some(name.to_owned()),
        action: Action::Recreate,
        reasons: Vec::new(),
        fields: Vec::new(),
        gains_power: false,
        diff: String::new(),
    });
    change.action = Action::Recreate;
    change.reasons.push(Reason::Renamed);
    change
}

fn action_between(before: &Module, after: &Module) -> Action {
    use crate::model::Status;
    let none = BTreeMap::new();
    let (old, new) = (module_hashes(before, &none), module_hashes(after, &none));
    if old.spec != new.spec || lifts_a_limit(before, after) {
        Action::Recreate
    } else {
        match (before.status, after.status) {
            (Status::Running, Status::Stopped) => Action::Stop,
            (Status::Stopped, Status::Running) => Action::Start,
            _ => Action::Update,
        }
    }
}

/// Whether a limit is taken away, which an engine can't do in place.
pub fn lifts_a_limit(before: &Module, after: &Module) -> bool {
    (before.memory.is_some() && after.memory.is_none())
        || (before.cpus.is_some() && after.cpus.is_none())
}

/// What gives a module power over its device, one word each.
fn powers(module: &Module) -> BTreeSet<String> {
    let mut powers = BTreeSet::new();
    if module.privileged {
        powers.insert("privileged".to_owned());
    }
    if module.network_mode == Some(crate::model::NetworkMode::Host) {
        powers.insert("host network".to_owned());
    }
    powers.extend(module.volumes.iter().filter(|v| v.is_host_path()).map(ToString::to_string));
    powers.extend(module.host_devices.iter().map(ToString::to_string));
    powers.extend(module.cap_add.iter().cloned());
    // Of create-options only `HostConfig` reaches the device; which of its keys are harmless is the engine's
    // secret, so each counts.
    let host = Value::lookup_option(&module.create_options, &["HostConfig"]);
    let options = host.and_then(Value::as_table).into_iter().flatten();
    powers.extend(options.map(|(key, value)| format!("{key}={}", value.to_json())));
    powers
}

/// The two sides as they may be shown.
fn shown_modules(
    before: Option<Compared<'_>>,
    after: Option<Compared<'_>>,
) -> (Option<Module>, Option<Module>) {
    let texts = |side: Option<Compared<'_>>| side.map(|c| Texts::of(&c)).unwrap_or_default();
    let (old, new) = (texts(before), texts(after));
    let show = |side: Option<Compared<'_>>, own: &Texts, other: &Texts, word: &str| {
        side.map(|compared| {
            let mut module = compared.filled.clone();
            let mut seen = BTreeMap::new();
            module.for_each_text(&mut |usage, path, text| {
                let n = seen.entry(path.to_owned()).and_modify(|n| *n += 1).or_insert(0_usize);
                let key = (path.to_owned(), *n);
                let Some(filled) = own.get(&key) else { return };
                // Items of a list have one path.
                let before = n.checked_sub(1).and_then(|n| own.get(&(path.to_owned(), n)));
                if before.is_some_and(|b| is_credential_after(b.filled, filled.filled)) {
                    let differs = other.get(&key).is_some_and(|o| o.filled != filled.filled);
                    if differs { word } else { "(masked)" }.clone_into(text);
                } else {
                    shown_text(usage, path, filled, other.get(&key), word).clone_into(text);
                }
            });
            module
        })
    };
    (show(before, &old, &new, "(masked)"), show(after, &new, &old, "(masked, changed)"))
}

/// A text of a module: filled, and the template.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) filled: &'t str,
    pub(super) template: &'t str,
}

/// What may be shown of a text, with the one in its place on the other side: of data the template it came from
/// where that explains more than the filled text, of a credential nothing but that it changed, by a word.
pub(super) fn shown_text<'t>(
    usage: TextUse,
    path: &str,
    own: Text<'t>,
    other: Option<Text<'_>>,
    changed: &'t str,
) -> &'t str {
    let Text { filled, template } = own;
    let differs = other.is_some_and(|other| other.filled != filled);
    let template_differs = other.is_some_and(|other| other.template != template);
    if is_credential(path, filled) {
        if differs { changed } else { "(masked)" }
    } else if usage == TextUse::Data
        && template.contains("${device.")
        && differs == template_differs
    {
        // Otherwise one of the two explains what the other doesn't show.
        template
    } else {
        filled
    }
}

/// The texts of a module by path and number: filled, and the template.
#[derive(Default)]
struct Texts(BTreeMap<(String, usize), (String, String)>);

impl Texts {
    fn get(&self, key: &(String, usize)) -> Option<Text<'_>> {
        self.0.get(key).map(|(filled, template)| Text { filled, template })
    }

    fn of(compared: &Compared<'_>) -> Self {
        let list = |module: &Module| {
            let mut texts = Vec::new();
            module.clone().for_each_text(&mut |_, path, text| {
                texts.push((path.to_owned(), text.clone()));
            });
            texts
        };
        let (filled, templates) = (list(compared.filled), list(compared.template));
        let mut all = BTreeMap::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for ((path, filled), (_, template)) in filled.into_iter().zip(templates) {
            let n = seen.entry(path.clone()).and_modify(|n| *n += 1).or_insert(0);
            all.insert((path, *n), (filled, template));
        }
        Self(all)
    }
}

fn changed_fields(before: Option<&Module>, after: Option<&Module>) -> Vec<FieldChange> {
    let before = before.map(fields_of).unwrap_or_default();
    let after = after.map(fields_of).unwrap_or_default();
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| FieldChange {
            path: path.clone(),
            before: before.get(path).cloned(),
            after: after.get(path).cloned(),
            set_by: Vec::new(),
        })
        .collect()
}

/// The fields that differ as canonical TOML, before and after. What stays is left out, also inside a table
/// that changes: it may be another on each device of a group.
fn text_diff(
    name: &str,
    before: Option<&Module>,
    after: Option<&Module>,
    fields: &[FieldChange],
) -> String {
    let paths: BTreeSet<&str> = fields.iter().map(|field| field.path.as_str()).collect();
    let toml = |module: Option<&Module>| match module {
        Some(module) => print_module(name, &kept_fields(short_module_table(module), &paths)),
        None => String::new(),
    };
    let is_whole = before.is_none() || after.is_none();
    changed_lines(&toml(before), &toml(after), is_whole)
}

/// The table of a module with nothing but the fields at these paths.
fn kept_fields(table: Table, paths: &BTreeSet<&str>) -> Table {
    let mut kept = Table::new();
    for (key, value) in table {
        let value = match (&*key, value) {
            ("env" | "labels" | "extra-hosts", Value::Table(mut map)) => {
                map.retain(|name, _| paths.contains(format!("{key}.{name}").as_str()));
                (!map.is_empty()).then_some(Value::Table(map))
            }
            ("create-options" | "desired", value) => kept_below(&key, value, paths),
            (_, value) => paths.contains(&*key).then_some(value),
        };
        kept.extend(value.map(|value| (key, value)));
    }
    kept
}

fn kept_below(path: &str, value: Value, paths: &BTreeSet<&str>) -> Option<Value> {
    match value {
        value if paths.contains(path) => Some(value),
        Value::Table(table) => {
            let kept: Table = table
                .into_iter()
                .filter_map(|(key, value)| {
                    let path = format!("{path}.{}", path_segment(&key));
                    Some((key, kept_below(&path, value, paths)?))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Table(kept))
        }
        _ => None,
    }
}

/// `+` and `-` lines of a comparison by lines, table by table, each below the head of its table. Heads are
/// signed only where a whole module comes or goes.
pub(super) fn changed_lines(before: &str, after: &str, is_whole: bool) -> String {
    let (old, new) = (sections(before), sections(after));
    let (mut old, mut new) = (old.as_slice(), new.as_slice());
    let mut out = String::new();
    // Both sides have their tables in the same order.
    while !old.is_empty() || !new.is_empty() {
        let has = |sections: &[Section<'_>], head: &str| sections.iter().any(|(h, _)| *h == head);
        match (old.split_first(), new.split_first()) {
            (Some(((head, lines), rest)), Some(((other, others), others_rest)))
                if head == other =>
            {
                write_section(&mut out, head, "", lines, others);
                (old, new) = (rest, others_rest);
            }
            (Some(((head, lines), rest)), _) if !has(new, head) => {
                write_section(&mut out, head, if is_whole { "- " } else { "" }, lines, &[]);
                old = rest;
            }
            (_, Some(((head, lines), rest))) => {
                write_section(&mut out, head, if is_whole { "+ " } else { "" }, &[], lines);
                new = rest;
            }
            (_, None) => break,
        }
    }
    out
}

/// The head of a table, empty before the first, and its lines.
type Section<'a> = (&'a str, Vec<&'a str>);

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        match sections.last_mut() {
            _ if line.starts_with('[') => sections.push((line, Vec::new())),
            Some((_, lines)) => lines.push(line),
            None => sections.push(("", vec![line])),
        }
    }
    sections
}

fn write_section(out: &mut String, head: &str, sign: &str, before: &[&str], after: &[&str]) {
    let mut lines = String::new();
    let diff = similar::TextDiff::from_slices(before, after);
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            similar::ChangeTag::Equal => continue,
            similar::ChangeTag::Insert => '+',
            similar::ChangeTag::Delete => '-',
        };
        lines.push_str(&format!("{sign} {}\n", change.value()));
    }
    if !head.is_empty() && (!lines.is_empty() || !sign.is_empty()) {
        out.push_str(&format!("{}{head}\n", if sign.is_empty() { "  " } else { sign }));
    }
    out.push_str(&lines);
}

/// The fields of a module by path: maps that merge by key have a path a key, desired properties and
/// create-options a path a leaf, everything else is whole.
pub fn fields_of(module: &Module) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for (key, value) in module_table(module) {
        match (&*key, value) {
            ("env" | "labels" | "extra-hosts", Value::Table(table)) => {
                fields.extend(table.into_iter().map(|(k, v)| (format!("{key}.{k}"), shown_env(v))));
            }
            ("create-options" | "desired", Value::Table(table)) => {
                flatten(&key, table, &mut fields);
            }
            (_, value) => {
                fields.insert(key.to_string(), value);
            }
        }
    }
    fields
}

fn shown_env(value: Value) -> Value {
    match &value {
        Value::Table(table) => match table.get("secret").and_then(Value::as_str) {
            Some(name) => format!("(secret {name})").into(),
            None => value,
        },
        _ => value,
    }
}

fn flatten(path: &str, table: Table, fields: &mut BTreeMap<String, Value>) {
    if table.is_empty() {
        fields.insert(path.to_owned(), Value::Table(table));
        return;
    }
    for (key, value) in table {
        let path = format!("{path}.{}", path_segment(&key));
        match value {
            Value::Table(table) => flatten(&path, table, fields),
            value => {
                fields.insert(path, value);
            }
        }
    }
}
