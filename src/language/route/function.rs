//! The functions of route conditions: how many arguments each takes, of which types, and what it gives.

use super::ast::Function;
use super::check::Type;

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Anything,
    Number,
    Text,
    NumberOrText,
}

/// What a function takes and gives.
pub(super) struct Signature {
    pub(super) least: usize,
    pub(super) most: usize,
    /// Of the arguments in their order; the last stands for all that follow.
    takes: &'static [Takes],
    pub(super) gives: Type,
}

impl Signature {
    /// Whether an argument may be of a type.
    pub(super) fn takes(&self, at: usize, found: Type) -> bool {
        let fits = match self.wanted(at) {
            Takes::Anything => true,
            Takes::Number => found == Type::Number,
            Takes::Text => found == Type::Text,
            Takes::NumberOrText => matches!(found, Type::Number | Type::Text),
        };
        fits || found == Type::Unknown
    }

    /// What an argument should be, in words.
    pub(super) fn words(&self, at: usize) -> &'static str {
        match self.wanted(at) {
            Takes::Anything => "a value",
            Takes::Number => "a number",
            Takes::Text => "a text",
            Takes::NumberOrText => "a text or a number",
        }
    }

    /// How many arguments, in words.
    pub(super) fn count(&self) -> String {
        let word = |n: usize| ["no", "one", "two", "three"].get(n).copied().unwrap_or("more");
        let noun = |n: usize| if n == 1 { "argument" } else { "arguments" };
        let Self { least, most, .. } = *self;
        if most == usize::MAX {
            format!("{} or more arguments", word(least))
        } else if least == most {
            format!("{} {}", word(least), noun(least))
        } else {
            format!("{} or {} {}", word(least), word(most), noun(most))
        }
    }

    fn wanted(&self, at: usize) -> Takes {
        self.takes.get(at).or(self.takes.last()).copied().unwrap_or(Takes::Anything)
    }
}

impl Function {
    /// What it takes and gives.
    pub(super) fn signature(self) -> Signature {
        let of = |takes: &'static [Takes], gives| Signature {
            least: takes.len(),
            most: takes.len(),
            takes,
            gives,
        };
        match self {
            Self::AsNumber => of(&[Takes::NumberOrText], Type::Number),
            Self::IsBool | Self::IsDefined | Self::IsNull | Self::IsNumber | Self::IsString => {
                of(&[Takes::Anything], Type::Truth)
            }
            Self::Concat => {
                Signature { most: usize::MAX, ..of(&[Takes::Text, Takes::Text], Type::Text) }
            }
            Self::Length => of(&[Takes::Text], Type::Number),
            Self::Lower | Self::Upper => of(&[Takes::Text], Type::Text),
            Self::Substring => Signature {
                least: 2,
                ..of(&[Takes::Text, Takes::Number, Takes::Number], Type::Text)
            },
            Self::IndexOf => of(&[Takes::Text, Takes::Text], Type::Number),
            Self::StartsWith | Self::EndsWith | Self::Contains => {
                of(&[Takes::Text, Takes::Text], Type::Truth)
            }
            Self::Power => of(&[Takes::Number, Takes::Number], Type::Number),
            Self::Abs
            | Self::Ceiling
            | Self::Exp
            | Self::Floor
            | Self::Sign
            | Self::Sqrt
            | Self::Square => of(&[Takes::Number], Type::Number),
        }
    }

    /// A call as somebody would write it.
    pub(super) fn example(self) -> String {
        let arguments = match self {
            Self::AsNumber => "temperature",
            Self::IsBool | Self::IsNull | Self::IsNumber | Self::IsString => "$body.value",
            Self::IsDefined | Self::Length | Self::Lower | Self::Upper => "name",
            Self::Concat | Self::StartsWith | Self::EndsWith | Self::Contains | Self::IndexOf => {
                "name, 'text'"
            }
            Self::Substring => "name, 0, 3",
            Self::Power => "as_number(name), 2",
            Self::Abs
            | Self::Ceiling
            | Self::Exp
            | Self::Floor
            | Self::Sign
            | Self::Sqrt
            | Self::Square => "as_number(name)",
        };
        format!("{}({arguments})", self.name())
    }
}
