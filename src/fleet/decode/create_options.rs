//! `create-options`: opaque, but for what would take a container out of Hoist's hands.

use super::item::Item;
use super::module::refuse_own_label;
use crate::diagnostic::Code;
use crate::model::Table;
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
            "hostconfig" => {
                for option in entries(&entry) {
                    if option.name.eq_ignore_ascii_case("RestartPolicy") {
                        refuse(
                            &option,
                            "`HostConfig.RestartPolicy` can't stand in create-options",
                            "write `restart-policy = \"always\"`, \"on-failure\", \"on-unhealthy\" or \"never\"",
                        );
                    }
                }
            }
            _ => {}
        }
    }
    Some(table)
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
