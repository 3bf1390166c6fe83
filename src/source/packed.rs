//! Many files out of packs, each inflated once.
//!
//! A pack keeps most objects as differences to others, which it keeps right before them. So files are read in the order in which
//! they lie there, by several threads, each of its own part; what a file is a difference to was then read just before. In the
//! order of paths each file would be put together anew from a long chain of others.

use super::database::{REMEMBERED, is_its_id};
use crate::fleet::{FileTree, TreeEntry, shares, side_by_side, while_given};
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

    /// Reads these files; `None` where one of them is damaged, too large, or no file. A file that no pack has is missing
    /// in the list.
    pub(super) fn read(&self, ids: &[&ObjectId]) -> Option<Vec<Option<TreeEntry>>> {
        let places = side_by_side(shares(ids.len()), 1, |share| self.places(ids, share));
        let mut places = places.concat();
        // It only has to join what each thread sorted.
        places.sort();
        let hand_out = |hand: &mut dyn FnMut(_)| places.chunks(SHARE).for_each(hand);
        let ((), read) = while_given(hand_out, || (), |(), share| self.read_share(ids, share));
        let mut files = vec![None; ids.len()];
        for share in read {
            share?.into_iter().for_each(|(number, file)| files[number] = Some(file));
        }
        Some(files)
    }

    /// Where some of the files lie, in the order of their places.
    fn places(&self, ids: &[&ObjectId], share: Range<usize>) -> Vec<Place> {
        let mut wanted: Vec<(u64, usize)> =
            share.map(|number| (beginning(ids[number]), number)).collect();
        wanted.sort_unstable();
        let mut places = Vec::with_capacity(wanted.len());
        let mut last = vec![0; self.0.len()];
        for (_, number) in wanted {
            let mut packs = self.0.iter().zip(&mut last).enumerate();
            places.extend(packs.find_map(|(pack, (Bundle { index, .. }, last))| {
                let in_index = next_in(index, last, ids[number])?;
                let offset = index.pack_offset_at_index(in_index);
                Some(Place { pack, offset, in_index, number })
            }));
        }
        places.sort_unstable();
        places
    }

    /// Files by the numbers by which they were asked for.
    fn read_share(&self, ids: &[&ObjectId], share: &[Place]) -> Option<Vec<(usize, TreeEntry)>> {
        let mut bases = MemoryCappedHashmap::new(REMEMBERED);
        let (mut inflate, mut buffer) = (Default::default(), Vec::new());
        let mut files = Vec::with_capacity(share.len());
        for Place { pack, in_index, number, offset: _ } in share {
            let pack = self.0.get(*pack)?;
            let read = pack.get_object_by_index(*in_index, &mut buffer, &mut inflate, &mut bases);
            let (object, _) = read.ok()?;
            if object.kind != ObjectKind::Blob || !is_its_id(ids[*number], &object) {
                return None;
            }
            files.push((*number, TreeEntry::of(object.data)));
        }
        Some(files)
    }
}

/// Where an id stands in an index. Ids are asked for in their order, as they stand there: so it is looked for from where
/// the last one stood, in steps that become larger.
fn next_in(index: &index::File, last: &mut u32, id: &ObjectId) -> Option<u32> {
    let end = index.num_objects();
    let is_before = |at: u32| index.oid_at_index(at) < id.as_ref();
    let (mut low, mut step) = (*last, 1);
    while step <= end - low && is_before(low + step - 1) {
        low += step;
        step = step.saturating_mul(2);
    }
    let mut high = low + (step - 1).min(end - low);
    while low < high {
        let middle = low.midpoint(high);
        if is_before(middle) { low = middle + 1 } else { high = middle }
    }
    *last = low;
    (low < end && index.oid_at_index(low) == id.as_ref()).then_some(low)
}

/// What ids differ in, as a number of the same order.
fn beginning(id: &ObjectId) -> u64 {
    let (beginning, _) = id.as_slice().split_at(8);
    beginning.iter().fold(0, |all, byte| (all << 8) | u64::from(*byte))
}

fn open(index: &Path) -> Option<Bundle> {
    let pack = data::File::at(index.with_extension("pack"), HashKind::Sha1).ok()?;
    let largest = usize::try_from(FileTree::LARGEST_FILE).ok();
    let pack = pack.with_alloc_limit_bytes(largest);
    Some(Bundle { pack, index: index::File::at(index, HashKind::Sha1).ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Packs, next_in};
    use crate::source::sandbox::Sandbox;
    use gix_hash::ObjectId;
    use std::process::Command;

    #[test]
    fn ids_in_their_order_are_found_from_where_the_last_one_stood() {
        let sandbox = Sandbox::with_fleet();
        for n in 0..300 {
            sandbox.write(&format!("devices/{n}.toml"), &format!("# {n}\n"));
        }
        sandbox.commit("many files");
        let packing =
            Command::new("git").args(["gc", "--quiet"]).current_dir(sandbox.path()).status();
        assert!(packing.unwrap().success());
        let packs = Packs::in_folders(std::iter::once(sandbox.path().join(".git/objects")));
        let index = &packs.0[0].index;
        for step in [1, 2, 7, 100] {
            let mut last = 0;
            for at in (0..index.num_objects()).step_by(step) {
                let id = index.oid_at_index(at).to_owned();
                let mut other = id.as_slice().to_vec();
                other[19] ^= 1;
                let other = ObjectId::try_from(other.as_slice()).unwrap();
                let mut pair = [(id, Some(at)), (id, Some(at)), (other, None)];
                pair.sort();
                for (id, found) in pair {
                    assert_eq!(next_in(index, &mut last, &id), found);
                }
            }
        }
    }
}
