//! Revisions that devices are at besides the accepted one.
//!
//! Enters: which revision each device is at, what people pinned, what had gone through. Leaves: these revisions, read. They
//! are read beside the loop, each once; a device whose revision is not read yet is not looked at before that. Not
//! here: which revision a device is at.

use super::broken::FAULT;
use super::daemon::Daemon;
use super::first::newest_of;
use super::loaded::{LoadError, Loaded, Wants};
use super::reading::Reader;
use crate::model::{DeviceId, Facts};
use crate::source::Remote;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

/// By revision: what it says, or why git can't give it.
pub(super) type Others = BTreeMap<String, Result<Arc<Loaded>, String>>;

/// What is kept of other revisions.
#[derive(Default)]
pub(super) struct OtherRevisions {
    pub(super) read: Others,
    /// Whether one is missing, or should be tried again.
    is_due: bool,
    /// Whether what devices report changed since they were read.
    is_outdated: bool,
    /// Reads what is found on devices.
    finder: Option<Arc<Finder>>,
}

impl OtherRevisions {
    /// What is found on devices is looked for in another history, or with other facts.
    pub(super) fn forget_finder(&mut self) {
        self.finder = None;
    }
}

/// What reading them needs.
pub(super) struct ReadOthers {
    remote: Arc<Remote>,
    reader: Arc<Reader>,
    accepted: Arc<Loaded>,
    wanted: BTreeSet<String>,
    known: Others,
    /// What devices report, where that changed.
    facts: Facts,
    is_outdated: bool,
}

impl ReadOthers {
    /// Reads them; where that breaks down, they can't be read. Blocking.
    pub(super) fn read_or_say_why(self) -> Others {
        let wanted = self.wanted.clone();
        let read = std::panic::catch_unwind(AssertUnwindSafe(|| self.read()));
        read.unwrap_or_else(|_| {
            tracing::error!("reading other revisions broke down: {FAULT}");
            let words = format!("reading it broke down, which is {FAULT}");
            wanted.into_iter().map(|id| (id, Err(words.clone()))).collect()
        })
    }

    /// Reads them. Blocking.
    pub(super) fn read(self) -> Others {
        let Self { remote, reader, accepted, wanted, mut known, facts, is_outdated } = self;
        let read = |id: String| {
            let loaded = match known.remove(&id) {
                Some(Ok(loaded)) if !is_outdated => Ok(loaded),
                Some(Ok(loaded)) => Ok(Arc::new(reader.with_facts(&loaded, &facts))),
                _ => reader
                    .load(remote.folder(), &id, &facts, Some(&accepted))
                    .map(|loaded| Arc::new(loaded.reached_as(&accepted.fleet)))
                    .map_err(words_of),
            };
            (id, loaded)
        };
        wanted.into_iter().map(read).collect()
    }
}

fn words_of(error: LoadError) -> String {
    match error {
        LoadError::Invalid(lines) => lines.join("; "),
        LoadError::Unreadable(words) => words,
    }
}

/// Reads the revisions that are found on devices, each once, however many devices have it.
pub(super) struct Finder {
    remote: Arc<Remote>,
    reader: Arc<Reader>,
    accepted: Arc<Loaded>,
    /// The newest commit of the branch.
    head: String,
    facts: Facts,
    known: Mutex<BTreeMap<String, Option<Arc<Loaded>>>>,
}

impl Finder {
    /// The same as [`newest_of`], where it can be read. Blocking.
    pub(super) fn newest_of(
        &self,
        revisions: &BTreeSet<String>,
        is_between: bool,
    ) -> Option<Arc<Loaded>> {
        let newest = newest_of(self.remote.folder(), revisions, is_between, &self.head)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |id: &String| {
            let former = Some(self.accepted.as_ref());
            self.reader.load(self.remote.folder(), id, &self.facts, former).ok().map(Arc::new)
        };
        known.entry(newest).or_insert_with_key(read).clone()
    }
}

impl Daemon {
    /// The revisions that devices are at, or may go back to, besides an accepted one.
    fn wanted_others(&self, accepted: &str) -> BTreeSet<String> {
        let behind = self.behind.values().map(|assignment| assignment.revision.as_str());
        let pins = self.orders.pins.iter().map(|pin| pin.revision.as_str());
        let rollout = self.unfinished();
        let proven = rollout.map(|rollout| rollout.from.as_str());
        let ways_back = rollout.into_iter().flat_map(|rollout| rollout.members.values());
        let ways_back = ways_back.map(|member| member.back_to.as_str());
        let all: BTreeSet<&str> = behind.chain(pins).chain(proven).chain(ways_back).collect();
        all.into_iter().filter(|id| *id != accepted).map(str::to_owned).collect()
    }

    /// Keeps those that are still wanted, reached as the accepted revision says.
    pub(super) fn keep_others(&mut self, accepted: &Loaded) {
        let wanted = self.wanted_others(&accepted.revision.id);
        let read = &mut self.others.read;
        read.retain(|id, _| wanted.contains(id));
        for loaded in read.values_mut().flatten() {
            *loaded = Arc::new(loaded.reached_as(&accepted.fleet));
        }
        self.others.is_due |= wanted.iter().any(|id| !matches!(read.get(id), Some(Ok(_))));
        self.others.forget_finder();
    }

    /// Some device is at this revision from now on.
    pub(super) fn want_other(&mut self, revision: &str) {
        let is_accepted = self.accepted.as_ref().is_some_and(|a| a.revision.id == revision);
        let is_read = matches!(self.others.read.get(revision), Some(Ok(_)));
        self.others.is_due |= !is_accepted && !is_read;
    }

    /// What devices report changed what revisions want of them.
    pub(super) fn others_follow_facts(&mut self) {
        self.others.is_outdated = true;
        self.others.forget_finder();
    }

    /// What is to be read beside the loop, if anything is.
    pub(super) fn take_others_to_read(&mut self) -> Option<ReadOthers> {
        let accepted = self.accepted.clone()?;
        let is_outdated = std::mem::take(&mut self.others.is_outdated);
        if !std::mem::take(&mut self.others.is_due) && !is_outdated {
            return None;
        }
        let read = self.to_read(accepted, is_outdated);
        // What nobody wants any more would stay as it was read, by facts of another day.
        self.others.read.retain(|id, _| read.wanted.contains(id));
        (!read.wanted.is_empty()).then_some(read)
    }

    /// The same before the loop begins.
    pub(super) fn read_others_now(&mut self, accepted: &Arc<Loaded>) {
        self.others.read = self.to_read(Arc::clone(accepted), false).read();
    }

    fn to_read(&self, accepted: Arc<Loaded>, is_outdated: bool) -> ReadOthers {
        ReadOthers {
            remote: Arc::clone(&self.remote),
            reader: Arc::clone(&self.reader),
            wanted: self.wanted_others(&accepted.revision.id),
            accepted,
            known: self.others.read.clone(),
            facts: self.facts(),
            is_outdated,
        }
    }

    /// Takes in what was read.
    pub(super) fn take_others(&mut self, read: Others) {
        let Some(accepted) = self.accepted.clone() else { return };
        self.put_others(read);
        let is_due = std::mem::take(&mut self.others.is_due);
        self.keep_others(&accepted);
        // What git could not give is asked for again when somebody needs something of it.
        let wanted = self.wanted_others(&accepted.revision.id);
        self.others.is_due = is_due || wanted.iter().any(|id| !self.others.read.contains_key(id));
    }

    /// Devices that waited for one of these, or of which it wants something else now, are looked at.
    pub(super) fn put_others(&mut self, read: Others) {
        let former = self.others.read.clone();
        self.others.read.extend(read);
        let Some(accepted) = self.accepted.clone() else { return };
        let moment = self.clock.moment();
        let wants = |of: &Others, revision: &String, device: &DeviceId| -> Option<Option<Wants>> {
            let loaded = of.get(revision)?;
            Some(loaded.as_ref().ok().and_then(|loaded| loaded.wants.get(device).cloned()))
        };
        for device in accepted.fleet.devices.keys() {
            let revision = self.intended(device, &accepted);
            if revision == accepted.revision.id {
                continue;
            }
            let now = wants(&self.others.read, &revision, device);
            if now.is_some() && now != wants(&former, &revision, device) {
                self.schedule.wake(device, moment);
            }
        }
        self.is_news = true;
    }

    /// Whether the revision that a device is at is still to be read.
    pub(super) fn waits_for_its_revision(&self, device: &DeviceId) -> bool {
        let Some(accepted) = &self.accepted else { return false };
        let revision = self.intended(device, accepted);
        revision != accepted.revision.id && !self.others.read.contains_key(&revision)
    }

    /// A revision that was read because a device has it; where it stays there, it is needed.
    pub(super) fn found_other(&mut self, loaded: &Arc<Loaded>) {
        let Some(accepted) = &self.accepted else { return };
        let id = &loaded.revision.id;
        if *id != accepted.revision.id && !matches!(self.others.read.get(id), Some(Ok(_))) {
            let loaded = Arc::new(loaded.reached_as(&accepted.fleet));
            self.others.read.insert(id.clone(), Ok(loaded));
        }
    }

    /// What reads the revisions that are found on devices.
    pub(super) fn finder(&mut self, accepted: &Arc<Loaded>) -> Arc<Finder> {
        if let Some(finder) = &self.others.finder {
            return Arc::clone(finder);
        }
        let head = self.source.head.as_ref().unwrap_or(&accepted.revision.id);
        let others = self.others.read.iter();
        let others = others.filter_map(|(id, loaded)| Some((id, loaded.as_ref().ok()?)));
        let known = others.chain([(&accepted.revision.id, accepted)]);
        let finder = Arc::new(Finder {
            remote: Arc::clone(&self.remote),
            reader: Arc::clone(&self.reader),
            accepted: Arc::clone(accepted),
            head: head.clone(),
            facts: self.facts(),
            known: Mutex::new(
                known.map(|(id, loaded)| (id.clone(), Some(Arc::clone(loaded)))).collect(),
            ),
        });
        self.others.finder = Some(Arc::clone(&finder));
        finder
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::watch::loaded::load;
    use std::process::Command;

    fn git(folder: &std::path::Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@fleet.example"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Three revisions; the first device of the last has another address.
    fn revisions(folder: &std::path::Path) -> Vec<String> {
        git(folder, &["init", "-q", "--initial-branch=main"]);
        let base = |tag: u32| format!("target = \"*\"\n[modules.app]\nimage = \"app:{tag}\"\n");
        let device = |port: u32| format!("engine = \"tcp://127.0.0.1:{port}\"\n");
        let commit = |tag: u32, port: u32| {
            for (path, text) in [
                ("fleet.toml", "name = \"towers\"\n".to_owned()),
                ("devices/a.toml", device(port)),
                ("devices/b.toml", String::new()),
                ("deployments/base.toml", base(tag)),
            ] {
                let path = folder.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            git(folder, &["add", "-A"]);
            git(folder, &["commit", "-q", "-m", "a step"]);
            git(folder, &["rev-parse", "HEAD"])
        };
        vec![commit(1, 1), commit(2, 1), commit(3, 2)]
    }

    #[test]
    fn what_is_read_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let ids = revisions(folder.path());
        let remote = Arc::new(Remote::here(folder.path(), "main"));
        let facts = Facts::none();
        let accepted = Arc::new(load(remote.folder(), &ids[2], &facts).unwrap());
        let reading = |known: &Others, is_outdated| ReadOthers {
            remote: Arc::clone(&remote),
            reader: Arc::default(),
            accepted: Arc::clone(&accepted),
            wanted: [ids[0].clone(), ids[1].clone(), "0".repeat(40)].into(),
            known: known.clone(),
            facts: Facts::none(),
            is_outdated,
        };
        let first = reading(&Others::new(), false).read();
        let of = |others: &Others, id: &String| Arc::clone(others[id].as_ref().unwrap());
        let device = |loaded: &Loaded| loaded.fleet.devices.values().next().unwrap().clone();
        assert_eq!(device(&of(&first, &ids[0])).engine, device(&accepted).engine, "reached as now");
        assert!(first[&"0".repeat(40)].is_err());
        let again = reading(&first, false).read();
        assert!(ids[..2].iter().all(|id| Arc::ptr_eq(&of(&first, id), &of(&again, id))));
        let resolved = reading(&first, true).read();
        assert!(!Arc::ptr_eq(&of(&first, &ids[0]), &of(&resolved, &ids[0])));
        assert_eq!(of(&first, &ids[0]).wants, of(&resolved, &ids[0]).wants);

        let finder = Finder {
            remote: Arc::clone(&remote),
            reader: Arc::default(),
            accepted: Arc::clone(&accepted),
            head: ids[2].clone(),
            facts,
            known: Mutex::default(),
        };
        let found = |revisions: &[&String]| {
            finder.newest_of(&revisions.iter().map(|id| (*id).clone()).collect(), false)
        };
        let one = found(&[&ids[0], &ids[1], &"0".repeat(40)]).unwrap();
        assert_eq!(one.revision.id, ids[1], "the newest that the history has");
        assert!(Arc::ptr_eq(&one, &found(&[&ids[1]]).unwrap()), "read once for all devices");
        assert!(found(&[&"0".repeat(40)]).is_none());
        let between = |revisions: &[&String]| {
            let revisions = revisions.iter().map(|id| (*id).clone()).collect();
            finder.newest_of(&revisions, true).unwrap().revision.id.clone()
        };
        assert_eq!(
            between(&[&ids[0], &ids[1]]),
            ids[0],
            "where it was on its way is not where it is"
        );
        assert_eq!(between(&[&ids[1]]), ids[1]);
    }
}
