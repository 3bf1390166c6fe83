//! `[watch]`: how the daemon works where neither a flag nor a variable says otherwise.

use super::decode::{Decoder, Entry};
use crate::diagnostic::Code;
use crate::model::Duration;
use std::path::PathBuf;
use toml::de::{DeTable, DeValue};

/// What `[watch]` says; `None` where it says nothing. Each is called as the flag of `hoist watch`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the flags")]
pub struct WatchDefaults {
    pub branch: Option<String>,
    pub fleet_folder: Option<String>,
    pub poll: Option<Duration>,
    pub resync: Option<Duration>,
    pub require_signed: Option<PathBuf>,
    pub history: Option<Duration>,
    pub at_once: Option<u16>,
    pub pulls_per: Option<String>,
    pub stop_limit: Option<Duration>,
    pub listen: Option<String>,
    pub token_file: Option<PathBuf>,
    pub behind_tls_proxy: Option<bool>,
    pub allow_host: Option<Vec<String>>,
    pub hook_secret_file: Option<PathBuf>,
    pub device_metrics: Option<bool>,
    pub hooks_listen: Option<String>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
}

const KEYS: [&str; 18] = [
    "allow-host",
    "at-once",
    "behind-tls-proxy",
    "branch",
    "device-metrics",
    "fleet-folder",
    "history",
    "hook-secret-file",
    "hooks-listen",
    "listen",
    "poll",
    "pulls-per",
    "require-signed",
    "resync",
    "stop-limit",
    "tls-cert",
    "tls-key",
    "token-file",
];

impl Decoder {
    pub(super) fn watch(&mut self, table: &DeTable<'_>) -> WatchDefaults {
        self.keys(table, &KEYS);
        let second = Duration::seconds(1);
        WatchDefaults {
            branch: table.get("branch").and_then(|entry| self.text(entry)),
            fleet_folder: table.get("fleet-folder").and_then(|entry| self.text(entry)),
            poll: table.get("poll").and_then(|entry| self.duration(entry, second)),
            resync: table.get("resync").and_then(|entry| self.duration(entry, second)),
            require_signed: table.get("require-signed").and_then(|entry| self.path(entry)),
            history: table
                .get("history")
                .and_then(|entry| self.duration(entry, Duration::default())),
            at_once: table.get("at-once").and_then(|entry| self.count(entry)),
            pulls_per: table.get("pulls-per").and_then(|entry| self.text(entry)),
            stop_limit: table
                .get("stop-limit")
                .and_then(|entry| self.duration(entry, Duration::default())),
            listen: table.get("listen").and_then(|entry| self.text(entry)),
            token_file: table.get("token-file").and_then(|entry| self.path(entry)),
            behind_tls_proxy: table.get("behind-tls-proxy").and_then(|entry| self.truth(entry)),
            allow_host: table.get("allow-host").map(|entry| self.texts(entry)),
            hook_secret_file: table.get("hook-secret-file").and_then(|entry| self.path(entry)),
            device_metrics: table.get("device-metrics").and_then(|entry| self.truth(entry)),
            hooks_listen: table.get("hooks-listen").and_then(|entry| self.text(entry)),
            tls_cert: table.get("tls-cert").and_then(|entry| self.path(entry)),
            tls_key: table.get("tls-key").and_then(|entry| self.path(entry)),
        }
    }

    fn duration(&mut self, entry: &Entry<'_>, least: Duration) -> Option<Duration> {
        match Duration::parse(&self.text(entry)?) {
            Ok(duration) if duration >= least => Some(duration),
            Ok(_) => {
                self.problem(Code::BadValue, entry.span(), format!("the least is {least}"));
                None
            }
            Err(words) => {
                self.problem(Code::BadValue, entry.span(), words);
                None
            }
        }
    }

    fn count(&mut self, entry: &Entry<'_>) -> Option<u16> {
        let DeValue::Integer(written) = entry.get_ref() else {
            self.wrong_type(entry, "a number");
            return None;
        };
        let count = u16::from_str_radix(written.as_str(), written.radix()).ok().filter(|n| *n > 0);
        if count.is_none() {
            self.problem(Code::BadValue, entry.span(), "it is between 1 and 65535");
        }
        count
    }

    fn truth(&mut self, entry: &Entry<'_>) -> Option<bool> {
        let truth = entry.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_type(entry, "true or false");
        }
        truth
    }
}
