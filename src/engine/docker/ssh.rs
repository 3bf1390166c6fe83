//! The way through ssh: one `ssh` process a device, which forwards a socket of this machine to the engine's.
//!
//! Enters: user, host and port of an address. Leaves: streams through the forwarded socket, or [`Trouble`] with
//! the exact cause. The system's `ssh` does the work, with its settings, agent and jump hosts. It never asks
//! anybody anything, a host's key must be known before, and git can't put an option into its command line. Not
//! here: commands on the device; only where a forwarded connection is refused one looks for the reason.

use super::failure::Trouble;
use crate::engine::Cause;
use crate::model::EngineAddress;
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};

/// The engine's socket on the device.
const SOCKET: &str = "/var/run/docker.sock";
/// What ssh says goes no further back.
const LONGEST_WORDS: usize = 8 << 10;
/// Between two looks whether ssh has logged in.
const BETWEEN: Duration = Duration::from_millis(10);
/// So long ssh may take to say why it closed a connection.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// For the search for the reason of a refused connection.
const SEARCH: Duration = Duration::from_secs(10);

/// Runs ssh until its own standard input closes, which it does whenever and however its parent ends; and leaves
/// nothing behind. The arguments: the private folder, then ssh's command line.
const SUPERVISOR: &str = r#"folder=$1; shift
"$@" </dev/null >/dev/null &
exec >/dev/null 2>&1
read -r _
kill "$!"; wait "$!"
rm -f "$folder/s"; rmdir "$folder""#;

/// Says by its exit code what there is in place of the engine's socket: sshd answers the same to everything that
/// can go wrong with it. Fixed text: nothing of git is in it.
const LOOK: &str = "test -S /var/run/docker.sock || exit 93; test -w /var/run/docker.sock || exit 94; \
                    grep -q '/run/docker.sock$' /proc/net/unix || exit 95; exit 96";

/// The way to one device.
pub(super) struct Ssh {
    user: Option<String>,
    host: String,
    port: u16,
    /// A file to take in place of the user's own settings.
    config: Option<PathBuf>,
    tunnel: tokio::sync::Mutex<Option<Tunnel>>,
}

/// A running ssh. Dropping it ends it.
struct Tunnel {
    /// The supervisor ends ssh when this closes.
    _leash: ChildStdin,
    _supervisor: Child,
    folder: PathBuf,
    said: Arc<Said>,
}

/// What ssh has said, and whether it has ended.
#[derive(Default)]
struct Said {
    words: Mutex<String>,
    ended: AtomicBool,
}

impl Ssh {
    /// A way to an address; nothing is started yet.
    ///
    /// # Errors
    /// The address is none that git may write: only those that parse can't hold an option of ssh.
    pub(super) fn new(address: &EngineAddress, config: Option<PathBuf>) -> Result<Self, String> {
        match EngineAddress::parse(&address.to_string()) {
            Ok(EngineAddress::Ssh { user, host, port }) => {
                Ok(Self { user, host, port, config, tunnel: tokio::sync::Mutex::default() })
            }
            _ => Err(format!("{address} is no address for ssh")),
        }
    }

    /// A stream to the engine, through the process that runs, or else a new one.
    pub(super) async fn open(&self) -> Result<UnixStream, Trouble> {
        let mut tunnel = self.tunnel.lock().await;
        if let Some(running) = tunnel.as_ref().filter(|tunnel| !tunnel.said.has_ended())
            && let Ok(stream) = UnixStream::connect(running.socket()).await
        {
            return Ok(stream);
        }
        *tunnel = None;
        let fresh = self.start()?;
        let stream = self.logged_in(&fresh).await?;
        *tunnel = Some(fresh);
        Ok(stream)
    }

    fn start(&self) -> Result<Tunnel, Trouble> {
        let unusable = |error: std::io::Error| Trouble::NoConnection {
            cause: Some(Cause::SshUnusable),
            words: format!("ssh can't be started: {error}"),
        };
        let folder = private_folder().map_err(unusable)?;
        let mut forward = folder.join("s").into_os_string();
        forward.push(":");
        forward.push(SOCKET);
        let started = Command::new("/bin/sh")
            .args(["-c", SUPERVISOR, "hoist-ssh"])
            .arg(&folder)
            .args(self.arguments(&["-N".into(), "-L".into(), forward]))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for us: what is under way is brought to its end through ssh.
            .process_group(0)
            .spawn();
        let mut supervisor = started.map_err(|error| {
            // It is empty, and ours.
            let _ = std::fs::remove_dir(&folder);
            unusable(error)
        })?;
        let said = Arc::<Said>::default();
        let (Some(leash), Some(stderr)) = (supervisor.stdin.take(), supervisor.stderr.take())
        else {
            return Err(unusable(std::io::ErrorKind::BrokenPipe.into()));
        };
        tokio::spawn(listen(stderr, Arc::clone(&said)));
        tracing::debug!(host = self.host, "ssh started");
        Ok(Tunnel { _leash: leash, _supervisor: supervisor, folder, said })
    }

    /// The command line: everything that could ask somebody, run something or share a login is off.
    fn arguments(&self, mode: &[OsString]) -> Vec<OsString> {
        let mut all: Vec<OsString> = vec!["ssh".into(), "-T".into()];
        if let Some(config) = &self.config {
            all.extend(["-F".into(), config.into()]);
        }
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "UpdateHostKeys=no",
            "ConnectTimeout=10",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=3",
            "ExitOnForwardFailure=yes",
            "ControlMaster=no",
            "ControlPath=none",
            "ForwardAgent=no",
            "ForwardX11=no",
            "PermitLocalCommand=no",
            "LogLevel=INFO",
        ] {
            all.extend(["-o".into(), option.into()]);
        }
        all.extend_from_slice(mode);
        // Without a port in the address ssh's own settings may name one.
        if self.port != 22 {
            all.extend(["-p".into(), self.port.to_string().into()]);
        }
        if let Some(user) = &self.user {
            all.extend(["-l".into(), user.into()]);
        }
        all.extend(["--".into(), self.host.clone().into()]);
        all
    }

    /// Waits until the forwarded socket is there, which is after the login.
    async fn logged_in(&self, tunnel: &Tunnel) -> Result<UnixStream, Trouble> {
        loop {
            if let Ok(stream) = UnixStream::connect(tunnel.socket()).await {
                return Ok(stream);
            }
            if tunnel.said.has_ended() {
                return Err(self.refused(&tunnel.said.words()));
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// What ssh's last words mean.
    fn refused(&self, words: &str) -> Trouble {
        let host = &self.host;
        let has = |text: &str| words.contains(text);
        let (cause, meaning) = if has("HOST IDENTIFICATION HAS CHANGED") {
            (
                Cause::HostKeyChanged,
                format!("{host} shows another host key than the one that is known for it"),
            )
        } else if has("Host key verification failed") || has("host key is known for") {
            (
                Cause::HostKeyUnknown,
                format!("the host key of {host} is not known to this control host"),
            )
        } else if has("Could not resolve hostname") {
            (Cause::NameUnknown, format!("the name {host} has no address"))
        } else if has("Permission denied (") || has("Too many authentication failures") {
            (Cause::LoginRefused, format!("{host} refuses the login"))
        } else if has("Connection refused") {
            (Cause::NothingListens, format!("no ssh server listens on {host}"))
        } else if has("timed out") || has("No route to host") || has("Network is unreachable") {
            (Cause::NoAnswer, format!("{host} does not answer"))
        } else if has("not found") || has("Bad configuration option") || has("Bad owner") {
            (Cause::SshUnusable, "this machine's ssh can't be used".to_owned())
        } else {
            return Trouble::NoConnection {
                cause: None,
                words: format!("ssh to {host} ended: {}", last_line(words)),
            };
        };
        Trouble::NoConnection {
            cause: Some(cause),
            words: format!("{meaning} (ssh: {})", last_line(words)),
        }
    }

    /// Why a forwarded connection was closed at once: ssh says it, or nobody knows.
    pub(super) async fn why_closed(&self) -> Option<Trouble> {
        let said = Arc::clone(&self.tunnel.lock().await.as_ref()?.said);
        let mut words = String::new();
        let mut waited = Duration::ZERO;
        while waited < LAST_WORDS && !words.contains("open failed") {
            tokio::time::sleep(BETWEEN).await;
            waited += BETWEEN;
            words = said.words();
        }
        if !words.contains("open failed") {
            return said.has_ended().then(|| self.refused(&words));
        }
        said.forget();
        let host = &self.host;
        let user = self.user.as_deref().unwrap_or("the user");
        let (cause, words) = match self.look_closer().await {
            Some(93) => (
                Cause::NoEngineThere,
                format!("there is no {SOCKET} on {host}: no Docker is there, or it does not run"),
            ),
            Some(94) => (Cause::NotPermitted, format!("{user} may not use {SOCKET} on {host}")),
            Some(95) => (Cause::NothingListens, format!("nothing listens at {SOCKET} on {host}")),
            Some(96) => (
                Cause::ForwardingRefused,
                format!(
                    "{host} does not forward {SOCKET} for {user}: its sshd or the key's options forbid it"
                ),
            ),
            _ => (
                Cause::NoEngineThere,
                format!(
                    "{host} can't connect to {SOCKET}: no engine there, or {user} may not use it"
                ),
            ),
        };
        Some(Trouble::NoConnection { cause: Some(cause), words })
    }

    /// One login more, for the exit code of [`LOOK`]; a key that may not run commands gives another.
    async fn look_closer(&self) -> Option<i32> {
        let mut arguments = self.arguments(&[]);
        arguments.push(LOOK.into());
        let mut command = Command::new(arguments.remove(0));
        command.args(arguments).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = tokio::time::timeout(SEARCH, command.status()).await.ok()?.ok()?;
        status.code()
    }
}

impl Tunnel {
    fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }
}

impl Said {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn words(&self) -> String {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget(&self) {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Takes in what ssh says until it ends.
async fn listen(mut stderr: tokio::process::ChildStderr, said: Arc<Said>) {
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut piece).await {
        let mut words = said.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.push_str(&String::from_utf8_lossy(&piece[..read]));
        if words.len() > LONGEST_WORDS {
            let cut = words.len() - LONGEST_WORDS;
            let cut = (cut..words.len()).find(|at| words.is_char_boundary(*at)).unwrap_or(0);
            words.drain(..cut);
        }
    }
    said.ended.store(true, Ordering::Release);
}

/// The last line that says something. A server's words can be in it, so nothing in it is a command to a
/// terminal.
fn last_line(words: &str) -> String {
    let line = words.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no word");
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// A new folder that only we can enter; on a short path, as a socket's has at most 108 bytes.
fn private_folder() -> std::io::Result<PathBuf> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let parent = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && path.is_dir() && path.as_os_str().len() < 60)
        .unwrap_or_else(|| Path::new("/tmp").to_owned());
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let salt = jiff::Timestamp::now().subsec_nanosecond();
        let folder = parent.join(format!("hoist-ssh-{}-{number}-{salt:x}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            // Somebody else's: never taken.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(text: &str) -> Ssh {
        Ssh::new(&EngineAddress::parse(text).unwrap(), None).unwrap()
    }

    #[test]
    fn the_command_line_asks_nobody_and_ends_with_the_host() {
        let all = ssh("ssh://hoist@gw-1.example:2299").arguments(&["-N".into()]);
        let all: Vec<&str> = all.iter().map(|word| word.to_str().unwrap()).collect();
        assert!(all.contains(&"BatchMode=yes") && all.contains(&"StrictHostKeyChecking=yes"));
        let end = ["-N", "-p", "2299", "-l", "hoist", "--", "gw-1.example"];
        assert_eq!(all[all.len() - 7..], end);
        let plain = ssh("ssh://gw-1.example").arguments(&[]);
        assert!(!plain.iter().any(|word| word == "-p" || word == "-l"), "{plain:?}");
    }

    #[test]
    fn an_address_that_would_be_an_option_is_none() {
        for (user, host) in [
            (None, "-oProxyCommand=touch /tmp/x"),
            (Some("-oProxyCommand=x"), "h"),
            (Some("u"), "h -oProxyCommand=x"),
            (None, "h%n"),
            (None, "h\nProxyCommand x"),
            (None, "$(touch x)"),
        ] {
            let address = EngineAddress::Ssh {
                user: user.map(str::to_owned),
                host: host.to_owned(),
                port: 22,
            };
            assert!(Ssh::new(&address, None).is_err(), "{address}");
        }
    }

    #[test]
    fn the_last_words_of_ssh_are_understood() {
        let cause = |words: &str| match ssh("ssh://h").refused(words) {
            Trouble::NoConnection { cause, .. } => cause,
            other => panic!("{other:?}"),
        };
        for (words, expected) in [
            (
                "No ED25519 host key is known for h and you have requested strict checking.\r\nHost key verification failed.",
                Cause::HostKeyUnknown,
            ),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                Cause::HostKeyChanged,
            ),
            ("ssh: Could not resolve hostname h: Name or service not known", Cause::NameUnknown),
            ("u@h: Permission denied (publickey).", Cause::LoginRefused),
            ("ssh: connect to host h port 22: Connection refused", Cause::NothingListens),
            ("ssh: connect to host h port 22: Connection timed out", Cause::NoAnswer),
            ("hoist-ssh: 2: ssh: not found", Cause::SshUnusable),
        ] {
            assert_eq!(cause(words), Some(expected), "{words}");
        }
        assert_eq!(cause("what"), None);
        assert_eq!(last_line("a\n\u{1b}[2Jb\r\n\n"), "[2Jb");
    }
}
