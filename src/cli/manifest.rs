//! `hoist manifest DEVICE`: the merged desired state of one device.

use super::exit::{Exit, Failure};
use super::opened::{device, open};
use super::output::{print, print_json, say};
use super::seen::SeenDevice;
use super::{Format, Global};
use crate::azure::export;
use crate::diagnostic::render::visible;
use crate::fleet::print_manifest;
use crate::model::{Value, manifest_hash, manifest_table, module_hashes};
use crate::resolve::resolve;
use serde_json::json;

/// Show the merged manifest of a device
///
/// Where a control host's store is here, with what the device reports.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The device's id
    device: String,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    let mut opened = open(global, global.revision.as_deref())?;
    let device = &device(&opened.fleet, &arguments.device)?.clone();
    if let Some(seen) = SeenDevice::of(global, &opened.fleet, &device.id, arguments.simulate) {
        opened.resolution = resolve(&opened.fleet, &seen.facts());
    }
    let manifest = match opened.resolution.manifest(&opened.fleet, &device.id) {
        Some(Ok(manifest)) => manifest,
        Some(Err(errors)) => {
            let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Err(Failure::new(words.join("; ")));
        }
        None => {
            return Err(Failure::new(format!(
                "no base targets device `{}`: what it has stays in force",
                device.id
            ))
            .help(format!("`hoist explain {}` says why", device.id)));
        }
    };
    if format == Format::Azure {
        let exported = export(&opened.fleet, &manifest).map_err(Failure::new)?;
        print_json(&exported.json);
        for warning in &exported.warnings {
            say(&format!("warning: {}", visible(warning)));
        }
    } else if format == Format::Json {
        let mut json = Value::Table(manifest_table(&manifest)).to_json();
        json["format"] = 1.into();
        json["device"] = device.id.as_str().into();
        json["revision"] = opened.name.as_str().into();
        json["hash"] = manifest_hash(&manifest).as_str().into();
        for (name, module) in &manifest.modules {
            let hashes = module_hashes(module, &manifest.routes);
            json["modules"][name.as_str()]["hashes"] = json!({
                "spec": hashes.spec.as_str(),
                "settings": hashes.settings.as_str(),
                "twin": hashes.twin.as_str(),
            });
        }
        print_json(&json);
    } else {
        print(&print_manifest(&manifest, &format!("{} @ {}", device.id, opened.name)));
    }
    Ok(Exit::Done)
}
