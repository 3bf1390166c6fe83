//! Input that is wrong, odd or meant to break something.

use crate::bench::{base, errors, import_all, imported, request, set, tree_for_device};
use hoist::azure::import;
use hoist::fleet::FileTree;

/// The mistakes of one file, as lines.
fn mistakes(text: &str) -> Vec<String> {
    let mistakes = import_all(&[("m.json", text)]).expect_err("it is refused");
    mistakes
        .iter()
        .map(|m| format!("{}: {}", m.place.as_deref().unwrap_or("-"), m.message))
        .collect()
}

#[test]
fn what_is_no_deployment_is_refused_with_its_place() {
    for (text, expected) in [
        ("", "m.json:1:1: not JSON: expected a value, found the end of the file"),
        ("hello", "m.json:1:1: not JSON: expected a value, found `h`"),
        (
            "{\n \"modulesContent\": {\n",
            "m.json:3:1: not JSON: expected a key in double quotes or `}`, found the end of the file",
        ),
        (
            "{\n  \"modulesContent\": 3\n}",
            "m.json:2:21: `modulesContent` is a number, not an object",
        ),
        ("[]", "m.json:1:1: the list is empty"),
        (
            "{\"modules\": []}",
            "m.json:1:1: here is no deployment: it has `modulesContent`, or `content` with that",
        ),
        (
            "{\"content\": {\"deviceContent\": {}}}",
            "m.json:1:14: a configuration of device twins is no IoT Edge deployment; it was left out",
        ),
        (
            "{\"modulesContent\": {}, \"id\": \"\u{1}\"}",
            "m.json:1:31: not JSON: a control character in a text; write it as `\\u…`",
        ),
    ] {
        assert_eq!(mistakes(text), [expected], "{text}");
    }
}

#[test]
fn wrong_types_are_told_and_nothing_panics() {
    for wrong in [
        "null",
        "3",
        "\"x\"",
        "[]",
        "[null, {}]",
        "{}",
        "true",
        "{\"a\": {\"b\": null}}",
        "1e300",
        "99999999999999999999",
    ] {
        for place in [
            format!(r#"{{"modulesContent": {{"$edgeAgent": {wrong}}}}}"#),
            format!(r#"{{"modulesContent": {{"$edgeAgent": {{"properties.desired": {wrong}}}}}}}"#),
            format!(
                r#"{{"modulesContent": {{"$edgeAgent": {{"properties.desired": {{"modules": {wrong}}}}}}}}}"#
            ),
            format!(
                r#"{{"modulesContent": {{"$edgeAgent": {{"properties.desired.modules.cam": {wrong}}}, "cam": {wrong}}}}}"#
            ),
            format!(
                r#"{{"modulesContent": {{"$edgeAgent": {{}}, "$edgeHub": {wrong}, "cam": {{"properties.desired": {wrong}, "properties.desired.a": {wrong}}}}}}}"#
            ),
            format!(
                r#"{{"modulesContent": {{"$edgeHub": {{"properties.desired.routes.up": {wrong}, "properties.desired.x.y": {wrong}}}}}}}"#
            ),
            format!(
                r#"{{"modulesContent": {{}}, "priority": {wrong}, "labels": {wrong}, "metrics": {wrong}, "targetCondition": {wrong}, "createdTimeUtc": {wrong}, "id": {wrong}}}"#
            ),
            base(&format!(
                r#""cam": {{"settings": {wrong}, "env": {wrong}, "status": {wrong}, "restartPolicy": {wrong}, "startupOrder": {wrong}, "version": {wrong}, "type": {wrong}}}"#
            )),
            base(&format!(
                r#""cam": {{"settings": {{"image": {wrong}, "createOptions": {wrong}, "createOptions01": {wrong}}}}}"#
            )),
            base(&format!(
                r#""cam": {{"settings": {{"image": "cam:1", "createOptions": {{"Env": {wrong}, "Cmd": {wrong}, "HostConfig": {wrong}, "Labels": {wrong}, "ExposedPorts": {wrong}, "NetworkingConfig": {wrong}, "Healthcheck": {wrong}}}}}}}"#
            )),
            base(&format!(
                r#""cam": {{"settings": {{"image": "cam:1", "createOptions": {{"HostConfig": {{"PortBindings": {wrong}, "Binds": {wrong}, "Tmpfs": {wrong}, "Devices": {wrong}, "ExtraHosts": {wrong}, "DeviceRequests": {wrong}, "LogConfig": {wrong}, "Memory": {wrong}, "NetworkMode": {wrong}}}}}}}}}"#
            )),
        ] {
            match import_all(&[("m.json", &place)]) {
                Ok(imported) => {
                    let _ = (errors(&tree_for_device(&imported)), imported.report.text());
                }
                Err(mistakes) => assert!(mistakes.iter().all(|m| m.place.is_some()), "{place}"),
            }
        }
    }
}

#[test]
fn one_id_twice_is_refused_and_all_mistakes_come_together() {
    let two = r#"[{"id": "a", "modulesContent": {}}, {"id": "a", "modulesContent": {}}]"#;
    let mistakes = import_all(&[("m.json", two), ("n.json", "{")]).unwrap_err();
    let words: Vec<_> = mistakes.iter().map(|m| m.message.as_str()).collect();
    assert_eq!(words[0], "deployment `a` is there twice: also at m.json:1:9");
    assert!(words[1].starts_with("not JSON"));
}

#[test]
fn nothing_is_overwritten() {
    let there =
        FileTree::from_texts([("fleet.toml", "name = \"x\"\n"), ("deployments/m.toml", "")]);
    let mistakes = import(&request(&[("m.json", &base(""))], set(&[])), &there).unwrap_err();
    assert_eq!(mistakes[0].message, "deployments/m.toml is there already; nothing is overwritten");
    let there = FileTree::from_texts([("fleet.toml", "name = \"x\"\n")]);
    let imported = import(&request(&[("m.json", &base(""))], set(&[])), &there).unwrap();
    assert!(imported.report.fleet_file_was_there && !imported.files.contains_key("fleet.toml"));
}

#[test]
fn odd_names_get_good_ones_that_stay_apart() {
    let module = |name: &str| {
        format!(r#""{name}": {{"restartPolicy": "always", "settings": {{"image": "i:1"}}}}"#)
    };
    let modules = ["a.b", "a-b", "x", "edgeHub", "hoist-y"].map(module).join(",");
    let text = base(&modules).replace(
        "\"routes\": {}",
        r#""routes": {"r": "FROM /messages/modules/a.b/outputs/* INTO $upstream", "r s": "FROM /* INTO $upstream", "empty": ""}"#,
    );
    let (file, imported) = imported(&text);
    for name in [
        "[modules.a-b]",
        "[modules.a-b-2]",
        "[modules.module-x]",
        "[modules.module-edgeHub]",
        "[modules.module-hoist-y]",
        "route-r = ",
        "r-s = ",
    ] {
        assert!(file.contains(name), "{name}: {file}");
    }
    assert_eq!(errors(&tree_for_device(&imported)), Vec::<String>::new());
}

#[test]
fn large_and_deep_input_ends_soon() {
    let deep = format!(
        "{{\"modulesContent\": {{\"cam\": {{\"properties.desired\": {}1{}}}}}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    assert!(mistakes(&deep)[0].contains("nest deeper"));
    let many: Vec<String> = (0..20_000).map(|i| format!("\"k{i}\": \"<<<$$$###___{i}\"")).collect();
    let wide = format!(
        "{{\"modulesContent\": {{\"cam\": {{\"properties.desired\": {{{}}}}}}}}}",
        many.join(",")
    );
    assert!(import_all(&[("m.json", &wide)]).is_ok());
    let huge = " ".repeat(17 << 20);
    assert!(mistakes(&huge)[0].contains("at most"));
}

#[test]
fn bytes_of_powershell_and_of_nobody() {
    let wide: Vec<u8> = std::iter::once(0xfeff)
        .chain("{\"modulesContent\": {}}".encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut wanted = request(&[("m.json", "")], set(&[]));
    wanted.manifests[0].bytes = wide.into();
    assert!(import(&wanted, &FileTree::default()).is_ok());
    wanted.manifests[0].bytes = b"{\n\"a\": \"\xff\"}".as_slice().into();
    assert_eq!(
        import(&wanted, &FileTree::default()).unwrap_err()[0].place.as_deref(),
        Some("m.json:2:7")
    );
}

#[test]
fn what_follows_a_name_and_what_an_escape_looks_like() {
    let content = base(
        r#""cam": {"restartPolicy": "always", "env": {"A": {"value": "$${HOME}"}}, "settings": {"image": "i:1",
            "createOptions": "{\"Cmd\":[\"$${x}\"]}"}}"#,
    );
    let query =
        "SELECT deviceId FROM devices WHERE configurations.[[our site!]].status = 'Applied'";
    let text = format!(
        r#"{{"id": "our site!", "metrics": {{"queries": {{"ok": "{query}", "odd": 5}}}}, "content": {content}}}"#
    );
    let imported = import_all(&[("m.json", &text)]).unwrap();
    let file = imported.files.values().find(|file| file.contains("[modules.cam]")).unwrap();
    assert!(file.contains("configurations.[[our-site-]]"), "{file}");
    assert!(file.contains("A = \"$$${HOME}\"") && file.contains("\"$$${x}\""), "{file}");
    let remarks = &imported.report.deployments[0].remarks;
    assert!(remarks.iter().any(|r| r.message.contains("metric `odd` is no query")), "{remarks:?}");
    assert_eq!(errors(&tree_for_device(&imported)), Vec::<String>::new());
}

#[test]
fn placeholders_in_options_of_system_modules_are_filled_in() {
    let manifest = r#"{"modulesContent": {"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": {"image": "a:1", "createOptions": "{\"Env\":[\"X=${V}\",\"Y=${W}\"]}"}},
            "edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "h:1"}}},
        "modules": {}}}}}"#;
    let request = request(&[("m.json", manifest)], set(&[("V", "a\"b")]));
    let imported = import(&request, &FileTree::default()).unwrap();
    let text = imported.files.values().find(|file| file.contains("[azure")).unwrap();
    assert!(text.contains(r#"X=a\\\"b"#) || text.contains(r#"X=a\"b"#), "{text}");
    let left: Vec<&str> =
        imported.report.placeholders.iter().map(|left| left.name.as_str()).collect();
    assert_eq!(left, ["W"]);
}
