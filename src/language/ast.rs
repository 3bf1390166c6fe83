//! What a condition means, alone or in a query, as a tree: every name is known, every operand is of a kind that may stand there.
//!
//! It prints back to text that parses to the same tree, with the parentheses that are needed and no others.
//! Nested `AND`s are one `AND`, nested `OR`s one `OR`. Spans say where a part was written; two trees are equal
//! wherever they were written. Not here: foreign spellings and unknown names; `check` has refused them.

use crate::diagnostic::Span;
use std::fmt;

/// A part that is true, false or undefined.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    pub(super) kind: ExprKind,
    pub(super) span: Span,
}

/// What kind of part.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ExprKind {
    /// At least two terms, none of them an `Or`.
    Or(Vec<Expr>),
    /// At least two terms, none of them an `And`.
    And(Vec<Expr>),
    Not(Box<Expr>),
    Compare {
        left: Operand,
        operator: Operator,
        right: Operand,
    },
    /// `IN`, and with `negated` `NIN`.
    Among {
        operand: Operand,
        negated: bool,
        list: Vec<Literal>,
    },
    /// An operand that stands for itself.
    Bare(Operand),
}

/// What can be compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Property(Property),
    Literal(Literal),
    Call(Call),
}

/// A function with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    IsDefined(Property),
    Text { test: TextTest, text: Argument, part: Argument },
}

/// What a function over texts takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    Property(Property),
    Text(String),
}

/// A question about two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// A fact about a device or a module.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) root: Root,
    /// The keys below the root; of a configuration its id. Empty exactly where the root is no table.
    pub(super) path: Vec<String>,
    pub(super) span: Span,
}

/// Where a property is looked up. Target conditions know the first three, queries the others too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Root {
    /// `deviceId`.
    DeviceId,
    /// `tags.…`.
    Tags,
    /// `properties.reported.…`.
    Reported,
    /// `configurations.[[ID]].status`.
    Configurations,
    /// `connectionState`.
    ConnectionState,
    /// `capabilities.iotEdge`.
    IotEdge,
    /// `moduleId`.
    ModuleId,
    /// `properties.desired.…`.
    Desired,
    /// `runtimeStatus`.
    RuntimeStatus,
    /// `exitCode`.
    ExitCode,
    /// `restartCount`.
    RestartCount,
}

/// A value written in a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Integer(i64),
    /// Finite.
    Real(f64),
    Text(String),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        let Self { kind, span: _ } = self;
        *kind == other.kind
    }
}

impl PartialEq for Property {
    fn eq(&self, other: &Self) -> bool {
        let Self { root, path, span: _ } = self;
        *root == other.root && *path == other.path
    }
}

impl Expr {
    /// The terms of a top-level `AND`; itself alone otherwise.
    pub(super) fn and_terms(&self) -> &[Self] {
        match &self.kind {
            ExprKind::And(terms) => terms,
            _ => std::slice::from_ref(self),
        }
    }

    /// How tightly its operator binds.
    fn tightness(&self) -> u8 {
        match self.kind {
            ExprKind::Or(_) => 0,
            ExprKind::And(_) => 1,
            ExprKind::Not(_) => 2,
            ExprKind::Compare { .. } | ExprKind::Among { .. } | ExprKind::Bare(_) => 3,
        }
    }

    fn write_within(&self, f: &mut fmt::Formatter<'_>, tightness: u8) -> fmt::Result {
        if self.tightness() < tightness { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

impl Operator {
    /// Whether it asks which comes first.
    pub(super) fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

impl TextTest {
    /// As it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::StartsWith => "STARTSWITH",
            Self::EndsWith => "ENDSWITH",
            Self::Contains => "CONTAINS",
        }
    }
}

impl Expr {
    /// Visits every property that it names, in the order of the text.
    pub(super) fn for_each_property<'e>(&'e self, visit: &mut dyn FnMut(&'e Property)) {
        match &self.kind {
            ExprKind::Or(terms) | ExprKind::And(terms) => {
                terms.iter().for_each(|term| term.for_each_property(visit));
            }
            ExprKind::Not(inner) => inner.for_each_property(visit),
            ExprKind::Compare { left, operator: _, right } => {
                left.properties().into_iter().for_each(&mut *visit);
                right.properties().into_iter().for_each(visit);
            }
            ExprKind::Among { operand, negated: _, list: _ } | ExprKind::Bare(operand) => {
                operand.properties().into_iter().for_each(visit);
            }
        }
    }
}

impl Operand {
    /// All properties that it names.
    pub(super) fn properties(&self) -> Vec<&Property> {
        match self {
            Self::Property(property) | Self::Call(Call::IsDefined(property)) => vec![property],
            Self::Literal(_) => Vec::new(),
            Self::Call(Call::Text { test: _, text, part }) => [text, part]
                .into_iter()
                .filter_map(|argument| match argument {
                    Argument::Property(property) => Some(property),
                    Argument::Text(_) => None,
                })
                .collect(),
        }
    }
}

/// Whether a key can stand behind a dot as it is.
pub(super) fn is_plain_key(key: &str) -> bool {
    let mut characters = key.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// The same below a root: the version of desired properties is a plain name too.
pub(super) fn is_plain_below(root: Root, key: &str) -> bool {
    is_plain_key(key) || root == Root::Desired && key == VERSION
}

/// The key of the version of desired properties.
pub(super) const VERSION: &str = "$version";

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn write_joined(f: &mut fmt::Formatter<'_>, terms: &[Expr], word: &str, tight: u8) -> fmt::Result {
    for (i, term) in terms.iter().enumerate() {
        if i > 0 {
            write!(f, " {word} ")?;
        }
        term.write_within(f, tight)?;
    }
    Ok(())
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Or(terms) => write_joined(f, terms, "OR", 1),
            ExprKind::And(terms) => write_joined(f, terms, "AND", 2),
            ExprKind::Not(inner) => {
                f.write_str("NOT ")?;
                inner.write_within(f, 2)
            }
            ExprKind::Compare { left, operator, right } => write!(f, "{left} {operator} {right}"),
            ExprKind::Among { operand, negated, list } => {
                write!(f, "{operand} {} [", if *negated { "NIN" } else { "IN" })?;
                for (i, literal) in list.iter().enumerate() {
                    write!(f, "{}{literal}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            ExprKind::Bare(operand) => operand.fmt(f),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(property) => property.fmt(f),
            Self::Literal(literal) => literal.fmt(f),
            Self::Call(call) => call.fmt(f),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IsDefined(property) => write!(f, "IS_DEFINED({property})"),
            Self::Text { test, text, part } => write!(f, "{}({text}, {part})", test.name()),
        }
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(property) => property.fmt(f),
            Self::Text(text) => f.write_str(&quoted(text)),
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)?;
        if self.root == Root::Configurations {
            return self.path.iter().try_for_each(|id| write!(f, ".[[{id}]].status"));
        }
        for key in &self.path {
            if is_plain_below(self.root, key) {
                write!(f, ".{key}")?;
            } else {
                write!(f, "[{}]", quoted(key))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeviceId => "deviceId",
            Self::Tags => "tags",
            Self::Reported => "properties.reported",
            Self::Configurations => "configurations",
            Self::ConnectionState => "connectionState",
            Self::IotEdge => "capabilities.iotEdge",
            Self::ModuleId => "moduleId",
            Self::Desired => "properties.desired",
            Self::RuntimeStatus => "runtimeStatus",
            Self::ExitCode => "exitCode",
            Self::RestartCount => "restartCount",
        })
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            // Debug keeps the point or the exponent, by which it stays a real.
            Self::Real(value) => write!(f, "{value:?}"),
            Self::Text(text) => f.write_str(&quoted(text)),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}
