//! Forms: who shows the token, and what is ordered. Each carries what only this page can have given.

use super::frame::{Tab, page};
use crate::model::DeviceId;
use crate::reconcile::{Snapshot, Wish};
use crate::serve::access::{cookie, form_token, same};
use crate::serve::answer::{page_here, refusal};
use crate::serve::router::State;
use crate::store::{Approval, OrderKind, Pause, Scope, StoreError};
use axum::Form;
use axum::extract::{Query, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use std::sync::Arc;

type At = Extract<Arc<State>>;

#[derive(Deserialize)]
pub(super) struct Login {
    token: String,
    #[serde(default)]
    to: String,
}

/// Where somebody wanted to go when the token was asked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    to: String,
}

pub(super) async fn login_form(Extract(state): At, Query(wanted): Query<Wanted>) -> Response {
    if state.takes_orders() {
        return login_page(&state, &wanted.to, &html! {});
    }
    // Nothing asks for a token that there is not.
    Redirect::to("/").into_response()
}

fn login_page(state: &State, to: &str, words: &Markup) -> Response {
    let content = html! {
        h1 { "Who are you?" }
        (words)
        form class="filter" method="post" action="/login" {
            input type="hidden" name="to" value=(page_here(to));
            label for="token" { "The token of this control host" }
            div { input id="token" name="token" type="password" required autocomplete="current-password"; button type="submit" { "Enter" } }
        }
    };
    // What is in force is nobody's business before that.
    let nothing = Snapshot::default();
    page(&nothing, state.now(), Tab::None, "Token", &content).into_response()
}

pub(super) async fn login(Extract(state): At, Form(login): Form<Login>) -> Response {
    let Some(token) = &state.options.token else { return Redirect::to("/").into_response() };
    let (status, words) = match state.tries.hear(|| same(login.token.trim(), token)).await {
        Some(true) => {
            let cookie = cookie(&state, token);
            return ([(header::SET_COOKIE, cookie)], Redirect::to(page_here(&login.to)))
                .into_response();
        }
        Some(false) => (StatusCode::UNAUTHORIZED, "That is not the token."),
        None => (StatusCode::TOO_MANY_REQUESTS, "Too many wrong tokens; try again in a moment."),
    };
    let words = html! { p class="card notice bad" role="alert" { (words) } };
    let mut response = login_page(&state, &login.to, &words);
    *response.status_mut() = status;
    response
}

/// In place of a form where the daemon has no token: what does the same, and what would bring the form.
pub(super) fn no_orders(command: &str) -> Markup {
    html! {
        p class="hint" {
            "Orders on this page need a token: start " code { "hoist watch" } " with " code { "--token-file FILE" }
            ". On the control host " code { (command) } " does the same."
        }
    }
}

/// Fields of a form, as often as they stand there.
type Fields = Form<Vec<(String, String)>>;

fn field<'f>(fields: &'f [(String, String)], name: &str) -> &'f str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

/// An order of a form, if the form is ours; then back to where it stood.
fn order(
    state: &State,
    fields: &[(String, String)],
    back: &str,
    give: impl FnOnce() -> Result<(), StoreError>,
) -> Response {
    if !same(field(fields, "form"), &form_token(state)) {
        return refusal(StatusCode::FORBIDDEN, "this form is not of this page; load it again");
    }
    match give() {
        Ok(()) => {
            // A queue that is full has the same wish in it.
            let _ = state.wishes.try_send(Wish::Orders);
            Redirect::to(back).into_response()
        }
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(super) async fn approve(Extract(state): At, Form(fields): Fields) -> Response {
    let snapshot = state.snapshot();
    let revision = field(&fields, "revision").to_owned();
    let held = snapshot.held.as_ref().filter(|held| held.revision == revision);
    let Some(held) = held.filter(|held| held.can_be_approved()) else {
        return refusal(StatusCode::CONFLICT, "that revision is not held any more");
    };
    // What somebody saw is what is approved: the numbers of the form, not of this moment.
    let seen = fields.iter().filter(|(key, _)| key == "numbers");
    let numbers = seen
        .filter_map(|(_, text)| text.split_once('='))
        .filter(|(guard, _)| held.numbers.contains_key(*guard))
        .filter_map(|(guard, n)| Some((guard.to_owned(), n.parse().ok()?)))
        .collect();
    let approval = Approval { revision, who: state.who.clone(), at: state.now(), numbers };
    order(&state, &fields, "/", || state.store.approve(&approval))
}

pub(super) async fn pause(Extract(state): At, Form(fields): Fields) -> Response {
    let Some(device) = known_device(&state, &fields) else {
        return refusal(StatusCode::NOT_FOUND, "the fleet has no such device");
    };
    let reason: String = field(&fields, "reason").trim().chars().take(200).collect();
    if reason.is_empty() {
        return refusal(StatusCode::BAD_REQUEST, "say why; somebody will wonder");
    }
    let back = format!("/devices/{}", crate::serve::answer::encoded(device.as_str()));
    let pause = Pause {
        id: 0,
        scope: Scope::Device(device),
        reason,
        who: state.who.clone(),
        since: state.now(),
        until: None,
    };
    order(&state, &fields, &back, || state.store.pause(&pause))
}

pub(super) async fn resume(Extract(state): At, Form(fields): Fields) -> Response {
    let Some(device) = known_device(&state, &fields) else {
        return refusal(StatusCode::NOT_FOUND, "the fleet has no such device");
    };
    let back = format!("/devices/{}", crate::serve::answer::encoded(device.as_str()));
    let (scope, now) = (Scope::Device(device), state.now());
    order(&state, &fields, &back, || {
        state.store.take_back(OrderKind::Pause, Some(&scope), &state.who, now).map(|_| ())
    })
}

fn known_device(state: &State, fields: &[(String, String)]) -> Option<DeviceId> {
    let id = DeviceId::parse(field(fields, "device")).ok()?;
    let snapshot = state.snapshot();
    snapshot.accepted.as_ref()?.fleet.devices.contains_key(&id).then_some(id)
}
