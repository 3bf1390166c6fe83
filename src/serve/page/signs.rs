//! Status by sign, word and colour: whoever can't see one of them has the others.

use crate::model::Timestamp;
use crate::reconcile::DeviceStatus;
use maud::{Markup, html};

/// What a status looks like.
pub(super) struct Sign {
    pub(super) shape: &'static str,
    pub(super) word: &'static str,
    pub(super) class: &'static str,
}

/// The words of all signs, the gravest first.
pub(super) const WORDS: [&str; 7] =
    ["failed", "blocked", "held", "stale", "not reached", "on the way", "as desired"];

/// The sign of a status code.
pub(super) fn sign(code: u16) -> Sign {
    let (shape, word, class) = match code {
        200 => ("●", "as desired", "good"),
        202 => ("◐", "on the way", "moving"),
        406 => ("◌", "not reached", "away"),
        400 => ("‖", "held", "held"),
        409 => ("▲", "blocked", "bad"),
        _ => ("✗", "failed", "bad"),
    };
    Sign { shape, word, class }
}

/// The sign of a device: what was true when it was seen last says nothing about now if that is long ago.
pub(super) fn sign_of(device: &DeviceStatus) -> Sign {
    if device.stale {
        return Sign { shape: "◇", word: "stale", class: "away" };
    }
    sign(device.code)
}

/// A status code as a sign with its word.
pub(super) fn badge(code: u16) -> Markup {
    shown(&sign(code), &format!("status {code}"))
}

/// The status of a device as a sign with its word.
pub(super) fn badge_of(device: &DeviceStatus) -> Markup {
    let then = if device.stale { ", when it was seen last" } else { "" };
    shown(&sign_of(device), &format!("status {}{then}", device.code))
}

fn shown(sign: &Sign, title: &str) -> Markup {
    let Sign { shape, word, class } = sign;
    html! {
        span class={"badge " (class)} title=(title) {
            span class="shape" aria-hidden="true" { (shape) }
            " " (word)
        }
    }
}

/// How a device stands, in words.
pub(super) fn words_of(device: &DeviceStatus, now: Timestamp) -> Markup {
    html! {
        @if device.stale {
            @match device.last_contact {
                Some(seen) => { "last seen " (moment(seen, now)) }
                None => { "never seen" }
            }
            span class="quiet" { "; then: " (device.description) }
        } @else { (device.description) }
    }
}

/// A moment as its age, which is what one wants to know; the moment itself stands behind it.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at) title=(at) { (at.ago(now)) } }
}
