//! `create-options`: opaque, but for what would take a container out of Hoist's hands.

use super::item::Item;
use super::module::refuse_own_label;
use crate::diagnostic::Code;
use crate::model::{ENGINE_FILES_TAKEN, Table, bind_target, is_engine_files};
use toml::de::DeValue;

/// Decodes the table and refuses what Hoist sets itself. Engines match keys in any letter case.
pub(super) fn decode(item: &Item<'_>) -> Option<Table> {
    let table = item.any_template_table()?;
    for entry in entries(item) {
        match entry.name.to_ascii_lowercase().as_str() {
            "image" => {
                refuse(&entry, "`Image` can't stand in create-options", "write `image = \"…\"`");
            }
            "labels" => {
                for label in entries(&entry) {
                    refuse_own_label(&label);
                }
            }
            "volumes" if mounts_engine_files(entry.value.get_ref()) => {
                refuse(&entry, ENGINE_FILES_TAKEN, "mount it at another path");
            }
            "hostconfig" => {
                entries(&entry).iter().for_each(host_option);
            }
            _ => {}
        }
    }
    Some(table)
}

fn host_option(option: &Item<'_>) {
    let value = option.value.get_ref();
    match option.name.to_ascii_lowercase().as_str() {
        "restartpolicy" => refuse(
            option,
            "`HostConfig.RestartPolicy` can't stand in create-options",
            "write `restart-policy = \"always\"`, \"on-failure\", \"on-unhealthy\" or \"never\"",
        ),
        "autoremove" if !matches!(value, DeValue::Boolean(false)) => refuse(
            option,
            "`HostConfig.AutoRemove` can't stand in create-options",
            "take it away: what an engine removes when it stops can't be put back where its successor fails",
        ),
        "binds" | "mounts" | "tmpfs" if mounts_engine_files(value) => {
            refuse(option, ENGINE_FILES_TAKEN, "mount it at another path");
        }
        _ => {}
    }
}

/// Whether one of these binds, mounts or temporary file systems lies where a module's twin lies.
fn mounts_engine_files(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Array(items) => items.iter().any(|item| match item.get_ref() {
            DeValue::String(bind) => is_engine_files(bind_target(bind)),
            DeValue::Table(mount) => mount.iter().any(|(key, target)| {
                key.get_ref().eq_ignore_ascii_case("Target")
                    && target.get_ref().as_str().is_some_and(is_engine_files)
            }),
            _ => false,
        }),
        DeValue::Table(paths) => paths.keys().any(|path| is_engine_files(path.get_ref())),
        _ => false,
    }
}

fn refuse(item: &Item<'_>, message: &str, help: &str) {
    item.report_key(Code::MisplacedKey, message, Some(help.to_owned()));
}

fn entries<'a>(item: &Item<'a>) -> Vec<Item<'a>> {
    match item.value.get_ref() {
        DeValue::Table(_) => item
            .table("create-options")
            .iter()
            .flat_map(super::reader::TableReader::entries)
            .collect(),
        _ => Vec::new(),
    }
}
