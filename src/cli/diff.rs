//! `hoist diff`: what a change would do on every device, from files alone.

use super::exit::{Exit, Failure};
use super::opened::{self, Opened, WORKING_TREE, fleet_folder, format, narrowed, valid};
use super::output::{colours_stdout, paint, print, print_json};
use super::{Format, Global};
use crate::fleet::FileTree;
use crate::model::Facts;
use crate::resolve::check;
use crate::review::{self, Allowance, DiffOptions, Side, diff};
use crate::source::{DefaultBase, Repository, Revision, read_folder};
use clap::ValueEnum;
use std::path::Path;

/// Show what a change would do on every device.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The revision to compare with, or BASE..HEAD [default: what a merge of this branch would change]
    base: Option<String>,
    /// The revision to look at [default: the working tree]
    head: Option<String>,
    /// Only devices that meet this condition
    #[arg(long = "where", value_name = "CONDITION")]
    wanted: Option<String>,
    /// Only this device; may be given several times
    #[arg(long = "device", value_name = "ID")]
    devices: Vec<String>,
    /// Exit with 0 where there are changes
    #[arg(long)]
    exit_zero: bool,
    /// Fail (exit 3) unless the change is what is expected
    #[arg(long, value_enum)]
    expect: Option<Expectation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expectation {
    /// No manifest of any device differs.
    NoChange,
}

/// The files of both sides.
struct Sides {
    base: Option<(FileTree, String, Option<Revision>)>,
    head: (FileTree, String, Option<Revision>),
    /// Trailers of the commits between.
    allowances: Vec<Allowance>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = format(global, &[Format::Text, Format::Json])?;
    if global.revision.is_some() {
        return Err(Failure::new("diff takes its revisions as arguments: `hoist diff BASE HEAD`"));
    }
    let sides = sides(&fleet_folder(global)?, arguments)?;
    let Sides { base, head, allowances } = sides;
    let (tree, name, revision) = head;
    let head = valid(global, check(&tree), name, revision)?;
    let base: Option<Opened> = match base {
        None => None,
        Some((tree, name, revision)) => Some(valid(global, check(&tree), name, revision)?),
    };
    let facts = Facts::none();
    let mut fleets = vec![&head.fleet];
    fleets.extend(base.as_ref().map(|base| &base.fleet));
    let only = narrowed(&fleets, &facts, &arguments.devices, arguments.wanted.as_deref())?;
    let nothing = Side { name: "nothing", fleet: None, warnings: &[] };
    let diff =
        diff(base.as_ref().map_or(nothing, side), side(&head), &DiffOptions { only, allowances });
    match format {
        Format::Json => print_json(&review::json(&diff)),
        _ => {
            let coloured = colours_stdout(global);
            print(&review::text(&diff, &|tone, text| paint(coloured, tone, text)));
        }
    }
    let unexpected = arguments.expect == Some(Expectation::NoChange) && diff.base.1 != diff.head.1;
    Ok(if diff.needs_consent() || unexpected {
        Exit::Consent
    } else if diff.has_changes() && !arguments.exit_zero {
        Exit::Changes
    } else {
        Exit::Done
    })
}

fn side(opened: &Opened) -> Side<'_> {
    Side {
        name: &opened.name,
        fleet: Some((&opened.fleet, &opened.resolution)),
        warnings: &opened.warnings,
    }
}

fn sides(folder: &Path, arguments: &Arguments) -> Result<Sides, Failure> {
    let (base, head) = match (&arguments.base, &arguments.head) {
        (Some(range), None) if range.contains("..") => {
            let (base, head) = range.split_once("..").unwrap_or((range, ""));
            let head = head.trim_start_matches('.');
            (Some(base.to_owned()), (!head.is_empty()).then(|| head.to_owned()))
        }
        (base, head) => (base.clone(), head.clone()),
    };
    let repository = Repository::open(folder)?;
    let read = |spec: &str| opened::read_tree(folder, Some(spec));
    let Some(base) = base else { return default_sides(folder, &repository) };
    let base = read(&base)?;
    let head = match head {
        Some(head) => read(&head)?,
        None if repository.is_bare() => read("HEAD")?,
        None => (read_folder(folder)?, WORKING_TREE.to_owned(), None),
    };
    let tip = match &head.2 {
        Some(revision) => revision.clone(),
        None => repository.resolve("HEAD")?,
    };
    let allowances = allowances(&repository, base.2.as_ref(), &tip)?;
    Ok(Sides { base: Some(base), head, allowances })
}

/// On a branch: the target's tip against what would land, merged in memory. On the target branch itself:
/// its parent; uncommitted changes there are looked at first.
fn default_sides(folder: &Path, repository: &Repository) -> Result<Sides, Failure> {
    let named = |tree, revision: Revision| (tree, revision.short.clone(), Some(revision));
    match repository.default_base()? {
        DefaultBase::Target { name, tip, head } => {
            let merged = repository.merge_tree(&tip, &head)?;
            let allowances = allowances(repository, Some(&tip), &head)?;
            let base = (repository.read(&tip)?, format!("{name} ({})", tip.short), Some(tip));
            let head = (merged, format!("{} merged", head.short), Some(head));
            Ok(Sides { base: Some(base), head, allowances })
        }
        DefaultBase::Parent { parent, head } => {
            if !repository.is_bare() && !repository.is_clean()?.is_clean() {
                let tree = read_folder(folder)?;
                let base = named(repository.read(&head)?, head);
                let head = (tree, WORKING_TREE.to_owned(), None);
                return Ok(Sides { base: Some(base), head, allowances: Vec::new() });
            }
            let allowances = allowances(repository, parent.as_ref(), &head)?;
            let base = match parent {
                Some(parent) => Some(named(repository.read(&parent)?, parent)),
                None => None,
            };
            Ok(Sides { base, head: named(repository.read(&head)?, head), allowances })
        }
    }
}

/// What commits between two revisions allow.
pub(super) fn allowances(
    repository: &Repository,
    base: Option<&Revision>,
    head: &Revision,
) -> Result<Vec<Allowance>, Failure> {
    let trailers = repository.trailers(base, head, "Hoist-Allow")?;
    Ok(trailers.iter().flat_map(|trailer| Allowance::parse_all(&trailer.value)).collect())
}
