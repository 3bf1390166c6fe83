//! All files of a revision to one fleet, and what only shows when files are seen together.

use super::decode::{self, File, Texts};
use super::paths::{Role, bytes, is_ours, near_misses, role, start_of};
use super::{FileTree, Fleet, Loaded, TreeEntry};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, Source, did_you_mean};
use crate::language::{Condition, Query};
use crate::model::{Deployment, DeploymentKind, Device, EngineAddress};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Loads a fleet. Whatever is wrong anywhere is in the diagnostics; what has errors is not in the fleet.
pub fn load(tree: &FileTree) -> Loaded {
    let mut found = Diagnostics::new();
    let mut fleet = None;
    let mut devices = Vec::new();
    let mut deployments = Vec::new();
    let mut all_devices_read = true;
    for (path, entry) in &tree.0 {
        let may_matter =
            matches!(entry, TreeEntry::Link | TreeEntry::Submodule) || role(path).is_some();
        if !is_ours(path) || !may_matter {
            continue;
        }
        if path.split('/').any(|part| matches!(part, ".." | "." | "")) {
            let message = format!("`{path}` is no path within the fleet repository");
            found.push(Diagnostic::new(Code::UnreadableFile, message).at(start_of(path)));
            continue;
        }
        let before = found.len();
        let file = bytes(path, entry, &mut found)
            .filter(|_| role(path).is_some())
            .and_then(|bytes| text(path, bytes, &mut found));
        let Some((file, role)) = file.zip(role(path)) else {
            all_devices_read &= found.len() == before || path.starts_with("deployments");
            continue;
        };
        match role {
            Role::Fleet => fleet = decode::fleet(&file),
            Role::Devices(stem) => {
                devices.extend(decode::devices(&file, stem).devices);
                all_devices_read &= file.errors() == 0;
            }
            Role::Deployment(stem) => deployments.extend(decode::deployment(&file, stem)),
        }
        found.extend(file.into_diagnostics());
    }
    near_misses(tree, &mut found);
    if !tree.0.contains_key("fleet.toml") {
        found.push(
            Diagnostic::new(Code::NoFleetFile, "there is no `fleet.toml`")
                .help("run this in the folder of a fleet, or make one with `hoist init`"),
        );
    }
    let devices = unique_devices(devices, &mut found);
    let deployments = unique_deployments(deployments, &mut found);
    check_named_devices(&deployments, &devices, all_devices_read, &mut found);
    let fleet = fleet.map(|fleet| Fleet {
        devices: devices.into_iter().map(|device| (device.id.clone(), device)).collect(),
        deployments: deployments.into_iter().map(|d| (d.id.clone(), d)).collect(),
        ..fleet
    });
    Loaded { fleet, diagnostics: found }
}

/// The text of a file, without a byte-order mark.
pub(super) fn text(path: &str, bytes: &[u8], found: &mut Diagnostics) -> Option<File> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(File::new(Source::new(path, text), Texts::Templates)),
        Err(error) => {
            let at = error.valid_up_to();
            let shown = Source::new(path, String::from_utf8_lossy(bytes));
            let message = format!("byte {at} of the file is not UTF-8 (it is 0x{:02x})", bytes[at]);
            let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
            let help = if utf16 {
                "the file looks like UTF-16: save it as UTF-8"
            } else {
                "save the file as UTF-8"
            };
            let place = Place::new(&shown, at..at + '\u{fffd}'.len_utf8());
            found.push(Diagnostic::new(Code::UnreadableFile, message).at(place).help(help));
            None
        }
    }
}

/// Devices with ids of their own; engines that two of them share are reported too.
fn unique_devices(
    devices: Vec<(Device, Option<Place>)>,
    found: &mut Diagnostics,
) -> Vec<Arc<Device>> {
    let mut ids = Ids::new("device");
    let mut engines: BTreeMap<EngineAddress, (String, Place)> = BTreeMap::new();
    let mut unique = Vec::new();
    for (device, engine_place) in devices {
        if !ids.add(device.id.as_str(), &device.place, found) {
            continue;
        }
        if let (Some(engine), Some(place)) = (&device.engine, engine_place) {
            match engines.get(engine) {
                None => {
                    engines.insert(engine.clone(), (device.id.to_string(), place));
                }
                Some((other, first)) => found.push(
                    Diagnostic::new(
                        Code::SharedEngine,
                        format!(
                            "device `{}` has the same engine as device `{other}` ({first}): {engine}",
                            device.id
                        ),
                    )
                    .at(place)
                    .help("two devices on one engine would remove each other's modules")
                    .of_device(&device.id)
                    .of_path(other),
                ),
            }
        }
        unique.push(Arc::new(device));
    }
    unique
}

fn unique_deployments(
    deployments: Vec<Deployment<Condition, Query>>,
    found: &mut Diagnostics,
) -> Vec<Deployment<Condition, Query>> {
    let mut ids = Ids::new("deployment");
    let mut unique = deployments;
    unique.retain(|deployment| ids.add(deployment.id.as_str(), &deployment.place, found));
    unique
}

/// Ids seen so far, by their small letters.
struct Ids {
    what: &'static str,
    seen: BTreeMap<String, Vec<(String, Place)>>,
}

impl Ids {
    fn new(what: &'static str) -> Self {
        Self { what, seen: BTreeMap::new() }
    }

    /// Adds one; says whether it is new.
    fn add(&mut self, id: &str, place: &Place, found: &mut Diagnostics) -> bool {
        let what = self.what;
        let known = self.seen.entry(id.to_ascii_lowercase()).or_default();
        if let Some((_, first)) = known.iter().find(|(known, _)| known == id) {
            let message = format!("{what} `{id}` is there twice: also in {first}");
            found.push(
                Diagnostic::new(Code::DuplicateId, message)
                    .at(place.clone())
                    .help("an id is unique in the whole fleet: rename one of them"),
            );
            return false;
        }
        if let Some((other, first)) = known.first() {
            let message = format!("{what}s `{id}` and `{other}` ({first}) differ only in case");
            let warning = Diagnostic::new(Code::SimilarIds, message)
                .at(place.clone())
                .of_path(other)
                .help("people and file systems take them for one: rename one of them");
            found.push(if what == "device" {
                warning.of_device(id)
            } else {
                warning.of_deployment(id)
            });
        }
        known.push((id.to_owned(), place.clone()));
        true
    }
}

/// A `device` deployment's device exists and has no second one.
fn check_named_devices(
    deployments: &[Deployment<Condition, Query>],
    devices: &[Arc<Device>],
    all_devices_read: bool,
    found: &mut Diagnostics,
) {
    let mut taken: BTreeMap<&str, (&str, &Place)> = BTreeMap::new();
    let known: BTreeMap<&str, ()> = devices.iter().map(|d| (d.id.as_str(), ())).collect();
    for deployment in deployments {
        let DeploymentKind::Device { device, place } = &deployment.kind else { continue };
        if all_devices_read && !known.contains_key(device.as_str()) {
            let message = format!("the fleet has no device `{device}`");
            let help = did_you_mean(device.as_str(), known.keys().copied());
            found.push(
                Diagnostic::new(Code::UnknownDevice, message).at(place.clone()).help_option(help),
            );
        }
        match taken.get(device.as_str()) {
            None => {
                taken.insert(device.as_str(), (deployment.id.as_str(), place));
            }
            Some((other, first)) => {
                let message = format!(
                    "device `{device}` has two deployments of kind `device`: `{}` and `{other}` ({first})",
                    deployment.id
                );
                found.push(
                    Diagnostic::new(Code::MixedKinds, message)
                        .at(place.clone())
                        .help("join the two: a device has one base"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::render;
    use crate::model::{Amount, EntryKind, EnvValue, UnsetPath, Value};
    use proptest::prelude::*;

    const FLEET: &str = r#"
name = "building-services"
formerly = ["buildings"]
[defaults]
restart-policy = "always"
log = { max-size = "10m", max-file = 3 }
[registries."registry.example.com:5000"]
credentials = "puller"
[reported-properties]
devicemodel = "inventory.devicemodel"
[lints]
mutable-image = "error"
shadowed = "allow"
[guards]
max-devices-disrupted = "25%"
[rollout]
on-failure = "halt"
min-success = "90%"
[[rollout.phases]]
name = "canary"
target = "tags.ring = 'canary'"
[[rollout.phases]]
share = "12.5%"
[network]
subnet = "10.210.0.0/24"
"#;
    const LIFTS: &str = r#"
tls = "site-a"
[tags]
operator = "lifts"
location = { building = "43", floor = 4 }
[[device]]
id = "lift+01"
engine = "tcp://10.3.0.11:2376"
tags = { environment = "prod", location = { floor = 5 }, since = 2026-01-05 }
"#;
    const BASE: &str = r#"
target = "tags.environment = 'prod'"
priority = 10
created = 2026-01-05T09:00:00+01:00
phased = false
[labels]
team = "facilities"
[modules.camera]
image = "registry.example.com:5000/camera:1.4.2"
version = "1.4.2"
status = "running"
startup-order = 20
stop-timeout = "10s"
command = ["--fps", "12"]
ports = ["8080:80/tcp", "${device.tags.port:-81}:81"]
volumes = ["data:/var/lib/camera", "/dev/shm:/dev/shm:ro"]
host-devices = ["/dev/video0"]
networks = ["cameras"]
extra-hosts = { "mqtt.local" = "10.0.0.5" }
memory = "256MiB"
shm-size = 1024
cpus = 0.5
gpus = 2
health = { command = ["CMD-SHELL", "test ${HOME}"], interval = "30s" }
[modules.camera.env]
DEVICE = "${device.id}"
DB_PASSWORD = { secret = "db-password" }
LEVEL = 1_000
DEBUG = true
[modules.camera.create-options]
HostConfig = { Sysctls = { "net.core.somaxconn" = "1024" } }
[modules.camera.desired]
SendData = true
[routes]
up = "FROM /messages/* INTO $upstream"
alert = { route = "FROM /messages/* INTO $upstream", priority = 0, time-to-live = "2h" }
[metrics]
slow = "SELECT deviceId FROM devices"
[rollout]
max-failures = 1
[azure]
anything = { goes = [1, "x"] }
"#;
    const LAYER: &str = r#"
kind = "layered"
priority = 50
[modules.camera.desired-at]
"layeredProperties.inner" = { StopAfterCount = 1000 }
[modules.proxy]
image = "proxy:2"
[modules.sensor]
patch = true
unset = ["env.DEBUG", "memory", 'create-options.HostConfig."a.b"']
env = { PROXY = "http://proxy:3128" }
"#;

    fn good() -> Fleet {
        let loaded = load(&FileTree::from_texts([
            ("fleet.toml", FLEET),
            ("devices/lifts.toml", LIFTS),
            ("devices/north/lobby.gw.toml", "reachable = false\r\n"),
            ("deployments/base.toml", BASE),
            ("deployments/secure.toml", LAYER),
            ("deployments/one.toml", "kind = \"device\"\ndevice = \"lobby.gw\"\n"),
        ]));
        let said = render::all(&loaded.diagnostics, |_, text| text.to_owned());
        assert!(loaded.diagnostics.is_empty(), "{said}");
        loaded.fleet.unwrap()
    }

    #[test]
    fn every_key_of_a_good_fleet_arrives() {
        let fleet = good();
        assert_eq!(fleet.guards.max_devices_disrupted, Amount::Share(2500));
        let rollout = fleet.rollout.as_ref().unwrap();
        assert_eq!((rollout.phases.len(), rollout.phases[1].share), (2, Some(1250)));
        assert_eq!(rollout.phases[1].name, "phase 2");
        assert_eq!(fleet.lints.get(&Code::Shadowed), Some(&None));
        assert_eq!(fleet.default_places["log.max-size"].to_string(), "fleet.toml:6");
        let lift = &fleet.devices["lift+01"];
        assert_eq!(lift.tls.as_ref().unwrap().as_str(), "site-a");
        assert_eq!(Value::lookup(&lift.tags, &["location", "building"]), Some(&"43".into()));
        assert_eq!(Value::lookup(&lift.tags, &["location", "floor"]), Some(&5.into()));
        assert_eq!(lift.tags["since"], "2026-01-05".into());
        assert!(!fleet.devices["lobby.gw"].reachable);
        let base = &fleet.deployments["base"];
        assert_eq!(base.created.unwrap().to_string(), "2026-01-05T08:00:00Z");
        assert_eq!(base.rollout.max_failures, Some(Amount::Count(1)));
        assert!(!base.phased);
        let camera = &base.modules["camera"];
        let env = camera.settings.env.as_ref().unwrap();
        assert_eq!(env["LEVEL"], EnvValue::Text("1000".to_owned()));
        assert_eq!(env["DEBUG"], EnvValue::Text("true".to_owned()));
        assert_eq!(camera.settings.memory, Some(256 << 20));
        assert_eq!(camera.settings.cpus, Some(500_000_000));
        for path in ["image", "env.DEVICE", "desired.SendData"] {
            assert_eq!(camera.places[path].file(), "deployments/base.toml", "{path}");
        }
        let path = "create-options.HostConfig.Sysctls.\"net.core.somaxconn\"";
        assert_eq!(camera.places[path].text(), "\"net.core.somaxconn\"");
    }

    #[test]
    fn entries_of_a_layer_say_how_they_meet_what_is_below() {
        let fleet = good();
        let layer = &fleet.deployments["secure"].modules;
        assert_eq!(layer["camera"].kind, EntryKind::TwinOnly);
        assert!(layer["camera"].places.contains_key("desired-at.layeredProperties.inner"));
        assert_eq!(layer["proxy"].kind, EntryKind::Whole);
        let sensor = &layer["sensor"];
        assert_eq!(sensor.kind, EntryKind::Patch);
        let path =
            |segments: &[&str]| UnsetPath(segments.iter().map(ToString::to_string).collect());
        assert_eq!(
            sensor.unset,
            [
                path(&["env", "DEBUG"]),
                path(&["memory"]),
                path(&["create-options", "HostConfig", "a.b"]),
            ]
        );
        assert_eq!(sensor.places["unset.env.DEBUG"].text(), "\"env.DEBUG\"");
    }

    #[test]
    fn what_has_errors_is_left_out_and_the_rest_stays() {
        let loaded = load(&FileTree::from_texts([
            ("fleet.toml", "name = \"towers\"\nx = 1\n"),
            ("devices/a.toml", ""),
            ("devices/b.toml", "engin = 1"),
            ("devices/c.toml", "[[device]]\nid = \"c1\"\n[[device]]\nid = \"c2\"\ntls = 1\n"),
            ("devices/d.toml", "[tags]\nx = \n"),
            ("deployments/e.toml", ""),
            ("deployments/f.toml", "priority = true"),
        ]));
        let fleet = loaded.fleet.unwrap();
        let ids: Vec<&str> = fleet.devices.keys().map(AsRef::as_ref).collect();
        assert_eq!(ids, ["a", "c1"]);
        assert_eq!(fleet.deployments.len(), 1);
        assert_eq!(render::count(&loaded.diagnostics), "5 errors");
    }

    #[test]
    fn what_is_no_plain_file_is_refused() {
        let mut tree = FileTree::from_texts([("fleet.toml", "name = \"towers\"")]);
        for (path, entry) in [
            ("devices/../x.toml", TreeEntry::File(b"".as_slice().into())),
            ("devices/big.toml", TreeEntry::TooLarge(17 << 20)),
            ("devices/gone.toml", TreeEntry::Unreadable("permission denied".to_owned())),
            ("deployments/shared", TreeEntry::Submodule),
            ("deployments/picture.png", TreeEntry::OtherFile),
            ("vendor", TreeEntry::Link),
        ] {
            tree.0.insert(path.to_owned(), entry);
        }
        let found = load(&tree).diagnostics.sorted();
        let messages: Vec<&str> = found.iter().map(|d| d.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`deployments/shared` is a submodule, which is not part of the revision",
                "`devices/../x.toml` is no path within the fleet repository",
                "a file of 17825792 bytes; at most 16777216 (16 MiB) are read",
                "`devices/gone.toml` can't be read: permission denied",
            ]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn no_damage_to_a_file_stops_the_run(
            which in 0..4usize,
            at in any::<prop::sample::Index>(),
            gone in 0..12usize,
            junk in "[\\[\\]{}='\"\\\\#,.$ \\naé0-9-]{0,6}",
        ) {
            let mut files = [
                ("fleet.toml", FLEET.to_owned()),
                ("devices/lifts.toml", LIFTS.to_owned()),
                ("deployments/base.toml", BASE.to_owned()),
                ("deployments/secure.toml", LAYER.to_owned()),
            ];
            let text = &mut files[which].1;
            let start = at.index(text.len());
            text.replace_range(start..(start + gone).min(text.len()), &junk);
            let damaged = load(&FileTree::from_texts(files.iter().map(|(p, t)| (*p, t.as_str()))));
            let found = damaged.diagnostics.sorted();
            // One small damage is a few mistakes at most, not a flood of what follows from it.
            let broken = found.iter().any(|diagnostic| diagnostic.code == Code::Syntax);
            let most = if broken { 4 } else { 8 };
            prop_assert!(found.len() <= most, "{}", render::all(&found, |_, text| text.to_owned()));
            for diagnostic in &found {
                prop_assert!(diagnostic.position().is_some());
            }
        }
    }
}
