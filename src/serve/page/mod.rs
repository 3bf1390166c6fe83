//! The page: made on the server, whole without JavaScript, fresh by server-sent events where there is some.

mod change;
mod deployments;
mod device;
mod devices;
mod frame;
mod history;
mod manifest;
mod notices;
mod orders;
mod overview;
mod rollout;
mod signs;
mod twin;

use super::router::State;
use crate::reconcile::Snapshot;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use frame::{Tab, page};
use maud::html;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/", get(overview::overview))
        .route("/devices", get(devices::devices))
        .route("/devices/{id}", get(device::device))
        .route("/history", get(history::history))
        .route("/login", get(orders::login_form).post(orders::login))
        .route("/approve", post(orders::approve))
        .route("/pause", post(orders::pause))
        .route("/resume", post(orders::resume))
        .route("/assets/hoist.css", get(style))
        .route("/assets/hoist.js", get(script))
        .route("/assets/hoist.svg", get(mark))
}

/// A refusal for people. What is in force is only named to who may read.
pub(super) fn refused(
    state: &State,
    may_read: bool,
    status: StatusCode,
    words: &str,
) -> Html<String> {
    let title = match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::CONFLICT => "It is too late for that",
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "That is not allowed",
        _ => "That can't be done",
    };
    let snapshot = if may_read { state.snapshot() } else { Arc::new(Snapshot::default()) };
    let content = html! {
        h1 { (title) }
        p class="words lead" { (words) }
        p { a href="/" { "Overview" } }
    };
    page(&snapshot, state.now(), Tab::None, title, &content)
}

async fn style() -> impl IntoResponse {
    asset("text/css; charset=utf-8", include_str!("hoist.css"))
}

async fn script() -> impl IntoResponse {
    asset("text/javascript; charset=utf-8", include_str!("hoist.js"))
}

async fn mark() -> impl IntoResponse {
    asset("image/svg+xml", include_str!("hoist.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text)
}
