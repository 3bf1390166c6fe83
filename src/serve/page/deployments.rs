//! Deployments with their counts as bars.

use super::frame::number;
use crate::reconcile::{Counts, DeploymentCounts, FleetStatus, Snapshot};
use crate::serve::answer::encoded;
use maud::{Markup, html};

/// All of them.
pub(super) fn deployments(snapshot: &Snapshot, status: &FleetStatus) -> Markup {
    let has_metrics = status.deployments.iter().any(|deployment| !deployment.metrics.is_empty());
    html! {
        section aria-labelledby="deployments" {
            h2 id="deployments" { "Deployments" }
            @if status.deployments.is_empty() { p class="quiet" { "The fleet has none yet." } } @else {
                table class="deployments stacks" {
                    thead { tr {
                        th scope="col" { "Deployment" } th scope="col" { "Kind" }
                        th scope="col" class="n" { "Priority" } th scope="col" class="n" { "Targeted" }
                        th scope="col" class="wide" { "Applied" } @if has_metrics { th scope="col" { "Metrics" } }
                    } }
                    tbody { @for counts in &status.deployments { (deployment(snapshot, counts, has_metrics)) } }
                }
            }
        }
    }
}

fn deployment(snapshot: &Snapshot, deployment: &DeploymentCounts, has_metrics: bool) -> Markup {
    let DeploymentCounts { id, kind, priority, labels: _, counts, metrics } = deployment;
    let Counts { targeted, applied, success, failure, pending, stale } = counts;
    let parts = [
        ("good", "●", "success", *success),
        ("bad", "✗", "failure", *failure),
        ("moving", "◐", "pending", *pending),
        ("away", "◇", "stale", *stale),
    ];
    html! {
        tr {
            th scope="row" { (id) (target(snapshot, deployment)) }
            td data-label="Kind" { (kind) }
            td class="n" data-label="Priority" { @if *kind == "device" { "–" } @else { (priority) } }
            td class="n" data-label="Targeted" { (number(*targeted)) }
            td class="wide" {
                @if *applied == 0 { span class="quiet" { "on no device" } } @else {
                    (bar(&parts, *applied))
                    span class="legend" {
                        @for (class, shape, word, n) in parts {
                            @if n > 0 { span class=(class) { span class="shape" aria-hidden="true" { (shape) } " " (number(n)) " " (word) } " " }
                        }
                    }
                }
            }
            @if has_metrics { td data-label="Metrics" {
                @for (name, rows) in metrics { span class="metric" { (name) " " b { (number(*rows)) } } " " }
            } }
        }
    }
}

/// Its condition, which leads to the devices that meet it.
fn target(snapshot: &Snapshot, deployment: &DeploymentCounts) -> Markup {
    let said = snapshot.accepted.as_ref().and_then(|a| a.fleet.deployments.get(&deployment.id));
    let target = said.and_then(|said| said.kind.target());
    let condition = target.and_then(|target| target.condition.as_ref()).map(ToString::to_string);
    html! {
        @if let Some(text) = condition { a class="target" href={"/devices?where=" (encoded(&text))} { (text) } }
    }
}

/// A bar whose parts are as wide as their numbers, as an image with words. What there is can be seen, however little.
fn bar(parts: &[(&str, &str, &str, usize)], of: usize) -> Markup {
    let words: Vec<String> = parts.iter().map(|(_, _, word, n)| format!("{n} {word}")).collect();
    let mut x = 0;
    let mut rects: Vec<(&str, usize, usize)> = Vec::new();
    for (class, _, _, n) in parts.iter().filter(|(_, _, _, n)| *n > 0) {
        let width = (n * 1000 / of.max(1)).max(12);
        rects.push((class, x, width));
        x += width;
    }
    html! {
        svg class="bar" viewBox={"0 0 " (x.max(1)) " 10"} preserveAspectRatio="none" role="img" aria-label=(words.join(", ")) {
            @for (class, x, width) in rects { rect class=(class) x=(x) y="0" width=(width) height="10" {} }
        }
    }
}
