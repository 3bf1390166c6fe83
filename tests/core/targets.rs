//! Who is targeted, which deployment is the base, which are layers.

use crate::harness::{checked, id, lines, manifest, valid};
use hoist::fleet::Fleet;
use hoist::resolve::{LostBy, Resolution, Standing};

fn deployment(id: &str, kind: &str, priority: i32, created: u32) -> String {
    format!(
        "=== deployments/{id}.toml\nkind = \"{kind}\"\ntarget = \"*\"\npriority = {priority}\n\
         created = 2026-01-{created:02}T09:00:00Z\n[modules.{id}]\nimage = \"{id}:1\"\n"
    )
}

const DEVICE: &str = "=== devices/d.toml\n";

fn standings(fleet: &(Fleet, Resolution), device: &str) -> Vec<(String, Standing)> {
    fleet.1.devices[&id(device)]
        .targeted
        .iter()
        .map(|t| (t.deployment.to_string(), t.standing.clone()))
        .collect()
}

fn base_of(text: &str) -> String {
    manifest(&valid(text), "d").cohort.base.to_string()
}

#[test]
fn the_highest_priority_is_the_base_and_the_newest_of_equals() {
    let low = deployment("low", "automatic", 1, 9);
    let high = deployment("high", "automatic", 2, 1);
    assert_eq!(base_of(&format!("{DEVICE}{low}{high}")), "high");
    // The names are the wrong way round on purpose: only `created` decides.
    let old = deployment("z-old", "automatic", 2, 1);
    let new = deployment("a-new", "automatic", 2, 2);
    let fleet = valid(&format!("{DEVICE}{old}{new}"));
    let lost = Standing::Lost { to: "a-new".parse_id(), by: LostBy::Created };
    assert_eq!(
        standings(&fleet, "d"),
        [("a-new".to_owned(), Standing::Base), ("z-old".to_owned(), lost)]
    );
}

trait ParseId {
    fn parse_id(&self) -> hoist::model::DeploymentId;
}

impl ParseId for str {
    fn parse_id(&self) -> hoist::model::DeploymentId {
        hoist::model::DeploymentId::parse(self).unwrap()
    }
}

#[test]
fn the_loser_takes_no_part_in_the_merge() {
    let low = deployment("low", "automatic", 1, 9);
    let high = deployment("high", "automatic", 2, 1);
    let fleet = valid(&format!("{DEVICE}{low}{high}"));
    let names: Vec<String> =
        manifest(&fleet, "d").modules.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["high"]);
}

#[test]
fn layers_need_a_priority_strictly_above_the_base() {
    let text = [
        DEVICE.to_owned(),
        deployment("base", "automatic", 10, 1),
        deployment("equal", "layered", 10, 2),
        deployment("below", "layered", 9, 3),
        deployment("first", "layered", 11, 5),
        deployment("third", "layered", 12, 4),
        deployment("second", "layered", 11, 6),
    ]
    .concat();
    let fleet = valid(&text);
    let layers: Vec<String> =
        manifest(&fleet, "d").cohort.layers.iter().map(ToString::to_string).collect();
    assert_eq!(layers, ["first", "second", "third"]);
    let not_above = Standing::NotAboveBase { base: "base".parse_id(), base_priority: 10 };
    let standings = standings(&fleet, "d");
    assert_eq!(standings[2].1, Standing::Layer { number: 2, of: 3 });
    assert_eq!(standings[4..].iter().map(|s| &s.1).collect::<Vec<_>>(), [&not_above, &not_above]);
}

#[test]
fn without_a_base_a_device_is_retained_and_layers_do_nothing() {
    let fleet = valid(&format!("{DEVICE}{}", deployment("layer", "layered", 10, 1)));
    assert_eq!(standings(&fleet, "d"), [("layer".to_owned(), Standing::WithoutBase)]);
    assert!(fleet.1.manifest(&fleet.0, &id("d")).is_none());
    assert!(fleet.1.cohorts.is_empty());
}

#[test]
fn a_base_without_modules_is_a_manifest_without_modules() {
    let fleet = valid(&format!("{DEVICE}=== deployments/empty.toml\ntarget = \"*\"\n"));
    assert!(manifest(&fleet, "d").modules.is_empty());
}

#[test]
fn a_device_has_its_own_deployment_and_combines_with_no_other() {
    let own = "=== deployments/own.toml\nkind = \"device\"\ndevice = \"d\"\n[modules.mm]\nimage = \"m:1\"\n";
    assert_eq!(base_of(&format!("{DEVICE}{own}")), "own");
    let both = checked(&format!("{DEVICE}{own}{}", deployment("base", "automatic", 1, 1)));
    assert!(both.fleet.is_none());
    insta::assert_snapshot!(lines(&both.diagnostics), @r#"
    warn[never-wins] deployments/base.toml:1:1 (1): "base" loses on the 1 device that it targets, to "own"
    error[mixed-kinds] deployments/own.toml:2:10: "own" is for device "d" alone, but "base" targets it too
    "#);
}

#[test]
fn ties_that_nothing_decides_are_refused() {
    let tie = |kind: &str, below: &str, created: [&str; 2]| {
        let one = |id: &str, created: &str| {
            format!(
                "=== deployments/{id}.toml\nkind = \"{kind}\"\ntarget = \"*\"\npriority = 5\n{created}\n\
                 [modules.mm]\nimage = \"{id}:1\"\n"
            )
        };
        let text = format!("{DEVICE}{below}{}{}", one("a", created[0]), one("b", created[1]));
        let checked = checked(&text);
        let codes = checked.diagnostics.iter().map(|d| d.code.as_str());
        let codes: Vec<&str> = codes.filter(|code| code.contains("tie")).collect();
        (checked.fleet.is_some(), codes.concat())
    };
    let base = deployment("base", "automatic", 1, 1);
    let (old, new) = ("created = 2026-01-05T09:00:00Z", "created = 2026-01-06T09:00:00Z");
    for (kind, below) in [("automatic", ""), ("layered", base.as_str())] {
        for created in [["", ""], [old, ""], ["", new], [old, old]] {
            assert_eq!(tie(kind, below, created), (false, "undecided-tie".to_owned()), "{kind}");
        }
        assert_eq!(tie(kind, below, [old, new]), (true, "priority-tie".to_owned()), "{kind}");
    }
}

const A: &str =
    "=== deployments/a.toml\ntarget = \"*\"\npriority = 1\n[modules.aa]\nimage = \"a:1\"\n";
const O: &str = "=== deployments/o.toml\nkind = \"layered\"\ntarget = \"*\"\npriority = 2\n[modules.oo]\nimage = \"o:1\"\n";
const M: &str = "=== deployments/m.toml\nkind = \"layered\"\ntarget = \"*\"\npriority = 3\n[modules.mm]\nimage = \"m:1\"\n";

#[test]
fn a_deleted_layer_takes_its_modules_with_it_and_no_others() {
    let modules = |text: &str| -> Vec<String> {
        manifest(&valid(text), "d").modules.keys().map(ToString::to_string).collect()
    };
    assert_eq!(modules(&format!("{DEVICE}{A}{O}{M}")), ["aa", "mm", "oo"]);
    assert_eq!(modules(&format!("{DEVICE}{A}{O}")), ["aa", "oo"]);
    assert_eq!(modules(&format!("{DEVICE}{A}")), ["aa"]);
}

const CITY: &str = "
    === devices/linuxprod1.toml
    tags = { environment = 'prod', location = 'westus', operator = 'John' }
    === devices/linuxprod2.toml
    tags = { environment = 'prod', location = 'eastus', operator = 'John', remote = false }
    === devices/tower.toml
    tags = { environment = 'test', location = { building = '43' } }
    reported = { devicemodel = '4000x' }
    === devices/west.toml
    tags = { location = 'westus' }
    === devices/bare.toml
    === devices/odd.toml
    [[device]]
    id = \"operator'sDevice\"
";

#[test]
fn the_example_conditions_of_the_documentation() {
    let hits = |target: &str| -> String {
        let target =
            if target.is_empty() { String::new() } else { format!("target = \"{target}\"") };
        let fleet = valid(&format!("{CITY}\n=== deployments/x.toml\n{target}\n"));
        let hit = fleet.1.devices.iter().filter(|(_, d)| d.cohort.is_some());
        hit.map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(" ")
    };
    for (target, expected) in [
        ("deviceId ='linuxprod1'", "linuxprod1"),
        ("tags.environment ='prod'", "linuxprod1 linuxprod2"),
        ("tags.environment = 'prod' AND tags.location = 'westus'", "linuxprod1"),
        ("tags.environment = 'prod' OR tags.location = 'westus'", "linuxprod1 linuxprod2 west"),
        (
            "tags.operator = 'John' AND tags.environment = 'prod' AND NOT deviceId = 'linuxprod1'",
            "linuxprod2",
        ),
        ("properties.reported.devicemodel = '4000x'", "tower"),
        ("IS_DEFINED(tags.remote)", "linuxprod2"),
        (
            "NOT IS_DEFINED(tags.location.building)",
            "bare linuxprod1 linuxprod2 operator'sDevice west",
        ),
        ("tags.environment != null", "linuxprod1 linuxprod2 tower"),
        ("", ""),
        ("deviceId='operator''sDevice'", "operator'sDevice"),
    ] {
        assert_eq!(hits(target), expected, "{target}");
    }
}
