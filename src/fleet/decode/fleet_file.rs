//! `fleet.toml`: the fleet without its devices and deployments.

use super::entry::defaults;
use super::item::Item;
use super::rollout::rollout;
use super::{File, TableReader};
use crate::diagnostic::{Code, Level, did_you_mean};
use crate::fleet::{Fleet, Guards, LintLevels, ModuleWord};
use crate::model::{FleetName, ModuleName, SecretName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decodes `fleet.toml`. A fleet without a good name gets one that says so, as its errors are in the file:
/// more problems can then be found.
pub(in crate::fleet) fn fleet(file: &File) -> Option<Fleet> {
    let tree = file.parse(&file.source.text)?;
    let mut reader = TableReader::root(file, tree.get_ref(), "fleet.toml");
    let mut place = file.place(0..0);
    let name = reader
        .need(
            "name",
            "write `name = \"…\"` at the top: of a-z 0-9 -, it goes into every container's labels",
        )
        .and_then(|item| {
            place = item.place();
            item.parsed_name(FleetName::parse)
        })
        .unwrap_or_else(|| FleetName::parse("unnamed").expect("it follows the rule"));
    let formerly = reader
        .take("formerly")
        .and_then(|item| item.list_of(|item| item.parsed_name(FleetName::parse)))
        .unwrap_or_default();
    let (defaults, default_places) =
        reader.take("defaults").and_then(|item| defaults(&item)).unwrap_or_default();
    let registries = reader.take("registries").and_then(|item| registries(&item));
    let reported_properties =
        reader.take("reported-properties").and_then(|item| item.texts(module_word));
    let lints = reader.take("lints").and_then(|item| lints(&item));
    let guards = reader.take("guards").and_then(|item| guards(&item));
    let rollout = reader.take("rollout").and_then(|item| rollout(&item));
    let subnet = reader.take("network").and_then(|item| {
        let mut network = item.table("`[network]`")?;
        let subnet = network.take("subnet").and_then(|item| item.parsed(parse_subnet));
        network.finish();
        subnet
    });
    reader.finish();
    Some(Fleet {
        name,
        formerly,
        defaults,
        default_places,
        registries: registries.unwrap_or_default(),
        reported_properties: reported_properties.unwrap_or_default(),
        lints: lints.unwrap_or_default(),
        guards: guards.unwrap_or_default(),
        rollout,
        subnet,
        devices: Arc::default(),
        deployments: BTreeMap::new(),
        place,
    })
}

fn registries(item: &Item<'_>) -> Option<BTreeMap<String, SecretName>> {
    item.texts(|item| {
        let host = item.name;
        if !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c)) {
            item.report_key(
                Code::BadName,
                format!("`{host}` is no registry"),
                Some(
                    "write its host and port as images have it: `registry.example.com:5000`".into(),
                ),
            );
        }
        let mut registry = item.table(format!("`[registries.\"{host}\"]`"))?;
        let credentials = registry
            .need(
                "credentials",
                "write `credentials = \"NAME\"`: the name of a secret on the control host",
            )
            .and_then(|item| item.parsed_name(SecretName::parse));
        registry.finish();
        credentials
    })
}

fn module_word(item: &Item<'_>) -> Option<ModuleWord> {
    item.parsed(|text| {
        let wrong = || format!("`{text}` is no word of a module; write `MODULE.KEY`");
        let (module, path) = text.split_once('.').ok_or_else(wrong)?;
        let module = ModuleName::parse(module).map_err(|error| format!("`{module}` is {error}"))?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(ModuleWord { module, path })
    })
}

/// A policy: a file with nothing but `[lints]`.
pub(in crate::fleet) fn lint_levels(file: &File) -> Option<LintLevels> {
    let tree = file.parse(&file.source.text)?;
    let mut reader = TableReader::root(file, tree.get_ref(), "a policy");
    let help =
        "a policy is a file with levels: `[lints]`, then lines such as `mutable-image = \"error\"`";
    let levels = reader.need("lints", help).and_then(|item| lints(&item));
    reader.finish();
    levels
}

fn lints(item: &Item<'_>) -> Option<LintLevels> {
    let table = item.table("`[lints]`")?;
    let mut lints = BTreeMap::new();
    for item in table.entries() {
        let name = item.name;
        let level = item.word(&["allow", "warn", "error"], |word| match word {
            "allow" => Some(None),
            "warn" => Some(Some(Level::Warn)),
            "error" => Some(Some(Level::Error)),
            _ => None,
        });
        match Code::parse(name) {
            Some(code) if code.is_lint() => {
                if let Some(level) = level {
                    lints.insert(code, level);
                }
            }
            Some(_) => item.report_key(
                Code::BadValue,
                format!("`{name}` is always an error; `[lints]` can't change it"),
                None,
            ),
            None => {
                let all = Code::ALL.iter().filter(|code| code.is_lint()).map(|code| code.as_str());
                item.report_key(
                    Code::UnknownKey,
                    format!("there is no lint `{name}`"),
                    did_you_mean(name, all),
                );
            }
        }
    }
    Some(lints)
}

fn guards(item: &Item<'_>) -> Option<Guards> {
    let mut table = item.table("`[guards]`")?;
    let built_in = Guards::default();
    let guards = Guards {
        max_devices_disrupted: table
            .take("max-devices-disrupted")
            .and_then(|item| item.amount())
            .unwrap_or(built_in.max_devices_disrupted),
        max_modules_removed: table
            .take("max-modules-removed")
            .and_then(|item| item.count(0))
            .unwrap_or(built_in.max_modules_removed),
        allow_empty: table
            .take("allow-empty")
            .and_then(|item| item.boolean())
            .unwrap_or(built_in.allow_empty),
    };
    table.finish();
    Some(guards)
}

fn parse_subnet(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is no subnet; write `10.210.0.0/24`");
    let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
    let address: std::net::IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 30 } else { 126 };
    match bits.parse::<u8>() {
        Ok(bits) if (1..=most).contains(&bits) => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is no subnet: its length is 1 to {most}")),
    }
}
