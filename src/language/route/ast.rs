//! What a route's condition means, as a tree: every name is known and every operand has a type that may stand
//! there. It is all that an evaluation on messages needs.
//!
//! Not here: how it is written (`print`), which types fit (`check`), and where its parts stand: whoever has the
//! tree has no more to complain of.

/// A part of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::language) enum Expr {
    Literal(Literal),
    /// `name`: an application property of the message. Always a text.
    Property(String),
    /// `$name`: the application property called `$name`, and where there is none the system property `name`;
    /// with braces the system property alone. Always a text. The name is without its `$`.
    System {
        name: String,
        braced: bool,
    },
    /// `$body.path`: the application property of that name, and where there is none that part of a JSON body;
    /// with braces the body alone.
    Body {
        path: Vec<BodyStep>,
        braced: bool,
    },
    Not(Box<Self>),
    Negate(Box<Self>),
    /// Operands joined by at least one operator, all of one tightness, to be worked out from left to right.
    Chain {
        first: Box<Self>,
        rest: Vec<(Operator, Self)>,
    },
    Call {
        function: Function,
        arguments: Vec<Self>,
    },
    /// `twin_change_includes(path)`: the path as written.
    TwinChangeIncludes(String),
}

/// One step into a JSON body: a key, and an index into the list that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::language) struct BodyStep {
    pub(in crate::language) key: String,
    pub(in crate::language) index: Option<u32>,
}

/// A value written in a condition.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::language) enum Literal {
    Null,
    Undefined,
    Bool(bool),
    /// Never NaN; infinite where more is written than a double holds.
    Number(f64),
    Text(String),
}

/// What joins two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::language) enum Operator {
    Coalesce,
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Concat,
    Multiply,
    Divide,
    Remainder,
}

macro_rules! functions {
    ($($variant:ident = $name:literal;)*) => {
        /// A function, but for `twin_change_includes`, whose argument is no value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::language) enum Function { $($variant,)* }

        impl Function {
            /// Every function, in the order of the documentation.
            pub(in crate::language) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, which may be written in any case.
            pub(in crate::language) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

functions! {
    AsNumber = "as_number";
    IsBool = "is_bool";
    IsDefined = "is_defined";
    IsNull = "is_null";
    IsNumber = "is_number";
    IsString = "is_string";
    Concat = "concat";
    Length = "length";
    Lower = "lower";
    Upper = "upper";
    Substring = "substring";
    IndexOf = "index_of";
    StartsWith = "starts_with";
    EndsWith = "ends_with";
    Contains = "contains";
    Abs = "abs";
    Ceiling = "ceiling";
    Exp = "exp";
    Floor = "floor";
    Power = "power";
    Sign = "sign";
    Sqrt = "sqrt";
    Square = "square";
}

impl Operator {
    /// How tightly it binds; below [`Operator::TIGHTNESSES`].
    pub(in crate::language) fn tightness(self) -> u8 {
        match self {
            Self::Coalesce => 0,
            Self::Or => 1,
            Self::And => 2,
            Self::Equal | Self::NotEqual => 3,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 4,
            Self::Add | Self::Subtract | Self::Concat => 5,
            Self::Multiply | Self::Divide | Self::Remainder => 6,
        }
    }

    /// How many there are.
    pub(in crate::language) const TIGHTNESSES: u8 = 7;

    /// As it is written.
    pub(in crate::language) fn as_str(self) -> &'static str {
        match self {
            Self::Coalesce => "??",
            Self::Or => "OR",
            Self::And => "AND",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Concat => "||",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}
