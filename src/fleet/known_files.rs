//! The decoded files of a revision, kept so that the next one costs what differs.
//!
//! Enters: the files of a revision, and what was decoded ahead of it. Leaves: all of them decoded, and which are new
//! and which are gone. Of a file that stays only the path and content are compared, by where they lie. Not here: what
//! files say together.

use super::load::{Decoded, decode};
use super::paths::{NearMisses, is_ours, is_readable, role, start_of};
use super::side_by_side::side_by_side_with;
use super::{FileTree, TreeEntry};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;

/// So many files are worth a thread of their own.
pub(super) const WORTH_A_THREAD: usize = 200;

/// The path, the content and what it says.
pub(super) type Known = (Arc<str>, TreeEntry, Arc<Decoded>);

/// The files of the revision that was loaded last.
#[derive(Debug, Default)]
pub(super) struct KnownFiles {
    /// In the order of their paths.
    all: Vec<Known>,
    /// By path, those that say more than what devices there are: few beside the others.
    telling: BTreeMap<Arc<str>, Arc<Decoded>>,
}

/// What a revision has otherwise than the one that was loaded before it.
pub(super) struct Changes {
    /// What files said that are gone.
    pub(super) gone: Vec<Arc<Decoded>>,
    /// Where in the list the new ones stand.
    new: Vec<usize>,
    /// Whether no file of the revision is left out that might hold devices.
    pub(super) all_devices_read: bool,
}

impl KnownFiles {
    /// Goes on to the files of another revision.
    pub(super) fn go_on(
        &mut self,
        tree: &FileTree,
        ahead: Vec<Known>,
        found: &mut Diagnostics,
    ) -> Changes {
        let Difference { gone, mut new, undecoded, at, all_devices_read } =
            Difference::of(&self.all, ahead, tree, found);
        decode_all(&mut new, undecoded);
        let mut no_more = Vec::with_capacity(gone.len());
        for at in &gone {
            let (path, _, decoded) = &self.all[*at];
            self.telling.remove(path);
            no_more.push(Arc::clone(decoded));
        }
        let new = self.put(&gone, at, new);
        for at in &new {
            let (path, _, decoded) = &self.all[*at];
            if decoded.tells_more_than_devices() {
                self.telling.insert(Arc::clone(path), Arc::clone(decoded));
            }
        }
        Changes { gone: no_more, new, all_devices_read }
    }

    /// Puts new files before those that stand at some places, without those that are gone. Says where they stand then.
    fn put(&mut self, gone: &[usize], at: Vec<usize>, new: Vec<Known>) -> Vec<usize> {
        if self.all.is_empty() {
            self.all = new;
            return (0..self.all.len()).collect();
        }
        if gone == at {
            // Each stands in the place of another one, as mostly.
            at.iter().zip(new).for_each(|(at, file)| self.all[*at] = file);
            return at;
        }
        let mut all = Vec::with_capacity(self.all.len() + new.len() - gone.len());
        let mut put = Vec::with_capacity(new.len());
        let mut gone = gone.iter().copied().peekable();
        let mut new = at.into_iter().zip(new).peekable();
        for (place, file) in std::mem::take(&mut self.all).into_iter().enumerate() {
            while let Some((_, file)) = new.next_if(|(at, _)| *at == place) {
                put.push(all.len());
                all.push(file);
            }
            if gone.next_if_eq(&place).is_none() {
                all.push(file);
            }
        }
        for (_, file) in new {
            put.push(all.len());
            all.push(file);
        }
        self.all = all;
        put
    }

    /// What each file says, in the order of their paths.
    pub(super) fn all(&self) -> impl Iterator<Item = &Decoded> {
        self.all.iter().map(|(_, _, decoded)| &**decoded)
    }

    /// The same of those that say more than what devices there are.
    pub(super) fn telling(&self) -> impl Iterator<Item = &Decoded> {
        self.telling.values().map(AsRef::as_ref)
    }

    /// The same of those that are new.
    pub(super) fn new_of<'k>(&'k self, changes: &'k Changes) -> impl Iterator<Item = &'k Decoded> {
        changes.new.iter().map(|at| &*self.all[*at].2)
    }
}

/// How the files of a tree differ from those that are known.
#[derive(Default)]
struct Difference {
    /// Where those stand that are gone.
    gone: Vec<usize>,
    /// Those that are new. What was decoded ahead has its content, the others have none yet.
    new: Vec<Known>,
    /// For each of them, before which of the known ones it comes.
    at: Vec<usize>,
    /// Which of them are not decoded yet.
    undecoded: Vec<usize>,
    /// Whether none is left out that might hold devices.
    all_devices_read: bool,
}

impl Difference {
    /// All lists are in the order of paths. What is known, or was decoded ahead, is known to be in order.
    fn of(known: &[Known], ahead: Vec<Known>, tree: &FileTree, found: &mut Diagnostics) -> Self {
        let mut difference = Self { all_devices_read: true, ..Self::default() };
        if known.is_empty() {
            difference.new.reserve(tree.0.len());
            difference.at.reserve(tree.0.len());
        }
        let mut near_misses = NearMisses::default();
        let mut ahead = ahead.into_iter().peekable();
        let mut place = 0;
        for (path, entry) in &tree.0 {
            while known.get(place).is_some_and(|(other, ..)| is_before(other, path)) {
                difference.gone.push(place);
                place += 1;
            }
            let at = place;
            if let Some((_, content, _)) = known.get(at).filter(|(other, ..)| is_path(other, path))
            {
                place += 1;
                if is_same(content, entry) {
                    continue;
                }
                difference.gone.push(at);
            }
            let file = next_same(&mut ahead, path, entry);
            if file.is_none() {
                near_misses.look_at(path, entry, found);
                if !is_wanted(path, entry, &mut difference.all_devices_read, found) {
                    continue;
                }
                difference.undecoded.push(difference.new.len());
            }
            let undecoded = || (Arc::clone(path), entry.clone(), Arc::default());
            difference.new.push(file.unwrap_or_else(undecoded));
            difference.at.push(at);
        }
        difference.gone.extend(place..known.len());
        difference
    }
}

/// The file of this path and content, where the ones before it are not asked for any more.
fn next_same(
    files: &mut Peekable<impl Iterator<Item = Known>>,
    path: &Arc<str>,
    entry: &TreeEntry,
) -> Option<Known> {
    while files.next_if(|(other, ..)| is_before(other, path)).is_some() {}
    files.next_if(|(other, content, _)| is_path(other, path) && is_same(content, entry))
}

fn is_before(one: &Arc<str>, other: &Arc<str>) -> bool {
    !Arc::ptr_eq(one, other) && one < other
}

fn is_path(one: &Arc<str>, other: &Arc<str>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// Whether contents are equal; of those that stayed nothing is read.
fn is_same(one: &TreeEntry, other: &TreeEntry) -> bool {
    match (one, other) {
        (TreeEntry::File(one), TreeEntry::File(other)) if Arc::ptr_eq(one, other) => true,
        _ => one == other,
    }
}

/// Whether a file is decoded, and nothing is said of its path and kind.
pub(super) fn is_in_order(path: &str, content: &TreeEntry) -> bool {
    let mut found = Diagnostics::new();
    is_wanted(path, content, &mut true, &mut found) && found.is_empty()
}

/// Whether a file is decoded; what may not stand there is reported, and whether a device may be lost by it.
fn is_wanted(
    path: &str,
    entry: &TreeEntry,
    all_devices_read: &mut bool,
    found: &mut Diagnostics,
) -> bool {
    let has_role = role(path).is_some();
    if !is_ours(path) || !(has_role || matches!(entry, TreeEntry::Link | TreeEntry::Submodule)) {
        return false;
    }
    if path.split('/').any(|part| matches!(part, ".." | "." | "")) {
        let message = format!("`{path}` is no path within the fleet repository");
        found.push(Diagnostic::new(Code::UnreadableFile, message).at(start_of(path)));
        return false;
    }
    let before = found.len();
    if is_readable(path, entry, found) && has_role {
        return true;
    }
    let is_whole = found.len() == before || path.starts_with("deployments");
    *all_devices_read &= is_whole;
    false
}

/// Decodes those of some files that are not decoded yet.
fn decode_all(files: &mut [Known], undecoded: Vec<usize>) {
    let wanted: Vec<(usize, &Known)> = undecoded.into_iter().map(|at| (at, &files[at])).collect();
    let decoded = side_by_side_with(wanted, WORTH_A_THREAD, |lately, (at, (path, content, _))| {
        (at, Arc::new(decode(path, content, lately)))
    });
    for (at, decoded) in decoded {
        files[at].2 = decoded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::decode::Lately;

    #[test]
    fn many_files_are_the_same_in_any_number_of_threads() {
        let files: Vec<(String, String)> = (0..3 * WORTH_A_THREAD)
            .map(|n| {
                let text = if n % 7 == 0 { "engine = 1\n" } else { "tls = \"x\"\n" };
                (format!("devices/d{n:04}.toml"), text.to_owned())
            })
            .collect();
        let refs = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        let mut known = KnownFiles::default();
        known.go_on(&FileTree::from_texts(refs), Vec::new(), &mut Diagnostics::new());
        assert_eq!(known.all.len(), files.len());
        for (path, content, decoded) in &known.all {
            assert_eq!(
                format!("{decoded:?}"),
                format!("{:?}", decode(path, content, &mut Lately::default())),
                "{path}"
            );
        }
    }
}
