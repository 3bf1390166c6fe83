//! JSON Schemas against files: every right file is taken, and of wrong files as much is refused as a schema can
//! see. `HOIST_BLESS=1` writes `schema/*.json`.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use hoist::diagnostic::{Code, Diagnostic, Level};
use hoist::fleet::{FileKind, FileTree, load, schema};
use jsonschema::Validator;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of a folder of this package that are of a fleet, with their kinds.
fn fleet_files(folder: &Path) -> Vec<(PathBuf, FileKind)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if inside == "fleet.toml" {
                found.push((path, FileKind::Fleet));
            } else if inside.ends_with(".toml") && inside.starts_with("devices/") {
                found.push((path, FileKind::Device));
            } else if inside.ends_with(".toml") && inside.starts_with("deployments/") {
                found.push((path, FileKind::Deployment));
            }
        }
    }
    found.sort();
    found
}

/// A file as editors hand it to a schema: dates are texts.
fn json_of(value: &toml::Value) -> Json {
    match value {
        toml::Value::Table(table) => {
            table.iter().map(|(key, value)| (key.clone(), json_of(value))).collect()
        }
        toml::Value::Array(items) => items.iter().map(json_of).collect(),
        toml::Value::Datetime(date) => json!(date.to_string()),
        toml::Value::String(text) => json!(text),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(value) => json!(value),
    }
}

fn parse(text: &str) -> Option<Json> {
    let table: toml::Table = toml::from_str(text).ok()?;
    Some(json_of(&toml::Value::Table(table)))
}

fn validators() -> BTreeMap<FileKind, Validator> {
    FileKind::ALL.map(|kind| (kind, jsonschema::validator_for(&schema(kind)).unwrap())).into()
}

fn complaints(validator: &Validator, file: &Json) -> Vec<String> {
    validator.iter_errors(file).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn schemas_are_schemas() {
    for kind in FileKind::ALL {
        let schema = schema(kind);
        assert!(jsonschema::meta::is_valid(&schema), "{kind:?}");
        let path = package().join(format!("schema/{}.json", kind.as_str()));
        let text = format!("{schema:#}\n");
        if std::env::var_os("HOIST_BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{}: `HOIST_BLESS=1 cargo test --test schema`", path.display());
    }
}

#[test]
fn every_file_of_the_examples_is_taken_and_names_its_schema() {
    let validators = validators();
    let mut seen = BTreeSet::new();
    for example in fs::read_dir(package().join("fleet-examples")).unwrap() {
        let example = example.unwrap().path();
        for (path, kind) in fleet_files(&example) {
            let text = fs::read_to_string(&path).unwrap();
            let found = complaints(&validators[&kind], &parse(&text).unwrap());
            assert!(found.is_empty(), "{}: {found:#?}", path.display());
            let first = text.lines().next().unwrap();
            let named =
                first.strip_prefix("#:schema ").unwrap_or_else(|| panic!("{}", path.display()));
            let named = path.parent().unwrap().join(named).canonicalize().unwrap();
            assert_eq!(named, package().join(format!("schema/{}.json", kind.as_str())));
            seen.insert(kind);
        }
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn the_reference_and_other_right_files_are_taken() {
    let validators = validators();
    let reference = fs::read_to_string(package().join("docs/fleet-files.md")).unwrap();
    let mut files: Vec<(String, String)> = reference
        .split("```toml\n# ")
        .skip(1)
        .map(|block| {
            let (path, text) = block.split("```").next().unwrap().split_once('\n').unwrap();
            (path.to_owned(), text.to_owned())
        })
        .collect();
    assert!(files.len() >= 6);
    let right = fs::read_to_string(package().join("tests/right-files.txt")).unwrap();
    for block in right.split("=== ").skip(1) {
        let (path, text) = block.split_once('\n').unwrap();
        files.push((path.to_owned(), text.to_owned()));
    }
    for (path, text) in &files {
        let kind = match path.split('/').next().unwrap() {
            "fleet.toml" => FileKind::Fleet,
            "devices" => FileKind::Device,
            _ => FileKind::Deployment,
        };
        // What is here must be right in the decoder's eyes, file by file.
        let mut tree: BTreeMap<&str, &str> =
            [("fleet.toml", "name = \"towers\"\n"), ("devices/lobby-kiosk.toml", "")].into();
        tree.insert(path, text);
        let found = load(&FileTree::from_texts(tree)).diagnostics;
        assert!(!found.has_errors(), "{path}: {found:?}");
        let found = complaints(&validators[&kind], &parse(text).unwrap());
        assert!(found.is_empty(), "{path}: {found:#?}\n{text}");
    }
}

/// Problems that no schema can see, and why.
const BEYOND_A_SCHEMA: &[(Code, &str)] = &[
    (Code::BadCondition, "a language of its own"),
    (Code::BadQuery, "a language of its own"),
    (Code::BadRoute, "a language of its own"),
    (Code::UnknownDevice, "it needs the other files"),
    (Code::BadTemplate, "what stands inside `${…}` is a language of its own"),
];

/// Wrong files in which a schema can't see what is wrong, and why.
const UNSEEN: &[(&str, &str)] = &[
    ("device-file/devices/a b.toml", "a schema does not know the file's name"),
    ("device-file/devices/a+b.toml", "a schema does not know the file's name"),
    ("other-files/deployments/.toml", "a schema does not know the file's name"),
    ("tabs-and-unicode/devices/größe.toml", "a schema does not know the file's name"),
    ("tabs-and-unicode/fleet.toml", "dates are texts to a schema"),
    ("numbers/deployments/real.toml", "1.0 is an integer to a schema"),
    ("nesting/deployments/base.toml", "a schema does not count levels"),
    ("nesting/devices/a.toml", "a schema does not count levels"),
];

#[test]
fn every_wrong_file_that_a_schema_can_see_is_refused() {
    let validators = validators();
    let unseen: BTreeMap<&str, &str> = UNSEEN.iter().copied().collect();
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut refused = 0;
    let root = package().join("tests/wrong-fleets");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        for (path, kind) in fleet_files(&folder) {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            // A link, or text that no editor would call TOML.
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let Some(file) = parse(text) else { continue };
            let inside = path.strip_prefix(&folder).unwrap().to_str().unwrap();
            let found = load(&FileTree::from_texts([(inside, text)])).diagnostics;
            let errors: Vec<&Diagnostic> = found
                .iter()
                .filter(|d| d.level == Level::Error)
                .filter(|d| d.position().is_some_and(|(file, ..)| file == inside))
                .collect();
            let visible: Vec<String> = errors
                .iter()
                .filter(|d| BEYOND_A_SCHEMA.iter().all(|(code, _)| *code != d.code))
                .map(|d| format!("{}: {}", d.code, d.message))
                .collect();
            let complaints = complaints(&validators[&kind], &file);
            let listed = unseen.contains_key(name.as_str());
            if complaints.is_empty() {
                if listed {
                    used.insert(name);
                } else if !visible.is_empty() {
                    wrong.push(format!("{name} is taken; wrong in it: {visible:#?}"));
                }
            } else if errors.is_empty() {
                wrong.push(format!("{name} is right, but refused: {complaints:#?}"));
            } else if listed {
                wrong.push(format!("{name} is refused now: take it from the list"));
            } else {
                refused += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let listed: BTreeSet<String> = unseen.keys().map(ToString::to_string).collect();
    assert_eq!(used, listed, "used, listed");
    assert!(refused > 25, "{refused} files were refused");
}
