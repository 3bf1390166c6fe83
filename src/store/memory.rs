//! What was last written to the containers of each device, and what was tried with its modules.

use super::error::StoreError;
use super::half_done::half_done_text;
use super::open::Store;
use crate::model::{DeviceId, Hash, ModuleName};
use crate::plan::{
    ControlMemory, DeviceMemory, Exits, FailedChange, HalfDone, MadeLast, ModuleMemory,
    RememberedContainer, Starts, Stopped, Stops, TakenOver,
};
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

impl Store {
    /// Remembers the containers and networks of a device, in place of what was remembered of it. What is stopped from
    /// here outlives a loss of power too: no device could tell who stopped it.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn remember(&self, device: &DeviceId, memory: &DeviceMemory) -> Result<(), StoreError> {
        let is_known_here_alone =
            memory.half_done != HalfDone::default() || memory.stops != Stops::default();
        match is_known_here_alone {
            true => self.write_through(|t| remember(t, device, memory)),
            false => self.write(|t| remember(t, device, memory)),
        }
    }

    /// Remembers which runs of a device's containers were stopped from here, in place of what was remembered of that; through a loss
    /// of power too.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn remember_stops(&self, device: &DeviceId, stops: &Stops) -> Result<(), StoreError> {
        let text = stops_text(&stops.0);
        self.write_through(|t| {
            t.prepare_cached("UPDATE memories SET stops = ?2 WHERE device = ?1")?
                .execute((device.as_str(), text))
                .map(drop)
        })
    }

    /// What is remembered of a device; nothing of one that is new here.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn memory(&self, device: &DeviceId) -> Result<DeviceMemory, StoreError> {
        let id = device.as_str();
        let (known, rows, modules) = self.read(|c| {
            let known: Option<KnownRow> = c
                .query_row(
                    "SELECT networks, adopting, control, checked, half_done, stops FROM memories
                     WHERE device = ?1",
                    [id],
                    |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?)),
                )
                .optional()?;
            Ok((
                known.unwrap_or_default(),
                rows(c, "WHERE device = ?1", [id])?,
                module_rows(c, Some(id))?,
            ))
        })?;
        let mut memory = self.known(known)?;
        for row in rows {
            let (container, remembered) = self.container(row)?.1;
            memory.containers.insert(container, remembered);
        }
        for row in modules {
            let (_, module, tried) = self.tried(row)?;
            memory.modules.insert(module, tried);
        }
        Ok(memory)
    }

    /// What is remembered of every device.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn memories(&self) -> Result<BTreeMap<DeviceId, DeviceMemory>, StoreError> {
        let (devices, rows, modules) = self.read(|c| {
            let devices = c
                .prepare(
                    "SELECT device, networks, adopting, control, checked, half_done, stops
                     FROM memories",
                )?
                .query_map([], |r| {
                    let row = (r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?);
                    Ok((r.get(0)?, row))
                })?
                .collect::<rusqlite::Result<Vec<(String, KnownRow)>>>()?;
            Ok((devices, rows(c, "", [])?, module_rows(c, None)?))
        })?;
        let mut memories = BTreeMap::new();
        for (device, known) in devices {
            let memory = self.known(known)?;
            memories.insert(self.device_id(&device)?, memory);
        }
        for row in rows {
            let (device, (container, remembered)) = self.container(row)?;
            memories
                .entry(device)
                .or_insert_with(DeviceMemory::default)
                .containers
                .insert(container, remembered);
        }
        for row in modules {
            let (device, module, tried) = self.tried(row)?;
            memories.entry(device).or_default().modules.insert(module, tried);
        }
        Ok(memories)
    }

    pub(super) fn device_id(&self, text: &str) -> Result<DeviceId, StoreError> {
        DeviceId::parse(text).map_err(|error| self.damaged(error.to_string()))
    }

    pub(super) fn hash(&self, text: &str) -> Result<Hash, StoreError> {
        Hash::from_stored(text).ok_or_else(|| self.damaged(format!("`{text}` is no hash")))
    }

    fn networks(&self, text: Option<String>) -> Result<Option<Vec<String>>, StoreError> {
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| self.damaged(format!("a list of networks is no JSON: {error}")))
    }

    /// What one row of `memories` holds.
    fn known(
        &self,
        (networks, adopting, control, checked, half_done, stops): KnownRow,
    ) -> Result<DeviceMemory, StoreError> {
        let json = |text: Option<String>| match text {
            None => Ok(Json::Null),
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| self.damaged(format!("a memory is no JSON: {error}"))),
        };
        let (adopting, control, checked) = (json(adopting)?, json(control)?, json(checked)?);
        let stops = json(stops)?;
        let half_done = self.half_done(&json(half_done)?)?;
        let module =
            |name: &str| ModuleName::parse(name).map_err(|error| self.damaged(error.to_string()));
        let text = |json: &Json| json.as_str().map(str::to_owned);
        let mut memory = DeviceMemory {
            networks: self.networks(networks)?,
            half_done,
            ..DeviceMemory::default()
        };
        for (id, was) in adopting.as_object().into_iter().flatten() {
            let taken = TakenOver {
                module: module(was["module"].as_str().unwrap_or_default())?,
                policy: text(&was["policy"]).unwrap_or_default(),
                was_up: was["was_up"] == true,
            };
            memory.adopting.insert(id.clone(), taken);
        }
        for (id, stopped) in stops.as_object().into_iter().flatten() {
            let at = stopped["at"].as_i64().unwrap_or_default();
            let pairs = stopped["beside"].as_array().into_iter().flatten();
            let pair = |pair: &Json| Some((text(&pair[0])?, text(&pair[1])?));
            let beside = pairs.filter_map(pair).collect();
            let stopped = Stopped { begun: text(&stopped["begun"]), at, beside };
            memory.stops.0.insert(id.clone(), stopped);
        }
        for (image, at) in checked.as_object().into_iter().flatten() {
            memory.checked.insert(image.clone(), at.as_i64().unwrap_or_default());
        }
        for (name, made) in control["made"].as_object().into_iter().flatten() {
            let made = MadeLast {
                container: text(&made["container"]),
                at: made["at"].as_i64().unwrap_or_default(),
            };
            memory.control.made.insert(module(name)?, made);
        }
        let moments = |key: &str| {
            control[key].as_array().into_iter().flatten().filter_map(Json::as_i64).collect()
        };
        memory.control.undone = moments("undone");
        memory.control.crossed = moments("crossed");
        memory.control.by = text(&control["by"]);
        memory.control.stopped = control["stopped"] == true;
        Ok(memory)
    }

    fn container(&self, row: Row) -> Result<(DeviceId, (String, RememberedContainer)), StoreError> {
        let remembered = RememberedContainer {
            settings: self.hash(&row.settings)?,
            twin: self.hash(&row.twin)?,
            twin_version: row.twin_version,
            replaced_at: row.replaced_at,
            policy: row.policy,
            is_compared: row.is_compared,
        };
        Ok((self.device_id(&row.device)?, (row.container, remembered)))
    }

    fn tried(&self, row: ModuleRow) -> Result<(DeviceId, ModuleName, ModuleMemory), StoreError> {
        let ModuleRow { device, module, starts, exits_of, exits_counted, exits, failed, back } =
            row;
        let moments = serde_json::from_str(&exits)
            .map_err(|error| self.damaged(format!("a list of moments is no JSON: {error}")))?;
        let failed = failed.map(|(spec, at, count, code, reason, is_alone)| {
            Ok(FailedChange {
                spec: self.hash(&spec)?,
                at,
                count,
                code,
                reason,
                given_up: false,
                is_alone,
            })
        });
        let tried = ModuleMemory {
            starts,
            exits: Exits { container: exits_of, counted: exits_counted, moments },
            failed: failed.transpose()?,
            back_failed_at: back,
        };
        let module = ModuleName::parse(&module).map_err(|error| self.damaged(error.to_string()))?;
        Ok((self.device_id(&device)?, module, tried))
    }
}

/// Remembers the containers and networks of a device, within a transaction.
pub(super) fn remember(
    t: &Connection,
    device: &DeviceId,
    memory: &DeviceMemory,
) -> rusqlite::Result<()> {
    let DeviceMemory {
        containers,
        networks,
        modules,
        adopting,
        control,
        checked,
        half_done,
        stops: Stops(stops),
    } = memory;
    let half_done = half_done_text(half_done);
    let stops = stops_text(stops);
    let checked = (!checked.is_empty()).then(|| json!(checked).to_string());
    let (adopting, control) = (adopting_text(adopting), control_text(control));
    let networks = networks.as_ref().map(|names| json!(names).to_string());
    let id = device.as_str();
    t.prepare_cached(
        "INSERT INTO memories (device, networks, adopting, control, checked, half_done, stops)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (device) DO UPDATE SET networks = excluded.networks,
             adopting = excluded.adopting, control = excluded.control,
             checked = excluded.checked, half_done = excluded.half_done,
             stops = excluded.stops",
    )?
    .execute((id, networks, adopting, control, checked, half_done, stops))?;
    t.prepare_cached("DELETE FROM containers WHERE device = ?1")?.execute([id])?;
    let mut insert =
        t.prepare_cached("INSERT INTO containers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for (container, remembered) in containers {
        let RememberedContainer { settings, twin, twin_version, replaced_at, policy, is_compared } =
            remembered;
        insert.execute((
            id,
            container,
            settings.as_str(),
            twin.as_str(),
            twin_version,
            replaced_at,
            policy,
            is_compared,
        ))?;
    }
    t.prepare_cached("DELETE FROM module_memories WHERE device = ?1")?.execute([id])?;
    modules.iter().try_for_each(|(module, tried)| remember_module(t, id, module, tried))
}

/// Networks, foreign containers that are being taken over, what this control host did last, when images were checked, and
/// what is half done: as texts.
type Text = Option<String>;
type KnownRow = (Text, Text, Text, Text, Text, Text);

fn stops_text(stops: &BTreeMap<String, Stopped>) -> Option<String> {
    let rows: serde_json::Map<String, Json> = stops
        .iter()
        .map(|(id, Stopped { begun, at, beside })| {
            (id.clone(), json!({"begun": begun, "at": at, "beside": beside}))
        })
        .collect();
    (!rows.is_empty()).then(|| Json::from(rows).to_string())
}

fn adopting_text(adopting: &BTreeMap<String, TakenOver>) -> Option<String> {
    let rows: serde_json::Map<String, Json> = adopting
        .iter()
        .map(|(id, TakenOver { module, policy, was_up })| {
            (id.clone(), json!({"module": module.as_str(), "policy": policy, "was_up": was_up}))
        })
        .collect();
    (!rows.is_empty()).then(|| Json::Object(rows).to_string())
}

fn control_text(control: &ControlMemory) -> String {
    let ControlMemory { made, undone, crossed, by, stopped } = control;
    let made: serde_json::Map<String, Json> = made
        .iter()
        .map(|(name, MadeLast { container, at })| {
            (name.to_string(), json!({"container": container, "at": at}))
        })
        .collect();
    json!({"made": made, "undone": undone, "crossed": crossed, "by": by, "stopped": stopped})
        .to_string()
}

fn remember_module(
    transaction: &Connection,
    device: &str,
    module: &ModuleName,
    tried: &ModuleMemory,
) -> rusqlite::Result<()> {
    let ModuleMemory { starts, exits, failed, back_failed_at } = tried;
    let Starts { count, last } = starts;
    let Exits { container, counted, moments } = exits;
    let failed = failed.as_ref();
    transaction
        .prepare_cached(
            "INSERT INTO module_memories VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(rusqlite::params![
            device,
            module.as_str(),
            count,
            last,
            container,
            counted,
            serde_json::json!(moments).to_string(),
            failed.map(|f| f.spec.as_str()),
            failed.map(|f| f.at),
            failed.map(|f| f.count),
            failed.map(|f| f.code),
            failed.map(|f| f.reason.as_str()),
            back_failed_at,
            failed.is_some_and(|f| f.is_alone),
        ])
        .map(drop)
}

/// One row of `module_memories`.
struct ModuleRow {
    device: String,
    module: String,
    starts: Starts,
    exits_of: String,
    exits_counted: u64,
    exits: String,
    failed: Option<(String, i64, u32, u16, String, bool)>,
    back: Option<i64>,
}

fn module_rows(connection: &Connection, device: Option<&str>) -> rusqlite::Result<Vec<ModuleRow>> {
    connection
        .prepare_cached(
            "SELECT device, module, starts, last_start, exits_of, exits_counted, exits,
                    failed_spec, failed_at, failed_count, failed_code, failed_reason, back_failed_at,
                    failed_alone
             FROM module_memories WHERE ?1 IS NULL OR device = ?1",
        )?
        .query_map([device], |row| {
            let spec: Option<String> = row.get(7)?;
            let failed = match spec {
                Some(spec) => {
                    let (at, count, code) = (row.get(8)?, row.get(9)?, row.get(10)?);
                    Some((spec, at, count, code, row.get(11)?, row.get(13)?))
                }
                None => None,
            };
            Ok(ModuleRow {
                device: row.get(0)?,
                module: row.get(1)?,
                starts: Starts { count: row.get(2)?, last: row.get(3)? },
                exits_of: row.get(4)?,
                exits_counted: row.get(5)?,
                exits: row.get(6)?,
                failed,
                back: row.get(12)?,
            })
        })?
        .collect()
}

/// One row of `containers`.
struct Row {
    device: String,
    container: String,
    settings: String,
    twin: String,
    twin_version: u64,
    replaced_at: Option<i64>,
    policy: Option<String>,
    is_compared: bool,
}

fn rows(
    connection: &Connection,
    filter: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Row>> {
    connection
        .prepare_cached(&format!(
            "SELECT device, container, settings, twin, twin_version, replaced_at, policy, compared
             FROM containers {filter}"
        ))?
        .query_map(parameters, |row| {
            Ok(Row {
                device: row.get(0)?,
                container: row.get(1)?,
                settings: row.get(2)?,
                twin: row.get(3)?,
                twin_version: row.get(4)?,
                replaced_at: row.get(5)?,
                policy: row.get(6)?,
                is_compared: row.get(7)?,
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObservedPort;
    use crate::plan::MadeRoom;

    fn full_memory() -> ModuleMemory {
        ModuleMemory {
            starts: Starts { count: 2, last: 1_767_600_000 },
            exits: Exits { container: "aaa".to_owned(), counted: 7, moments: vec![1, 2, 3] },
            failed: Some(FailedChange {
                spec: Hash::of_texts("s", []),
                at: 1_767_600_001,
                count: 3,
                code: 500,
                reason: "it ended with code 3".to_owned(),
                given_up: false,
                is_alone: true,
            }),
            back_failed_at: Some(1_767_600_002),
        }
    }

    fn full_half_done() -> HalfDone {
        let next = ModuleName::parse("next").unwrap();
        let port = ObservedPort { ip: "::".to_owned(), host: 8080, protocol: "udp".to_owned() };
        let was = MadeRoom {
            policy: "on-failure:5".to_owned(),
            ports: vec![port],
            modules: vec![next.clone()],
        };
        HalfDone {
            coming: ["s", "t"].map(|text| (next.clone(), Hash::of_texts(text, []))).into(),
            made_room: [("ddd".to_owned(), was)].into(),
        }
    }

    #[test]
    fn memories_come_back_as_they_were_and_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let device = |id: &str| DeviceId::parse(id).unwrap();
        let remembered = |n: u64| RememberedContainer {
            settings: Hash::of_texts("s", []),
            twin: Hash::of_texts("t", []),
            twin_version: n,
            replaced_at: (n > 1).then_some(1_767_600_000),
            policy: (n > 1).then(|| "always".to_owned()),
            is_compared: n > 1,
        };
        let full = DeviceMemory {
            checked: BTreeMap::from([("web:1".to_owned(), 77)]),
            containers: [("aaa".to_owned(), remembered(1)), ("bbb".to_owned(), remembered(2))]
                .into(),
            networks: Some(vec!["hoist-a".to_owned()]),
            modules: [("camera", full_memory()), ("sensor", ModuleMemory::default())]
                .map(|(name, tried)| (ModuleName::parse(name).unwrap(), tried))
                .into(),
            adopting: [(
                "ccc".to_owned(),
                TakenOver {
                    module: ModuleName::parse("camera").unwrap(),
                    policy: "on-failure:5".to_owned(),
                    was_up: true,
                },
            )]
            .into(),
            control: ControlMemory {
                made: [("camera", Some("aaa")), ("sensor", None)]
                    .map(|(name, id)| {
                        let made = MadeLast { container: id.map(str::to_owned), at: 7 };
                        (ModuleName::parse(name).unwrap(), made)
                    })
                    .into(),
                undone: vec![1, 2],
                crossed: vec![3],
                by: Some("0011".to_owned()),
                stopped: true,
            },
            half_done: full_half_done(),
            stops: Stops(
                [("ddd", Some("2026-01-05T09:00:00.5Z".to_owned())), ("eee", None)]
                    .map(|(id, begun)| {
                        let beside = [("data".to_owned(), "camera".to_owned())].into();
                        (id.to_owned(), Stopped { begun, at: 5, beside })
                    })
                    .into(),
            ),
        };
        store.remember(&device("one"), &full).unwrap();
        store.remember(&device("operator'sDevice"), &DeviceMemory::default()).unwrap();
        assert_eq!(store.memory(&device("one")).unwrap(), full);
        assert_eq!(store.memory(&device("new")).unwrap(), DeviceMemory::default());
        let all = store.memories().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[&device("one")], full);

        let less = DeviceMemory {
            containers: [("bbb".to_owned(), remembered(3))].into(),
            networks: Some(Vec::new()),
            modules: BTreeMap::new(),
            ..DeviceMemory::default()
        };
        store.remember(&device("one"), &less).unwrap();
        assert_eq!(Store::open(folder.path()).unwrap().memory(&device("one")).unwrap(), less);

        store.write(|t| t.execute("UPDATE containers SET twin = 'x'", [])).unwrap();
        let words = store.memories().unwrap_err().to_string();
        assert!(words.contains("`x` is no hash"), "{words}");
    }
}
