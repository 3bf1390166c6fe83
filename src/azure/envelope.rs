//! Where in a file the deployments are: bare contents, whole configurations, lists and exports of them.
//!
//! Enters: a file's tree. Leaves: every deployment's content with the object around it, and what looked like
//! one and is none.

use super::json::{Json, Node};

/// One deployment as it was found.
#[derive(Debug)]
pub(super) struct Configuration {
    /// Its id, and where that stands.
    pub(super) id: Option<(String, usize)>,
    /// The object that has target, priority, labels …; the content's own where there is none.
    pub(super) envelope: Node,
    /// What `modulesContent` holds.
    pub(super) content: Node,
}

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Configurations {
    pub(super) found: Vec<Configuration>,
    /// Places of what is no deployment, with what it is.
    pub(super) skipped: Vec<(usize, String)>,
}

/// Keys that hold lists of configurations, or tables of them by id.
const SHELVES: [&str; 7] = [
    "value",
    "configurations",
    "edgeDeployments",
    "deviceConfigurations",
    "admConfigurations",
    "deployments",
    "items",
];

/// Everything in a file that is a deployment.
pub(super) fn configurations(roots: Vec<Node>) -> Configurations {
    let mut all = Configurations::default();
    for root in roots {
        look(root, None, &mut all);
    }
    all
}

fn look(node: Node, id: Option<(String, usize)>, all: &mut Configurations) {
    match node.json {
        Json::List(items) => {
            for item in items {
                look(item, None, all);
            }
        }
        Json::Object(_) => look_at_object(node, id, all),
        _ => {
            let words = format!("{} is no deployment", node.type_name());
            all.skipped.push((node.at, words));
        }
    }
}

fn look_at_object(mut node: Node, id: Option<(String, usize)>, all: &mut Configurations) {
    let id = text_of(&node, "id").or(id);
    if let Some(content) = take_content(&mut node) {
        match content {
            Ok(content) => all.found.push(Configuration { id, envelope: node, content }),
            Err(skipped) => all.skipped.push(skipped),
        }
        return;
    }
    let Json::Object(members) = node.json else { return };
    let before = (all.found.len(), all.skipped.len());
    for member in members {
        if !SHELVES.contains(&member.key.as_str()) {
            continue;
        }
        match member.value.json {
            Json::List(_) => look(member.value, None, all),
            Json::Object(by_id) if by_id.iter().all(|m| m.value.members().is_some()) => {
                for m in by_id {
                    let is_shelf = SHELVES.contains(&m.key.as_str());
                    if is_shelf && take_content(&mut m.value.clone()).is_none() {
                        let shelf = Node { json: Json::Object(vec![m]), at: node.at };
                        look(shelf, None, all);
                    } else {
                        look(m.value, Some((m.key, m.at)), all);
                    }
                }
            }
            _ => {}
        }
    }
    if before == (all.found.len(), all.skipped.len()) {
        all.skipped.push((
            node.at,
            "here is no deployment: it has `modulesContent`, or `content` with that".to_owned(),
        ));
    }
}

fn text_of(node: &Node, key: &str) -> Option<(String, usize)> {
    let member = node.members()?.iter().find(|member| member.key == key)?;
    let text = member.value.text().filter(|text| !text.trim().is_empty())?;
    Some((text.trim().to_owned(), member.value.at))
}

/// Takes the content out of an object; `Err` if it is that of another kind of configuration.
fn take_content(node: &mut Node) -> Option<Result<Node, (usize, String)>> {
    if node.members()?.iter().any(|m| matches!(m.key.as_str(), "$edgeAgent" | "$edgeHub")) {
        let bare = Node { json: Json::Object(Vec::new()), at: node.at };
        return Some(Ok(std::mem::replace(node, bare)));
    }
    let Json::Object(members) = &mut node.json else { return None };
    let whole = |member: &super::json::Member| member.value.members().is_some();
    if let Some(index) = members.iter().position(|m| m.key == "content" && whole(m)) {
        let mut inner = members[index].value.clone();
        let content = take_content(&mut inner)?;
        members[index].value = inner;
        if members[index].value.members().is_some_and(<[_]>::is_empty) {
            members.remove(index);
        }
        return Some(content);
    }
    for key in ["modulesContent", "moduleContent"] {
        let Some(index) = members.iter().position(|m| m.key == key) else { continue };
        let value = &members[index].value;
        let Some(inner) = value.members() else {
            let words = format!("`{key}` is {}, not an object", value.type_name());
            return Some(Err((value.at, words)));
        };
        let of_one_module =
            !inner.is_empty() && inner.iter().all(|m| m.key.starts_with("properties."));
        if of_one_module {
            return Some(Err((members[index].at, automatic("module"))));
        }
        return Some(Ok(members.remove(index).value));
    }
    let device = members.iter().find(|m| m.key == "deviceContent")?;
    Some(Err((device.at, automatic("device"))))
}

fn automatic(what: &str) -> String {
    format!("a configuration of {what} twins is no IoT Edge deployment; it was left out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::json::parse;
    use std::collections::BTreeMap;

    fn ids(text: &str) -> (Vec<String>, usize) {
        let root = parse(text, &BTreeMap::new()).unwrap().root;
        let all = configurations(vec![root]);
        let id = |c: &Configuration| c.id.clone().map_or("-".to_owned(), |(id, _)| id);
        (all.found.iter().map(id).collect(), all.skipped.len())
    }

    #[test]
    fn every_form_is_found() {
        for (text, expected, skipped) in [
            (r#"{"modulesContent": {}}"#, vec!["-"], 0),
            (r#"{"content": {"modulesContent": {}}, "id": "a"}"#, vec!["a"], 0),
            (r#"{"moduleContent": {"$edgeAgent": {}}}"#, vec!["-"], 0),
            (r#"{"$edgeAgent": {}, "$edgeHub": {}}"#, vec!["-"], 0),
            (r#"{"content": {"$edgeAgent": {}}}"#, vec!["-"], 0),
            (
                r#"[{"id": "a", "modulesContent": {}}, {"id": "b", "modulesContent": {}}]"#,
                vec!["a", "b"],
                0,
            ),
            (r#"{"value": [{"id": "a", "content": {"modulesContent": {}}}]}"#, vec!["a"], 0),
            (
                r#"{"configurations": {"edgeDeployments": {"a": {"content": {"modulesContent": {}}}},
                    "admConfigurations": {"b": {"content": {"deviceContent": {}}}}}}"#,
                vec!["a"],
                1,
            ),
            (r#"{"content": {"moduleContent": {"properties.desired.x": 1}}}"#, vec![], 1),
            (r#"{"modules": []}"#, vec![], 1),
            (r#"{"modulesContent": 3}"#, vec![], 1),
            ("[1]", vec![], 1),
            ("[]", vec![], 0),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(ids(text), (expected, skipped), "{text}");
        }
    }
}
