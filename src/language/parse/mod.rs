//! Texts to syntax trees, one file a language. The only folder that names pest; its rules' names never reach
//! a user.

mod condition;
mod grammar;
mod query;
mod route;

pub(super) use condition::parse as parse_condition;
pub(super) use query::parse as parse_query;
pub(super) use route::parse as parse_route;
