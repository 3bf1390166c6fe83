//! Phases on real engines: a canary whose image crash-loops, and one whose engine falls silent.

use crate::http::get;
use crate::notices::Hook;
use crate::place::Place;
use crate::testbed::{Dockerd, dockerds, kill};
use hoist::model::Timestamp;
use std::process::Command;

fn fleet(timeout: &str) -> String {
    format!(
        "name = \"shop\"\n[defaults]\nprobation = \"1s\"\nstop-timeout = \"1s\"\n[guards]\nmax-devices-disrupted = \"100%\"\n\
         [rollout]\nsoak = \"2s\"\ntimeout = \"{timeout}\"\n\
         [[rollout.phases]]\nname = \"canary\"\ntarget = \"tags.ring = 'canary'\"\n"
    )
}

fn base(image: &str) -> String {
    format!(
        "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:{image}\"\nimage-pull-policy = \"never\"\n"
    )
}

fn runs(engine: &Dockerd, image: &str) -> bool {
    let answer = engine.raw("GET", "/containers/web/json", None);
    answer.status == 200 && {
        let json = answer.json();
        json["Config"]["Image"] == format!("web:{image}") && json["State"]["Running"] == true
    }
}

/// Three engines; the first is the canary's.
fn place(engines: &[Dockerd], timeout: &str) -> Place {
    for engine in engines {
        for tag in ["1", "2"] {
            engine.load_image(&format!("web:{tag}"), &[], &["/bin/sleep", "3600"]);
        }
        engine.load_image("web:bad", &[], &["/bin/false"]);
    }
    let mut place =
        Place::new(&[("fleet.toml", &fleet(timeout)), ("deployments/base.toml", &base("1"))]);
    place.simulated = false;
    let mut allow = Vec::new();
    for (number, engine) in engines.iter().enumerate() {
        let ring = if number == 0 { "canary" } else { "wide" };
        let device = format!("engine = \"{}\"\ntags.ring = \"{ring}\"\n", engine.address());
        place.put(&format!("devices/till-{number}.toml"), &device);
        allow.push(format!("\"{}\"", engine.address()));
    }
    std::fs::write(
        place.path("hoist.toml"),
        format!("[engines]\nallow = [{}]\n", allow.join(", ")),
    )
    .expect("a file");
    place.commit(&[]);
    place
}

/// How many devices the base targets, on how many it succeeds and fails, and how many do not have it.
fn counts(place: &Place) -> [i64; 4] {
    let output = place
        .hoist(&["status", "--format", "json", "-C"])
        .arg(place.fleet())
        .output()
        .expect("it runs");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    ["targeted", "success", "failure", "pending"]
        .map(|key| json["deployments"][0][key].as_i64().unwrap_or(-1))
}

/// When the container of a module was made, as its engine says.
fn made(engine: &Dockerd, module: &str) -> String {
    let answer = engine.raw("GET", &format!("/containers/{module}/json"), None);
    answer.json()["Created"].as_str().unwrap_or_default().to_owned()
}

fn status(place: &Place) -> (String, String) {
    let output = place
        .hoist(&["rollout", "status", "--format", "json", "-C"])
        .arg(place.fleet())
        .output()
        .expect("it runs");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let word = |key: &str| json["rollout"][key].as_str().unwrap_or_default().to_owned();
    (word("state"), word("reason"))
}

fn device_code(place: &Place, device: &str) -> i64 {
    let output = place.hoist(&["status", "--device", device, "--format", "json", "-C"]);
    let output = { output }.arg(place.fleet()).output().expect("it runs");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    json["devices"][0]["status"]["code"].as_i64().unwrap_or_default()
}

/// Ids of the containers of an engine: they stay the same where nothing is changed.
fn containers(engine: &Dockerd) -> Vec<String> {
    let all = engine.raw("GET", "/containers/json?all=1", None).json();
    let ids = all.as_array().expect("a list").iter();
    ids.map(|container| container["Id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn an_image_that_crash_loops_reaches_the_canary_alone_and_goes_back() {
    let Some(engines) = dockerds(3) else { return };
    let place = place(&engines, "1h");
    let hook = Hook::open(&["200 OK"]);
    let settings = std::fs::read_to_string(place.path("hoist.toml")).expect("a file");
    let notify = format!("[notify.ops]\nurl = \"http://{}/\"\n", hook.address);
    std::fs::write(place.path("hoist.toml"), settings + &notify).expect("a file");
    let daemon = place.watch(&["--resync", "1h"]);
    place.until("the first commit", || engines.iter().all(|engine| runs(engine, "1")));
    place.until("recorded", || (0..3).all(|n| place.has(&format!("till-{n}"), "web:1")));
    let others: Vec<_> = engines[1..].iter().map(containers).collect();

    place.commit(&[("deployments/base.toml", &base("bad"))]);
    place.until("it goes back", || status(&place).0 == "rolled back");
    assert!(
        status(&place).1.starts_with("canary: 1 of 1 failed: till-0: web: "),
        "{:?}",
        status(&place)
    );
    place.until("the canary is as it was", || {
        runs(&engines[0], "1") && place.has("till-0", "web:1")
    });
    place.until("it has what it had, and nobody what failed", || counts(&place) == [3, 0, 0, 3]);
    let ends = |word: &str| {
        let rollouts = hook.came().into_iter().filter(|one| one.body["event"] == "rollout");
        rollouts.filter(|one| one.body.to_string().contains(word)).count()
    };
    place.until("it is told", || ends("is rolled back") == 1);
    // A commit that changes nothing here: what failed is not tried again.
    let again = place.commit(&[("notes.md", "words")]);
    place.until("accepted", || place.accepted().as_ref() == Some(&again));
    assert_eq!(status(&place).0, "rolled back");
    assert_eq!(
        engines[1..].iter().map(containers).collect::<Vec<_>>(),
        others,
        "nobody else changed"
    );

    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("what is mended goes to all", || engines.iter().all(|engine| runs(engine, "2")));
    place.until("the end", || status(&place).0 == "done");
    place.until("all have it", || counts(&place) == [3, 3, 0, 0]);
    place.until("that is told as well", || ends("") == 2);
    assert_eq!(ends("is rolled back"), 1);
    assert_eq!(daemon.stop(), 0);
    assert!(engines.iter().all(|engine| containers(engine).len() == 1));
}

#[test]
fn nobody_else_changes_where_the_canary_falls_silent_after_the_change_or_was_off_before() {
    let Some(engines) = dockerds(3) else { return };
    let place = place(&engines, "3s");
    let daemon = place.watch(&["--resync", "2s"]);
    place.until("the first commit", || engines.iter().all(|engine| runs(engine, "1")));
    place.until("recorded", || (0..3).all(|n| place.has(&format!("till-{n}"), "web:1")));
    let others: Vec<_> = engines[1..].iter().map(containers).collect();
    let unchanged = || engines[1..].iter().map(containers).collect::<Vec<_>>() == others;

    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the canary has it", || runs(&engines[0], "2"));
    let pid = engines[0].pid().to_string();
    let signal = |name: &str| {
        Command::new("kill").args([name, &pid]).status().expect("kill is there");
    };
    signal("-STOP");
    place.until("it goes back", || status(&place).0 == "rolled back");
    assert!(unchanged(), "{:?}", status(&place));
    // What it runs nobody knows: it is not called as desired because it was so before.
    let code = || device_code(&place, "till-0");
    assert!(matches!(code(), 202 | 406), "{}", code());
    signal("-CONT");
    place.until("the canary is back when it answers again", || runs(&engines[0], "1"));
    place.until("recorded", || place.has("till-0", "web:1"));

    // All canaries are off: it waits, and says so.
    kill(engines[0].pid());
    place.until("the canary is known to be away", || {
        place.device("till-0").is_some_and(|stored| stored.status.code == 406)
    });
    let other = base("2").replace("[modules.web]", "[modules.web]\nenv.A = \"1\"");
    place.commit(&[("deployments/base.toml", &other)]);
    place.until("it waits", || status(&place).0 == "waiting");
    assert_eq!(status(&place).1, "canary waits: 1 of 1 do not answer (till-0)");
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert!(unchanged());
    assert_eq!(daemon.stop(), 0);
}

/// An engine that hangs answered when it was looked at last: it is asked again before it is let in.
#[test]
fn a_canary_that_hangs_is_not_let_in() {
    let Some(engines) = dockerds(3) else { return };
    let place = place(&engines, "1h");
    let daemon = place.watch(&["--resync", "1h"]);
    place.until("the first commit", || engines.iter().all(|engine| runs(engine, "1")));
    place.until("recorded", || (0..3).all(|n| place.has(&format!("till-{n}"), "web:1")));
    // Who answered in the last ten seconds is let in without being asked: any look in between begins them anew.
    let address = crate::http::address(&place);
    let now = || Place::now().seconds;
    let last_contact = || {
        let json = get(&address, "/api/v1/devices/till-0").json();
        Timestamp::parse(json["last_contact"].as_str().unwrap_or_default()).map(|at| at.seconds)
    };
    place.until("nobody looked for long", || last_contact().is_ok_and(|at| now() >= at + 12));
    let pid = engines[0].pid().to_string();
    let signal = |name: &str| {
        Command::new("kill").args([name, &pid]).status().expect("kill is there");
    };
    signal("-STOP");
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("it says so", || {
        status(&place).1.contains("1 of 1 were asked and are silent (till-0: no answer since 20")
    });
    assert_eq!(status(&place).0, "waiting");
    let is_admitted = || {
        let history = place.store().expect("a store").history(&Default::default());
        history.expect("readable").iter().any(|entry| entry.action == "admit")
    };
    place.until("the look has failed", || {
        status(&place).1 == "canary waits: 1 of 1 do not answer (till-0)"
    });
    assert!(!is_admitted());
    signal("-CONT");
    place.until("it goes on", || engines.iter().all(|engine| runs(engine, "2")));
    assert_eq!(daemon.stop(), 0);
}

/// Whatever makes devices change, the canary's engine has the new container, and it soaks, before another makes one.
#[test]
fn whatever_the_cause_the_canarys_engine_goes_first() {
    let Some(engines) = dockerds(3) else { return };
    let place = place(&engines, "1h");
    let layer = |target: &str, tag: u32| {
        format!(
            "kind = \"layered\"\ntarget = \"{target}\"\npriority = 60\n[modules.extra]\nimage = \"web:{tag}\"\n\
             image-pull-policy = \"never\"\n"
        )
    };
    let other =
        |priority: u32| base("2").replace("priority = 10", &format!("priority = {priority}"));
    place.commit(&[("deployments/extra.toml", &layer("tags.ring = 'none'", 1))]);
    let daemon = place.watch(&["--resync", "1h"]);
    place.until("the first commit", || engines.iter().all(|engine| runs(engine, "1")));
    place.until("recorded", || (0..3).all(|n| place.has(&format!("till-{n}"), "web:1")));
    let defaults = fleet("1h").replace("stop-timeout = \"1s\"", "stop-timeout = \"2s\"");
    type Change<'a> = (&'a str, Vec<(&'a str, String)>, &'a str);
    let changes: [Change<'_>; 5] = [
        ("an edit of [defaults]", vec![("fleet.toml", defaults)], "web"),
        ("a widened target", vec![("deployments/extra.toml", layer("*", 1))], "extra"),
        ("an added deployment", vec![("deployments/other.toml", other(20))], "web"),
        (
            "a raised priority",
            vec![("deployments/base.toml", base("1").replace("10", "30"))],
            "web",
        ),
        (
            "a deleted deployment, a base and its layer",
            vec![("deployments/base.toml", base("2")), ("deployments/extra.toml", layer("*", 2))],
            "extra",
        ),
    ];
    for (what, files, module) in changes {
        let before: Vec<String> = engines.iter().map(|engine| made(engine, module)).collect();
        if what.starts_with("a deleted") {
            std::fs::remove_file(place.fleet().join("deployments/other.toml")).expect("there");
        }
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let to = place.commit(&files);
        place.until(what, || place.accepted().as_ref() == Some(&to) && status(&place).0 == "done");
        let after: Vec<String> = engines.iter().map(|engine| made(engine, module)).collect();
        assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{what}");
        assert!(after[1..].iter().all(|other| after[0] < *other), "{what}: {after:?}");
    }
    assert!(engines.iter().all(|engine| runs(engine, "2") && containers(engine).len() == 2));
    assert_eq!(daemon.stop(), 0);
}
