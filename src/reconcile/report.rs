//! What modules report themselves, in `out/reported.json` of their folder.
//!
//! Enters: an engine, the containers of a device, what was read before. Leaves: each module's last good
//! report, and why what is there now is not taken. A module may put anything there, so it is looked at
//! before it is read, read only up to a limit, and taken only as one plain JSON object. It is looked for at
//! most once a minute.

use crate::engine::{Engine, EngineErrorKind, FileForm, FileSeen, Mask, SecretValues};
use crate::model::{ContainerState, ENGINE_FILES, ModuleName, ObservedContainer};
use crate::store::{ModuleReport, ModuleStanding};
use futures_util::stream::{self, StreamExt as _};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// A report is at most this large.
const MOST_BYTES: usize = 32 << 10;
/// And nested at most so deep, the object itself included.
const DEEPEST: usize = 10;
/// So many are looked at side by side.
const SIDE_BY_SIDE: usize = 4;
/// So many seconds apart.
const BETWEEN: i64 = 60;

/// The reports as they stood: nobody can be asked now.
pub(super) fn known_reports(
    former: &BTreeMap<ModuleName, ModuleStanding>,
) -> BTreeMap<ModuleName, ModuleReport> {
    let known = |(name, standing): (&ModuleName, &ModuleStanding)| {
        Some((name.clone(), standing.report.clone()?))
    };
    former.iter().filter_map(known).collect()
}

/// The reports of these modules, as they stand now.
pub(super) async fn read_reports(
    engine: &dyn Engine,
    containers: &[(ModuleName, &ObservedContainer)],
    former: &BTreeMap<ModuleName, ModuleStanding>,
    secrets: &SecretValues,
    now: i64,
) -> BTreeMap<ModuleName, ModuleReport> {
    let (mut reports, mut due) = (BTreeMap::new(), Vec::new());
    for (module, container) in containers {
        let standing = former.get(module);
        let is_same = standing.is_some_and(|s| s.container.as_ref() == Some(&container.id));
        let known = standing.and_then(|s| s.report.clone());
        let is_due = known.as_ref().is_none_or(|known| {
            !is_same || now < known.looked_at || now - known.looked_at >= BETWEEN
        });
        let has_run =
            !matches!(container.state, ContainerState::Created | ContainerState::Removing);
        if !is_due || !has_run {
            reports.extend(known.map(|known| (module.clone(), known)));
            continue;
        }
        let mut known = known.unwrap_or_default();
        if !is_same {
            known.stamp.clear();
            known.problem = None;
        }
        due.push((module, &container.id, known));
    }
    let is_reached = AtomicBool::new(true);
    let look_at = async |(module, container, known): (&ModuleName, &String, ModuleReport)| {
        if !is_reached.load(Ordering::Relaxed) {
            return (module.clone(), known);
        }
        match look(engine, container, &known, secrets).await {
            Ok(report) => (module.clone(), ModuleReport { looked_at: now, ..report }),
            Err(kind) => {
                // The others would wait just as long.
                let is_silent =
                    matches!(kind, EngineErrorKind::Unreachable | EngineErrorKind::TimedOut);
                is_reached.fetch_and(!is_silent, Ordering::Relaxed);
                (module.clone(), known)
            }
        }
    };
    let looks: Vec<_> =
        stream::iter(due).map(look_at).buffer_unordered(SIDE_BY_SIDE).collect().await;
    reports.extend(looks);
    reports
}

async fn look(
    engine: &dyn Engine,
    container: &str,
    known: &ModuleReport,
    secrets: &SecretValues,
) -> Result<ModuleReport, EngineErrorKind> {
    let path = format!("{ENGINE_FILES}/out/reported.json");
    let refused = |stamp: String, words: String| ModuleReport {
        stamp,
        problem: Some(words),
        ..known.clone()
    };
    let seen = engine.look_at(container, &path).await.map_err(|error| error.kind)?;
    let Some(FileSeen { form, size, stamp }) = seen else {
        let had = !known.stamp.is_empty();
        return Ok(match had {
            true => refused(known.stamp.clone(), "it is gone".to_owned()),
            false => known.clone(),
        });
    };
    let stamp = format!("{form:?} {size} {stamp}");
    if let Some(words) = unfit(form, size) {
        return Ok(refused(stamp, words));
    }
    let gone = known.problem.as_deref() == Some("it is gone");
    if stamp == known.stamp && !gone {
        return Ok(known.clone());
    }
    let content = engine.read_file(container, &path, MOST_BYTES).await.map_err(|e| e.kind)?;
    let Some(content) = content else {
        // Without the stamp it is read again at the next look.
        return Ok(refused("changing".to_owned(), "it changed while it was read".to_owned()));
    };
    Ok(match parse_report(&content) {
        Ok(json) => {
            let content = Some(without_secrets(json, &secrets.mask_for_data()));
            ModuleReport { content, stamp, problem: None, ..known.clone() }
        }
        // The words name a key that stands twice.
        Err(words) => refused(stamp, secrets.masked(&words)),
    })
}

/// Why a file is not even read.
fn unfit(form: FileForm, size: u64) -> Option<String> {
    let words = match form {
        FileForm::Plain if size <= MOST_BYTES as u64 => return None,
        FileForm::Plain => {
            return Some(format!("it has {size} bytes; a report has at most 32 KiB"));
        }
        FileForm::Link => "it is a symbolic link",
        FileForm::Folder => "it is a directory",
        FileForm::Pipe => "it is a pipe",
        FileForm::Device => "it is a device",
        FileForm::Other => "it is neither a file nor a directory",
    };
    Some(format!("{words}; a report is a regular file"))
}

/// A report from its bytes.
///
/// # Errors
/// Words for what is no report.
fn parse_report(content: &[u8]) -> Result<Json, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let json = Nested { depth: 1 }
        .deserialize(&mut deserializer)
        .and_then(|json| deserializer.end().map(|()| json))
        .map_err(|error| format!("it is no JSON that is taken: {error}"))?;
    if json.is_object() { Ok(json) } else { Err("it is no JSON object".to_owned()) }
}

/// A report whose module repeats what it was given, without it.
fn without_secrets(json: Json, mask: &Mask) -> Json {
    match json {
        Json::String(text) => mask.applied_to(&text).into(),
        Json::Array(items) => items.into_iter().map(|item| without_secrets(item, mask)).collect(),
        Json::Object(members) => members
            .into_iter()
            .map(|(key, value)| (mask.applied_to(&key), without_secrets(value, mask)))
            .collect(),
        // A number is a secret as a whole or not at all.
        Json::Number(number) => match mask.applied_to(&number.to_string()) {
            text if text == "…" => text.into(),
            _ => Json::Number(number),
        },
        Json::Null | Json::Bool(_) => json,
    }
}

/// A value at a depth: neither deeper than allowed nor with a key that stands twice.
#[derive(Clone, Copy)]
struct Nested {
    depth: usize,
}

impl Nested {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth > DEEPEST {
            return Err(E::custom(format!("it is nested deeper than {DEEPEST}")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(below)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("key `{key}` stands twice")));
            }
            map.insert(key, value);
        }
        Ok(Json::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SecretName;
    use serde_json::json;

    #[test]
    fn only_one_plain_object_is_a_report() {
        let nested = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert_eq!(parse_report(br#" {"a": [1, -2.5, null, {"b": "x"}]} "#).unwrap()["a"][0], 1);
        assert!(parse_report(nested(10).as_bytes()).is_ok());
        let mut words = String::new();
        for content in [
            &b""[..],
            b" \n",
            b"[1]",
            b"17",
            b"{\"a\": 1",
            b"{\"a\": 1} {}",
            b"{\"a\": 1, \"b\": {\"c\": 1, \"c\": 2}}",
            b"{\"a\": \"\xff\"}",
            b"\x1f\x8b\x08",
            nested(11).as_bytes(),
            "[".repeat(30_000).as_bytes(),
            b"{\"a\": 1e999}",
        ] {
            words.push_str(&parse_report(content).unwrap_err());
            words.push('\n');
        }
        insta::assert_snapshot!(words);
    }

    #[test]
    fn what_a_module_was_given_is_not_in_its_report() {
        let mut secrets = SecretValues::default();
        for (name, value) in [("token", "s3cret"), ("pin", "4711"), ("short", "on")] {
            secrets.insert(&SecretName::parse(name).unwrap(), Ok(value.to_owned()));
        }
        let told =
            json!({"a": ["is s3cret.", 4711, 47110, "on", true], "s3cret": {"b": "czNjcmV0"}});
        let kept = json!({"a": ["is ….", "…", 47110, "on", true], "…": {"b": "…"}});
        assert_eq!(without_secrets(told, &secrets.mask_for_data()), kept);
    }

    #[test]
    fn what_is_no_small_plain_file_is_not_read() {
        assert_eq!(unfit(FileForm::Plain, 32 << 10), None);
        let words: Vec<String> = [
            (FileForm::Plain, 300 << 20),
            (FileForm::Link, 1),
            (FileForm::Folder, 1),
            (FileForm::Pipe, 0),
            (FileForm::Device, 0),
            (FileForm::Other, 0),
        ]
        .into_iter()
        .filter_map(|(form, size)| unfit(form, size))
        .collect();
        insta::assert_snapshot!(words.join("\n"));
    }
}
