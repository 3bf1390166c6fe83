//! `hoist restart`: one module, by hand.

use super::exit::{Exit, Failure};
use super::one_module::{self, ModuleArguments, OneModule};
use super::opened::format;
use super::output::{print, print_json};
use super::run::{block_on, now, who};
use super::{Format, Global};
use crate::diagnostic::render::visible;
use crate::engine::{EngineError, SecretValues};
use crate::fleet::decode_manifest;
use crate::model::{Module, Status};
use crate::plan::{Role, restart_steps};
use crate::reconcile::Reached;
use crate::store::HistoryEntry;
use serde_json::json;

/// Restart a module on its device
///
/// The same container is stopped and started, and must come up. Nothing else changes: its settings, its twin
/// and what the fleet wants stay. Recorded in the history, as what apply does.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    module: ModuleArguments,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = format(global, &[Format::Text, Format::Json])?;
    let one = one_module::open(global, &arguments.module)?;
    let _lock = one.store.lock()?;
    let module = in_force(&one)?;
    let result = block_on(async {
        let reached = one.reach(&[Role::Current]).await?;
        Ok::<_, Failure>(restart(&reached, &module).await)
    })??;
    let outcome = match &result {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("failed: {error}"),
    };
    let revision =
        one.stored.as_ref().and_then(|stored| Some(stored.in_force.as_ref()?.revision.clone()));
    one.store.append_history(&[HistoryEntry {
        at: now(),
        who: who(),
        device: Some(one.device.id.clone()),
        from: revision.clone(),
        to: revision,
        action: "restart".to_owned(),
        module: Some(one.module.clone()),
        reason: arguments.reason.clone().unwrap_or_else(|| "by hand".to_owned()),
        outcome: outcome.clone(),
    }])?;
    match format {
        Format::Json => print_json(&json!({
            "format": 1,
            "device": one.device.id.as_str(),
            "module": one.module.as_str(),
            "ok": result.is_ok(),
            "outcome": outcome,
        })),
        _ => print(&format!("{} {}: restart {}\n", one.device.id, one.module, visible(&outcome))),
    }
    Ok(if result.is_ok() { Exit::Done } else { Exit::Failed })
}

async fn restart(reached: &Reached, module: &Module) -> Result<(), EngineError> {
    for step in restart_steps(module, &reached.container) {
        tracing::info!(%step, "by hand");
        reached.engine.execute(&step, &SecretValues::default()).await?;
    }
    Ok(())
}

/// The module as the device has it: how long it may take to stop, and whether it should run at all.
fn in_force(one: &OneModule) -> Result<Module, Failure> {
    let OneModule { device, module, stored, .. } = one;
    let in_force =
        stored.as_ref().and_then(|stored| stored.in_force.as_ref()).ok_or_else(|| {
            Failure::new(format!("nothing was applied to {} from here yet", device.id))
                .help("`hoist apply` brings it to what the fleet says")
        })?;
    let manifest = decode_manifest(&device.id, &in_force.manifest).map_err(|_| {
        Failure::new(format!("what {} has can't be read from the store", device.id))
    })?;
    let found = manifest.modules.get(module.as_str()).ok_or_else(|| {
        let names: Vec<&str> = manifest.modules.keys().map(AsRef::as_ref).collect();
        Failure::new(format!("{} has no module `{module}`; it has {}", device.id, names.join(", ")))
    })?;
    if found.status == Status::Stopped {
        return Err(Failure::new(format!(
            "{module} is stopped on {}, as the fleet says",
            device.id
        ))
        .help("give it `status = \"running\"`"));
    }
    Ok(found.clone())
}
