//! Reported properties: what engines and modules say of devices, and since when.
//!
//! Enters: what an engine said, what its modules are and say, what was known before. Leaves: the live facts
//! for queries and `--where`; and those that held for ten minutes, which alone may decide what a device is
//! given. A fact that changes keeps its former value for targets until the new one has held.

use crate::fleet::Fleet;
use crate::model::{EngineReport, Facts, ModuleName, Table, Timestamp, Value};
use crate::store::{HeldFact, ModuleStanding, ReportedFacts, StoredDevice, StoredDevices};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a live fact must have held before a target condition sees it, in seconds.
const FACTS_HOLD: i64 = 600;

/// What a device reports now, taken together with what it reported before.
pub(super) fn take_facts(
    fleet: &Fleet,
    report: &EngineReport,
    modules: &BTreeMap<ModuleName, ModuleStanding>,
    former: Option<&Arc<ReportedFacts>>,
    now: Timestamp,
) -> Arc<ReportedFacts> {
    let reported = said(fleet, report, modules);
    match former.filter(|former| former.reported == reported) {
        Some(same) if goes_on_alike(same) => Arc::clone(same),
        same => {
            let since = same.map_or(now, |same| same.since);
            let held = hold(&leaves(&reported), former.map(AsRef::as_ref), now);
            Arc::new(ReportedFacts { reported, since, held })
        }
    }
}

/// Whether no time that goes by changes what is known of these facts while the same is reported: each has its moment, and
/// none is gone.
fn goes_on_alike(facts: &ReportedFacts) -> bool {
    fn count(json: &Json) -> usize {
        json.as_object().map_or(1, |members| members.values().map(count).sum())
    }
    facts.held.len() == count(&facts.reported)
        && facts.held.values().all(|fact| fact.value.is_some())
}

/// All that a device reports now.
fn said(
    fleet: &Fleet,
    report: &EngineReport,
    modules: &BTreeMap<ModuleName, ModuleStanding>,
) -> Json {
    let mut table = named_words(fleet, modules);
    // What the engine says no module can overwrite.
    table.overlay(&report.reported());
    let standings = modules
        .iter()
        .map(|(name, standing)| (name.to_string(), Value::Table(engine_words(standing))));
    table.insert("modules".to_owned(), Value::Table(standings.collect()));
    Value::Table(table).to_json()
}

/// The words of modules that `[reported-properties]` names.
fn named_words(fleet: &Fleet, modules: &BTreeMap<ModuleName, ModuleStanding>) -> Table {
    let mut table = Table::new();
    for (name, word) in &fleet.reported_properties {
        let report = modules.get(&word.module).and_then(|standing| standing.report.as_ref());
        let Some(mut json) = report.and_then(|report| report.content.as_ref()) else { continue };
        let found = word.path.iter().all(|key| match json.get(key) {
            Some(inner) => {
                json = inner;
                true
            }
            None => false,
        });
        if found && let Some(value) = Value::from_json(json) {
            let path: Vec<String> = name.split('.').map(str::to_owned).collect();
            table.set_at(&path, value);
        }
    }
    table
}

/// What the engine says of a module.
fn engine_words(standing: &ModuleStanding) -> Table {
    let ModuleStanding {
        status,
        exit_code,
        restart_count,
        container: _,
        code: _,
        description: _,
        started_at,
        image_id,
        report: _,
    } = standing;
    let mut table = Table::new();
    let mut put = |key: &str, value: Option<Value>| {
        table.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("runtimeStatus", Some(status.as_str().into()));
    put("exitCode", exit_code.map(Value::Integer));
    put("restartCount", Some(Value::Integer(i64::try_from(*restart_count).unwrap_or(i64::MAX))));
    put("startedAt", started_at.as_deref().map(Value::from));
    put("imageId", image_id.as_deref().map(Value::from));
    table
}

/// Everything that is known of a device under `properties.reported`, as it was seen last: what its engine
/// says, `modules.<name>` with `reported`, `lastContact`, `lastDesiredStatus`.
pub fn reported_properties(device: &StoredDevice) -> Table {
    let StoredDevice { facts, modules, status, last_contact, .. } = device;
    let mut table = match facts.as_ref().and_then(|facts| Value::from_json(&facts.reported)) {
        Some(Value::Table(table)) => table,
        _ => Table::new(),
    };
    for (name, standing) in modules {
        let content = standing.report.as_ref().and_then(|report| report.content.as_ref());
        if let Some(reported) = content.and_then(Value::from_json) {
            let path = ["modules", name.as_str(), "reported"].map(str::to_owned);
            table.set_at(&path, reported);
        }
    }
    if let Some(moment) = last_contact {
        table.insert("lastContact".to_owned(), moment.to_string().as_str().into());
    }
    let mut last = Table::new();
    last.insert("code".to_owned(), Value::Integer(i64::from(status.code)));
    last.insert("description".to_owned(), status.description.as_str().into());
    table.insert("lastDesiredStatus".to_owned(), Value::Table(last));
    table
}

/// All that devices report, for `--where`, queries and metrics.
pub fn live_facts(stored: &StoredDevices) -> Facts {
    Facts(stored.iter().map(|(id, device)| (id.clone(), reported_properties(device))).collect())
}

/// The facts that target conditions may see: what held long enough. Of modules' own words only those that
/// `[reported-properties]` names are among them.
pub fn held_facts(stored: &StoredDevices, now: Timestamp) -> Facts {
    let mut facts = Facts::none();
    for (id, device) in stored {
        let Some(reported) = &device.facts else { continue };
        let mut table = Table::new();
        for (path, held) in &held_of(reported) {
            if let Some(value) = settled(held, now).and_then(Value::from_json) {
                table.set_at(path, value);
            }
        }
        if !table.is_empty() {
            facts.0.insert(id.clone(), table);
        }
    }
    facts
}

/// The next moment at which a fact will have held long enough for targets to see it.
pub fn next_settling(device: &StoredDevice, now: Timestamp) -> Option<Timestamp> {
    settlings(device, now).min()
}

/// All such moments.
pub fn settlings(device: &StoredDevice, now: Timestamp) -> impl Iterator<Item = Timestamp> {
    let held = device.facts.iter().flat_map(|facts| facts.held.values());
    let changes = held.filter(|held| held.value != held.settled);
    let moments = changes.map(|held| held.since.seconds.saturating_add(FACTS_HOLD));
    moments.filter(move |at| *at > now.seconds).map(|seconds| Timestamp { seconds })
}

/// By path; what was recorded without moments of its own holds since all of it does.
fn held_of(facts: &ReportedFacts) -> BTreeMap<Vec<String>, HeldFact> {
    if !facts.held.is_empty() {
        return facts.held.clone();
    }
    let held = |value| HeldFact { value: Some(value), since: facts.since, settled: None };
    leaves(&facts.reported).into_iter().map(|(path, value)| (path, held(value))).collect()
}

fn settled(held: &HeldFact, now: Timestamp) -> Option<&Json> {
    let long_enough = now.seconds.saturating_sub(held.since.seconds) >= FACTS_HOLD;
    if long_enough { held.value.as_ref() } else { held.settled.as_ref() }
}

fn hold(
    seen: &BTreeMap<Vec<String>, Json>,
    former: Option<&ReportedFacts>,
    now: Timestamp,
) -> BTreeMap<Vec<String>, HeldFact> {
    let former = former.map(held_of).unwrap_or_default();
    let paths: BTreeSet<&Vec<String>> = seen.keys().chain(former.keys()).collect();
    let mut held = BTreeMap::new();
    for path in paths {
        let value = seen.get(path).cloned();
        let fact = match former.get(path) {
            Some(before) if before.value == value => before.clone(),
            Some(before) => HeldFact { value, since: now, settled: settled(before, now).cloned() },
            None => HeldFact { value, since: now, settled: None },
        };
        // What is gone for good is forgotten.
        if fact.value.is_some() || settled(&fact, now).is_some() {
            held.insert(path.clone(), fact);
        }
    }
    held
}

/// Every value that is no table, by its path.
fn leaves(reported: &Json) -> BTreeMap<Vec<String>, Json> {
    fn visit(value: &Json, path: &mut Vec<String>, out: &mut BTreeMap<Vec<String>, Json>) {
        let Json::Object(members) = value else {
            out.insert(path.clone(), value.clone());
            return;
        };
        for (key, value) in members {
            path.push(key.clone());
            visit(value, path, out);
            path.pop();
        }
    }
    let mut out = BTreeMap::new();
    visit(reported, &mut Vec::new(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DeviceId;
    use crate::store::{ModuleReport, StatusSince};
    use proptest::prelude::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp { seconds: minute * 60 }
    }

    fn fleet() -> Fleet {
        let tree = crate::fleet::FileTree::from_texts([
            (
                "fleet.toml",
                "name = \"f\"\n[reported-properties]\ndevicemodel = \"inventory.device.model\"\n\
                 os = \"inventory.os\"\n",
            ),
            ("devices/d1.toml", "[tags]\na = 1\n"),
            ("deployments/base.toml", "target = \"*\"\n"),
        ]);
        crate::fleet::load(&tree).fleet.unwrap()
    }

    fn report(kernel: &str) -> EngineReport {
        EngineReport { os: "linux".to_owned(), kernel: kernel.to_owned(), ..Default::default() }
    }

    fn inventory(json: &str) -> BTreeMap<ModuleName, ModuleStanding> {
        let content = serde_json::from_str(json).ok();
        let standing = ModuleStanding {
            status: "running".to_owned(),
            report: Some(ModuleReport { content, ..ModuleReport::default() }),
            ..ModuleStanding::default()
        };
        [(ModuleName::parse("inventory").unwrap(), standing)].into()
    }

    fn device(
        facts: Arc<ReportedFacts>,
        modules: BTreeMap<ModuleName, ModuleStanding>,
    ) -> StoredDevices {
        let id = DeviceId::parse("d1").unwrap();
        let stored = StoredDevice {
            device: id.clone(),
            in_force: None,
            status: StatusSince { code: 500, description: "no".to_owned(), since: at(0) },
            engine_id: None,
            accepted_engine: None,
            engine: None,
            last_contact: Some(at(0)),
            modules,
            facts: Some(facts),
            departed: None,
        };
        [(id, Arc::new(stored))].into()
    }

    #[test]
    fn a_target_sees_a_fact_after_ten_minutes_and_until_then_what_held_before() {
        let (fleet, none) = (fleet(), BTreeMap::new());
        let mut facts: Option<Arc<ReportedFacts>> = None;
        let mut seen = Vec::new();
        // The kernel changes at 20, flaps at 32 and 33, and changes again at 40.
        for (minute, kernel) in [
            (0, "a"),
            (9, "a"),
            (10, "a"),
            (20, "b"),
            (29, "b"),
            (30, "b"),
            (32, "c"),
            (33, "b"),
            (40, "d"),
            (43, "d"),
            (50, "d"),
        ] {
            facts = Some(take_facts(&fleet, &report(kernel), &none, facts.as_ref(), at(minute)));
            let stored = device(facts.clone().unwrap(), BTreeMap::new());
            let held = held_facts(&stored, at(minute));
            let value = held.0.get("d1").and_then(|t| t.get("kernel")).and_then(Value::as_str);
            let live = live_facts(&stored).0["d1"]["kernel"].as_str() == Some(kernel);
            seen.push((minute, value.unwrap_or("-").to_owned(), live));
        }
        let words: Vec<String> = seen.iter().map(|(m, v, _)| format!("{m}{v}")).collect();
        assert_eq!(words.join(" "), "0- 9- 10a 20a 29a 30b 32b 33b 40b 43b 50d");
        assert!(seen.iter().all(|(_, _, live)| *live));
    }

    proptest! {
        #[test]
        fn what_goes_on_alike_is_what_it_would_be_worked_out_anew(
            looks in prop::collection::vec((0..2_u8, 0..3_u8, 1..900_i64), 1..16)
        ) {
            let (fleet, mut former, mut now) = (fleet(), None::<Arc<ReportedFacts>>, at(0));
            for (kernel, model, seconds) in looks {
                now.seconds += seconds;
                let report = report(&kernel.to_string());
                let modules = match model {
                    0 => BTreeMap::new(),
                    model => inventory(&format!(r#"{{"device": {{"model": [{model}, "x"]}}}}"#)),
                };
                let facts = take_facts(&fleet, &report, &modules, former.as_ref(), now);
                let reported = said(&fleet, &report, &modules);
                let same = former.as_ref().filter(|former| former.reported == reported);
                let since = same.map_or(now, |same| same.since);
                let held = hold(&leaves(&reported), former.as_deref(), now);
                prop_assert_eq!(&*facts, &ReportedFacts { reported, since, held });
                former = Some(facts);
            }
        }
    }

    #[test]
    fn a_fact_that_is_gone_for_ten_minutes_is_forgotten() {
        let (fleet, none) = (fleet(), BTreeMap::new());
        let with = inventory(r#"{"device": {"model": "4000x"}}"#);
        let mut facts = take_facts(&fleet, &report("a"), &with, None, at(0));
        let model = |facts: &Arc<ReportedFacts>, minute| {
            let held = held_facts(&device(Arc::clone(facts), BTreeMap::new()), at(minute));
            held.0.get("d1").is_some_and(|t| t.contains_key("devicemodel"))
        };
        assert!(!model(&facts, 9) && model(&facts, 10));
        for (minute, there) in [(20, true), (29, true), (30, false), (31, false)] {
            facts = take_facts(&fleet, &report("a"), &none, Some(&facts), at(minute));
            assert_eq!(model(&facts, minute), there, "{minute}");
        }
        assert!(!facts.held.contains_key(&vec!["devicemodel".to_owned()]));
    }

    #[test]
    fn module_words_reach_targets_only_by_name_and_never_over_the_engines() {
        let modules = inventory(r#"{"device": {"model": "4000x"}, "os": "mine", "secret": 1}"#);
        let facts = take_facts(&fleet(), &report("a"), &modules, None, at(0));
        let stored = device(facts, modules);
        let held = Value::Table(held_facts(&stored, at(10)).0["d1"].clone()).to_json();
        insta::assert_snapshot!("held", format!("{held:#}"));
        let live = Value::Table(live_facts(&stored).0["d1"].clone()).to_json();
        insta::assert_snapshot!("live", format!("{live:#}"));
        assert_eq!(next_settling(&stored["d1"], at(1)), Some(at(10)));
        assert_eq!(next_settling(&stored["d1"], at(10)), None);
    }

    #[test]
    fn facts_recorded_without_moments_of_their_own_count_from_their_common_one() {
        let reported = serde_json::json!({"os": "linux", "engine": {"version": "20"}});
        let old = Arc::new(ReportedFacts { reported, since: at(0), held: BTreeMap::new() });
        let stored = device(Arc::clone(&old), BTreeMap::new());
        assert_eq!(held_facts(&stored, at(9)), Facts::none());
        assert!(held_facts(&stored, at(10)).0["d1"].contains_key("engine"));
        let next = take_facts(&fleet(), &report("a"), &BTreeMap::new(), Some(&old), at(9));
        let held = held_facts(&device(next, BTreeMap::new()), at(10));
        assert!(held.0["d1"].contains_key("os") && !held.0["d1"].contains_key("kernel"));
    }
}
