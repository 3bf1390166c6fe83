//! The native form of each create-option, where it has an exact one.

use crate::model::{
    Duration, HostDevice, NetworkMode, Table, Text, Value, format_bytes, format_cpus,
};

/// What becomes of one option.
pub(super) enum Said {
    /// It has a key of its own, with this value.
    Native(Value),
    /// It says what the engine takes anyway.
    Nothing,
    /// It has no exact native form.
    Opaque,
}

fn said(native: Option<Value>) -> Said {
    native.map_or(Said::Opaque, Said::Native)
}

/// A list of texts, or one text, which engines take for a list of one.
pub(super) fn words(value: &Value) -> Said {
    match entrypoint(value) {
        Said::Native(Value::List(items)) if items.is_empty() => Said::Nothing,
        other => other,
    }
}

/// The same; an empty list takes the image's away.
pub(super) fn entrypoint(value: &Value) -> Said {
    match value {
        Value::String(_) => Said::Native(vec![value.clone()].into()),
        Value::List(items) if items.iter().all(|item| item.as_str().is_some()) => {
            Said::Native(value.clone())
        }
        _ => Said::Opaque,
    }
}

pub(super) fn list(value: &Value) -> Said {
    match value {
        Value::List(items) if items.is_empty() => Said::Nothing,
        Value::List(items) if items.iter().all(|i| i.as_str().is_some_and(|t| !t.is_empty())) => {
            Said::Native(value.clone())
        }
        _ => Said::Opaque,
    }
}

pub(super) fn text(value: &Value) -> Said {
    match value {
        Value::String(text) if text.is_empty() => Said::Nothing,
        Value::String(_) => Said::Native(value.clone()),
        _ => Said::Opaque,
    }
}

pub(super) fn truth(value: &Value) -> Said {
    match value {
        Value::Bool(false) => Said::Nothing,
        other => boolean(other),
    }
}

pub(super) fn boolean(value: &Value) -> Said {
    match value {
        Value::Bool(_) => Said::Native(value.clone()),
        _ => Said::Opaque,
    }
}

pub(super) fn seconds(value: &Value) -> Said {
    match value {
        Value::Integer(n @ 0..=86_400) => Said::Native(duration(n * 1000)),
        _ => Said::Opaque,
    }
}

fn duration(millis: i64) -> Value {
    let millis = u64::try_from(millis).unwrap_or_default();
    Duration { millis }.to_string().into()
}

pub(super) fn bytes(value: &Value) -> Said {
    match value {
        Value::Integer(0) => Said::Nothing,
        Value::Integer(n) => said(u64::try_from(*n).ok().map(|n| format_bytes(n).into())),
        _ => Said::Opaque,
    }
}

pub(super) fn cpus(value: &Value) -> Said {
    match value {
        Value::Integer(0) => Said::Nothing,
        Value::Integer(n @ 1..=1_000_000_000_000_000) => {
            let number: Option<f64> =
                u64::try_from(*n).ok().and_then(|n| format_cpus(n).parse().ok());
            said(number.map(Value::Float))
        }
        _ => Said::Opaque,
    }
}

pub(super) fn network_mode(value: &Value) -> Said {
    match value.as_str() {
        Some("") => Said::Nothing,
        Some(text) => said(NetworkMode::parse(text).map(|mode| mode.as_str().into())),
        None => Said::Opaque,
    }
}

pub(super) fn tmpfs(value: &Value) -> Said {
    let Some(table) = value.as_table() else { return Said::Opaque };
    if table.is_empty() {
        return Said::Nothing;
    }
    let one = |(path, options): (&Text, &Value)| {
        let options = options.as_str()?;
        let colon = if options.is_empty() { "" } else { ":" };
        let good = path.starts_with('/') && !path.contains(':');
        good.then(|| Value::from(format!("{path}{colon}{options}")))
    };
    said(table.iter().map(one).collect::<Option<_>>().map(Value::List))
}

pub(super) fn devices(value: &Value) -> Said {
    let Value::List(items) = value else { return Said::Opaque };
    if items.is_empty() {
        return Said::Nothing;
    }
    let one = |item: &Value| {
        let table = item.as_table()?;
        let text = |key: &str| Value::lookup_option(table, &[key])?.as_str();
        let (host, container) = (text("PathOnHost")?, text("PathInContainer")?);
        let written = format!("{host}:{container}:{}", text("CgroupPermissions")?);
        let device = HostDevice::parse(&written).ok().filter(|_| table.len() == 3)?;
        Some(Value::from(device.to_string()))
    };
    said(items.iter().map(one).collect::<Option<_>>().map(Value::List))
}

pub(super) fn extra_hosts(value: &Value) -> Said {
    let Value::List(items) = value else { return Said::Opaque };
    if items.is_empty() {
        return Said::Nothing;
    }
    let mut hosts = Table::new();
    for item in items {
        let Some((name, address)) = item.as_str().and_then(|text| text.split_once(':')) else {
            return Said::Opaque;
        };
        let twice = hosts.insert(name.to_owned(), address.into()).is_some();
        if twice || name.is_empty() || address.is_empty() {
            return Said::Opaque;
        }
    }
    Said::Native(Value::Table(hosts))
}

pub(super) fn gpus(value: &Value) -> Said {
    let Value::List(items) = value else { return Said::Opaque };
    let [item] = &**items else {
        return if items.is_empty() { Said::Nothing } else { Said::Opaque };
    };
    let Some(table) = item.as_table() else { return Said::Opaque };
    let gpu = Value::from(vec![vec!["gpu".into()].into()]);
    let mut count = None;
    for (key, value) in table {
        let known = match key.to_ascii_lowercase().as_str() {
            "capabilities" => *value == gpu,
            "driver" => value.as_str() == Some(""),
            "count" => {
                count = match value {
                    Value::Integer(-1) => Some("all".into()),
                    Value::Integer(n @ 1..=4_294_967_295) => Some(Value::Integer(*n)),
                    _ => None,
                };
                true
            }
            _ => false,
        };
        if !known {
            return Said::Opaque;
        }
    }
    let named = Value::lookup_option(table, &["Capabilities"]).is_some();
    said(count.filter(|_| named))
}

pub(super) fn log(value: &Value) -> Said {
    let Some(table) = value.as_table() else { return Said::Opaque };
    let driver = Value::lookup_option(table, &["Type"]).and_then(Value::as_str).unwrap_or_default();
    if driver.is_empty() {
        return Said::Opaque;
    }
    let empty = Table::new();
    let config = match Value::lookup_option(table, &["Config"]) {
        None => &empty,
        Some(Value::Table(config)) => config,
        Some(_) => return Said::Opaque,
    };
    let others =
        table.keys().any(|k| !["type", "config"].contains(&k.to_ascii_lowercase().as_str()));
    let mut log = Table::new();
    if driver != "json-file" {
        log.insert("driver".to_owned(), driver.into());
    }
    for (key, value) in config {
        let native = match (&**key, value) {
            ("max-size", Value::String(size)) => {
                let number = size.strip_suffix(['k', 'm', 'g']).unwrap_or(size);
                number.parse::<u64>().is_ok_and(|n| n > 0).then(|| value.clone())
            }
            ("max-file", Value::Integer(n @ 1..=4_294_967_295)) => Some(Value::Integer(*n)),
            ("max-file", Value::String(files)) => files
                .parse::<u32>()
                .ok()
                .filter(|n| *n > 0 && n.to_string() == **files)
                .map(|n| i64::from(n).into()),
            _ => None,
        };
        match native.filter(|_| !others) {
            Some(native) => log.insert(key.clone(), native),
            None => return Said::Opaque,
        };
    }
    if others { Said::Opaque } else { Said::Native(Value::Table(log)) }
}

/// A health check that says everything; what it leaves out would come from the image.
pub(super) fn health(value: &Value) -> Said {
    let Some(table) = value.as_table() else { return Said::Opaque };
    if table.is_empty() {
        return Said::Nothing;
    }
    let get = |key: &str| Value::lookup_option(table, &[key]);
    let millis = |key: &str, least: i64| match get(key) {
        Some(Value::Integer(nanos)) if nanos % 1_000_000 == 0 && *nanos >= least => {
            Some(duration(nanos / 1_000_000))
        }
        None if least == 0 => Some(duration(0)),
        _ => None,
    };
    let Some(Value::List(test)) = get("Test") else { return Said::Opaque };
    let words: Option<Vec<&str>> = test.iter().map(Value::as_str).collect();
    let good = match words.unwrap_or_default().as_slice() {
        ["NONE"] if table.len() == 1 => {
            let command = Table::from([("command".to_owned(), Value::List(test.clone()))]);
            return Said::Native(Value::Table(command));
        }
        ["CMD", _, ..] | ["CMD-SHELL", _] => true,
        _ => false,
    };
    let known = ["test", "interval", "timeout", "retries", "startperiod"];
    let others = table.keys().any(|k| !known.contains(&k.to_ascii_lowercase().as_str()));
    let retries = match get("Retries") {
        Some(Value::Integer(n @ 1..=4_294_967_295)) => Some(Value::Integer(*n)),
        _ => None,
    };
    let parts = [
        ("interval", millis("Interval", 1)),
        ("timeout", millis("Timeout", 1)),
        ("retries", retries),
        ("start-period", millis("StartPeriod", 0)),
    ];
    if !good || others || parts.iter().any(|(_, part)| part.is_none()) {
        return Said::Opaque;
    }
    let mut health = Table::from([("command".to_owned(), Value::List(test.clone()))]);
    health.extend(parts.into_iter().filter_map(|(key, part)| Some((key.to_owned(), part?))));
    Said::Native(Value::Table(health))
}
