//! Many files out of packs, each inflated once.
//!
//! A pack keeps most objects as differences to others, which it keeps right before them. So files are read in the order in which
//! they lie there, by several threads, each of its own part; what a file is a difference to was then read just before. In the
//! order of paths each file would be put together anew from a long chain of others.

use super::database::{REMEMBERED, is_its_id};
use crate::fleet::{FileTree, side_by_side, while_given};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::Kind as ObjectKind;
use gix_pack::cache::lru::MemoryCappedHashmap;
use gix_pack::{Bundle, data, index};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// So many files are read in one go.
const SHARE: usize = 4096;

/// The packs of a repository, and of those that it borrows from. One that can't be opened is not among them.
pub(super) struct Packs(Vec<Bundle>);

/// Where a file lies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    pack: usize,
    offset: u64,
    in_index: u32,
    number: usize,
}

/// Files that were read one after the other.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    /// By which numbers they were asked for, and where they stand.
    files: Vec<(usize, Range<usize>)>,
}

/// What files contain.
pub(super) struct Contents {
    parts: Vec<Vec<u8>>,
    /// By number of the file its part, and where it stands there.
    files: Vec<Option<(usize, Range<usize>)>>,
}

impl Contents {
    /// What a file contains; `None` where no pack has it.
    pub(super) fn of(&self, number: usize) -> Option<&[u8]> {
        let (part, range) = self.files.get(number)?.as_ref()?;
        self.parts.get(*part)?.get(range.clone())
    }
}

impl Packs {
    /// Those below these folders of objects.
    pub(super) fn in_folders(objects: impl Iterator<Item = PathBuf>) -> Self {
        let packs = objects
            .flat_map(|objects| std::fs::read_dir(objects.join("pack")).into_iter().flatten());
        let indices = packs
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "idx"));
        Self(indices.filter_map(|index| open(&index)).collect())
    }

    /// Reads these files; `None` where one of them is damaged, too large, or no file.
    pub(super) fn read(&self, ids: &[&ObjectId]) -> Option<Contents> {
        let numbered: Vec<(usize, &ObjectId)> = ids.iter().copied().enumerate().collect();
        let places = side_by_side(numbered, SHARE, |(number, id)| self.place(number, id));
        let mut places: Vec<Place> = places.into_iter().flatten().collect();
        places.sort_unstable();
        let hand_out = |hand: &mut dyn FnMut(_)| places.chunks(SHARE).for_each(hand);
        let ((), parts) = while_given(hand_out, || (), |(), share| self.read_share(ids, share));
        let mut contents = Contents { parts: Vec::new(), files: vec![None; ids.len()] };
        for (number, part) in parts.into_iter().enumerate() {
            let Part { bytes, files } = part?;
            contents.parts.push(bytes);
            for (file, range) in files {
                contents.files[file] = Some((number, range));
            }
        }
        Some(contents)
    }

    fn place(&self, number: usize, id: &ObjectId) -> Option<Place> {
        self.0.iter().enumerate().find_map(|(pack, bundle)| {
            let in_index = bundle.index.lookup(id)?;
            let offset = bundle.index.pack_offset_at_index(in_index);
            Some(Place { pack, offset, in_index, number })
        })
    }

    fn read_share(&self, ids: &[&ObjectId], share: &[Place]) -> Option<Part> {
        let mut bases = MemoryCappedHashmap::new(REMEMBERED);
        let (mut inflate, mut buffer) = (Default::default(), Vec::new());
        let mut part = Part::default();
        for Place { pack, in_index, number, offset: _ } in share {
            let pack = self.0.get(*pack)?;
            let read = pack.get_object_by_index(*in_index, &mut buffer, &mut inflate, &mut bases);
            let (object, _) = read.ok()?;
            if object.kind != ObjectKind::Blob || !is_its_id(ids[*number], &object) {
                return None;
            }
            let start = part.bytes.len();
            part.bytes.extend_from_slice(object.data);
            part.files.push((*number, start..part.bytes.len()));
        }
        Some(part)
    }
}

fn open(index: &Path) -> Option<Bundle> {
    let pack = data::File::at(index.with_extension("pack"), HashKind::Sha1).ok()?;
    let largest = usize::try_from(FileTree::LARGEST_FILE).ok();
    let pack = pack.with_alloc_limit_bytes(largest);
    Some(Bundle { pack, index: index::File::at(index, HashKind::Sha1).ok()? })
}
