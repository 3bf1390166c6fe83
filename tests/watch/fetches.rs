//! Fetching from repositories elsewhere: those that answer, and those that don't as they should.

use crate::place::git_in;
use crate::testbed::programs::{free_port, skip_without};
use crate::testbed::sshd::{self, Socket, Sshd};
use hoist::source::{Remote, RemoteError, RemoteErrorKind};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A bare repository with one commit on `main`, a working copy that pushes to it, and room for a mirror.
struct Yard {
    root: TempDir,
}

impl Yard {
    fn new() -> Self {
        let yard = Self { root: tempfile::tempdir().expect("a folder") };
        let bare = yard.bare().display().to_string();
        fs::create_dir(yard.copy()).expect("a folder");
        git_in(&yard.copy(), &["init", "--quiet", "--initial-branch=main"]);
        git_in(&yard.copy(), &["init", "--quiet", "--bare", "--initial-branch=main", &bare]);
        git_in(&yard.copy(), &["remote", "add", "origin", &bare]);
        yard.push("first");
        yard
    }

    fn bare(&self) -> PathBuf {
        self.root.path().join("bare.git")
    }

    fn copy(&self) -> PathBuf {
        self.root.path().join("copy")
    }

    fn mirror(&self) -> PathBuf {
        self.root.path().join("state/mirror.git")
    }

    /// Commits and pushes; says which commit it is.
    fn push(&self, message: &str) -> String {
        git_in(&self.copy(), &["commit", "--quiet", "--allow-empty", "--message", message]);
        git_in(&self.copy(), &["push", "--quiet", "--force", "origin", "main"]);
        git_in(&self.copy(), &["rev-parse", "HEAD"])
    }

    fn remote(&self, address: &str) -> Remote {
        Remote::there(address, "main", &self.mirror(), "").within(Duration::from_secs(20))
    }

    fn file_remote(&self) -> Remote {
        self.remote(&format!("file://{}", self.bare().display()))
    }
}

/// The head, and whether it was forced.
fn fetch(remote: &Remote) -> Result<(String, bool), RemoteError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let fetched = runtime.expect("a runtime").block_on(remote.fetch())?;
    Ok((fetched.head.id, fetched.was_forced))
}

fn refused(remote: &Remote) -> RemoteError {
    fetch(remote).expect_err("it is refused")
}

#[test]
fn what_a_branch_leaves_stays_readable_also_after_gits_housekeeping() {
    let yard = Yard::new();
    let remote = yard.file_remote();
    assert_eq!(remote.newest_here(), None);
    let (first, _) = fetch(&remote).expect("fetched");
    let second = yard.push("second");
    assert_eq!(fetch(&remote).expect("fetched"), (second.clone(), false));
    git_in(&yard.copy(), &["reset", "--quiet", "--hard", &first]);
    let other = yard.push("other");
    assert_eq!(fetch(&remote).expect("fetched"), (other.clone(), true));
    assert_eq!(fetch(&remote).expect("fetched"), (other.clone(), false), "it is told once");
    git_in(&yard.mirror(), &["gc", "--quiet", "--prune=now"]);
    assert_eq!(git_in(&yard.mirror(), &["cat-file", "-t", &second]), "commit");
    assert_eq!(remote.newest_here().map(|head| head.id), Some(other));

    git_in(&yard.bare(), &["update-ref", "-d", "refs/heads/main"]);
    let error = refused(&remote);
    assert_eq!(error.kind, RemoteErrorKind::BranchGone, "{error}");
    assert!(remote.newest_here().is_some(), "what was had stays");
    let odd = Remote::there("file:///nowhere", "a:b*", &yard.mirror(), "");
    assert_eq!(refused(&odd).message, "`a:b*` is no name of a branch; --branch says which");
}

#[test]
fn a_repository_here_tells_of_force_too_and_another_one_around_it_is_not_taken_for_it() {
    let yard = Yard::new();
    git_in(yard.root.path(), &["init", "--quiet", "--initial-branch=main"]);
    git_in(yard.root.path(), &["commit", "--quiet", "--allow-empty", "--message", "around"]);
    let remote = Remote::here(&yard.copy(), "main");
    let (first, _) = fetch(&remote).expect("read");
    yard.push("second");
    assert!(!fetch(&remote).expect("read").1);
    git_in(&yard.copy(), &["reset", "--quiet", "--hard", &first]);
    yard.push("other");
    assert!(fetch(&remote).expect("read").1, "forced");
    fs::rename(yard.copy(), yard.root.path().join("away")).expect("moved");
    assert!(refused(&remote).message.contains("cannot read"));
    fs::create_dir(yard.copy()).expect("a folder");
    let error = refused(&remote);
    assert!(error.message.contains("any more"), "{error}");
}

/// Nothing that a mirror or a user's settings name is run, whatever the settings say.
#[test]
fn hooks_are_not_run_and_odd_protocols_are_refused() {
    let yard = Yard::new();
    let remote = yard.file_remote();
    fetch(&remote).expect("fetched");
    let trace = yard.root.path().join("it-ran");
    let hooks = yard.mirror().join("hooks");
    fs::create_dir_all(&hooks).expect("a folder");
    for hook in ["reference-transaction", "post-checkout", "pre-auto-gc", "post-rewrite"] {
        let path = hooks.join(hook);
        fs::write(&path, format!("#!/bin/sh\ntouch {}\n", trace.display())).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("may run");
    }
    let second = yard.push("second");
    assert_eq!(fetch(&remote).expect("fetched").0, second);
    assert!(!trace.exists(), "a hook ran");
    for address in [format!("ext::touch {}", trace.display()), "foo::bar".to_owned()] {
        let error = refused(&yard.remote(&address));
        assert!(error.message.contains("not allowed"), "{error}");
    }
    assert!(!trace.exists(), "a command ran");
}

/// What a killed git left, and what goes on beside.
#[test]
fn locks_that_nobody_holds_are_removed_and_fetches_go_one_after_the_other() {
    let yard = Yard::new();
    let remote = yard.file_remote();
    fetch(&remote).expect("fetched");
    let stale = yard.mirror().join("refs/hoist/incoming.lock");
    fs::write(&stale, "").expect("a file");
    let second = yard.push("second");
    let error = refused(&remote);
    assert!(error.message.contains("taken away after a minute"), "{error}");
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(3600);
    fs::File::open(&stale).and_then(|file| file.set_modified(long_ago)).expect("made old");
    assert_eq!(fetch(&remote).expect("fetched").0, second);

    let third = yard.push("third");
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(|| fetch(&remote))).collect();
        for one in all {
            assert_eq!(one.join().expect("it ends").expect("fetched").0, third);
        }
    });
}

/// Whoever connects is answered with this, after so long; an empty answer keeps the connection open in silence.
fn listener(answer: impl Fn() -> Vec<u8> + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked);
            let _ = stream.write_all(&answer());
            kept.push(stream);
        }
    });
    port
}

fn http(status: &str, head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[test]
fn a_server_that_never_answers_is_given_up_with_all_that_git_began() {
    let yard = Yard::new();
    for scheme in ["http", "git"] {
        let port = listener(Vec::new);
        let address = format!("{scheme}://127.0.0.1:{port}/fleet.git");
        let remote = yard.remote(&address).within(Duration::from_millis(700));
        let error = refused(&remote);
        assert_eq!(error.kind, RemoteErrorKind::Unreachable, "{error}");
        assert!(error.message.contains("did not answer within"), "{error}");
        // The kernel takes a moment to clear away what was killed.
        let nothing_left = || processes_with(&format!("127.0.0.1:{port}")) == 0;
        let soon = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            nothing_left()
        });
        assert!(soon, "nothing is left behind");
    }
}

fn processes_with(text: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let commands = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    commands.filter(|command| String::from_utf8_lossy(command).contains(text)).count()
}

#[test]
fn refusals_say_what_to_do_and_show_no_password() {
    let yard = Yard::new();
    let wants = "WWW-Authenticate: Basic realm=\"x\"\r\n";
    let port = listener(move || http("401 Unauthorized", wants, ""));
    for credentials in ["", "ada:s3cret@"] {
        let error = refused(&yard.remote(&format!("http://{credentials}127.0.0.1:{port}/f.git")));
        assert_eq!(error.kind, RemoteErrorKind::LoginRefused, "{error}");
        assert!(error.message.contains("git's credential helpers"), "{error}");
        assert!(!error.message.contains("s3cret"), "{error}");
    }
    let port = listener(|| http("404 Not Found", "", "no"));
    let error = refused(&yard.remote(&format!("http://127.0.0.1:{port}/f.git")));
    assert_eq!(error.kind, RemoteErrorKind::NoRepository, "{error}");
    let error = refused(&yard.remote(&format!("http://127.0.0.1:{}/f.git", free_port())));
    assert_eq!(error.kind, RemoteErrorKind::Unreachable, "{error}");
    let error = refused(&yard.remote("file:///nowhere/f.git"));
    assert_eq!(error.kind, RemoteErrorKind::NoRepository, "{error}");

    // A server that speaks without end, and moves cursors.
    let flood = "\u{1b}[2J spam".repeat(1 << 16);
    let port = listener(move || http("500 Oh", "Content-Type: text/plain\r\n", &flood));
    let error = refused(&yard.remote(&format!("http://127.0.0.1:{port}/f.git")));
    assert!(error.message.len() < 2000, "{}", error.message.len());
    assert!(error.message.contains("500") && !error.message.contains('\u{1b}'), "{error}");
}

#[test]
fn ssh_goes_by_the_users_settings_and_asks_nothing() {
    if skip_without(sshd::missing()).is_none() {
        return;
    }
    let yard = Yard::new();
    let sshd = Sshd::start(Socket::None, "");
    let address = format!("ssh://root@127.0.0.1:{}{}", sshd.port, yard.bare().display());
    let with = |name: &str, key: &str, host: Option<&str>| {
        let settings = sshd.settings(name, key, host, sshd.port);
        fetch_in_a_process(&yard, &address, &settings)
    };
    let head = git_in(&yard.copy(), &["rev-parse", "HEAD"]);
    assert_eq!(with("good", "client", Some("host")), format!("head {head}"));
    let words = with("stranger", "stranger", Some("host"));
    assert!(words.contains("LoginRefused") && words.contains("Permission denied"), "{words}");
    let words = with("unknown", "client", None);
    assert!(words.contains("an ssh host key that is not known here"), "{words}");
    let words = with("changed", "client", Some("other-host"));
    assert!(
        words.contains("shows another ssh host key than the one that is known for it"),
        "{words}"
    );
    drop(sshd);
    let settings = yard.root.path().join("none");
    fs::write(&settings, "").expect("a file");
    let words = fetch_in_a_process(&yard, &address, &settings);
    assert!(words.contains("Unreachable"), "{words}");
}

const ADDRESS: &str = "HOIST_TEST_FETCH_ADDRESS";
const MIRROR: &str = "HOIST_TEST_FETCH_MIRROR";

/// Settings of ssh come by a variable, which only a process of its own can have.
fn fetch_in_a_process(yard: &Yard, address: &str, settings: &Path) -> String {
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "fetches::one_fetch", "--nocapture"])
        .env(ADDRESS, address)
        .env(MIRROR, yard.mirror())
        .env("GIT_SSH_COMMAND", format!("ssh -F {}", settings.display()))
        .output()
        .expect("this program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split_once("FETCHED ")).map(|(_, words)| words);
    line.unwrap_or(&text).to_owned()
}

/// What the test above runs.
#[test]
fn one_fetch() {
    let (Some(address), Some(mirror)) = (std::env::var_os(ADDRESS), std::env::var_os(MIRROR))
    else {
        return;
    };
    let remote = Remote::there(&address.to_string_lossy(), "main", Path::new(&mirror), "");
    match fetch(&remote.within(Duration::from_secs(20))) {
        Ok((head, _)) => println!("FETCHED head {head}"),
        Err(error) => println!("FETCHED {:?}: {error}", error.kind),
    }
}

#[test]
fn a_repository_here_tells_of_new_commits_however_they_are_kept() {
    let yard = Yard::new();
    let linked = yard.root.path().join("linked");
    git_in(&yard.copy(), &["branch", "side"]);
    git_in(&yard.copy(), &["worktree", "add", "--quiet", &linked.display().to_string(), "side"]);
    let (told, telling) = std::sync::mpsc::channel();
    for (number, folder) in [yard.bare(), yard.copy(), linked.clone()].iter().enumerate() {
        let told = told.clone();
        // As long as the test runs.
        std::mem::forget(
            hoist::source::tell_of_refs(folder, move || {
                let _ = told.send(number);
            })
            .expect("watched"),
        );
    }
    let hears = |wanted: &[usize], what: &str, act: &dyn Fn()| {
        std::thread::sleep(Duration::from_millis(50));
        while telling.try_recv().is_ok() {}
        act();
        let mut left = wanted.to_vec();
        while !left.is_empty() {
            let heard = telling.recv_timeout(Duration::from_secs(30));
            let heard = heard.unwrap_or_else(|_| panic!("{what}: {left:?} heard nothing"));
            left.retain(|number| *number != heard);
        }
    };
    let copy = |arguments: &[&str]| drop(git_in(&yard.copy(), arguments));
    hears(&[0, 1, 2], "a push", &|| drop(yard.push("second")));
    hears(&[1, 2], "packed", &|| copy(&["pack-refs", "--all"]));
    hears(&[1, 2], "a branch in a folder of branches", &|| copy(&["branch", "new/of/mine"]));
    hears(&[1, 2], "its next commit", &|| copy(&["branch", "--force", "new/of/mine", "HEAD~1"]));
    hears(&[1, 2], "a commit in the linked tree", &|| {
        git_in(&linked, &["commit", "--quiet", "--allow-empty", "--message", "x"]);
    });
    a_form_that_is_not_read(&yard);
}

fn a_form_that_is_not_read(yard: &Yard) {
    let reftable = yard.root.path().join("reftable");
    let made = std::process::Command::new("git")
        .args(["init", "--quiet", "--ref-format=reftable", "--initial-branch=main"])
        .arg(&reftable)
        .stderr(std::process::Stdio::null())
        .status();
    // Gits before 2.45 know no such form.
    if made.is_ok_and(|status| status.success()) {
        let error = refused(&Remote::here(&reftable, "main"));
        assert!(error.message.contains("refstorage"), "{error}");
    }
}
