//! Credentials of registries: taken out before anything else is read, so that none can reach a file or a
//! report. What remains of them is a registry and the name of a secret.

use super::json::{Json, JsonFile, Member, Node};
use super::names::secret;
use super::placeholder::{self, Placeholders};
use super::report::Remarks;
use std::collections::BTreeMap;

/// Takes all credentials out of a content. Returns registry → name of its secret. What of them can't be said by
/// that is remarked, without a word of theirs.
pub(super) fn take(
    content: &mut Node,
    file: &JsonFile,
    placeholders: &mut Placeholders,
    remarks: &mut Remarks,
) -> BTreeMap<String, String> {
    let mut taken = Vec::new();
    take_below(content, false, &mut taken);
    for at in
        taken.extract_if(.., |entry| !matches!(entry.value.json, Json::Object(_))).map(|e| e.at)
    {
        let words = "registry credentials that are no object with an address; they were left out";
        remarks.warn(words, Some(file.place(at)));
    }
    let mut registries = BTreeMap::new();
    for entry in taken {
        let place = Some(file.place(entry.at));
        let address = entry.value.get("address").cloned();
        let Some(mut address) = address.filter(|address| address.text().is_some()) else {
            remarks.warn("registry credentials without an address; they were left out", place);
            continue;
        };
        placeholders.fill(&mut address, file);
        let key = placeholders.filled_in(&entry.key);
        // Values for what is not copied are no mistake of whoever gives them.
        for member in
            entry.value.members().unwrap_or_default().iter().filter(|m| m.key != "address")
        {
            placeholders.filled_in(member.value.text().unwrap_or_default());
        }
        let text = address.text().unwrap_or_default();
        match host(text) {
            Some(host) => {
                if placeholder::first(&host).is_some() {
                    placeholders.refuse(&host, address.at, file);
                }
                if host == "docker.io" {
                    let words = "credentials of Docker Hub go with images that name it: `docker.io/NAME:TAG`";
                    remarks.note(words, place.clone());
                }
                let named = secret(&key, &host);
                // Of two for one registry IoT Edge takes the first.
                let first = registries.entry(host.clone()).or_insert_with(|| named.clone());
                if *first != named {
                    let words = format!(
                        "registry credentials `{named}` were left out: those of `{first}` are for \
                         {host} too, and IoT Edge takes the first"
                    );
                    remarks.warn(words, place);
                }
            }
            None => {
                let words = "registry credentials whose address is no registry; they were left out: write \
                             `[registries.\"HOST\"]` into fleet.toml by hand";
                remarks.warn(words, place);
            }
        }
    }
    registries
}

/// Members are taken wherever they are: a layer may spell their path with dots.
fn take_below(node: &mut Node, in_runtime: bool, taken: &mut Vec<Member>) {
    match &mut node.json {
        Json::List(items) => items.iter_mut().for_each(|item| take_below(item, in_runtime, taken)),
        Json::Object(members) => {
            let mut kept = Vec::new();
            for mut member in std::mem::take(members) {
                let key = member.key.to_ascii_lowercase();
                let of_registries = key.rsplit('.').next() == Some("registrycredentials");
                if let Some((_, name)) = key.split_once("registrycredentials.") {
                    // As it was written, not in small letters.
                    member.key = member.key[member.key.len() - name.len()..].to_owned();
                    taken.push(member);
                } else if of_registries {
                    match member.value.json {
                        Json::Object(entries) => taken.extend(entries),
                        Json::List(entries) => {
                            taken.extend(entries.into_iter().map(|value| Member {
                                key: String::new(),
                                at: value.at,
                                value,
                            }));
                        }
                        Json::Null => {}
                        // A placeholder for all of them, or a mistake.
                        Json::Bool(_) | Json::Number(_) | Json::Text(_) => taken.push(member),
                    }
                } else if !(in_runtime && key == "password") {
                    let runtime = in_runtime || key == "runtime" || key.contains(".runtime");
                    take_below(&mut member.value, runtime, taken);
                    kept.push(member);
                }
            }
            *members = kept;
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {}
    }
}

/// The registry of an address, as images have it.
fn host(address: &str) -> Option<String> {
    let text = address.trim();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.split('/').next().unwrap_or(text);
    let text = text.rsplit('@').next().unwrap_or(text);
    if placeholder::first(text).is_some() {
        return Some(text.to_owned());
    }
    let (name, port) = text.split_once(':').unwrap_or((text, "443"));
    let good = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    if name.is_empty() || !name.chars().all(good) || port.parse::<u16>().is_err() {
        return None;
    }
    Some(match text {
        "index.docker.io" | "registry-1.docker.io" | "hub.docker.com" => "docker.io".to_owned(),
        text => text.to_ascii_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::json::parse;

    #[test]
    fn hosts_are_as_images_have_them() {
        for (address, expected) in [
            ("r.example.com", Some("r.example.com")),
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("R.example.com:5000", Some("r.example.com:5000")),
            ("https://u:p@r.example.com/x", Some("r.example.com")),
            ("$ADDRESS", Some("$ADDRESS")),
            ("<name>.azurecr.io", Some("<name>.azurecr.io")),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(host(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn every_spelling_is_taken_out() {
        let text = r#"{"$edgeAgent": {
            "properties.desired": {"runtime": {"settings": {"registryCredentials": {
                "a": {"address": "a.example.com", "username": "u", "password": "hunter2"},
                "b": {"username": "u", "password": "hunter2"}}, "password": "hunter2"}}},
            "properties.desired.runtime.settings.registryCredentials.C":
                {"address": "c.example.com", "password": "hunter2"},
            "properties.desired.runtime.settings.registryCredentials.D":
                {"address": "https://A.example.com/", "password": "hunter2"},
            "properties.desired.x.registryCredentials": "hunter2"}}"#;
        let file = JsonFile::new("f", text);
        let mut root = parse(text, &BTreeMap::new()).unwrap().root;
        let mut remarks = Remarks::default();
        let found = take(&mut root, &file, &mut Placeholders::default(), &mut remarks);
        let pairs: Vec<_> = found.iter().map(|(h, s)| (h.as_str(), s.as_str())).collect();
        assert_eq!(pairs, [("a.example.com", "a"), ("c.example.com", "C")]);
        assert!(!format!("{root:?}{remarks:?}").contains("hunter2"));
        let words: Vec<&str> = remarks.0.iter().map(|remark| &*remark.message).collect();
        assert_eq!(
            words,
            [
                "registry credentials that are no object with an address; they were left out",
                "registry credentials without an address; they were left out",
                "registry credentials `D` were left out: those of `a` are for a.example.com too, \
                 and IoT Edge takes the first",
            ]
        );
    }
}
