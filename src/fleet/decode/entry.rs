//! What one deployment says about one module: settings, twin, and how it meets the layers below.

use super::homes::MODULE_KEYS;
use super::item::Item;
use super::module::{Fields, Places};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::model::{
    EntryKind, LogSettings, Module, ModuleEntry, ModuleSettings, Table, UnsetPath, Value,
};
use std::collections::BTreeMap;

/// Largest desired properties of one module as JSON, in bytes.
const LARGEST_DESIRED: usize = 32 << 10;

/// Whether `desired-at`, `patch` and `unset` may stand here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LayerKeys {
    /// In a layered deployment.
    Taken,
    /// In any other.
    Refused,
    /// In one whose kind nobody knows: read, and nothing said about them.
    Ignored,
}

/// `[defaults]` of the fleet.
pub(super) fn defaults(item: &Item<'_>) -> Option<(ModuleSettings, Places)> {
    let mut reader = item.table("`[defaults]`")?;
    let mut fields = Fields { reader: &mut reader, places: Places::new(), only_defaults: true };
    let settings = fields.settings();
    for key in ["desired", "desired-at", "patch", "unset"] {
        let _: Option<()> = fields.take(key, |_| None);
    }
    let places = fields.places;
    reader.finish();
    Some((settings, places))
}

/// A module of a manifest: every field of it, absent ones as built in.
pub(in crate::fleet) fn finished_module(item: &Item<'_>) -> Option<Module> {
    let mut reader = item.table(format!("`[modules.{}]`", item.name))?;
    let mut fields = Fields { reader: &mut reader, places: Places::new(), only_defaults: false };
    let mut settings = fields.settings();
    let desired = fields.take("desired", Item::any_template_table).unwrap_or_default();
    reader.need("image", "a module of a manifest has an image");
    reader.finish();
    let says_how_to_log = settings.create_options.as_ref().is_some_and(|options| {
        Value::lookup_option(options, &["HostConfig", "LogConfig"]).is_some()
    });
    if settings.log.is_none() && !says_how_to_log {
        settings.log = Some(LogSettings::built_in());
    }
    Some(Module::from_settings(settings, desired))
}

/// One entry of `[modules]`.
pub(super) fn module_entry(item: &Item<'_>, layer: LayerKeys) -> Option<ModuleEntry> {
    let mut reader = item.table(format!("`[modules.{}]`", item.name))?;
    let has_image = reader.has("image") || reader.has_misspelt("image");
    let mut fields = Fields { reader: &mut reader, places: Places::new(), only_defaults: false };
    let desired = fields.take("desired", Item::any_template_table);
    let desired_at = fields.take("desired-at", desired_at);
    let unset = fields.take("unset", unset);
    let patch = fields.take("patch", Item::boolean);
    let says_more = MODULE_KEYS.iter().any(|key| *key != "desired" && fields.reader.has(key));
    let settings = fields.settings();
    let mut places = fields.places;
    if layer == LayerKeys::Refused {
        for key in ["desired-at", "patch", "unset"] {
            reader.refuse(
                key,
                &format!("`{key}` only has a meaning in a layered deployment"),
                "write `kind = \"layered\"`, or the module whole",
            );
        }
    }
    check_sizes(item, desired.as_ref(), desired_at.as_ref(), &places);
    let unset = unset.unwrap_or_default();
    let touches_twin = places.contains_key("desired")
        || places.contains_key("desired-at")
        || unset.iter().any(|(path, _)| path.0.first().is_some_and(|first| first == "desired"));
    let kind = if patch == Some(true) {
        EntryKind::Patch
    } else if touches_twin && !says_more && layer != LayerKeys::Refused {
        EntryKind::TwinOnly
    } else {
        EntryKind::Whole
    };
    if layer != LayerKeys::Refused {
        check_unset(kind, &unset);
    }
    // An `unset` that has no meaning here has been reported: one mistake, one error.
    if kind == EntryKind::Whole && !has_image && (unset.is_empty() || layer != LayerKeys::Taken) {
        let patched = reader.has("patch") || reader.has("unset") || reader.has("desired-at");
        if layer == LayerKeys::Taken || !patched {
            missing_image(item, layer);
        }
    }
    reader.finish();
    let mut paths = Vec::new();
    for (path, at) in unset {
        places.insert(format!("unset.{}", path.0.join(".")), at.place());
        paths.push(path);
    }
    Some(ModuleEntry {
        kind,
        settings,
        desired,
        desired_at: desired_at.unwrap_or_default(),
        unset: paths,
        place: item.header_place(),
        places,
    })
}

fn missing_image(item: &Item<'_>, layer: LayerKeys) {
    let help = if layer == LayerKeys::Taken {
        "write `image = \"NAME:TAG\"` to replace the module whole, or `patch = true` to change only \
         the keys given here"
    } else {
        "write `image = \"NAME:TAG\"`"
    };
    let message = format!("module `{}` lacks `image`", item.name);
    let place = item.header_place();
    item.file.report(Diagnostic::new(Code::MissingKey, message).at(place).help(help));
}

/// What is taken away needs something below that stays.
fn check_unset(kind: EntryKind, unset: &[(UnsetPath, Item<'_>)]) {
    for (path, item) in unset {
        let of_twin = path.0.first().is_some_and(|first| first == "desired");
        if kind == EntryKind::Whole || kind == EntryKind::TwinOnly && !of_twin {
            let message = format!("`unset` of `{}` without `patch = true`", path.0.join("."));
            let help = "this entry replaces the module whole, so there is nothing to take away: write \
                        `patch = true` to keep the module of the layers below";
            item.report(Code::MisplacedKey, message, Some(help.to_owned()));
        }
    }
}

fn desired_at(item: &Item<'_>) -> Option<BTreeMap<String, Value>> {
    let table = item.table("`desired-at`")?;
    let mut values = BTreeMap::new();
    for item in table.entries() {
        let path = item.name;
        if path.split('.').any(str::is_empty) {
            let message = format!("`{path}` is no path: a key of it is empty");
            item.report_key(Code::BadName, message, Some("write `\"outer.inner\"`".to_owned()));
            continue;
        }
        let above = path.match_indices('.').map(|(i, _)| &path[..i]);
        if let Some(above) = above.into_iter().find(|above| table.has(above)) {
            let message = format!("`{path}` lies within `{above}`, which is also set here");
            let help = "set one of them: what counts would depend on their order".to_owned();
            item.report_key(Code::OverlappingPaths, message, Some(help));
        }
        if let Some(value) = item.any_template() {
            values.insert(path.to_owned(), value);
        }
    }
    Some(values)
}

fn unset<'a>(item: &Item<'a>) -> Option<Vec<(UnsetPath, Item<'a>)>> {
    let items = item.list(" of strings")?;
    Some(items.filter_map(|item| Some((unset_path(&item)?, item))).collect())
}

/// `memory`, `env.NAME`, `create-options.HostConfig."a.b"`. Names in `env`, `labels` and `extra-hosts` may
/// hold dots; elsewhere such a key stands in quotes.
fn unset_path(item: &Item<'_>) -> Option<UnsetPath> {
    let text = item.string()?;
    let (first, rest) = match text.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (text, None),
    };
    if !MODULE_KEYS.contains(&first) {
        let help = did_you_mean(first, MODULE_KEYS);
        item.report(Code::BadValue, format!("a module has no key `{first}` to take away"), help);
        return None;
    }
    if first == "image" {
        item.bad("`image` can't be taken away: a module needs one");
        return None;
    }
    let mut segments = vec![first.to_owned()];
    match (first, rest) {
        (_, None) => {}
        ("env" | "labels" | "extra-hosts", Some(name)) if !name.is_empty() => {
            segments.push(name.trim_matches('"').to_owned());
        }
        ("create-options" | "desired", Some(rest)) => match split_path(rest) {
            Some(below) => segments.extend(below),
            None => {
                item.bad(format!("`{text}` is no path; write `desired.outer.inner`"));
                return None;
            }
        },
        ("env" | "labels" | "extra-hosts", Some(_)) => {
            let message = format!("`{text}` names nothing");
            let help = format!("write `\"{first}.NAME\"`, or `\"{first}\"` for all of it");
            item.report(Code::BadValue, message, Some(help));
            return None;
        }
        (_, Some(_)) => {
            let message = format!("`{text}`: only all of `{first}` can be taken away");
            item.report(Code::BadValue, message, Some(format!("write `\"{first}\"`")));
            return None;
        }
    }
    Some(UnsetPath(segments))
}

fn split_path(text: &str) -> Option<Vec<String>> {
    let mut segments = Vec::new();
    let mut rest = text;
    loop {
        let segment = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (segment, after) = quoted.split_once('"')?;
                rest = after;
                segment
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let segment = &rest[..end];
                rest = &rest[end..];
                segment
            }
        };
        if segment.is_empty() {
            return None;
        }
        segments.push(segment.to_owned());
        if rest.is_empty() {
            return Some(segments);
        }
        rest = rest.strip_prefix('.')?;
    }
}

fn check_sizes(
    item: &Item<'_>,
    desired: Option<&Table>,
    at: Option<&BTreeMap<String, Value>>,
    places: &Places,
) {
    let desired = desired.map_or(0, |desired| json_size(desired.iter()));
    let at = at.map_or(0, |at| json_size(at.iter()));
    let size = desired + at;
    if size > LARGEST_DESIRED {
        let message = format!(
            "the desired properties of module `{}` have {size} bytes as JSON; at most \
             {LARGEST_DESIRED} are allowed",
            item.name
        );
        // Of the two the one that is larger.
        let key = if desired >= at { "desired" } else { "desired-at" };
        let place = places.get(key).cloned().unwrap_or_else(|| item.header_place());
        item.file.report(Diagnostic::new(Code::TooLarge, message).at(place));
    }
}

/// Bytes of an object as JSON: braces, and for each entry key, colon, value and comma.
fn json_size<'v, K: AsRef<str>>(entries: impl Iterator<Item = (K, &'v Value)>) -> usize {
    let bytes = |value: &Value| value.to_json().to_string().len();
    let sizes = entries.map(|(key, value)| bytes(&key.as_ref().into()) + bytes(value) + 2);
    match sizes.sum() {
        0 => 0,
        size => 1 + size,
    }
}
