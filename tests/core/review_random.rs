//! What holds for every pair of fleets.

use crate::harness::{compare, compare_only, manifest, valid};
use hoist::fleet::Fleet;
use hoist::model::{DeviceId, Value};
use hoist::resolve::Resolution;
use hoist::review::{
    Action, FleetDiff, LONGEST_COMMENT, Membership, fields_of, json, markdown, text,
};
use proptest::prelude::*;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

type Loaded = (Fleet, Resolution);

/// A deployment's kind, the ring that it targets, its priority, and its values.
type Wish = (bool, u8, u8, u8, u8);

fn fleets() -> impl Strategy<Value = String> {
    let devices = prop::collection::btree_map(0..5_u8, (0..3_u8, 0..3_u8), 1..5);
    let deployments =
        prop::collection::vec((any::<bool>(), 0..4_u8, 0..4_u8, 0..3_u8, 0..3_u8), 1..5);
    (devices, deployments, 0..2_u8).prop_map(|(devices, deployments, default)| {
        let mut out = format!(
            "=== fleet.toml\nname = \"test\"\n[defaults]\nenv = {{ DEFAULT = \"{default}\" }}\n"
        );
        for (id, (ring, n)) in &devices {
            let _ = writeln!(out, "=== devices/d{id}.toml\ntags = {{ ring = {ring}, n = {n} }}");
        }
        for (i, wish) in deployments.iter().enumerate() {
            deployment(&mut out, i, *wish);
        }
        out
    })
}

fn deployment(out: &mut String, i: usize, (layered, ring, priority, a, b): Wish) {
    let kind = if layered { "layered" } else { "automatic" };
    let target = if ring == 3 { "*".to_owned() } else { format!("tags.ring = {ring}") };
    let _ = write!(
        out,
        "=== deployments/x{i}.toml\nkind = \"{kind}\"\ntarget = \"{target}\"\npriority = {priority}\n\
         created = 2026-01-0{}T00:00:00Z\n[modules.m{}]\nimage = \"m:{b}\"\n\
         env = {{ A = \"{a}\", N = \"${{device.tags.n}}\" }}\nlabels = {{ \"l.l\" = \"{b}\" }}\n",
        i + 1,
        a + 1,
    );
    let _ = write!(out, "[modules.m{}.desired]\n\"k.k\" = {a}\nk = {{ k = {b} }}\n", a + 1);
    if b == 2 {
        let _ = write!(out, "[modules.every]\nimage = \"e:1\"\nports = [\"80{a}:80\"]\n");
        let _ = write!(out, "[routes]\nr{a} = \"FROM /* INTO $upstream\"\n");
    }
}

/// What stands at each module and path.
type Fields = BTreeMap<(String, String), Json>;

fn fields(fleet: &Loaded, id: &str) -> Fields {
    let modules = manifest(fleet, id).modules;
    modules
        .iter()
        .flat_map(|(name, module)| {
            let fields = fields_of(module).into_iter();
            fields.map(move |(path, value)| ((name.to_string(), path), value.to_json()))
        })
        .collect()
}

/// Applies the changes of a group, as JSON has them, to what the base has.
fn applied(mut fields: Fields, group: &Json) -> Fields {
    for change in group["changes"].as_array().unwrap() {
        let Some(module) = change["module"].as_str() else { continue };
        for field in change["fields"].as_array().unwrap() {
            let key = (module.to_owned(), field["path"].as_str().unwrap().to_owned());
            let before = fields.remove(&key).unwrap_or(Json::Null);
            assert_eq!(shown(&before, &field["before"]), field["before"], "{key:?}");
            if !field["after"].is_null() {
                fields.insert(key, field["after"].clone());
            }
        }
    }
    fields
}

/// A filled text stands for the template that is shown in its place.
fn shown(value: &Json, template: &Json) -> Json {
    match template.as_str() {
        Some(text) if text.contains("${device.") => template.clone(),
        _ => value.clone(),
    }
}

fn proves(base: &Loaded, head: &Loaded, diff: &FleetDiff) {
    let json = json(diff);
    let mut seen: BTreeSet<&DeviceId> = BTreeSet::new();
    for (group, shown_group) in diff.groups.iter().zip(json["groups"].as_array().unwrap()) {
        assert_eq!(group.cohorts.values().sum::<usize>(), group.devices.len());
        assert!(!group.causes.is_empty(), "no cause for {:?}", group.devices);
        for id in &group.devices {
            assert!(seen.insert(id), "{id} is in two groups");
            if group.membership == Membership::Stays {
                let reached = applied(fields(base, id.as_str()), shown_group);
                let wanted = fields(head, id.as_str());
                assert_eq!(reached.len(), wanted.len(), "{id}");
                for (key, value) in &wanted {
                    assert_eq!(shown(value, &reached[key]), reached[key], "{id} {key:?}");
                }
            }
        }
    }
    assert_eq!(seen.len(), diff.summary.changed);
    for id in base.0.devices.keys().filter(|id| head.0.devices.contains_key(*id)) {
        let of = |fleet: &Loaded| fleet.1.manifest(&fleet.0, id).map(Result::unwrap);
        let (old, new) = (of(base), of(head));
        let differs = match (&old, &new) {
            (Some(old), Some(new)) => old.modules != new.modules || old.routes != new.routes,
            (old, new) => old.is_some() != new.is_some(),
        };
        assert_eq!(differs, seen.contains(id), "{id}");
    }
    assert_eq!(diff.base.1 == diff.head.1, seen.is_empty());
}

/// What happens to each module of each device that stays.
fn actions(diff: &FleetDiff) -> BTreeMap<(String, Option<String>), (Action, BTreeSet<String>)> {
    let mut actions = BTreeMap::new();
    for group in diff.groups.iter().filter(|g| g.membership == Membership::Stays) {
        for change in &group.changes {
            let paths: BTreeSet<String> = change.fields.iter().map(|f| f.path.clone()).collect();
            for id in &group.devices {
                let key = (id.to_string(), change.module.clone());
                actions.insert(key, (change.action, paths.clone()));
            }
        }
    }
    actions
}

/// Devices are compared by pairs of cohorts: what is found for one in company is what is found for it alone.
fn is_the_same_alone(base: &Loaded, head: &Loaded, diff: &FleetDiff) {
    let found = |diff: &FleetDiff| {
        let mut found = BTreeMap::new();
        for group in &diff.groups {
            let mut changes = group.changes.clone();
            for field in changes.iter_mut().flat_map(|change| &mut change.fields) {
                field.set_by.clear();
            }
            for id in &group.devices {
                found.insert(id.clone(), (group.membership, changes.clone()));
            }
        }
        found
    };
    let together = found(diff);
    for id in base.0.devices.keys().chain(head.0.devices.keys()) {
        let alone = found(&compare_only(base, head, id));
        assert_eq!(alone.get(id), together.get(id), "{id}");
    }
}

fn turned(action: Action) -> Action {
    match action {
        Action::Create => Action::Remove,
        Action::Remove => Action::Create,
        Action::Start => Action::Stop,
        Action::Stop => Action::Start,
        Action::Recreate | Action::Update | Action::Routes => action,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_diff_is_the_whole_difference((base, head) in (fleets(), fleets())) {
        let loaded = |text: &str| crate::harness::checked(text).fleet;
        let (Some(base), Some(head)) = (loaded(&base), loaded(&head)) else { return Ok(()) };
        let (there, back) = (compare(&base, &head), compare(&head, &base));
        proves(&base, &head, &there);
        proves(&head, &base, &back);
        is_the_same_alone(&base, &head, &there);
        let turned_back: BTreeMap<_, _> =
            actions(&back).into_iter().map(|(key, (a, paths))| (key, (turned(a), paths))).collect();
        prop_assert_eq!(actions(&there), turned_back);
        for fleet in [&base, &head] {
            let same = compare(fleet, fleet);
            prop_assert!(!same.has_changes() && same.groups.is_empty() && same.notices.is_empty());
        }
        prop_assert!(markdown(&there).len() <= LONGEST_COMMENT);
        prop_assert_eq!(there.summary.left, back.summary.joined);
    }
}

#[test]
fn keys_with_dots_have_paths_of_their_own() {
    let fleet = |dotted: u8, table: u8| {
        valid(&format!(
            "=== devices/d.toml\n=== deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\n\
             [modules.mm.desired]\n\"a.b\" = {dotted}\na = {{ b = {table}, \"\" = 1 }}\n\
             [modules.mm.create-options]\nHostConfig = {{ Sysctls = {{ \"net.core\" = \"{dotted}\" }} }}\n"
        ))
    };
    let diff = compare(&fleet(1, 2), &fleet(3, 4));
    let fields = &diff.groups[0].changes[0].fields;
    let found: Vec<(&str, Option<&Value>, String)> = fields
        .iter()
        .map(|f| {
            (f.path.as_str(), f.after.as_ref(), f.set_by[0].place.as_ref().unwrap().to_string())
        })
        .collect();
    let (three, four, text) = (Value::from(3), Value::from(4), Value::from("3"));
    assert_eq!(
        found,
        [
            (
                "create-options.HostConfig.Sysctls.\"net.core\"",
                Some(&text),
                "deployments/b.toml:8".to_owned()
            ),
            ("desired.\"a.b\"", Some(&three), "deployments/b.toml:5".to_owned()),
            ("desired.a.b", Some(&four), "deployments/b.toml:6".to_owned()),
        ]
    );
    assert!(text_of(&diff).contains("desired.\"a.b\" changed"));
}

fn text_of(diff: &FleetDiff) -> String {
    text(diff, &|_, text| text.to_owned())
}

#[test]
fn an_image_bump_over_sixty_cohorts_is_one_short_group() {
    let mut fleet = String::from("=== devices/all.toml\n");
    for i in 0..2000 {
        let _ = write!(fleet, "[[device]]\nid = \"d{i:04}\"\ntags = {{ c = {} }}\n", i % 60);
    }
    for c in 0..60 {
        let _ = write!(
            fleet,
            "=== deployments/l{c}.toml\nkind = \"layered\"\ntarget = \"tags.c = {c}\"\npriority = 1\n\
             [modules.x{c}]\nimage = \"x:1\"\n"
        );
    }
    fleet.push_str(
        "=== deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\nenv = { ID = \"${device.id}\" }\n",
    );
    let diff = compare(&valid(&fleet), &valid(&fleet.replace("m:1", "m:2")));
    assert_eq!((diff.groups.len(), diff.groups[0].cohorts.len()), (1, 60));
    assert_eq!(diff.groups[0].devices.len(), 2000);
    assert_eq!(json(&diff)["summary"]["modules"]["recreated"], 2000);
    let shown = text_of(&diff);
    assert!(shown.lines().count() < 20, "{shown}");
    assert!(markdown(&diff).lines().count() < 60);
}
