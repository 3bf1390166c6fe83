//! Templates: the only work per device, and the last.

use super::ResolvedCohort;
use crate::model::{
    Device, ImageReference, Manifest, Module, ModuleName, Template, TemplateError, TextUse,
};
use std::collections::BTreeMap;
use std::fmt;

/// A text that can't be filled for a device, or whose filled form is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillError {
    /// In which module.
    pub module: ModuleName,
    /// In which field.
    pub path: String,
    /// Why.
    pub reason: FillReason,
}

/// Why a text can't be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FillReason {
    /// The template itself.
    Template(TemplateError),
    /// The filled form is no port, image, …; the words say which.
    Value(String),
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            FillReason::Template(error) => error.fmt(f),
            FillReason::Value(words) => f.write_str(words),
        }
    }
}

/// The manifest of a device of this cohort.
///
/// # Errors
/// Every text that can't be filled, or whose filled form is not allowed.
pub fn fill(cohort: &ResolvedCohort, device: &Device) -> Result<Manifest, Vec<FillError>> {
    let mut modules = cohort.modules.clone();
    let mut errors = Vec::new();
    if cohort.has_templates() {
        for (name, module) in &mut modules {
            module.for_each_text(&mut |_: TextUse, path, text| {
                if !Template::is_needed(text) {
                    return;
                }
                match Template::parse(text).and_then(|template| template.fill(device)) {
                    Ok(filled) => *text = filled,
                    Err(error) => errors.push(FillError {
                        module: name.clone(),
                        path: path.to_owned(),
                        reason: FillReason::Template(error),
                    }),
                }
            });
            if errors.is_empty() {
                check_filled(name, module, &mut errors);
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (device, cohort, routes) =
        (device.id.clone(), cohort.cohort.clone(), cohort.routes.clone());
    Ok(Manifest { device, cohort, modules, routes })
}

/// A text of a cohort's modules that is filled per device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilledText {
    /// In which module.
    pub module: ModuleName,
    /// In which field.
    pub path: String,
    /// What is filled, or why it never can be.
    pub template: Result<Template, TemplateError>,
}

impl FilledText {
    /// Whether nothing but a tag that is missing can be wrong with its filled form.
    pub(super) fn may_be_any_text(&self) -> bool {
        let field = self.path.split('.').next().unwrap_or_default();
        !["image", "ports", "volumes", "host-devices", "networks", "desired"].contains(&field)
    }
}

pub(super) fn filled_texts(modules: &BTreeMap<ModuleName, Module>) -> Vec<FilledText> {
    let mut texts = Vec::new();
    for (name, module) in modules {
        module.clone().for_each_text(&mut |_, path, text| {
            if Template::is_needed(text) {
                let (module, path) = (name.clone(), path.to_owned());
                texts.push(FilledText { module, path, template: Template::parse(text) });
            }
        });
    }
    texts
}

/// The value was parsed first and filled second; what a tag put in must still be a value of its kind.
fn check_filled(name: &ModuleName, module: &Module, errors: &mut Vec<FillError>) {
    let mut fail = |path: &str, words: String| {
        errors.push(FillError {
            module: name.clone(),
            path: path.to_owned(),
            reason: FillReason::Value(words),
        });
    };
    if let Err(error) = ImageReference::parse(&module.image) {
        fail("image", error.to_string());
    }
    for error in module.ports.iter().filter_map(|port| port.check().err()) {
        fail("ports", error);
    }
    for error in module.volumes.iter().filter_map(|volume| volume.check().err()) {
        fail("volumes", error);
    }
    for error in module.host_devices.iter().filter_map(|device| device.check().err()) {
        fail("host-devices", error);
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    for network in &module.networks {
        if !network.starts_with(|c: char| c.is_ascii_alphanumeric()) || !network.chars().all(good) {
            fail("networks", format!("`{network}` is no network's name"));
        }
    }
}
