//! Which paths of a fleet folder matter: the one rule for working trees, commits and merges.

use crate::fleet::TreeEntry;
use std::sync::Arc;

/// The folders whose TOML files are read.
const FOLDERS: [&str; 2] = ["devices", "deployments"];

/// What is at a path, as the working tree or git says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A plain file.
    File,
    /// A symbolic link.
    Link,
    /// A submodule, or a repository within the repository.
    Submodule,
}

impl Kind {
    /// By git's file mode; folders and unknown modes are none.
    pub(super) fn of_mode(mode: u32) -> Option<Self> {
        match mode & 0o170_000 {
            0o100_000 => Some(Self::File),
            0o120_000 => Some(Self::Link),
            0o160_000 => Some(Self::Submodule),
            _ => None,
        }
    }
}

/// Whether the folder at this path (from the fleet folder) is looked into.
pub(super) fn enters(path: &str) -> bool {
    let top = path.split('/').next().unwrap_or_default();
    FOLDERS.contains(&top) || is_near_miss(top)
}

/// `device`, `Devices`, `deploy`: folders of which the names alone are wanted, for a warning.
fn is_near_miss(folder: &str) -> bool {
    let lower = folder.to_lowercase();
    !FOLDERS.contains(&folder) && (lower.starts_with("device") || lower.starts_with("deploy"))
}

/// Whether the content of the plain file at this path is wanted.
fn is_read(path: &str) -> bool {
    path == "fleet.toml" || (lies_in_fleet(path) && path.ends_with(".toml"))
}

/// Whether a fleet is made of what is at this path.
pub(super) fn is_of_a_fleet(path: &str) -> bool {
    path == "fleet.toml" || lies_in_fleet(path)
}

fn lies_in_fleet(path: &str) -> bool {
    path.split_once('/').is_some_and(|(top, _)| FOLDERS.contains(&top))
}

/// Collects the entries of a [`FileTree`](crate::fleet::FileTree), or what stands for them.
pub(super) struct Collector<T>(Vec<(Arc<str>, T)>);

impl<T> Default for Collector<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// What a path is to a fleet.
pub(super) enum Wanted {
    /// A file whose content matters.
    Content,
    /// All that there is to know of it.
    Entry(TreeEntry),
}

/// What the path (from the fleet folder) is to the fleet, if anything.
pub(super) fn wanted(path: &str, kind: Kind) -> Option<Wanted> {
    if kind == Kind::File && is_read(path) {
        return Some(Wanted::Content);
    }
    let top_level = !path.contains('/');
    if !top_level && !enters(path) {
        return None;
    }
    let strict = path == "fleet.toml" || FOLDERS.contains(&path) || lies_in_fleet(path);
    Some(Wanted::Entry(match kind {
        Kind::Link if strict => TreeEntry::Link,
        Kind::Submodule if strict => TreeEntry::Submodule,
        Kind::File | Kind::Link => TreeEntry::OtherFile,
        Kind::Submodule => return None,
    }))
}

impl<T: From<TreeEntry>> Collector<T> {
    /// Adds what is at a path from the fleet folder; `read` is only asked where the content matters.
    pub(super) fn add<E>(
        &mut self,
        path: &str,
        kind: Kind,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<(), E> {
        let entry = match wanted(path, kind) {
            Some(Wanted::Content) => read()?,
            Some(Wanted::Entry(entry)) => entry.into(),
            None => return Ok(()),
        };
        self.0.push((path.into(), entry));
        Ok(())
    }

    /// Notes a name that is not UTF-8.
    pub(super) fn add_unreadable(&mut self, path: &str, why: &str) {
        if lies_in_fleet(path) {
            self.0.push((path.into(), TreeEntry::Unreadable(why.to_owned()).into()));
        }
    }

    /// All that was added.
    pub(super) fn finish(self) -> Vec<(Arc<str>, T)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fleet_files_are_read_and_near_misses_are_named() {
        let read = |path: &str| {
            let mut collector = Collector::default();
            collector
                .add(path, Kind::File, || Ok::<_, ()>(TreeEntry::TooLarge(0)))
                .expect("nothing fails");
            collector.finish().pop().map(|(_, entry)| entry)
        };
        for path in ["fleet.toml", "devices/a.toml", "deployments/x/y.toml"] {
            assert_eq!(read(path), Some(TreeEntry::TooLarge(0)), "{path}");
        }
        for path in ["README.md", "other.toml", "devices/a.tml", "device/a.toml", "Devices/a.toml"]
        {
            assert_eq!(read(path), Some(TreeEntry::OtherFile), "{path}");
        }
        for path in ["docs/a.toml", ".github/devices/a.toml"] {
            assert_eq!(read(path), None, "{path}");
        }
    }
}
