//! Which path is answered by what.

use super::past::Past;
use super::tries::Tries;
use super::{Serving, access, api, asked, events, headers, hooks, metrics, page};
use crate::model::Timestamp;
use crate::reconcile::{Snapshot, Tally, Wish};
use crate::serve::ServeOptions;
use crate::store::{HashKey, Store};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};

/// The largest body that is read: a push of many commits to GitHub is far below.
const LARGEST_BODY: usize = 1 << 20;

/// So many may listen to what is new; each keeps a connection, and some must be left for questions.
const MOST_STREAMS: usize = 128;

/// What answers are made from.
pub(super) struct State {
    pub(super) options: ServeOptions,
    pub(super) address: SocketAddr,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) wishes: mpsc::Sender<Wish>,
    pub(super) store: Arc<Store>,
    pub(super) tally: Arc<Tally>,
    pub(super) who: String,
    /// Key of what browsers and forms carry; the store's own, so that both outlive a restart of the daemon.
    pub(super) form_key: [u8; 32],
    pub(super) past: Past,
    pub(super) tries: Tries,
    /// Places for who listens to what is new.
    pub(super) streams: Arc<Semaphore>,
}

impl State {
    pub(super) fn of(serving: Serving, address: SocketAddr) -> Arc<Self> {
        let Serving { options, snapshots, wishes, store, repository, tally, who } = serving;
        let HashKey(form_key) = store.hash_key().clone();
        let (tries, streams) = (Tries::default(), Arc::new(Semaphore::new(MOST_STREAMS)));
        let past = Past::of(repository);
        Arc::new(Self {
            options,
            address,
            snapshots,
            wishes,
            store,
            tally,
            who,
            form_key,
            past,
            tries,
            streams,
        })
    }

    /// The newest snapshot.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// The present moment. A snapshot's own says when the loop last told something, and stays where it is if the loop does.
    #[expect(clippy::disallowed_methods, reason = "whether the loop goes on is asked of the clock")]
    pub(super) fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs());
        Timestamp { seconds: i64::try_from(seconds).unwrap_or(i64::MAX) }
    }

    /// Whether the page can give orders.
    pub(super) fn takes_orders(&self) -> bool {
        self.options.token.is_some()
    }
}

/// Everything.
pub(super) fn router(state: &Arc<State>) -> Router {
    let api = Router::new()
        .route("/api/v1/fleet", get(api::fleet))
        .route("/api/v1/deployments", get(api::deployments))
        .route("/api/v1/devices", get(api::devices))
        .route("/api/v1/devices/{id}", get(api::device))
        .route("/api/v1/history", get(api::history))
        .route("/api/v1/rollout", get(api::rollout))
        .route("/api/v1/state", get(api::state))
        .route("/api/v1/openapi.json", get(api::openapi))
        .layer(from_fn(asked::check));
    let router = api
        .route("/events", get(events::events))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(metrics::healthz))
        .route("/readyz", get(metrics::readyz))
        .merge(page::routes())
        .layer(from_fn_with_state(Arc::clone(state), access::guard));
    let router = match state.options.hooks_listen {
        Some(_) => router,
        None => router.merge(hooks()),
    };
    finished(state, router)
}

/// Webhooks, and nothing else. Whoever calls by whatever name is known by what only he can send.
pub(super) fn hooks_router(state: &Arc<State>) -> Router {
    finished(state, hooks())
}

fn hooks() -> Router<Arc<State>> {
    Router::new().route("/hooks/git", post(hooks::git))
}

fn finished(state: &Arc<State>, router: Router<Arc<State>>) -> Router {
    router
        .fallback(api::nothing_here)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(Arc::clone(state), headers::finish))
        .with_state(Arc::clone(state))
}
