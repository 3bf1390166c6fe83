//! Where the daemon's settings come from: flags, variables, hoist.toml, in this order.

use crate::place::Place;
use crate::simulated::{all_have, base, shop};
use hoist::store::fleet_key;
use std::process::Stdio;

/// What a daemon that is started so says, once it keeps so many seconds as its resync; it is ended then.
fn started(place: &Place, variables: &[(&str, &str)], flags: &[&str], resync: &str) -> String {
    let log = std::fs::File::create(place.path("log")).expect("a log");
    let fleet = place.fleet().display().to_string();
    let mut daemon = place
        .hoist(&[&["watch", "-C", &fleet, "--simulate"], flags].concat())
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("a daemon");
    let kept = || place.store()?.fleet_state(fleet_key::RESYNC).ok()?;
    place.until("it keeps its settings", || kept().as_deref() == Some(resync));
    let said = std::fs::read_to_string(place.path("log")).expect("a log");
    daemon.kill().expect("killed");
    daemon.wait().expect("it ends");
    said
}

#[test]
fn a_repository_is_named_once() {
    let place = shop();
    let fleet = place.fleet().display().to_string();
    let output = place.hoist(&["watch", &fleet, "-C", &fleet, "--simulate"]).output();
    let output = output.expect("it runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be used with"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn flags_count_more_than_variables_and_these_more_than_hoist_toml() {
    let place = shop();
    std::fs::write(place.path("token"), "a-long-token-that-nobody-guesses\n").expect("a file");
    let token = place.path("token").display().to_string();
    let settings = format!(
        "[watch]\nbranch = \"live\"\nresync = \"111s\"\nlisten = \"127.0.0.1:0\"\ntoken-file = \"{token}\"\n"
    );
    std::fs::write(place.path("hoist.toml"), settings).expect("a file");
    place.git(&["branch", "live"]);
    let said = started(&place, &[], &[], "111");
    assert!(
        said.contains("watching live of ") && said.contains("the page is at http://127.0.0.1:")
    );
    let said = started(&place, &[("HOIST_RESYNC", "222s"), ("HOIST_LISTEN", "off")], &[], "222");
    assert!(said.contains("watching live of ") && !said.contains("the page is at"), "{said}");
    let variables = [("HOIST_RESYNC", "222s"), ("HOIST_BRANCH", "nowhere"), ("HOIST_LISTEN", "x")];
    let flags = ["--resync", "333s", "--branch", "main", "--listen", "off"];
    assert!(started(&place, &variables, &flags, "333").contains("watching main of "));
}

#[test]
fn what_hoist_toml_says_is_what_is_done() {
    let place = shop();
    let settings = "[watch]\nbranch = \"live\"\nat-once = 1\npulls-per = \"tags.environment=1\"\n";
    std::fs::write(place.path("hoist.toml"), settings).expect("a file");
    place.git(&["checkout", "--quiet", "-b", "live"]);
    let live = place.commit(&[("deployments/base.toml", &base("live"))]);
    let daemon = place.watch(&[]);
    place.until("the other branch's commit", || all_have(&place, "web:live"));
    assert_eq!(place.accepted(), Some(live));
    assert_eq!(daemon.stop(), 0);
    for (settings, words) in [
        ("[watch]\npulls-per = \"building\"\n", "hoist.toml: [watch] pulls-per: `building` is not"),
        ("[watch]\nbrnach = \"live\"\n", "did you mean `branch`?"),
    ] {
        std::fs::write(place.path("hoist.toml"), settings).expect("a file");
        let (code, said) = place.watch(&[]).ends();
        assert_eq!(code, 1);
        assert!(said.contains(words), "{said}");
    }
}

/// An option that could not do what it says is refused, not passed over.
#[test]
fn secrets_that_are_none_and_hooks_that_nobody_takes_are_refused() {
    let place = shop();
    let file = |name: &str, text: &[u8]| {
        std::fs::write(place.path(name), text).expect("a file");
        place.path(name).display().to_string()
    };
    let (empty, bytes, secret) =
        (file("empty", b"\n"), file("bytes", b"\xff\xfe"), file("secret", b"hush hush"));
    for (flags, words) in [
        (vec!["--token-file", &empty], format!("--token-file {empty}: the file is empty")),
        (vec!["--hook-secret-file", &empty], format!("--hook-secret-file {empty}: the file is")),
        (vec!["--token-file", &bytes], format!("--token-file {bytes}: it is no text in UTF-8")),
        (vec!["--token-file", "/no/such"], "--token-file /no/such: No such file".to_owned()),
        (
            vec!["--token-file", &secret],
            "shorter than 16 characters; `openssl rand -hex 32` makes one".to_owned(),
        ),
        (
            vec!["--listen", "off", "--hooks-listen", "127.0.0.1:0", "--hook-secret-file", &secret],
            "--hooks-listen takes webhooks beside the page, and --listen is `off`".to_owned(),
        ),
    ] {
        let _ = std::fs::remove_file(place.path("log"));
        let (code, said) = place.watch(&flags).ends();
        assert_eq!(code, 1, "{flags:?}: {said}");
        assert!(said.contains(&words), "{flags:?}: {said}");
    }
    let _ = std::fs::remove_file(place.path("log"));
    let (code, said) = place.watch_of("/no/such", &[]).ends();
    assert!(code == 1 && said.contains("there is no folder /no/such"), "{said}");
}
