//! The languages of fleet files: target conditions, queries, which hold conditions, and routes.
//!
//! Text enters, a checked [`Condition`] or [`Query`] leaves, or all that is wrong with the text. The way:
//! `scan` (length, quotes, brackets, nesting) → `parse` (the only folder that names pest) → `syntax` (what was
//! written) → `check` with `names` (names, types, what is allowed where), for queries also `check_query` →
//! `ast`, `selection` (what was meant; prints back) → `evaluate`, `explain`, `properties`, `answer`; or `index`, a
//! condition for all devices at once.
//! `grammar/README.md` is the reference for users.
//!
//! Routes have a dialect of their own, from text to [`ParsedRoute`], in `route`.
//!
//! Not here: what an empty text means, and lints over a fleet. They belong to whoever holds the text.

mod answer;
mod ast;
mod check;
mod check_query;
mod condition;
mod error;
mod evaluate;
mod explain;
mod foreign;
mod index;
mod names;
mod nearest_miss;
mod parse;
mod properties;
mod query;
mod row;
mod route;
mod scan;
mod selection;
mod syntax;
mod terms;
mod ways;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Emptied, Found};
pub use ast::Root;
pub use condition::Condition;
pub use error::LanguageError;
pub use evaluate::{Subject, Truth};
pub use explain::{Leaf, PropertyValue};
pub use index::{Bitmap, ColumnName, Columns, ColumnsPart, bits};
pub use nearest_miss::{NearestMiss, Wish};
pub use properties::PropertyUse;
pub use query::Query;
pub use route::ParsedRoute;
pub use row::{Configuration, ModuleRow, Row, RowKind};
pub use selection::Collection;
