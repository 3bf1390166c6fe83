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
    ContainerDetail, ContainerState, ENGINE_FILES, Health, MadeWith, Observation,
    ObservedContainer, ObservedMount, ObservedPort, TwinFile,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LIST_LIMIT: Duration = Duration::from_secs(60);
/// What an engine says of a container that it is taking away.
pub(super) const REMOVING: &str = "removing";
const LIST_BYTES: u64 = 64 << 20;
const INSPECT_LIMIT: Duration = Duration::from_secs(20);
/// How often a look is repeated while a container is neither whole nor gone, and after which pause.
const LOOKS_AGAIN: usize = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// Containers whose details are asked for side by side.
const SIDE_BY_SIDE: usize = 4;
/// A twin is at most this large; Hoist writes none that is larger.
const TWIN_BYTES: usize = 4 << 20;

impl Docker {
    /// A container that is listed and can't be inspected is being made or removed: looked at again it is there
    /// whole, or gone. One that stays so has no details.
    pub(super) async fn look(&self, wanted: &Wanted<'_>) -> Result<Observation, EngineError> {
        self.negotiate().await?;
        for _ in 0..LOOKS_AGAIN {
            let (observation, is_whole) = self.look_once(wanted).await?;
            if is_whole {
                return Ok(observation);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        self.look_once(wanted).await.map(|(observation, _)| observation)
    }

    /// And whether everything that was asked for was there.
    async fn look_once(&self, wanted: &Wanted<'_>) -> Result<(Observation, bool), EngineError> {
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
        let details: Vec<(usize, Option<Inspected>, TwinFile)> = stream::iter(chosen)
            .map(|(at, id)| async move {
                let inspected = self.inspect(&id).await?;
                let twin = match inspected {
                    Some(_) if wanted.twins => self.read_twin(&id).await.unwrap_or_default(),
                    _ => TwinFile::NotRead,
                };
                Ok::<_, EngineError>((at, inspected, twin))
            })
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        let mut is_whole = true;
        let mut image_labels: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (at, inspected, twin) in details {
            let Some(inspected) = inspected else {
                is_whole = false;
                continue;
            };
            let image = &inspected.image_id;
            if !image_labels.contains_key(image) {
                let labels = self.inspect_image(image).await?.map(|i| i.config.labels);
                image_labels.insert(image.clone(), labels.unwrap_or_default());
            }
            let labels = image_labels.get(image).cloned().unwrap_or_default();
            containers[at].detail = Some(detail(inspected, labels, twin));
        }

        let mut networks = None;
        for fleet in wanted.networks_of {
            networks.get_or_insert_with(BTreeSet::new).extend(self.networks_of(fleet).await?);
        }
        let mut images = BTreeMap::new();
        for image in wanted.images {
            images.insert(image.clone(), self.inspect_image(image).await?.is_some());
        }
        let network_ids = match wanted.network_ids {
            true => Some(self.network_ids().await?),
            false => None,
        };
        Ok((Observation { containers, networks, network_ids, images }, is_whole))
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
            Err(trouble) => {
                let is_id = subject.len() == 64 && subject.bytes().all(|b| b.is_ascii_hexdigit());
                let shown = if is_id { &subject[..12] } else { subject };
                Err(trouble.during(Call::Ask, format!("{verb} {shown}")))
            }
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

    /// All networks, by name.
    async fn network_ids(&self) -> Result<BTreeMap<String, String>, EngineError> {
        let exchange = Exchange::get("/networks");
        let answer = self.transport.ask(exchange, INSPECT_LIMIT).await;
        let found: Vec<ListedNetwork> = answer
            .and_then(|bytes| wire::parse(&bytes))
            .map_err(|trouble| trouble.during(Call::Ask, "list networks"))?;
        Ok(found.into_iter().map(|network| (network.name, network.id)).collect())
    }

    /// What stands in `desired.json`, which is a link to one of the slots beside it.
    async fn read_twin(&self, container: &str) -> Result<TwinFile, EngineError> {
        let path = format!("{ENGINE_FILES}/desired.json");
        let Some(target) = self.link_target(container, &path).await? else {
            return Ok(TwinFile::Foreign);
        };
        // Engines give the target as written, or from the container's root on.
        let name = target.strip_prefix(&format!("{ENGINE_FILES}/")).unwrap_or(&target);
        if name.is_empty() || name.contains('/') || name == ".." {
            return Ok(TwinFile::Foreign);
        }
        let path = format!("{ENGINE_FILES}/{name}");
        let content = self.read_plain_file(container, &path, TWIN_BYTES).await?;
        Ok(TwinFile::read(content.as_deref()))
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
        networks: network_settings.networks.keys().cloned().collect(),
        network_ids: network_settings
            .networks
            .into_iter()
            .filter_map(|(name, endpoint)| Some((name, endpoint?.network_id)))
            .filter(|(_, id)| !id.is_empty())
            .collect(),
        up_for: up_for(&status),
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
        REMOVING => ContainerState::Removing,
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

/// From the list's `Status` (`Up 7 seconds (healthy)`, `Up About an hour`): the least that it can mean.
fn up_for(status: &str) -> Option<u64> {
    let text = status.strip_prefix("Up ")?;
    let text = text.split_once(" (").map_or(text, |(text, _)| text);
    Some(match text {
        "Less than a second" => 0,
        "About a minute" => 60,
        // Hours are rounded to the nearest.
        "About an hour" => 30 * 60,
        _ => {
            let (number, unit) = text.split_once(' ')?;
            let number: u64 = number.parse().ok()?;
            match unit.trim_end_matches('s') {
                "second" => number,
                "minute" => number * 60,
                "hour" => (number * 60).saturating_sub(30) * 60,
                "day" => number * 86_400,
                "week" => number * 7 * 86_400,
                "month" => number * 30 * 86_400,
                "year" => number * 365 * 86_400,
                _ => return None,
            }
        }
    })
}

fn detail(
    inspected: Inspected,
    image_labels: BTreeMap<String, String>,
    twin: TwinFile,
) -> ContainerDetail {
    let Inspected { id: _, name: _, image_id: _, restart_count, state, config, host_config } =
        inspected;
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    ContainerDetail {
        image: config.image,
        image_labels,
        restart_policy: match host_config.restart_policy.name.as_str() {
            "" => "no".to_owned(),
            name => match host_config.restart_policy.maximum_retry_count {
                0 => name.to_owned(),
                tries => format!("{name}:{tries}"),
            },
        },
        memory: positive(host_config.memory),
        memory_swap: host_config.memory_swap,
        nano_cpus: positive(host_config.nano_cpus),
        restart_count,
        started_at: state.started_at,
        finished_at: state.finished_at,
        out_of_memory: state.out_of_memory,
        error: super::failure::tidied(&state.error),
        made_with: Some(MadeWith::read(
            &config.env.0,
            &config.cmd,
            &config.entrypoint,
            &host_config.port_bindings,
        )),
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
    fn how_long_it_has_been_up_is_at_least_what_the_list_says() {
        for (status, seconds) in [
            ("Up Less than a second", Some(0)),
            ("Up 1 second", Some(1)),
            ("Up 8 seconds (healthy)", Some(8)),
            ("Up About a minute", Some(60)),
            ("Up 5 minutes (health: starting)", Some(300)),
            ("Up About an hour", Some(1800)),
            ("Up 3 hours", Some(9000)),
            ("Up 2 weeks", Some(1_209_600)),
            ("Up", None),
            ("Exited (0) 8 seconds ago", None),
        ] {
            assert_eq!(up_for(status), seconds, "{status}");
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
