//! What is in force on a device, field by field, with who set each.

use crate::model::{DeviceId, Manifest, Module, ModuleName, Value};
use crate::reconcile::Snapshot;
use crate::resolve::{Setter, SetterKind, Trace, masked, trace};
use crate::review::fields_of;
use maud::{Markup, html};

/// The manifest; by whom, as far as the accepted revision is what the device has.
pub(super) fn manifest(snapshot: &Snapshot, id: &DeviceId, manifest: Option<&Manifest>) -> Markup {
    let Some(manifest) = manifest else {
        return html! { section { h2 { "Manifest" } p class="quiet" { "Nothing was applied yet." } } };
    };
    let by_files = snapshot.accepted.as_ref().filter(|accepted| {
        let wanted = accepted.resolution.manifest(&accepted.fleet, id);
        wanted.is_some_and(|wanted| wanted.is_ok_and(|wanted| wanted == *manifest))
    });
    let traces = by_files.map(|accepted| trace(&accepted.fleet, manifest)).unwrap_or_default();
    html! {
        section aria-labelledby="manifest" {
            h2 id="manifest" { "Manifest" }
            @for (name, module) in &manifest.modules { (fields(name, module, traces.get(name))) }
            @if !manifest.routes.is_empty() {
                h3 { "Routes" }
                dl { @for (name, route) in &manifest.routes { dt { (name) } dd { code { (route.text) } } } }
            }
        }
    }
}

fn fields(name: &ModuleName, module: &Module, trace: Option<&Trace>) -> Markup {
    html! {
        details id={"fields-" (name)} {
            summary { b { (name) } " " code class="quiet" { (module.image) } }
            table class="fields stacks" {
                thead { tr { th scope="col" { "Field" } th scope="col" { "Value" } th scope="col" { "Set by" } } }
                tbody { @for (path, value) in fields_of(module) { tr {
                    th scope="row" { code { (path) } }
                    td { code { (shown(&path, &value)) } }
                    td class="by" { @if let Some(trace) = trace { (setter(&trace.winner(&path))) } }
                } } }
            }
        }
    }
}

/// A value as text; what looks like a credential is not shown.
fn shown(path: &str, value: &Value) -> String {
    let value = masked(path, value);
    value.as_str().map_or_else(|| value.to_json().to_string(), str::to_owned)
}

fn setter(setter: &Setter) -> Markup {
    html! {
        @match &setter.kind {
            SetterKind::Deployment(id) => { (id) }
            SetterKind::Defaults => { "[defaults]" }
            SetterKind::BuiltIn => { span class="quiet" { "built in" } }
        }
        @if let Some(place) = &setter.place { " " span class="quiet place" { (place) } }
    }
}
