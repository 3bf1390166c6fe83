//! Events and logs of a simulated engine.
//!
//! Enters: what happens in the world, while this process changes it. Leaves: streams, as a real engine has them.

use super::Simulated;
use super::control::CallKind;
use super::world::{Container, Process, World};
use crate::engine::{
    EngineError, EngineEvent, EventKind, EventStream, LogPiece, LogSource, LogStream, LogsWanted,
};
use crate::model::label;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// So many lines of a container are kept.
const KEPT_LINES: usize = 500;
/// Another process may have changed the engine's file.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// A line that a module wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogLine {
    /// Counted from the container's creation.
    pub(super) number: u64,
    /// By the engine's clock.
    pub(super) at: u64,
    pub(super) is_error: bool,
    pub(super) text: String,
}

/// Who listens.
#[derive(Default)]
pub(super) struct Listeners(Vec<(Vec<String>, UnboundedSender<EngineEvent>)>);

impl Listeners {
    fn add(&mut self, fleets: &[String]) -> UnboundedReceiver<EngineEvent> {
        let (sender, receiver) = unbounded_channel();
        self.0.push((fleets.to_vec(), sender));
        receiver
    }

    /// Tells all that still listen.
    pub(super) fn tell(&mut self, events: Vec<EngineEvent>) {
        for event in events {
            let of_network =
                matches!(event.kind, EventKind::Connected { .. } | EventKind::Disconnected { .. });
            let fleet = event.labels.get(label::FLEET).cloned();
            self.0.retain(|(fleets, sender)| {
                let wanted = of_network || fleet.as_ref().is_some_and(|f| fleets.contains(f));
                !sender.is_closed() && (!wanted || sender.send(event.clone()).is_ok())
            });
        }
    }
}

impl World {
    /// Something happened to a container that is still there.
    pub(super) fn happened(&mut self, id: &str, kind: EventKind) {
        if let Some(container) = self.containers.get(id) {
            let event = told_of(container, kind);
            self.happened.push(event);
        }
    }

    /// A module writes a line.
    pub(super) fn says(&mut self, id: &str, is_error: bool, text: &str) {
        let at = self.now;
        if let Some(container) = self.containers.get_mut(id) {
            let number = container.logs.back().map_or(0, |line| line.number + 1);
            let text = text.to_owned();
            container.logs.push_back(LogLine { number, at, is_error, text });
            if container.logs.len() > KEPT_LINES {
                container.logs.pop_front();
            }
        }
    }

    /// The lines from a number on, and whether there may be more.
    fn lines(&self, container: &str, from: u64) -> Result<(Vec<LogLine>, bool), EngineError> {
        let found = self.container(container)?;
        let lines = found.logs.iter().filter(|line| line.number >= from).cloned().collect();
        Ok((lines, matches!(found.process, Process::Running | Process::Paused)))
    }
}

/// An event of a container.
pub(super) fn told_of(container: &Container, kind: EventKind) -> EngineEvent {
    let of_network = matches!(kind, EventKind::Connected { .. } | EventKind::Disconnected { .. });
    let labels = container.labels.iter().filter(|(key, _)| key.starts_with("hoist."));
    EngineEvent {
        kind,
        container: container.id.clone(),
        name: if of_network { String::new() } else { container.name.clone() },
        labels: if of_network {
            [].into()
        } else {
            labels.map(|(key, value)| (key.clone(), value.clone())).collect()
        },
    }
}

impl Simulated {
    pub(super) async fn listen_to_events(
        &self,
        fleets: &[String],
    ) -> Result<EventStream, EngineError> {
        let words = format!("listen to the events of {}", self.inner.device);
        let begin = || Ok(self.listeners().add(fleets));
        let receiver = self.call(CallKind::Events, words, begin).await?;
        Ok(Box::pin(stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|event| (Ok(event), receiver))
        })))
    }

    pub(super) async fn read_logs(
        &self,
        container: &str,
        wanted: &LogsWanted,
    ) -> Result<LogStream, EngineError> {
        let LogsWanted { follow, tail, since } = *wanted;
        let words = format!("read the logs of {container}");
        let look = || self.look(|world| world.lines(container, 0))?;
        let (mut lines, _) = self.call(CallKind::Logs, words, look).await?;
        let next = lines.last().map_or(0, |line| line.number + 1);
        if let Some(since) = since {
            lines.retain(|line| super::clock::seconds(line.at) >= since.seconds);
        }
        if let Some(tail) = tail {
            let more = lines.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX));
            lines.drain(..more);
        }
        let state = Reading {
            engine: self.clone(),
            container: container.to_owned(),
            ready: lines.into(),
            next,
            follow,
        };
        Ok(Box::pin(stream::unfold(state, |mut state| async {
            let piece = state.next().await?;
            Some((Ok(piece), state))
        })))
    }
}

/// A log that is being read.
struct Reading {
    engine: Simulated,
    container: String,
    ready: VecDeque<LogLine>,
    /// The number of the next line.
    next: u64,
    follow: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<LogPiece> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                let source = if line.is_error { LogSource::Stderr } else { LogSource::Stdout };
                return Some(LogPiece { source, bytes: format!("{}\n", line.text).into_bytes() });
            }
            if !self.follow {
                return None;
            }
            // A container that is gone has no more to say.
            let look = self.engine.look(|world| world.lines(&self.container, self.next));
            let (lines, more) = look.ok()?.ok()?;
            if let Some(last) = lines.last() {
                self.next = last.number + 1;
            } else if more {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            } else {
                return None;
            }
            self.ready = lines.into();
        }
    }
}
