//! `hoist pin` and `hoist unpin`: devices that stay at a revision, whatever is accepted.

use super::Global;
use super::exit::{Exit, Failure};
use super::opened::{check_tree, fleet_folder, valid};
use super::output::{print, say};
use super::run::{now, who};
use super::scope::{ScopeArguments, at_least_a_second, in_words, open, until};
use crate::diagnostic::render::visible;
use crate::model::Duration;
use crate::store::{OrderKind, Pin, Scope};

/// Keep devices at a revision, whatever is accepted
///
/// The daemon brings them there and leaves them there until the pin ends.
#[derive(clap::Args)]
pub(super) struct PinArguments {
    /// The revision
    #[arg(value_name = "REVISION")]
    to: String,
    /// Only this device
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    #[command(flatten)]
    scope: ScopeArguments,
    /// For how long; without it until `hoist unpin`
    #[arg(long = "for", value_name = "TIME", value_parser = at_least_a_second)]
    lasts: Option<Duration>,
    /// Why, for the history and for whoever wonders
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    reason: String,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

/// End pins
#[derive(clap::Args)]
pub(super) struct UnpinArguments {
    /// Only the pin of this device
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    #[command(flatten)]
    scope: ScopeArguments,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

pub(super) fn pin(global: &Global, arguments: &PinArguments) -> Result<Exit, Failure> {
    let (opened, store) = open(global, arguments.simulate)?;
    let scope = arguments.scope.scope(&opened, arguments.device.as_deref())?;
    let scope = scope.unwrap_or(Scope::All);
    // A revision with an error is never used, not even by hand.
    let (checked, name, revision) = check_tree(&fleet_folder(global)?, Some(&arguments.to))?;
    let pinned = valid(global, checked, name, revision)?;
    let revision = pinned.revision.ok_or_else(|| Failure::new("only a commit can be pinned"))?;
    let since = now();
    let until = until(since, arguments.lasts);
    let reason = arguments.reason.clone();
    let pin = Pin { id: 0, revision: revision.id, scope, reason, who: who(), since, until };
    store.pin(&pin)?;
    let ends = || format!("until `{}`", OrderKind::Pin.ended_by(&pin.scope));
    let end = until.map_or_else(ends, |at| format!("until {at}"));
    let line = format!("{}: pinned to {} {end}", in_words(&pin.scope), revision.short);
    print(&format!("{}\n", visible(&line)));
    Ok(Exit::Done)
}

pub(super) fn unpin(global: &Global, arguments: &UnpinArguments) -> Result<Exit, Failure> {
    let (opened, store) = open(global, arguments.simulate)?;
    let scope = arguments.scope.scope(&opened, arguments.device.as_deref())?;
    let scope = scope.unwrap_or(Scope::All);
    if store.take_back(OrderKind::Pin, Some(&scope), &who(), now())? == 0 {
        say(&visible(&format!("{}: not pinned by these words", in_words(&scope))));
        for pin in store.pins(now())? {
            let (devices, ends) = (in_words(&pin.scope), OrderKind::Pin.ended_by(&pin.scope));
            say(&visible(&format!("  pinned: {devices} ({}); `{ends}` ends it", pin.reason)));
        }
        return Ok(Exit::Wrong);
    }
    print(&format!("{}: follows what is accepted again\n", visible(&in_words(&scope))));
    Ok(Exit::Done)
}
