//! Asks another control host how things stand.
//!
//! Enters: its address, the token. Leaves: the answer of `/api/v1/state`, or why there is none. Certificates are checked
//! by the authorities that this machine trusts. Not here: what the answer means.

use crate::engine::docker::made_wrong;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore, crypto};

/// So long may it take until a connection stands, and until the answer begins.
const PATIENCE: Duration = Duration::from_secs(30);
/// So long may the whole answer take: of a large fleet it is some hundred megabytes.
const WHOLE: Duration = Duration::from_secs(300);
const STATE: &str = "/api/v1/state";
/// Where systems keep the authorities that they trust.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The address of a control host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    has_tls: bool,
    /// The host as it stands in the address.
    host: String,
    port: u16,
}

/// Why a control host was not asked, or gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskError {
    /// The address is none.
    Address(String),
    /// The token would be read on the way.
    InTheClear,
    /// It wants the token.
    NeedsToken {
        /// Whether one was shown.
        shown: bool,
    },
    /// It can't be reached, or breaks off; why.
    Unreachable(String),
    /// It answers, and refuses; its words.
    Refused(u16, String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(words) => write!(f, "{words}"),
            Self::InTheClear => write!(f, "a token would be read on the way: write https://"),
            Self::NeedsToken { shown: false } => {
                write!(f, "it asks for a token, and none was shown")
            }
            Self::NeedsToken { shown: true } => {
                write!(f, "it asks for the token, and what was shown is not it")
            }
            Self::Unreachable(words) => write!(f, "{words}"),
            Self::Refused(status, words) => write!(f, "it answers {status}: {words}"),
        }
    }
}

impl std::error::Error for AskError {}

impl Server {
    /// Reads `https://HOST[:PORT]`, or `http://`, without a path.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, AskError> {
        let wrong = || AskError::Address("write https://HOST or https://HOST:PORT".to_owned());
        let (has_tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let usual = if has_tls { 443 } else { 80 };
        // The colons of an IPv6 address stand in brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (rest, usual),
        };
        let is_bare = |c: char| c.is_ascii_alphanumeric() || "-._[:]".contains(c);
        if host.is_empty() || !host.chars().all(is_bare) {
            return Err(wrong());
        }
        Ok(Self { has_tls, host: host.to_owned(), port })
    }

    /// The host without the brackets of an IPv6 address.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    fn is_here(&self) -> bool {
        let ip = self.bare_host().parse::<std::net::IpAddr>();
        self.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }
}

/// The answer of `/api/v1/state`.
///
/// # Errors
/// It can't be reached, or refuses.
pub async fn ask_state(server: &Server, token: Option<&str>) -> Result<String, AskError> {
    if token.is_some() && !server.has_tls && !server.is_here() {
        return Err(AskError::InTheClear);
    }
    let late = |_| AskError::Unreachable("it did not answer in time".to_owned());
    let connect = TcpStream::connect((server.bare_host(), server.port));
    let stream = tokio::time::timeout(PATIENCE, connect).await.map_err(late)?;
    let stream = stream.map_err(|error| unreachable(&error))?;
    if !server.has_tls {
        return tokio::time::timeout(WHOLE, talk(stream, server, token)).await.map_err(late)?;
    }
    let name = ServerName::try_from(server.bare_host().to_owned())
        .map_err(|error| AskError::Address(error.to_string()))?;
    let secured = TlsConnector::from(trust()?).connect(name, stream);
    let stream = tokio::time::timeout(PATIENCE, secured).await.map_err(late)?;
    let stream = stream.map_err(|error| not_secured(&error))?;
    tokio::time::timeout(WHOLE, talk(stream, server, token)).await.map_err(late)?
}

fn unreachable(error: &dyn fmt::Display) -> AskError {
    AskError::Unreachable(error.to_string())
}

fn not_secured(error: &io::Error) -> AskError {
    use CertificateError as Wrong;
    let refused = error.get_ref().and_then(|inner| inner.downcast_ref());
    let words = match refused {
        Some(rustls::Error::InvalidMessage(_)) => "what listens there speaks no TLS",
        Some(rustls::Error::InvalidCertificate(Wrong::UnknownIssuer | Wrong::BadSignature)) => {
            "its certificate is of no authority that this machine trusts; SSL_CERT_FILE names a file of others"
        }
        Some(rustls::Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. })) => {
            "its certificate has expired"
        }
        Some(rustls::Error::InvalidCertificate(
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. },
        )) => "its certificate is for another name or address",
        Some(refused) => match made_wrong(refused) {
            Some(words) => {
                return AskError::Unreachable(format!("its certificate is not usable: {words}"));
            }
            None => return unreachable(error),
        },
        None => return unreachable(error),
    };
    AskError::Unreachable(words.to_owned())
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    server: &Server,
    token: Option<&str>,
) -> Result<String, AskError> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    tokio::spawn(connection);
    let mut request = Request::get(STATE)
        .header(header::HOST, format!("{}:{}", server.host, server.port))
        .header(header::ACCEPT, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| AskError::Address(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| unreachable(&error))?;
    let text = String::from_utf8(body.to_bytes().into())
        .map_err(|_| AskError::Unreachable("its answer is no text".to_owned()))?;
    match status {
        StatusCode::OK => Ok(text),
        StatusCode::UNAUTHORIZED => Err(AskError::NeedsToken { shown: token.is_some() }),
        status => {
            let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            let words = json.and_then(|json| Some(json["error"].as_str()?.to_owned()));
            let reason = || status.canonical_reason().unwrap_or_default().to_owned();
            Err(AskError::Refused(status.as_u16(), words.unwrap_or_else(reason)))
        }
    }
}

/// What this machine trusts; `SSL_CERT_FILE` names something else, as for other programs.
fn trust() -> Result<Arc<ClientConfig>, AskError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = || AUTHORITIES.iter().map(PathBuf::from).find(|path| path.exists());
    let Some(path) = named.or_else(usual) else {
        let words = "this machine has no list of authorities; SSL_CERT_FILE names one";
        return Err(AskError::Unreachable(words.to_owned()));
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&path)?);
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreachable(&error))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AskError> {
    let wrong = |error: &dyn fmt::Display| {
        AskError::Unreachable(format!("can't read {}: {error}", path.display()))
    };
    let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
    CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_a_token_goes_nowhere_in_the_clear() {
        let read = |text: &str| Server::parse(text).map(|s| (s.has_tls, s.host, s.port));
        assert_eq!(read("https://fleet.example"), Ok((true, "fleet.example".to_owned(), 443)));
        assert_eq!(read("http://127.0.0.1:7400/"), Ok((false, "127.0.0.1".to_owned(), 7400)));
        assert_eq!(read("https://[::1]:7400"), Ok((true, "[::1]".to_owned(), 7400)));
        assert_eq!(read("https://[::1]"), Ok((true, "[::1]".to_owned(), 443)));
        for wrong in
            ["fleet.example", "ftp://a", "https://", "https://a/b", "https://u:p@a", "http://a:b"]
        {
            assert!(matches!(Server::parse(wrong), Err(AskError::Address(_))), "{wrong}");
        }
        assert!(Server::parse("http://[::1]").unwrap().is_here());
        assert!(!Server::parse("http://fleet.example").unwrap().is_here());
    }

    #[tokio::test]
    async fn a_token_is_not_sent_where_it_would_be_read() {
        let server = Server::parse("http://fleet.example").unwrap();
        assert_eq!(ask_state(&server, Some("a token")).await, Err(AskError::InTheClear));
    }
}
