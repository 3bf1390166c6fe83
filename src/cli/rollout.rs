//! `hoist rollout`: how a rollout stands, and what people want of it.

use super::exit::{Exit, Failure};
use super::output::{print, print_json};
use super::run::{now, who};
use super::scope::{open, open_to_look};
use super::{Format, Global};
use crate::diagnostic::render::visible;
use crate::plan::short_revision;
use crate::reconcile::kept_rollout;
use crate::rollout::{Order, Place, Rollout, Standing};
use crate::store::{RolloutOrder, fleet_key};
use serde_json::json;
use std::collections::BTreeSet;

/// Show the rollout, or tell it what to do
///
/// A rollout is the fleet's way from one revision to the next, phase by phase, as `[rollout]` in fleet.toml says.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Show how far it is, and what it waits for
    Status {
        /// The store of the simulated engines
        #[arg(long)]
        simulate: bool,
    },
    /// Let in no more devices until `resume`; a failure still goes back
    Pause(Told),
    /// Go on after a pause
    Resume(Told),
    /// Open the next phase now, whatever the open one waits for
    Promote(Told),
    /// Give it up: devices that were moved go back
    Abort(Told),
    /// Try again what failed, from the first phase
    Retry(Told),
}

#[derive(clap::Args)]
struct Told {
    /// Why, for the history and for whoever wonders
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    reason: String,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let (order, told) = match &arguments.what {
        What::Status { simulate } => return show(global, *simulate),
        What::Pause(told) => (Order::Pause, told),
        What::Resume(told) => (Order::Resume, told),
        What::Promote(told) => (Order::Promote, told),
        What::Abort(told) => (Order::Abort, told),
        What::Retry(told) => (Order::Retry, told),
    };
    let (_, store) = open(global, told.simulate)?;
    let Some(mut rollout) = kept_rollout(&store)? else {
        return Err(Failure::new("there is no rollout")
            .help("`[rollout]` in fleet.toml makes one of every commit that changes devices"));
    };
    // What makes no sense is said here and now, not by the daemon in its log; after what was told before.
    let before = store.rollout_orders()?;
    for before in &before {
        if let Some(order) = Order::parse(&before.order) {
            let _ = rollout.obey(order, "");
        }
    }
    rollout.obey(order, "").map_err(|error| {
        let refused = Failure::new(format!("`{}` makes no sense now: {error}", order.as_str()));
        match before.is_empty() {
            true => refused,
            false => refused
                .help("`hoist rollout status` shows what was told before and is not done yet"),
        }
    })?;
    let reason = told.reason.clone();
    let order = order.as_str().to_owned();
    let told = RolloutOrder { id: 0, order: order.clone(), who: who(), reason, at: now() };
    store.order_rollout(&told)?;
    let what_next = match store.has_daemon()? {
        true => "`hoist rollout status` says how it stands",
        false => "no daemon works on this store: `hoist watch` does it first of all",
    };
    print(&format!("{order}: told; {what_next}\n"));
    Ok(Exit::Done)
}

const NONE_YET: &str =
    "no rollout: either `[rollout]` is not in fleet.toml, or nothing has changed yet\n";
const NONE_AS_HELD: &str = "no rollout: the newest commit is held; `hoist status` says why\n";

fn show(global: &Global, simulate: bool) -> Result<Exit, Failure> {
    let format = global.format();
    let (_, store) = open_to_look(global, simulate)?;
    let rollout = kept_rollout(&store)?;
    let is_watched = store.has_daemon().unwrap_or(true);
    let standing = rollout.as_ref().map(|rollout| match is_watched {
        true => rollout.standing_at(now()),
        false => rollout.standing_left_alone(),
    });
    match format {
        Format::Json => {
            let json = standing.map(|standing| standing.to_json());
            let told: Vec<_> = store.rollout_orders()?.iter().map(told_json).collect();
            print_json(&json!({"format": 1, "rollout": json, "told": told}));
        }
        _ => match (&rollout, &standing) {
            (Some(rollout), Some(standing)) => {
                print(&lines(standing));
                print(&failures(rollout));
                print(&told(&store.rollout_orders()?));
            }
            _ => {
                let held = store.fleet_state(fleet_key::HELD)?.is_some();
                print(if held { NONE_AS_HELD } else { NONE_YET });
            }
        },
    }
    Ok(Exit::Done)
}

/// A rollout in a few lines.
pub(super) fn lines(standing: &Standing) -> String {
    let Standing { from, to, state, phase, phases, reason, next, stuck: _ } = standing;
    let (from, to) = (short_revision(from), short_revision(to));
    let mut out = format!("rollout {from} -> {to}: {state}: {}\n", visible(reason));
    if let Some(next) = next {
        out.push_str(&format!("  next: {next}\n"));
    }
    if phases.iter().all(|phase| phase.devices == 0) {
        return out;
    }
    let width = phases.iter().map(|phase| phase.name.chars().count()).max().unwrap_or(0).max(5);
    out.push_str(&format!("    {:width$}  devices admitted success failure\n", "phase"));
    for standing in phases {
        let mark = if phase.as_ref() == Some(&standing.name) { '>' } else { ' ' };
        out.push_str(&format!(
            "  {mark} {:width$}  {:>7} {:>8} {:>7} {:>7}\n",
            visible(&standing.name),
            standing.devices,
            standing.admitted,
            standing.success,
            standing.failure
        ));
    }
    out
}

/// What people told and no daemon has done yet.
fn told(orders: &[RolloutOrder]) -> String {
    let line = |told: &RolloutOrder| {
        let RolloutOrder { order, who, reason, at, id: _ } = told;
        format!("  told and not done yet: {order}, {at} by {}: {}\n", visible(who), visible(reason))
    };
    orders.iter().map(line).collect()
}

fn told_json(told: &RolloutOrder) -> serde_json::Value {
    let RolloutOrder { order, who, reason, at, id: _ } = told;
    json!({"order": order, "who": who, "reason": reason, "at": at.to_string()})
}

fn failures(rollout: &Rollout) -> String {
    let failed = rollout.members.iter().filter_map(|(device, member)| match &member.place {
        Place::Failed { words } => Some(format!("  failed: {device}: {}\n", visible(words))),
        _ => None,
    });
    let mut out: String = failed.collect();
    let devices: BTreeSet<&str> =
        rollout.marks_that_count().iter().map(|mark| mark.device.as_str()).collect();
    if !devices.is_empty() {
        let devices: Vec<&str> = devices.into_iter().take(5).collect();
        out.push_str(&format!(
            "  not tried again until it changes, or `hoist rollout retry`: what failed on {}\n",
            devices.join(", ")
        ));
    }
    out
}
