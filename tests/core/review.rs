//! What a diff says, and that it says all of it.

use crate::harness::{compare, folder, manifest, root, valid, valid_tree};
use crate::hashes::{FULL, MUTATIONS};
use hoist::fleet::{FileTree, Fleet, TreeEntry};
use hoist::model::{DeviceId, Value};
use hoist::resolve::{CheckCache, Resolution, check_after};
use hoist::review::{
    Action, Cause, Compared, Membership, compare_modules, fields_of, fleet_digest,
};
use std::collections::{BTreeMap, BTreeSet};

type Loaded = (Fleet, Resolution);

fn buildings() -> FileTree {
    folder(&root().join("fleet-examples/buildings"))
}

/// The buildings example with one replacement in one file.
fn edited(path: &str, from: &str, to: &str) -> Loaded {
    valid_tree(&edited_files(path, from, to))
}

fn edited_files(path: &str, from: &str, to: &str) -> FileTree {
    let mut tree = buildings();
    let Some(TreeEntry::File(text)) = tree.0.get(path) else { panic!("{path}") };
    assert!(text.contains(from), "{from} in {path}");
    let text = text.replace(from, to);
    tree.0.insert(path.into(), TreeEntry::File(text.into()));
    tree
}

fn edits() -> Vec<Loaded> {
    vec![
        valid_tree(&buildings()),
        edited("deployments/base.toml", "gateway:2.4.1", "gateway:2.4.2"),
        edited("deployments/base.toml", "SendInterval = 5", "SendInterval = 6"),
        edited("deployments/base.toml", "priority = 10", "priority = 35"),
        edited("deployments/base.toml", "'prod'", "'prod' AND NOT deviceId = 'hq-vault'"),
        edited(
            "deployments/motion.toml",
            "tags.motion = true",
            "tags.motion = true AND tags.secure = true",
        ),
        edited("deployments/motion.toml", "priority = 0,", "priority = 1,"),
        edited("deployments/cameras.toml", "\"${device.tags.camera-fps:-12}\"", "\"15\""),
        edited("fleet.toml", "Europe/Berlin", "UTC"),
        edited("devices/elevators.toml", "id = \"lift-06\"", "id = \"lift-07\""),
        edited("devices/headquarters/hq-lobby.toml", "floor = 0", "floor = 1"),
    ]
}

/// Each edit against the first state, both ways, and against the next.
fn pairs(edits: &[Loaded]) -> Vec<(&Loaded, &Loaded)> {
    let first = &edits[0];
    let mut pairs: Vec<_> = edits.iter().flat_map(|edit| [(first, edit), (edit, first)]).collect();
    pairs.extend(edits.windows(2).map(|two| (&two[0], &two[1])));
    pairs
}

#[test]
fn nothing_differs_from_itself() {
    for fleet in edits() {
        let diff = compare(&fleet, &fleet);
        assert!(!diff.has_changes() && diff.groups.is_empty() && diff.notices.is_empty());
        assert_eq!(diff.base.1, diff.head.1);
    }
}

#[test]
fn digests_are_equal_exactly_when_no_device_changes() {
    let edits = edits();
    for (base, head) in pairs(&edits) {
        {
            let diff = compare(base, head);
            assert_eq!(diff.base.1 == diff.head.1, !diff.has_changes());
        }
    }
}

/// What both sides share is hashed once: that changes neither digest.
#[test]
fn a_digest_is_the_same_beside_another_side_as_alone() {
    for (path, from, to) in [
        ("deployments/base.toml", "gateway:2.4.1", "gateway:2.4.2"),
        ("deployments/base.toml", "'prod'", "'prod' AND NOT deviceId = 'hq-vault'"),
        ("deployments/motion.toml", "= true", "= false"),
        ("devices/elevators.toml", "id = \"lift-06\"", "id = \"lift-07\""),
        ("devices/headquarters/hq-lobby.toml", "floor = 0", "floor = 1"),
    ] {
        let trees = [buildings(), edited_files(path, from, to)];
        let mut cache = CheckCache::default();
        let [base, head] =
            trees.each_ref().map(|tree| check_after(tree, &mut cache).fleet.expect("valid"));
        let diff = compare(&base, &head);
        let alone = trees.each_ref().map(|tree| {
            let (fleet, resolution) = valid_tree(tree);
            fleet_digest(&fleet, &resolution)
        });
        assert_eq!([diff.base.1, diff.head.1], alone, "{path}: {to}");
    }
}

/// Cohorts that say the same give the same digest, whatever they consist of.
#[test]
fn a_deployment_in_two_halves_has_the_digest_of_the_whole() {
    let module = |target: &str| {
        format!(
            "target = \"{target}\"\npriority = 1\n[modules.mm]\nimage = \"m:1\"\nenv = {{ A = \"${{device.tags.a}}\" }}\n"
        )
    };
    let devices = "=== devices/all.toml\n[[device]]\nid = \"a\"\ntags = { a = 1, half = 1 }\n[[device]]\nid = \"b\"\n\
                   tags = { a = 2, half = 2 }\n[[device]]\nid = \"c\"\ntags = { a = 3, half = 1 }\n";
    let whole = valid(&format!("{devices}=== deployments/whole.toml\n{}", module("*")));
    let halves = valid(&format!(
        "{devices}=== deployments/one.toml\n{}=== deployments/two.toml\n{}",
        module("tags.half = 1"),
        module("tags.half = 2"),
    ));
    let digest = |(fleet, resolution): &Loaded| fleet_digest(fleet, resolution);
    assert_eq!(digest(&whole), digest(&halves));
}

#[test]
fn the_way_back_swaps_what_comes_and_what_goes() {
    let edits = edits();
    for (base, head) in pairs(&edits) {
        {
            let actions = |from: &Loaded, to: &Loaded, back: bool| {
                let mut actions: BTreeMap<(DeviceId, Option<String>), Action> = BTreeMap::new();
                for group in compare(from, to).groups {
                    if group.membership != Membership::Stays {
                        continue;
                    }
                    for change in &group.changes {
                        let action = match (back, change.action) {
                            (true, Action::Create) => Action::Remove,
                            (true, Action::Remove) => Action::Create,
                            (true, Action::Start) => Action::Stop,
                            (true, Action::Stop) => Action::Start,
                            (_, action) => action,
                        };
                        for id in &group.devices {
                            actions.insert((id.clone(), change.module.clone()), action);
                        }
                    }
                }
                actions
            };
            assert_eq!(actions(base, head, false), actions(head, base, true));
        }
    }
}

#[test]
fn groups_partition_the_changed_devices_and_their_changes_lead_to_the_head() {
    let edits = edits();
    for (base, head) in pairs(&edits) {
        {
            let diff = compare(base, head);
            let mut seen: BTreeSet<&DeviceId> = BTreeSet::new();
            for group in &diff.groups {
                assert_eq!(group.cohorts.values().sum::<usize>(), group.devices.len());
                for id in &group.devices {
                    assert!(seen.insert(id), "{id} is in two groups");
                    if group.membership == Membership::Stays {
                        leads_to_the_head(base, head, id, &json_of(group));
                    }
                }
                assert!(!group.causes.is_empty(), "no cause for {:?}", group.devices);
            }
            assert_eq!(seen.len(), diff.summary.changed);
        }
    }
}

/// The fields of the changes by module and path, from the JSON form.
fn json_of(group: &hoist::review::Group) -> BTreeMap<(String, String), serde_json::Value> {
    let mut fields = BTreeMap::new();
    for change in group.changes.iter().filter(|change| change.module.is_some()) {
        for field in &change.fields {
            let after = field.after.as_ref().map_or(serde_json::Value::Null, Value::to_json);
            fields.insert((change.module.clone().unwrap(), field.path.clone()), after);
        }
    }
    fields
}

fn leads_to_the_head(
    base: &Loaded,
    head: &Loaded,
    id: &DeviceId,
    changes: &BTreeMap<(String, String), serde_json::Value>,
) {
    let fields = |fleet: &Loaded| -> BTreeMap<(String, String), serde_json::Value> {
        let modules = manifest(fleet, id.as_str()).modules;
        modules
            .iter()
            .flat_map(|(name, module)| {
                let fields = fields_of(module).into_iter();
                fields.map(move |(path, value)| ((name.to_string(), path), value.to_json()))
            })
            .collect()
    };
    let (mut reached, wanted) = (fields(base), fields(head));
    for (key, after) in changes {
        match after.is_null() {
            true => reached.remove(key),
            false => reached.insert(key.clone(), after.clone()),
        };
    }
    // Data that holds templates is shown as the template.
    let shown = |value: &serde_json::Value| value.as_str().is_some_and(|t| t.contains("${device."));
    for (key, value) in &reached {
        assert!(shown(value) || wanted.get(key) == Some(value), "{id}: {key:?} = {value}");
    }
    assert_eq!(reached.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{id}");
}

#[test]
fn every_field_that_changes_shows() {
    let fleet = valid(FULL);
    let before = crate::harness::module(&fleet, "d", "mm");
    for (path, _, mutate) in MUTATIONS {
        let mut after = before.clone();
        mutate(&mut after);
        let side = |module| Some(Compared { filled: module, template: module });
        let change = compare_modules("mm", side(&before), side(&after)).unwrap();
        assert!(
            change.fields.iter().any(|field| field.path.starts_with(path)),
            "{path} is not among {:?}",
            change.fields
        );
        assert!(!change.diff.is_empty(), "{path} is not in the text");
        assert!(!change.reasons.is_empty(), "{path} is no reason");
    }
}

#[test]
fn every_property_of_a_route_shows() {
    let before = valid(FULL);
    for (from, to) in [
        ("FROM /* INTO", "FROM /messages/* INTO"),
        ("priority = 1,", "priority = 2,"),
        ("priority = 1,", ""),
        ("time-to-live = \"2h\"", "time-to-live = \"3h\""),
        ("up = {", "down = {"),
    ] {
        let after = valid(&FULL.replace(from, to));
        let diff = compare(&before, &after);
        let change = &diff.groups[0].changes[0];
        assert_eq!((change.action, change.module.as_deref()), (Action::Routes, None));
        assert!(!change.fields.is_empty() && !change.diff.is_empty());
        assert_ne!(diff.base.1, diff.head.1);
    }
}

const LIFTS: &str = r#"
    === devices/lifts.toml
    [[device]]
    id = "l1"
    tags = { n = 1 }
    [[device]]
    id = "l2"
    tags = { n = 2 }
    === deployments/b.toml
    target = "*"
    [modules.mm]
    image = "m:1"
"#;

#[test]
fn templates_in_data_keep_a_group_together_and_others_split_it() {
    for (entry, groups) in [
        ("env = { ID = \"${device.id}\", N = \"${device.tags.n}\" }", 1),
        ("desired = { id = \"${device.id}\", list = [\"${device.tags.n}\"] }", 1),
        ("ports = [\"127.0.0.1:${device.tags.n}:80\"]", 2),
        ("volumes = [\"data${device.tags.n}:/d\"]", 2),
        ("command = [\"${device.id}\"]", 2),
        ("hostname = \"${device.id}\"", 2),
    ] {
        let head = valid(&format!("{LIFTS}{entry}\n"));
        assert_eq!(compare(&valid(LIFTS), &head).groups.len(), groups, "{entry}");
        let new = LIFTS.replace("[modules.mm]", "[modules.nn]");
        assert_eq!(compare(&valid(&new), &head).groups.len(), groups, "{entry}");
    }
    let images = LIFTS.replace("m:1", "m:${device.tags.n}");
    assert_eq!(compare(&valid(LIFTS), &valid(&images)).groups.len(), 1, "l1 keeps its image");
}

#[test]
fn a_template_that_fills_to_the_same_text_is_no_change() {
    let literal = valid(&format!("{LIFTS}env = {{ A = \"x\", B = \"1\" }}\n"));
    let template =
        valid(&format!("{LIFTS}env = {{ A = \"${{device.tags.no:-x}}\", B = \"2\" }}\n"));
    let diff = compare(&literal, &template);
    let paths: Vec<&str> =
        diff.groups[0].changes[0].fields.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["env.B"]);
    let same = valid(&format!("{LIFTS}env = {{ A = \"x\", B = \"${{device.tags.no:-1}}\" }}\n"));
    let diff = compare(&literal, &same);
    assert!(!diff.has_changes() && diff.groups.is_empty());
    assert_ne!(diff.base.1, diff.head.1, "it is over templates, not over what they fill in");
}

#[test]
fn a_tag_that_is_filled_in_shows_its_values() {
    let base = format!("{LIFTS}env = {{ N = \"${{device.tags.n}}\" }}\n");
    let diff = compare(&valid(&base), &valid(&base.replace("n = 2", "n = 3")));
    let field = &diff.groups[0].changes[0].fields[0];
    assert_eq!((field.before.clone(), field.after.clone()), (Some("2".into()), Some("3".into())));
    assert_eq!(diff.groups[0].causes, BTreeMap::from([(Cause::TagsChanged("n".to_owned()), 1)]));
}

#[test]
fn swapped_layers_have_a_cause() {
    let fleet = |a: u8, b: u8| {
        valid(&format!(
            "{LIFTS}=== deployments/x.toml\nkind = \"layered\"\ntarget = \"*\"\npriority = {a}\n[modules.mm]\nimage = \"x:1\"\n\
             === deployments/y.toml\nkind = \"layered\"\ntarget = \"*\"\npriority = {b}\n[modules.mm]\nimage = \"y:1\"\n"
        ))
    };
    let diff = compare(&fleet(1, 2), &fleet(3, 2));
    let kinds: Vec<&str> = diff.groups[0].causes.keys().map(Cause::kind).collect();
    assert_eq!(kinds, ["priority-changed"]);
}

#[test]
fn equal_changes_are_one_group_whatever_caused_them() {
    let fleet = |n: u8, target: &str| {
        valid(&format!(
            "=== devices/a.toml\ntags = {{ n = {n} }}\n=== devices/b.toml\ntags = {{ n = 7 }}\n\
             === deployments/b.toml\ntarget = \"*\"\n\
             === deployments/x.toml\nkind = \"layered\"\ntarget = \"tags.n = 1\"\npriority = 1\n[modules.mm]\nimage = \"m:1\"\n\
             === deployments/y.toml\nkind = \"layered\"\ntarget = \"{target}\"\npriority = 2\n[modules.mm]\nimage = \"m:1\"\n"
        ))
    };
    let diff = compare(&fleet(2, "tags.n = 9"), &fleet(1, "tags.n = 7"));
    assert_eq!(diff.groups.len(), 1);
    let kinds: Vec<&str> = diff.groups[0].causes.keys().map(Cause::kind).collect();
    assert_eq!(kinds, ["target-changed", "tags-changed"]);
}

#[test]
fn power_that_a_module_gains_is_said_and_other_options_are_none() {
    for (entry, gains) in [
        ("privileged = true", true),
        ("network-mode = \"host\"", true),
        ("volumes = [\"/etc:/etc\"]", true),
        ("volumes = [\"data:/d\"]", false),
        ("cap-add = [\"NET_ADMIN\"]", true),
        ("host-devices = [\"/dev/video0\"]", true),
        ("create-options = { HostConfig = { PidMode = \"host\" } }", true),
        ("create-options = { Env = [\"A=1\"] }", false),
        ("env = { A = \"1\" }", false),
    ] {
        let head = valid(&format!("{LIFTS}{entry}\n"));
        let diff = compare(&valid(LIFTS), &head);
        assert_eq!(diff.groups[0].changes[0].gains_power, gains, "{entry}");
        let back = compare(&head, &valid(LIFTS));
        assert!(!back.groups[0].changes[0].gains_power, "{entry}");
    }
}

#[test]
fn what_differs_between_devices_and_stays_is_in_no_diff_of_a_group() {
    let fleet = |n: u8| {
        let own = |id: &str| {
            format!(
                "=== deployments/{id}.toml\nkind = \"layered\"\npriority = 1\ntarget = \"deviceId = '{id}'\"\n\
                 [modules.mm.desired-at]\n\"place.id\" = \"own-{id}\"\n"
            )
        };
        valid(&format!("{LIFTS}desired = {{ place = {{ n = {n} }} }}\n{}{}", own("l1"), own("l2")))
    };
    let diff = compare(&fleet(1), &fleet(2));
    assert_eq!(diff.groups.len(), 1);
    assert_eq!(
        diff.groups[0].diff,
        "  [modules.mm.desired]\n- place = { n = 1 }\n+ place = { n = 2 }\n"
    );
}

#[test]
fn each_line_of_a_diff_stands_below_its_own_table() {
    let before =
        valid(&format!("{LIFTS}env = {{ A = \"1\", B = \"2\" }}\ndesired = {{ x = 1 }}\n"));
    let after = valid(&LIFTS.replace("m:1", "m:2"));
    let there = "  [modules.mm]\n- image = \"m:1\"\n+ image = \"m:2\"\n  [modules.mm.env]\n- A = \"1\"\n- B = \"2\"\n\
                 \x20 [modules.mm.desired]\n- x = 1\n";
    assert_eq!(compare(&before, &after).groups[0].diff, there);
    let back = "  [modules.mm]\n- image = \"m:2\"\n+ image = \"m:1\"\n  [modules.mm.env]\n+ A = \"1\"\n+ B = \"2\"\n\
                \x20 [modules.mm.desired]\n+ x = 1\n";
    assert_eq!(compare(&after, &before).groups[0].diff, back);
}
