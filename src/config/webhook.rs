//! `[notify.NAME]`: a webhook that is told what people should know.
//!
//! Its address is a secret: whoever knows it can write there. It may stand in the file, or be where secrets are. Not
//! here: what is news, and how it is sent.

use super::decode::{Decoder, Entry};
use super::secret::{Secret, SecretError, SecretSource, SecretText};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::model::SecretName;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use toml::de::DeTable;

/// A webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// What it is called on the control host.
    pub name: SecretName,
    /// Where it is.
    pub url: Hidden,
    /// What is sent.
    pub format: WebhookFormat,
    /// The only news that it gets; `None`: all.
    pub events: Option<BTreeSet<NewsKind>>,
    /// What else stands in the head of a request.
    pub headers: BTreeMap<String, Hidden>,
    /// What messages are signed with.
    pub secret: Option<Secret>,
    /// Certificates of the authority that it is checked with; `None`: those of the system.
    pub ca: Option<PathBuf>,
}

/// A text that is never shown: as it stands in the file, or where it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Hidden {
    /// It stands in the file.
    Plain(SecretText),
    /// It is asked for each time.
    Asked(Box<Secret>),
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    /// An object for programs, versioned.
    Json,
    /// A text as Slack, Mattermost and others take it.
    Slack,
}

/// Kinds of news, as `events` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NewsKind {
    /// Devices fail.
    Failure,
    /// What was told is over.
    Recovery,
    /// A revision waits.
    Held,
    /// Devices are away.
    Absence,
    /// Devices are left alone for long.
    Paused,
    /// Devices are kept at a revision for long.
    Pinned,
    /// No commits can be had.
    Fetch,
    /// A rollout ended.
    Rollout,
}

impl NewsKind {
    /// All.
    pub const ALL: [Self; 8] = [
        Self::Failure,
        Self::Recovery,
        Self::Held,
        Self::Absence,
        Self::Paused,
        Self::Pinned,
        Self::Fetch,
        Self::Rollout,
    ];

    /// As files and messages write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Recovery => "recovery",
            Self::Held => "held",
            Self::Absence => "absence",
            Self::Paused => "paused",
            Self::Pinned => "pinned",
            Self::Fetch => "fetch",
            Self::Rollout => "rollout",
        }
    }
}

impl Webhook {
    /// Whether it gets news of a kind.
    pub fn wants(&self, kind: NewsKind) -> bool {
        self.events.as_ref().is_none_or(|events| events.contains(&kind))
    }
}

impl Hidden {
    /// The text. Blocks for as long as a command takes.
    ///
    /// # Errors
    /// It can't be had.
    pub fn value(&self) -> Result<SecretText, SecretError> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Asked(secret) => secret.value(),
        }
    }
}

impl Decoder {
    pub(super) fn webhook(&mut self, name: &SecretName, entry: &Entry<'_>) -> Option<Webhook> {
        let table = self.table(entry)?;
        self.keys(table, &["url", "format", "events", "headers", "secret", "ca"]);
        let format = table.get("format").and_then(|entry| self.format(entry));
        let events = table.get("events").map(|entry| self.events(entry));
        let headers = table.get("headers").and_then(|entry| self.table(entry));
        let headers = headers.map(|headers| self.headers(name, headers)).unwrap_or_default();
        let secret = match table.get("secret") {
            Some(entry) => self.password(entry).map(|source| located(name, "secret", source)),
            None => None,
        };
        let ca = table.get("ca").and_then(|entry| self.path(entry));
        let Some(url) = table.get("url") else {
            let message = format!("webhook `{name}` has no `url`");
            self.problem(Code::MissingKey, entry.span(), message);
            return None;
        };
        let url = self.hidden(name, "url", url)?;
        if let Hidden::Plain(text) = &url
            && !["https://", "http://"].iter().any(|scheme| text.expose().starts_with(scheme))
        {
            let span = table.get("url").map(toml::Spanned::span).unwrap_or_default();
            self.problem(Code::BadValue, span, "it begins with https:// or http://");
            return None;
        }
        let format = format.unwrap_or(WebhookFormat::Json);
        Some(Webhook { name: name.clone(), url, format, events, headers, secret, ca })
    }

    fn format(&mut self, entry: &Entry<'_>) -> Option<WebhookFormat> {
        match self.text(entry)?.as_str() {
            "json" => Some(WebhookFormat::Json),
            "slack" => Some(WebhookFormat::Slack),
            _ => {
                self.problem(Code::BadValue, entry.span(), "it is \"json\" or \"slack\"");
                None
            }
        }
    }

    fn events(&mut self, entry: &Entry<'_>) -> BTreeSet<NewsKind> {
        let Some(items) = entry.get_ref().as_array() else {
            self.wrong_type(entry, "a list of strings");
            return BTreeSet::new();
        };
        let mut events = BTreeSet::new();
        for item in items {
            let Some(text) = self.text(item) else { continue };
            match NewsKind::ALL.into_iter().find(|kind| kind.as_str() == text) {
                Some(kind) => {
                    events.insert(kind);
                }
                None => {
                    let names = NewsKind::ALL.map(NewsKind::as_str);
                    let help = did_you_mean(&text, names)
                        .or_else(|| Some(format!("known here: {}", names.join(", "))));
                    let message = format!("there is no news called `{text}`");
                    let diagnostic = Diagnostic::new(Code::BadValue, message).help_option(help);
                    self.problems.push(diagnostic.at(self.place(item.span())));
                }
            }
        }
        events
    }

    fn headers(&mut self, name: &SecretName, table: &DeTable<'_>) -> BTreeMap<String, Hidden> {
        let mut headers = BTreeMap::new();
        for (key, entry) in table {
            let header = key.get_ref().to_string();
            let is_token = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if header.is_empty() || !header.chars().all(is_token) {
                let message = "a header's name has letters, digits, `-` and `_`";
                self.problem(Code::BadName, key.span(), message);
                continue;
            }
            // What frames the message is not for others to say.
            let framing =
                ["host", "connection", "content-length", "content-type", "transfer-encoding"];
            if framing.contains(&header.to_ascii_lowercase().as_str()) {
                self.problem(Code::BadValue, key.span(), "this header is set by Hoist");
                continue;
            }
            if let Some(value) = self.hidden(name, &header, entry) {
                headers.insert(header, value);
            }
        }
        headers
    }

    /// A text, or where it is.
    fn hidden(&mut self, name: &SecretName, key: &str, entry: &Entry<'_>) -> Option<Hidden> {
        if entry.get_ref().is_str() {
            return self.text(entry).map(|text| Hidden::Plain(SecretText::new(text)));
        }
        self.password(entry).map(|source| Hidden::Asked(Box::new(located(name, key, source))))
    }
}

/// A secret of a webhook, under a name that words about it can use.
fn located(name: &SecretName, key: &str, source: SecretSource) -> Secret {
    let called = SecretName::parse(&format!("notify.{name}.{key}"));
    Secret {
        name: called.unwrap_or_else(|_| name.clone()),
        username: None,
        source,
        registries: None,
        devices: None,
    }
}
