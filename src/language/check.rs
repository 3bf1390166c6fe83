//! What was written to what was meant: names, types, and what is allowed where.
//!
//! A syntax tree enters; the checked tree leaves, or `None` where an error has been added. Not here: spelling,
//! which `parse` has dealt with, and whether any device has such a property, which only a fleet can say.

use super::ast::{
    Argument, Call, Expr, ExprKind, Literal, Operand, Operator, Property, Root, TextTest,
    is_plain_below, quoted,
};
use super::error::LanguageError;
use super::names::{Scope, root_of};
use super::syntax::{Syntax, SyntaxKind, Word, WordForm};
use crate::diagnostic::{Span, did_you_mean};
use crate::model::DeploymentId;

const FUNCTIONS: [&str; 4] = ["IS_DEFINED", "STARTSWITH", "ENDSWITH", "CONTAINS"];

/// Checks what is written in a text about what `scope` says. Each error is added to `errors`.
pub(super) struct Checker<'c> {
    pub(super) text: &'c str,
    pub(super) scope: Scope,
    pub(super) errors: &'c mut Vec<LanguageError>,
}

impl Checker<'_> {
    pub(super) fn error<T>(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.errors.push(LanguageError::new(span, message).help(help));
        None
    }

    pub(super) fn slice(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// Something that is true, false or undefined.
    pub(super) fn expr(&mut self, syntax: &Syntax) -> Option<Expr> {
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
                    format!("the value {value} alone says nothing about a {}", self.scope.noun()),
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
        let help = match self.scope {
            Scope::Target => {
                "leave it out; to ask whether a property is there, write `IS_DEFINED(tags.x)`"
            }
            Scope::Devices | Scope::Modules => {
                "leave WHERE out to get every row; to ask whether a property is there, write `IS_DEFINED(tags.x)`"
            }
        };
        self.error(span, "`*` stands for every device, and only alone", help)
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
            return self.error(
                span,
                "neither side of this comparison is a property",
                self.scope.sentence(),
            );
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
            |other| matches!(&other.kind, SyntaxKind::Path(words) if self.scope.root_of(words).is_some()),
        );
        match &syntax.kind {
            SyntaxKind::Path(words) if beside_a_path && self.scope.root_of(words).is_none() => {
                let word = self.slice(syntax.span).to_owned();
                if word.eq_ignore_ascii_case("undefined") {
                    return self.undefined(syntax.span);
                }
                if self.scope.suggestion(words).is_some() || root_of(words).is_some() {
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
            return self.error(
                operand_span,
                "what is looked for in a list is a property",
                self.scope.sentence(),
            );
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
            return self.error(
                span,
                format!("{} is given no property", test.name()),
                self.scope.sentence(),
            );
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
        let root = root_of(words).map(|(root, _)| root);
        if let ([word], None, None) = (words, root, self.scope.suggestion(words)) {
            if word.text.eq_ignore_ascii_case("undefined") {
                return self.undefined(span);
            }
            let (right, noun) = (quoted(&word.text), self.scope.noun());
            let known = self.scope.sentence();
            return self.error(
                span,
                format!("`{}` is no condition: {known}", word.text),
                format!("to select the {noun} of that name, write `{noun}Id = {right}`"),
            );
        }
        let property = self.property(words, span)?;
        let example = match property.root {
            Root::Tags | Root::Reported | Root::Desired | Root::IotEdge => return Some(property),
            Root::DeviceId => "`deviceId = 'press-01'`; every device is `*`",
            Root::ModuleId => "`moduleId = 'camera'`",
            Root::Configurations => "`configurations.[[base]].status = 'Applied'`",
            Root::ConnectionState => "`connectionState = 'Connected'`",
            Root::RuntimeStatus => "`runtimeStatus = 'running'`",
            Root::ExitCode => "`exitCode != 0`",
            Root::RestartCount => "`restartCount > 3`",
        };
        self.error(
            property.span,
            format!("`{property}` alone is no condition"),
            format!("compare it: {example}"),
        )
    }

    fn undefined<T>(&mut self, span: Span) -> Option<T> {
        self.error(
            span,
            "nothing can be compared with `undefined`",
            "to ask whether a property is there, write `IS_DEFINED(tags.x)`",
        )
    }

    pub(super) fn property(&mut self, words: &[Word], span: Span) -> Option<Property> {
        // Without the parentheses that may stand around it.
        let span = words
            .last()
            .map_or(span, |last| Span { start: words[0].span.start, end: last.span.end });
        let Some((root, skipped)) = self.scope.root_of(words) else {
            return self.unknown_root(words, span);
        };
        let keys = &words[skipped..];
        match root {
            Root::Tags | Root::Reported | Root::Desired => {
                if keys.is_empty() {
                    let written = self.slice(span).to_owned();
                    return self.error(
                        span,
                        format!("`{written}` needs the name of a property behind it"),
                        format!("write `{root}.x`"),
                    );
                }
                let path: Vec<_> = keys.iter().map(|key| self.key(root, key)).collect();
                Some(Property { root, path: path.into_iter().collect::<Option<_>>()?, span })
            }
            Root::Configurations => self.configuration(keys, span),
            Root::DeviceId
            | Root::ConnectionState
            | Root::IotEdge
            | Root::ModuleId
            | Root::RuntimeStatus
            | Root::ExitCode
            | Root::RestartCount => {
                if keys.is_empty() {
                    return Some(Property { root, path: Vec::new(), span });
                }
                let message = format!("`{root}` has no parts");
                self.error(span, message, format!("write `{root}` alone"))
            }
        }
    }

    /// `configurations.[[ID]].status`.
    fn configuration(&mut self, keys: &[Word], span: Span) -> Option<Property> {
        let help = "write `configurations.[[base]].status`, which is 'Targeted' or 'Applied'";
        let [id, status] = keys else {
            let message = "`configurations` is asked for the status of one deployment";
            return self.error(span, message, help);
        };
        if let Err(error) = DeploymentId::parse(&id.text) {
            return self.error(id.span, format!("`{}` is {error}", id.text), help);
        }
        if status.text != "status" {
            let message = format!("a configuration has no `{}`, only `status`", status.text);
            return self.error(status.span, message, help);
        }
        Some(Property { root: Root::Configurations, path: vec![id.text.clone()], span })
    }

    fn key(&mut self, root: Root, word: &Word) -> Option<String> {
        let Word { text, form, span } = word;
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
        let right = quoted(text);
        match form {
            WordForm::Quoted => Some(text.clone()),
            WordForm::Plain if is_plain_below(root, text) => Some(text.clone()),
            WordForm::Plain => self.error(
                *span,
                format!("`{text}` is no plain name"),
                format!("names start with a letter or `_` and go on with letters, digits, `_` and `-`; write `[{right}]` without the dot"),
            ),
            WordForm::Deployment => self.error(
                *span,
                "`[[…]]` holds the id of a deployment, behind `configurations`",
                format!("for a key write `[{right}]` without a dot"),
            ),
        }
    }

    fn unknown_root<T>(&mut self, words: &[Word], span: Span) -> Option<T> {
        let first = words[0].text.to_ascii_lowercase();
        let second = words.get(1).map(|word| word.text.to_ascii_lowercase());
        let is_desired =
            first == "desired" || first == "properties" && second.as_deref() == Some("desired");
        let written = self.slice(span).to_owned();
        let known = self.scope.sentence();
        let is_elsewhere = root_of(words).is_some() || is_desired;
        let (message, help) = match self.scope {
            Scope::Target if is_desired => (
                format!(
                    "`{written}` can't be targeted: desired properties are what a deployment sets"
                ),
                format!("{known}; put the fact into a tag"),
            ),
            Scope::Target if is_elsewhere => (
                format!("`{written}` is unknown here: {known}"),
                match root_of(words) {
                    Some((Root::IotEdge, _)) => {
                        "leave it out: it is true of every device".to_owned()
                    }
                    _ => "only queries know it: `hoist help queries`".to_owned(),
                },
            ),
            Scope::Devices if is_elsewhere => (
                format!("`{written}` is known in `devices.modules` only: {known}"),
                "write `SELECT deviceId FROM devices.modules WHERE …`".to_owned(),
            ),
            Scope::Modules if is_elsewhere && !is_desired => (
                format!("`{written}` is known in `devices` only: {known}"),
                "write `SELECT deviceId FROM devices WHERE …`".to_owned(),
            ),
            _ => (
                format!("`{written}` is unknown here: {known}"),
                match self.scope.suggestion(words) {
                    Some(right) => format!("did you mean `{right}`?"),
                    None => format!("if it is a tag, write `tags.{}`", words[words.len() - 1].text),
                },
            ),
        };
        self.error(span, message, help)
    }
}

fn count(arguments: &[Syntax]) -> String {
    match arguments.len() {
        0 => "nothing".to_owned(),
        1 => "one argument".to_owned(),
        n => format!("{n} arguments"),
    }
}
