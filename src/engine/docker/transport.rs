//! The connections to one engine: kept alive, few, limited in time and bytes.
//!
//! Enters: HTTP requests without an API version in their path. Leaves: responses, or [`Trouble`]. bollard alone
//! would open a connection for every request and send no version. Not here: what a status means (`failure`).

use super::failure::{Trouble, words_of};
use super::stream::{Metered, Place, TooLarge};
use super::tls;
use bollard::BollardRequest;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// Connections kept open while nothing is asked.
const IDLE: usize = 4;
/// Requests under way at once.
const AT_ONCE: usize = 16;
/// A connection that broke says why within this time.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Bytes of one answer, where the caller says nothing else.
const ANSWER: u64 = 8 << 20;

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

/// A connection whose answer is being read; its slot is held until then.
struct Used {
    connection: Connection,
    idle: Arc<Mutex<Vec<Connection>>>,
    slots: Arc<Semaphore>,
    _slot: OwnedSemaphorePermit,
}

impl Used {
    /// Keeps the connection for the next request, once its answer was read.
    async fn keep(mut self) {
        if self.connection.sender.ready().await.is_ok() {
            // Somebody may be waiting for its slot, and would open another.
            let busy = self.slots.available_permits() == 0;
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if busy || idle.len() < IDLE {
                idle.push(self.connection);
            }
        }
    }

    /// The same, while somebody else reads the answer.
    fn keep_when_read((response, used): (Response<Incoming>, Self)) -> Response<Incoming> {
        tokio::spawn(used.keep());
        response
    }
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    left: Arc<AtomicU64>,
    /// Ends with the connection, and says why.
    driver: JoinHandle<Option<hyper::Error>>,
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
        self.send(inner, ANSWER).await.map(Used::keep_when_read).map_err(outer)
    }

    /// Sends a request; the body of the answer is still to be read.
    pub(super) async fn start(&self, exchange: Exchange) -> Result<Response<Incoming>, Trouble> {
        let (request, limit) = self.request(exchange)?;
        self.send(request, limit).await.map(Used::keep_when_read)
    }

    /// Sends a request whose answer has no end, on a connection of its own that ends with it: those that are
    /// kept, and their number, are for answers that end.
    pub(super) async fn listen(&self, exchange: Exchange) -> Result<Incoming, Trouble> {
        let (mut request, _) = self.request(exchange)?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("engine"));
        let mut fresh = self.open(u64::MAX).await?;
        let response = self.send_on(&mut fresh, request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        fresh.left.store(ANSWER, Ordering::Relaxed);
        let body = response.into_body().collect().await.map_err(from_hyper)?.to_bytes();
        Err(refusal(status, &body))
    }

    fn request(&self, exchange: Exchange) -> Result<(Request<Full<Bytes>>, u64), Trouble> {
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
        Ok((request, limit))
    }

    /// Sends a request and reads the whole answer, all within a time limit. An answer that is no success is
    /// [`Trouble::Status`]; redirects are not followed.
    pub(super) async fn ask(&self, exchange: Exchange, time: Duration) -> Result<Bytes, Trouble> {
        self.ask_whole(exchange, time).await.map(Response::into_body)
    }

    /// The same, with the answer's headers.
    pub(super) async fn ask_whole(
        &self,
        exchange: Exchange,
        time: Duration,
    ) -> Result<Response<Bytes>, Trouble> {
        let whole = async {
            let (request, limit) = self.request(exchange)?;
            let (response, used) = self.send(request, limit).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(from_hyper)?.to_bytes();
            // Before the answer is given on: the next call then finds the connection.
            used.keep().await;
            match head.status.is_success() {
                true => Ok(Response::from_parts(head, body)),
                false => Err(refusal(head.status, &body)),
            }
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
    ) -> Result<(Response<Incoming>, Used), Trouble> {
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
                Ok(response) => return Ok((response, self.used(kept, slot))),
                Err(mut failed) => {
                    self.set_version_doubtful();
                    match failed.take_message().or(spare) {
                        Some(unsent) => request = unsent,
                        None => return Err(from_hyper(failed.into_error())),
                    }
                }
            }
        }
        let mut fresh = self.open(limit).await?;
        let response = self.send_on(&mut fresh, request).await?;
        Ok((response, self.used(fresh, slot)))
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

    fn used(&self, connection: Connection, slot: OwnedSemaphorePermit) -> Used {
        let (idle, slots) = (Arc::clone(&self.idle), Arc::clone(&self.slots));
        Used { connection, idle, slots, _slot: slot }
    }

    async fn open(&self, limit: u64) -> Result<Connection, Trouble> {
        let stream = self.place.open().await.inspect_err(|_| self.set_version_doubtful())?;
        let left = Arc::new(AtomicU64::new(limit));
        let metered = Metered { stream, left: Arc::clone(&left) };
        let (sender, driver) = http1::handshake(TokioIo::new(metered)).await.map_err(from_hyper)?;
        let driver = tokio::spawn(async move { driver.await.err() });
        Ok(Connection { sender, left, driver })
    }

    /// Sends on a new connection.
    async fn send_on(
        &self,
        fresh: &mut Connection,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Trouble> {
        match fresh.sender.send_request(request).await {
            Ok(response) => Ok(response),
            Err(error) => {
                self.set_version_doubtful();
                // Where it broke before the request was sent, only the driver knows why.
                let told = tokio::time::timeout(LAST_WORDS, &mut fresh.driver).await;
                let error = match told {
                    Ok(Ok(Some(told))) if error.is_canceled() => told,
                    _ => error,
                };
                Err(self.place.explain(from_hyper(error)).await)
            }
        }
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
        if let Some(below) = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            if below.is::<TooLarge>() {
                return Trouble::TooLarge;
            }
            if let Some(error) = below.downcast_ref() {
                return tls::trouble(error);
            }
        }
        cause = inner.source();
    }
    if error.is_parse() {
        Trouble::Nonsense(format!("the answer is no HTTP ({error})"))
    } else {
        Trouble::Cut(error.to_string())
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
