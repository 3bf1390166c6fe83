//! Finishing a merged module: module key > the module's own create-options > `[defaults]` > built-in.

use super::merge::MergedModule;
use crate::model::{LogSettings, Module, ModuleSettings, Table, Value};

/// A finished module.
pub(super) fn finish(module: MergedModule, defaults: &ModuleSettings) -> Module {
    let MergedModule { mut settings, desired } = module;
    drop_outspoken(&mut settings);
    let own = settings.create_options.clone().unwrap_or_default();
    fill_in(&mut settings, defaults, &own);
    let options = settings.create_options.get_or_insert_default();
    if settings.log.is_none()
        && Value::lookup_option(options, &["HostConfig", "LogConfig"]).is_none()
    {
        settings.log = Some(LogSettings::built_in());
    }
    Module::from_settings(settings, desired)
}

/// A key that says *no* or *none* beats what create-options say of the same, as one that says something does.
fn drop_outspoken(settings: &mut ModuleSettings) {
    fn none<T>(list: Option<&Vec<T>>) -> bool {
        list.is_some_and(Vec::is_empty)
    }
    let said = [
        ("Privileged", settings.privileged.is_some()),
        ("ReadonlyRootfs", settings.read_only.is_some()),
        ("CapAdd", none(settings.cap_add.as_ref())),
        ("CapDrop", none(settings.cap_drop.as_ref())),
        ("PortBindings", none(settings.ports.as_ref())),
        ("Binds", none(settings.volumes.as_ref())),
        ("Devices", none(settings.host_devices.as_ref())),
    ];
    let Some(options) = &mut settings.create_options else { return };
    let host = options.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case("HostConfig"));
    if let Some((_, Value::Table(host))) = host {
        host.retain(|key, _| {
            !said.iter().any(|(name, is_said)| *is_said && key.eq_ignore_ascii_case(name))
        });
    }
}

/// Fills defaults into what neither a key nor the module's own create-options say. The decoder takes only
/// the keys named here into `[defaults]`.
fn fill_in(settings: &mut ModuleSettings, defaults: &ModuleSettings, own: &Table) {
    let unsaid =
        |paths: &[&[&str]]| paths.iter().all(|path| Value::lookup_option(own, path).is_none());
    macro_rules! take {
        ($field:ident unless $paths:expr) => {
            if settings.$field.is_none() && unsaid($paths) {
                settings.$field.clone_from(&defaults.$field);
            }
        };
    }
    take!(restart_policy unless &[]);
    take!(image_pull_policy unless &[]);
    take!(probation unless &[]);
    take!(stop_timeout unless &[&["StopTimeout"]]);
    take!(memory unless &[&["HostConfig", "Memory"]]);
    take!(cpus unless &[
        &["HostConfig", "NanoCpus"],
        &["HostConfig", "CpuQuota"],
        &["HostConfig", "CpuPeriod"],
    ]);
    take!(log unless &[&["HostConfig", "LogConfig"]]);
    if settings.network_mode.is_none() {
        take!(networks unless &[&["HostConfig", "NetworkMode"], &["NetworkingConfig"]]);
    }
    if let Some(defaults) = &defaults.env {
        let said = env_names(own);
        let env = settings.env.get_or_insert_default();
        for (key, value) in defaults.iter().filter(|(key, _)| !said.contains(key)) {
            env.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    if let Some(defaults) = &defaults.labels {
        let labels = settings.labels.get_or_insert_default();
        for (key, value) in defaults.iter().filter(|(key, _)| unsaid(&[&["Labels", key]])) {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    if let Some(defaults) = &defaults.create_options {
        let mut table = defaults.clone();
        table.overlay(own);
        settings.create_options = Some(table);
    }
}

/// Names of the variables in the `Env` list of create-options.
fn env_names(own: &Table) -> Vec<String> {
    let Some(Value::List(items)) = Value::lookup_option(own, &["Env"]) else { return Vec::new() };
    items.iter().filter_map(|item| Some(item.as_str()?.split('=').next()?.to_owned())).collect()
}
