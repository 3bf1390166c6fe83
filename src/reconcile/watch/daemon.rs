//! What the daemon knows, and how that changes: each method takes in one thing that happened.
//!
//! Enters: verdicts on revisions, what came of looks at devices, events, orders. Leaves: which devices are looked at
//! next and as what, and snapshots. Nothing here waits; what takes time runs beside the loop and comes back as one more
//! thing that happened. Not here: the loop itself, and what a look does.

use super::WatchSettings;
use super::brought::Bring;
use super::clock::{Clock, Wall};
use super::job::{Job, Shared};
use super::listen::{Listeners, Told};
use super::loaded::{LoadError, Loaded};
use super::orders::Orders;
use super::others::{Finder, OtherRevisions};
use super::reading::Reader;
use super::rollout::Progress;
use super::schedule::Schedule;
use super::shape::Shape;
use crate::apply::CallOff;
use crate::model::{DeviceId, Timestamp};
use crate::plan::DeviceMemory;
use crate::reconcile::Paces;
use crate::reconcile::snapshot::{Accepted, HeldRevision, Snapshot, SourceStanding, Trouble};
use crate::reconcile::status::stale_after;
use crate::reconcile::status_json::kept_unsigned;
use crate::rollout::Rollout;
use crate::source::Remote;
use crate::store::{Assignment, HistoryEntry, RestartWish, StoreError, StoredDevices, fleet_key};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// What the daemon knows.
pub(super) struct Daemon {
    pub(super) settings: WatchSettings,
    pub(super) shared: Arc<Shared>,
    pub(super) remote: Arc<Remote>,
    /// Reads the revisions that the branch comes to.
    pub(super) reader: Arc<Reader>,
    pub(super) clock: Clock,
    pub(super) schedule: Schedule,
    pub(super) listeners: Listeners,
    pub(super) call_off: CallOff,
    /// Where listeners tell what happens.
    pub(super) tell: UnboundedSender<(DeviceId, Told)>,
    pub(super) source: SourceStanding,
    pub(super) accepted: Option<Arc<Loaded>>,
    /// Revisions that devices are at besides the accepted one; the words of those that git can't give any more.
    pub(super) others: OtherRevisions,
    pub(super) held: Option<HeldRevision>,
    pub(super) devices: Arc<StoredDevices>,
    pub(super) memories: BTreeMap<DeviceId, DeviceMemory>,
    /// Devices that are not at the accepted revision.
    pub(super) behind: BTreeMap<DeviceId, Assignment>,
    /// The way to the accepted revision, if the fleet says that it has phases.
    pub(super) rollout: Option<Rollout>,
    pub(super) progress: Progress,
    /// Whether what the store keeps of the rollout can't be read, so that it begins anew.
    pub(super) begins_anew: bool,
    /// The revision that counted when the daemon began and bears no accepted signature, and why.
    unsigned: Option<(String, String)>,
    pub(super) orders: Orders,
    /// Devices that are being looked at.
    pub(super) under_way: BTreeSet<DeviceId>,
    /// Devices whose moments were moved along with the clock, and not in the store yet.
    pub(super) unwritten: BTreeSet<DeviceId>,
    /// Devices on which nothing of ours was found, and that have nothing in force yet.
    pub(super) fresh: BTreeSet<DeviceId>,
    /// Modules that somebody wants to be restarted, by device.
    pub(super) restarts: BTreeMap<DeviceId, Vec<RestartWish>>,
    /// Devices that somebody wants to be brought to what counts at the next look.
    pub(super) brought: BTreeMap<DeviceId, Bring>,
    /// Devices that somebody wants to be tried again, of whom a look is under way: what it says would be written over that.
    pub(super) poked: BTreeSet<DeviceId>,
    /// Whether somebody accepted the engine of a device that is being looked at.
    pub(super) engines_wait: bool,
    /// Containers that somebody changed while their device was looked at.
    pub(super) doubted: BTreeMap<DeviceId, BTreeSet<String>>,
    pub(super) paces: Arc<Paces>,
    /// Whether what devices report may have changed what they should be.
    pub(super) facts_changed: bool,
    /// When a fact will have held long enough.
    pub(super) settles: Option<Timestamp>,
    pub(super) trouble: Option<Trouble>,
    /// Devices of which what was found or done could not be written down.
    pub(super) cut_short: BTreeSet<DeviceId>,
    /// Whether nothing at all could be written since the trouble began.
    pub(super) no_room: bool,
    /// When it is tried whether that is over.
    pub(super) next_try: super::schedule::Moment,
    pub(super) sequence: u64,
    /// Whether a snapshot would say something new.
    pub(super) is_news: bool,
}

/// What runs beside the loop for a device.
pub(super) enum Task {
    /// A look.
    Look(Box<Job>),
    /// A look for what it runs of ours, before anything else: the store does not know it.
    Discover(DeviceId, Arc<Loaded>, Arc<Finder>),
}

impl Daemon {
    /// Takes up what the store knows.
    ///
    /// # Errors
    /// The store can't be read.
    pub(super) fn take_up(
        settings: WatchSettings,
        shared: Arc<Shared>,
        remote: Arc<Remote>,
        tell: UnboundedSender<(DeviceId, Told)>,
        wall: Wall,
    ) -> Result<Self, StoreError> {
        let store = &shared.store;
        let clock = Clock::start(wall);
        let call_off = CallOff::default();
        let held = store
            .fleet_state(fleet_key::HELD)?
            .and_then(|text| serde_json::from_str(&text).ok())
            .and_then(|json| HeldRevision::from_json(&json));
        store.note_ended_orders(clock.now())?;
        // The clock may have been set back while no daemon ran.
        let mut memories = store.memories()?;
        memories.values_mut().for_each(|memory| memory.forget_after(clock.now().seconds));
        let source = SourceStanding {
            repository: remote.shown().to_owned(),
            branch: remote.branch().to_owned(),
            ..SourceStanding::default()
        };
        Ok(Self {
            schedule: Schedule::new(settings.resync),
            listeners: Listeners::default(),
            source,
            accepted: None,
            reader: Arc::default(),
            others: OtherRevisions::default(),
            held,
            devices: Arc::new(store.load_devices()?),
            memories,
            behind: store.assignments()?,
            rollout: None,
            progress: Progress::default(),
            begins_anew: false,
            unsigned: kept_unsigned(store)?,
            orders: Orders::read(store, clock.now())?,
            under_way: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            fresh: BTreeSet::new(),
            restarts: BTreeMap::new(),
            brought: BTreeMap::new(),
            poked: BTreeSet::new(),
            engines_wait: false,
            doubted: BTreeMap::new(),
            paces: Arc::default(),
            facts_changed: false,
            settles: None,
            trouble: None,
            cut_short: BTreeSet::new(),
            no_room: false,
            next_try: 0,
            sequence: 0,
            is_news: true,
            call_off,
            tell,
            clock,
            settings,
            shared,
            remote,
        })
    }

    /// Goes on with the revision that was accepted before the daemon ended, so that a repository that can't be
    /// reached holds up nobody. Blocking.
    ///
    /// # Errors
    /// The store can't be used.
    pub(super) fn go_on(&mut self) -> Result<(), StoreError> {
        let Some(revision) = self.shared.store.fleet_state(fleet_key::ACCEPTED)? else {
            return Ok(());
        };
        self.take_up_rollout()?;
        let facts = self.facts();
        match self.reader.load(self.remote.folder(), &revision, &facts, None) {
            Ok(loaded) => {
                let nothing = BTreeMap::new();
                let loaded = Arc::new(loaded);
                self.read_others_now(&loaded);
                self.use_revision(loaded, "the daemon begins", &Shape::default(), &nothing)?;
            }
            Err(LoadError::Invalid(lines)) => {
                tracing::warn!(
                    revision,
                    error = lines.join("; "),
                    "what was accepted is not valid for this version"
                );
            }
            Err(LoadError::Unreadable(words)) => {
                tracing::warn!(revision, error = words, "what was accepted can't be read any more");
            }
        }
        Ok(())
    }

    /// Reads what people told, and looks at the devices that it is about.
    ///
    /// # Errors
    /// The store can't be read.
    pub(super) fn read_orders(&mut self) -> Result<(), StoreError> {
        let orders = Orders::read(&self.shared.store, self.clock.now())?;
        let former = std::mem::replace(&mut self.orders, orders);
        // What counts now is heard all the same.
        if let Err(error) = self.shared.store.note_ended_orders(self.clock.now()) {
            self.take_trouble(&error);
        }
        self.is_news = true;
        for device in self.shared.store.take_pokes()? {
            self.poke(&device);
        }
        self.take_brought()?;
        for wish in self.shared.store.take_restarts()? {
            self.schedule.wake(&wish.device, self.clock.moment());
            self.restarts.entry(wish.device.clone()).or_default().push(wish);
        }
        self.accept_engines()?;
        self.progress.has_news = true;
        let Some(accepted) = self.accepted.clone() else { return self.obey_rollout_orders() };
        let pinned: Vec<String> = self.orders.pins.iter().map(|pin| pin.revision.clone()).collect();
        pinned.iter().for_each(|revision| self.want_other(revision));
        let against = self.against(&accepted);
        let of = |orders: &Orders, device: &DeviceId| {
            let pin = orders.pin_of(device, &against).map(|pin| pin.revision.clone());
            (pin, orders.pause_of(device, &against))
        };
        let changed: Vec<DeviceId> = accepted
            .fleet
            .devices
            .keys()
            .filter(|device| of(&former, device) != of(&self.orders, device))
            .cloned()
            .collect();
        let moment = self.clock.moment();
        changed.iter().for_each(|device| self.schedule.wake(device, moment));
        self.obey_rollout_orders()
    }

    /// When the wall's clock brings about something: a fact that has held long enough, a pause that is over.
    pub(super) fn next_by_wall(&self) -> Option<Timestamp> {
        self.settles.into_iter().chain(self.orders.next_end()).min()
    }

    /// Whether a fact has held long enough by now.
    pub(super) fn has_settled(&self) -> bool {
        self.facts_changed || self.settles.is_some_and(|settles| settles <= self.clock.now())
    }

    /// Whether a pause or a pin is over by now.
    pub(super) fn has_order_ended(&self) -> bool {
        self.orders.next_end().is_some_and(|end| end <= self.clock.now())
    }

    /// Whether nothing was accepted yet.
    pub(super) fn has_nothing(&self) -> bool {
        self.accepted.is_none()
    }

    /// Drops history and wishes that are too old, and writes down when devices were seen last.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn do_chores(&mut self) -> Result<(), StoreError> {
        // Ages grow though nothing happens, and whoever looks can tell a quiet loop from one that stands still.
        self.is_news = true;
        let kept = i64::try_from(self.settings.history.as_secs()).unwrap_or(i64::MAX);
        let before = Timestamp { seconds: self.clock.now().seconds.saturating_sub(kept) };
        self.shared.store.prune_history(before)?;
        self.wishes_that_hold()?;
        self.write_contacts()
    }

    /// Writes down when devices were seen last; looks that change nothing don't write it.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn write_contacts(&self) -> Result<(), StoreError> {
        let contacts = self.devices.values().filter_map(|d| Some((&d.device, d.last_contact?)));
        self.shared.store.record_contacts(contacts)
    }

    /// What is known at this moment.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.is_news = false;
        self.sequence += 1;
        let running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Snapshot {
            sequence: self.sequence,
            at: self.clock.now(),
            source: self.source.clone(),
            accepted: self.accepted.as_ref().map(|loaded| Accepted {
                revision: loaded.revision.id.clone(),
                fleet: Arc::clone(&loaded.fleet),
                resolution: Arc::clone(&loaded.resolution),
                digest: loaded.digest.clone(),
            }),
            held: self.held.clone(),
            unsigned: self.unsigned.clone(),
            rollout: self.rollout.as_ref().map(Rollout::standing),
            pauses: self.orders.pauses.clone(),
            pins: self.orders.pins.clone(),
            left: self.behind.values().map(|a| (a.device.clone(), a.revision.clone())).collect(),
            returning: self.rollout.as_ref().map(Rollout::returning).unwrap_or_default(),
            watches: self.settings.watches(),
            stale_after: Some(stale_after(self.settings.resync.as_secs())),
            devices: Arc::clone(&self.devices),
            running,
            trouble: self.trouble.clone(),
            status: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    pub(super) fn note(
        &self,
        action: &str,
        revision: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        let entry = self.entry(None, action, Some(revision), reason);
        self.shared.store.append_history(&[entry])
    }

    pub(super) fn entry(
        &self,
        device: Option<&DeviceId>,
        action: &str,
        to: Option<&str>,
        reason: &str,
    ) -> HistoryEntry {
        HistoryEntry {
            at: self.clock.now(),
            who: self.shared.who.clone(),
            device: device.cloned(),
            from: None,
            to: to.map(str::to_owned),
            action: action.to_owned(),
            module: None,
            reason: reason.to_owned(),
            outcome: "done".to_owned(),
        }
    }
}
