//! Files in `devices/`: one device, or a list with what all of it shares.

use super::item::Item;
use super::{File, Lately, TableReader, plain_device};
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::model::{Device, DeviceId, EngineAddress, SecretName, Table};
use toml::de::DeValue;

/// What one file declares.
pub(in crate::fleet) struct DeviceFile {
    /// The devices without errors of their own, and where each one's engine is named.
    pub(in crate::fleet) devices: Vec<(Device, Option<Place>)>,
}

/// What the devices of a list share.
#[derive(Default)]
struct Shared {
    tls: Option<SecretName>,
    tags: Table,
    reported: Table,
}

/// Decodes a file; `stem` is its name without `.toml`.
pub(in crate::fleet) fn devices(file: &File, stem: &str, lately: &mut Lately) -> DeviceFile {
    match plain_device::devices(file, stem, lately) {
        Some(devices) => DeviceFile { devices },
        None => devices_with_words(file, stem),
    }
}

/// The same with words for whatever is wrong.
pub(super) fn devices_with_words(file: &File, stem: &str) -> DeviceFile {
    let Some(tree) = file.parse(&file.source.text) else {
        return DeviceFile { devices: Vec::new() };
    };
    let mut reader = TableReader::root(file, tree.get_ref(), "a device's file");
    if !reader.has("device") {
        let device = device(&mut reader, Some(stem), &Shared::default());
        reader.refuse(
            "devices",
            "there is no `devices`",
            "a list of devices is `[[device]]`, once before each of them",
        );
        reader.finish();
        let good = file.errors() == 0;
        return DeviceFile { devices: device.filter(|_| good).into_iter().collect() };
    }
    let list = reader.take("device").and_then(|item| item.list(" of tables: [[device]]"));
    let shared = Shared {
        tls: reader.take("tls").and_then(|item| item.parsed_name(SecretName::parse)),
        tags: reader.take("tags").and_then(|item| tags(&item)).unwrap_or_default(),
        reported: reader.take("reported").and_then(|item| item.any_table()).unwrap_or_default(),
    };
    for key in ["id", "engine", "reachable", "formerly"] {
        reader.refuse(
            key,
            &format!("`{key}` can't be shared: this file is a list of devices"),
            "write it into each `[[device]]`; only tags, reported and tls can be shared",
        );
    }
    reader.finish();
    let shared_is_good = file.errors() == 0;
    let mut devices = Vec::new();
    for item in list.into_iter().flatten() {
        let before = file.errors();
        let Some(mut reader) = item.table("`[[device]]`") else { continue };
        let device = device(&mut reader, None, &shared);
        reader.finish();
        if shared_is_good && file.errors() == before {
            devices.extend(device);
        }
    }
    DeviceFile { devices }
}

fn device(
    reader: &mut TableReader<'_>,
    stem: Option<&str>,
    shared: &Shared,
) -> Option<(Device, Option<Place>)> {
    let (id, place) = id(reader, stem);
    let engine = reader.take("engine");
    let engine_place = engine.as_ref().map(Item::place);
    let engine = engine.and_then(|item| item.parsed(EngineAddress::parse));
    let reachable = reader.take("reachable").and_then(|item| item.boolean()).unwrap_or(true);
    let tls = reader.take("tls").and_then(|item| item.parsed_name(SecretName::parse));
    let formerly = reader
        .take("formerly")
        .and_then(|item| item.list_of(|item| item.parsed_name(DeviceId::parse)))
        .unwrap_or_default();
    let own_tags = reader.take("tags").and_then(|item| tags(&item)).unwrap_or_default();
    let own_reported =
        reader.take("reported").and_then(|item| item.any_table()).unwrap_or_default();
    let device = Device {
        id: id?,
        engine,
        reachable,
        tls: tls.or_else(|| shared.tls.clone()),
        formerly,
        tags: over(&shared.tags, &own_tags),
        reported: over(&shared.reported, &own_reported),
        place,
    };
    Some((device, engine_place))
}

/// The id from `id =`, else from the file's name.
fn id(reader: &mut TableReader<'_>, stem: Option<&str>) -> (Option<DeviceId>, Place) {
    let place = reader.place().clone();
    let item = match stem {
        Some(_) => reader.take("id"),
        None => reader.need("id", "each device of a list has its own: `id = \"…\"`"),
    };
    if let Some(item) = item {
        return (item.parsed_name(DeviceId::parse), item.place());
    }
    let Some(stem) = stem else { return (None, place) };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let id = DeviceId::parse(stem);
    match id {
        Ok(id) if stem.chars().all(plain) => (Some(id), place),
        Ok(_) => {
            let help = "a file's name is of A-Z a-z 0-9 . _ -; give the id inside: `id = \"…\"`";
            report_stem(reader, &place, format!("`{stem}` as a file's name is no device id"), help);
            (None, place)
        }
        Err(error) => {
            let help = "rename the file, or give the id inside: `id = \"…\"`";
            report_stem(reader, &place, format!("the file's name `{stem}` is {error}"), help);
            (None, place)
        }
    }
}

fn report_stem(reader: &TableReader<'_>, place: &Place, message: String, help: &str) {
    reader.file().report(Diagnostic::new(Code::BadName, message).at(place.clone()).help(help));
}

/// Decodes a text that is nothing but tags.
pub(in crate::fleet) fn only_tags(file: &File) -> Option<Table> {
    let tree = file.parse(&file.source.text)?;
    let mut all = Table::new();
    for item in TableReader::root(file, tree.get_ref(), "tags").entries() {
        check_key(&item);
        check_tag_keys(&item);
        all.insert(item.name.to_owned(), item.any()?);
    }
    (file.errors() == 0).then_some(all)
}

/// Tags: a table without `/` and `;` in its keys, on every level.
fn tags(item: &Item<'_>) -> Option<Table> {
    let table = item.any_table()?;
    check_tag_keys(item);
    Some(table)
}

fn check_tag_keys(item: &Item<'_>) {
    match item.value.get_ref() {
        DeValue::Table(_) => {
            for entry in item.table("tags").iter().flat_map(TableReader::entries) {
                check_key(&entry);
                check_tag_keys(&entry);
            }
        }
        DeValue::Array(items) => {
            for value in items {
                check_tag_keys(&Item { value, ..*item });
            }
        }
        _ => {}
    }
}

fn check_key(entry: &Item<'_>) {
    if let Some(c) = entry.name.chars().find(|c| matches!(c, '/' | ';')) {
        let message = format!("a tag's key can't hold `{c}`: `{}`", entry.name);
        entry.report_key(Code::BadName, message, None);
    }
    if entry.name.is_empty() {
        entry.report_key(Code::BadName, "a tag's key is empty", None);
    }
}

fn over(shared: &Table, own: &Table) -> Table {
    let mut merged = shared.clone();
    merged.overlay(own);
    merged
}
