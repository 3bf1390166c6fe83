//! `hoist pause` and `hoist resume`: devices that are left alone for a while.

use super::Global;
use super::exit::{Exit, Failure};
use super::output::{print, say};
use super::run::{now, who};
use super::scope::{ScopeArguments, at_least_a_second, in_words, open, until};
use crate::diagnostic::render::visible;
use crate::model::Duration;
use crate::store::{OrderKind, Pause};

/// Leave devices alone for a while
///
/// While it holds nothing is done on them, whatever git says and whatever happens there, by the daemon and by apply alike.
/// `hoist resume` ends it.
#[derive(clap::Args)]
pub(super) struct PauseArguments {
    /// A device
    #[arg(value_name = "DEVICE")]
    device: Option<String>,
    #[command(flatten)]
    scope: ScopeArguments,
    /// For how long; without it until `hoist resume`
    #[arg(long = "for", value_name = "TIME", value_parser = at_least_a_second)]
    lasts: Option<Duration>,
    /// Why: whoever finds the device paused reads it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

/// End pauses
#[derive(clap::Args)]
pub(super) struct ResumeArguments {
    /// The device that was paused by its name
    #[arg(value_name = "DEVICE")]
    device: Option<String>,
    #[command(flatten)]
    scope: ScopeArguments,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

pub(super) fn pause(global: &Global, arguments: &PauseArguments) -> Result<Exit, Failure> {
    let (opened, store) = open(global, arguments.simulate)?;
    let scope = arguments.scope.scope(&opened, arguments.device.as_deref())?.ok_or_else(|| {
        Failure::new("it does not say which devices").help("name one, or give --where or --all")
    })?;
    if arguments.reason.trim().is_empty() {
        return Err(Failure::new("--reason is empty").help("say why; somebody will wonder"));
    }
    let since = now();
    let until = until(since, arguments.lasts);
    let pause = Pause { id: 0, scope, reason: arguments.reason.clone(), who: who(), since, until };
    store.pause(&pause)?;
    let ends = || format!("until `{}`", OrderKind::Pause.ended_by(&pause.scope));
    let end = until.map_or_else(ends, |at| format!("until {at}"));
    let line = format!("{}: paused {end}", in_words(&pause.scope));
    print(&format!("{}\n", visible(&line)));
    Ok(Exit::Done)
}

pub(super) fn resume(global: &Global, arguments: &ResumeArguments) -> Result<Exit, Failure> {
    let (opened, store) = open(global, arguments.simulate)?;
    let scope = arguments.scope.scope(&opened, arguments.device.as_deref())?.ok_or_else(|| {
        Failure::new("it does not say which pause ends")
            .help("name the device, or give the same --where or --all; `hoist status` lists them")
    })?;
    let taken = store.take_back(OrderKind::Pause, Some(&scope), &who(), now())?;
    if taken == 0 {
        say(&visible(&format!("{}: not paused by these words", in_words(&scope))));
        for pause in store.pauses(now())? {
            let (devices, ends) = (in_words(&pause.scope), OrderKind::Pause.ended_by(&pause.scope));
            let line = format!("  paused: {devices} ({}); `{ends}` ends it", pause.reason);
            say(&visible(&line));
        }
        return Ok(Exit::Wrong);
    }
    print(&format!("{}: goes on\n", visible(&in_words(&scope))));
    Ok(Exit::Done)
}
