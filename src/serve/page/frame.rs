//! What every page has around its content.

use super::signs::moment;
use crate::model::Timestamp;
use crate::plan::short_revision;
use crate::reconcile::Snapshot;
use crate::rollout::Standing;
use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

/// The pages that are linked at the top.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Devices,
    History,
    None,
}

/// A whole page.
pub(super) fn page(
    snapshot: &Snapshot,
    now: Timestamp,
    tab: Tab,
    title: &str,
    content: &Markup,
) -> Html<String> {
    let fleet = snapshot.accepted.as_ref().map_or("Hoist", |accepted| accepted.fleet.name.as_str());
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (fleet) }
                link rel="icon" href="/assets/hoist.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/hoist.css";
                script src="/assets/hoist.js" defer {}
            }
            // What is no page of the fleet has no news: nobody need be told that there is none.
            body data-sequence=(snapshot.sequence) data-live[tab != Tab::None] {
                a class="skip" href="#content" { "Skip to the content" }
                (header(snapshot, fleet, tab))
                main id="content" tabindex="-1" { (content) }
                footer {
                    @if snapshot.sequence > 0 { p { "As of " (moment(snapshot.at, now)) } }
                    p id="live" role="status" {}
                }
            }
        }
    };
    Html(whole.into_string())
}

fn header(snapshot: &Snapshot, fleet: &str, tab: Tab) -> Markup {
    let link = |to: Tab, path: &str, word: &str| {
        html! { a href=(path) aria-current=[(to == tab).then_some("page")] { (word) } }
    };
    html! {
        header {
            a class="brand" href="/" {
                span class="flags" aria-hidden="true" { i {} i {} i {} }
                (fleet)
            }
            @if tab != Tab::None || snapshot.accepted.is_some() {
                nav aria-label="Pages" {
                    (link(Tab::Overview, "/", "Overview"))
                    (link(Tab::Devices, "/devices", "Devices"))
                    (link(Tab::History, "/history", "History"))
                }
            }
            @if let Some(accepted) = &snapshot.accepted {
                @let (in_force, coming) = revisions(snapshot.rollout.as_ref(), &accepted.revision);
                p class="revision" {
                    "in force " code { (short_revision(in_force)) }
                    @if let Some((revision, words)) = coming { ", " code { (short_revision(revision)) } " " (words) }
                }
            }
        }
    }
}

/// The revision that is in force, and the one that is not yet: what has not gone through is called in force nowhere.
fn revisions<'a>(
    rollout: Option<&'a Standing>,
    accepted: &'a str,
) -> (&'a str, Option<(&'a str, &'static str)>) {
    let Some(rollout) = rollout.filter(|rollout| !rollout.from.is_empty()) else {
        return (accepted, None);
    };
    let has_begun = rollout.phases.iter().any(|phase| phase.admitted > 0);
    let words = match rollout.state {
        "done" => return (accepted, None),
        "rolled back" => return (&rollout.from, None),
        "paused" => "is paused",
        "halted" => "has halted",
        _ if has_begun => "is on its way",
        _ => "waits",
    };
    (&rollout.from, Some((accepted, words)))
}

/// A number with its noun.
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{} {noun}s", number(n)) }
}

/// A number with a mark after each three digits: `12,345`.
pub(super) fn number(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::PhaseStanding;

    #[test]
    fn what_has_not_gone_through_is_not_called_in_force() {
        let rollout = |state, admitted| Standing {
            from: "old".to_owned(),
            to: "new".to_owned(),
            state,
            phase: None,
            phases: vec![PhaseStanding {
                name: "canary".to_owned(),
                devices: 1,
                admitted,
                success: 0,
                failure: 0,
            }],
            reason: String::new(),
            next: None,
            stuck: None,
        };
        for (state, admitted, said) in [
            ("waiting", 0, ("old", Some(("new", "waits")))),
            ("waiting", 1, ("old", Some(("new", "is on its way")))),
            ("running", 1, ("old", Some(("new", "is on its way")))),
            ("paused", 1, ("old", Some(("new", "is paused")))),
            ("halted", 1, ("old", Some(("new", "has halted")))),
            ("rolled back", 0, ("old", None)),
            ("done", 1, ("new", None)),
        ] {
            assert_eq!(revisions(Some(&rollout(state, admitted)), "new"), said, "{state}");
        }
        assert_eq!(revisions(None, "new"), ("new", None));
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (n, text) in
            [(0, "0"), (12, "12"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")]
        {
            assert_eq!(number(n), text);
        }
        assert_eq!(
            (count(1, "device").as_str(), count(1000, "device").as_str()),
            ("1 device", "1,000 devices")
        );
    }
}
