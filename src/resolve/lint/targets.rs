//! Lints of target conditions.

use super::{Hits, about, devices};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, did_you_mean};
use crate::fleet::Fleet;
use crate::language::{Condition, PropertyUse, Root};
use crate::model::{DeploymentId, Table, Value};
use crate::resolve::answers::Answers;
use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::ops::Deref;

/// Facts that change by themselves.
const VOLATILE: [&str; 5] =
    ["engine.version", "kernel", "lastContact", "lastDesiredStatus", "modules"];

pub(super) fn lint(fleet: &Fleet, hits: &Hits<'_>, answers: &Answers, found: &mut Diagnostics) {
    let tag_paths = LazyCell::new(|| all_tag_paths(fleet));
    for (id, deployment) in &fleet.deployments {
        let Some(target) = deployment.kind.target() else { continue };
        let Some(condition) = &target.condition else {
            let message = format!("\"{id}\" has no target: it hits no device");
            found.push(
                about(fleet, id, Code::NoTarget, message)
                    .help("write `target = \"*\"` for every device, or a condition"),
            );
            continue;
        };
        let all = fleet.devices.len();
        let lacking = |property: &PropertyUse| answers.lacking(property.root, &property.path);
        lint_properties(id, condition, &target.place, (all, &lacking), &tag_paths, found);
        if !hits.contains_key(id) && all > 0 {
            let message = format!("no device meets the target of \"{id}\"");
            found.push(
                Diagnostic::new(Code::MatchesNothing, message)
                    .at(target.place.clone())
                    .of_deployment(id)
                    .help(
                        "`hoist query` with the condition says which term removes the last device",
                    ),
            );
        }
    }
    lint_phases(fleet, answers, found);
}

fn lint_properties(
    id: &DeploymentId,
    condition: &Condition,
    place: &Place,
    (all, lacking): (usize, &dyn Fn(&PropertyUse) -> usize),
    tag_paths: &dyn Deref<Target = BTreeSet<String>>,
    found: &mut Diagnostics,
) {
    let mut seen = BTreeSet::new();
    for property in condition.properties() {
        let path = property.path.join(".");
        if !seen.insert((property.root, path.clone(), property.negated)) {
            continue;
        }
        let report = |code, message: String| {
            Diagnostic::new(code, message).at(place.clone()).of_deployment(id).of_path(&path)
        };
        let lacking = lacking(&property);
        if property.root == Root::Tags && lacking == all && all > 0 {
            let help = did_you_mean(&path, tag_paths.iter().map(String::as_str));
            let message = format!("no device has the tag `{path}`");
            found.push(report(Code::UnknownKeyInCondition, message).help_option(help));
        } else if property.negated && lacking > 0 && property.root != Root::DeviceId {
            let name = property.to_string();
            let verb = if lacking == 1 { "does" } else { "do" };
            let message = format!(
                "{} without `{name}` {verb} not meet a comparison by `!=`, NOT or NIN over it",
                devices(lacking)
            );
            found.push(
                report(Code::UndefinedComparison, message)
                    .devices(lacking)
                    .help(format!("add `OR NOT IS_DEFINED({name})` if they should")),
            );
        }
        let volatile = |v: &str| path == v || path.starts_with(&format!("{v}."));
        if property.root == Root::Reported && VOLATILE.iter().any(|v| volatile(v)) {
            let message =
                format!("`properties.reported.{path}` changes by itself, and the target with it");
            found.push(report(Code::VolatileFactInTarget, message));
        }
    }
}

fn all_tag_paths(fleet: &Fleet) -> BTreeSet<String> {
    fn collect(table: &Table, above: &str, paths: &mut BTreeSet<String>) {
        for (key, value) in table {
            let path = if above.is_empty() { key.to_string() } else { format!("{above}.{key}") };
            if let Value::Table(table) = value {
                collect(table, &path, paths);
            }
            paths.insert(path);
        }
    }
    let mut paths = BTreeSet::new();
    for device in fleet.devices.values() {
        collect(&device.tags, "", &mut paths);
    }
    paths
}

fn lint_phases(fleet: &Fleet, answers: &Answers, found: &mut Diagnostics) {
    for phase in fleet.rollout.iter().flat_map(|rollout| &rollout.phases) {
        let Some(target) = &phase.target else { continue };
        if answers.matches(target).is_empty() {
            let message = format!("no device can be in the rollout phase \"{}\"", phase.name);
            found.push(
                Diagnostic::new(Code::EmptyPhase, message)
                    .help(
                        "its `target` meets no device: correct it, or take the phase out; nobody would try a change \
                         before the others",
                    )
                    .at(phase.place.clone())
                    .of_path(&phase.name),
            );
        }
    }
}
