//! What is in force on a device after a pass: what was wanted, but for modules whose change did not come about.
//!
//! Enters: the manifest that a device is brought to, what runs, what was in force before. Leaves: an [`InForce`] whose
//! manifest is what is there: a module whose successor failed is in it as it was. Its hash stays that of the manifest
//! that the device was brought to, by which it is known what was tried. Pure.

use crate::fleet::decode_manifest;
use crate::model::{Hash, HashedManifest, Manifest, Module, ModuleName};
use crate::store::InForce;
use std::collections::{BTreeMap, BTreeSet};

/// What runs of ours, and what should.
pub(super) struct Running<'a> {
    /// The specification labels that containers in place of the manifest's modules bear.
    pub(super) bears: BTreeMap<&'a ModuleName, &'a str>,
    /// Those that they bear once all is as wanted.
    pub(super) specs: &'a BTreeMap<ModuleName, Hash>,
    /// Modules that run and that the manifest does not have.
    pub(super) others: BTreeSet<ModuleName>,
}

/// What is in force.
pub(super) fn in_force(
    manifest: &HashedManifest,
    running: &Running<'_>,
    former: Option<&InForce>,
    revision: &str,
) -> InForce {
    let Running { bears, specs, others } = running;
    let is_there = |name: &ModuleName| {
        let spec = specs.get(name).map(Hash::as_str);
        spec.is_some() && bears.get(name).copied() == spec
    };
    let brought_to = |there: &Manifest| InForce::of(there, manifest.hash().clone(), revision);
    if others.is_empty() && manifest.modules.keys().all(is_there) {
        return brought_to(manifest);
    }
    let former = former.and_then(|former| decode_manifest(&manifest.device, &former.manifest).ok());
    let had = former.map(|former| former.modules).unwrap_or_default();
    let stays = |name: &ModuleName| {
        had.get_key_value(name.as_str()).map(|(name, module)| (name.clone(), module.clone()))
    };
    let wanted = manifest.modules.iter().filter_map(|(name, module)| match is_there(name) {
        true => Some((name.clone(), module.clone())),
        false => stays(name),
    });
    let modules: BTreeMap<ModuleName, Module> =
        wanted.chain(others.iter().filter_map(stays)).collect();
    brought_to(&Manifest { modules, ..Manifest::clone(manifest) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DeviceId;

    fn manifest(modules: &[(&str, &str)]) -> HashedManifest {
        let mut text = "base = \"base\"\n".to_owned();
        for (name, image) in modules {
            text.push_str(&format!("[modules.{name}]\nimage = \"{image}\"\n"));
        }
        let manifest = decode_manifest(&DeviceId::parse("till").unwrap(), &text);
        HashedManifest::of(manifest.unwrap())
    }

    fn name(text: &str) -> ModuleName {
        ModuleName::parse(text).unwrap()
    }

    /// The images in force, where `web` and `db` should run and these run as wanted.
    fn images(there: &[&str], others: &[&str], former: Option<&[(&str, &str)]>) -> Vec<String> {
        let wanted = manifest(&[("web", "web:2"), ("db", "db:2")]);
        let specs: BTreeMap<ModuleName, Hash> =
            ["web", "db"].map(|module| (name(module), Hash::of_texts("test", [module]))).into();
        let bears = |module: &ModuleName| match there.contains(&module.as_str()) {
            true => specs[module].as_str(),
            false => "another",
        };
        let running = Running {
            bears: specs.keys().map(|module| (module, bears(module))).collect(),
            specs: &specs,
            others: others.iter().map(|module| name(module)).collect(),
        };
        let former = former.map(|modules| {
            let former = manifest(modules);
            InForce::of(&former, former.hash().clone(), "before")
        });
        let found = in_force(&wanted, &running, former.as_ref(), "now");
        assert_eq!(found.revision, "now");
        assert_eq!(found.manifest_hash, *wanted.hash());
        let read = decode_manifest(&wanted.device, &found.manifest).expect("it can be read again");
        read.modules.values().map(|module| module.image.clone()).collect()
    }

    #[test]
    fn what_is_there_is_in_force_and_what_failed_is_as_it_was() {
        let former: &[(&str, &str)] = &[("web", "web:1"), ("db", "db:1"), ("old", "old:1")];
        assert_eq!(images(&["web", "db"], &[], Some(former)), ["db:2", "web:2"]);
        assert_eq!(images(&["db"], &[], Some(former)), ["db:2", "web:1"]);
        assert_eq!(images(&["db", "web"], &["old"], Some(former)), ["db:2", "old:1", "web:2"]);
        assert_eq!(images(&["db"], &[], Some(&[("db", "db:1")])), ["db:2"], "it never was there");
        assert_eq!(images(&["db"], &["old"], None), ["db:2"]);
        assert_eq!(images(&[], &[], None), [""; 0]);
    }
}
