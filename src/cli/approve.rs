//! `hoist approve`: lets a held revision through, up to the numbers that were seen.

use super::Global;
use super::exit::{Exit, Failure};
use super::opened::fleet_folder;
use super::output::{print, say};
use super::run::{now, who};
use super::scope::open;
use crate::diagnostic::render::visible;
use crate::plan::short_revision;
use crate::reconcile::{Beside, HeldRevision, judge_revision};
use crate::source::Repository;
use crate::store::{Approval, fleet_key};

/// Let a revision through that a guard holds
///
/// Up to the numbers that it would do now; if they grow before the daemon comes to it, it is held again. What is not
/// valid can't be approved.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The revision
    #[arg(value_name = "REVISION")]
    held: String,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (_, store) = open(global, arguments.simulate)?;
    let folder = fleet_folder(global)?;
    let repository = Repository::open(&folder)?;
    let revision = repository.resolve(&arguments.held)?;
    let head = match store.fleet_state(fleet_key::HEAD)? {
        Some(head) => head,
        None => repository.resolve("HEAD")?.id,
    };
    if revision.id != head && repository.is_in_history(&head, &revision.id) {
        let read = short_revision(&head);
        let words = format!("{} is newer than {read}, which was read last", revision.short);
        return Err(Failure::new(words)
            .help("the daemon has to read it first: is it pushed to the branch, and does `hoist watch` run?"));
    }
    if !repository.is_in_history(&revision.id, &head) {
        return Err(Failure::new(format!(
            "{} is not on the way to {}, the newest commit of the branch",
            revision.short,
            short_revision(&head)
        )));
    }
    let accepted = store.fleet_state(fleet_key::ACCEPTED)?;
    let stored = store.load_devices()?;
    let judged = judge_revision(&folder, accepted.as_deref(), &revision.id, &stored, now())
        .map_err(|lines| {
            for line in &lines {
                say(line);
            }
            Failure::new(format!("{} can't be approved: it is not valid", revision.short))
                .help("commit what makes it valid; that is judged anew")
        })?;
    let beside = Beside::read(&store, now())?;
    let is_held = |held: &&HeldRevision| held.revision == revision.id && !held.can_be_approved();
    if let Some(held) = beside.held.as_ref().filter(is_held) {
        let reasons = visible(&held.reasons.join("; ")).to_string();
        return Err(Failure::new(format!("{} can't be approved: {reasons}", revision.short))
            .help("an approval lets through what guards count, and nothing else"));
    }
    // What devices have was asked of their engines where nothing counts yet, and only the daemon knows it: its numbers count, for
    // the revision that it holds and for one below.
    let judged = match beside.held {
        Some(held) if accepted.is_none() && held.can_be_approved() => {
            let mut numbers = held.numbers;
            for (guard, n) in judged {
                let known = numbers.entry(guard).or_default();
                *known = n.max(*known);
            }
            numbers
        }
        Some(held) if accepted.is_none() && judged.is_empty() => {
            let words = format!(
                "nobody knows what {} would do: nothing counts yet, and {} is held, which is judged by what engines run",
                revision.short,
                short_revision(&held.revision)
            );
            return Err(Failure::new(words)
                .help("mend what is held with a commit; that one is judged, and can be approved"));
        }
        _ => judged,
    };
    if judged.is_empty() {
        let words = match accepted.filter(|id| repository.is_in_history(&revision.id, id)) {
            Some(accepted) if accepted == revision.id => "it counts".to_owned(),
            Some(accepted) => {
                format!("{} counts, which builds on it", short_revision(&accepted))
            }
            None => "it goes out by itself".to_owned(),
        };
        print(&format!("nothing holds {}: {words}\n", revision.short));
        return Ok(Exit::Done);
    }
    for (guard, n) in &judged {
        print(&format!("  {guard}: up to {n}\n"));
    }
    store.approve(&Approval { revision: revision.id, who: who(), at: now(), numbers: judged })?;
    print(&format!("{} is approved\n", revision.short));
    Ok(Exit::Done)
}
