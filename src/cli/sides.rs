//! The two sides of `hoist diff`: which files, at which revisions, with which facts.

use super::Global;
use super::exit::Failure;
use super::opened::{self, Opened, fleet_folder, valid};
use super::revisions::{BothFiles, Lifted, SideFiles, lifted, read_both, read_head};
use super::run::{ACCEPTED, now, state_folder};
use crate::fleet::{FileTree, Fleet, decode_manifest};
use crate::model::{DeviceId, Facts, Manifest};
use crate::reconcile::held_facts;
use crate::resolve::{CheckCache, Checked, check, check_after, resolve};
use crate::review::{FleetState, Side, decode_state};
use crate::serve::{AskError, Server, ask_state};
use crate::source::Repository;
use crate::store::Store;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where facts come from.
#[derive(clap::Args)]
pub(super) struct FactsArguments {
    /// What devices report: a saved answer of the control host's /api/v1/state
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// The same, asked of the control host itself: https://HOST
    #[arg(long, value_name = "URL", conflicts_with = "facts")]
    server: Option<String>,
    /// With --server: the file with its token
    #[arg(long, value_name = "FILE", env = "HOIST_TOKEN_FILE", hide_env = true)]
    token_file: Option<PathBuf>,
    /// Fail where a condition reads a reported property that is not known
    #[arg(long)]
    pub(super) require_facts: bool,
}

impl FactsArguments {
    /// The saved state, if one is named.
    pub(super) fn state(&self, fleets: &[&Fleet]) -> Result<Option<FleetState>, Failure> {
        let Some((shown, text)) = self.read()? else { return Ok(None) };
        let state = decode_state(&text).map_err(|error| {
            Failure::new(format!("{shown}: {error}"))
                .help("it is the answer of /api/v1/state; docs/json.md describes it")
        })?;
        let is_named =
            |fleet: &&Fleet| fleet.name == state.fleet || fleet.formerly.contains(&state.fleet);
        if !fleets.iter().any(is_named) {
            let name = &fleets[0].name;
            return Err(Failure::new(format!(
                "{shown} is of fleet `{}`, not `{name}`",
                state.fleet
            )));
        }
        Ok(Some(state))
    }

    /// A saved state and what it is called.
    fn read(&self) -> Result<Option<(String, String)>, Failure> {
        match (&self.facts, &self.server) {
            (Some(path), _) => {
                let text = read_text(path)?;
                Ok(Some((path.display().to_string(), text)))
            }
            (None, Some(server)) => Ok(Some((server.clone(), self.ask(server)?))),
            (None, None) => Ok(None),
        }
    }

    /// What a control host answers.
    fn ask(&self, server: &str) -> Result<String, Failure> {
        let failed = |error: AskError| {
            let failure = Failure::new(format!("--server {server}: {error}"));
            match error {
                AskError::NeedsToken { .. } => {
                    failure.help("--token-file names the file with the token")
                }
                _ => failure,
            }
        };
        let address = Server::parse(server).map_err(failed)?;
        let token = self.token_file.as_deref().map(read_text).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("can't start the runtime: {error}")))?;
        let token = token.as_deref().map(str::trim);
        runtime.block_on(ask_state(&address, token)).map_err(failed)
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("can't read {}: {error}", path.display())))
}

/// Both sides, read and valid, and what goes with them.
pub(super) struct Sides {
    /// `None` compares with nothing.
    pub(super) base: Option<Opened>,
    pub(super) head: Opened,
    /// What devices have, where that is the base.
    in_force: Option<BTreeMap<DeviceId, Manifest>>,
    /// What the base is called where it is no revision.
    base_name: String,
    pub(super) facts: Facts,
    /// What commits between allow.
    pub(super) lifted: Lifted,
    /// What they were made of. Nobody reads it: it ends where they end, since to take it apart takes time.
    _made_of: (Vec<FileTree>, CheckCache),
}

impl Sides {
    pub(super) fn base(&self) -> Side<'_> {
        let fleet = self.base.as_ref().map(|base| (&base.fleet, &base.resolution));
        let warnings = self.base.as_ref().map(|base| base.warnings.as_slice()).unwrap_or_default();
        Side {
            in_force: self.in_force.as_ref(),
            ..Side::of_files(&self.base_name, fleet, &self.facts, warnings)
        }
    }

    pub(super) fn head(&self) -> Side<'_> {
        let Opened { fleet, resolution, name, revision, warnings, remembered: _ } = &self.head;
        Side {
            revision: revision.as_ref().map(|revision| revision.id.as_str()),
            ..Side::of_files(name, Some((fleet, resolution)), &self.facts, warnings)
        }
    }

    /// The fleets, the head's first.
    pub(super) fn fleets(&self) -> Vec<&Fleet> {
        let base = self.base.as_ref().map(|base| &base.fleet);
        std::iter::once(&self.head.fleet).chain(base).collect()
    }
}

/// BASE where it means what devices have now.
const IN_FORCE: &str = "in-force";

/// Reads both sides. `base` and `head` are what was typed.
pub(super) fn read_sides(
    global: &Global,
    base: Option<&str>,
    head: Option<&str>,
    facts: &FactsArguments,
) -> Result<Sides, Failure> {
    let folder = fleet_folder(global)?;
    let in_force_until = match (base, head) {
        (Some(IN_FORCE), head) => Some(head),
        (Some(range), None) => range.strip_prefix(IN_FORCE).and_then(|rest| {
            let head = rest.strip_prefix("..")?.trim_start_matches('.');
            Some(Some(head).filter(|head| !head.is_empty()))
        }),
        _ => None,
    };
    if let Some(head) = in_force_until {
        return in_force_sides(global, &folder, head, facts);
    }
    if head == Some(IN_FORCE) || base.is_some_and(|range| range.ends_with("..in-force")) {
        return Err(Failure::new("`in-force` is only a base: `hoist diff in-force HEAD`"));
    }
    let mut cache = CheckCache::default();
    let both = cache.decode_while(|seen| read_both(&folder, base, head, seen));
    let BothFiles { base, head, lifted } = both?;
    let mut trees = Vec::new();
    let mut open = |(tree, name, revision): SideFiles| {
        let checked = check_after(&tree, &mut cache);
        trees.push(tree);
        valid(global, checked, name, revision)
    };
    let head = open(head)?;
    let base = base.map(open).transpose()?;
    let base_name = base.as_ref().map_or("nothing", |base| &base.name).to_owned();
    let mut sides = Sides {
        base,
        head,
        in_force: None,
        base_name,
        facts: Facts::none(),
        lifted,
        _made_of: (trees, cache),
    };
    if let Some(state) = facts.state(&sides.fleets())? {
        sides.facts = state.facts();
        for opened in std::iter::once(&mut sides.head).chain(&mut sides.base) {
            opened.see(&sides.facts);
        }
    }
    Ok(sides)
}

/// What is known of devices: what they have, what they report, and what was applied last to all of them.
struct Known {
    in_force: BTreeMap<DeviceId, Manifest>,
    facts: Facts,
    accepted: Option<String>,
}

impl Known {
    fn of_state(state: &FleetState) -> Self {
        let (in_force, facts) = (state.in_force(), state.facts());
        Self { in_force, facts, accepted: state.revision.clone() }
    }

    fn of_store(global: &Global, fleet: &Fleet) -> Result<Self, Failure> {
        let folder = state_folder(global, fleet, false)?;
        let store = Store::open_to_read(&folder)?.ok_or_else(|| {
            let words =
                format!("nothing was ever applied: there is no store in {}", folder.display());
            Failure::new(words)
                .help("--state names another one, --facts a saved answer of the control host")
        })?;
        let stored = store.load_devices()?;
        let mut in_force = BTreeMap::new();
        for (id, device) in &stored {
            let Some(recorded) = &device.in_force else { continue };
            let manifest = decode_manifest(id, &recorded.manifest).map_err(|problems| {
                let first = problems.iter().next().map(|d| d.message.clone()).unwrap_or_default();
                Failure::new(format!("the manifest in force on {id} can't be read: {first}"))
            })?;
            in_force.insert(id.clone(), manifest);
        }
        let facts = held_facts(&stored, now());
        Ok(Self { in_force, facts, accepted: store.fleet_state(ACCEPTED)? })
    }
}

/// What devices have, against a revision or the working tree.
fn in_force_sides(
    global: &Global,
    folder: &Path,
    head: Option<&str>,
    facts: &FactsArguments,
) -> Result<Sides, Failure> {
    let repository = Repository::open(folder).ok();
    let mut cache = CheckCache::default();
    let files = cache.decode_while(|seen| match &repository {
        Some(repository) => read_head(folder, repository, head, seen),
        None => opened::read_tree(folder, head, seen),
    });
    let (tree, name, revision) = files?;
    let mut head = valid(global, check_after(&tree, &mut cache), name, revision)?;
    let known = match facts.state(&[&head.fleet])? {
        Some(state) => Known::of_state(&state),
        None => Known::of_store(global, &head.fleet)?,
    };
    let Known { in_force, facts, accepted } = known;
    head.see(&facts);
    let mut sides = Sides {
        base: None,
        head,
        in_force: Some(in_force),
        base_name: "in force".to_owned(),
        facts,
        lifted: Lifted::default(),
        _made_of: (vec![tree], cache),
    };
    // A revision that git has dropped, or that is valid no more, can't be asked: then what devices have is
    // all that is known.
    if let (Some(repository), Some(accepted)) = (&repository, accepted)
        && let Ok(accepted) = repository.resolve(&accepted)
        && let Checked { fleet: Some((fleet, _)), diagnostics } =
            check(&repository.read(&accepted)?)
    {
        sides.base_name = format!("in force ({})", accepted.short);
        let until = match &sides.head.revision {
            Some(revision) => revision.clone(),
            None => repository.resolve("HEAD")?,
        };
        sides.lifted = lifted(repository, Some(&accepted), &until)?;
        let resolution = resolve(&fleet, &sides.facts);
        sides.base = Some(Opened {
            fleet,
            resolution,
            name: accepted.short.clone(),
            revision: Some(accepted),
            warnings: diagnostics.into_iter().collect(),
            remembered: false,
        });
    }
    Ok(sides)
}
