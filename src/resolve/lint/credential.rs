//! What looks like a credential: flagged by a lint, and masked wherever a change is shown.

use crate::model::{Value, path_segment};

/// Adds the paths of all texts of a value that look like credentials.
pub(super) fn flag_value(path: &str, value: &Value, flagged: &mut Vec<String>) {
    match value {
        Value::String(text) if is_credential_at(path, text) => flagged.push(path.to_owned()),
        Value::Table(table) => {
            for (key, value) in table {
                flag_value(&format!("{path}.{}", path_segment(key)), value, flagged);
            }
        }
        Value::List(items) => {
            let before = std::iter::once(None).chain(items.iter().map(Value::as_str));
            for (before, item) in before.zip(items) {
                match (before, item) {
                    (Some(before), Value::String(text)) if is_credential_after(before, text) => {
                        flagged.push(path.to_owned());
                    }
                    _ => flag_value(path, item, flagged),
                }
            }
        }
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) => {}
    }
}

/// What stands in place of a credential.
const MASKED: &str = "(masked)";

/// A value as it may be shown, also in lists and tables: texts that look like credentials are masked. In a list a word
/// such as `--password` says what the next one is.
pub(crate) fn masked(path: &str, value: &Value) -> Value {
    match value {
        Value::String(text) if is_credential_at(path, text) => MASKED.into(),
        Value::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| {
                    let path = format!("{path}.{}", path_segment(key));
                    (key.clone(), masked(&path, value))
                })
                .collect(),
        ),
        Value::List(items) => {
            let before = std::iter::once(None).chain(items.iter().map(Some));
            let each = before.zip(items).map(|(before, item)| {
                match (before.and_then(Value::as_str), item) {
                    (Some(before), Value::String(text)) if is_credential_after(before, text) => {
                        MASKED.into()
                    }
                    _ => masked(path, item),
                }
            });
            Value::List(each.collect())
        }
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) => value.clone(),
    }
}

/// Whether a word of a command line looks like a credential by the option before it, such as `--password`.
pub(crate) fn is_credential_after(before: &str, text: &str) -> bool {
    option_name(before).is_some_and(|name| {
        !before.contains('=') && option_name(text).is_none() && looks_like_credential(name, text)
    })
}

/// The name of an option of a command line.
fn option_name(word: &str) -> Option<&str> {
    word.strip_prefix("--").and_then(|rest| rest.split('=').next()).filter(|name| !name.is_empty())
}

/// Whether the text at a path of a module looks like a credential. Items of an `Env` list of create-options and
/// options of a command line have their name before the `=`.
pub(crate) fn is_credential_at(path: &str, text: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or(path);
    match text.split_once('=') {
        Some((name, value)) if path.eq_ignore_ascii_case("create-options.env") => {
            looks_like_credential(name, value)
        }
        Some((name, value)) if name.starts_with("--") => {
            looks_like_credential(name, value) || looks_like_credential(key, text)
        }
        _ => looks_like_credential(key, text),
    }
}

/// Whether a text looks like a credential, by the name it stands under or by its own form.
fn looks_like_credential(key: &str, text: &str) -> bool {
    const NAMES: [&str; 9] = [
        "password",
        "passwd",
        "secret",
        "token",
        "apikey",
        "privatekey",
        "accesskey",
        "credential",
        "connectionstring",
    ];
    const FORMS: [&str; 9] = [
        "-----BEGIN ",
        "SharedAccessKey=",
        "AccountKey=",
        "ghp_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "AKIA",
    ];
    let plain: String = key.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let names_one = NAMES.iter().any(|name| plain.contains(name));
    let points_elsewhere =
        || text.starts_with('/') || text.starts_with("${") || text.contains("://");
    let is_trivial = || {
        let words = ["true", "false", "none", "null", "yes", "no"];
        text.is_empty()
            || words.contains(&text.to_lowercase().as_str())
            || text.parse::<f64>().is_ok_and(|_| text.len() < 6)
    };
    let in_url = text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split('/').next().unwrap_or(rest);
        authority.split_once('@').is_some_and(|(user, _)| {
            user.split_once(':')
                .is_some_and(|(_, pass)| !pass.is_empty() && !pass.starts_with("${"))
        })
    });
    (names_one && !points_elsewhere() && !is_trivial())
        || in_url
        || FORMS.iter().any(|form| text.len() >= form.len() + 12 && text.contains(form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_lists_and_tables_only_credentials_are_masked() {
        let list = |items: &[&str]| Value::List(items.iter().map(|&item| item.into()).collect());
        for (path, shown, wanted) in [
            (
                "create-options.Env",
                list(&["DB_PASSWORD=hunter2-hunter2", "LEVEL=info"]),
                list(&["(masked)", "LEVEL=info"]),
            ),
            (
                "command",
                list(&["serve", "--password=hunter2", "--port=80", "--token", "t-123456", "-v"]),
                list(&["serve", "(masked)", "--port=80", "--token", "(masked)", "-v"]),
            ),
            ("command", list(&["--token", "--verbose=1"]), list(&["--token", "--verbose=1"])),
            ("command", list(&["--token=t-123456", "serve-all"]), list(&["(masked)", "serve-all"])),
            ("entrypoint", list(&["run", "postgres://u:pw@db/x"]), list(&["run", "(masked)"])),
        ] {
            assert_eq!(masked(path, &shown), wanted, "{path}");
        }
        let inside = Value::Table([("apiKey".to_owned(), "k-123456".into())].into());
        let hidden = Value::Table([("apiKey".to_owned(), "(masked)".into())].into());
        assert_eq!(masked("desired.cloud", &inside), hidden);
    }

    #[test]
    fn credentials_are_told_from_words_about_them() {
        for (key, text) in [
            ("DB_PASSWORD", "hunter2-hunter2"),
            ("apiKey", "k-123456"),
            ("URL", "postgres://u:pw@db/x"),
            ("X", "HostName=h;SharedAccessKey=abcdefghijkl"),
            ("pem", "-----BEGIN PRIVATE KEY-----"),
        ] {
            assert!(looks_like_credential(key, text), "{key}={text}");
        }
        for (key, text) in [
            ("PASSWORD_FILE", "/run/secrets/p"),
            ("TOKEN_TTL", "3600"),
            ("URL", "https://example.com/a"),
            ("USE_TOKEN", "true"),
            ("LEVEL", "info"),
            ("PASSWORD", "${device.tags.pw}"),
        ] {
            assert!(!looks_like_credential(key, text), "{key}={text}");
        }
    }
}
