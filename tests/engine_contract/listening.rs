//! Events and logs.

use crate::bench::{Bench, Does, body_of, named, policy, remove, rename, start, stop};
use futures_util::StreamExt as _;
use hoist::engine::{EngineErrorKind, EventKind, EventStream, LogSource, LogStream, LogsWanted};
use hoist::model::Timestamp;
use hoist::plan::Step;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const QUIET: Duration = Duration::from_millis(300);

async fn next_event(events: &mut EventStream) -> (EventKind, String) {
    let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event in time");
    let event = event.expect("no end").expect("no break");
    (event.kind, event.name)
}

async fn listen(bench: &dyn Bench, fleet: &str) -> EventStream {
    bench.engine().events(&[fleet.to_owned()]).await.expect("a stream")
}

pub(crate) async fn events_tell_what_happens_to_a_fleet(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let mut events = listen(bench, "f").await;
    let mut of_others = listen(bench, "g").await;
    bench.create("foreign", crate::bench::body("test/runs:1")).await;
    let id = bench.up("cam", body_of("test/runs:1", "f")).await;
    bench.run(policy("cam", "always")).await;
    bench.run(rename("cam", "cam2")).await;
    bench.pause("cam2");
    bench.run(Step::Unpause { container: named("cam2") }).await;
    bench.run(policy("cam2", "no")).await;
    bench.run(stop("cam2")).await;
    bench.run(remove("cam2")).await;
    let mut kinds = Vec::new();
    while kinds.last() != Some(&EventKind::Destroyed) {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("in time");
        let event = event.expect("no end").expect("no break");
        // An engine tells of networks also where there are none to speak of.
        if matches!(event.kind, EventKind::Connected { .. } | EventKind::Disconnected { .. }) {
            continue;
        }
        assert_eq!(event.container, id);
        assert_eq!(event.labels.get("hoist.module").map(String::as_str), Some("m"));
        kinds.push(event.kind);
    }
    let died = kinds.iter().filter(|kind| matches!(kind, EventKind::Died { .. })).count();
    assert_eq!(died, 1, "{kinds:?}");
    kinds.retain(|kind| !matches!(kind, EventKind::Died { .. }));
    use EventKind::{Created, Destroyed, Paused, Renamed, Started, Unpaused, Updated};
    assert_eq!(kinds, [Created, Started, Updated, Renamed, Paused, Unpaused, Updated, Destroyed]);
    let unheard = tokio::time::timeout(QUIET, async {
        loop {
            let event = of_others.next().await.expect("no end").expect("no break");
            if !matches!(event.kind, EventKind::Connected { .. } | EventKind::Disconnected { .. }) {
                return event;
            }
        }
    });
    assert!(unheard.await.is_err(), "an event of another fleet");
    bench.run(remove("foreign")).await;
}

pub(crate) async fn events_of_ends_and_restarts(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.up("cam", body_of("test/runs:1", "f")).await;
    bench.run(policy("cam", "no")).await;
    let network = Step::CreateNetwork { name: "n1".to_owned(), subnet: None, labels: [].into() };
    bench.run(network).await;
    let mut on_network = body_of("test/runs:1", "f");
    on_network["HostConfig"]["NetworkMode"] = "bridge".into();
    let id = bench.create("net", on_network).await;
    let mut events = listen(bench, "f").await;
    bench.kill("cam");
    assert_eq!(next_event(&mut events).await, (EventKind::Died { code: 137 }, "cam".to_owned()));
    let connect = Step::Connect {
        container: named("net"),
        network: "n1".to_owned(),
        aliases: vec!["x".to_owned()],
    };
    bench.run(start("net")).await;
    bench.run(connect).await;
    // Of networks engines tell the container's id and no more.
    loop {
        let event = events.next().await.expect("no end").expect("no break");
        if event.kind == (EventKind::Connected { network: "n1".to_owned() }) {
            assert_eq!(event.container, id);
            break;
        }
    }
    bench.run(remove("net")).await;
    bench.run(remove("cam")).await;
}

async fn read(mut logs: LogStream) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let all = async {
        while let Some(piece) = logs.next().await {
            let piece = piece.expect("no break");
            match piece.source {
                LogSource::Stdout => out.extend(piece.bytes),
                LogSource::Stderr => err.extend(piece.bytes),
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("an end");
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

async fn read_when_written(bench: &dyn Bench, container: &str) -> (String, String) {
    for _ in 0..100 {
        let logs = bench.engine().logs(container, &LogsWanted::default()).await.expect("logs");
        let (out, err) = read(logs).await;
        if err.contains('\n') {
            return (out, err);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{container} writes nothing");
}

pub(crate) async fn logs_have_two_streams_and_an_end(bench: &dyn Bench) {
    bench.image("test/speaks:1", Does::Speaks, &[]);
    bench.up("cam", body_of("test/speaks:1", "f")).await;
    let both = ("to out\n".to_owned(), "to err\n".to_owned());
    assert_eq!(read_when_written(bench, "cam").await, both);
    let some = |wanted: LogsWanted| async move {
        let (out, err) = read(bench.engine().logs("cam", &wanted).await.expect("logs")).await;
        out.lines().count() + err.lines().count()
    };
    let all = LogsWanted::default();
    assert_eq!(some(LogsWanted { tail: Some(1), ..all }).await, 1);
    assert_eq!(some(LogsWanted { tail: Some(0), ..all }).await, 0);
    assert_eq!(some(LogsWanted { since: Some(Timestamp { seconds: 1 }), ..all }).await, 2);
    let late = Some(Timestamp { seconds: 9_000_000_000 });
    assert_eq!(some(LogsWanted { since: late, ..all }).await, 0);
    bench.run(stop("cam")).await;
    assert_eq!(read_when_written(bench, "cam").await, both);
    let error = bench.engine().logs("nobody", &all).await.err().expect("nobody is there");
    assert_eq!(error.kind, EngineErrorKind::NotFound, "{error}");
    bench.run(remove("cam")).await;
}

pub(crate) async fn logs_are_followed_until_the_container_ends(bench: &dyn Bench) {
    bench.image("test/speaks:1", Does::Speaks, &[]);
    bench.up("cam", body_of("test/speaks:1", "f")).await;
    let wanted = LogsWanted { follow: true, ..LogsWanted::default() };
    let mut logs = bench.engine().logs("cam", &wanted).await.expect("logs");
    tokio::time::timeout(PATIENCE, logs.next()).await.expect("a piece").unwrap().unwrap();
    bench.run(stop("cam")).await;
    read(logs).await;
    bench.run(remove("cam")).await;
}
