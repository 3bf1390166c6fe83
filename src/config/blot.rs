//! Secrets that stand in `hoist.toml` itself, blotted out of the text that diagnostics show.
//!
//! Enters: the file's text. Leaves: a text of the same length, line by line, without them. A password stands there only
//! by mistake; the address of a webhook and the values of its headers may.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text without its secrets, where it was parsed.
pub(super) fn without_secrets(text: &str, root: &DeTable<'_>) -> String {
    let mut text = text.to_owned();
    for span in secret_spans(root) {
        if text.get(span.clone()).is_some() {
            // Of the same length in bytes: places after it stay true.
            text.replace_range(span.clone(), &"*".repeat(span.len()));
        }
    }
    text
}

/// The same where the text can't be trusted to be parsed as it was meant: of a line with a password all that follows
/// goes, and of the tables of webhooks every value.
pub(super) fn without_secret_lines(text: &str) -> String {
    let mut is_webhook = false;
    let mut blotted = |line: &str| {
        let begins = line.trim_start();
        if begins.starts_with('[') {
            is_webhook =
                begins.trim_start_matches(['[', ' ', '\t', '"', '\'']).starts_with("notify");
        }
        let cut = if is_webhook || begins.starts_with("notify") {
            line.find('=').map(|at| at + 1)
        } else {
            line.find("password").map(|at| at + "password".len())
        };
        match cut {
            Some(at) => format!("{}{}", &line[..at], "*".repeat(line.len() - at)),
            // What goes on over several lines has no key in front.
            None if is_webhook && !begins.starts_with('[') => "*".repeat(line.len()),
            None => line.to_owned(),
        }
    };
    text.split('\n').map(&mut blotted).collect::<Vec<_>>().join("\n")
}

type Entry<'a> = Spanned<DeValue<'a>>;

fn secret_spans(root: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let passwords = tables(root, "secrets").filter_map(|secret| secret.get("password"));
    let mut plain = |entry: &Entry<'_>| {
        if !entry.get_ref().is_table() {
            spans.push(entry.span());
        }
    };
    passwords.for_each(&mut plain);
    for webhook in tables(root, "notify") {
        ["url", "secret"].into_iter().filter_map(|key| webhook.get(key)).for_each(&mut plain);
        let headers = webhook.get("headers").and_then(|headers| headers.get_ref().as_table());
        headers.into_iter().flat_map(DeTable::values).for_each(&mut plain);
    }
    spans
}

fn tables<'t, 'i>(
    root: &'t DeTable<'i>,
    key: &str,
) -> impl Iterator<Item = &'t DeTable<'i>> + use<'t, 'i> {
    let outer = root.get(key).and_then(|entry| entry.get_ref().as_table());
    outer.into_iter().flat_map(DeTable::values).filter_map(|entry| entry.get_ref().as_table())
}
