//! The `git` command, where git2 does not do what users expect of git: fetching and signatures.
//!
//! Enters: arguments, a repository, a limit of time. Leaves: whether git did it, else what it said last. The user's own
//! settings of git and ssh hold, but nothing is asked and nothing that a repository brings along is run.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// How git is run.
pub(super) struct Git<'a> {
    /// The repository itself, not a working tree of it.
    pub(super) git_dir: &'a Path,
    /// So long it may take.
    pub(super) limit: Duration,
    /// A lock that is held until git and all that it began have ended, also if this process ends before.
    pub(super) lock: Option<&'a File>,
}

/// Why git did not do it.
#[derive(Debug)]
pub(super) enum GitFailure {
    /// There is no git.
    Missing,
    /// It took too long and was ended.
    TooLong(Duration),
    /// What it said.
    Said(String),
}

/// So much of what git says is kept: the end, where its own words are, behind those of the server.
const KEPT_WORDS: usize = 16 << 10;
/// Git takes back its locks and half packs when it is asked to end.
const TO_END: Duration = Duration::from_secs(3);
/// What git leaves in the background may keep its standard error.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Settings that hold whatever this user's are: nothing that a repository holds is run, nothing is asked; a server that
/// stopped sending is given up; what was fetched survives a loss of power.
const SETTINGS: [&str; 24] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.fsync=committed,reference",
    "-c",
    "fetch.fsckObjects=true",
    "-c",
    "protocol.allow=never",
    "-c",
    "protocol.file.allow=always",
    "-c",
    "protocol.https.allow=always",
    "-c",
    "protocol.http.allow=always",
    "-c",
    "protocol.ssh.allow=always",
    "-c",
    "protocol.git.allow=always",
    "-c",
    "http.lowSpeedLimit=1",
    "-c",
    "http.lowSpeedTime=60",
];

/// Variables that would lead git to another repository: those of a hook that started this program.
const LEADING_ASTRAY: [&str; 10] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
];

const SSH_OPTIONS: &str =
    "-o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4";

impl fmt::Display for GitFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("git is not installed here"),
            Self::TooLong(limit) => write!(f, "git took longer than {} s", limit.as_secs()),
            Self::Said(words) => f.write_str(words.trim()),
        }
    }
}

impl Git<'_> {
    /// Runs git to its end.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<(), GitFailure> {
        let mut child = self.command(arguments).spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => GitFailure::Missing,
            _ => GitFailure::Said(format!("can't run git: {error}")),
        })?;
        match tokio::time::timeout(self.limit, ended(&mut child)).await {
            Ok((true, _)) => Ok(()),
            Ok((false, words)) => Err(GitFailure::Said(words)),
            Err(_) => {
                end_with_all_it_began(&mut child).await;
                Err(GitFailure::TooLong(self.limit))
            }
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(SETTINGS)
            .arg("--git-dir")
            .arg(self.git_dir)
            .args(arguments)
            .current_dir("/")
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("SSH_ASKPASS", "")
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(
                self.lock
                    .and_then(|lock| lock.try_clone().ok())
                    .map_or_else(Stdio::null, Stdio::from),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        LEADING_ASTRAY.iter().for_each(|name| {
            command.env_remove(name);
        });
        if let Some(ssh) = ssh_command() {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        command
    }
}

/// The user's own ssh command, or ssh, with options that keep it from asking and from hanging; `None` where the user
/// has another program.
fn ssh_command() -> Option<String> {
    let from_settings = || git2::Config::open_default().ok()?.get_string("core.sshcommand").ok();
    let own = std::env::var("GIT_SSH_COMMAND").ok().or_else(from_settings);
    let program = match own {
        None if std::env::var_os("GIT_SSH").is_some() => return None,
        None => "ssh".to_owned(),
        Some(own) => own,
    };
    let name = program.split_whitespace().next().and_then(|first| first.rsplit('/').next());
    (name == Some("ssh")).then(|| format!("{program} {SSH_OPTIONS}"))
}

/// Whether it did it, and what it said last.
async fn ended(child: &mut Child) -> (bool, String) {
    let mut words = Vec::new();
    let Some(mut errors) = child.stderr.take() else {
        return (child.wait().await.is_ok_and(|status| status.success()), String::new());
    };
    let done = {
        let listening = listen(&mut errors, &mut words);
        tokio::pin!(listening);
        tokio::select! {
            done = child.wait() => {
                let _ = tokio::time::timeout(LAST_WORDS, listening).await;
                done
            }
            () = &mut listening => child.wait().await,
        }
    };
    let done = done.is_ok_and(|status| status.success());
    (done, String::from_utf8_lossy(&words).into_owned())
}

/// Reads to the end and keeps the last of it.
async fn listen(errors: &mut (impl AsyncRead + Unpin), words: &mut Vec<u8>) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = errors.read(&mut piece).await {
        words.extend_from_slice(&piece[..length]);
        if words.len() > 2 * KEPT_WORDS {
            words.drain(..words.len() - KEPT_WORDS);
        }
    }
}

/// Git's own helpers (ssh, curl) are in its process group.
async fn end_with_all_it_began(child: &mut Child) {
    let Some(id) = child.id() else { return };
    let group = format!("-{id}");
    let signal = |name: &str| {
        let _ = std::process::Command::new("kill")
            .args([name, "--", &group])
            .stderr(Stdio::null())
            .status();
    };
    signal("-TERM");
    let _ = tokio::time::timeout(TO_END, child.wait()).await;
    // A helper may still run where git itself has ended.
    signal("-KILL");
    let _ = child.wait().await;
}
