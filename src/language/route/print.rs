//! A route's condition back to text that parses to the same tree, with the parentheses that are needed and no
//! others.

use super::ast::{BodyStep, Expr, Literal, Operator};
use std::fmt::{self, Display};

/// Tighter than every operator: NOT and `-`, and what needs no parentheses at all.
const PREFIX: u8 = Operator::TIGHTNESSES;
const ATOM: u8 = PREFIX + 1;

impl Expr {
    fn tightness(&self) -> u8 {
        match self {
            Self::Chain { first: _, rest } => {
                rest.first().map_or(ATOM, |(operator, _)| operator.tightness())
            }
            Self::Not(_) | Self::Negate(_) => PREFIX,
            Self::Literal(_)
            | Self::Property(_)
            | Self::System { .. }
            | Self::Body { .. }
            | Self::Call { .. }
            | Self::TwinChangeIncludes(_) => ATOM,
        }
    }

    fn write_within(&self, f: &mut fmt::Formatter<'_>, tightness: u8) -> fmt::Result {
        if self.tightness() >= tightness {
            return self.fmt(f);
        }
        f.write_str("(")?;
        self.fmt(f)?;
        f.write_str(")")
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => literal.fmt(f),
            Self::Property(name) => f.write_str(name),
            Self::System { name, braced: false } => write!(f, "${name}"),
            Self::System { name, braced: true } => write!(f, "{{${name}}}"),
            Self::Body { path, braced } => write_body(f, path, *braced),
            Self::Not(inner) => {
                f.write_str("NOT ")?;
                inner.write_within(f, PREFIX)
            }
            Self::Negate(inner) => {
                f.write_str("- ")?;
                inner.write_within(f, PREFIX)
            }
            Self::Chain { first, rest } => {
                let tighter = self.tightness() + 1;
                first.write_within(f, tighter)?;
                for (operator, operand) in rest {
                    f.write_str(" ")?;
                    f.write_str(operator.as_str())?;
                    f.write_str(" ")?;
                    operand.write_within(f, tighter)?;
                }
                Ok(())
            }
            Self::Call { function, arguments } => {
                f.write_str(function.name())?;
                f.write_str("(")?;
                for (i, argument) in arguments.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    argument.fmt(f)?;
                }
                f.write_str(")")
            }
            Self::TwinChangeIncludes(path) => write!(f, "twin_change_includes({path})"),
        }
    }
}

fn write_body(f: &mut fmt::Formatter<'_>, path: &[BodyStep], braced: bool) -> fmt::Result {
    f.write_str(if braced { "{$body" } else { "$body" })?;
    for BodyStep { key, index } in path {
        write!(f, ".{key}")?;
        if let Some(index) = index {
            write!(f, "[{index}]")?;
        }
    }
    f.write_str(if braced { "}" } else { "" })
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Undefined => f.write_str("undefined"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) if value.is_infinite() => {
                f.write_str(if *value < 0.0 { "-1e999" } else { "1e999" })
            }
            // Debug would say `3.0`, and Display all digits of 1e300.
            Self::Number(value) if value.fract() == 0.0 && value.abs() < 1e15 => value.fmt(f),
            Self::Number(value) => write!(f, "{value:?}"),
            Self::Text(text) => f.write_str(&quoted(text)),
        }
    }
}

/// A text in quotes.
pub(in crate::language) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    let mut last = ' ';
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            // Behind a source that ends in `/*` it would end a comment.
            '/' if last == '*' => out.push_str("\\u002f"),
            c => out.push(c),
        }
        last = c;
    }
    out.push(quote);
    out
}
