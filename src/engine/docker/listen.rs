//! Answers without end: events, and what modules write.
//!
//! Enters: which fleets, which container. Leaves: streams of the port's own types. Each has a connection of its
//! own, which ends when the stream is dropped; connecting again is the caller's affair.

use super::Docker;
use super::failure::{Call, Trouble};
use super::transport::{Exchange, encoded, from_hyper};
use super::wire::EventLine;
use crate::engine::{
    EngineError, EngineErrorKind, EngineEvent, EventKind, EventStream, LogPiece, LogSource,
    LogStream, LogsWanted,
};
use crate::model::{Health, Timestamp, label};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

/// Until the engine has answered that it will.
const BEGIN: Duration = Duration::from_secs(20);
/// The longest line of an event.
const LONGEST_LINE: usize = 1 << 20;
/// The head of a piece of log: the stream, three zeros, the length.
const HEAD: usize = 8;

/// What is listened to. Health probes, file copies and volumes make many more.
const WANTED: [&str; 14] = [
    "create",
    "start",
    "die",
    "oom",
    "health_status",
    "rename",
    "update",
    "pause",
    "unpause",
    "destroy",
    // Podman's word for destroy.
    "remove",
    "connect",
    "disconnect",
    "died",
];

impl Docker {
    pub(super) async fn listen_to_events(
        &self,
        fleets: &[String],
    ) -> Result<EventStream, EngineError> {
        self.negotiate().await?;
        // Not by label: events of networks carry none, and their containers are what matters.
        let filters = json!({ "type": ["container", "network"], "event": WANTED });
        let exchange = Exchange::get(format!("/events?filters={}", encoded(&filters.to_string())));
        let tried = format!("listen to the events of {}", self.transport.address());
        let body = self.begin(exchange, &tried).await?;
        let lines = Lines { body, buffer: BytesMut::new(), tried };
        let fleets = fleets.to_vec();
        Ok(Box::pin(stream::unfold(Some((lines, fleets)), |state| async {
            let (mut lines, fleets) = state?;
            loop {
                match lines.next().await {
                    Ok(None) => return None,
                    Err(error) => return Some((Err(error), None)),
                    Ok(Some(line)) => {
                        if let Some(event) = understood(&line, &fleets) {
                            return Some((Ok(event), Some((lines, fleets))));
                        }
                    }
                }
            }
        })))
    }

    pub(super) async fn read_logs(
        &self,
        container: &str,
        wanted: &LogsWanted,
    ) -> Result<LogStream, EngineError> {
        self.negotiate().await?;
        let tried = format!("read the logs of {container}");
        let Some(seen) = self.inspect(container).await? else {
            let words = format!("could not {tried}: no such container");
            return Err(EngineError::new(EngineErrorKind::NotFound, words));
        };
        let body = self.begin(Exchange::get(logs_path(container, *wanted)), &tried).await?;
        let demultiplexer = (!seen.config.has_terminal).then(Demultiplexer::default);
        let state = Pieces { body, demultiplexer, ready: VecDeque::new(), tried };
        Ok(Box::pin(stream::unfold(Some(state), |state| async {
            let mut state = state?;
            match state.next().await {
                Ok(None) => None,
                Ok(Some(piece)) => Some((Ok(piece), Some(state))),
                Err(error) => Some((Err(error), None)),
            }
        })))
    }

    async fn begin(&self, exchange: Exchange, tried: &str) -> Result<Incoming, EngineError> {
        tokio::time::timeout(BEGIN, self.transport.listen(exchange))
            .await
            .unwrap_or(Err(Trouble::TimedOut(BEGIN)))
            .map_err(|trouble| trouble.during(Call::Ask, tried))
    }
}

fn logs_path(container: &str, wanted: LogsWanted) -> String {
    let LogsWanted { follow, tail, since } = wanted;
    let mut path = format!("/containers/{}/logs?stdout=1&stderr=1", encoded(container));
    if follow {
        path.push_str("&follow=1");
    }
    // Writing into a string does not fail.
    if let Some(tail) = tail {
        let _ = write!(path, "&tail={tail}");
    }
    if let Some(Timestamp { seconds }) = since {
        let _ = write!(path, "&since={seconds}");
    }
    path
}

/// Lines of a body.
struct Lines {
    body: Incoming,
    buffer: BytesMut,
    tried: String,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.buffer.split_to(end + 1).freeze()));
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(Trouble::TooLarge.during(Call::Ask, &self.tried));
            }
            match next_data(&mut self.body, &self.tried).await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None => return Ok(None),
            }
        }
    }
}

/// Pieces of a log.
struct Pieces {
    body: Incoming,
    /// `None`: the container has a terminal, and its output comes as it is.
    demultiplexer: Option<Demultiplexer>,
    ready: VecDeque<LogPiece>,
    tried: String,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<LogPiece>, EngineError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            let Some(data) = next_data(&mut self.body, &self.tried).await? else { return Ok(None) };
            match &mut self.demultiplexer {
                Some(demultiplexer) => demultiplexer
                    .take(data, &mut self.ready)
                    .map_err(|trouble| trouble.during(Call::Ask, &self.tried))?,
                None => self
                    .ready
                    .push_back(LogPiece { source: LogSource::Stdout, bytes: data.to_vec() }),
            }
        }
    }
}

async fn next_data(body: &mut Incoming, tried: &str) -> Result<Option<Bytes>, EngineError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| from_hyper(error).during(Call::Ask, tried))?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Takes apart the two streams of a container without a terminal. What there is of a piece is given on at
/// once, however long the piece is.
#[derive(Default)]
struct Demultiplexer {
    /// A head that is not yet whole.
    head: BytesMut,
    current: Option<(LogSource, usize)>,
}

impl Demultiplexer {
    fn take(&mut self, mut data: Bytes, out: &mut VecDeque<LogPiece>) -> Result<(), Trouble> {
        while data.has_remaining() {
            match self.current {
                Some((_, 0)) => self.current = None,
                Some((source, left)) => {
                    let piece = data.split_to(left.min(data.len()));
                    self.current = Some((source, left - piece.len()));
                    out.push_back(LogPiece { source, bytes: piece.to_vec() });
                }
                None => {
                    let missing = HEAD - self.head.len();
                    self.head.extend_from_slice(&data.split_to(missing.min(data.len())));
                    if self.head.len() == HEAD {
                        self.current = Some(parse_head(&self.head)?);
                        self.head.clear();
                    }
                }
            }
        }
        Ok(())
    }
}

fn parse_head(head: &[u8]) -> Result<(LogSource, usize), Trouble> {
    let source = match head[..4] {
        [0 | 1, 0, 0, 0] => LogSource::Stdout,
        [2 | 3, 0, 0, 0] => LogSource::Stderr,
        _ => return Err(Trouble::Nonsense("a piece of log of no known stream".to_owned())),
    };
    let mut length = &head[4..];
    Ok((source, length.get_u32() as usize))
}

/// An event that matters to these fleets.
fn understood(line: &[u8], fleets: &[String]) -> Option<EngineEvent> {
    let EventLine { kind, action, actor } = serde_json::from_slice(line).ok()?;
    let attribute = |key: &str| actor.attributes.get(key).cloned();
    let name = attribute("name").unwrap_or_default();
    if kind == "network" {
        let container = attribute("container")?;
        let kind = match action.as_str() {
            "connect" => EventKind::Connected { network: name },
            "disconnect" => EventKind::Disconnected { network: name },
            _ => return None,
        };
        return Some(EngineEvent { kind, container, name: String::new(), labels: [].into() });
    }
    if !fleets.contains(actor.attributes.get(label::FLEET)?) {
        return None;
    }
    let code = || attribute("exitCode").or_else(|| attribute("containerExitCode"));
    let kind = match action.as_str() {
        "create" => EventKind::Created,
        "start" => EventKind::Started,
        "die" | "died" => EventKind::Died { code: code()?.parse().ok()? },
        "oom" => EventKind::OutOfMemory,
        "pause" => EventKind::Paused,
        "unpause" => EventKind::Unpaused,
        "rename" => EventKind::Renamed,
        "update" => EventKind::Updated,
        "destroy" | "remove" => EventKind::Destroyed,
        other => match other.strip_prefix("health_status")?.trim_start_matches([':', ' ']) {
            "healthy" => EventKind::Health(Health::Healthy),
            "unhealthy" => EventKind::Health(Health::Unhealthy),
            _ => return None,
        },
    };
    let labels = actor.attributes.into_iter().filter(|(key, _)| key.starts_with("hoist."));
    Some(EngineEvent { kind, container: actor.id, name, labels: labels.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_streams_are_taken_apart_wherever_they_are_cut() {
        let mut whole = Vec::new();
        for (stream, text) in [(1_u8, "out\n"), (2, "err\n"), (1, ""), (1, "more")] {
            whole.extend([stream, 0, 0, 0]);
            whole.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            whole.extend(text.as_bytes());
        }
        for size in 1..whole.len() {
            let mut demultiplexer = Demultiplexer::default();
            let mut out = VecDeque::new();
            for piece in whole.chunks(size) {
                demultiplexer.take(Bytes::copy_from_slice(piece), &mut out).unwrap();
            }
            let of = |source| -> Vec<u8> {
                out.iter().filter(|p| p.source == source).flat_map(|p| p.bytes.clone()).collect()
            };
            assert_eq!(of(LogSource::Stdout), b"out\nmore", "{size}");
            assert_eq!(of(LogSource::Stderr), b"err\n", "{size}");
        }
        let mut out = VecDeque::new();
        let raw = Bytes::from_static(b"no heads here");
        Demultiplexer::default().take(raw, &mut out).unwrap_err();
    }

    #[test]
    fn events_of_our_fleets_are_understood_and_no_others() {
        let fleets = ["f".to_owned()];
        let say = |line: &str| understood(line.as_bytes(), &fleets).map(|event| event.kind);
        let of = |action: &str, fleet: &str| {
            format!(
                r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"a1","Attributes":
                {{"name":"cam","hoist.fleet":"{fleet}","exitCode":"7"}}}},"time":1}}"#
            )
        };
        assert_eq!(say(&of("die", "f")), Some(EventKind::Died { code: 7 }));
        assert_eq!(
            say(&of("health_status: unhealthy", "f")),
            Some(EventKind::Health(Health::Unhealthy))
        );
        assert_eq!(say(&of("die", "g")), None);
        assert_eq!(say(&of("exec_start: x", "f")), None);
        let network = r#"{"Type":"network","Action":"disconnect","Actor":{"ID":"n","Attributes":
            {"container":"a1","name":"hoist-f","type":"bridge"}}}"#;
        let event = understood(network.as_bytes(), &fleets).unwrap();
        assert_eq!(event.container, "a1");
        assert_eq!(event.kind, EventKind::Disconnected { network: "hoist-f".to_owned() });
        assert_eq!(say("nonsense"), None);
    }
}
