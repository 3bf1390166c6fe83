//! `hoist manifest`, `explain`, `query`, `init`, `stamp` and `help`.

use crate::stage::Stage;

#[test]
fn manifests() {
    let mut stage = Stage::new();
    stage.hoist(&["manifest", "door"]);
    stage.hoist(&["manifest", "till-1", "--format", "json"]);
    stage.hoist(&["manifest", "till-1", "--revision", "HEAD"]);
    stage.hoist(&["manifest", "lab"]);
    stage.hoist(&["manifest", "tilt-1"]);
    stage.hoist(&["manifest", "door", "--format", "text"]);
    stage.done("manifest");
}

#[test]
fn explanations() {
    let mut stage = Stage::new();
    stage.put(
        "deployments/special.toml",
        "target = \"tags.floor = 2\"\npriority = 30\n[modules.web]\nimage = \"web:3\"\n",
    );
    stage.hoist(&["explain", "door"]);
    stage.hoist(&["explain", "till-2"]);
    stage.hoist(&["explain", "door", "web.env"]);
    stage.hoist(&["explain", "door", "web.image", "--format", "json"]);
    stage.hoist(&["explain", "door", "web.volumes"]);
    stage.hoist(&["explain", "lab"]);
    stage.hoist(&["explain", "lap"]);
    stage.hoist(&["explain", "door", "web.image", "--revision", "HEAD"]);
    stage.done("explain");
}

#[test]
fn queries() {
    let mut stage = Stage::new();
    stage.hoist(&["query", "tags.environment = 'prod' AND NOT deviceId = 'door'"]);
    stage.hoist(&["query", "tags.floor > 1", "--format", "json"]);
    stage.hoist(&["query", "tags.environment = 'prod' AND tags.floor > 7"]);
    stage.hoist(&["query", "tags.floor > 7", "--format", "json"]);
    stage.hoist(&["query", "tags.environment == 'prod'"]);
    stage.hoist(&["query", "tag.environment = 'prod'"]);
    stage.hoist(&["query", "*", "--revision", "HEAD"]);
    stage.done("query");
}

#[test]
fn queries_of_every_form() {
    let mut stage = Stage::new();
    stage.write("devices/odd.toml", "[tags]\nname = \"a\\u001b[31m\\u202eb\\nc\"\n");
    for query in [
        "SELECT deviceId FROM devices",
        "SELECT deviceId, tags.floor AS level FROM devices",
        "SELECT tags.environment, COUNT() AS n FROM devices GROUP BY tags.environment",
        "SELECT COUNT() FROM devices WHERE tags.floor > 1",
        "SELECT * FROM devices WHERE tags.floor = 1",
        "SELECT tags.name FROM devices WHERE deviceId = 'odd'",
        "SELECT deviceId, moduleId, properties.desired.Interval FROM devices.modules WHERE configurations.[[base]].status = 'Applied' AND moduleId NIN ['$edgeAgent', '$edgeHub']",
        "SELECT moduleId FROM devices.modules WHERE moduleId = 'none'",
        "SELECT deviceId FROM devices.modules WHERE deviceId = 'door' AND runtimeStatus = 'running'",
        "connectionState = 'Connected'",
        "moduleId = 'web'",
        "SELECT deviceId FROM devices ORDER BY deviceId",
        "SELECT COUNT(*) FROM devices LIMIT 5",
    ] {
        stage.hoist(&["query", query]);
    }
    let count = "SELECT tags.floor, COUNT() AS n FROM devices GROUP BY tags.floor";
    stage.hoist(&["query", count, "--format", "json"]);
    let all = "SELECT * FROM devices.modules WHERE deviceId = 'door' AND moduleId = 'meter'";
    stage.hoist(&["query", all, "--format", "json"]);
    stage.done("query_forms");
}

/// What only a store knows.
#[test]
fn queries_over_what_was_seen() {
    let mut stage = Stage::new();
    stage.put(
        "deployments/secure.toml",
        &format!(
            "{}\n[metrics]\nsucceeded = \"SELECT deviceId FROM devices WHERE \
             properties.reported.lastDesiredStatus.code = 200\"\n\
             restarting = \"SELECT deviceId, moduleId FROM devices.modules WHERE restartCount > 3\"\n\
             applied = \"select deviceId from devices.modules where moduleId = '$edgeAgent' and \
             configurations.[[base]].status = 'Applied' and properties.desired.$version = \
             properties.reported.lastDesiredVersion and properties.reported.lastDesiredStatus.code = 200\"\n",
            stage.read("deployments/secure.toml")
        ),
    );
    stage.commit("metrics");
    stage.quiet_hoist(&["apply", "--simulate", "--yes", "--device", "door"]);
    stage.hoist(&["status", "--simulate"]);
    stage.quiet_hoist(&["apply", "--simulate", "--yes"]);
    let status = stage.quiet_hoist(&["status", "--simulate", "--format", "json"]).json();
    let metrics = |at: usize| status["deployments"][at]["metrics"].to_string();
    assert_eq!(metrics(0), "{}");
    assert_eq!(metrics(1), r#"{"applied":3,"restarting":0,"succeeded":4}"#);
    stage.hoist(&["status", "--simulate", "--where", "deviceId = 'lab'"]);
    for query in [
        "connectionState = 'Connected'",
        "SELECT deviceId, moduleId, runtimeStatus, restartCount FROM devices.modules WHERE IS_DEFINED(runtimeStatus)",
        "SELECT properties.reported.os, COUNT() FROM devices GROUP BY properties.reported.os",
        "SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent' AND properties.reported.lastDesiredStatus.code = 200",
        "SELECT deviceId FROM devices WHERE properties.reported.modules.web.runtimeStatus = 'running'",
    ] {
        stage.hoist(&["query", query, "--simulate"]);
    }
    stage.edit("deployments/base.toml", "web:1.0", "web:1.1");
    stage.hoist(&[
        "query",
        "SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent' AND properties.desired.$version != properties.reported.lastDesiredVersion",
        "--simulate",
    ]);
    stage.done("query_seen");
}

#[test]
fn a_new_fleet_works_at_once() {
    let mut stage = Stage::empty();
    stage.hoist(&["init", "--name", "My Fleet"]);
    stage.hoist(&["init"]);
    stage.hoist(&["init"]);
    stage.hoist(&["init", "--format", "json"]);
    stage.hoist(&["validate"]);
    stage.git(&["init", "--quiet", "--initial-branch=main"]);
    stage.commit("begin");
    for arguments in [
        &["apply", "--simulate", "--yes"][..],
        &["status", "--simulate"],
        &["plan", "--simulate"],
        &["diff"],
    ] {
        let answer = stage.quiet_hoist(arguments);
        // Compared with no parent everything in the first commit is a change.
        let expected = if arguments == ["diff"] { 2 } else { 0 };
        assert_eq!(answer.code, expected, "{arguments:?}: {}{}", answer.stdout, answer.stderr);
    }
    stage.hoist(&["manifest", "this-host"]);
    stage.done("init");
}

#[test]
fn stamps() {
    let mut stage = Stage::new();
    stage.hoist(&["stamp", "deployments/base.toml", "deployments/secure.toml"]);
    assert!(stage.read("deployments/base.toml").contains("priority = 10\ncreated = 20"));
    stage.hoist(&["validate"]);
    stage.hoist(&["stamp", "deployments/base.toml"]);
    let text = stage.read("deployments/base.toml");
    assert_eq!(text.matches("created").count(), 1);
    stage.write("deployments/wrong.toml", "target = \n");
    stage.hoist(&["stamp", "deployments/base.toml", "deployments/wrong.toml"]);
    stage.hoist(&["stamp", "deployments/none.toml"]);
    stage.hoist(&["stamp"]);
    stage.done("stamp");
}

#[test]
fn help_on_every_command() {
    let mut stage = Stage::empty();
    stage.hoist(&["--version"]);
    stage.hoist(&["--help"]);
    for command in [
        "validate", "diff", "manifest", "explain", "query", "init", "stamp", "plan", "apply",
        "status", "logs", "restart", "help",
    ] {
        let asked = stage.hoist(&[command, "--help"]);
        let told = stage.quiet_hoist(&["help", command]);
        assert_eq!(asked.stdout, told.stdout, "both ways say the same");
    }
    let below = stage.quiet_hoist(&["help", "import", "azure"]);
    assert!(below.stdout.contains("--devices"), "{}", below.stdout);
    stage.hoist(&["help", "mainfest"]);
    stage.hoist(&["help", "weather"]);
    stage.hoist(&["aply"]);
    stage.hoist(&["plan", "--worktree", "--revision", "HEAD"]);
    stage.done("help");
    let conditions = stage.quiet_hoist(&["help", "conditions"]);
    assert!(conditions.stdout.starts_with("## Target conditions\n"));
    assert!(!conditions.stdout.contains("\n## "), "no other section");
    let queries = stage.quiet_hoist(&["help", "queries"]);
    assert!(queries.stdout.starts_with("## Queries\n"));
    assert!(!queries.stdout.contains("\n## "), "no other section");
    let routes = stage.quiet_hoist(&["help", "routes"]);
    assert!(routes.stdout.starts_with("## Routes\n"));
    assert!(!routes.stdout.contains("\n## "), "no other section");
}
