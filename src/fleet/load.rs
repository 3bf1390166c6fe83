//! All files of a revision to one fleet, and what only shows when files are seen together.
//!
//! Each file is decoded by itself ([`Decoded`]), many at a time; one whose content is known already is not decoded
//! again ([`KnownFiles`]), nor is one that was decoded while others were still being read. Whatever depends on more than
//! one file is done after that, in the order of their paths: of `fleet.toml`, deployments and files with mistakes anew, of
//! devices only where they differ ([`KnownDevices`]).

use super::decode::{self, File, Lately, Texts};
use super::known_devices::KnownDevices;
use super::known_files::{Known, KnownFiles, is_in_order};
use super::paths::{Role, role};
use super::unique::{Declared, unique_deployments};
use super::{FileTree, Fleet, Loaded, TreeEntry};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, Source, did_you_mean};
use crate::language::{Condition, Query};
use crate::model::{Deployment, DeploymentKind, DeviceId, Devices, FleetName};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files that were decoded before, with what they said. Kept from revision to revision, it saves decoding those
/// that stay; what a load gives does not depend on it.
#[derive(Debug, Default)]
pub struct LoadCache {
    files: KnownFiles,
    /// What was decoded ahead of the next load.
    ahead: Vec<Known>,
    devices: Option<KnownDevices>,
}

/// Is told of files as soon as they are read, by whichever thread reads them.
pub type Seen<'a> = dyn Fn(&[(Arc<str>, TreeEntry)]) + Sync + 'a;

impl LoadCache {
    /// Reads files, and decodes those that `read` tells of meanwhile, for the next load.
    pub fn decode_while<T>(&mut self, read: impl FnOnce(&Seen<'_>) -> T) -> T {
        let (resting, done) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let given = read(&|files| {
            let mut lately: Lately = locked(&resting).pop().unwrap_or_default();
            let decoded = files.iter().filter(|(path, content)| is_in_order(path, content));
            let decoded: Vec<Known> = decoded
                .map(|(path, content)| {
                    let says = Arc::new(decode(path, content, &mut lately));
                    (Arc::clone(path), content.clone(), says)
                })
                .collect();
            locked(&resting).push(lately);
            locked(&done).push(decoded);
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Each is in order mostly, and so are all then.
        done.sort_by(|one, other| first_path(one).cmp(&first_path(other)));
        self.ahead = done.into_iter().flatten().collect();
        self.ahead.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        given
    }
}

fn first_path(files: &[Known]) -> Option<&str> {
    files.first().map(|(path, ..)| &**path)
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one file says, which depends on nothing but its path and content.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    content: Content,
    diagnostics: Diagnostics,
    /// Whether a device may be lost in it.
    may_lack_devices: bool,
}

impl Decoded {
    /// The devices that it declares.
    pub(super) fn devices(&self) -> &[Declared] {
        match &self.content {
            Content::Devices(list) => list,
            _ => &[],
        }
    }

    /// Whether it says anything that is not said by its devices alone.
    pub(super) fn tells_more_than_devices(&self) -> bool {
        !matches!(self.content, Content::Devices(_))
            || !self.diagnostics.is_empty()
            || self.may_lack_devices
    }
}

#[derive(Debug, Default)]
enum Content {
    #[default]
    Nothing,
    Fleet(Box<Fleet>),
    Devices(Box<[Declared]>),
    Deployment(Arc<Deployment<Condition, Query>>),
}

/// The name that `fleet.toml` gives, whatever else is wrong with the files; `None` if it gives none.
pub fn fleet_name(tree: &FileTree) -> Option<FleetName> {
    fleet_names(tree).map(|(name, _)| name)
}

/// The same, with the names that the fleet had before.
pub fn fleet_names(tree: &FileTree) -> Option<(FleetName, Vec<FleetName>)> {
    const FILE: &str = "fleet.toml";
    let only = FileTree([(FILE.into(), tree.0.get(FILE)?.clone())].into());
    let fleet = load(&only).fleet?;
    (fleet.name.as_str() != "unnamed").then_some((fleet.name, fleet.formerly))
}

/// Loads a fleet. Whatever is wrong anywhere is in the diagnostics; what has errors is not in the fleet.
pub fn load(tree: &FileTree) -> Loaded {
    load_after(tree, &mut LoadCache::default())
}

/// The same where much of it may have been loaded before; the cache then holds this tree's files.
pub fn load_after(tree: &FileTree, cache: &mut LoadCache) -> Loaded {
    let mut found = Diagnostics::new();
    let mut fleet = None;
    let mut deployments = Vec::new();
    let ahead = std::mem::take(&mut cache.ahead);
    let changes = cache.files.go_on(tree, ahead, &mut found);
    let mut all_devices_read = changes.all_devices_read;
    for decoded in cache.files.telling() {
        match &decoded.content {
            Content::Nothing | Content::Devices(_) => {}
            Content::Fleet(decoded) => fleet = Some(Fleet::clone(decoded)),
            Content::Deployment(deployment) => deployments.push(Arc::clone(deployment)),
        }
        all_devices_read &= !decoded.may_lack_devices;
        found.extend(decoded.diagnostics.clone());
    }
    if !tree.0.contains_key("fleet.toml") {
        found.push(
            Diagnostic::new(Code::NoFleetFile, "there is no `fleet.toml`")
                .help("run this in the folder of a fleet, or make one with `hoist init`"),
        );
    }
    let devices = KnownDevices::go_on(&mut cache.devices, &cache.files, &changes, &mut found);
    let deployments = unique_deployments(deployments, &mut found);
    check_named_devices(&deployments, &devices, all_devices_read, &mut found);
    let fleet = fleet.map(|fleet| Fleet {
        devices,
        deployments: deployments.into_iter().map(|d| (d.id.clone(), d)).collect(),
        ..fleet
    });
    Loaded { fleet, diagnostics: found }
}

/// Decodes one file.
pub(super) fn decode(path: &Arc<str>, content: &TreeEntry, lately: &mut Lately) -> Decoded {
    let mut diagnostics = Diagnostics::new();
    let Some((file, role)) = text(path, content, &mut diagnostics).zip(role(path)) else {
        let may_lack_devices = !path.starts_with("deployments");
        return Decoded { content: Content::Nothing, diagnostics, may_lack_devices };
    };
    let content = match role {
        Role::Fleet => decode::fleet(&file).map(|fleet| Content::Fleet(Box::new(fleet))),
        Role::Devices(stem) => Some(Content::Devices(
            decode::devices(&file, stem, lately)
                .devices
                .into_iter()
                .map(|(device, engine_place)| Declared::new(device, engine_place))
                .collect(),
        )),
        Role::Deployment(stem) => {
            decode::deployment(&file, stem).map(|d| Content::Deployment(Arc::new(d)))
        }
    };
    let may_lack_devices = matches!(role, Role::Devices(_)) && file.errors() > 0;
    diagnostics.extend(file.into_diagnostics());
    Decoded { content: content.unwrap_or_default(), diagnostics, may_lack_devices }
}

/// The text of a file, without a byte-order mark.
pub(super) fn text(path: &Arc<str>, content: &TreeEntry, found: &mut Diagnostics) -> Option<File> {
    let (shown, at, message, help) = match content {
        TreeEntry::File(text) => {
            let text = match text.strip_prefix('\u{feff}') {
                Some(rest) => rest.into(),
                None => Arc::clone(text),
            };
            // Each byte is looked at, so that many can be at once.
            if !text.bytes().fold(false, |any, byte| any | (byte == 0)) {
                return Some(File::new(Source::new(Arc::clone(path), text), Texts::Templates));
            }
            let at = text.find('\0').unwrap_or_default();
            // Every other byte of plain words in UTF-16.
            let utf16 = at < 2
                && matches!(text.as_bytes().get(at + 1..), Some([other, 0, ..]) if *other != 0);
            let damaged = "it is no text, or damaged: write it anew, or take it back from git";
            let help = if utf16 { SAVED_AS_UTF_16 } else { damaged };
            let message = format!("byte {at} of the file is a NUL (0x00), which no text has");
            (text, at, message, help)
        }
        TreeEntry::NotText(bytes) => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let at = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
            let help = if utf16 { SAVED_AS_UTF_16 } else { "save the file as UTF-8" };
            let byte = bytes.get(at).copied().unwrap_or_default();
            let message = format!("byte {at} of the file is not UTF-8 (it is 0x{byte:02x})");
            (String::from_utf8_lossy(bytes).into(), at, message, help)
        }
        _ => return None,
    };
    let shown = Source::new(Arc::clone(path), shown);
    let width = shown.text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
    let place = Place::new(&shown, at..at + width);
    found.push(Diagnostic::new(Code::UnreadableFile, message).at(place).help(help));
    None
}

const SAVED_AS_UTF_16: &str = "the file looks like UTF-16: save it as UTF-8";

/// A `device` deployment's device exists and has no second one.
fn check_named_devices(
    deployments: &[Arc<Deployment<Condition, Query>>],
    devices: &Devices,
    all_devices_read: bool,
    found: &mut Diagnostics,
) {
    let mut taken: BTreeMap<&str, (&str, &Place)> = BTreeMap::new();
    for deployment in deployments {
        let DeploymentKind::Device { device, place } = &deployment.kind else { continue };
        if all_devices_read && !devices.contains_key(device) {
            let message = format!("the fleet has no device `{device}`");
            let help = did_you_mean(device.as_str(), devices.keys().map(DeviceId::as_str));
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
            ("devices/../x.toml", TreeEntry::File("".into())),
            ("devices/big.toml", TreeEntry::TooLarge(17 << 20)),
            ("devices/gone.toml", TreeEntry::Unreadable("permission denied".to_owned())),
            ("deployments/shared", TreeEntry::Submodule),
            ("deployments/picture.png", TreeEntry::OtherFile),
            ("vendor", TreeEntry::Link),
        ] {
            tree.0.insert(path.into(), entry);
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

    /// What two loads say, as far as anybody can see it.
    fn said(loaded: &Loaded) -> String {
        let found = loaded.diagnostics.clone().sorted();
        format!("{:#?} {}", loaded.fleet, render::all(&found, |_, text| text.to_owned()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn what_was_loaded_before_makes_no_difference(
            revisions in prop::collection::vec(prop::collection::vec(0..6_usize, 5), 1..4),
            ahead in any::<bool>(),
        ) {
            let texts = [FLEET, LIFTS, BASE, LAYER, "reachable = false\n", "x = ["];
            let paths = ["fleet.toml", "devices/a.toml", "devices/b.toml", "deployments/a.toml", "deployments/b.toml"];
            let (mut cache, mut former) = (LoadCache::default(), FileTree::default());
            for revision in revisions {
                let files = paths.iter().zip(revision).filter(|(_, text)| *text != 4);
                let tree = FileTree::from_texts(files.map(|(path, text)| (*path, texts[text])));
                if ahead {
                    // Of another revision too: what does not stay is not used.
                    cache.decode_while(|seen| {
                        for tree in [&tree, &former] {
                            let files = tree.0.iter().map(|(path, entry)| (path.clone(), entry.clone()));
                            seen(&files.collect::<Vec<_>>());
                        }
                    });
                }
                prop_assert_eq!(said(&load_after(&tree, &mut cache)), said(&load(&tree)));
                former = tree;
            }
        }
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
