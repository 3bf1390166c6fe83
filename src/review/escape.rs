//! Words of files and devices as they may be shown: nobody can move the cursor or fake a line.

use crate::diagnostic::render::visible;
use crate::model::Value;

/// A value on one line of text.
pub fn shown(value: &Value) -> String {
    visible(&match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_json().to_string(),
    })
}
