//! An engine that hangs from a step on.

use hoist::engine::simulated::Simulated;
use hoist::engine::{
    Engine, EngineError, EngineErrorKind, EngineFuture, EventStream, FileSeen, LogStream,
    LogsWanted, SecretValues, Wanted,
};
use hoist::model::{EngineReport, Observation};
use hoist::plan::{Step, StepOutput};
use std::sync::Mutex;

/// An engine that hangs from a step on: no call ends within its limit, and no ping is answered.
pub(crate) struct Hanging<'a> {
    pub(crate) engine: &'a Simulated,
    /// Steps that are done before.
    pub(crate) after: usize,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Hanging<'_> {
    fn hangs(&self) -> bool {
        self.asked.lock().unwrap().len() > self.after
    }

    fn limit<T>(&self) -> Result<T, EngineError> {
        Err(EngineError::new(EngineErrorKind::TimedOut, "no end within 120s"))
    }
}

impl Engine for Hanging<'_> {
    fn facts(&self) -> EngineFuture<'_, EngineReport> {
        self.engine.facts()
    }

    fn answers(&self) -> EngineFuture<'_, ()> {
        Box::pin(async { if self.hangs() { self.limit() } else { Ok(()) } })
    }

    fn observe<'a>(&'a self, wanted: &'a Wanted) -> EngineFuture<'a, Observation> {
        self.engine.observe(wanted)
    }

    fn execute<'a>(
        &'a self,
        step: &'a Step,
        secrets: &'a SecretValues,
    ) -> EngineFuture<'a, StepOutput> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(step.to_string());
            if self.hangs() { self.limit() } else { self.engine.execute(step, secrets).await }
        })
    }

    fn look_at<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> EngineFuture<'a, Option<FileSeen>> {
        self.engine.look_at(container, path)
    }

    fn read_file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
        limit: usize,
    ) -> EngineFuture<'a, Option<Vec<u8>>> {
        self.engine.read_file(container, path, limit)
    }

    fn events<'a>(&'a self, fleets: &'a [String]) -> EngineFuture<'a, EventStream> {
        self.engine.events(fleets)
    }

    fn logs<'a>(
        &'a self,
        container: &'a str,
        wanted: &'a LogsWanted,
    ) -> EngineFuture<'a, LogStream> {
        self.engine.logs(container, wanted)
    }
}
