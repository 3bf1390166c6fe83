//! The files of commits, out of the object database.
//!
//! Enters: a tree, or two. Leaves: the files that matter, or those that the second has otherwise than the first.
//! What two trees have in common is not looked into. A whole tree is read by [`bulk`] if that can; what is said here of
//! one that it can't read is what counts.

use super::bulk;
use super::database::{self, Reader};
use super::error::SourceError;
use super::interest::{self, Collector, Kind};
use super::repository::{Repository, Revision};
use crate::fleet::{FileTree, Seen, TreeChanges, TreeEntry};
use git2::{ErrorClass, ErrorCode, ObjectType, Oid, Tree};
use gix_hash::ObjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// A file as a tree lists it.
pub(super) enum Listed {
    /// A content that is still to be read.
    Blob(Oid),
    /// All that there is to know of it.
    Entry(TreeEntry),
}

impl From<TreeEntry> for Listed {
    fn from(entry: TreeEntry) -> Self {
        Self::Entry(entry)
    }
}

impl Repository {
    /// The fleet's files at a commit, from the object database. Empty where the commit lacks the folder.
    ///
    /// # Errors
    /// Objects are missing or damaged.
    pub fn read(&self, revision: &Revision) -> Result<FileTree, SourceError> {
        self.read_and_tell(revision, &|_| {})
    }

    /// The same, where `seen` may be told of files as soon as they are read.
    ///
    /// # Errors
    /// Objects are missing or damaged.
    pub fn read_and_tell(
        &self,
        revision: &Revision,
        seen: &Seen<'_>,
    ) -> Result<FileTree, SourceError> {
        let objects = Objects { repository: self, git: self.git(), wanted: &revision.short };
        let top = self.tree_of(revision)?;
        let folder = objects.fleet_folder(&top)?;
        let in_bulk = folder.and_then(|folder| bulk::files(self.git(), folder.id(), seen));
        in_bulk.map_or_else(|| objects.files(&top), Ok)
    }

    /// The same where the files of another commit are at hand: only what differs is read.
    ///
    /// # Errors
    /// Objects are missing or damaged.
    pub fn read_beside(
        &self,
        (known, files): (&Revision, &FileTree),
        revision: &Revision,
    ) -> Result<FileTree, SourceError> {
        let objects = Objects { repository: self, git: self.git(), wanted: &revision.short };
        let [known, tree] = [known, revision].map(|of| self.tree_of(of));
        objects.files_beside((&known?, files), &tree?)
    }

    /// The files that a commit has otherwise than another one; no answer where names that are not UTF-8 make that
    /// doubtful.
    ///
    /// # Errors
    /// Objects are missing or damaged.
    pub fn changes(
        &self,
        known: &Revision,
        revision: &Revision,
    ) -> Result<Option<TreeChanges>, SourceError> {
        let objects = Objects { repository: self, git: self.git(), wanted: &revision.short };
        objects.changes(&self.tree_of(known)?, &self.tree_of(revision)?)
    }

    fn tree_of(&self, revision: &Revision) -> Result<Tree<'_>, SourceError> {
        let failed = |error| self.missing_or(&revision.short, "read", &error);
        self.commit(revision)?.tree().map_err(failed)
    }
}

/// An object database, and what is read from it.
pub(super) struct Objects<'r> {
    pub(super) repository: &'r Repository,
    /// Where the objects are: the repository's, or one that has more in memory.
    pub(super) git: &'r git2::Repository,
    /// What is read, for messages.
    pub(super) wanted: &'r str,
}

/// What differs between two trees.
#[derive(Default)]
struct Differing {
    gone: BTreeSet<Arc<str>>,
    there: Collector<Listed>,
    doubtful: bool,
}

impl<'r> Objects<'r> {
    fn failed(&self, error: &git2::Error) -> SourceError {
        self.repository.missing_or(self.wanted, "read", error)
    }

    /// The fleet's files in a tree.
    pub(super) fn files(&self, top: &Tree<'_>) -> Result<FileTree, SourceError> {
        let mut collector = Collector::default();
        if let Some(tree) = self.fleet_folder(top)? {
            self.list(&tree, "", &mut collector)?;
        }
        Ok(FileTree(self.contents(collector.finish())?.into_iter().collect()))
    }

    /// The fleet's files in a tree, where those of another one are at hand.
    pub(super) fn files_beside(
        &self,
        (known, files): (&Tree<'_>, &FileTree),
        top: &Tree<'_>,
    ) -> Result<FileTree, SourceError> {
        let Some(changes) = self.changes(known, top)? else { return self.files(top) };
        let mut files = files.clone();
        files.apply(changes);
        Ok(files)
    }

    /// The fleet's files that a tree has otherwise than another one.
    fn changes(
        &self,
        known: &Tree<'_>,
        top: &Tree<'_>,
    ) -> Result<Option<TreeChanges>, SourceError> {
        let mut differing = Differing::default();
        let (old, new) = (self.fleet_folder(known)?, self.fleet_folder(top)?);
        self.compare(old.as_ref(), new.as_ref(), "", &mut differing)?;
        let Differing { gone, there, doubtful } = differing;
        if doubtful {
            return Ok(None);
        }
        let there = self.contents(there.finish())?;
        let mut changes: BTreeMap<_, _> = gone.into_iter().map(|path| (path, None)).collect();
        changes.extend(there.into_iter().map(|(path, entry)| (path, Some(entry))));
        Ok(Some(changes.into_iter().collect()))
    }

    /// The fleet folder in the tree of a whole repository, if it is there.
    fn fleet_folder<'t>(&'t self, top: &Tree<'t>) -> Result<Option<Tree<'t>>, SourceError> {
        let Some(folder) = self.repository.prefix().strip_suffix('/') else {
            return Ok(Some(top.clone()));
        };
        // An error of another kind than "not in this tree" must not read as an empty fleet.
        match top.get_path(Path::new(folder)) {
            Ok(entry) if entry.kind() == Some(ObjectType::Tree) => self.tree(entry.id()).map(Some),
            Ok(_) => Ok(None),
            Err(error) if error.class() == ErrorClass::Tree => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn tree(&self, id: Oid) -> Result<Tree<'r>, SourceError> {
        self.git.find_tree(id).map_err(|error| self.failed(&error))
    }

    fn list(
        &self,
        tree: &Tree<'_>,
        path: &str,
        collector: &mut Collector<Listed>,
    ) -> Result<(), SourceError> {
        tree.iter().try_for_each(|entry| self.list_entry(&entry, path, collector))
    }

    fn list_entry(
        &self,
        entry: &git2::TreeEntry<'_>,
        path: &str,
        collector: &mut Collector<Listed>,
    ) -> Result<(), SourceError> {
        let Ok(name) = entry.name() else {
            let shown = format!("{path}{}", String::from_utf8_lossy(entry.name_bytes()));
            collector.add_unreadable(&shown, "its name is not UTF-8");
            return Ok(());
        };
        let inside = format!("{path}{name}");
        match Kind::of_mode(entry.filemode().cast_unsigned()) {
            Some(kind) => collector.add(&inside, kind, || Ok(Listed::Blob(entry.id()))),
            None if interest::enters(&inside) => {
                self.list(&self.tree(entry.id())?, &format!("{inside}/"), collector)
            }
            None => Ok(()),
        }
    }

    fn compare(
        &self,
        old: Option<&Tree<'_>>,
        new: Option<&Tree<'_>>,
        path: &str,
        differing: &mut Differing,
    ) -> Result<(), SourceError> {
        if old.map(Tree::id) == new.map(Tree::id) {
            return Ok(());
        }
        let what = |entry: &git2::TreeEntry<'_>| (entry.id(), entry.filemode());
        let mut pairs: BTreeMap<Vec<u8>, [Option<git2::TreeEntry<'_>>; 2]> = BTreeMap::new();
        for (side, tree) in [old, new].into_iter().enumerate() {
            for entry in tree.iter().flat_map(|tree| tree.iter()) {
                let name = entry.name_bytes().to_owned();
                pairs.entry(name).or_default()[side] = Some(entry);
            }
        }
        for (name, pair) in pairs {
            let [before, after] = &pair;
            if before.as_ref().map(what) == after.as_ref().map(what) {
                continue;
            }
            let Ok(name) = String::from_utf8(name) else {
                differing.doubtful = true;
                continue;
            };
            let inside = format!("{path}{name}");
            let below = |entry: &Option<git2::TreeEntry<'_>>| {
                let entry = entry.as_ref().filter(|e| e.kind() == Some(ObjectType::Tree));
                entry.map(|entry| self.tree(entry.id())).transpose()
            };
            if interest::enters(&inside) {
                let (old, new) = (below(before)?, below(after)?);
                self.compare(old.as_ref(), new.as_ref(), &format!("{inside}/"), differing)?;
            }
            let is_file = |entry: &&git2::TreeEntry<'_>| entry.kind() != Some(ObjectType::Tree);
            if before.as_ref().is_some_and(|entry| is_file(&entry)) {
                differing.gone.insert(inside.as_str().into());
            }
            if let Some(entry) = after.as_ref().filter(is_file) {
                self.list_entry(entry, path, &mut differing.there)?;
            }
        }
        Ok(())
    }

    /// Reads what is listed, in its order.
    fn contents(
        &self,
        listed: Vec<(Arc<str>, Listed)>,
    ) -> Result<Vec<(Arc<str>, TreeEntry)>, SourceError> {
        let mut contents = Contents::of(self.git).map_err(|error| self.failed(&error))?;
        let mut read = |(path, listed): (Arc<str>, Listed)| match listed {
            Listed::Entry(entry) => Ok((path, entry)),
            Listed::Blob(id) => Ok((path, contents.get(id)?)),
        };
        let read: Result<_, git2::Error> = listed.into_iter().map(&mut read).collect();
        read.map_err(|error| self.failed(&error))
    }
}

/// What a file is stored as a difference to may be larger than any file that is read, but not without limit.
const LARGEST_BASE: usize = 512 << 20;

/// Contents of files, by their ids.
pub(super) struct Contents<'r> {
    reader: Option<Reader>,
    /// Knows also what is only in memory.
    others: git2::Odb<'r>,
}

impl<'r> Contents<'r> {
    pub(super) fn of(git: &'r git2::Repository) -> Result<Self, git2::Error> {
        let reader = database::open(git, Some(LARGEST_BASE)).map(|store| Reader::of(&store));
        Ok(Self { reader, others: git.odb()? })
    }

    pub(super) fn get(&mut self, id: Oid) -> Result<TreeEntry, git2::Error> {
        if let Some(reader) = &mut self.reader
            && let Ok(id) = ObjectId::try_from(id.as_bytes())
        {
            let damaged =
                |words: String| git2::Error::new(ErrorCode::GenericError, ErrorClass::Odb, words);
            if let Some(entry) = reader.file(&id).map_err(damaged)? {
                return Ok(entry);
            }
        }
        let (size, _) = self.others.read_header(id)?;
        if size as u64 > FileTree::LARGEST_FILE {
            return Ok(TreeEntry::TooLarge(size as u64));
        }
        Ok(TreeEntry::of(self.others.read(id)?.data()))
    }
}
