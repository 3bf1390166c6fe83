//! Why files could not be had, in words, and the command that helps.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a folder, a repository or a revision could not be read.
#[derive(Debug)]
pub enum SourceError {
    /// Neither the folder nor any above it has a `fleet.toml`.
    NoFleet {
        /// Where the search began.
        start: PathBuf,
    },
    /// A file or folder could not be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder is in no git repository.
    NoRepository {
        /// The folder.
        folder: PathBuf,
    },
    /// The repository belongs to another user, and nobody said that this is fine.
    WrongOwner {
        /// The repository's folder.
        folder: PathBuf,
    },
    /// A new repository was to be made in a folder that has something in it.
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The repository has no commit yet.
    NoCommits,
    /// No revision has that name.
    UnknownRevision {
        /// What was asked for.
        spec: String,
        /// Branches and tags that it may have meant.
        close: Vec<String>,
        /// Whether the clone is shallow, so that it may be missing only here.
        shallow: bool,
        /// The command that may bring it here.
        command: Option<String>,
    },
    /// More than one object begins with these digits.
    AmbiguousRevision {
        /// What was asked for.
        spec: String,
    },
    /// The name means something, but not one commit.
    NotACommit {
        /// What was asked for.
        spec: String,
    },
    /// Neither `origin/HEAD` nor `main` nor `master` is there to compare with.
    NoTargetBranch {
        /// The command that may bring one here.
        command: Option<String>,
    },
    /// Two revisions have no common ancestor.
    NoCommonHistory {
        /// One of them, as people write it.
        one: String,
        /// The other.
        other: String,
    },
    /// The history that is needed lies beyond the end of a shallow clone.
    Shallow {
        /// What could not be found out.
        wanted: String,
    },
    /// Objects are not here, as the clone is partial or damaged.
    MissingObjects {
        /// What was read.
        wanted: String,
        /// Whether the clone is a partial one.
        partial: bool,
    },
    /// Two revisions can't be merged without a person.
    Conflict {
        /// The target branch.
        target: String,
        /// What was to be merged into it.
        head: String,
        /// Paths from the repository's top.
        paths: Vec<String>,
    },
    /// The repository is kept in a way that only newer or other programs read.
    UnsupportedExtension {
        /// The repository's folder.
        folder: PathBuf,
        /// Git's name of it: `extensions.partialclone`.
        name: String,
    },
    /// Anything else that git says.
    Git {
        /// What was being done.
        doing: String,
        /// Git's words.
        words: String,
    },
}

impl SourceError {
    /// The command that most likely helps.
    pub fn command(&self) -> Option<String> {
        match self {
            Self::WrongOwner { folder } => Some(format!(
                "git config --global --add safe.directory {}",
                quoted(&folder.display().to_string())
            )),
            Self::UnknownRevision { command, .. } | Self::NoTargetBranch { command } => {
                command.clone()
            }
            Self::Shallow { .. } => Some("git fetch --unshallow".to_owned()),
            Self::MissingObjects { partial: true, .. } => {
                Some("git fetch --refetch --no-filter".to_owned())
            }
            Self::MissingObjects { partial: false, .. } => Some("git fsck".to_owned()),
            // Remotes that promise objects say so themselves, since git 2.24.
            Self::UnsupportedExtension { name, .. } if name == "extensions.partialclone" => {
                Some("git config --unset extensions.partialclone".to_owned())
            }
            Self::NoCommits => Some("git add --all && git commit".to_owned()),
            Self::UnsupportedExtension { .. }
            | Self::NoFleet { .. }
            | Self::Unreadable { .. }
            | Self::NoRepository { .. }
            | Self::NotEmpty { .. }
            | Self::AmbiguousRevision { .. }
            | Self::NotACommit { .. }
            | Self::NoCommonHistory { .. }
            | Self::Conflict { .. }
            | Self::Git { .. } => None,
        }
    }

    /// An error for what git said while something was being done.
    pub(super) fn git(doing: impl Into<String>, error: &git2::Error) -> Self {
        Self::Git { doing: doing.into(), words: error.message().to_owned() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFleet { start } => {
                write!(f, "no fleet.toml in {} or a folder above it", start.display())
            }
            Self::Unreadable { path, source: _ } => write!(f, "cannot read {}", path.display()),
            Self::NoRepository { folder } => {
                write!(f, "{} is in no git repository", folder.display())
            }
            Self::WrongOwner { folder } => write!(
                f,
                "the git repository {} belongs to another user, so git refuses to read it",
                folder.display()
            ),
            Self::NotEmpty { folder } => {
                write!(f, "{} is not empty; nothing was written", folder.display())
            }
            Self::NoCommits => f.write_str("the repository has no commit yet"),
            Self::UnknownRevision { spec, close, shallow, command: _ } => {
                write!(f, "there is no revision `{spec}`")?;
                if !close.is_empty() {
                    write!(f, "; did you mean `{}`?", close.join("` or `"))?;
                } else if *shallow {
                    f.write_str(" in this shallow clone")?;
                }
                Ok(())
            }
            Self::AmbiguousRevision { spec } => {
                write!(f, "`{spec}` begins the id of more than one object; write more digits")
            }
            Self::NotACommit { spec } => write!(f, "`{spec}` does not name one commit"),
            Self::NoTargetBranch { command: _ } => f.write_str(
                "there is neither origin/HEAD nor a branch main or master to compare with; \
                 name the base revision",
            ),
            Self::NoCommonHistory { one, other } => {
                write!(f, "{one} and {other} have no commit in common")
            }
            Self::Shallow { wanted } => {
                write!(f, "this clone is shallow and lacks the history for {wanted}")
            }
            Self::MissingObjects { wanted, partial: true } => {
                write!(f, "this clone is partial and lacks files of {wanted}")
            }
            Self::MissingObjects { wanted, partial: false } => {
                write!(f, "the repository lacks objects of {wanted}: it is damaged")
            }
            Self::Conflict { target, head, paths } => {
                write!(f, "{head} does not merge into {target}: conflict in ")?;
                let shown: Vec<&str> = paths.iter().take(5).map(String::as_str).collect();
                f.write_str(&shown.join(", "))?;
                match paths.len().saturating_sub(5) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::UnsupportedExtension { folder, name } => {
                write!(f, "the git repository {} uses {name}, which is not read", folder.display())
            }
            Self::Git { doing, words } => write!(f, "cannot {doing}: {words}"),
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A path or name as a shell takes it.
pub(super) fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    if path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}
