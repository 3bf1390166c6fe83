//! The API's description of itself, in OpenAPI 3.1. A test holds every answer against it.

use serde_json::Value as Json;

/// The OpenAPI document.
pub fn openapi() -> Json {
    serde_json::from_str(include_str!("openapi.json")).expect("the file beside this one is JSON")
}
