//! What every answer has, refusals too: headers that keep a browser from doing anything with it, and, for people, words on
//! a page instead of JSON.

use super::access::has_token;
use super::answer::{Refused, refusal};
use super::page;
use super::router::State;
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use std::time::Duration;

/// No answer takes longer, also not to one who sends a body byte by byte; streams begin at once.
const LONGEST: Duration = Duration::from_secs(30);

const ALWAYS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Runs what answers, and finishes its answer.
pub(super) async fn finish(
    Extract(state): Extract<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_asset = path.starts_with("/assets/");
    let is_of_a_person = !path.starts_with("/api/") && accepts_pages(request.headers());
    let may_read = has_token(&state, request.headers());
    let mut response = match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refusal(StatusCode::REQUEST_TIMEOUT, "the request came too slowly"),
    };
    if is_of_a_person && let Some(Refused(words)) = response.extensions_mut().remove() {
        let status = response.status();
        response = (status, page::refused(&state, may_read, status, &words)).into_response();
    }
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        if name != header::CACHE_CONTROL || !is_asset {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

fn accepts_pages(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}
