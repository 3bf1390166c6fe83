//! Words in a route's condition to what they name: numbers, constants, properties of a message, parts of its body.
//!
//! A word enters, a leaf of the tree with its type leaves. The original takes nearly every run of characters as the
//! name of a property that no message has, and the condition is silently never true; what can only be such a slip
//! is a mistake here.

use super::ast::{BodyStep, Expr, Literal};
use super::check::Type;
use super::syntax::Piece;
use crate::language::error::LanguageError;

/// Reads a word that stands alone.
pub(super) fn word(piece: &Piece) -> Result<(Expr, Type), LanguageError> {
    let text = piece.text.as_str();
    if let Some(number) = number(text) {
        return Ok((Expr::Literal(Literal::Number(number)), Type::Number));
    }
    match text {
        "true" => return Ok((Expr::Literal(Literal::Bool(true)), Type::Truth)),
        "false" => return Ok((Expr::Literal(Literal::Bool(false)), Type::Truth)),
        "null" => return Ok((Expr::Literal(Literal::Null), Type::Null)),
        "undefined" => return Ok((Expr::Literal(Literal::Undefined), Type::Undefined)),
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    if ["true", "false", "null", "undefined"].contains(&lower.as_str()) {
        return Err(refused(
            piece,
            format!("`{text}` would be a property of that name"),
            format!("write `{lower}`, in lower case"),
        ));
    }
    if let Some(name) = text.strip_prefix('$') {
        return dollar(piece, name, false);
    }
    if let Some(expression) = body_without_dollar(&lower) {
        return Err(refused(
            piece,
            format!("`{text}` would be a property of the message"),
            format!("for a value of the message's body, write `{expression}{}`", &text[4..]),
        ));
    }
    plain_name(piece, text)?;
    if text.contains(['[', ']']) {
        return Err(refused(
            piece,
            format!("`{text}` is no name: properties have no lists"),
            "only `$body` has lists: `$body.items[0]`".to_owned(),
        ));
    }
    Ok((Expr::Property(text.to_owned()), Type::Text))
}

/// Reads a word in braces.
pub(super) fn braced(piece: &Piece) -> Result<(Expr, Type), LanguageError> {
    match piece.text.strip_prefix('$') {
        Some(name) => dollar(piece, name, true),
        None => Err(refused(
            piece,
            format!("braces hold a system property, and `{}` is none", piece.text),
            format!("write `{}` alone, or `{{${}}}`", piece.text, piece.text),
        )),
    }
}

fn refused(piece: &Piece, message: String, help: String) -> LanguageError {
    LanguageError::new(piece.span, message).help(help)
}

fn body_without_dollar(lower: &str) -> Option<&'static str> {
    (lower.starts_with("body.") || lower.starts_with("body[")).then_some("$body")
}

/// `$name`, without its `$`.
fn dollar(piece: &Piece, name: &str, braced: bool) -> Result<(Expr, Type), LanguageError> {
    let text = piece.text.as_str();
    let lower = name.to_ascii_lowercase();
    if let Some(path) = lower.strip_prefix("body.").and_then(|_| name.get(5..)) {
        plain_name(piece, name)?;
        let path = body_path(piece, path)?;
        return Ok((Expr::Body { path, braced }, Type::Unknown));
    }
    if lower == "body" || lower.starts_with("body[") {
        return Err(refused(
            piece,
            "the body as a whole can't be asked for".to_owned(),
            "write a path into it: `$body.temperature`, `$body.items[0]`".to_owned(),
        ));
    }
    if lower == "twin" || lower.starts_with("twin.") {
        return Err(refused(
            piece,
            "a route can't ask for the twin of the sender".to_owned(),
            "put the value into a property of the message, or into its body".to_owned(),
        ));
    }
    if name.is_empty() {
        return Err(refused(
            piece,
            "`$` alone names nothing".to_owned(),
            "write the name of a system property: `$connectionModuleId`".to_owned(),
        ));
    }
    plain_name(piece, name)?;
    if name.contains(['[', ']']) {
        return Err(refused(
            piece,
            format!("`{text}` is no name: properties have no lists"),
            "only `$body` has lists: `$body.items[0]`".to_owned(),
        ));
    }
    Ok((Expr::System { name: name.to_owned(), braced }, Type::Text))
}

/// Refuses what is an operator that touches its operands.
fn plain_name(piece: &Piece, name: &str) -> Result<(), LanguageError> {
    let text = piece.text.as_str();
    if let Some(operand) = text.strip_prefix('!').filter(|operand| !operand.is_empty()) {
        return Err(refused(
            piece,
            "`!` is no operator here".to_owned(),
            format!("write `NOT {operand}`; it binds tighter than a comparison"),
        ));
    }
    let sign =
        ["||", "&&", "!", "|", "&", "*", "%", "+", "'"].into_iter().find(|s| name.contains(s));
    if let Some(sign) = sign {
        let help = match sign {
            "'" => "write a blank before the quote, and join comparisons by AND or OR".to_owned(),
            "!" => "write a blank before `!=`".to_owned(),
            "&&" | "&" => "write ` AND `".to_owned(),
            sign => format!("write blanks on both sides of `{sign}`"),
        };
        return Err(refused(piece, format!("`{text}` is read as one name"), help));
    }
    if looks_calculated(name) {
        return Err(refused(
            piece,
            format!("`{text}` is read as one name"),
            "to calculate, write blanks on both sides of the operator; a number is written `3`, \
             `0.5`, `1e3` or `0x1f`"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Only digits, points and minus signs: no name that anybody gave.
fn looks_calculated(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-')
}

/// A path into a JSON body: keys, each with at most one index.
pub(super) fn body_path(piece: &Piece, path: &str) -> Result<Vec<BodyStep>, LanguageError> {
    path.split('.').map(|part| step(part).ok_or_else(|| wrong_path(piece, part))).collect()
}

fn step(part: &str) -> Option<BodyStep> {
    let (key, index) = match part.split_once('[') {
        None => (part, None),
        Some((key, rest)) => {
            let digits = rest.strip_suffix(']')?;
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            (key, Some(digits.parse().ok().filter(|_| plain)?))
        }
    };
    let plain = !key.is_empty() && !key.contains(['[', ']']);
    plain.then(|| BodyStep { key: key.to_owned(), index })
}

fn wrong_path(piece: &Piece, part: &str) -> LanguageError {
    let message = if part.is_empty() {
        format!("a key of `{}` is empty", piece.text)
    } else {
        format!("`{part}` is no step into a body")
    };
    let help = "a path is keys joined by dots, each with at most one index: `items[0].name`";
    refused(piece, message, help.to_owned())
}

/// A number as the original's lexer takes it.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        return plain.then(|| {
            digits.chars().filter_map(|c| c.to_digit(16)).fold(0.0, |n, d| n * 16.0 + f64::from(d))
        });
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let right_mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole.is_empty() || digits(whole)) && digits(fraction),
        None => digits(mantissa),
    };
    let right_exponent = exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    (right_mantissa && right_exponent).then(|| text.parse().ok()).flatten()
}
