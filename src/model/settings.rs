//! The settings of a module, each as a type of its own, and the partial form in which one file gives them.

use super::duration::Duration;
use super::mapping::{HostDevice, Port, Volume};
use super::name::SecretName;
use super::table::Table;
use super::value::{Value, path_segment};
use std::collections::BTreeMap;
use std::fmt;

/// What one file says about a module: `None` is *not said*. Texts may hold templates.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the keys are those of the fleet files, described there")]
pub struct ModuleSettings {
    pub image: Option<String>,
    pub version: Option<String>,
    pub status: Option<Status>,
    pub restart_policy: Option<RestartPolicy>,
    pub image_pull_policy: Option<PullPolicy>,
    pub startup_order: Option<u32>,
    pub stop_timeout: Option<Duration>,
    pub probation: Option<Duration>,
    pub keep_previous: Option<Duration>,
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub user: Option<String>,
    pub hostname: Option<String>,
    pub ports: Option<Vec<Port>>,
    pub volumes: Option<Vec<Volume>>,
    pub tmpfs: Option<Vec<String>>,
    pub host_devices: Option<Vec<HostDevice>>,
    pub networks: Option<Vec<String>>,
    pub network_mode: Option<NetworkMode>,
    pub extra_hosts: Option<BTreeMap<String, String>>,
    pub memory: Option<u64>,
    pub cpus: Option<u64>,
    pub shm_size: Option<u64>,
    pub gpus: Option<Gpus>,
    pub privileged: Option<bool>,
    pub cap_add: Option<Vec<String>>,
    pub cap_drop: Option<Vec<String>>,
    pub read_only: Option<bool>,
    pub init: Option<bool>,
    pub log: Option<LogSettings>,
    pub health: Option<HealthCheck>,
    pub labels: Option<BTreeMap<String, String>>,
    pub env: Option<BTreeMap<String, EnvValue>>,
    pub create_options: Option<Table>,
    pub router: Option<bool>,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$vdoc])* $variant,)* }

        impl $type {
            /// Every word that files may use for it.
            pub const WORDS: &'static [&'static str] = &[$($text,)*];

            /// The word for it in files.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Parses the word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// Whether a module should run.
    Status {
        /// It should run.
        Running = "running",
        /// It should be there and not run.
        Stopped = "stopped",
    }
);
words!(
    /// When a module that ended is started again.
    RestartPolicy {
        /// Whenever it ends.
        Always = "always",
        /// When it ends with another code than 0 (Docker's meaning).
        OnFailure = "on-failure",
        /// Whenever it ends, and when its health check fails.
        OnUnhealthy = "on-unhealthy",
        /// Never.
        Never = "never",
    }
);
words!(
    /// When an image is pulled.
    PullPolicy {
        /// If the engine lacks it.
        OnCreate = "on-create",
        /// Before each create.
        Always = "always",
        /// Never: it must be there.
        Never = "never",
    }
);
words!(
    /// A network instead of networks.
    NetworkMode {
        /// The device's own.
        Host = "host",
        /// None at all.
        None = "none",
    }
);
words!(
    /// A transport protocol of a published port.
    Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
);

/// Which GPUs a module gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpus {
    /// All of the device's.
    All,
    /// So many.
    Count(u32),
}

/// How a module's output is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Log driver; `json-file` if none is said.
    pub driver: String,
    /// Size of one file, as the driver takes it.
    pub max_size: Option<String>,
    /// Number of files.
    pub max_file: Option<u32>,
}

impl LogSettings {
    /// What a module gets that says nothing: exactly this, so logs never fill a device's disk.
    pub fn built_in() -> Self {
        Self { driver: "json-file".to_owned(), max_size: Some("10m".to_owned()), max_file: Some(3) }
    }
}

/// A health check, as the engine runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// `["CMD", …]`, `["CMD-SHELL", text]` or `["NONE"]`.
    pub command: Vec<String>,
    /// Time between two probes.
    pub interval: Duration,
    /// Time that one probe may take.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Time after start in which failures don't count.
    pub start_period: Duration,
}

impl HealthCheck {
    /// The engine's own defaults for what a file leaves out.
    pub const INTERVAL: Duration = Duration::seconds(30);
    /// See [`Self::INTERVAL`].
    pub const TIMEOUT: Duration = Duration::seconds(30);
    /// See [`Self::INTERVAL`].
    pub const RETRIES: u32 = 3;

    /// Whether it switches a check of the image off.
    pub fn is_none(&self) -> bool {
        self.command.first().is_some_and(|word| word == "NONE")
    }
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// Written in the file.
    Text(String),
    /// A secret's name; its value stands on the control host.
    Secret(SecretName),
}

/// Where a text that may hold templates stands; decides how it is compared and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextUse {
    /// `env` and `desired`: devices whose texts differ only by filling may share a group.
    Data,
    /// Anything else: a difference always splits.
    Power,
}

impl ModuleSettings {
    /// Visits every text that may hold a template, with its field path. Exhaustive: a new field must be
    /// decided here.
    pub fn for_each_text(&mut self, visit: &mut dyn FnMut(TextUse, &str, &mut String)) {
        let Self {
            image,
            version: _,
            status: _,
            restart_policy: _,
            image_pull_policy: _,
            startup_order: _,
            stop_timeout: _,
            probation: _,
            keep_previous: _,
            command,
            entrypoint,
            user: _,
            hostname,
            ports,
            volumes,
            tmpfs: _,
            host_devices,
            networks,
            network_mode: _,
            extra_hosts: _,
            memory: _,
            cpus: _,
            shm_size: _,
            gpus: _,
            privileged: _,
            cap_add: _,
            cap_drop: _,
            read_only: _,
            init: _,
            log: _,
            health: _,
            labels,
            env,
            create_options,
            router: _,
        } = self;
        let power = TextUse::Power;
        for (path, text) in [("image", image), ("hostname", hostname)] {
            if let Some(text) = text {
                visit(power, path, text);
            }
        }
        for (path, list) in
            [("command", command), ("entrypoint", entrypoint), ("networks", networks)]
        {
            for text in list.iter_mut().flatten() {
                visit(power, path, text);
            }
        }
        for port in ports.iter_mut().flatten() {
            for text in [&mut port.ip, &mut port.host, &mut port.container] {
                visit(power, "ports", text);
            }
        }
        for volume in volumes.iter_mut().flatten() {
            for text in [&mut volume.source, &mut volume.target] {
                visit(power, "volumes", text);
            }
        }
        for device in host_devices.iter_mut().flatten() {
            for text in [&mut device.host, &mut device.container] {
                visit(power, "host-devices", text);
            }
        }
        for (key, text) in labels.iter_mut().flatten() {
            visit(power, &format!("labels.{key}"), text);
        }
        for (key, value) in env.iter_mut().flatten() {
            if let EnvValue::Text(text) = value {
                visit(TextUse::Data, &format!("env.{key}"), text);
            }
        }
        if let Some(table) = create_options {
            texts_of_table(power, "create-options", table, visit);
        }
    }
}

/// Visits every text of a table, with its path below `path`.
pub(super) fn texts_of_table(
    usage: TextUse,
    path: &str,
    table: &mut Table,
    visit: &mut dyn FnMut(TextUse, &str, &mut String),
) {
    for (key, value) in table.iter_mut() {
        texts_of_value(usage, &format!("{path}.{}", path_segment(key)), value, visit);
    }
}

/// Visits every text of a value.
pub(super) fn texts_of_value(
    usage: TextUse,
    path: &str,
    value: &mut Value,
    visit: &mut dyn FnMut(TextUse, &str, &mut String),
) {
    match value {
        Value::String(shared) => {
            let mut text = shared.to_string();
            visit(usage, path, &mut text);
            if text != **shared {
                *shared = text.into();
            }
        }
        Value::List(items) => {
            for item in items {
                texts_of_value(usage, path, item, visit);
            }
        }
        Value::Table(table) => texts_of_table(usage, path, table, visit),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}
