//! Lints of routes: from or to modules that some devices lack, and routes that nobody carries.

use super::{about, devices};
use crate::diagnostic::{Code, Diagnostics, Place, closest};
use crate::fleet::Fleet;
use crate::model::{DeploymentId, ModuleName, Route, RouteName};
use crate::resolve::{Resolution, ResolvedCohort};
use std::collections::BTreeMap;

pub(super) fn lint(fleet: &Fleet, resolution: &Resolution, found: &mut Diagnostics) {
    lint_ends(fleet, resolution, found);
    lint_carrying(fleet, resolution, found);
}

/// Which end of a route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Source,
    Sink,
}

/// A module that a route names and some manifests lack.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Nowhere<'a> {
    deployment: &'a DeploymentId,
    route: &'a RouteName,
    end: End,
    module: &'a ModuleName,
}

/// On how many devices, and how the module is most likely called there.
struct Seen<'a> {
    devices: usize,
    place: &'a Place,
    close: Option<&'a str>,
}

fn lint_ends(fleet: &Fleet, resolution: &Resolution, found: &mut Diagnostics) {
    let mut seen: BTreeMap<Nowhere<'_>, Seen<'_>> = BTreeMap::new();
    for (cohort, size) in resolution.sized_cohorts() {
        for (name, route) in &cohort.routes {
            let Some(deployment) = last_to_say(fleet, cohort, name) else { continue };
            for (end, module, place) in missing(cohort, route) {
                let nowhere = Nowhere { deployment, route: name, end, module };
                let close =
                    || closest(module.as_str(), cohort.modules.keys().map(ModuleName::as_str));
                let entry = seen.entry(nowhere).or_insert_with(|| Seen {
                    devices: 0,
                    place,
                    close: close(),
                });
                entry.devices += size;
            }
        }
    }
    for (nowhere, Seen { devices: n, place, close }) in seen {
        let Nowhere { deployment, route, end, module } = nowhere;
        let does = match end {
            End::Source => "takes messages from",
            End::Sink => "sends to",
        };
        let on = devices(n);
        let message =
            format!("route \"{route}\" {does} module \"{module}\", which isn't there on {on}");
        let help = match close {
            Some(close) => format!("did you mean `{close}`?"),
            None => {
                "deploy the module there, or put the route into the deployment that does".into()
            }
        };
        found.push(
            about(fleet, deployment, Code::RouteToNowhere, message)
                .at(place.clone())
                .of_module(module)
                .of_path(format!("routes.{route}"))
                .devices(n)
                .help(help),
        );
    }
}

/// The modules that a route names and a cohort lacks. A source is compared without case, as messages are
/// when they come; a sink is not.
fn missing<'a>(
    cohort: &'a ResolvedCohort,
    route: &'a Route,
) -> impl Iterator<Item = (End, &'a ModuleName, &'a Place)> {
    let ends = route.ends.as_ref();
    let source = ends.and_then(|ends| Some((ends.source.module()?, &ends.source_place)));
    let source = source.filter(|(module, _)| {
        !cohort.modules.keys().any(|name| name.as_str().eq_ignore_ascii_case(module.as_str()))
    });
    let sink = ends.and_then(|ends| Some((ends.sink.module()?, &ends.sink_place)));
    let sink = sink.filter(|(module, _)| !cohort.modules.contains_key(*module));
    let source = source.map(|(module, place)| (End::Source, module, place));
    source.into_iter().chain(sink.map(|(module, place)| (End::Sink, module, place)))
}

fn lint_carrying(fleet: &Fleet, resolution: &Resolution, found: &mut Diagnostics) {
    let mut silent: BTreeMap<&DeploymentId, (&RouteName, usize)> = BTreeMap::new();
    for (cohort, size) in resolution.sized_cohorts() {
        let Some(name) = cohort.routes.keys().next() else { continue };
        if cohort.modules.values().any(|module| module.router) {
            continue;
        }
        if let Some(id) = last_to_say(fleet, cohort, name) {
            silent.entry(id).or_insert((name, 0)).1 += size;
        }
    }
    for (id, (name, n)) in silent {
        let message = format!(
            "there are routes on {}, but no module with `router = true` that carries messages",
            devices(n)
        );
        let place = fleet.deployments.get(id).and_then(|d| Some(d.routes.get(name)?.place.clone()));
        found.push(about(fleet, id, Code::RoutesNotCarried, message).at_option(place).devices(n));
    }
}

/// The deployment whose route of that name is the cohort's.
fn last_to_say<'a>(
    fleet: &Fleet,
    cohort: &'a ResolvedCohort,
    name: &RouteName,
) -> Option<&'a DeploymentId> {
    let mut order = std::iter::once(&cohort.cohort.base).chain(&cohort.cohort.layers);
    order.rfind(|id| fleet.deployments.get(*id).is_some_and(|d| d.routes.contains_key(name)))
}
