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

/// Words of a refusal are no longer.
const LONGEST_WORDS: usize = 4096;

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
        Ok(response) => in_our_form(response).await,
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

/// What is refused before anything of ours is asked (a wrong method, a parameter that is no number) is told as our own refusals are.
async fn in_our_form(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let is_ours = response.extensions().get::<Refused>().is_some();
    if !status.is_client_error() || is_ours || !is_plain {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let said = axum::body::to_bytes(response.into_body(), LONGEST_WORDS).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let raw = ["Failed to deserialize query string: ", "Failed to deserialize form body: "];
    let said = raw.iter().find_map(|raw| said.strip_prefix(raw)).unwrap_or(&said);
    let mut response = refusal(status, &in_our_words(status, said));
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// What axum says, for people.
fn in_our_words(status: StatusCode, said: &str) -> String {
    const NO_NUMBER: &str = ": invalid digit found in string";
    match (status, said) {
        (StatusCode::METHOD_NOT_ALLOWED, _) => "this path does not take that method".to_owned(),
        (StatusCode::PAYLOAD_TOO_LARGE, _) => {
            "the body is larger than 1 MiB, the most that is read".to_owned()
        }
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, _) => {
            "it takes a form: `Content-Type: application/x-www-form-urlencoded`".to_owned()
        }
        (_, "") => status.canonical_reason().unwrap_or("refused").to_owned(),
        (_, said) if said.starts_with("Invalid URL: ") => {
            "the path holds what is no UTF-8".to_owned()
        }
        (_, said) => match said.strip_suffix(NO_NUMBER) {
            Some(name) => format!("{name}: it is no whole number"),
            None => said.to_owned(),
        },
    }
}

fn accepts_pages(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}
