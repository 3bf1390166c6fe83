//! `hoist explain DEVICE [PATH]`: which deployments hit a device, which do not and why, who set each field.

use super::exit::{Exit, Failure};
use super::opened::{Opened, device, open};
use super::output::{colours_stdout, paint, print, print_json};
use super::seen::SeenDevice;
use super::{Format, Global};
use crate::diagnostic::render::visible;
use crate::diagnostic::{Place, closest};
use crate::fleet::{Fleet, print_inline};
use crate::language::{NearestMiss, PropertyValue, Wish};
use crate::model::{DeploymentId, Device, Facts, Manifest, Module, Timestamp, Value};
use crate::resolve::{
    DeploymentExplanation, FieldExplanation, LostBy, Miss, Setter, SetterKind, Standing,
    explain_deployments, explain_fields, masked, resolve, taken_away_by,
};
use crate::review::{Tone, fields_of};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Show which deployments hit a device, which do not, and who set each field
///
/// Where a control host's store is here, with what the device reports. What it has reported for less than ten minutes
/// decides nothing yet: what it will change then is said.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The device's id
    device: String,
    /// Only this field, such as `camera.env.LEVEL`, or all below `camera`
    path: Option<String>,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

/// What stands in place of a value that looks like a credential.
const MASKED: &str = "(masked)";

/// So many wishes are said; all are in the JSON.
const WISHES: usize = 5;

type Paint<'a> = &'a dyn Fn(Tone, &str) -> String;

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    let mut opened = open(global, global.revision.as_deref())?;
    let device = &device(&opened.fleet, &arguments.device)?.clone();
    let seen = SeenDevice::of(global, &opened.fleet, &device.id, arguments.simulate);
    let facts = seen.as_ref().map_or_else(Facts::none, SeenDevice::facts);
    if seen.is_some() {
        opened.resolution = resolve(&opened.fleet, &facts);
    }
    let deployments = explain_deployments(&opened.fleet, &opened.resolution, &facts, device);
    let soon = seen.as_ref().map(|seen| soon(&opened.fleet, seen, device, &deployments));
    let soon = soon.unwrap_or_default();
    let retained = opened.resolution.cohort_of(&device.id).is_none();
    let manifest = manifest(&opened, device)?;
    let mut fields =
        manifest.as_ref().map(|manifest| fields(&opened, manifest)).unwrap_or_default();
    if let Some(path) = &arguments.path {
        let Some(manifest) = &manifest else { return Err(without_base(device)) };
        let gone = taken_away_by(&opened.fleet, manifest, path);
        fields = at_path(fields, device, gone.as_ref(), path)?;
    }
    if format == Format::Json {
        print_json(&json!({
            "format": 1,
            "device": device.id.as_str(),
            "revision": opened.name,
            "retained": retained,
            "last_contact": seen.as_ref().and_then(SeenDevice::last_contact).map(|at| at.to_string()),
            "deployments": deployments.iter().map(|d| deployment_json(d, soon.get(&d.id))).collect::<Vec<_>>(),
            "fields": fields.iter().map(field_json).collect::<Vec<_>>(),
        }));
        return Ok(Exit::Done);
    }
    let coloured = colours_stdout(global);
    let paint: Paint<'_> = &|tone, text| paint(coloured, tone, text);
    let head = format!("{} @ {}", visible(device.id.as_str()), opened.name);
    let mut out = paint(Tone::Strong, &head);
    if let Some(at) = seen.as_ref().and_then(SeenDevice::last_contact) {
        out.push_str(&paint(Tone::Quiet, &format!(", with what it reported until {at}")));
    }
    out.push('\n');
    if arguments.path.is_none() {
        out.push_str(&deployments_text(&deployments, &soon, paint));
    }
    if retained {
        out.push_str("no base targets it: what it has stays in force (retained)\n");
    }
    out.push_str(&fields_text(&fields, paint));
    print(&out);
    Ok(Exit::Done)
}

/// What becomes of a deployment, and from when on.
type Soon = BTreeMap<DeploymentId, (Timestamp, DeploymentExplanation)>;

/// What becomes of deployments when what the device reports has held long enough, where that is something else than now.
fn soon(fleet: &Fleet, seen: &SeenDevice, device: &Device, now: &[DeploymentExplanation]) -> Soon {
    let mut soon = Soon::new();
    for (at, facts) in seen.soon() {
        let then = explain_deployments(fleet, &resolve(fleet, &facts), &facts, device);
        for later in then {
            let same = now.iter().find(|d| d.id == later.id);
            if same.is_none_or(|now| now.outcome.as_ref().ok() != later.outcome.as_ref().ok()) {
                soon.entry(later.id.clone()).or_insert((at, later));
            }
        }
    }
    soon
}

fn manifest(opened: &Opened, device: &Device) -> Result<Option<Manifest>, Failure> {
    opened.resolution.manifest(&opened.fleet, &device.id).transpose().map_err(|errors| {
        let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(words.join("; "))
    })
}

fn fields(opened: &Opened, manifest: &Manifest) -> Vec<FieldExplanation> {
    let shown = |module: &Module| {
        let shown = |(path, value): (String, Value)| {
            let value = masked(&path, &value);
            (path, value)
        };
        fields_of(module).into_iter().map(shown).collect()
    };
    explain_fields(&opened.fleet, manifest, shown)
}

fn without_base(device: &Device) -> Failure {
    let id = &device.id;
    Failure::new(format!("no base targets `{id}`, so no field of it is set here"))
        .help(format!("`hoist explain {id}` says which deployments do not, and why"))
}

/// The fields at a path, or the one that holds it; where there is none, who took it away, or what is near.
fn at_path(
    fields: Vec<FieldExplanation>,
    device: &Device,
    gone: Option<&Setter>,
    path: &str,
) -> Result<Vec<FieldExplanation>, Failure> {
    let wanted: Vec<bool> = fields.iter().map(|field| field.lies_at(path)).collect();
    let found = wanted.contains(&true);
    let (wanted, others): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .zip(wanted)
        .map(|(field, lies)| if found { (lies, field) } else { (field.holds(path), field) })
        .partition(|(wanted, _)| *wanted);
    if wanted.is_empty() {
        let others: Vec<FieldExplanation> = others.into_iter().map(|(_, field)| field).collect();
        let words = format!("the manifest of `{}` has no field `{path}`", device.id);
        return Err(Failure::new(words).help(match gone {
            Some(setter) => format!("it is taken away: {}", setter_words(setter)),
            None => what_is_near(&others, path),
        }));
    }
    Ok(wanted.into_iter().map(|(_, field)| field).collect())
}

/// What a manifest has near a path that it lacks.
fn what_is_near(fields: &[FieldExplanation], path: &str) -> String {
    let full: Vec<String> = fields.iter().map(FieldExplanation::full_path).collect();
    let first = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
    let tops: BTreeSet<String> = full.iter().map(|path| first(path)).collect();
    let top = first(path);
    let (known, rest) = if tops.contains(&top) {
        let inside = format!("{top}.");
        let below = |path: &String| path.strip_prefix(&inside).map(str::to_owned);
        (full.iter().filter_map(below).collect::<Vec<String>>(), path.get(inside.len()..))
    } else {
        (full.iter().cloned().chain(tops.iter().cloned()).collect(), Some(path))
    };
    // A field that only begins like it is no better than its neighbours.
    let rest = rest.unwrap_or_default();
    let close = closest(rest, known.iter().map(String::as_str))
        .filter(|close| !rest.starts_with(&format!("{close}.")));
    if let Some(close) = close {
        let whole = if tops.contains(&top) { format!("{top}.{close}") } else { close.to_owned() };
        return format!("did you mean `{whole}`?");
    }
    let listed = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    // A part of a table that is set whole.
    let inside = |field: &&FieldExplanation| path.starts_with(&format!("{}.", field.full_path()));
    if let Some(field) = fields.iter().find(inside) {
        let keys = field
            .value
            .as_table()
            .into_iter()
            .flat_map(|table| table.keys().map(ToString::to_string));
        let keys = listed(keys.collect());
        let whole = field.full_path();
        return match keys.as_str() {
            "" => format!("`{whole}` is no table"),
            keys => format!("`{whole}` has {keys}"),
        };
    }
    if tops.contains(&top) {
        let keys: BTreeSet<String> = known.iter().map(|path| first(path)).collect();
        format!("`{top}` has {}", listed(keys))
    } else {
        format!("it has {}", listed(tops))
    }
}

fn deployments_text(
    deployments: &[DeploymentExplanation],
    soon: &Soon,
    paint: Paint<'_>,
) -> String {
    let width = deployments.iter().map(|d| d.id.as_str().len()).max().unwrap_or(0);
    let mut out = String::new();
    for DeploymentExplanation { id, kind, priority, outcome } in deployments {
        let tone = match outcome {
            Ok(standing) if standing.is_applied() => Tone::Added,
            Ok(_) => Tone::Warning,
            Err(_) => Tone::Quiet,
        };
        // Of a device's own deployment there is none.
        let priority = if *kind == "device" { String::new() } else { priority.to_string() };
        let words = paint(tone, &visible(&outcome_words(outcome)));
        out.push_str(&format!("  {id:width$}  {kind:9}  {priority:>4}  {words}\n"));
        let indent = " ".repeat(width + 21);
        if let Some((at, later)) = soon.get(id) {
            let words = format!(
                "from {at} on: {}, if it goes on reporting the same",
                outcome_words(&later.outcome)
            );
            out.push_str(&format!("{indent}{}\n", paint(Tone::Warning, &visible(&words))));
        } else if let Err(Miss::Condition { decided, nearest }) = outcome {
            let words = match nearest {
                Some(miss) => nearest_words(miss),
                None => format!("wanted: {}", decided.text),
            };
            out.push_str(&format!("{indent}{}\n", paint(Tone::Quiet, &visible(&words))));
        }
    }
    out
}

fn fields_text(fields: &[FieldExplanation], paint: Paint<'_>) -> String {
    let mut out = String::new();
    let mut section = None;
    for field in fields {
        let FieldExplanation { module, path, value, setters } = field;
        if section != Some(module) {
            section = Some(module);
            let head = match module {
                Some(module) => format!("[modules.{module}]"),
                None => "[routes]".to_owned(),
            };
            out.push_str(&format!("\n{}\n", paint(Tone::Strong, &head)));
        }
        let key = match module {
            Some(_) => path.as_str(),
            None => path.strip_prefix("routes.").unwrap_or(path),
        };
        let value = if *value == MASKED.into() { MASKED.to_owned() } else { print_inline(value) };
        let (winner, overridden) = match setters.split_last() {
            Some((winner, overridden)) => (setter_words(winner), overridden),
            None => (String::new(), &[][..]),
        };
        let line = format!("  {} = {}", visible(key), visible(&value));
        out.push_str(&format!("{line}   {}\n", paint(Tone::Quiet, &winner)));
        for former in overridden.iter().rev() {
            let words = format!("      overrides {}", setter_words(former));
            out.push_str(&format!("{}\n", paint(Tone::Quiet, &words)));
        }
    }
    out
}

fn outcome_words(outcome: &Result<Standing, Miss>) -> String {
    match outcome {
        Ok(Standing::Base) => "base".to_owned(),
        Ok(Standing::Layer { number, of }) => format!("layer {number} of {of}"),
        Ok(Standing::Lost { to, by }) => match by {
            LostBy::Priority { winner, loser } => {
                format!("lost to \"{to}\": priority {winner} > {loser}")
            }
            LostBy::Created => format!("lost to \"{to}\": equal priority, that one is newer"),
            LostBy::Nothing => format!("lost to \"{to}\": nothing decides between them"),
            LostBy::Device => format!("lost to \"{to}\", which is for this device alone"),
        },
        Ok(Standing::NotAboveBase { base, base_priority }) => {
            format!("not above base \"{base}\" ({base_priority}): not applied")
        }
        Ok(Standing::WithoutBase) => "not applied: no base targets the device".to_owned(),
        Err(Miss::NoTarget) => "no target: it hits no device".to_owned(),
        Err(Miss::OtherDevice(id)) => format!("for device \"{id}\" alone"),
        Err(Miss::Condition { decided, nearest: _ }) => {
            let values: Vec<String> = decided.values.iter().map(value_words).collect();
            // Only `false` names no property.
            let words = if values.is_empty() { decided.text.clone() } else { values.join(", ") };
            format!("condition not met: {words}")
        }
    }
}

fn value_words(found: &PropertyValue) -> String {
    let PropertyValue { property, value, close } = found;
    match (value, close) {
        (Some(value), _) => format!("{property} is {value}"),
        (None, Some(close)) => format!("{property} is not set (did you mean {close}?)"),
        (None, None) => format!("{property} is not set"),
    }
}

/// `one tag away: tags.ring = 'canary' (is "stable")`; `at most 2 tags away` where one might do.
fn nearest_words(NearestMiss { wishes, fewest }: &NearestMiss) -> String {
    let only_tags = wishes.iter().all(Wish::is_of_tags);
    let away = match (wishes.len(), only_tags) {
        (1, true) => "one tag".to_owned(),
        (1, false) => "one property".to_owned(),
        (n, true) => format!("{n} tags"),
        (n, false) => format!("{n} properties"),
    };
    let wish = |Wish { wanted, now, .. }: &Wish| match &now.value {
        Some(value) => format!("{wanted} (is {value})"),
        None => format!("{wanted} (not set)"),
    };
    let mut words: Vec<String> = wishes.iter().take(WISHES).map(wish).collect();
    if wishes.len() > WISHES {
        words.push(format!("and {} more", wishes.len() - WISHES));
    }
    let at_most = if *fewest { "" } else { "at most " };
    format!("{at_most}{away} away: {}", words.join(", "))
}

fn setter_words(setter: &Setter) -> String {
    let place = setter.place.as_ref().map(|place| format!("{place} ")).unwrap_or_default();
    visible(&match &setter.kind {
        SetterKind::Deployment(id) => format!("{place}(\"{id}\")"),
        SetterKind::Defaults => format!("{place}([defaults])"),
        SetterKind::BuiltIn => "built in".to_owned(),
    })
}

fn deployment_json(
    explanation: &DeploymentExplanation,
    soon: Option<&(Timestamp, DeploymentExplanation)>,
) -> Json {
    let soon = soon.map(|(at, DeploymentExplanation { outcome, .. })| {
        json!({
            "from": at.to_string(),
            "targeted": outcome.is_ok(),
            "applied": outcome.as_ref().is_ok_and(Standing::is_applied),
            "outcome": outcome_words(outcome),
        })
    });
    let DeploymentExplanation { id, kind, priority, outcome } = explanation;
    let standing = match outcome {
        Ok(Standing::Base) => "base",
        Ok(Standing::Layer { .. }) => "layer",
        Ok(Standing::Lost { .. }) => "lost",
        Ok(Standing::NotAboveBase { .. }) => "not-above-base",
        Ok(Standing::WithoutBase) => "without-base",
        Err(Miss::NoTarget) => "no-target",
        Err(Miss::OtherDevice(_)) => "other-device",
        Err(Miss::Condition { .. }) => "condition-not-met",
    };
    let miss = match outcome {
        Err(Miss::Condition { decided, nearest }) => json!({
            "decided": decided.text,
            "values": decided.values.iter().map(property_json).collect::<Vec<_>>(),
            "nearest": nearest
                .as_ref()
                .map(|miss| miss.wishes.iter().map(wish_json).collect::<Vec<_>>()),
            "fewest": nearest.as_ref().map(|miss| miss.fewest),
        }),
        Ok(_) | Err(Miss::NoTarget | Miss::OtherDevice(_)) => Json::Null,
    };
    json!({
        "id": id.as_str(),
        "kind": kind,
        "priority": priority,
        "targeted": outcome.is_ok(),
        "applied": outcome.as_ref().is_ok_and(Standing::is_applied),
        "standing": standing,
        "outcome": outcome_words(outcome),
        "miss": miss,
        "soon": soon,
    })
}

fn property_json(found: &PropertyValue) -> Json {
    let PropertyValue { property, value, close } = found;
    json!({"property": property, "value": value, "did_you_mean": close})
}

fn wish_json(wish: &Wish) -> Json {
    let Wish { wanted, now, example, .. } = wish;
    json!({
        "wanted": wanted,
        "property": now.property,
        "value": now.value,
        "example": example.as_ref().map(Value::to_json),
    })
}

fn field_json(field: &FieldExplanation) -> Json {
    let FieldExplanation { module, path, value, setters } = field;
    json!({
        "module": module.as_ref().map(ToString::to_string),
        "path": path,
        "value": value.to_json(),
        "set_by": setters.iter().rev().map(setter_json).collect::<Vec<_>>(),
    })
}

/// As in the JSON of a diff.
fn setter_json(setter: &Setter) -> Json {
    let file = setter.place.as_ref().map(Place::file);
    let line = setter.place.as_ref().map(|place| place.line_and_column().0);
    match &setter.kind {
        SetterKind::Deployment(id) => {
            json!({"deployment": id.as_str(), "file": file, "line": line})
        }
        SetterKind::Defaults => json!({"defaults": true, "file": file, "line": line}),
        SetterKind::BuiltIn => json!({"built_in": true}),
    }
}
