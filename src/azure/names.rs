//! Names that fleet files don't take, made into ones that they do; said aloud each time.
//!
//! A name that holds a placeholder is left as it is: `validate` refuses it until it is filled.

use super::module::Desk;
use super::placeholder;
use crate::model::{DeploymentId, ModuleName, RouteName, SecretName};
use std::collections::{BTreeMap, BTreeSet};

/// The names of one deployment: as they were → as they are.
#[derive(Debug, Default)]
pub(super) struct Names {
    modules: Kind,
    routes: Kind,
}

/// The names of one kind.
#[derive(Debug, Default)]
struct Kind {
    /// As they were → as they are.
    known: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Names {
    /// A module's name.
    pub(super) fn module(&mut self, desk: &mut Desk<'_>, name: &str, at: usize) -> String {
        let good = |text: &str| ModuleName::parse(text).is_ok();
        name_in(&mut self.modules, desk, ("module", name, at), &good)
    }

    /// A route's name.
    pub(super) fn route(&mut self, desk: &mut Desk<'_>, name: &str, at: usize) -> String {
        let good = |text: &str| RouteName::parse(text).is_ok();
        name_in(&mut self.routes, desk, ("route", name, at), &good)
    }

    /// Modules whose name is another one now.
    pub(super) fn renamed_modules(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs =
            self.modules.known.iter().map(|(before, after)| (before.as_str(), after.as_str()));
        pairs.filter(|(before, after)| before != after)
    }
}

fn name_in(
    kind: &mut Kind,
    desk: &mut Desk<'_>,
    (what, name, at): (&str, &str, usize),
    good: &dyn Fn(&str) -> bool,
) -> String {
    if let Some(known) = kind.known.get(name) {
        return known.clone();
    }
    let named = if good(name) && !kind.taken.contains(name) {
        name.to_owned()
    } else if !good(name) && placeholder::first(name).is_some() {
        desk.placeholders.refuse(name, at, desk.file);
        name.to_owned()
    } else {
        let new = valid(name, what, &kind.taken, good);
        let message =
            format!("{what} `{name}` is named `{new}` here: `{name}` is no name of a {what}");
        desk.warn(message, at);
        new
    };
    kind.known.insert(name.to_owned(), named.clone());
    kind.taken.insert(named.clone());
    named
}

/// A name near another one that is valid and not taken.
fn valid(name: &str, what: &str, taken: &BTreeSet<String>, good: &dyn Fn(&str) -> bool) -> String {
    let fits = |text: &String| good(text) && !taken.contains(text.as_str());
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '-' };
    let text: String = name.trim().chars().map(plain).collect();
    let text = text.trim_start_matches(['-', '_']);
    let cut: String = text.chars().take(50).collect();
    let named = match cut.as_str() {
        "" => what.to_owned(),
        _ if good(&cut) => cut,
        _ => format!("{what}-{cut}"),
    };
    let base = if good(&named) { named } else { what.to_owned() };
    let numbered = (2_u64..).map(|n| format!("{base}-{n}"));
    std::iter::once(base.clone()).chain(numbered).find(fits).expect("some number is free")
}

/// A deployment's id from a file's name or an id of Azure, not among those that are taken. Ids that differ
/// only in case are taken too: they would be one file on some systems.
pub(super) fn deployment_id(text: &str, taken: &BTreeSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let cut: String = text.chars().map(plain).collect();
    let cut: String = cut.trim_start_matches(['-', '_', '.']).chars().take(120).collect();
    let base = if DeploymentId::parse(&cut).is_ok() { cut } else { "deployment".to_owned() };
    let free = |id: &String| !taken.contains(&id.to_ascii_lowercase());
    if free(&base) {
        return base;
    }
    (2_u64..).map(|n| format!("{base}-{n}")).find(free).expect("some number is free")
}

/// The name of a secret for a registry's credentials.
pub(super) fn secret(name: &str, host: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    for text in [name, host] {
        let text: String = text.chars().map(plain).collect();
        let text: String = text.trim_matches(['-', '_', '.']).chars().take(63).collect();
        if SecretName::parse(&text).is_ok() {
            return text;
        }
    }
    "registry".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_valid_and_stay_apart() {
        let good = |text: &str| ModuleName::parse(text).is_ok();
        let none = BTreeSet::new();
        for (name, expected) in [
            ("a.b", "a-b"),
            ("x", "module-x"),
            ("edgeHub", "module-edgeHub"),
            ("hoist-x", "module-hoist-x"),
            ("_a", "module-a"),
            ("ü", "module"),
            ("", "module"),
        ] {
            assert_eq!(valid(name, "module", &none, &good), expected, "{name}");
        }
        let taken = ["a-b", "module"].map(str::to_owned).into();
        assert_eq!(valid("a.b", "module", &taken, &good), "a-b-2");
        assert!(good(&valid(&"m".repeat(128), "module", &none, &good)));
    }

    #[test]
    fn ids_come_from_files_and_from_azure() {
        let mut taken = BTreeSet::new();
        assert_eq!(deployment_id("deployment.template", &taken), "deployment.template");
        assert_eq!(deployment_id("a+b%c", &taken), "a-b-c");
        assert_eq!(deployment_id("*", &taken), "deployment");
        taken.insert("base".to_owned());
        assert_eq!(deployment_id("Base", &taken), "Base-2");
        assert_eq!(secret("puller", "r.example.com"), "puller");
        assert_eq!(secret("", "r.example.com:5000"), "r.example.com-5000");
        assert_eq!(secret("my registry", "r"), "my-registry");
    }
}
