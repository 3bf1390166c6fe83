//! On which networks a module should be.

use crate::model::{FleetName, Module, Value};

/// Where a module's place on networks comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Networking {
    /// These networks, the first at create.
    Networks(Vec<String>),
    /// A mode instead of networks: the engine's word for it.
    Mode(&'static str),
    /// Create-options say it; Hoist adds nothing.
    CreateOptions,
}

/// Where a module should be.
pub(super) fn networking(module: &Module, fleet: &FleetName) -> Networking {
    if let Some(mode) = module.network_mode {
        return Networking::Mode(mode.as_str());
    }
    if !module.networks.is_empty() {
        return Networking::Networks(module.networks.clone());
    }
    let has = |path: [&str; 2]| {
        let [first, second] = path;
        module.create_options.iter().any(|(key, value)| {
            key.eq_ignore_ascii_case(first)
                && (second.is_empty()
                    || value.as_table().is_some_and(|table| {
                        table.iter().any(|(k, v)| k.eq_ignore_ascii_case(second) && !is_empty(v))
                    }))
        })
    };
    if has(["HostConfig", "NetworkMode"]) || has(["NetworkingConfig", "EndpointsConfig"]) {
        return Networking::CreateOptions;
    }
    Networking::Networks(vec![fleet_network(fleet)])
}

/// The network that all modules of a fleet share on a device.
pub(super) fn fleet_network(fleet: &FleetName) -> String {
    format!("hoist-{fleet}")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Table(table) => table.is_empty(),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::List(_) => false,
    }
}
