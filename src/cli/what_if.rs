//! `hoist what-if`: the diff of an edit of a device that is not made.

use super::Global;
use super::diff::{exit_of, require_facts, show};
use super::exit::{Exit, Failure};
use super::opened::{Opened, device, fleet_folder, read_tree, valid};
use super::output::say_diagnostics;
use super::sides::FactsArguments;
use crate::diagnostic::did_you_mean;
use crate::fleet::{Fleet, Loaded, decode_tags, load};
use crate::model::{Device, Facts, Value};
use crate::resolve::{check, check_loaded};
use crate::review::{DiffOptions, Side, diff};
use std::sync::Arc;

/// Show what other tags on a device would change
///
/// The edit is not made: the fleet is looked at as if it had been.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("edit").args(["set", "unset"]).required(true).multiple(true))]
pub(super) struct Arguments {
    /// Give the device a tag: `ring=3`, `location.floor=4`; what is no TOML value is text
    #[arg(long, value_name = "TAG=VALUE")]
    set: Vec<String>,
    /// Take a tag away, before any is given
    #[arg(long, value_name = "TAG")]
    unset: Vec<String>,
    /// The device; may be given several times
    #[arg(long = "device", value_name = "ID", required = true)]
    devices: Vec<String>,
    #[command(flatten)]
    facts: FactsArguments,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let Arguments { set, unset, devices, facts } = arguments;
    let format = global.format();
    let folder = fleet_folder(global)?;
    let (tree, name, revision) = read_tree(&folder, global.revision.as_deref(), &|_| {})?;
    let mut base = valid(global, check(&tree), name, revision)?;
    let unset: Vec<Vec<String>> = unset.iter().map(|tag| path_of(tag)).collect::<Result<_, _>>()?;
    let set: Vec<(Vec<String>, Value)> =
        set.iter().map(|text| tag_of(global, text)).collect::<Result<_, _>>()?;
    let mut loaded = load(&tree);
    if let Some(fleet) = &mut loaded.fleet {
        for id in devices {
            let mut edited: Device = device(fleet, id)?.clone();
            for path in &unset {
                take_away(&mut edited, path)?;
            }
            for (path, value) in &set {
                edited.tags.set_at(path, value.clone());
            }
            Arc::make_mut(&mut fleet.devices).insert(Arc::new(edited));
        }
    }
    let mut head = edited(global, loaded, &base)?;
    let facts_given = facts.state(&[&head.fleet])?.map(|state| state.facts());
    if let Some(facts) = &facts_given {
        base.see(facts);
        head.see(facts);
    }
    let known = facts_given.unwrap_or_else(Facts::none);
    let diff = diff(side(&base, &known), side(&head, &known), &DiffOptions::default());
    show(global, format, &diff);
    require_facts(&diff, facts)?;
    Ok(exit_of(&diff))
}

/// The edited fleet goes through the checks that any fleet goes through.
fn edited(global: &Global, loaded: Loaded, base: &Opened) -> Result<Opened, Failure> {
    let name = format!("{} with this edit", base.name);
    let checked = check_loaded(loaded);
    if checked.fleet.is_none() {
        say_diagnostics(global, &checked.diagnostics);
        return Err(Failure::new("with this edit the fleet is not valid")
            .help("nothing was changed; the edit was only tried"));
    }
    valid(global, checked, name, base.revision.clone())
}

fn side<'a>(opened: &'a Opened, facts: &'a Facts) -> Side<'a> {
    let Opened { fleet, resolution, name, warnings, .. } = opened;
    let fleet: (&Fleet, _) = (fleet, resolution);
    Side::of_files(name, Some(fleet), facts, warnings)
}

/// A tag's path: `ring`, `location.floor`, `"a.b"`, as TOML has it.
fn path_of(tag: &str) -> Result<Vec<String>, Failure> {
    let wrong = || {
        Failure::new(format!("`{tag}` is no tag's name")).help(
            "write `ring`, or `location.floor` for a tag in a table; a name with other characters \
             than letters, digits, - and _ stands in quotes",
        )
    };
    if tag.contains(['\n', '[', '#']) {
        return Err(wrong());
    }
    let mut table = decode_tags("--set", &format!("{tag} = 0")).map_err(|_| wrong())?;
    let mut path = Vec::new();
    loop {
        let mut entries = table.into_iter();
        match (entries.next(), entries.next()) {
            (Some((key, Value::Table(below))), None) => {
                path.push(key.to_string());
                table = below;
            }
            (Some((key, Value::Integer(0))), None) => {
                path.push(key.to_string());
                return Ok(path);
            }
            _ => return Err(wrong()),
        }
    }
}

/// A tag and its value, of `TAG=VALUE`.
fn tag_of(global: &Global, text: &str) -> Result<(Vec<String>, Value), Failure> {
    let Some((tag, value)) = text.split_once('=') else {
        return Err(Failure::new(format!("`{text}` is no tag with a value"))
            .help("write `--set TAG=VALUE`, or take a tag away with `--unset TAG`"));
    };
    let path = path_of(tag.trim())?;
    if value.trim().parse::<toml::Value>().is_err() {
        return Ok((path, Value::from(value)));
    }
    let table = decode_tags("--set", &format!("value = {value}")).map_err(|problems| {
        say_diagnostics(global, &problems);
        Failure::new(format!("`{value}` can't be a tag's value"))
    })?;
    let mut values = table.into_iter();
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok((path, value)),
        _ => Ok((path, Value::from(value))),
    }
}

fn take_away(device: &mut Device, path: &[String]) -> Result<(), Failure> {
    if device.tags.remove_at(path).is_some() {
        return Ok(());
    }
    let tag = path.join(".");
    let failure = Failure::new(format!("device `{}` has no tag `{tag}`", device.id));
    Err(match did_you_mean(&tag, device.tags.keys().map(|key| &**key)) {
        Some(help) => failure.help(help),
        None => failure,
    })
}
