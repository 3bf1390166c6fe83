//! The working tree as it lies: what `git add -A` would take, or every file where there is no git.

use super::error::SourceError;
use super::interest::{self, Collector, Kind};
use super::repository::Repository;
use crate::fleet::{FileTree, TreeEntry};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The nearest folder with a `fleet.toml`, from `start` upwards.
///
/// # Errors
/// There is none, or `start` is no folder.
pub fn find_fleet_folder(start: &Path) -> Result<PathBuf, SourceError> {
    let absolute = fs::canonicalize(start)
        .map_err(|source| SourceError::Unreadable { path: start.to_owned(), source })?;
    absolute
        .ancestors()
        .find(|folder| folder.join("fleet.toml").symlink_metadata().is_ok())
        .map(Path::to_owned)
        .ok_or_else(|| SourceError::NoFleet { start: start.to_owned() })
}

/// The files of a fleet folder as they lie there now. In a git repository, ignored files are left out.
///
/// # Errors
/// A folder can't be listed, or the repository around it can't be opened. A single file that can't be
/// read is an entry that says so.
pub fn read_folder(folder: &Path) -> Result<FileTree, SourceError> {
    let rules = match Repository::open(folder) {
        Ok(repository) => GitRules::of(repository)?,
        Err(SourceError::NoRepository { .. }) => None,
        Err(other) => return Err(other),
    };
    let mut walk = Walk { folder, rules, collector: Collector::default() };
    walk.folder_at("")?;
    walk.add_files_outside_sparse_checkout()?;
    Ok(FileTree(walk.collector.finish().into_iter().collect()))
}

/// What git knows of the working tree.
struct GitRules {
    repository: Repository,
    index: git2::Index,
}

impl GitRules {
    fn of(repository: Repository) -> Result<Option<Self>, SourceError> {
        if repository.git().is_bare() {
            return Ok(None);
        }
        let index = repository
            .git()
            .index()
            .map_err(|error| SourceError::git("read the repository's index", &error))?;
        Ok(Some(Self { repository, index }))
    }

    fn tracked(&self, path: &str) -> Option<Kind> {
        let entry = self.index.get_path(Path::new(&self.repository.full_path(path)), 0)?;
        Kind::of_mode(entry.mode)
    }

    /// Whether `git add -A` would leave an untracked file out.
    fn ignores(&self, path: &str) -> Result<bool, SourceError> {
        self.repository
            .git()
            .is_path_ignored(self.repository.full_path(path))
            .map_err(|error| SourceError::git(format!("tell whether {path} is ignored"), &error))
    }
}

struct Walk<'a> {
    folder: &'a Path,
    rules: Option<GitRules>,
    collector: Collector<TreeEntry>,
}

impl Walk<'_> {
    fn folder_at(&mut self, path: &str) -> Result<(), SourceError> {
        let on_disk = self.folder.join(path);
        let unreadable = |source| SourceError::Unreadable { path: self.folder.join(path), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&on_disk).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            names.push((entry.file_name(), entry.file_type().map_err(unreadable)?));
        }
        for (name, file_type) in names {
            let Some(name) = name.to_str() else {
                let shown = joined(path, &name.to_string_lossy());
                self.collector.add_unreadable(&shown, "its name is not UTF-8");
                continue;
            };
            if name == ".git" {
                continue;
            }
            let inside = joined(path, name);
            if file_type.is_dir() {
                self.subfolder(&inside)?;
            } else if file_type.is_symlink() || file_type.is_file() {
                let kind = if file_type.is_symlink() { Kind::Link } else { Kind::File };
                self.file(&inside, kind)?;
            } else {
                // Git leaves sockets and pipes out, too; nobody reads from one by mistake.
                self.collector.add_unreadable(&inside, "it is no plain file");
            }
        }
        Ok(())
    }

    fn subfolder(&mut self, path: &str) -> Result<(), SourceError> {
        if !interest::enters(path) {
            return Ok(());
        }
        if let Some(rules) = &self.rules {
            let nested = self.folder.join(path).join(".git").symlink_metadata().is_ok();
            if nested || rules.tracked(path) == Some(Kind::Submodule) {
                if nested && rules.tracked(path).is_none() && rules.ignores(path)? {
                    return Ok(());
                }
                return self.collector.add(path, Kind::Submodule, || Ok(TreeEntry::Submodule));
            }
        }
        self.folder_at(path)
    }

    fn file(&mut self, path: &str, kind: Kind) -> Result<(), SourceError> {
        if let Some(rules) = &self.rules
            && rules.tracked(path).is_none()
            && rules.ignores(path)?
        {
            return Ok(());
        }
        let on_disk = self.folder.join(path);
        self.collector.add(path, kind, || Ok(read_file(&on_disk)))
    }

    /// A sparse checkout leaves tracked files off the disk, and `git add -A` keeps them.
    fn add_files_outside_sparse_checkout(&mut self) -> Result<(), SourceError> {
        const WANTED: &str = "the working tree";
        let Some(rules) = &self.rules else { return Ok(()) };
        let mut contents = rules.repository.contents(WANTED)?;
        for entry in rules.index.iter() {
            let flags = git2::IndexEntryExtendedFlag::from_bits_retain(entry.flags_extended);
            if !flags.is_skip_worktree() {
                continue;
            }
            let (Ok(full), Some(kind)) = (str::from_utf8(&entry.path), Kind::of_mode(entry.mode))
            else {
                continue;
            };
            let Some(path) = rules.repository.fleet_path(full) else { continue };
            if self.folder.join(path).symlink_metadata().is_ok() {
                continue;
            }
            let failed = |error| rules.repository.missing_or(WANTED, "read", &error);
            self.collector.add(path, kind, || contents.get(entry.id).map_err(failed))?;
        }
        Ok(())
    }
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The content of a plain file, or why it can't be had.
fn read_file(path: &Path) -> TreeEntry {
    let read = || {
        let file = fs::File::open(path)?;
        let size = file.metadata()?.len();
        if size > FileTree::LARGEST_FILE {
            return Ok(TreeEntry::TooLarge(size));
        }
        let mut content = Vec::new();
        // One byte more shows a file that grew since its size was asked.
        file.take(FileTree::LARGEST_FILE + 1).read_to_end(&mut content)?;
        if content.len() as u64 > FileTree::LARGEST_FILE {
            return Ok(TreeEntry::TooLarge(content.len() as u64));
        }
        Ok(TreeEntry::of(&content))
    };
    read().unwrap_or_else(|error: std::io::Error| TreeEntry::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::sandbox::Sandbox;

    fn names(tree: &FileTree) -> Vec<String> {
        tree.0
            .iter()
            .map(|(path, entry)| {
                let what = match entry {
                    TreeEntry::File(content) => format!("{} bytes", content.len()),
                    other => format!("{other:?}"),
                };
                format!("{path}: {what}")
            })
            .collect()
    }

    #[test]
    fn a_folder_without_git_is_read_as_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("fleet.toml", "name = \"a\"");
        write("README.md", "# a");
        write("devices/north/gw.toml", "");
        write("devices/notes.txt", "x");
        write("deployments/base.tml", "x");
        write("deployment/base.toml", "x");
        write("docs/devices/no.toml", "x");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("devices/evil.toml")).unwrap();
        fs::File::create(folder.path().join("devices/big.toml"))
            .unwrap()
            .set_len(FileTree::LARGEST_FILE + 1)
            .unwrap();
        insta::assert_snapshot!(names(&read_folder(folder.path()).unwrap()).join("\n"), @r"
        README.md: OtherFile
        deployment/base.toml: OtherFile
        deployments/base.tml: OtherFile
        devices/big.toml: TooLarge(16777217)
        devices/evil.toml: Link
        devices/north/gw.toml: 0 bytes
        devices/notes.txt: OtherFile
        fleet.toml: 10 bytes
        ");
        assert_eq!(
            find_fleet_folder(&folder.path().join("devices/north")).unwrap(),
            folder.path().canonicalize().unwrap()
        );
    }

    #[test]
    fn a_folder_without_fleet_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = find_fleet_folder(folder.path()).unwrap_err();
        assert!(error.to_string().starts_with("no fleet.toml in /"), "{error}");
        assert!(matches!(
            find_fleet_folder(&folder.path().join("absent")),
            Err(SourceError::Unreadable { .. })
        ));
    }

    #[test]
    fn in_a_repository_the_tree_is_what_add_all_would_take() {
        let sandbox = Sandbox::new();
        sandbox.write("eu/fleet.toml", "name = \"eu\"");
        sandbox.write("eu/.gitignore", "*.local.toml\nold/\n");
        sandbox.write("eu/devices/kept.local.toml", "tracked");
        sandbox.commit("first");
        sandbox.write("eu/devices/mine.local.toml", "ignored");
        sandbox.write("eu/devices/old/x.toml", "ignored");
        sandbox.write("eu/devices/new.toml", "untracked");
        sandbox.write("us/devices/other.toml", "another fleet");
        let nested = sandbox.path().join("eu/devices/nested");
        git2::Repository::init(&nested).unwrap();
        fs::write(nested.join("in.toml"), "x").unwrap();
        let tree = read_folder(&sandbox.path().join("eu")).unwrap();
        insta::assert_snapshot!(names(&tree).join("\n"), @r"
        .gitignore: OtherFile
        devices/kept.local.toml: 7 bytes
        devices/nested: Submodule
        devices/new.toml: 9 bytes
        fleet.toml: 11 bytes
        ");
    }

    #[test]
    fn files_outside_a_sparse_checkout_are_still_there() {
        let sandbox = Sandbox::new();
        sandbox.write("fleet.toml", "name = \"a\"");
        sandbox.write("devices/a.toml", "reachable = false");
        sandbox.commit("first");
        let mut index = sandbox.git().index().unwrap();
        let mut entry = index.get_path(Path::new("devices/a.toml"), 0).unwrap();
        entry.flags |= git2::IndexEntryFlag::EXTENDED.bits();
        entry.flags_extended |= git2::IndexEntryExtendedFlag::SKIP_WORKTREE.bits();
        index.add(&entry).unwrap();
        index.write().unwrap();
        fs::remove_file(sandbox.path().join("devices/a.toml")).unwrap();
        let tree = read_folder(sandbox.path()).unwrap();
        assert_eq!(names(&tree), ["devices/a.toml: 17 bytes", "fleet.toml: 10 bytes"]);
    }
}
