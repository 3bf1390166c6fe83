//! One deployment of IoT Edge to one deployment file.
//!
//! Enters: a configuration, its credentials taken out and its placeholders filled. Leaves: the file as a
//! table, and what became of its modules. Which keys are spelt with dots decides what the file is: a base,
//! or a layer. What has no place in it goes to `[azure]`, from where `export` takes it back.

use super::edge_hub::{Routes, routes};
use super::head::head;
use super::json::{Json, Member, Node};
use super::module::{Converted, Desk, losses, module, templated};
use super::names::Names;
use super::verdict::reasons;
use crate::model::{Table, Timestamp, Value};
use std::collections::BTreeMap;

/// A deployment in fleet files' terms.
#[derive(Debug)]
pub(super) struct ConvertedDeployment {
    pub(super) kind: &'static str,
    /// The file.
    pub(super) table: Table,
    /// Modules with why they need edgeHub.
    pub(super) modules: BTreeMap<String, Vec<String>>,
}

/// What goes into the file, as it is gathered.
struct Draft {
    layered: bool,
    modules: BTreeMap<String, Table>,
    routes: Routes,
    azure: Table,
    names: Names,
}

/// Converts a deployment; `now` is when it is taken to be made if it does not say.
pub(super) fn deployment(
    desk: &mut Desk<'_>,
    envelope: &Node,
    content: &Node,
    now: Timestamp,
) -> ConvertedDeployment {
    let agent = content.get("$edgeAgent");
    let mut draft = Draft {
        layered: agent.is_none_or(|agent| agent.get("properties.desired").is_none()),
        modules: BTreeMap::new(),
        routes: Routes::default(),
        azure: Table::new(),
        names: Names::default(),
    };
    let members = content.members().unwrap_or_default();
    for (key, read) in
        [("$edgeAgent", Draft::agent as fn(&mut _, &mut _, &_)), ("$edgeHub", Draft::hub)]
    {
        for member in members.iter().filter(|member| member.key == key) {
            for (path, below) in desired(desk, member, &mut draft.azure) {
                read(&mut draft, desk, &(path, below));
            }
        }
    }
    for member in members.iter().filter(|m| !matches!(m.key.as_str(), "$edgeAgent" | "$edgeHub")) {
        if member.key.starts_with('$') {
            desk.note(format!("`{}` is no module; kept in [azure]", member.key), member.at);
            insert(&mut draft.azure, &["content", &member.key], member.value.to_value());
            continue;
        }
        let properties = desired(desk, member, &mut draft.azure);
        draft.twin(desk, member, properties);
    }
    draft.routes.rename(&draft.names);
    draft.finish(desk, envelope, now)
}

/// The `properties.desired…` of one twin, each with the path below `desired`.
fn desired<'n>(
    desk: &mut Desk<'_>,
    member: &'n Member,
    azure: &mut Table,
) -> Vec<(Vec<String>, &'n Node)> {
    let Some(members) = member.value.members() else {
        if member.value.json != Json::Null {
            desk.warn(
                format!("`{}` is {}, not an object", member.key, member.value.type_name()),
                member.at,
            );
        }
        return Vec::new();
    };
    let mut found = Vec::new();
    for inner in members {
        let path = inner.key.strip_prefix("properties.desired");
        match path {
            Some("") => found.push((Vec::new(), &inner.value)),
            Some(path) if path.starts_with('.') && !path[1..].split('.').any(str::is_empty) => {
                found.push((path[1..].split('.').map(str::to_owned).collect(), &inner.value));
            }
            _ => {
                desk.warn(
                    format!("`{}` is no `properties.desired…`; kept in [azure]", inner.key),
                    inner.at,
                );
                insert(azure, &["content", &member.key, &inner.key], inner.value.to_value());
            }
        }
    }
    // What is set whole comes before its parts.
    found.sort_by_key(|(path, _)| path.len());
    found
}

/// Puts a value at a path of tables.
pub(super) fn insert<S: AsRef<str>>(table: &mut Table, path: &[S], value: Option<Value>) {
    if let Some(value) = value {
        table.set_at(path, value);
    }
}

impl Draft {
    /// One part of what `$edgeAgent` should have.
    fn agent(&mut self, desk: &mut Desk<'_>, (path, node): &(Vec<String>, &Node)) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => {
                for member in node.members().unwrap_or_default() {
                    if member.key == "modules" {
                        self.all_modules(desk, &member.value);
                    } else {
                        insert(
                            &mut self.azure,
                            &["edge-agent", &member.key],
                            member.value.to_value(),
                        );
                    }
                }
                if node.get("systemModules").is_none() || node.get("runtime").is_none() {
                    let words = "IoT Edge takes this for a base, as its key is `properties.desired`, but it lacks \
                                 `systemModules` or `runtime`";
                    desk.note(words, node.at);
                }
            }
            ["modules"] => self.all_modules(desk, node),
            ["modules", name] => self.whole_module(desk, name, node),
            ["modules", name, ..] => self.part_of_module(desk, name, &path[2..], node),
            _ => {
                let mut whole = vec!["edge-agent".to_owned()];
                whole.extend(path.iter().cloned());
                insert(&mut self.azure, &whole, node.to_value());
            }
        }
    }

    fn all_modules(&mut self, desk: &mut Desk<'_>, node: &Node) {
        let Some(members) = node.members() else {
            desk.warn(format!("`modules` is {}, not an object", node.type_name()), node.at);
            return;
        };
        for member in members {
            self.whole_module(desk, &member.key, &member.value);
        }
    }

    fn whole_module(&mut self, desk: &mut Desk<'_>, name: &str, node: &Node) {
        if node.json == Json::Null {
            desk.warn(
                format!("module `{name}` is null: it can't be taken away here; left out"),
                node.at,
            );
            return;
        }
        let name = self.names.module(desk, name, node.at);
        let Converted { keys, azure } = module(desk, &name, node);
        if !azure.is_empty() {
            insert(&mut self.azure, &["modules", &name], Some(Value::Table(azure)));
        }
        self.modules.insert(name, keys);
    }

    /// A key of a layer that reaches into a module: a patch, where that is the same.
    fn part_of_module(&mut self, desk: &mut Desk<'_>, name: &str, path: &[String], node: &Node) {
        let name = self.names.module(desk, name, node.at);
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let tiny = |key: &str| Node {
            json: Json::Object(vec![Member {
                key: key.to_owned(),
                at: node.at,
                value: node.clone(),
            }]),
            at: node.at,
        };
        let whole = match words.as_slice() {
            [
                key @ ("version" | "status" | "restartPolicy" | "imagePullPolicy" | "startupOrder"),
            ] => Some(tiny(key)),
            ["settings", "image"] => {
                Some(Node { json: wrapped("settings", tiny("image")), at: node.at })
            }
            ["env", variable] | ["env", variable, "value"] => {
                Some(Node { json: wrapped("env", tiny(variable)), at: node.at })
            }
            _ => None,
        };
        let Some(whole) = whole else {
            let message = format!(
                "`modules.{name}.{}` reaches into a module in a way that has no exact form here; kept in [azure]",
                words.join(".")
            );
            desk.warn(message, node.at);
            let mut whole = vec!["edge-agent".to_owned(), "modules".to_owned(), name];
            whole.extend(path.iter().cloned());
            insert(&mut self.azure, &whole, node.to_value());
            return;
        };
        let mut quiet = super::report::Remarks::default();
        let mut aside =
            Desk { file: desk.file, placeholders: desk.placeholders, remarks: &mut quiet };
        let Converted { mut keys, .. } = module(&mut aside, &name, &whole);
        if words != ["restartPolicy"] {
            keys.remove("restart-policy");
        }
        for (word, key) in [
            ("status", "status"),
            ("restartPolicy", "restart-policy"),
            ("imagePullPolicy", "image-pull-policy"),
        ] {
            if words == [word]
                && let Some(text) = node.text()
            {
                keys.get_or_insert_with(key, || text.to_ascii_lowercase().into());
            }
        }
        let entry = self.modules.entry(name).or_default();
        if !entry.contains_key("image") || entry.contains_key("patch") {
            entry.insert("patch".to_owned(), true.into());
        }
        for (key, value) in keys {
            match (entry.get_mut(&key), value) {
                (Some(Value::Table(below)), Value::Table(above)) => below.extend(above),
                (_, value) => {
                    entry.insert(key, value);
                }
            }
        }
    }

    /// One part of what `$edgeHub` should have.
    fn hub(&mut self, desk: &mut Desk<'_>, (path, node): &(Vec<String>, &Node)) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let layered = self.layered;
        match words.as_slice() {
            [] => {
                for member in node.members().unwrap_or_default() {
                    if member.key == "routes" {
                        routes(desk, &mut self.routes, &mut self.names, &member.value, layered);
                    } else {
                        insert(
                            &mut self.azure,
                            &["edge-hub", &member.key],
                            member.value.to_value(),
                        );
                    }
                }
            }
            ["routes"] => routes(desk, &mut self.routes, &mut self.names, node, layered),
            ["routes", name] => {
                let member =
                    Member { key: (*name).to_owned(), at: node.at, value: (*node).clone() };
                let one = Node { json: Json::Object(vec![member]), at: node.at };
                routes(desk, &mut self.routes, &mut self.names, &one, layered);
            }
            _ => {
                let mut whole = vec!["edge-hub".to_owned()];
                whole.extend(path.iter().cloned());
                insert(&mut self.azure, &whole, node.to_value());
            }
        }
    }

    /// A module's twin. In a base its parts become one whole.
    fn twin(
        &mut self,
        desk: &mut Desk<'_>,
        member: &Member,
        properties: Vec<(Vec<String>, &Node)>,
    ) {
        if properties.is_empty() {
            return;
        }
        let name = self.names.module(desk, &member.key, member.at);
        let mut whole: Option<Table> = None;
        let mut parts: BTreeMap<String, Value> = BTreeMap::new();
        for (path, node) in properties {
            for (at, loss) in losses(node) {
                desk.warn(format!("desired properties of `{name}`: {loss}"), at);
            }
            if path.is_empty() {
                if node.members().is_none() {
                    desk.warn(
                        format!(
                            "the desired properties of `{name}` are {}, not an object",
                            node.type_name()
                        ),
                        node.at,
                    );
                }
                let table = node.to_table();
                match templated(Value::Table(table)) {
                    Value::Table(table) => whole = Some(table),
                    _ => continue,
                }
                continue;
            }
            let Some(value) = node.to_value().map(templated) else {
                desk.warn(
                    format!(
                        "`{}` of `{name}` is null: it can't be taken away here; left out",
                        path.join(".")
                    ),
                    node.at,
                );
                continue;
            };
            let above = (1..path.len())
                .map(|n| path[..n].join("."))
                .find(|above| parts.contains_key(above));
            match (&mut whole, above) {
                (Some(whole), _) if !self.layered => insert(whole, &path, Some(value)),
                (None, _) if !self.layered => {
                    insert(whole.get_or_insert_default(), &path, Some(value));
                }
                (_, Some(above)) => {
                    desk.note(
                        format!(
                            "`{}` of `{name}` was put into `{above}`, in which it lies",
                            path.join(".")
                        ),
                        node.at,
                    );
                    let mut table = match parts.remove(&above) {
                        Some(Value::Table(table)) => table,
                        _ => Table::new(),
                    };
                    let rest = &path[above.split('.').count()..];
                    insert(&mut table, rest, Some(value));
                    parts.insert(above, Value::Table(table));
                }
                _ => {
                    parts.insert(path.join("."), value);
                }
            }
        }
        self.put_twin(desk, member, &name, whole, parts);
    }

    fn put_twin(
        &mut self,
        desk: &mut Desk<'_>,
        member: &Member,
        name: &str,
        whole: Option<Table>,
        parts: BTreeMap<String, Value>,
    ) {
        if !self.layered && !self.modules.contains_key(name) {
            let message =
                format!("there is a twin of `{name}`, but no such module; kept in [azure]");
            desk.note(message, member.at);
            insert(&mut self.azure, &["twins", name], whole.map(Value::Table));
            return;
        }
        let layered = self.layered;
        let entry = self.modules.entry(name.to_owned()).or_default();
        if let Some(whole) = whole.filter(|whole| layered || !whole.is_empty()) {
            entry.insert("desired".to_owned(), Value::Table(whole));
        }
        if !parts.is_empty() {
            entry.insert("desired-at", Value::Table(parts.into_iter().collect()));
        }
    }

    fn finish(
        mut self,
        desk: &mut Desk<'_>,
        envelope: &Node,
        now: Timestamp,
    ) -> ConvertedDeployment {
        let kind = if self.layered { "layered" } else { "automatic" };
        let mut table = head(desk, envelope, now, &mut self.azure);
        if self.layered {
            table.insert("kind".to_owned(), kind.into());
        }
        let texts = self.routes.texts();
        let has_container =
            |keys: &Table| !keys.contains_key("patch") && keys.contains_key("image");
        let modules = self
            .modules
            .iter()
            .filter(|(_, keys)| has_container(keys))
            .map(|(name, keys)| (name.clone(), reasons(name, keys, &texts)))
            .collect();
        let (routes, odd) = self.routes.into_tables();
        if !odd.is_empty() {
            self.azure.insert("routes".to_owned(), Value::Table(odd));
        }
        let entries: Table =
            self.modules.into_iter().map(|(name, keys)| (name, Value::Table(keys))).collect();
        for (key, below) in [("modules", entries), ("routes", routes), ("azure", self.azure)] {
            if !below.is_empty() {
                table.insert(key.to_owned(), Value::Table(below));
            }
        }
        ConvertedDeployment { kind, table, modules }
    }
}

fn wrapped(key: &str, value: Node) -> Json {
    Json::Object(vec![Member { key: key.to_owned(), at: value.at, value }])
}
