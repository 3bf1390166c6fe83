//! What is said of wrong conditions, and where the caret stands.

use super::{condition, errors};
use crate::diagnostic::Span;
use crate::language::{Condition, LanguageError};
use std::fmt::Write;

/// Every error of every text, as text, carets, message and help.
fn shown(texts: &[&str]) -> String {
    table(texts, errors)
}

/// The same for texts of any language.
pub(super) fn table(texts: &[&str], errors: fn(&str) -> Vec<LanguageError>) -> String {
    let mut out = String::new();
    for text in texts {
        for error in errors(text) {
            let (start, end) = (error.span.start as usize, error.span.end as usize);
            let width = text[start..end].chars().count().max(1);
            let carets =
                format!("{}{}", " ".repeat(text[..start].chars().count()), "^".repeat(width));
            let help = error.help.expect("every error says what to write");
            write!(out, "{text}\n{carets} {}\n  help: {help}\n", error.message).unwrap();
        }
    }
    out
}

#[test]
fn foreign_spellings() {
    insta::assert_snapshot!(shown(&[
        "tags.a = \"x\"",
        "tags.a = “x”",
        "tags.a == 'x' && !tags.b = 'y' || tags.c = 1",
        "tags.a ≠ 1 AND tags.b ≥ 2 AND tags.c => 3",
        "tags.a LIKE 'x%'",
        "tags.a NOT LIKE 'x%'",
        "tags.a NOT IN ['x']",
        "tags.a IN ('x', 'y')",
        "tags.a IN ('x')",
        "tags.a IN 'x'",
        "tags.a IS NULL",
        "tags.a IS NOT NULL",
        "tags.a IS true",
        "tags.a BETWEEN 1 AND 3",
        "tags.a eq 'x'",
        "tags.a contains 'x'",
        "tags.a = 'x' ADN tags.b = 'y'",
        "tags.a + 1 = 2",
        "tags.a -1 = 2",
        "tags.a: 'x'",
        "tags.a = undefined",
    ]));
}

#[test]
fn unknown_names() {
    insta::assert_snapshot!(shown(&[
        "tag.a = 'x'",
        "Tags.a = 'x'",
        "reported.a = 'x'",
        "properties.reproted.a = 'x'",
        "properties.a = 'x'",
        "properties.desired.a = 1",
        "desired.a = 1",
        "device.tags.a = 1",
        "environment = 'prod'",
        "id = 'x'",
        "DeviceID = 'x'",
        "moduleId = 'x'",
        "capabilities.iotEdge = true",
        "edgeDeviceVM",
        "deviceId",
        "deviceId.x = 1",
        "tags = 'x'",
        "IS_DEFINED(properties.reported)",
        "tags.a = prod",
        "tags.a = west us",
        "deviceId IN [a, 'b']",
        "STARTS_WITH(tags.a, 'x')",
        "ISDEFINED(tags.a)",
        "IS_NULL(tags.a)",
        "LOWER(tags.a) = 'x'",
        "tags.2nd = 'x' AND tags.$x = 1 AND tags.é = 1",
        "tags.a/b = 1",
        "tags['a;b'] = 1",
        "tags[''] = 1",
        "tags.a[0] = 1",
        "tags[a] = 1",
        "tags[\"a\"] = 1",
    ]));
}

#[test]
fn what_only_queries_know() {
    insta::assert_snapshot!(shown(&[
        "configurations.[[base]].status = 'Applied'",
        "connectionState = 'Connected'",
        "runtimeStatus = 'running'",
        "restartCount > 3 AND exitCode != 0",
        "properties.desired.$version = 1",
        "tags[[a]] = 1",
        "tags.a = 1 GROUP BY tags.b",
        "tags.a = 1 ORDER BY tags.b",
        "group = 'x' OR limit = 5",
    ]));
}

#[test]
fn wrong_forms() {
    insta::assert_snapshot!(shown(&[
        "",
        "deviceId = 'linuxprod1",
        "deviceId = \"x",
        "tags.a = 'it\\'s'",
        "tags.a = 'say \"hi\"'",
        "tags.a = 'é\" AND tags.b = 1",
        "(tags.a = 1",
        "tags.a = 1)",
        "tags.a IN ['x')",
        "tags.a =",
        "tags.a = 1 AND",
        "AND tags.a = 1",
        "tags.a = = 1",
        "tags. = 1",
        "()",
        "tags.a = 1, tags.b = 2",
        "tags.a = 1;",
        "tags.a\u{a0}= 1",
        "tags.a = 'x' NOT tags.b = 'y'",
        "tags.a = 'x' tags.b = 'y'",
        "tags.a 'x'",
        "tags.a (tags.b)",
        "tags.a = 'x' y",
        "tags.a = (AND)",
        "tags.a = 'x' or",
        "tags.a = 'x'\nOR AND tags.b",
        "tags.a = 5/2",
        "tags.a < tags.b < tags.c",
        "(tags.a = 1) = true",
        "tags.a = NOT tags.b",
        "FROM devices.modules WHERE tags.building = 9",
        "from devices.modules\nwhere tags.a = 'x'",
        "SELECT * FROM devices WHERE tags.a = 1",
        "WHERE tags.a = 1",
        "SELECT deviceId FROM devices",
    ]));
}

#[test]
fn wrong_types() {
    insta::assert_snapshot!(shown(&[
        "* AND tags.a = 1",
        "(*)",
        "tags.a = *",
        "tags.a = ['x']",
        "['x']",
        "tags.a IN []",
        "tags.a IN [['x']]",
        "tags.a IN [tags.b]",
        "'a' IN ['a']",
        "'prod'",
        "5 OR tags.a",
        "1 = 1",
        "tags.a < null",
        "true >= tags.a",
        "IS_DEFINED(tags.a) > 1",
        "IS_DEFINED()",
        "IS_DEFINED(tags.a, tags.b)",
        "IS_DEFINED('tags.a')",
        "IS_DEFINED(tags.a = 1)",
        "CONTAINS(tags.a)",
        "CONTAINS(tags.a, 5)",
        "CONTAINS('a', 'b')",
        "tags.a = 9223372036854775808",
        "tags.a = 1e999",
        "foo = 1 AND tags.a = \"x\" AND bar.b = 2",
    ]));
}

#[test]
fn spans_count_bytes_of_the_text() {
    for (text, start, end) in [
        ("tags.a = 'é' && tags.b", 14, 16),
        ("tags['é'] = x", 13, 14),
        ("tags.a =", 8, 8),
        (" x ", 1, 2),
        ("tags.a = 'x", 9, 10),
    ] {
        assert_eq!(errors(text)[0].span, Span::new(start, end), "{text}");
    }
}

#[test]
fn all_errors_of_a_text_come_in_its_order() {
    let found = errors("foo.a == \"x\" || bar = 1 && tags.b < null");
    let starts: Vec<_> = found.iter().map(|error| error.span.start).collect();
    assert_eq!(starts, [0, 6, 9, 13, 16, 24, 36]);
}

#[test]
fn length_and_nesting_are_bounded() {
    let nested =
        |open: &str, n: usize, close: &str| format!("{}tags.a{}", open.repeat(n), close.repeat(n));
    for (open, close, weight) in [
        ("(", ")", 1),
        ("NOT ", "", 1),
        ("NOT (", ")", 2),
        ("not(", ")", 2),
        (
            "! ( (
", "))", 3,
        ),
    ] {
        let deepest = 100 / weight;
        if !open.contains('!') {
            condition(&nested(open, deepest, close));
        }
        let message = &errors(&nested(open, deepest + 1, close))[0].message;
        assert!(message.contains("nest more than 100 deep"), "{message}");
        errors(&nested(open, 10_000, close));
        errors(&nested(open, 1500, close));
    }
    // Brackets next to each other do not nest.
    condition(&["(tags.a)"; 500].join(" OR "));
    condition(&["NOT tags.a"; 500].join(" AND "));
    // Within a text they are no brackets.
    condition(&format!("tags.a = '{}'", "(NOT ".repeat(1000)));

    let long = |n: usize| format!("tags.a = '{}'", "é".repeat(n - 11));
    condition(&long(8192));
    assert_eq!(errors(&long(8193))[0].message, "the condition has more than 8192 characters");
}

/// What could make a parser try the same text again and again stays a matter of milliseconds.
#[test]
fn hard_texts_are_read_in_linear_time_on_a_small_stack() {
    let hard = || {
        for text in [
            format!("{}x{}", "f(".repeat(99), ")".repeat(99)),
            format!("{}x y,{}", "f(".repeat(99), ")".repeat(99)),
            format!("{}x,{}", "tags.a IN (".repeat(99), ")".repeat(99)),
            format!("{}x = {}", "(tags.a = ".repeat(99), ")".repeat(99)),
            format!("{}={}", "[".repeat(99), "]".repeat(99)),
            format!("{},{}", "NOT(f(".repeat(33), "))".repeat(33)),
            format!("{}x AND{}", "tags.a BETWEEN 1 AND (".repeat(99), ")".repeat(99)),
            format!("{}=={}", "tags.a * (".repeat(99), ")".repeat(99)),
            format!("{}=={}", "tags.a between.5 and (".repeat(99), ")".repeat(99)),
            format!("{}=={}", "tags.a not in (".repeat(99), ")".repeat(99)),
            format!("{}=={}", "true (tags.b ".repeat(99), ")".repeat(99)),
            format!("{}=={}", "!like(".repeat(49), ")".repeat(49)),
            "tags.a ".repeat(1000),
            "x AND ".repeat(1000),
            "!".repeat(99) + "=",
            "tags.a = 1 AND ".repeat(500) + "tags.b tags.c",
        ] {
            assert!(Condition::parse(&text).is_err(), "{text}");
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(hard).unwrap().join().unwrap();
}
