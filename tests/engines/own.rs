//! What is Hoist's and what is not: taking over, other engines, other fleets, leaving.

use crate::site::{OBEDIENT, Said, Site};
use serde_json::{Value as Json, json};

fn base(image: &str, more: &str) -> String {
    format!(
        "target = \"*\"\npriority = 10\ncreated = 2026-01-05T09:00:00Z\n\
         [modules.app]\nimage = \"{image}\"\n{more}\n"
    )
}

fn good(image: &str) -> String {
    base(image, &format!("command = {OBEDIENT}"))
}

/// Somebody starts a container by other means; says its id.
fn start_by_hand(site: &Site, device: usize, name: &str, more: &Json) -> String {
    let engine = &site.engines[device - 1];
    let mut body = json!({"Image": "test/other:1", "Cmd": ["sleep", "100000"]});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    engine.raw("POST", &format!("/containers/create?name={name}"), Some(&body));
    engine.raw("POST", &format!("/containers/{name}/start"), None);
    engine.inspect(name)["Id"].as_str().unwrap().to_owned()
}

fn inspect(site: &Site, device: usize, name: &str) -> Json {
    site.engines[device - 1].inspect(name)
}

fn adopt(site: &Site) -> Said {
    site.hoist(&["adopt", "--worktree", "--out", "plan.json"])
}

fn apply_plan(site: &Site) -> Said {
    site.hoist(&["apply", "--worktree", "plan.json"])
}

/// How a container is, as far as putting it back must not change it.
fn face(container: &Json) -> [Json; 7] {
    [
        container["Id"].clone(),
        container["Name"].clone(),
        container["State"]["Running"].clone(),
        container["HostConfig"]["RestartPolicy"].clone(),
        container["Mounts"].clone(),
        container["Config"].clone(),
        container["HostConfig"]["PortBindings"].clone(),
    ]
}

#[test]
fn a_foreign_container_is_taken_over_by_a_saved_plan_alone() {
    let Some(site) = Site::new(1) else { return };
    let with_volumes = format!("command = {OBEDIENT}\nvolumes = [\"kept:/kept\"]");
    site.write("deployments/base.toml", &base("test/app:1", &with_volumes));
    let more = json!({
        "Volumes": {"/data": {}},
        "HostConfig": {"Binds": ["kept:/kept"], "RestartPolicy": {"Name": "unless-stopped"}},
        "Labels": {"com.docker.compose.project": "old"},
    });
    let first = start_by_hand(&site, 1, "app", &more);
    let said = site.apply().expect(5);
    let words = "is not Hoist's and has the name; only `hoist adopt` touches it";
    assert!(said.stdout.contains(words), "{}", said.stdout);

    let said = adopt(&site).expect(2);
    assert!(said.stdout.contains("takes over container"), "{}", said.stdout);
    assert_eq!(inspect(&site, 1, "app")["Id"], first.as_str(), "planning touches nothing");
    // Another one under that name is not what was agreed to.
    site.engines[0].raw("DELETE", "/containers/app?force=1&v=1", None);
    let second = start_by_hand(&site, 1, "app", &more);
    let said = apply_plan(&site).expect(1);
    assert!(said.stderr.contains("refused"), "{}", said.stderr);
    site.apply().expect(5);
    let before = inspect(&site, 1, "app");
    assert_eq!(before["Id"], second.as_str());
    let anonymous = |container: &Json| {
        let mounts = container["Mounts"].as_array().unwrap();
        mounts.iter().find(|m| m["Destination"] == "/data").unwrap()["Name"].clone()
    };

    adopt(&site).expect(2);
    apply_plan(&site).expect(0);
    let after = inspect(&site, 1, "app");
    assert_eq!(after["Config"]["Labels"]["hoist.module"], "app");
    assert_eq!(anonymous(&after), anonymous(&before), "its anonymous volume is carried over");
    assert_eq!(site.containers(1).len(), 1, "{:?}", site.containers(1));
    assert!(site.remains(1).ends_with("volumes 3"), "{}", site.remains(1));
    site.apply().expect(0);
    assert_eq!(inspect(&site, 1, "app")["Id"], after["Id"], "it is a module like any other");
    let said = adopt(&site).expect(0);
    assert!(said.stderr.contains("no container of somebody else"), "{}", said.stderr);
}

#[test]
fn what_fails_its_probation_puts_the_foreign_container_back_as_it_was() {
    let Some(site) = Site::new(1) else { return };
    site.write("deployments/base.toml", &base("test/crash:1", ""));
    for (policy, runs) in [
        (json!({"Name": "on-failure", "MaximumRetryCount": 5}), true),
        (json!({"Name": "no"}), true),
        (json!({"Name": "unless-stopped"}), false),
    ] {
        let host =
            json!({"RestartPolicy": policy, "PortBindings": {"80/tcp": [{"HostPort": "18299"}]}});
        start_by_hand(&site, 1, "app", &json!({"HostConfig": host, "Volumes": {"/data": {}}}));
        if !runs {
            site.engines[0].raw("POST", "/containers/app/stop?t=0", None);
        }
        let before = face(&inspect(&site, 1, "app"));
        adopt(&site).expect(2);
        apply_plan(&site).expect(5);
        assert_eq!(face(&inspect(&site, 1, "app")), before);
        assert_eq!(site.containers(1).len(), 1, "{:?}", site.containers(1));
        site.apply().expect(5);
        assert_eq!(face(&inspect(&site, 1, "app")), before, "consent was for one run");
        site.engines[0].raw("DELETE", "/containers/app?force=1&v=1", None);
        site.forget_state();
    }
}

/// A cut in the middle of taking over: the next run goes on with what was agreed to, or nothing was begun.
#[test]
fn a_cut_while_taking_over_is_mended_by_the_next_run() {
    let Some(site) = Site::new(1) else { return };
    site.write("deployments/base.toml", &good("test/app:1"));
    for millis in [0, 150, 250, 350, 450, 550, 700, 900, 1200, 1500] {
        let id = start_by_hand(
            &site,
            1,
            "app",
            &json!({"HostConfig": {"RestartPolicy": {"Name": "always"}}}),
        );
        adopt(&site).expect(2);
        let mut run = site.waiting(&["apply", "--worktree", "plan.json"]);
        run.go();
        std::thread::sleep(std::time::Duration::from_millis(millis));
        run.kill();
        run.ended_by_itself();
        let said = site.apply();
        let now = inspect(&site, 1, "app");
        assert_eq!(now["State"]["Running"], true, "after {millis} ms: {said:?}");
        match said.code {
            0 => assert_eq!(now["Config"]["Labels"]["hoist.module"], "app", "after {millis} ms"),
            _ => assert_eq!(now["Id"], id.as_str(), "after {millis} ms: {said:?}"),
        }
        assert_eq!(site.containers(1).len(), 1, "after {millis} ms: {:?}", site.containers(1));
        site.engines[0].raw("DELETE", "/containers/app?force=1&v=1", None);
        site.forget_state();
    }
}

#[test]
fn another_engine_behind_an_address_is_not_touched_until_it_is_accepted() {
    let Some(site) = Site::new(2) else { return };
    site.delete("devices/d2.toml");
    site.write("deployments/base.toml", &good("test/app:1"));
    site.apply().expect(0);
    let device = site.read("devices/d1.toml");
    let other = device.replace(&site.proxies[0].address(), &site.proxies[1].address());
    site.write("devices/d1.toml", &other);
    let said = site.apply().expect(5);
    assert!(said.stdout.contains("hoist accept-engine d1"), "{}", said.stdout);
    assert_eq!(site.device_status("d1")["status"]["code"], 409);
    assert!(site.containers(2).is_empty(), "nothing was touched");
    // Back again nothing needs to be accepted.
    site.write("devices/d1.toml", &device);
    site.apply().expect(0);
    site.write("devices/d1.toml", &other);
    let said = site.hoist(&["accept-engine", "d1", "--worktree"]).expect(0);
    assert!(said.stdout.contains("is accepted; it holds 0 containers"), "{}", said.stdout);
    site.apply().expect(0);
    assert_eq!(site.containers(2)["app"], "running test/app:1");
    site.apply().expect(0);
    // The former engine is now the other one.
    site.write("devices/d1.toml", &device);
    site.apply().expect(5);
}

#[test]
fn an_engine_with_another_devices_containers_is_held_until_it_is_accepted() {
    let Some(site) = Site::new(1) else { return };
    site.write("deployments/base.toml", &good("test/app:1"));
    site.apply().expect(0);
    let id = inspect(&site, 1, "app")["Id"].clone();
    // A lost store finds its own device again.
    site.forget_state();
    site.apply().expect(0);
    let device = site.read("devices/d1.toml");
    site.delete("devices/d1.toml");
    site.write("devices/twin.toml", &device);
    let said = site.apply().expect(5);
    assert!(said.stdout.contains("containers of device \"d1\""), "{}", said.stdout);
    let said = site.hoist(&["accept-engine", "twin", "--worktree"]).expect(0);
    assert!(said.stdout.contains("some of device d1"), "{}", said.stdout);
    let said = site.apply().expect(5);
    assert!(said.stdout.contains("belongs to device \"d1\" of fleet \"f\""), "{}", said.stdout);
    assert_eq!(inspect(&site, 1, "app")["Id"], id);
    // And they can be taken over.
    adopt(&site).expect(2);
    apply_plan(&site).expect(0);
    assert_eq!(inspect(&site, 1, "app")["Config"]["Labels"]["hoist.device"], "twin");
    site.apply().expect(0);
}

#[test]
fn what_is_ours_goes_with_a_decommissioned_device_and_nothing_else() {
    let Some(site) = Site::new(2) else { return };
    let more = format!("command = {OBEDIENT}\nvolumes = [\"kept:/kept\"]");
    site.write("deployments/base.toml", &base("test/app:1", &more));
    start_by_hand(&site, 1, "stranger", &json!({}));
    site.apply().expect(0);
    let said = site.hoist(&["decommission", "d1", "--worktree", "--yes"]).expect(1);
    assert!(said.stderr.contains("still in the fleet, in devices/d1.toml"), "{}", said.stderr);
    site.delete("devices/d1.toml");
    site.apply().expect(0);
    let said = site.hoist(&["status"]).expect(0);
    assert!(said.stdout.contains("departed") && said.stdout.contains("d1"), "{}", said.stdout);
    let said = site.hoist(&["decommission", "d1", "--worktree"]).expect(1);
    assert!(said.stderr.contains("= help: give --yes\n"), "{}", said.stderr);
    assert_eq!(site.containers(1).len(), 2, "nobody was there to be asked");

    site.engines[0].raw("POST", "/containers/app/rename?name=else", None);
    let said = site.hoist(&["decommission", "d1", "--worktree", "--yes"]).expect(0);
    assert!(said.stdout.contains("d1 is forgotten"), "{}", said.stdout);
    let remains = site.remains(1);
    assert!(remains.contains("stranger") && !remains.contains("app"), "{remains}");
    assert!(remains.ends_with("networks [] volumes 1"), "{remains}");
    assert!(!site.hoist(&["status"]).stdout.contains("departed"));
    let said = site.hoist(&["decommission", "d1", "--worktree", "--yes"]).expect(1);
    assert!(said.stderr.contains("does not know it"), "{}", said.stderr);

    // One that is away stays listed.
    let device = site.read("devices/d2.toml");
    site.write(
        "devices/d2.toml",
        &device.replace(&site.proxies[1].address(), "unix:///nowhere/d.sock"),
    );
    site.apply().expect(4);
    site.delete("devices/d2.toml");
    site.write("devices/d3.toml", "reachable = false\n");
    site.apply();
    // The last way on which it was reached is what counts.
    site.hoist(&[
        "decommission",
        "d2",
        "--worktree",
        "--yes",
        "--engine",
        "unix:///nowhere/d.sock",
    ])
    .expect(4);
    assert!(site.hoist(&["status"]).stdout.contains("departed"));
    site.hoist(&["decommission", "d2", "--worktree", "--yes"]).expect(0);
    assert!(site.containers(2).is_empty());
}

#[test]
fn a_renamed_device_and_fleet_take_everything_along() {
    let Some(site) = Site::new(1) else { return };
    site.write("deployments/base.toml", &good("test/app:1"));
    site.apply().expect(0);
    let device = site.read("devices/d1.toml");
    site.delete("devices/d1.toml");
    site.write("devices/lobby.toml", &format!("formerly = [\"d1\"]\n{device}"));
    let said = site.hoist(&["status", "--format", "json"]).expect(0);
    assert!(!said.stdout.contains("departed\": [{"), "{}", said.stdout);
    site.apply().expect(0);
    let status: Json =
        serde_json::from_str(&site.hoist(&["status", "--format", "json"]).stdout).unwrap();
    assert_eq!(status["devices"].as_array().unwrap().len(), 1, "{status:#}");
    assert!(!site.hoist(&["status"]).stdout.contains("departed"));
    site.forget_requests();
    site.apply().expect(0);
    assert!(site.proxies[0].log().iter().all(|request| !request.is_change()));
    // A change after it replaces the container that bears the former names.
    let fleet = site.read("fleet.toml").replace("name = \"f\"", "name = \"g\"\nformerly = [\"f\"]");
    site.write("fleet.toml", &fleet);
    site.write("deployments/base.toml", &good("test/app:2"));
    site.apply().expect(0);
    let labels = inspect(&site, 1, "app")["Config"]["Labels"].clone();
    assert_eq!((&labels["hoist.fleet"], &labels["hoist.device"]), (&json!("g"), &json!("lobby")));
    assert_eq!(site.containers(1).len(), 1);
    assert_eq!(
        site.remains(1),
        "{\"app\": \"running test/app:2\"} networks [\"hoist-g\"] volumes 1"
    );
    site.apply().expect(0);
}

#[test]
fn two_fleets_on_one_engine_live_in_peace() {
    let (Some(one), fleet) = (Site::new(1), "other") else { return };
    one.write("deployments/base.toml", &good("test/app:1"));
    one.apply().expect(0);
    let before = inspect(&one, 1, "app")["Id"].clone();
    let text = one.read("fleet.toml");
    // The same folder as another fleet with a store of its own, twice named alike.
    one.write("fleet.toml", &text.replace("name = \"f\"", &format!("name = \"{fleet}\"")));
    let state = ["--state", "../other-state"];
    let apply = |more: &[&str]| {
        let arguments = [&["apply", "--worktree", "--yes"], &state[..], more].concat();
        one.hoist(&arguments)
    };
    let said = apply(&[]).expect(5);
    assert!(said.stdout.contains("belongs to device \"d1\" of fleet \"f\""), "{}", said.stdout);
    // Not even by consent: the other fleet would put it back.
    one.hoist(&["adopt", "--worktree", "--out", "plan.json", state[0], state[1]]).expect(5);
    one.write("deployments/base.toml", &good("test/app:1").replace("modules.app", "modules.web"));
    apply(&[]).expect(0);
    assert_eq!(one.containers(1).len(), 2);
    one.write("fleet.toml", &text);
    one.write("deployments/base.toml", &good("test/app:1"));
    one.apply().expect(0);
    assert_eq!(one.containers(1).len(), 2);
    assert_eq!(inspect(&one, 1, "app")["Id"], before);
}

#[test]
fn an_interrupt_takes_back_what_is_half_done_and_a_second_one_leaves_at_once() {
    let Some(site) = Site::new(1) else { return };
    // It does not end before it is killed.
    let slow = |image: &str| {
        let more = "command = [\"sleep\", \"100000\"]\nprobation = \"3s\"\nstop-timeout = \"2s\"";
        base(image, more)
    };
    site.write("deployments/base.toml", &slow("test/app:1"));
    site.apply().expect(0);
    let before = inspect(&site, 1, "app")["Id"].clone();
    site.write("deployments/base.toml", &slow("test/app:2"));
    let interrupt = |pid: u32| {
        let pid = pid.to_string();
        std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    };
    let until_new_is = |state: &str| {
        let begun = std::time::Instant::now();
        while site.containers(1).get("hoist-new-app").is_none_or(|c| !c.starts_with(state)) {
            assert!(begun.elapsed().as_secs() < 30, "it never began");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    };
    // The old one is being stopped: that ends, and then it is started again.
    let mut run = site.apply_on_signal(&[]);
    run.go();
    until_new_is("created");
    interrupt(run.pid());
    assert_eq!(run.exit_code(), Some(4));
    let app = inspect(&site, 1, "app");
    assert_eq!((&app["Id"], &app["State"]["Running"]), (&before, &json!(true)));
    assert_eq!(app["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(site.containers(1).len(), 1, "{:?}", site.containers(1));
    assert_eq!(site.device_status("d1")["status"]["code"], 202);

    // Twice during the probation: nothing is waited for.
    let mut run = site.apply_on_signal(&[]);
    run.go();
    until_new_is("running");
    let begun = std::time::Instant::now();
    interrupt(run.pid());
    std::thread::sleep(std::time::Duration::from_millis(200));
    interrupt(run.pid());
    assert_eq!(run.exit_code(), Some(5));
    assert!(begun.elapsed().as_millis() < 2000, "it waited for the probation");
    site.apply().expect(0);
    assert_eq!(site.containers(1), [("app".to_owned(), "running test/app:2".to_owned())].into());
    // Once: the probation ends, and then it goes back, as there is a way back until the names are settled.
    site.write("deployments/base.toml", &slow("test/app:1"));
    let mut run = site.apply_on_signal(&[]);
    run.go();
    until_new_is("running");
    interrupt(run.pid());
    assert_eq!(run.exit_code(), Some(4));
    assert_eq!(site.containers(1), [("app".to_owned(), "running test/app:2".to_owned())].into());
}

/// Somebody stops it, and what should take its place is blocked: by a name that is taken, by an image that may not be pulled.
#[test]
fn what_is_down_is_up_again_though_its_successor_is_blocked() {
    let Some(site) = Site::new(1) else { return };
    site.write("deployments/base.toml", &good("test/app:1"));
    site.apply().expect(0);
    let before = inspect(&site, 1, "app")["Id"].clone();
    let stranger = start_by_hand(&site, 1, "hoist-new-app", &json!({}));
    let never = format!("command = {OBEDIENT}\nimage-pull-policy = \"never\"");
    for (file, says) in [
        (good("test/app:2"), "container hoist-new-app"),
        (base("test/nowhere:1", &never), "the engine lacks image test/nowhere:1"),
    ] {
        site.engines[0].raw("POST", "/containers/app/stop?t=0", None);
        site.write("deployments/base.toml", &file);
        // It was started a moment ago, too.
        let said = site.hoist(&["apply", "--worktree", "--yes", "--retry"]);
        let app = inspect(&site, 1, "app");
        assert_eq!(app["Id"], before, "{}", said.stdout);
        assert_eq!(app["State"]["Running"], true, "{}", said.stdout);
        assert_eq!(app["HostConfig"]["RestartPolicy"]["Name"], "always");
        let status = site.device_status("d1")["status"]["description"].to_string();
        assert!(status.contains(says) && !status.contains("what it has"), "{status}");
        if says.starts_with("container") {
            assert_eq!(inspect(&site, 1, "hoist-new-app")["Id"], stranger.as_str());
            site.engines[0].raw("DELETE", "/containers/hoist-new-app?force=1", None);
        }
    }
}

/// Engines before 25 make two networks of one name where two callers ask at the same moment.
#[test]
fn a_network_that_is_there_twice_is_settled() {
    let Some(site) = Site::new(1) else { return };
    site.write("deployments/base.toml", &good("test/app:1"));
    site.apply().expect(0);
    let engine = &site.engines[0];
    let list = || {
        let filters = "%7B%22label%22%3A%5B%22hoist.fleet%22%5D%7D";
        engine.raw("GET", &format!("/networks?filters={filters}"), None).json()
    };
    let network = list()[0].clone();
    let twin = json!({"Name": network["Name"], "Labels": network["Labels"]});
    engine.raw("POST", "/networks/create", Some(&twin));
    site.write("deployments/base.toml", &good("test/app:2"));
    site.apply().expect(0);
    assert_eq!(site.containers(1)["app"], "running test/app:2");
    assert_eq!(list().as_array().unwrap().len(), 1, "{}", list());
}

/// Somebody else has a module's name, and its container is kept up under another one: it is still seen for what it is.
#[test]
fn what_is_kept_up_under_another_name_is_still_seen() {
    let Some(site) = Site::new(1) else { return };
    site.write("deployments/base.toml", &good("test/app:1"));
    site.apply().expect(0);
    site.engines[0].raw("POST", "/containers/app/rename?name=hoist-old-app", None);
    start_by_hand(&site, 1, "app", &json!({}));
    site.apply().expect(5);
    let device = site.device_status("d1");
    assert_eq!(device["status"]["code"], 409, "{device:#}");
    let app = device["modules"].as_array().unwrap().iter().find(|m| m["name"] == "app").unwrap();
    assert_eq!(app["status"], "running", "{app:#}");
}
