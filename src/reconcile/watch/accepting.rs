//! Which revision counts, and which one each device is at.
//!
//! Enters: what a look at the repository found. Leaves: what counts from now on, what is held, and which devices are
//! looked at because of it. Not here: whether a revision may go out.

use super::consider::{Consider, Considered, Verdict};
use super::daemon::Daemon;
use super::loaded::{Loaded, Wants};
use super::orders::Against;
use super::shape::Shape;
use crate::language::{Subject, Truth};
use crate::model::{DeviceId, Facts};
use crate::reconcile::Paces;
use crate::reconcile::facts::{held_facts, live_facts, next_settling};
use crate::reconcile::record::note_departed;
use crate::reconcile::snapshot::{HeldRevision, Trouble};
use crate::source::{Fetched, RemoteError, RemoteErrorKind};
use crate::store::{Scope, StoreError, StoredDevices, fleet_key};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Daemon {
    pub(super) fn facts(&self) -> Facts {
        held_facts(&self.devices, self.clock.now())
    }

    /// What a look at the repository needs.
    pub(super) fn considering(
        &mut self,
        fetched: Option<Result<Fetched, RemoteError>>,
        again: bool,
    ) -> Consider {
        let now = self.clock.now();
        let facts_changed = std::mem::take(&mut self.facts_changed)
            || self.settles.take_if(|settles| *settles <= now).is_some();
        if facts_changed {
            self.others_follow_facts();
        }
        Consider {
            remote: Arc::clone(&self.remote),
            reader: Arc::clone(&self.reader),
            fetched,
            signers: self.settings.signers.clone(),
            accepted: self.accepted.clone(),
            proven: self.proven(),
            left: self.left(),
            held: self.held.clone(),
            approvals: self.orders.approvals.clone(),
            devices: Arc::clone(&self.devices),
            facts_changed,
            again,
            now,
        }
    }

    /// Takes in what a look at the repository found.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn take_considered(&mut self, considered: Considered) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.is_news = true;
        match considered.fetched {
            Some(Ok(fetched)) => {
                if fetched.was_forced && self.source.head.as_ref() != Some(&fetched.head.id) {
                    tracing::warn!(head = fetched.head.id, "the branch was force-pushed");
                    self.note(
                        "force-push",
                        &fetched.head.id,
                        "the branch does not build on its former head",
                    )?;
                }
                if self.source.head.as_ref() != Some(&fetched.head.id) {
                    self.shared.store.set_fleet_state(fleet_key::HEAD, Some(&fetched.head.id))?;
                    self.wake_what_is_of_no_known_revision();
                }
                self.source.head = Some(fetched.head.id);
                // What a daemon before this one could not have may be had now.
                if self.source.trouble.is_some() || self.source.fetched.is_none() {
                    self.shared.store.set_fleet_state(fleet_key::FETCH_TROUBLE, None)?;
                }
                self.source.fetched = Some(now);
                self.source.trouble = None;
            }
            None => {}
            Some(Err(error)) => {
                let words = error.to_string();
                let since = self.source.trouble.as_ref().map_or(now, |trouble| trouble.since);
                let trouble = Trouble { words, since };
                if self.source.trouble.as_ref() != Some(&trouble) {
                    let is_gone = error.kind == RemoteErrorKind::BranchGone;
                    tracing::warn!(
                        error = trouble.words,
                        is_gone,
                        "no new commits can be had; what counts stays"
                    );
                    let text = trouble.to_json().to_string();
                    self.source.trouble = Some(trouble);
                    self.shared.store.set_fleet_state(fleet_key::FETCH_TROUBLE, Some(&text))?;
                }
            }
        }
        match considered.verdict {
            Verdict::Same => {
                let head = self.source.head.as_deref();
                let is_of_head = |held: &HeldRevision| Some(held.revision.as_str()) == head;
                let is_accepted = self.accepted.as_ref().map(|a| a.revision.id.as_str()) == head;
                // The branch went back to what counts: nothing waits any more.
                if is_accepted && self.held.as_ref().is_some_and(|held| !is_of_head(held)) {
                    self.set_held(None)?;
                }
            }
            Verdict::Hold(held) => {
                if self.held.as_ref() != Some(&held) {
                    tracing::warn!(
                        revision = held.revision,
                        reasons = held.reasons.join("; "),
                        "held"
                    );
                    self.note("hold", &held.revision, &held.reasons.join("; "))?;
                }
                self.set_held(Some(held))?;
            }
            Verdict::Accept { loaded, shape, proven } => {
                self.set_held(None)?;
                // With the facts of now, which are those of the revision that is let through.
                self.put_others(
                    proven.into_iter().map(|p| (p.revision.id.clone(), Ok(p))).collect(),
                );
                let subject = loaded.revision.subject.clone();
                self.use_revision(loaded, &subject, &shape, &considered.devices)?;
            }
        }
        Ok(())
    }

    /// What runs on a device may be of a commit that was not fetched yet.
    fn wake_what_is_of_no_known_revision(&mut self) {
        let moment = self.clock.moment();
        self.others.forget_finder();
        for (device, _) in self.devices.iter().filter(|(_, stored)| stored.in_force.is_none()) {
            self.schedule.wake(device, moment);
        }
    }

    /// Whether a revision counts that is not the newest, and nothing holds that one yet.
    pub(super) fn is_on_the_way_to_the_head(&self) -> bool {
        let accepted = self.accepted.as_ref().map(|accepted| &accepted.revision.id);
        self.held.is_none() && accepted.is_some() && accepted != self.source.head.as_ref()
    }

    pub(super) fn set_held(&mut self, held: Option<HeldRevision>) -> Result<(), StoreError> {
        if self.held != held {
            let text = held.as_ref().map(|held| held.to_json().to_string());
            self.shared.store.set_fleet_state(fleet_key::HELD, text.as_deref())?;
            self.held = held;
        }
        Ok(())
    }

    /// From now on a revision counts. Devices of which it wants something else than before are looked at now.
    pub(super) fn use_revision(
        &mut self,
        loaded: Arc<Loaded>,
        why: &str,
        shape: &Shape,
        found: &StoredDevices,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let id = loaded.revision.id.as_str();
        let counts = self.shared.store.fleet_state(fleet_key::ACCEPTED)?.as_deref() == Some(id);
        if counts && !self.begins_anew {
            self.keep_names(&loaded)?;
            self.follow_facts(&loaded)?;
        } else {
            self.accept_by_new_names(&loaded, why, shape, found)?;
            self.begins_anew = false;
            tracing::info!(revision = id, why, "accepted");
        }
        note_departed(&loaded.fleet, &self.shared.store, &self.devices, now)?;
        self.move_unchanged(&loaded)?;
        // Not before it is written down: what can't be is tried again at the next look.
        let former = self.accepted.replace(Arc::clone(&loaded));
        if let Some(former) = &former {
            let id = former.revision.id.clone();
            self.others.read.entry(id).or_insert_with(|| Ok(Arc::clone(former)));
        }
        self.keep_others(&loaded);
        self.join_by_facts(&loaded)?;
        let wanted = self.mine(&loaded);
        if wanted.is_empty() && !loaded.fleet.devices.is_empty() {
            let words =
                "no device of this revision is looked after here; one that it may come to have is";
            let devices = match self.settings.watches() {
                Scope::All => "all".to_owned(),
                Scope::Device(device) => device.to_string(),
                Scope::Where(condition) => condition,
            };
            tracing::warn!(revision = id, devices, "{words}");
        }
        let moment = self.clock.moment();
        self.listeners.keep(|device| wanted.contains(device));
        self.schedule.keep(&wanted, moment);
        let wants = |of: &Option<Arc<Loaded>>, device: &DeviceId| -> Option<Wants> {
            of.as_ref()?.wants.get(device).cloned()
        };
        let reached = |of: &Option<Arc<Loaded>>, device: &DeviceId| {
            let device = of.as_ref()?.fleet.devices.get(device)?;
            Some((device.engine.clone(), device.tls.clone(), device.reachable))
        };
        let current = Some(Arc::clone(&loaded));
        for device in &wanted {
            let changed = wants(&former, device) != wants(&current, device)
                || reached(&former, device) != reached(&current, device);
            if changed && !self.behind.contains_key(device) {
                self.schedule.wake(device, moment);
            }
        }
        self.paces = Arc::new(Paces::new(
            &loaded.fleet,
            self.settings.pulls_per.as_ref(),
            self.call_off.clone(),
        ));
        self.settles = self.devices.values().filter_map(|d| next_settling(d, now)).min();
        Ok(())
    }

    /// The devices that this daemon looks after.
    pub(super) fn mine(&self, loaded: &Loaded) -> BTreeSet<DeviceId> {
        let devices = loaded.fleet.devices.values();
        if let Some(only) = &self.settings.only {
            return devices.map(|d| d.id.clone()).filter(|id| id == only).collect();
        }
        let Some(condition) = &self.settings.wanted else {
            return devices.map(|device| device.id.clone()).collect();
        };
        let facts = live_facts(&self.devices);
        devices
            .filter(|device| {
                let reported = facts.reported(device);
                condition.evaluate(Subject { device, reported: &reported }) == Truth::True
            })
            .map(|device| device.id.clone())
            .collect()
    }

    /// The revision that a device is at: what somebody pinned it to, what it was left at, else the accepted one.
    /// With it, why what is recorded counts instead, if git can't give that revision any more.
    pub(super) fn at(&self, device: &DeviceId) -> Option<(Arc<Loaded>, Option<String>)> {
        let accepted = self.accepted.as_ref()?;
        let revision = &self.intended(device, accepted);
        if *revision == accepted.revision.id {
            return Some((Arc::clone(accepted), None));
        }
        match self.others.read.get(revision) {
            Some(Ok(loaded)) if loaded.fleet.devices.contains_key(device) => {
                Some((Arc::clone(loaded), None))
            }
            Some(Ok(_)) => {
                let words = format!("revision {revision} does not have it");
                Some((Arc::clone(accepted), Some(words)))
            }
            Some(Err(words)) => {
                let words = format!("revision {revision} can't be read: {words}");
                Some((Arc::clone(accepted), Some(words)))
            }
            None => {
                Some((Arc::clone(accepted), Some(format!("revision {revision} is not read yet"))))
            }
        }
    }

    /// The id of the revision that a device should be at.
    pub(super) fn intended(&self, device: &DeviceId, accepted: &Loaded) -> String {
        let pinned = self.orders.pin_of(device, &self.against(accepted));
        let revision = match (pinned, self.behind.get(device)) {
            (Some(pin), _) => &pin.revision,
            (None, Some(assignment)) => &assignment.revision,
            (None, None) => &accepted.revision.id,
        };
        revision.clone()
    }

    /// What orders are held against.
    pub(super) fn against<'a>(&'a self, loaded: &'a Loaded) -> Against<'a> {
        Against { fleet: &loaded.fleet, devices: &self.devices }
    }
}
