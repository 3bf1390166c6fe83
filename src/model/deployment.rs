//! Deployments: what a file in `deployments/` says.

use super::name::{DeploymentId, DeviceId, ModuleName, RouteName};
use super::rollout::PhaseSettings;
use super::route::Route;
use super::settings::{ModuleSettings, TextUse, texts_of_table, texts_of_value};
use super::table::Table;
use super::time::Timestamp;
use super::value::{Value, path_above};
use crate::diagnostic::Place;
use std::collections::BTreeMap;

/// Modules, routes, labels and metrics with a target. `C` and `Q` are the forms of its condition and of its
/// queries: the language layer's checked ones.
#[derive(Debug, Clone)]
pub struct Deployment<C, Q> {
    /// Its id, the stem of its file.
    pub id: DeploymentId,
    /// What it is and whom it hits.
    pub kind: DeploymentKind<C>,
    /// Larger wins; 0 for a `device` deployment.
    pub priority: i32,
    /// Breaks ties, newest wins.
    pub created: Option<Timestamp>,
    /// Free words to filter and group by; reach no device.
    pub labels: BTreeMap<String, String>,
    /// What it says about modules.
    pub modules: BTreeMap<ModuleName, ModuleEntry>,
    /// Its routes.
    pub routes: BTreeMap<RouteName, Route>,
    /// Custom metrics by name.
    pub metrics: BTreeMap<String, Metric<Q>>,
    /// `false` goes out at once, without phases.
    pub phased: bool,
    /// Tightens the fleet's rollout.
    pub rollout: PhaseSettings,
    /// Opaque, kept for export to Azure.
    pub azure: Table,
    /// Where it begins.
    pub place: Place,
    /// Where its priority stands, if it does.
    pub priority_place: Option<Place>,
}

/// What a deployment is.
#[derive(Debug, Clone)]
pub enum DeploymentKind<C> {
    /// A base.
    Automatic(Target<C>),
    /// A layer on a base.
    Layered(Target<C>),
    /// The base of exactly one device.
    Device {
        /// That device.
        device: DeviceId,
        /// Where it is named.
        place: Place,
    },
}

impl<C> DeploymentKind<C> {
    /// The word for it in files.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Automatic(_) => "automatic",
            Self::Layered(_) => "layered",
            Self::Device { .. } => "device",
        }
    }

    /// Its target, if it has a condition.
    pub fn target(&self) -> Option<&Target<C>> {
        match self {
            Self::Automatic(target) | Self::Layered(target) => Some(target),
            Self::Device { .. } => None,
        }
    }

    /// Whether it is a layer.
    pub fn is_layer(&self) -> bool {
        matches!(self, Self::Layered(_))
    }
}

/// Whom a deployment hits.
#[derive(Debug, Clone)]
pub struct Target<C> {
    /// The condition; `None` hits no device.
    pub condition: Option<C>,
    /// Where it stands; the deployment's own place if there is none.
    pub place: Place,
}

/// A custom metric: its value is how many rows the query gives.
#[derive(Debug, Clone)]
pub struct Metric<Q> {
    /// The query.
    pub query: Q,
    /// Where it stands.
    pub place: Place,
}

/// What one deployment says about one module.
#[derive(Debug, Clone)]
pub struct ModuleEntry {
    /// How it meets what lower layers say.
    pub kind: EntryKind,
    /// The keys that are given.
    pub settings: ModuleSettings,
    /// The desired properties, whole.
    pub desired: Option<Table>,
    /// Single values of the desired properties, by dotted path.
    pub desired_at: BTreeMap<String, Value>,
    /// What is taken away first.
    pub unset: Vec<UnsetPath>,
    /// Where the entry begins.
    pub place: Place,
    /// Where each field stands, by its path: `image`, `env.PROXY`, `desired`, `desired-at.a.b`,
    /// `create-options.HostConfig.Sysctls`, `unset.env.DEBUG`.
    pub places: BTreeMap<String, Place>,
}

/// How an entry meets what lower layers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// It replaces the module of that name.
    Whole,
    /// It changes the keys it gives.
    Patch,
    /// It touches the twin alone.
    TwinOnly,
}

/// A field that a patch takes away, as its segments: `["env", "DEBUG"]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnsetPath(pub Vec<String>);

impl ModuleEntry {
    /// Visits every text that may hold a template, with its field path.
    pub fn for_each_text(&mut self, visit: &mut dyn FnMut(TextUse, &str, &mut String)) {
        self.settings.for_each_text(visit);
        if let Some(desired) = &mut self.desired {
            texts_of_table(TextUse::Data, "desired", desired, visit);
        }
        for (path, value) in &mut self.desired_at {
            texts_of_value(TextUse::Data, &format!("desired-at.{path}"), value, visit);
        }
    }

    /// Where a field stands: at its own place, the nearest one above it, or the entry's.
    pub fn place_of(&self, path: &str) -> &Place {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return place;
            }
            match path_above(path) {
                Some(above) => path = above,
                None => return &self.place,
            }
        }
    }
}
