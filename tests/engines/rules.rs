//! What goes and what stays when deployments go; what one bad device or one bad file does to the others.

use crate::site::{OBEDIENT, Site};
use crate::testbed::programs::wait_for;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Command;

fn deployment(kind: &str, priority: u32, module: &str) -> String {
    format!(
        "{kind}target = \"*\"\npriority = {priority}\n\
         [modules.{module}]\nimage = \"test/app:1\"\ncommand = {OBEDIENT}\n"
    )
}

/// The source's example: base A, layers O and M.
#[test]
fn a_deleted_layer_takes_its_modules_and_a_deleted_base_leaves_them() {
    let Some(site) = Site::new(1) else { return };
    site.write("deployments/a.toml", &deployment("", 10, "from-a"));
    site.write("deployments/o.toml", &deployment("kind = \"layered\"\n", 20, "from-o"));
    site.write("deployments/m.toml", &deployment("kind = \"layered\"\n", 30, "from-m"));
    site.apply().expect(0);
    let names = |site: &Site| site.containers(1).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&site), ["from-a", "from-m", "from-o"]);

    site.delete("deployments/m.toml");
    site.apply().expect(0);
    assert_eq!(names(&site), ["from-a", "from-o"]);

    // Without a base nothing is removed, and what is there is still enforced.
    site.delete("deployments/a.toml");
    let said = site.apply().expect(0);
    assert!(
        said.stdout.contains("1 device as desired") || said.stdout.contains("retained"),
        "{}",
        said.stdout
    );
    assert_eq!(names(&site), ["from-a", "from-o"]);
    site.engines[0].raw("DELETE", "/containers/from-o?force=1&v=1", None);
    site.apply().expect(0);
    assert_eq!(names(&site), ["from-a", "from-o"]);

    // An empty base removes them all.
    site.delete("deployments/o.toml");
    site.write("deployments/empty.toml", "target = \"*\"\n");
    site.apply().expect(0);
    assert_eq!(site.remains(1), "{} networks [] volumes 0");
}

#[test]
fn an_engine_that_is_away_holds_up_nobody_and_a_bad_fleet_touches_nothing() {
    let Some(site) = Site::new(2) else { return };
    site.write(
        "devices/away.toml",
        "engine = \"unix:///nonexistent/engine.sock\"\n[tags]\nring = 9\n",
    );
    site.write("devices/closed.toml", "engine = \"tcp://127.0.0.1:9\"\n[tags]\nring = 9\n");
    site.write("deployments/base.toml", &deployment("", 10, "app"));
    let said = site.apply().expect(4);
    assert!(said.stdout.contains("2 as desired, 2 pending"), "{}", said.stdout);
    for n in 1..=2 {
        assert_eq!(site.containers(n).into_keys().collect::<Vec<_>>(), ["app"]);
    }
    assert_eq!(site.device_status("away")["status"]["code"], 406);

    let before = [site.remains(1), site.remains(2)];
    site.write(
        "deployments/base.toml",
        "target = \"*\"\npriority = \n[modules.app]\nimgae = \"x\"\n",
    );
    site.forget_requests();
    site.apply().expect(1);
    assert!(site.proxies.iter().all(|proxy| proxy.log().is_empty()), "no engine is asked");
    assert_eq!([site.remains(1), site.remains(2)], before);
}

#[test]
fn a_failed_change_leaves_the_module_that_worked() {
    let Some(site) = Site::new(1) else { return };
    let good = deployment("", 10, "app");
    site.write("deployments/base.toml", &good);
    site.apply().expect(0);
    let before = site.engines[0].inspect("app");
    for (bad, code) in [
        (good.replace("test/app:1", "test/nowhere:1"), 424),
        (good.replace(OBEDIENT, r#"["/no/such/program"]"#), 422),
        (
            good.replace("test/app:1", "test/crash:1")
                .replace(OBEDIENT, r#"["sh", "-c", "exit 3"]"#),
            500,
        ),
    ] {
        site.write("deployments/base.toml", &bad);
        let said = site.apply().expect(5);
        let after = site.engines[0].inspect("app");
        assert_eq!(after["Id"], before["Id"], "{}", said.stdout);
        assert_eq!(after["State"]["Running"], true, "{}", said.stdout);
        assert_eq!(after["HostConfig"]["RestartPolicy"]["Name"], "always");
        assert_eq!(site.containers(1).len(), 1, "{}", said.stdout);
        assert_eq!(site.device_status("d1")["status"]["code"], code, "{}", said.stdout);
    }
    site.write("deployments/base.toml", &good);
    site.apply().expect(0);
    assert_eq!(site.engines[0].inspect("app")["Id"], before["Id"]);
}

#[test]
fn a_renamed_fleet_keeps_its_containers_and_a_renamed_device_makes_them_again() {
    let Some(site) = Site::new(1) else { return };
    site.write("deployments/base.toml", &deployment("", 10, "app"));
    site.apply().expect(0);
    let before = site.engines[0].inspect("app")["Id"].clone();
    let device = site.read("devices/d1.toml");
    site.delete("devices/d1.toml");
    // Without a word on its former name its engine might be another device's.
    site.write("devices/lobby.toml", &device);
    let said = site.apply().expect(5);
    assert!(said.stdout.contains("formerly = [\"d1\"]"), "{}", said.stdout);
    let fleet = site.read("fleet.toml").replace("name = \"f\"", "name = \"g\"\nformerly = [\"f\"]");
    site.write("fleet.toml", &fleet);
    site.delete("devices/lobby.toml");
    site.write("devices/d1.toml", &device);
    site.apply().expect(0);
    assert_eq!(site.engines[0].inspect("app")["Id"], before, "another name of the fleet");
    site.delete("devices/d1.toml");
    site.write("devices/lobby.toml", &format!("formerly = [\"d1\"]\n{device}"));
    // A device's modules know its id, and `diff` says that they are made again.
    let said = site.apply().expect(0);
    assert!(said.stdout.contains("± app   replace   (its device was d1 when it was made)"));
    let app = site.engines[0].inspect("app");
    assert!(app["Config"]["Env"].to_string().contains("HOIST_DEVICE_ID=lobby"), "{app}");
    assert_eq!(site.device_status("lobby")["status"]["code"], 200);
    site.apply().expect(0);
    assert_eq!(site.engines[0].inspect("app")["Id"], app["Id"]);
    // It leaves before its containers bear its last name: they are its own all the same.
    site.delete("devices/lobby.toml");
    site.write("devices/hall.toml", &format!("formerly = [\"lobby\"]\n{device}"));
    site.hoist(&["pause", "hall", "--reason", "moves"]).expect(0);
    site.apply().expect(4);
    site.delete("devices/hall.toml");
    site.apply().expect(0);
    let said = site.hoist(&["decommission", "hall", "--worktree", "--yes"]).expect(0);
    assert!(said.stdout.contains("- app   remove"), "{}", said.stdout);
    // Also what bears the device's first name.
    assert_eq!(site.remains(1), "{} networks [] volumes 0");
}

/// A new module in its probation, for which another one was stopped: Ctrl-C and SIGTERM take it back, and that one runs.
#[test]
fn a_signal_takes_back_what_is_half_done() {
    let Some(site) = Site::new(1) else { return };
    let module =
        |name: &str| deployment("", 10, name) + "volumes = [\"data:/data\"]\nprobation = \"10m\"\n";
    site.write("deployments/base.toml", &module("former"));
    site.apply().expect(0);
    let former = site.engines[0].inspect("former")["Id"].clone();
    site.write("deployments/base.toml", &module("next"));
    for signal in ["-INT", "-TERM"] {
        let mut run = site.apply_on_signal(&[]);
        run.go();
        wait_for("the next one", || {
            site.containers(1).get("next").is_some_and(|next| next.starts_with("running"))
        });
        let pid = run.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_eq!(run.exit_code(), Some(4), "{signal}");
        let names: Vec<String> = site.containers(1).into_keys().collect();
        assert_eq!(names, ["former"], "{signal}");
        let after = site.engines[0].inspect("former");
        assert_eq!(after["Id"], former, "{signal}");
        assert_eq!(after["State"]["Running"], true, "{signal}");
        assert_eq!(after["HostConfig"]["RestartPolicy"]["Name"], "always", "{signal}");
    }
}

/// A module that is renamed together with a change that does not work: what worked runs on, alone, and is not removed.
#[test]
fn a_renamed_module_that_fails_leaves_the_one_that_worked() {
    let Some(site) = Site::new(1) else { return };
    let shared = "volumes = [\"data:/data\"]\n";
    site.write("deployments/base.toml", &(deployment("", 10, "former") + shared));
    site.apply().expect(0);
    let former = site.engines[0].inspect("former")["Id"].clone();
    let crash = deployment("", 10, "next").replace("test/app:1", "test/crash:1");
    let crash = crash.replace(OBEDIENT, r#"["sh", "-c", "exit 3"]"#) + shared;
    site.write("deployments/base.toml", &crash);
    for _ in 0..2 {
        let said = site.apply().expect(5);
        assert_eq!(
            site.containers(1).into_keys().collect::<Vec<_>>(),
            ["former"],
            "{}",
            said.stdout
        );
        let after = site.engines[0].inspect("former");
        assert_eq!((&after["Id"], &after["State"]["Running"]), (&former, &true.into()));
        assert_eq!(site.device_status("d1")["status"]["code"], 500, "{}", said.stdout);
    }
    site.write("deployments/base.toml", &(deployment("", 10, "next") + shared));
    site.apply().expect(0);
    assert_eq!(site.containers(1).into_keys().collect::<Vec<_>>(), ["next"]);
}

#[test]
fn an_engine_is_reached_over_loopback_tcp_too() {
    let Some(site) = Site::new(1) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = site.engines[0].socket();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let engine = UnixStream::connect(&socket).unwrap();
            relay(client.try_clone().unwrap(), engine.try_clone().unwrap());
            relay(engine, client);
        }
    });
    site.write("devices/d1.toml", &format!("engine = \"tcp://127.0.0.1:{port}\"\n"));
    site.write("deployments/base.toml", &deployment("", 10, "app"));
    site.apply().expect(0);
    assert_eq!(site.containers(1)["app"], "running test/app:1");
    site.apply().expect(0);
}

/// Copies one direction until it ends.
fn relay(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static) {
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
}
