//! A manifest's canonical text back to the manifest.
//!
//! Enters: what [`super::print_manifest`] wrote, from the store or a device. Its texts are filled ones, a
//! literal `${` stands as `$${`.

use super::decode::{File, TableReader, Texts, finished_module, route};
use crate::diagnostic::{Code, Diagnostics, Source};
use crate::model::{Cohort, DeploymentId, DeviceId, Manifest, ModuleName, RouteName};
use std::collections::BTreeMap;

/// Reads a manifest.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn decode_manifest(device: &DeviceId, text: &str) -> Result<Manifest, Diagnostics> {
    let file = File::new(Source::new(format!("{device}.toml"), text), Texts::Filled);
    match manifest(&file, device) {
        Some(manifest) if file.errors() == 0 => Ok(manifest),
        _ => Err(file.into_diagnostics()),
    }
}

fn manifest(file: &File, device: &DeviceId) -> Option<Manifest> {
    let tree = file.parse(&file.source.text)?;
    let mut reader = TableReader::root(file, tree.get_ref(), "a manifest");
    let base = reader
        .need("base", "a manifest names its base")
        .and_then(|item| item.parsed_name(DeploymentId::parse));
    let layers = reader
        .take("layers")
        .and_then(|item| item.list_of(|item| item.parsed_name(DeploymentId::parse)))
        .unwrap_or_default();
    let mut modules = BTreeMap::new();
    if let Some(table) = reader.take("modules").and_then(|item| item.table("`[modules]`")) {
        for item in table.entries() {
            match ModuleName::parse(item.name) {
                Ok(name) => modules.extend(finished_module(&item).map(|module| (name, module))),
                Err(error) => item.report_key(Code::BadName, error.to_string(), None),
            }
        }
    }
    let mut routes = BTreeMap::new();
    if let Some(table) = reader.take("routes").and_then(|item| item.table("`[routes]`")) {
        for item in table.entries() {
            match RouteName::parse(item.name) {
                Ok(name) => routes.extend(route(&item).map(|route| (name, route))),
                Err(error) => item.report_key(Code::BadName, error.to_string(), None),
            }
        }
    }
    reader.finish();
    Some(Manifest {
        device: device.clone(),
        cohort: Cohort { base: base?, layers },
        modules,
        routes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::print_manifest;
    use crate::model::{
        Duration, EnvValue, Gpus, HealthCheck, HostDevice, LogSettings, Module, ModuleSettings,
        NetworkMode, Port, PullPolicy, RestartPolicy, SecretName, Status, Table, Value, Volume,
    };
    use proptest::prelude::*;

    fn manifest_of(modules: Vec<Module>) -> Manifest {
        let place = crate::diagnostic::Place::new(&Source::new("x", ""), 0..0);
        let route = |priority| crate::model::Route {
            text: "FROM /messages/* WHERE level = \"x\" INTO $upstream".to_owned(),
            ends: None,
            priority,
            time_to_live: priority.map(|_| Duration::seconds(7200)),
            place: place.clone(),
        };
        Manifest {
            device: DeviceId::parse("lift+01").unwrap(),
            cohort: Cohort {
                base: DeploymentId::parse("base").unwrap(),
                layers: vec![DeploymentId::parse("proxy").unwrap()],
            },
            modules: modules
                .into_iter()
                .enumerate()
                .map(|(i, module)| (ModuleName::parse(&format!("module-{i}")).unwrap(), module))
                .collect(),
            routes: BTreeMap::from([
                (RouteName::parse("up").unwrap(), route(None)),
                (RouteName::parse("alert").unwrap(), route(Some(0))),
            ]),
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9 ]{0,12}",
            Just("${HOME} $${x} $ $$ {".to_owned()),
            Just("it's \"quoted\" \\ \n\t\r\u{1}\u{7f}é".to_owned()),
            "[ -~]{0,8}",
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            (-1e12..1e12f64).prop_map(Value::Float),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-z. \"]{0,6}", inner), 0..4)
                    .prop_map(|entries| Value::Table(entries.into_iter().collect())),
            ]
        })
    }

    fn table() -> impl Strategy<Value = Table> {
        prop::collection::vec(("[a-zA-Z.$ ]{1,8}", value()), 0..4).prop_map(Table::from_iter)
    }

    fn module() -> impl Strategy<Value = Module> {
        let words = || prop::collection::vec(text(), 0..4);
        let names = || prop::collection::btree_map("[A-Z_.a-z]{1,9}", text(), 0..4);
        let scalars = (any::<[bool; 8]>(), any::<u32>(), 1..1u64 << 50, 1..1_000_000_000_000u64);
        (scalars, words(), words(), names(), names(), table(), table()).prop_map(
            |((flags, number, bytes, nano), command, entrypoint, env, labels, options, desired)| {
                let [a, b, c, d, e, f, g, h] = flags;
                let millis = Duration { millis: bytes % 1_000_000_000 };
                let mut env: BTreeMap<String, EnvValue> = env
                    .into_iter()
                    .map(|(name, text)| (name.replace('.', "_"), EnvValue::Text(text)))
                    .collect();
                env.insert("KEY".to_owned(), EnvValue::Secret(SecretName::parse("s").unwrap()));
                let settings = ModuleSettings {
                    image: Some("camera:1".to_owned()),
                    version: a.then(|| "${free} text".to_owned()),
                    status: Some(if b { Status::Running } else { Status::Stopped }),
                    restart_policy: c.then_some(RestartPolicy::OnUnhealthy),
                    image_pull_policy: d.then_some(PullPolicy::Always),
                    startup_order: e.then_some(number),
                    stop_timeout: f.then_some(millis),
                    probation: g.then_some(millis),
                    keep_previous: h.then_some(millis),
                    command: a.then_some(command),
                    entrypoint: b.then_some(entrypoint),
                    user: c.then(|| "1000:1000".to_owned()),
                    hostname: d.then(|| "cam".to_owned()),
                    ports: e.then(|| vec![Port::parse("[::1]:53:53/udp").unwrap()]),
                    volumes: f.then(|| vec![Volume::parse("/dev/shm:/dev/shm:ro").unwrap()]),
                    tmpfs: g.then(|| vec!["/tmp".to_owned()]),
                    host_devices: h.then(|| vec![HostDevice::parse("/dev/a:/dev/b:r").unwrap()]),
                    networks: a.then(|| vec!["cameras".to_owned()]),
                    network_mode: (!a).then_some(NetworkMode::Host),
                    extra_hosts: b
                        .then(|| BTreeMap::from([("mqtt.local".to_owned(), "::1".to_owned())])),
                    memory: c.then_some(bytes),
                    cpus: d.then_some(nano),
                    shm_size: e.then_some(bytes),
                    gpus: f.then_some(if a { Gpus::All } else { Gpus::Count(number | 1) }),
                    privileged: Some(g),
                    cap_add: h.then(|| vec!["NET_ADMIN".to_owned()]),
                    cap_drop: a.then(|| vec!["ALL".to_owned()]),
                    read_only: Some(b),
                    init: c.then_some(d),
                    log: Some(LogSettings {
                        driver: if a { "json-file" } else { "local" }.to_owned(),
                        max_size: (a || e).then(|| "10m".to_owned()),
                        max_file: (a || f).then_some(3),
                    }),
                    health: g.then(|| HealthCheck {
                        command: vec!["CMD-SHELL".to_owned(), "test ${HOME}".to_owned()],
                        interval: millis,
                        timeout: millis,
                        retries: number | 1,
                        start_period: millis,
                    }),
                    labels: h.then_some(labels),
                    env: Some(env),
                    create_options: b.then_some(options),
                    router: Some(c),
                };
                Module::from_settings(settings, desired)
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn a_manifest_reads_back_as_it_was(modules in prop::collection::vec(module(), 0..3)) {
            let manifest = manifest_of(modules);
            let text = print_manifest(&manifest, "hoist\nrevision 1");
            let back = decode_manifest(&manifest.device, &text);
            let back = back.map_err(|found| {
                crate::diagnostic::render::all(&found, |_, text| text.to_owned())
            });
            prop_assert_eq!(back.as_ref(), Ok(&manifest), "{}", text);
            prop_assert_eq!(print_manifest(&back.unwrap(), "hoist\nrevision 1"), text);
        }
    }

    #[test]
    fn logging_by_create_options_stays_theirs() {
        let options = Table::from([(
            "HostConfig".to_owned(),
            Value::Table(Table::from([("LogConfig".to_owned(), Value::Table(Table::new()))])),
        )]);
        for log in [None, Some(LogSettings::built_in())] {
            let settings = ModuleSettings {
                image: Some("a:1".to_owned()),
                create_options: Some(options.clone()),
                log,
                ..ModuleSettings::default()
            };
            let manifest = manifest_of(vec![Module::from_settings(settings, Table::new())]);
            let text = print_manifest(&manifest, "");
            assert_eq!(decode_manifest(&manifest.device, &text).unwrap(), manifest, "{text}");
        }
    }

    #[test]
    fn a_manifest_is_written_in_the_order_of_the_documentation() {
        let text = r#"
base = "base"
modules.camera.image = "camera:1"
modules.camera.env.URL = "$${HOME}"
modules.camera.env.KEY = { secret = "db" }
modules.camera.ports = ["8080:80"]
modules.camera.desired = { a = { b = 1.0 }, list = [1, 2] }
modules.camera.create-options.HostConfig.Sysctls = { "net.core.somaxconn" = "1024", "net.ipv4.ip_forward" = "1", x = "y" }
modules.camera.status = "stopped"
"#;
        let device = DeviceId::parse("gw").unwrap();
        let manifest = decode_manifest(&device, text).unwrap();
        insta::assert_snapshot!(print_manifest(&manifest, "device gw"), @r#"
        # device gw
        base = "base"

        [modules.camera]
        image = "camera:1"
        status = "stopped"
        ports = ["8080:80/tcp"]

        [modules.camera.env]
        KEY = { secret = "db" }
        URL = "$${HOME}"

        [modules.camera.create-options.HostConfig]
        Sysctls = { "net.core.somaxconn" = "1024", "net.ipv4.ip_forward" = "1", x = "y" }

        [modules.camera.desired]
        a = { b = 1.0 }
        list = [1, 2]
        "#);
        let wrong =
            decode_manifest(&device, "base = \"b\"\n[modules.xx]\nimage = \"${device.id}\"\n");
        assert_eq!(wrong.unwrap_err().len(), 1);
    }
    #[test]
    fn a_route_of_a_manifest_in_force_is_read_whatever_it_says() {
        let text = "base = \"b\"\n[routes]\nup = \"FROM /messages/modules/cam/* INTO $upstream\"\n\
                    old = { route = \"FROM /nowhere INTO upstream\", priority = 1 }\n";
        let manifest = decode_manifest(&DeviceId::parse("gw").unwrap(), text).unwrap();
        let ends = |name: &str| manifest.routes[&RouteName::parse(name).unwrap()].ends.clone();
        assert_eq!(ends("up").unwrap().source.module().unwrap().as_str(), "cam");
        assert_eq!(ends("old"), None);
        assert!(print_manifest(&manifest, "").contains("FROM /nowhere INTO upstream"));
    }
}
