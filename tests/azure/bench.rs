//! What the tests of this folder do again and again: import texts, load what came out, export it.

use hoist::azure::{Export, ImportRequest, Imported, InputFile, Mistake, export, import};
use hoist::diagnostic::Level;
use hoist::fleet::{FileTree, Fleet};
use hoist::model::{DeviceId, FleetName, Manifest, Timestamp};
use hoist::resolve::check;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) fn set(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn request(files: &[(&str, &str)], set: BTreeMap<String, String>) -> ImportRequest {
    let input = |(name, text): &(&str, &str)| InputFile {
        name: (*name).to_owned(),
        bytes: text.as_bytes().into(),
    };
    ImportRequest {
        manifests: files.iter().map(input).collect(),
        devices: None,
        engine: None,
        set,
        now: Timestamp::parse("2026-01-05T09:00:00Z").expect("it is there and good"),
        fleet_name: FleetName::parse("fleet").expect("it is there and good"),
    }
}

pub(crate) fn import_all(files: &[(&str, &str)]) -> Result<Imported, Vec<Mistake>> {
    import(&request(files, BTreeMap::new()), &FileTree::default())
}

/// The file that one deployment becomes, and the whole report.
pub(crate) fn imported(text: &str) -> (String, Imported) {
    let imported = import_all(&[("base.json", text)]).unwrap_or_else(|m| panic!("{m:?}"));
    let file = imported.files.iter().find(|(path, _)| path.starts_with("deployments/"));
    (file.expect("a deployment").1.clone(), imported)
}

/// A base manifest around modules, as JSON texts.
pub(crate) fn base(modules: &str) -> String {
    format!(
        r#"{{"modulesContent": {{"$edgeAgent": {{"properties.desired": {{
            "schemaVersion": "1.1",
            "runtime": {{"type": "docker", "settings": {{"minDockerVersion": "v1.25", "loggingOptions": ""}}}},
            "systemModules": {{
                "edgeAgent": {{"type": "docker", "settings": {{"image": "a:1", "createOptions": "{{}}"}}}},
                "edgeHub": {{"type": "docker", "status": "running", "restartPolicy": "always",
                             "settings": {{"image": "h:1", "createOptions": "{{}}"}}}}
            }},
            "modules": {{{modules}}} }} }},
            "$edgeHub": {{"properties.desired": {{"schemaVersion": "1.1", "routes": {{}},
                "storeAndForwardConfiguration": {{"timeToLiveSecs": 7200}} }} }} }} }}"#
    )
}

/// A base with one module that has these create-options, and what its entry becomes, without what every
/// file has.
pub(crate) fn with_options(options: &str) -> String {
    let module = format!(
        r#""cam": {{"type": "docker", "status": "running", "restartPolicy": "always",
            "settings": {{"image": "cam:1", "createOptions": {options}}} }}"#
    );
    let (file, _) = imported(&base(&module));
    entry(&file)
}

/// The lines of a file's modules.
pub(crate) fn entry(file: &str) -> String {
    let from = file.find("[modules.").unwrap_or(file.len());
    let upto = file.find("\n[routes]").or_else(|| file.find("\n[azure")).unwrap_or(file.len());
    file[from..upto.max(from)].trim_end().to_owned()
}

/// The files as a fleet with one device, on which the first deployment of that kind applies.
pub(crate) fn tree_for_device(imported: &Imported) -> FileTree {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut layered = false;
    for (path, text) in &imported.files {
        let mut text = text.clone();
        if path.starts_with("deployments/") {
            let lines = text
                .lines()
                .filter(|l| !l.starts_with("target = ") && !l.starts_with("priority = "));
            let priority = if text.starts_with("kind = \"layered\"") { 1000 } else { 10 };
            layered |= priority == 1000;
            text = format!(
                "target = \"*\"\npriority = {priority}\n{}\n",
                lines.collect::<Vec<_>>().join("\n")
            );
        }
        if path == "fleet.toml" {
            // One of the real ones publishes a port twice; that is for its users to see.
            text.push_str("\n[lints]\nmanifest-conflict = \"warn\"\n");
        }
        files.push((path.clone(), text));
    }
    files.push(("devices/dev-1.toml".to_owned(), String::new()));
    if layered {
        files.push(("deployments/zz-base.toml".to_owned(), "target = \"*\"\n".to_owned()));
    }
    FileTree::from_texts(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
}

/// The errors of a fleet, as lines.
pub(crate) fn errors(tree: &FileTree) -> Vec<String> {
    let diagnostics = check(tree).diagnostics;
    let errors = diagnostics.iter().filter(|d| d.level == Level::Error);
    errors.map(|d| format!("{:?} {}: {}", d.place, d.code, d.message)).collect()
}

/// The manifest of the one device.
pub(crate) fn manifest(tree: &FileTree) -> (Fleet, Manifest) {
    let checked = check(tree);
    let Some((fleet, resolution)) = checked.fleet else { panic!("{:?}", errors(tree)) };
    let device = DeviceId::parse("dev-1").expect("it is there and good");
    let manifest = resolution.manifest(&fleet, &device).expect("a base").expect("it can be filled");
    (fleet, manifest)
}

pub(crate) fn exported(imported: &Imported) -> Export {
    let (fleet, manifest) = manifest(&tree_for_device(imported));
    export(&fleet, &manifest).expect("it can be exported")
}

/// Refusals of the schemas of IoT Edge, by the versions that the parts name. Without the schemas at hand
/// nothing is said.
pub(crate) fn schema_errors(content: &Json) -> Vec<String> {
    let Some(folder) = shared("schemas") else { return Vec::new() };
    let content = &content["modulesContent"];
    let mut errors = Vec::new();
    for (key, name) in [("$edgeAgent", "edgeagent"), ("$edgeHub", "edgehub")] {
        let version =
            content[key]["properties.desired"]["schemaVersion"].as_str().unwrap_or_default();
        let version = version.strip_suffix(".0").filter(|v| v.contains('.')).unwrap_or(version);
        let path = folder.join(format!("azure-iot-{name}-deployment-{version}.json"));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let schema: Json = serde_json::from_str(&text).expect("it is there and good");
        let validator = jsonschema::validator_for(&schema).expect("it is there and good");
        let part = serde_json::json!({key: content[key]});
        errors.extend(validator.iter_errors(&part).map(|e| format!("{}: {e}", e.instance_path())));
    }
    errors
}

/// A folder of real material, if it is at hand.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HOIST_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join("data").join(folder);
    if !path.is_dir() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// All real manifests: name and text.
pub(crate) fn real_manifests() -> Vec<(String, String)> {
    let Some(folder) = shared("manifests") else { return Vec::new() };
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .expect("it is there and good")
        .map(|entry| entry.expect("it is there and good").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            let bytes = std::fs::read(&path).expect("it is there and good");
            let name =
                path.file_name().expect("it is there and good").to_string_lossy().into_owned();
            (name, String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect();
    files.sort();
    files
}
