//! The engine's answers, as far as they are used: tolerant, so that one strange container spoils no list.
//!
//! Enters: JSON. Leaves: structs of this folder. Unknown fields are passed over, words for states stay text.

use super::failure::Trouble;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Parses an answer.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Trouble> {
    // serde's words name fields and types, never values of strings that could be secret.
    serde_json::from_slice(bytes).map_err(|error| {
        Trouble::Nonsense(format!(
            "line {} column {} is not as expected",
            error.line(),
            error.column()
        ))
    })
}

/// `null` as the default, since Go writes empty maps and lists so.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct VersionAnswer {
    pub(super) version: String,
    pub(super) api_version: String,
    #[serde(rename = "MinAPIVersion")]
    pub(super) min_api_version: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) components: Vec<Component>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Component {
    name: String,
}

impl VersionAnswer {
    /// `Docker Engine`, `Podman Engine`, …
    pub(super) fn engine_name(&self) -> String {
        match self.components.first().map(|first| first.name.as_str()) {
            None | Some("" | "Engine") => "Docker Engine".to_owned(),
            Some(name) => name.to_owned(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InfoAnswer {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) operating_system: String,
    pub(super) kernel_version: String,
    pub(super) architecture: String,
    #[serde(rename = "NCPU")]
    pub(super) cpus: i64,
    #[serde(rename = "MemTotal")]
    pub(super) memory: i64,
    pub(super) labels: Option<Vec<String>>,
    pub(super) system_time: String,
    pub(super) docker_root_dir: String,
    pub(super) warnings: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct UsageAnswer {
    pub(super) layers_size: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) names: Vec<String>,
    pub(super) image: String,
    #[serde(rename = "ImageID")]
    pub(super) image_id: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    pub(super) state: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) status: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) host_config: ListedHostConfig,
    #[serde(deserialize_with = "or_default")]
    pub(super) network_settings: ListedNetworks,
    #[serde(deserialize_with = "or_default")]
    pub(super) ports: Vec<ListedPort>,
    #[serde(deserialize_with = "or_default")]
    pub(super) mounts: Vec<ListedMount>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedHostConfig {
    #[serde(deserialize_with = "or_default")]
    pub(super) network_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedNetworks {
    #[serde(deserialize_with = "or_default")]
    pub(super) networks: BTreeMap<String, Option<ListedEndpoint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListedEndpoint {
    #[serde(rename = "NetworkID", deserialize_with = "or_default")]
    pub(super) network_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedPort {
    #[serde(rename = "IP", deserialize_with = "or_default")]
    pub(super) ip: String,
    pub(super) public_port: Option<u16>,
    #[serde(rename = "Type", deserialize_with = "or_default")]
    pub(super) protocol: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedMount {
    #[serde(rename = "Type", deserialize_with = "or_default")]
    pub(super) kind: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    pub(super) destination: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Inspected {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "Image")]
    pub(super) image_id: String,
    pub(super) restart_count: u64,
    pub(super) state: InspectedState,
    pub(super) config: InspectedConfig,
    pub(super) host_config: InspectedHostConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InspectedState {
    pub(super) status: String,
    pub(super) exit_code: i64,
    #[serde(rename = "OOMKilled")]
    pub(super) out_of_memory: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) error: String,
    pub(super) started_at: String,
    pub(super) finished_at: String,
    pub(super) health: Option<InspectedHealth>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InspectedHealth {
    pub(super) status: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) log: Vec<HealthProbe>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HealthProbe {
    pub(super) output: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InspectedConfig {
    pub(super) image: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(rename = "Tty")]
    pub(super) has_terminal: bool,
    pub(super) env: Environment,
    pub(super) cmd: Json,
    pub(super) entrypoint: Json,
}

/// What a container has in its environment: that may be secret, and is shown nowhere.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Environment(pub(super) Json);

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment(…)")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InspectedHostConfig {
    #[serde(deserialize_with = "or_default")]
    pub(super) restart_policy: PolicyName,
    pub(super) memory: i64,
    pub(super) memory_swap: i64,
    #[serde(deserialize_with = "or_default")]
    pub(super) nano_cpus: i64,
    pub(super) port_bindings: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PolicyName {
    pub(super) name: String,
    pub(super) maximum_retry_count: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InspectedImage {
    #[serde(deserialize_with = "or_default")]
    pub(super) config: ImageConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ImageConfig {
    #[serde(deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedNetwork {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Made {
    pub(super) id: String,
}

/// One event.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct EventLine {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    pub(super) action: String,
    pub(super) actor: EventActor,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct EventActor {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) attributes: BTreeMap<String, String>,
}

/// One line of a pull.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PullLine {
    pub(super) error_detail: Option<PullError>,
    pub(super) error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PullError {
    pub(super) message: String,
}

/// A registry's credentials, as the engine wants them in a header.
#[derive(Serialize)]
pub(super) struct RegistryAuth<'a> {
    pub(super) username: &'a str,
    pub(super) password: &'a str,
    pub(super) serveraddress: &'a str,
}
