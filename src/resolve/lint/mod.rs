//! What is suspicious or refused in a fleet and its resolution together.
//!
//! Enters: a fleet and its resolution by what git says. Leaves: diagnostics. They are made of what the
//! merge did, not of a second look at the files, and are counted by cohorts.

mod credential;
mod layers;
mod looks;
mod metrics;
mod options;
mod modules;
mod power;
mod routes;
mod targets;

pub(crate) use credential::{is_credential_after, is_credential_at, masked};
pub(super) use looks::Looks;

use super::targeted::Targeted;
use super::{Kept, Resolution, Targeting, resolve_with};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Level};
use crate::fleet::{FileTree, Fleet, LintLevels, LoadCache, Loaded, Seen, load_after};
use crate::model::{DeploymentId, Facts};
use std::collections::BTreeMap;

/// All files of a revision, loaded, resolved and looked at.
#[derive(Debug)]
pub struct Checked {
    /// The fleet and its resolution by what git says; `None` if anything is refused.
    pub fleet: Option<(Fleet, Resolution)>,
    /// Every problem, levelled and sorted.
    pub diagnostics: Diagnostics,
}

/// Loads, resolves and looks at all files of a revision.
pub fn check(tree: &FileTree) -> Checked {
    check_after(tree, &mut CheckCache::default())
}

/// What is kept from one check to the next: decoded files, which devices met which conditions, and what
/// combinations of deployments merge to.
#[derive(Debug, Default)]
pub struct CheckCache {
    load: LoadCache,
    by_files: Kept,
    by_facts: Kept,
}

impl CheckCache {
    /// Reads files, and decodes them meanwhile for the next check.
    pub fn decode_while<T>(&mut self, read: impl FnOnce(&Seen<'_>) -> T) -> T {
        self.load.decode_while(read)
    }

    /// Resolves a fleet by what its devices report, where much of it may have been resolved so before.
    pub fn resolve(&mut self, fleet: &Fleet, facts: &Facts) -> Resolution {
        self.by_facts.go_on(fleet, facts);
        resolve_with(fleet, &mut self.by_facts)
    }
}

/// The same where much of it may have been looked at before; the cache is then of this tree.
pub fn check_after(tree: &FileTree, cache: &mut CheckCache) -> Checked {
    check_by_policy(tree, &LintLevels::new(), cache)
}

/// The same, with levels from outside the repository. Where the repository also says a level, the stricter one
/// counts: nothing in it can undo a policy.
pub fn check_by_policy(tree: &FileTree, policy: &LintLevels, cache: &mut CheckCache) -> Checked {
    let loaded = load_after(tree, &mut cache.load);
    check_by(loaded, policy, |fleet| {
        cache.by_files.go_on(fleet, &Facts::none());
        resolve_and_lint_with(fleet, &mut cache.by_files)
    })
}

/// The same for files that are loaded already.
pub fn check_loaded(loaded: Loaded) -> Checked {
    check_by(loaded, &LintLevels::new(), |fleet| resolve_and_lint(fleet, &Facts::none()))
}

fn check_by(
    loaded: Loaded,
    policy: &LintLevels,
    resolve_and_lint: impl FnOnce(&Fleet) -> (Resolution, Diagnostics),
) -> Checked {
    let mut diagnostics = loaded.diagnostics;
    let Some(mut fleet) = loaded.fleet else {
        let diagnostics = with_levels(diagnostics, policy).sorted();
        return Checked { fleet: None, diagnostics };
    };
    for (code, level) in policy {
        // Allow is `None`, which is less than any level.
        let own = fleet.lints.entry(*code).or_insert(*level);
        *own = (*own).max(*level);
    }
    let (resolution, found) = resolve_and_lint(&fleet);
    if diagnostics.has_errors() {
        // Devices and deployments with errors are left out, so counts and absences mean nothing; what
        // refuses the revision still does.
        for diagnostic in found {
            if diagnostic.level == Level::Error && !diagnostic.code.is_lint() {
                diagnostics.push(diagnostic);
            }
        }
    } else {
        diagnostics.extend(found);
    }
    let diagnostics = with_fleet_levels(diagnostics, &fleet).sorted();
    let fleet = (!diagnostics.has_errors()).then_some((fleet, resolution));
    Checked { fleet, diagnostics }
}

/// Resolves a fleet by what its devices report, and says what is suspicious then, at the fleet's levels.
pub fn lint_by_facts(fleet: &Fleet, facts: &Facts) -> (Resolution, Diagnostics) {
    let (resolution, found) = resolve_and_lint(fleet, facts);
    (resolution, with_fleet_levels(found, fleet).sorted())
}

fn resolve_and_lint(fleet: &Fleet, facts: &Facts) -> (Resolution, Diagnostics) {
    let mut kept = Kept::default();
    kept.go_on(fleet, facts);
    resolve_and_lint_with(fleet, &mut kept)
}

fn resolve_and_lint_with(fleet: &Fleet, kept: &mut Kept) -> (Resolution, Diagnostics) {
    let resolution = resolve_with(fleet, kept);
    let found = lint(fleet, &resolution, kept);
    (resolution, found)
}

/// Everything suspicious or refused in a fleet and its resolution, at the built-in levels.
fn lint(fleet: &Fleet, resolution: &Resolution, kept: &mut Kept) -> Diagnostics {
    let Kept { facts: _, answers, targeted, looks, merges: _, fillable: _ } = kept;
    let mut found = Diagnostics::new();
    let hits = hits(targeted);
    looks.keep(&resolution.cohorts);
    targets::lint(fleet, &hits, answers, &mut found);
    layers::lint(fleet, resolution, &hits, looks, &mut found);
    modules::lint(fleet, resolution, looks, &mut found);
    metrics::lint(fleet, &mut found);
    routes::lint(fleet, resolution, looks, &mut found);
    power::lint(fleet, resolution, &hits, &mut found);
    found
}

/// By deployment that targets a device, to how many it applies.
type Hits<'a> = BTreeMap<&'a DeploymentId, usize>;

fn hits(targeted: &Targeted) -> Hits<'_> {
    let mut hits: Hits<'_> = targeted.hits().collect();
    for (selected, devices) in targeted.selected() {
        let not_applied = selected.targeted.iter().filter(|t| !t.standing.is_applied());
        for Targeting { deployment, standing: _ } in not_applied {
            hits.entry(deployment).and_modify(|applied| *applied -= devices);
        }
    }
    hits
}

/// Gives lints the levels of the fleet's `[lints]`.
pub fn with_fleet_levels(diagnostics: Diagnostics, fleet: &Fleet) -> Diagnostics {
    with_levels(diagnostics, &fleet.lints)
}

fn with_levels(diagnostics: Diagnostics, levels: &LintLevels) -> Diagnostics {
    diagnostics.with_levels(|code: Code, level: Level| match levels.get(&code) {
        Some(level) => *level,
        None => Some(level),
    })
}

/// A diagnostic about a deployment, at the deployment's place.
fn about(fleet: &Fleet, id: &DeploymentId, code: Code, message: String) -> Diagnostic {
    let place = fleet.deployments.get(id).map(|deployment| deployment.place.clone());
    Diagnostic::new(code, message).at_option(place).of_deployment(id)
}

/// "3 devices", "1 device".
fn devices(n: usize) -> String {
    if n == 1 { "1 device".to_owned() } else { format!("{n} devices") }
}
