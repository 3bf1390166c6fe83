//! The rollout on the overview: how far a change is, phase by phase, and what it waits for.

use super::frame::number;
use crate::plan::short_revision;
use crate::rollout::{PhaseStanding, Standing};
use maud::{Markup, html};

/// A card with a row a phase.
pub(super) fn rollout_card(rollout: &Standing) -> Markup {
    let Standing { from, to, state, phase, phases, reason, next, stuck: _ } = rollout;
    let (class, shape) = sign_of(state);
    html! {
        section class="card" aria-labelledby="rollout" {
            h2 id="rollout" {
                "Rollout "
                @if !from.is_empty() { code { (short_revision(from)) } " → " }
                code { (short_revision(to)) } " "
                span class={"badge " (class)} { span class="shape" aria-hidden="true" { (shape) } " " (state) }
            }
            p class="words" { (reason) }
            @if let Some(next) = next { p class="quiet" { "Next: " (with_code(next)) } }
            @if phases.iter().any(|phase| phase.devices > 0) {
                ol class="phases" {
                    @for standing in phases { (row(standing, phase.as_deref() == Some(&standing.name), *state == "rolled back")) }
                }
            }
        }
    }
}

/// Words in which commands stand between backticks.
fn with_code(words: &str) -> Markup {
    html! {
        @for (number, part) in words.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn row(standing: &PhaseStanding, is_open: bool, went_back: bool) -> Markup {
    let PhaseStanding { name, devices, admitted, success, failure } = standing;
    let on_the_way = admitted.saturating_sub(success + failure);
    html! {
        li aria-current=[is_open.then_some("step")] {
            span class="name" { @if is_open { span aria-hidden="true" { "▸ " } } (name) }
            progress max=((*devices).max(1)) value=(success) aria-label={(name) ": " (success) " of " (devices)} {}
            span class="quiet" {
                (number(*success)) " of " (number(*devices)) " succeeded"
                @if on_the_way > 0 { ", " (number(on_the_way)) " on the way" }
                @if *failure > 0 { span class="bad" { ", ✗ " (number(*failure)) " failed" } }
                @if *admitted == 0 && !went_back { ", nobody let in yet" }
            }
        }
    }
}

fn sign_of(state: &str) -> (&'static str, &'static str) {
    match state {
        "done" => ("good", "●"),
        "halted" | "rolled back" => ("bad", "✗"),
        "paused" | "waiting" => ("held", "‖"),
        _ => ("moving", "◐"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_say_how_far_they_are_and_what_they_wait_for() {
        let phase = |name: &str, devices, admitted, success, failure| PhaseStanding {
            name: name.to_owned(),
            devices,
            admitted,
            success,
            failure,
        };
        let shown = rollout_card(&Standing {
            from: "1111111aaaa".to_owned(),
            to: "2222222bbbb".to_owned(),
            state: "waiting",
            phase: Some("canary".to_owned()),
            phases: vec![phase("canary", 3, 3, 1, 1), phase("<rest>", 1200, 0, 0, 0)],
            reason: "canary soaks until 14:32".to_owned(),
            next: Some("`hoist rollout promote`"),
            stuck: None,
        })
        .into_string();
        for words in [
            "canary soaks until 14:32",
            "Next: <code>hoist rollout promote</code>",
            "1 of 3 succeeded, 1 on the way",
            "✗ 1 failed",
            "0 of 1,200 succeeded, nobody let in yet",
            "aria-current=\"step\"",
            "&lt;rest&gt;",
        ] {
            assert!(shown.contains(words), "{words}\n{shown}");
        }
    }
}
