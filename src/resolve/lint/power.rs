//! Lints of what deployments say of modules: what gives power over a device, opens it to the building,
//! may change without anybody's doing, or belongs elsewhere. `[defaults]` are looked at like an entry.

use super::Hits;
use super::credential::{flag_value, is_credential_at};
use super::options::{NATIVE, joined_by, suspicion};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::fleet::Fleet;
use crate::model::{
    DeploymentId, EntryKind, EnvValue, ImageReference, ModuleEntry, ModuleName, NetworkMode, Table,
    Value, path_segment,
};
use crate::resolve::Resolution;
use std::collections::BTreeMap;

pub(super) fn lint(
    fleet: &Fleet,
    resolution: &Resolution,
    hits: &Hits<'_>,
    found: &mut Diagnostics,
) {
    let hits_of = |id| hits.get(id).copied().unwrap_or_default();
    for (id, deployment) in &fleet.deployments {
        let hits = hits_of(id);
        for (name, entry) in &deployment.modules {
            let of = Some((id, name));
            Finds { of, who: format!("module \"{name}\""), entry, hits, found }.all();
        }
    }
    let defaults = ModuleEntry {
        kind: EntryKind::Patch,
        settings: fleet.defaults.clone(),
        desired: None,
        desired_at: BTreeMap::new(),
        unset: Vec::new(),
        place: fleet.place.clone(),
        places: fleet.default_places.clone(),
    };
    let hits = resolution.sized_cohorts().map(|(_, size)| size).sum();
    let who = "every module ([defaults])".to_owned();
    Finds { of: None, who, entry: &defaults, hits, found }.all();
}

struct Finds<'a> {
    of: Option<(&'a DeploymentId, &'a ModuleName)>,
    who: String,
    entry: &'a ModuleEntry,
    hits: usize,
    found: &'a mut Diagnostics,
}

impl Finds<'_> {
    fn all(&mut self) {
        self.image();
        self.power();
        self.network();
        self.secrets();
        self.create_options();
    }

    fn push(&mut self, code: Code, path: &str, message: String, help: Option<&str>) {
        let mut diagnostic = Diagnostic::new(code, message)
            .at(self.entry.place_of(path).clone())
            .of_path(path)
            .devices(self.hits)
            .help_option(help.map(str::to_owned));
        if let Some((id, name)) = self.of {
            diagnostic = diagnostic.of_deployment(id).of_module(name);
        }
        self.found.push(diagnostic);
    }

    fn option(&self, path: &[&str]) -> Option<&Value> {
        Value::lookup_option(self.entry.settings.create_options.as_ref()?, path)
    }

    fn image(&mut self) {
        let Some(image) = &self.entry.settings.image else { return };
        let mutable = ImageReference::parse(image).is_ok_and(|image| image.is_mutable());
        if mutable {
            let message = format!("`{image}` may be another image tomorrow");
            self.push(
                Code::MutableImage,
                "image",
                message,
                Some("write a tag that stays, or a digest"),
            );
        }
    }

    fn power(&mut self) {
        let settings = &self.entry.settings;
        let who = self.who.clone();
        if settings.privileged == Some(true) {
            let message = format!("{who} is privileged: it can do anything on its device");
            self.push(Code::Privileged, "privileged", message, None);
        } else if self.option(&["HostConfig", "Privileged"]) == Some(&Value::Bool(true)) {
            let message = format!("{who} is privileged: it can do anything on its device");
            self.push(Code::Privileged, "create-options.HostConfig.Privileged", message, None);
        }
        let mut mounts: Vec<(&str, String)> = Vec::new();
        for volume in settings.volumes.iter().flatten().filter(|volume| volume.is_host_path()) {
            mounts.push(("volumes", volume.source.clone()));
        }
        if let Some(Value::List(binds)) = self.option(&["HostConfig", "Binds"]) {
            let paths =
                binds.iter().filter_map(Value::as_str).filter_map(|bind| bind.split(':').next());
            let paths = paths.filter(|path| path.starts_with('/'));
            mounts.extend(paths.map(|path| ("create-options.HostConfig.Binds", path.to_owned())));
        }
        if let Some(Value::List(list)) = self.option(&["HostConfig", "Mounts"]) {
            let sources = list.iter().filter_map(Value::as_table).filter_map(|mount| {
                let bind =
                    Value::lookup_option(mount, &["Type"]).and_then(Value::as_str) == Some("bind");
                Value::lookup_option(mount, &["Source"]).and_then(Value::as_str).filter(|_| bind)
            });
            mounts
                .extend(sources.map(|path| ("create-options.HostConfig.Mounts", path.to_owned())));
        }
        for (path, source) in mounts {
            if source.ends_with("docker.sock") || source.ends_with("podman.sock") {
                let message =
                    format!("{who} gets the engine's socket: it can do anything on its device");
                self.push(Code::EngineSocket, path, message, None);
            } else {
                let message = format!("{who} gets `{source}` of the device");
                self.push(Code::HostMount, path, message, None);
            }
        }
        for capability in settings.cap_add.iter().flatten() {
            let message = format!("{who} gets the capability {capability}");
            self.push(Code::NewCapability, "cap-add", message, None);
        }
        if let Some(Value::List(list)) = self.option(&["HostConfig", "CapAdd"]) {
            let words: Vec<String> =
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            for capability in words {
                let message = format!("{who} gets the capability {capability}");
                self.push(Code::NewCapability, "create-options.HostConfig.CapAdd", message, None);
            }
        }
    }

    fn network(&mut self) {
        let settings = &self.entry.settings;
        let who = self.who.clone();
        let option_host =
            self.option(&["HostConfig", "NetworkMode"]).and_then(Value::as_str) == Some("host");
        if settings.network_mode == Some(NetworkMode::Host) || option_host {
            let path =
                if option_host { "create-options.HostConfig.NetworkMode" } else { "network-mode" };
            let message = format!("{who} is on the device's own network");
            self.push(Code::HostNetwork, path, message, None);
        }
        let open: Vec<String> = settings
            .ports
            .iter()
            .flatten()
            .filter(|port| matches!(port.ip.as_str(), "" | "0.0.0.0" | "::"))
            .map(|port| format!("{}/{}", port.host, port.protocol))
            .collect();
        if !open.is_empty() {
            let message =
                format!("port {} of {who} is open on all addresses of the device", open.join(", "));
            self.push(
                Code::PublishedEverywhere,
                "ports",
                message,
                Some("write an address before it, such as `127.0.0.1:8080:80`"),
            );
        }
    }

    fn secrets(&mut self) {
        let mut flagged: Vec<String> = Vec::new();
        for (key, value) in self.entry.settings.env.iter().flatten() {
            if let EnvValue::Text(text) = value
                && is_credential_at(&format!("env.{key}"), text)
            {
                flagged.push(format!("env.{key}"));
            }
        }
        let mut tables: Vec<(String, &Table)> = Vec::new();
        tables.extend(
            self.entry.settings.create_options.as_ref().map(|t| ("create-options".to_owned(), t)),
        );
        tables.extend(self.entry.desired.as_ref().map(|t| ("desired".to_owned(), t)));
        for (path, value) in &self.entry.desired_at {
            flag_value(&format!("desired-at.{path}"), value, &mut flagged);
        }
        for (path, table) in tables {
            for (key, value) in table {
                flag_value(&format!("{path}.{}", path_segment(key)), value, &mut flagged);
            }
        }
        let settings = &self.entry.settings;
        for (path, words) in [("command", &settings.command), ("entrypoint", &settings.entrypoint)]
        {
            let words = words.iter().flatten().map(|word| word.as_str().into()).collect();
            flag_value(path, &Value::List(words), &mut flagged);
        }
        flagged.dedup();
        for path in flagged {
            let message =
                format!("`{path}` of {} looks like a credential, readable in git", self.who);
            let help = "in `env`, write `{ secret = \"name\" }`; what the name stands for is said on the control host";
            self.push(Code::SecretInText, &path, message, Some(help));
        }
    }

    fn create_options(&mut self) {
        let Some(options) = &self.entry.settings.create_options else { return };
        let mut finds: Vec<(String, String)> = Vec::new();
        for key in options.keys() {
            if let Some(words) = suspicion("", key) {
                finds.push((format!("create-options.{}", path_segment(key)), words));
            }
        }
        if let Some(Value::Table(host)) = options.get("HostConfig") {
            for key in host.keys() {
                if let Some(words) = suspicion("HostConfig", key) {
                    let path = format!("create-options.HostConfig.{}", path_segment(key));
                    finds.push((path, words));
                }
            }
        }
        let said = &self.entry.places;
        // Not every key can have a default, so only entries are told of it.
        for (key, at) in NATIVE.iter().filter(|_| self.of.is_some()) {
            if Value::lookup_option(options, at).is_some() {
                let path = at.join(".");
                let words = match (said.contains_key(*key), joined_by(key)) {
                    (true, None) => format!("`{path}` stands beside the key `{key}`, which wins"),
                    (true, Some(one)) => format!(
                        "`{path}` stands beside the key `{key}`, which wins where both name one {one}"
                    ),
                    (false, _) => format!("`{path}` has a key of its own: `{key}`"),
                };
                finds.push((format!("create-options.{path}"), words));
            }
        }
        for (path, words) in finds {
            let message = format!("create-options of {}: {words}", self.who);
            self.push(Code::SuspiciousCreateOptions, &path, message, None);
        }
    }
}
