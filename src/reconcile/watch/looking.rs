//! Looks at devices: which begin now, and what came of those that ended.

use super::daemon::{Daemon, Task};
use super::discover::Found;
use super::job::{Job, Looked};
use super::listen::Told;
use super::loaded::{Loaded, in_force};
use super::schedule::{Ended, Turn};
use crate::engine::EventKind;
use crate::model::{DeviceId, ModuleName};
use crate::plan::{DeviceMemory, short_revision};
use crate::reconcile::facts::next_settling;
use crate::reconcile::snapshot::Trouble;
use crate::rollout::Rollout;
use crate::store::{StatusSince, StoreError, StoredDevice};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A device waits so long for the end of a look at it under its former id, or for its revision to be read.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// A store that could not be written is tried again after so many milliseconds.
const BETWEEN_TRIES_TO_WRITE: u64 = 4000;

impl Daemon {
    /// What is to run now beside what runs already.
    pub(super) fn take_due(&mut self, at_most: usize) -> Vec<Task> {
        let moment = self.clock.moment();
        let turns = self.schedule.take_due(at_most, moment);
        let tasks = turns.into_iter().filter_map(|turn| {
            let device = turn.device.clone();
            let task = self.task(turn)?;
            // It may have waited long for its turn, among many.
            if let Some(asked) = self.progress.asked.get_mut(&device) {
                *asked = moment;
            }
            self.under_way.insert(device);
            Some(task)
        });
        tasks.collect()
    }

    fn task(&mut self, Turn { device, full }: Turn) -> Option<Task> {
        if self.is_looked_at_by_a_former_name(&device) || self.waits_for_its_revision(&device) {
            self.schedule.ended(&device, Ended::After(BETWEEN_TRIES), self.clock.moment());
            return None;
        }
        let Some((loaded, recorded)) = self.at(&device) else {
            self.schedule.ended(&device, Ended::Again, self.clock.moment());
            return None;
        };
        let accepted = self.accepted.clone()?;
        let mut stored = self.devices.get(&device).cloned();
        let has_record = stored.as_ref().is_some_and(|stored| stored.in_force.is_some());
        if !has_record && !self.fresh.contains(&device) {
            let finder = self.finder(&accepted);
            return Some(Task::Discover(device, loaded, finder));
        }
        let intended = self.intended(&device, &accepted);
        if recorded.is_some()
            && let Some(former) = self.progress.formers.get(&device)
            && former.revision == intended
            && let Some(stored) = &mut stored
        {
            // Git has dropped the revision that it goes back to; what it had there is kept.
            Arc::make_mut(stored).in_force = Some(former.clone());
        }
        let restarts = self.restarts.remove(&device).unwrap_or_default();
        let mut memory = self.memories.get(&device).cloned().unwrap_or_default();
        memory.give_up(&self.given_up(&device, &memory));
        let paused = self.orders.pause_of(&device, &self.against(&accepted));
        Some(Task::Look(Box::new(Job {
            memory,
            take_over: self.begin_bring(&device),
            paused,
            device,
            loaded,
            intended,
            recorded,
            stored,
            full,
            restarts,
            paces: Arc::clone(&self.paces),
            now: self.clock.now(),
            moved: self.clock.moved(),
        })))
    }

    /// Whether somebody wants a device to be left alone.
    pub(super) fn is_paused(&self, device: &DeviceId) -> bool {
        let of = |accepted: &Arc<Loaded>| self.orders.pause_of(device, &self.against(accepted));
        self.accepted.as_ref().is_some_and(|accepted| of(accepted).is_some())
    }

    /// Takes in what came of a look.
    pub(super) fn take_looked(&mut self, looked: Looked) {
        let Looked { device, intended, mut known, is_carried_out, ended, moved, engine } = looked;
        if let Ok(Some((stored, memory))) = &mut known {
            self.move_along(moved, stored, memory.as_mut());
        }
        let moment = self.clock.moment();
        self.is_news = true;
        let mut ended = ended;
        let is_outdated = self.progress.outdated.remove(&device);
        self.progress.asked.remove(&device);
        match known {
            Ok(Some((stored, memory))) => {
                if is_carried_out {
                    self.end_bring(&device);
                }
                self.progress.answered.insert(device.clone(), moment);
                self.progress.broken.remove(&device);
                if !is_outdated {
                    self.progress.reported.insert(device.clone(), intended);
                }
                self.progress.has_news = true;
                let before = self.devices.get(&device);
                if before.map(|d| d.status.code) != Some(stored.status.code) {
                    tracing::info!(device = %device, code = stored.status.code, status = stored.status.description, "now");
                }
                if let Some(at) = next_settling(&stored, self.clock.now()) {
                    self.settles = Some(self.settles.map_or(at, |settles| settles.min(at)));
                }
                Arc::make_mut(&mut self.devices).insert(device.clone(), Arc::new(stored));
                if let Some(memory) = memory {
                    self.memories.insert(device.clone(), memory);
                }
                if is_outdated && let Some(memory) = self.memories.get_mut(&device) {
                    memory.end_pauses();
                }
            }
            Ok(None) => {}
            Err(error) => {
                self.take_trouble(&error);
                self.recall(&device);
                self.cut_short.insert(device.clone());
                ended = Ended::Again;
            }
        }
        for container in self.doubted.remove(&device).unwrap_or_default() {
            if let Some(memory) = self.memories.get_mut(&device) {
                memory.doubt_container(&container);
            }
        }
        if let Some((engine, fleets)) = engine {
            self.listeners.listen(&device, engine, fleets, self.tell.clone());
        }
        self.schedule.ended(&device, ended, moment);
        if let Err(error) = self.end_look_at(&device) {
            self.take_trouble(&error);
        }
        if self.poked.remove(&device) {
            self.poke(&device);
        }
    }

    /// The store, or something else that everything needs, fails.
    pub(super) fn take_trouble(&mut self, error: &StoreError) {
        let (words, now) = (error.to_string(), self.clock.now());
        let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
        if self.trouble.as_ref().is_none_or(|trouble| trouble.words != words) {
            tracing::error!(
                error = words,
                "what happens can't be written down; nothing new begins"
            );
        }
        self.trouble = Some(Trouble { words, since });
        self.is_news = true;
    }

    /// A trouble ends when the store can be written again, not when a device happens to be looked at: that may be long after.
    pub(super) fn end_trouble(&mut self) {
        if self.trouble.is_none() || self.clock.moment() < self.next_try {
            return;
        }
        self.next_try = self.clock.moment() + BETWEEN_TRIES_TO_WRITE;
        match self.shared.store.try_writing() {
            Ok(()) => {
                tracing::info!("what happens can be written down again");
                self.trouble = None;
                self.is_news = true;
                self.wake_who_was_cut_short();
                // What a clock that jumped changed meanwhile.
                if let Err(error) = self.write_moments() {
                    self.take_trouble(&error);
                }
            }
            Err(error) => {
                self.no_room = true;
                self.take_trouble(&error);
            }
        }
    }

    /// Devices of which something could not be written would sit out pauses that grew by no fault of theirs. But where anything
    /// else could be written all along, it may be theirs.
    fn wake_who_was_cut_short(&mut self) {
        let cut_short = std::mem::take(&mut self.cut_short);
        if std::mem::take(&mut self.no_room) {
            cut_short.iter().for_each(|device| self.schedule.wake(device, self.clock.moment()));
        }
    }

    /// Takes in what was found on a device that the store does not know.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn take_found(
        &mut self,
        device: &DeviceId,
        found: Found,
        newest: Option<Arc<Loaded>>,
    ) -> Result<(), StoreError> {
        let written = self.write_found(device, found, newest);
        let (ended, written) = match written {
            Ok(ended) => (ended, Ok(())),
            Err(error) => {
                self.cut_short.insert(device.clone());
                (Ended::Again, Err(error))
            }
        };
        self.schedule.ended(device, ended, self.clock.moment());
        self.end_look_at(device)?;
        written
    }

    fn write_found(
        &mut self,
        device: &DeviceId,
        found: Found,
        newest: Option<Arc<Loaded>>,
    ) -> Result<Ended, StoreError> {
        let now = self.clock.now();
        self.is_news = true;
        // This was no look that says how it is at a revision.
        self.progress.outdated.remove(device);
        let known = self.devices.get(device).map(|stored| StoredDevice::clone(stored));
        let mut stored = known.unwrap_or_else(|| StoredDevice::unknown(device.clone(), now));
        let (ended, status) = match found {
            Found::NoAnswer(words) => {
                self.progress.answered.insert(device.clone(), self.clock.moment());
                self.progress.has_news = true;
                (Ended::Again, Some((406, words)))
            }
            Found::Nothing => {
                self.fresh.insert(device.clone());
                (Ended::After(Duration::ZERO), None)
            }
            Found::Revisions(revisions, _) => match newest {
                Some(loaded) => {
                    self.found_other(&loaded);
                    stored.in_force = in_force(&loaded, device);
                    stored.last_contact = Some(now);
                    // What can't be told from that revision is made anew.
                    if stored.in_force.is_none() {
                        self.fresh.insert(device.clone());
                    }
                    (Ended::After(Duration::ZERO), None)
                }
                None => (Ended::Quiet, Some((400, not_known(&revisions, device)))),
            },
        };
        if let Some((code, description)) = status {
            let since = Some(&stored.status).filter(|s| s.code == code).map_or(now, |s| s.since);
            stored.status = StatusSince { code, description, since };
        }
        if self.devices.get(device).map(AsRef::as_ref) != Some(&stored) {
            self.shared.store.record_device(&stored)?;
            Arc::make_mut(&mut self.devices).insert(device.clone(), Arc::new(stored));
        }
        self.enrol(device)?;
        Ok(ended)
    }

    /// An engine tells something.
    pub(super) fn take_told(&mut self, device: &DeviceId, told: &Told) {
        let moment = self.clock.moment();
        match told {
            Told::Listening => self.schedule.stir(device, moment),
            Told::Ended => {
                self.listeners.forget(device);
                self.schedule.stir(device, moment);
            }
            Told::Event(event) => {
                if event.kind == EventKind::Updated {
                    // Nothing in a list shows that.
                    self.doubted.entry(device.clone()).or_default().insert(event.container.clone());
                    if let Some(memory) = self.memories.get_mut(device) {
                        memory.doubt_container(&event.container);
                    }
                }
                match event.kind {
                    EventKind::Died { .. } => self.schedule.stir_of_an_end(device, moment),
                    _ => self.schedule.stir(device, moment),
                }
            }
        }
    }

    /// Somebody wants a device to be looked at now.
    pub(super) fn poke(&mut self, device: &DeviceId) {
        if self.under_way.contains(device) {
            self.poked.insert(device.clone());
        }
        if let Some(memory) = self.memories.get(device) {
            let given_up = self.given_up(device, memory);
            if let Some(memory) = self.memories.get_mut(device) {
                memory.end_pauses_but_of(&given_up);
            }
        }
        self.schedule.wake(device, self.clock.moment());
    }

    /// Modules of a device whose change made a rollout fail, which tries it nowhere again by itself. Not those that failed
    /// before already and did not change, nor what a pin wants of the device instead.
    fn given_up(&self, device: &DeviceId, memory: &DeviceMemory) -> BTreeSet<ModuleName> {
        match (&self.rollout, &self.accepted) {
            (Some(rollout), Some(accepted)) if self.intended(device, accepted) == rollout.to => {
                given_up(rollout, device, memory)
            }
            _ => BTreeSet::new(),
        }
    }
}

/// The same for who only knows the rollout.
fn given_up(rollout: &Rollout, device: &DeviceId, memory: &DeviceMemory) -> BTreeSet<ModuleName> {
    if !rollout.is_given_up(device) {
        return BTreeSet::new();
    }
    let excused = rollout.excused(device);
    memory.modules.keys().filter(|module| !excused.contains(*module)).cloned().collect()
}

/// What failed on a device and made a rollout fail, waits for somebody's word: as the daemon sees it, for others who plan.
pub fn give_up(rollout: &Rollout, device: &DeviceId, memory: &mut DeviceMemory) {
    memory.give_up(&given_up(rollout, device, memory));
}

fn not_known(revisions: &BTreeSet<String>, device: &DeviceId) -> String {
    let list: Vec<&str> = revisions.iter().map(|id| short_revision(id)).collect();
    format!(
        "its containers are of {}, which the branch's history does not have; \
         `hoist apply --device {device}` brings it to what counts now",
        list.join(", ")
    )
}
