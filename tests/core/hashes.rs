//! The hashes, pinned: an upgrade that changes one restarts fleets.

use crate::harness::{manifest, module, valid};
use hoist::fleet::Fleet;
use hoist::model::{
    Duration, EnvValue, Gpus, HealthCheck, HostDevice, LogSettings, Module, ModuleHashes,
    NetworkMode, Port, PullPolicy, RestartPolicy, SecretName, Status, Table, Text, Value, Volume,
    manifest_hash, module_hashes,
};
use hoist::resolve::Resolution;
use std::collections::BTreeMap;

pub(crate) const FULL: &str = r#"
    === devices/d.toml
    === deployments/b.toml
    target = "*"
    [modules.mm]
    image = "registry.example.com:5000/m:1.4.2"
    version = "1.4.2"
    status = "running"
    restart-policy = "on-failure"
    image-pull-policy = "always"
    startup-order = 20
    stop-timeout = "11s"
    probation = "12s"
    keep-previous = "10m"
    command = ["--fps", "12"]
    entrypoint = ["/camera"]
    user = "1000:1000"
    hostname = "cam"
    ports = ["127.0.0.1:8080:80/tcp"]
    volumes = ["data:/var/lib/camera", "/dev/shm:/dev/shm:ro"]
    tmpfs = ["/tmp"]
    host-devices = ["/dev/video0"]
    networks = ["cameras"]
    extra-hosts = { "mqtt.local" = "10.0.0.5" }
    memory = "256MiB"
    cpus = 0.5
    shm-size = "64MiB"
    gpus = "all"
    privileged = true
    cap-add = ["NET_ADMIN"]
    cap-drop = ["NET_RAW"]
    read-only = true
    init = true
    log = { driver = "json-file", max-size = "9m", max-file = 2 }
    health = { command = ["CMD", "/camera", "ping"], interval = "31s", timeout = "5s", retries = 4, start-period = "10s" }
    labels = { owner = "facilities" }
    router = true
    env = { DEVICE = "x", DB_PASSWORD = { secret = "db-password" } }
    create-options = { HostConfig = { Sysctls = { "net.core.somaxconn" = "1024" }, PidsLimit = 5 } }
    desired = { SendData = true, SendInterval = 5, Factor = 0.5, List = ["a", 1] }
    [routes]
    up = { route = "FROM /* INTO $upstream", priority = 1, time-to-live = "2h" }
"#;
const MINIMAL: &str =
    "=== devices/d.toml\n=== deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\n";

fn hashes(fleet: &(Fleet, Resolution)) -> String {
    let ModuleHashes { spec, settings, twin } =
        module_hashes(&module(fleet, "d", "mm"), &manifest(fleet, "d").routes);
    let whole = manifest_hash(&manifest(fleet, "d"));
    format!("spec     {spec}\nsettings {settings}\ntwin     {twin}\nmanifest {whole}")
}

#[test]
fn the_hashes_of_a_minimal_module() {
    insta::assert_snapshot!(hashes(&valid(MINIMAL)), @r#"
    spec     v1:73a6822ef94128947419570358ad423b5ee55f98f6de054dbfdf7c8acc4f8d2f
    settings v1:4683fa35cd131ebd914b6ff167840f9b9f37735899dd1ad912f607b950a7bd81
    twin     v1:0e907e82e3285a4cba04a35599a19d99fcdc8a3b5c60fc27735d9a829b9ed932
    manifest v1:d45ddf6fe8de9912b1639802aeff535bf17cb1d6ed2a66eda17e834a9385386b
    "#);
}

#[test]
fn the_hashes_of_a_full_module() {
    insta::assert_snapshot!(hashes(&valid(FULL)), @r#"
    spec     v1:a9ad47ab9da64c4425cc3e6dfe04a885bc29d0ed827784fdd387b5ba0aaa9527
    settings v1:dd592c2ef2836230f6904f0084bd806baf421ab6ea27c521cd046ad78b3ef739
    twin     v1:50f3249685c11234b7c1c25af5ef3fd5fa04463cb5783a7ded9e43068ed79268
    manifest v1:c2552d2bbb4bc2d0f26980fc5c5f4615dccb6c0f3f402366e8cc6500f4706c17
    "#);
}

/// Which of the three a change concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum In {
    Spec,
    Settings,
    Twin,
    None,
}

pub(crate) type Mutation = (&'static str, In, fn(&mut Module));

/// Every field of a full module, changed; the field's path as a review shows it.
pub(crate) const MUTATIONS: &[Mutation] = &[
    ("image", In::Spec, |m| m.image = "m:2".to_owned()),
    ("version", In::Twin, |m| m.version = None),
    ("version", In::Twin, |m| m.version = Some("2".to_owned())),
    ("status", In::None, |m| m.status = Status::Stopped),
    ("restart-policy", In::Settings, |m| m.restart_policy = RestartPolicy::Never),
    ("image-pull-policy", In::None, |m| m.image_pull_policy = PullPolicy::Never),
    ("startup-order", In::None, |m| m.startup_order = 21),
    ("stop-timeout", In::Spec, |m| m.stop_timeout = Some(Duration::seconds(1))),
    ("stop-timeout", In::Spec, |m| m.stop_timeout = None),
    ("probation", In::None, |m| m.probation = Duration::seconds(1)),
    ("keep-previous", In::None, |m| m.keep_previous = Duration::seconds(1)),
    ("command", In::Spec, |m| m.command = Some(vec!["--fps 12".to_owned()])),
    ("command", In::Spec, |m| m.command = Some(Vec::new())),
    ("entrypoint", In::Spec, |m| m.entrypoint = None),
    ("user", In::Spec, |m| m.user = None),
    ("hostname", In::Spec, |m| m.hostname = None),
    ("ports", In::Spec, |m| m.ports = vec![Port::parse("127.0.0.1:8080:80/udp").unwrap()]),
    ("ports", In::Spec, |m| m.ports = vec![Port::parse("8080:80/tcp").unwrap()]),
    ("volumes", In::Spec, |m| m.volumes[1] = Volume::parse("/dev/shm:/dev/shm").unwrap()),
    ("volumes", In::Spec, |m| m.volumes.reverse()),
    ("tmpfs", In::Spec, |m| m.tmpfs.clear()),
    ("host-devices", In::Spec, |m| {
        m.host_devices = vec![HostDevice::parse("/dev/video0:/dev/video0:r").unwrap()];
    }),
    ("networks", In::Spec, |m| m.networks.clear()),
    ("network-mode", In::Spec, |m| m.network_mode = Some(NetworkMode::Host)),
    ("extra-hosts.mqtt.local", In::Spec, |m| m.extra_hosts.clear()),
    ("memory", In::Settings, |m| m.memory = Some(1)),
    ("cpus", In::Settings, |m| m.cpus = Some(1)),
    ("shm-size", In::Spec, |m| m.shm_size = None),
    ("gpus", In::Spec, |m| m.gpus = Some(Gpus::Count(1))),
    ("privileged", In::Spec, |m| m.privileged = false),
    ("cap-add", In::Spec, |m| m.cap_add.clear()),
    ("cap-drop", In::Spec, |m| m.cap_drop.clear()),
    ("read-only", In::Spec, |m| m.read_only = false),
    ("init", In::Spec, |m| m.init = Some(false)),
    ("init", In::Spec, |m| m.init = None),
    ("log", In::Spec, |m| m.log = Some(LogSettings::built_in())),
    ("log", In::Spec, |m| m.log = None),
    ("health", In::Spec, |m| m.health = None),
    ("health", In::Spec, |m| {
        m.health = m.health.take().map(|h| HealthCheck { retries: 5, ..h });
    }),
    ("labels.owner", In::Spec, |m| m.labels.clear()),
    ("env.DEVICE", In::Spec, |m| {
        m.env.insert("DEVICE".to_owned(), EnvValue::Text("y".to_owned()));
    }),
    ("env.DB_PASSWORD", In::Spec, |m| {
        m.env.insert("DB_PASSWORD".to_owned(), EnvValue::Secret(SecretName::parse("o").unwrap()));
    }),
    // A secret and its name as a text are not the same.
    ("env.DB_PASSWORD", In::Spec, |m| {
        m.env.insert("DB_PASSWORD".to_owned(), EnvValue::Text("db-password".to_owned()));
    }),
    ("create-options.HostConfig", In::Spec, |m| {
        m.create_options.insert("HostConfig".to_owned(), Value::Table(Table::new()));
    }),
    ("router", In::None, |m| m.router = false),
    ("desired.SendInterval", In::Twin, |m| {
        m.desired.insert("SendInterval".to_owned(), Value::Integer(6));
    }),
    // 5 and 5.0 are different to a program that reads them.
    ("desired.SendInterval", In::Twin, |m| {
        m.desired.insert("SendInterval".to_owned(), Value::Float(5.0));
    }),
    ("desired.SendData", In::Twin, |m| {
        m.desired.remove("SendData");
    }),
];

#[test]
fn each_field_is_in_exactly_the_hash_where_it_belongs() {
    let fleet = valid(FULL);
    let before = module(&fleet, "d", "mm");
    let whole = manifest(&fleet, "d");
    let old = module_hashes(&before, &whole.routes);
    for (field, belongs, mutate) in MUTATIONS {
        let mut after = before.clone();
        mutate(&mut after);
        assert_ne!(after, before, "{field} is not changed");
        let new = module_hashes(&after, &whole.routes);
        let changed = [
            (In::Spec, old.spec != new.spec),
            (In::Settings, old.settings != new.settings),
            (In::Twin, old.twin != new.twin),
        ];
        let changed: Vec<In> = changed.iter().filter(|(_, c)| *c).map(|(i, _)| *i).collect();
        let expected = if *belongs == In::None { vec![] } else { vec![*belongs] };
        assert_eq!(changed, expected, "{field}");
        let mut other = whole.clone();
        *other.modules.values_mut().next().unwrap() = after;
        assert_ne!(manifest_hash(&other), manifest_hash(&whole), "{field}");
    }
    let fields: std::collections::BTreeSet<&str> =
        MUTATIONS.iter().filter_map(|(field, ..)| field.split('.').next()).collect();
    let table = hoist::model::module_table(&before);
    let missing: Vec<&Text> = table.keys().filter(|k| !fields.contains(&***k)).collect();
    assert!(missing.is_empty(), "nobody mutates {missing:?}");
}

#[test]
fn routes_are_in_the_twin_and_on_unhealthy_is_no_other_setting_to_an_engine() {
    let fleet = valid(FULL);
    let (whole, m) = (manifest(&fleet, "d"), module(&fleet, "d", "mm"));
    let old = module_hashes(&m, &whole.routes);
    let none = module_hashes(&m, &BTreeMap::new());
    assert!(old.spec == none.spec && old.settings == none.settings && old.twin != none.twin);
    let with = |policy| Module { restart_policy: policy, ..m.clone() };
    let (always, unhealthy) = (with(RestartPolicy::Always), with(RestartPolicy::OnUnhealthy));
    assert_eq!(module_hashes(&always, &whole.routes), module_hashes(&unhealthy, &whole.routes));
    let of = |module: Module| {
        let mut manifest = whole.clone();
        *manifest.modules.values_mut().next().unwrap() = module;
        manifest_hash(&manifest)
    };
    assert_ne!(of(always), of(unhealthy));
}
