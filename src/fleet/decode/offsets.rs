//! Where in a file the bytes of a string are: TOML's quotes, escapes and folded lines lie between.
//!
//! Enters: a string as it is written, and what it says. Leaves: for each byte of what it says, where that is in
//! what is written. Not here: whether the escapes are right; toml has read them.

/// The offset of every byte of `text` in `written`, and of its end; `None` if they don't belong together.
pub(super) fn offsets(written: &str, text: &str) -> Option<Vec<usize>> {
    let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| written.starts_with(q))?;
    let inner = written.strip_prefix(quotes)?.strip_suffix(quotes)?;
    // A newline right after three quotes is not part of the text.
    let newline = ["\r\n", "\n"].into_iter().find(|n| quotes.len() == 3 && inner.starts_with(n));
    let start = quotes.len() + newline.map_or(0, str::len);
    let inner = &written[start..written.len() - quotes.len()];
    let mut found = Vec::with_capacity(text.len() + 1);
    let mut at = 0;
    for c in text.chars() {
        if quotes.starts_with('"') {
            at += folded(&inner[at..]);
        }
        let length = if quotes.starts_with('"') && inner[at..].starts_with('\\') {
            escape(&inner[at..], c)?
        } else if c == '\n' && inner[at..].starts_with("\r\n") {
            2
        } else {
            inner[at..].starts_with(c).then(|| c.len_utf8())?
        };
        found.extend(std::iter::repeat_n(start + at, c.len_utf8()));
        at += length;
    }
    found.push(start + at);
    Some(found)
}

/// How long a backslash at a line's end is, with the blanks and lines that it takes away.
fn folded(rest: &str) -> usize {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let Some(behind) = rest.strip_prefix('\\') else { return 0 };
    let next = behind.trim_start_matches(blank);
    let taken = &behind[..behind.len() - next.len()];
    if !taken.contains('\n') {
        return 0;
    }
    let length = rest.len() - next.len();
    length + folded(next)
}

/// How long an escape is, if it stands for `c`.
fn escape(rest: &str, c: char) -> Option<usize> {
    let by_number = |digits: usize| {
        let number = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
        (char::from_u32(number) == Some(c)).then_some(2 + digits)
    };
    let (stands_for, length) = match rest[1..].chars().next()? {
        'x' => return by_number(2),
        'u' => return by_number(4),
        'U' => return by_number(8),
        'b' => ('\u{8}', 2),
        't' => ('\t', 2),
        'n' => ('\n', 2),
        'f' => ('\u{c}', 2),
        'r' => ('\r', 2),
        'e' => ('\u{1b}', 2),
        plain => (plain, 2),
    };
    (stands_for == c).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::offsets;

    #[test]
    fn every_byte_is_found_behind_escapes_and_folds() {
        let check = |written: &str, text: &str, part: &str, at: usize| {
            let found = offsets(written, text).unwrap();
            assert_eq!(found.len(), text.len() + 1);
            assert_eq!(found[text.find(part).unwrap()], at, "{written}");
            assert!(found.is_sorted());
        };
        check("'abc'", "abc", "c", 3);
        check("\"abc\"", "abc", "c", 3);
        check(r#""a\"bc""#, "a\"bc", "c", 5);
        check(r#""é\u00e9\tc""#, "éé\tc", "c", 11);
        check(r#""\\\\c""#, "\\\\c", "c", 5);
        check("\"\"\"\na\\\n   b \\\n\n c\"\"\"", "ab c", "c", 16);
        check("'''\r\na\nc'''", "a\nc", "c", 7);
        check("'''a\r\nc'''", "a\nc", "c", 6);
        check("\"\"\"a\"b\"\"\"", "a\"b", "b", 5);
        check("'a\\tc'", "a\\tc", "c", 4);
        assert_eq!(offsets("\"a\"", "b"), None);
        assert_eq!(offsets("abc", "abc"), None);
        assert_eq!(offsets(r#""\u0041""#, "B"), None);
    }
}
