//! The keys of a module that are settings, in a deployment, in `[defaults]` and in a manifest alike.

use super::create_options;
use super::homes::DEFAULT_KEYS;
use super::item::Item;
use super::reader::TableReader;
use crate::diagnostic::{Code, Place};
use crate::model::{
    ENGINE_FILES_TAKEN, EnvValue, Gpus, HealthCheck, HostDevice, ImageReference, LogSettings,
    ModuleSettings, NetworkMode, Port, PullPolicy, RestartPolicy, SecretName, Status, Template,
    Volume, is_engine_files, path_segment,
};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// Where each field stands, by its path.
pub(super) type Places = BTreeMap<String, Place>;

/// Reads settings and notes their places.
pub(super) struct Fields<'r, 'a> {
    pub(super) reader: &'r mut TableReader<'a>,
    pub(super) places: Places,
    /// Whether only the keys of `[defaults]` are taken.
    pub(super) only_defaults: bool,
}

impl<'a> Fields<'_, 'a> {
    /// Takes a key and what `read` makes of it.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<T> {
        if self.only_defaults && !DEFAULT_KEYS.contains(&key) {
            if self.reader.has(key) {
                let help = format!("`[defaults]` takes {}", DEFAULT_KEYS.join(", "));
                self.reader.refuse(key, &format!("`{key}` can't have a default"), &help);
            }
            return None;
        }
        let item = self.reader.take(key)?;
        self.places.insert(key.to_owned(), item.key_place());
        self.note_below(key, &item);
        read(&item)
    }

    /// Notes the places of everything below a table.
    fn note_below(&mut self, path: &str, item: &Item<'a>) {
        let DeValue::Table(table) = item.value.get_ref() else { return };
        // Names of variables, labels and hosts, and paths of `desired-at`, hold dots of their own.
        let is_deep = path.starts_with("desired") && path != "desired-at"
            || path.starts_with("create-options");
        for (key, value) in table {
            let path = match is_deep {
                true => format!("{path}.{}", path_segment(key.get_ref())),
                false => format!("{path}.{}", key.get_ref()),
            };
            self.places.insert(path.clone(), item.file.place(key.span()));
            let span = key.span();
            let below =
                Item { value, name: key.get_ref(), key_span: (span.start, span.end), ..*item };
            self.note_below(&path, &below);
        }
    }

    /// All settings.
    pub(super) fn settings(&mut self) -> ModuleSettings {
        let settings = ModuleSettings {
            image: self.take("image", image),
            version: self.take("version", plain),
            status: self.take("status", |item| item.word(Status::WORDS, Status::parse)),
            restart_policy: self.take("restart-policy", |item| {
                item.word_or(
                    RestartPolicy::WORDS,
                    RestartPolicy::parse,
                    &[("unless-stopped", "always"), ("no", "never")],
                )
            }),
            image_pull_policy: self.take("image-pull-policy", |item| {
                item.word_or(
                    PullPolicy::WORDS,
                    PullPolicy::parse,
                    &[
                        ("ifnotpresent", "on-create"),
                        ("if-not-present", "on-create"),
                        ("missing", "on-create"),
                    ],
                )
            }),
            startup_order: self.take("startup-order", |item| item.count(0)),
            stop_timeout: self.take("stop-timeout", Item::duration),
            probation: self.take("probation", Item::duration),
            keep_previous: self.take("keep-previous", Item::duration),
            command: self.take("command", |item| item.list_of(Item::template)),
            entrypoint: self.take("entrypoint", |item| item.list_of(Item::template)),
            user: self.take("user", plain),
            hostname: self.take("hostname", filled_template),
            ports: self.take("ports", |item| item.list_of(|item| form(item, Port::parse))),
            volumes: self.take("volumes", |item| item.list_of(|item| form(item, Volume::parse))),
            tmpfs: self.take("tmpfs", |item| item.list_of(tmpfs)),
            host_devices: self
                .take("host-devices", |item| item.list_of(|item| form(item, HostDevice::parse))),
            networks: self.take("networks", networks),
            network_mode: self.take("network-mode", network_mode),
            extra_hosts: self.take("extra-hosts", |item| item.texts(plain)),
            memory: self.take("memory", Item::bytes),
            cpus: self.take("cpus", Item::cpus),
            shm_size: self.take("shm-size", Item::bytes),
            gpus: self.take("gpus", gpus),
            privileged: self.take("privileged", Item::boolean),
            cap_add: self.take("cap-add", |item| item.list_of(plain)),
            cap_drop: self.take("cap-drop", |item| item.list_of(plain)),
            read_only: self.take("read-only", Item::boolean),
            init: self.take("init", Item::boolean),
            log: self.take("log", log),
            health: self.take("health", health),
            labels: self.take("labels", |item| item.texts(label)),
            env: self.take("env", |item| item.texts(env)),
            create_options: self.take("create-options", create_options::decode),
            router: self.take("router", Item::boolean),
        };
        if settings.networks.is_some() && settings.network_mode.is_some() {
            let help = "a module is on networks, or has the mode `host` or `none` instead";
            if let Some(item) = self.reader.take("network-mode") {
                let message = "`network-mode` and `networks` exclude each other";
                item.report_key(Code::BadValue, message, Some(help.to_owned()));
            }
        }
        settings
    }
}

fn plain(item: &Item<'_>) -> Option<String> {
    item.plain().map(str::to_owned)
}

/// A template that is not empty.
fn filled_template(item: &Item<'_>) -> Option<String> {
    item.text()?;
    item.template()
}

fn image(item: &Item<'_>) -> Option<String> {
    item.text()?;
    let text = item.template()?;
    let names_a_fact = Template::parse(&text).is_ok_and(|template| template.names_a_fact());
    if !names_a_fact && let Err(error) = ImageReference::parse(&text) {
        item.bad(error.to_string());
        return None;
    }
    Some(text)
}

/// A port, volume or device: its templates are checked, then its form is parsed.
fn form<T>(item: &Item<'_>, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
    let text = item.template()?;
    parse(&text).map_err(|message| item.bad(message)).ok()
}

fn tmpfs(item: &Item<'_>) -> Option<String> {
    let path = item.plain()?;
    if !path.starts_with('/') {
        item.bad(format!("`{path}` is no absolute path"));
        return None;
    }
    if is_engine_files(path.split(':').next().unwrap_or(path)) {
        item.bad(ENGINE_FILES_TAKEN);
        return None;
    }
    Some(path.to_owned())
}

fn networks(item: &Item<'_>) -> Option<Vec<String>> {
    let networks = item.list_of(|item| {
        let name = item.template()?;
        if let Some(mode) = NetworkMode::parse(&name) {
            let help = format!("write `network-mode = \"{mode}\"`");
            item.report(Code::BadValue, format!("`{mode}` is a mode, no network"), Some(help));
            return None;
        }
        if matches!(name.as_str(), "bridge" | "default") {
            let help = "its containers can't find each other by name; choose a name of your own";
            let words = format!("`{name}` is the engine's own network");
            item.report(Code::BadValue, words, Some(help.to_owned()));
            return None;
        }
        let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let named = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(good);
        if !Template::is_needed(&name) && !named {
            item.bad(format!("`{name}` is no network's name: it is of A-Z a-z 0-9 _ . -"));
            return None;
        }
        Some(name)
    })?;
    if matches!(item.value.get_ref(), DeValue::Array(items) if items.is_empty()) {
        let help = "leave it out for the fleet's own network, or write `network-mode = \"none\"`";
        item.report(Code::BadValue, "an empty list of networks", Some(help.to_owned()));
        return None;
    }
    Some(networks)
}

fn network_mode(item: &Item<'_>) -> Option<NetworkMode> {
    if let DeValue::String(text) = item.value.get_ref()
        && (&**text == "bridge" || text.starts_with("container:"))
    {
        let message = format!("`network-mode` can't be `{text}`: it is `host` or `none`");
        let help =
            "leave it out for the fleet's own network, or name networks: `networks = [\"…\"]`";
        item.report(Code::BadValue, message, Some(help.to_owned()));
        return None;
    }
    item.word(NetworkMode::WORDS, NetworkMode::parse)
}

fn gpus(item: &Item<'_>) -> Option<Gpus> {
    match item.value.get_ref() {
        DeValue::Integer(_) => item.count(1).map(Gpus::Count),
        DeValue::String(text) if &**text == "all" => Some(Gpus::All),
        _ => {
            item.wrong_type("\"all\" or a number of GPUs");
            None
        }
    }
}

fn log(item: &Item<'_>) -> Option<LogSettings> {
    if let DeValue::String(driver) = item.value.get_ref() {
        let help = format!("write `log = {{ driver = \"{driver}\" }}`");
        item.report(Code::WrongType, "`log`: expected a table, found a string", Some(help));
        return None;
    }
    let mut table = item.table("`log`")?;
    let driver = table.take("driver").and_then(|item| plain(&item));
    let max_size = table.take("max-size").and_then(|item| {
        if !matches!(item.value.get_ref(), DeValue::String(_)) {
            item.wrong_type("a size of a log such as \"10m\"");
            return None;
        }
        let text = item.plain()?;
        let number = text.strip_suffix(['k', 'm', 'g']).unwrap_or(text);
        let plain = number.bytes().all(|b| b.is_ascii_digit());
        if plain && number.parse::<u64>().is_ok_and(|n| n > 0) {
            return Some(text.to_owned());
        }
        item.bad(format!("`{text}` is no size of a log; write `10m`, `500k` or `1g`"));
        None
    });
    let max_file = table.take("max-file").and_then(|item| item.count(1));
    table.finish();
    Some(LogSettings {
        driver: driver.unwrap_or_else(|| "json-file".to_owned()),
        max_size,
        max_file,
    })
}

fn health(item: &Item<'_>) -> Option<HealthCheck> {
    if let DeValue::String(line) = item.value.get_ref() {
        let help = format!("write `health = {{ command = [\"CMD-SHELL\", \"{line}\"] }}`");
        item.report(Code::WrongType, "`health`: expected a table, found a string", Some(help));
        return None;
    }
    let mut table = item.table("`health`")?;
    let command = table
        .need("command", "write `command = [\"CMD\", \"/program\", \"argument\"]`")
        .and_then(|item| health_command(&item));
    let interval = table.take("interval").and_then(|item| item.duration());
    let timeout = table.take("timeout").and_then(|item| item.duration());
    let retries = table.take("retries").and_then(|item| item.count(1));
    let start_period = table.take("start-period").and_then(|item| item.duration());
    table.finish();
    Some(HealthCheck {
        command: command?,
        interval: interval.unwrap_or(HealthCheck::INTERVAL),
        timeout: timeout.unwrap_or(HealthCheck::TIMEOUT),
        retries: retries.unwrap_or(HealthCheck::RETRIES),
        start_period: start_period.unwrap_or_default(),
    })
}

/// A shell's `${NAME}` is fine here, a device's facts are not.
fn health_command(item: &Item<'_>) -> Option<Vec<String>> {
    if let DeValue::String(line) = item.value.get_ref() {
        let help = format!("write `[\"CMD-SHELL\", \"{line}\"]`");
        let message = "`command`: expected a list of strings, found a string";
        item.report(Code::WrongType, message, Some(help));
        return None;
    }
    let words = item.list_of(|item| {
        let text = item.string()?;
        if text.contains("${device.") {
            item.plain()?;
        }
        Some(text.to_owned())
    })?;
    if matches!(item.value.get_ref(), DeValue::Array(items) if items.len() != words.len()) {
        return None;
    }
    let wrong = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["CMD", _, ..] | ["CMD-SHELL", _] | ["NONE"] => return Some(words),
        ["CMD"] => "`CMD` needs a program after it",
        ["CMD-SHELL", ..] => "`CMD-SHELL` takes exactly one text",
        ["NONE", ..] => "`NONE` stands alone",
        _ => "a health check's command begins with `CMD`, `CMD-SHELL` or `NONE`",
    };
    let help = "write `[\"CMD\", \"/program\", \"argument\"]`, `[\"CMD-SHELL\", \"a command line\"]` or `[\"NONE\"]`";
    item.report(Code::BadValue, wrong, Some(help.to_owned()));
    None
}

fn label(item: &Item<'_>) -> Option<String> {
    refuse_own_label(item);
    item.template()
}

/// Hoist's own labels say whose a container is; a file can't forge them.
pub(super) fn refuse_own_label(item: &Item<'_>) {
    if item.name.to_ascii_lowercase().starts_with("hoist.") {
        let message =
            format!("label `{}`: labels that begin with `hoist.` are Hoist's own", item.name);
        item.report_key(Code::BadName, message, Some("choose another name".to_owned()));
    }
}

fn env(item: &Item<'_>) -> Option<EnvValue> {
    let name = item.name;
    if matches!(name, "HOIST_DEVICE_ID" | "HOIST_MODULE_ID" | "HOIST_TWIN") {
        let message = format!("`{name}` is set by Hoist itself");
        item.report_key(
            Code::BadName,
            message,
            Some("take it away: every module has it".to_owned()),
        );
    }
    if name.contains(['=', '\0']) || name.chars().any(char::is_whitespace) {
        let message = format!("`{name}` is no name of an environment variable");
        item.report_key(Code::BadName, message, None);
    }
    match item.value.get_ref() {
        DeValue::String(_) => item.template().map(EnvValue::Text),
        DeValue::Integer(_) => {
            item.integer(i64::MIN, i64::MAX).map(|number| EnvValue::Text(number.to_string()))
        }
        DeValue::Float(number) => Some(EnvValue::Text(number.as_str().to_owned())),
        DeValue::Boolean(value) => Some(EnvValue::Text(value.to_string())),
        DeValue::Table(_) => {
            let mut table = item.table(format!("`env.{name}`"))?;
            let secret = table
                .need("secret", "write a text, or `{ secret = \"NAME\" }`")
                .and_then(|item| item.parsed_name(SecretName::parse));
            table.finish();
            secret.map(EnvValue::Secret)
        }
        DeValue::Datetime(_) | DeValue::Array(_) => {
            item.wrong_type("a string, a number, a boolean or { secret = \"NAME\" }");
            None
        }
    }
}
