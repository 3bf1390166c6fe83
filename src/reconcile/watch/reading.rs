//! Reading one revision after the other: of the next, only what is otherwise than in the last one is read and decoded.
//!
//! Enters: a repository's folder, a commit, and a revision that is in use. Leaves: what [`load`](super::loaded::load)
//! gives. Blocking. Not here: what a revision is used for.

use super::loaded::{LoadError, Loaded, taken_up};
use crate::fleet::FileTree;
use crate::model::Facts;
use crate::resolve::{CheckCache, check_after, resolve};
use crate::source::{Repository, Revision, SourceError};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Reads revisions of one repository.
#[derive(Default)]
pub(super) struct Reader(Mutex<Option<Last>>);

/// What was read last, valid or not.
struct Last {
    revision: Revision,
    files: FileTree,
    cache: CheckCache,
}

impl Reader {
    /// Reads a revision and resolves it. What it wants of devices is taken from `former` where that wants the same.
    ///
    /// # Errors
    /// Git can't give it, or its files have errors.
    pub(super) fn load(
        &self,
        folder: &Path,
        id: &str,
        facts: &Facts,
        former: Option<&Loaded>,
    ) -> Result<Loaded, LoadError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (revision, files, mut cache) = match read(folder, id, last.take()) {
            Ok(Last { revision, files, cache }) => (revision, files, cache),
            Err(error) => return Err(LoadError::Unreadable(error.to_string())),
        };
        let mut checked = check_after(&files, &mut cache);
        if !facts.0.is_empty()
            && let Some((fleet, resolution)) = &mut checked.fleet
        {
            *resolution = cache.resolve(fleet, facts);
        }
        *last = Some(Last { revision: revision.clone(), files, cache });
        drop(last);
        taken_up(revision, checked, former)
    }

    /// A revision by other facts.
    pub(super) fn with_facts(&self, loaded: &Loaded, facts: &Facts) -> Loaded {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let resolution = match last.as_mut() {
            Some(last) if !facts.0.is_empty() => last.cache.resolve(&loaded.fleet, facts),
            _ => resolve(&loaded.fleet, facts),
        };
        drop(last);
        loaded.resolved(resolution)
    }
}

/// The files of a revision, beside those that were read last if git still has these.
fn read(folder: &Path, id: &str, last: Option<Last>) -> Result<Last, SourceError> {
    let repository = Repository::open(folder)?;
    let revision = repository.resolve(id)?;
    let Some(Last { revision: known, mut files, mut cache }) = last else {
        let mut cache = CheckCache::default();
        let files = cache.decode_while(|seen| repository.read_and_tell(&revision, seen))?;
        return Ok(Last { revision, files, cache });
    };
    match repository.changes(&known, &revision) {
        Ok(Some(changes)) => files.apply(changes),
        _ => files = cache.decode_while(|seen| repository.read_and_tell(&revision, seen))?,
    }
    Ok(Last { revision, files, cache })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceId, Table};
    use crate::reconcile::watch::loaded::load;
    use std::process::Command;

    fn git(folder: &Path, arguments: &[&str]) {
        let status = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@fleet.example"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .status();
        assert!(status.unwrap().success(), "{arguments:?}");
    }

    const BASE: &str = "target = \"tags.ring = 'early'\"\n[modules.app]\nimage = \"docker.io/library/app:1\"\n\
        env = { SITE = \"${device.tags.site}\" }\n";

    /// Each step changes one file, the third so that it is wrong.
    fn commits(folder: &Path) {
        git(folder, &["init", "-q"]);
        let device = |ring, site| format!("[tags]\nring = \"{ring}\"\nsite = \"{site}\"\n");
        let steps = [
            ("fleet.toml", "name = \"towers\"\n".to_owned()),
            ("devices/a.toml", device("early", "1")),
            ("devices/b.toml", device("late", "1")),
            ("deployments/base.toml", BASE.to_owned()),
            ("devices/a.toml", device("early", "2")),
            ("devices/b.toml", "[tags".to_owned()),
            ("devices/b.toml", device("early", "1")),
            ("devices/c.toml", "[tags]\nring = \"other\"\n".to_owned()),
            ("deployments/base.toml", BASE.replace("app:1", "app:2")),
            ("devices/a.toml", device("late", "2")),
            ("deployments/base.toml", BASE.replace("'early'", "'late'")),
            (
                "deployments/base.toml",
                BASE.replace("tags.ring = 'early'", "properties.reported.os = 'linux'"),
            ),
            ("devices/b.toml", device("late", "7")),
        ];
        for (path, text) in steps {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            git(folder, &["add", "-A"]);
            git(folder, &["commit", "-q", "-m", "a step"]);
        }
    }

    /// What a load gives, as far as anybody can see it.
    fn said(loaded: Result<&Loaded, &LoadError>) -> String {
        match loaded {
            Ok(loaded) => format!("{:?} {:?} {:?}", loaded.digest, loaded.wants, loaded.fleet),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn the_daemon_reads_beside_others_what_it_reads_alone() {
        let folder = tempfile::tempdir().unwrap();
        commits(folder.path());
        let reader = Reader::default();
        let mut former: Option<Loaded> = None;
        let report = |words: &[(&str, &str)]| {
            let tables = words.iter().map(|(id, os)| {
                let table = Table::from([("os".to_owned(), (*os).into())]);
                (DeviceId::parse(id).unwrap(), table)
            });
            Facts(tables.collect())
        };
        let reports = [
            Facts::none(),
            report(&[("a", "linux")]),
            report(&[("a", "linux"), ("b", "linux")]),
            report(&[("a", "other"), ("c", "linux"), ("z", "linux")]),
        ];
        // From the first to the last, back again, and in leaps.
        let way = (0..=12).rev().chain(0..=12).chain([9, 2, 7, 0, 5, 4, 8, 1, 0, 1]);
        for (step, back) in way.enumerate() {
            let id = format!("HEAD~{back}");
            let facts = &reports[step * 3 % 4];
            let alone = load(folder.path(), &id, facts);
            let after = reader.load(folder.path(), &id, facts, former.as_ref());
            assert_eq!(said(after.as_ref()), said(alone.as_ref()), "{id}");
            if let Ok(after) = &after {
                let facts = &reports[step % 4];
                let otherwise = reader.with_facts(after, facts);
                let alone = load(folder.path(), &id, facts);
                assert_eq!(said(Ok(&otherwise)), said(alone.as_ref()), "{id} by other facts");
            }
            former = after.ok().or(former);
        }
        let facts = Facts::none();
        let missing = reader.load(folder.path(), "HEAD~99", &facts, None);
        assert!(matches!(missing, Err(LoadError::Unreadable(_))));
        assert!(reader.load(folder.path(), "HEAD", &facts, None).is_ok());
    }
}
