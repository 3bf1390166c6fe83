//! What runs on an engine: one list call, and what else was asked for.
//!
//! Enters: [`Wanted`]. Leaves: [`Observation`]. Words that an engine uses and this version does not know become
//! `Unknown`; a container that goes between the list and its inspect has no details.

use super::Docker;
use super::failure::{Call, Trouble};
use super::transport::{Exchange, encoded};
use super::wire::{self, Inspected, InspectedImage, Listed, ListedNetwork};
use crate::engine::{EngineError, Wanted};
use crate::model::{
    ContainerDetail, ContainerState, ENGINE_FILES, Health, Observation, ObservedContainer,
    ObservedMount, ObservedPort, TwinSeen,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LIST_LIMIT: Duration = Duration::from_secs(60);
const LIST_BYTES: u64 = 64 << 20;
const INSPECT_LIMIT: Duration = Duration::from_secs(20);
/// Containers whose details are asked for side by side.
const SIDE_BY_SIDE: usize = 4;
/// A twin is at most this large; Hoist writes none that is larger.
const TWIN_BYTES: usize = 4 << 20;

impl Docker {
    pub(super) async fn look(&self, wanted: &Wanted<'_>) -> Result<Observation, EngineError> {
        self.negotiate().await?;
        let list = Exchange::get("/containers/json?all=1").with_limit(LIST_BYTES);
        let listed: Vec<Listed> = self
            .transport
            .ask(list, LIST_LIMIT)
            .await
            .and_then(|bytes| wire::parse(&bytes))
            .map_err(|trouble| {
                let tried = format!("list the containers of {}", self.transport.address());
                trouble.during(Call::Ask, tried)
            })?;
        let mut containers: Vec<ObservedContainer> = listed.into_iter().map(observed).collect();
        containers.sort_by(|a, b| a.id.cmp(&b.id));

        let chosen: Vec<(usize, String)> = containers
            .iter()
            .enumerate()
            .filter(|(_, container)| (wanted.details)(container))
            .map(|(at, container)| (at, container.id.clone()))
            .collect();
        let details: Vec<(usize, Option<Inspected>, Option<TwinSeen>)> = stream::iter(chosen)
            .map(|(at, id)| async move {
                let inspected = self.inspect(&id).await?;
                let twin = match inspected {
                    // A twin that can't be read is written again.
                    Some(_) => self.read_twin(&id).await.unwrap_or_default(),
                    None => None,
                };
                Ok::<_, EngineError>((at, inspected, twin))
            })
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        let mut image_labels: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (at, inspected, twin) in details {
            let Some(inspected) = inspected else { continue };
            let image = &inspected.image_id;
            if !image_labels.contains_key(image) {
                let labels = self.inspect_image(image).await?.map(|i| i.config.labels);
                image_labels.insert(image.clone(), labels.unwrap_or_default());
            }
            let labels = image_labels.get(image).cloned().unwrap_or_default();
            containers[at].detail = Some(detail(inspected, labels, twin));
        }

        let networks = match wanted.networks_of {
            Some(fleet) => Some(self.networks_of(fleet).await?),
            None => None,
        };
        let mut images = BTreeMap::new();
        for image in wanted.images {
            images.insert(image.clone(), self.inspect_image(image).await?.is_some());
        }
        Ok(Observation { containers, networks, images })
    }

    /// A container by name or id; `None` if there is none.
    pub(super) async fn inspect(&self, container: &str) -> Result<Option<Inspected>, EngineError> {
        let path = format!("/containers/{}/json", encoded(container));
        self.ask_for(path, "inspect", container).await
    }

    /// An image by reference or id; `None` if the engine has none.
    pub(super) async fn inspect_image(
        &self,
        image: &str,
    ) -> Result<Option<InspectedImage>, EngineError> {
        self.ask_for(format!("/images/{image}/json"), "inspect image", image).await
    }

    async fn ask_for<T: serde::de::DeserializeOwned>(
        &self,
        path: String,
        verb: &str,
        subject: &str,
    ) -> Result<Option<T>, EngineError> {
        let answer = self.transport.ask(Exchange::get(path), INSPECT_LIMIT).await;
        match answer.and_then(|bytes| wire::parse(&bytes)) {
            Ok(found) => Ok(Some(found)),
            Err(trouble) if trouble.is_missing() => Ok(None),
            Err(trouble) => Err(trouble.during(Call::Ask, format!("{verb} {subject}"))),
        }
    }

    /// Networks with the label of this fleet.
    async fn networks_of(&self, fleet: &str) -> Result<BTreeSet<String>, EngineError> {
        let label = format!("{}={fleet}", crate::model::label::FLEET);
        let filters = serde_json::json!({ "label": [label] }).to_string();
        let path = format!("/networks?filters={}", encoded(&filters));
        let found: Vec<ListedNetwork> = self
            .transport
            .ask(Exchange::get(path), INSPECT_LIMIT)
            .await
            .and_then(|bytes| wire::parse(&bytes))
            .map_err(|trouble| trouble.during(Call::Ask, "list networks"))?;
        Ok(found.into_iter().map(|network| network.name).collect())
    }

    /// What stands in `desired.json`, which is a link to one of the slots beside it.
    async fn read_twin(&self, container: &str) -> Result<Option<TwinSeen>, EngineError> {
        let path = format!("{ENGINE_FILES}/desired.json");
        let Some(target) = self.link_target(container, &path).await? else { return Ok(None) };
        // Engines give the target as written, or from the container's root on.
        let name = target.strip_prefix(&format!("{ENGINE_FILES}/")).unwrap_or(&target);
        if name.is_empty() || name.contains('/') || name == ".." {
            return Ok(None);
        }
        let path = format!("{ENGINE_FILES}/{name}");
        let content = self.read_plain_file(container, &path, TWIN_BYTES).await?;
        Ok(content.as_deref().and_then(TwinSeen::in_file))
    }
}

fn observed(listed: Listed) -> ObservedContainer {
    let Listed {
        id,
        names,
        image,
        image_id,
        labels,
        state,
        status,
        host_config,
        network_settings,
        ports,
        mounts,
    } = listed;
    // A name with a second slash is a legacy link from another container.
    let name = names
        .iter()
        .map(|name| name.strip_prefix('/').unwrap_or(name))
        .find(|name| !name.contains('/'))
        .unwrap_or_default()
        .to_owned();
    let ports: BTreeSet<ObservedPort> = ports
        .into_iter()
        .filter_map(|port| {
            let host = port.public_port.filter(|host| *host > 0)?;
            Some(ObservedPort { ip: port.ip, host, protocol: port.protocol })
        })
        .collect();
    ObservedContainer {
        id,
        name,
        image,
        image_id,
        labels,
        state: state_of(&state, &status),
        health: health_of(&status),
        networks: network_settings.networks.into_keys().collect(),
        network_mode: host_config.network_mode,
        ports: ports.into_iter().collect(),
        mounts: mounts
            .into_iter()
            .map(|mount| ObservedMount {
                volume: if mount.kind == "volume" { mount.name } else { String::new() },
                target: mount.destination,
            })
            .collect(),
        detail: None,
    }
}

/// From the list's `State` and `Status` (`Exited (3) 8 seconds ago`).
fn state_of(state: &str, status: &str) -> ContainerState {
    match state {
        "created" | "initialized" => ContainerState::Created,
        "running" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "restarting" => ContainerState::Restarting,
        "removing" => ContainerState::Removing,
        "dead" => ContainerState::Dead,
        "exited" | "stopped" => {
            let code = status.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
            match code.and_then(|(code, _)| code.parse().ok()) {
                Some(code) => ContainerState::Exited(code),
                None => ContainerState::Unknown,
            }
        }
        _ => ContainerState::Unknown,
    }
}

/// From the list's `Status` (`Up 7 seconds (healthy)`).
fn health_of(status: &str) -> Health {
    if status.ends_with("(healthy)") {
        Health::Healthy
    } else if status.ends_with("(unhealthy)") {
        Health::Unhealthy
    } else if status.ends_with("(health: starting)") {
        Health::Starting
    } else {
        Health::None
    }
}

fn detail(
    inspected: Inspected,
    image_labels: BTreeMap<String, String>,
    twin: Option<TwinSeen>,
) -> ContainerDetail {
    let Inspected { name: _, image_id: _, restart_count, state, config, host_config } = inspected;
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    ContainerDetail {
        image: config.image,
        image_labels,
        restart_policy: match host_config.restart_policy.name.as_str() {
            "" => "no".to_owned(),
            name => name.to_owned(),
        },
        memory: positive(host_config.memory),
        memory_swap: host_config.memory_swap,
        nano_cpus: positive(host_config.nano_cpus),
        restart_count,
        started_at: state.started_at,
        finished_at: state.finished_at,
        out_of_memory: state.out_of_memory,
        error: super::failure::tidied(&state.error),
        twin,
    }
}

impl Docker {
    /// Whether any container, running or not, is on the network.
    pub(super) async fn is_network_used(&self, network: &str) -> Result<bool, Trouble> {
        let filters = serde_json::json!({ "network": [network] }).to_string();
        let path = format!("/containers/json?all=1&filters={}", encoded(&filters));
        let exchange = Exchange::get(path).with_limit(LIST_BYTES);
        let bytes = self.transport.ask(exchange, LIST_LIMIT).await?;
        let users: Vec<Listed> = wire::parse(&bytes)?;
        Ok(!users.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_health_are_read_from_the_lists_words() {
        use ContainerState::{Created, Exited, Restarting, Running, Unknown};
        for (state, status, expected, health) in [
            ("created", "Created", Created, Health::None),
            ("running", "Up 7 seconds", Running, Health::None),
            ("running", "Up 7 seconds (healthy)", Running, Health::Healthy),
            ("running", "Up 7 seconds (unhealthy)", Running, Health::Unhealthy),
            ("running", "Up 1 second (health: starting)", Running, Health::Starting),
            ("paused", "Up 7 seconds (Paused)", ContainerState::Paused, Health::None),
            ("exited", "Exited (3) 8 seconds ago", Exited(3), Health::None),
            ("stopped", "Exited (0) 8 seconds ago", Exited(0), Health::None),
            ("exited", "", Unknown, Health::None),
            ("restarting", "Restarting (5) Less than a second ago", Restarting, Health::None),
            ("thawing", "Up", Unknown, Health::None),
        ] {
            assert_eq!((state_of(state, status), health_of(status)), (expected, health), "{state}");
        }
    }

    #[test]
    fn one_strange_container_spoils_no_list() {
        let text = br#"[{"Id":"b","Names":["/other/db","/db"],"State":"stopped","Status":null,
            "Labels":null,"Ports":[{"PrivatePort":80,"Type":"sctp"},
            {"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],
            "Mounts":[{"Type":"bind","Source":"/x","Destination":"/y"}],
            "NetworkSettings":null,"HostConfig":{"NetworkMode":null},"New":{"a":1}},{"Id":"a"}]"#;
        let listed: Vec<Listed> = wire::parse(text).unwrap();
        let seen: Vec<ObservedContainer> = listed.into_iter().map(observed).collect();
        assert_eq!(seen[0].name, "db");
        assert_eq!(seen[0].state, ContainerState::Unknown);
        assert_eq!(seen[0].ports.len(), 1);
        assert_eq!(seen[0].mounts[0].volume, "");
        assert_eq!(seen[1].name, "");
    }
}
