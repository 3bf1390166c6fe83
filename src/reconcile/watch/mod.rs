//! `hoist watch`: the loop that keeps a fleet as its repository says.
//!
//! Enters: a repository's branch, a store, a [`Gate`] to the engines, [`Wish`]es. Leaves: devices that are as they
//! should be, and [`Snapshot`]s of how that goes. Level-triggered: whatever wakes the loop, it compares what git says with
//! what engines run, and a wake-up that was lost is made up for by the next. One thing happens at a time in
//! [`daemon`]; looks at the repository and at devices run beside the loop and come back as something that happened, so
//! that a device that hangs holds up nobody. Not here: HTTP, and what the command line means.

mod accepting;
mod broken;
mod brought;
mod clock;
mod consider;
mod daemon;
mod discover;
mod engines;
mod first;
mod job;
mod joins;
mod judge;
mod jump;
mod kept;
mod listen;
mod loaded;
mod looking;
mod names;
mod orders;
mod others;
mod phases;
mod reading;
mod remarks;
mod reports;
mod rollout;
mod schedule;
mod shape;
mod unchanged;

pub use clock::{Wall, machine_clock};
pub use judge::judge_revision;
pub use kept::kept_rollout;
pub use looking::give_up;
pub(super) use orders::{Against, PAUSED, pause_of};
pub use orders::{devices_in, elsewhere, paused_devices, pinned_elsewhere};

use super::gate::Gate;
use super::pace::PullsPer;
use super::snapshot::{Snapshot, Wish};
use super::tally::Tally;
use crate::language::Condition;
use crate::model::{DeviceId, Timestamp};
use crate::source::{Fetched, Remote, RemoteError};
use crate::store::{RunLock, Scope, Store, StoreError, fleet_key};
use broken::{Part, caught};
use consider::{Considered, Verdict, consider};
use daemon::{Daemon, Task};
use discover::{Found, discover};
use job::{Looked, Shared, look};
use loaded::Loaded;
use others::Others;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch as latest};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How the daemon works.
#[derive(Debug, Clone)]
pub struct WatchSettings {
    /// How often a repository that can't tell by itself is asked for new commits.
    pub poll: Duration,
    /// How often everything is looked at again, whatever was told.
    pub resync: Duration,
    /// Only devices that meet this condition.
    pub wanted: Option<Condition>,
    /// Only this device.
    pub only: Option<DeviceId>,
    /// Keys whose signatures are accepted; without it commits need none.
    pub signers: Option<PathBuf>,
    /// How long history is kept.
    pub history: Duration,
    /// How many devices are looked at or worked on at a time.
    pub side_by_side: usize,
    /// How many devices that share a tag's value may pull at a time.
    pub pulls_per: Option<PullsPer>,
    /// How long steps in flight may take when the daemon is asked to end.
    pub stop_limit: Duration,
    /// Who acts, for the history.
    pub who: String,
}

impl WatchSettings {
    /// The devices that are looked after.
    pub fn watches(&self) -> Scope {
        match (&self.only, &self.wanted) {
            (Some(device), _) => Scope::Device(device.clone()),
            (None, Some(condition)) => Scope::Where(condition.to_string()),
            (None, None) => Scope::All,
        }
    }
}

/// What the daemon works with.
pub struct WatchParts {
    /// Where commits come from.
    pub remote: Arc<Remote>,
    /// What it remembers.
    pub store: Arc<Store>,
    /// The right to change devices: no other run goes on beside.
    pub lock: RunLock,
    /// The way to the engines.
    pub gate: Gate,
    /// What it did, counted.
    pub tally: Arc<Tally>,
    /// What wakes it.
    pub wishes: mpsc::Receiver<Wish>,
    /// Where it says how things stand.
    pub snapshots: latest::Sender<Arc<Snapshot>>,
    /// Becomes true when it should end.
    pub stop: latest::Receiver<bool>,
    /// What the wall's clock says.
    pub wall: Wall,
}

/// Snapshots come no faster than this: whoever looks sees the newest.
const BETWEEN_SNAPSHOTS: Duration = Duration::from_millis(200);
/// Old history is dropped, and moments of last contact are written, this often.
const BETWEEN_CHORES: Duration = Duration::from_secs(60);
/// The wall's clock is compared with the other this often.
const BETWEEN_CLOCK_LOOKS: Duration = Duration::from_secs(5);

/// Something that ran beside the loop and has ended.
enum Done {
    Looked(Box<Looked>),
    Found(DeviceId, Found, Option<Arc<Loaded>>),
    Read(Others),
    Fetched(Result<Fetched, RemoteError>),
    Considered(Box<Considered>),
    Broke(Part),
}

/// What wakes the loop.
enum Happening {
    Stop,
    Wish(Wish),
    Told(DeviceId, listen::Told),
    Done(Result<Done, tokio::task::JoinError>),
    Time,
}

/// Keeps a fleet as its repository says, until it is asked to end.
///
/// # Errors
/// The store can't be read at the beginning, or was taken away later. Other troubles are said and waited out.
pub async fn watch(settings: WatchSettings, parts: WatchParts) -> Result<(), StoreError> {
    let WatchParts { remote, store, lock, gate, tally, wishes, snapshots, stop, wall } = parts;
    let shared = Arc::new(Shared {
        store,
        gate: gate.keep_engines(),
        who: settings.who.clone(),
        running: Mutex::new(BTreeMap::new()),
        tally,
    });
    let resync = settings.resync.as_secs().to_string();
    shared.store.set_fleet_state(fleet_key::RESYNC, Some(&resync))?;
    shared.store.set_watches(&settings.watches())?;
    let (tell, told) = mpsc::unbounded_channel();
    let mut daemon = Daemon::take_up(settings, shared, remote, tell, wall)?;
    daemon.go_on()?;
    let running = Loop {
        daemon,
        tasks: JoinSet::new(),
        looking: 0,
        considering: false,
        reading: false,
        fetching: false,
        fetched: None,
        wants_source: true,
        wants_judgement: false,
        next_poll: Instant::now(),
        next_chores: Instant::now(),
        next_snapshot: Instant::now(),
        wishes,
        told,
        snapshots,
        stop,
    };
    let end = running.run().await;
    drop(lock);
    end
}

struct Loop {
    daemon: Daemon,
    tasks: JoinSet<Done>,
    /// How many of the tasks are looks at devices.
    looking: usize,
    considering: bool,
    /// Whether revisions are read that devices are at besides the accepted one.
    reading: bool,
    fetching: bool,
    /// What came of a fetch and was not considered yet.
    fetched: Option<Result<Fetched, RemoteError>>,
    /// Whether the repository may have something new.
    wants_source: bool,
    /// Whether what is held may be let through now.
    wants_judgement: bool,
    next_poll: Instant,
    next_chores: Instant,
    next_snapshot: Instant,
    wishes: mpsc::Receiver<Wish>,
    told: mpsc::UnboundedReceiver<(DeviceId, listen::Told)>,
    snapshots: latest::Sender<Arc<Snapshot>>,
    stop: latest::Receiver<bool>,
}

impl Loop {
    async fn run(mut self) -> Result<(), StoreError> {
        // What was ordered while it began woke nobody, nor did what a daemon before it left undone.
        self.take_wish(&Wish::Orders);
        let mut end = Ok(());
        loop {
            self.begin_what_is_due();
            self.publish();
            let happening = self.next_happening().await;
            // What happened is told by the clock as it goes now: what was is moved along before.
            self.look_at_clocks();
            match happening {
                Happening::Stop => break,
                Happening::Wish(wish) => self.take_wish(&wish),
                Happening::Told(device, told) => self.daemon.take_told(&device, &told),
                Happening::Done(done) => self.take_done(done),
                Happening::Time => {}
            }
            // Whoever asks the store in its place would hear something else than what goes on here, and order nothing.
            end = self.daemon.shared.store.is_still_there();
            if end.is_err() {
                break;
            }
        }
        self.end().await;
        end
    }

    /// A tenth less, at most: daemons that began together don't ask together.
    fn pause_between_polls(&self) -> Duration {
        let poll = self.daemon.settings.poll;
        poll - poll / 10 * (self.daemon.clock.moment() % 97) as u32 / 97
    }

    async fn next_happening(&mut self) -> Happening {
        let wake = self.next_wake();
        tokio::select! {
            // A sender that is gone means the same: nobody could ask any more.
            _ = self.stop.wait_for(|stop| *stop) => Happening::Stop,
            Some(wish) = self.wishes.recv() => Happening::Wish(wish),
            Some((device, told)) = self.told.recv() => Happening::Told(device, told),
            Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => Happening::Done(done),
            () = tokio::time::sleep_until(wake) => Happening::Time,
        }
    }

    fn begin_what_is_due(&mut self) {
        if Instant::now() >= self.next_poll {
            self.wants_source = true;
            self.next_poll = Instant::now() + self.pause_between_polls();
        }
        self.with_store(Daemon::step_rollout);
        // A fetch may hang for minutes: orders and facts are considered beside it.
        if self.wants_source && !self.fetching {
            self.fetching = true;
            self.wants_source = false;
            let remote = Arc::clone(&self.daemon.remote);
            let fetch = async move { Done::Fetched(remote.fetch().await) };
            self.tasks.spawn(caught(Part::Fetching, fetch));
        }
        let is_due = self.fetched.is_some() || self.wants_judgement || self.daemon.has_settled();
        if is_due && !self.considering {
            self.considering = true;
            let fetched = self.fetched.take();
            let again = std::mem::take(&mut self.wants_judgement);
            let is_first = self.daemon.has_nothing();
            let input = self.daemon.considering(fetched, again);
            let (shared, settings) =
                (Arc::clone(&self.daemon.shared), self.daemon.settings.clone());
            let consider = async move {
                let input = if is_first {
                    first::with_what_runs(input, &shared, &settings).await
                } else {
                    input
                };
                Done::Considered(Box::new(consider(input).await))
            };
            self.tasks.spawn(caught(Part::Considering, consider));
        }
        if !self.reading
            && let Some(others) = self.daemon.take_others_to_read()
        {
            self.reading = true;
            self.tasks.spawn_blocking(move || Done::Read(others.read_or_say_why()));
        }
        let free = self.daemon.settings.side_by_side.saturating_sub(self.looking);
        for task in self.daemon.take_due(free) {
            self.looking += 1;
            let shared = Arc::clone(&self.daemon.shared);
            match task {
                Task::Look(job) => {
                    let span = tracing::info_span!("pass", revision = %job.loaded.revision.short);
                    let part = Part::Look(job.device.clone());
                    let look = look(shared, *job);
                    let look = caught(part, async move { Done::Looked(Box::new(look.await)) });
                    self.tasks.spawn(tracing::Instrument::instrument(look, span));
                }
                Task::Discover(device, loaded, finder) => {
                    let fleet = Arc::clone(&loaded.fleet);
                    let part = Part::Look(device.clone());
                    let find = async move {
                        let (device, found) = discover(shared, fleet, device).await;
                        let newest = match &found {
                            Found::Revisions(revisions, is_between) => {
                                let (revisions, is_between) = (revisions.clone(), *is_between);
                                let read = move || finder.newest_of(&revisions, is_between);
                                tokio::task::spawn_blocking(read).await.ok().flatten()
                            }
                            Found::Nothing | Found::NoAnswer(_) => None,
                        };
                        Done::Found(device, found, newest)
                    };
                    self.tasks.spawn(caught(part, find));
                }
            }
        }
    }

    fn take_wish(&mut self, wish: &Wish) {
        match wish {
            Wish::Fetch => self.wants_source = true,
            Wish::Poke(device) => self.daemon.poke(device),
            Wish::Orders => {
                self.wants_judgement = true;
                self.with_store(Daemon::read_orders);
            }
        }
    }

    fn take_done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done::Looked(looked)) => {
                self.looking = self.looking.saturating_sub(1);
                self.daemon.take_looked(*looked);
            }
            Ok(Done::Found(device, found, newest)) => {
                self.looking = self.looking.saturating_sub(1);
                self.with_store(|daemon| daemon.take_found(&device, found, newest));
            }
            Ok(Done::Read(others)) => {
                self.reading = false;
                self.daemon.take_others(others);
            }
            Ok(Done::Fetched(fetched)) => {
                self.fetching = false;
                self.fetched = Some(fetched);
            }
            Ok(Done::Considered(considered)) => {
                self.considering = false;
                let accepts = matches!(considered.verdict, Verdict::Accept { .. });
                self.with_store(|daemon| daemon.take_considered(*considered));
                // An approved revision went first; the head on top of it is next.
                self.wants_judgement |= accepts && self.daemon.is_on_the_way_to_the_head();
            }
            Ok(Done::Broke(Part::Look(device))) => {
                self.looking = self.looking.saturating_sub(1);
                self.with_store(|daemon| daemon.take_broken(&device));
            }
            Ok(Done::Broke(part)) => {
                tracing::error!(
                    "{part:?} broke down: {}; it is tried again at the next poll",
                    broken::FAULT
                );
                self.fetching &= part != Part::Fetching;
                self.considering &= part != Part::Considering;
            }
            Err(error) => tracing::error!(%error, "a task was lost"),
        }
    }

    fn look_at_clocks(&mut self) {
        if let Some(jump) = self.daemon.clock.take_jump() {
            self.with_store(|daemon| daemon.take_jump(jump));
        }
        if self.daemon.has_order_ended() {
            self.wants_judgement = true;
            self.with_store(Daemon::read_orders);
        }
        self.daemon.end_trouble();
        if Instant::now() >= self.next_chores {
            self.next_chores = Instant::now() + BETWEEN_CHORES;
            self.with_store(Daemon::do_chores);
        }
    }

    /// Runs something that needs the store; its trouble is said and waited out.
    fn with_store(&mut self, what: impl FnOnce(&mut Daemon) -> Result<(), StoreError>) {
        if let Err(error) = what(&mut self.daemon) {
            self.daemon.take_trouble(&error);
        }
    }

    fn publish(&mut self) {
        if self.daemon.is_news && Instant::now() >= self.next_snapshot {
            self.next_snapshot = Instant::now() + BETWEEN_SNAPSHOTS;
            let snapshot = self.daemon.snapshot();
            self.snapshots.send_replace(Arc::new(snapshot));
        }
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = self.next_poll.min(self.next_chores).min(now + BETWEEN_CLOCK_LOOKS);
        if self.looking < self.daemon.settings.side_by_side
            && let Some(due) = self.daemon.schedule.next()
        {
            wake = wake.min(self.daemon.clock.at(due));
        }
        if self.daemon.is_news {
            wake = wake.min(self.next_snapshot);
        }
        if let Some(step) = self.daemon.next_step() {
            wake = wake.min(self.daemon.clock.at(step));
        }
        if let Some(at) = self.daemon.next_by_wall() {
            wake = wake.min(now + until(self.daemon.clock.now(), at));
        }
        wake
    }

    /// Nothing new begins; what runs finishes its step, and takes back what it can't finish.
    async fn end(mut self) {
        self.daemon.call_off.now();
        self.wishes.close();
        let limit = self.daemon.settings.stop_limit;
        tracing::info!(devices = self.looking, "ending: steps in flight are finished");
        let finished = tokio::time::timeout(limit, async {
            while self.looking > 0
                && let Some(done) = self.tasks.join_next().await
            {
                self.take_done(done);
            }
        });
        if finished.await.is_err() {
            tracing::warn!(
                devices = self.looking,
                "steps were still in flight; the next start goes on from what is there"
            );
        }
        self.tasks.abort_all();
        self.with_store(|daemon| daemon.write_contacts());
        let snapshot = self.daemon.snapshot();
        self.snapshots.send_replace(Arc::new(snapshot));
    }
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    let seconds = at.seconds.saturating_sub(now.seconds);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) + Duration::from_millis(100)
}
