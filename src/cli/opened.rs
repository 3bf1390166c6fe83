//! Opening what commands work on: the fleet folder, a revision of it, the fleet itself.

use super::Global;
use super::exit::Failure;
use super::output::{say, say_diagnostics};
use crate::diagnostic::{Diagnostic, Level, render};
use crate::fleet::{FileTree, Fleet, Seen};
use crate::language::{Condition, LanguageError, Query, Subject, Truth};
use crate::model::{Device, DeviceId, Facts};
use crate::resolve::{CheckCache, Checked, Resolution, check_after, lint_by_facts};
use crate::source::{Repository, Revision, SourceError, find_fleet_folder, read_folder};
use crate::store::{Store, fleet_key};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A fleet that is valid, and what it was read from.
pub(super) struct Opened {
    pub(super) fleet: Fleet,
    pub(super) resolution: Resolution,
    /// A short revision, or `working tree`.
    pub(super) name: String,
    /// Its commit, if it is one.
    pub(super) revision: Option<Revision>,
    /// Its warnings.
    pub(super) warnings: Vec<Diagnostic>,
    /// Whether it is of the store alone, as its files can't be read: no tags, no deployments.
    pub(super) remembered: bool,
}

impl Opened {
    /// Looks at it again with what devices report: whom deployments target, and what is suspicious then. What
    /// facts bring about makes no revision invalid, so errors among that are left to whoever plans.
    pub(super) fn see(&mut self, facts: &Facts) {
        let (_, by_files) = lint_by_facts(&self.fleet, &Facts::none());
        let (resolution, by_facts) = lint_by_facts(&self.fleet, facts);
        self.warnings.retain(|warning| by_files.iter().all(|other| other != warning));
        self.warnings.extend(by_facts.into_iter().filter(|found| found.level == Level::Warn));
        self.resolution = resolution;
    }
}

/// What the working tree is called.
pub(super) const WORKING_TREE: &str = "working tree";

/// The fleet folder; for a bare repository the repository's.
pub(super) fn fleet_folder(global: &Global) -> Result<PathBuf, Failure> {
    let start = global.folder.clone().unwrap_or_else(|| PathBuf::from("."));
    let error = match find_fleet_folder(&start) {
        Ok(folder) => return Ok(folder),
        Err(error) => error,
    };
    // A bare repository has no files, and a worktree may lack them; revisions can still be read.
    match Repository::open(&start) {
        Ok(repository) if repository.is_bare() || global.revision.is_some() => Ok(start),
        Err(foreign @ SourceError::WrongOwner { .. }) => Err(foreign.into()),
        // On a control host there may be no fleet folder at all: then the one that the daemon reads is meant.
        _ if global.folder.is_none() => watched_repository(global)?.ok_or_else(|| error.into()),
        _ => Err(error.into()),
    }
}

/// Stores that a daemon on this control host works on or worked on, each with the repository that it reads: the one that
/// `--state` names, else all.
pub(super) fn watched(global: &Global) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let folders = match &global.state {
        Some(folder) => vec![folder.clone()],
        None => stores_here(),
    };
    let mut found = Vec::new();
    for folder in folders {
        for folder in [folder.join("simulated"), folder] {
            let Some(store) = Store::open_to_read(&folder)? else { continue };
            let repository = store.fleet_state(fleet_key::REPOSITORY)?;
            found.extend(repository.map(|repository| (folder, PathBuf::from(repository))));
        }
    }
    Ok(found)
}

/// The repository that a daemon on this control host reads, where there is only one.
fn watched_repository(global: &Global) -> Result<Option<PathBuf>, Failure> {
    let mut found: Vec<PathBuf> = watched(global)?.into_iter().map(|(_, read)| read).collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        many => {
            let list: Vec<String> = many.iter().map(|path| path.display().to_string()).collect();
            Err(Failure::new(format!("several fleets are watched from here: {}", list.join(", ")))
                .help("--state names the store of the one that is meant, -C its folder"))
        }
    }
}

fn stores_here() -> Vec<PathBuf> {
    let Ok(parent) = Store::default_parent() else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The files of the revision that `--revision` names, or of the working tree.
pub(super) fn read_tree(
    folder: &Path,
    revision: Option<&str>,
    seen: &Seen<'_>,
) -> Result<(FileTree, String, Option<Revision>), Failure> {
    // A bare repository has no working tree; its HEAD is what lies there.
    let is_bare = || {
        !folder.join("fleet.toml").exists() && Repository::open(folder).is_ok_and(|r| r.is_bare())
    };
    match revision.or_else(|| is_bare().then_some("HEAD")) {
        None => Ok((read_folder(folder)?, WORKING_TREE.to_owned(), None)),
        Some(spec) => {
            let repository = Repository::open(folder)?;
            let revision = repository.resolve(spec)?;
            let tree = repository.read_and_tell(&revision, seen)?;
            Ok((tree, revision.short.clone(), Some(revision)))
        }
    }
}

/// What [`read_tree`] reads, decoded meanwhile and checked.
pub(super) fn check_tree(
    folder: &Path,
    revision: Option<&str>,
) -> Result<(Checked, String, Option<Revision>), Failure> {
    let mut cache = CheckCache::default();
    let (tree, name, revision) = cache.decode_while(|seen| read_tree(folder, revision, seen))?;
    Ok((check_after(&tree, &mut cache), name, revision))
}

/// Opens the fleet that the global options name; a fleet with errors is not opened, its errors are said.
pub(super) fn open(global: &Global, revision: Option<&str>) -> Result<Opened, Failure> {
    let folder = fleet_folder(global)?;
    let (checked, name, revision) = check_tree(&folder, revision)?;
    valid(global, checked, name, revision)
}

/// A checked fleet without errors; else its errors are said.
pub(super) fn valid(
    global: &Global,
    checked: Checked,
    name: String,
    revision: Option<Revision>,
) -> Result<Opened, Failure> {
    let Checked { fleet, diagnostics } = checked;
    match fleet {
        Some((fleet, resolution)) => {
            let warnings = diagnostics.into_iter().collect();
            Ok(Opened { fleet, resolution, name, revision, warnings, remembered: false })
        }
        None => {
            say_diagnostics(global, &diagnostics);
            let (what, again) = if name == WORKING_TREE {
                ("the fleet".to_owned(), "hoist validate".to_owned())
            } else {
                (format!("revision {name}"), format!("hoist validate --revision {name}"))
            };
            Err(Failure::new(format!("{what} is not valid: {}", render::count(&diagnostics)))
                .help(format!("nothing was changed; `{again}` shows the same")))
        }
    }
}

/// A device by its id, or an error with a close one.
pub(super) fn device<'a>(fleet: &'a Fleet, id: &str) -> Result<&'a Device, Failure> {
    fleet.devices.get(id).map(AsRef::as_ref).ok_or_else(|| {
        let ids = fleet.devices.keys().map(DeviceId::as_str);
        let failure = Failure::new(format!("the fleet has no device `{id}`"));
        match crate::diagnostic::did_you_mean(id, ids) {
            Some(help) => failure.help(help),
            None => failure,
        }
    })
}

/// Parses a condition from the command line.
pub(super) fn condition(text: &str) -> Result<Condition, Failure> {
    Condition::parse(text).map_err(|errors| wrong(text, "condition", &errors))
}

/// Parses a query, or a bare condition, from the command line.
pub(super) fn query(text: &str) -> Result<Query, Failure> {
    Query::parse_or_condition(text).map_err(|errors| wrong(text, "query", &errors))
}

/// Shows where a text of one of the languages is wrong.
fn wrong(text: &str, noun: &str, errors: &[LanguageError]) -> Failure {
    let mut words = Vec::new();
    for error in errors {
        let start = error.span.start as usize;
        let before = text.get(..start).unwrap_or(text).chars().count();
        let len = text.get(start..error.span.end as usize).map_or(1, |t| t.chars().count().max(1));
        say(&format!("  {}\n  {}{}", render::visible(text), " ".repeat(before), "^".repeat(len)));
        words.push(error.message.clone());
    }
    let failure = Failure::new(format!("the {noun} is wrong: {}", words.join("; ")));
    match errors.iter().find_map(|error| error.help.clone()) {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// Which devices `--device` and `--where` leave; `None` if neither is given.
pub(super) fn narrowed(
    fleets: &[&Fleet],
    facts: &Facts,
    devices: &[String],
    wanted: Option<&str>,
) -> Result<Option<BTreeSet<DeviceId>>, Failure> {
    if devices.is_empty() && wanted.is_none() {
        return Ok(None);
    }
    let condition = wanted.map(condition).transpose()?;
    for id in devices {
        if !fleets.iter().any(|fleet| fleet.devices.contains_key(id.as_str())) {
            device(fleets[0], id)?;
        }
    }
    let mut left = BTreeSet::new();
    for device in fleets.iter().flat_map(|fleet| fleet.devices.values()) {
        let named = devices.is_empty() || devices.iter().any(|id| *id == device.id.as_str());
        let reported = facts.reported(device);
        let meets = condition.as_ref().is_none_or(|condition| {
            condition.evaluate(Subject { device, reported: &reported }) == Truth::True
        });
        if named && meets {
            left.insert(device.id.clone());
        }
    }
    Ok(Some(left))
}
