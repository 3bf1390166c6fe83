//! `hoist rollback`: one commit that makes the fleet's files equal to those of a revision.

use super::Global;
use super::apply::asked;
use super::diff::show;
use super::exit::{Exit, Failure};
use super::opened::{self, fleet_folder};
use super::output::{print, say};
use super::sides::{FactsArguments, read_sides};
use crate::diagnostic::render::visible;
use crate::resolve::check;
use crate::review::{DiffOptions, diff};
use crate::source::{self, Repository, Revision, commit_files_of, files_that_differ};

/// Commit the fleet's files as they were at a revision
///
/// Shows first what that changes on devices. History goes forward: what lay between stays in it, and the daemon takes the
/// commit like any other. Nothing leaves this machine without --push.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The revision whose files come back
    #[arg(long, value_name = "REVISION")]
    to: String,
    /// Push the commit to where the branch comes from
    #[arg(long)]
    push: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    facts: FactsArguments,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    if global.revision.is_some() {
        return Err(Failure::new("rollback begins at HEAD: it takes no --revision"));
    }
    let Arguments { to, push, yes, facts } = arguments;
    let folder = fleet_folder(global)?;
    let repository = Repository::open(&folder)?;
    let (head, target) = (repository.resolve("HEAD")?, repository.resolve(to)?);
    if !repository.is_clean()?.is_clean() {
        return Err(Failure::new("the fleet folder has changes that are not committed")
            .help("commit them, or put them away with `git stash`; nothing was changed"));
    }
    // A revision with an error is never used: reading it says which. What is gone back from may have any.
    match valid_before(&repository, &head)? {
        Some(base) => {
            if base.id != head.id {
                say(&format!(
                    "{} is not valid: what changes is shown against {}, the newest before it that is",
                    head.short, base.short
                ));
            }
            let sides = read_sides(global, Some(&base.id), Some(&target.id), facts)?;
            show(global, format, &diff(sides.base(), sides.head(), &DiffOptions::default()));
        }
        None => {
            opened::open(global, Some(&target.id))?;
            say("neither HEAD nor a commit before it is valid: there is nothing to compare with");
        }
    }
    let files =
        files_that_differ(&folder, &target.id).map_err(|words| Failure::new(visible(&words)))?;
    if files.is_empty() {
        say(&format!("the files are as they were at {}: there is nothing to commit", target.short));
        return Ok(Exit::Done);
    }
    let question = format!("commit the files of {} over {}?", target.short, head.short);
    if !*yes && !asked(&question, "give --yes")? {
        say("nothing was changed");
        return Ok(Exit::Changes);
    }
    let message = format!(
        "Roll back to {}: {}\n\nThe fleet's files are those of {}.",
        target.short, target.subject, target.id
    );
    let made = commit_files_of(&folder, &target.id, &files, &message).map_err(|words| {
        Failure::new(visible(&words)).help("nothing was changed; mend that, and run it again")
    })?;
    print(&format!("{}: the files of {}\n", &made[..made.len().min(7)], target.short));
    if *push {
        source::push(&folder).map_err(|words| {
            Failure::new(visible(&words)).help("the commit is made; push it when that works")
        })?;
        print("pushed\n");
    }
    Ok(Exit::Done)
}

/// So many commits before HEAD are looked at.
const LOOKED_AT: usize = 100;

/// The revision itself, or the newest of its first parents whose fleet is valid.
fn valid_before(repository: &Repository, head: &Revision) -> Result<Option<Revision>, Failure> {
    let mut revision = head.clone();
    for _ in 0..LOOKED_AT {
        if check(&repository.read(&revision)?).fleet.is_some() {
            return Ok(Some(revision));
        }
        match repository.resolve(&format!("{}^", revision.id)) {
            Ok(parent) => revision = parent,
            Err(_) => break,
        }
    }
    Ok(None)
}
