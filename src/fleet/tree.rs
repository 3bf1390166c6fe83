//! All files of one revision, as whoever reads git or a folder hands them over.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Files by their path from the fleet folder, with `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTree(pub BTreeMap<Arc<str>, TreeEntry>);

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEntry {
    /// A plain file. Only those that may matter are read: `*.toml`.
    File(Arc<str>),
    /// A plain file that is no UTF-8.
    NotText(Arc<[u8]>),
    /// A plain file that is not read: of another kind.
    OtherFile,
    /// A file over the size limit; its size in bytes.
    TooLarge(u64),
    /// A symbolic link.
    Link,
    /// A submodule.
    Submodule,
    /// A plain file that could not be read, and why.
    Unreadable(String),
}

/// What one tree has otherwise than another, by path; `None` where it lacks it.
pub type TreeChanges = Vec<(Arc<str>, Option<TreeEntry>)>;

impl TreeEntry {
    /// A plain file with this content.
    pub fn of(content: &[u8]) -> Self {
        match std::str::from_utf8(content) {
            Ok(text) => Self::File(text.into()),
            Err(_) => Self::NotText(content.into()),
        }
    }
}

impl FileTree {
    /// The largest file that is read, in bytes.
    pub const LARGEST_FILE: u64 = 16 << 20;

    /// Takes over what another revision has otherwise.
    pub fn apply(&mut self, changes: TreeChanges) {
        for (path, entry) in changes {
            match entry {
                Some(entry) => self.0.insert(path, entry),
                None => self.0.remove(&path),
            };
        }
    }

    /// A tree from texts, for tests and examples.
    pub fn from_texts<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(
            files
                .into_iter()
                .map(|(path, text)| (path.into(), TreeEntry::File(text.into())))
                .collect(),
        )
    }
}
