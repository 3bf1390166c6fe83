//! Networks: made, joined, removed when nobody needs them.

use crate::bench::{Bench, Does, body, named, remove, start, stop};
use hoist::engine::{EngineErrorKind, Wanted};
use hoist::model::ContainerState;
use hoist::plan::{Step, StepOutput};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

fn labels(name: &str) -> BTreeMap<String, String> {
    [("hoist.fleet".to_owned(), "test".to_owned()), ("hoist.network".to_owned(), name.to_owned())]
        .into()
}

fn make(name: &str) -> Step {
    Step::CreateNetwork { name: name.to_owned(), subnet: None, labels: labels(name) }
}

fn drop_network(name: &str) -> Step {
    Step::RemoveNetwork { name: name.to_owned(), labels: labels(name) }
}

fn on(network: &str) -> Json {
    let mut on = body("test/runs:1");
    on["HostConfig"]["NetworkMode"] = json!(network);
    on["NetworkingConfig"] = json!({ "EndpointsConfig": { network: { "Aliases": ["cam"] } } });
    on
}

async fn ours(bench: &dyn Bench) -> BTreeSet<String> {
    let wanted = Wanted { networks_of: &["test".to_owned()], ..Wanted::list_only() };
    bench.engine().observe(&wanted).await.unwrap().networks.unwrap()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) async fn networks_are_made_once_and_removed_when_unused(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    assert_eq!(bench.list().await.networks, None);
    for _ in 0..2 {
        assert_eq!(bench.run(make("hoist-a")).await, StepOutput::Done);
    }
    let foreign = Step::CreateNetwork {
        name: "foreign".to_owned(),
        subnet: None,
        labels: [("hoist.fleet".to_owned(), "other".to_owned())].into(),
    };
    bench.run(foreign).await;
    bench.run(make("hoist-b")).await;
    assert_eq!(ours(bench).await, names(&["hoist-a", "hoist-b"]));

    bench.up("cam", on("hoist-a")).await;
    assert_eq!(bench.see("cam").await.networks, names(&["hoist-a"]));
    assert_eq!(bench.see("cam").await.network_mode, "hoist-a");
    for _ in 0..2 {
        let output = bench.run(drop_network("hoist-a")).await;
        assert!(matches!(output, StepOutput::DoneWithWarning(_)), "{output:?}");
        // A stopped container needs its network as much as a running one.
        bench.run(stop("cam")).await;
    }
    assert_eq!(ours(bench).await, names(&["hoist-a", "hoist-b"]));
    bench.run(remove("cam")).await;
    for _ in 0..2 {
        assert_eq!(bench.run(drop_network("hoist-a")).await, StepOutput::Done);
    }
    assert_eq!(ours(bench).await, names(&["hoist-b"]));
    let all = Step::RemoveNetwork { name: "hoist-b".to_owned(), labels: BTreeMap::new() };
    assert_eq!(bench.fails(all).await.kind, EngineErrorKind::Refused);
    for (fleets, found) in
        [(&["other"][..], &["foreign"][..]), (&["other", "test"], &["foreign", "hoist-b"])]
    {
        let fleets: Vec<String> = fleets.iter().map(|fleet| (*fleet).to_owned()).collect();
        let wanted = Wanted { networks_of: &fleets, ..Wanted::list_only() };
        let seen = bench.engine().observe(&wanted).await.unwrap();
        assert_eq!(seen.networks.unwrap(), names(found));
    }
    let seen = bench.engine().observe(&Wanted::list_only()).await.unwrap();
    assert_eq!(seen.networks, None);
}

pub(crate) async fn more_networks_are_joined_before_and_after_the_start(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    for network in ["hoist-a", "hoist-b", "hoist-c"] {
        bench.run(make(network)).await;
    }
    let mut two = on("hoist-a");
    two["NetworkingConfig"]["EndpointsConfig"]["hoist-b"] = json!({});
    let step = Step::Create { name: "two".to_owned(), body: two, secrets: [].into() };
    // Only engines before API 1.44 refuse; none gets such a body from Hoist.
    if let Err(error) = bench.try_run(step).await {
        assert_eq!(error.kind, EngineErrorKind::Refused);
    }
    bench.create("cam", on("hoist-a")).await;
    let join = |network: &str| Step::Connect {
        container: named("cam"),
        network: network.to_owned(),
        aliases: vec!["cam".to_owned()],
    };
    for _ in 0..2 {
        bench.run(join("hoist-b")).await;
    }
    assert_eq!(bench.see("cam").await.networks, names(&["hoist-a", "hoist-b"]));
    bench.run(start("cam")).await;
    for _ in 0..2 {
        bench.run(join("hoist-b")).await;
        bench.run(join("hoist-c")).await;
    }
    assert_eq!(bench.see("cam").await.networks, names(&["hoist-a", "hoist-b", "hoist-c"]));
    let error = bench.fails(join("nowhere")).await;
    assert!(error.message.contains("not found"), "{error}");
}

pub(crate) async fn a_network_that_is_gone_fails_the_start(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.create("cam", on("nowhere")).await;
    let error = bench.fails(start("cam")).await;
    assert_eq!(error.kind, EngineErrorKind::Refused);
    assert!(error.message.contains("network nowhere not found"), "{error}");
    assert_eq!(bench.see("cam").await.state, ContainerState::Created);
}

pub(crate) async fn network_modes(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.up("one", body("test/runs:1")).await;
    let mut host = body("test/runs:1");
    host["HostConfig"]["NetworkMode"] = json!("host");
    bench.up("two", host).await;
    let mut plain = body("test/runs:1");
    plain.as_object_mut().unwrap().remove("HostConfig");
    bench.up("tri", plain).await;
    for (name, mode, network) in
        [("one", "none", "none"), ("two", "host", "host"), ("tri", "default", "bridge")]
    {
        let seen = bench.see(name).await;
        assert_eq!((seen.network_mode.as_str(), seen.networks), (mode, names(&[network])));
    }
}

/// A container keeps the id of the network that it was started on; one made again has another, and the
/// container can't be started on it.
pub(crate) async fn a_network_made_again_is_another_one(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.run(make("again")).await;
    bench.up("cam", on("again")).await;
    let before = bench.see("cam").await.network_ids["again"].clone();
    assert!(bench.see("cam").await.up_for.is_some());
    bench.run(stop("cam")).await;
    let down = bench.see("cam").await;
    assert_eq!((&down.network_ids["again"], down.up_for), (&before, None));
    bench.remove_network("again");
    bench.run(make("again")).await;
    let wanted = Wanted { network_ids: true, ..Wanted::list_only() };
    let ids = bench.engine().observe(&wanted).await.unwrap().network_ids.unwrap();
    assert_ne!(ids["again"], before);
    let error = bench.fails(start("cam")).await;
    assert!(error.message.contains("not found"), "{error}");
    bench.run(remove("cam")).await;
    bench.remove_network("again");
}
