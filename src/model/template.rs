//! `${device.…}` in texts of modules: parsed at load, filled per device at the very end.

use super::device::Device;
use super::table::NearPath;
use super::value::Value;
use std::borrow::Cow;
use std::fmt;

/// A text with places for facts of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its parts in order.
    pub pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// Plain text; `$${` of the file is `${` here.
    Text(String),
    /// `${device.id}`.
    DeviceId,
    /// `${device.tags.PATH}` or `${device.tags.PATH:-default}`.
    Tag {
        /// The path below `tags`.
        path: Vec<String>,
        /// What stands there for a device without the tag.
        default: Option<String>,
    },
}

/// Why a template can't be parsed or filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// `${` without `}`.
    Unclosed,
    /// Something else than `device.id` and `device.tags.PATH`.
    UnknownName(String),
    /// The device lacks the tag, and there is no default.
    MissingTag(String),
    /// The tag is a list or a table.
    NotScalar(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed => write!(f, "`${{` without `}}`; a literal `${{` is written `$${{`"),
            Self::UnknownName(name) => write!(
                f,
                "`${{{name}}}` is unknown; there are `${{device.id}}`, `${{device.tags.PATH}}` and \
                 `${{device.tags.PATH:-default}}`; a literal `${{` is written `$${{`"
            ),
            Self::MissingTag(path) => write!(f, "the device has no tag `{path}`"),
            Self::NotScalar(path) => write!(f, "tag `{path}` is a list or a table"),
        }
    }
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// An unclosed or unknown `${…}`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                plain.push_str(&rest[..at - 1]);
                plain.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            plain.push_str(&rest[..at]);
            let inner = &rest[at + 2..];
            let end = inner.find('}').ok_or(TemplateError::Unclosed)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(parse_name(&inner[..end])?);
            rest = &inner[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// Whether a text needs filling at all: it names a fact, or has an escaped `${`.
    pub fn is_needed(text: &str) -> bool {
        text.contains("${")
    }

    /// Whether it names a fact of the device.
    pub fn names_a_fact(&self) -> bool {
        self.pieces.iter().any(|piece| !matches!(piece, Piece::Text(_)))
    }

    /// The text for one device.
    ///
    /// # Errors
    /// A tag that the device lacks, or that is no scalar.
    pub fn fill(&self, device: &Device) -> Result<String, TemplateError> {
        let mut out = String::new();
        for piece in &self.pieces {
            out.push_str(&piece.value(device)?);
        }
        Ok(out)
    }

    /// Whether it can be filled for a device.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, device: &Device) -> Result<(), TemplateError> {
        self.pieces.iter().try_for_each(|piece| piece.value(device).map(drop))
    }
}

impl Piece {
    /// What stands there for one device.
    ///
    /// # Errors
    /// A tag that the device lacks, or that is no scalar.
    pub fn value<'a>(&'a self, device: &'a Device) -> Result<Cow<'a, str>, TemplateError> {
        self.value_by(device, |path| Value::lookup(&device.tags, path))
    }

    fn value_by<'a>(
        &'a self,
        device: &'a Device,
        lookup: impl FnOnce(&[String]) -> Option<&'a Value>,
    ) -> Result<Cow<'a, str>, TemplateError> {
        let (path, default) = match self {
            Self::Text(text) => return Ok(text.into()),
            Self::DeviceId => return Ok(device.id.as_str().into()),
            Self::Tag { path, default } => (path, default),
        };
        match (lookup(path), default) {
            (Some(Value::String(text)), _) => Ok(Cow::Borrowed(text)),
            (Some(Value::Integer(n)), _) => Ok(n.to_string().into()),
            (Some(Value::Float(n)), _) => Ok(n.to_string().into()),
            (Some(Value::Bool(b)), _) => Ok(b.to_string().into()),
            (Some(Value::List(_) | Value::Table(_)), _) => {
                Err(TemplateError::NotScalar(path.join(".")))
            }
            (None, Some(default)) => Ok(default.into()),
            (None, None) => Err(TemplateError::MissingTag(path.join("."))),
        }
    }
}

/// A fact that is asked of one device after the other.
pub struct NearFact<'a> {
    piece: &'a Piece,
    near: NearPath<'a>,
}

impl<'a> NearFact<'a> {
    /// For looks at this fact.
    pub fn new(piece: &'a Piece) -> Self {
        let path: &[String] = match piece {
            Piece::Tag { path, default: _ } => path,
            Piece::DeviceId | Piece::Text(_) => &[],
        };
        Self { piece, near: NearPath::new(path) }
    }

    /// What stands there for a device, as [`Piece::value`] says it.
    ///
    /// # Errors
    /// A tag that the device lacks, or that is no scalar.
    pub fn value(&mut self, device: &'a Device) -> Result<Cow<'a, str>, TemplateError> {
        let Self { piece, near } = self;
        piece.value_by(device, |path| near.lookup(&device.tags, path))
    }
}

fn parse_name(name: &str) -> Result<Piece, TemplateError> {
    if name == "device.id" {
        return Ok(Piece::DeviceId);
    }
    let unknown = || TemplateError::UnknownName(name.to_owned());
    let rest = name.strip_prefix("device.tags.").ok_or_else(unknown)?;
    let (path, default) = match rest.split_once(":-") {
        Some((path, default)) => (path, Some(default.to_owned())),
        None => (rest, None),
    };
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    if path.iter().any(|segment| segment.is_empty() || segment.contains([' ', '$', '{', ':'])) {
        return Err(unknown());
    }
    Ok(Piece::Tag { path, default })
}

/// A filled text as a template that gives it again: `${` becomes `$${`.
pub fn escape_template(text: &str) -> String {
    text.replace("${", "$${")
}
