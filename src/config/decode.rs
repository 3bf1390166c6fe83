//! `hoist.toml` from toml's spanned tree: every mistake in one run, each with its place.

use super::blot::{without_secret_lines, without_secrets};
use super::engines::{EnginePattern, EngineRules};
use super::load::{Config, TlsFiles};
use super::secret::{Secret, SecretDevices, SecretSource};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, Source, Span, did_you_mean};
use crate::language::Condition;
use crate::model::SecretName;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Decodes the text of a `hoist.toml`.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn decode(path: &str, text: &str) -> Result<Config, Diagnostics> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let shown = if errors.is_empty() {
        without_secrets(text, root.get_ref())
    } else {
        without_secret_lines(text)
    };
    let source = Source::new(path, shown);
    let mut decoder = Decoder { source, problems: Diagnostics::new() };
    for error in errors {
        let span = error.span().unwrap_or_default();
        decoder.problem(Code::Syntax, span, error.message().trim().to_owned());
    }
    let mut config = Config { engines: EngineRules::new(None, path), ..Config::built_in() };
    // What could not be parsed would only bring up more problems that are none.
    if decoder.problems.is_empty() {
        decoder.root(&root, path, &mut config);
    }
    let problems = decoder.problems.sorted();
    if problems.has_errors() { Err(problems) } else { Ok(config) }
}

/// What goes through the file and collects what is wrong with it.
pub(super) struct Decoder {
    source: Arc<Source>,
    pub(super) problems: Diagnostics,
}

pub(super) type Entry<'a> = Spanned<DeValue<'a>>;

impl Decoder {
    fn root(&mut self, root: &Spanned<DeTable<'_>>, path: &str, config: &mut Config) {
        let root = root.get_ref();
        self.keys(root, &["engines", "notify", "secrets", "ssh", "tls", "watch"]);
        if let Some(engines) = root.get("engines").and_then(|entry| self.table(entry)) {
            self.keys(engines, &["allow"]);
            let allow = engines.get("allow").map(|entry| self.patterns(entry));
            config.engines = EngineRules::new(allow, path);
        }
        if let Some(ssh) = root.get("ssh").and_then(|entry| self.table(entry)) {
            self.keys(ssh, &["config"]);
            config.ssh_config = ssh.get("config").and_then(|entry| self.path(entry));
        }
        for (name, table) in self.named(root, "secrets") {
            if let Some(secret) = self.secret(&name, table) {
                config.secrets.insert(name, secret);
            }
        }
        for (name, table) in self.named(root, "tls") {
            let files = self.table(table).map(|table| self.tls(table, &name));
            if let Some(Some(files)) = files {
                config.tls.insert(name, files);
            }
        }
        for (name, table) in self.named(root, "notify") {
            if let Some(webhook) = self.webhook(&name, table) {
                config.webhooks.insert(name, webhook);
            }
        }
        if let Some(watch) = root.get("watch").and_then(|entry| self.table(entry)) {
            config.watch = self.watch(watch);
        }
    }

    fn secret(&mut self, name: &SecretName, entry: &Entry<'_>) -> Option<Secret> {
        let table = self.table(entry)?;
        self.keys(table, &["username", "password", "registries", "devices"]);
        let username = table.get("username").and_then(|entry| self.text(entry));
        let registries = table.get("registries").map(|entry| self.texts(entry));
        let devices = table.get("devices").and_then(|entry| self.condition(entry));
        let Some(password) = table.get("password") else {
            let message = format!("secret `{name}` has no `password`");
            self.problem(Code::MissingKey, entry.span(), message);
            return None;
        };
        let source = self.password(password)?;
        Some(Secret { name: name.clone(), username, source, registries, devices })
    }

    pub(super) fn password(&mut self, entry: &Entry<'_>) -> Option<SecretSource> {
        const WAYS: [&str; 3] = ["env", "file", "command"];
        if entry.get_ref().is_str() {
            let diagnostic = Diagnostic::new(
                Code::WrongType,
                "a password does not stand in this file, only where it is",
            )
            .help("write { file = \"…\" }, { env = \"…\" } or { command = \"…\" }");
            self.problems.push(diagnostic.at(self.place(entry.span())));
            return None;
        }
        let table = self.table(entry)?;
        self.keys(table, &WAYS);
        let given: Vec<(&str, &Entry<'_>)> =
            WAYS.iter().filter_map(|way| Some((*way, table.get(*way)?))).collect();
        let [(way, value)] = given[..] else {
            let message = "exactly one of `env`, `file` and `command` says where it is";
            self.problem(Code::BadValue, entry.span(), message);
            return None;
        };
        match way {
            "command" if value.get_ref().is_array() => {
                let words = self.texts(value);
                if words.is_empty() {
                    self.problem(Code::BadValue, value.span(), "a command has at least one word");
                    return None;
                }
                Some(SecretSource::Command(words))
            }
            "command" => self.text(value).map(|script| {
                SecretSource::Command(vec!["/bin/sh".to_owned(), "-c".to_owned(), script])
            }),
            "file" => self.path(value).map(SecretSource::File),
            _ => self.text(value).map(SecretSource::Env),
        }
    }

    fn tls(&mut self, table: &DeTable<'_>, name: &SecretName) -> Option<TlsFiles> {
        self.keys(table, &["ca", "cert", "key"]);
        let mut file = |key: &str| match table.get(key) {
            Some(entry) => self.path(entry),
            None => {
                let span = table.keys().next().map_or(0..0, Spanned::span);
                let message = format!("`[tls.{name}]` has no `{key}`");
                self.problem(Code::MissingKey, span, message);
                None
            }
        };
        let (ca, cert, key) = (file("ca"), file("cert"), file("key"));
        Some(TlsFiles { ca: ca?, cert: cert?, key: key? })
    }

    fn patterns(&mut self, entry: &Entry<'_>) -> Vec<EnginePattern> {
        let Some(items) = entry.get_ref().as_array() else {
            self.wrong_type(entry, "a list of engine addresses");
            return Vec::new();
        };
        let mut patterns = Vec::new();
        for item in items {
            let Some(text) = self.text(item) else { continue };
            match EnginePattern::parse(&text) {
                Ok(pattern) => patterns.push(pattern),
                Err(message) => self.problem(Code::BadValue, item.span(), message),
            }
        }
        patterns
    }

    fn condition(&mut self, entry: &Entry<'_>) -> Option<SecretDevices> {
        let text = self.text(entry)?;
        match Condition::parse(&text) {
            Ok(condition) => Some(SecretDevices { text, condition }),
            Err(errors) => {
                for error in errors {
                    let place = self.place_in_text(entry, error.span);
                    let diagnostic = Diagnostic::new(Code::BadCondition, error.message);
                    self.problems.push(diagnostic.at(place).help_option(error.help));
                }
                None
            }
        }
    }

    /// A place within a string's value, where that is written without escapes; else the whole string.
    fn place_in_text(&self, entry: &Entry<'_>, inside: Span) -> Place {
        let whole = entry.span();
        let raw = self.source.text.get(whole.clone()).unwrap_or_default();
        let value = entry.get_ref().as_str().unwrap_or_default();
        if raw.len() == value.len() + 2 && raw.get(1..=value.len()) == Some(value) {
            self.place(inside.shifted(whole.start + 1))
        } else {
            self.place(whole)
        }
    }

    /// The tables of `[secrets]`, `[tls]` or `[notify]` by their names.
    fn named<'t, 'i>(
        &mut self,
        root: &'t DeTable<'i>,
        key: &str,
    ) -> BTreeMap<SecretName, &'t Entry<'i>> {
        let mut tables = BTreeMap::new();
        let Some(outer) = root.get(key).and_then(|entry| self.table(entry)) else { return tables };
        for (name, entry) in outer {
            match SecretName::parse(name.get_ref()) {
                Ok(name) => {
                    tables.insert(name, entry);
                }
                Err(error) => self.problem(Code::BadName, name.span(), error.to_string()),
            }
        }
        tables
    }

    pub(super) fn keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let diagnostic =
                Diagnostic::new(Code::UnknownKey, format!("unknown key `{}`", key.get_ref()))
                    .at(self.place(key.span()))
                    .help_option(
                        did_you_mean(key.get_ref(), known.iter().copied())
                            .or_else(|| Some(format!("known here: {}", known.join(", ")))),
                    );
            self.problems.push(diagnostic);
        }
    }

    pub(super) fn table<'t, 'i>(&mut self, entry: &'t Entry<'i>) -> Option<&'t DeTable<'i>> {
        let table = entry.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(entry, "a table");
        }
        table
    }

    pub(super) fn text(&mut self, entry: &Entry<'_>) -> Option<String> {
        match entry.get_ref().as_str() {
            Some("") => {
                self.problem(Code::BadValue, entry.span(), "it is empty");
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.wrong_type(entry, "a string");
                None
            }
        }
    }

    pub(super) fn texts(&mut self, entry: &Entry<'_>) -> Vec<String> {
        match entry.get_ref().as_array() {
            Some(items) => items.iter().filter_map(|item| self.text(item)).collect(),
            None => {
                self.wrong_type(entry, "a list of strings");
                Vec::new()
            }
        }
    }

    pub(super) fn path(&mut self, entry: &Entry<'_>) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(entry)?);
        if path.is_absolute() {
            return Some(path);
        }
        self.problem(Code::BadValue, entry.span(), "the path must be absolute");
        None
    }

    pub(super) fn wrong_type(&mut self, entry: &Entry<'_>, expected: &str) {
        let found = match entry.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("expected {expected}, found {found}");
        self.problem(Code::WrongType, entry.span(), message);
    }

    pub(super) fn problem(
        &mut self,
        code: Code,
        span: impl Into<Span>,
        message: impl Into<String>,
    ) {
        let place = self.place(span);
        self.problems.push(Diagnostic::new(code, message).at(place));
    }

    pub(super) fn place(&self, span: impl Into<Span>) -> Place {
        Place::new(&self.source, span)
    }
}
