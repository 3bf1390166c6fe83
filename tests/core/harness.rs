//! Small fleets as texts.

use hoist::diagnostic::{Diagnostic, Diagnostics};
use hoist::fleet::{FileTree, Fleet, TreeEntry, print_manifest};
use hoist::model::{DeviceId, Facts, Manifest, Module, ModuleName};
use hoist::resolve::{Checked, Resolution, check};
use hoist::review::{DiffOptions, FleetDiff, Side, diff};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files in one text: each begins with a line `=== path`. Without `fleet.toml`, one is added.
pub(crate) fn tree(text: &str) -> FileTree {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("=== ") {
            Some(path) => files.push((path.trim().to_owned(), String::new())),
            None => {
                if let Some((_, text)) = files.last_mut() {
                    text.push_str(line.trim_start());
                    text.push('\n');
                }
            }
        }
    }
    if !files.iter().any(|(path, _)| path == "fleet.toml") {
        files.push(("fleet.toml".to_owned(), "name = \"test\"\n".to_owned()));
    }
    FileTree::from_texts(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
}

pub(crate) fn checked(text: &str) -> Checked {
    check(&tree(text))
}

/// A fleet that must be valid.
pub(crate) fn valid(text: &str) -> (Fleet, Resolution) {
    valid_tree(&tree(text))
}

pub(crate) fn valid_tree(tree: &FileTree) -> (Fleet, Resolution) {
    let checked = check(tree);
    checked.fleet.unwrap_or_else(|| panic!("{}", lines(&checked.diagnostics)))
}

pub(crate) fn id(text: &str) -> DeviceId {
    DeviceId::parse(text).unwrap()
}

pub(crate) fn manifest(fleet: &(Fleet, Resolution), device: &str) -> Manifest {
    fleet.1.manifest(&fleet.0, &id(device)).unwrap().unwrap()
}

pub(crate) fn module(fleet: &(Fleet, Resolution), device: &str, name: &str) -> Module {
    manifest(fleet, device).modules.remove(&ModuleName::parse(name).unwrap()).unwrap()
}

/// The manifest of device `d` as its canonical text.
pub(crate) fn merged(text: &str) -> String {
    print_manifest(&manifest(&valid(text), "d"), "")
}

/// One line a diagnostic: level, code, place, number of devices.
pub(crate) fn lines(diagnostics: &Diagnostics) -> String {
    diagnostics.iter().map(line).collect()
}

fn line(diagnostic: &Diagnostic) -> String {
    let place = match diagnostic.position() {
        Some((file, line, column)) => format!("{file}:{line}:{column}"),
        None => "nowhere".to_owned(),
    };
    let devices = diagnostic.devices.map(|n| format!(" ({n})")).unwrap_or_default();
    format!("{}[{}] {place}{devices}: {}\n", diagnostic.level, diagnostic.code, diagnostic.message)
}

pub(crate) fn compare(base: &(Fleet, Resolution), head: &(Fleet, Resolution)) -> FleetDiff {
    let facts = Facts::none();
    let side = |name, fleet| {
        let (fleet, resolution): &(Fleet, Resolution) = fleet;
        Side::of_files(name, Some((fleet, resolution)), &facts, &[])
    };
    diff(side("base", base), side("head", head), &DiffOptions::default())
}

/// The same, looking at one device.
pub(crate) fn compare_only(
    base: &(Fleet, Resolution),
    head: &(Fleet, Resolution),
    device: &DeviceId,
) -> FleetDiff {
    let facts = Facts::none();
    let options =
        DiffOptions { only: Some(BTreeSet::from([device.clone()])), ..DiffOptions::default() };
    let side =
        |name, (fleet, resolution)| Side::of_files(name, Some((fleet, resolution)), &facts, &[]);
    diff(side("base", (&base.0, &base.1)), side("head", (&head.0, &head.1)), &options)
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A folder as a tree.
pub(crate) fn folder(path: &Path) -> FileTree {
    fn add(folder: &Path, prefix: &str, tree: &mut FileTree) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                add(&entry.path(), &format!("{path}/"), tree);
            } else {
                tree.0.insert(path.into(), TreeEntry::of(&fs::read(entry.path()).unwrap()));
            }
        }
    }
    let mut tree = FileTree::default();
    add(path, "", &mut tree);
    tree.0.retain(|path, _| path.ends_with(".toml"));
    tree
}
