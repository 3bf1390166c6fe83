//! What an operator types on the control host, in a folder that holds no fleet, with and without the daemon.

use crate::brought::{id, left_to_another};
use crate::place::Place;
use crate::simulated::{all_have, base, shop};

pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn hoist(place: &Place, arguments: &[&str]) -> Said {
    let output = place.hoist(arguments).output().expect("hoist");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

#[track_caller]
pub(crate) fn done(place: &Place, arguments: &[&str]) -> String {
    let said = hoist(place, &[arguments, &["--simulate"]].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.err);
    said.out
}

#[test]
fn orders_reach_a_running_daemon_and_wait_for_one_that_does_not_run() {
    let place = shop();
    let first = place.head();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(
        done(&place, &["pause", "till-1", "--reason", "a lift is serviced"]),
        "till-1: paused until `hoist resume till-1`\n"
    );
    let nothing = ["pause", "till-1", "--reason", "a slip", "--for", "0s", "--simulate"];
    let said = hoist(&place, &nothing);
    assert!(said.code == 1 && said.err.contains("the least is 1s"), "{}", said.err);
    let out = done(&place, &["pin", &first[..8], "--where", "deviceId = 'till-2'", "--for", "8h"]);
    assert!(out.starts_with("devices where deviceId = 'till-2': pinned to "), "{out}");
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the third has it", || place.has("till-3", "web:2"));
    place.until("the first is paused", || {
        place.device("till-1").is_some_and(|d| d.status.description.contains("a lift is serviced"))
    });
    assert!(place.has("till-2", "web:1"));
    assert_eq!(done(&place, &["resume", "till-1"]), "till-1: goes on\n");
    place.until("the first goes on", || place.has("till-1", "web:2"));
    daemon.stop();

    // Without a daemon they are kept for the next one. What is typed is what was shown.
    let said = hoist(&place, &["unpin", "--simulate"]);
    let words = "; `hoist unpin --where \"deviceId = 'till-2'\"` ends it";
    assert!(said.code == 1 && said.err.contains(words), "{}", said.err);
    done(&place, &["unpin", "--where", "deviceId = 'till-2'"]);
    done(&place, &["pause", "--all", "--reason", "power is worked on", "--for", "1h"]);
    let history = done(&place, &["history"]);
    assert!(history.contains("power is worked on (until 2"), "a reason ends before: {history}");
    let again = hoist(&place, &["resume", "till-1", "--simulate"]);
    assert_eq!(again.code, 1);
    let words = "  paused: all devices (power is worked on); `hoist resume --all` ends it";
    assert!(again.err.contains(words), "{}", again.err);
    let fleet = place.fleet().display().to_string();
    let apply = hoist(&place, &["-C", &fleet, "apply", "--simulate", "--yes"]);
    assert_eq!(apply.code, 4, "{}", apply.out);
    assert!(apply.out.contains("power is worked on"), "apply leaves them alone too: {}", apply.out);
    done(&place, &["resume", "--all"]);
    let _daemon = place.watch(&[]);
    place.until("the pin is over", || all_have(&place, "web:2"));
}

#[test]
fn a_held_revision_is_approved_by_its_numbers_and_a_wrong_one_never() {
    let place = shop();
    let strict =
        "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-modules-removed = 1\n";
    place.commit(&[("fleet.toml", strict)]);
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let without = "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\n";
    let held = place.commit(&[("deployments/base.toml", without)]);
    place.until("held", || place.held().is_some());
    let out = done(&place, &["approve", &held]);
    assert_eq!(out, format!("  modules-removed: up to 3\n{} is approved\n", &held[..7]));
    place.until("it goes out", || place.held().is_none() && !all_have(&place, "meter:1"));
    assert!(done(&place, &["approve", &held]).contains(": it counts"));

    let wrong = place.commit(&[("deployments/base.toml", "target = 5\n")]);
    place.until("held", || place.held().is_some());
    let said = hoist(&place, &["approve", &wrong, "--simulate"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("can't be approved: it is not valid"), "{}", said.err);

    // What no daemon has read is held by nobody yet.
    assert_eq!(daemon.stop(), 0);
    let newer = place.commit(&[("deployments/base.toml", &base("3"))]);
    let said = hoist(&place, &["approve", &newer, "--simulate"]);
    let words = format!("{} is newer than {}, which was read last", &newer[..7], &wrong[..7]);
    assert!(said.code == 1 && said.err.contains(&words), "{}", said.err);
}

#[test]
fn a_poke_is_for_a_daemon_and_a_restart_for_whoever_works_on_the_devices() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert!(done(&place, &["poke", "till-1"]).starts_with("till-1: is looked at now"));
    let out = done(&place, &["restart", "till-1", "web", "--reason", "it hung"]);
    assert!(out.contains("is left to the daemon"), "{out}");
    let restarts = || {
        let history = place.store().expect("a store").history(&Default::default()).expect("read");
        history.into_iter().filter(|entry| entry.action == "restart").collect::<Vec<_>>()
    };
    place.until("the daemon restarts it", || !restarts().is_empty());
    assert_eq!(
        (restarts()[0].reason.as_str(), restarts()[0].outcome.as_str()),
        ("it hung", "done")
    );
    daemon.stop();
    let said = hoist(&place, &["poke", "till-1", "--simulate"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("hoist apply --device till-1"), "{}", said.err);
    assert_eq!(done(&place, &["restart", "till-1", "web"]), "till-1 web: restart done\n");
}

/// Who paused it knows that it is as it is: that is neither success nor failure.
#[test]
fn a_paused_device_is_held_and_no_failure() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    done(&place, &["pause", "till-1", "--reason", "serviced"]);
    place.until("it is held", || place.device("till-1").is_some_and(|d| d.status.code == 400));
    daemon.stop();
    let said = hoist(&place, &["status", "--simulate", "--not-converged"]);
    assert_eq!(said.code, 4, "{}", said.out);
    assert!(said.out.contains("1 device not as desired: 1 held\n"), "{}", said.out);
    place.commit(&[("deployments/base.toml", &base("2"))]);
    let fleet = place.fleet().display().to_string();
    let said = hoist(&place, &["-C", &fleet, "apply", "--yes", "--simulate"]);
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    assert!(said.out.contains("3 devices: 2 as desired, 1 held\n"), "{}", said.out);
    assert!(place.has("till-2", "web:2"));
    let said = hoist(&place, &["-C", &fleet, "plan", "--simulate"]);
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
}

/// As somebody does in the moment between a daemon's taking the store and its listening for orders.
#[test]
fn what_was_ordered_while_a_daemon_began_is_done() {
    use hoist::model::{DeviceId, ModuleName};
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.stop();
    let store = hoist::store::Store::open(&place.state_folder()).expect("a store");
    let (device, module) = (DeviceId::parse("till-1"), ModuleName::parse("web"));
    let (who, reason) = ("somebody".to_owned(), "it hung".to_owned());
    let (device, module) = (device.expect("an id"), module.expect("a name"));
    store.wish_restart(&hoist::store::RestartWish { device, module, who, reason }).expect("kept");
    let _daemon = place.watch(&[]);
    place.until("it is restarted", || {
        let history = store.history(&Default::default()).expect("readable");
        history.iter().any(|entry| entry.action == "restart" && entry.outcome == "done")
    });
}

/// Whoever has to leave devices alone at night does not first repair a repository.
#[test]
fn orders_and_looks_need_no_repository() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let away = place.path("away");
    std::fs::rename(place.fleet(), &away).expect("a move");
    let note = "note: the fleet's repository can't be read: ";
    let said = hoist(&place, &["pause", "till-1", "--reason", "serviced", "--simulate"]);
    assert!(said.code == 0 && said.err.starts_with(note), "{}{}", said.out, said.err);
    assert_eq!(said.out, "till-1: paused until `hoist resume till-1`\n");
    place.until("the daemon heard it", || {
        place.device("till-1").is_some_and(|d| d.status.description.contains("serviced"))
    });
    let out = done(&place, &["status"]);
    assert!(out.starts_with("shop @ ") && out.contains("paused: till-1"), "{out}");
    assert!(out.contains("3 devices: 2 as desired, 1 "), "{out}");
    assert!(done(&place, &["status", "--device", "till-2"]).contains("web"));
    assert!(done(&place, &["poke", "till-2"]).starts_with("till-2: is looked at now"));
    assert!(done(&place, &["history", "till-1"]).contains("create web"));
    assert!(done(&place, &["doctor", "till-2"]).contains("modules  not compared"));
    assert!(done(&place, &["restart", "till-2", "web", "--reason", "it hung"]).contains("till-2"));
    done(&place, &["pause", "--where", "tags.role = 'x'", "--reason", "these too"]);
    done(&place, &["resume", "till-1"]);
    // What nobody can know is not answered with nothing.
    let said = hoist(&place, &["status", "--where", "tags.role = 'x'", "--simulate"]);
    assert!(said.code == 1 && said.err.contains("--where needs the fleet's files"), "{}", said.err);
    let said = hoist(&place, &["pause", "till-7", "--reason", "a slip", "--simulate"]);
    assert!(
        said.code == 1 && said.err.contains("the fleet has no device `till-7`"),
        "{}",
        said.err
    );
    daemon.stop();
    assert!(done(&place, &["status", "--not-converged"]).contains("every device is as desired"));

    // A repository whose commits are damaged is as good as none.
    std::fs::rename(&away, place.fleet()).expect("a move");
    let file = place.git(&["rev-parse", "HEAD:fleet.toml"]);
    let (folder, name) = file.split_at(2);
    let object = place.fleet().join(".git/objects").join(folder).join(name);
    std::fs::remove_file(object).expect("an object");
    done(&place, &["pause", "till-1", "--reason", "again"]);
    assert!(done(&place, &["status"]).contains("paused: till-1"));
}

fn actions(place: &Place) -> Vec<(String, String)> {
    let history = place.store().expect("a store").history(&Default::default()).expect("read");
    history.into_iter().map(|entry| (entry.action, entry.reason)).collect()
}

/// Words recommend these commands where a daemon runs: it is the daemon that does it.
#[test]
fn what_apply_is_to_do_on_some_devices_is_left_to_the_daemon_that_runs() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(daemon.stop(), 0);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(place.state_folder().join(file));
    }
    place.git(&["commit", "--quiet", "--amend", "--message", "another history"]);
    let _daemon = place.watch(&[]);
    let status = |id: &str| place.device(id).map(|device| device.status);
    place.until("nobody knows what they run", || {
        let is_held = |id| status(id).is_some_and(|s| s.code == 400);
        ["till-1", "till-2"].into_iter().all(is_held)
    });
    let words = status("till-1").expect("known").description;
    assert!(words.contains("`hoist apply --device till-1`"), "{words}");
    // Who tries again what failed has not decided for devices of which nobody knows what they have.
    done(&place, &["apply", "--retry", "--yes"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    for id in ["till-1", "till-2"] {
        assert_eq!(status(id).expect("known").code, 400);
    }
    let refused = hoist(&place, &["apply", "--yes", "--simulate"]);
    assert!(refused.code == 1 && refused.err.contains("another `hoist apply`"), "{}", refused.err);
    let asked = hoist(&place, &["apply", "--device", "till-1", "--simulate"]);
    assert!(asked.code == 1 && asked.err.contains("give --yes"), "{}", asked.err);
    let said = done(&place, &["apply", "--device", "till-1", "--yes"]);
    assert!(said.starts_with("till-1: the daemon brings it to what counts there ("), "{said}");
    place.until("it is what counts", || status("till-1").is_some_and(|s| s.code == 200));
    assert_eq!(status("till-2").expect("known").code, 400, "of that one nobody said anything");
    assert!(actions(&place).contains(&("bring along".to_owned(), "by hand".to_owned())));
}

#[test]
fn a_device_that_another_control_host_undid_is_taken_over_beside_the_daemon() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(daemon.stop(), 0);
    let (till, store) = (id("till-1"), place.store_to_write());
    left_to_another(&store, &till);
    let _daemon = place.watch(&[]);
    let status = || place.device("till-1").map(|device| device.status).expect("known");
    place.until("it is left alone", || status().code == 409);
    assert!(status().description.contains("`hoist apply --take-over --device till-1`"));
    let said = done(&place, &["apply", "--take-over", "--device", "till-1", "--yes"]);
    assert!(said.contains("whatever another control host did there"), "{said}");
    place.until("it is looked after again", || status().code == 200);
    let took = ("take over".to_owned(), "by hand".to_owned());
    place.until("the store knows it", || {
        place.store_to_write().memory(&till).is_ok_and(|memory| !memory.control.stopped)
    });
    assert_eq!(actions(&place).iter().filter(|action| **action == took).count(), 1);
}

/// Whoever heard of it ends before it can be done: the next one does it, and the history has it once.
#[test]
fn what_a_daemon_was_told_and_could_not_do_yet_the_next_one_does() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(daemon.stop(), 0);
    let (till, store) = (id("till-1"), place.store_to_write());
    left_to_another(&store, &till);
    done(&place, &["pause", "till-1", "--reason", "a lift is serviced"]);
    let daemon = place.watch(&[]);
    let status = || place.device("till-1").map(|device| device.status).expect("known");
    place.until("it is paused", || status().description.contains("a lift is serviced"));
    done(&place, &["apply", "--take-over", "--device", "till-1", "--yes"]);
    let took = ("take over".to_owned(), "by hand".to_owned());
    place.until("the daemon heard of it", || actions(&place).contains(&took));
    daemon.kill();

    let _daemon = place.watch(&[]);
    done(&place, &["resume", "till-1"]);
    place.until("it is looked after again", || status().code == 200);
    place.until("nothing is left to do", || store.brings().is_ok_and(|brings| brings.is_empty()));
    assert!(!place.store_to_write().memory(&till).expect("read").control.stopped);
    assert_eq!(actions(&place).iter().filter(|action| **action == took).count(), 1);
}

/// That nobody paused it any more stands there without anybody's doing.
#[test]
fn a_pause_and_a_pin_whose_time_is_over_end_in_the_history() {
    let place = shop();
    let first = place.head();
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    done(&place, &["pause", "till-1", "--reason", "serviced", "--for", "1s"]);
    done(&place, &["pin", &first, "--device", "till-2", "--for", "1s"]);
    let ends = || {
        let ends = |(action, _): &(String, String)| action == "resume" || action == "unpin";
        let mut ends: Vec<(String, String)> = actions(&place).into_iter().filter(ends).collect();
        ends.sort();
        ends
    };
    place.until("both are over", || ends().len() >= 2);
    let over =
        |action: &str, reason: &str| (action.to_owned(), format!("its time was over: {reason}"));
    assert_eq!(ends(), [over("resume", "serviced"), over("unpin", "by hand")]);
}

/// What the daemon decides by, `explain` and `manifest` show; and what will decide soon.
#[test]
fn explain_knows_what_a_device_reports_and_what_waits_to_count() {
    let place = shop();
    let by_fact = "target = \"properties.reported.architecture = 'x86_64'\"\npriority = 20\n[modules.web]\nimage = \"web:9\"\n";
    place.commit(&[("deployments/by-fact.toml", by_fact)]);
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(daemon.stop(), 0);
    let explain = || done(&place, &["explain", "till-1"]);
    let text = explain();
    assert!(
        text.lines().next().is_some_and(|head| head.contains("with what it reported")),
        "{text}"
    );
    let soon = |line: &&str| line.contains("on: base, if it goes on reporting the same");
    assert_eq!(text.lines().filter(|line| soon(line)).count(), 1, "{text}");
    assert!(done(&place, &["manifest", "till-1"]).contains("web:1"));
    let json = done(&place, &["explain", "till-1", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let of = |id: &str| {
        let all = json["deployments"].as_array().expect("a list");
        all.iter().find(|one| one["id"] == id).expect("it is there")["soon"].clone()
    };
    assert_eq!((&of("by-fact")["applied"], &of("base")["applied"]), (&true.into(), &false.into()));

    // Ten minutes go by.
    let store = place.store_to_write();
    let mut till = place.device("till-1").expect("known");
    let facts = std::sync::Arc::make_mut(till.facts.as_mut().expect("it reports"));
    facts.held.values_mut().for_each(|fact| fact.since.seconds -= 601);
    store.record_device(&till).expect("written");
    let text = explain();
    let base = |line: &str| line.trim_start().starts_with("by-fact") && line.ends_with("base");
    assert!(text.lines().any(base) && !text.contains("if it goes on"), "{text}");
    assert!(done(&place, &["manifest", "till-1"]).contains("web:9"));
    // The store of real engines knows nothing of it.
    let files = hoist(&place, &["explain", "till-1"]);
    assert!(
        files.code == 0 && !files.out.contains("with what it reported"),
        "{}{}",
        files.out,
        files.err
    );
}

#[test]
fn words_lead_on_where_something_is_done_already_or_mistyped() {
    let place = shop();
    let first = place.head();
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let second = place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the second", || all_have(&place, "web:2"));
    let (old, counts) = (&first[..7], &second[..7]);
    let words = format!("nothing holds {old}: {counts} counts, which builds on it\n");
    assert_eq!(done(&place, &["approve", &first]), words);
    assert_eq!(done(&place, &["approve", &second]), format!("nothing holds {counts}: it counts\n"));
    let said = hoist(&place, &["logs", "till-1", "wbe", "--simulate"]);
    assert!(said.code == 1 && said.err.contains("did you mean `web`?"), "{}", said.err);
    let said = hoist(&place, &["apply", "--yes", "--simulate"]);
    assert!(said.code == 1 && said.err.contains("that is a daemon, which brings"), "{}", said.err);
}

/// Who types it at a terminal, or writes a unit without a variable, learns of trouble all the same.
#[test]
fn a_daemon_warns_where_no_variable_asks_for_a_log() {
    let place = shop();
    let fleet = place.fleet().display().to_string();
    let log = place.path("warnings");
    let arguments = ["watch", &fleet, "--only", "till-9", "--simulate", "--listen", "off"];
    let mut daemon = place
        .hoist(&arguments)
        .env_remove("HOIST_LOG")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("hoist");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let is_warned = || said().contains("no device of this revision is looked after here");
    for _ in 0..300 {
        if is_warned() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    daemon.kill().and_then(|()| daemon.wait()).expect("it ended");
    assert!(is_warned() && !said().contains(" INFO "), "{}", said());
}

#[test]
fn a_log_of_json_has_an_object_a_line_that_says_where_it_belongs() {
    let place = shop();
    let apply = |format: &str| {
        let mut command = place.hoist(&["apply", "--yes", "--simulate"]);
        let command = command.env("HOIST_LOG", "info").env("HOIST_LOG_FORMAT", format);
        command.current_dir(place.fleet()).output().expect("hoist")
    };
    let refused = apply("xml");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && words.contains("or `json`"), "{words}");
    let done = apply("json");
    let words = String::from_utf8_lossy(&done.stderr).into_owned();
    let lines = words.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<serde_json::Value> =
        lines.map(|line| serde_json::from_str(line).expect("an object")).collect();
    let creates = |line: &&serde_json::Value| {
        let spans = line["spans"].as_array().into_iter().flatten();
        let names: Vec<_> =
            spans.map(|span| (&span["name"], &span["id"], &span["action"])).collect();
        matches!(names.as_slice(), [(device, id, _), (step, _, action)]
            if *device == "device" && *id == "till-1" && *step == "step" && *action == "Create")
    };
    assert!(lines.iter().any(|line| creates(&line) && line["level"] == "INFO"), "{words}");
}
