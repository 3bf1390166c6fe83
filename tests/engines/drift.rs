//! What apply makes, that it then has nothing to do, and what it repairs.

use crate::site::{OBEDIENT, Site};
use crate::testbed::Dockerd;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

fn base(image: &str) -> String {
    format!(
        "target = \"*\"\npriority = 10\ncreated = 2026-01-05T09:00:00Z\n\
         [modules.app]\nimage = \"{image}\"\ncommand = {OBEDIENT}\nstartup-order = 1\n\
         env = {{ DEVICE = \"${{device.id}}\" }}\nports = [\"127.0.0.1:${{device.tags.port}}:80\"]\n\
         [modules.app.desired]\nn = 1\n\
         [modules.joined]\nimage = \"test/layer:1\"\ncommand = {OBEDIENT}\nnetworks = [\"one\", \"two\"]\n"
    )
}

fn three_devices() -> Option<Site> {
    let site = Site::new(3)?;
    site.write("deployments/base.toml", &base("test/app:1"));
    site.write(
        "deployments/extra.toml",
        &format!(
            "kind = \"layered\"\ntarget = \"tags.ring >= 2\"\npriority = 20\n\
             [modules.extra]\nimage = \"test/other:1\"\ncommand = {OBEDIENT}\nread-only = true\nuser = \"1000\"\n"
        ),
    );
    site.write(
        "deployments/high.toml",
        "kind = \"layered\"\ntarget = \"tags.ring = 3\"\npriority = 30\n\
         [modules.app]\npatch = true\nenv = { HIGH = \"yes\" }\ndesired-at = { \"deep.value\" = true }\n",
    );
    Some(site)
}

fn expected(n: usize) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("app".to_owned(), "running test/app:1".to_owned()),
        ("joined".to_owned(), "running test/layer:1".to_owned()),
    ]);
    if n >= 2 {
        all.insert("extra".to_owned(), "running test/other:1".to_owned());
    }
    all
}

#[track_caller]
fn assert_as_expected(site: &Site) {
    for n in 1..=3 {
        assert_eq!(site.containers(n), expected(n), "device d{n}");
    }
}

#[test]
fn three_devices_get_their_manifests_and_keep_them() {
    let Some(site) = three_devices() else { return };
    site.apply().expect(0);
    assert_as_expected(&site);
    assert_settings_and_twins(&site);
    assert_quiet_second_pass(&site);
    assert_drift_is_repaired(&site);
    assert_foreign_survives(&site);
}

fn assert_settings_and_twins(site: &Site) {
    let app = site.engines[2].inspect("app");
    let env = app["Config"]["Env"].as_array().unwrap();
    for variable in ["DEVICE=d3", "HIGH=yes", "HOIST_DEVICE_ID=d3", "HOIST_MODULE_ID=app"] {
        assert!(env.contains(&json!(variable)), "{variable} in {env:?}");
    }
    assert_eq!(app["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"], "18203");
    assert_eq!(app["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(app["HostConfig"]["LogConfig"]["Config"]["max-size"], "10m");
    let joined = site.engines[0].inspect("joined");
    let networks: Vec<&String> =
        joined["NetworkSettings"]["Networks"].as_object().unwrap().keys().collect();
    assert_eq!(networks, ["one", "two"]);
    // A module reads its twin by its own means: a shell in the container, also as another user on a
    // read-only root.
    for (device, module, text) in [(2, "app", "\"value\": true"), (1, "extra", "$version")] {
        let twin = read_twin(site, device, module);
        assert!(twin.contains(text), "{twin}");
    }
}

fn read_twin(site: &Site, device: usize, module: &str) -> String {
    run_in(site, device, module, "cat /run/hoist/desired.json")
}

/// A line of shell in a container, and what it says.
fn run_in(site: &Site, device: usize, module: &str, line: &str) -> String {
    let engine = &site.engines[device];
    let command = json!({"AttachStdout": true, "Tty": true, "Cmd": ["sh", "-c", line]});
    let made = engine.raw("POST", &format!("/containers/{module}/exec"), Some(&command)).json();
    let path = format!("/exec/{}/start", made["Id"].as_str().unwrap());
    engine.raw("POST", &path, Some(&json!({"Detach": false, "Tty": true}))).text
}

/// Nothing is changed; with what is remembered, one list call a device and no inspect.
fn assert_quiet_second_pass(site: &Site) {
    // A list tells whole minutes of what is up for longer than one: where the first run took that long, one that it started
    // is looked at once more.
    site.apply().expect(0);
    site.forget_requests();
    site.apply().expect(0);
    for proxy in &site.proxies {
        let log = proxy.log();
        let lists = log.iter().filter(|request| request.is_list()).count();
        let negotiation = ["/_ping", "/version", "/info"]
            .map(|end| log.iter().filter(|r| r.path.ends_with(end)).count());
        assert_eq!(lists, 1, "{log:?}");
        assert!(log.iter().all(|request| !request.is_change()), "{log:?}");
        assert_eq!(lists + negotiation.iter().sum::<usize>(), log.len(), "{log:?}");
    }
    site.forget_state();
    site.forget_requests();
    site.apply().expect(0);
    for proxy in &site.proxies {
        assert!(proxy.log().iter().all(|request| !request.is_change()), "{:?}", proxy.log());
    }
}

fn assert_drift_is_repaired(site: &Site) {
    let [d1, d2, d3] = &site.engines[..] else { panic!("three engines") };
    d1.raw("POST", "/containers/app/kill", None);
    d2.raw("DELETE", "/containers/extra?force=1&v=1", None);
    d3.raw("POST", "/containers/joined/pause", None);
    replace_by_hand(site, 0, "joined", true);
    site.apply().expect(0);
    assert_as_expected(site);
    site.apply().expect(0);

    // The same without labels is somebody else's: blocked, said, and never touched.
    replace_by_hand(site, 1, "joined", false);
    let said = site.apply().expect(5);
    assert!(said.stdout.contains("blocked: container joined"), "{}", said.stdout);
    assert_eq!(site.containers(2)["joined"], "running test/other:1");
    assert_eq!(site.device_status("d2")["status"]["code"], 409);
    d2.raw("DELETE", "/containers/joined?force=1&v=1", None);
    site.apply().expect(0);
    assert_as_expected(site);
}

/// Somebody takes a container away and starts another image under its name.
fn replace_by_hand(site: &Site, device: usize, name: &str, with_labels: bool) {
    let engine = &site.engines[device];
    let labels = engine.inspect(name)["Config"]["Labels"].clone();
    engine.raw("DELETE", &format!("/containers/{name}?force=1&v=1"), None);
    let labels = if with_labels { labels } else { json!({}) };
    let body = json!({"Image": "test/other:1", "Cmd": ["sleep", "100000"], "Labels": labels});
    engine.raw("POST", &format!("/containers/create?name={name}"), Some(&body));
    engine.raw("POST", &format!("/containers/{name}/start"), None);
}

/// Somebody makes a container anew with everything that it was made with, its twin aside, but for one change.
fn recreate_by_hand(engine: &Dockerd, name: &str, change: &dyn Fn(&mut Json)) {
    let former = engine.inspect(name);
    let config = &former["Config"];
    let mut body = json!({
        "Image": config["Image"], "Env": config["Env"], "Cmd": config["Cmd"],
        "Entrypoint": config["Entrypoint"], "Labels": config["Labels"],
        "HostConfig": {
            "Binds": former["HostConfig"]["Binds"],
            "NetworkMode": former["HostConfig"]["NetworkMode"],
        },
    });
    change(&mut body);
    engine.raw("DELETE", &format!("/containers/{name}?force=1&v=1"), None);
    engine.raw("POST", &format!("/containers/create?name={name}"), Some(&body));
    engine.raw("POST", &format!("/containers/{name}/start"), None);
}

/// Containers without labels, and one whose image carries them all, live through everything.
fn assert_foreign_survives(site: &Site) {
    let engine = &site.engines[0];
    let labels = engine.inspect("app")["Config"]["Labels"].clone();
    let labels = labels.as_object().unwrap();
    // A label in an image's history can't hold a blank as it is.
    let labels: Vec<(&str, String)> =
        labels.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap().replace(' ', "-"))).collect();
    let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
    engine.load_image("test/impostor:1", &labels, &["sleep", "100000"]);
    for (name, image) in [("stranger", "test/other:1"), ("pretender", "test/impostor:1")] {
        let body = json!({"Image": image});
        engine.raw("POST", &format!("/containers/create?name={name}"), Some(&body));
        engine.raw("POST", &format!("/containers/{name}/start"), None);
    }
    let alive = |site: &Site| {
        for name in ["stranger", "pretender"] {
            assert!(site.containers(1)[name].starts_with("running"), "{name}");
        }
    };
    site.forget_state();
    site.apply().expect(0);
    alive(site);
    site.write("deployments/base.toml", &base("test/app:2"));
    site.apply().expect(0);
    alive(site);
    for path in ["deployments/extra.toml", "deployments/high.toml"] {
        site.delete(path);
    }
    site.write("deployments/base.toml", "target = \"*\"\npriority = 10\n");
    site.apply().expect(0);
    alive(site);
    assert_eq!(site.containers(1).len(), 2, "{:?}", site.containers(1));
    for n in 2..=3 {
        assert_eq!(site.remains(n), "{} networks [] volumes 0");
    }
}

/// Every row of the first table in `docs/drift.md`: what somebody does, and that one run repairs it.
#[test]
fn what_the_table_says_is_seen_is_repaired() {
    let Some(site) = Site::new(1) else { return };
    site.write(
        "deployments/base.toml",
        &format!(
            "target = \"*\"\npriority = 10\n[modules.app]\nimage = \"test/app:1\"\ncommand = {OBEDIENT}\n\
             image-pull-policy = \"always\"\nnetworks = [\"one\", \"two\"]\nmemory = \"64MiB\"\n\
             env.A = \"1\"\nvolumes = [\"data:/data\"]\n\
             [modules.off]\nimage = \"test/app:1\"\ncommand = {OBEDIENT}\nstatus = \"stopped\"\n"
        ),
    );
    site.apply().expect(0);
    let engine = &site.engines[0];
    let post = |path: &str| {
        let answer = engine.raw("POST", path, None);
        assert!(answer.status < 400, "{path}: {}", answer.text);
    };
    let disconnect = || {
        engine.raw("POST", "/networks/two/disconnect", Some(&json!({"Container": "app"})));
    };
    type Row<'a> = (&'a str, &'a dyn Fn());
    let again = |change: &dyn Fn(&mut Json)| recreate_by_hand(engine, "app", change);
    let rows: [Row<'_>; 13] = [
        ("stop", &|| post("/containers/app/stop?t=0")),
        ("rm", &|| {
            engine.raw("DELETE", "/containers/app?force=1&v=1", None);
        }),
        // A second start of one container within ten minutes would wait.
        ("kill", &|| post("/containers/app/kill")),
        ("rename", &|| post("/containers/app/rename?name=another")),
        ("pause", &|| post("/containers/app/pause")),
        ("start of a stopped module", &|| post("/containers/off/start")),
        ("network disconnect", &disconnect),
        ("recreate with copied labels", &|| replace_by_hand(&site, 0, "app", true)),
        ("recreate with another environment", &|| again(&|body| body["Env"] = json!(["A=2"]))),
        ("recreate with another command", &|| again(&|body| body["Cmd"] = json!(["sleep", "777"]))),
        ("recreate without a volume", &|| again(&|body| body["HostConfig"]["Binds"] = json!([]))),
        ("recreate without a twin", &|| again(&|_| {})),
        ("tag", &|| {
            post("/images/test/app:2/tag?repo=test/app&tag=1");
        }),
    ];
    for (what, does) in rows {
        does();
        site.apply().expect(0);
        let app = engine.inspect("app");
        let image = engine.raw("GET", "/images/test/app:1/json", None).json();
        assert_eq!(app["State"]["Running"], true, "{what}");
        assert_eq!(app["State"]["Paused"], false, "{what}");
        assert_eq!(app["Image"], image["Id"], "{what}");
        assert!(app["Config"]["Env"].as_array().unwrap().contains(&json!("A=1")), "{what}");
        assert_ne!(app["Config"]["Cmd"][1], "777", "{what}");
        let mounts = app["Mounts"].as_array().unwrap();
        let targets: BTreeSet<&str> =
            mounts.iter().filter_map(|mount| mount["Destination"].as_str()).collect();
        assert_eq!(targets, BTreeSet::from(["/data", "/run/hoist"]), "{what}");
        let networks = app["NetworkSettings"]["Networks"].as_object().unwrap().len();
        assert_eq!(networks, 2, "{what}");
        assert_eq!(engine.inspect("off")["State"]["Running"], false, "{what}");
        assert_eq!(site.containers(1).len(), 2, "{what}: {:?}", site.containers(1));
        site.forget_requests();
        site.apply().expect(0);
        let log = site.proxies[0].log();
        assert!(log.iter().all(|request| !request.is_change()), "after {what}: {log:?}");
    }
    assert_what_only_an_inspect_tells(&site);
}

/// `docker update`, and a file of ours that somebody wrote over: the list says nothing of them.
fn assert_what_only_an_inspect_tells(site: &Site) {
    let engine = &site.engines[0];
    let update =
        json!({"RestartPolicy": {"Name": "no"}, "Memory": 33_554_432, "MemorySwap": 67_108_864});
    engine.raw("POST", "/containers/app/update", Some(&update));
    let limits = || {
        let host = engine.inspect("app")["HostConfig"].clone();
        (host["RestartPolicy"]["Name"].clone(), host["Memory"].clone())
    };
    site.apply().expect(0);
    assert_eq!(limits(), (json!("no"), json!(33_554_432)), "a run with a warm store sees the list");
    site.hoist(&["apply", "--worktree", "--yes", "--resync"]).expect(0);
    assert_eq!(limits(), (json!("always"), json!(67_108_864)));
    for by_hand in ["echo mine >", "rm", "mkdir -p /run/hoist/x; ln -sfn x"] {
        run_in(site, 0, "app", &format!("{by_hand} /run/hoist/desired.json"));
        assert!(!read_twin(site, 0, "app").contains("$version"), "{by_hand}");
        site.hoist(&["apply", "--worktree", "--yes", "--resync"]).expect(0);
        assert!(read_twin(site, 0, "app").contains("$version"), "{by_hand}");
    }
    site.forget_requests();
    site.hoist(&["apply", "--worktree", "--yes", "--resync"]).expect(0);
    assert!(site.proxies[0].log().iter().all(|request| !request.is_change()));
}
