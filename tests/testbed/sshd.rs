//! A private sshd on loopback, for which `/var/run/docker.sock` is whatever a test wants it to be.

use super::programs::{Supervised, free_port, has, wait_for_port};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running sshd with keys of its own.
pub(crate) struct Sshd {
    pub(crate) port: u16,
    dir: tempfile::TempDir,
    _running: Supervised,
}

/// What lies at the place of the engine's socket.
pub(crate) enum Socket<'a> {
    /// This engine's.
    Of(&'a Path),
    /// Nothing.
    None,
    /// A socket on which nobody listens.
    Dead,
    /// One that somebody listens on who is no engine: an ssh-agent.
    Other,
}

/// Why there can be none here.
pub(crate) fn missing() -> Option<String> {
    if !Path::new("/usr/sbin/sshd").exists() {
        return Some("no sshd here; install openssh-server".to_owned());
    }
    if !has("ssh", "-V") {
        return Some("no ssh here; install openssh-client".to_owned());
    }
    let own = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/run"]).output();
    let may = own.is_ok_and(|output| output.status.success());
    (!may).then(|| "a private sshd needs root, and a mount namespace of its own".to_owned())
}

impl Sshd {
    /// Starts one. In a mount namespace of its own `/run` is empty but for the socket.
    pub(crate) fn start(socket: Socket<'_>, options: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        for name in ["host", "other-host", "client", "restricted", "stranger"] {
            make_key(&path(name));
        }
        let public = |name: &str| fs::read_to_string(path(&format!("{name}.pub"))).expect("a key");
        let keys = format!(
            "{}restrict,port-forwarding,command=\"/bin/false\" {}",
            public("client"),
            public("restricted")
        );
        fs::write(path("authorized_keys"), keys).expect("a file");
        let port = free_port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized_keys\n\
             PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n{options}\n",
            dir.path().display()
        );
        fs::write(path("sshd_config"), config).expect("a file");
        let mut agent = "";
        let prepare = match socket {
            Socket::Of(engine) => {
                format!(
                    "touch /run/docker.sock; mount --bind {} /run/docker.sock;",
                    engine.display()
                )
            }
            Socket::None => String::new(),
            Socket::Other => {
                // It ends with the program that it runs.
                agent = "ssh-agent -a /run/docker.sock";
                String::new()
            }
            Socket::Dead => {
                let dead = path("dead");
                drop(std::os::unix::net::UnixListener::bind(&dead).expect("a socket"));
                format!("touch /run/docker.sock; mount --bind {} /run/docker.sock;", dead.display())
            }
        };
        let script = format!(
            "mount -t tmpfs none /run && mkdir /run/sshd; {prepare} exec {agent} /usr/sbin/sshd -D -e -f {}",
            path("sshd_config").display()
        );
        let log = path("log");
        let running = Supervised::start(&["unshare", "-m", "sh", "-c", &script], &log);
        wait_for_port(port, &log);
        Self { port, dir, _running: running }
    }

    /// A file of ssh settings: with this key, and knowing this host key for a port.
    pub(crate) fn settings(
        &self,
        name: &str,
        key: &str,
        host_key: Option<&str>,
        port: u16,
    ) -> PathBuf {
        let path = |name: &str| self.dir.path().join(name);
        let known = host_key.map_or_else(String::new, |host_key| {
            let public = fs::read_to_string(path(&format!("{host_key}.pub"))).expect("a key");
            format!("[127.0.0.1]:{port} {public}")
        });
        fs::write(path(&format!("{name}.known")), known).expect("a file");
        let text = format!(
            "IdentityFile {0}/{key}\nIdentitiesOnly yes\nIdentityAgent none\n\
             UserKnownHostsFile {0}/{name}.known\nGlobalKnownHostsFile none\n",
            self.dir.path().display()
        );
        fs::write(path(name), text).expect("a file");
        path(name)
    }
}

fn make_key(path: &Path) {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .output()
        .expect("ssh-keygen");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
