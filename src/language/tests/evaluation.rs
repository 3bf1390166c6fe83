//! What is true of which device, why not, and which properties are asked for.

use super::{condition, device, table, truth};
use crate::diagnostic::Span;
use crate::language::Truth::{self, False, True, Undefined};
use crate::language::{Condition, PropertyUse, Root, Subject};
use crate::model::{Device, Table};

/// Checks the truth of each condition for one device.
fn check(tags: &str, table: &[(&str, Truth)]) {
    for (text, expected) in table {
        assert_eq!(truth(text, tags), *expected, "{text} over {{{tags}}}");
    }
}

#[test]
fn and_or_not_follow_kleene() {
    use Truth as T;
    let all = [True, False, Undefined];
    let and = |a: T, b: T| match (a, b) {
        (True, True) => True,
        (False, _) | (_, False) => False,
        _ => Undefined,
    };
    let spelled = |t: T| match t {
        True => "tags.t",
        False => "tags.f",
        Undefined => "tags.missing",
    };
    let tags = r#""t": true, "f": false"#;
    for a in all {
        let negated = [(True, False), (False, True), (Undefined, Undefined)];
        let expected = negated.iter().find(|(from, _)| *from == a).unwrap().1;
        assert_eq!(truth(&format!("NOT {}", spelled(a)), tags), expected);
        for b in all {
            let (left, right) = (spelled(a), spelled(b));
            assert_eq!(truth(&format!("{left} AND {right}"), tags), and(a, b));
            // De Morgan.
            let or = and(a.negated(), b.negated()).negated();
            assert_eq!(truth(&format!("{left} OR {right}"), tags), or);
        }
    }
}

#[test]
fn a_missing_property_is_undefined_everywhere_but_in_is_defined() {
    check(
        r#""a": 1"#,
        &[
            ("tags.x = 'a'", Undefined),
            ("tags.x != 'a'", Undefined),
            ("NOT tags.x = 'a'", Undefined),
            ("tags.x < 1", Undefined),
            ("tags.x = tags.y", Undefined),
            ("tags.x = tags.a", Undefined),
            ("tags.x IN ['a', null]", Undefined),
            ("tags.x NIN ['a']", Undefined),
            ("tags.x = null", Undefined),
            ("tags.x != null", Undefined),
            ("tags.x", Undefined),
            ("STARTSWITH(tags.x, 'a')", Undefined),
            ("CONTAINS('abc', tags.x)", Undefined),
            ("IS_DEFINED(tags.x)", False),
            ("NOT IS_DEFINED(tags.x)", True),
            ("IS_DEFINED(tags.x) = false", True),
            ("IS_DEFINED(tags.a.b)", False),
            ("IS_DEFINED(tags.A)", False),
            ("NOT IS_DEFINED(tags.x) OR tags.x != 'a'", True),
        ],
    );
}

#[test]
fn null_asks_whether_a_property_is_there() {
    check(
        r#""n": 0, "t": "", "b": false, "list": [], "table": {"x": 1}"#,
        &[
            ("tags.n != null", True),
            ("tags.n = null", False),
            ("null <> tags.t", True),
            ("tags.b != null", True),
            ("tags.list != null", True),
            ("tags.table != null", True),
            ("tags.table = null", False),
            ("NOT tags.table = null", True),
            ("tags.n IN [null]", False),
        ],
    );
}

#[test]
fn values_of_different_types_are_unequal_and_unordered() {
    check(
        r#""n": 9, "t": "9", "b": true, "list": ["9"], "table": {"x": 1}"#,
        &[
            ("tags.n = '9'", False),
            ("tags.n != '9'", True),
            ("tags.t = 9", False),
            ("tags.t IN [9, true]", False),
            ("tags.t NIN [9, true]", True),
            ("tags.t IN [9, '9']", True),
            ("tags.b = 'true'", False),
            ("tags.b = 1", False),
            ("tags.b = TRUE", True),
            ("tags.n < '10'", Undefined),
            ("tags.t < 10", Undefined),
            ("NOT tags.t < 10", Undefined),
            ("tags.b < tags.b", Undefined),
            ("tags.b <= tags.b", Undefined),
            ("tags.list = '9'", Undefined),
            ("tags.list != 9", Undefined),
            ("tags.table = tags.table", Undefined),
            ("tags.table IN ['x']", Undefined),
            ("tags.table", Undefined),
            ("IS_DEFINED(tags.table)", True),
            ("IS_DEFINED(tags.list)", True),
            ("tags.n", Undefined),
            ("NOT tags.t", Undefined),
            ("CONTAINS(tags.n, '9')", Undefined),
            ("CONTAINS(tags.list, '9')", Undefined),
        ],
    );
}

#[test]
fn numbers_compare_exactly() {
    check(
        r#""n": 9, "r": 9.0, "half": -1.5, "large": 9007199254740993, "largeReal": 9007199254740992.0,
           "max": 9223372036854775807, "min": -9223372036854775808, "huge": 1e300, "zero": -0.0"#,
        &[
            ("tags.n = 9.0", True),
            ("tags.r = 9", True),
            ("tags.n = tags.r", True),
            ("tags.n < 9.5", True),
            ("tags.half < -1", True),
            ("tags.half > -2", True),
            ("-2 < tags.half", True),
            ("tags.large = 9007199254740992.0", False),
            ("tags.large > 9007199254740992.0", True),
            ("tags.largeReal < 9007199254740993", True),
            ("tags.largeReal = 9007199254740992", True),
            ("tags.large = tags.largeReal", False),
            ("tags.max < 9223372036854775808.0", True),
            ("tags.max = 9223372036854775808.0", False),
            ("tags.max > 9223372036854774784.0", True),
            ("tags.min = -9223372036854775808.0", True),
            ("tags.min = -9223372036854775808", True),
            ("tags.min = -0x8000000000000000", True),
            ("tags.huge > 9223372036854775807", True),
            ("tags.min > -1e300", True),
            ("tags.zero = 0", True),
            ("tags.n IN [1, 0x9]", True),
            ("tags.n >= 9 AND tags.n <= 9 AND NOT tags.n > 9 AND NOT tags.n < 9", True),
        ],
    );
}

#[test]
fn texts_compare_by_code_point_and_case() {
    check(
        r#""a": "Zebra", "b": "apple", "astral": "😀", "tilde": "～", "q": "o'Dev""#,
        &[
            ("tags.a < tags.b", True),
            ("tags.a = 'zebra'", False),
            // By UTF-16 units it would be the other way round.
            ("tags.tilde < tags.astral", True),
            ("tags.q = 'o''Dev'", True),
            ("tags.b >= 'app'", True),
            ("STARTSWITH(tags.b, 'app')", True),
            ("startswith(tags.b, 'App')", False),
            ("ENDSWITH(tags.b, 'ple')", True),
            ("CONTAINS(tags.b, '')", True),
            ("CONTAINS('an apple', tags.b)", True),
            ("CONTAINS(tags.b, 'x') = false", True),
            ("deviceId = 'press-01' AND deviceid > 'press-00'", True),
            ("deviceId IN ['press-01', 'press-02']", True),
            ("properties.reported.devicemodel = '4000x'", True),
            ("properties.reported.docker.version = '29.1'", True),
            ("IS_DEFINED(properties.reported.devicemodel.x)", False),
        ],
    );
}

#[test]
fn operators_bind_as_documented() {
    check(
        r#""a": true, "b": false, "c": false"#,
        &[
            ("tags.a OR tags.b AND tags.c", True),
            ("(tags.a OR tags.b) AND tags.c", False),
            ("NOT tags.b AND tags.c", False),
            ("NOT (tags.b AND tags.c)", True),
            ("NOT tags.a = false", True),
            ("*", True),
            ("true", True),
            ("tags.a AND false", False),
        ],
    );
}

#[test]
fn conditions_are_equal_however_they_are_spaced() {
    assert_eq!(condition("tags.a='x'  and (tags.b)"), condition("tags.a = 'x' AND tags.b"));
    assert_ne!(condition("tags.a = 'x'"), condition("tags.a = 'y'"));
    assert!(condition(" * ").is_every_device());
    assert!(!condition("true").is_every_device());
}

/// Each use as `path`, with `!` where negated and `?` where only its existence is asked.
fn uses(text: &str) -> String {
    let found = condition(text).properties();
    let shown = found.iter().map(|PropertyUse { root, path, span, negated, existence }| {
        let written = &text[span.start as usize..span.end as usize];
        let keys = if path.is_empty() { String::new() } else { format!(".{}", path.join(".")) };
        assert_eq!(written, format!("{root}{keys}"));
        format!("{}{written}{}", if *negated { "!" } else { "" }, if *existence { "?" } else { "" })
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn properties_are_found_with_how_they_are_asked() {
    for (text, expected) in [
        ("tags.a = 1 AND properties.reported.b.c = 2", "tags.a properties.reported.b.c"),
        ("tags.a != 1", "!tags.a"),
        ("tags.a <> tags.b", "!tags.a !tags.b"),
        ("tags.a NIN [1]", "!tags.a"),
        ("NOT tags.a IN [1]", "!tags.a"),
        ("NOT tags.a NIN [1]", "tags.a"),
        ("NOT tags.a != 1", "tags.a"),
        ("NOT NOT tags.a != 1", "!tags.a"),
        ("NOT (tags.a = 1 OR tags.b != 2)", "!tags.a tags.b"),
        ("NOT tags.a < 1 OR NOT tags.flag", "!tags.a !tags.flag"),
        ("NOT STARTSWITH(tags.a, tags.b)", "!tags.a !tags.b"),
        ("deviceId != 'x'", "deviceId"),
        ("NOT IS_DEFINED(tags.a)", "tags.a?"),
        ("tags.a != null", "tags.a?"),
        ("NOT tags.a = null", "tags.a?"),
        // Whoever asks whether it is there has thought of those that lack it.
        ("NOT IS_DEFINED(tags.a) OR tags.a != 1", "tags.a? tags.a"),
        ("*", ""),
    ] {
        assert_eq!(uses(text), expected, "{text}");
    }
    assert_eq!(condition("( tags['a b'] ) = 1").properties()[0].span, Span::new(2, 13));
    assert_eq!(condition("tags['a b'].c = 1").properties()[0].path, ["a b", "c"]);
    assert_eq!(condition("deviceId = 'x'").properties()[0].root, Root::DeviceId);
}

fn explained(text: &str, tags: &str) -> String {
    let device = device("press-01", tags);
    let subject = Subject { device: &device, reported: &Table::new() };
    condition(text).explain(subject).map_or("met".to_owned(), |leaf| leaf.to_string())
}

#[test]
fn the_part_that_decided_is_named_with_the_devices_value() {
    let tags = r#""env": "prod", "n": 3, "t": {}, "l": [], "on": true"#;
    for (text, expected) in [
        ("tags.env = 'prod'", "met"),
        ("*", "met"),
        ("tags.env = 'test'", "`tags.env = 'test'`: `tags.env` is \"prod\""),
        ("tags.x = 'test'", "`tags.x = 'test'`: `tags.x` is not set"),
        ("tags.x = 1 AND tags.n = 4", "`tags.n = 4`: `tags.n` is 3"),
        ("tags.x = 1 AND tags.n = 3", "`tags.x = 1`: `tags.x` is not set"),
        ("tags.n = 1 OR tags.n = 2", "`tags.n = 1`: `tags.n` is 3"),
        ("tags.on AND NOT (tags.n = 3)", "`NOT tags.n = 3`: `tags.n` is 3"),
        ("NOT (tags.n = 3 AND tags.on)", "`tags.n = 3`: `tags.n` is 3"),
        ("tags.t = 1", "`tags.t = 1`: `tags.t` is a table"),
        ("tags.l", "`tags.l`: `tags.l` is a list"),
        ("tags.n IN [1, 2]", "`tags.n IN [1, 2]`: `tags.n` is 3"),
        ("tags.env < tags.x", "`tags.env < tags.x`: `tags.env` is \"prod\", `tags.x` is not set"),
        ("tags.n != tags.n", "`tags.n != tags.n`: `tags.n` is 3"),
        ("IS_DEFINED(tags.x)", "`IS_DEFINED(tags.x)`: `tags.x` is not set"),
        ("CONTAINS(deviceId, 'x')", "`CONTAINS(deviceId, 'x')`: `deviceId` is \"press-01\""),
        ("false", "`false`"),
    ] {
        assert_eq!(explained(text, tags), expected, "{text}");
    }
}

#[test]
fn a_leaf_knows_where_it_stands() {
    let device = device("press-01", "");
    let subject = Subject { device: &device, reported: &Table::new() };
    for (text, leaf) in [
        ("(true)  AND ( NOT  (tags.a=1 ) ) ", "( NOT  (tags.a=1 ) )"),
        ("( tags.a IN [ 1 ] )", "( tags.a IN [ 1 ] )"),
        ("false OR tags.a  !=  'x'  OR (false)", "tags.a  !=  'x'"),
    ] {
        let span = condition(text).explain(subject).unwrap().span;
        assert_eq!(&text[span.start as usize..span.end as usize], leaf);
    }
}

#[test]
fn the_term_that_left_no_device_is_named() {
    let devices: Vec<Device> = [
        ("a", r#""env": "prod", "ring": 1"#),
        ("b", r#""env": "prod", "ring": 2"#),
        ("c", r#""env": "test", "ring": 3"#),
    ]
    .map(|(id, tags)| device(id, tags))
    .into();
    let reported = table("");
    let emptied = |text: &str, devices: &[Device]| {
        let subjects = devices.iter().map(|device| Subject { device, reported: &reported });
        Condition::parse(text).unwrap().emptying_term(subjects)
    };
    let term = |text: &str, met| Some((text.to_owned(), met));
    assert_eq!(emptied("tags.env = 'prod' AND tags.ring=3", &devices), term("tags.ring = 3", 2));
    assert_eq!(emptied("tags.env = 'x' AND tags.ring = 3", &devices), term("tags.env = 'x'", 3));
    assert_eq!(emptied("tags.x", &devices), term("tags.x", 3));
    assert_eq!(
        emptied("(tags.env = 'prod' AND tags.ring > 1) AND (tags.x OR tags.y)", &devices),
        term("tags.x OR tags.y", 1)
    );
    assert_eq!(emptied("tags.env = 'prod' AND tags.ring = 1", &devices), None);
    assert_eq!(emptied("*", &devices), None);
    assert_eq!(emptied("tags.x", &[]), None);
}
