//! The rows of a query: what there is to know of one device or module.
//!
//! Whoever knows a fleet makes them; here properties are looked up in them. Not here: where their values come
//! from.

use super::ast::{Property, Root};
use super::evaluate::{Lookup, Scalar};
use crate::model::{DeploymentId, Device, Table, Value};
use std::borrow::Cow;

/// A row of `devices` or of `devices.modules`.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The device, for its id and tags.
    pub device: &'a Device,
    /// What the device reports; in `devices.modules` what the module reports.
    pub reported: Cow<'a, Table>,
    /// What became of the deployments that target it.
    pub configurations: Vec<(&'a DeploymentId, Configuration)>,
    /// What else there is.
    pub kind: RowKind<'a>,
}

/// What only a device or only a module has.
#[derive(Debug, Clone)]
pub enum RowKind<'a> {
    /// A row of `devices`.
    Device {
        /// Whether it was seen lately; `None` where nobody looked.
        connected: Option<bool>,
    },
    /// A row of `devices.modules`.
    Module(ModuleRow<'a>),
}

/// What a module has.
#[derive(Debug, Clone)]
pub struct ModuleRow<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its desired properties.
    pub desired: Cow<'a, Table>,
    /// `running`, `unhealthy`, `backoff`, `stopped`, `failed`, `unknown`.
    pub runtime_status: Option<&'a str>,
    /// With which code it ended.
    pub exit_code: Option<i64>,
    /// How often the engine started it again.
    pub restart_count: Option<u64>,
}

/// What became of a deployment on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configuration {
    /// It targets the device, and is not applied.
    Targeted,
    /// It takes part in the device's manifest.
    Applied,
}

impl Configuration {
    /// As queries write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Targeted => "Targeted",
            Self::Applied => "Applied",
        }
    }
}

impl<'a, 'r: 'a> Lookup<'a> for &'r Row<'_> {
    fn lookup(self, property: &Property) -> Option<Scalar<'a>> {
        let Property { root, path, span: _ } = property;
        let in_table = |table: &'r Table| Value::lookup(table, path).map(Scalar::of_value);
        match (root, &self.kind) {
            (Root::DeviceId, _) => Some(Scalar::Text(self.device.id.as_str())),
            (Root::Tags, _) => in_table(&self.device.tags),
            (Root::Reported, _) => in_table(&self.reported),
            (Root::Configurations, _) => {
                let wanted = path.first()?;
                let (_, status) =
                    self.configurations.iter().find(|(id, _)| id.as_str() == wanted)?;
                Some(Scalar::Text(status.as_str()))
            }
            (Root::ConnectionState, RowKind::Device { connected }) => {
                connected.map(|connected| Scalar::Text(connection_state(connected)))
            }
            (Root::IotEdge, RowKind::Device { .. }) => Some(Scalar::Bool(true)),
            (Root::ModuleId, RowKind::Module(module)) => Some(Scalar::Text(&module.name)),
            (Root::Desired, RowKind::Module(module)) => in_table(&module.desired),
            (Root::RuntimeStatus, RowKind::Module(module)) => {
                module.runtime_status.map(Scalar::Text)
            }
            (Root::ExitCode, RowKind::Module(module)) => module.exit_code.map(Scalar::Integer),
            (Root::RestartCount, RowKind::Module(module)) => module.restarts().map(Scalar::Integer),
            // The check knows which collection has what.
            (Root::ConnectionState | Root::IotEdge, RowKind::Module(_)) => None,
            (
                Root::ModuleId
                | Root::Desired
                | Root::RuntimeStatus
                | Root::ExitCode
                | Root::RestartCount,
                RowKind::Device { .. },
            ) => None,
        }
    }
}

impl ModuleRow<'_> {
    fn restarts(&self) -> Option<i64> {
        self.restart_count.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl Row<'_> {
    /// All that it has, as `SELECT *` gives it. Empty tables and what is not known are left out.
    pub(super) fn everything(&self) -> Table {
        let Self { device, reported, configurations, kind } = self;
        let mut all = Table::new();
        let mut put = |key: &str, value: Option<Value>| {
            let value = value.filter(|value| value.as_table().is_none_or(|t| !t.is_empty()));
            all.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("deviceId", Some(device.id.as_str().into()));
        put("tags", Some(Value::Table(device.tags.clone())));
        let statuses = configurations.iter().map(|(id, status)| {
            let status = Table::from([("status".to_owned(), status.as_str().into())]);
            (id.to_string(), Value::Table(status))
        });
        put("configurations", Some(Value::Table(statuses.collect())));
        let mut properties = Table::new();
        let mut property = |key: &str, table: &Table| {
            if !table.is_empty() {
                properties.insert(key.to_owned(), Value::Table(table.clone()));
            }
        };
        property("reported", reported);
        match kind {
            RowKind::Device { connected } => {
                put("connectionState", connected.map(|c| connection_state(c).into()));
            }
            RowKind::Module(module) => {
                let ModuleRow { name, desired, runtime_status, exit_code, restart_count: _ } =
                    module;
                property("desired", desired);
                put("moduleId", Some(name.as_ref().into()));
                put("runtimeStatus", runtime_status.map(Into::into));
                put("exitCode", exit_code.map(Value::Integer));
                put("restartCount", module.restarts().map(Value::Integer));
            }
        }
        put("properties", Some(Value::Table(properties)));
        all
    }
}

fn connection_state(connected: bool) -> &'static str {
    if connected { "Connected" } else { "Disconnected" }
}
