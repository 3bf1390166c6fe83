//! How a base and its layers become one manifest.

use crate::harness::{merged, module, valid};
use hoist::model::Value;

/// A base, layers upwards, and the merged manifest without its first lines.
fn merge(entries: &[&str]) -> String {
    let mut text = String::from("=== devices/d.toml\n");
    for (i, entry) in entries.iter().enumerate() {
        let kind = if i == 0 { "automatic" } else { "layered" };
        text.push_str(&format!(
            "=== deployments/l{i}.toml\nkind = \"{kind}\"\ntarget = \"*\"\npriority = {i}\n{entry}\n"
        ));
    }
    let merged = merged(&text);
    let body = merged.lines().filter(|l| !l.starts_with("base = ") && !l.starts_with("layers = "));
    body.collect::<Vec<_>>().join("\n").trim().to_owned()
}

const BASE: &str = r#"
    [modules.mm]
    image = "m:1"
    version = "1"
    memory = "1MiB"
    command = ["a", "b"]
    ports = ["127.0.0.1:1:1"]
    env = { A = "1", B = "2", "C.D" = "3" }
    labels = { "x.y" = "1", z = "2" }
    extra-hosts = { "h.example" = "10.0.0.1", i = "10.0.0.2" }
    health = { command = ["CMD", "a"], interval = "9s", retries = 9 }
    create-options = { WorkingDir = "/a", HostConfig = { Ulimits = [1, 2], Sysctls = { "net.a" = "1", "net.b" = "2" } } }
    desired = { one = 1, deep = { two = 2, three = 3 } }
"#;

#[test]
fn a_whole_entry_replaces_the_module_but_not_its_twin() {
    insta::assert_snapshot!(merge(&[BASE, "[modules.mm]\nimage = \"n:2\"\nenv = { X = \"1\" }"]), @r#"
    [modules.mm]
    image = "n:2"

    [modules.mm.env]
    X = "1"

    [modules.mm.desired]
    deep = { three = 3, two = 2 }
    one = 1
    "#);
}

#[test]
fn a_patch_changes_only_the_keys_it_gives() {
    insta::assert_snapshot!(merge(&[BASE, r#"
        [modules.mm]
        patch = true
        image = "m:2"
        command = ["c"]
        ports = []
        env = { B = "9", E = "4" }
        labels = { z = "9" }
        extra-hosts = { i = "10.0.0.9" }
        health = { command = ["CMD", "b"] }
        create-options = { HostConfig = { Ulimits = [3], Sysctls = { "net.b" = "9" } } }
    "#]), @r#"
    [modules.mm]
    image = "m:2"
    version = "1"
    command = ["c"]
    extra-hosts = { "h.example" = "10.0.0.1", i = "10.0.0.9" }
    memory = "1MiB"
    health = { command = ["CMD", "b"], interval = "30s", retries = 3, start-period = "0s", timeout = "30s" }
    labels = { "x.y" = "1", z = "9" }

    [modules.mm.env]
    A = "1"
    B = "9"
    "C.D" = "3"
    E = "4"

    [modules.mm.create-options]
    HostConfig = { Sysctls = { "net.a" = "1", "net.b" = "9" }, Ulimits = [3] }
    WorkingDir = "/a"

    [modules.mm.desired]
    deep = { three = 3, two = 2 }
    one = 1
    "#);
}

#[test]
fn unset_takes_away_first() {
    insta::assert_snapshot!(merge(&[BASE, r#"
        [modules.mm]
        patch = true
        unset = ["env.A", "env.C.D", "labels.x.y", "extra-hosts", "memory", "command", "health", "ports",
        'create-options.HostConfig.Sysctls."net.a"', "create-options.WorkingDir", "desired.deep.two"]
        memory = "2MiB"
    "#]), @r#"
    [modules.mm]
    image = "m:1"
    version = "1"
    memory = "2MiB"
    labels = { z = "2" }

    [modules.mm.env]
    B = "2"

    [modules.mm.create-options]
    HostConfig = { Sysctls = { "net.b" = "2" }, Ulimits = [1, 2] }

    [modules.mm.desired]
    deep = { three = 3 }
    one = 1
    "#);
}

#[test]
fn a_twin_only_entry_leaves_the_module_as_it_is() {
    let whole = merge(&[BASE]);
    let layered = merge(&[BASE, "[modules.mm.desired]\nnew = true"]);
    assert_eq!(
        layered.split_once("[modules.mm.desired]").unwrap().0,
        whole.split_once("[modules.mm.desired]").unwrap().0
    );
    assert!(layered.ends_with("[modules.mm.desired]\nnew = true"), "{layered}");
}

#[test]
fn the_twin_merges_by_the_spelling_of_the_key() {
    let desired = |layers: &[&str]| {
        let mut all =
            vec!["[modules.mm]\nimage = \"m:1\"\ndesired = { a = 1, t = { x = 1, y = 2 } }"];
        all.extend(layers);
        merge(&all)
            .split_once("desired]\n")
            .map(|(_, twin)| twin.replace('\n', "; "))
            .unwrap_or_default()
    };
    let at = "[modules.mm.desired-at]\n\"t.x\" = 9";
    let sub = "[modules.mm.desired-at.t]\nz = 3";
    let whole = "[modules.mm.desired]\nb = 2";
    for (layers, expected) in [
        (vec![], "a = 1; t = { x = 1, y = 2 }"),
        (vec![at], "a = 1; t = { x = 9, y = 2 }"),
        // A table is set whole, not merged with the one below.
        (vec![sub], "a = 1; t = { z = 3 }"),
        // `desired` wipes what lower layers set at paths, and not what higher ones set.
        (vec![at, whole], "b = 2"),
        (vec![whole, at], "b = 2; t = { x = 9 }"),
        // In one entry `desired` comes first.
        (
            vec!["[modules.mm]\ndesired = { b = 2 }\ndesired-at = { \"c.d\" = 3 }"],
            "b = 2; c = { d = 3 }",
        ),
        (vec!["[modules.mm]\nunset = [\"desired.t\"]\ndesired-at = { t = 5 }"], "a = 1; t = 5"),
        (vec!["[modules.mm]\nunset = [\"desired\"]\ndesired-at = { q = 5 }"], "q = 5"),
        // A value in the way is replaced.
        (
            vec!["[modules.mm.desired-at]\n\"a.b.c\" = 1"],
            "a = { b = { c = 1 } }; t = { x = 1, y = 2 }",
        ),
        // A whole entry above keeps the twin; with `desired` it replaces it.
        (vec![at, "[modules.mm]\nimage = \"m:2\""], "a = 1; t = { x = 9, y = 2 }"),
        (vec![at, "[modules.mm]\nimage = \"m:2\"\ndesired = {}"], ""),
    ] {
        assert_eq!(desired(&layers), expected, "{layers:?}");
    }
}

#[test]
fn the_layered_twin_of_the_documentation() {
    let fleet = valid(
        r#"
        === devices/d.toml
        === deployments/base.toml
        target = "*"
        [modules.SimulatedTemperatureSensor]
        image = "sensor:1"
        desired = { SendData = true, SendInterval = 5 }
        === deployments/layer.toml
        kind = "layered"
        target = "*"
        priority = 1
        [modules.SimulatedTemperatureSensor.desired-at."layeredProperties"]
        StopAfterCount = 1000
    "#,
    );
    let twin = module(&fleet, "d", "SimulatedTemperatureSensor").desired;
    assert_eq!(
        Value::Table(twin).to_json(),
        serde_json::json!({"SendData": true, "SendInterval": 5, "layeredProperties": {"StopAfterCount": 1000}})
    );
}

#[test]
fn routes_are_replaced_by_name_and_whole() {
    insta::assert_snapshot!(merge(&[
        "[modules.rr]\nimage = \"r:1\"\nrouter = true\n[routes]\naa = \"FROM /* INTO $upstream\"\nbb = { route = \"FROM /messages/events INTO $upstream\", priority = 1, time-to-live = \"2h\" }",
        "[routes]\nbb = \"FROM /messages/* INTO $upstream\"\ncc = \"FROM /messages/modules/* INTO $upstream\"",
    ]), @r#"
    [modules.rr]
    image = "r:1"
    router = true

    [routes]
    aa = "FROM /* INTO $upstream"
    bb = "FROM /messages/* INTO $upstream"
    cc = "FROM /messages/modules/* INTO $upstream"
    "#);
}

#[test]
fn networks_and_a_network_mode_exclude_each_other_across_layers() {
    let on = "[modules.mm]\nimage = \"m:1\"\nnetworks = [\"n\"]";
    let mode = "[modules.mm]\npatch = true\nnetwork-mode = \"none\"";
    let back = "[modules.mm]\npatch = true\nnetworks = [\"o\"]";
    assert!(merge(&[on, mode]).ends_with("network-mode = \"none\""));
    assert!(merge(&[on, mode, back]).ends_with("networks = [\"o\"]"));
}
