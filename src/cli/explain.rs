//! `hoist explain DEVICE [PATH]`: which deployments hit a device, which do not and why, who set each field.

use super::exit::{Exit, Failure};
use super::opened::{Opened, device, format, open};
use super::output::{colours_stdout, paint, print, print_json};
use super::{Format, Global};
use crate::diagnostic::render::visible;
use crate::model::{Device, Facts};
use crate::resolve::{
    DeploymentExplanation, FieldExplanation, LostBy, Miss, Setter, SetterKind, Standing,
    explain_deployments, explain_fields,
};
use crate::review::{Tone, fields_of, shown};
use serde_json::{Value as Json, json};

/// Show which deployments hit a device, which do not, and who set each field.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The device's id
    device: String,
    /// Only this field, such as `camera.env.LEVEL`, or all below `camera`
    path: Option<String>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = format(global, &[Format::Text, Format::Json])?;
    let opened = open(global, global.revision.as_deref())?;
    let device = device(&opened.fleet, &arguments.device)?;
    let facts = Facts::none();
    let deployments = explain_deployments(&opened.fleet, &opened.resolution, &facts, device);
    let fields = fields(&opened, device, arguments.path.as_deref())?;
    if let (Some(path), true) = (&arguments.path, fields.is_empty()) {
        return Err(Failure::new(format!("the manifest of `{}` has no field `{path}`", device.id))
            .help(format!("`hoist explain {}` lists all", device.id)));
    }
    if format == Format::Json {
        print_json(&json!({
            "format": 1,
            "device": device.id.as_str(),
            "revision": opened.name,
            "deployments": deployments.iter().map(deployment_json).collect::<Vec<_>>(),
            "fields": fields.iter().map(field_json).collect::<Vec<_>>(),
        }));
        return Ok(Exit::Done);
    }
    let coloured = colours_stdout(global);
    let paint = |tone, text: &str| paint(coloured, tone, text);
    let mut out =
        paint(Tone::Strong, &format!("{} @ {}", visible(device.id.as_str()), opened.name));
    out.push('\n');
    if arguments.path.is_none() {
        let width = deployments.iter().map(|d| d.id.as_str().len()).max().unwrap_or(0);
        for deployment in &deployments {
            let tone = match &deployment.outcome {
                Ok(standing) if standing.is_applied() => Tone::Added,
                Ok(_) => Tone::Warning,
                Err(_) => Tone::Quiet,
            };
            let DeploymentExplanation { id, kind, priority, outcome } = deployment;
            let words = visible(&outcome_words(outcome));
            out.push_str(&format!(
                "  {id:width$}  {kind:9}  {priority:>4}  {}\n",
                paint(tone, &words)
            ));
        }
    }
    if opened.resolution.cohort_of(&device.id).is_none() {
        out.push_str("no base targets it: what it has stays in force (retained)\n");
    }
    let mut module = None;
    for field in &fields {
        if module != Some(&field.module) {
            out.push_str(&format!(
                "\n{}\n",
                paint(Tone::Strong, &format!("[modules.{}]", field.module))
            ));
            module = Some(&field.module);
        }
        let line = format!("  {} = {}", visible(&field.path), visible(&field.value));
        let (winner, overridden) = match field.setters.split_last() {
            Some((winner, overridden)) => (setter_words(winner), overridden),
            None => (String::new(), &[][..]),
        };
        out.push_str(&format!("{line}   {}\n", paint(Tone::Quiet, &winner)));
        for former in overridden.iter().rev() {
            let words = format!("      overrides {}", setter_words(former));
            out.push_str(&format!("{}\n", paint(Tone::Quiet, &words)));
        }
    }
    print(&out);
    Ok(Exit::Done)
}

fn fields(
    opened: &Opened,
    device: &Device,
    path: Option<&str>,
) -> Result<Vec<FieldExplanation>, Failure> {
    match opened.resolution.manifest(&opened.fleet, &device.id) {
        None => Ok(Vec::new()),
        Some(Err(errors)) => {
            let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(Failure::new(words.join("; ")))
        }
        Some(Ok(manifest)) => {
            let shown_fields = |module: &crate::model::Module| {
                fields_of(module)
                    .into_iter()
                    .map(|(path, value)| {
                        let hidden = crate::resolve::is_credential(&path, &value);
                        let text = if hidden { "(masked)".to_owned() } else { shown(&value) };
                        (path, text)
                    })
                    .collect()
            };
            Ok(explain_fields(&opened.fleet, &manifest, shown_fields, path))
        }
    }
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
        Err(Miss::Condition(leaf)) => format!("condition not met: {leaf}"),
    }
}

fn setter_words(setter: &Setter) -> String {
    let place = setter.place.as_ref().map(|place| format!("{place} ")).unwrap_or_default();
    visible(&match &setter.kind {
        SetterKind::Deployment(id) => format!("{place}(\"{id}\")"),
        SetterKind::Defaults => format!("{place}([defaults])"),
        SetterKind::BuiltIn => "built in".to_owned(),
    })
}

fn deployment_json(explanation: &DeploymentExplanation) -> Json {
    let DeploymentExplanation { id, kind, priority, outcome } = explanation;
    json!({
        "id": id.as_str(),
        "kind": kind,
        "priority": priority,
        "targeted": outcome.is_ok(),
        "applied": outcome.as_ref().is_ok_and(Standing::is_applied),
        "outcome": outcome_words(outcome),
    })
}

fn field_json(field: &FieldExplanation) -> Json {
    let FieldExplanation { module, path, value, setters } = field;
    json!({
        "module": module.as_str(),
        "path": path,
        // What is masked is no JSON, and stays the text that it is.
        "value": serde_json::from_str(value).unwrap_or_else(|_| Json::from(value.as_str())),
        "set_by": setters.iter().rev().map(setter_json).collect::<Vec<_>>(),
    })
}

/// As in the JSON of a diff.
fn setter_json(setter: &Setter) -> Json {
    let file = setter.place.as_ref().map(crate::diagnostic::Place::file);
    let line = setter.place.as_ref().map(|place| place.line_and_column().0);
    match &setter.kind {
        SetterKind::Deployment(id) => {
            json!({"deployment": id.as_str(), "file": file, "line": line})
        }
        SetterKind::Defaults => json!({"defaults": true, "file": file, "line": line}),
        SetterKind::BuiltIn => json!({"built_in": true}),
    }
}
