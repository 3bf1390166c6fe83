//! A finished module: what the merge and the defaults leave for one device.

use super::duration::Duration;
use super::mapping::{HostDevice, Port, Volume};
use super::settings::{
    EnvValue, Gpus, HealthCheck, LogSettings, ModuleSettings, NetworkMode, PullPolicy,
    RestartPolicy, Status, TextUse, texts_of_table,
};
use super::table::Table;
use super::value::Value;
use std::collections::BTreeMap;

/// One container with its settings and its twin. Absent lists and maps are empty ones.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the keys are those of the fleet files, described there")]
pub struct Module {
    pub image: String,
    pub version: Option<String>,
    pub status: Status,
    pub restart_policy: RestartPolicy,
    pub image_pull_policy: PullPolicy,
    pub startup_order: u32,
    /// `None`: the engine's default, or what create-options say.
    pub stop_timeout: Option<Duration>,
    pub probation: Duration,
    pub keep_previous: Duration,
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub user: Option<String>,
    pub hostname: Option<String>,
    pub ports: Vec<Port>,
    pub volumes: Vec<Volume>,
    pub tmpfs: Vec<String>,
    pub host_devices: Vec<HostDevice>,
    /// Empty: the fleet's own network, unless a mode or create-options say otherwise.
    pub networks: Vec<String>,
    pub network_mode: Option<NetworkMode>,
    pub extra_hosts: BTreeMap<String, String>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Billionths of a processor.
    pub cpus: Option<u64>,
    /// Bytes.
    pub shm_size: Option<u64>,
    pub gpus: Option<Gpus>,
    pub privileged: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub read_only: bool,
    pub init: Option<bool>,
    /// `None`: what create-options say.
    pub log: Option<LogSettings>,
    pub health: Option<HealthCheck>,
    pub labels: BTreeMap<String, String>,
    pub env: BTreeMap<String, EnvValue>,
    pub create_options: Table,
    pub router: bool,
    /// The module twin's desired properties.
    pub desired: Table,
}

impl Module {
    /// The last place in the start order.
    pub const LAST: u32 = u32::MAX;
    /// How long a new container must stay up, unless a file says otherwise.
    pub const PROBATION: Duration = Duration::seconds(10);
    /// How long a replaced container is kept, unless a file says otherwise.
    pub const KEEP_PREVIOUS: Duration = Duration { millis: 0 };
    /// How long the engine waits at a stop before it kills.
    pub const STOP_TIMEOUT: Duration = Duration::seconds(10);

    /// A module from settings that have everything they need; what is absent becomes the built-in value.
    /// `settings.log` stays absent if it is: the caller knows whether create-options say something.
    pub fn from_settings(settings: ModuleSettings, desired: Table) -> Self {
        let ModuleSettings {
            image,
            version,
            status,
            restart_policy,
            image_pull_policy,
            startup_order,
            stop_timeout,
            probation,
            keep_previous,
            command,
            entrypoint,
            user,
            hostname,
            ports,
            volumes,
            tmpfs,
            host_devices,
            networks,
            network_mode,
            extra_hosts,
            memory,
            cpus,
            shm_size,
            gpus,
            privileged,
            cap_add,
            cap_drop,
            read_only,
            init,
            log,
            health,
            labels,
            env,
            create_options,
            router,
        } = settings;
        Self {
            image: image.unwrap_or_default(),
            version,
            status: status.unwrap_or(Status::Running),
            restart_policy: restart_policy.unwrap_or(RestartPolicy::Always),
            image_pull_policy: image_pull_policy.unwrap_or(PullPolicy::OnCreate),
            startup_order: startup_order.unwrap_or(Self::LAST),
            stop_timeout,
            probation: probation.unwrap_or(Self::PROBATION),
            keep_previous: keep_previous.unwrap_or(Self::KEEP_PREVIOUS),
            command,
            entrypoint,
            user,
            hostname,
            ports: ports.unwrap_or_default(),
            volumes: volumes.unwrap_or_default(),
            tmpfs: tmpfs.unwrap_or_default(),
            host_devices: host_devices.unwrap_or_default(),
            networks: networks.unwrap_or_default(),
            network_mode,
            extra_hosts: extra_hosts.unwrap_or_default(),
            memory,
            cpus,
            shm_size,
            gpus,
            privileged: privileged.unwrap_or(false),
            cap_add: cap_add.unwrap_or_default(),
            cap_drop: cap_drop.unwrap_or_default(),
            read_only: read_only.unwrap_or(false),
            init,
            log,
            health,
            labels: labels.unwrap_or_default(),
            env: env.unwrap_or_default(),
            create_options: create_options.unwrap_or_default(),
            router: router.unwrap_or(false),
            desired,
        }
    }

    /// The same as settings: every field said. The inverse of [`Self::from_settings`].
    pub fn into_settings(self) -> (ModuleSettings, Table) {
        let Self {
            image,
            version,
            status,
            restart_policy,
            image_pull_policy,
            startup_order,
            stop_timeout,
            probation,
            keep_previous,
            command,
            entrypoint,
            user,
            hostname,
            ports,
            volumes,
            tmpfs,
            host_devices,
            networks,
            network_mode,
            extra_hosts,
            memory,
            cpus,
            shm_size,
            gpus,
            privileged,
            cap_add,
            cap_drop,
            read_only,
            init,
            log,
            health,
            labels,
            env,
            create_options,
            router,
            desired,
        } = self;
        let settings = ModuleSettings {
            image: Some(image),
            version,
            status: Some(status),
            restart_policy: Some(restart_policy),
            image_pull_policy: Some(image_pull_policy),
            startup_order: Some(startup_order),
            stop_timeout,
            probation: Some(probation),
            keep_previous: Some(keep_previous),
            command,
            entrypoint,
            user,
            hostname,
            ports: Some(ports),
            volumes: Some(volumes),
            tmpfs: Some(tmpfs),
            host_devices: Some(host_devices),
            networks: Some(networks),
            network_mode,
            extra_hosts: Some(extra_hosts),
            memory,
            cpus,
            shm_size,
            gpus,
            privileged: Some(privileged),
            cap_add: Some(cap_add),
            cap_drop: Some(cap_drop),
            read_only: Some(read_only),
            init,
            log,
            health,
            labels: Some(labels),
            env: Some(env),
            create_options: Some(create_options),
            router: Some(router),
        };
        (settings, desired)
    }

    /// Visits every text that may hold a template, with its field path.
    pub fn for_each_text(&mut self, visit: &mut dyn FnMut(TextUse, &str, &mut String)) {
        let placeholder = Self::from_settings(ModuleSettings::default(), Table::new());
        let (mut settings, mut desired) = std::mem::replace(self, placeholder).into_settings();
        settings.for_each_text(visit);
        texts_of_table(TextUse::Data, "desired", &mut desired, visit);
        *self = Self::from_settings(settings, desired);
    }

    /// Visits every text of its create-options, with its field path.
    pub fn for_each_option_text(&self, visit: &mut dyn FnMut(&str, &str)) {
        let mut options = self.create_options.clone();
        let visit = &mut |_: TextUse, path: &str, text: &mut String| visit(path, text);
        texts_of_table(TextUse::Power, "create-options", &mut options, visit);
    }

    /// How long a stop may take before the engine kills.
    pub fn effective_stop_timeout(&self) -> Duration {
        self.stop_timeout.unwrap_or_else(|| {
            match Value::lookup_option(&self.create_options, &["StopTimeout"]) {
                Some(Value::Integer(seconds)) => {
                    Duration::seconds(u64::try_from(*seconds).unwrap_or(0).min(86_400))
                }
                _ => Self::STOP_TIMEOUT,
            }
        })
    }
}
