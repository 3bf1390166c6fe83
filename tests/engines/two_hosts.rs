//! Two control hosts on one engine, and somebody by hand beside one: who is told of what.

use crate::site::{OBEDIENT, Site};
use crate::testbed::proxy::Request;
use serde_json::json;

fn base(image: &str, more: &str) -> String {
    format!(
        "target = \"*\"\npriority = 10\ncreated = 2026-01-05T09:00:00Z\n\
         [modules.app]\nimage = \"{image}\"\n{more}\n"
    )
}

fn good(image: &str) -> String {
    base(image, &format!("command = {OBEDIENT}"))
}

#[test]
fn two_control_hosts_stop_undoing_each_other() {
    let Some(site) = Site::new(1) else { return };
    let (one, two) = (good("test/app:1"), good("test/app:2"));
    let second = ["apply", "--worktree", "--yes", "--state", "../second-state"];
    let mut codes = Vec::new();
    for _ in 0..4 {
        site.write("deployments/base.toml", &one);
        codes.push(site.apply().code);
        site.write("deployments/base.toml", &two);
        codes.push(site.hoist(&second).code);
    }
    // Each finds its work undone in its second, third and fourth run.
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, 5, 0]);
    assert_eq!(site.containers(1)["app"], "running test/app:2");
    site.write("deployments/base.toml", &one);
    let said = site.apply().expect(5);
    assert!(said.stdout.contains("hoist apply --take-over --device d1"), "{}", said.stdout);
    assert_eq!(site.device_status("d1")["status"]["code"], 409);
    site.hoist(&["apply", "--worktree", "--yes", "--take-over", "--device", "d1"]).expect(0);
    assert_eq!(site.containers(1)["app"], "running test/app:1");
    site.apply().expect(0);
}

/// What is stopped while it is in its probation did not fail: another control host is told of as such, and so is anybody else.
#[test]
fn who_stops_a_container_in_its_probation_makes_no_failure_of_the_change() {
    let Some(site) = Site::new(1) else { return };
    // Another number is another container.
    let numbered = |number: u32, more: &str| {
        let more = format!("command = {OBEDIENT}\nenv = {{ NUMBER = \"{number}\" }}\n{more}");
        base("test/app:1", &more)
    };
    let second = ["apply", "--worktree", "--yes", "--state", "../second-state"];
    let begin_trying = |number: u32, more: &str| {
        let long = format!("probation = \"20s\"\nstop-timeout = \"1s\"\n{more}");
        site.write("deployments/base.toml", &numbered(number, &long));
        let mut run = site.apply_on_signal(&[]);
        site.forget_requests();
        run.go();
        let begun = std::time::Instant::now();
        // A second look means that the first is answered: it is known to have been there.
        while looks_since_start(&site) < 2 {
            assert!(begun.elapsed().as_secs() < 30, "it never began");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        run
    };
    let status = || {
        let status = site.device_status("d1")["status"].clone();
        (status["code"].as_u64(), status["description"].to_string())
    };
    site.write("deployments/base.toml", &good("test/app:2"));
    site.apply().expect(0);
    let run = begin_trying(1, "");
    site.write("deployments/base.toml", &good("test/app:2"));
    site.hoist(&second).expect(0);
    assert_eq!(run.exit_code(), Some(5));
    let (code, words) = status();
    assert_eq!(code, Some(409), "{words}");
    assert!(words.contains("app was removed by somebody else while it was tried"), "{words}");
    assert_eq!(site.containers(1)["app"], "running test/app:2");

    // The other one makes what it wants there itself.
    let run = begin_trying(2, "");
    site.write("deployments/base.toml", &numbered(3, ""));
    site.hoist(&second).expect(0);
    assert_eq!(run.exit_code(), Some(5));
    let (code, words) = status();
    assert_eq!(code, Some(409), "{words}");
    assert!(words.contains("works on this device at the same time: app was"), "{words}");

    // Nobody else is there: somebody by hand.
    site.forget_state();
    site.apply().expect(0);
    // One that may end is no better for that.
    for (number, policy) in [(4, ""), (5, "restart-policy = \"on-failure\"")] {
        let run = begin_trying(number, policy);
        let no = json!({"RestartPolicy": {"Name": "no"}});
        assert_eq!(
            site.engines[0].raw("POST", "/containers/hoist-new-app/update", Some(&no)).status,
            200
        );
        assert_eq!(
            site.engines[0].raw("POST", "/containers/hoist-new-app/stop?t=1", None).status,
            204
        );
        assert_eq!(run.exit_code(), Some(5));
        let (code, words) = status();
        assert_eq!(code, Some(409), "{words}");
        assert!(
            words.contains("app was stopped by somebody else: it ended with code 0"),
            "{words}"
        );
    }
}

/// How often a container was looked at since the last start of one.
fn looks_since_start(site: &Site) -> usize {
    let log = site.proxies[0].log();
    let is_start = |request: &Request| request.path.ends_with("/start");
    let Some(started) = log.iter().rposition(is_start) else { return 0 };
    let is_look = |request: &&Request| {
        let path = &request.path;
        request.method == "GET" && path.contains("/containers/") && path.ends_with("/json")
    };
    log[started..].iter().filter(is_look).count()
}

/// A daemon of another control host removes what this one made before it is even started, and puts back what was there, which both
/// have known for long. Or what was there is of a store that was lost, and something tidies up: nobody is accused who may not exist.
#[test]
fn who_removes_a_container_before_it_is_started_may_be_another_control_host() {
    let Some(site) = Site::new(1) else { return };
    let second = ["apply", "--worktree", "--yes", "--state", "../second-state"];
    let slow = |image: &str| {
        let more = "command = [\"sleep\", \"1000\"]\nstop-timeout = \"3s\"";
        site.write("deployments/base.toml", &base(image, more));
    };
    slow("test/app:1");
    site.hoist(&second).expect(0);
    site.apply().expect(0);
    slow("test/app:2");
    // Once may have been anybody. From the second time in a row on it is said who may be asked for.
    let again = "before it had come up, again; if another control host (";
    for (extra, words) in [
        (&[][..], "app (as hoist-new-app) was removed by somebody else before it had come up\""),
        (&["--retry"][..], again),
        (&["--retry"][..], again),
        (&["--retry"][..], again),
    ] {
        let mut run = site.apply_on_signal(extra);
        site.forget_requests();
        run.go();
        let begun = std::time::Instant::now();
        while !site.proxies[0].log().iter().any(|request| request.path.contains("/stop")) {
            assert!(begun.elapsed().as_secs() < 30, "{:?}", site.device_status("d1")["status"]);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let new = "/containers/hoist-new-app?force=1";
        assert_eq!(site.engines[0].raw("DELETE", new, None).status, 204);
        assert_eq!(run.exit_code(), Some(5));
        assert_eq!(site.containers(1)["app"], "running test/app:1");
        let status = site.device_status("d1")["status"].clone();
        assert_eq!(status["code"], 409, "{status}");
        let said = status["description"].to_string();
        assert!(said.contains(words), "{said}");
    }
    site.hoist(&["apply", "--worktree", "--yes", "--retry"]).expect(0);
    assert_eq!(site.containers(1)["app"], "running test/app:2");
}
