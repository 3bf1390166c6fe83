//! Metrics in Prometheus' text format, and whether the daemon lives and is ready.

use super::access::has_token;
use super::answer::refusal;
use super::router::State;
use crate::model::Timestamp;
use crate::reconcile::{Accepted, FleetStatus, Snapshot};
use crate::rollout::Standing;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::fmt::Write as _;
use std::sync::Arc;

type At = Extract<Arc<State>>;

/// Fetching or passes that failed for so long, in seconds, are more than a hiccup.
const HICCUP: i64 = 900;

pub(super) async fn healthz() -> &'static str {
    "alive\n"
}

/// Whoever asks learns whether it is ready; why it is not, who may read.
pub(super) async fn readyz(Extract(state): At, headers: HeaderMap) -> Response {
    match why_not_ready(&state.snapshot(), state.now()) {
        None => "ready\n".into_response(),
        Some(words) if has_token(&state, &headers) => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, &words)
        }
        Some(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    }
}

fn why_not_ready(snapshot: &Snapshot, now: Timestamp) -> Option<String> {
    let lasts = |since: Timestamp| now.seconds.saturating_sub(since.seconds) >= HICCUP;
    let troubles = [&snapshot.source.trouble, &snapshot.trouble];
    let trouble = troubles.into_iter().flatten().find(|trouble| lasts(trouble.since));
    match trouble {
        Some(trouble) => Some(format!("{}, since {}", trouble.words, trouble.since)),
        None if snapshot.sequence > 0 && lasts(snapshot.at) => {
            Some(format!("the daemon has said nothing since {}", snapshot.at))
        }
        None if snapshot.accepted.is_none() => Some("nothing was accepted yet".to_owned()),
        None => None,
    }
}

pub(super) async fn metrics(Extract(state): At) -> Response {
    let text = text(&state, &state.snapshot(), state.now());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Metrics, one family after the other.
#[derive(Default)]
struct Families(String);

impl Families {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

/// As the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "the format knows only such numbers")]
fn rollout_families(out: &mut Families, rollout: &Standing) {
    out.family("hoist_rollout_info", "gauge", "The rollout, or the last one, and how it stands.");
    out.sample("hoist_rollout_info", &[("to", &rollout.to), ("state", rollout.state)], 1.0);
    out.family("hoist_rollout_devices", "gauge", "Devices of a rollout's phase, by state.");
    for (number, phase) in rollout.phases.iter().enumerate() {
        // Names need not differ.
        let number = (number + 1).to_string();
        for (word, n) in [
            ("all", phase.devices),
            ("admitted", phase.admitted),
            ("success", phase.success),
            ("failure", phase.failure),
        ] {
            let labels = [("number", number.as_str()), ("phase", &phase.name), ("state", word)];
            out.sample("hoist_rollout_devices", &labels, n as f64);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the format knows only such numbers")]
fn status_families(out: &mut Families, state: &State, accepted: &Accepted, status: &FleetStatus) {
    out.family("hoist_revision_info", "gauge", "The revision that counts.");
    out.sample("hoist_revision_info", &[("revision", &accepted.revision)], 1.0);
    out.family("hoist_deployment_devices", "gauge", "Devices of a deployment, by state.");
    for deployment in &status.deployments {
        let counts = deployment.counts;
        for (word, n) in [
            ("targeted", counts.targeted),
            ("applied", counts.applied),
            ("success", counts.success),
            ("failure", counts.failure),
            ("pending", counts.pending),
            ("stale", counts.stale),
        ] {
            let labels = [("deployment", deployment.id.as_str()), ("state", word)];
            out.sample("hoist_deployment_devices", &labels, n as f64);
        }
    }
    let metrics =
        || status.deployments.iter().flat_map(|d| d.metrics.iter().map(move |m| (&d.id, m)));
    if metrics().next().is_some() {
        out.family("hoist_deployment_metric", "gauge", "Rows of a deployment's own metrics.");
        for (id, (name, rows)) in metrics() {
            let labels = [("deployment", id.as_str()), ("metric", name.as_str())];
            out.sample("hoist_deployment_metric", &labels, *rows as f64);
        }
    }
    let help = "Devices, by status code; those that were not seen lately are `stale`.";
    out.family("hoist_devices", "gauge", help);
    for (code, n) in status.codes() {
        let word = code.map_or_else(|| "stale".to_owned(), |code| code.to_string());
        out.sample("hoist_devices", &[("code", &word)], n as f64);
    }
    if state.options.device_metrics {
        out.family("hoist_device_status_code", "gauge", "The status code of each device.");
        for device in &status.devices {
            let labels = [("device", device.id.as_str())];
            out.sample("hoist_device_status_code", &labels, f64::from(device.code));
        }
        let name = "hoist_device_last_contact_timestamp_seconds";
        out.family(name, "gauge", "When each device was last seen.");
        for device in &status.devices {
            if let Some(seen) = device.last_contact {
                out.sample(name, &[("device", device.id.as_str())], seen.seconds as f64);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the format knows only such numbers")]
fn text(state: &State, snapshot: &Snapshot, now: Timestamp) -> String {
    let mut out = Families::default();
    if let (Some(accepted), Some(status)) = (&snapshot.accepted, snapshot.status()) {
        status_families(&mut out, state, accepted, status);
    }
    if let Some(rollout) = &snapshot.rollout {
        rollout_families(&mut out, rollout);
    }
    out.family("hoist_held_seconds", "gauge", "How long a revision has been held; 0 if none is.");
    let held = snapshot.held.as_ref().map_or(0, |held| now.seconds - held.since.seconds);
    out.sample("hoist_held_seconds", &[], held as f64);
    let help = "1 if the signature of what is in force is not accepted where signatures are asked for, else 0.";
    out.family("hoist_unsigned", "gauge", help);
    out.sample("hoist_unsigned", &[], f64::from(u8::from(snapshot.unsigned().is_some())));
    if let Some(fetched) = snapshot.source.fetched {
        let name = "hoist_last_fetch_success_timestamp_seconds";
        out.family(name, "gauge", "When the repository was last asked with success.");
        out.sample(name, &[], fetched.seconds as f64);
    }
    let counts = state.tally.counts();
    out.family("hoist_pass_seconds", "summary", "How long looks at devices took.");
    out.sample("hoist_pass_seconds_sum", &[], counts.pass_seconds);
    out.sample("hoist_pass_seconds_count", &[], counts.passes as f64);
    if !counts.steps.is_empty() {
        out.family("hoist_steps_total", "counter", "Steps on devices, by what they did.");
        for ((action, done), n) in &counts.steps {
            let outcome = if *done { "done" } else { "failed" };
            out.sample("hoist_steps_total", &[("action", action), ("outcome", outcome)], *n as f64);
        }
    }
    if snapshot.sequence > 0 {
        let name = "hoist_last_snapshot_timestamp_seconds";
        out.family(
            name,
            "gauge",
            "When the daemon last said how things stand: at least once a minute.",
        );
        out.sample(name, &[], snapshot.at.seconds as f64);
    }
    out.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::Trouble;

    #[test]
    fn a_loop_that_stands_still_and_a_trouble_that_lasts_are_not_ready() {
        let at = |seconds| Timestamp { seconds };
        let why = |snapshot: &Snapshot, now| why_not_ready(snapshot, at(now)).unwrap_or_default();
        let none = "nothing was accepted yet";
        assert_eq!(why(&Snapshot::default(), 9000), none, "it has only begun");
        let mut snapshot = Snapshot { at: at(1000), sequence: 1, ..Snapshot::default() };
        assert_eq!(why(&snapshot, 1000 + HICCUP - 1), none);
        assert!(why(&snapshot, 1000 + HICCUP).starts_with("the daemon has said nothing since"));
        snapshot.trouble = Some(Trouble { words: "the disk is full".to_owned(), since: at(900) });
        assert_eq!(why(&snapshot, 900 + HICCUP - 1), none);
        assert!(why(&snapshot, 900 + HICCUP).starts_with("the disk is full, since"));
    }
}
