//! Where the daemon's commits come from: a repository on this machine, or one elsewhere that is mirrored here.
//!
//! Enters: a path or an address, and a branch. Leaves: the branch's newest commit, or why it can't be had, in words
//! that say what to do. A repository on this machine is only read. Fetching is the `git` command's, so that its
//! credential helpers, ssh settings and proxies just work; without hooks, prompts and odd protocols, and within a
//! limit of time. What was fetched once stays readable: a branch that is forced elsewhere takes no commit away that a
//! device may be at. Not here: what a commit holds.

use super::command::{Git, GitFailure};
use super::refusal::refusal;
use super::{Repository, Revision, SourceError, mirror};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A branch of a repository.
#[derive(Debug)]
pub struct Remote {
    place: Place,
    branch: String,
    shown: String,
    /// The repository that is read here, with the way to the fleet folder in it.
    folder: PathBuf,
    limit: Duration,
}

#[derive(Debug)]
enum Place {
    /// On this machine: it is read where it is.
    Here { before: Mutex<Option<Before>> },
    /// Elsewhere: fetched into a bare repository of our own.
    There { address: String, mirror: PathBuf },
}

/// What was found here last.
#[derive(Debug)]
struct Before {
    /// The repository: where it is gone, another one may lie around the same folder.
    place: PathBuf,
    head: String,
}

/// The newest commit of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The commit.
    pub head: Revision,
    /// Whether it does not build on the one before: somebody forced the branch.
    pub was_forced: bool,
}

/// Why no new commit can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteError {
    /// What class of trouble.
    pub kind: RemoteErrorKind,
    /// The words, without credentials.
    pub message: String,
}

/// Classes of trouble with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteErrorKind {
    /// The branch is not there any more.
    BranchGone,
    /// Nobody answers, or not in time.
    Unreachable,
    /// It wants credentials, or others.
    LoginRefused,
    /// There is no such repository.
    NoRepository,
    /// This machine lacks git, or the repository here can't be used.
    Here,
    /// Anything else.
    Other,
}

/// Where what was fetched last stands in the mirror.
const HEAD: &str = "refs/hoist/head";
/// Where what comes stands until it is known whether it builds on that.
const INCOMING: &str = "refs/hoist/incoming";
/// Where former heads stand that the branch left, so that they stay readable.
const KEPT: &str = "refs/hoist/kept";
/// So long may one fetch take.
const LIMIT: Duration = Duration::from_secs(300);

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RemoteError {}

impl RemoteError {
    pub(super) fn new(kind: RemoteErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<SourceError> for RemoteError {
    fn from(error: SourceError) -> Self {
        Self::new(RemoteErrorKind::Here, error.to_string())
    }
}

/// Whether a text is an address of git, and not a path on this machine.
pub fn is_address(text: &str) -> bool {
    text.contains("://") || {
        // `host:path`, as scp has it; `./a:b` and `/a:b` are paths.
        let before = text.split(':').next().unwrap_or_default();
        before.len() < text.len() && !before.contains('/') && !Path::new(text).exists()
    }
}

/// An address as it may be shown: without user names and passwords.
pub fn without_credentials(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => address.to_owned(),
    }
}

impl Remote {
    /// A branch of a repository on this machine. The folder is the fleet's, in it or its top.
    pub fn here(folder: &Path, branch: &str) -> Self {
        Self {
            place: Place::Here { before: Mutex::default() },
            branch: branch.to_owned(),
            shown: folder.display().to_string(),
            folder: folder.to_owned(),
            limit: LIMIT,
        }
    }

    /// A branch of a repository elsewhere, mirrored into a folder of ours. `below` is the way to the fleet folder
    /// from the repository's top; empty if that is the top.
    pub fn there(address: &str, branch: &str, mirror: &Path, below: &str) -> Self {
        Self {
            place: Place::There { address: address.to_owned(), mirror: mirror.to_owned() },
            branch: branch.to_owned(),
            shown: without_credentials(address),
            folder: if below.is_empty() { mirror.to_owned() } else { mirror.join(below) },
            limit: LIMIT,
        }
    }

    /// The same with another limit of time for one fetch.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The folder by which [`Repository::open`] opens what is read here.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The branch.
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// Where it is, without credentials.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it is on this machine, so that changes tell of themselves.
    pub fn is_here(&self) -> bool {
        matches!(self.place, Place::Here { .. })
    }

    /// The branch's newest commit as it was when it was had last; nothing is asked of anybody.
    pub fn newest_here(&self) -> Option<Revision> {
        match &self.place {
            Place::Here { .. } => self.read_head(&format!("refs/heads/{}", self.branch)).ok(),
            Place::There { .. } => self.read_head(HEAD).ok(),
        }
    }

    /// The branch's newest commit.
    ///
    /// # Errors
    /// It can't be had; what was had before is as it was.
    pub async fn fetch(&self) -> Result<Fetched, RemoteError> {
        if !git2::Reference::is_valid_name(&format!("refs/heads/{}", self.branch)) {
            let words = format!("`{}` is no name of a branch; --branch says which", self.branch);
            return Err(RemoteError::new(RemoteErrorKind::BranchGone, words));
        }
        match &self.place {
            Place::Here { before } => self.look_here(before),
            Place::There { address, mirror } => self.fetch_from(address, mirror).await,
        }
    }

    fn look_here(&self, before: &Mutex<Option<Before>>) -> Result<Fetched, RemoteError> {
        let repository = Repository::open(&self.folder)?;
        let place = repository.git().commondir().to_owned();
        let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before.as_ref().filter(|before| before.place != place) {
            let (folder, former) = (self.folder.display(), before.place.display());
            let words = format!(
                "{folder} is not in the repository {former} any more, but in {}",
                place.display()
            );
            return Err(RemoteError::new(RemoteErrorKind::Here, words));
        }
        let head = self.read_head(&format!("refs/heads/{}", self.branch))?;
        let was_forced = before.as_ref().is_some_and(|before| {
            before.head != head.id && !repository.is_in_history(&before.head, &head.id)
        });
        *before = Some(Before { place, head: head.id.clone() });
        Ok(Fetched { head, was_forced })
    }

    async fn fetch_from(&self, address: &str, mirror: &Path) -> Result<Fetched, RemoteError> {
        let lock = mirror::lock(mirror).await?;
        let git = Git { git_dir: mirror, limit: self.limit, lock: Some(&lock) };
        let run = async |arguments: &[&str]| {
            git.run(arguments).await.map_err(|failure| refusal(failure, address, &self.shown))
        };
        if !mirror.join("HEAD").exists() {
            run(&["init", "--quiet", "--bare", "--template="]).await?;
            // Whoever reads the mirror finds what was fetched last.
            run(&["symbolic-ref", "HEAD", HEAD]).await?;
        }
        mirror::remove_old_locks(mirror);
        let refspec = format!("+refs/heads/{}:{INCOMING}", self.branch);
        let fetch =
            ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
        let arguments: Vec<&str> =
            fetch.into_iter().chain(["--", address, refspec.as_str()]).collect();
        let fetched = run(&arguments).await;
        if fetched.as_ref().is_err_and(|error| error.message.contains("couldn't find remote ref")) {
            return Err(self.branch_gone());
        }
        fetched?;
        let head = self.read_head(INCOMING)?;
        let former = self.read_head(HEAD).ok();
        if former.as_ref().is_some_and(|former| former.id == head.id) {
            return Ok(Fetched { head, was_forced: false });
        }
        let was_forced = match &former {
            Some(former) => !Repository::open(mirror)?.is_in_history(&former.id, &head.id),
            None => false,
        };
        if let Some(left) = former.filter(|_| was_forced) {
            // Devices may be at it. Before the head moves: at no moment may it be named by nothing.
            let kept = format!("{KEPT}/{}", left.id);
            run(&["update-ref", kept.as_str(), left.id.as_str()]).await?;
        }
        run(&["update-ref", HEAD, head.id.as_str()]).await?;
        Ok(Fetched { head, was_forced })
    }

    /// Whether a commit bears a signature of one of these keys.
    ///
    /// # Errors
    /// It does not, or that can't be told; the words say why.
    pub async fn verify(&self, revision: &Revision, signers: &Path) -> Result<(), String> {
        if !signers.is_file() {
            return Err(format!("{} is not there", signers.display()));
        }
        let signers = format!("gpg.ssh.allowedSignersFile={}", signers.display());
        // Only the keys of that file count, not those that this user happens to have.
        let arguments = [
            "-c",
            &signers,
            "-c",
            "gpg.program=/bin/false",
            "-c",
            "gpg.x509.program=/bin/false",
            "verify-commit",
            revision.id.as_str(),
        ];
        let repository = Repository::open(&self.folder).map_err(|error| error.to_string())?;
        let git_dir = repository.git().commondir();
        let git = Git { git_dir, limit: Duration::from_secs(30), lock: None };
        match git.run(&arguments).await {
            Ok(()) => Ok(()),
            Err(GitFailure::Said(words)) if words.trim().is_empty() => {
                Err("it bears none".to_owned())
            }
            Err(failure) => Err(about_signature(&failure.to_string())),
        }
    }

    fn read_head(&self, reference: &str) -> Result<Revision, RemoteError> {
        let repository = Repository::open(&self.folder)?;
        repository.resolve(reference).map_err(|error| match error {
            SourceError::UnknownRevision { .. } => self.branch_gone(),
            other => other.into(),
        })
    }

    fn branch_gone(&self) -> RemoteError {
        let words = format!(
            "{} has no branch `{}`; what counted before stays. --branch names another one",
            self.shown, self.branch
        );
        RemoteError::new(RemoteErrorKind::BranchGone, words)
    }
}

/// What git says of a signature: several lines, of which the first may call it good although nobody here knows its key.
fn about_signature(said: &str) -> String {
    let lines = said.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.collect();
    if lines.len() == 2
        && lines[1].starts_with("No principal matched")
        && let Some((_, key)) = lines[0].split_once(" with ")
    {
        return format!("it is of a key that is not among those accepted: {key}");
    }
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_of_a_key_that_nobody_knows_is_not_called_good() {
        let said = "Good \"git\" signature with ED25519 key SHA256:h7w\r\nNo principal matched.\n";
        let words = "it is of a key that is not among those accepted: ED25519 key SHA256:h7w";
        assert_eq!(about_signature(said), words);
        let said = "Good \"git\" signature with a key\nUnable to open allowed keys file\r\nNo principal matched.";
        let words = "Good \"git\" signature with a key; Unable to open allowed keys file; No principal matched.";
        assert_eq!(about_signature(said), words);
        assert_eq!(about_signature("error: 1\n"), "error: 1");
    }

    #[test]
    fn addresses_are_told_from_paths_and_shown_without_credentials() {
        for text in ["https://git.example/f", "file:///srv/f.git", "git@git.example:fleet.git"] {
            assert!(is_address(text), "{text}");
        }
        for text in ["/srv/fleet", "../fleet", ".", "./a:b", "fleet"] {
            assert!(!is_address(text), "{text}");
        }
        let shown = |text| without_credentials(text);
        assert_eq!(shown("https://u:pw@git.example/f?x"), "https://git.example/f?x");
        assert_eq!(shown("https://u@x:p@w@git.example"), "https://git.example");
        assert_eq!(shown("git@git.example:fleet.git"), "git@git.example:fleet.git");
    }
}
