//! Programs beside engines, on loopback: gone without a trace when the test ends, however it ends.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// Says why a test is skipped, or fails where engines are required.
pub(crate) fn skip_without(missing: Option<String>) -> Option<()> {
    skip_unless_required("HOIST_REQUIRE_ENGINES", missing)
}

/// The same where browsers are required.
pub(crate) fn skip_without_browser(missing: Option<String>) -> Option<()> {
    skip_unless_required("HOIST_REQUIRE_BROWSER", missing)
}

fn skip_unless_required(variable: &str, missing: Option<String>) -> Option<()> {
    let Some(reason) = missing else { return Some(()) };
    let is_required = std::env::var_os(variable).is_some_and(|value| value == "1");
    assert!(!is_required, "{variable}=1, but {reason}");
    println!("SKIPPED: {reason}");
    None
}

/// Whether a program is here.
pub(crate) fn has(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Waits until something listens.
pub(crate) fn wait_for_port(port: u16, log: &Path) {
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    let words = std::fs::read_to_string(log).unwrap_or_default();
    panic!("nothing listens at {port}: {words}");
}

/// Waits until something holds.
pub(crate) fn wait_for(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..800 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("it never came: {what}");
}

/// A program that ends with the test: its supervisor ends it when a pipe closes.
pub(crate) struct Supervised {
    leash: Option<ChildStdin>,
    supervisor: Child,
}

impl Supervised {
    /// Starts a program; what it says goes to a file.
    pub(crate) fn start(program: &[&str], log: &Path) -> Self {
        const SCRIPT: &str =
            r#""$@" </dev/null & p=$!; read -r _; kill "$p" 2>/dev/null; wait "$p" 2>/dev/null"#;
        let log = std::fs::File::create(log).expect("a log");
        let mut supervisor = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "supervise"])
            .args(program)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("a shell");
        Self { leash: supervisor.stdin.take(), supervisor }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.leash.take());
        // It waits for the program only.
        let _ = self.supervisor.wait();
    }
}
