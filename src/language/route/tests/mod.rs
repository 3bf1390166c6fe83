//! Routes as a whole: errors with their places, real routes and conditions, properties, hostile texts.

mod errors;
mod examples;
mod round_trip;

use super::ParsedRoute;
use crate::language::LanguageError;

/// A route that must be right.
fn route(text: &str) -> ParsedRoute {
    ParsedRoute::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}"))
}

/// The errors of a route that must be wrong.
fn errors(text: &str) -> Vec<LanguageError> {
    match ParsedRoute::parse(text) {
        Ok(route) => panic!("{text} was read as {route}"),
        Err(errors) => errors,
    }
}

/// A route with a condition.
fn with(condition: &str) -> String {
    format!("FROM /messages/events WHERE {condition} INTO $upstream")
}
