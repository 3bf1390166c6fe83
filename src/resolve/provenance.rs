//! Who set each field of a manifest, and whom it overrode. Computed on demand, never stored.
//!
//! It walks the same deployments in the same order as the merge, over the places of the fields. A property
//! test says that every field of a manifest has a setter here.

use crate::diagnostic::Place;
use crate::fleet::Fleet;
use crate::model::{
    Cohort, DeploymentId, EntryKind, Manifest, ModuleEntry, ModuleName, path_above, path_segment,
};
use std::collections::BTreeMap;

/// Who set a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setter {
    /// What kind of statement it was.
    pub kind: SetterKind,
    /// Where it stands; none for built-in values.
    pub place: Option<Place>,
}

/// What kind of statement set a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetterKind {
    /// A deployment.
    Deployment(DeploymentId),
    /// `[defaults]` of the fleet.
    Defaults,
    /// Nobody: what Hoist takes where nothing is said.
    BuiltIn,
}

/// The setters of the fields of one module: path → all who set it, the last one won.
#[derive(Debug, Clone, Default)]
pub struct Trace(BTreeMap<String, Vec<Setter>>);

impl Trace {
    /// All who set a field, the winner last. A field inside one that was set whole has its setters; one
    /// that consists of several has the setters of its parts.
    pub fn setters(&self, path: &str) -> Vec<Setter> {
        let mut at = path;
        loop {
            if let Some(setters) = self.0.get(at) {
                return setters.clone();
            }
            match above(at) {
                Some(above) => at = above,
                None => break,
            }
        }
        let below = format!("{path}.");
        let parts: Vec<Setter> = self
            .0
            .range(below.clone()..)
            .take_while(|(key, _)| key.starts_with(&below))
            .filter_map(|(_, setters)| setters.last().cloned())
            .collect();
        if parts.is_empty() { vec![built_in()] } else { parts }
    }

    /// Who won a field.
    pub fn winner(&self, path: &str) -> Setter {
        self.setters(path).pop().unwrap_or_else(built_in)
    }

    /// All who won some field.
    pub fn winners(&self) -> impl Iterator<Item = &Setter> {
        self.0.values().filter_map(|setters| setters.last())
    }

    fn set(&mut self, path: &str, setter: Setter) {
        if !is_key_of_map(path) {
            let top = format!("{path}.");
            let keys = self.0.range(top.clone()..).map(|(key, _)| key);
            let below: Vec<String> =
                keys.take_while(|key| key.starts_with(&top)).cloned().collect();
            below.iter().for_each(|key| drop(self.0.remove(key)));
        }
        self.0.entry(path.to_owned()).or_default().push(setter);
    }

    fn add(&mut self, path: &str, setter: Setter) {
        self.0.entry(path.to_owned()).or_default().push(setter);
    }

    fn clear(&mut self, of: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<Setter>> {
        let (cleared, kept) = std::mem::take(&mut self.0).into_iter().partition(|(key, _)| of(key));
        self.0 = kept;
        cleared
    }
}

fn built_in() -> Setter {
    Setter { kind: SetterKind::BuiltIn, place: None }
}

/// The setters of every module of a manifest.
pub fn trace(fleet: &Fleet, manifest: &Manifest) -> BTreeMap<ModuleName, Trace> {
    let mut traces = trace_cohort(fleet, &manifest.cohort);
    for (name, module) in &manifest.modules {
        let trace = traces.entry(name.clone()).or_default();
        let fields = crate::model::module_table(module);
        for (path, place) in &fleet.default_places {
            let top = path.split('.').next().unwrap_or(path);
            let nobody = trace.winner(path).kind == SetterKind::BuiltIn;
            if nobody && fields.contains_key(top) {
                let setter = Setter { kind: SetterKind::Defaults, place: Some(place.clone()) };
                trace.add(path, setter);
            }
        }
    }
    traces.retain(|name, _| manifest.modules.contains_key(name));
    traces
}

pub(super) fn trace_cohort(fleet: &Fleet, cohort: &Cohort) -> BTreeMap<ModuleName, Trace> {
    let mut traces: BTreeMap<ModuleName, Trace> = BTreeMap::new();
    for id in std::iter::once(&cohort.base).chain(&cohort.layers) {
        let Some(deployment) = fleet.deployments.get(id) else { continue };
        for (name, entry) in &deployment.modules {
            if entry.kind == EntryKind::Whole || traces.contains_key(name) {
                trace_entry(traces.entry(name.clone()).or_default(), id, entry);
            }
        }
    }
    traces
}

fn trace_entry(trace: &mut Trace, id: &DeploymentId, entry: &ModuleEntry) {
    let setter = |place: &Place| Setter {
        kind: SetterKind::Deployment(id.clone()),
        place: Some(place.clone()),
    };
    let is_twin = |path: &str| path == "desired" || path.starts_with("desired.");
    let mut overridden = BTreeMap::new();
    if entry.kind == EntryKind::Whole {
        overridden = trace.clear(|path| !is_twin(path));
    }
    for unset in &entry.unset {
        let path = unset_path(&unset.0);
        trace.clear(|key| key == path || lies_below(key, &path));
    }
    if entry.desired.is_some() {
        overridden.extend(trace.clear(is_twin));
    }
    for (path, place) in &entry.places {
        let by_word =
            ["patch", "unset", "desired-at"].contains(&path.split('.').next().unwrap_or(path));
        if by_word || is_map(path) || is_way_to_another(path, entry) {
            continue;
        }
        for old in overridden.remove(path).into_iter().flatten() {
            trace.add(path, old);
        }
        trace.set(path, setter(place));
    }
    for path in entry.desired_at.keys() {
        let place = entry.place_of(&format!("desired-at.{path}"));
        let segments: Vec<_> = path.split('.').map(path_segment).collect();
        trace.set(&format!("desired.{}", segments.join(".")), setter(place));
    }
}

/// Keys of deep tables may hold dots; names of variables, labels and hosts stand as they are.
fn unset_path(segments: &[String]) -> String {
    match segments {
        [first, rest @ ..] if first == "desired" || first == "create-options" => {
            let rest = rest.iter().map(|key| path_segment(key));
            std::iter::once(first.as_str().into()).chain(rest).collect::<Vec<_>>().join(".")
        }
        _ => segments.join("."),
    }
}

/// A table inside create-options or desired properties of which only parts are given.
fn is_way_to_another(path: &str, entry: &ModuleEntry) -> bool {
    let deep = path.starts_with("create-options.") || path.starts_with("desired.");
    let below = format!("{path}.");
    deep && entry
        .places
        .range(below.clone()..)
        .next()
        .is_some_and(|(key, _)| key.starts_with(&below))
}

/// The path of what holds a field. Keys of `env`, `labels` and `extra-hosts` may have dots of their own.
fn above(path: &str) -> Option<&str> {
    if is_key_of_map(path) { Some(path.split_once('.')?.0) } else { path_above(path) }
}

fn lies_below(key: &str, path: &str) -> bool {
    !is_key_of_map(path) && key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}

fn is_key_of_map(path: &str) -> bool {
    ["env.", "labels.", "extra-hosts."].iter().any(|map| path.starts_with(map))
}

/// Whole maps that merge by key: their keys have setters, they have none.
fn is_map(path: &str) -> bool {
    matches!(path, "env" | "labels" | "extra-hosts" | "create-options" | "desired")
}
