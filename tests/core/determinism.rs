//! The same files give the same bytes, in whatever order they come.

use crate::harness::{folder, root};
use hoist::fleet::{FileTree, print_manifest};
use hoist::resolve::check;
use hoist::review::fleet_digest;

fn everything(tree: &FileTree) -> String {
    let checked = check(tree);
    let (fleet, resolution) = checked.fleet.unwrap();
    let mut out = format!("{:?}\n{}\n", checked.diagnostics, fleet_digest(&fleet, &resolution));
    for id in fleet.devices.keys() {
        out.push_str(&print_manifest(&resolution.manifest(&fleet, id).unwrap().unwrap(), ""));
    }
    out
}

#[test]
fn the_same_files_give_the_same_bytes() {
    for name in ["buildings", "layered-twin", "one-host"] {
        let tree = folder(&root().join("fleet-examples").join(name));
        let first = everything(&tree);
        assert_eq!(first, everything(&tree), "{name}");
        let reversed = FileTree(tree.0.into_iter().rev().collect());
        assert_eq!(first, everything(&reversed), "{name}");
    }
}

#[test]
fn where_a_file_lies_and_what_it_is_called_changes_no_device() {
    let tree = folder(&root().join("fleet-examples/buildings"));
    let moved: FileTree = FileTree(
        tree.0
            .iter()
            .map(|(path, entry)| {
                let path = match path.strip_prefix("deployments/") {
                    Some(rest) => format!("deployments/zz/{rest}"),
                    None => path.replace("devices/headquarters/", "devices/0/"),
                };
                (path.into(), entry.clone())
            })
            .collect(),
    );
    let digest = |tree: &FileTree| {
        let (fleet, resolution) = check(tree).fleet.unwrap();
        fleet_digest(&fleet, &resolution)
    };
    assert_eq!(digest(&tree), digest(&moved));
}
