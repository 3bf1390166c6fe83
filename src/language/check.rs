//! What was written to what was meant: names, types, and what is allowed where.
//!
//! A syntax tree enters; the checked tree leaves, or `None` where an error has been added. Not here: spelling,
//! which `parse` has dealt with, and whether any device has such a property, which only a fleet can say.

use super::ast::{
    Argument, Call, Expr, ExprKind, Literal, Operand, Operator, Property, Root, TextTest,
    is_plain_key, quoted,
};
use super::error::LanguageError;
use super::syntax::{Syntax, SyntaxKind, Word};
use crate::diagnostic::{Span, closest, did_you_mean};

const ROOTS: &str = "a target condition knows `deviceId`, `tags.…` and `properties.reported.…`";
const FUNCTIONS: [&str; 4] = ["IS_DEFINED", "STARTSWITH", "ENDSWITH", "CONTAINS"];

/// Checks a whole condition. Each error is added to `errors`.
pub(super) fn check(text: &str, syntax: &Syntax, errors: &mut Vec<LanguageError>) -> Option<Expr> {
    Checker { text, errors }.expr(syntax)
}

struct Checker<'c> {
    text: &'c str,
    errors: &'c mut Vec<LanguageError>,
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

    /// Something that is true, false or undefined.
    fn expr(&mut self, syntax: &Syntax) -> Option<Expr> {
        let span = syntax.span;
        let kind = match &syntax.kind {
            SyntaxKind::Or(terms) => ExprKind::Or(self.exprs(terms)?),
            SyntaxKind::And(terms) => ExprKind::And(self.exprs(terms)?),
            SyntaxKind::Not(inner) => ExprKind::Not(Box::new(self.expr(inner)?)),
            SyntaxKind::Compare { left, operator, right } => {
                self.compare(span, left, *operator, right)?
            }
            SyntaxKind::Among { operand, negated, list } => self.among(operand, *negated, list)?,
            SyntaxKind::Literal(Literal::Bool(value)) => {
                ExprKind::Bare(Operand::Literal(Literal::Bool(*value)))
            }
            SyntaxKind::Literal(literal) => {
                let value = literal.to_string();
                let property =
                    if matches!(literal, Literal::Text(_)) { "deviceId" } else { "tags.x" };
                return self.error(
                    span,
                    format!("the value {value} alone says nothing about a device"),
                    format!("compare a property with it: `{property} = {value}`"),
                );
            }
            SyntaxKind::Path(words) => ExprKind::Bare(Operand::Property(self.alone(words, span)?)),
            SyntaxKind::Call { .. } => ExprKind::Bare(self.operand(syntax)?),
            SyntaxKind::List(_) => return self.misplaced_list(span),
            SyntaxKind::Every => return self.misplaced_every(span),
            SyntaxKind::Wrong => return None,
        };
        Some(Expr { kind, span })
    }

    /// All of them, so that each can have its error.
    fn exprs(&mut self, terms: &[Syntax]) -> Option<Vec<Expr>> {
        let checked: Vec<_> = terms.iter().map(|term| self.expr(term)).collect();
        checked.into_iter().collect()
    }

    fn misplaced_list<T>(&mut self, span: Span) -> Option<T> {
        self.error(
            span,
            "a list can only stand behind IN or NIN",
            "write `tags.ring IN ['a', 'b']`",
        )
    }

    fn misplaced_every<T>(&mut self, span: Span) -> Option<T> {
        self.error(
            span,
            "`*` stands for every device, and only alone",
            "leave it out; to ask whether a property is there, write `IS_DEFINED(tags.x)`",
        )
    }

    fn compare(
        &mut self,
        span: Span,
        left: &Syntax,
        operator: Operator,
        right: &Syntax,
    ) -> Option<ExprKind> {
        // A word without quotes beside a property is most likely a text.
        let (checked_left, checked_right) =
            (self.side(left, Some(right)), self.side(right, Some(left)));
        let (left_operand, right_operand) = (checked_left?, checked_right?);
        let sides = [(&left_operand, left.span), (&right_operand, right.span)];
        if sides.iter().all(|(operand, _)| matches!(operand, Operand::Literal(_))) {
            return self.error(span, "neither side of this comparison is a property", ROOTS);
        }
        let unordered = sides.iter().find(|(operand, _)| {
            matches!(operand, Operand::Literal(Literal::Null | Literal::Bool(_)) | Operand::Call(_))
        });
        if let (true, Some((operand, at))) = (operator.is_order(), unordered) {
            return self.error(
                *at,
                format!("`{operand}` is neither more nor less than anything"),
                "only numbers and texts have an order; write `=` or `!=`",
            );
        }
        Some(ExprKind::Compare { left: left_operand, operator, right: right_operand })
    }

    fn side(&mut self, syntax: &Syntax, other: Option<&Syntax>) -> Option<Operand> {
        let beside_a_path = other.is_some_and(
            |other| matches!(&other.kind, SyntaxKind::Path(words) if known_root(words).is_some()),
        );
        match &syntax.kind {
            SyntaxKind::Path(words) if beside_a_path && known_root(words).is_none() => {
                let word = self.slice(syntax.span).to_owned();
                if word.eq_ignore_ascii_case("undefined") {
                    return self.undefined(syntax.span);
                }
                if suggested_property(words).is_some() {
                    return self.operand(syntax);
                }
                let right = quoted(&word);
                self.error(
                    syntax.span,
                    format!("`{word}` is no property; texts stand in single quotes"),
                    format!("write `{right}`"),
                )
            }
            _ => self.operand(syntax),
        }
    }

    fn among(&mut self, operand: &Syntax, negated: bool, list: &Syntax) -> Option<ExprKind> {
        let checked = self.side(operand, None);
        let SyntaxKind::List(items) = &list.kind else {
            if list.kind == SyntaxKind::Wrong {
                return None;
            }
            let found = self.slice(list.span).to_owned();
            let inside = found.trim_start_matches('(').trim_end_matches(')').to_owned();
            return self.error(
                list.span,
                "IN and NIN need a list in brackets",
                format!("write `[{inside}]`"),
            );
        };
        if items.is_empty() {
            return self.error(
                list.span,
                "an empty list holds nothing",
                "write the values: `['a', 'b']`",
            );
        }
        let literals: Vec<_> = items.iter().map(|item| self.item(item)).collect();
        let literals: Option<Vec<_>> = literals.into_iter().collect();
        let operand_span = operand.span;
        let operand = checked?;
        if matches!(operand, Operand::Literal(_)) {
            return self.error(operand_span, "what is looked for in a list is a property", ROOTS);
        }
        Some(ExprKind::Among { operand, negated, list: literals? })
    }

    fn item(&mut self, item: &Syntax) -> Option<Literal> {
        match &item.kind {
            SyntaxKind::Literal(literal) => Some(literal.clone()),
            SyntaxKind::Wrong => None,
            SyntaxKind::List(_) => self.misplaced_list(item.span),
            _ => {
                let found = self.slice(item.span).to_owned();
                let right = quoted(&found);
                self.error(
                    item.span,
                    format!("a list holds texts, numbers, true, false and null, but not `{found}`"),
                    format!("if it is a text, write `{right}`"),
                )
            }
        }
    }

    fn operand(&mut self, syntax: &Syntax) -> Option<Operand> {
        match &syntax.kind {
            SyntaxKind::Path(words) => Some(Operand::Property(self.property(words, syntax.span)?)),
            SyntaxKind::Literal(literal) => Some(Operand::Literal(literal.clone())),
            SyntaxKind::Call { name, arguments } => {
                Some(Operand::Call(self.call(name, arguments, syntax.span)?))
            }
            SyntaxKind::List(_) => self.misplaced_list(syntax.span),
            SyntaxKind::Every => self.misplaced_every(syntax.span),
            SyntaxKind::Wrong => None,
            SyntaxKind::Or(_)
            | SyntaxKind::And(_)
            | SyntaxKind::Not(_)
            | SyntaxKind::Compare { .. }
            | SyntaxKind::Among { .. } => self.error(
                syntax.span,
                "a condition in parentheses can't be compared",
                "write it alone, or with NOT before it",
            ),
        }
    }

    fn call(&mut self, name: &Word, arguments: &[Syntax], span: Span) -> Option<Call> {
        let upper = name.text.to_ascii_uppercase();
        let test = match upper.as_str() {
            "IS_DEFINED" => return self.is_defined(arguments, span).map(Call::IsDefined),
            "STARTSWITH" => TextTest::StartsWith,
            "ENDSWITH" => TextTest::EndsWith,
            "CONTAINS" => TextTest::Contains,
            _ => return self.unknown_function(name, arguments),
        };
        let [text, part] = arguments else {
            return self.error(
                span,
                format!("{} takes a text and a part of it, not {}", test.name(), count(arguments)),
                format!("write `{}(tags.x, 'part')`", test.name()),
            );
        };
        let (text, part) = (self.argument(test, text), self.argument(test, part));
        let (text, part) = (text?, part?);
        if let (Argument::Text(_), Argument::Text(_)) = (&text, &part) {
            return self.error(span, format!("{} is given no property", test.name()), ROOTS);
        }
        Some(Call::Text { test, text, part })
    }

    fn unknown_function(&mut self, name: &Word, arguments: &[Syntax]) -> Option<Call> {
        let upper = name.text.to_ascii_uppercase();
        let argument = arguments.first().map_or("tags.x", |a| self.slice(a.span)).to_owned();
        let help = match upper.as_str() {
            "IS_NULL" | "ISNULL" => format!("write `NOT IS_DEFINED({argument})`"),
            "EXISTS" | "DEFINED" | "HAS" => format!("write `IS_DEFINED({argument})`"),
            _ => match did_you_mean(&upper, FUNCTIONS) {
                Some(help) => help,
                None => format!(
                    "there are {}, {}, {} and {}",
                    FUNCTIONS[0], FUNCTIONS[1], FUNCTIONS[2], FUNCTIONS[3]
                ),
            },
        };
        self.error(name.span, format!("there is no function `{}`", name.text), help)
    }

    fn is_defined(&mut self, arguments: &[Syntax], span: Span) -> Option<Property> {
        let [argument] = arguments else {
            return self.error(
                span,
                format!("IS_DEFINED takes one property, not {}", count(arguments)),
                "write `IS_DEFINED(tags.x)`",
            );
        };
        match &argument.kind {
            SyntaxKind::Path(words) => self.property(words, argument.span),
            SyntaxKind::Literal(Literal::Text(text)) => {
                let text = text.clone();
                self.error(
                    argument.span,
                    "IS_DEFINED takes a property, without quotes",
                    format!("write `IS_DEFINED({text})`"),
                )
            }
            SyntaxKind::Wrong => None,
            _ => self.error(
                argument.span,
                "IS_DEFINED takes a property",
                "write `IS_DEFINED(tags.x)`",
            ),
        }
    }

    fn argument(&mut self, test: TextTest, syntax: &Syntax) -> Option<Argument> {
        match self.operand(syntax)? {
            Operand::Property(property) => Some(Argument::Property(property)),
            Operand::Literal(Literal::Text(text)) => Some(Argument::Text(text)),
            other => self.error(
                syntax.span,
                format!("{} takes texts, and `{other}` is none", test.name()),
                format!("write `{}(tags.x, 'part')`", test.name()),
            ),
        }
    }

    /// A property that stands for itself.
    fn alone(&mut self, words: &[Word], span: Span) -> Option<Property> {
        match words {
            [word] if known_root(words).is_none() && suggested_property(words).is_none() => {
                if word.text.eq_ignore_ascii_case("undefined") {
                    return self.undefined(span);
                }
                let right = quoted(&word.text);
                self.error(
                    span,
                    format!("`{}` is no condition: {ROOTS}", word.text),
                    format!("to select the device of that name, write `deviceId = {right}`"),
                )
            }
            [word] if known_root(words) == Some(Root::DeviceId) => self.error(
                word.span,
                "`deviceId` alone is no condition",
                "compare it: `deviceId = 'press-01'`; every device is `*`",
            ),
            _ => self.property(words, span),
        }
    }

    fn undefined<T>(&mut self, span: Span) -> Option<T> {
        self.error(
            span,
            "nothing can be compared with `undefined`",
            "to ask whether a property is there, write `IS_DEFINED(tags.x)`",
        )
    }

    fn property(&mut self, words: &[Word], span: Span) -> Option<Property> {
        // Without the parentheses that may stand around it.
        let span = words
            .last()
            .map_or(span, |last| Span { start: words[0].span.start, end: last.span.end });
        let Some(root) = known_root(words) else { return self.unknown_root(words, span) };
        let written = self.slice(span).to_owned();
        let skipped = if root == Root::Reported { 2 } else { 1 };
        let keys = &words[skipped..];
        match (root, keys.is_empty()) {
            (Root::DeviceId, false) => {
                return self.error(span, "`deviceId` has no parts", "write `deviceId` alone");
            }
            (Root::Tags | Root::Reported, true) => {
                return self.error(
                    span,
                    format!("`{written}` needs the name of a property behind it"),
                    format!("write `{root}.x`"),
                );
            }
            _ => {}
        }
        let path: Vec<_> = keys.iter().map(|key| self.key(key)).collect();
        Some(Property { root, path: path.into_iter().collect::<Option<_>>()?, span })
    }

    fn key(&mut self, word: &Word) -> Option<String> {
        let Word { text, quoted: in_brackets, span } = word;
        if text.is_empty() {
            return self.error(*span, "a key can't be empty", "write the key's name");
        }
        if let Some(character) = text.chars().find(|c| matches!(c, '/' | ';')) {
            return self.error(
                *span,
                format!("a key can't contain `{character}`"),
                "rename the property: `/` and `;` stand in no key",
            );
        }
        if !in_brackets && !is_plain_key(text) {
            let right = quoted(text);
            return self.error(
                *span,
                format!("`{text}` is no plain name"),
                format!("names start with a letter or `_` and go on with letters, digits, `_` and `-`; write `[{right}]` without the dot"),
            );
        }
        Some(text.clone())
    }

    fn unknown_root<T>(&mut self, words: &[Word], span: Span) -> Option<T> {
        let first = words[0].text.to_ascii_lowercase();
        let second = words.get(1).map(|word| word.text.to_ascii_lowercase());
        let is_desired = first == "desired" || second.as_deref() == Some("desired");
        let written = self.slice(span).to_owned();
        if is_desired && (first == "desired" || first == "properties") {
            return self.error(
                span,
                format!(
                    "`{written}` can't be targeted: desired properties are what a deployment sets"
                ),
                format!("{ROOTS}; put the fact into a tag"),
            );
        }
        let help = match suggested_property(words) {
            Some(right) => format!("did you mean `{right}`?"),
            None => format!("if it is a tag, write `tags.{}`", words[words.len() - 1].text),
        };
        self.error(span, format!("`{written}` is unknown here: {ROOTS}"), help)
    }
}

fn count(arguments: &[Syntax]) -> String {
    match arguments.len() {
        0 => "nothing".to_owned(),
        1 => "one argument".to_owned(),
        n => format!("{n} arguments"),
    }
}

/// The root, if the path starts with one.
fn known_root(words: &[Word]) -> Option<Root> {
    let plain =
        |at: usize| words.get(at).filter(|word| !word.quoted).map(|word| word.text.as_str());
    match (plain(0)?, plain(1)) {
        ("deviceId" | "deviceid", _) => Some(Root::DeviceId),
        ("tags", _) => Some(Root::Tags),
        ("properties", Some("reported")) => Some(Root::Reported),
        _ => None,
    }
}

/// The property that was probably meant by a path with an unknown root.
fn suggested_property(words: &[Word]) -> Option<String> {
    let first = words[0].text.to_ascii_lowercase();
    let rest = |from: usize| {
        words[from.min(words.len())..]
            .iter()
            .map(|word| {
                if is_plain_key(&word.text) {
                    format!(".{}", word.text)
                } else {
                    format!("[{}]", quoted(&word.text))
                }
            })
            .collect::<String>()
    };
    let has_rest = words.len() > 1;
    match first.as_str() {
        "device" | "devices" | "twin" | "thing" if has_rest => {
            let inner = &words[1..];
            match known_root(inner) {
                Some(Root::DeviceId) => Some("deviceId".to_owned()),
                Some(_) => Some(rest(1)[1..].to_owned()),
                None => suggested_property(inner),
            }
        }
        "id" | "name" | "device" | "deviceid" | "device_id" | "device-id" | "devicename" => {
            Some("deviceId".to_owned())
        }
        "reported" if has_rest => Some(format!("properties.reported{}", rest(1))),
        "properties" | "property" if has_rest => {
            let second = words[1].text.to_ascii_lowercase();
            match closest(&second, ["reported"]) {
                Some(_) if words.len() > 2 => Some(format!("properties.reported{}", rest(2))),
                _ => Some(format!("properties.reported{}", rest(1))),
            }
        }
        _ if has_rest => match closest(&first, ["tags", "reported"]) {
            Some("tags") => Some(format!("tags{}", rest(1))),
            Some(_) => Some(format!("properties.reported{}", rest(1))),
            None => None,
        },
        _ => None,
    }
}
