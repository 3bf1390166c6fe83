//! A private registry on loopback, with one user and a password.

use super::programs::{Supervised, free_port, has, wait_for_port};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const USER: &str = "puller";

/// A running registry.
pub(crate) struct Registry {
    pub(crate) port: u16,
    dir: tempfile::TempDir,
    running: Option<Supervised>,
}

/// Why there can be none here.
pub(crate) fn missing() -> Option<String> {
    if !has("docker-registry", "--version") {
        return Some("no docker-registry here; install docker-registry".to_owned());
    }
    // It answers `-h` with an error, as it has no such option.
    let here = Command::new("htpasswd").arg("-h").output().is_ok();
    (!here).then(|| "no htpasswd here; install apache2-utils".to_owned())
}

impl Registry {
    pub(crate) fn start(password: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let config = format!(
            "version: 0.1\nlog: {{ level: warn }}\n\
             storage: {{ filesystem: {{ rootdirectory: {0}/data }} }}\n\
             http: {{ addr: \"127.0.0.1:{port}\" }}\n\
             auth: {{ htpasswd: {{ realm: test, path: {0}/htpasswd }} }}\n",
            dir.path().display()
        );
        fs::write(dir.path().join("config.yml"), config).expect("a file");
        let mut registry = Self { port, dir, running: None };
        registry.set_password(password);
        registry.run();
        registry
    }

    fn set_password(&self, password: &str) {
        let made =
            Command::new("htpasswd").args(["-Bbn", USER, password]).output().expect("htpasswd");
        assert!(made.status.success());
        fs::write(self.dir.path().join("htpasswd"), made.stdout).expect("a file");
    }

    fn run(&mut self) {
        let config = self.dir.path().join("config.yml");
        let program = ["docker-registry", "serve", config.to_str().expect("a plain path")];
        let log = self.dir.path().join("log");
        self.running = Some(Supervised::start(&program, &log));
        wait_for_port(self.port, &log);
    }

    /// It goes down.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// It comes back.
    pub(crate) fn start_again(&mut self) {
        self.run();
    }

    /// The largest blob of a kind of content is not any more what it was.
    pub(crate) fn damage_layers(&self) {
        let mut damaged = 0;
        for file in files(&self.dir.path().join("data")) {
            let bytes = fs::read(&file).expect("a file");
            if file.ends_with("data") && bytes.starts_with(&[0x1f, 0x8b]) {
                let mut bytes = bytes;
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0xff;
                fs::write(&file, bytes).expect("a file");
                damaged += 1;
            }
        }
        assert!(damaged > 0, "there is no layer");
    }

    /// What an engine wants in `X-Registry-Auth`.
    pub(crate) fn auth(&self, password: &str) -> String {
        let json = format!(
            r#"{{"username":"{USER}","password":"{password}","serveraddress":"127.0.0.1:{}"}}"#,
            self.port
        );
        base64(json.as_bytes())
    }
}

/// Base64 in the URL alphabet, by the system's own program.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut child = Command::new("base64")
        .arg("-w0")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("base64");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), bytes).expect("a pipe");
    let output = child.wait_with_output().expect("base64");
    String::from_utf8(output.stdout).expect("text").replace('+', "-").replace('/', "_")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}
