//! One step → its engine calls.
//!
//! Enters: a [`Step`] and the secrets that it names. Leaves: its outcome. What a step finds done already is
//! fine; nothing else is decided here.

use super::Docker;
use super::failure::{Call, Trouble};
use super::networks::ambiguous;
use super::observe::REMOVING;
use super::transport::{Exchange, encoded};
use super::wait::{BETWEEN_LOOKS, Limits};
use super::wire::{self, Inspected, Made};
use crate::engine::{EngineError, EngineErrorKind, SecretValues};
use crate::model::{SecretName, label};
use crate::plan::{ContainerRef, Step, StepOutput};
use bollard::query_parameters::{
    PruneNetworksOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    RestartContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// For calls that change a record.
const QUICK: Duration = Duration::from_secs(30);
/// For calls in which processes and file systems are made or taken down.
const SLOW: Duration = Duration::from_secs(120);
/// A stop whose time-out is the container's own affair.
const LONGEST_STOP: Duration = Duration::from_secs(900);
/// An engine needs so long beyond a stop's own timeout.
const STOP_MARGIN: Duration = Duration::from_secs(30);

/// An engine that can't be asked for its version on a new connection did not get to the step itself.
fn before(step: &Step, error: EngineError) -> EngineError {
    EngineError { message: format!("could not {step}: {}", error.message), ..error }
}

impl Docker {
    pub(super) async fn run(
        &self,
        step: &Step,
        secrets: &SecretValues,
    ) -> Result<StepOutput, EngineError> {
        self.negotiate().await.map_err(|error| before(step, error))?;
        let call = match step {
            Step::Pull { image, credentials, if_present_is_enough } => {
                return self
                    .pull(image, credentials.as_ref(), *if_present_is_enough, secrets)
                    .await;
            }
            Step::Create { name, body, secrets: variables } => {
                return self.create(step, name, body, variables, secrets).await;
            }
            Step::WaitRunning { container, steady, deadline, may_end } => {
                let limits = Limits {
                    steady: steady.to_std(),
                    deadline: deadline.to_std(),
                    may_end: *may_end,
                };
                self.wait_running(container, limits, secrets).await?;
                return Ok(StepOutput::Done);
            }
            Step::Rename { container, name } => {
                return self.rename(step, container, name, secrets).await;
            }
            Step::Remove { container } => return self.remove(step, container).await,
            Step::RemoveNetwork { name, labels } => return self.prune(step, name, labels).await,
            Step::CreateNetwork { .. } => Call::Network,
            Step::Start { .. } | Step::Restart { .. } => Call::Start,
            Step::Connect { .. }
            | Step::WriteFiles { .. }
            | Step::Update { .. }
            | Step::Stop { .. }
            | Step::Unpause { .. } => Call::Change,
        };
        self.change(step)
            .await
            .map(|()| StepOutput::Done)
            .map_err(|trouble| trouble.masked(secrets).during(call, step))
    }

    /// A container that ends at this very moment can't be updated; once it has ended, it can.
    async fn update(&self, path: String, body: &Json) -> Result<(), Trouble> {
        let begun = Instant::now();
        loop {
            match self.post(path.clone(), body, QUICK).await {
                Err(Trouble::Status { message, .. })
                    if message.contains("cannot update a stopped container")
                        && begun.elapsed() < QUICK =>
                {
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                }
                done => return done,
            }
        }
    }

    /// Steps of one call whose failure is told by its text alone.
    async fn change(&self, step: &Step) -> Result<(), Trouble> {
        let done = match step {
            Step::CreateNetwork { name, subnet, labels } => {
                let body = network_body(name, subnet.as_deref(), labels);
                match self.post("/networks/create".to_owned(), &body, QUICK).await {
                    Ok(()) => self.settle_networks(name).await,
                    failed => failed,
                }
            }
            Step::Connect { container, network, aliases } => {
                let body = json!({
                    "Container": container.as_str(),
                    "EndpointConfig": { "Aliases": aliases },
                });
                let path = format!("/networks/{}/connect", encoded(network));
                self.post(path, &body, QUICK).await
            }
            Step::WriteFiles { container, entries } => {
                self.write_files(container.as_str(), entries).await
            }
            Step::Update { container, restart_policy, memory, nano_cpus } => {
                let body = update_body(restart_policy.as_deref(), *memory, *nano_cpus);
                let path = format!("/containers/{}/update", encoded(container.as_str()));
                self.update(path, &body).await
            }
            Step::Start { container } => {
                let done = self.start(container.as_str()).await;
                match done.as_ref().err().and_then(ambiguous) {
                    Some(network) => {
                        self.settle_networks(network).await?;
                        self.start(container.as_str()).await
                    }
                    None => done,
                }
            }
            Step::Stop { container, timeout } => {
                let mut options = StopContainerOptionsBuilder::default();
                if let Some(timeout) = timeout {
                    options = options.t(whole_seconds(*timeout));
                }
                let call = self.client.stop_container(container.as_str(), Some(options.build()));
                let limit = timeout.map_or(LONGEST_STOP, crate::model::Duration::to_std);
                self.within(limit + STOP_MARGIN, call).await
            }
            Step::Restart { container, timeout } => {
                let seconds = whole_seconds(*timeout);
                let options = RestartContainerOptionsBuilder::default().t(seconds).build();
                let call = self.client.restart_container(container.as_str(), Some(options));
                self.within(timeout.to_std() + SLOW, call).await
            }
            Step::Unpause { container } => {
                self.within(QUICK, self.client.unpause_container(container.as_str())).await
            }
            Step::Pull { .. }
            | Step::Create { .. }
            | Step::WaitRunning { .. }
            | Step::Rename { .. }
            | Step::Remove { .. }
            | Step::RemoveNetwork { .. } => Ok(()),
        };
        match done {
            Err(Trouble::Status { status, message }) if is_done_already(step, status, &message) => {
                Ok(())
            }
            other => other,
        }
    }

    async fn start(&self, container: &str) -> Result<(), Trouble> {
        let options: Option<StartContainerOptions> = None;
        self.within(SLOW, self.client.start_container(container, options)).await
    }

    async fn post(&self, path: String, body: &Json, limit: Duration) -> Result<(), Trouble> {
        self.transport.ask(Exchange::post(path, Some(body)), limit).await.map(|_| ())
    }

    /// The body goes as it is: bollard's type would drop keys that it does not know.
    async fn create(
        &self,
        step: &Step,
        name: &str,
        body: &Json,
        variables: &BTreeMap<String, SecretName>,
        secrets: &SecretValues,
    ) -> Result<StepOutput, EngineError> {
        let filled = fill_in(name, body, variables, secrets)?;
        let path = format!("/containers/create?name={}", encoded(name));
        let body = filled.as_ref().unwrap_or(body);
        let begun = Instant::now();
        loop {
            let exchange = Exchange::post(path.clone(), Some(body));
            let made = self.transport.ask(exchange, SLOW).await;
            let trouble = match made.and_then(|bytes| wire::parse::<Made>(&bytes)) {
                Ok(made) => return Ok(StepOutput::Created { id: made.id }),
                Err(trouble) => trouble,
            };
            if trouble.refused_with(409).is_some_and(|text| text.contains("already in use")) {
                match self.inspect(name).await? {
                    Some(seen) if is_made_of(&seen, body) => {
                        return Ok(StepOutput::Created { id: seen.id });
                    }
                    // Who has the name is being removed: that it ended is told before it is gone.
                    Some(seen) if seen.state.status != REMOVING => {}
                    // A call whose caller was killed goes on: the name is taken before there is a container.
                    _ if begun.elapsed() < SLOW => {
                        tokio::time::sleep(BETWEEN_LOOKS).await;
                        continue;
                    }
                    _ => {}
                }
            }
            return Err(trouble.masked(secrets).during(Call::Create, step));
        }
    }

    async fn rename(
        &self,
        step: &Step,
        container: &ContainerRef,
        name: &str,
        secrets: &SecretValues,
    ) -> Result<StepOutput, EngineError> {
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        let call = self.client.rename_container(container.as_str(), options);
        let Err(trouble) = self.within(QUICK, call).await else { return Ok(StepOutput::Done) };
        if matches!(trouble, Trouble::Status { .. })
            && let Some(seen) = self.inspect(container.as_str()).await?
        {
            if seen.name.trim_start_matches('/') == name {
                return Ok(StepOutput::Done);
            }
            // Between two starts it has nothing that the engine could rename: that it ends is the matter.
            if let Some(error) = self.ends_again_and_again(&seen, secrets).await {
                return Err(error);
            }
        }
        Err(trouble.during(Call::Rename, step))
    }

    async fn remove(
        &self,
        step: &Step,
        container: &ContainerRef,
    ) -> Result<StepOutput, EngineError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let call = self.client.remove_container(container.as_str(), Some(options));
        match self.within(SLOW, call).await {
            Ok(()) => Ok(StepOutput::Done),
            Err(trouble) if trouble.is_missing() => Ok(StepOutput::Done),
            Err(trouble)
                if trouble
                    .refused_with(409)
                    .is_some_and(|text| text.contains("already in progress")) =>
            {
                self.wait_gone(container.as_str()).await?;
                Ok(StepOutput::Done)
            }
            Err(trouble) => Err(trouble.during(Call::Change, step)),
        }
    }

    /// By the engine's own prune with our labels as filter: it can't hit a network of anybody else, nor one
    /// with a running container. A stopped container does not hold a network, so that is looked up first.
    async fn prune(
        &self,
        step: &Step,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<StepOutput, EngineError> {
        if labels.is_empty() {
            let words = format!("network {name} is not removed without labels to know it by");
            return Err(EngineError::new(EngineErrorKind::Refused, words));
        }
        let failed = |trouble: Trouble| trouble.during(Call::Network, step);
        if self.is_network_used(name).await.map_err(failed)? {
            let words = format!("network {name} stays: a container is still on it");
            return Ok(StepOutput::DoneWithWarning(words));
        }
        let filters: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let filters = [("label".to_owned(), filters)].into();
        let options = PruneNetworksOptionsBuilder::default().filters(&filters).build();
        self.within(SLOW, self.client.prune_networks(Some(options))).await.map_err(failed)?;
        Ok(StepOutput::Done)
    }
}

/// Whether a refusal says only that nothing is left to do.
fn is_done_already(step: &Step, status: u16, message: &str) -> bool {
    match step {
        // 409 of Docker, 500 of Podman.
        Step::CreateNetwork { .. } => status >= 409 && message.contains("already exists"),
        Step::Connect { .. } => {
            message.contains("already exists in network") || message.contains("already connected")
        }
        Step::Unpause { .. } => message.contains("is not paused"),
        _ => false,
    }
}

fn whole_seconds(timeout: crate::model::Duration) -> i32 {
    i32::try_from(timeout.seconds_up()).unwrap_or(i32::MAX)
}

fn network_body(name: &str, subnet: Option<&str>, labels: &BTreeMap<String, String>) -> Json {
    let mut body = json!({
        "Name": name,
        "CheckDuplicate": true,
        "Driver": "bridge",
        "Labels": labels,
    });
    if let Some(subnet) = subnet {
        body["IPAM"] = json!({ "Config": [{ "Subnet": subnet }] });
    }
    body
}

fn update_body(policy: Option<&str>, memory: Option<u64>, nano_cpus: Option<u64>) -> Json {
    let mut body = Map::new();
    if let Some(policy) = policy {
        let (name, count) = policy.split_once(':').unwrap_or((policy, ""));
        let policy = match count.parse::<u64>() {
            Ok(count) => json!({ "Name": name, "MaximumRetryCount": count }),
            Err(_) => json!({ "Name": name }),
        };
        body.insert("RestartPolicy".to_owned(), policy);
    }
    if let Some(memory) = memory {
        body.insert("Memory".to_owned(), json!(memory));
        body.insert("MemorySwap".to_owned(), json!(memory.saturating_mul(2)));
    }
    if let Some(nano_cpus) = nano_cpus {
        body.insert("NanoCpus".to_owned(), json!(nano_cpus));
    }
    Json::Object(body)
}

/// Whether a container is what this body makes, not used yet: all of our labels say so, and these name its
/// specification.
fn is_made_of(seen: &Inspected, body: &Json) -> bool {
    let Some(labels) = body["Labels"].as_object() else { return false };
    labels.contains_key(label::SPEC)
        && seen.state.status == "created"
        && labels
            .iter()
            .all(|(key, value)| seen.config.labels.get(key).map(String::as_str) == value.as_str())
}

/// The body with the values of secrets in its `Env`; `None` if it needs none.
fn fill_in(
    name: &str,
    body: &Json,
    variables: &BTreeMap<String, SecretName>,
    secrets: &SecretValues,
) -> Result<Option<Json>, EngineError> {
    if variables.is_empty() {
        return Ok(None);
    }
    let refuse = |words: String| {
        Err(EngineError::new(EngineErrorKind::Refused, format!("could not create {name}: {words}")))
    };
    let mut filled = body.clone();
    let Some(object) = filled.as_object_mut() else {
        return refuse("its body is no object".to_owned());
    };
    let env = object.entry("Env").or_insert_with(|| json!([]));
    if env.is_null() {
        *env = json!([]);
    }
    let Some(env) = env.as_array_mut() else {
        return refuse("its Env is no list".to_owned());
    };
    for (variable, secret) in variables {
        let value = match secrets.value(secret) {
            Ok(value) => value,
            Err(reason) => return refuse(format!("{variable}: {reason}")),
        };
        let own = |entry: &Json| {
            entry.as_str().is_some_and(|text| {
                text == variable
                    || text.strip_prefix(variable.as_str()).is_some_and(|t| t.starts_with('='))
            })
        };
        env.retain(|entry| !own(entry));
        env.push(Json::String(format!("{variable}={value}")));
    }
    Ok(Some(filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_into_the_environment_in_place_of_what_is_there() {
        let body = json!({"Image": "x:1", "Env": ["A=1", "TOKEN=old", "TOKENS=2"]});
        let variables = [("TOKEN".to_owned(), SecretName::parse("api").unwrap())].into();
        let mut secrets = SecretValues::default();
        secrets.insert(&SecretName::parse("api").unwrap(), Ok("s3cret".to_owned()));
        let filled = fill_in("cam", &body, &variables, &secrets).unwrap().unwrap();
        assert_eq!(filled["Env"], json!(["A=1", "TOKENS=2", "TOKEN=s3cret"]));
        let error = fill_in("cam", &body, &variables, &SecretValues::default()).unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Refused);
        insta::assert_snapshot!(
            error,
            @"could not create cam: TOKEN: the secret `api` is not known to this control host, or not for this device"
        );
        assert_eq!(fill_in("cam", &body, &BTreeMap::new(), &secrets).unwrap(), None);
        let echoed = Trouble::Status { status: 400, message: "bad s3cret".to_owned() };
        assert!(!echoed.masked(&secrets).to_string().contains("s3cret"));
    }

    #[test]
    fn memory_is_set_together_with_swap() {
        assert_eq!(
            update_body(Some("no"), Some(1 << 20), None),
            json!({"RestartPolicy": {"Name": "no"}, "Memory": 1 << 20, "MemorySwap": 2 << 20})
        );
    }
}
