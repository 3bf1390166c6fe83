//! Connections: so many at a time, and none that says nothing for long; under TLS where there is a certificate.
//!
//! Enters: an open port and what answers. Leaves: answers, until the caller drops it. Not here: what is answered.

use super::tls::Identity;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many connections are open at a time; who comes then waits. The rest of what a process may have open is for engines.
const MOST: usize = 256;
/// So long a handshake, the head of a request, and the silence between two requests may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest head that is read.
const LONGEST_HEAD: usize = 32 << 10;

/// Answers whoever comes.
pub(super) async fn serve(listener: TcpListener, app: Router, identity: Option<Arc<Identity>>) {
    let places = Arc::new(Semaphore::new(MOST));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(take(stream, app.clone(), identity.clone(), place));
            }
            Err(error) => {
                // Usually too many open files: others close some.
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn take(
    stream: TcpStream,
    app: Router,
    identity: Option<Arc<Identity>>,
    _place: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let Some(identity) = identity else { return talk(stream, app).await };
    match tokio::time::timeout(PATIENCE, identity.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => talk(stream, app).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => {}
    }
}

/// Answers requests until the other side has enough; what goes wrong between is its own trouble.
async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router) {
    let talk = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    if let Err(error) = talk.await {
        tracing::debug!(%error, "a connection ended");
    }
}
