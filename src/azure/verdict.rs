//! Why a module needs edgeHub, if it does: the honest part of a migration.
//!
//! Enters: a module in fleet files' terms and the routes of its deployment. Leaves: the reasons, in words.

use crate::model::{Table, Value};
use std::collections::BTreeMap;

/// Why a module needs edgeHub; none: it runs as is.
pub(super) fn reasons(name: &str, keys: &Table, routes: &BTreeMap<String, String>) -> Vec<String> {
    let mut reasons = Vec::new();
    let named: Vec<String> = routes
        .iter()
        .filter(|(_, text)| {
            modules_named(text).iter().any(|module| module.eq_ignore_ascii_case(name))
        })
        .map(|(route, _)| format!("`{route}`"))
        .collect();
    match named.len() {
        0 => {}
        1 => reasons.push(format!("route {} names it", named[0])),
        _ => reasons.push(format!("routes {} name it", named.join(", "))),
    }
    let sockets = ["workload.sock", "iotedge/workload", "/run/iotedge", "aziot/edged"];
    let socket = |text: &str| sockets.iter().any(|part| text.contains(part));
    if ["volumes", "create-options"].iter().any(|key| any_text(keys.get(key), &socket)) {
        reasons.push("it binds the workload socket".to_owned());
    }
    let variables: Vec<String> = keys
        .get("env")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::keys)
        .filter(|name| is_of_the_sdk(name))
        .map(|name| format!("`{name}`"))
        .collect();
    if !variables.is_empty() {
        reasons.push(format!("it uses the SDK's {}", variables.join(", ")));
    }
    let in_text =
        |text: &str| text.contains("IOTEDGE_") || text.contains("EdgeHubConnectionString");
    if ["command", "entrypoint", "create-options"]
        .iter()
        .any(|key| any_text(keys.get(key), &in_text))
    {
        reasons.push("its command uses the SDK's variables".to_owned());
    }
    let image = keys.get("image").and_then(Value::as_str).unwrap_or_default();
    if ["mcr.microsoft.com/azureiotedge-", "microsoft/azureiotedge-"]
        .iter()
        .any(|p| image.starts_with(p))
    {
        reasons.push("its image is one of Microsoft's for IoT Edge".to_owned());
    }
    reasons
}

fn is_of_the_sdk(name: &str) -> bool {
    let known =
        ["EdgeHubConnectionString", "EdgeModuleCACertificateFile", "EdgeModuleConnectionString"];
    name.to_ascii_uppercase().starts_with("IOTEDGE_")
        || known.iter().any(|k| name.eq_ignore_ascii_case(k))
}

fn any_text(value: Option<&Value>, is: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Some(Value::String(text)) => is(text),
        Some(Value::List(items)) => items.iter().any(|item| any_text(Some(item), is)),
        Some(Value::Table(table)) => table.values().any(|value| any_text(Some(value), is)),
        _ => false,
    }
}

/// The modules that a route names, in its source and its sink.
pub(super) fn modules_named(route: &str) -> Vec<&str> {
    let lower = route.to_ascii_lowercase();
    lower
        .match_indices("modules/")
        .filter_map(|(at, word)| {
            let rest = &route[at + word.len()..];
            let ends = |c: char| c.is_whitespace() || "/\"'()<>@,;:\\[]?={}".contains(c);
            let name = &rest[..rest.find(ends).unwrap_or(rest.len())];
            (!name.is_empty() && name != "*").then_some(name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(toml: &[(&str, Value)], routes: &[(&str, &str)]) -> Vec<String> {
        let keys = toml.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let routes = routes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        reasons("camera", &keys, &routes)
    }

    #[test]
    fn each_reason_is_told() {
        let image = ("image", Value::from("camera:1"));
        assert!(
            of(std::slice::from_ref(&image), &[("up", "FROM /messages/* INTO $upstream")])
                .is_empty()
        );
        assert!(
            of(
                std::slice::from_ref(&image),
                &[("up", "FROM /messages/modules/camera2/* INTO $upstream")]
            )
            .is_empty()
        );
        let routes = [
            ("a", "FROM /messages/modules/Camera/outputs/* INTO $upstream"),
            ("b", "FROM /* INTO BrokeredEndpoint('/modules/camera/inputs/i')"),
        ];
        assert_eq!(of(&[image], &routes), ["routes `a`, `b` name it"]);
        let volumes = Value::from(vec!["/var/run/iotedge/workload.sock:/w.sock".into()]);
        assert_eq!(of(&[("volumes", volumes)], &[]), ["it binds the workload socket"]);
        let env = Value::Table(Table::from([("IOTEDGE_DEVICEID".to_owned(), "x".into())]));
        assert_eq!(of(&[("env", env)], &[]), ["it uses the SDK's `IOTEDGE_DEVICEID`"]);
        let command = Value::from(vec!["--hub=$EdgeHubConnectionString".into()]);
        assert_eq!(of(&[("command", command)], &[]), ["its command uses the SDK's variables"]);
        let image = Value::from("mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.0");
        assert_eq!(of(&[("image", image)], &[]), ["its image is one of Microsoft's for IoT Edge"]);
    }
}
