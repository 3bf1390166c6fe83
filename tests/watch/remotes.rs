//! The daemon and a repository elsewhere.

use crate::place::{Place, git_in};
use std::fs;

const FLEET: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n";

fn base(image: &str) -> String {
    format!("target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:{image}\"\n")
}

/// A working copy that pushes to a bare repository, which the daemon watches.
fn shop() -> (Place, String) {
    let place = Place::new(&[
        ("fleet.toml", FLEET),
        ("devices/till.toml", "[tags]\n"),
        ("deployments/base.toml", &base("1")),
    ]);
    let bare = place.path("remote.git");
    let shown = bare.display().to_string();
    git_in(&place.fleet(), &["init", "--quiet", "--bare", "--initial-branch=main", &shown]);
    place.git(&["remote", "add", "origin", &shown]);
    place.git(&["push", "--quiet", "origin", "main"]);
    let address = format!("file://{shown}");
    (place, address)
}

#[test]
fn what_is_pushed_goes_out_and_what_is_forced_deleted_or_away_changes_nothing_by_itself() {
    let (place, address) = shop();
    let daemon = place.watch_of(&address, &["--poll", "1s"]);
    place.until("the first", || place.has("till", "web:1"));
    let second = place.commit(&[("deployments/base.toml", &base("2"))]);
    place.git(&["push", "--quiet", "origin", "main"]);
    place.until("what was pushed", || place.has("till", "web:2"));
    assert_eq!(place.accepted(), Some(second.clone()));

    // Forced back to before: a commit like any other, and the history says so.
    place.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    place.commit(&[("deployments/base.toml", &base("3"))]);
    place.git(&["push", "--quiet", "--force", "origin", "main"]);
    place.until("what was forced", || place.has("till", "web:3"));
    let history = place.store().expect("a store").history(&Default::default()).expect("read");
    assert!(history.iter().any(|entry| entry.action == "force-push"));

    let bare = place.path("remote.git");
    git_in(&bare, &["branch", "--quiet", "--move", "main", "aside"]);
    let log = || fs::read_to_string(place.path("log")).unwrap_or_default();
    place.until("the branch is missed", || log().contains("has no branch `main`"));
    git_in(&bare, &["branch", "--quiet", "--move", "aside", "main"]);

    fs::rename(&bare, place.path("away.git")).expect("moved");
    place.until("the repository is missed", || log().contains("there is no repository file://"));
    assert!(place.has("till", "web:3"), "what it has stays");
    let status = || crate::by_hand::done(&place, &["status"]);
    let said = status();
    assert!(said.contains("\nno new commits can be had, first noticed "), "{said}");
    assert!(said.contains("\n  there is no repository file://"), "{said}");
    fs::rename(place.path("away.git"), &bare).expect("moved back");
    place.commit(&[("deployments/base.toml", &base("4"))]);
    place.git(&["push", "--quiet", "origin", "main"]);
    place.until("it goes on", || place.has("till", "web:4"));
    assert!(!status().contains("no new commits"), "{}", status());
    assert_eq!(daemon.stop(), 0);

    // Without its repository it begins with what it knows, and what was forced away is still there.
    fs::rename(&bare, place.path("away.git")).expect("moved");
    let mirror = place.path("state").join("repository.git");
    assert_eq!(git_in(&mirror, &["cat-file", "-t", &second]), "commit");
    let daemon = place.watch_of(&address, &["--poll", "1s"]);
    place.until("it looks at devices", || log().matches("watching main of").count() == 2);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn commits_must_be_signed_where_that_is_wanted() {
    let place = Place::new(&[
        ("fleet.toml", FLEET),
        ("devices/till.toml", "[tags]\n"),
        ("deployments/base.toml", &base("1")),
    ]);
    let key = place.path("key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f"])
        .arg(&key)
        .status()
        .expect("ssh-keygen; install openssh-client");
    assert!(made.success());
    let public = fs::read_to_string(place.path("key.pub")).expect("a key");
    let signers = place.path("signers");
    fs::write(&signers, format!("ada@example.com {public}")).expect("a file");
    let _daemon = place.watch(&["--require-signed", &signers.display().to_string()]);
    place.until("held", || place.held().is_some());
    let reason = place.held().expect("held")["reasons"][0].as_str().unwrap_or_default().to_owned();
    assert_eq!(reason, "its signature is not accepted: it bears none");
    let fleet = place.fleet().display().to_string();
    let approve = ["-C", &fleet, "approve", "HEAD", "--simulate"];
    let output = place.hoist(&approve).output().expect("hoist");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("can't be approved: its signature is not accepted"), "{words}");
    let sign = |signing: &str| {
        let key = format!("user.signingkey={}", place.path(signing).display());
        place.git(&[
            "-c",
            "gpg.format=ssh",
            "-c",
            &key,
            "commit",
            "--quiet",
            "-S",
            "--allow-empty",
            "--message",
            "signed",
        ]);
    };
    sign("key");
    place.until("what is signed goes out", || place.has("till", "web:1") && place.held().is_none());
    // Somebody else's key.
    let other = place.path("other");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "eve", "-f"])
        .arg(&other)
        .status();
    assert!(made.expect("ssh-keygen").success());
    sign("other");
    place.until("held again", || place.held().is_some());
    assert!(place.has("till", "web:1"));
}

/// A git that waits before it fetches, for as long as a file is there.
fn slow_git(place: &mut Place) {
    let real = std::process::Command::new("sh").args(["-c", "command -v git"]).output();
    let real = String::from_utf8(real.expect("a shell").stdout).expect("a path");
    let (folder, hang) = (place.path("bin"), place.path("hang"));
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *\" fetch \"*) [ -e {0} ] && touch {0}s\n\
         while [ -e {0} ]; do sleep 0.1; done;; esac\nexec {1} \"$@\"\n",
        hang.display(),
        real.trim()
    );
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("git"), script).expect("a file");
    let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.join("git"), may_run).expect("it may run");
    let path = std::env::var("PATH").unwrap_or_default();
    place.variables.push(("PATH".to_owned(), format!("{}:{path}", folder.display())));
}

#[test]
fn an_approval_does_not_wait_for_a_repository_that_hangs() {
    let (mut place, address) = shop();
    slow_git(&mut place);
    let strict = format!("{FLEET}[guards]\nmax-modules-removed = 0\n");
    let two = format!("{}[modules.meter]\nimage = \"meter:1\"\n", base("1"));
    place.commit(&[("fleet.toml", &strict), ("deployments/base.toml", &two)]);
    place.git(&["push", "--quiet", "origin", "main"]);
    let daemon = place.watch_of(&address, &["--poll", "1s"]);
    place.until("the first", || place.has("till", "meter:1"));
    let second = place.commit(&[("deployments/base.toml", &base("1"))]);
    place.git(&["push", "--quiet", "origin", "main"]);
    place.until("held", || place.held().is_some());
    fs::write(place.path("hang"), "").expect("a file");
    place.until("a fetch hangs", || place.path("hangs").exists());
    let said = crate::by_hand::hoist(&place, &["approve", &second, "--simulate"]);
    assert_eq!(said.code, 0, "{}", said.err);
    place.until("it goes out", || place.accepted().as_ref() == Some(&second));
    place.until("on the device", || {
        place.device("till").is_some_and(|d| d.status.code == 200 && d.modules.len() == 1)
    });
    assert!(place.path("hang").exists(), "it hangs still");
    fs::remove_file(place.path("hang")).expect("removed");
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.git(&["push", "--quiet", "origin", "main"]);
    place.until("what is pushed then", || place.has("till", "web:2"));
    assert_eq!(daemon.stop(), 0);
}
