//! What the contract needs of an engine under test: the port, and hands beside it.

use crate::testbed::{Dockerd, signal};
use hoist::engine::docker::Docker;
use hoist::engine::simulated::{Behaviour, CallKind, Fault, Simulated};
use hoist::engine::{Engine, EngineError, SecretValues, Wanted};
use hoist::model::{ContainerDetail, EngineAddress, Observation, ObservedContainer};
use hoist::plan::{ContainerRef, Step, StepOutput};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// What the module of an image does.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    /// Runs until it is stopped; healthy.
    Runs,
    /// Ends by itself with a code, after milliseconds.
    Ends(i64, u64),
    /// Its command is not there.
    BadCommand,
    /// Runs, and its check says no.
    Unhealthy,
    /// Runs, and writes `to out` and `to err`, each to its stream.
    Speaks,
}

/// An engine under test.
pub(crate) trait Bench {
    /// The port.
    fn engine(&self) -> &dyn Engine;
    /// The engine has this image.
    fn image(&self, name: &str, does: Does, labels: &[(&str, &str)]);
    /// A reference that no registry has.
    fn missing_image(&self) -> String;
    /// A registry does not have it, though the engine may.
    fn unpublish(&self, name: &str);
    /// The process of a container is killed.
    fn kill(&self, container: &str);
    /// Somebody freezes a container.
    fn pause(&self, container: &str);
    /// Somebody removes a network.
    fn remove_network(&self, network: &str);
    /// The engine takes connections and says nothing to the next question for a sign of life.
    fn hang(&self);
    /// It goes on.
    fn go_on(&self);
}

impl dyn Bench + '_ {
    pub(crate) async fn try_run(&self, step: Step) -> Result<StepOutput, EngineError> {
        self.engine().execute(&step, &SecretValues::default()).await
    }

    pub(crate) async fn run(&self, step: Step) -> StepOutput {
        let words = step.to_string();
        match self.try_run(step).await {
            Ok(output) => output,
            Err(error) => panic!("{words}: {:?}: {error}", error.kind),
        }
    }

    pub(crate) async fn fails(&self, step: Step) -> EngineError {
        let words = step.to_string();
        match self.try_run(step).await {
            Ok(output) => panic!("{words} went well: {output:?}"),
            Err(error) => {
                assert!(error.message.len() < 700, "{}", error.message);
                assert!(!error.message.contains('\n'), "{}", error.message);
                error
            }
        }
    }

    pub(crate) async fn create(&self, name: &str, body: Json) -> String {
        let step = Step::Create { name: name.to_owned(), body, secrets: [].into() };
        match self.run(step).await {
            StepOutput::Created { id } => id,
            other => panic!("create gave {other:?}"),
        }
    }

    pub(crate) async fn up(&self, name: &str, body: Json) -> String {
        let id = self.create(name, body).await;
        self.run(start(name)).await;
        id
    }

    pub(crate) async fn list(&self) -> Observation {
        self.engine().observe(&Wanted::list_only()).await.expect("a list")
    }

    pub(crate) async fn see(&self, name: &str) -> ObservedContainer {
        let list = self.list().await;
        let found = list.containers.into_iter().find(|container| container.name == name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }

    pub(crate) async fn detail(&self, name: &str) -> ContainerDetail {
        let wanted = Wanted { details: &|c| c.name == name, twins: true, ..Wanted::list_only() };
        let seen = self.engine().observe(&wanted).await.expect("an observation");
        let found = seen.containers.into_iter().find(|container| container.name == name);
        found.and_then(|found| found.detail).unwrap_or_else(|| panic!("no details of {name}"))
    }
}

pub(crate) fn named(name: &str) -> ContainerRef {
    ContainerRef::Name(name.to_owned())
}

pub(crate) fn start(name: &str) -> Step {
    Step::Start { container: named(name) }
}

pub(crate) fn stop(name: &str) -> Step {
    Step::Stop { container: named(name), timeout: Some(hoist::model::Duration { millis: 500 }) }
}

pub(crate) fn remove(name: &str) -> Step {
    Step::Remove { container: named(name) }
}

pub(crate) fn rename(name: &str, new: &str) -> Step {
    Step::Rename { container: named(name), name: new.to_owned() }
}

pub(crate) fn wait(name: &str, steady: u64, deadline: u64) -> Step {
    Step::WaitRunning {
        container: named(name),
        steady: hoist::model::Duration { millis: steady },
        deadline: hoist::model::Duration { millis: deadline },
        may_end: false,
    }
}

/// A wait for a module that may run once and end well.
pub(crate) fn wait_for_end(name: &str) -> Step {
    Step::WaitRunning {
        container: named(name),
        steady: hoist::model::Duration { millis: 5000 },
        deadline: hoist::model::Duration { millis: 9000 },
        may_end: true,
    }
}

pub(crate) fn policy(name: &str, policy: &str) -> Step {
    Step::Update {
        container: named(name),
        restart_policy: Some(policy.to_owned()),
        memory: None,
        nano_cpus: None,
    }
}

/// A body of a module of a fleet.
pub(crate) fn body_of(image: &str, fleet: &str) -> Json {
    let mut body = body(image);
    body["Labels"]["hoist.fleet"] = json!(fleet);
    body
}

/// A body without networks, whose twin goes into an anonymous volume.
pub(crate) fn body(image: &str) -> Json {
    json!({
        "Image": image,
        "Labels": { "hoist.module": "m" },
        "Volumes": { "/run/hoist": {} },
        "HostConfig": { "NetworkMode": "none" },
    })
}

/// A check that says what the image's behaviour says.
pub(crate) fn check() -> Json {
    json!({
        "Test": ["CMD", "/bin/cat", "/tmp/well"],
        "Interval": 500_000_000,
        "Timeout": 5_000_000_000_u64,
        "Retries": 1,
    })
}

/// The simulated one, new for each case.
pub(crate) struct SimulatedBench {
    pub(crate) engine: Simulated,
}

impl SimulatedBench {
    pub(crate) fn new(path: Option<PathBuf>, device: &str) -> Self {
        Self { engine: Simulated::open(path, device).expect("an engine") }
    }
}

impl Bench for SimulatedBench {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn image(&self, name: &str, does: Does, labels: &[(&str, &str)]) {
        let labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let control = self.engine.control();
        control.load_image(name, &labels).expect("an image");
        let behaviour = match does {
            Does::Runs => Behaviour::Runs,
            Does::Ends(code, after) => Behaviour::Ends { code, after },
            Does::BadCommand => Behaviour::BadCommand,
            Does::Unhealthy => Behaviour::Unhealthy,
            Does::Speaks => {
                Behaviour::Speaks { stdout: "to out".to_owned(), stderr: "to err".to_owned() }
            }
        };
        control.behave(name, behaviour).expect("a behaviour");
    }

    fn missing_image(&self) -> String {
        self.unpublish("test/nowhere:1");
        "test/nowhere:1".to_owned()
    }

    fn unpublish(&self, name: &str) {
        self.engine.control().set_missing(name, true).expect("a registry");
    }

    fn kill(&self, container: &str) {
        self.engine.control().kill(container, 137).expect("a process");
    }

    fn pause(&self, container: &str) {
        self.engine.control().pause(container).expect("a container");
    }

    fn remove_network(&self, network: &str) {
        self.engine.control().remove_network(network).expect("a network");
    }

    fn hang(&self) {
        self.engine.control().fault_next(CallKind::Answers, Fault::Hang);
    }

    fn go_on(&self) {}
}

/// A private dockerd, swept before each case.
pub(crate) struct DockerBench<'a> {
    pub(crate) daemon: &'a Dockerd,
    engine: Docker,
}

impl<'a> DockerBench<'a> {
    pub(crate) fn new(daemon: &'a Dockerd) -> Self {
        let listed = daemon.raw("GET", "/containers/json?all=1", None).json();
        for container in listed.as_array().into_iter().flatten() {
            let id = container["Id"].as_str().expect("an id");
            daemon.raw("DELETE", &format!("/containers/{id}?force=1&v=1"), None);
        }
        daemon.raw("POST", "/networks/prune", None);
        let address = EngineAddress::parse(&daemon.address()).expect("an address");
        Self { daemon, engine: Docker::connect(&address).expect("an engine") }
    }
}

impl Bench for DockerBench<'_> {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn image(&self, name: &str, does: Does, labels: &[(&str, &str)]) {
        const LOOP: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
        let well = format!("echo ok > /tmp/well; {LOOP}");
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a test")]
        let ends = |code, after| format!("sleep {}; exit {code}", after as f64 / 1000.0);
        match does {
            Does::Runs => self.daemon.load_image(name, labels, &["/bin/sh", "-c", &well]),
            Does::Ends(code, after) => {
                self.daemon.load_image(name, labels, &["/bin/sh", "-c", &ends(code, after)]);
            }
            Does::BadCommand => self.daemon.load_image(name, labels, &["/nonexistent"]),
            Does::Unhealthy => self.daemon.load_image(name, labels, &["/bin/sh", "-c", LOOP]),
            Does::Speaks => {
                let speaks = format!("echo to out; echo to err >&2; {LOOP}");
                self.daemon.load_image(name, labels, &["/bin/sh", "-c", &speaks]);
            }
        }
    }

    fn missing_image(&self) -> String {
        // Nothing listens on that port: the registry can't be reached, and nothing leaves this machine.
        "127.0.0.1:1/nowhere:1".to_owned()
    }

    fn unpublish(&self, name: &str) {
        assert!(name.starts_with("127.0.0.1:1/"), "{name} could be asked of a real registry");
    }

    fn kill(&self, container: &str) {
        self.daemon.kill_process(container);
        while self.daemon.inspect(container)["State"]["Status"] == "running" {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn pause(&self, container: &str) {
        let answer = self.daemon.raw("POST", &format!("/containers/{container}/pause"), None);
        assert_eq!(answer.status, 204, "{}", answer.text);
    }

    fn remove_network(&self, network: &str) {
        let answer = self.daemon.raw("DELETE", &format!("/networks/{network}"), None);
        assert_eq!(answer.status, 204, "{}", answer.text);
    }

    fn hang(&self) {
        let pid = self.daemon.pid();
        signal(pid, "STOP");
        let state = format!("/proc/{pid}/task/{pid}/status");
        let is_stopped = || {
            let text = std::fs::read_to_string(&state).expect("a process");
            text.lines().any(|line| line.starts_with("State:\tT"))
        };
        while !is_stopped() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn go_on(&self) {
        signal(self.daemon.pid(), "CONT");
    }
}
