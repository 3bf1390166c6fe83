//! Server-sent events: that there is something new, and nothing of what; whoever listens asks for what it shows.

use super::answer::refusal;
use super::router::State;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// A client is told no faster than this: a page that loads takes a while itself.
const BETWEEN: Duration = Duration::from_millis(500);

pub(super) async fn events(Extract(state): Extract<Arc<State>>) -> Response {
    let Ok(place) = Arc::clone(&state.streams).try_acquire_owned() else {
        let words = "too many listen already; the page stays whole without it";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, words);
    };
    let mut snapshots = state.snapshots.clone();
    snapshots.mark_changed();
    let news = stream::unfold((snapshots, place), |(mut snapshots, place)| async move {
        snapshots.changed().await.ok()?;
        tokio::time::sleep(BETWEEN).await;
        let sequence = snapshots.borrow_and_update().sequence;
        let event = Event::default().event("snapshot").data(sequence.to_string());
        Some((Ok::<_, Infallible>(event), (snapshots, place)))
    });
    Sse::new(news).keep_alive(KeepAlive::default()).into_response()
}
