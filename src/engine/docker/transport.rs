//! The connections to one engine: kept alive, few, limited in time and bytes.
//!
//! Enters: HTTP requests without an API version in their path. Leaves: responses, or [`Trouble`]. bollard alone
//! would open a connection for every request and send no version. Not here: what a status means (`failure`).

use super::failure::{Trouble, words_of};
use bollard::BollardRequest;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections kept open while nothing is asked.
const IDLE: usize = 4;
/// Requests under way at once.
const AT_ONCE: usize = 16;
/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of one answer, where the caller says nothing else.
const ANSWER: u64 = 8 << 20;

/// Where the engine listens.
pub(super) enum Place {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Plain, and only on loopback.
    Tcp(String, u16),
}

/// One request.
pub(super) struct Exchange {
    method: Method,
    path: String,
    body: Bytes,
    registry_auth: Option<HeaderValue>,
    limit: u64,
}

impl Exchange {
    /// A GET of a path with its query.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Bytes::new(),
            registry_auth: None,
            limit: ANSWER,
        }
    }

    /// A POST with a body of JSON, or with none.
    pub(super) fn post(path: impl Into<String>, body: Option<&serde_json::Value>) -> Self {
        let body = body.map(|json| Bytes::from(json.to_string())).unwrap_or_default();
        Self { method: Method::POST, body, ..Self::get(path) }
    }

    /// With the header of the registry's credentials.
    pub(super) fn with_registry_auth(mut self, mut header: HeaderValue) -> Self {
        header.set_sensitive(true);
        self.registry_auth = Some(header);
        self
    }

    /// With another limit for the answer, headers counted.
    pub(super) fn with_limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }
}

/// The connections to one engine.
pub(super) struct Transport {
    place: Place,
    address: String,
    idle: Arc<Mutex<Vec<Connection>>>,
    slots: Arc<Semaphore>,
    version: Mutex<Option<String>>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    left: Arc<AtomicU64>,
}

impl Transport {
    pub(super) fn new(place: Place, address: String) -> Self {
        Self {
            place,
            address,
            idle: Arc::default(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            version: Mutex::default(),
        }
    }

    /// The address, for words.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The API version in use, once it is known; forgotten when a connection breaks, as the engine behind
    /// the next one may be another.
    pub(super) fn version(&self) -> Option<String> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses an API version from now on, or none.
    pub(super) fn set_version(&self, version: Option<String>) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }

    /// A request of bollard's.
    pub(super) async fn carry(
        &self,
        request: BollardRequest,
    ) -> Result<Response<Incoming>, bollard::errors::Error> {
        let (head, body) = request.into_parts();
        let outer = |trouble: Trouble| bollard::errors::Error::from(io::Error::other(trouble));
        let body = body.collect().await.map_err(|error| outer(Trouble::Cut(error.to_string())))?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut inner = Request::new(Full::new(body.to_bytes()));
        *inner.uri_mut() = self.versioned(path).map_err(outer)?;
        *inner.method_mut() = head.method;
        *inner.headers_mut() = head.headers;
        self.send(inner, ANSWER).await.map_err(outer)
    }

    /// Sends a request; the body of the answer is still to be read.
    pub(super) async fn start(&self, exchange: Exchange) -> Result<Response<Incoming>, Trouble> {
        let Exchange { method, path, body, registry_auth, limit } = exchange;
        let has_body = !body.is_empty();
        let mut request = Request::new(Full::new(body));
        *request.uri_mut() = self.versioned(&path)?;
        *request.method_mut() = method;
        if has_body {
            request
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(auth) = registry_auth {
            request.headers_mut().insert("X-Registry-Auth", auth);
        }
        self.send(request, limit).await
    }

    /// Sends a request and reads the whole answer, all within a time limit. An answer that is no success is
    /// [`Trouble::Status`]; redirects are not followed.
    pub(super) async fn ask(&self, exchange: Exchange, time: Duration) -> Result<Bytes, Trouble> {
        let whole = async {
            let response = self.start(exchange).await?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(from_hyper)?.to_bytes();
            if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
        };
        tokio::time::timeout(time, whole).await.unwrap_or(Err(Trouble::TimedOut(time)))
    }

    fn versioned(&self, path: &str) -> Result<Uri, Trouble> {
        let text = match self.version() {
            Some(version) => format!("/v{version}{path}"),
            None => path.to_owned(),
        };
        text.parse().map_err(|error| Trouble::Nonsense(format!("`{path}` is no path: {error}")))
    }

    /// Sends on a kept connection, else on a new one. A kept one may have been closed by the engine
    /// meanwhile: then again on a new one, if nothing was sent or if the request changes nothing.
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: u64,
    ) -> Result<Response<Incoming>, Trouble> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|error| Trouble::Cut(error.to_string()))?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("engine"));
        let repeatable = matches!(*request.method(), Method::GET | Method::HEAD);
        if let Some(mut kept) = self.kept() {
            let spare = repeatable.then(|| request.clone());
            kept.left.store(limit, Ordering::Relaxed);
            match kept.sender.try_send_request(request).await {
                Ok(response) => {
                    self.keep_when_read(kept, slot);
                    return Ok(response);
                }
                Err(mut failed) => {
                    self.set_version_doubtful();
                    match failed.take_message().or(spare) {
                        Some(unsent) => request = unsent,
                        None => return Err(from_hyper(failed.into_error())),
                    }
                }
            }
        }
        let mut fresh = self.open().await?;
        fresh.left.store(limit, Ordering::Relaxed);
        let response = fresh.sender.send_request(request).await.map_err(|error| {
            self.set_version_doubtful();
            from_hyper(error)
        })?;
        self.keep_when_read(fresh, slot);
        Ok(response)
    }

    fn set_version_doubtful(&self) {
        self.set_version(None);
    }

    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if connection.sender.is_ready() {
                return Some(connection);
            }
            self.set_version_doubtful();
        }
        None
    }

    /// Keeps the connection for the next request once its answer was read; a slot is held until then.
    fn keep_when_read(&self, mut connection: Connection, slot: OwnedSemaphorePermit) {
        let idle = Arc::clone(&self.idle);
        tokio::spawn(async move {
            if connection.sender.ready().await.is_ok() {
                let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < IDLE {
                    idle.push(connection);
                }
            }
            drop(slot);
        });
    }

    async fn open(&self) -> Result<Connection, Trouble> {
        let opened = tokio::time::timeout(CONNECT, async {
            Ok::<Stream, io::Error>(match &self.place {
                Place::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
                Place::Tcp(host, port) => {
                    // The name is not looked up: `localhost` must not lead anywhere else.
                    let host = if host == "localhost" { "127.0.0.1" } else { host.as_str() };
                    let stream = TcpStream::connect((host, *port)).await?;
                    stream.set_nodelay(true)?;
                    Stream::Tcp(stream)
                }
            })
        });
        let stream = match opened.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.set_version_doubtful();
                return Err(Trouble::NoConnection(words_for(&error)));
            }
            Err(_) => return Err(Trouble::TimedOut(CONNECT)),
        };
        let left = Arc::new(AtomicU64::new(ANSWER));
        let metered = Metered { stream, left: Arc::clone(&left) };
        let (sender, driver) = http1::handshake(TokioIo::new(metered)).await.map_err(from_hyper)?;
        tokio::spawn(async move {
            // The request that was under way is told of the same error.
            let _ = driver.await;
        });
        Ok(Connection { sender, left })
    }
}

/// What an answer that is no success says.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> Trouble {
    Trouble::Status { status: status.as_u16(), message: words_of(body) }
}

/// What a failed exchange says.
pub(super) fn from_hyper(error: hyper::Error) -> Trouble {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(TooLarge) = inner
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref())
        {
            return Trouble::TooLarge;
        }
        cause = inner.source();
    }
    if error.is_parse() {
        Trouble::Nonsense(format!("the answer is no HTTP ({error})"))
    } else {
        Trouble::Cut(error.to_string())
    }
}

fn words_for(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// An answer went beyond its limit.
#[derive(Debug)]
struct TooLarge;

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer is too large")
    }
}

impl std::error::Error for TooLarge {}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A stream that breaks when more was read than the present request may have. Counted here, below HTTP, so
/// that no reader above can forget it.
struct Metered {
    stream: Stream,
    left: Arc<AtomicU64>,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = match &mut self.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        let read = (buffer.filled().len() - before) as u64;
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(read), Ordering::Relaxed);
        if read > left { Poll::Ready(Err(io::Error::other(TooLarge))) } else { polled }
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, buffer),
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buffer),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A text as one value in a query, or one segment of a path.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
