//! Byte streams to an engine: a unix socket, plain tcp, TLS, a socket that ssh forwards; each metered.
//!
//! Enters: where the engine is. Leaves: an open stream, or [`Trouble`] that says what stood in the way. Not
//! here: HTTP.

use super::failure::Trouble;
use super::ssh::Ssh;
use super::tls;
use crate::engine::{Cause, docker::ClientIdentity};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// Until ssh has logged in.
const LOGIN: Duration = Duration::from_secs(30);

/// Where the engine listens, and how to get there.
pub(super) enum Place {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Plain, and only on loopback.
    Tcp(String, u16),
    /// Mutual TLS.
    Tls(String, u16, ClientIdentity),
    /// The engine's socket on a machine behind ssh.
    Ssh(Box<Ssh>),
}

impl Place {
    /// A new stream.
    pub(super) async fn open(&self) -> Result<Stream, Trouble> {
        let limit = if matches!(self, Self::Ssh(_)) { LOGIN } else { CONNECT };
        let opened = async {
            match self {
                Self::Unix(path) => {
                    UnixStream::connect(path).await.map(Stream::Unix).map_err(|e| from_io(&e))
                }
                Self::Tcp(host, port) => {
                    // The name is not looked up: `localhost` must not lead anywhere else.
                    let host = if host == "localhost" { "127.0.0.1" } else { host.as_str() };
                    connect(host, *port).await.map(Stream::Tcp)
                }
                Self::Tls(host, port, identity) => {
                    // Read anew for each connection, of which there are few: certificates are renewed.
                    let client = tls::client(identity)?;
                    let tcp = connect(host, *port).await?;
                    tls::secure(client, host, tcp).await.map(|tls| Stream::Tls(Box::new(tls)))
                }
                Self::Ssh(ssh) => ssh.open().await.map(Stream::Unix),
            }
        };
        tokio::time::timeout(limit, opened).await.unwrap_or_else(|_| {
            Err(Trouble::NoConnection {
                cause: Some(Cause::NoAnswer),
                words: format!("no answer within {} s", limit.as_secs()),
            })
        })
    }

    /// What really happened, where a new connection broke before the first answer.
    pub(super) async fn explain(&self, trouble: Trouble) -> Trouble {
        match (self, trouble) {
            (Self::Ssh(ssh), Trouble::Cut(words)) => {
                ssh.why_closed().await.unwrap_or(Trouble::Cut(words))
            }
            (_, other) => other,
        }
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    let addresses =
        tokio::net::lookup_host((host, port)).await.map_err(|error| Trouble::NoConnection {
            cause: Some(Cause::NameUnknown),
            words: format!("the name {host} has no address ({error})"),
        })?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| from_io(&error))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(from_io(&last.unwrap_or_else(|| io::Error::other("the name has no address"))))
}

fn from_io(error: &io::Error) -> Trouble {
    let (cause, words) = match error.kind() {
        io::ErrorKind::NotFound => (Some(Cause::NoSocket), "there is no such socket".to_owned()),
        io::ErrorKind::ConnectionRefused => {
            (Some(Cause::NothingListens), "nothing listens there".to_owned())
        }
        io::ErrorKind::PermissionDenied => {
            (Some(Cause::NotPermitted), "permission denied".to_owned())
        }
        io::ErrorKind::TimedOut => (Some(Cause::NoAnswer), error.to_string()),
        _ => (None, error.to_string()),
    };
    Trouble::NoConnection { cause, words }
}

/// An open stream of one of the kinds.
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn reader(&mut self) -> Pin<&mut (dyn AsyncRead + Unpin)> {
        match self {
            Self::Unix(stream) => Pin::new(stream),
            Self::Tcp(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Unix(stream) => Pin::new(stream),
            Self::Tcp(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

/// An answer went beyond its limit.
#[derive(Debug)]
pub(super) struct TooLarge;

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer is too large")
    }
}

impl std::error::Error for TooLarge {}

/// A stream that breaks when more was read than the present request may have. Counted here, below HTTP, so
/// that no reader above can forget it.
pub(super) struct Metered {
    pub(super) stream: Stream,
    pub(super) left: Arc<AtomicU64>,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.stream.reader().poll_read(cx, buffer);
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
        self.stream.writer().poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.writer().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.writer().poll_shutdown(cx)
    }
}
