//! What toml says about text that is not TOML, in plain words.
//!
//! Enters: its errors. Leaves: those that are mistakes of their own, with help, and the parts of the text
//! in which nothing else should be believed.

use crate::diagnostic::Span;
use toml::de::Error;

/// Where, what, and what to do.
pub(super) type Problem = (Span, String, Option<String>);

/// Quotes that word processors make.
const TYPOGRAPHIC: [char; 7] = ['“', '”', '„', '‘', '’', '«', '»'];

/// Mistakes, one a line, and doubtful parts: from a mistake to the next table header.
pub(super) fn explain(text: &str, errors: &[Error]) -> (Vec<Problem>, Vec<Span>) {
    let mut errors: Vec<(usize, usize, &str)> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or_default();
            let start = whole_characters(text, span.start);
            (start, whole_characters(text, span.end).max(start), error.message())
        })
        .collect();
    errors.sort_unstable();
    let never_closed = errors.iter().any(|(_, _, message)| {
        message.starts_with("unclosed array,") || message.starts_with("unclosed inline")
    });
    let mut problems = Vec::new();
    let mut doubtful: Vec<Span> = Vec::new();
    let mut last_line = None;
    for (start, end, message) in errors {
        let line = line_start(text, start);
        if last_line == Some(line) {
            continue;
        }
        last_line = Some(line);
        if never_closed && is_inside_brackets(message) {
            problems.push(not_closed(text, start));
            doubtful.push(Span::new(line_start(text, before(text, start)), text.len() + 1));
            break;
        }
        let (message, help) = words(message, &text[start..end], text, start);
        problems.push((pointed_at(text, start, end, help.as_deref()), message, help));
        let swallowed = message_swallows_rest(text, start);
        let until = if swallowed { text.len() + 1 } else { next_header(text, start) };
        doubtful.push(Span::new(line, until));
    }
    (problems, doubtful)
}

/// A text of several lines that is never closed is shown where it opens, not at the end of the file.
fn pointed_at(text: &str, start: usize, end: usize, help: Option<&str>) -> Span {
    let quotes = ["\"\"\"", "'''"]
        .into_iter()
        .find(|quotes| help.is_some_and(|help| help == format!("write {quotes} at its end")));
    if let Some(opened) = quotes.and_then(|quotes| text[..start].rfind(quotes))
        && text[start..].trim().is_empty()
    {
        return Span::new(opened, opened + 3);
    }
    Span::new(start, end)
}

/// The last start of a character at or before a position: toml may point into one.
fn whole_characters(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |i| i + 1)
}

/// The end of what stands before a position.
fn before(text: &str, at: usize) -> usize {
    text[..at].trim_end().len()
}

/// Where the next line begins that opens a table.
fn next_header(text: &str, at: usize) -> usize {
    let mut from = at;
    while let Some(newline) = text[from..].find('\n') {
        from += newline + 1;
        if text[from..].trim_start_matches([' ', '\t']).starts_with('[') {
            return from;
        }
    }
    text.len() + 1
}

/// A text of several lines that never ends takes the rest of the file with it.
fn message_swallows_rest(text: &str, at: usize) -> bool {
    text[at..].trim().is_empty()
}

fn is_inside_brackets(message: &str) -> bool {
    ["array", "inline table", "key-value pairs"].iter().any(|word| message.contains(word))
}

fn not_closed(text: &str, at: usize) -> Problem {
    let end = before(text, at);
    let line = &text[line_start(text, end)..end];
    let opened_by_brace = line.rfind('{') > line.rfind('[');
    let (what, close) = if opened_by_brace { ("table", '}') } else { ("list", ']') };
    let help = format!("write `{close}` at its end");
    (Span::new(end, end), format!("a {what} that is never closed"), Some(help))
}

/// What is wrong, and what to do.
fn words(message: &str, found: &str, text: &str, at: usize) -> (String, Option<String>) {
    let special = words_for_values(message, found)
        .or_else(|| words_for_keys(message, found, text, at))
        .or_else(|| words_for_texts(message, found, text, at));
    if let Some(words) = special {
        return words;
    }
    let help = |text: &str| Some(text.to_owned());
    let end = |plain: &str, advice: &str| (plain.to_owned(), Some(advice.to_owned()));
    let (head, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    match head {
        "duplicate key" => (
            format!("`{found}` stands here for the second time"),
            help("a key or table may stand only once: join the two, or take one away"),
        ),
        "cannot extend value of type inline table with a dotted key" => (
            format!("`{found}` is closed already: its `{{ … }}` is the whole table"),
            help("write everything inside the braces, or all of it below `[…]` headers"),
        ),
        "carriage return must be followed by newline" => end(
            "a carriage return that ends no line",
            "save the file with plain line ends (LF), or CRLF throughout",
        ),
        "unclosed table" | "unclosed array table" => (
            "a table's header that is never closed".to_owned(),
            Some(format!("write {expected} here; names with other characters stand in quotes")),
        ),
        "unexpected leading zero" => {
            end("a number begins with a needless 0", "leave the 0 out, or write a text in quotes")
        }
        "missing comma between array elements" => end("a comma is missing here", "write `,`"),
        "missing comma between key-value pairs" => end("a comma is missing here", "write `,`"),
        "extra comma in array" | "extra comma in inline table" => {
            end("a comma too many", "take it away")
        }
        "missing array opening" => end("a `]` without its `[`", "write `[` first, or take it away"),
        "missing inline table opening" => {
            end("a `}` without its `{`", "write `{` first, or take it away")
        }
        "unexpected key or value" => (
            "something else follows on the same line".to_owned(),
            help("one `key = value` or one `[table]` a line"),
        ),
        "cannot recurse further; max recursion depth met" | "recursion limit" => {
            end("tables and lists nest far too deep", "at most 32 levels are read")
        }
        _ => {
            let expected = match expected {
                "" | "nothing" => None,
                expected => Some(format!("expected {expected}")),
            };
            (format!("not TOML: {head}"), expected)
        }
    }
}

/// The same for keys, and what should have been one.
fn words_for_keys(
    message: &str,
    found: &str,
    text: &str,
    at: usize,
) -> Option<(String, Option<String>)> {
    let help = |text: &str| Some(text.to_owned());
    let end = |plain: &str, advice: &str| (plain.to_owned(), Some(advice.to_owned()));
    let (head, _) = message.split_once(", expected ").unwrap_or((message, ""));
    Some(match head {
        "key with no value" | "missing assignment between key-value pairs"
            if has_colon(text, at) =>
        {
            end(
                "a `=` is missing here",
                "TOML has `key = value` where YAML and JSON have `key: value`",
            )
        }
        "missing assignment between key-value pairs" => {
            end("a `=` is missing here", "write `key = value`")
        }
        "invalid unquoted key" if found == ":" => end(
            "`:` can't stand in a key without quotes",
            "TOML has `key = value` where YAML and JSON have `key: value`",
        ),
        "invalid key-value pair" if text[at..].starts_with(['{', '}']) => (
            format!("a `{}` begins no line", first_of(text, at)),
            help("the file is TOML, not JSON: `key = value`, and `[name]` for a table"),
        ),
        "key with no value" => end(
            "a key without a value",
            "write `key = value`; a key with other characters than A-Z a-z 0-9 _ - stands in quotes",
        ),
        "unquoted keys cannot be empty" => end("a name is missing here", "write the name of a key"),
        "invalid unquoted key" => (
            format!("`{found}` can't stand in a key without quotes"),
            help(
                "write `key = value`; a key with other characters stands in quotes: \"a key\" = 1",
            ),
        ),
        _ => return None,
    })
}

/// The same for texts in quotes, and moments.
fn words_for_texts(
    message: &str,
    found: &str,
    text: &str,
    at: usize,
) -> Option<(String, Option<String>)> {
    let help = |text: &str| Some(text.to_owned());
    let (head, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    Some(match head {
        "too few unicode value digits" | "invalid value" if at > 0 && is_escape(text, at) => (
            "a `\\u` without its hexadecimal digits".to_owned(),
            help(
                "write `\\\\` for a backslash, or the text in single quotes, where `\\` is itself; \
                 `\\u00e9` has four digits",
            ),
        ),
        "invalid date" | "invalid datetime" | "invalid time" | "invalid offset" => (
            format!("`{found}` is no moment: {head}"),
            Some(match expected {
                "" => "write it as `2026-01-05T09:00:00Z`".to_owned(),
                expected => format!("expected {expected}; a moment is `2026-01-05T09:00:00Z`"),
            }),
        ),
        "invalid comment character" if is_control(text, at) => {
            ("a control character in a comment".to_owned(), help("take it away"))
        }
        _ if is_about_a_text(head) && is_control(text, at) => (
            "a control character in a text".to_owned(),
            help(
                "take it away, or write it as `\\u0007`; in several lines a text stands in `\"\"\"`",
            ),
        ),
        _ if is_about_a_text(head) && (found.is_empty() || found.starts_with('\r')) => {
            let quotes = match head {
                "invalid basic string" => "\"",
                "invalid literal string" => "'",
                "invalid multi-line basic string" => "\"\"\"",
                _ => "'''",
            };
            ("a text that is never closed".to_owned(), Some(format!("write {quotes} at its end")))
        }
        "missing escaped value" => (
            format!("`\\{}` means nothing in a text in double quotes", first_of(text, at)),
            help(
                "write `\\\\` for a backslash, or the text in single quotes, where `\\` is itself",
            ),
        ),
        "unexpected key or value"
            if text[..at].ends_with(['"', '\'']) && !text[at..].starts_with([' ', '\t']) =>
        {
            (
                "the text ended at the quote before this".to_owned(),
                help(
                    "a `\"` inside a text in double quotes is written `\\\"`; in a condition texts stand in \
                 single quotes: `\"tags.x = 'y'\"`",
                ),
            )
        }
        _ => return None,
    })
}

/// The same for something that is no value.
fn words_for_values(message: &str, found: &str) -> Option<(String, Option<String>)> {
    let (head, _) = message.split_once(", expected ").unwrap_or((message, ""));
    let (message, help) = match head {
        "string values must be quoted" if found.trim().is_empty() => (
            "a value is missing after `=`".to_owned(),
            "write the value, or take the line away".to_owned(),
        ),
        "string values must be quoted" if found.contains(';') => (
            "a `;` ends nothing here".to_owned(),
            "one `key = value` a line, with nothing behind it".to_owned(),
        ),
        "string values must be quoted" if found.starts_with(|c: char| c.is_ascii_digit()) => (
            format!("`{found}` is no value"),
            "values of a list are separated by commas: `[4, 5]`; a text stands in quotes"
                .to_owned(),
        ),
        "string values must be quoted" if found.starts_with(TYPOGRAPHIC) => {
            let plain = found.trim_matches(TYPOGRAPHIC);
            (format!("`{found}` stands in typographic quotes"), format!("write `\"{plain}\"`"))
        }
        "string values must be quoted" => {
            (format!("`{found}` is no value"), format!("a text stands in quotes: `\"{found}\"`"))
        }
        "invalid boolean" => (
            format!("`{found}` is no value"),
            format!(
                "write `true` or `false` in small letters; a text stands in quotes: `\"{found}\"`"
            ),
        ),
        _ => return None,
    };
    Some((message, Some(help)))
}

/// Whether a colon stands where a key ends.
fn has_colon(text: &str, at: usize) -> bool {
    let line = &text[line_start(text, at)..];
    let line = line.split('\n').next().unwrap_or_default();
    let key = line.trim().trim_start_matches("- ").trim_start_matches(['"', '\'', '{', ' ']);
    let end = key.find(|c: char| !c.is_alphanumeric() && !"_-.".contains(c)).unwrap_or(key.len());
    key[end..].trim_start_matches(['"', '\'']).starts_with(':')
}

/// Whether what stands before is the beginning of `\u…`.
fn is_escape(text: &str, at: usize) -> bool {
    let start = line_start(text, at);
    text[start..at].ends_with(['\\', 'u', 'U'])
        || text[start..at].rfind('\\').is_some_and(|slash| at - start - slash < 10)
}

fn is_about_a_text(head: &str) -> bool {
    head.starts_with("invalid") && head.contains("string")
}

fn is_control(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_some_and(|c| c.is_control() && !matches!(c, '\r' | '\n'))
}

fn first_of(text: &str, at: usize) -> String {
    text[at..].chars().next().map(String::from).unwrap_or_default()
}
