//! A device's manifest to the `modulesContent` that IoT Edge takes.
//!
//! Enters: a fleet and one of its manifests, filled. Leaves: JSON that the schemas of IoT Edge accept, and
//! what could not be said in it. What Hoist has no use for comes from `[azure]` of the deployments that
//! apply; where they say nothing, it is what IoT Edge's own tools write.

use super::export_options::{chunks, create_options, in_chunks};
use crate::fleet::Fleet;
use crate::model::{
    EntryKind, EnvValue, ImageReference, Manifest, Module, ModuleName, PullPolicy, Route,
    RouteName, Table, Text, Value,
};
use crate::resolve::{SetterKind, trace};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// A manifest as IoT Edge takes it.
#[derive(Debug)]
pub struct Export {
    /// `{"modulesContent": …}`.
    pub json: Json,
    /// What it can't say.
    pub warnings: Vec<String>,
}

/// The `modulesContent` of a device.
///
/// # Errors
/// What has no form in IoT Edge at all.
pub fn export(fleet: &Fleet, manifest: &Manifest) -> Result<Export, String> {
    let kept = kept(fleet, manifest);
    let mut warnings = Vec::new();
    let traces = trace(fleet, manifest);
    let mut modules = Map::new();
    let mut content = Map::new();
    for (name, module) in &manifest.modules {
        let built_in_log =
            traces.get(name).is_some_and(|trace| trace.winner("log").kind == SetterKind::BuiltIn);
        let extra = kept.module(name);
        let exported = exported_module(name, module, extra, built_in_log, &mut warnings)?;
        modules.insert(name.to_string(), exported);
        if !module.desired.is_empty() {
            let desired = Value::Table(module.desired.clone()).to_json();
            content.insert(name.to_string(), json!({"properties.desired": desired}));
        }
    }
    for (name, twin) in table_in(&kept.0, "twins") {
        let twin = json!({"properties.desired": twin.to_json()});
        content.entry(name.to_string()).or_insert(twin);
    }
    if manifest.modules.values().any(|module| has_credentials(fleet, module)) {
        warnings.push(
            "registry credentials are not in it: add `registryCredentials` where it is applied"
                .to_owned(),
        );
    }
    content.insert(
        "$edgeAgent".to_owned(),
        json!({"properties.desired": agent(&kept, modules, &mut warnings)?}),
    );
    content.insert(
        "$edgeHub".to_owned(),
        json!({"properties.desired": hub(&kept, &manifest.routes, &mut warnings)}),
    );
    Ok(Export { json: json!({"modulesContent": content}), warnings })
}

fn has_credentials(fleet: &Fleet, module: &Module) -> bool {
    ImageReference::parse(&module.image).is_ok_and(|image| {
        image.registry().is_some_and(|registry| fleet.registries.contains_key(registry))
    })
}

/// `[azure]` of all deployments that apply, the upper ones over the lower ones.
struct Kept(Table);

fn kept(fleet: &Fleet, manifest: &Manifest) -> Kept {
    let mut all = Table::new();
    let ids = std::iter::once(&manifest.cohort.base).chain(&manifest.cohort.layers);
    for deployment in ids.filter_map(|id| fleet.deployments.get(id)) {
        // What belonged to a module goes with it when a layer replaces it.
        if let Some(Value::Table(modules)) = all.get_mut("modules") {
            let replaced = |name: &str| {
                let entry = deployment.modules.get(name);
                entry.is_some_and(|entry| entry.kind == EntryKind::Whole)
            };
            modules.retain(|name, _| !replaced(name));
        }
        all.overlay(&deployment.azure);
    }
    Kept(all)
}

impl Kept {
    fn module(&self, name: &ModuleName) -> Option<&Table> {
        Value::lookup(&self.0, &["modules", name.as_str()])?.as_table()
    }

    fn text(&self, path: &[&str]) -> Option<&str> {
        Value::lookup(&self.0, path)?.as_str()
    }
}

fn table_in<'t>(table: &'t Table, key: &str) -> impl Iterator<Item = (&'t Text, &'t Value)> {
    table.get(key).and_then(Value::as_table).into_iter().flatten()
}

fn exported_module(
    name: &ModuleName,
    module: &Module,
    kept: Option<&Table>,
    built_in_log: bool,
    warnings: &mut Vec<String>,
) -> Result<Json, String> {
    let mut out = Map::new();
    out.insert("type".to_owned(), "docker".into());
    out.insert("status".to_owned(), module.status.as_str().into());
    out.insert("restartPolicy".to_owned(), module.restart_policy.as_str().into());
    if let Some(version) = &module.version {
        out.insert("version".to_owned(), version.as_str().into());
    }
    if module.startup_order != Module::LAST {
        out.insert("startupOrder".to_owned(), module.startup_order.into());
    }
    match module.image_pull_policy {
        PullPolicy::OnCreate => {}
        PullPolicy::Never => {
            out.insert("imagePullPolicy".to_owned(), "never".into());
        }
        PullPolicy::Always => {
            let words =
                "IoT Edge has no image-pull-policy `always`: it pulls before each create anyway";
            warnings.push(format!("module `{name}`: {words}"));
        }
    }
    let both = ImageReference::parse(&module.image)
        .is_ok_and(|image| image.tag().is_some() && image.digest().is_some());
    if both {
        warnings
            .push(format!("module `{name}`: IoT Edge refuses an image with both tag and digest"));
    }
    let (env, more) = env(name, module, warnings);
    if !env.is_empty() {
        out.insert("env".to_owned(), Json::Object(env));
    }
    let mut settings = Map::new();
    settings.insert("image".to_owned(), module.image.as_str().into());
    let raw = module.create_options.get("createOptions").and_then(Value::as_str);
    let options = match raw.filter(|_| module.create_options.len() == 1) {
        // It was no JSON when it was imported.
        Some(text) => text.to_owned(),
        None => {
            let extra = kept.and_then(|kept| kept.get("createOptions")?.as_table());
            create_options(module, &more, extra, built_in_log).to_string()
        }
    };
    let parts = chunks(&options).ok_or_else(|| {
        format!("module `{name}`: its create-options are longer than IoT Edge can take")
    })?;
    settings.extend(in_chunks(parts));
    out.insert("settings".to_owned(), Json::Object(settings));
    Ok(Json::Object(out))
}

/// Variables, and those whose names IoT Edge takes only in `createOptions.Env`.
fn env(
    name: &ModuleName,
    module: &Module,
    warnings: &mut Vec<String>,
) -> (Map<String, Json>, BTreeMap<String, String>) {
    let (mut env, mut more) = (Map::new(), BTreeMap::new());
    for (key, value) in &module.env {
        let text = match value {
            EnvValue::Text(text) => text.clone(),
            EnvValue::Secret(secret) => {
                let words =
                    format!("`env.{key}` is the secret `{secret}`; a placeholder stands for it");
                warnings.push(format!("module `{name}`: {words}"));
                format!("${{{secret}}}")
            }
        };
        if key.contains(['+', '#', '$', '.']) || key.chars().any(char::is_whitespace) {
            more.insert(key.clone(), text);
        } else {
            env.insert(key.clone(), json!({"value": text}));
        }
    }
    (env, more)
}

fn agent(
    kept: &Kept,
    modules: Map<String, Json>,
    warnings: &mut Vec<String>,
) -> Result<Json, String> {
    let version = kept.text(&["edge-agent", "schemaVersion"]).unwrap_or("1.1");
    let mut settings = Map::new();
    for key in ["minDockerVersion", "loggingOptions"] {
        if let Some(value) = Value::lookup(&kept.0, &["edge-agent", "runtime", "settings", key]) {
            let text = value.as_str().map_or_else(|| value.to_json().to_string(), str::to_owned);
            settings.insert(key.to_owned(), text.into());
        }
    }
    if settings.is_empty() {
        settings.insert("minDockerVersion".to_owned(), "v1.25".into());
    }
    let mut system = Map::new();
    for name in ["edgeAgent", "edgeHub"] {
        let kept = Value::lookup(&kept.0, &["edge-agent", "systemModules", name])
            .and_then(Value::as_table);
        system.insert(name.to_owned(), system_module(name, kept, warnings)?);
    }
    let known = matches!(version, "1.0" | "1.1" | "1.1.0");
    let version = if known { version.max(least_schema(&modules, &system)) } else { "1.1" };
    Ok(json!({
        "schemaVersion": version,
        "runtime": {"type": "docker", "settings": settings},
        "systemModules": system,
        "modules": modules,
    }))
}

/// A system module with the keys that IoT Edge takes.
fn system_module(
    name: &str,
    kept: Option<&Table>,
    warnings: &mut Vec<String>,
) -> Result<Json, String> {
    let empty = Table::new();
    let kept = kept.unwrap_or(&empty);
    let mut out = Map::new();
    out.insert("type".to_owned(), "docker".into());
    let is_hub = name == "edgeHub";
    if is_hub {
        out.insert("status".to_owned(), "running".into());
        out.insert("restartPolicy".to_owned(), "always".into());
    }
    let mut settings = Map::new();
    let image = if is_hub { "azureiotedge-hub:1.5" } else { "azureiotedge-agent:1.5" };
    settings.insert("image".to_owned(), format!("mcr.microsoft.com/{image}").into());
    if kept.is_empty() && is_hub {
        let ports = json!({"HostConfig": {"PortBindings": {
            "5671/tcp": [{"HostPort": "5671"}], "8883/tcp": [{"HostPort": "8883"}], "443/tcp": [{"HostPort": "443"}],
        }}});
        settings.insert("createOptions".to_owned(), ports.to_string().into());
    }
    let mut left_out = Vec::new();
    for (key, value) in kept {
        match (&**key, value) {
            ("type" | "version", _) => {}
            ("imagePullPolicy", Value::String(_)) => {
                out.insert(key.to_string(), value.to_json());
            }
            ("status" | "restartPolicy", Value::String(_)) if is_hub => {
                out.insert(key.to_string(), value.to_json());
            }
            ("startupOrder", Value::Integer(_)) if is_hub => {
                out.insert(key.to_string(), value.to_json());
            }
            ("env", Value::Table(env)) => {
                let scalar = |value: &Value| !matches!(value, Value::Table(_) | Value::List(_));
                let env: Map<String, Json> = env
                    .iter()
                    .filter_map(|(k, v)| {
                        Some((k.to_string(), v.as_table()?.get("value").filter(|v| scalar(v))?))
                    })
                    .map(|(k, v)| (k, json!({"value": v.to_json()})))
                    .collect();
                if !env.is_empty() {
                    out.insert(key.to_string(), Json::Object(env));
                }
            }
            ("settings", Value::Table(table)) => settings.extend(system_settings(name, table)?),
            _ => left_out.push(format!("`{key}`")),
        }
    }
    if !left_out.is_empty() {
        warnings.push(format!(
            "{name}: {} was left out, IoT Edge does not take it",
            left_out.join(", ")
        ));
    }
    out.insert("settings".to_owned(), Json::Object(settings));
    Ok(Json::Object(out))
}

/// Image and create-options of a system module; the latter cut anew.
fn system_settings(name: &str, kept: &Table) -> Result<Map<String, Json>, String> {
    let mut out = Map::new();
    let mut parts: BTreeMap<String, &str> = BTreeMap::new();
    let mut whole = None;
    for (key, value) in kept {
        let low = key.to_ascii_lowercase();
        match value {
            Value::String(text) if &**key == "image" => {
                out.insert(key.to_string(), Json::from(&**text));
            }
            Value::String(text) if low.starts_with("createoptions") => {
                parts.insert(low, text);
            }
            Value::Table(_) if low == "createoptions" => whole = Some(value.to_json().to_string()),
            _ => {}
        }
    }
    let joined = whole.unwrap_or_else(|| parts.into_values().collect());
    let text = if joined.trim().is_empty() { "{}" } else { joined.as_str() };
    let parts = chunks(text).ok_or_else(|| format!("{name}: its createOptions are too long"))?;
    out.extend(in_chunks(parts));
    Ok(out)
}

/// The least schema in which the modules can be said: chunks, and orders and pull policies, came later.
fn least_schema(modules: &Map<String, Json>, system: &Map<String, Json>) -> &'static str {
    let newer = |module: &Json| {
        let settings = &module["settings"];
        let is_json = |text: &str| serde_json::from_str::<Json>(text).is_ok();
        settings.get("createOptions01").is_some()
            || module.get("startupOrder").is_some()
            || module.get("imagePullPolicy").is_some()
            || settings["createOptions"].as_str().is_some_and(|text| !is_json(text))
    };
    if modules.values().chain(system.values()).any(newer) { "1.1" } else { "1.0" }
}

fn hub(kept: &Kept, routes: &BTreeMap<RouteName, Route>, warnings: &mut Vec<String>) -> Json {
    let mut out = Map::new();
    let mut needed = "1.0";
    let mut exported = Map::new();
    for (name, route) in routes {
        let long = Value::lookup(&kept.0, &["routes", name.as_str(), "timeToLiveSecs"]);
        if let Some(time) = route.time_to_live.filter(|time| time.to_std().subsec_millis() > 0) {
            warnings.push(format!(
                "route `{name}`: IoT Edge takes whole seconds, `time-to-live` {time} was rounded up to {} s",
                time.seconds_up()
            ));
        }
        let json = exported_route(route, long);
        if json.is_object() {
            needed = "1.1";
        }
        exported.insert(name.to_string(), json);
    }
    out.insert("routes".to_owned(), Json::Object(exported));
    let stored = Value::lookup(&kept.0, &["edge-hub", "storeAndForwardConfiguration"])
        .and_then(Value::as_table);
    let time = stored.and_then(|stored| match stored.get("timeToLiveSecs") {
        Some(Value::Integer(seconds)) => Some(*seconds),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    });
    out.insert(
        "storeAndForwardConfiguration".to_owned(),
        json!({"timeToLiveSecs": time.unwrap_or(7200)}),
    );
    if stored.is_some_and(|stored| stored.len() > usize::from(time.is_some())) {
        let words = "edgeHub: of its store-and-forward configuration only `timeToLiveSecs` was written, no schema takes more";
        warnings.push(words.to_owned());
    }
    let broker = Value::lookup(&kept.0, &["edge-hub", "mqttBroker"]);
    if let Some(broker) = broker {
        needed = "1.2";
        out.insert("mqttBroker".to_owned(), broker.to_json());
    }
    let written = kept.text(&["edge-hub", "schemaVersion"]).unwrap_or("1.1");
    let known = ["1.0", "1.1", "1.2", "1.3"].contains(&written);
    let version = if known && written >= needed { written } else { needed.max("1.1") };
    out.insert("schemaVersion".to_owned(), version.into());
    Json::Object(out)
}

fn exported_route(route: &Route, long: Option<&Value>) -> Json {
    let Route { text, priority, time_to_live, ends: _, place: _ } = route;
    let seconds =
        time_to_live.map(|time| json!(time.seconds_up())).or_else(|| long.map(Value::to_json));
    if priority.is_none() && seconds.is_none() {
        return text.as_str().into();
    }
    let mut out = Map::from_iter([("route".to_owned(), Json::from(text.as_str()))]);
    out.extend(priority.map(|priority| ("priority".to_owned(), json!(priority))));
    out.extend(seconds.map(|seconds| ("timeToLiveSecs".to_owned(), seconds)));
    Json::Object(out)
}
