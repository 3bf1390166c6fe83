//! Causes: the edit without which a device would not change, and no other.

use crate::harness::{compare, tree, valid};
use hoist::fleet::Fleet;
use hoist::model::{DeviceId, Facts, Manifest, Table};
use hoist::resolve::{Resolution, check, resolve};
use hoist::review::{Cause, DiffOptions, FleetDiff, Side, diff};
use std::collections::BTreeMap;

const FLEET: &str = r#"
    === fleet.toml
    name = "test"
    [defaults]
    env = { TZ = "A" }
    memory = "64MiB"
    === devices/d.toml
    tags = { ring = 1, site = "s", free = 1, place = { floor = 1, room = 2 } }
    reported = { model = "m" }
    === devices/other.toml
    tags = { ring = 9, site = "s", place = { floor = 1 } }
    === deployments/base.toml
    target = "tags.site = 's'"
    priority = 10
    created = 2026-01-01T00:00:00Z
    [modules.web]
    image = "web:1"
    env = { FLOOR = "${device.tags.place.floor}" }
    [modules.fixed]
    image = "fixed:1"
    memory = "1MiB"
    env = { TZ = "own" }
    === deployments/rival.toml
    target = "tags.ring = 1"
    priority = 5
    created = 2026-01-02T00:00:00Z
    [modules.rival]
    image = "rival:1"
    === deployments/low.toml
    kind = "layered"
    target = "tags.ring = 1"
    priority = 20
    created = 2026-01-03T00:00:00Z
    [modules.web]
    patch = true
    env = { LOW = "1", BOTH = "low" }
    === deployments/high.toml
    kind = "layered"
    target = "properties.reported.model = 'm'"
    priority = 30
    created = 2026-01-04T00:00:00Z
    [modules.web]
    patch = true
    env = { HIGH = "1", BOTH = "high" }
"#;

/// The causes for device `d`, as `kind about`; empty where it does not change.
fn causes(diff: &FleetDiff) -> Vec<String> {
    let group = diff.groups.iter().find(|group| group.devices.iter().any(|d| d.as_str() == "d"));
    let about = |cause: &Cause| {
        let about = cause.deployment().map(ToString::to_string);
        about.or(cause.path().map(str::to_owned)).unwrap_or_default()
    };
    let causes = group.map(|group| group.causes.keys().collect()).unwrap_or(Vec::new());
    causes.into_iter().map(|c| format!("{} {}", c.kind(), about(c)).trim().to_owned()).collect()
}

#[track_caller]
fn expect(edits: &[(&str, &str)], expected: &[&str]) {
    let mut head = FLEET.to_owned();
    for (from, to) in edits {
        assert!(head.contains(from), "{from}");
        head = head.replacen(from, to, 1);
    }
    assert_eq!(causes(&compare(&valid(FLEET), &valid(&head))), expected, "{edits:?}");
}

#[test]
fn each_edit_is_named_by_what_it_is() {
    expect(&[("web:1", "web:2")], &["content-changed base"]);
    expect(&[("LOW = \"1\"", "LOW = \"2\"")], &["content-changed low"]);
    expect(&[("TZ = \"A\"", "TZ = \"B\"")], &["defaults-changed"]);
    expect(&[("floor = 1,", "floor = 2,")], &["tags-changed place.floor"]);
    expect(&[("floor = 1, room = 2", "room = 2, floor = 3")], &["tags-changed place.floor"]);
    expect(&[("model = \"m\"", "model = \"n\"")], &["reported-changed model"]);
    expect(
        &[("properties.reported.model = 'm'", "properties.reported.model = 'n'")],
        &["target-changed high"],
    );
    expect(&[("priority = 20", "priority = 40")], &["priority-changed low"]);
    expect(&[("priority = 20", "priority = 9")], &["priority-changed low", "outranked low"]);
    expect(&[("priority = 5", "priority = 15")], &["priority-changed rival", "outranked base"]);
    expect(&[("priority = 10", "priority = 25")], &["priority-changed base", "outranked low"]);
    expect(
        &[("site = \"s\"", "site = \"t\""), ("priority = 5", "priority = 6")],
        &["tags-changed site"],
    );
    expect(
        &[("tags = { ring = 1, site = \"s\"", "tags = { ring = 2, site = \"s\"")],
        &["tags-changed ring"],
    );
}

#[test]
fn what_reaches_the_device_but_changes_nothing_there_is_no_cause() {
    let bump = ("web:1", "web:2");
    let only = &["content-changed base"];
    // A priority that alters no order; a label; another target that hits the same; another module.
    expect(&[bump, ("priority = 20", "priority = 21")], only);
    expect(&[bump, ("priority = 30", "priority = 21")], only);
    expect(&[bump, ("2026-01-03", "2026-01-05")], only);
    expect(
        &[bump, ("tags.ring = 1\"\n    priority = 20", "tags.ring < 2\"\n    priority = 20")],
        only,
    );
    expect(&[bump, ("rival:1", "rival:2")], only);
    expect(&[bump, ("free = 1", "free = 2")], only);
    expect(&[bump, ("room = 2", "room = 3")], only);
    // What the layer above hides.
    expect(
        &[("HIGH = \"1\"", "HIGH = \"2\""), ("BOTH = \"low\"", "BOTH = \"lower\"")],
        &["content-changed high"],
    );
    // Defaults that reach no changed field: both modules say them, or what changes is something else.
    expect(
        &[("fixed:1", "fixed:2"), ("memory = \"64MiB\"", "")],
        &["content-changed base", "defaults-changed"],
    );
    expect(&[("fixed:1\"\n    memory", "fixed:2\"\n    memory")], only);
    expect(&[("BOTH = \"high\"", "BOTH = \"x\"")], &["content-changed high"]);
    // Neither defaults nor a priority are why everything of a lost base goes.
    expect(
        &[("site = \"s\"", "site = \"t\""), ("priority = 30", "priority = 31")],
        &["tags-changed site"],
    );
    expect(
        &[
            ("site = \"s\"", "site = \"t\""),
            ("tags.ring = 1", "tags.ring = 3"),
            ("memory = \"64MiB\"", "memory = \"65MiB\""),
        ],
        &["target-changed rival", "tags-changed site"],
    );
}

#[test]
fn two_edits_that_are_both_needed_are_both_named() {
    expect(
        &[
            ("ring = 1", "ring = 4"),
            ("tags.ring = 1\"\n    priority = 20", "tags.ring = 5\"\n    priority = 20"),
        ],
        &["target-changed low", "tags-changed ring"],
    );
    expect(
        &[("web:1", "web:2"), ("TZ = \"A\"", "TZ = \"B\"")],
        &["content-changed base", "defaults-changed"],
    );
    // Each alone would do.
    expect(
        &[("BOTH = \"high\"", "BOTH = \"x\""), ("LOW = \"1\", BOTH = \"low\"", "BOTH = \"x\"")],
        &["content-changed high", "content-changed low"],
    );
}

#[test]
fn of_two_edits_that_each_would_do_both_are_named() {
    let base = FLEET.replace("BOTH = \"high\"", "HI = \"2\"");
    let head = base.replace("web:1", "web:3").replace(
        "env = { LOW = \"1\", BOTH = \"low\" }",
        "image = \"web:3\"\n    env = { LOW = \"1\", BOTH = \"low\" }",
    );
    let diff = compare(&valid(&base), &valid(&head));
    assert_eq!(causes(&diff), ["content-changed base", "content-changed low"]);
}

#[test]
fn a_cause_counts_its_devices() {
    let fleet = |ring: u8| {
        let mut text = String::from("=== devices/list.toml\n");
        for i in 0..6 {
            let ring = if i < 4 { ring } else { 7 };
            text.push_str(&format!("[[device]]\nid = \"d{i}\"\ntags = {{ ring = {ring} }}\n"));
        }
        let target = if ring == 1 { "tags.ring = 2" } else { "tags.ring >= 2" };
        text + "=== deployments/base.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\n\
                === deployments/new.toml\nkind = \"layered\"\npriority = 1\n\
                [modules.nn]\nimage = \"n:1\"\n"
            + &format!(
                "=== deployments/ring.toml\nkind = \"layered\"\npriority = 2\ntarget = \"{target}\"\n[modules.oo]\nimage = \"o:1\"\n"
            )
    };
    let diff = compare(&valid(&fleet(1)), &valid(&fleet(2)));
    let causes: Vec<(&str, usize)> =
        diff.groups[0].causes.iter().map(|(cause, n)| (cause.kind(), *n)).collect();
    assert_eq!(causes, [("target-changed", 2), ("tags-changed", 4)]);
    assert_eq!(diff.groups[0].devices.len(), 6);
}

fn side<'a>(
    name: &'a str,
    fleet: &'a (Fleet, Resolution),
    facts: &'a Facts,
    in_force: Option<&'a BTreeMap<DeviceId, Manifest>>,
) -> Side<'a> {
    Side { in_force, ..Side::of_files(name, Some((&fleet.0, &fleet.1)), facts, &[]) }
}

#[test]
fn against_what_is_in_force_an_earlier_change_that_is_still_pending_shows() {
    let facts = Facts::none();
    let (old, accepted) = (valid(FLEET), valid(&FLEET.replace("web:1", "web:2")));
    let manifests = |fleet: &(Fleet, Resolution)| -> BTreeMap<DeviceId, Manifest> {
        let manifest = |id: &DeviceId| Some((id.clone(), fleet.1.manifest(&fleet.0, id)?.unwrap()));
        fleet.0.devices.keys().filter_map(manifest).collect()
    };
    let of = |in_force: &BTreeMap<DeviceId, Manifest>, head: &(Fleet, Resolution)| {
        let base = side("in force", &accepted, &facts, Some(in_force));
        diff(base, side("head", head, &facts, None), &DiffOptions::default())
    };
    // Everything is where it should be.
    let mut in_force = manifests(&accepted);
    let same = of(&in_force, &accepted);
    assert!(!same.has_changes() && same.base.1 == same.head.1);
    // One device was away.
    in_force.extend(manifests(&old).into_iter().filter(|(id, _)| id.as_str() == "d"));
    let pending = of(&in_force, &accepted);
    assert_eq!(pending.summary.changed, 1);
    assert_eq!(causes(&pending), ["in-force-differs"]);
    // It gets the next change in one go with the others, but for it it is another one.
    let next = valid(&FLEET.replace("web:1", "web:3"));
    let next = of(&in_force, &next);
    assert_eq!(next.summary.groups, 2);
    assert_eq!(causes(&next), ["in-force-differs", "content-changed base"]);
    // Nothing was ever applied to it.
    in_force.remove("d");
    let never = of(&in_force, &accepted);
    assert_eq!(never.summary.modules.len(), 1);
    assert_eq!(causes(&never), ["nothing-in-force"]);
    // What is retained, and known, stays as it is, and is replaced by something known.
    let untargeted = valid(
        &FLEET.replace("tags.site = 's'", "tags.site = 't'").replace("ring = 1\"", "ring = 8\""),
    );
    let mut kept = manifests(&old);
    kept.remove("other");
    let base = side("in force", &untargeted, &facts, Some(&kept));
    let head = side("head", &untargeted, &facts, None);
    assert!(!diff(base, head, &DiffOptions::default()).has_changes());
    let back = diff(base, side("head", &accepted, &facts, None), &DiffOptions::default());
    assert_eq!(causes(&back)[..1], ["target-changed base"]);
}

#[test]
fn live_facts_decide_and_missing_ones_are_counted() {
    let text = FLEET.replace("reported = { model = \"m\" }\n", "\n");
    let (fleet, by_git) = check(&tree(&text)).fleet.unwrap();
    let none = Facts::none();
    let reports = |model: &str| {
        let table = Table::from([("model".to_owned(), model.into())]);
        Facts(BTreeMap::from([(DeviceId::parse("d").unwrap(), table)]))
    };
    let (before, after) = (reports("x"), reports("m"));
    let with = |facts: &Facts| (fleet.clone(), resolve(&fleet, facts));
    let (old, new) = (with(&before), with(&after));
    let live = diff(
        side("a", &old, &before, None),
        side("b", &new, &after, None),
        &DiffOptions::default(),
    );
    assert_eq!(causes(&live), ["reported-changed model"]);
    // `other` reports nothing.
    assert_eq!(live.summary.facts_missing, 1);
    let git = (fleet.clone(), by_git);
    let files =
        diff(side("a", &git, &none, None), side("b", &git, &none, None), &DiffOptions::default());
    assert_eq!(files.summary.facts_missing, 2);
    assert!(hoist::review::summary_line(&files).contains("missing for 2 devices"));
    // What a tag decides alone needs no facts.
    let decided = text.replace(
        "properties.reported.model = 'm'",
        "tags.ring = 1 AND properties.reported.model = 'm'",
    );
    let decided = compare(&valid(&decided), &valid(&decided));
    assert_eq!(decided.facts_missing.iter().map(DeviceId::as_str).collect::<Vec<_>>(), ["d"]);
}

#[test]
fn a_template_that_live_facts_make_impossible_holds_its_device() {
    let text = FLEET
        .replace("HIGH = \"1\"", "HIGH = \"${device.tags.nothing}\"")
        .replace("reported = { model = \"m\" }\n", "\n");
    let (fleet, by_git) = check(&tree(&text)).fleet.unwrap();
    let table = Table::from([("model".to_owned(), "m".into())]);
    let facts = Facts(BTreeMap::from([(DeviceId::parse("d").unwrap(), table)]));
    let live = (fleet.clone(), resolve(&fleet, &facts));
    let (git, none) = ((fleet, by_git), Facts::none());
    let held =
        diff(side("a", &git, &none, None), side("b", &live, &facts, None), &DiffOptions::default());
    assert_eq!((held.summary.held, held.summary.changed), (1, 1));
    assert_eq!(causes(&held), ["reported-changed model"]);
}
