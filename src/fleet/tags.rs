//! Tags as somebody types them, `ring = 3`, to a table: by the same rules as in a device's file.

use super::decode::{File, Texts, only_tags};
use crate::diagnostic::{Diagnostics, Source};
use crate::model::Table;

/// Reads tags. `origin` is what a mistake is said to stand in.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn decode_tags(origin: &str, text: &str) -> Result<Table, Diagnostics> {
    let file = File::new(Source::new(origin, text), Texts::Templates);
    match only_tags(&file) {
        Some(tags) => Ok(tags),
        None => Err(file.into_diagnostics()),
    }
}
