//! Lints of bases and layers: who wins, who loses everywhere, and what nothing decides.

use super::looks::{Looks, Tie};
use super::{Hits, about, devices};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::fleet::{Fleet, side_by_side};
use crate::language::{Condition, Query};
use crate::model::{Deployment, DeploymentId, DeploymentKind};
use crate::resolve::provenance::trace_cohort;
use crate::resolve::{
    LostBy, MergeNote, Resolution, ResolvedCohort, SetterKind, Standing, Targeting,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) fn lint(
    fleet: &Fleet,
    resolution: &Resolution,
    hits: &Hits<'_>,
    looks: &mut Looks,
    found: &mut Diagnostics,
) {
    for (id, all) in &not_applied(resolution) {
        lint_layer(fleet, id, all, found);
        lint_base(fleet, id, (all, hits), found);
    }
    lint_layer_ties(fleet, resolution, looks, found);
    lint_shadowed(fleet, resolution, hits, looks, found);
    lint_mixed_kinds(fleet, resolution, found);
}

/// By deployment, how it stands where it does not apply, and on how many devices.
type NotApplied<'a> = BTreeMap<&'a DeploymentId, Vec<(&'a Standing, usize)>>;

fn not_applied(resolution: &Resolution) -> NotApplied<'_> {
    let mut standings = NotApplied::new();
    for signature in resolution.devices.signatures() {
        let not_applied = signature.targeted.iter().filter(|t| !t.standing.is_applied());
        for Targeting { deployment, standing } in not_applied {
            standings.entry(deployment).or_default().push((standing, signature.devices));
        }
    }
    standings
}

fn lint_layer(
    fleet: &Fleet,
    id: &DeploymentId,
    all: &[(&Standing, usize)],
    found: &mut Diagnostics,
) {
    let without = all.iter().filter(|(standing, _)| **standing == Standing::WithoutBase);
    let without = without.map(|(_, devices)| devices).sum();
    if without > 0 {
        let message =
            format!("layer \"{id}\" does nothing on {} that no base targets", devices(without));
        found.push(about(fleet, id, Code::LayerWithoutBase, message).devices(without));
    }
    let mut below: BTreeMap<(&DeploymentId, i32), usize> = BTreeMap::new();
    for (standing, devices) in all {
        if let Standing::NotAboveBase { base, base_priority } = standing {
            *below.entry((base, *base_priority)).or_default() += devices;
        }
    }
    let Some(deployment) = fleet.deployments.get(id) else { return };
    for ((base, base_priority), count) in below {
        let message = format!(
            "\"{id}\" ({}) is not above \"{base}\" ({base_priority}): not applied on {}",
            deployment.priority,
            devices(count)
        );
        let place = deployment.priority_place.as_ref().unwrap_or(&deployment.place);
        found.push(
            Diagnostic::new(Code::LayerNotAboveBase, message)
                .at(place.clone())
                .of_deployment(id)
                .of_path(base)
                .devices(count)
                .help(format!("a layer needs a priority above {base_priority} there")),
        );
    }
}

fn lint_base(
    fleet: &Fleet,
    id: &DeploymentId,
    (all, hits): (&[(&Standing, usize)], &Hits<'_>),
    found: &mut Diagnostics,
) {
    let lost: Vec<(&DeploymentId, LostBy, usize)> = all
        .iter()
        .filter_map(|(standing, devices)| match standing {
            Standing::Lost { to, by } => Some((to, *by, *devices)),
            _ => None,
        })
        .collect();
    if !lost.is_empty() && hits.get(id) == Some(&0) {
        let count = lost.iter().map(|(_, _, devices)| devices).sum();
        let winners: BTreeSet<String> = lost.iter().map(|(to, _, _)| format!("\"{to}\"")).collect();
        let winners: Vec<String> = winners.into_iter().take(3).collect();
        let message = format!(
            "\"{id}\" loses on {}{} that it targets, to {}",
            if count == 1 { "the " } else { "all " },
            devices(count),
            winners.join(", ")
        );
        found.push(about(fleet, id, Code::NeverWins, message).devices(count));
    }
    for (by, code) in [(LostBy::Created, Code::PriorityTie), (LostBy::Nothing, Code::UndecidedTie)]
    {
        let mut rivals: BTreeMap<&DeploymentId, usize> = BTreeMap::new();
        for (to, _, devices) in lost.iter().filter(|(_, how, _)| *how == by) {
            *rivals.entry(to).or_default() += devices;
        }
        for (rival, count) in rivals {
            push_tie(fleet, rival, id, code, count, found);
        }
    }
}

fn push_tie(
    fleet: &Fleet,
    winner: &DeploymentId,
    loser: &DeploymentId,
    code: Code,
    count: usize,
    found: &mut Diagnostics,
) {
    let priority = fleet.deployments.get(loser).map_or(0, |d| d.priority);
    let tie = format!(
        "\"{winner}\" and \"{loser}\" have equal priority {priority} on {}",
        devices(count)
    );
    let (message, help) = match code {
        Code::PriorityTie => (
            format!("{tie}; the newer `created` decides for \"{winner}\""),
            "give them different priorities",
        ),
        _ => (
            format!("{tie}, and nothing decides between them"),
            "give them different priorities, or `created` to both (`hoist stamp FILE` writes it)",
        ),
    };
    found.push(about(fleet, loser, code, message).of_path(winner).devices(count).help(help));
}

/// Layers of equal priority that write the same module or route.
fn lint_layer_ties(
    fleet: &Fleet,
    resolution: &Resolution,
    looks: &mut Looks,
    found: &mut Diagnostics,
) {
    let mut ties: BTreeMap<Tie, usize> = BTreeMap::new();
    for (cohort, (_, size)) in resolution.cohorts.iter().zip(resolution.sized_cohorts()) {
        for tie in looks.of(cohort).ties.get_or_insert_with(|| ties_in(fleet, cohort)) {
            *ties.entry(tie.clone()).or_default() += size;
        }
    }
    for ((upper, lower), count) in ties {
        let created = |id: &DeploymentId| fleet.deployments.get(id).and_then(|d| d.created);
        let decided = created(&upper).is_some()
            && created(&lower).is_some()
            && created(&upper) != created(&lower);
        let code = if decided { Code::PriorityTie } else { Code::UndecidedTie };
        push_tie(fleet, &upper, &lower, code, count, found);
    }
}

/// The layers of a cohort between which their priorities don't decide, though it matters.
fn ties_in(fleet: &Fleet, cohort: &ResolvedCohort) -> Vec<Tie> {
    let ids = cohort.cohort.layers.iter();
    let layers: Vec<_> = ids.filter_map(|id| fleet.deployments.get(id)).collect();
    let mut ties = Vec::new();
    // They are in the order of their priorities.
    for equal in layers.chunk_by(|a, b| a.priority == b.priority) {
        for (i, lower) in equal.iter().enumerate() {
            let uppers = equal[i + 1..].iter().filter(|upper| write_the_same(lower, upper));
            ties.extend(uppers.map(|upper| (upper.id.clone(), lower.id.clone())));
        }
    }
    ties
}

fn write_the_same(a: &Deployment<Condition, Query>, b: &Deployment<Condition, Query>) -> bool {
    a.modules.keys().any(|name| b.modules.contains_key(name))
        || a.routes.keys().any(|name| b.routes.contains_key(name))
}

/// So many cohorts are traced before the next are chosen: what was found may say that those need not be.
const TRACED_AT_ONCE: usize = 64;

/// So many cohorts are worth a thread of their own.
const WORTH_A_THREAD: usize = 8;

/// Layers of which nothing is left in any cohort.
fn lint_shadowed(
    fleet: &Fleet,
    resolution: &Resolution,
    hits: &Hits<'_>,
    looks: &mut Looks,
    found: &mut Diagnostics,
) {
    let says_something = |id: &DeploymentId| {
        fleet.deployments.get(id).is_some_and(|deployment| {
            deployment.kind.is_layer()
                && !(deployment.modules.is_empty() && deployment.routes.is_empty())
        })
    };
    let applied = hits.iter().filter(|(id, applied)| **applied > 0 && says_something(id));
    let mut shadowed: BTreeMap<&DeploymentId, usize> =
        applied.map(|(id, applied)| (*id, *applied)).collect();
    // What was found before says it of most.
    let (known, unknown): (Vec<_>, Vec<_>) = resolution
        .cohorts
        .iter()
        .partition::<Vec<_>, _>(|cohort| looks.of(cohort).effective.is_some());
    let matters = |shadowed: &BTreeMap<&DeploymentId, usize>, cohort: &ResolvedCohort| {
        cohort.cohort.layers.iter().any(|layer| shadowed.contains_key(layer))
    };
    for cohort in known {
        if let Some(effective) = &looks.of(cohort).effective {
            shadowed.retain(|layer, _| !effective.contains(*layer));
        }
    }
    for some in unknown.chunks(TRACED_AT_ONCE) {
        let some = some.iter().copied().filter(|cohort| matters(&shadowed, cohort)).collect();
        let traced = side_by_side(some, WORTH_A_THREAD, |cohort: &Arc<ResolvedCohort>| {
            (cohort, effective_in(fleet, cohort))
        });
        for (cohort, effective) in traced {
            shadowed.retain(|layer, _| !effective.contains(*layer));
            looks.of(cohort).effective = Some(effective);
        }
    }
    for (layer, count) in shadowed {
        let message =
            format!("nothing of layer \"{layer}\" is left on any of its {}", devices(count));
        found.push(
            about(fleet, layer, Code::Shadowed, message).devices(count).help(
                "higher layers replace all of it, or the modules that it patches are not there",
            ),
        );
    }
}

/// The deployments of a cohort of which something is left.
fn effective_in(fleet: &Fleet, cohort: &ResolvedCohort) -> BTreeSet<DeploymentId> {
    let layers = &cohort.cohort.layers;
    let traces = trace_cohort(fleet, &cohort.cohort);
    let mut effective = BTreeSet::new();
    for setter in traces.values().flat_map(crate::resolve::Trace::winners) {
        if let SetterKind::Deployment(id) = &setter.kind {
            effective.insert(id.clone());
        }
    }
    for (i, layer) in layers.iter().enumerate() {
        let Some(deployment) = fleet.deployments.get(layer) else { continue };
        let above = || layers[i + 1..].iter().filter_map(|id| fleet.deployments.get(id));
        let route_stays = |name| !above().any(|d| d.routes.contains_key(name));
        let takes_away = deployment.modules.iter().any(|(name, entry)| {
            let nowhere =
                MergeNote::NoModuleBelow { deployment: layer.clone(), module: name.clone() };
            entry.unset.iter().any(|path| {
                !cohort.notes.contains(&nowhere)
                    && !cohort.notes.contains(&MergeNote::NothingToUnset {
                        deployment: layer.clone(),
                        module: name.clone(),
                        path: path.0.join("."),
                    })
            })
        });
        if takes_away || deployment.routes.keys().any(route_stays) {
            effective.insert(layer.clone());
        }
    }
    effective
}

/// A deployment for one device, on a device that others target: per-device and automatic don't combine.
fn lint_mixed_kinds(fleet: &Fleet, resolution: &Resolution, found: &mut Diagnostics) {
    for (id, deployment) in &fleet.deployments {
        let DeploymentKind::Device { device, place } = &deployment.kind else { continue };
        let Some(resolved) = resolution.devices.get(device) else { continue };
        let others: Vec<String> = resolved
            .targeted
            .iter()
            .filter(|t| t.deployment != *id)
            .map(|t| format!("\"{}\"", t.deployment))
            .collect();
        if !others.is_empty() {
            let message = format!(
                "\"{id}\" is for device \"{device}\" alone, but {} target{} it too",
                others.join(", "),
                if others.len() == 1 { "s" } else { "" }
            );
            found.push(
                Diagnostic::new(Code::MixedKinds, message)
                    .at(place.clone())
                    .of_deployment(id)
                    .of_device(device)
                    .help("per-device and automatic deployments don't combine: change their targets, or remove this one"),
            );
        }
    }
}
