//! Devices of a hub.

use crate::bench::{base, request, set};
use hoist::azure::{ImportRequest, InputFile, import};
use hoist::fleet::FileTree;

fn with_devices(text: &str, engine: Option<&str>) -> ImportRequest {
    let mut request = request(&[("m.json", &base(""))], set(&[]));
    request.devices = Some(InputFile { name: "d.json".to_owned(), bytes: text.as_bytes().into() });
    request.engine = engine.map(str::to_owned);
    request
}

const TWINS: &str = r#"[
  {"deviceId": "lobby-gw", "capabilities": {"iotEdge": true}, "status": "enabled",
   "tags": {"environment": "prod", "location": {"building": "43", "floor": 4}, "gone": null, "a/b": 1},
   "properties": {"desired": {"$version": 1}, "reported": {"$version": 2, "$metadata": {}, "devicemodel": "4000x"}}},
  {"deviceId": "lift#1", "capabilities": {"iotEdge": true}, "status": "disabled"},
  {"deviceId": "leaf", "capabilities": {"iotEdge": false}},
  {"deviceId": "lobby-gw", "moduleId": "$edgeAgent"}
]"#;

#[test]
fn twins_become_devices() {
    let imported =
        import(&with_devices(TWINS, Some("ssh://hoist@{deviceId}")), &FileTree::default()).unwrap();
    assert_eq!(imported.report.devices, 2);
    assert_eq!(
        imported.files["devices/lobby-gw.toml"],
        "engine = \"ssh://hoist@lobby-gw\"\n\n[tags]\nenvironment = \"prod\"\n\
         location = { building = \"43\", floor = 4 }\n\n[reported]\ndevicemodel = \"4000x\"\n"
    );
    assert_eq!(imported.files["devices/lift-1.toml"].lines().next(), Some("id = \"lift#1\""));
    assert!(imported.files["devices/lift-1.toml"].contains("reachable = false"));
    let told: Vec<_> = imported.report.remarks.iter().map(|r| r.message.as_str()).collect();
    for words in [
        "tag `a/b` of device `lobby-gw` was left out",
        "device `leaf` is no IoT Edge device",
        "a module's twin",
    ] {
        assert!(told.iter().any(|t| t.starts_with(words)), "{words}: {told:?}");
    }
    assert_eq!(imported.report.refusals, Vec::<String>::new());
}

#[test]
fn other_forms_of_exports_are_read() {
    for text in [
        r#"{"value": [{"deviceId": "dev-1"}]}"#,
        r#"{"devices": {"dev-1": {"identity": {"capabilities": {"iotEdge": true}}, "twin": {"tags": {"a": 1}}}}}"#,
        "{\"id\": \"dev-1\"}\n{\"id\": \"dev-2\"}\n",
        r#"{"deviceId": "dev-1"}"#,
    ] {
        let imported = import(&with_devices(text, None), &FileTree::default()).unwrap();
        assert!(imported.files.contains_key("devices/dev-1.toml"), "{text}");
    }
}

#[test]
fn many_devices_are_one_list() {
    let list: Vec<String> =
        (0..150).map(|i| format!(r#"{{"deviceId": "dev-{i}", "tags": {{"n": {i}}}}}"#)).collect();
    let imported =
        import(&with_devices(&format!("[{}]", list.join(",")), None), &FileTree::default())
            .unwrap();
    let file = &imported.files["devices/imported.toml"];
    assert!(
        file.starts_with("[[device]]\nid = \"dev-0\"\ntags = { n = 0 }\n\n[[device]]\n"),
        "{file}"
    );
    assert_eq!((imported.report.devices, imported.report.refusals.len()), (150, 0));
}

#[test]
fn mistakes_prevent_all_of_it() {
    for (text, engine, words) in [
        (
            r#"[{"deviceId": "a"}, {"deviceId": "a"}]"#,
            None,
            "device `a` is there twice: also at d.json:1:2",
        ),
        (
            r#"[{"deviceId": "a"}, {"deviceId": "b"}]"#,
            Some("tcp://127.0.0.1:2375"),
            "--engine gives all devices one address",
        ),
        (r#"[{"deviceId": "a"}]"#, Some("http://{deviceId}"), "--engine: "),
        ("[]", None, "there is no IoT Edge device in it"),
        ("{", None, "not JSON: "),
    ] {
        let mistakes = import(&with_devices(text, engine), &FileTree::default()).unwrap_err();
        assert!(mistakes[0].message.starts_with(words), "{mistakes:?}");
    }
    let mut alone = request(&[("m.json", &base(""))], set(&[]));
    alone.engine = Some("ssh://{deviceId}".to_owned());
    assert!(import(&alone, &FileTree::default()).is_err());
}
