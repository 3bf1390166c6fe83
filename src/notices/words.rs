//! Messages: news as an object for programs, or as a text for people.
//!
//! Enters: [`News`]. Leaves: the body of a request. What comes from git and devices is made harmless: no control
//! characters, and in Slack's form no mentions and no links under another name. Pure.

use super::news::{LongOrder, News};
use crate::diagnostic::render::visible;
use crate::model::{DeviceId, Timestamp};
use crate::plan::short_revision;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Where and when the news is.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The fleet's name.
    pub fleet: &'a str,
    /// The revision that counts.
    pub revision: Option<&'a str>,
    /// The moment.
    pub at: Timestamp,
    /// Whether all of it is only played.
    pub is_simulated: bool,
}

/// So many devices are named in a text.
const NAMED: usize = 8;
/// And in an object.
const LISTED: usize = 200;
/// The longest line of words that come from elsewhere, in characters.
const LONGEST: usize = 600;

/// The news as an object, version 1.
pub fn json(news: &News, context: &Context<'_>) -> Json {
    let Context { fleet, revision, at, is_simulated } = *context;
    let devices = news.devices();
    let listed: Vec<&str> =
        devices.into_iter().flatten().take(LISTED).map(DeviceId::as_str).collect();
    json!({
        "format": 1,
        "fleet": fleet,
        "simulated": is_simulated,
        "revision": revision,
        "at": at.to_string(),
        "event": news.kind().as_str(),
        "title": title(news),
        "details": details(news),
        "count": devices.map(BTreeSet::len),
        "devices": listed,
    })
}

/// The news as Slack and others take it.
pub fn slack(news: &News, context: &Context<'_>) -> Json {
    let played = if context.is_simulated { " (simulated)" } else { "" };
    let mut text = format!("*{}*{played}: {}", escaped(context.fleet), escaped(&title(news)));
    for line in details(news) {
        text.push_str("\n> ");
        text.push_str(&escaped(&line));
    }
    if let Some(devices) = news.devices() {
        text.push('\n');
        text.push_str(&escaped(&named(devices)));
    }
    json!({ "text": text })
}

/// A message that only says that messages arrive.
pub(super) fn test_body(is_slack: bool, name: &str, at: Timestamp) -> Json {
    let title = format!("a test of the webhook `{name}`: messages of Hoist arrive here");
    match is_slack {
        true => json!({ "text": escaped(&title) }),
        false => json!({
            "format": 1, "fleet": null, "simulated": false, "revision": null, "at": at.to_string(), "event": "test",
            "title": title, "details": [], "count": null, "devices": [],
        }),
    }
}

fn title(news: &News) -> String {
    let counted = |devices: &BTreeSet<DeviceId>, one: &str, many: &str| match devices.len() {
        1 => format!("1 device {one}"),
        n => format!("{n} devices {many}"),
    };
    match news {
        News::Failure { devices, .. } => counted(devices, "fails", "fail"),
        News::DevicesHeld { devices, .. } => {
            format!("{} held: what is there stays", counted(devices, "is", "are"))
        }
        News::Recovery(devices) => counted(devices, "is as desired again", "are as desired again"),
        News::Absence(devices) => counted(
            devices,
            "has not been reached for 24 hours",
            "have not been reached for 24 hours",
        ),
        News::Back(devices) => counted(devices, "is reached again", "are reached again"),
        News::RevisionHeld { revision, .. } => {
            format!("revision {} is held; what counted before stays", short_revision(revision))
        }
        News::NothingHeld => "no revision is held any more".to_owned(),
        News::Unfetched { since, .. } => {
            format!("no new commits can be had since {since}; what counts stays")
        }
        News::FetchedAgain => "new commits can be had again".to_owned(),
        News::Paused(order) => format!("{} paused for over 24 hours", order.scope),
        News::Pinned { revision, order } => {
            format!("{} pinned to {} for over 24 hours", order.scope, short_revision(revision))
        }
        News::RolloutWaits { to, .. } => format!("the rollout of {} waits", short_revision(to)),
        News::RolloutEnded { to, state, success, .. } => match *state {
            "done" => {
                format!("{} went out in all phases, to {success} devices", short_revision(to))
            }
            state => format!("the rollout of {} is {state}", short_revision(to)),
        },
    }
}

fn details(news: &News) -> Vec<String> {
    let lines = match news {
        News::Failure { code, cause, .. } => vec![format!("{code}: {cause}")],
        News::DevicesHeld { cause, .. } => vec![cause.clone()],
        News::RevisionHeld { revision, reasons, can_be_approved } => {
            let mut lines = reasons.clone();
            if *can_be_approved {
                lines.push(format!("`hoist approve {}` lets it through", short_revision(revision)));
            }
            lines
        }
        News::Unfetched { words, .. } => vec![words.clone()],
        News::Paused(order) | News::Pinned { order, .. } => ordered(order),
        News::RolloutWaits { reason, next, .. } => std::iter::once(reason.clone())
            .chain(next.map(|next| format!("next: {next}")))
            .collect(),
        News::RolloutEnded { reason, .. } => vec![reason.clone()],
        News::Recovery(_)
        | News::Absence(_)
        | News::Back(_)
        | News::NothingHeld
        | News::FetchedAgain => Vec::new(),
    };
    lines.iter().map(|line| clipped(&visible(line))).collect()
}

fn ordered(order: &LongOrder) -> Vec<String> {
    let LongOrder { id: _, scope: _, ends, who, reason, since } = order;
    vec![format!("by {who} since {since}: {reason}"), format!("`{ends}` ends it")]
}

fn named(devices: &BTreeSet<DeviceId>) -> String {
    let names: Vec<&str> = devices.iter().take(NAMED).map(DeviceId::as_str).collect();
    let more = devices.len().saturating_sub(NAMED);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn clipped(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// Slack reads `&`, `<` and `>` as its own; mentions and links need them.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
