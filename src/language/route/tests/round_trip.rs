//! Every tree prints to text that parses to the same tree, and no text breaks the parser.

use super::{route, with};
use crate::diagnostic::Span;
use crate::language::ParsedRoute;
use crate::language::route::ast::{BodyStep, Expr, Function, Literal, Operator};
use crate::model::{HubEvents, ModuleName, RouteSink, RouteSource};
use proptest::prelude::*;

fn module() -> impl Strategy<Value = ModuleName> {
    prop_oneof!["[A-Za-z0-9][A-Za-z0-9_-]{1,8}", Just("outputs".to_owned())]
        .prop_filter_map("reserved", |name| ModuleName::parse(&name).ok())
}

/// The name of an output or input.
fn end() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9._-]{1,8}", "[a-z+%#~$!é-ü]{1,5}", Just("outputs".to_owned())]
}

fn source() -> impl Strategy<Value = RouteSource> {
    prop_oneof![
        Just(RouteSource::Everything),
        Just(RouteSource::TwinChanges),
        prop::sample::select(HubEvents::ALL.to_vec()).prop_map(RouteSource::Hub),
        Just(RouteSource::Messages),
        Just(RouteSource::DeviceMessages),
        Just(RouteSource::ModuleMessages),
        module().prop_map(RouteSource::Module),
        module().prop_map(RouteSource::Outputs),
        (module(), end()).prop_map(|(module, output)| RouteSource::Output { module, output }),
    ]
}

fn sink() -> impl Strategy<Value = RouteSink> {
    prop_oneof![
        Just(RouteSink::Upstream),
        (module(), end()).prop_map(|(module, input)| RouteSink::Input { module, input }),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_.#-]{0,7}|[é-ü]{1,3}|[0-9][a-z]{1,3}".prop_filter("a word", |name| {
        let lower = name.to_ascii_lowercase();
        let reserved = [
            "and",
            "or",
            "not",
            "select",
            "from",
            "where",
            "into",
            "true",
            "false",
            "null",
            "undefined",
        ];
        let number = lower.starts_with(|c: char| c.is_ascii_digit())
            && (lower.contains('e') || lower.starts_with("0x"));
        !reserved.contains(&lower.as_str()) && !number && !lower.starts_with("body.")
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,5}", "[ -~é-ü€😀\n\t]{0,8}", Just("*/*'\\\"".to_owned())]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("a number", |n| !n.is_nan()),
        (-20_i32..20).prop_map(f64::from),
        Just(f64::INFINITY),
        Just(1e15),
        Just(-1e-7),
    ]
}

/// Something of any type.
fn body() -> impl Strategy<Value = Expr> {
    let step = ("[A-Za-z0-9_-]{1,5}", prop::option::of(0_u32..20))
        .prop_map(|(key, index)| BodyStep { key, index });
    let path = prop::collection::vec(step, 1..4);
    (path, any::<bool>()).prop_map(|(path, braced)| Expr::Body { path, braced })
}

fn texts(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Expr> {
    let plain = || {
        prop_oneof![
            text().prop_map(|text| Expr::Literal(Literal::Text(text))),
            name().prop_map(Expr::Property),
            (
                name().prop_filter("no twin", |n| !n.to_ascii_lowercase().starts_with("twin")
                    && !n.eq_ignore_ascii_case("body")),
                any::<bool>()
            )
                .prop_map(|(name, braced)| Expr::System { name, braced }),
            body(),
        ]
    };
    let call = |function: Function, arguments: Vec<Expr>| Expr::Call { function, arguments };
    prop_oneof![
        3 => plain(),
        1 => (plain(), prop::collection::vec(plain(), 1..3)).prop_map(|(first, rest)| {
            let rest = rest.into_iter().map(|e| (Operator::Concat, e)).collect();
            Expr::Chain { first: Box::new(first), rest }
        }),
        1 => prop::collection::vec(plain(), 2..4).prop_map(move |a| call(Function::Concat, a)),
        1 => (plain(), inner).prop_map(move |(a, n)| {
            // Of whatever type it is, a call makes a number of it.
            let n = call(Function::Length, vec![text_of(n)]);
            call(Function::Substring, vec![a, n])
        }),
    ]
    .boxed()
}

fn text_of(expr: Expr) -> Expr {
    match expr {
        Expr::Body { .. } | Expr::Property(_) | Expr::System { .. } => expr,
        _ => Expr::Property("text".to_owned()),
    }
}

fn numbers() -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![
        number().prop_map(|n| Expr::Literal(Literal::Number(n))),
        body(),
        name().prop_map(|name| Expr::Call {
            function: Function::AsNumber,
            arguments: vec![Expr::Property(name)],
        }),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let chain = |operators: Vec<Operator>, inner: BoxedStrategy<Expr>| {
            let rest = (prop::sample::select(operators), inner.clone());
            (inner, prop::collection::vec(rest, 1..3))
                .prop_map(|(first, rest)| Expr::Chain { first: Box::new(first), rest })
        };
        let inner = inner.boxed();
        prop_oneof![
            chain(vec![Operator::Add, Operator::Subtract], inner.clone()),
            chain(vec![Operator::Multiply, Operator::Divide, Operator::Remainder], inner.clone()),
            chain(vec![Operator::Coalesce], inner.clone()),
            inner.clone().prop_map(|inner| Expr::Negate(Box::new(inner))),
            (inner.clone(), inner)
                .prop_map(|(a, b)| Expr::Call { function: Function::Power, arguments: vec![a, b] }),
        ]
    })
    .boxed()
}

fn compared(sides: BoxedStrategy<Expr>) -> impl Strategy<Value = Expr> {
    let operator = prop::sample::select(vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
    ]);
    (sides.clone(), operator, sides).prop_map(|(first, operator, other)| Expr::Chain {
        first: Box::new(first),
        rest: vec![(operator, other)],
    })
}

/// Any condition whose types fit.
fn condition() -> BoxedStrategy<Expr> {
    let strings = || texts(numbers());
    let leaf = prop_oneof![
        compared(numbers()),
        compared(strings()),
        (strings(), strings())
            .prop_map(|(a, b)| Expr::Call { function: Function::Contains, arguments: vec![a, b] }),
        strings().prop_map(|a| Expr::Call { function: Function::IsDefined, arguments: vec![a] }),
        body(),
        prop::sample::select(vec![Literal::Bool(true), Literal::Bool(false), Literal::Null,])
            .prop_map(Expr::Literal),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let chain = |operator: Operator, inner: BoxedStrategy<Expr>| {
            (inner.clone(), prop::collection::vec(inner, 1..3)).prop_map(move |(first, rest)| {
                let rest = rest.into_iter().map(|e| (operator, e)).collect();
                Expr::Chain { first: Box::new(first), rest }
            })
        };
        let inner = inner.boxed();
        prop_oneof![
            chain(Operator::And, inner.clone()),
            chain(Operator::Or, inner.clone()),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
    .boxed()
}

/// Anything that looks a little like a route.
fn noise() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "SELECT *",
        "FROM",
        "WHERE",
        "INTO",
        "/messages/*",
        "/*",
        "*/",
        "/messages/modules/ab/*",
        "$upstream",
        "BrokeredEndpoint(\"/modules/ab/inputs/i\")",
        "BrokeredEndpoint",
        "upstream",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "a",
        "$sys",
        "$body.a[0]",
        "{$sys}",
        "'x'",
        "\"x\"",
        "'",
        "\"",
        "\\",
        "=",
        "==",
        "!=",
        "<",
        "??",
        "||",
        "&&",
        "+",
        "-",
        "*",
        "/",
        "%",
        "AND",
        "or",
        "NOT",
        "is_defined",
        "as_number(a)",
        "twin_change_includes",
        "1",
        "-2.5",
        "0x1f",
        "true",
        "null",
        "undefined",
        ",",
        ".",
        ";",
        ":",
        "é",
        "’",
        "\u{a0}",
        "${x}",
        "\n",
    ]);
    let parts = prop::collection::vec((token, prop::sample::select(vec!["", " ", "  "])), 0..25);
    (parts, any::<bool>()).prop_map(|(parts, framed)| {
        let text: String = parts.into_iter().map(|(a, b)| format!("{a}{b}")).collect();
        if framed { with(&text) } else { text }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_printed_route_parses_to_the_same_route(
        source in source(),
        condition in prop::option::of(condition()),
        sink in sink(),
    ) {
        let expected = ParsedRoute::of(source, condition, sink);
        let text = expected.to_string();
        match ParsedRoute::parse(&text) {
            Ok(read) => {
                prop_assert_eq!(&read, &expected, "{}", text);
                prop_assert_eq!(read.to_string(), text);
            }
            Err(errors) => prop_assert!(false, "{}: {:#?}", text, errors),
        }
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_place_in_it(text in noise()) {
        match ParsedRoute::parse(&text) {
            Ok(read) => prop_assert_eq!(ParsedRoute::parse(&read.to_string()), Ok(read)),
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
}

#[test]
fn routes_are_printed_in_one_spelling() {
    for (text, printed) in [
        ("select * from /* into $Upstream", "FROM /* INTO $upstream"),
        (" FROM\n/Messages INTO\t$UPSTREAM\r\n", "FROM /messages/* INTO $upstream"),
        ("FROM /messages/Events/ INTO $upstream", "FROM /messages/events INTO $upstream"),
        ("FROM /messages/modules* INTO $upstream", "FROM /messages/modules/* INTO $upstream"),
        (
            "FROM /messages/modules/Cam INTO $upstream",
            "FROM /messages/modules/Cam/* INTO $upstream",
        ),
        (
            "FROM /messages/modules/cam/OUTPUTS/ INTO $upstream",
            "FROM /messages/modules/cam/outputs/* INTO $upstream",
        ),
        (
            "FROM /messages/modules/cam/outputs/o1* INTO brokeredendpoint ( ' modules/al/INPUTS/in/ ' )",
            "FROM /messages/modules/cam/outputs/o1 INTO BrokeredEndpoint(\"/modules/al/inputs/in\")",
        ),
        (
            "FROM /twinchangenotifications/* INTO $upstream",
            "FROM /twinChangeNotifications INTO $upstream",
        ),
        ("FROM/messages INTO $upstream", "FROM /messages/* INTO $upstream"),
        ("FROM /messages INTO /* up */ $upstream", "FROM /messages/* INTO $upstream"),
    ] {
        assert_eq!(route(text).to_string(), printed, "{text}");
        assert_eq!(route(printed), route(text));
    }
}

#[test]
fn only_needed_parentheses_are_printed() {
    for (text, printed) in [
        ("((a = 'x'))", "a = 'x'"),
        ("(a) = ('x')", "a = 'x'"),
        ("(1 + 2) + 3 = 6", "(1 + 2) + 3 = 6"),
        ("1 + (2 * 3) = 7", "1 + 2 * 3 = 7"),
        ("1 - (2 - 3) = 7", "1 - (2 - 3) = 7"),
        ("(1 + 2) * 3 = 9", "(1 + 2) * 3 = 9"),
        ("NOT (a = 'x')", "NOT (a = 'x')"),
        ("(NOT $body.a) = true", "NOT $body.a = true"),
        ("not(not($body.a))", "NOT NOT $body.a"),
        ("- (as_number(a)) = -3", "- as_number(a) = -3"),
        ("- 3 < 0X1f AND 1E3 > .5", "- 3 < 31 AND 1000 > 0.5"),
        ("(a ?? 'x') <> \"y\"", "(a ?? 'x') != 'y'"),
        ("a = 'it\\'s' /* it is */ OR b = \"\\u00e9\\\\\"", "a = \"it's\" OR b = 'é\\\\'"),
        ("Is_Defined( { $sys } )and TRUE_ = '😀'", "is_defined({$sys}) AND TRUE_ = '😀'"),
        ("a = '\\ud83d\\ude00'", "a = '😀'"),
        ("a='x'", "a = 'x'"),
        ("$body.items[0].name='x' or{$BODY.a}", "$body.items[0].name = 'x' OR {$body.a}"),
    ] {
        let parsed = route(&with(text));
        assert_eq!(parsed.condition().unwrap(), printed, "{text}");
        assert_eq!(route(&with(printed)), parsed);
    }
}

#[test]
fn ends_are_at_hand() {
    let parsed = route(
        "FROM /messages/modules/cam/outputs/alert INTO BrokeredEndpoint(\"/modules/alarm/inputs/in\")",
    );
    assert_eq!(parsed.source().module().unwrap().as_str(), "cam");
    assert_eq!(parsed.source().output(), Some("alert"));
    assert_eq!(parsed.sink().module().unwrap().as_str(), "alarm");
    assert_eq!(parsed.sink().input(), Some("in"));
    assert_eq!(parsed.condition(), None);
    assert_eq!((parsed.source_span(), parsed.sink_span()), (Span::new(5, 40), Span::new(46, 90)));
    let parsed = route("FROM /* INTO $upstream  ");
    assert_eq!((parsed.source().module(), parsed.sink().module()), (None, None));
    assert_eq!((parsed.source().output(), parsed.sink().input()), (None, None));
    assert_eq!(parsed.sink_span(), Span::new(13, 22));
}
