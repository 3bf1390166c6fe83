//! A git repository around a fleet folder: names to revisions, revisions to files.

use super::error::{SourceError, quoted};
use super::interest;
use super::read::Contents;
use crate::diagnostic::closest;
use git2::{ErrorCode, Oid};
use std::path::{Path, PathBuf};

/// The repository that a fleet folder is in.
pub struct Repository {
    git: git2::Repository,
    /// The fleet folder from the repository's top: empty, or with `/` at its end.
    prefix: String,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    /// All digits of its id.
    pub id: String,
    /// So many of them that they are unique here, at least 7.
    pub short: String,
    /// First line of its message.
    pub subject: String,
    /// Its author's name.
    pub author: String,
    /// When it was committed, in seconds since 1970.
    pub seconds: i64,
}

/// Whether the fleet folder is what HEAD says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleanliness {
    /// The first changed paths, from the fleet folder, at most [`Cleanliness::SHOWN`].
    pub changed: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl Cleanliness {
    /// So many paths are kept.
    pub const SHOWN: usize = 5;

    /// Whether nothing differs.
    pub fn is_clean(&self) -> bool {
        self.changed.is_empty()
    }
}

impl Repository {
    /// The repository around a folder: a normal one, a worktree, or a bare one. In a bare one the fleet is at
    /// the top, or in the folder that the rest of the path names: `fleets.git/eu`.
    ///
    /// # Errors
    /// There is none, or it can't be opened.
    pub fn open(folder: &Path) -> Result<Self, SourceError> {
        // What lies in a bare repository is on no disk.
        let here = |path: &Path| path.as_os_str().is_empty();
        let there = folder.ancestors().find(|above| here(above) || above.exists());
        let there = there.unwrap_or(folder);
        let start = if here(there) { Path::new(".") } else { there };
        let git = git2::Repository::discover(start).map_err(|error| refusal(folder, &error))?;
        let no_repository = || SourceError::NoRepository { folder: folder.to_owned() };
        let below = match git.workdir() {
            None => folder.strip_prefix(there).unwrap_or(Path::new("")).to_owned(),
            Some(top) => {
                let absolute = |path: &Path| {
                    path.canonicalize()
                        .map_err(|source| SourceError::Unreadable { path: path.to_owned(), source })
                };
                let below = absolute(folder)?;
                below.strip_prefix(absolute(top)?).map_err(|_| no_repository())?.to_owned()
            }
        };
        let below = below.to_str().ok_or_else(|| SourceError::Git {
            doing: format!("use {}", folder.display()),
            words: "the path is not UTF-8".to_owned(),
        })?;
        let below = below.trim_end_matches('/');
        let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
        Ok(Self { git, prefix })
    }

    /// The way from its top to the fleet folder, with a `/` at the end; empty if that is the top.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it has no working tree.
    pub fn is_bare(&self) -> bool {
        self.git.is_bare()
    }

    /// The commit that a name means: a branch, a tag, an id or its beginning, `HEAD~2`.
    ///
    /// # Errors
    /// No commit, or more than one, has that name.
    pub fn resolve(&self, spec: &str) -> Result<Revision, SourceError> {
        let object = self.git.revparse_single(spec).map_err(|error| match error.code() {
            ErrorCode::Ambiguous => SourceError::AmbiguousRevision { spec: spec.to_owned() },
            ErrorCode::UnbornBranch => SourceError::NoCommits,
            ErrorCode::InvalidSpec => SourceError::NotACommit { spec: spec.to_owned() },
            ErrorCode::NotFound if self.has_no_commits() => SourceError::NoCommits,
            ErrorCode::NotFound => SourceError::UnknownRevision {
                spec: spec.to_owned(),
                close: self.close_names(spec),
                shallow: self.git.is_shallow(),
                command: self.command_for(spec),
            },
            _ => SourceError::git(format!("find revision `{spec}`"), &error),
        })?;
        let commit = object
            .peel_to_commit()
            .map_err(|_| SourceError::NotACommit { spec: spec.to_owned() })?;
        self.revision(&commit)
    }

    /// Whether the fleet folder is what HEAD says: index, working tree, and nothing untracked.
    ///
    /// # Errors
    /// Git can't tell.
    pub fn is_clean(&self) -> Result<Cleanliness, SourceError> {
        if self.git.is_bare() {
            return Ok(Cleanliness::default());
        }
        let mut options = git2::StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false);
        if !self.prefix.is_empty() {
            options.pathspec(&self.prefix).disable_pathspec_match(true);
        }
        let statuses = self
            .git
            .statuses(Some(&mut options))
            .map_err(|error| SourceError::git("compare the working tree with HEAD", &error))?;
        let mut found = Cleanliness::default();
        for entry in statuses.iter() {
            let full = String::from_utf8_lossy(entry.path_bytes()).into_owned();
            let Some(path) = self.fleet_path(&full) else { continue };
            if !interest::is_of_a_fleet(path) {
                continue;
            }
            if found.changed.len() < Cleanliness::SHOWN {
                found.changed.push(path.to_owned());
            } else {
                found.more += 1;
            }
        }
        Ok(found)
    }

    pub(super) fn git(&self) -> &git2::Repository {
        &self.git
    }

    /// A path of the fleet from the repository's top.
    pub(super) fn full_path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// A path of the repository from the fleet folder, if it is in there.
    pub(super) fn fleet_path<'a>(&self, full: &'a str) -> Option<&'a str> {
        full.strip_prefix(&self.prefix)
    }

    pub(super) fn commit(&self, revision: &Revision) -> Result<git2::Commit<'_>, SourceError> {
        Oid::from_str(&revision.id)
            .and_then(|id| self.git.find_commit(id))
            .map_err(|error| self.missing_or(&revision.short, "find", &error))
    }

    pub(super) fn revision(&self, commit: &git2::Commit<'_>) -> Result<Revision, SourceError> {
        let id = commit.id().to_string();
        let unique = commit
            .as_object()
            .short_id()
            .map_err(|error| SourceError::git(format!("shorten {id}"), &error))?;
        let digits = unique.len().max(7).min(id.len());
        let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Revision {
            short: id[..digits].to_owned(),
            id,
            subject: words(commit.summary_bytes().unwrap_or_default()),
            author: words(commit.author().name_bytes()),
            seconds: commit.time().seconds(),
        })
    }

    /// What reads files of the object database.
    pub(super) fn contents(&self, wanted: &str) -> Result<Contents<'_>, SourceError> {
        Contents::of(&self.git).map_err(|error| self.missing_or(wanted, "read", &error))
    }

    /// What a failed look into the object database means.
    pub(super) fn missing_or(&self, wanted: &str, doing: &str, error: &git2::Error) -> SourceError {
        if error.code() == ErrorCode::NotFound {
            SourceError::MissingObjects { wanted: wanted.to_owned(), partial: self.is_partial() }
        } else {
            SourceError::git(format!("{doing} {wanted}"), error)
        }
    }

    fn is_partial(&self) -> bool {
        self.git.config().is_ok_and(|config| {
            config.get_string("extensions.partialclone").is_ok()
                || config
                    .entries(Some("^remote\\..*\\.promisor$"))
                    .is_ok_and(|mut entries| entries.next().is_some())
        })
    }

    fn has_no_commits(&self) -> bool {
        self.git.head().is_err_and(|error| error.code() == ErrorCode::UnbornBranch)
            && self.reference_names().is_empty()
    }

    /// Branches and tags that a wrong name may have meant, at most three.
    fn close_names(&self, spec: &str) -> Vec<String> {
        let names = self.reference_names();
        let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let mut close: Vec<String> =
            names.iter().filter(|name| last(name) == last(spec)).cloned().collect();
        if close.is_empty() {
            close.extend(closest(spec, names.iter().map(String::as_str)).map(str::to_owned));
        }
        close.truncate(3);
        close
    }

    /// What may bring a revision here that is not.
    fn command_for(&self, spec: &str) -> Option<String> {
        let is_id = spec.len() >= 7 && spec.bytes().all(|byte| byte.is_ascii_hexdigit());
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if !is_id && spec.chars().all(plain) && !spec.starts_with("refs/") {
            let remotes = self.git.remotes().ok();
            let named = remotes.iter().flatten().flatten().flatten().find_map(|remote| {
                let branch = spec.strip_prefix(remote)?.strip_prefix('/')?;
                Some(fetch_of(remote, branch))
            });
            // A clone of one branch lacks the others by its own settings.
            let narrow = || self.fetches_all_of_origin() == Some(false);
            if named.is_some() || narrow() {
                return named.or_else(|| Some(fetch_of("origin", spec)));
            }
        }
        self.git.is_shallow().then(|| "git fetch --unshallow".to_owned())
    }

    /// What may bring a target branch here.
    pub(super) fn command_for_a_target(&self) -> Option<String> {
        Some(match self.fetches_all_of_origin()? {
            // Its branches are here or will be, under names of their own.
            true => "git fetch origin && git remote set-head origin --auto".to_owned(),
            false => fetch_of("origin", "main"),
        })
    }

    /// Whether a plain `git fetch` brings all branches of `origin`; `None` if there is no such remote.
    fn fetches_all_of_origin(&self) -> Option<bool> {
        let origin = self.git.find_remote("origin").ok()?;
        Some(origin.refspecs().any(|refspec| refspec.str().is_ok_and(|s| s.contains("heads/*"))))
    }

    fn reference_names(&self) -> Vec<String> {
        let Ok(references) = self.git.references() else { return Vec::new() };
        let mut names: Vec<String> = references
            .flatten()
            .filter(|r| r.is_branch() || r.is_remote() || r.is_tag())
            .filter_map(|r| r.shorthand().ok().map(str::to_owned))
            .filter(|name| !name.ends_with("/HEAD"))
            .collect();
        names.sort();
        names
    }
}

/// Fetches a branch to where its name says, also in a clone of another branch alone.
fn fetch_of(remote: &str, branch: &str) -> String {
    let to = quoted(&format!("{branch}:refs/remotes/{remote}/{branch}"));
    format!("git fetch {remote} {to}")
}

/// What a failed opening means.
fn refusal(folder: &Path, error: &git2::Error) -> SourceError {
    const UNSUPPORTED: &str = "unsupported extension name ";
    match error.code() {
        ErrorCode::NotFound => SourceError::NoRepository { folder: folder.to_owned() },
        ErrorCode::Owner => SourceError::WrongOwner { folder: top_of(folder) },
        _ => match error.message().strip_prefix(UNSUPPORTED) {
            Some(name) => {
                SourceError::UnsupportedExtension { folder: top_of(folder), name: name.to_owned() }
            }
            None => {
                SourceError::git(format!("open the repository around {}", folder.display()), error)
            }
        },
    }
}

/// The folder that git's `safe.directory` has to name.
fn top_of(folder: &Path) -> PathBuf {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    absolute
        .ancestors()
        .find(|above| above.join(".git").symlink_metadata().is_ok())
        .map_or_else(|| absolute.clone(), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{FileTree, TreeEntry};
    use crate::source::sandbox::Sandbox;

    fn text(tree: &FileTree, path: &str) -> String {
        match &tree.0[path] {
            TreeEntry::File(content) => content.to_string(),
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn a_commit_is_read_from_the_object_database_wherever_the_fleet_lies() {
        let sandbox = Sandbox::new();
        sandbox.write("README.md", "all fleets");
        sandbox.commit("first");
        sandbox.write("eu/fleet.toml", "name = \"eu\"");
        sandbox.write("eu/devices/a/gw.toml", "one");
        sandbox.link("eu/devices/link.toml", "/etc/passwd");
        sandbox.commit("second");
        sandbox.write("eu/devices/a/gw.toml", "changed, not committed");

        let repository = Repository::open(&sandbox.path().join("eu")).unwrap();
        let head = repository.resolve("HEAD").unwrap();
        insta::assert_debug_snapshot!(head, @r#"
        Revision {
            id: "22dac68cc69aee1905151472c1c0cacc1b565a36",
            short: "22dac68",
            subject: "second",
            author: "Fleet Operator",
            seconds: 1767600060,
        }
        "#);
        let tree = repository.read(&head).unwrap();
        assert_eq!(
            tree.0.keys().map(|path| &**path).collect::<Vec<_>>(),
            ["devices/a/gw.toml", "devices/link.toml", "fleet.toml"]
        );
        assert_eq!(text(&tree, "devices/a/gw.toml"), "one");
        assert_eq!(tree.0["devices/link.toml"], TreeEntry::Link);
        let before = repository.resolve("HEAD~1").unwrap();
        assert_eq!(repository.read(&before).unwrap(), FileTree::default());
    }

    #[test]
    fn bare_repositories_and_worktrees_work() {
        let sandbox = Sandbox::with_fleet();
        let elsewhere = tempfile::tempdir().unwrap();
        let tree_path = elsewhere.path().join("tree");
        sandbox.git().worktree("tree", &tree_path, None).unwrap();
        let from_worktree = Repository::open(&tree_path).unwrap();
        let head = from_worktree.resolve("HEAD").unwrap();
        assert_eq!(text(&from_worktree.read(&head).unwrap(), "fleet.toml"), "name = \"a\"");

        let bare_path = elsewhere.path().join("bare.git");
        git2::build::RepoBuilder::new()
            .bare(true)
            .clone(sandbox.path().to_str().unwrap(), &bare_path)
            .unwrap();
        let bare = Repository::open(&bare_path).unwrap();
        assert_eq!(bare.resolve("main").unwrap(), head);
        assert_eq!(text(&bare.read(&head).unwrap(), "fleet.toml"), "name = \"a\"");
        assert!(bare.is_clean().unwrap().is_clean());
    }

    #[test]
    fn wrong_names_are_told_with_close_ones() {
        let sandbox = Sandbox::with_fleet();
        sandbox.branch("proxy-for-secure-sites");
        sandbox.reference("refs/remotes/origin/release", "HEAD");
        let repository = Repository::open(sandbox.path()).unwrap();
        let say = |spec: &str| repository.resolve(spec).unwrap_err().to_string();
        insta::assert_snapshot!(say("mian"), @"there is no revision `mian`; did you mean `main`?");
        insta::assert_snapshot!(say("proxy-for-secure-site"), @"there is no revision `proxy-for-secure-site`; did you mean `proxy-for-secure-sites`?");
        insta::assert_snapshot!(say("release"), @"there is no revision `release`; did you mean `origin/release`?");
        insta::assert_snapshot!(say("1234567"), @"there is no revision `1234567`");
        insta::assert_snapshot!(say("HEAD:fleet.toml"), @"`HEAD:fleet.toml` does not name one commit");
        insta::assert_snapshot!(say("main..HEAD"), @"`main..HEAD` does not name one commit");
        insta::assert_snapshot!(say(""), @"`` does not name one commit");
    }

    #[test]
    fn no_repository_no_commits_and_shallow_clones_have_their_words() {
        let nothing = tempfile::tempdir().unwrap();
        assert!(matches!(Repository::open(nothing.path()), Err(SourceError::NoRepository { .. })));
        let empty = Sandbox::new();
        let repository = Repository::open(empty.path()).unwrap();
        assert!(matches!(repository.resolve("HEAD"), Err(SourceError::NoCommits)));
        assert!(matches!(repository.resolve("main"), Err(SourceError::NoCommits)));

        let sandbox = Sandbox::with_fleet();
        sandbox.commit("second");
        sandbox.make_shallow();
        let repository = Repository::open(sandbox.path()).unwrap();
        let error = repository.resolve("HEAD~1").unwrap_err();
        assert_eq!(error.to_string(), "there is no revision `HEAD~1` in this shallow clone");
        assert_eq!(error.command().as_deref(), Some("git fetch --unshallow"));
    }

    #[test]
    fn a_foreign_owner_is_told_with_the_command() {
        let sandbox = Sandbox::with_fleet();
        // Only root can give a folder away; others can't be in this test's place.
        if std::os::unix::fs::chown(sandbox.path(), Some(12345), None).is_err() {
            return;
        }
        let Err(error) = Repository::open(sandbox.path()) else {
            // A configuration with `safe.directory = *`.
            return;
        };
        let command = error.command().unwrap();
        assert!(command.starts_with("git config --global --add safe.directory /"), "{command}");
    }

    #[test]
    fn missing_objects_are_told() {
        let sandbox = Sandbox::with_fleet();
        let repository = Repository::open(sandbox.path()).unwrap();
        let head = repository.resolve("HEAD").unwrap();
        sandbox.lose_blob("name = \"a\"");
        let repository = Repository::open(sandbox.path()).unwrap();
        let error = repository.read(&head).unwrap_err();
        assert!(error.to_string().ends_with("it is damaged"), "{error}");
        sandbox.git().config().unwrap().set_str("remote.origin.promisor", "true").unwrap();
        let repository = Repository::open(sandbox.path()).unwrap();
        let error = repository.read(&head).unwrap_err();
        assert_eq!(error.command().as_deref(), Some("git fetch --refetch --no-filter"));
    }

    #[test]
    fn every_change_in_the_fleet_folder_makes_it_dirty() {
        let sandbox = Sandbox::new();
        sandbox.write("eu/fleet.toml", "name = \"eu\"");
        sandbox.write("us/fleet.toml", "name = \"us\"");
        sandbox.commit("first");
        let clean = || Repository::open(&sandbox.path().join("eu")).unwrap().is_clean().unwrap();
        assert!(clean().is_clean());
        sandbox.write("us/fleet.toml", "name = \"other\"");
        assert!(clean().is_clean(), "another fleet of the repository");
        for number in 0..6 {
            sandbox.write(&format!("eu/devices/d{number}.toml"), "");
        }
        sandbox.write("eu/fleet.toml", "name = \"changed\"");
        let found = clean();
        assert_eq!((found.changed.len(), found.more), (5, 2));
        assert_eq!(found.changed[0], "devices/d0.toml");
    }

    #[test]
    fn beside_another_commit_is_read_what_is_read_alone() {
        let sandbox = Sandbox::with_fleet();
        let steps: [&[(&str, &str)]; 6] = [
            &[("devices/x/a.toml", "tls = \"a\"\n"), ("devices/b.toml", "")],
            &[("devices/x/a.toml", "tls = \"b\"\n"), ("Devices/c.toml", ""), ("README.md", "x")],
            &[("devices/x/y/z/d.toml", ""), ("devices/b.toml", "tls = \"a\"\n")],
            &[("deployments/one.toml", "priority = 2\n"), ("devices/x/note.txt", "")],
            &[("fleet.toml", "name = \"other\"\n")],
            &[("docs/devices/a.toml", "")],
        ];
        for (n, step) in steps.iter().enumerate() {
            for (path, text) in *step {
                sandbox.write(path, text);
            }
            sandbox.commit(&format!("step {n}"));
        }
        let repository = Repository::open(sandbox.path()).unwrap();
        let revisions: Vec<Revision> =
            (0..=steps.len()).map(|n| repository.resolve(&format!("HEAD~{n}")).unwrap()).collect();
        for known in &revisions {
            let files = repository.read(known).unwrap();
            for revision in &revisions {
                let beside = repository.read_beside((known, &files), revision).unwrap();
                assert_eq!(beside, repository.read(revision).unwrap());
            }
        }
    }
}
