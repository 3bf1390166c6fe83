//! Every folder of `tests/wrong-fleets` is a fleet with mistakes, and `expected.txt` what is said of them.
//! `HOIST_BLESS=1` writes what is said; then read it as somebody who made the mistake.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use hoist::diagnostic::render;
use hoist::fleet::{FileTree, TreeEntry, load};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_mistake_is_reported_once_and_at_its_place() {
    let bless = std::env::var_os("HOIST_BLESS").is_some();
    let mut wrong = Vec::new();
    for folder in folders() {
        let loaded = load(&tree_of(&folder));
        let diagnostics = loaded.diagnostics.sorted();
        let mut said = render::all(&diagnostics, |_, text| text.to_owned());
        said.push_str(&render::count(&diagnostics));
        said.push('\n');
        let expected = folder.join("expected.txt");
        if bless {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).ok().as_ref() != Some(&said) {
            wrong.push(format!("{}:\n{said}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "other words than in expected.txt:\n{}", wrong.join("\n"));
}

#[test]
fn ten_mistakes_in_five_files_are_ten_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong-fleets/ten-mistakes");
    let tree = tree_of(&folder);
    assert_eq!(tree.0.len(), 5);
    let diagnostics = load(&tree).diagnostics.sorted();
    assert_eq!(render::count(&diagnostics), "10 errors");
    let mut per_file: BTreeMap<&str, usize> = BTreeMap::new();
    for diagnostic in &diagnostics {
        let (file, ..) = diagnostic.position().unwrap();
        *per_file.entry(file).or_default() += 1;
    }
    assert!(per_file.values().any(|mistakes| *mistakes >= 3));
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong-fleets");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 20);
    folders
}

fn tree_of(folder: &Path) -> FileTree {
    let mut tree = FileTree::default();
    add(folder, "", &mut tree);
    tree.0.remove("expected.txt");
    tree
}

fn add(folder: &Path, prefix: &str, tree: &mut FileTree) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            tree.0.insert(path.into(), TreeEntry::Link);
        } else if kind.is_dir() {
            add(&entry.path(), &format!("{path}/"), tree);
        } else {
            tree.0.insert(path.into(), TreeEntry::of(&fs::read(entry.path()).unwrap()));
        }
    }
}
