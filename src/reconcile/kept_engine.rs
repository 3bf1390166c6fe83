//! An engine that stays open from one look to the next, and is asked what it is once a connection, or again when
//! everything is looked at.

use crate::engine::{
    Engine, EngineFuture, EngineHealth, EventStream, FileSeen, LogStream, LogsWanted, SecretValues,
    Wanted,
};
use crate::model::{EngineReport, Observation};
use crate::plan::{Step, StepOutput};
use std::sync::{Arc, Mutex, PoisonError};

/// An open engine, and what it said of itself.
pub(super) struct KeptEngine {
    engine: Arc<dyn Engine>,
    said: Mutex<Option<EngineReport>>,
}

impl KeptEngine {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, said: Mutex::default() }
    }

    /// The next time it is asked what it is, it is asked for real.
    pub(super) fn forget_facts(&self) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    async fn ask_facts(&self) -> Result<EngineReport, crate::engine::EngineError> {
        let known = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let report = self.engine.facts().await?;
        self.said.lock().unwrap_or_else(PoisonError::into_inner).replace(report.clone());
        Ok(report)
    }
}

impl Engine for KeptEngine {
    fn facts(&self) -> EngineFuture<'_, EngineReport> {
        Box::pin(self.ask_facts())
    }

    fn health(&self) -> EngineFuture<'_, EngineHealth> {
        self.engine.health()
    }

    fn answers(&self) -> EngineFuture<'_, ()> {
        self.engine.answers()
    }

    fn observe<'a>(&'a self, wanted: &'a Wanted) -> EngineFuture<'a, Observation> {
        self.engine.observe(wanted)
    }

    fn execute<'a>(
        &'a self,
        step: &'a Step,
        secrets: &'a SecretValues,
    ) -> EngineFuture<'a, StepOutput> {
        self.engine.execute(step, secrets)
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
