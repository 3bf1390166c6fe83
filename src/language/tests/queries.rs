//! What queries give, and the real ones.

use super::{device, query, table};
use crate::language::{Configuration, ModuleRow, Query, Row, RowKind};
use crate::model::{DeploymentId, Device, Value};
use std::borrow::Cow;

/// Three devices: tags, what they report, and whether they were seen.
fn devices() -> Vec<(Device, &'static str, Option<bool>)> {
    let ok = r#""lastDesiredStatus": {"code": 200}, "cpus": 4"#;
    let failed = r#""lastDesiredStatus": {"code": 500}, "cpus": 4.0"#;
    vec![
        (device("lift-01", r#""env": "prod", "floor": 1"#), ok, Some(true)),
        (device("lift-02", r#""env": "prod", "floor": 2, "list": [1]"#), failed, Some(false)),
        (device("lobby", r#""env": "test""#), "", None),
    ]
}

/// What a query gives over them, as JSON; each has a `camera` and Azure's `$edgeAgent`.
fn given(text: &str) -> String {
    let (devices, base) = (devices(), DeploymentId::parse("base").unwrap());
    let layer = DeploymentId::parse("layer").unwrap();
    let mut rows = Vec::new();
    let query = query(text);
    for (device, reported, connected) in &devices {
        let mut configurations = vec![(&base, Configuration::Applied)];
        if device.id.as_str() == "lobby" {
            configurations.push((&layer, Configuration::Targeted));
        }
        let row = |reported: &str, kind| Row {
            device,
            reported: Cow::Owned(table(reported)),
            configurations: configurations.clone(),
            kind,
        };
        let module = |name, desired: &str| ModuleRow {
            name: Cow::Borrowed(name),
            desired: Cow::Owned(table(desired)),
            runtime_status: None,
            exit_code: None,
            restart_count: None,
        };
        match query.collection() {
            crate::language::Collection::Devices => {
                rows.push(row(reported, RowKind::Device { connected: *connected }));
            }
            crate::language::Collection::Modules => {
                let camera = ModuleRow {
                    runtime_status: Some("failed"),
                    exit_code: Some(137),
                    restart_count: Some(3),
                    ..module("camera", r#""interval": 5"#)
                };
                rows.push(row(r#""latencyMs": 700"#, RowKind::Module(camera)));
                let agent = module("$edgeAgent", r#""$version": "v2""#);
                let wanted =
                    format!(r#""lastDesiredVersion": "v{}""#, device.id.as_str().len() - 5);
                let reported =
                    if reported.is_empty() { wanted } else { format!("{wanted}, {reported}") };
                rows.push(row(&reported, RowKind::Module(agent)));
            }
        }
    }
    let answer = query.evaluate(rows);
    let rows = answer.rows.into_iter().map(|row| {
        let cells = answer.columns.iter().zip(row).filter_map(|(name, value)| {
            Some(format!("{name}: {}", value.as_ref().map(Value::to_json)?))
        });
        cells.collect::<Vec<_>>().join(", ")
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[test]
fn rows_columns_and_groups() {
    let mut out = String::new();
    for text in [
        "*",
        "tags.env = 'prod'",
        "SELECT deviceId FROM devices WHERE properties.reported.lastDesiredStatus.code = 200",
        "SELECT deviceId, tags.env, tags.floor AS level FROM devices",
        "SELECT COUNT() FROM devices WHERE tags.floor > 7",
        "SELECT COUNT() AS n FROM devices",
        "SELECT COUNT() FROM devices GROUP BY tags.env",
        "SELECT tags.env AS env, COUNT() AS n FROM devices GROUP BY tags.env",
        "SELECT COUNT() FROM devices GROUP BY tags.env, tags.floor",
        "SELECT COUNT() AS env FROM devices GROUP BY tags.env",
        "SELECT COUNT() FROM devices GROUP BY properties.reported.cpus",
        "SELECT tags.env FROM devices GROUP BY tags.env",
        "SELECT tags.list, COUNT() FROM devices GROUP BY tags.list",
        "SELECT connectionState, COUNT() FROM devices GROUP BY connectionState",
        "connectionState = 'Disconnected'",
        "configurations.[[base]].status = 'Applied' AND capabilities.iotEdge",
        "configurations.[[layer]].status = 'Targeted'",
        "configurations.[[layer]].status != 'Applied'",
        "configurations['none'].status = 'Applied'",
        "SELECT deviceId, configurations.layer.status FROM devices",
        "SELECT * FROM devices",
        "SELECT deviceId, moduleId FROM devices.modules",
        "SELECT deviceId FROM devices.modules WHERE moduleId = 'camera' AND properties.reported.latencyMs > 500",
        "SELECT exitCode, COUNT() FROM devices.modules GROUP BY exitCode",
        "SELECT deviceId FROM devices.modules WHERE moduleid = '$edgeAgent' AND properties.reported.lastDesiredStatus.code = 200",
        "SELECT deviceId FROM devices.modules WHERE properties.desired.$version = properties.reported.lastDesiredVersion",
        "SELECT deviceId FROM devices.modules WHERE runtimeStatus = 'failed' AND restartCount > 2 AND exitCode = 137 AND tags.floor = 1",
        "SELECT * FROM devices.modules WHERE properties.desired.interval < 6 AND tags.floor = 1",
    ] {
        out.push_str(&format!("{text}\n{}\n\n", given(text)));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn the_term_that_left_no_row_is_named() {
    let (all, nobody) = (devices(), DeploymentId::parse("none").unwrap());
    for (text, expected) in [
        ("tags.env = 'prod' AND tags.floor > 7 AND tags.x", Some(("tags.floor > 7", 2, 3))),
        ("tags.env = 'x'", Some(("tags.env = 'x'", 3, 3))),
        ("SELECT COUNT() FROM devices WHERE tags.env = 'x'", Some(("tags.env = 'x'", 3, 3))),
        ("tags.floor = 2", None),
        ("*", None),
    ] {
        let rows = all.iter().map(|(device, _, _)| Row {
            device,
            reported: Cow::Borrowed(&device.reported),
            configurations: vec![(&nobody, Configuration::Targeted)],
            kind: RowKind::Device { connected: None },
        });
        let emptied = query(text).evaluate(rows).emptied;
        let found = emptied.as_ref().map(|e| (e.term.as_str(), e.before, e.of));
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(query("tags.a").evaluate([]).emptied, None, "there was nothing to be left");
}

#[test]
fn queries_print_back_in_one_form() {
    for (text, printed) in [
        ("*", "SELECT deviceId FROM devices"),
        ("(tags.a)", "SELECT deviceId FROM devices WHERE tags.a"),
        ("select * from devices", "SELECT * FROM devices"),
        (
            "SELECT count( )as n,tags.a\nFROM devices.modules group  by tags.a",
            "SELECT COUNT() AS n, tags.a FROM devices.modules GROUP BY tags.a",
        ),
        (
            "select moduleid from devices.modules where configurations['a-b'].status='Applied'",
            "SELECT moduleId FROM devices.modules WHERE configurations.[[a-b]].status = 'Applied'",
        ),
        (
            "select configurations[[a.b]].status from devices.modules where properties.desired['$version']=1",
            "SELECT configurations.[[a.b]].status FROM devices.modules WHERE properties.desired.$version = 1",
        ),
        ("SELECT tags.from AS from FROM devices", "SELECT tags.from AS from FROM devices"),
    ] {
        assert_eq!(query(text).to_string(), printed, "{text}");
        assert_eq!(Query::parse(printed), Ok(query(text)));
    }
}

#[test]
fn what_a_query_asks_for_is_known() {
    for (text, version) in [
        ("SELECT * FROM devices.modules", true),
        ("SELECT properties.desired.version FROM devices.modules", false),
        ("SELECT properties.desired.$version FROM devices.modules", true),
        ("SELECT deviceId FROM devices.modules WHERE properties.desired.$version != 'x'", true),
        ("SELECT properties.reported['$version'] FROM devices.modules", false),
    ] {
        assert_eq!(query(text).asks_for_version(), version, "{text}");
    }
    for (text, seen) in [
        ("connectionState = 'Connected'", true),
        ("SELECT COUNT() FROM devices.modules GROUP BY runtimeStatus", true),
        ("SELECT exitCode FROM devices.modules", true),
        ("properties.reported.os = 'linux'", false),
    ] {
        assert_eq!(query(text).asks_for_what_was_seen(), seen, "{text}");
    }
    for (text, desired, one) in [
        ("SELECT * FROM devices.modules", true, false),
        (
            "SELECT deviceId FROM devices.modules WHERE NOT IS_DEFINED(properties.desired.a)",
            true,
            false,
        ),
        ("SELECT COUNT() FROM devices.modules GROUP BY properties.desired.a", true, false),
        ("SELECT properties.desired.a FROM devices.modules", true, false),
        ("SELECT COUNT() FROM devices.modules WHERE properties.reported.a", false, true),
        ("SELECT deviceId FROM devices.modules", false, false),
    ] {
        let query = query(text);
        assert_eq!((query.asks_for_desired(), query.gives_one_row()), (desired, one), "{text}");
    }
}

/// Queries that Azure's tools write and its documentation shows.
#[test]
fn queries_of_the_documentation_are_taken() {
    for text in [
        "SELECT deviceId FROM devices WHERE properties.reported.lastDesiredStatus.code = 200",
        "SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent' AND properties.reported.lastDesiredStatus.code = 200",
        "select deviceId from devices where capabilities.iotEdge = true and tags.env='a' or tags.env='b'",
        "select deviceId from devices.modules where moduleId = '$edgeAgent' and configurations.[[c-1]].status = 'Applied' and properties.desired.$version = properties.reported.lastDesiredVersion and properties.reported.lastDesiredStatus.code != 200",
        "SELECT deviceId, moduleId FROM devices.modules WHERE properties.reported.x > 1",
        "SELECT properties.reported.telemetryConfig.status AS status,\n COUNT() AS numberOfDevices\n FROM devices\n GROUP BY properties.reported.telemetryConfig.status",
        "SELECT COUNT() AS totalNumberOfDevices FROM devices",
        "SELECT * FROM devices WHERE is_defined(properties.reported.connectivity)",
        "SELECT * FROM devices WHERE properties.reported.connectivity IN ['wired', 'wifi']",
    ] {
        let read = Query::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}"));
        assert_eq!(Query::parse(&read.to_string()), Ok(read), "{text}");
    }
}
