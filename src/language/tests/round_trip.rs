//! Every tree prints to text that parses to the same tree, and no text breaks the parser.

use super::{condition, device};
use crate::diagnostic::Span;
use crate::language::ast::{
    Argument, Call, Expr, ExprKind, Literal, Operand, Operator, Property, Root, TextTest,
};
use crate::language::names::Scope;
use crate::language::selection::{Collection, Column, ColumnKind, Select, Selection};
use crate::language::{Condition, Query, Row, RowKind, Subject, Truth};
use proptest::prelude::*;
use std::borrow::Cow;

fn of(kind: ExprKind) -> Expr {
    Expr { kind, span: Span::default() }
}

fn property(scope: Scope) -> impl Strategy<Value = Property> {
    let key = prop_oneof![
        3 => "[A-Za-z_][A-Za-z0-9_-]{0,6}",
        3 => "[a-e]",
        1 => prop::sample::select(vec!["and", "IN", "not", "null", "true", "is", "from"])
            .prop_map(str::to_owned),
        1 => "[ -!#-.0-:<-~é-ü€]{1,5}",
    ];
    let path = prop::collection::vec(key, 1..4);
    let id = "[A-Za-z0-9][A-Za-z0-9_.-]{0,6}";
    let roots: Vec<Root> = ROOTS.into_iter().filter(|root| scope.knows(*root)).collect();
    (prop::sample::select(roots), path, id, any::<bool>()).prop_map(|(root, path, id, flag)| {
        let path = match root {
            Root::Desired if flag => vec!["$version".to_owned()],
            Root::Tags | Root::Reported | Root::Desired => path,
            Root::Configurations => vec![id],
            _ => Vec::new(),
        };
        Property { root, path, span: Span::default() }
    })
}

const ROOTS: [Root; 11] = [
    Root::DeviceId,
    Root::Tags,
    Root::Reported,
    Root::Configurations,
    Root::ConnectionState,
    Root::IotEdge,
    Root::ModuleId,
    Root::Desired,
    Root::RuntimeStatus,
    Root::ExitCode,
    Root::RestartCount,
];

/// A query of the form that the parser makes.
fn selection() -> impl Strategy<Value = Selection> {
    prop::sample::select(vec![Collection::Devices, Collection::Modules]).prop_flat_map(
        |collection| {
            let scope = match collection {
                Collection::Devices => Scope::Devices,
                Collection::Modules => Scope::Modules,
            };
            let properties = prop::collection::vec(property(scope), 1..4);
            let by = prop::collection::vec(property(scope), 0..3);
            let parts = (prop::option::of(expr(scope)), properties, by, 0..4, any::<bool>());
            parts.prop_map(move |(filter, properties, by, form, named)| {
                let count = (ColumnKind::Count, named.then_some("n_of_all"));
                let plain = |property| (ColumnKind::Property(property), None);
                let (select, group_by) = match form {
                    0 => (None, Vec::new()),
                    1 => (Some(properties.into_iter().map(plain).collect()), Vec::new()),
                    2 => (Some(vec![count]), by),
                    _ => {
                        let columns =
                            properties.iter().cloned().map(plain).chain([count]).collect();
                        (Some(columns), properties)
                    }
                };
                let select = match select {
                    None => Select::Everything,
                    Some(columns) => Select::Columns(differently_named(columns)),
                };
                Selection { select, collection, filter, group_by }
            })
        },
    )
}

fn differently_named(columns: Vec<(ColumnKind, Option<&str>)>) -> Vec<Column> {
    let mut named: Vec<Column> = Vec::new();
    for (what, name) in columns {
        let mut column = Column { what, name: name.map(str::to_owned) };
        if named.iter().any(|other| other.name() == column.name()) {
            column.name = Some(format!("column-number-{}", named.len()));
        }
        named.push(column);
    }
    named
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,5}", "[ -!#-~é-ü€\n'’]{0,8}"]
}

fn ordered_literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<i64>().prop_map(Literal::Integer),
        (-20_i64..20).prop_map(Literal::Integer),
        any::<f64>().prop_filter("finite", |real| real.is_finite()).prop_map(Literal::Real),
        text().prop_map(Literal::Text),
    ]
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        1 => Just(Literal::Null),
        1 => any::<bool>().prop_map(Literal::Bool),
        4 => ordered_literal(),
    ]
}

fn call(scope: Scope) -> impl Strategy<Value = Call> {
    let test =
        prop::sample::select(vec![TextTest::StartsWith, TextTest::EndsWith, TextTest::Contains]);
    let argument =
        prop_oneof![property(scope).prop_map(Argument::Property), text().prop_map(Argument::Text),];
    prop_oneof![
        property(scope).prop_map(Call::IsDefined),
        (test.clone(), property(scope).prop_map(Argument::Property), argument.clone())
            .prop_map(|(test, text, part)| Call::Text { test, text, part }),
        (test, argument, property(scope).prop_map(Argument::Property))
            .prop_map(|(test, text, part)| Call::Text { test, text, part }),
    ]
}

/// What may stand alone: `deviceId` may not.
fn bare(scope: Scope) -> impl Strategy<Value = Operand> {
    prop_oneof![
        property(scope)
            .prop_filter("a Boolean", |p| {
                matches!(p.root, Root::Tags | Root::Reported | Root::Desired | Root::IotEdge)
            })
            .prop_map(Operand::Property),
        call(scope).prop_map(Operand::Call),
        any::<bool>().prop_map(|value| Operand::Literal(Literal::Bool(value))),
    ]
}

fn comparison(scope: Scope) -> impl Strategy<Value = ExprKind> {
    let equality = prop::sample::select(vec![Operator::Equal, Operator::NotEqual]);
    let order = prop::sample::select(vec![
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
    ]);
    let any_side = prop_oneof![
        literal().prop_map(Operand::Literal),
        property(scope).prop_map(Operand::Property),
        call(scope).prop_map(Operand::Call),
    ];
    let ordered_side = prop_oneof![
        ordered_literal().prop_map(Operand::Literal),
        property(scope).prop_map(Operand::Property),
    ];
    let sides = prop_oneof![(equality, any_side).boxed(), (order, ordered_side).boxed(),];
    (property(scope), sides, any::<bool>()).prop_map(|(property, (operator, other), swapped)| {
        let property = Operand::Property(property);
        let (left, right) = if swapped { (other, property) } else { (property, other) };
        ExprKind::Compare { left, operator, right }
    })
}

fn leaf(scope: Scope) -> impl Strategy<Value = Expr> {
    let operand = prop_oneof![
        property(scope).prop_map(Operand::Property),
        call(scope).prop_map(Operand::Call),
    ];
    let among = (operand, any::<bool>(), prop::collection::vec(literal(), 1..4))
        .prop_map(|(operand, negated, list)| ExprKind::Among { operand, negated, list });
    prop_oneof![comparison(scope), among, bare(scope).prop_map(ExprKind::Bare)].prop_map(of)
}

/// Any tree of the form that the parser makes: no `AND` in an `AND`, no `OR` in an `OR`.
pub(super) fn expr(scope: Scope) -> impl Strategy<Value = Expr> {
    leaf(scope).prop_recursive(5, 40, 4, |inner| {
        let terms = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            terms.clone().prop_map(|terms| of(ExprKind::And(
                terms
                    .into_iter()
                    .flat_map(|term| match term.kind {
                        ExprKind::And(inner) => inner,
                        kind => vec![of(kind)],
                    })
                    .collect()
            ))),
            terms.prop_map(|terms| of(ExprKind::Or(
                terms
                    .into_iter()
                    .flat_map(|term| match term.kind {
                        ExprKind::Or(inner) => inner,
                        kind => vec![of(kind)],
                    })
                    .collect()
            ))),
            inner.prop_map(|inner| of(ExprKind::Not(Box::new(inner)))),
        ]
    })
}

/// Anything that looks a little like a condition.
fn noise() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "tags",
        ".",
        "a",
        "deviceId",
        "properties.reported.x",
        "'b'",
        "'",
        "\"",
        "(",
        ")",
        "[",
        "]",
        ",",
        "=",
        "==",
        "!=",
        "!",
        "<",
        "AND",
        "or",
        "NOT",
        "IN",
        "NIN",
        "IS",
        "NULL",
        "LIKE",
        "BETWEEN",
        "IS_DEFINED",
        "CONTAINS",
        "1",
        "-2.5",
        "0x1f",
        "1e999",
        "*",
        "+",
        "&&",
        "||",
        "é",
        "’",
        "\u{a0}",
        "FROM devices.modules WHERE",
        "FROM devices",
        "SELECT deviceId",
        "SELECT",
        "COUNT()",
        "*",
        "AS",
        "GROUP BY",
        "ORDER BY",
        "moduleId",
        "configurations.[[x]].status",
        "WHERE",
        "true",
        "undefined",
        "{x}",
        "/",
        ";",
    ]);
    prop::collection::vec((token, prop::sample::select(vec!["", " ", "\n"])), 0..25)
        .prop_map(|parts| parts.into_iter().map(|(a, b)| format!("{a}{b}")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_printed_tree_parses_to_the_same_tree(expr in expr(Scope::Target)) {
        let expected = Condition::of(expr);
        let text = expected.to_string();
        match Condition::parse(&text) {
            Ok(read) => {
                prop_assert_eq!(&read, &expected, "{}", text);
                prop_assert_eq!(read.to_string(), text);
            }
            Err(errors) => prop_assert!(false, "{}: {:#?}", text, errors),
        }
    }

    #[test]
    fn a_device_is_explained_exactly_where_it_is_not_met(expr in expr(Scope::Target), n in -3_i64..3) {
        let device = device("press-01", &format!(r#""a": {n}, "b": true, "c": "x", "d": {{"a": 1}}"#));
        let subject = Subject { device: &device, reported: &device.tags };
        let condition = Condition::of(expr.clone());
        let met = condition.evaluate(subject) == Truth::True;
        prop_assert_eq!(condition.explain(subject).is_none(), met);
        prop_assert_eq!(condition.emptying_term([subject]).is_none(), met);
        let negated = Condition::of(of(ExprKind::Not(Box::new(expr))));
        prop_assert_eq!(negated.evaluate(subject), condition.evaluate(subject).negated());
        let flips = |c: &Condition| c.properties().iter().filter(|u| u.negated).count();
        let free = condition.properties().iter().filter(|u| !u.existence).count();
        prop_assert!(flips(&condition) + flips(&negated) <= free);
    }

    #[test]
    fn a_query_gives_the_devices_that_meet_its_condition(expr in expr(Scope::Target), n in -3_i64..3) {
        let device = device("press-01", &format!(r#""a": {n}, "b": true, "c": "x", "d": {{"a": 1}}"#));
        let subject = Subject { device: &device, reported: &device.tags };
        let met = Condition::of(expr.clone()).evaluate(subject) == Truth::True;
        for connected in [None, Some(true)] {
            let row = Row {
                device: &device,
                reported: Cow::Borrowed(&device.tags),
                configurations: Vec::new(),
                kind: RowKind::Device { connected },
            };
            let answer = Query::of(Selection::devices_where(Some(expr.clone()))).evaluate([row]);
            prop_assert_eq!(answer.rows.len(), usize::from(met));
            prop_assert_eq!(answer.emptied.is_none(), met);
        }
    }

    #[test]
    fn a_printed_query_parses_to_the_same_query(selection in selection()) {
        let expected = Query::of(selection);
        let text = expected.to_string();
        match Query::parse(&text) {
            Ok(read) => {
                prop_assert_eq!(&read, &expected, "{}", text);
                prop_assert_eq!(read.to_string(), text);
            }
            Err(errors) => prop_assert!(false, "{}: {:#?}", text, errors),
        }
    }

    #[test]
    fn any_query_is_read_or_refused_at_a_place_in_it(
        front in prop::sample::select(vec!["", "SELECT ", "SELECT * FROM devices ", "SELECT a FROM devices WHERE "]),
        text in noise(),
    ) {
        let text = format!("{front}{text}");
        match Query::parse_or_condition(&text) {
            Ok(read) => prop_assert_eq!(Query::parse(&read.to_string()), Ok(read)),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    let (start, end) = (error.span.start as usize, error.span.end as usize);
                    prop_assert!(text.get(start..end).is_some(), "{:?} in {:?}", error, text);
                    prop_assert!(error.help.is_some(), "{:?} in {:?}", error, text);
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_place_in_it(text in noise()) {
        match Condition::parse(&text) {
            Ok(read) => prop_assert_eq!(Condition::parse(&read.to_string()), Ok(read)),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    let (start, end) = (error.span.start as usize, error.span.end as usize);
                    prop_assert!(text.get(start..end).is_some(), "{:?} in {:?}", error, text);
                }
            }
        }
    }
}

#[test]
fn only_needed_parentheses_are_printed() {
    for (text, printed) in [
        ("((tags.a = 1))", "tags.a = 1"),
        ("(tags.a) = (1)", "tags.a = 1"),
        ("(tags.a AND tags.b) AND tags.c", "tags.a AND tags.b AND tags.c"),
        ("tags.a OR (tags.b OR (tags.c))", "tags.a OR tags.b OR tags.c"),
        ("tags.a OR (tags.b AND tags.c)", "tags.a OR tags.b AND tags.c"),
        ("(tags.a OR tags.b) AND tags.c", "(tags.a OR tags.b) AND tags.c"),
        ("NOT (tags.a = 1)", "NOT tags.a = 1"),
        ("not(not(tags.a))", "NOT NOT tags.a"),
        ("NOT (tags.a AND tags.b)", "NOT (tags.a AND tags.b)"),
        ("tags['a'].b['c d']['e''f'] <> 0X1F", "tags.a.b['c d']['e''f'] != 31"),
        ("Is_Defined( tags.x )and TRUE", "IS_DEFINED(tags.x) AND true"),
        ("tags.a=-1 or tags.a=1E3", "tags.a = -1 OR tags.a = 1000.0"),
        ("tags.in in['a',null]", "tags.in IN ['a', null]"),
        ("\n tags.a-b\t=\r\n'x' ", "tags.a-b = 'x'"),
        (" * ", "*"),
    ] {
        assert_eq!(condition(text).to_string(), printed, "{text}");
        assert_eq!(condition(printed), condition(text));
    }
}
