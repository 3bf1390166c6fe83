//! What an import has to tell: what became of each file, deployment and module, what could not be kept
//! where it was, and what is left to do. As text and as JSON, version 1.
//!
//! No value of a manifest is ever in it: a value may be a password.

use super::placeholder::LeftPlaceholder;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Everything an import has to tell.
#[derive(Debug, Default)]
pub struct Report {
    /// The files to write, with what each is.
    pub files: Vec<(String, String)>,
    /// The deployments, in the order of the input.
    pub deployments: Vec<DeploymentReport>,
    /// How many devices were imported.
    pub devices: usize,
    /// What concerns no single deployment.
    pub remarks: Vec<Remark>,
    /// Registries whose credentials need a secret of this name on the control host.
    pub registries: BTreeMap<String, String>,
    /// Whether `fleet.toml` was there before, so that the registries must be added by hand.
    pub fleet_file_was_there: bool,
    /// Placeholders without a value.
    pub placeholders: Vec<LeftPlaceholder>,
    /// Names of `--set`, and how often each was filled in.
    pub filled: BTreeMap<String, usize>,
    /// What `validate` refuses in what was written.
    pub refusals: Vec<String>,
}

/// What became of one deployment.
#[derive(Debug)]
pub struct DeploymentReport {
    /// Its id in the fleet.
    pub id: String,
    /// `automatic` or `layered`.
    pub kind: &'static str,
    /// Where it began.
    pub from: String,
    /// Its modules, with why each needs edgeHub; an empty list: it runs as is.
    pub modules: BTreeMap<String, Vec<String>>,
    /// What else there is to say.
    pub remarks: Vec<Remark>,
}

/// Something that is different now, or lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// How grave.
    pub weight: Weight,
    /// About which module, if about one.
    pub module: Option<String>,
    /// In words.
    pub message: String,
    /// `file:line:column`.
    pub place: Option<String>,
}

/// How grave a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Something has no effect here, or was wrong before.
    Warning,
    /// Good to know.
    Note,
}

impl Weight {
    fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (path, what) in &self.files {
            let _ = writeln!(out, "wrote {path}  ({what})");
        }
        for deployment in &self.deployments {
            deployment.write(&mut out);
        }
        if !self.remarks.is_empty() {
            out.push('\n');
            write_remarks(&self.remarks, "", &mut out);
        }
        self.write_registries(&mut out);
        self.write_placeholders(&mut out);
        if !self.refusals.is_empty() {
            out.push_str("\n`hoist validate` refuses this as it is now:\n");
            for refusal in &self.refusals {
                let _ = writeln!(out, "  {refusal}");
            }
        }
        let modules = || self.deployments.iter().flat_map(|d| d.modules.values());
        let (all, needy) = (modules().count(), modules().filter(|r| !r.is_empty()).count());
        if all > 0 {
            let verb = if needy == 1 { "needs" } else { "need" };
            let _ = writeln!(
                out,
                "\n{} as is, {needy} {verb} edgeHub, which Hoist does not have: routes and the SDK of \
                 Azure IoT carry nothing here",
                if all - needy == 1 {
                    "1 module runs".to_owned()
                } else {
                    format!("{} modules run", all - needy)
                },
            );
        }
        out
    }

    fn write_registries(&self, out: &mut String) {
        if self.registries.is_empty() {
            return;
        }
        out.push_str(if self.fleet_file_was_there {
            "\nregistries with credentials; fleet.toml was there already, add to it:\n"
        } else {
            "\nregistries with credentials; they were not copied, put each secret on the control host:\n"
        });
        for (host, secret) in &self.registries {
            let _ = writeln!(out, "  [registries.\"{host}\"] credentials = \"{secret}\"");
        }
    }

    fn write_placeholders(&self, out: &mut String) {
        let (refused, plain): (Vec<_>, Vec<_>) = self.placeholders.iter().partition(|p| p.refused);
        for (list, head) in [
            (
                refused,
                "placeholders without a value; `hoist validate` refuses them (--set NAME=VALUE fills them):",
            ),
            (plain, "these look like placeholders, and were kept as plain text:"),
        ] {
            if !list.is_empty() {
                let _ = writeln!(out, "\n{head}");
                for placeholder in list {
                    let places: Vec<&str> =
                        placeholder.places.iter().take(3).map(String::as_str).collect();
                    let more = placeholder.places.len().saturating_sub(places.len());
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    let _ = writeln!(out, "  {}  {}{more}", placeholder.text, places.join(", "));
                }
            }
        }
        for name in self.filled.iter().filter(|(_, n)| **n == 0).map(|(name, _)| name) {
            let _ = writeln!(out, "\nwarning: --set {name}: there is no such placeholder");
        }
    }

    /// For programs.
    pub fn json(&self) -> Json {
        let Self {
            files,
            deployments,
            devices,
            remarks,
            registries,
            fleet_file_was_there,
            placeholders,
            filled,
            refusals,
        } = self;
        json!({
            "format": 1,
            "files": files.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            "deployments": deployments.iter().map(DeploymentReport::json).collect::<Vec<_>>(),
            "devices": devices,
            "remarks": remarks.iter().map(Remark::json).collect::<Vec<_>>(),
            "registries": registries.iter()
                .map(|(host, secret)| json!({"host": host, "credentials": secret, "written": !fleet_file_was_there}))
                .collect::<Vec<_>>(),
            "placeholders": placeholders.iter().map(|left| json!({
                "name": left.name, "text": left.text, "refused": left.refused, "places": left.places,
            })).collect::<Vec<_>>(),
            "filled": filled,
            "refusals": refusals,
        })
    }
}

impl DeploymentReport {
    fn write(&self, out: &mut String) {
        let _ = writeln!(out, "\n{} ({}, {})", self.id, self.kind, self.from);
        let width = self.modules.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, reasons) in &self.modules {
            let verdict = if reasons.is_empty() {
                "runs as is".to_owned()
            } else {
                format!("needs edgeHub: {}", reasons.join("; "))
            };
            let _ = writeln!(out, "  {name:<width$}  {verdict}");
        }
        write_remarks(&self.remarks, "  ", out);
    }

    fn json(&self) -> Json {
        let Self { id, kind, from, modules, remarks } = self;
        json!({
            "id": id,
            "kind": kind,
            "from": from,
            "modules": modules.iter().map(|(name, reasons)| json!({
                "name": name,
                "verdict": if reasons.is_empty() { "runs-as-is" } else { "needs-edge-hub" },
                "reasons": reasons,
            })).collect::<Vec<_>>(),
            "remarks": remarks.iter().map(Remark::json).collect::<Vec<_>>(),
        })
    }
}

fn write_remarks(remarks: &[Remark], indent: &str, out: &mut String) {
    for remark in remarks {
        let module = remark.module.as_ref().map(|m| format!("module {m}: ")).unwrap_or_default();
        let place = remark.place.as_ref().map(|p| format!("  ({p})")).unwrap_or_default();
        let _ =
            writeln!(out, "{indent}{}: {module}{}{place}", remark.weight.as_str(), remark.message);
    }
}

impl Remark {
    fn json(&self) -> Json {
        let Self { weight, module, message, place } = self;
        json!({"level": weight.as_str(), "module": module, "message": message, "place": place})
    }
}

/// Remarks as they are collected, about one deployment or about the whole.
#[derive(Debug, Default)]
pub(super) struct Remarks(pub(super) Vec<Remark>);

impl Remarks {
    pub(super) fn warn(&mut self, message: impl Into<String>, place: Option<String>) {
        self.add(Weight::Warning, None, message.into(), place);
    }

    pub(super) fn note(&mut self, message: impl Into<String>, place: Option<String>) {
        self.add(Weight::Note, None, message.into(), place);
    }

    pub(super) fn add(
        &mut self,
        weight: Weight,
        module: Option<&str>,
        message: String,
        place: Option<String>,
    ) {
        self.0.push(Remark { weight, module: module.map(str::to_owned), message, place });
    }
}
