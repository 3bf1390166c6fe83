//! What was done, newest first; equal changes of many devices are one entry.

use super::frame::{Tab, count, page};
use super::signs::moment;
use crate::model::{DeviceId, Timestamp};
use crate::plan::short_revision;
use crate::reconcile::{Change, Episode, episodes};
use crate::serve::answer::encoded;
use crate::serve::router::State;
use crate::store::{HistoryEntry, HistoryFilter};
use axum::extract::State as Extract;
use axum::response::Html;
use maud::{Markup, html};
use std::sync::Arc;

/// So many entries of the store are looked at.
const MOST: u32 = 5000;
/// So many devices of an entry are named.
const NAMED: usize = 4;

pub(super) async fn history(Extract(state): Extract<Arc<State>>) -> Html<String> {
    let (snapshot, now) = (state.snapshot(), state.now());
    let filter = HistoryFilter { limit: Some(MOST), ..Default::default() };
    let content = match state.store.history(&filter) {
        Ok(entries) => html! {
            h1 { "History" }
            (list(&entries, now, 200))
            p class="hint" { code { "hoist history" } " shows more, and from any moment on." }
        },
        Err(error) => html! { h1 { "History" } p class="card notice bad" role="alert" { (error) } },
    };
    page(&snapshot, now, Tab::History, "History", &content)
}

/// The newest so many, of entries that come oldest first.
pub(super) fn list(entries: &[HistoryEntry], now: Timestamp, most: usize) -> Markup {
    let all = by_their_end(episodes(entries), now);
    html! {
        @if all.is_empty() { p class="quiet" { "Nothing was done yet." } } @else {
            ol class="episodes" { @for one in all.iter().rev().take(most) { (episode(one, now)) } }
        }
    }
}

/// The last one last. What was written down by a clock that was ahead stays where it was written down, and not above all that
/// comes until then.
fn by_their_end(episodes: Vec<Episode>, now: Timestamp) -> Vec<Episode> {
    let mut last = Timestamp { seconds: i64::MIN };
    let place = |episode: Episode| {
        let is_ahead = episode.ended > now;
        let at = if is_ahead { last } else { episode.ended };
        last = last.max(at);
        (at, episode)
    };
    let mut placed: Vec<_> = episodes.into_iter().map(place).collect();
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, episode)| episode).collect()
}

fn episode(episode: &Episode, now: Timestamp) -> Markup {
    let Episode { began: _, ended, who, devices, from, to, changes } = episode;
    html! {
        li {
            p class="when" {
                (moment(*ended, now))
                @if let Some(to) = to {
                    " "
                    @if let Some(from) = from.as_ref().filter(|from| *from != to) { code { (short_revision(from)) } " → " }
                    code { (short_revision(to)) }
                }
            }
            div {
                p class="where" {
                    @if devices.is_empty() { "Fleet" } @else { (named(devices)) }
                    " " span class="quiet" { "by " (who) }
                }
                ul { @for change in changes { (one_change(change)) } }
            }
        }
    }
}

fn named(devices: &[DeviceId]) -> Markup {
    html! {
        @if devices.len() > 1 { b { (count(devices.len(), "device")) } ": " }
        @for (index, id) in devices.iter().take(NAMED).enumerate() {
            @if index > 0 { ", " }
            a href={"/devices/" (encoded(id.as_str()))} { (id) }
        }
        @if devices.len() > NAMED { ", …" }
    }
}

fn one_change(change: &Change) -> Markup {
    let Change { action, module, reason, outcome, times } = change;
    let is_bad = outcome.starts_with("failed") || outcome.starts_with("not done");
    let is_done = outcome == "done";
    html! {
        li class=[is_bad.then_some("bad")] {
            @if is_bad { span class="shape" aria-hidden="true" { "✗" } " " }
            (action) @if let Some(module) = module { " " b { (module) } }
            @if *times > 1 { " " (times) " times" }
            @if !reason.is_empty() { span class="words" { ": " (reason) } }
            @if !is_done { span class="words" { " – " (outcome) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_that_was_ahead_wrote_down_does_not_stay_on_top() {
        let at = |seconds: i64| {
            let ended = Timestamp { seconds };
            let (devices, changes) = (Vec::new(), Vec::new());
            Episode {
                began: ended,
                ended,
                who: "ada".to_owned(),
                devices,
                from: None,
                to: None,
                changes,
            }
        };
        let order = |now: i64| {
            let placed = by_their_end([10, 5, 900, 20].map(at).into(), Timestamp { seconds: now });
            placed.into_iter().map(|episode| episode.ended.seconds).collect::<Vec<_>>()
        };
        assert_eq!(order(30), [5, 10, 900, 20]);
        assert_eq!(order(900), [5, 10, 20, 900]);
    }
}
