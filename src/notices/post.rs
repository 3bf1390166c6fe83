//! One message to one webhook.
//!
//! Enters: a [`Webhook`] and a body. Leaves: that it was taken, or a [`PostError`]. Limited in time and bytes, without
//! redirects and without a proxy. The address, headers and the secret are asked for each time and in no word that leaves
//! here. Not here: what is sent, and when it is tried again.

use super::roots;
use super::words::test_body;
use crate::config::{SecretError, SecretText, Webhook, WebhookFormat};
use crate::model::Timestamp;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// So long one try may take, with everything.
const LIMIT: Duration = Duration::from_secs(20);
/// A webhook that asks for a pause gets one, but no longer one.
const LONGEST_WISH: u64 = 300;

/// That a message was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status, one of 200 to 299.
    pub status: u16,
}

/// Why a message was not taken. Holds no part of the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostError {
    /// Why, in words.
    pub words: String,
    /// What helps.
    pub remedy: Remedy,
}

/// What helps against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Trying again; with the pause that the webhook asked for, if it did.
    Later(Option<Duration>),
    /// Nothing: it does not take this message, whenever it comes.
    Nothing,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for PostError {}

impl From<SecretError> for PostError {
    fn from(error: SecretError) -> Self {
        later(error.to_string())
    }
}

fn later(words: impl Into<String>) -> PostError {
    PostError { words: words.into(), remedy: Remedy::Later(None) }
}

/// Sends a message that says that messages arrive.
///
/// # Errors
/// It does not.
pub async fn send_test(webhook: &Webhook, at: Timestamp) -> Result<Answer, PostError> {
    let is_slack = webhook.format == WebhookFormat::Slack;
    post(webhook, &test_body(is_slack, webhook.name.as_str(), at)).await
}

/// Sends a message.
///
/// # Errors
/// It was not taken.
pub(super) async fn post(webhook: &Webhook, body: &Json) -> Result<Answer, PostError> {
    let sent = tokio::time::timeout(LIMIT, try_to_post(webhook, body)).await;
    sent.unwrap_or_else(|_| Err(later(format!("no answer within {} s", LIMIT.as_secs()))))
}

/// What is asked for each time.
struct Secrets {
    url: SecretText,
    headers: Vec<(String, SecretText)>,
    secret: Option<SecretText>,
}

async fn try_to_post(webhook: &Webhook, body: &Json) -> Result<Answer, PostError> {
    let secrets = ask(webhook).await?;
    let uri: Uri = secrets.url.expose().parse().map_err(|_| later("the address is none"))?;
    send(webhook, &uri, &secrets, body)
        .await
        .map_err(|error| PostError { words: without_address(&error.words, &uri), ..error })
}

/// Words of libraries may name the host, as those about certificates do.
fn without_address(words: &str, uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let mut words = words.to_owned();
    for secret in [path, host].into_iter().filter(|secret| secret.len() > 1) {
        words = words.replace(secret, "***");
    }
    words
}

async fn send(
    webhook: &Webhook,
    uri: &Uri,
    secrets: &Secrets,
    body: &Json,
) -> Result<Answer, PostError> {
    let host = uri.host().ok_or_else(|| later("the address names no host"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(later("a user in the address is not sent: write it as a header"));
    }
    let is_safe = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(later("the address does not begin with https:// or http://")),
    };
    let request = request(uri, secrets, body)?;
    let port = uri.port_u16().unwrap_or(if is_safe { 443 } else { 80 });
    // An IPv6 address stands in brackets in an address, and without them elsewhere.
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((bare.as_str(), port))
        .await
        .map_err(|error| later(format!("it is not reached: {error}")))?;
    let response = if is_safe {
        let ca = webhook.ca.clone();
        let client = tokio::task::spawn_blocking(move || roots::client(ca.as_deref()))
            .await
            .map_err(|_| later("reading certificates was cut off"))?
            .map_err(later)?;
        let name = ServerName::try_from(bare)
            .map_err(|_| later("no certificate can be for the name in the address"))?;
        let stream = TlsConnector::from(client)
            .connect(name, stream)
            .await
            .map_err(|error| later(format!("TLS: {error}")))?;
        exchange(stream, request).await?
    } else {
        exchange(stream, request).await?
    };
    judged(&response)
}

async fn ask(webhook: &Webhook) -> Result<Secrets, PostError> {
    let webhook = webhook.clone();
    // A command may take its time.
    let asked = tokio::task::spawn_blocking(move || -> Result<Secrets, SecretError> {
        let headers = webhook.headers.iter();
        let headers = headers.map(|(name, value)| Ok((name.clone(), value.value()?)));
        Ok(Secrets {
            url: webhook.url.value()?,
            headers: headers.collect::<Result<_, SecretError>>()?,
            secret: webhook.secret.as_ref().map(crate::config::Secret::value).transpose()?,
        })
    });
    Ok(asked.await.map_err(|_| later("asking for its secrets was cut off"))??)
}

fn request(uri: &Uri, secrets: &Secrets, body: &Json) -> Result<Request<Full<Bytes>>, PostError> {
    let body = body.to_string();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("hoist/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close");
    if let Some(secret) = &secrets.secret {
        let signature = signature(secret, body.as_bytes());
        request = request.header("x-hoist-signature-256", format!("sha256={signature}"));
    }
    let mut request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| later("the address is none that can be asked for"))?;
    for (name, value) in &secrets.headers {
        let wrong = || later(format!("the header {name} can't be sent"));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        request.headers_mut().insert(header, value);
    }
    Ok(request)
}

fn signature(secret: &SecretText, body: &[u8]) -> String {
    let mut signature = String::new();
    // HMAC takes keys of any length.
    if let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(secret.expose().as_bytes()) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            signature.push_str(&format!("{byte:02x}"));
        }
    }
    signature
}

/// The request and the head of its answer; what the answer holds is not read.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, PostError> {
    let broken = |error: hyper::Error| later(format!("the exchange broke: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(broken);
    driver.abort();
    response
}

fn judged(response: &Response<Incoming>) -> Result<Answer, PostError> {
    let status = response.status();
    if status.is_success() {
        return Ok(Answer { status: status.as_u16() });
    }
    let words = match status {
        status if status.is_redirection() => {
            format!("it answers {}: redirects are not followed", status.as_u16())
        }
        status => format!("it answers {status}"),
    };
    let remedy = match status {
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => Remedy::Nothing,
        _ => {
            let wish = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let seconds = wish.and_then(|text| text.trim().parse::<u64>().ok());
            Remedy::Later(seconds.map(|s| Duration::from_secs(s.min(LONGEST_WISH))))
        }
    };
    Err(PostError { words, remedy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_the_address_is_in_what_libraries_say() {
        let uri: Uri = "https://hooks.example:8443/T0/B1?key=x".parse().unwrap();
        let words = "TLS: certificate not valid for name \"hooks.example\"; at /T0/B1?key=x";
        let words = without_address(words, &uri);
        assert_eq!(words, "TLS: certificate not valid for name \"***\"; at ***");
        let uri: Uri = "http://[::1]:1/".parse().unwrap();
        assert_eq!(without_address("a / b, ::1", &uri), "a / b, ***");
    }
}
