//! Templates: the only work per device, and the last.

use super::ResolvedCohort;
use crate::model::{
    Device, ENGINE_FILES_TAKEN, ImageReference, Manifest, Module, ModuleName, Piece, Template,
    TemplateError, TextUse, bind_target, is_engine_files,
};
use std::collections::{BTreeMap, BTreeSet};
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

impl FillReason {
    /// What helps.
    pub(super) fn help(&self) -> &'static str {
        match self {
            Self::Template(TemplateError::MissingTag(_)) => {
                "give the devices the tag, or the template a default: `${device.tags.PATH:-default}`"
            }
            Self::Template(TemplateError::NotScalar(_)) => {
                "name a tag that holds a text, a number or a boolean"
            }
            Self::Template(TemplateError::Unclosed | TemplateError::UnknownName(_)) => {
                "correct the template"
            }
            Self::Value(_) => "give the devices another tag, or correct what stands around it",
        }
    }
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
            fill_module(name, module, device, &mut errors);
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (device, cohort, routes) =
        (device.id.clone(), cohort.cohort.clone(), cohort.routes.clone());
    Ok(Manifest { device, cohort, modules, routes })
}

fn fill_module(
    name: &ModuleName,
    module: &mut Module,
    device: &Device,
    errors: &mut Vec<FillError>,
) {
    let before = errors.len();
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
    if errors.len() == before {
        check_filled(name, module, errors);
    }
}

impl ResolvedCohort {
    /// Whether all that is filled may be any text: then nothing but a fact that is missing can be in the way.
    pub(super) fn may_be_any_texts(&self) -> bool {
        self.are_templates && self.checked_per_device.is_empty()
    }

    /// Whether nothing but a fact that is missing can be in the way of filling.
    pub(super) fn may_fill(&self, device: &Device) -> bool {
        self.are_templates
            && self.checked_per_device.iter().all(|name| {
                let module = self.modules.get(name);
                module.is_none_or(|module| can_fill_module(name, module, device))
            })
    }
}

fn can_fill_module(name: &ModuleName, module: &Module, device: &Device) -> bool {
    let mut errors = Vec::new();
    fill_module(name, &mut module.clone(), device, &mut errors);
    errors.is_empty()
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
    fn may_be_any_text(&self) -> bool {
        let field = self.path.split('.').next().unwrap_or_default();
        !["image", "ports", "volumes", "host-devices", "networks", "desired"].contains(&field)
            && !is_mount(&self.path)
    }
}

/// The texts of some modules that are filled per device; the modules stay what they are.
pub(super) fn filled_texts(modules: &mut BTreeMap<ModuleName, Module>) -> Vec<FilledText> {
    let mut texts = Vec::new();
    for (name, module) in modules {
        module.for_each_text(&mut |_, path, text| {
            if Template::is_needed(text) {
                let (module, path) = (name.clone(), path.to_owned());
                texts.push(FilledText { module, path, template: Template::parse(text) });
            }
        });
    }
    texts
}

/// The facts that some texts name, each once.
pub(super) fn facts(texts: &[FilledText]) -> Vec<Piece> {
    let pieces = texts.iter().filter_map(|text| text.template.as_ref().ok());
    let facts: BTreeSet<&Piece> = pieces
        .flat_map(|template| &template.pieces)
        .filter(|piece| !matches!(piece, Piece::Text(_)))
        .collect();
    facts.into_iter().cloned().collect()
}

/// The modules with a text whose filled form may not be allowed.
pub(super) fn checked_per_device(texts: &[FilledText]) -> BTreeSet<ModuleName> {
    let checked = texts.iter().filter(|text| !text.may_be_any_text());
    checked.map(|text| text.module.clone()).collect()
}

/// Whether a text says where something is put into a module's files. Engines match keys in any letter case.
fn is_mount(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let option = path.strip_prefix("create-options.hostconfig.").unwrap_or_default();
    matches!(option, "binds" | "mounts.target")
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
    module.for_each_option_text(&mut |path, text| {
        if is_mount(path) && is_engine_files(bind_target(text)) {
            fail(path, format!("`{text}`: {ENGINE_FILES_TAKEN}"));
        }
    });
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    for network in &module.networks {
        if !network.starts_with(|c: char| c.is_ascii_alphanumeric()) || !network.chars().all(good) {
            fail("networks", format!("`{network}` is no network's name"));
        }
    }
}
