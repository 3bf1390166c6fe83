//! Secrets: where their values are, who may have them, and having one for a moment.

use crate::language::Condition;
use crate::model::SecretName;
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// One secret of the control host.
#[derive(Debug, Clone, PartialEq)]
pub struct Secret {
    /// Its name, as the fleet repository has it.
    pub name: SecretName,
    /// The user name that goes with it, for registries.
    pub username: Option<String>,
    /// Where its value is.
    pub source: SecretSource,
    /// The only registries that get it; `None`: no registry does.
    pub registries: Option<Vec<String>>,
    /// The only devices that get it; `None`: every device.
    pub devices: Option<SecretDevices>,
}

/// Which devices get a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretDevices {
    /// As it is written.
    pub text: String,
    /// The same, parsed.
    pub condition: Condition,
}

/// Where the value of a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a variable of Hoist's environment.
    Env(String),
    /// In a file.
    File(PathBuf),
    /// On the standard output of a program: its name and arguments.
    Command(Vec<String>),
}

/// The value of a secret. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// A value that stands in the file itself.
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(hidden)")
    }
}

/// Why a secret's value could not be had. Holds no part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretError {
    /// Which secret.
    pub secret: SecretName,
    /// Why not, in words.
    pub reason: String,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no value for secret `{}`: {}", self.secret, self.reason)
    }
}

impl std::error::Error for SecretError {}

/// The longest value that is taken.
const LONGEST: u64 = 64 << 10;

/// So long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

impl Secret {
    /// Gets the value now: variable, file or command is asked each time. One newline at its end is not
    /// part of it. Blocks for as long as a command takes, at most ten seconds.
    ///
    /// # Errors
    /// It can't be had, is empty, too long, or no text.
    pub fn value(&self) -> Result<SecretText, SecretError> {
        self.value_within(COMMAND_LIMIT)
    }

    fn value_within(&self, limit: Duration) -> Result<SecretText, SecretError> {
        let fail = |reason: String| SecretError { secret: self.name.clone(), reason };
        let bytes = match &self.source {
            SecretSource::Env(variable) => std::env::var_os(variable)
                .ok_or_else(|| fail(format!("the variable {variable} is not set")))?
                .into_encoded_bytes(),
            SecretSource::File(path) => std::fs::File::open(path)
                .inspect(|_| warn_of_readers(path))
                .and_then(read_limited)
                .map_err(|error| fail(format!("{}: {error}", path.display())))?,
            SecretSource::Command(words) => run(words, limit).map_err(fail)?,
        };
        if bytes.len() as u64 > LONGEST {
            return Err(fail(format!("it is longer than {} KiB", LONGEST >> 10)));
        }
        let mut text =
            String::from_utf8(bytes).map_err(|_| fail("it is not UTF-8 text".to_owned()))?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() {
            return Err(fail("it is empty".to_owned()));
        }
        if text.contains('\0') {
            return Err(fail("it contains a zero byte".to_owned()));
        }
        Ok(SecretText(text))
    }
}

/// The text of a file that only the control host should read; that others may is said in the log.
///
/// # Errors
/// It can't be read, or is no text.
pub fn read_secret(path: &Path) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    warn_of_readers(path);
    let words = |_| std::io::Error::other("it is no text in UTF-8");
    String::from_utf8(read_limited(file)?).map_err(words)
}

/// Secrets that a container gets as files are often readable by all of its users, so it is no error.
pub fn warn_of_readers(path: &Path) {
    const EVERYBODY: u32 = 0o004;
    if std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & EVERYBODY != 0) {
        tracing::warn!(file = %path.display(), "every user of this machine can read this secret");
    }
}

fn read_limited(source: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a program writes, if it ends well in time. Its standard error goes where ours goes.
fn run(words: &[String], limit: Duration) -> Result<Vec<u8>, String> {
    let (program, arguments) = words.split_first().ok_or("its command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it starts ends with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    let stdout = child.stdout.take().ok_or("its command has no output")?;
    let (sender, receiver) = mpsc::channel();
    // A thread, so that a program that writes nothing and stays can be given up.
    std::thread::spawn(move || {
        // Nobody listens any more after the limit.
        let _ = sender.send(read_limited(stdout));
    });
    let output = receiver.recv_timeout(limit);
    let bytes = match output {
        Ok(Ok(bytes)) if bytes.len() as u64 <= LONGEST => bytes,
        given_up => {
            end_all(&mut child);
            return Err(match given_up {
                Ok(Ok(_)) => format!("{program} wrote more than {} KiB", LONGEST >> 10),
                Ok(Err(error)) => format!("cannot read what {program} writes: {error}"),
                Err(_) => format!("{program} took longer than {} s", limit.as_secs()),
            });
        }
    };
    // It has closed its output; one that goes on all the same gets as long again.
    let pause = Duration::from_millis(10);
    let mut left = limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(bytes),
            Ok(Some(status)) => return Err(format!("{program} failed: {status}")),
            Ok(None) if left.is_zero() => {
                end_all(&mut child);
                return Err(format!("{program} took longer than {} s", limit.as_secs()));
            }
            Ok(None) => {
                std::thread::sleep(pause);
                left = left.saturating_sub(pause);
            }
            Err(error) => return Err(format!("cannot wait for {program}: {error}")),
        }
    }
}

/// Ends a program and all that it started.
fn end_all(child: &mut Child) {
    let group = format!("-{}", child.id());
    // They may have ended by themselves meanwhile, which is as good.
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(source: SecretSource) -> Secret {
        let name = SecretName::parse("puller").unwrap();
        Secret { name, username: None, source, registries: None, devices: None }
    }

    fn shell(script: &str) -> Secret {
        secret(SecretSource::Command(["sh", "-c", script].map(str::to_owned).to_vec()))
    }

    #[test]
    fn values_are_had_from_variables_files_and_commands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (content, expected) in
            [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), ("two\n\n", "two\n"), (" x ", " x ")]
        {
            std::fs::write(&path, content).unwrap();
            let value = secret(SecretSource::File(path.clone())).value().unwrap();
            assert_eq!(value.expose(), expected);
            assert_eq!(format!("{value:?}"), "SecretText(hidden)");
        }
        let home = secret(SecretSource::Env("PATH".to_owned())).value().unwrap();
        assert_eq!(home.expose(), std::env::var("PATH").unwrap());
        assert_eq!(shell("echo s3cret").value().unwrap().expose(), "s3cret");
    }

    #[test]
    fn what_cannot_be_had_is_told_without_the_value() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        let say = |secret: Secret| secret.value_within(Duration::from_secs(2)).unwrap_err().reason;
        assert_eq!(say(secret(SecretSource::File(empty))), "it is empty");
        assert!(say(secret(SecretSource::File(folder.path().join("no")))).contains("No such file"));
        let unset = secret(SecretSource::Env("HOIST_TEST_UNSET".to_owned()));
        assert_eq!(say(unset), "the variable HOIST_TEST_UNSET is not set");
        assert_eq!(say(shell("echo s3cret; exit 3")), "sh failed: exit status: 3");
        assert_eq!(say(shell("printf '\\377'")), "it is not UTF-8 text");
        assert_eq!(say(shell("head -c 100000 /dev/zero")), "sh wrote more than 64 KiB");
        assert!(
            say(secret(SecretSource::Command(vec!["/no/such/program".to_owned()])))
                .starts_with("cannot run /no/such/program")
        );
    }

    #[test]
    fn a_command_that_does_not_end_is_given_up() {
        for script in ["exec sleep 60", "exec sleep 60 >&-"] {
            let error = shell(script).value_within(Duration::from_millis(50)).unwrap_err();
            assert!(error.reason.starts_with("sh took longer"), "{error}");
        }
    }

    #[test]
    fn what_a_given_up_command_started_ends_too() {
        let error = shell("sleep 7654 | cat").value_within(Duration::from_millis(100)).unwrap_err();
        assert!(error.reason.starts_with("sh took longer"), "{error}");
        let goes_on = || {
            std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                line == b"sleep\x007654\0"
            })
        };
        for _ in 0..100 {
            if !goes_on() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it goes on");
    }
}
