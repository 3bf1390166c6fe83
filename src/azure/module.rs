//! One module of `$edgeAgent` to the keys of a fleet file.
//!
//! Enters: the module's object, placeholders filled. Leaves: its keys, and what has no place among them,
//! for `[azure]`. What IoT Edge takes where nothing is said and Hoist does not, is said.

use super::json::{Json, JsonFile, Member, Node, parse};
use super::options::{Split, is_variable, split};
use super::placeholder::{Placeholders, template_text};
use super::report::{Remarks, Weight};
use crate::diagnostic::closest;
use crate::model::{ImageReference, Port, PullPolicy, RestartPolicy, Status, Table, Value, Volume};
use std::collections::BTreeMap;

/// What the conversion of one deployment works with.
pub(super) struct Desk<'a> {
    pub(super) file: &'a JsonFile,
    pub(super) placeholders: &'a mut Placeholders,
    pub(super) remarks: &'a mut Remarks,
}

impl Desk<'_> {
    pub(super) fn place(&self, at: usize) -> Option<String> {
        Some(self.file.place(at))
    }

    pub(super) fn warn(&mut self, message: impl Into<String>, at: usize) {
        self.remarks.warn(message, Some(self.file.place(at)));
    }

    pub(super) fn note(&mut self, message: impl Into<String>, at: usize) {
        self.remarks.note(message, Some(self.file.place(at)));
    }
}

/// A module in fleet files' terms.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Converted {
    pub(super) keys: Table,
    /// What has no place there.
    pub(super) azure: Table,
}

/// A module's object that is being read.
struct Reading<'d, 'a> {
    desk: &'d mut Desk<'a>,
    name: &'d str,
    out: Converted,
}

/// Reads a module; `name` is its name in the fleet.
pub(super) fn module(desk: &mut Desk<'_>, name: &str, node: &Node) -> Converted {
    let mut reading = Reading { desk, name, out: Converted::default() };
    let Some(members) = node.members() else {
        reading.warn(format!("it is {}, not an object", node.type_name()), node.at);
        return reading.out;
    };
    let mut env = BTreeMap::new();
    let mut options = None;
    let mut policy = None;
    for member in members {
        let (key, value) = (member.key.as_str(), &member.value);
        match key {
            _ if value.json == Json::Null => {}
            "version" => reading.version(value),
            "type" => reading.kind(value),
            "status" => {
                let status = reading.word(key, value, Status::WORDS, "running");
                reading.put("status", status);
            }
            "restartPolicy" => {
                policy = Some(reading.word(key, value, RestartPolicy::WORDS, "on-unhealthy"));
            }
            "imagePullPolicy" => {
                let pull = reading.word(key, value, &["on-create", "never"], "on-create");
                reading.put("image-pull-policy", pull);
            }
            "startupOrder" => reading.startup_order(value),
            "env" => env = reading.env(value),
            "settings" => options = reading.settings(value),
            _ => reading.keep(key, value, member.at),
        }
    }
    // Hoist would take `always`.
    reading.put("restart-policy", policy.unwrap_or_else(|| "on-unhealthy".to_owned()));
    if !reading.out.keys.contains_key("image") {
        reading.warn("it has no image", node.at);
    }
    let at = node.get("settings").map_or(node.at, |settings| settings.at);
    reading.options(options.unwrap_or_default(), env, at);
    drop_built_in(&mut reading.out.keys);
    reading.out
}

/// What Hoist takes where nothing is said, and IoT Edge too.
fn drop_built_in(keys: &mut Table) {
    for (key, built_in) in [
        ("status", Status::Running.as_str()),
        ("restart-policy", RestartPolicy::Always.as_str()),
        ("image-pull-policy", PullPolicy::OnCreate.as_str()),
    ] {
        if keys.get(key).and_then(Value::as_str) == Some(built_in) {
            keys.remove(key);
        }
    }
}

/// The keys of members, to be told of.
fn keys(members: &[&Member]) -> String {
    let keys: Vec<String> = members.iter().map(|member| format!("`{}`", member.key)).collect();
    keys.join(", ")
}

impl Reading<'_, '_> {
    fn warn(&mut self, message: impl Into<String>, at: usize) {
        let place = self.desk.place(at);
        self.desk.remarks.add(Weight::Warning, Some(self.name), message.into(), place);
    }

    fn note(&mut self, message: impl Into<String>, at: usize) {
        let place = self.desk.place(at);
        self.desk.remarks.add(Weight::Note, Some(self.name), message.into(), place);
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.out.keys.insert(key.to_owned(), value.into());
    }

    /// Keeps what nobody knows.
    fn keep(&mut self, key: &str, value: &Node, at: usize) {
        if let Some(value) = value.to_value() {
            self.note(format!("`{key}` is no key that IoT Edge reads; kept in [azure]"), at);
            self.out.azure.insert(key.to_owned(), value);
        }
    }

    fn version(&mut self, value: &Node) {
        match &value.json {
            Json::Text(text) if text.is_empty() => {}
            Json::Text(text) | Json::Number(text) => self.put("version", text.as_str()),
            _ => self.keep("version", value, value.at),
        }
    }

    fn kind(&mut self, value: &Node) {
        if !value.text().is_some_and(|text| text.eq_ignore_ascii_case("docker")) {
            self.warn("its type is not `docker`; kept in [azure]", value.at);
            self.out.azure.extend(value.to_value().map(|value| ("type".to_owned(), value)));
        }
    }

    /// A word in any letter case, as IoT Edge takes it; another one is `fallback`.
    fn word(
        &mut self,
        key: &str,
        value: &Node,
        words: &[&'static str],
        fallback: &'static str,
    ) -> String {
        let text = value.text().unwrap_or_default();
        if let Some(word) = words.iter().find(|word| word.eq_ignore_ascii_case(text.trim())) {
            return (*word).to_owned();
        }
        if self.desk.placeholders.refuse(text, value.at, self.desk.file) {
            return text.to_owned();
        }
        let taken = closest(text, words.iter().copied()).unwrap_or(fallback);
        let shown = value.text().map_or_else(|| value.type_name().to_owned(), |t| format!("`{t}`"));
        let message =
            format!("`{key}` can't be {shown}, IoT Edge refuses it; `{taken}` was written");
        self.warn(message, value.at);
        taken.to_owned()
    }

    fn startup_order(&mut self, value: &Node) {
        let number = match &value.json {
            Json::Number(text) | Json::Text(text) => text.trim().parse::<u32>().ok(),
            _ => None,
        };
        match number {
            Some(u32::MAX) => {}
            Some(number) => self.put("startup-order", i64::from(number)),
            None => {
                self.warn(
                    "`startupOrder` is no number from 0 to 4294967295; kept in [azure]",
                    value.at,
                );
                self.out.azure.extend(value.to_value().map(|v| ("startupOrder".to_owned(), v)));
            }
        }
    }

    fn env(&mut self, node: &Node) -> BTreeMap<String, String> {
        let Some(members) = node.members() else {
            self.warn(
                format!("`env` is {}, not an object; kept in [azure]", node.type_name()),
                node.at,
            );
            self.out.azure.extend(node.to_value().map(|value| ("env".to_owned(), value)));
            return BTreeMap::new();
        };
        let mut env = BTreeMap::new();
        for member in members {
            let value = member.value.get("value").unwrap_or(&member.value);
            match &value.json {
                Json::Text(text) => env.insert(member.key.clone(), text.clone()),
                Json::Bool(value) => env.insert(member.key.clone(), value.to_string()),
                Json::Number(text) => env.insert(member.key.clone(), text.clone()),
                Json::Null => env.insert(member.key.clone(), String::new()),
                Json::List(_) | Json::Object(_) => {
                    let message =
                        format!("`env.{}` has no text as its value; kept in [azure]", member.key);
                    self.warn(message, member.at);
                    let made = || Value::Table(Table::new());
                    if let Value::Table(kept) = self.out.azure.get_or_insert_with("env", made) {
                        kept.extend(member.value.to_value().map(|v| (member.key.clone(), v)));
                    }
                    None
                }
            };
        }
        env
    }

    /// `settings`: the image goes out, the create-options are given back.
    fn settings(&mut self, node: &Node) -> Option<Table> {
        let Some(members) = node.members() else {
            self.warn(format!("`settings` is {}, not an object", node.type_name()), node.at);
            return None;
        };
        let mut chunks: BTreeMap<u64, &Member> = BTreeMap::new();
        let mut others: Vec<&Member> = Vec::new();
        for member in members {
            let low = member.key.to_ascii_lowercase();
            let number = match low.strip_prefix("createoptions") {
                Some("") => Some(0),
                Some(digits) => digits.parse::<u64>().ok(),
                None => None,
            };
            match number {
                Some(number) if !chunks.contains_key(&number) => {
                    chunks.insert(number, member);
                }
                _ if low == "image" => self.image(&member.value),
                // Keys that are null are told of elsewhere.
                _ if member.value.to_value().is_none() => {}
                _ => others.push(member),
            }
        }
        let (options, unjoined) = self.create_options(&chunks);
        if !others.is_empty() {
            let verb = if others.len() == 1 { "has" } else { "have" };
            let keys = keys(&others);
            self.warn(format!("{keys} in `settings` {verb} no effect; kept in [azure]"), node.at);
        }
        let kept = others.into_iter().chain(unjoined);
        let kept = kept.filter_map(|member| Some((member.key.clone(), member.value.to_value()?)));
        let kept: Table = kept.collect();
        if !kept.is_empty() {
            self.out.azure.insert("settings".to_owned(), Value::Table(kept));
        }
        Some(options)
    }

    fn image(&mut self, value: &Node) {
        let Some(text) = value.text().map(str::trim).filter(|text| !text.is_empty()) else {
            return;
        };
        if let Err(error) = ImageReference::parse(text)
            && !self.desk.placeholders.refuse(text, value.at, self.desk.file)
        {
            self.warn(error.to_string(), value.at);
        }
        self.put("image", template_text(text));
    }

    /// The create-options, an object or a text in chunks; and the chunks that can't be joined, each told of once.
    fn create_options<'m>(
        &mut self,
        chunks: &BTreeMap<u64, &'m Member>,
    ) -> (Table, Vec<&'m Member>) {
        let mut text = String::new();
        let (mut after_gap, mut no_text) = (Vec::new(), Vec::new());
        for (index, (number, member)) in (0..).zip(chunks) {
            let node = &member.value;
            match &node.json {
                Json::Null => {}
                Json::Object(members) if members.is_empty() => {}
                Json::Object(_) if *number == 0 && chunks.len() == 1 => {
                    self.look_for_losses(node, "createOptions");
                    return (node.to_table(), Vec::new());
                }
                Json::Text(part) if *number == index => text.push_str(part),
                Json::Text(part) if part.trim().is_empty() => {}
                Json::Text(_) => after_gap.push(*member),
                _ => no_text.push(*member),
            }
        }
        let reasons = [
            (&after_gap, "one before it is missing", "one before them is missing"),
            (&no_text, "it is no text", "they are no texts"),
        ];
        for (members, of_one, of_many) in reasons {
            let why = if members.len() == 1 { of_one } else { of_many };
            if let Some(first) = members.first() {
                let keys = keys(members);
                let words =
                    format!("{keys} can't be joined to the others ({why}); kept in [azure]");
                self.warn(words, first.value.at);
            }
        }
        let unjoined = [after_gap, no_text].concat();
        if matches!(text.trim(), "" | "null") {
            return (Table::new(), unjoined);
        }
        let at = chunks.values().next().map_or(0, |member| member.value.at);
        (self.parsed_options(&text, at), unjoined)
    }

    fn parsed_options(&mut self, text: &str, at: usize) -> Table {
        let parsed = parse(text, self.desk.placeholders.values());
        let why = match parsed {
            Ok(parsed) if parsed.more.is_empty() && parsed.root.members().is_some() => {
                self.desk.placeholders.count_bare(text);
                let mut root = parsed.root;
                root.move_to(at);
                self.desk.placeholders.fill(&mut root, self.desk.file);
                self.look_for_losses(&root, "createOptions");
                return root.to_table();
            }
            Ok(parsed) => format!("it is {}", parsed.root.type_name()),
            Err(error) => {
                format!("character {}: {}", text[..error.at].chars().count() + 1, error.message)
            }
        };
        self.desk.placeholders.refuse(text, at, self.desk.file);
        let message = format!(
            "`createOptions` is no JSON object ({why}), and IoT Edge refuses it: kept as text in \
             create-options, where it has no effect"
        );
        self.warn(message, at);
        Table::from([("createOptions".to_owned(), text.into())])
    }

    /// Nulls in lists, and numbers that are too large, can't be kept.
    fn look_for_losses(&mut self, node: &Node, what: &str) {
        for (at, loss) in losses(node) {
            self.warn(format!("`{what}`: {loss}"), at);
        }
    }

    /// Ports and volumes that can't be read until their placeholders are filled.
    fn look_for_unfilled(&mut self, native: &Table, at: usize) {
        for key in ["ports", "volumes"] {
            let Some(Value::List(items)) = native.get(key) else { continue };
            for text in items.iter().filter_map(Value::as_str) {
                if Port::parse(text).is_err() && Volume::parse(text).is_err() {
                    self.desk.placeholders.refuse(text, at, self.desk.file);
                }
            }
        }
    }

    /// Create-options and variables together: what `createOptions.Env` says wins over `env`.
    fn options(&mut self, options: Table, mut env: BTreeMap<String, String>, at: usize) {
        let Split { native, env: stronger, mut rest, refused } = split(options, self.name);
        let beaten: Vec<String> = stronger
            .iter()
            .filter(|(name, value)| env.get(*name).is_some_and(|other| other != *value))
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        if !beaten.is_empty() {
            let message = format!(
                "{}: the value in createOptions.Env was taken, as IoT Edge does",
                beaten.join(", ")
            );
            self.note(message, at);
        }
        env.extend(stronger);
        let (env, odd): (BTreeMap<_, _>, BTreeMap<_, _>) =
            env.into_iter().partition(|(name, _)| is_variable(name));
        if !odd.is_empty() {
            let more = odd.iter().map(|(name, value)| Value::from(format!("{name}={value}")));
            match rest.get_or_insert_with("Env", || Vec::new().into()) {
                Value::List(items) => *items = items.iter().cloned().chain(more).collect(),
                _ => self.warn("`createOptions.Env` is no list", at),
            }
        }
        if !refused.is_empty() {
            let named = refused.iter().flat_map(|(key, value)| match value {
                Value::Table(host) if **key == *"HostConfig" => {
                    host.keys().map(|key| format!("`HostConfig.{key}`")).collect()
                }
                _ => vec![format!("`{key}`")],
            });
            let names: Vec<String> = named.collect();
            let message = format!(
                "{} in createOptions: Hoist sets this itself; kept in [azure], without effect",
                names.join(", ")
            );
            self.warn(message, at);
            self.out.azure.insert("createOptions".to_owned(), Value::Table(refused));
        }
        self.look_for_unfilled(&native, at);
        for (key, value) in native {
            self.out.keys.insert(key, templated(value));
        }
        if !env.is_empty() {
            let env = env.into_iter().map(|(name, value)| (name, template_text(&value).into()));
            self.put("env", Value::Table(env.collect()));
        }
        if !rest.is_empty() {
            self.put("create-options", templated(Value::Table(rest)));
        }
    }
}

/// What of a tree can't be kept, with places.
pub(super) fn losses(node: &Node) -> Vec<(usize, &'static str)> {
    match &node.json {
        Json::List(items) => items
            .iter()
            .flat_map(|item| match item.json {
                Json::Null => {
                    vec![(item.at, "a null in a list has no place in fleet files; it was left out")]
                }
                _ => losses(item),
            })
            .collect(),
        Json::Object(members) => members.iter().flat_map(|member| losses(&member.value)).collect(),
        Json::Number(text) => {
            let whole = !text.contains(['.', 'e', 'E']);
            let large = whole && text.parse::<i64>().is_err();
            large
                .then_some((node.at, "a whole number of more than 64 bits became a real one"))
                .into_iter()
                .collect()
        }
        Json::Null | Json::Bool(_) | Json::Text(_) => Vec::new(),
    }
}

/// A value whose texts are templates that give them again.
pub(super) fn templated(value: Value) -> Value {
    match value {
        Value::String(text) => Value::from(template_text(&text)),
        Value::List(items) => Value::List(items.into_iter().map(templated).collect()),
        Value::Table(table) => {
            Value::Table(table.into_iter().map(|(k, v)| (k, templated(v))).collect())
        }
        other => other,
    }
}
