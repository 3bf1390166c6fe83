//! What is said of wrong queries, and where the caret stands.

use super::errors::table;
use super::{query, query_errors};
use crate::language::Query;

fn shown(texts: &[&str]) -> String {
    table(texts, query_errors)
}

/// The errors of a text that must be a whole query and is not.
fn whole_query_errors(text: &str) -> Vec<crate::language::LanguageError> {
    Query::parse(text).expect_err(text)
}

#[test]
fn wrong_clauses() {
    insta::assert_snapshot!(shown(&[
        "SELECT deviceId",
        "SELECT deviceId WHERE tags.a = 1",
        "FROM devices WHERE tags.a = 1",
        "FROM devices.modules WHERE tags.a = 1",
        "WHERE tags.a = 1",
        "SELECT FROM devices",
        "SELECT deviceId FROM",
        "SELECT deviceId FROM WHERE tags.a = 1",
        "SELECT deviceId FROM device",
        "SELECT deviceId FROM Devices",
        "SELECT deviceId FROM modules",
        "SELECT deviceId FROM devices.jobs",
        "SELECT deviceId FROM devices d WHERE d.tags.a = 1",
        "SELECT deviceId FROM devices AS d",
        "SELECT deviceId FROM devices, devices.modules",
        "FROM devices SELECT deviceId",
        "SELECT deviceId WHERE tags.a = 1 FROM devices",
        "SELECT deviceId FROM devices WHERE tags.a = 1 WHERE tags.b = 2",
        "SELECT deviceId FROM devices SELECT deviceId FROM devices",
        "SELECT deviceId FROM devices WHERE",
        "SELECT deviceId FROM devices WHERE *",
        "SELECT deviceId FROM devices WHERE tags.a = 1 tags.b = 2",
        "SELECT deviceId FROM devices;",
        "SELECT deviceId FROM devices tags.a = 1",
        "SELECT deviceId FROM devices WHERE tags.a = 'say \"hi\"'",
        "SELECT deviceId FROM devices WHERE (tags.a = 1",
        "SELECT deviceId FROM devices WHERE deviceId IN (SELECT deviceId FROM devices)",
    ]));
}

#[test]
fn what_is_not_there() {
    insta::assert_snapshot!(shown(&[
        "SELECT deviceId FROM devices ORDER BY deviceId DESC",
        "SELECT deviceId FROM devices WHERE tags.a = 1 ORDER BY tags.a",
        "SELECT deviceId FROM devices LIMIT 10",
        "SELECT deviceId FROM devices WHERE tags.a = 1 limit 10",
        "SELECT TOP 5 deviceId FROM devices",
        "SELECT TOP (5) deviceId FROM devices",
        "SELECT DISTINCT tags.a FROM devices",
        "SELECT VALUE deviceId FROM devices",
        "SELECT COUNT() FROM devices GROUP BY tags.a HAVING COUNT() > 1",
        "SELECT deviceId FROM devices JOIN devices.modules",
        "SELECT deviceId FROM devices UNION SELECT deviceId FROM devices",
        "SELECT deviceId FROM devices OFFSET 5",
    ]));
}

#[test]
fn wrong_columns() {
    insta::assert_snapshot!(shown(&[
        "SELECT COUNT(*) FROM devices",
        "SELECT COUNT(tags.a) AS n FROM devices",
        "SELECT count(1) FROM devices",
        "SELECT SUM(tags.a) FROM devices",
        "SELECT COUNT FROM devices",
        "SELECT *, deviceId FROM devices",
        "SELECT * AS x FROM devices",
        "SELECT 'a' FROM devices",
        "SELECT deviceId, FROM devices",
        "SELECT deviceId moduleId FROM devices.modules",
        "SELECT deviceId AS 'x y' FROM devices",
        "SELECT deviceId AS 2nd FROM devices",
        "SELECT id FROM devices",
        "SELECT name, tags FROM devices",
        "SELECT tags.a, tags.b.a FROM devices",
        "SELECT tags.a AS x, tags.b AS x FROM devices",
        "SELECT deviceId, COUNT() FROM devices",
        "SELECT deviceId, COUNT() FROM devices GROUP BY tags.a",
        "SELECT * FROM devices GROUP BY tags.a",
        "SELECT deviceId FROM devices GROUP BY tags.a",
        "SELECT COUNT() FROM devices GROUP BY COUNT()",
        "SELECT COUNT() FROM devices GROUP BY",
        "SELECT COUNT() FROM devices GROUP tags.a",
    ]));
}

#[test]
fn names_of_the_other_collection() {
    insta::assert_snapshot!(shown(&[
        "moduleId = 'camera'",
        "properties.desired.interval = 5",
        "connectionstate = 'Connected'",
        "SELECT moduleId FROM devices",
        "SELECT deviceId FROM devices WHERE properties.desired.interval = 5",
        "SELECT deviceId FROM devices WHERE runtimeStatus = 'running'",
        "SELECT COUNT() FROM devices GROUP BY exitCode",
        "SELECT connectionState FROM devices.modules",
        "SELECT deviceId FROM devices.modules WHERE capabilities.iotEdge = true",
        "SELECT deviceId FROM devices.modules WHERE module = 'camera'",
        "SELECT deviceId FROM devices.modules WHERE desired.x = 1",
        "SELECT deviceId FROM devices.modules WHERE reported.x = 1",
        "SELECT deviceId FROM devices.modules WHERE camera",
        "SELECT deviceId FROM devices.modules WHERE 'camera'",
        "SELECT deviceId FROM devices WHERE lastDesiredStatus.code = 200",
        "SELECT deviceId FROM devices WHERE status = 'enabled'",
        "SELECT deviceId FROM devices WHERE connectionState",
        "SELECT deviceId FROM devices WHERE connectionState = Connected",
        "SELECT deviceId FROM devices WHERE configurations.[[base]].status",
        "SELECT deviceId FROM devices WHERE configurations.[[base]] = 'Applied'",
        "SELECT deviceId FROM devices WHERE configurations.[[base]].state = 'Applied'",
        "SELECT deviceId FROM devices WHERE configurations.[[a b]].status = 'Applied'",
        "SELECT deviceId FROM devices WHERE configurations.[[a/b]].status = 'Applied'",
        "SELECT deviceId FROM devices WHERE tags.[[a]] = 'Applied'",
        "SELECT deviceId FROM devices.modules WHERE properties.desired.$x = 1",
        "SELECT deviceId FROM devices.modules WHERE restartCount.x > 1",
    ]));
}

#[test]
fn a_metric_is_a_whole_query() {
    let texts = ["", "tags.a = 1", " *\n", "camera", "SELECT"];
    insta::assert_snapshot!(table(&texts, whole_query_errors));
}

#[test]
fn all_errors_of_a_text_come_in_its_order() {
    let text =
        "SELECT id, SUM(tags.a) FROM devices d WHERE a.b == \"x\" GROUP BY moduleId ORDER BY c";
    let found = query_errors(text);
    let starts: Vec<_> = found.iter().map(|error| error.span.start).collect();
    assert_eq!(starts, [7, 11, 36, 44, 48, 51, 64, 73]);
}

#[test]
fn length_and_nesting_are_bounded() {
    let nested = |open: &str, n: usize, close: &str| {
        let (open, close) = (open.repeat(n), close.repeat(n));
        format!("SELECT deviceId FROM devices WHERE {open}tags.a{close}")
    };
    query(&nested("(", 100, ")"));
    query(&nested("NOT ", 100, ""));
    for n in [101, 1500] {
        let message = &query_errors(&nested("(", n, ")"))[0].message;
        assert!(message.contains("nest more than 100 deep"), "{message}");
    }
    for (open, close) in [("(", ")"), ("NOT ", ""), ("[", "]"), ("f(", ")")] {
        query_errors(&nested(open, 10_000, close));
        query_errors(&format!("SELECT {}tags.a{}", open.repeat(10_000), close.repeat(10_000)));
    }
    let long = |n: usize| {
        let front = "SELECT deviceId FROM devices WHERE tags.a = ''";
        format!("{}'{}'", &front[..front.len() - 2], "é".repeat(n - front.len()))
    };
    query(&long(8192));
    assert_eq!(query_errors(&long(8193))[0].message, "the query has more than 8192 characters");
}

/// A parser that tried the same text again and again would never end with these: each doubles the work of a
/// nested part at each of its levels.
#[test]
fn hard_texts_are_read_in_linear_time_on_a_small_stack() {
    let hard = || {
        let front = "SELECT deviceId FROM devices WHERE ";
        for text in [
            format!("SELECT {}x{}", "f(".repeat(99), ")".repeat(99)),
            format!("SELECT {}x y,{} FROM devices", "COUNT(".repeat(99), ")".repeat(99)),
            format!("SELECT {}={}", "[".repeat(99), "]".repeat(99)),
            format!("{front}{}x GROUP BY{}", "(tags.a = ".repeat(99), ")".repeat(99)),
            format!("{front}{}x ORDER{}", "tags.a IN (".repeat(99), ")".repeat(99)),
            format!("SELECT COUNT() FROM devices GROUP BY {}={}", "f(".repeat(99), ")".repeat(99)),
            format!("SELECT {}", "tags.a as x,".repeat(680)),
            format!("SELECT {} FROM devices", "tags.a ".repeat(1000)),
            "SELECT ".repeat(1000),
            "SELECT deviceId FROM ".repeat(380),
            "SELECT deviceId WHERE x ".repeat(340),
            format!("{front}{}", "x GROUP BY ".repeat(700)),
            format!("{front}{}", "group by".repeat(1000)),
            format!("{front}{}", "group ".repeat(1000)),
            format!("{front}{}", "limit ".repeat(1000)),
            format!("{front}configurations{}", ".[[a]]".repeat(1300)),
            format!("{front}x {}", "\n".repeat(8000)),
        ] {
            assert!(text.chars().count() <= 8192, "it is read at all: {}", &text[..80]);
            assert!(Query::parse_or_condition(&text).is_err(), "{text}");
        }
        query(&format!("{front}{}tags.a", "tags.a = 1 OR ".repeat(580)));
        query(&format!("{front}tags.a IN [{}1]", "'aaaa', ".repeat(1000)));
        query(&format!("SELECT COUNT() FROM devices{}", " ".repeat(8160)));
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(hard).unwrap().join().unwrap();
}
