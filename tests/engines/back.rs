//! What fails on real engines: the module that worked runs on, others go on, the words say why; and the way
//! back within keep-previous.

use crate::site::{OBEDIENT, Site};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};

fn base(app: &str) -> String {
    format!(
        "target = \"*\"\npriority = 10\n[modules.app]\nstop-timeout = \"1s\"\n{app}\n\
         [modules.other]\nimage = \"test/other:1\"\ncommand = {OBEDIENT}\n"
    )
}

fn good(image: &str) -> String {
    base(&format!("image = \"{image}\"\ncommand = {OBEDIENT}\nports = [\"127.0.0.1:18320:80\"]"))
}

fn words(site: &Site) -> String {
    site.device_status("d1")["status"]["description"].as_str().unwrap().to_owned()
}

/// What fails, the module that does, the code, and words that must be said.
fn failures() -> Vec<(&'static str, String, u16, Vec<&'static str>)> {
    let sh = |script: &str| format!("command = [\"sh\", \"-c\", \"{script}\"]");
    let port = "ports = [\"127.0.0.1:18320:80\"]";
    let health = |command: &str| {
        format!(
            "image = \"test/app:1\"\ncommand = {OBEDIENT}\nhealth = {{ command = [{command}], interval = \"200ms\", timeout = \"1s\", retries = 1 }}"
        )
    };
    vec![
        (
            "ends at once",
            format!("image = \"test/app:1\"\n{}\n{port}", sh("echo broken; exit 3")),
            500,
            vec!["app: app ends again and again, last with code 3; its last words: broken"],
        ),
        ("is unhealthy", health("\"CMD\", \"false\""), 500, vec!["unhealthy"]),
        (
            "has a check that is not there",
            health("\"CMD\", \"/no/such/check\""),
            500,
            vec!["unhealthy"],
        ),
        (
            "has no image",
            format!("image = \"127.0.0.1:9/nowhere:1\"\n{port}"),
            424,
            vec!["does not reach the registry"],
        ),
        (
            "wants a port of the machine",
            format!(
                "image = \"test/app:1\"\ncommand = {OBEDIENT}\nports = [\"127.0.0.1:18321:80\"]"
            ),
            409,
            vec!["could not start app (as hoist-new-app): ", "address already in use"],
        ),
        (
            "has an option that is refused",
            format!(
                "image = \"test/app:1\"\n{port}\n[modules.app.create-options]\nHostConfig = {{ CpusetCpus = \"999\" }}"
            ),
            422,
            vec!["could not create"],
        ),
        (
            "has a volume of an unknown driver",
            format!(
                "image = \"test/app:1\"\n{port}\n[modules.app.create-options]\nHostConfig = {{ Mounts = [{{ Type = \"volume\", Source = \"v\", Target = \"/v\", VolumeOptions = {{ DriverConfig = {{ Name = \"nosuch\" }} }} }}] }}"
            ),
            422,
            vec!["nosuch"],
        ),
        (
            "has a command that is not there",
            format!("image = \"test/app:1\"\ncommand = [\"/no/such/program\"]\n{port}"),
            422,
            vec!["could not start app (as hoist-new-app): ", "no such file"],
        ),
    ]
}

/// One kind of failure after the other, each on the same module that works.
#[test]
fn whatever_a_change_fails_of_the_module_that_worked_runs_on() {
    let Some(site) = Site::new(1) else { return };
    let engine = &site.engines[0];
    site.write("deployments/base.toml", &good("test/app:1"));
    site.apply().expect(0);
    let before = engine.inspect("app");
    let taken = std::net::TcpListener::bind("127.0.0.1:18321").unwrap();
    for (what, app, code, says) in failures() {
        site.write("deployments/base.toml", &base(&app));
        // The other module changes with it, and goes on.
        site.write(
            "deployments/side.toml",
            &format!(
                "kind = \"layered\"\ntarget = \"*\"\npriority = 20\n[modules.other]\npatch = true\nenv = {{ WHAT = \"{what}\" }}\n"
            ),
        );
        let said = site.apply().expect(5);
        let after = engine.inspect("app");
        assert_eq!(after["Id"], before["Id"], "{what}: {}", said.stdout);
        assert_eq!(after["State"]["Running"], true, "{what}: {}", said.stdout);
        assert_eq!(after["HostConfig"]["RestartPolicy"]["Name"], "always", "{what}");
        let status = site.device_status("d1");
        assert_eq!(status["status"]["code"], code, "{what}: {}", status["status"]);
        for word in says {
            assert!(words(&site).contains(word), "{what}: {word} in {}", words(&site));
        }
        let other = engine.inspect("other");
        let env = other["Config"]["Env"].as_array().unwrap();
        assert!(env.contains(&json!(format!("WHAT={what}"))), "{what}: {}", said.stdout);
        assert_eq!(site.containers(1).len(), 2, "{what}: {:?}", site.containers(1));
    }
    drop(taken);
    // What failed waits, and says so, but for somebody who knows better; what is right again goes on at once.
    let said = site.apply().expect(5);
    assert!(said.stdout.contains("not tried again before"), "{}", said.stdout);
    let said = site.hoist(&["apply", "--worktree", "--yes", "--retry"]).expect(5);
    assert!(said.stdout.contains("± app   replace   failed"), "{}", said.stdout);
    site.write("deployments/base.toml", &good("test/app:1"));
    site.apply().expect(0);
    assert_eq!(engine.inspect("app")["Id"], before["Id"]);
}

/// A successor that comes up and then ends again and again: the container before it takes its place.
#[test]
fn a_crash_loop_within_keep_previous_goes_back() {
    let Some(site) = Site::new(1) else { return };
    let engine = &site.engines[0];
    let data = "create-options = { Volumes = { \"/data\" = {} } }\nkeep-previous = \"5m\"";
    let looping = "command = [\"sh\", \"-c\", \"sleep 0.8; exit 4\"]";
    site.write(
        "deployments/base.toml",
        &base(&format!("image = \"test/app:1\"\n{data}\ncommand = {OBEDIENT}")),
    );
    site.apply().expect(0);
    let first = engine.inspect("app")["Id"].clone();
    exec(engine, "app", "echo kept > /data/file");
    site.write(
        "deployments/base.toml",
        &base(&format!("image = \"test/app:2\"\n{data}\n{looping}")),
    );
    site.apply().expect(0);
    let names: Vec<String> = site.containers(1).into_keys().collect();
    assert_eq!(names, ["app", "hoist-old-app", "other"]);
    assert_eq!(engine.inspect("hoist-old-app")["HostConfig"]["RestartPolicy"]["Name"], "no");
    wait_until("three restarts", || engine.inspect("app")["RestartCount"].as_u64() >= Some(3));
    let said = site.apply().expect(5);
    assert!(
        said.stdout.contains("goes back to the previous container: crash loop"),
        "{}",
        said.stdout
    );
    let app = engine.inspect("app");
    assert_eq!((&app["Id"], &app["State"]["Running"]), (&first, &json!(true)));
    assert_eq!(app["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(exec(engine, "app", "cat /data/file"), "kept");
    let said = site.apply().expect(5);
    assert!(said.stdout.contains("not tried again before"), "{}", said.stdout);
    assert_eq!(site.device_status("d1")["status"]["code"], 500);
    assert_eq!(site.containers(1).len(), 2);
}

/// What a module keeps in a volume that nobody named outlives its container, also the removal of the old one.
#[test]
fn an_anonymous_volume_outlives_its_container() {
    let Some(site) = Site::new(1) else { return };
    let engine = &site.engines[0];
    let app = |image: &str| {
        base(&format!(
            "image = \"{image}\"\ncommand = {OBEDIENT}\ncreate-options = {{ Volumes = {{ \"/data\" = {{}} }} }}"
        ))
    };
    site.write("deployments/base.toml", &app("test/app:1"));
    site.apply().expect(0);
    exec(engine, "app", "echo kept > /data/file");
    for image in ["test/app:2", "test/app:1"] {
        site.write("deployments/base.toml", &app(image));
        site.apply().expect(0);
        assert_eq!(exec(engine, "app", "cat /data/file"), "kept", "{image}");
    }
}

/// Two modules exchange their ports in one change.
#[test]
fn ports_are_exchanged_in_one_change() {
    let Some(site) = Site::new(1) else { return };
    let two = |first: u16, second: u16| {
        format!(
            "target = \"*\"\n\
             [modules.aa]\nimage = \"test/app:1\"\ncommand = {OBEDIENT}\nports = [\"127.0.0.1:{first}:80\"]\n\
             [modules.bb]\nimage = \"test/app:1\"\ncommand = {OBEDIENT}\nports = [\"127.0.0.1:{second}:80\"]\n"
        )
    };
    site.write("deployments/base.toml", &two(18_322, 18_323));
    site.apply().expect(0);
    site.write("deployments/base.toml", &two(18_323, 18_322));
    site.apply().expect(0);
    for (name, port) in [("aa", "18323"), ("bb", "18322")] {
        let inspected = site.engines[0].inspect(name);
        assert_eq!(inspected["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"], port);
    }
    site.forget_requests();
    site.apply().expect(0);
    assert!(site.proxies[0].log().iter().all(|request| !request.is_change()));
}

/// A network that was removed and made again while its container was down.
#[test]
fn a_network_made_anew_is_met_by_a_replace() {
    let Some(site) = Site::new(1) else { return };
    let engine = &site.engines[0];
    site.write(
        "deployments/base.toml",
        &format!(
            "target = \"*\"\n[modules.app]\nimage = \"test/app:1\"\ncommand = {OBEDIENT}\nnetworks = [\"one\"]\n"
        ),
    );
    site.apply().expect(0);
    engine.raw("POST", "/containers/app/update", Some(&json!({"RestartPolicy": {"Name": "no"}})));
    engine.raw("POST", "/containers/app/stop?t=1", None);
    engine.raw("DELETE", "/networks/one", None);
    engine.raw("POST", "/networks/create", Some(&json!({"Name": "one", "CheckDuplicate": true})));
    let said = site.apply().expect(0);
    assert!(said.stdout.contains("is not the one that it was made on"), "{}", said.stdout);
    assert_eq!(site.containers(1)["app"], "running test/app:1");
}

/// What is set in place, and what needs a new container.
#[test]
fn settings_are_set_in_place_and_limits_lifted_by_a_new_container() {
    let Some(site) = Site::new(1) else { return };
    let engine = &site.engines[0];
    let app =
        |settings: &str| base(&format!("image = \"test/app:1\"\ncommand = {OBEDIENT}\n{settings}"));
    site.write("deployments/base.toml", &app(""));
    site.apply().expect(0);
    let mut id = engine.inspect("app")["Id"].clone();
    let megabytes = |n: u64| json!(n << 20);
    for (settings, keeps, policy, memory, cpus) in [
        ("memory = \"64MiB\"\ncpus = 0.5", true, "always", 64, 500_000_000_u64),
        ("memory = \"128MiB\"\ncpus = 1", true, "always", 128, 1_000_000_000),
        (
            "memory = \"32MiB\"\ncpus = 0.25\nrestart-policy = \"on-failure\"",
            true,
            "on-failure",
            32,
            250_000_000,
        ),
        (
            "memory = \"32MiB\"\ncpus = 0.25\nrestart-policy = \"never\"",
            true,
            "no",
            32,
            250_000_000,
        ),
        ("cpus = 0.25\nrestart-policy = \"on-unhealthy\"", false, "always", 0, 250_000_000),
        ("restart-policy = \"always\"", false, "always", 0, 0),
    ] {
        site.write("deployments/base.toml", &app(settings));
        site.apply().expect(0);
        let seen = engine.inspect("app");
        assert_eq!(seen["Id"] == id, keeps, "{settings}");
        id = seen["Id"].clone();
        let host = &seen["HostConfig"];
        assert_eq!(host["RestartPolicy"]["Name"], policy, "{settings}");
        assert_eq!(host["Memory"], megabytes(memory), "{settings}");
        assert_eq!(host["MemorySwap"], megabytes(2 * memory), "{settings}");
        assert_eq!(host["NanoCpus"], json!(cpus), "{settings}");
        site.forget_requests();
        site.apply().expect(0);
        assert!(site.proxies[0].log().iter().all(|request| !request.is_change()), "{settings}");
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs a shell command in a container; its output, without the engine's frames.
pub(crate) fn exec(engine: &crate::testbed::Dockerd, container: &str, script: &str) -> String {
    let body = json!({"Cmd": ["sh", "-c", script], "AttachStdout": true, "AttachStderr": true});
    let made: Json =
        engine.raw("POST", &format!("/containers/{container}/exec"), Some(&body)).json();
    let id = made["Id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let answer = engine.raw(
        "POST",
        &format!("/exec/{id}/start"),
        Some(&json!({"Detach": false, "Tty": true})),
    );
    answer.text.trim().to_owned()
}
