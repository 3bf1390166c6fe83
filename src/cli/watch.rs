//! `hoist watch`: the daemon on the control host.

use super::Global;
use super::exit::{Exit, Failure};
use super::opened::condition;
use super::output::say;
use super::run::{keep_folder, load_config, lock, who};
use super::scope::at_least_a_second;
use super::signed::{look_at_what_counts, signers};
use crate::config::{Config, WatchDefaults, read_secret};
use crate::fleet::fleet_names;
use crate::language::Condition;
use crate::model::{DeviceId, Duration, EngineAddress, FleetName};
use crate::notices;
use crate::reconcile::{
    Gate, PullsPer, Snapshot, Tally, WatchParts, WatchSettings, Wish, machine_clock, watch,
};
use crate::resolve::check;
use crate::serve::{IdentityFiles, ServeError, ServeOptions, Serving, listen};
use crate::source::{
    Remote, Repository, Revision, Telling, find_fleet_folder, is_address, tell_of_file,
    tell_of_refs, without_credentials,
};
use crate::store::{Store, WAKE_FILE, fleet_key};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch as latest};

/// Keep a fleet as its repository says, until it is stopped
///
/// Every commit on the branch goes out, drift is repaired, devices that were away catch up. A revision that is invalid
/// or exceeds a guard is held, and what counted before stays. SIGTERM and Ctrl-C let engines finish the steps that
/// they have begun, wait for no probation, and take back replacements in the middle of one.
///
/// Most options may also stand in `[watch]` of hoist.toml, under the same name, or in a variable: HOIST_POLL for --poll.
/// What is typed counts most, then variables.
#[derive(Clone, clap::Args)]
pub(super) struct Arguments {
    /// The fleet repository: a path, or an address that git can fetch from [default: that of the fleet here]
    #[arg(value_name = "REPO", conflicts_with = "folder")]
    repository: Option<String>,
    /// The branch [default: main]
    #[arg(long, env = "HOIST_BRANCH", hide_env = true)]
    branch: Option<String>,
    /// Where the fleet is in the repository, if not at its top
    #[arg(long = "fleet-folder", value_name = "PATH", env = "HOIST_FLEET_FOLDER", hide_env = true)]
    below: Option<String>,
    /// Only devices that meet this condition: a fleet can have several control hosts
    #[arg(long = "where", value_name = "CONDITION", conflicts_with = "only")]
    wanted: Option<String>,
    /// Only this device, which is the machine that this runs on: it needs nothing but the way to the repository
    #[arg(long, value_name = "DEVICE")]
    only: Option<String>,
    /// With --only: the engine here
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "only",
        default_value = "unix:///var/run/docker.sock"
    )]
    engine: String,
    /// How often a remote repository is asked for new commits [default: 30s]
    #[arg(long, value_parser = at_least_a_second, env = "HOIST_POLL", hide_env = true)]
    poll: Option<Duration>,
    /// How often everything on devices is looked at, whatever engines tell [default: 5m]
    #[arg(long, value_parser = at_least_a_second, env = "HOIST_RESYNC", hide_env = true)]
    resync: Option<Duration>,
    /// Hold commits that bear no signature of a key in this file, as ssh's allowed signers
    #[arg(long, value_name = "ALLOWED_SIGNERS", env = "HOIST_REQUIRE_SIGNED", hide_env = true)]
    require_signed: Option<PathBuf>,
    /// How long history is kept [default: 90d]
    #[arg(long, value_parser = Duration::parse, env = "HOIST_HISTORY", hide_env = true)]
    history: Option<Duration>,
    /// So many devices are looked at or worked on at a time [default: 64]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..),
        env = "HOIST_AT_ONCE",
        hide_env = true
    )]
    at_once: Option<u16>,
    /// So many devices that share the value of a tag may pull at a time: 'tags.location.building=1'
    #[arg(
        long,
        value_name = "TAG=N",
        value_parser = PullsPer::parse,
        env = "HOIST_PULLS_PER",
        hide_env = true
    )]
    pulls_per: Option<PullsPer>,
    /// How long steps in flight may take when it is stopped [default: 60s]
    #[arg(long, value_parser = Duration::parse, env = "HOIST_STOP_LIMIT", hide_env = true)]
    stop_limit: Option<Duration>,
    #[command(flatten)]
    http: HttpArguments,
    /// Put the simulated engine behind every device: nothing real is reached
    #[arg(long)]
    simulate: bool,
}

/// How the page and the API are served.
#[derive(Clone, clap::Args)]
struct HttpArguments {
    /// Where the page and the API are; `off` for nowhere [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDRESS", env = "HOIST_LISTEN", hide_env = true)]
    listen: Option<String>,
    /// The token that is asked for, in a file; needed where others than this machine can reach it
    #[arg(long, value_name = "FILE", env = "HOIST_TOKEN_FILE", hide_env = true)]
    token_file: Option<PathBuf>,
    /// Webhooks are taken at this address, and nowhere else
    #[arg(long, value_name = "ADDRESS", env = "HOIST_HOOKS_LISTEN", hide_env = true)]
    hooks_listen: Option<SocketAddr>,
    /// Our certificate, PEM, with those between it and its authority; read again when it is renewed
    #[arg(long, value_name = "FILE", env = "HOIST_TLS_CERT", hide_env = true)]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", env = "HOIST_TLS_KEY", hide_env = true)]
    tls_key: Option<PathBuf>,
    /// A proxy in front of it does TLS
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true,
        env = "HOIST_BEHIND_TLS_PROXY",
        hide_env = true
    )]
    behind_tls_proxy: Option<bool>,
    /// A name by which it may be called, besides its address; may be given several times
    #[arg(
        long = "allow-host",
        value_name = "NAME",
        value_delimiter = ',',
        env = "HOIST_ALLOW_HOST",
        hide_env = true
    )]
    hosts: Vec<String>,
    /// The secret of git hosters' webhooks to /hooks/git, in a file
    #[arg(long, value_name = "FILE", env = "HOIST_HOOK_SECRET_FILE", hide_env = true)]
    hook_secret_file: Option<PathBuf>,
    /// A metric for each device, too
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true,
        env = "HOIST_DEVICE_METRICS",
        hide_env = true
    )]
    device_metrics: Option<bool>,
}

impl Arguments {
    /// What was neither typed nor in a variable is as hoist.toml says.
    fn or(&self, defaults: WatchDefaults) -> Result<Self, Failure> {
        let typed = self.clone();
        let pulls_per = defaults.pulls_per.as_deref().map(PullsPer::parse).transpose();
        let hooks_listen = defaults.hooks_listen.as_deref().map(str::parse).transpose();
        let hooks_listen = hooks_listen.map_err(|_| {
            Failure::new("hoist.toml: [watch] hooks-listen: write an address and a port")
        })?;
        let pulls_per = pulls_per
            .map_err(|words| Failure::new(format!("hoist.toml: [watch] pulls-per: {words}")))?;
        Ok(Self {
            branch: typed.branch.or(defaults.branch),
            below: typed.below.or(defaults.fleet_folder),
            poll: typed.poll.or(defaults.poll),
            resync: typed.resync.or(defaults.resync),
            require_signed: typed.require_signed.or(defaults.require_signed),
            history: typed.history.or(defaults.history),
            at_once: typed.at_once.or(defaults.at_once),
            pulls_per: typed.pulls_per.or(pulls_per),
            stop_limit: typed.stop_limit.or(defaults.stop_limit),
            http: HttpArguments {
                listen: typed.http.listen.or(defaults.listen),
                token_file: typed.http.token_file.or(defaults.token_file),
                hooks_listen: typed.http.hooks_listen.or(hooks_listen),
                tls_cert: typed.http.tls_cert.or(defaults.tls_cert),
                tls_key: typed.http.tls_key.or(defaults.tls_key),
                behind_tls_proxy: typed.http.behind_tls_proxy.or(defaults.behind_tls_proxy),
                hosts: match typed.http.hosts {
                    hosts if hosts.is_empty() => defaults.allow_host.unwrap_or_default(),
                    hosts => hosts,
                },
                hook_secret_file: typed.http.hook_secret_file.or(defaults.hook_secret_file),
                device_metrics: typed.http.device_metrics.or(defaults.device_metrics),
            },
            ..typed
        })
    }

    fn branch(&self) -> &str {
        self.branch.as_deref().unwrap_or("main")
    }
}

impl HttpArguments {
    fn options(&self) -> Result<Option<ServeOptions>, Failure> {
        let listen = self.listen.as_deref().unwrap_or("127.0.0.1:7400");
        if listen == "off" {
            // Webhooks that nobody takes would be missed without a word.
            return match self.hooks_listen {
                Some(_) => Err(Failure::new(
                    "--hooks-listen takes webhooks beside the page, and --listen is `off`",
                )
                .help(
                    "--listen 127.0.0.1:0 serves the page on this machine alone, at any free port",
                )),
                None => Ok(None),
            };
        }
        let listen = listen.parse().map_err(|_| {
            Failure::new(format!(
                "--listen {listen}: write an address and a port, such as 127.0.0.1:7400, or `off`"
            ))
        })?;
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(Failure::new("--tls-cert and --tls-key go together"));
        }
        if self.hooks_listen.is_some() && self.hook_secret_file.is_none() {
            return Err(Failure::new("--hooks-listen needs --hook-secret-file: hooks are signed"));
        }
        let options = ServeOptions {
            token: secret_in("--token-file", self.token_file.as_deref())?,
            hooks_listen: self.hooks_listen,
            tls: self
                .tls_cert
                .clone()
                .zip(self.tls_key.clone())
                .map(|(cert, key)| IdentityFiles { cert, key }),
            behind_tls_proxy: self.behind_tls_proxy.unwrap_or_default(),
            hosts: self.hosts.clone(),
            hook_secret: secret_in("--hook-secret-file", self.hook_secret_file.as_deref())?,
            device_metrics: self.device_metrics.unwrap_or_default(),
            ..ServeOptions::on(listen)
        };
        options.check().map_err(|error| Failure::new(error.to_string()))?;
        Ok(Some(options))
    }
}

/// What the file of an option holds; a file that holds nothing is a mistake, not the absence of a secret.
fn secret_in(option: &str, path: Option<&Path>) -> Result<Option<String>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let failed = |words: String| Failure::new(format!("{option} {}: {words}", path.display()));
    let text = read_secret(path).map_err(|error| failed(error.to_string()))?;
    match text.trim() {
        "" => Err(failed("the file is empty".to_owned())),
        secret => Ok(Some(secret.to_owned())),
    }
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut config = load_config(global)?;
    let mut arguments = arguments.or(std::mem::take(&mut config.watch))?;
    arguments.require_signed = arguments.require_signed.as_deref().map(signers).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("can't start the runtime: {error}")))?;
    runtime.block_on(daemon(global, &arguments, config))
}

async fn daemon(global: &Global, arguments: &Arguments, config: Config) -> Result<Exit, Failure> {
    let wanted = arguments.wanted.as_deref().map(condition).transpose()?;
    let http = arguments.http.options()?;
    let remote = Arc::new(open_remote(global, arguments)?);
    let (name, formerly) = fleet_name(&remote).await?;
    keep_folder(global, &name, &formerly)?;
    let store = Arc::new(open_store(global, &name, arguments.simulate)?);
    let lock = lock(&store)?;
    let repository = remote.folder().canonicalize().unwrap_or_else(|_| remote.folder().to_owned());
    store.set_fleet_state(fleet_key::DAEMON, Some(&std::process::id().to_string()))?;
    store.set_fleet_state(fleet_key::NAME, Some(name.as_str()))?;
    store.set_fleet_state(fleet_key::REPOSITORY, Some(&repository.display().to_string()))?;
    let webhooks = config.webhooks.clone();
    let gate = gate(config, arguments, &store)?;
    let tally = Arc::new(Tally::default());
    let (wish, wishes) = mpsc::channel(64);
    let (snapshots, seen) = latest::channel(Arc::new(Snapshot::default()));
    let (stop, stopped) = latest::channel(false);
    let _telling = tell(&remote, &store, &wish);
    if let Some(options) = http {
        let has_tls = options.tls.is_some();
        let serving = Serving {
            options,
            snapshots: seen.clone(),
            wishes: wish.clone(),
            store: Arc::clone(&store),
            repository: remote.folder().to_owned(),
            tally: Arc::clone(&tally),
            who: format!("page, {}", who()),
        };
        let listening = listen(serving).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let failure = Failure::new(format!("{error}: {}", cause.unwrap_or_default()));
            match error {
                ServeError::Address(..) => failure.help("--listen names another address, or `off`"),
                ServeError::Identity(_) => failure,
            }
        })?;
        let scheme = if has_tls { "https" } else { "http" };
        say(&format!("the page is at {scheme}://{}", listening.address));
        if let Some(address) = listening.hooks_address {
            say(&format!("webhooks are taken at {scheme}://{address}/hooks/git"));
        }
        tokio::spawn(listening.serve());
    }
    for webhook in webhooks.into_values() {
        tokio::spawn(notices::tell(webhook, Arc::clone(&store), seen.clone(), arguments.simulate));
    }
    stop_on_signals(stop)?;
    tell_systemd_of_the_first(seen);
    look_at_what_counts(&remote, &store, arguments.require_signed.as_deref()).await?;
    say(&format!("{name}: watching {} of {}", remote.branch(), remote.shown()));
    let wall = machine_clock();
    let parts =
        WatchParts { remote, store, lock, gate, tally, wishes, snapshots, stop: stopped, wall };
    watch(settings(arguments, wanted)?, parts).await?;
    drop(wish);
    Ok(Exit::Done)
}

fn settings(arguments: &Arguments, wanted: Option<Condition>) -> Result<WatchSettings, Failure> {
    let or = |duration: Option<Duration>, seconds| duration.unwrap_or(Duration::seconds(seconds));
    Ok(WatchSettings {
        poll: or(arguments.poll, 30).to_std(),
        resync: or(arguments.resync, 300).to_std(),
        wanted,
        only: arguments.only.as_deref().map(device_id).transpose()?,
        signers: arguments.require_signed.clone(),
        history: or(arguments.history, 90 * 86_400).to_std(),
        side_by_side: arguments.at_once.unwrap_or(64).into(),
        pulls_per: arguments.pulls_per.clone(),
        stop_limit: or(arguments.stop_limit, 60).to_std(),
        who: format!("watch, {}", who()),
    })
}

fn device_id(text: &str) -> Result<DeviceId, Failure> {
    DeviceId::parse(text).map_err(|error| Failure::new(error.to_string()))
}

/// What is read: a repository here, or a mirror in the state folder of one elsewhere.
fn open_remote(global: &Global, arguments: &Arguments) -> Result<Remote, Failure> {
    let branch = arguments.branch();
    let below = arguments.below.as_deref().unwrap_or_default();
    let here = || global.folder.clone().unwrap_or_else(|| PathBuf::from("."));
    let repository = match &arguments.repository {
        Some(address) if is_address(address) => address,
        path => {
            let path = path.as_ref().map_or_else(here, PathBuf::from).join(below);
            if !path.exists() {
                return Err(Failure::new(format!("there is no folder {}", path.display()))
                    .help("a repository elsewhere is named as git does: https://…, ssh://…, user@host:path"));
            }
            Repository::open(&path)?;
            // A folder below the fleet's means the fleet, as everywhere.
            let path = find_fleet_folder(&path).unwrap_or(path);
            return Ok(Remote::here(&path, branch));
        }
    };
    let mirror = match &global.state {
        Some(state) => state.join("repository.git"),
        None => {
            let shown = without_credentials(repository);
            // Two daemons on two branches fetch into two mirrors.
            let texts = [shown.as_str(), branch];
            let key = crate::model::Hash::of_texts("hoist mirror", texts).to_string();
            let digits = key.rsplit(':').next().unwrap_or_default();
            Store::default_parent()?.join(".mirrors").join(format!("{}.git", &digits[..16]))
        }
    };
    Ok(Remote::there(repository, branch, &mirror, below))
}

/// The fleet's name, which decides where its store is, and its former ones: of what was fetched before, so that a repository that does not
/// answer holds up nobody, else of the newest commit.
async fn fleet_name(remote: &Remote) -> Result<(FleetName, Vec<FleetName>), Failure> {
    let name_at = |revision: &Revision| {
        let tree = Repository::open(remote.folder()).ok()?.read(revision).ok()?;
        fleet_names(&tree)
    };
    if let Some(name) = remote.newest_here().as_ref().and_then(name_at) {
        return Ok(name);
    }
    if !remote.is_here() {
        say(&format!("fetching {} of {}", remote.branch(), remote.shown()));
    }
    let head = remote.fetch().await.map_err(|error| Failure::new(error.to_string()))?.head;
    if let Some(name) = name_at(&head) {
        return Ok(name);
    }
    let found = check(&Repository::open(remote.folder())?.read(&head)?);
    let first = found.diagnostics.iter().next().map(|d| d.message.clone());
    let because = first.map_or(String::new(), |words| format!(": {words}"));
    let (shown, short) = (remote.shown(), &head.short);
    Err(Failure::new(format!("{shown} at {short} has no fleet.toml with a name{because}"))
        .help("--fleet-folder says where in the repository the fleet is, --branch on which branch"))
}

fn open_store(global: &Global, name: &FleetName, simulate: bool) -> Result<Store, Failure> {
    let folder = match &global.state {
        Some(folder) => folder.clone(),
        None => Store::default_folder(name)?,
    };
    Ok(Store::open(&if simulate { folder.join("simulated") } else { folder })?)
}

fn gate(config: Config, arguments: &Arguments, store: &Store) -> Result<Gate, Failure> {
    let simulated = arguments.simulate.then(|| store.folder().join("engines"));
    if let Some(folder) = &simulated {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::new(format!("can't make {}: {error}", folder.display())))?;
    }
    let gate = Gate::new(config, simulated, store.hash_key().0);
    let Some(only) = &arguments.only else { return Ok(gate) };
    let address = EngineAddress::parse(&arguments.engine)
        .map_err(|error| Failure::new(format!("--engine: {error}")))?;
    if !address.is_local() {
        return Err(Failure::new(format!("--engine {address}: with --only the engine is here")));
    }
    Ok(gate.with_local(device_id(only)?, address))
}

/// What tells the daemon that something happened. Where the system can't, it finds out by asking.
fn tell(remote: &Remote, store: &Store, wish: &mpsc::Sender<Wish>) -> Vec<Telling> {
    let mut telling = Vec::new();
    let send = |what: Wish| {
        let wish = wish.clone();
        // A queue that is full has the same wish in it.
        move || {
            let _ = wish.try_send(what.clone());
        }
    };
    let refs = remote.is_here().then(|| tell_of_refs(remote.folder(), send(Wish::Fetch)));
    let orders = tell_of_file(store.folder(), WAKE_FILE, send(Wish::Orders));
    for one in refs.into_iter().chain([orders]) {
        match one {
            Ok(one) => telling.push(one),
            Err(error) => say(&format!("note: {error}; it is looked at now and then instead")),
        }
    }
    telling
}

/// The first SIGTERM, SIGINT or SIGHUP ends the daemon in order, the second at once.
fn stop_on_signals(stop: latest::Sender<bool>) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::new(format!("can't listen to signals: {error}")))
    };
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            if last {
                say("left at once; the next start goes on from what is there");
                std::process::exit(Exit::Failed.code().into());
            }
            say("ending: what runs is finished, nothing new begins; once more to leave at once");
            let _ = stop.send(true);
        }
    });
    Ok(())
}

/// With `Type=notify` systemd waits until the daemon has looked at the repository once.
fn tell_systemd_of_the_first(mut seen: latest::Receiver<Arc<Snapshot>>) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    tokio::spawn(async move {
        let is_up = |snapshot: &Arc<Snapshot>| {
            snapshot.accepted.is_some()
                || snapshot.held.is_some()
                || snapshot.source.trouble.is_some()
        };
        if seen.wait_for(is_up).await.is_ok()
            && let Ok(from) = std::os::unix::net::UnixDatagram::unbound()
        {
            let _ = from.send_to(b"READY=1", socket);
        }
    });
}
