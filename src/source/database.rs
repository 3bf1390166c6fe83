//! Objects out of the object database, one by one, without trust in what lies there.
//!
//! Enters: an id. Leaves: what it names, nothing, or what is wrong with it. gix reads them, and leaves it to us to look
//! whether an object is what its id says. libgit2 looks itself, but a pack that is damaged in some places brings it down.

use crate::fleet::{FileTree, TreeEntry};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::{Find as _, Kind as ObjectKind};
use gix_odb::store::init::Options;
use gix_odb::{HandleArc, Header as _, Store};
use gix_pack::cache::lru::MemoryCappedHashmap;
use sha1::{Digest as _, Sha1};
use std::path::PathBuf;
use std::sync::Arc;

/// So many bytes of what others are stored as differences to are remembered.
pub(super) const REMEMBERED: usize = 4 << 20;

/// Where a repository's own objects lie.
pub(super) fn folder(git: &git2::Repository) -> PathBuf {
    git.commondir().join("objects")
}

/// The object database of a repository; `None` where it can't be opened.
pub(super) fn open(git: &git2::Repository, largest: Option<usize>) -> Option<Arc<Store>> {
    let options = Options { alloc_limit_bytes: largest, ..Options::default() };
    let nothing_replaced = &mut std::iter::empty();
    Store::at_opts(folder(git), HashKind::Sha1, nothing_replaced, options).ok().map(Arc::new)
}

/// What one thread reads with.
pub(super) struct Reader {
    handle: HandleArc,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn of(store: &Arc<Store>) -> Self {
        let mut handle = store.to_cache_arc();
        handle.set_pack_cache(|| Box::new(MemoryCappedHashmap::new(REMEMBERED)));
        Self { handle, buffer: Vec::new() }
    }

    /// An object of this kind; `None` where there is none, or anything is wrong with it.
    pub(super) fn sound(&mut self, id: &ObjectId, kind: ObjectKind) -> Option<&[u8]> {
        let object = self.handle.try_find(id, &mut self.buffer).ok()??;
        (object.kind == kind && is_its_id(id, &object)).then_some(object.data)
    }

    /// A file; `None` where there is no such object. One that is too large is not read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn file(&mut self, id: &ObjectId) -> Result<Option<TreeEntry>, String> {
        let damaged = |error: &dyn std::fmt::Display| format!("object {id} is damaged: {error}");
        let Some(header) = self.handle.try_header(id).map_err(|error| damaged(&error))? else {
            return Ok(None);
        };
        if header.size() > FileTree::LARGEST_FILE {
            return Ok(Some(TreeEntry::TooLarge(header.size())));
        }
        let found = self.handle.try_find(id, &mut self.buffer);
        let Some(object) = found.map_err(|error| damaged(&error))? else { return Ok(None) };
        match object.kind {
            ObjectKind::Blob if is_its_id(id, &object) => Ok(Some(TreeEntry::of(object.data))),
            ObjectKind::Blob => Err(damaged(&"what it holds has another hash")),
            other => Err(damaged(&format!("it is a {other}, and should be a file"))),
        }
    }
}

/// Whether an object is what its id says.
pub(super) fn is_its_id(id: &ObjectId, object: &gix_object::Data<'_>) -> bool {
    let head = gix_object::encode::loose_header(object.kind, object.data.len() as u64);
    let hash = Sha1::new().chain_update(head).chain_update(object.data).finalize();
    *hash == *id.as_slice()
}
