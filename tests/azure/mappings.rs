//! Each mapping by a small example.

use crate::bench::{
    base, entry, errors, exported, import_all, imported, request, set, tree_for_device,
    with_options,
};
use hoist::azure::{Weight, import};
use hoist::fleet::FileTree;
use serde_json::json;

#[track_caller]
fn options_become(options: &str, lines: &str) {
    let expected = format!("[modules.cam]\nimage = \"cam:1\"\n{lines}");
    assert_eq!(with_options(options), expected.trim_end(), "{options}");
}

#[test]
fn options_with_a_key_of_their_own_get_it() {
    for (options, lines) in [
        (r#"{}"#, ""),
        (r#""""#, ""),
        (r#"null"#, ""),
        (r#""null""#, ""),
        (r#""{\"Cmd\":[\"-v\"]}""#, "command = [\"-v\"]"),
        (r#"{"Cmd": "run"}"#, "command = [\"run\"]"),
        (r#"{"Entrypoint": []}"#, "entrypoint = []"),
        (
            r#"{"User": "1000", "Hostname": "cam", "StopTimeout": 5}"#,
            "stop-timeout = \"5s\"\nuser = \"1000\"\nhostname = \"cam\"",
        ),
        (
            r#"{"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}], "53/udp": [{"HostIp": "127.0.0.1", "HostPort": 53}]}},
                "ExposedPorts": {"80/tcp": {}, "9000/tcp": {}}}"#,
            "ports = [\"127.0.0.1:53:53/udp\", \"8080:80/tcp\"]\n\n[modules.cam.create-options]\nExposedPorts = { \"9000/tcp\" = {} }",
        ),
        (
            r#"{"HostConfig": {"Binds": ["data:/data", "/etc/x:/x:ro", "C:/a:/b", "y:/y:z"]}}"#,
            "volumes = [\"data:/data\", \"/etc/x:/x:ro\"]\n\n[modules.cam.create-options]\nHostConfig = { Binds = [\"C:/a:/b\", \"y:/y:z\"] }",
        ),
        (
            r#"{"HostConfig": {"Tmpfs": {"/tmp": "", "/run": "size=1m"}}}"#,
            "tmpfs = [\"/run:size=1m\", \"/tmp\"]",
        ),
        (
            r#"{"HostConfig": {"Devices": [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "rwm"}]}}"#,
            "host-devices = [\"/dev/a:/dev/b\"]",
        ),
        (
            r#"{"HostConfig": {"NetworkMode": "host"}, "NetworkingConfig": {"EndpointsConfig": {"host": {}}}}"#,
            "network-mode = \"host\"",
        ),
        (r#"{"NetworkingConfig": {"EndpointsConfig": {"plant": {}}}}"#, "networks = [\"plant\"]"),
        (
            r#"{"HostConfig": {"ExtraHosts": ["mqtt:10.0.0.5"]}}"#,
            "extra-hosts = { mqtt = \"10.0.0.5\" }",
        ),
        (
            r#"{"HostConfig": {"Memory": 268435456, "NanoCpus": 500000000, "ShmSize": 67108864}}"#,
            "memory = \"256MiB\"\ncpus = 0.5\nshm-size = \"64MiB\"",
        ),
        (
            r#"{"HostConfig": {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}}"#,
            "gpus = \"all\"",
        ),
        (
            r#"{"HostConfig": {"Privileged": true, "ReadonlyRootfs": false, "CapAdd": ["NET_ADMIN"], "CapDrop": null, "Init": true}}"#,
            "privileged = true\ncap-add = [\"NET_ADMIN\"]\ninit = true",
        ),
        (
            r#"{"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}}}"#,
            "log = { max-file = 3, max-size = \"10m\" }",
        ),
        (
            r#"{"Healthcheck": {"Test": ["CMD", "ping"], "Interval": 1000000000, "Timeout": 2000000000, "Retries": 3}}"#,
            "health = { command = [\"CMD\", \"ping\"], interval = \"1s\", retries = 3, start-period = \"0s\", timeout = \"2s\" }",
        ),
        (r#"{"Labels": {"owner": "x"}}"#, "labels = { owner = \"x\" }"),
        (r#"{"hostconfig": {"privileged": true}}"#, "privileged = true"),
    ] {
        options_become(options, lines);
    }
}

#[test]
fn options_without_an_exact_key_stay() {
    for options in [
        r#"{"HostConfig": {"Sysctls": {"a": "1"}}}"#,
        r#"{"HostConfig": {"NetworkMode": "Host"}}"#,
        r#"{"HostConfig": {"Memory": 4, "MemorySwap": -1}}"#,
        r#"{"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": ""}]}}}"#,
        r#"{"HostConfig": {"LogConfig": {"Type": "", "Config": {}}}}"#,
        r#"{"HostConfig": {"Mounts": [{"Type": "volume", "Source": "a", "Target": "/a"}]}}"#,
        r#"{"Healthcheck": {"Test": ["CMD", "ping"]}}"#,
        r#"{"HostConfig": {"Privileged": true, "privileged": false}}"#,
    ] {
        let entry = with_options(options);
        assert!(
            entry.starts_with("[modules.cam]\nimage = \"cam:1\"\n\n[modules.cam.create-options]\n"),
            "{entry}"
        );
    }
}

#[test]
fn what_differs_by_default_is_said() {
    let (file, _) =
        imported(&base(r#""cam": {"type": "docker", "settings": {"image": " cam:1 "}}"#));
    assert_eq!(entry(&file), "[modules.cam]\nimage = \"cam:1\"\nrestart-policy = \"on-unhealthy\"");
    let (file, _) = imported(&base(
        r#""cam": {"type": "docker", "status": "Stopped", "restartPolicy": "never", "startupOrder": 4294967295,
            "imagePullPolicy": "never", "version": "", "settings": {"image": "cam:1"}},
           "two": {"type": "docker", "status": "running", "restartPolicy": "always", "startupOrder": 0, "version": "1.0",
            "imagePullPolicy": "on-create", "settings": {"image": "cam:1"}}"#,
    ));
    assert_eq!(
        entry(&file),
        "[modules.cam]\nimage = \"cam:1\"\nstatus = \"stopped\"\nrestart-policy = \"never\"\nimage-pull-policy = \"never\"\n\n\
         [modules.two]\nimage = \"cam:1\"\nversion = \"1.0\"\nstartup-order = 0"
    );
}

#[test]
fn the_variable_in_create_options_wins() {
    let (file, imported) = imported(&base(
        r#""cam": {"restartPolicy": "always", "env": {"A": {"value": "weak"}, "N": {"value": 5}, "T": {"value": true}, "E": {"value": null}, "a b": {"value": "x"}},
            "settings": {"image": "cam:1", "createOptions": {"Env": ["A=strong", "B=1=2", "C"]}}}"#,
    ));
    assert_eq!(
        entry(&file),
        "[modules.cam]\nimage = \"cam:1\"\n\n[modules.cam.env]\nA = \"strong\"\nB = \"1=2\"\nE = \"\"\nN = \"5\"\nT = \"true\"\n\n\
         [modules.cam.create-options]\nEnv = [\"C\", \"a b=x\"]"
    );
    let remarks = &imported.report.deployments[0].remarks;
    assert!(
        remarks
            .iter()
            .any(|r| r.message.starts_with("`A`: the value in createOptions.Env was taken"))
    );
    let env = &exported(&imported).json["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
        ["cam"]["env"];
    assert_eq!(env["A"], json!({"value": "strong"}));
}

#[test]
fn chunks_are_joined_and_cut_again() {
    let long = "x".repeat(700);
    let options = format!(r#"{{"Cmd":["{long}"]}}"#);
    let (head, tail) = options.split_at(512);
    let settings = json!({"image": "cam:1", "createOptions": head, "createOptions01": tail});
    let (file, imported) = imported(&base(&format!(
        r#""cam": {{"restartPolicy": "always", "settings": {settings}}}"#
    )));
    assert!(file.contains(&format!("command = [\n  \"{long}\",\n]")), "{file}");
    let modules =
        exported(&imported).json["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
            .clone();
    assert_eq!(modules["cam"]["settings"], settings);
}

/// What can't be joined is told of once, whatever else is in `settings`, and kept under its own name.
#[test]
fn chunks_after_a_gap_are_told_of_once() {
    let settings = json!({
        "image": "cam:1", "createOptions": "{}", "createOptions02": "a", "createOptions3": "b", "CreateOptions03": "c",
        "createOptions04": 5, "other": 1,
    });
    let (file, imported) = imported(&base(&format!(
        r#""cam": {{"restartPolicy": "always", "settings": {settings}}}"#
    )));
    let report = imported.report.text();
    let told: Vec<&str> = report
        .lines()
        .filter_map(|line| line.trim().strip_prefix("warning: module cam: "))
        .filter_map(|line| line.split("  (").next())
        .collect();
    assert_eq!(
        told,
        [
            "`createOptions02`, `CreateOptions03` can't be joined to the others (one before them is missing); kept in [azure]",
            "`createOptions04` can't be joined to the others (it is no text); kept in [azure]",
            "`createOptions3`, `other` in `settings` have no effect; kept in [azure]",
        ]
    );
    for kept in [
        "createOptions02 = \"a\"",
        "CreateOptions03 = \"c\"",
        "createOptions04 = 5",
        "createOptions3 = \"b\"",
        "other = 1",
    ] {
        assert!(file.contains(kept), "{kept}\n{file}");
    }
}

#[test]
fn layers_keep_their_spelling() {
    let (file, imported) = imported(
        r#"{"id": "layer", "targetCondition": "tags.a = 'b'", "priority": 7, "createdTimeUtc": "2022-12-13T12:15:59.8887327Z",
            "labels": {"team": "x"}, "metrics": {"queries": {"slow": "SELECT deviceId FROM devices"}, "results": {"slow": 3}},
            "etag": "MQ==", "content": {"modulesContent": {
              "$edgeAgent": {"properties.desired.modules.proxy": {"restartPolicy": "always", "settings": {"image": "proxy:2"}},
                             "properties.desired.modules.cam.env.LEVEL": {"value": "debug"},
                             "properties.desired.modules.cam.settings.image": "cam:2"},
              "$edgeHub": {"properties.desired.routes.up": {"route": "FROM /messages/modules/proxy/* INTO $upstream", "priority": 0, "timeToLiveSecs": 7200}},
              "cam": {"properties.desired.layered.Send": true, "properties.desired.layered.Every": 5},
              "twin": {"properties.desired": {"a": {"b": [1, 2.5]}}}
            }}}"#,
    );
    assert_eq!(
        file,
        "kind = \"layered\"\ntarget = \"tags.a = 'b'\"\npriority = 7\ncreated = 2022-12-13T12:15:59Z\n\n\
         [labels]\nteam = \"x\"\n\n\
         [modules.cam]\npatch = true\nimage = \"cam:2\"\n\n\
         [modules.cam.env]\nLEVEL = \"debug\"\n\n\
         [modules.cam.desired-at]\n\"layered.Every\" = 5\n\"layered.Send\" = true\n\n\
         [modules.proxy]\nimage = \"proxy:2\"\n\n\
         [modules.twin.desired]\na = { b = [1, 2.5] }\n\n\
         [routes]\nup = { priority = 0, route = \"FROM /messages/modules/proxy/* INTO $upstream\", time-to-live = \"2h\" }\n\n\
         [metrics]\nslow = \"SELECT deviceId FROM devices\"\n"
    );
    assert!(imported.files.contains_key("deployments/layer.toml"));
    let modules = &imported.report.deployments[0].modules;
    assert_eq!(modules["proxy"], ["route `up` names it"]);
    assert!(!modules.contains_key("cam") && !modules.contains_key("twin"));
}

#[test]
fn credentials_become_a_name() {
    let text = base("").replace(
        "\"loggingOptions\": \"\"",
        r#""registryCredentials": {"puller": {"address": "r.example.com:5000", "username": "joe", "password": "hunter2"}}"#,
    );
    let (file, imported) = imported(&text);
    let fleet = &imported.files["fleet.toml"];
    assert_eq!(
        fleet,
        "name = \"fleet\"\n\n[registries.\"r.example.com:5000\"]\ncredentials = \"puller\"\n"
    );
    let report = format!("{}{}", imported.report.text(), imported.report.json());
    assert!(report.contains("puller"));
    for text in [&file, fleet, &report] {
        assert!(!text.contains("hunter2") && !text.contains("joe"), "{text}");
    }
}

#[test]
fn of_several_credentials_for_a_registry_the_first_is_taken_and_the_others_told() {
    let with = |name: &str| {
        base("").replace(
            "\"loggingOptions\": \"\"",
            &format!(
                r#""registryCredentials": {{"{name}": {{"address": "r.example.com", "username": "joe", "password": "hunter2"}}}}"#
            ),
        )
    };
    let all = import_all(&[("a.json", &with("one")), ("b.json", &with("two"))]).unwrap();
    assert!(all.files["fleet.toml"].contains("credentials = \"one\""));
    let report = all.report.text();
    assert!(
        report.contains("`two` were left out: a fleet has one secret for r.example.com"),
        "{report}"
    );
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn a_route_that_is_no_text_is_told() {
    let text =
        base("").replace("\"routes\": {", "\"routes\": {\"five\": 5, \"list\": {\"route\": []}, ");
    let (_, imported) = imported(&text);
    let report = imported.report.text();
    for words in ["route `five` is a number", "route `list` is a list"] {
        assert!(report.contains(&format!("{words}, not a text; it was left out")), "{report}");
    }
}

#[test]
fn placeholders_are_filled_or_refused_later() {
    let text = base(
        r#""cam": {"restartPolicy": "always", "startupOrder": ${ORDER}, "env": {"A": {"value": "${A}"}, "H": {"value": "$HOME/x"}},
            "settings": {"image": "r.example.com/cam:$TAG", "createOptions": "{\"Cmd\":[\"${A}\"]}"}}"#,
    );
    let empty = FileTree::default();
    let mistake = import(&request(&[("t.json", &text)], set(&[])), &empty).unwrap_err().remove(0);
    let line = text.lines().position(|line| line.contains("${ORDER}")).unwrap() + 1;
    assert!(mistake.place.unwrap().starts_with(&format!("t.json:{line}:")), "{}", mistake.message);
    let left = import(&request(&[("t.json", &text)], set(&[("ORDER", "3")])), &empty).unwrap();
    let names: Vec<_> =
        left.report.placeholders.iter().map(|p| (p.text.as_str(), p.refused)).collect();
    assert_eq!(names, [("$HOME", false), ("$TAG", true), ("${A}", true)]);
    let found = errors(&tree_for_device(&left));
    assert!(
        found.iter().any(|e| e.contains("`${A}` is unknown"))
            && found.iter().any(|e| e.contains("`r.example.com/cam:$TAG` is no image")),
        "{found:?}"
    );
    let values = set(&[("ORDER", "3"), ("A", "it \"is\" \\ ${device.id}"), ("TAG", "1.0")]);
    let whole = import(&request(&[("t.json", &text)], values), &empty).unwrap();
    assert_eq!(errors(&tree_for_device(&whole)), Vec::<String>::new());
    let entry = entry(&whole.files["deployments/t.toml"]);
    assert!(
        entry.contains("command = ['it \"is\" \\ ${device.id}']")
            && entry.contains("startup-order = 3")
            && entry.contains("H = \"$HOME/x\""),
        "{entry}"
    );
}

#[test]
fn several_files_are_several_deployments() {
    let whole = |id: &str| {
        format!(r#"{{"id": "{id}", "content": {{"modulesContent": {{"$edgeAgent": {{}}}}}}}}"#)
    };
    let all = import_all(&[
        ("a/site.json", &base("")),
        ("b/site.json", &base("")),
        ("all.json", &format!("[{}, {}]", whole("one+x"), whole("two"))),
    ])
    .unwrap();
    let paths: Vec<_> = all.files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "deployments/one-x.toml",
            "deployments/site-2.toml",
            "deployments/site.toml",
            "deployments/two.toml",
            "fleet.toml"
        ]
    );
    let renamed = all
        .report
        .deployments
        .iter()
        .flat_map(|d| &d.remarks)
        .filter(|r| r.weight == Weight::Warning);
    assert_eq!(renamed.filter(|r| r.message.contains("is named")).count(), 2);
}

#[test]
fn what_has_no_place_is_kept_and_comes_back() {
    let text = base(
        r#""cam": {"type": "docker", "status": "running", "restartPolicy": "always", "_comment": "x",
            "settings": {"image": "cam:1", "imagePullPolicy": "never",
                         "createOptions": {"HostConfig": {"AutoRemove": true, "RestartPolicy": {"Name": "always"}}, "Image": "other"}}}"#,
    );
    let (file, imported) = imported(&text);
    for kept in [
        "_comment = \"x\"",
        "imagePullPolicy = \"never\"",
        "RestartPolicy",
        "AutoRemove = true",
        "Image = \"other\"",
        "schemaVersion = \"1.1\"",
        "systemModules",
        "timeToLiveSecs",
    ] {
        let azure = &file[file.find("[azure").unwrap()..];
        assert!(azure.contains(kept), "{kept}: {azure}");
    }
    let report = imported.report.text();
    let both = "`HostConfig.AutoRemove`, `HostConfig.RestartPolicy`, `Image` in createOptions";
    assert!(report.contains(both), "{report}");
    let json = exported(&imported).json;
    let agent = &json["modulesContent"]["$edgeAgent"]["properties.desired"];
    assert_eq!(agent["systemModules"]["edgeHub"]["settings"]["image"], "h:1");
    assert_eq!(
        agent["modules"]["cam"]["settings"]["createOptions"],
        r#"{"HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}},"Image":"other"}"#
    );
}

#[test]
fn what_says_nothing_is_told_once_and_parts_of_metrics_that_nobody_knows_are_kept() {
    let text = json!({
        "id": "site", "priority": 1, "targetCondition": "*",
        "labels": {"team": "a", "none": null},
        "metrics": {"queries": {"q": "SELECT deviceId FROM devices"}, "other": {"k": 1}},
        "content": {"modulesContent": {
            "$edgeAgent": {"properties.desired": {"modules": {
                "cam": {"type": "docker", "settings": {"image": "cam:1"}},
            }}},
            "cam": {"properties.desired": {"a": null, "b": 1}},
        }},
    });
    let (_, imported) = imported(&text.to_string());
    let report = imported.report.text();
    assert!(
        report.contains("2 keys are null, which says as much as their absence; they were left out (the first is `a`)"),
        "{report}"
    );
    assert!(
        report.contains("`other` is no part of `metrics` that IoT Hub has; kept in [azure]"),
        "{report}"
    );
    let file = imported.files.values().find(|text| text.contains("[azure]")).expect("a deployment");
    assert!(file.contains("configuration = { metrics = { other = { k = 1 } } }"), "{file}");
}

#[test]
fn a_time_to_live_of_no_whole_seconds_is_told_when_it_goes_back() {
    let fleet = FileTree::from_texts([
        ("fleet.toml", "name = \"f\"\n"),
        ("devices/d.toml", ""),
        (
            "deployments/base.toml",
            "target = \"*\"\n[modules.cam]\nimage = \"cam:1\"\n[routes]\nup = { route = \"FROM /* INTO $upstream\", time-to-live = \"1500ms\" }\n",
        ),
    ]);
    let (fleet, resolution) = hoist::resolve::check(&fleet).fleet.expect("a valid fleet");
    let device = hoist::model::DeviceId::parse("d").unwrap();
    let manifest = resolution.manifest(&fleet, &device).expect("a base").expect("no templates");
    let export = hoist::azure::export(&fleet, &manifest).expect("it can be said");
    assert_eq!(
        export.warnings,
        ["route `up`: IoT Edge takes whole seconds, `time-to-live` 1s500ms was rounded up to 2 s"]
    );
}
