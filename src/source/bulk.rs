//! All files of a commit, by as many threads as there are processors.
//!
//! Enters: a tree's id. Leaves: the fleet's files in it, or nothing. First all folders are listed, then the packs are read
//! ([`super::packed`]), then each file is handed on. libgit2 has one lock for all packs, and to ask it for the size of an
//! object, so that none too large is read, goes through all that it is stored as once more; gix does without both. It does
//! not look whether an object is what its id says, so that is done here. This knows the good case alone: for whatever is
//! missing, damaged, too large, or not named in UTF-8 it gives up, and [`read`](super::read) finds out what to say.

use super::database::{self, Reader};
use super::interest::{self, Kind, Wanted};
use super::packed::Packs;
use crate::fleet::{FileTree, Seen, TreeEntry, while_given};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::{Kind as ObjectKind, TreeRefIter};
use std::sync::Arc;

/// So many files, or folders, are worked on by one thread after the other.
const BATCH: usize = 100;

type Files = Vec<(Arc<str>, TreeEntry)>;
type Listed = Vec<(Arc<str>, ObjectId)>;
/// Some files, and of each what its pack has.
type Batch<'l> = (&'l [(Arc<str>, ObjectId)], Vec<Option<TreeEntry>>);

/// The fleet's files in its folder; `None` where it is up to the reader that says what is wrong. `seen` may be told of
/// some even then.
pub(super) fn files(
    git: &git2::Repository,
    folder: git2::Oid,
    seen: &Seen<'_>,
) -> Option<FileTree> {
    let folder = ObjectId::try_from(folder.as_bytes()).ok()?;
    let store = database::open(git, usize::try_from(FileTree::LARGEST_FILE).ok())?;
    let objects = || Reader::of(&store);

    let Folders { files: listed, others, folders: _ } = all_folders(&objects, folder)?;
    let borrowed = store.alternate_db_paths().ok()?;
    let packs = Packs::in_folders(std::iter::once(database::folder(git)).chain(borrowed));
    let mut packed = packs.read(&listed.iter().map(|(_, id)| id).collect::<Vec<_>>())?.into_iter();
    let hand_out = |hand: &mut dyn FnMut(_)| {
        for batch in listed.chunks(BATCH) {
            hand((batch, packed.by_ref().take(batch.len()).collect()));
        }
    };
    let ((), read) = while_given(hand_out, objects, |objects, (batch, packed): Batch<'_>| {
        let files = batch.iter().zip(packed).map(|((path, id), packed)| {
            let loose = |reader: &mut Reader| reader.sound(id, ObjectKind::Blob).map(TreeEntry::of);
            Some((Arc::clone(path), packed.or_else(|| loose(objects))?))
        });
        let files: Files = files.collect::<Option<_>>()?;
        seen(&files);
        Some(files)
    });
    let read: Vec<Files> = read.into_iter().collect::<Option<_>>()?;
    Some(FileTree(read.into_iter().flatten().chain(others).collect()))
}

/// What is in folders.
#[derive(Default)]
struct Folders {
    /// What is to be read.
    files: Listed,
    /// What there is nothing to read of.
    others: Files,
    /// What is not listed yet; their paths end with `/`.
    folders: Vec<(String, ObjectId)>,
}

/// Lists a folder and all below it, level by level.
fn all_folders(objects: &(impl Fn() -> Reader + Sync), top: ObjectId) -> Option<Folders> {
    let mut all = Folders { folders: vec![(String::new(), top)], ..Folders::default() };
    while !all.folders.is_empty() {
        let level = std::mem::take(&mut all.folders);
        let hand_out = |hand: &mut dyn FnMut(_)| level.chunks(BATCH).for_each(hand);
        let ((), found) = while_given(hand_out, objects, |objects, folders: &[_]| {
            let mut found = Folders::default();
            folders.iter().try_for_each(|(path, id)| found.list(objects, path, id))?;
            Some(found)
        });
        for found in found {
            let Folders { files, others, folders } = found?;
            all.files.extend(files);
            all.others.extend(others);
            all.folders.extend(folders);
        }
    }
    Some(all)
}

impl Folders {
    fn list(&mut self, objects: &mut Reader, path: &str, id: &ObjectId) -> Option<()> {
        let mut inside = path.to_owned();
        for entry in TreeRefIter::from_bytes(objects.sound(id, ObjectKind::Tree)?, HashKind::Sha1) {
            let entry = entry.ok()?;
            inside.truncate(path.len());
            inside.push_str(std::str::from_utf8(entry.filename).ok()?);
            if entry.mode.is_tree() {
                if interest::enters(&inside) {
                    self.folders.push((format!("{inside}/"), entry.oid.to_owned()));
                }
                continue;
            }
            let kind = Kind::of_mode(u32::from(entry.mode.value()))?;
            match interest::wanted(&inside, kind) {
                Some(Wanted::Content) => {
                    self.files.push((Arc::from(&*inside), entry.oid.to_owned()));
                }
                Some(Wanted::Entry(other)) => self.others.push((Arc::from(&*inside), other)),
                None => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::read::Objects as Exact;
    use crate::source::sandbox::Sandbox;
    use crate::source::{Repository, Revision};
    use std::process::Command;
    use std::sync::Mutex;

    /// What both readers make of HEAD, and of what `seen` was told.
    fn both_ways(sandbox: &Sandbox) -> (Option<FileTree>, FileTree, Files) {
        let repository = Repository::open(sandbox.path()).unwrap();
        let head: Revision = repository.resolve("HEAD").unwrap();
        let top = repository.commit(&head).unwrap().tree().unwrap();
        let told = Mutex::new(Vec::new());
        let seen = |files: &[(Arc<str>, TreeEntry)]| told.lock().unwrap().extend_from_slice(files);
        let bulk = files(repository.git(), top.id(), &seen);
        let exact = Exact { repository: &repository, git: repository.git(), wanted: &head.short };
        let exact = exact.files(&top).unwrap();
        let mut told = told.into_inner().unwrap();
        told.sort_by(|(one, _), (other, _)| one.cmp(other));
        (bulk, exact, told)
    }

    fn git(sandbox: &Sandbox, arguments: &[&str]) {
        let status = Command::new("git").args(arguments).current_dir(sandbox.path()).status();
        assert!(status.unwrap().success(), "{arguments:?}");
    }

    fn of_all_kinds() -> Sandbox {
        let sandbox = Sandbox::with_fleet();
        for n in 0..3 * BATCH {
            // Alike, so that most are stored as differences to others.
            let words = "a text that is the same in all of them\n".repeat(9);
            sandbox.write(&format!("devices/d{}/{n}.toml", n % 7), &format!("{words}{n}"));
        }
        sandbox.write("deployments/b.toml", "\u{feff}priority = 1");
        sandbox.write("deployments/notes.md", "");
        sandbox.write("device/near.toml", "");
        sandbox.write("docs/devices/a.toml", "");
        sandbox.write("README.md", "");
        sandbox.link("devices/link.toml", "/etc/passwd");
        std::fs::write(sandbox.path().join("devices/latin.toml"), b"id = \"\xe9\"").unwrap();
        sandbox.commit("all kinds");
        sandbox
    }

    #[test]
    fn by_many_threads_is_read_what_one_reads() {
        let sandbox = of_all_kinds();
        for packing in [None, Some(["gc", "--quiet"]), Some(["repack", "-adq"])] {
            if let Some(packing) = packing {
                git(&sandbox, &packing);
            }
            let (bulk, exact, told) = both_ways(&sandbox);
            assert_eq!(bulk.as_ref(), Some(&exact), "{packing:?}");
            let has_text =
                |entry: &TreeEntry| matches!(entry, TreeEntry::File(_) | TreeEntry::NotText(_));
            let texts = exact.0.into_iter().filter(|(_, entry)| has_text(entry));
            assert_eq!(told, texts.collect::<Vec<_>>(), "{packing:?}");
        }
    }

    #[test]
    fn objects_of_another_repository_that_this_one_borrows_from_are_found() {
        let lender = of_all_kinds();
        let borrower = Sandbox::new();
        let objects = lender.path().join(".git/objects");
        let info = borrower.path().join(".git/objects/info");
        std::fs::create_dir_all(&info).unwrap();
        std::fs::write(info.join("alternates"), format!("{}\n", objects.display())).unwrap();
        let head = lender.git().head().unwrap().target().unwrap();
        borrower.git().reference("refs/heads/main", head, true, "").unwrap();
        for packed in [false, true] {
            if packed {
                git(&lender, &["gc", "--quiet"]);
            }
            let (bulk, exact, _) = both_ways(&borrower);
            assert_eq!(bulk, Some(exact), "packed: {packed}");
        }
    }

    #[test]
    fn what_is_too_large_is_left_to_the_reader_that_says_so() {
        let sandbox = Sandbox::with_fleet();
        let size = FileTree::LARGEST_FILE + 1;
        sandbox.write("devices/large.toml", &"#".repeat(usize::try_from(size).unwrap()));
        sandbox.commit("a large file");
        for packed in [false, true] {
            if packed {
                git(&sandbox, &["gc", "--quiet"]);
            }
            let (bulk, exact, _) = both_ways(&sandbox);
            assert_eq!(bulk, None, "packed: {packed}");
            assert_eq!(exact.0["devices/large.toml"], TreeEntry::TooLarge(size));
        }
    }

    #[test]
    fn of_a_damaged_pack_is_said_what_is_wrong_and_no_file_is_left_out() {
        let sandbox = of_all_kinds();
        git(&sandbox, &["gc", "--quiet"]);
        let repository = Repository::open(sandbox.path()).unwrap();
        let head = repository.resolve("HEAD").unwrap();
        let whole = repository.read(&head).unwrap();
        let packs = std::fs::read_dir(sandbox.path().join(".git/objects/pack")).unwrap();
        let packs = packs.map(|entry| entry.unwrap().path());
        let pack = packs.into_iter().find(|path| path.extension().is_some_and(|e| e == "pack"));
        let pack = pack.unwrap();
        let sound = std::fs::read(&pack).unwrap();
        let mut refused = 0;
        for round in 0..120 {
            let mut bytes = sound.clone();
            let at = bytes.len() * round / 120;
            match round % 3 {
                0 => bytes[at..].iter_mut().take(64).for_each(|byte| *byte = 0),
                1 => bytes[at..].iter_mut().take(64).for_each(|byte| *byte = 0xff),
                _ => bytes[at] ^= 0x70,
            }
            // Another file, since what is open stays as it was.
            std::fs::remove_file(&pack).unwrap();
            std::fs::write(&pack, bytes).unwrap();
            let Ok(repository) = Repository::open(sandbox.path()) else { continue };
            let Ok(head) = repository.resolve("HEAD") else { continue };
            match repository.read(&head) {
                Ok(files) => assert_eq!(files, whole, "{round}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 30, "{refused}");
    }

    #[test]
    fn what_is_missing_is_left_to_the_reader_that_says_so() {
        let sandbox = Sandbox::with_fleet();
        sandbox.lose_blob("name = \"a\"");
        let repository = Repository::open(sandbox.path()).unwrap();
        let head = repository.resolve("HEAD").unwrap();
        let top = repository.commit(&head).unwrap().tree().unwrap();
        assert_eq!(files(repository.git(), top.id(), &|_| {}), None);
    }

    #[test]
    fn an_object_that_is_not_what_its_id_says_is_left_to_the_reader_that_says_so() {
        let sandbox = Sandbox::with_fleet();
        sandbox.write("devices/a.toml", "tls = \"a\"");
        sandbox.commit("a device");
        let object = |content: &[u8]| {
            let id = git2::Oid::hash_object(git2::ObjectType::Blob, content).unwrap().to_string();
            sandbox.path().join(".git/objects").join(&id[..2]).join(&id[2..])
        };
        let (one, other) = (object(b"name = \"a\""), object(b"tls = \"a\""));
        std::fs::remove_file(&one).unwrap();
        std::fs::copy(other, one).unwrap();
        let repository = Repository::open(sandbox.path()).unwrap();
        let head = repository.resolve("HEAD").unwrap();
        let top = repository.commit(&head).unwrap().tree().unwrap();
        assert_eq!(files(repository.git(), top.id(), &|_| {}), None);
        assert!(repository.read(&head).unwrap_err().to_string().contains("hash"));
    }
}
