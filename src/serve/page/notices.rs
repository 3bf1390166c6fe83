//! What somebody should know before anything else: troubles, what is held, what people ordered.

use super::frame::number;
use super::orders::no_orders;
use super::signs::moment;
use crate::model::Timestamp;
use crate::plan::short_revision;
use crate::reconcile::{HeldRevision, Snapshot};
use crate::serve::access::form_token;
use crate::serve::router::State;
use crate::store::{Pause, Pin, Scope};
use maud::{Markup, html};

/// The loop says at least once a minute how things stand; after so many seconds without a word it stands still.
const SILENCE: i64 = 180;

/// All of them, the gravest first.
pub(super) fn notices(state: &State, snapshot: &Snapshot, now: Timestamp) -> Markup {
    let troubles = [&snapshot.source.trouble, &snapshot.trouble];
    let is_silent = snapshot.sequence > 0 && now.seconds - snapshot.at.seconds > SILENCE;
    html! {
        @if is_silent {
            section class="card notice bad" {
                h2 { span class="shape" aria-hidden="true" { "▲" } " The daemon stands still" }
                p { "What it said last is what is shown, from " (moment(snapshot.at, now)) "." }
            }
        }
        @for trouble in troubles.into_iter().flatten() {
            section class="card notice bad" {
                h2 { span class="shape" aria-hidden="true" { "▲" } " Trouble" }
                p class="words" { (trouble.words) ". It began " (moment(trouble.since, now)) "; what is in force stays." }
            }
        }
        @if let Some(words) = snapshot.unsigned() {
            section class="card notice bad" {
                h2 { span class="shape" aria-hidden="true" { "▲" } " What is in force bears no accepted signature" }
                p class="words" { (words) ". It stays, and what comes after it must be signed." }
            }
        }
        @if let (Some(accepted), Some(status)) = (&snapshot.accepted, snapshot.status())
            && snapshot.watches != Scope::All {
            p class="quiet" {
                "Looked after here: " (scope(&snapshot.watches)) ", " (number(status.devices.len())) " of "
                (number(accepted.fleet.devices.len())) ". The others are another control host's."
            }
        }
        @if let Some(held) = &snapshot.held { (held_revision(state, held, now)) }
        @if !snapshot.pauses.is_empty() || !snapshot.pins.is_empty() {
            section class="card notice held" {
                h2 { span class="shape" aria-hidden="true" { "‖" } " Left alone on request" }
                ul {
                    @for pause in &snapshot.pauses { (paused(pause, now)) }
                    @for pin in &snapshot.pins { (pinned(pin, now)) }
                }
            }
        }
    }
}

fn held_revision(state: &State, held: &HeldRevision, now: Timestamp) -> Markup {
    let HeldRevision { revision, reasons, since, numbers } = held;
    let stays = match state.snapshot().accepted {
        Some(_) => "What was in force before stays in force.",
        None => "Nothing was in force before: devices keep what they have.",
    };
    html! {
        section class="card notice held" aria-labelledby="held" {
            h2 id="held" { span class="shape" aria-hidden="true" { "‖" } " Held: " code { (short_revision(revision)) } }
            ul class="reasons" { @for reason in reasons { li { (reason) } } }
            p class="quiet" { "Held " (moment(*since, now)) ". " (stays) }
            @if held.can_be_approved() && !state.takes_orders() {
                (no_orders(&format!("hoist approve {}", short_revision(revision))))
            } @else if held.can_be_approved() {
                form method="post" action="/approve" {
                    input type="hidden" name="form" value=(form_token(state));
                    input type="hidden" name="revision" value=(revision);
                    @for (guard, n) in numbers { input type="hidden" name="numbers" value={(guard) "=" (n)}; }
                    button type="submit" { "Approve up to these numbers" }
                }
            } @else {
                p class="quiet" { "It can't be approved: a commit that mends it is what helps." }
            }
        }
    }
}

fn scope(scope: &Scope) -> Markup {
    html! {
        @match scope {
            Scope::All => { "all devices" }
            Scope::Device(id) => { a href={"/devices/" (crate::serve::answer::encoded(id.as_str()))} { (id) } }
            Scope::Where(condition) => { "devices where " code { (condition) } }
        }
    }
}

fn paused(pause: &Pause, now: Timestamp) -> Markup {
    let Pause { id: _, scope: of, reason, who, since, until } = pause;
    html! { li { "Paused: " (scope(of)) ", by " (who) " " (moment(*since, now)) (ends(*until)) ": " (reason) } }
}

fn pinned(pin: &Pin, now: Timestamp) -> Markup {
    let Pin { id: _, revision, scope: of, reason, who, since, until } = pin;
    html! {
        li {
            "Pinned at " code { (short_revision(revision)) } ": " (scope(of)) ", by " (who) " " (moment(*since, now))
            (ends(*until))
            @if !reason.is_empty() { ": " (reason) }
        }
    }
}

fn ends(until: Option<Timestamp>) -> Markup {
    html! { @if let Some(until) = until { ", until " time datetime=(until) { (until) } } }
}
