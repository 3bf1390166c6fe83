//! What may stand behind the `?` of an API path. Who misspells a parameter, or wants more than there is in one answer, is told
//! so instead of being given something else.

use super::answer::refusal;
use super::api::MOST;
use crate::diagnostic::did_you_mean;
use axum::extract::{Query, Request};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

/// The parameters of an API path, as its OpenAPI document has them.
fn known(path: &str) -> &'static [&'static str] {
    match path {
        "/api/v1/devices" => &["where", "limit", "after"],
        "/api/v1/history" => &["device", "since", "limit"],
        _ => &[],
    }
}

/// Answers what can't be meant so, and lets all else through.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match problem(request.uri()) {
        Some(words) => refusal(StatusCode::BAD_REQUEST, &words),
        None => next.run(request).await,
    }
}

fn problem(uri: &Uri) -> Option<String> {
    // What is no query at all is told by who reads it.
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let known = known(uri.path());
    pairs.iter().find_map(|(name, value)| {
        if !known.contains(&name.as_str()) {
            return Some(unknown(name, known));
        }
        let number: usize = value.parse().ok().filter(|_| name == "limit")?;
        (!(1..=MOST).contains(&number))
            .then(|| format!("limit: it is {number}; it can be 1 to {MOST}"))
    })
}

fn unknown(name: &str, known: &[&str]) -> String {
    let help = match (did_you_mean(name, known.iter().copied()), known) {
        (Some(help), _) => help,
        (None, []) => "it takes none".to_owned(),
        (None, known) => format!("it takes {}", known.join(", ")),
    };
    format!("this path has no parameter `{name}`; {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_knows_the_same_parameters() {
        let document = crate::serve::openapi();
        for (path, described) in document["paths"].as_object().unwrap() {
            let listed = described["get"]["parameters"].as_array().unwrap();
            let listed = listed.iter().filter(|parameter| parameter["in"] == "query");
            let listed: Vec<&str> = listed.filter_map(|p| p["name"].as_str()).collect();
            assert_eq!(listed, known(path), "{path}");
        }
    }
}
