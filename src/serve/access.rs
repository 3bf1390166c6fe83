//! Who may ask: the name by which it is called, the token, and forms that come from the page itself.

use super::answer;
use super::router::State;
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// Whether two texts are the same, in a time that tells nothing of where they differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// A keyed hash as hexadecimal digits.
pub(super) fn keyed(key: &[u8], text: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is taken");
    mac.update(text);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why nobody can give orders where no token is set.
pub(super) const NO_ORDERS: &str = "orders are taken only from who shows the token, and this daemon was started without one: \
     --token-file FILE gives it one";

/// Refuses who calls by a name that is not ours (another site's page in a browser here can), and who has no token. Reading
/// needs one where one is set, orders always: on a machine with other users, that one is on it is no proof of anything.
pub(super) async fn guard(
    Extract(state): Extract<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    if !is_called_by_our_name(&state, request.headers()) {
        let words = "this name is not one that it may be called by; --allow-host adds it";
        return answer::refusal(StatusCode::MISDIRECTED_REQUEST, words);
    }
    let is_open =
        matches!(path.as_str(), "/healthz" | "/readyz" | "/login") || path.starts_with("/assets/");
    if !is_open && !has_token(&state, request.headers()) {
        return answer::asks_for_token(request.uri());
    }
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_open && !only_reads && state.options.token.is_none() {
        return answer::refusal(StatusCode::FORBIDDEN, NO_ORDERS);
    }
    if !only_reads && is_from_elsewhere(request.headers()) {
        return answer::refusal(StatusCode::FORBIDDEN, "this form came from another site");
    }
    next.run(request).await
}

fn is_called_by_our_name(state: &State, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback() || ip == state.address.ip())
        || state.options.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

/// Whether a request shows the token, or reading asks for none.
pub(super) fn has_token(state: &State, headers: &HeaderMap) -> bool {
    let Some(token) = &state.options.token else { return true };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let by_header = text(header::AUTHORIZATION)
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|shown| same(shown, token));
    let by_cookie = || {
        let (ours, wanted) = (cookie_name(&state.form_key), proof(&state.form_key, token));
        let cookies = text(header::COOKIE).unwrap_or_default().split(';');
        cookies
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(name, value)| name == ours && same(value, &wanted))
    };
    by_header || by_cookie()
}

/// What a browser keeps in place of the token. The store's key is in it, which no answer has: who reads it can neither try
/// tokens against it, nor use it at another control host that has the same token.
fn proof(key: &[u8], token: &str) -> String {
    keyed(key, &[b"hoist page ", token.as_bytes()].concat())
}

/// Browsers tell hosts apart by their names and not by ports: two control hosts on one machine need two names of the cookie.
fn cookie_name(key: &[u8]) -> String {
    let digits = keyed(key, b"hoist cookie");
    format!("hoist-{}", digits.get(..8).unwrap_or_default())
}

/// The cookie for who showed the token.
pub(super) fn cookie(state: &State, token: &str) -> String {
    let secure = if state.options.is_secure() { "; Secure" } else { "" };
    let (name, proof) = (cookie_name(&state.form_key), proof(&state.form_key, token));
    format!("{name}={proof}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200{secure}")
}

/// What a form of the page carries, so that no other site can send one. A new token ends those that were given before.
pub(super) fn form_token(state: &State) -> String {
    let token = state.options.token.as_deref().unwrap_or_default();
    keyed(&state.form_key, &[b"hoist form ", token.as_bytes()].concat())
}

/// A browser says from which site a form comes.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .and_then(|site| site.to_str().ok())
        .is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_store_and_one_token() {
        let (one, other) = ([1; 32], [2; 32]);
        assert_eq!(proof(&one, "a token"), proof(&one, "a token"));
        assert_ne!(proof(&one, "a token"), proof(&other, "a token"));
        assert_ne!(proof(&one, "a token"), proof(&one, "another"));
        assert_ne!(cookie_name(&one), cookie_name(&other));
    }
}
