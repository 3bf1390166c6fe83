//! Files in `deployments/`: one deployment each.

use super::entry::{LayerKeys, module_entry};
use super::item::Item;
use super::rollout::tightening;
use super::{File, TableReader, Texts};
use crate::diagnostic::{Code, Diagnostic};
use crate::language::{Condition, ParsedRoute, Query};
use crate::model::{
    Deployment, DeploymentId, DeploymentKind, DeviceId, Metric, ModuleEntry, ModuleName, Route,
    RouteEnds, RouteName, Target, Timestamp,
};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// Which kind a file says, before what belongs to it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Automatic,
    Layered,
    Device,
    /// Not a word for one: nothing that depends on it is reported.
    Unclear,
}

/// Decodes a file; `stem` is its name without `.toml`. `None` if it has errors.
pub(in crate::fleet) fn deployment(
    file: &File,
    stem: &str,
) -> Option<Deployment<Condition, Query>> {
    let tree = file.parse(&file.source.text)?;
    let mut reader = TableReader::root(file, tree.get_ref(), "a deployment's file");
    let place = file.place(0..0);
    let id = DeploymentId::parse(stem);
    if let Err(error) = &id {
        let message = format!("the file's name `{stem}` is {error}");
        file.report(
            Diagnostic::new(Code::BadName, message).at(place.clone()).help("rename the file"),
        );
    }
    let which = which_kind(&mut reader);
    let priority_item = reader.take("priority");
    let kind = kind(&mut reader, which);
    let priority_place = priority_item.map(|item| item.place());
    let priority = priority_item.and_then(|item| item.count(0)).unwrap_or(0);
    let created = reader.take("created").and_then(|item| created(&item));
    let labels = reader.take("labels").and_then(|item| item.texts(Item::template));
    let layer_keys = match which {
        Kind::Layered => LayerKeys::Taken,
        Kind::Automatic | Kind::Device => LayerKeys::Refused,
        Kind::Unclear => LayerKeys::Ignored,
    };
    let modules = reader.take("modules").and_then(|item| modules(&item, layer_keys));
    let routes = reader.take("routes").and_then(|item| routes(&item));
    let metrics = reader.take("metrics").and_then(|item| {
        item.texts(|item| Some(Metric { query: item.query()?, place: item.place() }))
    });
    let phased = reader.take("phased").and_then(|item| item.boolean()).unwrap_or(true);
    let rollout = reader.take("rollout").and_then(|item| tightening(&item)).unwrap_or_default();
    let azure = reader.take("azure").and_then(|item| item.any_template_table()).unwrap_or_default();
    reader.finish();
    if file.errors() > 0 {
        return None;
    }
    Some(Deployment {
        id: id.ok()?,
        kind: kind?,
        priority,
        created,
        labels: labels.unwrap_or_default(),
        modules: modules.unwrap_or_default(),
        routes: routes.unwrap_or_default(),
        metrics: metrics.unwrap_or_default(),
        phased,
        rollout,
        azure,
        place,
        priority_place,
    })
}

/// The kind that the file says. If its line may be lost or misspelt, nobody knows.
fn which_kind(reader: &mut TableReader<'_>) -> Kind {
    let Some(item) = reader.take("kind") else {
        let lost = reader.file().is_broken() || reader.has_misspelt("kind");
        return if lost { Kind::Unclear } else { Kind::Automatic };
    };
    let kind = item.word(&["automatic", "layered", "device"], |word| match word {
        "automatic" => Some(Kind::Automatic),
        "layered" => Some(Kind::Layered),
        "device" => Some(Kind::Device),
        _ => None,
    });
    kind.unwrap_or(Kind::Unclear)
}

fn kind(reader: &mut TableReader<'_>, which: Kind) -> Option<DeploymentKind<Condition>> {
    if which == Kind::Device {
        reader.refuse(
            "target",
            "a deployment of kind `device` has no `target`",
            "it names its device: `device = \"ID\"`",
        );
        reader.refuse(
            "priority",
            "a deployment of kind `device` has no `priority`",
            "it is the base of its device, whatever else there is: take the line away",
        );
        let item = reader.need("device", "say whose base it is: `device = \"ID\"`")?;
        let device = item.parsed_name(DeviceId::parse)?;
        return Some(DeploymentKind::Device { device, place: item.place() });
    }
    if which == Kind::Unclear {
        reader.take("device");
    } else {
        reader.refuse(
            "device",
            "only a deployment of kind `device` has a `device`",
            "write `kind = \"device\"`, or `target = \"deviceId = '…'\"`",
        );
    }
    let item = reader.take("target");
    let target = Target {
        condition: item.as_ref().and_then(Item::condition),
        place: item.map_or_else(|| reader.place().clone(), |item| item.place()),
    };
    match which {
        Kind::Layered => Some(DeploymentKind::Layered(target)),
        Kind::Automatic => Some(DeploymentKind::Automatic(target)),
        Kind::Device | Kind::Unclear => None,
    }
}

fn created(item: &Item<'_>) -> Option<Timestamp> {
    let help = "write a moment with its zone: `created = 2026-01-05T09:00:00Z`";
    let text = match item.value.get_ref() {
        DeValue::Datetime(date) => date.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => {
            let message = "`created`: expected a date with time and zone";
            item.report(Code::WrongType, message, Some(help.to_owned()));
            return None;
        }
    };
    let parsed = Timestamp::parse(&text);
    if parsed.is_err() {
        let message = format!("`{text}` lacks its zone, or is no moment");
        item.report(Code::BadValue, message, Some(help.to_owned()));
    }
    parsed.ok()
}

fn modules(item: &Item<'_>, layer: LayerKeys) -> Option<BTreeMap<ModuleName, ModuleEntry>> {
    let table = item.table("`[modules]`")?;
    let mut modules = BTreeMap::new();
    for item in table.entries() {
        if !matches!(item.value.get_ref(), DeValue::Table(_) | DeValue::Array(_)) {
            let message = format!("`{}` is no module", item.name);
            let help = "each module is a table of its own: `[modules.NAME]`";
            item.report_key(Code::WrongType, message, Some(help.to_owned()));
            continue;
        }
        let name = ModuleName::parse(item.name);
        if let Err(error) = &name {
            let message = format!("`{}` is {error}", item.name);
            item.report_key(Code::BadName, message, None);
        }
        if let (Some(entry), Ok(name)) = (module_entry(&item, layer), name) {
            modules.insert(name, entry);
        }
    }
    Some(modules)
}

fn routes(item: &Item<'_>) -> Option<BTreeMap<RouteName, Route>> {
    let table = item.table("`[routes]`")?;
    let mut routes = BTreeMap::new();
    for item in table.entries() {
        let name = RouteName::parse(item.name);
        if let Err(error) = &name {
            let message = format!("`{}` is {error}", item.name);
            item.report_key(Code::BadName, message, None);
        }
        if let (Some(route), Ok(name)) = (route(&item), name) {
            routes.insert(name, route);
        }
    }
    Some(routes)
}

/// A route: its text, or a table with more.
pub(in crate::fleet) fn route(item: &Item<'_>) -> Option<Route> {
    if matches!(item.value.get_ref(), DeValue::String(_)) {
        let (text, ends) = route_text(item)?;
        let place = item.place();
        return Some(Route { text, ends, priority: None, time_to_live: None, place });
    }
    if !matches!(item.value.get_ref(), DeValue::Table(_)) {
        item.wrong_type("a route: a string, or a table with `route`");
        return None;
    }
    let mut table = item.table(format!("route `{}`", item.name))?;
    let written = table
        .need("route", "write `route = \"FROM … INTO …\"`")
        .and_then(|item| Some((route_text(&item)?, item.place())));
    let priority = table
        .take("priority")
        .and_then(|item| item.integer(0, 9))
        .and_then(|priority| u8::try_from(priority).ok());
    let time_to_live = table.take("time-to-live").and_then(|item| item.duration());
    table.finish();
    let ((text, ends), place) = written?;
    Some(Route { text, ends, priority, time_to_live, place })
}

/// A route's text and what it says of modules.
fn route_text(item: &Item<'_>) -> Option<(String, Option<RouteEnds>)> {
    let text = item.text_of_size("route")?;
    match ParsedRoute::parse(text) {
        // In a name it was refused with better words; here it stands in a text.
        Ok(_) if item.refuse_template("route", text) => None,
        Ok(parsed) => {
            let places = item.places_within(text);
            let ends = RouteEnds {
                source: parsed.source().clone(),
                source_place: places.of(parsed.source_span()),
                sink: parsed.sink().clone(),
                sink_place: places.of(parsed.sink_span()),
            };
            Some((text.to_owned(), Some(ends)))
        }
        // A manifest that is in force is read whatever it says: it has been accepted once.
        Err(_) if item.file.texts == Texts::Filled => Some((text.to_owned(), None)),
        Err(errors) => {
            item.refuse_code(Code::BadRoute, text, errors);
            None
        }
    }
}
