//! What is said of wrong routes, and where the caret stands.

use super::{errors, route, with};
use crate::diagnostic::Span;
use crate::language::ParsedRoute;
use std::fmt::Write;

/// Every error of every text, as text, carets, message and help.
fn shown<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut out = String::new();
    for text in texts {
        let text = text.as_ref();
        for error in errors(text) {
            let (start, end) = (error.span.start as usize, error.span.end as usize);
            let width = text[start..end].chars().count().max(1);
            let carets =
                format!("{}{}", " ".repeat(text[..start].chars().count()), "^".repeat(width));
            let help = error.help.unwrap_or_else(|| panic!("no help: {}", error.message));
            write!(out, "{text}\n{carets} {}\n  help: {help}\n", error.message).unwrap();
        }
    }
    out
}

fn shown_conditions(conditions: &[&str]) -> String {
    shown(conditions.iter().map(|condition| with(condition)))
}

#[test]
fn wrong_forms() {
    insta::assert_snapshot!(shown([
        "",
        "camera",
        "/messages/* INTO $upstream",
        "FORM /messages/* INTO $upstream",
        "SELECT temperature FROM /messages/* INTO $upstream",
        "SELECT FROM /messages/* INTO $upstream",
        "SELECT * /messages/* INTO $upstream",
        "FROM",
        "FROM INTO $upstream",
        "FROM /messages/*",
        "FROM /messages/* ",
        "FROM /messages/* INTO",
        "FROM /messages/* $upstream",
        "FROM /messages/* TO $upstream",
        "FROM /messages/* IF a = 'b' INTO $upstream",
        "FROM /messages/* AND a = 'b' INTO $upstream",
        "FROM /messages/modules/my camera/* INTO $upstream",
        "FROM /messages/* WHERE INTO $upstream",
        "FROM /messages/* WHERE a = 'b'",
        "FROM /messages/* WHERE a = 'b' $upstream",
        "FROM /messages/* WHERE a = 'b' BrokeredEndpoint('/modules/mm/inputs/i')",
        "FROM /messages/* INTO $upstream WHERE a = 'b'",
        "FROM /messages/* INTO $upstream INTO $upstream",
        "FROM /messages/* WHERE from = 'b' INTO $upstream",
        "FROM /messages/* WHERE a = 'b INTO $upstream",
        "FROM /messages/* WHERE a = \"it\\\" INTO $upstream",
        "FROM /messages/* INTO BrokeredEndpoint(\"/modules/mm/inputs/i)",
        "FROM /messages/* INTO BrokeredEndpoint(\"/modules/mm/inputs/i\"",
        "FROM /messages/* WHERE (a = 'b' INTO $upstream",
        "FROM /messages/* WHERE a = 'b') INTO $upstream",
        "FROM /messages/*\u{a0}INTO $upstream",
        "FROM /messages/events\u{200b} INTO\u{a0}$upstream",
        "FROM /messages/events WHERE a = 'b' /* why INTO $upstream",
        "FROM /messages/* WHERE a = 'b' /* why */ INTO $upstream",
        "FROM /* WHERE type = '*/*' INTO $upstream",
        "$EDGEHUB_ROUTE",
        "{route}",
    ]));
}

#[test]
fn wrong_sources() {
    insta::assert_snapshot!(shown(
        [
            "messages/*",
            "camera",
            "/",
            "/**",
            "/message/*",
            "/Messages/module/camera/*",
            "/messages/camera/outputs/*",
            "/messages/events/x",
            "/message",
            "/modules/camera/outputs/*",
            "/module/camera",
            "/telemetry",
            "/messages//modules/camera",
            "/messages/modules/*/outputs/alert",
            "/messages/modules/cam*era/*",
            "/messages/modules/c/*",
            "/messages/modules/edgeHub/*",
            "/messages/modules/my.camera/*",
            "/messages/modules/${device.id}/*",
            "/messages/modules/{camera}/*",
            "/messages/modules/camera/output/alert",
            "/messages/modules/camera/inputs/alert",
            "/messages/modules/camera/alert",
            "/messages/modules/camera/outputs/alert/x",
            "/messages/modules/camera/outputs/a;b",
            "/messages/modules/camera/outputs/é\"",
            "/twinChangeNotifications/x",
            "/twinChangeNotification",
            "/devicelifecycleevent",
        ]
        .iter()
        .map(|source| format!("FROM {source} INTO $upstream"))
    ));
}

#[test]
fn wrong_sinks() {
    insta::assert_snapshot!(shown(
        [
            "upstream",
            "$upsteam",
            "$cloud",
            "\"$upstream\"",
            "$upstream, $upstream",
            "$upstream;",
            "/modules/alarm/inputs/in",
            "\"/modules/alarm/inputs/in\"",
            "alarm",
            "BrokeredEndpoint",
            "BrokeredEndpoint()",
            "BrokerEndpoint(\"/modules/alarm/inputs/in\")",
            "BrokeredEndpoint(/modules/alarm/inputs/in)",
            "BrokeredEndpoint(“/modules/alarm/inputs/in”)",
            "BrokeredEndpoint(\"\"/modules/alarm/inputs/in\"\")",
            "BrokeredEndpoint(\\\"/modules/alarm/inputs/in\\\")",
            "BrokeredEndpoint(\"/modules/alarm/inputs/in\") x",
            "BrokeredEndpoint(\"alarm\")",
            "BrokeredEndpoint(\"/modules/alarm\")",
            "BrokeredEndpoint(\"/modules/alarm/inputs\")",
            "BrokeredEndpoint(\"/modules/alarm/inputs/\")",
            "BrokeredEndpoint(\"/modules/alarm/inputs/in/x\")",
            "BrokeredEndpoint(\"/module/alarm/inputs/in\")",
            "BrokeredEndpoint(\"/modules/alarm/outputs/in\")",
            "BrokeredEndpoint(\"/modules/alarm/input/in\")",
            "BrokeredEndpoint(\"/modules/al'arm/inputs/in\")",
            "BrokeredEndpoint('/modules/alarm/inputs/in*')",
            "BrokeredEndpoint(\"/modules/${device.id}/inputs/in\")",
        ]
        .iter()
        .map(|sink| format!("FROM /messages/* INTO {sink}"))
    ));
}

#[test]
fn foreign_spellings() {
    insta::assert_snapshot!(shown_conditions(&[
        "a == 'x'",
        "a == 'x' && b === 'y' & c : 'z' | d ≠ 'e'",
        "as_number(a) => 3 AND as_number(b) =< 4",
        "a = “x”",
        "a LIKE 'x%'",
        "a IN ['x']",
        "a IN ('x')",
        "a IS NULL",
        "a BETWEEN 1 AND 3",
        "a eq 'x'",
        "a = 'x' ADN b = 'y'",
        "a = 'x' NOT b = 'y'",
        "a = 'x' b = 'y'",
        "a 'x'",
        "a = = 'x'",
        "a =",
        "a = 'x' AND",
        "AND a = 'x'",
        "a = 'x';",
        "()",
        "is_defined(a,)",
        "!a = 'x'",
        "!is_defined(a)",
        "a!='x'",
        "a = 'it's'",
        "a = 'it''s'",
        "a = 'x'AND b = 'y'",
        "a = 'c:\\temp'",
        "a = '\\ud800'",
        "a||b = 'x'",
        "a ||b = 'x'",
        "'a'||'b' = 'x'",
        "3-4 = 1",
        "as_number(a) -5 > 1",
        "as_number(a) *2 > 1",
        "as_number(a)*2 > 1",
        "a = TRUE",
        "a = Null",
        "5. > 1",
    ]));
}

#[test]
fn wrong_names() {
    insta::assert_snapshot!(shown_conditions(&[
        "$body > 3",
        "$body[0] = 1",
        "$body.a..b = 1",
        "$body.a[x] = 1",
        "$body.a[0][1] = 1",
        "$body.[0] = 1",
        "$body.a*2 = 1",
        "body.temperature > 3",
        "a[0] = 'x'",
        "$a[0] = 'x'",
        "{a} = 'x'",
        "$ = 'x'",
        "$twin.tags.x = 'y'",
        "STARTSWITH(a, 'x')",
        "len(a) = 3",
        "foo(a)",
        "number(a) > 3",
        "concat('a') = 'a'",
        "substring('abc') = 'a'",
        "power(2, 3, 4) = 8",
        "is_defined()",
        "twin_change_includes(properties.reported.x)",
    ]));
    insta::assert_snapshot!(
        "twin_changes",
        shown(
            ["reported.x", "'tags.x'", "tags.x..y", "", "tags.x, tags.y", "tags.x = 3"].map(|path| {
                format!(
                    "FROM /twinChangeNotifications WHERE twin_change_includes({path}) INTO $upstream"
                )
            })
        )
    );
}

#[test]
fn wrong_types() {
    insta::assert_snapshot!(shown_conditions(&[
        "temperature > 30",
        "30 < temperature",
        "$enqueuedTime > 30",
        "lower(a) > 30",
        "a = true",
        "a = null",
        "a = undefined",
        "NOT a = 'x'",
        "NOT $body.a + 1",
        "a AND b",
        "a = 'x' OR $contentType",
        "a",
        "3",
        "as_number(a)",
        "a + 1 = 2",
        "1 + 2 + a = 2",
        "a = 'x' || b = 'y'",
        "'a' || 3 = 'a3'",
        "a ?? 3",
        "a ?? 'x' = 'y'",
        "- (a) = 3",
        "length(3) = 1",
        "abs(a) = 1",
        "as_number(null) = 1",
        "contains(a, 5)",
        "is_defined(3 + a)",
        "(a = 'x') = 'true'",
        "foo(a) = 1 AND b = 3 AND NOT c = 'x'",
    ]));
}

#[test]
fn spans_count_bytes_of_the_text() {
    for (text, start, end) in [
        ("FROM /message/* INTO $upstream", 6, 13),
        ("FROM /messages/* INTO  upstream ", 23, 31),
        ("FROM /messages/*", 16, 16),
        ("FROM /messages/events WHERE 'é' == a INTO $upstream", 33, 35),
        ("FROM /messages/events WHERE a = 'é\\n' INTO $upstream", 35, 37),
        ("FROM /messages/* INTO BrokeredEndpoint( \" /modules/é/inputs/i\" )", 51, 53),
    ] {
        assert_eq!(errors(text)[0].span, Span::new(start, end), "{text}");
    }
}

#[test]
fn all_errors_of_a_text_come_in_its_order() {
    let found = errors("FROM /message/* WHERE a == 3 && NOT b INTO upstream");
    let starts: Vec<_> = found.iter().map(|error| error.span.start).collect();
    assert_eq!(starts, [6, 22, 24, 29, 32, 43]);
}

#[test]
fn length_and_nesting_are_bounded() {
    let nested = |open: &str, n: usize, close: &str| {
        with(&format!("{}$body.a{}", open.repeat(n), close.repeat(n)))
    };
    for (open, close, weight) in [("(", ")", 1), ("NOT ", "", 1), ("NOT (", ")", 2), ("- ", "", 1)]
    {
        let deepest = 32 / weight;
        route(&nested(open, deepest, close));
        let message = &errors(&nested(open, deepest + 1, close))[0].message;
        assert!(message.contains("nest more than 32 deep"), "{message}");
        // Over 8192 characters from here on.
        errors(&nested(open, 10_000, close));
        let message = &errors(&nested(open, 1000, close))[0].message;
        assert!(message.contains("nest more than 32 deep"), "{message}");
    }
    // Parentheses next to each other do not nest, nor do those in texts.
    route(&with(&["($body.a)"; 500].join(" OR ")));
    route(&with(&format!("a = '{}'", "(NOT ".repeat(1000))));

    let long = |n: usize| {
        let empty = with("a = ''").chars().count();
        with(&format!("a = '{}'", "é".repeat(n - empty)))
    };
    route(&long(8192));
    assert_eq!(errors(&long(8193))[0].message, "the route has more than 8192 characters");
}

/// What could make a parser try the same text again and again stays a matter of milliseconds, and what nests
/// as deep as it may needs little stack.
#[test]
fn hard_texts_are_read_in_linear_time_on_a_small_stack() {
    let hard = || {
        for condition in [
            format!("{}x{}", "f(".repeat(31), ")".repeat(31)),
            format!("{}x y,{}", "f(".repeat(31), ")".repeat(31)),
            format!("{}x y{}", "f(a, b, ".repeat(31), ")".repeat(31)),
            format!("{}x = {}", "(a = ".repeat(31), ")".repeat(31)),
            format!("{},{}", "NOT(f(".repeat(10), "))".repeat(10)),
            format!("{}x AND{}", "a BETWEEN 1 AND (".repeat(31), ")".repeat(31)),
            format!("{}=={}", "a * (".repeat(31), ")".repeat(31)),
            format!("{}=={}", "a not in (".repeat(31), ")".repeat(31)),
            format!("{}=={}", "!(".repeat(31), ")".repeat(31)),
            format!("{}x{}", "{".repeat(1000), "}".repeat(1000)),
            "/* ".repeat(2000),
            "/**/ ".repeat(1500),
            "a ".repeat(3000),
            "a AND ".repeat(1300),
            "- ".repeat(31) + "=",
            "a[".repeat(3000),
            "'a'".repeat(2000),
            "$body.".repeat(1000),
            "\\".repeat(5000),
            "3 ?? ".repeat(1000) + "4",
            "1 + ".repeat(2000) + "a",
        ] {
            assert!(ParsedRoute::parse(&with(&condition)).is_err(), "{condition}");
        }
        for text in ["/*".repeat(4000), "FROM ".repeat(1600), "INTO ".repeat(1600)] {
            assert!(ParsedRoute::parse(&text).is_err());
            assert!(ParsedRoute::parse(&format!("FROM {text}")).is_err());
            assert!(ParsedRoute::parse(&format!("FROM /* INTO {text}")).is_err());
        }
        // All tightnesses in every parenthesis, and the longest chain.
        let deep = "$body.a ?? $body.a OR $body.a AND $body.a = $body.a < $body.a + $body.a * (";
        let deep = with(&format!("{}1{}", deep.repeat(31), ")".repeat(31)));
        let parsed = route(&deep);
        assert_eq!(route(&parsed.to_string()), parsed.clone());
        let long = route(&with(&("1 + ".repeat(2000) + "1 = 1")));
        assert_eq!(route(&long.to_string()), long);
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(hard).unwrap().join().unwrap();
}
