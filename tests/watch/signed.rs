//! The daemon with `--require-signed`.

use crate::by_hand::{done, hoist};
use crate::http::{address, get};
use crate::place::Place;
use crate::simulated::{all_have, base, shop};
use std::fs;
use std::process::Command;

/// Makes a key; its file.
fn key(place: &Place, name: &str) -> String {
    let path = place.path(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .status();
    assert!(made.expect("ssh-keygen; install openssh-client").success());
    path.display().to_string()
}

/// Keys whose signatures are accepted, in `signers`.
fn accept(place: &Place, name: &str) {
    let public = fs::read_to_string(place.path(&format!("{name}.pub"))).expect("a key");
    fs::write(place.path("signers"), format!("ada@example.com {public}")).expect("a file");
}

fn sign(place: &Place, key: &str) -> String {
    let key = format!("user.signingkey={key}");
    let commit = ["commit", "--quiet", "-S", "--allow-empty", "--message", "signed"];
    place.git(&[&["-c", "gpg.format=ssh", "-c", &key], &commit[..]].concat());
    place.head()
}

fn reason(place: &Place) -> String {
    let held = place.held().expect("held");
    held["reasons"][0].as_str().unwrap_or_default().to_owned()
}

/// Named as people type it: from where they are.
#[test]
fn what_counted_unsigned_stays_and_is_told_until_something_signed_counts() {
    let place = shop();
    let first = place.head();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(daemon.stop(), 0);
    let (ada, eve) = (key(&place, "ada"), key(&place, "eve"));
    accept(&place, "ada");

    let daemon = place.watch(&["--require-signed", "signers"]);
    let log = || fs::read_to_string(place.path("log")).unwrap_or_default();
    let short = &first[..7];
    let words =
        format!("warning: {short} is in force, and its signature is not accepted: it bears none");
    place.until("it is said at the start", || log().contains(&words));
    let head = "\nthe signature of what is in force is not accepted";
    let out = done(&place, &["status"]);
    assert!(out.contains(head) && out.contains("\n  it bears none\n"), "{out}");
    let out = hoist(&place, &["doctor", "till-1", "--simulate"]).out;
    assert!(
        out.contains("signature  the revision in force bears no accepted one: it bears none"),
        "{out}"
    );

    let at = address(&place);
    let fleet = || get(&at, "/api/v1/fleet").json();
    let metric = |n: u8| get(&at, "/metrics").body.contains(&format!("\nhoist_unsigned {n}\n"));
    place.until("the API", || fleet()["unsigned"] == "it bears none");
    assert_eq!(fleet()["fetch_trouble"], serde_json::Value::Null);
    let notice = "What is in force bears no accepted signature";
    assert!(get(&at, "/").body.contains(notice) && metric(1));

    sign(&place, &eve);
    place.until("a key that nobody knows", || place.held().is_some());
    let why = reason(&place);
    let words = "its signature is not accepted: it is of a key that is not among those accepted: ED25519 key SHA256:";
    assert!(why.starts_with(words), "{why}");
    assert!(all_have(&place, "web:1") && done(&place, &["status"]).contains(head), "it stays");

    let signed = sign(&place, &ada);
    place.until("what is signed counts", || place.accepted().as_ref() == Some(&signed));
    assert!(!done(&place, &["status"]).contains(head));
    place.until("the API", || {
        fleet()["revision"] == signed.as_str() && fleet()["unsigned"].is_null()
    });
    assert!(!get(&at, "/").body.contains(notice) && metric(0));
    assert_eq!(daemon.stop(), 0);

    let said = hoist(&place, &["watch", "--require-signed", "singers"]);
    assert!(said.err.contains("--require-signed: singers does not exist"), "{}", said.err);
}

/// Who approves numbers approves no commit that somebody unknown made.
#[test]
fn what_is_not_signed_is_not_let_through_below_a_signed_head_either() {
    let place = shop();
    let strict =
        "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-modules-removed = 1\n";
    place.put("fleet.toml", strict);
    place.git(&["add", "--all"]);
    let ada = key(&place, "ada");
    accept(&place, "ada");
    sign(&place, &ada);
    let daemon = place.watch(&["--require-signed", "signers"]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(daemon.stop(), 0);

    let without = "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:2\"\n";
    let unsigned = place.commit(&[("deployments/base.toml", without)]);
    // A daemon that asks for no signatures reads it, so that it can be approved.
    let daemon = place.watch(&[]);
    place.until("held by a guard", || place.held().is_some());
    assert_eq!(daemon.stop(), 0);
    done(&place, &["approve", &unsigned]);
    place.put("deployments/base.toml", &base("3"));
    place.git(&["add", "--all"]);
    let head = sign(&place, &ada);
    let _daemon = place.watch(&["--require-signed", "signers"]);
    place.until("the head goes out", || all_have(&place, "web:3"));
    assert_eq!(place.accepted(), Some(head));
    let history = place.store().expect("a store").history(&Default::default()).expect("read");
    let went_out = |entry: &&hoist::store::HistoryEntry| {
        entry.action == "accept" && entry.to.as_deref() == Some(&unsigned)
    };
    assert!(history.iter().find(went_out).is_none(), "it never counted");
}
