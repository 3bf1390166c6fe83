//! HTTP: the page, the JSON API, metrics, health, webhooks that wake the daemon.
//!
//! Enters: requests, and the newest [`Snapshot`]. Leaves: answers, and [`Wish`]es. It reads snapshots and the history and
//! writes people's orders into the store; it never touches a device. By default only this machine can reach it; any
//! other address needs a token, for reading too, and orders need it everywhere. Not here: what anything means.

mod access;
mod answer;
mod asked;
mod api;
mod ask;
mod connections;
mod events;
mod headers;
mod hooks;
mod metrics;
mod openapi;
mod options;
mod page;
mod past;
mod router;
mod tls;
mod tries;

pub use ask::{AskError, Server, ask_state};
pub use openapi::openapi;
pub use options::{OptionsError, ServeOptions};
pub use tls::{IdentityError, IdentityFiles};

use crate::reconcile::{Snapshot, Tally, Wish};
use crate::store::Store;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tls::Identity;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// What is served, and by what means.
pub struct Serving {
    /// How.
    pub options: ServeOptions,
    /// The newest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What wakes the daemon.
    pub wishes: mpsc::Sender<Wish>,
    /// Where history is read and orders are written.
    pub store: Arc<Store>,
    /// Where the repository is here, for what revisions changed.
    pub repository: PathBuf,
    /// What the daemon did.
    pub tally: Arc<Tally>,
    /// Who is written into the history for what the page does.
    pub who: String,
}

/// Why nothing can be served.
#[derive(Debug)]
pub enum ServeError {
    /// A port can't be opened.
    Address(SocketAddr, io::Error),
    /// The certificate can't be shown.
    Identity(IdentityError),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address, _) => write!(f, "can't listen on {address}"),
            Self::Identity(_) => write!(f, "can't show a certificate"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(_, error) => Some(error),
            Self::Identity(error) => Some(error),
        }
    }
}

/// Open ports that answer nobody yet.
pub struct Listening {
    listener: TcpListener,
    hooks: Option<TcpListener>,
    identity: Option<Arc<Identity>>,
    serving: Serving,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens to webhooks, if that is apart.
    pub hooks_address: Option<SocketAddr>,
}

/// Opens the ports.
///
/// # Errors
/// One is taken, or not permitted; the certificate is not usable.
pub async fn listen(serving: Serving) -> Result<Listening, ServeError> {
    let identity = serving.options.tls.as_ref().map(Identity::read).transpose();
    let identity = identity.map_err(ServeError::Identity)?.map(Arc::new);
    let (listener, address) = open(serving.options.listen).await?;
    let (hooks, hooks_address) = match serving.options.hooks_listen {
        Some(wanted) => {
            let (listener, address) = open(wanted).await?;
            (Some(listener), Some(address))
        }
        None => (None, None),
    };
    Ok(Listening { listener, hooks, identity, serving, address, hooks_address })
}

async fn open(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |error| ServeError::Address(wanted, error);
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

impl Listening {
    /// Answers until the daemon ends.
    pub async fn serve(self) {
        let Self { listener, hooks, identity, serving, address, .. } = self;
        let mut snapshots = serving.snapshots.clone();
        let state = router::State::of(serving, address);
        let app = router::router(&state);
        let hooks = async {
            match hooks {
                Some(hooks) => {
                    connections::serve(hooks, router::hooks_router(&state), identity.clone()).await;
                }
                None => std::future::pending().await,
            }
        };
        let ended = async move {
            // The daemon holds the sender; with it goes the reason to answer.
            while snapshots.changed().await.is_ok() {}
        };
        tokio::select! {
            () = connections::serve(listener, app, identity.clone()) => {}
            () = hooks => {}
            () = ended => {}
        }
    }
}
