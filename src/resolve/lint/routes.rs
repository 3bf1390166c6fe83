//! Lints of routes: from or to modules that some devices lack, and routes that nobody carries.

use super::looks::Looks;
use super::{about, devices};
use crate::diagnostic::{Code, Diagnostics, Place, closest};
use crate::fleet::Fleet;
use crate::model::{DeploymentId, ModuleName, Route, RouteName};
use crate::resolve::{Resolution, ResolvedCohort};
use std::collections::BTreeMap;

pub(super) fn lint(
    fleet: &Fleet,
    resolution: &Resolution,
    looks: &mut Looks,
    found: &mut Diagnostics,
) {
    let mut nowhere: BTreeMap<Nowhere, Seen> = BTreeMap::new();
    let mut silent: BTreeMap<DeploymentId, (RouteName, usize)> = BTreeMap::new();
    for (cohort, (_, size)) in resolution.cohorts.iter().zip(resolution.sized_cohorts()) {
        let look = looks.of(cohort).routes.get_or_insert_with(|| OfRoutes::of(fleet, cohort));
        for (missing, place, close) in &look.nowhere {
            let new = || Seen { devices: 0, place: place.clone(), close: close.clone() };
            nowhere.entry(missing.clone()).or_insert_with(new).devices += size;
        }
        if let Some((deployment, route)) = &look.silent {
            silent.entry(deployment.clone()).or_insert_with(|| (route.clone(), 0)).1 += size;
        }
    }
    report_nowhere(fleet, nowhere, found);
    report_silent(fleet, silent, found);
}

/// What is found in the routes of one cohort.
#[derive(Debug)]
pub(super) struct OfRoutes {
    /// The modules that are not there, where they are named, and how they are most likely called.
    nowhere: Vec<(Nowhere, Place, Option<String>)>,
    /// The first route and who says it, if there is no module that carries them.
    silent: Option<(DeploymentId, RouteName)>,
}

/// Which end of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Source,
    Sink,
}

/// A module that a route names and some manifests lack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Nowhere {
    deployment: DeploymentId,
    route: RouteName,
    end: End,
    module: ModuleName,
}

/// On how many devices, and how the module is most likely called there.
struct Seen {
    devices: usize,
    place: Place,
    close: Option<String>,
}

impl OfRoutes {
    fn of(fleet: &Fleet, cohort: &ResolvedCohort) -> Self {
        let mut nowhere = Vec::new();
        for (name, route) in &cohort.routes {
            let Some(deployment) = last_to_say(fleet, cohort, name) else { continue };
            for (end, module, place) in missing(cohort, route) {
                let (deployment, route, module) =
                    (deployment.clone(), name.clone(), module.clone());
                let modules = cohort.modules.keys().map(ModuleName::as_str);
                let close = closest(module.as_str(), modules).map(str::to_owned);
                nowhere.push((Nowhere { deployment, route, end, module }, place.clone(), close));
            }
        }
        let is_carried = cohort.modules.values().any(|module| module.router);
        let first = cohort.routes.keys().next().filter(|_| !is_carried);
        let silent = first
            .and_then(|route| Some((last_to_say(fleet, cohort, route)?.clone(), route.clone())));
        Self { nowhere, silent }
    }
}

fn report_nowhere(fleet: &Fleet, seen: BTreeMap<Nowhere, Seen>, found: &mut Diagnostics) {
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
            about(fleet, &deployment, Code::RouteToNowhere, message)
                .at(place)
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

fn report_silent(
    fleet: &Fleet,
    silent: BTreeMap<DeploymentId, (RouteName, usize)>,
    found: &mut Diagnostics,
) {
    for (id, (name, n)) in silent {
        let message = format!(
            "there are routes on {}, but no module with `router = true` that carries messages",
            devices(n)
        );
        let place =
            fleet.deployments.get(&id).and_then(|d| Some(d.routes.get(&name)?.place.clone()));
        found.push(about(fleet, &id, Code::RoutesNotCarried, message).at_option(place).devices(n));
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
