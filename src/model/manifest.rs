//! The merged desired state of one device, and its canonical form as a table: the same keys as the
//! fleet files, so that reviewers read one language.

use super::duration::{format_bytes, format_cpus};
use super::module::Module;
use super::name::{DeploymentId, DeviceId, ModuleName, RouteName};
use super::route::Route;
use super::settings::{EnvValue, Gpus, HealthCheck, LogSettings};
use super::table::{Table, Text};
use super::value::Value;
use std::collections::BTreeMap;

/// The deployments that apply to a device; devices with the same ones form one cohort.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cohort {
    /// The base.
    pub base: DeploymentId,
    /// The layers, from the lowest upwards.
    pub layers: Vec<DeploymentId>,
}

/// The merged desired state of one device, filled.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Whose it is.
    pub device: DeviceId,
    /// What it was made from.
    pub cohort: Cohort,
    /// Its modules.
    pub modules: BTreeMap<ModuleName, Module>,
    /// Its routes.
    pub routes: BTreeMap<RouteName, Route>,
}

/// A manifest as a table. Keys whose value is the built-in one are left out.
pub fn manifest_table(manifest: &Manifest) -> Table {
    let Manifest { device: _, cohort, modules, routes } = manifest;
    let mut table = Table::new();
    table.insert("base".to_owned(), cohort.base.as_str().into());
    let layers: Vec<Value> = cohort.layers.iter().map(|l| l.as_str().into()).collect();
    if !layers.is_empty() {
        table.insert("layers".to_owned(), layers.into());
    }
    let modules: Table = modules
        .iter()
        .map(|(name, module)| (name.to_string(), Value::Table(short_module_table(module))))
        .collect();
    if !modules.is_empty() {
        table.insert("modules".to_owned(), Value::Table(modules));
    }
    let routes: Table =
        routes.iter().map(|(name, route)| (name.to_string(), route_value(route))).collect();
    if !routes.is_empty() {
        table.insert("routes".to_owned(), Value::Table(routes));
    }
    table
}

/// A route in its shortest written form.
pub fn route_value(route: &Route) -> Value {
    let Route { text, ends: _, priority, time_to_live, place: _ } = route;
    if priority.is_none() && time_to_live.is_none() {
        return text.as_str().into();
    }
    let mut table = Table::new();
    table.insert("route".to_owned(), text.as_str().into());
    if let Some(priority) = priority {
        table.insert("priority".to_owned(), i64::from(*priority).into());
    }
    if let Some(time) = time_to_live {
        table.insert("time-to-live".to_owned(), time.to_string().into());
    }
    Value::Table(table)
}

/// A module as a table without what a file need not say: keys whose value is the built-in one. Without
/// `log`, create-options with a `LogConfig` decide, so beside one even the built-in settings are said.
pub fn short_module_table(module: &Module) -> Table {
    let mut table = module_table(module);
    let built_in: [(&str, Value); 7] = [
        ("status", "running".into()),
        ("restart-policy", "always".into()),
        ("image-pull-policy", "on-create".into()),
        ("startup-order", i64::from(Module::LAST).into()),
        ("probation", Module::PROBATION.to_string().into()),
        ("keep-previous", Module::KEEP_PREVIOUS.to_string().into()),
        ("log", log_value(&LogSettings::built_in())),
    ];
    for (key, value) in built_in {
        let needed = key == "log"
            && Value::lookup_option(&module.create_options, &["HostConfig", "LogConfig"]).is_some();
        if table.get(key) == Some(&value) && !needed {
            table.remove(key);
        }
    }
    table
}

/// A module as a table with the keys of the fleet files, policies and order always said.
#[expect(clippy::too_many_lines, reason = "every field once, in one place")]
pub fn module_table(module: &Module) -> Table {
    let Module {
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
    } = module;
    let mut out = Written(Table::new());
    out.put("image", Some(image.as_str().into()));
    out.put("version", version.as_deref().map(Into::into));
    out.put("status", Some(status.as_str().into()));
    out.put("restart-policy", Some(restart_policy.as_str().into()));
    out.put("image-pull-policy", Some(image_pull_policy.as_str().into()));
    out.put("startup-order", Some(i64::from(*startup_order).into()));
    out.put("stop-timeout", stop_timeout.map(|d| d.to_string().into()));
    out.put("probation", Some(probation.to_string().into()));
    out.put("keep-previous", Some(keep_previous.to_string().into()));
    out.put("command", command.as_deref().map(texts));
    out.put("entrypoint", entrypoint.as_deref().map(texts));
    out.put("user", user.as_deref().map(Into::into));
    out.put("hostname", hostname.as_deref().map(Into::into));
    out.list("ports", ports);
    out.list("volumes", volumes);
    out.list("tmpfs", tmpfs);
    out.list("host-devices", host_devices);
    out.list("networks", networks);
    out.put("network-mode", network_mode.map(|mode| mode.as_str().into()));
    out.map("extra-hosts", extra_hosts.iter().map(|(k, v)| (k.clone(), v.as_str().into())));
    out.put("memory", memory.map(|n| format_bytes(n).into()));
    out.put("cpus", cpus.map(cpus_value));
    out.put("shm-size", shm_size.map(|n| format_bytes(n).into()));
    out.put(
        "gpus",
        gpus.map(|gpus| match gpus {
            Gpus::All => "all".into(),
            Gpus::Count(n) => i64::from(n).into(),
        }),
    );
    out.put("privileged", privileged.then_some(true.into()));
    out.list("cap-add", cap_add);
    out.list("cap-drop", cap_drop);
    out.put("read-only", read_only.then_some(true.into()));
    out.put("init", init.map(Into::into));
    out.put("log", log.as_ref().map(log_value));
    out.put("health", health.as_ref().map(health_value));
    out.map("labels", labels.iter().map(|(k, v)| (k.clone(), v.as_str().into())));
    out.map("env", env.iter().map(|(k, v)| (k.clone(), env_value(v))));
    out.map("create-options", create_options.clone().into_iter());
    out.put("router", router.then_some(true.into()));
    out.map("desired", desired.clone().into_iter());
    out.0
}

struct Written(Table);

impl Written {
    fn put(&mut self, key: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value);
        }
    }

    fn list<T: ToString>(&mut self, key: &str, items: &[T]) {
        if !items.is_empty() {
            self.put(key, Some(texts(items)));
        }
    }

    fn map(&mut self, key: &str, entries: impl Iterator<Item = (impl Into<Text>, Value)>) {
        let table: Table = entries.collect();
        if !table.is_empty() {
            self.put(key, Some(Value::Table(table)));
        }
    }
}

fn texts<T: ToString>(items: &[T]) -> Value {
    Value::List(items.iter().map(|item| item.to_string().into()).collect())
}

fn cpus_value(nano: u64) -> Value {
    let text = format_cpus(nano);
    Value::Float(text.parse().unwrap_or_default())
}

fn env_value(value: &EnvValue) -> Value {
    match value {
        EnvValue::Text(text) => text.as_str().into(),
        EnvValue::Secret(name) => {
            Value::Table(Table::from([("secret".to_owned(), name.as_str().into())]))
        }
    }
}

fn log_value(log: &LogSettings) -> Value {
    let LogSettings { driver, max_size, max_file } = log;
    let mut table = Table::new();
    if driver != "json-file" {
        table.insert("driver".to_owned(), driver.as_str().into());
    }
    if let Some(size) = max_size {
        table.insert("max-size".to_owned(), size.as_str().into());
    }
    if let Some(files) = max_file {
        table.insert("max-file".to_owned(), i64::from(*files).into());
    }
    Value::Table(table)
}

fn health_value(health: &HealthCheck) -> Value {
    let HealthCheck { command, interval, timeout, retries, start_period } = health;
    let mut table = Table::new();
    table.insert("command".to_owned(), texts(command));
    table.insert("interval".to_owned(), interval.to_string().into());
    table.insert("timeout".to_owned(), timeout.to_string().into());
    table.insert("retries".to_owned(), i64::from(*retries).into());
    table.insert("start-period".to_owned(), start_period.to_string().into());
    Value::Table(table)
}
