//! What goes to the terminal, and in which colours.

use super::exit::Failure;
use super::{ColorChoice, Global};
use crate::diagnostic::render::{self, visible};
use crate::diagnostic::{Diagnostics, Level};
use crate::review::Tone;
use std::io::{IsTerminal as _, Write as _};

/// Whether to colour what goes to stdout.
pub(super) fn colours_stdout(global: &Global) -> bool {
    wanted(global.color, std::io::stdout().is_terminal())
}

fn colours_stderr(global: &Global) -> bool {
    wanted(global.color, std::io::stderr().is_terminal())
}

fn wanted(choice: ColorChoice, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// Colours a piece of text.
pub(super) fn paint(coloured: bool, tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Strong => "1",
        Tone::Added => "32",
        Tone::Removed => "31",
        Tone::Changed | Tone::Warning => "33",
        Tone::Quiet => "2",
    };
    if coloured && !text.is_empty() {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

fn paint_level(coloured: bool, level: Level, text: &str) -> String {
    let tone = if level == Level::Error { Tone::Removed } else { Tone::Warning };
    paint(coloured, tone, text)
}

/// A number and its noun: `1 device`, `2 devices`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Writes data to stdout. A reader that went away is no error.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Writes words to stderr.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes JSON to stdout.
pub(super) fn print_json(json: &serde_json::Value) {
    print(&format!("{}\n", inert(&format!("{json:#}"))));
}

/// Writes one line of JSON to stdout: one object of a stream.
pub(super) fn print_json_line(json: &serde_json::Value) {
    print(&inert_json_line(json));
}

/// The line that [`print_json_line`] writes.
pub(super) fn inert_json_line(json: &serde_json::Value) -> String {
    format!("{}\n", inert(&json.to_string()))
}

/// The same JSON, with what a terminal or a CI's log would take for a command written as escapes. None of
/// it can stand outside a string.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut last = ' ';
    for c in json.chars() {
        let moves =
            !c.is_ascii() && c != '\u{fffd}' && visible(c.encode_utf8(&mut [0; 4])) == "\u{fffd}";
        if moves || c == '\u{7f}' || (c == '#' && last == '#') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
        last = c;
    }
    out
}

/// Diagnostics for people, to stdout: they are what `validate` is asked for.
pub(super) fn print_diagnostics(global: &Global, diagnostics: &Diagnostics) {
    let coloured = colours_stdout(global);
    print(&render::all(diagnostics, |level, text| paint_level(coloured, level, text)));
}

/// Diagnostics for people, to stderr: they are why a command can't do its job.
pub(super) fn say_diagnostics(global: &Global, diagnostics: &Diagnostics) {
    let coloured = colours_stderr(global);
    let text = render::all(diagnostics, |level, text| paint_level(coloured, level, text));
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Why a command could not do its job.
pub(super) fn print_failure(global: &Global, failure: &Failure) {
    let word = paint(colours_stderr(global), Tone::Removed, "error");
    say(&format!("{word}: {}", visible(&failure.message)));
    if let Some(help) = &failure.help {
        say(&format!("  = help: {}", visible(help)));
    }
}

/// Logs go to stderr, if `HOIST_LOG` asks for them; a daemon, which says nothing else, warns without being asked. Targets of
/// libraries that print bodies stay off. `HOIST_LOG_FORMAT=json` is for programs that collect logs: one object a line.
///
/// # Errors
/// `HOIST_LOG_FORMAT` is neither `text` nor `json`.
pub(super) fn start_logging(is_daemon: bool) -> Result<(), Failure> {
    let as_json = match std::env::var_os("HOIST_LOG_FORMAT") {
        None => false,
        Some(format) if format == "text" || format.is_empty() => false,
        Some(format) if format == "json" => true,
        Some(other) => {
            let words = format!("HOIST_LOG_FORMAT is `{}`", other.to_string_lossy());
            return Err(Failure::new(words).help("it is `text`, which is the default, or `json`"));
        }
    };
    let wanted = match std::env::var_os("HOIST_LOG") {
        Some(wanted) => wanted.to_string_lossy().into_owned(),
        None if is_daemon => "warn".to_owned(),
        None => return Ok(()),
    };
    let wanted = format!("{wanted},bollard=off,hyper=off");
    let logs = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(wanted))
        .with_ansi(std::io::stderr().is_terminal() && !as_json)
        .with_writer(std::io::stderr);
    // Only the first one in a process counts, as where tests run commands of this one.
    let _ = if as_json { logs.json().try_init() } else { logs.try_init() };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::inert;

    #[test]
    fn inert_json_is_the_same_json() {
        let text = "a\u{202e}b\u{9b}c\u{7f}##[error]x ##vso[y] # é \u{fffd} \u{1f6a9} \u{feff}";
        let json = serde_json::json!({ text: [text] });
        for printed in [inert(&json.to_string()), inert(&format!("{json:#}"))] {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), json);
            for bad in ["\u{202e}", "\u{9b}", "\u{7f}", "\u{feff}", "##"] {
                assert!(!printed.contains(bad), "{bad:?} in {printed}");
            }
            assert!(printed.contains('é') && printed.contains('\u{1f6a9}'));
        }
    }
}
