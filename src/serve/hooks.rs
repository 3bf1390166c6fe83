//! Webhooks of git hosters: they wake the daemon and say nothing that it uses.

use super::access::{keyed, same};
use super::answer::refusal;
use super::router::State;
use crate::reconcile::Wish;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn git(
    Extract(state): Extract<Arc<State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(secret) = &state.options.hook_secret else {
        let words = "no webhook is expected here: --hook-secret-file says by what it is known";
        return refusal(StatusCode::NOT_FOUND, words);
    };
    if !is_known(secret, &headers, &body) {
        return refusal(StatusCode::UNAUTHORIZED, "its signature or token is not ours");
    }
    // A queue that is full has the same wish in it.
    let _ = state.wishes.try_send(Wish::Fetch);
    (StatusCode::ACCEPTED, Json(json!({"format": 1, "accepted": true}))).into_response()
}

/// By the signature of GitHub or Gitea over the body, or by the token that GitLab sends along.
fn is_known(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = || keyed(secret.as_bytes(), body);
    if let Some(shown) = text("x-hub-signature-256") {
        return shown.strip_prefix("sha256=").is_some_and(|shown| same(shown, &signature()));
    }
    if let Some(shown) = text("x-gitea-signature") {
        return same(shown, &signature());
    }
    text("x-gitlab-token").is_some_and(|shown| same(shown, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(name),
            value.parse().expect("a value"),
        )])
    }

    /// The example of GitHub's documentation.
    #[test]
    fn signatures_are_those_that_hosters_document() {
        let (secret, body) = ("It's a Secret to Everybody", b"Hello, World!".as_slice());
        let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let is_known = |headers: &HeaderMap| is_known(secret, headers, body);
        assert!(is_known(&headers("x-hub-signature-256", &format!("sha256={digits}"))));
        assert!(is_known(&headers("x-gitea-signature", digits)));
        assert!(is_known(&headers("x-gitlab-token", secret)));
        for (name, value) in [
            ("x-hub-signature-256", digits.to_owned()),
            ("x-hub-signature-256", format!("sha256={}", digits.replace('7', "8"))),
            ("x-gitea-signature", String::new()),
            ("x-gitlab-token", "It's a secret".to_owned()),
            ("authorization", secret.to_owned()),
        ] {
            assert!(!is_known(&headers(name, &value)), "{name}");
        }
    }
}
