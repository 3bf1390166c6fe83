//! The ways to engines and registries, for real, on loopback: mutual TLS, ssh, a private registry, secrets.

#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::disallowed_methods, reason = "waiting for processes takes real time")]

mod by_hand;
mod control;
mod registries;
mod secrets;
mod ssh;
#[path = "../testbed/mod.rs"]
#[expect(dead_code, reason = "shared by several tests, none of which uses all of it")]
mod testbed;
mod tls;

use hoist::engine::docker::{Access, Docker};
use hoist::engine::{Cause, Engine, EngineError, Wanted};
use hoist::model::EngineAddress;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn connect(address: &str, access: Access) -> Docker {
    Docker::connect_with(&EngineAddress::parse(address).unwrap(), access).unwrap()
}

async fn list(docker: &Docker) -> Result<usize, EngineError> {
    docker.observe(&Wanted::list_only()).await.map(|seen| seen.containers.len())
}

/// The cause of a failed list, and its words.
async fn refusal(docker: &Docker) -> (Option<Cause>, String) {
    let error = list(docker).await.unwrap_err();
    assert_eq!(error.kind, hoist::engine::EngineErrorKind::Unreachable, "{error}");
    println!("{error}");
    (error.cause, error.message)
}

/// Median of so many lists, in microseconds.
async fn median(docker: &Docker) -> u128 {
    let mut all = Vec::new();
    for _ in 0..100 {
        let begun = std::time::Instant::now();
        list(docker).await.unwrap();
        all.push(begun.elapsed().as_micros());
    }
    all.sort_unstable();
    all[50]
}
