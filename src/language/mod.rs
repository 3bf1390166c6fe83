//! The languages of fleet files: target conditions now; queries and routes are to share their core.
//!
//! Text enters, a checked [`Condition`] leaves, or all that is wrong with the text. The way: `scan` (length,
//! quotes, brackets, nesting) → `parse` (the only folder that names pest) → `syntax` (what was written) →
//! `check` (names, types, what is allowed where) → `ast` (what was meant; prints back) → `evaluate`,
//! `explain`, `properties`; or `index`, for all devices at once. `grammar/README.md` is the reference for users.
//!
//! Not here: what an empty text means, and lints over a fleet. They belong to whoever holds the text.

mod ast;
mod check;
mod condition;
mod error;
mod evaluate;
mod explain;
mod foreign;
mod index;
mod parse;
mod properties;
mod scan;
mod syntax;
#[cfg(test)]
mod tests;

pub use ast::Root;
pub use condition::Condition;
pub use error::LanguageError;
pub use evaluate::{Subject, Truth};
pub use explain::{Leaf, PropertyValue};
pub use index::{Bitmap, Columns, bits};
pub use properties::PropertyUse;
