//! Defaults and templates: what finishes a module.

use crate::harness::{checked, merged, module, valid};
use hoist::diagnostic::Code;
use hoist::model::{Module, Value};

fn finished(defaults: &str, entry: &str) -> Module {
    let text = format!(
        "=== fleet.toml\nname = \"t\"\n[defaults]\n{defaults}\n=== devices/d.toml\n=== deployments/b.toml\n\
         target = \"*\"\n[modules.mm]\nimage = \"m:1\"\n{entry}\n"
    );
    module(&valid(&text), "d", "mm")
}

#[test]
fn a_key_beats_own_create_options_beat_defaults_beat_built_in() {
    let memory = |defaults, entry| finished(defaults, entry).memory;
    let default = "memory = \"1MiB\"";
    assert_eq!(memory("", ""), None);
    assert_eq!(memory(default, ""), Some(1 << 20));
    assert_eq!(memory(default, "create-options = { HostConfig = { Memory = 5 } }"), None);
    assert_eq!(memory(default, "create-options = { hostconfig = { memory = 5 } }"), None);
    assert_eq!(memory(default, "memory = \"2MiB\""), Some(2 << 20));

    let size = |defaults, entry| finished(defaults, entry).log.map(|log| log.max_size.unwrap());
    let default = "log = { max-size = \"1m\" }";
    let own = "create-options = { HostConfig = { LogConfig = { Type = \"local\" } } }";
    assert_eq!(size("", "").as_deref(), Some("10m"));
    assert_eq!(size(default, "").as_deref(), Some("1m"));
    assert_eq!(size(default, own), None);
    assert_eq!(size(default, "log = { max-size = \"2m\" }").as_deref(), Some("2m"));
    // `[defaults]` are above what is built in, in whichever form they say it.
    assert_eq!(size(own, ""), None);

    let cpus = |defaults, entry| finished(defaults, entry).cpus;
    assert_eq!(cpus("cpus = 0.5", "create-options = { HostConfig = { CpuQuota = 5 } }"), None);
    assert_eq!(cpus("cpus = 0.5", ""), Some(500_000_000));
    let networks = |entry| finished("networks = [\"n\"]", entry).networks.len();
    assert_eq!(networks(""), 1);
    assert_eq!(networks("network-mode = \"none\""), 0);
    assert_eq!(networks("create-options = { HostConfig = { NetworkMode = \"none\" } }"), 0);
}

#[test]
fn default_env_labels_and_options_fill_in_by_key() {
    let module = finished(
        "env = { A = \"d\", B = \"d\", C = \"d\" }\nlabels = { l = \"d\" }\n\
         create-options = { HostConfig = { PidsLimit = 1, Sysctls = { \"a.b\" = \"d\" } } }",
        "env = { A = \"m\" }\ncreate-options = { Env = [\"B=o\"], Labels = { l = \"o\" }, HostConfig = { PidsLimit = 2 } }",
    );
    assert_eq!(module.env.keys().collect::<Vec<_>>(), ["A", "C"]);
    assert!(module.labels.is_empty());
    let options = Value::Table(module.create_options).to_json();
    assert_eq!(options["HostConfig"], serde_json::json!({"PidsLimit": 2, "Sysctls": {"a.b": "d"}}));
}

#[test]
fn defaults_come_after_the_merge_so_unset_uncovers_them() {
    let text = r#"
        === fleet.toml
        name = "t"
        [defaults]
        memory = "3MiB"
        env = { TZ = "UTC" }
        === devices/d.toml
        === deployments/b.toml
        target = "*"
        [modules.mm]
        image = "m:1"
        memory = "1MiB"
        env = { TZ = "CET" }
        === deployments/l.toml
        kind = "layered"
        target = "*"
        priority = 1
        [modules.mm]
        patch = true
        unset = ["memory", "env.TZ"]
    "#;
    let text = merged(text);
    assert!(text.contains("memory = \"3MiB\"") && text.contains("TZ = \"UTC\""), "{text}");
}

fn with_tag(tag: &str, entry: &str) -> String {
    format!(
        "=== devices/d.toml\n[tags]\n{tag}\n=== deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\n{entry}\n"
    )
}

#[test]
fn templates_are_filled_everywhere_they_may_stand() {
    insta::assert_snapshot!(merged(&with_tag("t = \"x\"\nn = 5\nb = true\nf = 0.5\ndeep = { a = \"y\" }", r#"
        hostname = "h-${device.id}"
        command = ["${device.tags.n}", "$${HOME}", "${device.tags.f}"]
        entrypoint = ["${device.tags.b}"]
        volumes = ["${device.tags.t}-data:/d/${device.tags.t}"]
        host-devices = ["/dev/tty${device.tags.n}"]
        ports = ["127.0.0.1:${device.tags.n}:80"]
        networks = ["net-${device.tags.t}"]
        labels = { l = "${device.tags.deep.a}" }
        env = { E = "${device.tags.no:-none}", F = "${device.tags.no:-}", G = "a${device.id}b${device.id}c" }
        create-options = { HostConfig = { Runtime = "${device.tags.t}" } }
        desired = { list = ["${device.id}", { deep = "${device.tags.n}" }] }
    "#)), @r#"
    base = "b"

    [modules.mm]
    image = "m:1"
    command = ["5", "$${HOME}", "0.5"]
    entrypoint = ["true"]
    hostname = "h-d"
    ports = ["127.0.0.1:5:80/tcp"]
    volumes = ["x-data:/d/x"]
    host-devices = ["/dev/tty5"]
    networks = ["net-x"]
    labels = { l = "y" }

    [modules.mm.env]
    E = "none"
    F = ""
    G = "adbdc"

    [modules.mm.create-options]
    HostConfig = { Runtime = "x" }

    [modules.mm.desired]
    list = ["d", { deep = "5" }]
    "#);
}

#[test]
fn a_tag_cannot_add_a_field() {
    for (tag, entry, field) in [
        ("t = \"8080:80\"", "ports = [\"${device.tags.t}:80\"]", "ports"),
        ("t = \"0.0.0.0:80\"", "ports = [\"127.0.0.1:${device.tags.t}:80\"]", "ports"),
        ("t = \"80/udp\"", "ports = [\"127.0.0.1:80:${device.tags.t}\"]", "ports"),
        ("t = \"/etc:/x\"", "volumes = [\"${device.tags.t}:/d\"]", "volumes"),
        ("t = \"a:rw\"", "volumes = [\"data:/d/${device.tags.t}:ro\"]", "volumes"),
        ("t = \"a:/b:rwm\"", "host-devices = [\"/dev/${device.tags.t}\"]", "host-devices"),
        ("t = \"a b\"", "networks = [\"${device.tags.t}\"]", "networks"),
        (
            "t = \"/run/hoist\"",
            "create-options = { HostConfig = { Binds = [\"x:${device.tags.t}\"] } }",
            "create-options.HostConfig.Binds",
        ),
        (
            "t = \"x:/run/hoist/out\"",
            "create-options = { hostconfig = { binds = [\"${device.tags.t}\"] } }",
            "create-options.hostconfig.binds",
        ),
        (
            "t = \"/run\"",
            "create-options = { HostConfig = { Mounts = [{ target = \"${device.tags.t}//hoist\" }] } }",
            "create-options.HostConfig.Mounts.target",
        ),
    ] {
        let checked = checked(&with_tag(tag, entry));
        let found = checked.diagnostics.iter().find(|d| d.code == Code::BadTemplate);
        let found = found.unwrap_or_else(|| panic!("{tag} in {entry} is taken"));
        assert!(found.message.contains(&format!("`{field}`")), "{}", found.message);
        let help = "give the devices another tag, or correct what stands around it";
        assert_eq!(found.help.as_deref(), Some(help));
        assert!(checked.fleet.is_none());
    }
}

#[test]
fn what_is_filled_with_something_wrong_is_told_of_every_module() {
    let text = "=== devices/d.toml\n[tags]\nt = \"/run/hoist\"\n\
         === deployments/b.toml\ntarget = \"*\"\n\
         [modules.mm]\nimage = \"m:1\"\nvolumes = [\"vv:${device.tags.t}\"]\n\
         [modules.nn]\nimage = \"n:1\"\ncreate-options = { HostConfig = { Binds = [\"x:${device.tags.t}\"] } }\n\
         [modules.oo]\nimage = \"o:1\"\ncreate-options = { HostConfig = { Binds = [\"x:/x${device.tags.t}\", \"${device.tags.t:-:/y}:/z\"] } }\n";
    let checked = checked(text);
    let found = checked.diagnostics.iter().filter(|d| d.code == Code::BadTemplate);
    let modules: Vec<_> = found.map(|d| d.subject.module.clone().unwrap()).collect();
    assert_eq!(modules, ["mm", "nn"]);
}

#[test]
fn a_missing_tag_names_five_devices_and_counts_all() {
    let devices: String = (1..=7).map(|i| format!("[[device]]\nid = \"d{i}\"\n")).collect();
    let text = format!(
        "=== devices/all.toml\n{devices}[[device]]\nid = \"ok\"\ntags = {{ t = 1 }}\n\
         === deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\nenv = {{ E = \"${{device.tags.t}}\" }}\n\
         === deployments/l.toml\nkind = \"layered\"\npriority = 1\ntarget = \"deviceId = 'd7'\"\n[modules.nn]\nimage = \"n:1\"\n"
    );
    let checked = checked(&text);
    insta::assert_snapshot!(crate::harness::lines(&checked.diagnostics), @r#"error[bad-template] deployments/b.toml:4:9 (7): the device has no tag `t`: `env.E` of module "mm" can't be filled on 7 devices (d1, d2, d3, d4, d5, …)"#);
}
