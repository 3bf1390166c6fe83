//! What was written in a route's condition to what was meant: names, functions and types.
//!
//! A syntax tree enters; the checked tree leaves, or `None` where an error has been added. The rules of types are
//! the original's: a property is always a text, a value of the body may be anything, and what can never fit is
//! refused before a message comes. Not here: words (`names`), and whether any message has such a property.

use super::ast::{Expr, Function, Literal, Operator};
use super::names;
use super::syntax::{Joined, Piece, Syntax, SyntaxKind};
use crate::diagnostic::{Span, closest};
use crate::language::error::LanguageError;
use crate::model::RouteSource;

/// What is known of a value before there is a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Truth,
    Number,
    Text,
    Null,
    Undefined,
    /// A value of the body: whatever it is.
    Unknown,
}

impl Type {
    fn is(self, expected: Self) -> bool {
        self == expected || self == Self::Unknown
    }

    fn words(self) -> &'static str {
        match self {
            Self::Truth => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Null => "`null`",
            Self::Undefined => "`undefined`",
            Self::Unknown => "a value of the body",
        }
    }
}

/// Checks a whole condition. Each error is added to `errors`.
pub(super) fn check(
    text: &str,
    syntax: &Syntax,
    source: Option<&RouteSource>,
    errors: &mut Vec<LanguageError>,
) -> Option<Expr> {
    let mut checker = Checker { text, source, errors };
    let (expr, found) = checker.expr(syntax)?;
    match found {
        Type::Text => {
            let written = checker.slice(syntax.span).to_owned();
            checker.error(
                syntax.span,
                "a text alone is never true",
                format!("compare it: `{written} = 'text'`; or ask `is_defined({written})`"),
            )
        }
        Type::Number => checker.error(
            syntax.span,
            "a number alone is never true",
            "compare it: `as_number(temperature) > 30`",
        ),
        Type::Truth | Type::Null | Type::Undefined | Type::Unknown => Some(expr),
    }
}

struct Checker<'c> {
    text: &'c str,
    source: Option<&'c RouteSource>,
    errors: &'c mut Vec<LanguageError>,
}

type Typed = (Expr, Type);

/// What stands before an operator, as far as it has been joined.
#[derive(Clone, Copy)]
struct Left<'s> {
    found: Type,
    span: Span,
    /// As it was written, where it is one operand alone.
    alone: Option<&'s Syntax>,
    /// Whether an operand of it joins texts by `||`.
    joins_texts: bool,
}

impl Checker<'_> {
    fn error<T>(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.errors.push(LanguageError::new(span, message).help(help));
        None
    }

    fn slice(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    fn expr(&mut self, syntax: &Syntax) -> Option<Typed> {
        let span = syntax.span;
        Some(match &syntax.kind {
            SyntaxKind::Text(text) => (Expr::Literal(Literal::Text(text.clone())), Type::Text),
            SyntaxKind::Word(word) => {
                let word = names::word(&Piece { text: word.clone(), span });
                word.map_err(|error| self.errors.push(error)).ok()?
            }
            SyntaxKind::Braced(piece) => {
                names::braced(piece).map_err(|error| self.errors.push(error)).ok()?
            }
            SyntaxKind::Not(inner) => self.not(inner, span)?,
            SyntaxKind::Negate(inner) => self.negate(inner, span)?,
            SyntaxKind::Call { name, arguments } => self.call(name, arguments, span)?,
            SyntaxKind::Chain { first, rest } => self.chain(first, rest)?,
            SyntaxKind::Wrong => return None,
        })
    }

    fn not(&mut self, inner: &Syntax, span: Span) -> Option<Typed> {
        let (expr, found) = self.expr(inner)?;
        if found == Type::Null || found.is(Type::Truth) {
            return Some((Expr::Not(Box::new(expr)), Type::Truth));
        }
        let written = self.slice(inner.span).to_owned();
        self.error(
            Span { start: span.start, end: inner.span.end },
            format!("NOT takes what is true or false, and `{written}` is {}", found.words()),
            format!(
                "NOT binds tighter than a comparison: write `NOT ({written} = …)`; to ask whether \
                 it is there, `NOT is_defined({written})`"
            ),
        )
    }

    fn negate(&mut self, inner: &Syntax, span: Span) -> Option<Typed> {
        let (expr, found) = self.expr(inner)?;
        if found.is(Type::Number) {
            return Some((Expr::Negate(Box::new(expr)), found));
        }
        let written = self.slice(inner.span).to_owned();
        let message = format!("`-` takes a number, and `{written}` is {}", found.words());
        let help = self.number_help(inner, found);
        self.error(span, message, help)
    }

    /// How a number is made of something.
    fn number_help(&self, syntax: &Syntax, found: Type) -> String {
        match (&syntax.kind, found) {
            (SyntaxKind::Word(name), Type::Text) if name.starts_with('$') => {
                format!("a system property is a text: write `as_number({name})`")
            }
            (SyntaxKind::Word(name), Type::Text) => format!(
                "a property of a message is a text: write `as_number({name})`, or \
                 `$body.{name}` for a value of its body"
            ),
            (_, Type::Text) => format!("write `as_number({})`", self.slice(syntax.span)),
            _ => "write a number, or `as_number(name)`".to_owned(),
        }
    }

    fn chain(&mut self, first: &Syntax, rest: &[Joined]) -> Option<Typed> {
        let checked_first = self.expr(first);
        let checked: Vec<Option<Typed>> =
            rest.iter().map(|joined| self.expr(&joined.operand)).collect();
        let (first_expr, found) = checked_first?;
        let joins_texts = is_concat(first);
        let mut left = Left { found, span: first.span, alone: Some(first), joins_texts };
        let mut exprs = Vec::new();
        let mut whole = true;
        for (joined, operand) in rest.iter().zip(checked) {
            let Some((expr, right)) = operand.filter(|_| whole) else {
                whole = false;
                continue;
            };
            match self.join(joined, left, right) {
                Some(found) => left.found = found,
                None => whole = false,
            }
            left.span = Span { start: first.span.start, end: joined.operand.span.end };
            left.alone = None;
            left.joins_texts |= is_concat(&joined.operand);
            exprs.push((joined.operator, expr));
        }
        whole.then(|| (Expr::Chain { first: Box::new(first_expr), rest: exprs }, left.found))
    }

    /// The type of two operands joined.
    fn join(&mut self, joined: &Joined, left: Left<'_>, right: Type) -> Option<Type> {
        let left_type = left.found;
        let operands = [
            (left_type, left.span, left.alone),
            (right, joined.operand.span, Some(&joined.operand)),
        ];
        match joined.operator {
            Operator::Or | Operator::And => {
                for (found, span, _) in operands {
                    self.truth(joined.operator, found, span)?;
                }
                let null = |found: Type| found == Type::Null;
                let is_null = match joined.operator {
                    Operator::Or => null(left_type) && null(right),
                    _ => null(left_type) || null(right),
                };
                Some(if is_null { Type::Null } else { Type::Truth })
            }
            Operator::Coalesce
            | Operator::Equal
            | Operator::NotEqual
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual => {
                if !left_type.is(right) && right != Type::Unknown {
                    return self.unequal_types(joined, left, right);
                }
                match joined.operator {
                    Operator::Coalesce if left_type == Type::Unknown => Some(Type::Unknown),
                    Operator::Coalesce => Some(left_type),
                    _ => Some(Type::Truth),
                }
            }
            Operator::Add
            | Operator::Subtract
            | Operator::Multiply
            | Operator::Divide
            | Operator::Remainder => {
                self.operands(joined.operator, Type::Number, operands)?;
                let known = left_type == Type::Number && right == Type::Number;
                Some(if known { Type::Number } else { Type::Unknown })
            }
            Operator::Concat => {
                self.operands(joined.operator, Type::Text, operands)?;
                Some(Type::Text)
            }
        }
    }

    fn truth(&mut self, operator: Operator, found: Type, span: Span) -> Option<()> {
        if found.is(Type::Truth) || matches!(found, Type::Null | Type::Undefined) {
            return Some(());
        }
        let written = self.slice(span).to_owned();
        let word = operator.as_str();
        let message =
            format!("{word} joins what is true or false, and `{written}` is {}", found.words());
        self.error(
            span,
            message,
            format!("compare it: `{written} = …`; or ask `is_defined({written})`"),
        )
    }

    fn unequal_types(&mut self, joined: &Joined, left: Left<'_>, right: Type) -> Option<Type> {
        let span = Span { start: left.span.start, end: joined.operand.span.end };
        let message = match joined.operator {
            Operator::Coalesce => format!(
                "both sides of `??` have one type, and here are {} and {}",
                left.found.words(),
                right.words()
            ),
            operator => format!(
                "{} and {} can't be compared by `{}`",
                left.found.words(),
                right.words(),
                operator.as_str()
            ),
        };
        let help = match ((left.found, left.alone), (right, Some(&joined.operand))) {
            ((Type::Text, Some(text)), (Type::Number, _))
            | ((Type::Number, _), (Type::Text, Some(text))) => self.number_help(text, Type::Text),
            ((Type::Null, _), (_, Some(other))) | ((_, Some(other)), (Type::Null, _)) => {
                format!("write `is_null({})`", self.slice(other.span))
            }
            ((Type::Undefined, _), (_, Some(other))) | ((_, Some(other)), (Type::Undefined, _)) => {
                format!("write `is_defined({})`", self.slice(other.span))
            }
            ((Type::Text, _), (Type::Truth, Some(flag))) if self.is_constant(flag) => {
                format!("a property of a message is a text: write `'{}'`", self.slice(flag.span))
            }
            _ if left.joins_texts || is_concat(&joined.operand) => {
                "`||` joins texts: to ask whether one of two is true, write `OR`".to_owned()
            }
            _ if joined.operator == Operator::Coalesce => {
                "`??` binds loosest of all: put it and its sides into parentheses".to_owned()
            }
            _ => "put parentheses around what belongs together".to_owned(),
        };
        self.error(span, message, help)
    }

    fn is_constant(&self, syntax: &Syntax) -> bool {
        matches!(self.slice(syntax.span), "true" | "false")
    }

    fn operands(
        &mut self,
        operator: Operator,
        expected: Type,
        operands: [(Type, Span, Option<&Syntax>); 2],
    ) -> Option<()> {
        let mut fits = Some(());
        for (found, span, syntax) in operands {
            if found.is(expected) {
                continue;
            }
            let sign = operator.as_str();
            let takes =
                if expected == Type::Number { "calculates with numbers" } else { "joins texts" };
            let written = self.slice(span).to_owned();
            let message = format!("`{sign}` {takes}, and `{written}` is {}", found.words());
            let help = match (expected, syntax) {
                (Type::Number, Some(syntax)) => self.number_help(syntax, found),
                (Type::Number, None) => "write a number, or `as_number(name)`".to_owned(),
                _ if found == Type::Truth => {
                    "to ask whether one of two is true, write `OR`".to_owned()
                }
                _ => "write a text in quotes".to_owned(),
            };
            fits = self.error(span, message, help);
        }
        fits
    }

    fn call(&mut self, name: &Piece, arguments: &[Syntax], span: Span) -> Option<Typed> {
        if name.text.eq_ignore_ascii_case("twin_change_includes") {
            return self.twin_change_includes(name, arguments, span);
        }
        let function =
            Function::ALL.iter().find(|function| function.name().eq_ignore_ascii_case(&name.text));
        let checked: Vec<_> = arguments.iter().map(|argument| self.expr(argument)).collect();
        let Some(function) = function.copied() else { return self.unknown_function(name) };
        let signature = function.signature();
        let n = arguments.len();
        if n < signature.least || n > signature.most {
            let message = format!("{} takes {}, not {n}", function.name(), signature.count());
            return self.error(span, message, format!("write `{}`", function.example()));
        }
        let mut exprs = Vec::new();
        for (i, (checked, syntax)) in checked.into_iter().zip(arguments).enumerate() {
            let Some((expr, found)) = checked else { continue };
            if signature.takes(i, found) {
                exprs.push(expr);
                continue;
            }
            let wanted = signature.words(i);
            let written = self.slice(syntax.span).to_owned();
            let message = format!(
                "{} takes {wanted} here, and `{written}` is {}",
                function.name(),
                found.words()
            );
            let help = match wanted {
                "a number" => self.number_help(syntax, found),
                _ => format!("write `{}`", function.example()),
            };
            let _: Option<()> = self.error(syntax.span, message, help);
        }
        (exprs.len() == n).then_some((Expr::Call { function, arguments: exprs }, signature.gives))
    }

    fn unknown_function(&mut self, name: &Piece) -> Option<Typed> {
        let lower = name.text.to_ascii_lowercase();
        let names = Function::ALL.iter().map(|function| function.name());
        let help = match lower.as_str() {
            word if word.starts_with('!') => format!("write `NOT {}(…)`", &name.text[1..]),
            "in" | "nin" => "there are no lists: write `name = 'a' OR name = 'b'`".to_owned(),
            "number" | "to_number" | "int" | "float" | "cast" => "write `as_number(…)`".to_owned(),
            "exists" | "defined" | "has" => "write `is_defined(…)`".to_owned(),
            _ => match closest(&lower, names.chain(["twin_change_includes"])) {
                Some(close) => format!("did you mean `{close}`?"),
                None => "`hoist help routes` lists the functions".to_owned(),
            },
        };
        self.error(name.span, format!("there is no function `{}`", name.text), help)
    }

    fn twin_change_includes(
        &mut self,
        name: &Piece,
        arguments: &[Syntax],
        span: Span,
    ) -> Option<Typed> {
        if self.source.is_some_and(|source| *source != RouteSource::TwinChanges) {
            return self.error(
                name.span,
                "only changes of twins can be asked by twin_change_includes",
                "write `FROM /twinChangeNotifications`",
            );
        }
        let example = "write a path without quotes: `twin_change_includes(properties.reported.x)`";
        let [Syntax { kind: SyntaxKind::Word(path), span: at }] = arguments else {
            return self.error(span, "twin_change_includes takes one path", example);
        };
        let lower = path.to_ascii_lowercase();
        let known = ["properties.reported.", "properties.desired.", "tags."];
        if !known.iter().any(|start| lower.starts_with(start)) {
            let message = format!("`{path}` is no path into a twin");
            let help = "it begins with `properties.reported.`, `properties.desired.` or `tags.`";
            return self.error(*at, message, help);
        }
        let piece = Piece { text: path.clone(), span: *at };
        if let Err(error) = names::body_path(&piece, path) {
            self.errors.push(error);
            return None;
        }
        Some((Expr::TwinChangeIncludes(path.clone()), Type::Truth))
    }
}

fn is_concat(syntax: &Syntax) -> bool {
    let SyntaxKind::Chain { first: _, rest } = &syntax.kind else { return false };
    rest.iter().any(|joined| joined.operator == Operator::Concat)
}
