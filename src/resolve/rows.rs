//! The rows that queries run over: what git says of devices and modules, and what is known of them.
//!
//! Enters: a fleet, its resolution, and what somebody has seen ([`Known`]), from the store or from a daemon's
//! memory. Leaves: the answer to a query. Not here: where that knowledge comes from, and what an answer looks
//! like.

use super::Resolution;
use crate::fleet::{Fleet, decode_manifest};
use crate::language::{Answer, Collection, Configuration, Found, ModuleRow, Query, Row, RowKind};
use crate::model::{
    DeploymentId, Device, DeviceId, Facts, Hash, Manifest, ModuleName, Table, Timestamp, Value,
    manifest_hash,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is known of a fleet beside its files.
#[derive(Debug, Clone, Default)]
pub struct Known<'a> {
    /// What devices report.
    pub facts: Facts,
    /// How devices were seen; `None` where nobody ever looked.
    pub devices: Option<BTreeMap<&'a DeviceId, KnownDevice<'a>>>,
}

/// How a device was last seen.
#[derive(Debug, Clone)]
pub struct KnownDevice<'a> {
    /// Its status code.
    pub code: u16,
    /// That in words.
    pub description: &'a str,
    /// When its engine last answered.
    pub last_contact: Option<Timestamp>,
    /// Whether that was lately.
    pub is_connected: bool,
    /// The manifest that it has.
    pub in_force: Option<KnownManifest<'a>>,
    /// Its modules.
    pub modules: BTreeMap<&'a ModuleName, KnownModule<'a>>,
}

/// A manifest in force.
#[derive(Debug, Clone, Copy)]
pub struct KnownManifest<'a> {
    /// Its hash.
    pub hash: &'a Hash,
    /// Its canonical text.
    pub text: &'a str,
}

/// How a module was last seen.
#[derive(Debug, Clone, Copy)]
pub struct KnownModule<'a> {
    /// `running`, `unhealthy`, `backoff`, `stopped`, `failed`, `unknown`.
    pub runtime_status: &'a str,
    /// With which code it ended, if it did.
    pub exit_code: Option<i64>,
    /// How often the engine started it again.
    pub restart_count: u64,
}

/// The rows of a fleet.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// Its resolution.
    pub resolution: &'a Resolution,
    /// What is known of it.
    pub known: &'a Known<'a>,
    /// Only these devices; `None` for all.
    pub only: Option<&'a BTreeSet<DeviceId>>,
}

impl<'a> Rows<'a> {
    /// The answer to a query.
    pub fn answer(&self, query: &Query) -> Answer {
        let asked = Asked {
            reported: query.asks_for_reported(),
            configurations: query.asks_for_configurations(),
            desired: query.asks_for_desired(),
            version: query.asks_for_version(),
        };
        if let Some(found) = self.found(query) {
            let devices = found.met.numbers().filter_map(|number| self.fleet.devices.at(number));
            return query.evaluate_found(&found, devices.map(|d| self.device_row(d, asked)));
        }
        let devices = self.fleet.devices.values().map(AsRef::as_ref);
        let devices = devices
            .filter(|device: &&Device| self.only.is_none_or(|only| only.contains(&device.id)));
        match query.collection() {
            Collection::Devices => query.evaluate(devices.map(|d| self.device_row(d, asked))),
            Collection::Modules => {
                query.evaluate(devices.flat_map(|device| self.module_rows(device, asked)))
            }
        }
    }

    /// Which devices a query is about, where the columns of targets say it for all of them.
    fn found(&self, query: &Query) -> Option<Found> {
        let columns = &self.resolution.columns;
        let is_of_columns = query.collection() == Collection::Devices
            && self.only.is_none()
            && Arc::ptr_eq(columns.devices(), &self.fleet.devices);
        if is_of_columns { query.find(columns) } else { None }
    }

    fn known_of(&self, device: &Device) -> Option<&'a KnownDevice<'a>> {
        self.known.devices.as_ref()?.get(&device.id)
    }

    fn device_row(&self, device: &'a Device, asked: Asked) -> Row<'a> {
        let known = self.known_of(device);
        let looked = self.known.devices.is_some();
        Row {
            device,
            reported: match asked.reported {
                true => self.reported(device),
                false => Cow::Borrowed(&device.reported),
            },
            configurations: match asked.configurations {
                true => self.configurations(device),
                false => Vec::new(),
            },
            kind: RowKind::Device {
                connected: looked.then(|| known.is_some_and(|known| known.is_connected)),
            },
        }
    }

    /// What became of the deployments that target a device.
    fn configurations(&self, device: &Device) -> Vec<(&'a DeploymentId, Configuration)> {
        let targeted = self.resolution.devices.get(&device.id).map(|d| &*d.targeted);
        let status =
            |applied| if applied { Configuration::Applied } else { Configuration::Targeted };
        let targeted = targeted.unwrap_or_default().iter();
        targeted.map(|t| (&t.deployment, status(t.standing.is_applied()))).collect()
    }

    /// What the device reports, with what is known of it by observation.
    fn reported(&self, device: &'a Device) -> Cow<'a, Table> {
        let Some(known) = self.known_of(device) else {
            return self.known.facts.reported(device);
        };
        let KnownDevice { code, description, last_contact, is_connected: _, in_force: _, modules } =
            known;
        let mut reported = self.known.facts.reported(device).into_owned();
        let mut status = Table::new();
        status.insert("code".to_owned(), i64::from(*code).into());
        status.insert("description".to_owned(), (*description).into());
        reported.insert("lastDesiredStatus".to_owned(), Value::Table(status));
        if let Some(moment) = last_contact {
            reported.insert("lastContact".to_owned(), moment.to_string().into());
        }
        let mut all = take_table(&mut reported, "modules");
        for (name, module) in modules {
            let KnownModule { runtime_status, exit_code, restart_count } = module;
            let mut module = take_table(&mut all, name.as_str());
            module.insert("runtimeStatus".to_owned(), (*runtime_status).into());
            if let Some(code) = exit_code {
                module.insert("exitCode".to_owned(), (*code).into());
            }
            let restarts = i64::try_from(*restart_count).unwrap_or(i64::MAX);
            module.insert("restartCount".to_owned(), restarts.into());
            all.insert(name.to_string(), Value::Table(module));
        }
        if !all.is_empty() {
            reported.insert("modules".to_owned(), Value::Table(all));
        }
        Cow::Owned(reported)
    }

    /// The two modules that Azure's queries ask, then those of the manifest, then others that were seen.
    fn module_rows(&self, device: &'a Device, asked: Asked) -> Vec<Row<'a>> {
        let known = self.known_of(device);
        let reported = self.reported(device);
        let configurations = self.configurations(device);
        let mut wanted = self.wanted(device, asked);
        let mut rows = Vec::new();
        for name in ["$edgeAgent", "$edgeHub"] {
            let desired = wanted.version.iter().map(|v| ("$version".to_owned(), v.as_str().into()));
            let module = ModuleRow {
                name: Cow::Borrowed(name),
                desired: Cow::Owned(desired.collect()),
                runtime_status: None,
                exit_code: None,
                restart_count: None,
            };
            rows.push(Row {
                device,
                reported: Cow::Owned(reported_by_agent(name, &reported, known)),
                configurations: configurations.clone(),
                kind: RowKind::Module(module),
            });
        }
        for name in known.iter().flat_map(|known| known.modules.keys()) {
            wanted.modules.entry((*name).clone()).or_default();
        }
        for (name, desired) in wanted.modules {
            let seen = known.and_then(|known| known.modules.get(&name));
            let said = Value::lookup(&reported, &["modules", name.as_str(), "reported"]);
            let said = said.and_then(Value::as_table).cloned().unwrap_or_default();
            let module = ModuleRow {
                name: Cow::Owned(name.as_str().to_owned()),
                desired,
                runtime_status: seen.map(|seen| seen.runtime_status),
                exit_code: seen.and_then(|seen| seen.exit_code),
                restart_count: seen.map(|seen| seen.restart_count),
            };
            rows.push(Row {
                device,
                reported: Cow::Owned(said),
                configurations: configurations.clone(),
                kind: RowKind::Module(module),
            });
        }
        rows
    }

    /// The modules that a device should have. Where no base targets it, or its manifest can't be filled, they
    /// are those that it has.
    fn wanted(&self, device: &Device, asked: Asked) -> WantedModules<'a> {
        let Asked { desired, version, .. } = asked;
        if let Some(cohort) = self.resolution.cohort_of(&device.id)
            && !version
            && !(desired && cohort.has_templates())
        {
            // The same for the whole cohort.
            let modules = cohort.modules.iter();
            let modules = modules.map(|(name, m)| (name.clone(), Cow::Borrowed(&m.desired)));
            return WantedModules { modules: modules.collect(), version: None };
        }
        if let Some(Ok(manifest)) = self.resolution.manifest(self.fleet, &device.id) {
            let version = version.then(|| manifest_hash(&manifest));
            return WantedModules::of(manifest, version.as_ref());
        }
        let in_force = self.known_of(device).and_then(|known| known.in_force);
        let Some(KnownManifest { hash, text }) = in_force else { return WantedModules::default() };
        match decode_manifest(&device.id, text) {
            Ok(manifest) => WantedModules::of(manifest, Some(hash)),
            Err(_) => WantedModules::default(),
        }
    }
}

/// What a query asks for of that what costs something to know.
#[derive(Clone, Copy)]
struct Asked {
    reported: bool,
    configurations: bool,
    desired: bool,
    version: bool,
}

/// The modules that a device should have, with their desired properties, and the version of all that.
#[derive(Default)]
struct WantedModules<'a> {
    modules: BTreeMap<ModuleName, Cow<'a, Table>>,
    version: Option<String>,
}

impl WantedModules<'_> {
    fn of(manifest: Manifest, hash: Option<&Hash>) -> Self {
        let modules = manifest.modules.into_iter();
        let modules = modules.map(|(name, module)| (name, Cow::Owned(module.desired)));
        let version = hash.map(|hash| hash.as_str().to_owned());
        Self { modules: modules.collect(), version }
    }
}

/// What the agent of a device would report.
fn reported_by_agent(name: &str, reported: &Table, known: Option<&KnownDevice<'_>>) -> Table {
    let mut table = Table::new();
    let copied: &[&str] = match name {
        "$edgeAgent" => &["lastDesiredStatus", "modules"],
        _ => &["lastDesiredStatus"],
    };
    for key in copied {
        table.extend(reported.get(key).map(|value| ((*key).to_owned(), value.clone())));
    }
    if let Some(KnownManifest { hash, text: _ }) = known.and_then(|known| known.in_force) {
        table.insert("lastDesiredVersion".to_owned(), hash.as_str().into());
    }
    if let Some(moment) = known.and_then(|known| known.last_contact) {
        table.insert("lastConnectTime".to_owned(), moment.to_string().into());
    }
    table
}

/// Takes the table out that stands at a key; what else stands there is gone.
fn take_table(table: &mut Table, key: &str) -> Table {
    match table.remove(key) {
        Some(Value::Table(table)) => table,
        _ => Table::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::FileTree;
    use crate::resolve::check;

    const FLEET: [(&str, &str); 6] = [
        ("fleet.toml", "name = \"t\"\n"),
        ("devices/lift.toml", "[tags]\nenv = \"prod\"\n[reported]\ncpus = 2\n"),
        ("devices/old.toml", "[reported.modules.camera.reported]\nlatencyMs = 3\n"),
        (
            "deployments/base.toml",
            "target = \"tags.env = 'prod'\"\npriority = 10\n[modules.camera]\nimage = \"c:1\"\n\
             [modules.camera.desired]\nname = \"${device.id}\"\n",
        ),
        ("deployments/lost.toml", "target = \"tags.env = 'prod'\"\npriority = 1\n"),
        (
            "deployments/layer.toml",
            "kind = \"layered\"\ntarget = \"tags.env = 'prod'\"\npriority = 20\n\
             [modules.proxy]\nimage = \"p:1\"\n",
        ),
    ];

    fn fleet() -> (Fleet, Resolution) {
        let checked = check(&FileTree::from_texts(FLEET));
        checked.fleet.unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
    }

    /// The rows that a query gives, as `a/b` with `-` for what is missing.
    fn given(known: &Known<'_>, query: &str) -> String {
        let (fleet, resolution) = fleet();
        let rows = Rows { fleet: &fleet, resolution: &resolution, known, only: None };
        let cell = |value: &Option<Value>| match value {
            None => "-".to_owned(),
            Some(Value::String(text)) => text.to_string(),
            Some(value) => value.to_json().to_string(),
        };
        let answer = rows.answer(&Query::parse_or_condition(query).unwrap());
        let rows = answer.rows.iter().map(|r| r.iter().map(cell).collect::<Vec<_>>().join("/"));
        rows.collect::<Vec<_>>().join(" ")
    }

    fn id(text: &str) -> DeviceId {
        DeviceId::parse(text).unwrap()
    }

    #[test]
    fn files_alone_say_much() {
        let known = Known::default();
        for (query, expected) in [
            ("configurations.[[base]].status = 'Applied'", "lift"),
            ("configurations.[[lost]].status = 'Targeted'", "lift"),
            (
                "SELECT deviceId, moduleId FROM devices.modules",
                "lift/$edgeAgent lift/$edgeHub lift/camera lift/proxy old/$edgeAgent old/$edgeHub",
            ),
            (
                "SELECT properties.desired.name FROM devices.modules WHERE moduleId = 'camera'",
                "lift",
            ),
            ("SELECT properties.reported.cpus, connectionState FROM devices", "2/- -/-"),
            ("IS_DEFINED(properties.reported.lastDesiredStatus)", ""),
            (
                "SELECT moduleId FROM devices.modules WHERE IS_DEFINED(properties.desired.$version) AND deviceId = 'lift'",
                "$edgeAgent $edgeHub",
            ),
        ] {
            assert_eq!(given(&known, query), expected, "{query}");
        }
    }

    #[test]
    fn what_was_seen_is_asked_as_in_azure() {
        let (fleet, resolution) = fleet();
        let (lift, old, camera) = (id("lift"), id("old"), ModuleName::parse("camera").unwrap());
        let manifest = resolution.manifest(&fleet, &lift).unwrap().unwrap();
        let (hash, text) =
            (manifest_hash(&manifest), crate::fleet::print_manifest(&manifest, "lift"));
        let seen = KnownModule { runtime_status: "failed", exit_code: Some(1), restart_count: 4 };
        let device = |code, is_connected| KnownDevice {
            code,
            description: "words",
            last_contact: Some(Timestamp { seconds: 0 }),
            is_connected,
            in_force: Some(KnownManifest { hash: &hash, text: &text }),
            modules: BTreeMap::from([(&camera, seen)]),
        };
        let mut known = Known::default();
        known.facts.0.insert(lift.clone(), Table::from([("os".to_owned(), "linux".into())]));
        known.devices =
            Some(BTreeMap::from([(&lift, device(200, true)), (&old, device(500, false))]));
        let agents = "SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent' AND ";
        for (query, expected) in [
            ("properties.reported.lastDesiredStatus.code = 200", "lift"),
            ("SELECT deviceId, connectionState FROM devices", "lift/Connected old/Disconnected"),
            ("properties.reported.os = 'linux' AND properties.reported.cpus = 2", "lift"),
            ("properties.reported.modules.camera.restartCount = 4", "lift old"),
            ("properties.reported.modules.camera.reported.latencyMs = 3", "old"),
            (
                "SELECT properties.reported.lastContact FROM devices WHERE deviceId = 'lift'",
                "1970-01-01T00:00:00Z",
            ),
            (&format!("{agents}properties.reported.lastDesiredStatus.code != 200"), "old"),
            (&format!("{agents}configurations.[[base]].status = 'Applied'"), "lift"),
            (
                &format!(
                    "{agents}properties.desired.$version = properties.reported.lastDesiredVersion"
                ),
                "lift old",
            ),
            (&format!("{agents}IS_DEFINED(properties.reported.lastConnectTime)"), "lift old"),
            (
                &format!("{agents}properties.reported.modules.camera.runtimeStatus = 'failed'"),
                "lift old",
            ),
            (
                "SELECT deviceId, runtimeStatus, exitCode, restartCount FROM devices.modules WHERE moduleId = 'camera'",
                "lift/failed/1/4 old/failed/1/4",
            ),
            (
                "SELECT moduleId, runtimeStatus FROM devices.modules WHERE deviceId = 'lift'",
                "$edgeAgent/- $edgeHub/- camera/failed proxy/-",
            ),
            // It is retained: what it has is what it should have.
            (
                "SELECT moduleId, properties.desired.name FROM devices.modules WHERE deviceId = 'old'",
                "$edgeAgent/- $edgeHub/- camera/lift proxy/-",
            ),
            (
                "SELECT deviceId FROM devices.modules WHERE moduleId = 'camera' AND properties.reported.latencyMs < 5",
                "old",
            ),
        ] {
            assert_eq!(given(&known, query), expected, "{query}");
        }
        known.devices = Some(BTreeMap::new());
        assert_eq!(given(&known, "connectionState = 'Disconnected'"), "lift old", "never seen");
    }
}
