//! Diagnostics as text for people, with the line and a caret under the words.

use super::{Diagnostic, Diagnostics, Level};
use std::fmt::Write as _;

/// One diagnostic as some lines of text, ending with a newline. Control characters of the file are made
/// visible, so a file can't move the cursor or fake a line.
pub fn text(diagnostic: &Diagnostic, paint: impl Fn(Level, &str) -> String) -> String {
    let Diagnostic { code, level, message, place, help, devices, subject: _ } = diagnostic;
    let mut out = String::new();
    let word = match level {
        Level::Error => "error",
        Level::Warn => "warning",
    };
    let _ = writeln!(out, "{}: {}", paint(*level, &format!("{word}[{code}]")), visible(message));
    if let Some(place) = place {
        let (line, column) = place.line_and_column();
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let shown = visible(&place.line_text().replace('\t', " "));
        let caret_start: usize = column - 1;
        let carets = place.width().min(shown.chars().count().saturating_sub(caret_start).max(1));
        let _ = writeln!(out, "{margin}--> {}:{line}:{column}", visible(place.file()));
        let _ = writeln!(out, "{margin} |");
        let _ = writeln!(out, "{number} | {}", shorten(&shown, caret_start));
        let offset = caret_start.min(shortened_offset(caret_start));
        let _ = writeln!(
            out,
            "{margin} | {}{}",
            " ".repeat(offset),
            paint(*level, &"^".repeat(carets.min(80)))
        );
    }
    if let Some(devices) = devices {
        let _ = writeln!(
            out,
            "  = concerns {devices} {}",
            if *devices == 1 { "device" } else { "devices" }
        );
    }
    if let Some(help) = help {
        let _ = writeln!(out, "  = help: {}", visible(help));
    }
    out
}

/// All diagnostics, a blank line between them, and a closing count.
pub fn all(diagnostics: &Diagnostics, paint: impl Fn(Level, &str) -> String + Copy) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&text(diagnostic, paint));
        out.push('\n');
    }
    out
}

/// "2 errors, 1 warning", or an empty text.
pub fn count(diagnostics: &Diagnostics) -> String {
    let of = |level, one: &str, many: &str| {
        let n = diagnostics.iter().filter(|d| d.level == level).count();
        match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        }
    };
    [of(Level::Error, "error", "errors"), of(Level::Warn, "warning", "warnings")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

/// Replaces control, bidirectional and other invisible characters by visible ones, one for one, and what runners of CI
/// take for a command wherever it stands in a line: `##[…` and `##vso[…`.
pub fn visible(text: &str) -> String {
    let begins_command = |at: usize| {
        let rest = text[at..].trim_start_matches(|c: char| c.is_ascii_alphabetic());
        text[..at].ends_with("##") && rest.starts_with('[')
    };
    text.char_indices()
        .map(|(at, c)| match c {
            '\n' => ' ',
            '#' if begins_command(at + 1) => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            '\u{00ad}'
            | '\u{061c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

const LONGEST: usize = 160;

fn shorten(line: &str, caret: usize) -> String {
    let skipped = caret - shortened_offset(caret);
    let mut kept: String = line.chars().skip(skipped).take(LONGEST).collect();
    if line.chars().count() > skipped + LONGEST {
        kept.push('…');
    }
    if skipped > 0 {
        kept.replace_range(..kept.chars().next().map_or(0, char::len_utf8), "…");
    }
    kept
}

fn shortened_offset(caret: usize) -> usize {
    if caret > LONGEST - 40 { 40 } else { caret }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Place, Source};

    #[test]
    fn commands_of_runners_are_broken_and_other_signs_kept() {
        for (text, shown) in [
            ("##[error]x", "#\u{fffd}[error]x"),
            ("a ###vso[task]", "a ##\u{fffd}vso[task]"),
            ("# ## #[x] ##x #", "# ## #[x] ##x #"),
            ("##é[", "##é["),
            ("a\u{ad}b\u{fff9}c\u{e0041}", "a\u{fffd}b\u{fffd}c\u{fffd}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn a_caret_stands_under_the_word_and_controls_are_visible() {
        let source = Source::new("fleet.toml", "name = \"a\"\nnaem\u{1b} = 1\n");
        let d = Diagnostic::new(Code::UnknownKey, "unknown key `naem`")
            .at(Place::new(&source, 11..15))
            .help("did you mean `name`?");
        insta::assert_snapshot!(text(&d, |_, s| s.to_owned()), @r"
        error[unknown-key]: unknown key `naem`
         --> fleet.toml:2:1
          |
        2 | naem� = 1
          | ^^^^
          = help: did you mean `name`?
        ");
    }
}
