//! A diff as JSON, version 1. Keys are in snake_case; fields are only ever added.

use super::{
    Action, Cause, FieldChange, FleetDiff, Group, GuardVerdict, Membership, ModuleChange, Notice,
};
use crate::diagnostic::Diagnostic;
use crate::model::{Cohort, Value};
use crate::resolve::{Setter, SetterKind};
use serde_json::{Value as Json, json};

/// The whole diff.
pub fn json(diff: &FleetDiff) -> Json {
    let FleetDiff {
        fleet,
        narrowed,
        base,
        head,
        summary,
        guards,
        groups,
        notices,
        warnings,
        facts_missing,
        ranks: _,
    } = diff;
    let count = |action| summary.modules.get(&action).copied().unwrap_or(0);
    json!({
        "format": 1,
        "fleet": fleet,
        "narrowed": narrowed,
        "base": {"revision": base.0, "digest": base.1.as_str()},
        "head": {"revision": head.0, "digest": head.1.as_str()},
        "summary": {
            "devices": summary.devices,
            "changed": summary.changed,
            "groups": summary.groups,
            "joined": summary.joined,
            "left": summary.left,
            "retained": summary.retained,
            "renamed": summary.renamed,
            "held": summary.held,
            "routes": summary.routes,
            "engines": summary.engines,
            "facts_missing": summary.facts_missing,
            "modules": {
                "created": count(Action::Create),
                "recreated": count(Action::Recreate),
                "updated": count(Action::Update),
                "started": count(Action::Start),
                "stopped": count(Action::Stop),
                "removed": count(Action::Remove),
            },
        },
        "guards": guards.iter().map(guard_json).collect::<Vec<_>>(),
        "groups": groups.iter().map(group_json).collect::<Vec<_>>(),
        "facts_missing": facts_missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "notices": notices.iter().map(notice_json).collect::<Vec<_>>(),
        "warnings": warnings.iter().map(|(warning, new)| {
            let mut json = warning_json(warning);
            json["new"] = Json::from(*new);
            json
        }).collect::<Vec<_>>(),
    })
}

/// A diagnostic, as `validate` and `diff` show it.
pub fn warning_json(diagnostic: &Diagnostic) -> Json {
    let position = diagnostic.position();
    json!({
        "code": diagnostic.code.as_str(),
        "level": diagnostic.level.as_str(),
        "file": position.map(|(file, _, _)| file),
        "line": position.map(|(_, line, _)| line),
        "column": position.map(|(_, _, column)| column),
        "message": diagnostic.message,
        "help": diagnostic.help,
        "devices": diagnostic.devices,
    })
}

fn guard_json(guard: &GuardVerdict) -> Json {
    let GuardVerdict { name, limit, actual, exceeded, lifted_from, is_least: _ } = guard;
    let mut json = json!({"name": name, "limit": limit, "actual": actual, "exceeded": exceeded});
    if let Some(own) = lifted_from {
        json["lifted_from"] = Json::from(*own);
    }
    json
}

fn group_json(group: &Group) -> Json {
    let Group { devices, membership, cohorts, causes, changes, diff, phases } = group;
    json!({
        "devices": devices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "membership": match membership {
            Membership::Stays => "stays",
            Membership::Joined => "joined",
            Membership::Left => "left",
            Membership::Renamed => "renamed",
            Membership::Held => "held",
            Membership::Retained => "retained",
            Membership::WasRetained => "was-retained",
        },
        "before": if *membership == Membership::WasRetained { Json::from("unknown") } else { Json::Null },
        "cohorts": cohorts.iter().map(|((before, after), devices)| json!({
            "before": cohort_json(before.as_ref()),
            "after": cohort_json(after.as_ref()),
            "devices": devices,
        })).collect::<Vec<_>>(),
        "causes": causes.iter().map(|(cause, devices)| cause_json(cause, *devices)).collect::<Vec<_>>(),
        "changes": changes.iter().map(change_json).collect::<Vec<_>>(),
        "diff": diff,
        "phases": phases.iter().map(|(name, devices)| json!({"name": name, "devices": devices})).collect::<Vec<_>>(),
    })
}

fn cohort_json(cohort: Option<&Cohort>) -> Json {
    match cohort {
        None => Json::Null,
        Some(Cohort { base, layers }) => json!({
            "base": base.as_str(),
            "layers": layers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    }
}

fn cause_json(cause: &Cause, devices: usize) -> Json {
    let mut json = json!({"kind": cause.kind(), "devices": devices});
    if let Some(deployment) = cause.deployment() {
        json["deployment"] = Json::from(deployment.as_str());
    }
    if let Some(path) = cause.path() {
        json["path"] = Json::from(path);
    }
    if let Cause::Outranked { by, .. } = cause {
        json["by"] = Json::from(by.as_str());
    }
    json
}

fn change_json(change: &ModuleChange) -> Json {
    let ModuleChange { module, action, reasons, fields, gains_power, diff: _ } = change;
    json!({
        "module": module,
        "action": action.as_str(),
        "reasons": reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "gains_power": gains_power,
        "fields": fields.iter().map(field_json).collect::<Vec<_>>(),
    })
}

fn field_json(field: &FieldChange) -> Json {
    let FieldChange { path, before, after, set_by } = field;
    json!({
        "path": path,
        "before": before.as_ref().map(Value::to_json),
        "after": after.as_ref().map(Value::to_json),
        "set_by": set_by.first().map(setter_json),
        "also_set_by": set_by.iter().skip(1).map(setter_json).collect::<Vec<_>>(),
    })
}

fn setter_json(setter: &Setter) -> Json {
    let (file, line) = match &setter.place {
        Some(place) => (Some(place.file()), Some(place.line_and_column().0)),
        None => (None, None),
    };
    match &setter.kind {
        SetterKind::Deployment(id) => {
            json!({"deployment": id.as_str(), "file": file, "line": line})
        }
        SetterKind::Defaults => json!({"defaults": true, "file": file, "line": line}),
        SetterKind::BuiltIn => json!({"built_in": true}),
    }
}

fn notice_json(notice: &Notice) -> Json {
    let Notice { kind, subject, before, after } = notice;
    let of = match kind {
        super::NoticeKind::EngineChanged | super::NoticeKind::DeviceRenamed => "device",
        super::NoticeKind::FleetRenamed | super::NoticeKind::FleetForgotten => "fleet",
        super::NoticeKind::GuardLoosened => "guard",
        super::NoticeKind::LintLoosened => "lint",
    };
    json!({"kind": kind.as_str(), of: subject, "before": before, "after": after})
}
