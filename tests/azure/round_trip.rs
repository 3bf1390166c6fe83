//! Import and export of a real manifest give the same, up to eight kinds of normalisation, each counted and
//! none of which changes what a container receives. `docs/azure.md` names them.

use crate::bench::{errors, exported, real_manifests, tree_for_device};
use crate::real::all_values;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The kinds, as the guide names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// createOptions is one compact text in chunks; keys in one order and spelling, defaults unsaid.
    CreateOptionsForm,
    /// Values of `env` are texts.
    EnvAsText,
    /// What `createOptions.Env` says stands in `env`; the winner only.
    EnvInOnePlace,
    /// Registry credentials are left out.
    Credentials,
    /// A schema version that IoT Edge does not know, or that is too old for what is said.
    SchemaVersion,
    /// A route that has only its text is a text; an empty one is left out.
    ShortRoutes,
    /// What IoT Edge takes by default is said, or unsaid.
    Defaults,
    /// What IoT Edge does not read is left out, nulls too.
    UnreadKeys,
}

#[test]
fn what_goes_over_comes_back_the_same() {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    let (mut whole, mut problems) = (0, Vec::new());
    for (name, text) in real_manifests() {
        let Some((values, imported)) = all_values(&name, &text) else { continue };
        if !errors(&tree_for_device(&imported)).is_empty() {
            continue;
        }
        let before = original(&text, &values);
        let after = exported(&imported).json["modulesContent"].clone();
        let mut found = Vec::new();
        compare_meaning(&before, &after, &mut found);
        differences(&mut Vec::new(), Some(&before), Some(&after), &mut |path, before, after| {
            match kind_of(path, before, after) {
                Some(kind) => *counts.entry(kind).or_default() += 1,
                None => found.push(format!("{}: {before:?} → {after:?}", path.join("/"))),
            }
        });
        whole += usize::from(found.is_empty());
        problems.extend(found.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    println!("{whole} manifests come back the same, up to {counts:?}");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(counts.len() <= 8);
}

/// The content of a file, placeholders filled, layers spelt as a whole manifest is.
fn original(text: &str, values: &BTreeMap<String, String>) -> Json {
    let mut text = text.to_owned();
    for (name, value) in values {
        // Where it stands without quotes, a number goes in.
        text = text.replace(&format!(": ${{{name}}}"), &format!(": {value}"));
    }
    let mut root: Json = serde_json::from_str(&text).expect("it is JSON");
    fill(&mut root, values, false);
    let content = root.get("content").unwrap_or(&root);
    let content =
        content.get("modulesContent").or(content.get("moduleContent")).unwrap_or(content).clone();
    let mut whole = Map::new();
    for (twin, parts) in content.as_object().expect("an object") {
        for (key, value) in parts.as_object().into_iter().flatten() {
            let path = key.strip_prefix("properties.desired").expect("desired properties");
            let mut at = &mut whole.entry(twin.clone()).or_insert(json!({}))["properties.desired"];
            for step in path.split('.').filter(|step| !step.is_empty()) {
                at = &mut at[step];
            }
            *at = value.clone();
        }
    }
    Json::Object(whole)
}

fn fill(json: &mut Json, values: &BTreeMap<String, String>, code: bool) {
    match json {
        Json::String(text) => *text = filled(text, values, code),
        Json::Array(items) => items.iter_mut().for_each(|item| fill(item, values, code)),
        Json::Object(map) => {
            for (key, mut value) in std::mem::take(map) {
                let is_code = code || key == "routes" || key.contains(".routes");
                fill(&mut value, values, is_code);
                map.insert(filled(&key, values, false), value);
            }
        }
        _ => {}
    }
}

fn filled(text: &str, values: &BTreeMap<String, String>, code: bool) -> String {
    let mut out = text.to_owned();
    for (name, value) in values.iter().rev() {
        for form in [
            format!("${{{name}}}"),
            format!("#{name}#"),
            format!("__{name}__"),
            format!("%{name}%"),
            format!("<{name}>"),
            format!("{{{{{name}}}}}"),
        ] {
            out = out.replace(&form, value);
        }
        let form = format!("${name}");
        let mut from = 0;
        while let Some(at) = out[from..].find(&form).map(|at| from + at) {
            let end = at + form.len();
            let ends = !out[end..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            from = end;
            if ends && (!code || out == form) {
                out.replace_range(at..end, value);
                from = at + value.len();
            }
        }
    }
    out
}

/// Takes a path and what stands there before and after.
type Visit<'v> = dyn FnMut(&[String], Option<&Json>, Option<&Json>) + 'v;

/// Visits every leaf that differs.
fn differences(
    path: &mut Vec<String>,
    before: Option<&Json>,
    after: Option<&Json>,
    visit: &mut Visit<'_>,
) {
    match (before, after) {
        (Some(Json::Object(b)), Some(Json::Object(a))) => {
            let keys: std::collections::BTreeSet<&String> = b.keys().chain(a.keys()).collect();
            for key in keys {
                path.push(key.clone());
                differences(path, b.get(key), a.get(key), visit);
                path.pop();
            }
        }
        (Some(b), Some(a)) if b == a || b.is_number() && b.as_f64() == a.as_f64() => {}
        _ => visit(path, before, after),
    }
}

fn kind_of(path: &[String], before: Option<&Json>, after: Option<&Json>) -> Option<Kind> {
    let has = |word: &str| path.iter().any(|step| step.eq_ignore_ascii_case(word));
    let last = path.last().map(String::as_str).unwrap_or_default();
    let is_system = matches!(path.first().map(String::as_str), Some("$edgeAgent" | "$edgeHub"));
    if !is_system {
        // A twin: only nulls, and twins of nothing.
        let only_null = |json: &Json| json.is_null() || json.as_object().is_some_and(Map::is_empty);
        let empty = json!({"properties.desired": {}});
        return match (before, after) {
            (Some(before), None) if *before == empty => Some(Kind::Defaults),
            (Some(before), None) if only_null(before) => Some(Kind::UnreadKeys),
            (Some(before), Some(after)) if without_nulls(before) == *after => {
                Some(Kind::UnreadKeys)
            }
            _ => None,
        };
    }
    if path.iter().any(|step| step.to_lowercase().starts_with("createoptions")) {
        return Some(Kind::CreateOptionsForm);
    }
    if has("registryCredentials") {
        return Some(Kind::Credentials);
    }
    if last == "schemaVersion" {
        return Some(Kind::SchemaVersion);
    }
    if has("routes") {
        return Some(Kind::ShortRoutes);
    }
    if has("env") {
        return match (before, after) {
            (None, Some(_)) => Some(Kind::EnvInOnePlace),
            (Some(before), None) if before.as_object().is_some_and(Map::is_empty) => {
                Some(Kind::Defaults)
            }
            (Some(before), Some(after)) if text_of(before) == text_of(after) => {
                Some(Kind::EnvAsText)
            }
            (Some(_), Some(_)) => Some(Kind::EnvInOnePlace),
            _ => None,
        };
    }
    match (before, after) {
        (None, Some(_)) => Some(Kind::Defaults),
        (Some(before), None) if last == "startupOrder" || last == "version" && before == "" => {
            Some(Kind::Defaults)
        }
        (Some(before), Some(_)) if last == "restartPolicy" && before == "unknown" => {
            Some(Kind::Defaults)
        }
        (Some(Json::String(before)), Some(Json::String(after))) if before.trim() == after => {
            Some(Kind::UnreadKeys)
        }
        (Some(_), None) => Some(Kind::UnreadKeys),
        _ => None,
    }
}

fn text_of(env: &Json) -> String {
    let value = env.get("value").unwrap_or(env);
    value.as_str().map_or_else(
        || if value.is_null() { String::new() } else { value.to_string() },
        str::to_owned,
    )
}

fn without_nulls(json: &Json) -> Json {
    match json {
        Json::Object(map) => Json::Object(
            map.iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k.clone(), without_nulls(v)))
                .collect(),
        ),
        Json::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// What containers receive, and routes: these must be equal, whatever differs in form.
fn compare_meaning(before: &Json, after: &Json, found: &mut Vec<String>) {
    let modules = |content: &Json| content["$edgeAgent"]["properties.desired"]["modules"].clone();
    let (before_modules, after_modules) = (modules(before), modules(after));
    let empty = Map::new();
    let b = before_modules.as_object().unwrap_or(&empty);
    let a = after_modules.as_object().unwrap_or(&empty);
    if b.keys().ne(a.keys()) {
        found.push(format!("modules {:?} → {:?}", b.keys(), a.keys()));
    }
    for (name, module) in b {
        let (before, after) = (received(module), received(&a[name]));
        if before != after {
            found.push(format!("module {name}: {before:#} → {after:#}"));
        }
    }
    let routes = |content: &Json| -> BTreeMap<String, (String, Json, Json)> {
        let routes = content["$edgeHub"]["properties.desired"]["routes"].clone();
        let read = |(name, route): (&String, &Json)| {
            let text =
                route.as_str().or(route["route"].as_str()).unwrap_or_default().trim().to_owned();
            (!text.is_empty()).then(|| {
                (name.clone(), (text, route["priority"].clone(), route["timeToLiveSecs"].clone()))
            })
        };
        routes.as_object().into_iter().flatten().filter_map(read).collect()
    };
    if routes(before) != routes(after) {
        found.push(format!("routes {:?} → {:?}", routes(before), routes(after)));
    }
}

/// What the engine would be told of a module.
fn received(module: &Json) -> Json {
    let settings = &module["settings"];
    let mut options = create_options(settings);
    let mut env: BTreeMap<String, String> = module["env"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), text_of(value)))
        .collect();
    if let Some(Json::Array(items)) = options.as_object_mut().and_then(|o| o.remove("env")) {
        for item in items {
            let text = item.as_str().unwrap_or_default().to_owned();
            let (name, value) = text.split_once('=').unwrap_or((&text, "\u{0}"));
            env.insert(name.to_owned(), value.to_owned());
        }
    }
    let policy =
        module["restartPolicy"].as_str().filter(|p| *p != "unknown").unwrap_or("on-unhealthy");
    json!({
        "image": settings["image"].as_str().unwrap_or_default().trim(),
        "env": env,
        "options": options,
        "status": module["status"].as_str().unwrap_or("running"),
        "policy": policy,
        "order": module["startupOrder"].as_u64().unwrap_or(u64::from(u32::MAX)),
        "pull": module["imagePullPolicy"].as_str().unwrap_or("on-create"),
        "version": module["version"].as_str().unwrap_or_default(),
    })
}

/// Create-options as an engine takes them: keys in one letter case, without what says nothing.
fn create_options(settings: &Json) -> Json {
    let mut text = String::new();
    let mut number = 0;
    loop {
        let key = if number == 0 {
            "createOptions".to_owned()
        } else {
            format!("createOptions{number:02}")
        };
        match &settings[&key] {
            Json::String(part) => text.push_str(part),
            Json::Object(_) if number == 0 => return plain_options(&settings[&key]),
            _ if number > 0 => break,
            _ => {}
        }
        number += 1;
    }
    match serde_json::from_str::<Json>(&text) {
        Ok(json) => plain_options(&json),
        Err(_) if text.trim().is_empty() => json!({}),
        Err(_) => json!({"text": text}),
    }
}

fn plain_options(options: &Json) -> Json {
    let mut top = low(options);
    let mut host = low(&top.remove("hostconfig").unwrap_or_default());
    if let Some(Json::Object(ports)) = host.remove("portbindings") {
        let exposed = top.entry("exposedports").or_insert(json!({}));
        let mut plain = Map::new();
        for (port, list) in ports {
            exposed.as_object_mut().expect("its form is known").remove(&port);
            let list = list.as_array().cloned().unwrap_or_default();
            let binding = |b: Json| {
                (
                    b["HostIp"].as_str().unwrap_or_default().to_owned(),
                    b["HostPort"].as_str().map_or_else(|| b["HostPort"].to_string(), str::to_owned),
                )
            };
            let list: Vec<_> = list.into_iter().map(binding).collect();
            plain
                .insert(if port.contains('/') { port } else { format!("{port}/tcp") }, json!(list));
        }
        host.insert("portbindings".to_owned(), Json::Object(plain));
    }
    if let Some(Json::Array(binds)) = host.remove("binds") {
        let mut binds: Vec<String> = binds
            .iter()
            .map(|b| b.as_str().expect("its form is known").trim_end_matches(":rw").to_owned())
            .collect();
        binds.sort();
        host.insert("binds".to_owned(), json!(binds));
    }
    if host.get("networkmode").is_some_and(|mode| mode == "host") {
        top.remove("networkingconfig");
    }
    let twice = host.get("memory").and_then(Json::as_i64).map(|m| m * 2);
    if twice.is_some() && host.get("memoryswap").and_then(Json::as_i64) == twice {
        host.remove("memoryswap");
    }
    for key in ["cmd", "entrypoint"] {
        if let Some(Json::String(word)) = top.get(key).cloned() {
            top.insert(key.to_owned(), json!([word]));
        }
    }
    top.insert("hostconfig".to_owned(), Json::Object(host));
    drop_empty(&mut top);
    Json::Object(top)
}

fn low(json: &Json) -> Map<String, Json> {
    json.as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.to_lowercase(), without_nulls(v)))
        .collect()
}

/// What an engine takes anyway. An empty entrypoint is something: it takes the image's away.
fn drop_empty(top: &mut Map<String, Json>) {
    for value in top.values_mut() {
        if let Json::Object(host) = value {
            host.retain(|_, value| !is_nothing(value));
        }
    }
    top.retain(|key, value| key == "entrypoint" || !is_nothing(value));
}

fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Number(number) => number.as_i64() == Some(0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.is_empty(),
        Json::Bool(true) => false,
    }
}
