//! `hoist logs`: what a module wrote.

use super::Global;
use super::exit::{Exit, Failure};
use super::one_module::{self, ModuleArguments};
use super::run::{block_on, now};
use crate::diagnostic::render::visible;
use crate::engine::{LogPiece, LogSource, LogsWanted};
use crate::model::{Duration, Timestamp};
use crate::plan::Role;
use crate::store::Store;
use futures_util::StreamExt as _;
use std::io::{self, IsTerminal as _, Write};

/// A line without end is shown in pieces of this size.
const LONGEST_LINE: usize = 64 << 10;

/// Show what a module wrote
///
/// Its standard output goes to stdout, its standard error to stderr: byte by byte into files and pipes; on a
/// terminal without colours, and with control characters made visible.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    module: ModuleArguments,
    /// Go on until the container ends
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Only what is newer: `10m`, `2h`, or a moment like 2026-01-05T09:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Of the replaced container, as long as it is kept
    #[arg(long)]
    previous: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let Arguments { module, follow, tail, since, previous } = arguments;
    let since = since.as_deref().map(moment).transpose()?;
    let wanted = LogsWanted { follow: *follow, tail: *tail, since };
    let roles: &[Role] = if *previous { &[Role::Old] } else { &[Role::Current, Role::New] };
    let module = one_module::open(global, module, Store::open_or_read)?;
    block_on(async {
        let reached = module.reach(roles).await?;
        let mut logs = reached
            .engine
            .logs(&reached.container.id, &wanted)
            .await
            .map_err(|error| one_module::failure(&error))?;
        let mut out = Shown::new(io::stdout(), io::stdout().is_terminal());
        let mut err = Shown::new(io::stderr(), io::stderr().is_terminal());
        let mut broken = None;
        while let Some(piece) = logs.next().await {
            let written = match piece {
                Ok(LogPiece { source: LogSource::Stdout, bytes }) => out.write(&bytes),
                Ok(LogPiece { source: LogSource::Stderr, bytes }) => err.write(&bytes),
                Err(error) => {
                    broken = Some(one_module::failure(&error));
                    break;
                }
            };
            if written.is_err() {
                // The reader went away; that is no error.
                return Ok(Exit::Done);
            }
        }
        // As above.
        let _ = out.end().and_then(|()| err.end());
        broken.map_or(Ok(Exit::Done), Err)
    })?
}

fn moment(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(span) = Duration::parse(text) {
        let back = i64::try_from(span.seconds_up()).unwrap_or(i64::MAX);
        return Ok(Timestamp { seconds: now().seconds.saturating_sub(back).max(0) });
    }
    Timestamp::parse(text).map_err(|_| {
        Failure::new(format!(
            "`{text}` is no span and no moment; write `10m` or `2026-01-05T09:00:00Z`"
        ))
    })
}

/// One of our two outputs.
struct Shown<W> {
    to: W,
    /// The beginning of a line, where the lines go to a terminal.
    line: Option<Vec<u8>>,
}

impl<W: Write> Shown<W> {
    fn new(to: W, is_terminal: bool) -> Self {
        Self { to, line: is_terminal.then(Vec::new) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(line) = &mut self.line else {
            self.to.write_all(bytes)?;
            return self.to.flush();
        };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") || line.len() >= LONGEST_LINE {
                self.to.write_all(harmless(line).as_bytes())?;
                line.clear();
            }
        }
        self.to.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(line) = self.line.as_mut().filter(|line| !line.is_empty()) {
            self.to.write_all(format!("{}\n", harmless(line)).as_bytes())?;
        }
        self.to.flush()
    }
}

/// A line that can do nothing to a terminal but stand on it: no colours, no control characters.
fn harmless(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let (text, end) = match text.strip_suffix('\n') {
        Some(text) => (text.strip_suffix('\r').unwrap_or(text), "\n"),
        None => (text.as_ref(), ""),
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = without_colour(rest) {
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if c == '\t' {
            out.push(c);
        } else if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push_str(&visible(c.encode_utf8(&mut [0; 4])));
        }
    }
    out + end
}

/// What follows a colour at the beginning of a text; `None` if there is none.
fn without_colour(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("\u{1b}[")?;
    let end = inside.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    inside[end..].strip_prefix('m')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_nothing_but_text() {
        for (line, shown) in [
            ("plain\tß\n", "plain\tß\n"),
            ("dos\r\n", "dos\n"),
            ("\u{1b}[1;31mred\u{1b}[0m\n", "red\n"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("\u{1b}]0;title\u{7}\n", "\\u{1b}]0;title\\u{7}\n"),
            ("50%\r60%\n", "50%\\r60%\n"),
            ("\u{202e}evil\n", "\u{fffd}evil\n"),
            ("\u{1b}[31", "\\u{1b}[31"),
        ] {
            assert_eq!(harmless(line.as_bytes()), shown);
        }
        assert_eq!(harmless(b"\xff\n"), "\u{fffd}\n");
    }

    #[test]
    fn files_and_pipes_get_every_byte_and_terminals_whole_lines() {
        let bytes = b"\x1b[31m\xc3\x9f\xff\n";
        let (mut raw, mut shown) = (Vec::new(), Vec::new());
        let mut to_file = Shown::new(&mut raw, false);
        let mut to_terminal = Shown::new(&mut shown, true);
        for byte in bytes.iter().chain(b"rest") {
            to_file.write(&[*byte]).unwrap();
            to_terminal.write(&[*byte]).unwrap();
        }
        to_file.end().unwrap();
        to_terminal.end().unwrap();
        assert_eq!(raw, [&bytes[..], b"rest"].concat());
        assert_eq!(String::from_utf8(shown).unwrap(), "ß\u{fffd}\nrest\n");
    }

    #[test]
    fn since_takes_spans_and_moments() {
        assert_eq!(moment("2026-01-05T09:00:00Z").unwrap().seconds, 1_767_603_600);
        assert!(moment("10m").unwrap().seconds < now().seconds);
        assert!(moment("yesterday").unwrap_err().message.contains("no span and no moment"));
    }
}
