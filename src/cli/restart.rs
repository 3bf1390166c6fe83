//! `hoist restart`: one module, by hand.

use super::exit::{Exit, Failure};
use super::one_module::{self, ModuleArguments, OneModule, failure};
use super::output::{print, print_json};
use super::run::{block_on, now, who};
use super::{Format, Global};
use crate::diagnostic::render::visible;
use crate::model::Status;
use crate::reconcile::{Restart, Restarted, in_force, restart_module};
use crate::store::{RestartWish, Store, StoreError};
use serde_json::json;

/// Restart a module on its device
///
/// The same container is stopped and started, and must come up. Nothing else changes: its settings, its twin
/// and what the fleet wants stay. Recorded in the history, as what apply does. Beside a running daemon it is the daemon
/// that does it, at its next look, and `hoist history DEVICE` says what became of it.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    module: ModuleArguments,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    let one = one_module::open(global, &arguments.module, Store::open)?;
    let reason = arguments.reason.clone().unwrap_or_else(|| "by hand".to_owned());
    in_force(&one.device, &one.module, one.stored.as_deref()).map_err(refused)?;
    let _lock = match one.store.lock() {
        Ok(lock) => lock,
        Err(StoreError::Locked { .. }) if one.store.has_daemon()? => {
            return wish(&one, reason, format);
        }
        Err(error) => return Err(error.into()),
    };
    let who = who();
    let result = block_on(restart_module(
        &one.gate,
        &one.store,
        &Restart {
            fleet: &one.fleet,
            device: &one.device,
            module: &one.module,
            stored: one.stored.as_deref(),
            memory: &one.memory,
            who: &who,
            reason: &reason,
            now: now(),
        },
    ))??;
    let (outcome, exit) = match result {
        Restarted::Done => ("done".to_owned(), Exit::Done),
        Restarted::NotReached(error) => return Err(failure(&error)),
        Restarted::Failed(error) => (format!("failed: {error}"), Exit::Failed),
    };
    say(&one, format, exit == Exit::Done, &outcome);
    Ok(exit)
}

/// A daemon works on the devices: it restarts the module.
fn wish(one: &OneModule, reason: String, format: Format) -> Result<Exit, Failure> {
    let (device, module) = (one.device.id.clone(), one.module.clone());
    one.store.wish_restart(&RestartWish { device, module, who: who(), reason })?;
    say(one, format, true, "is left to the daemon; `hoist history` says what became of it");
    Ok(Exit::Done)
}

fn say(one: &OneModule, format: Format, ok: bool, outcome: &str) {
    match format {
        Format::Json => print_json(&json!({
            "format": 1,
            "device": one.device.id.as_str(),
            "module": one.module.as_str(),
            "ok": ok,
            "outcome": outcome,
        })),
        _ => print(&format!("{} {}: restart {}\n", one.device.id, one.module, visible(outcome))),
    }
}

fn refused(words: String) -> Failure {
    if words.ends_with("as the fleet says") {
        return Failure::new(words)
            .help(format!("give it `status = \"{}\"`", Status::Running.as_str()));
    }
    if words.starts_with("nothing was applied") {
        return Failure::new(words).help("`hoist apply` brings it to what the fleet says");
    }
    Failure::new(words)
}
