//! The ports of the device that a module publishes, by its own key or by create-options.

use crate::model::{Manifest, Module, NetworkMode, ObservedContainer, ObservedPort, Value};

/// A port that a module publishes. One without a number is the engine's choice and is in nobody's way.
pub(super) struct Published {
    ip: String,
    host: String,
    protocol: String,
}

impl Published {
    fn is_same(&self, other: &Self) -> bool {
        let any = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
        self.host == other.host
            && self.protocol == other.protocol
            && (self.ip == other.ip || any(&self.ip) || any(&other.ip))
    }

    /// The port as people write it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.host, self.protocol)
    }

    /// Whether a container publishes it now.
    pub(super) fn is_taken_by(&self, container: &ObservedContainer) -> bool {
        self.is_one_of(&container.ports)
    }

    pub(super) fn is_one_of(&self, ports: &[ObservedPort]) -> bool {
        let any = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
        ports.iter().any(|ObservedPort { ip, host, protocol }| {
            host.to_string() == self.host
                && *protocol == self.protocol
                && (*ip == self.ip || any(ip) || any(&self.ip))
        })
    }
}

/// Two modules of a manifest that publish one port, in words. What git alone brings about is told before; live
/// facts can bring together what no file does.
pub fn port_conflict(manifest: &Manifest) -> Option<String> {
    let all: Vec<_> = manifest
        .modules
        .iter()
        .flat_map(|(name, module)| published(module).into_iter().map(move |port| (name, port)))
        .collect();
    all.iter().enumerate().find_map(|(at, (name, port))| {
        let (other, _) =
            all[..at].iter().find(|(other, earlier)| other != name && port.is_same(earlier))?;
        Some(format!("modules {other} and {name} both publish port {}", port.name()))
    })
}

/// All ports that a module publishes.
pub(super) fn published(module: &Module) -> Vec<Published> {
    if module.network_mode == Some(NetworkMode::Host) {
        return Vec::new();
    }
    let own = module.ports.iter().map(|port| Published {
        ip: port.ip.clone(),
        host: port.host.clone(),
        protocol: port.protocol.to_string(),
    });
    let bindings = Value::lookup_option(&module.create_options, &["HostConfig", "PortBindings"]);
    let bindings = bindings.and_then(Value::as_table).into_iter().flatten();
    let by_options = bindings.flat_map(|(port, list)| {
        let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol).to_owned();
        let list = match list {
            Value::List(items) => &**items,
            _ => &[],
        };
        list.iter().filter_map(Value::as_table).filter_map(move |binding| {
            let text = |key: &str| Value::lookup_option(binding, &[key]).and_then(Value::as_str);
            let host = text("HostPort").filter(|port| !port.is_empty() && *port != "0")?;
            Some(Published {
                ip: text("HostIp").unwrap_or_default().to_owned(),
                host: host.to_owned(),
                protocol: protocol.clone(),
            })
        })
    });
    own.chain(by_options).collect()
}
