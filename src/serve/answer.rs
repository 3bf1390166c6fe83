//! Forms of answers that all parts use.

use axum::Json;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::json;

/// The words of a refusal, kept beside its JSON: a person is given a page with them instead.
#[derive(Clone)]
pub(super) struct Refused(pub(super) String);

/// A refusal in words, as JSON.
pub(super) fn refusal(status: StatusCode, words: &str) -> Response {
    let mut response = (status, Json(json!({"format": 1, "error": words}))).into_response();
    response.extensions_mut().insert(Refused(words.to_owned()));
    response
}

/// A browser is led to the form for the token, and from there to where it wanted to go; a program is told.
pub(super) fn asks_for_token(uri: &Uri) -> Response {
    let path = uri.path();
    let is_of_a_program = path.starts_with("/api/") || path == "/metrics" || path == "/events";
    if !is_of_a_program {
        let wanted = uri.path_and_query().map_or("/", |wanted| wanted.as_str());
        let login = match page_here(wanted) {
            "/" => "/login".to_owned(),
            wanted => format!("/login?to={}", encoded(wanted)),
        };
        return Redirect::to(&login).into_response();
    }
    let words = "it asks for the token: `Authorization: Bearer …`";
    let mut response = refusal(StatusCode::UNAUTHORIZED, words);
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

/// As a part of an address.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                (byte as char).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// An address if it is a page of ours that is only looked at, else the first page: nobody is led elsewhere by a link to us.
pub(super) fn page_here(wanted: &str) -> &str {
    let path = wanted.split('?').next().unwrap_or_default();
    let is_ours = matches!(path, "/devices" | "/history") || path.starts_with("/devices/");
    let is_plain = wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours && is_plain { wanted } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for ours in
            ["/devices", "/devices?where=a%20%3D%201&status=stale", "/history", "/devices/a"]
        {
            assert_eq!(page_here(ours), ours);
        }
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/devices/\r\nSet-Cookie: a",
            "/login",
            "/approve",
            "evil",
            "/devices.evil.example",
            "/devices/\\evil",
        ] {
            assert_eq!(page_here(other), "/", "{other}");
        }
    }
}
