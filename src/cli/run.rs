//! What `plan` and `apply` share: the fleet at HEAD, the store, the way to the engines, the plan.

use super::Global;
use super::exit::Failure;
use super::opened::{self, Opened, check_tree, fleet_folder, narrowed, valid};
use super::pinned::{Pinned, all_but, pinned_fleets, together};
use super::revisions::{self, Lifted};
use crate::config::Config;
use crate::fleet::Fleet;
use crate::model::{DeviceId, FleetName, Timestamp};
use crate::plan::{DeviceMemory, Plan};
use crate::reconcile::{
    Consents, Gate, Renamed, Survey, SurveyInput, follow_names, give_up, held_facts, judge_plan,
    kept_rollout, live_facts, paused_devices, pinned_elsewhere, renamed, survey,
};
use crate::resolve::{check, resolve};
use crate::review::{GuardVerdict, fleet_digest};
use crate::source::Repository;
use crate::store::{HistoryEntry, RunLock, Store, StoreError, StoredDevices};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// Options of both.
#[derive(clap::Args)]
pub(super) struct RunArguments {
    /// Only this device; may be given several times
    #[arg(long = "device", value_name = "ID")]
    devices: Vec<String>,
    /// Only devices that meet this condition
    #[arg(long = "where", value_name = "CONDITION")]
    wanted: Option<String>,
    /// Take the working tree as it is, not HEAD
    #[arg(long, conflicts_with = "revision")]
    worktree: bool,
    /// Try at once what failed before and waits for its next try
    #[arg(long)]
    retry: bool,
    /// Inspect every container, not only what changed since the last run: settings that somebody else
    /// changed are seen
    #[arg(long)]
    resync: bool,
    /// Put the simulated engine behind every device: nothing real is reached
    #[arg(long)]
    pub(super) simulate: bool,
}

impl RunArguments {
    /// Whether that can be told to a daemon, which goes by its branch and does the rest by itself.
    pub(super) fn is_for_a_daemon(&self, take_over: bool) -> bool {
        let Self { devices, wanted, worktree, retry, resync, simulate: _ } = self;
        let is_order = !devices.is_empty() || wanted.is_some() || *retry || take_over;
        !worktree && !resync && is_order
    }

    /// What makes `hoist apply PLAN` look at the same files and engines again.
    pub(super) fn to_apply_a_plan(&self) -> String {
        let flags = [(self.worktree, " --worktree"), (self.simulate, " --simulate")];
        flags.iter().filter(|(is_given, _)| *is_given).map(|(_, flag)| *flag).collect()
    }

    /// Whether a device is named by its id.
    pub(super) fn names(&self, device: &DeviceId) -> bool {
        self.devices.iter().any(|named| named.as_str() == device.as_str())
    }

    /// The devices that are named or meet the condition; `None` for all.
    pub(super) fn narrowed(
        &self,
        fleet: &Fleet,
        stored: &StoredDevices,
    ) -> Result<Option<BTreeSet<DeviceId>>, Failure> {
        narrowed(&[fleet], &live_facts(stored), &self.devices, self.wanted.as_deref())
    }

    /// The whole fleet at HEAD, or as it lies.
    pub(super) fn whole(worktree: bool, simulate: bool) -> Self {
        Self { devices: Vec::new(), wanted: None, worktree, retry: false, resync: false, simulate }
    }
}

/// A fleet at one revision, its store, and the plan for its devices.
pub(super) struct Prepared {
    pub(super) fleet: Fleet,
    pub(super) store: Store,
    pub(super) stored: StoredDevices,
    /// Devices that the store knows by former ids.
    pub(super) renamed: Vec<Renamed>,
    /// Of the devices that are planned at its revision.
    pub(super) survey: Survey,
    /// Of those that are pinned to others, by revision.
    pub(super) pinned: Vec<(Pinned, Survey)>,
    pub(super) guards: Vec<GuardVerdict>,
    pub(super) now: Timestamp,
    /// Whether the revision is a commit, and not the working tree.
    pub(super) is_commit: bool,
    _lock: Option<RunLock>,
}

impl Prepared {
    /// The plan of all devices, also of those that are pinned to another revision.
    pub(super) fn plan(&self) -> Plan {
        together(&self.survey.plan, self.pinned.iter().map(|(_, survey)| survey))
    }

    /// Leaves of it what this plan has.
    pub(super) fn keep_only(&mut self, plan: &Plan) {
        self.survey.plan.narrowed = plan.narrowed;
        let pinned = self.pinned.iter_mut().map(|(_, survey)| survey);
        for survey in pinned.chain([&mut self.survey]) {
            survey.plan.devices.retain(|device, _| plan.devices.contains_key(device));
        }
    }
}

/// What a plan is made for.
#[derive(Clone, Default)]
pub(super) struct Intent {
    /// It is to be run: no other run on the same store goes on beside it.
    pub(super) runs: bool,
    /// Only these devices, whatever the arguments say.
    pub(super) only: Option<BTreeSet<DeviceId>>,
    /// Where foreign containers named as modules are taken over.
    pub(super) adopt: Adopt,
    /// Another control host's work is replaced, however often it undid this one's.
    pub(super) take_over: bool,
}

/// Where foreign containers are taken over.
#[derive(Clone, Default)]
pub(super) enum Adopt {
    /// Nowhere.
    #[default]
    Nowhere,
    /// On all devices that are looked at.
    Everywhere,
    /// On these.
    On(BTreeSet<DeviceId>),
}

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "the edge is where the clock is read")]
pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = since.map_or(0, |d| d.as_secs());
    Timestamp { seconds: i64::try_from(seconds).unwrap_or(i64::MAX) }
}

/// Runs something asynchronous to its end.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(future))
        .map_err(|error| Failure::new(format!("can't start the runtime: {error}")))
}

/// The store of a fleet: `--state`, else its place in the user's state folder. Simulated engines have a
/// store of their own: what is only played must never be taken for what real devices run.
pub(super) fn state_folder(
    global: &Global,
    fleet: &Fleet,
    simulate: bool,
) -> Result<PathBuf, Failure> {
    let folder = match &global.state {
        Some(folder) => folder.clone(),
        None => match former_folder(&fleet.name, &fleet.formerly)? {
            Some(former) => former,
            None => Store::default_folder(&fleet.name)?,
        },
    };
    Ok(if simulate { folder.join("simulated") } else { folder })
}

/// The folder of a fleet's store under a former name, where there is none under the present one yet.
fn former_folder(name: &FleetName, formerly: &[FleetName]) -> Result<Option<PathBuf>, Failure> {
    if Store::default_folder(name)?.exists() {
        return Ok(None);
    }
    for former in formerly {
        let folder = Store::default_folder(former)?;
        if folder.exists() {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

/// The store of a fleet, for a command that writes. One under the fleet's former name gets the new one.
pub(super) fn open_store(global: &Global, fleet: &Fleet, simulate: bool) -> Result<Store, Failure> {
    keep_folder(global, &fleet.name, &fleet.formerly)?;
    Ok(Store::open(&state_folder(global, fleet, simulate)?)?)
}

/// A store under the fleet's former name gets the new one, unless it is said where the store is.
pub(super) fn keep_folder(
    global: &Global,
    name: &FleetName,
    formerly: &[FleetName],
) -> Result<(), Failure> {
    if global.state.is_none()
        && let Some(former) = former_folder(name, formerly)?
    {
        let own = Store::default_folder(name)?;
        // Nobody may be at work in it.
        let lock = Store::open(&former)?.lock()?;
        std::fs::rename(&former, &own).map_err(|error| {
            Failure::new(format!("can't rename {} to {}: {error}", former.display(), own.display()))
        })?;
        drop(lock);
    }
    Ok(())
}

/// Takes the lock of the store, so that no other run goes on beside.
pub(super) fn lock(store: &Store) -> Result<RunLock, Failure> {
    let lock = store.lock().map_err(|error| {
        let is_locked = matches!(error, StoreError::Locked { .. });
        let failure = Failure::from(error);
        if !is_locked {
            return failure;
        }
        if store.has_daemon().unwrap_or(false) {
            return failure.help(
                "that is a daemon, which brings every commit of its branch to the devices by itself; `hoist apply` with \
                 --device, --where, --retry or --take-over tells it what to do at once",
            );
        }
        failure.help(
            "it works on these devices already: wait for its end, or stop it with SIGINT and try again; \
             --take-over is for the work of another control host, not for this lock",
        )
    })?;
    // A daemon says so itself afterwards; what one that is gone said is not true of who has its process id now.
    store.set_fleet_state(crate::store::fleet_key::DAEMON, None)?;
    Ok(lock)
}

/// What is recorded and what is remembered of devices.
pub(super) type KnownDevices = (StoredDevices, BTreeMap<DeviceId, DeviceMemory>);

/// What the store knows, by the ids that devices have now, and which have another than there.
pub(super) fn known_devices(
    fleet: &Fleet,
    store: &Store,
) -> Result<(KnownDevices, Vec<Renamed>), Failure> {
    let (mut stored, mut memories) = (store.load_devices()?, store.memories()?);
    // Without a daemon a run tries it again in its time.
    if store.has_daemon().unwrap_or(false)
        && let Some(rollout) = kept_rollout(store)?
    {
        for (device, memory) in &mut memories {
            give_up(&rollout, device, memory);
        }
    }
    let renamed = renamed(fleet, &stored);
    follow_names(&renamed, &mut stored, &mut memories);
    Ok(((stored, memories), renamed))
}

/// Keeps what is known of devices by the ids that they have now. Not before it is sure that something is done: a fleet that
/// nobody agreed to changes no names.
pub(super) fn keep_names(
    store: &Store,
    renamed: &[Renamed],
    who: &str,
    at: Timestamp,
) -> Result<(), Failure> {
    if renamed.is_empty() {
        return Ok(());
    }
    let ids: Vec<(DeviceId, DeviceId)> =
        renamed.iter().map(|r| (r.former.clone(), r.device.clone())).collect();
    let entry = |Renamed { former, device }: &Renamed| HistoryEntry {
        at,
        who: who.to_owned(),
        device: Some(device.clone()),
        from: None,
        to: None,
        action: "rename".to_owned(),
        module: None,
        reason: format!("it was {former}"),
        outcome: "done".to_owned(),
    };
    store.rename_devices(&ids, &renamed.iter().map(entry).collect::<Vec<_>>())?;
    Ok(())
}

/// The way to the engines that a command may go.
pub(super) fn open_gate(global: &Global, store: &Store, simulate: bool) -> Result<Gate, Failure> {
    let config = load_config(global)?;
    let simulated = simulate.then(|| store.folder().join("engines"));
    if let Some(folder) = &simulated {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::new(format!("can't make {}: {error}", folder.display())))?;
    }
    Ok(Gate::new(config, simulated, store.hash_key().0))
}

/// Who runs this, for the history.
pub(super) fn who() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let user = named("USER").or_else(|| named("LOGNAME")).or_else(owner_of_this_process);
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.trim())
}

/// Who that is where no variable says it, as in containers: the name of its user, or the number if it has none.
fn owner_of_this_process() -> Option<String> {
    let id = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(id.as_str())).then(|| name.to_owned())
    });
    Some(name.unwrap_or_else(|| format!("uid {id}")))
}

/// Opens everything, looks at the engines, and makes the plan.
pub(super) async fn prepare(
    global: &Global,
    arguments: &RunArguments,
    intent: &Intent,
) -> Result<Prepared, Failure> {
    let opened = open_revision(global, arguments)?;
    let store = match intent.runs {
        true => open_store(global, &opened.fleet, arguments.simulate)?,
        false => Store::open(&state_folder(global, &opened.fleet, arguments.simulate)?)?,
    };
    let gate = open_gate(global, &store, arguments.simulate)?;
    // Before anything is looked at: a plan made while another run works would be stale.
    let lock = intent.runs.then(|| lock(&store)).transpose()?;
    let now = now();
    let ((stored, mut memories), renamed) = known_devices(&opened.fleet, &store)?;
    if arguments.retry {
        memories.values_mut().for_each(DeviceMemory::end_pauses);
    }
    let facts = held_facts(&stored, now);
    let resolution = resolve(&opened.fleet, &facts);
    let only = match &intent.only {
        Some(saved) => Some(saved.clone()),
        None => arguments.narrowed(&opened.fleet, &stored)?,
    };
    let adopt = match &intent.adopt {
        Adopt::Nowhere => BTreeSet::new(),
        Adopt::Everywhere => opened.fleet.devices.keys().cloned().collect(),
        Adopt::On(devices) => devices.clone(),
    };
    let consents = Consents { adopt, take_over: intent.take_over };
    let mut paused = paused_devices(&store, &opened.fleet, &stored, now)?;
    let revision =
        opened.revision.as_ref().map_or(opened.name.as_str(), |r| r.id.as_str()).to_owned();
    let mut pins = pinned_elsewhere(&store, &revision, &opened.fleet, &stored, now)?;
    pins.retain(|device, _| {
        only.as_ref().is_none_or(|only| only.contains(device)) && !paused.contains_key(device)
    });
    let (elsewhere, left_alone) = pinned_fleets(global, &pins, &facts);
    pins.retain(|device, _| !left_alone.contains_key(device));
    paused.extend(left_alone);
    let here = all_but(&pins, only.as_ref(), &opened.fleet);
    let input = SurveyInput {
        fleet: &opened.fleet,
        resolution: &resolution,
        revision: &revision,
        digest: fleet_digest(&opened.fleet, &resolution),
        only: here.as_ref(),
        stored: &stored,
        memories: &memories,
        control: store.control(),
        gate: &gate,
        facts: &facts,
        resync: arguments.resync,
        recorded: None,
        paused: &paused,
        consents: &consents,
        now,
    };
    let mut made = survey(&input).await;
    made.plan.narrowed = only.is_some();
    let mut pinned = Vec::new();
    for of in elsewhere {
        let survey = of.survey(&input, &pins).await;
        pinned.push((of, survey));
    }
    let whole = together(&made.plan, pinned.iter().map(|(_, survey)| survey));
    let guards = guards(global, &opened, &store, &whole)?;
    let is_commit = opened.revision.is_some();
    Ok(Prepared {
        fleet: opened.fleet,
        store,
        stored,
        renamed,
        survey: made,
        pinned,
        guards,
        now,
        is_commit,
        _lock: lock,
    })
}

pub(super) fn open_revision(global: &Global, arguments: &RunArguments) -> Result<Opened, Failure> {
    if arguments.worktree {
        return opened::open(global, None);
    }
    let folder = fleet_folder(global)?;
    if global.revision.is_none() {
        let repository = Repository::open(&folder).map_err(|error| {
            Failure::from(error)
                .help("plan and apply take commits; --worktree takes the files as they lie")
        })?;
        if !repository.is_bare() {
            let state = repository.is_clean()?;
            if !state.is_clean() {
                let more = if state.more > 0 {
                    format!(" and {} more", state.more)
                } else {
                    String::new()
                };
                return Err(Failure::new(format!(
                    "the fleet folder differs from HEAD: {}{more}",
                    state.changed.join(", ")
                ))
                .help("commit first, or take the files as they lie with --worktree"));
            }
        }
    }
    let spec = global.revision.as_deref().unwrap_or("HEAD");
    let (checked, name, revision) = check_tree(&folder, Some(spec))?;
    valid(global, checked, name, revision)
}

pub(super) fn load_config(global: &Global) -> Result<Config, Failure> {
    use crate::config::ConfigError;
    Config::load(global.config.as_deref()).map_err(|error| match &error {
        ConfigError::Wrong { problems, .. } => {
            super::output::say_diagnostics(global, problems);
            Failure::new(error.to_string())
        }
        ConfigError::Unreadable { .. } => Failure::new(super::exit::with_cause(&error)),
    })
}

/// Key of the accepted revision in the store.
pub(super) const ACCEPTED: &str = "accepted-revision";

/// Key of what was applied last to all devices: a commit, or the working tree.
pub(super) const APPLIED: &str = "applied-revision";

/// The guards of the accepted and of the new revision over the plan; commits between them may lift them.
fn guards(
    global: &Global,
    opened: &Opened,
    store: &Store,
    plan: &Plan,
) -> Result<Vec<GuardVerdict>, Failure> {
    let mut guards = vec![opened.fleet.guards.clone()];
    let mut lifted = Lifted::default();
    if let Ok(repository) = Repository::open(&fleet_folder(global)?)
        && let Ok(head) = match &opened.revision {
            Some(revision) => Ok(revision.clone()),
            None => repository.resolve("HEAD"),
        }
    {
        // A revision that git has dropped can't be asked; the new one's guards then count alone, and of
        // consent only what the newest commit says.
        let accepted = store.fleet_state(ACCEPTED)?.and_then(|id| repository.resolve(&id).ok());
        if let Some(accepted) = &accepted
            && let Some((fleet, _)) = check(&repository.read(accepted)?).fleet
        {
            guards.push(fleet.guards);
        }
        let since = accepted.or_else(|| repository.resolve(&format!("{}^", head.id)).ok());
        lifted = revisions::lifted(&repository, since.as_ref(), &head)?;
    }
    let guards: Vec<_> = guards.iter().collect();
    let devices = opened.fleet.devices.len();
    let verdicts = judge_plan(plan, &guards, devices, &lifted.allowances);
    if lifted.history_is_cut && verdicts.iter().any(|guard| guard.exceeded) {
        revisions::say_history_is_cut();
    }
    Ok(verdicts)
}

/// The guards that ask for consent, as lines.
pub(super) fn tripped(guards: &[GuardVerdict]) -> Vec<String> {
    let lines = guards.iter().filter(|guard| guard.exceeded).map(|guard| {
        let plain = guard.name.strip_prefix("max-").unwrap_or(guard.name);
        format!(
            "{}; a commit with the trailer `Hoist-Allow: {plain}={}` lets it through",
            guard.words(),
            guard.actual
        )
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_users_also_where_no_variable_says_so() {
        let said = std::process::Command::new("id").arg("-un").output().expect("id");
        let name = String::from_utf8(said.stdout).expect("a name");
        assert_eq!(owner_of_this_process().as_deref(), Some(name.trim()));
    }
}
