//! The simulated engine: in memory, kept in one JSON file a device, with a clock of its own.
//!
//! Enters: steps, and what a test or a demonstration does from outside ([`Control`]). Leaves: what a Docker
//! engine would answer, as measured on one. Waiting moves the engine's own clock and takes no time; nothing is
//! random. Not here: processes. What a module does is told by the behaviour of its image; trouble comes by a seed.

mod clock;
mod control;
mod create;
mod listen;
mod look;
mod step;
mod trouble;
mod world;

pub use control::{CallKind, Control, Fault};
pub use world::Behaviour;

use super::{
    Engine, EngineError, EngineErrorKind, EngineFuture, EventStream, FileSeen, LogStream,
    LogsWanted, SecretValues, Wanted,
};
use crate::model::{ContainerDetail, EngineReport, Observation, TwinFile};
use crate::plan::{Step, StepOutput};
use control::Interference;
use listen::Listeners;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use world::World;

/// So long it is waited for a sign of life, in milliseconds.
const SIGN_LIMIT: u64 = 10_000;

/// An engine of which nothing is real.
#[derive(Clone)]
pub struct Simulated {
    inner: Arc<Inner>,
}

struct Inner {
    path: Option<PathBuf>,
    device: String,
    state: Mutex<Kept>,
    interference: Mutex<Interference>,
    listeners: Mutex<Listeners>,
}

struct Kept {
    world: World,
    /// Time and size of the file as last read or written: another process may have written since.
    stamp: Option<(SystemTime, u64)>,
}

impl Simulated {
    /// The engine of a device, as its file says it was left; an empty one if there is no file, or no path.
    ///
    /// # Errors
    /// Where the file can't be read or holds something else.
    pub fn open(path: Option<PathBuf>, device: &str) -> Result<Self, EngineError> {
        let mut kept = Kept { world: World::new(device), stamp: None };
        if let Some(path) = &path {
            kept.refresh(path)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                device: device.to_owned(),
                state: Mutex::new(kept),
                interference: Mutex::default(),
                listeners: Mutex::default(),
            }),
        })
    }

    /// The way to do from outside what happens to engines: crashes, faults, foreign hands. And to look at
    /// which calls came.
    pub fn control(&self) -> Control {
        Control::of(self.clone())
    }

    fn interference(&self) -> MutexGuard<'_, Interference> {
        self.inner.interference.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.inner.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world.
    fn look<T>(&self, look: impl FnOnce(&World) -> T) -> Result<T, EngineError> {
        let mut kept = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.inner.path {
            kept.refresh(path)?;
        }
        Ok(look(&kept.world))
    }

    /// Changes the world, and keeps it.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> Result<T, EngineError> {
        let mut kept = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.inner.path {
            kept.refresh(path)?;
        }
        let out = change(&mut kept.world);
        let happened = std::mem::take(&mut kept.world.happened);
        self.listeners().tell(happened);
        if let Some(path) = &self.inner.path {
            kept.write(path)?;
        }
        Ok(out)
    }

    /// What faults and delays make of a call. `effect` is what the engine does.
    async fn call<T>(
        &self,
        kind: CallKind,
        subject: String,
        effect: impl FnOnce() -> Result<T, EngineError> + Send,
    ) -> Result<T, EngineError> {
        let (fault, delay) = self.interference().arrive(kind, subject.clone());
        let pace = match kind {
            CallKind::Step(_) => Duration::from_millis(self.look(|world| world.pace)?),
            _ => Duration::ZERO,
        };
        if !(delay + pace).is_zero() {
            tokio::time::sleep(delay + pace).await;
        }
        let device = &self.inner.device;
        let unreachable = |words: &str| {
            Err(EngineError::new(
                EngineErrorKind::Unreachable,
                format!("could not {subject}: {words} (simulated engine of {device})"),
            ))
        };
        match fault {
            None => effect(),
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::Hang) if kind == CallKind::Answers => {
                self.change(|world| world.advance_to(world.now + SIGN_LIMIT))?;
                let words = format!("could not {subject}: no end within {SIGN_LIMIT}ms");
                Err(EngineError::new(EngineErrorKind::TimedOut, words))
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Unreachable) => unreachable("the engine is not reached"),
            Some(Fault::Cut { done }) => {
                if done {
                    effect()?;
                }
                unreachable("the connection broke")
            }
            Some(Fault::Restart { done }) => {
                let outcome = if done { effect().map(drop) } else { Ok(()) };
                self.change(World::restart)?;
                outcome?;
                unreachable("the engine is restarting")
            }
            Some(Fault::TimeOut { done }) => {
                if done {
                    effect()?;
                }
                let words = format!("could not {subject}: no end within its limit");
                Err(EngineError::new(EngineErrorKind::TimedOut, words))
            }
        }
    }

    async fn observe_now(&self, wanted: &Wanted<'_>) -> Result<Observation, EngineError> {
        let list = format!("list the containers of {}", self.inner.device);
        let mut seen = self.call(CallKind::List, list, || self.look(World::list)).await?;
        for container in &mut seen.containers {
            if (wanted.details)(container) {
                let id = container.id.clone();
                let words = format!("inspect {}", container.name);
                let detail =
                    self.call(CallKind::Inspect, words, || self.look(|w| w.detail(&id))).await?;
                container.detail = detail.map(|detail| ContainerDetail {
                    twin: if wanted.twins { detail.twin } else { TwinFile::NotRead },
                    ..detail
                });
            }
        }
        for fleet in wanted.networks_of {
            let found = self.call(CallKind::Networks, "list networks".to_owned(), || {
                self.look(|world| world.networks_of(fleet))
            });
            seen.networks.get_or_insert_default().extend(found.await?);
        }
        if wanted.network_ids {
            let found = self.call(CallKind::Networks, "list networks".to_owned(), || {
                self.look(World::network_ids)
            });
            seen.network_ids = Some(found.await?);
        }
        for image in wanted.images {
            let words = format!("inspect image {image}");
            let call =
                self.call(CallKind::Image, words, || self.look(|w| w.image(image).is_some()));
            seen.images.insert(image.clone(), call.await?);
        }
        Ok(seen)
    }
}

impl Engine for Simulated {
    fn facts(&self) -> EngineFuture<'_, EngineReport> {
        let words = format!("ask {} what it is", self.inner.device);
        Box::pin(self.call(CallKind::Facts, words, || self.look(World::report)))
    }

    fn answers(&self) -> EngineFuture<'_, ()> {
        let words = format!("ask {} for a sign of life", self.inner.device);
        Box::pin(self.call(CallKind::Answers, words, || Ok(())))
    }

    fn observe<'a>(&'a self, wanted: &'a Wanted) -> EngineFuture<'a, Observation> {
        Box::pin(self.observe_now(wanted))
    }

    fn execute<'a>(
        &'a self,
        step: &'a Step,
        secrets: &'a SecretValues,
    ) -> EngineFuture<'a, StepOutput> {
        Box::pin(self.call(CallKind::Step(step.kind()), step.to_string(), || {
            self.change(|world| world.execute(step, secrets))?
        }))
    }

    fn look_at<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> EngineFuture<'a, Option<FileSeen>> {
        let words = format!("look at {path} of {container}");
        Box::pin(self.call(CallKind::LookAt, words, move || {
            self.look(|world| world.seen_at(container, path))
        }))
    }

    fn read_file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
        limit: usize,
    ) -> EngineFuture<'a, Option<Vec<u8>>> {
        Box::pin(self.call(CallKind::ReadFile, format!("read {path} of {container}"), move || {
            self.look(|world| world.read_file(container, path, limit))
        }))
    }

    fn events<'a>(&'a self, fleets: &'a [String]) -> EngineFuture<'a, EventStream> {
        Box::pin(self.listen_to_events(fleets))
    }

    fn logs<'a>(
        &'a self,
        container: &'a str,
        wanted: &'a LogsWanted,
    ) -> EngineFuture<'a, LogStream> {
        Box::pin(self.read_logs(container, wanted))
    }
}

impl Kept {
    fn refresh(&mut self, path: &Path) -> Result<(), EngineError> {
        let stamp = stamp_of(path);
        if stamp.is_none() || stamp == self.stamp {
            return Ok(());
        }
        let text = fs::read(path).map_err(|error| trouble(path, &error))?;
        self.world = serde_json::from_slice(&text).map_err(|error| trouble(path, &error))?;
        self.stamp = stamp;
        Ok(())
    }

    /// Whole or not at all: written beside, then renamed.
    fn write(&mut self, path: &Path) -> Result<(), EngineError> {
        let text = serde_json::to_vec_pretty(&self.world).map_err(|error| trouble(path, &error))?;
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        let written = fs::File::create(&beside)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&beside, path));
        written.map_err(|error| trouble(path, &error))?;
        self.stamp = stamp_of(path);
        Ok(())
    }
}

fn stamp_of(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn trouble(path: &Path, error: &dyn std::fmt::Display) -> EngineError {
    let words = format!("the simulated engine's file {}: {error}", path.display());
    EngineError::new(EngineErrorKind::Unreachable, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerState, Duration};
    use crate::plan::StepKind;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn create(name: &str) -> Step {
        let host = json!({ "RestartPolicy": { "Name": "always" } });
        let body = json!({ "Image": "cam:1", "HostConfig": host });
        Step::Create { name: name.to_owned(), body, secrets: BTreeMap::new() }
    }

    #[test]
    fn faults_meet_the_next_call_of_their_kind_and_every_call_is_written_down() {
        let engine = Simulated::open(None, "gw-1").unwrap();
        let control = engine.control();
        control.load_image("cam:1", &BTreeMap::new()).unwrap();
        let create_kind = CallKind::Step(StepKind::Create);
        control.fault_next(create_kind, Fault::TimeOut { done: false });
        control.fault_next(create_kind, Fault::Cut { done: true });
        let secrets = SecretValues::default();
        let attempt = || block(engine.execute(&create("cam"), &secrets)).map_err(|e| e.kind);
        assert_eq!(attempt(), Err(EngineErrorKind::TimedOut));
        assert_eq!(attempt(), Err(EngineErrorKind::Unreachable));
        assert_eq!(attempt(), Err(EngineErrorKind::Conflict));
        control.set_unreachable(true);
        let list = || block(engine.observe(&Wanted::list_only())).map(|seen| seen.containers.len());
        assert_eq!(list().map_err(|error| error.kind), Err(EngineErrorKind::Unreachable));
        control.set_unreachable(false);
        assert_eq!(list(), Ok(1));
        assert_eq!((control.count(CallKind::List), control.changes().len()), (2, 3));
        control.fault_next(CallKind::Facts, Fault::Hang);
        let limit = std::time::Duration::from_millis(20);
        assert!(block(async { tokio::time::timeout(limit, engine.facts()).await }).is_err());
        assert!(block(engine.facts()).is_ok());
    }

    #[test]
    fn a_file_carries_an_engine_from_one_process_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().join("gw-1.json"));
        let first = Simulated::open(path.clone(), "gw-1").unwrap();
        let other = Simulated::open(path.clone(), "gw-1").unwrap();
        first.control().load_image("cam:1", &BTreeMap::new()).unwrap();
        block(other.execute(&create("cam"), &SecretValues::default())).unwrap();
        let list = |engine: &Simulated| block(engine.observe(&Wanted::list_only())).unwrap();
        assert_eq!(list(&first).containers.len(), 1);
        assert_eq!(list(&Simulated::open(path.clone(), "gw-1").unwrap()), list(&first));
        fs::write(path.as_ref().unwrap(), "{").unwrap();
        let error = Simulated::open(path, "gw-1").err().unwrap();
        assert!(error.message.starts_with("the simulated engine's file "), "{error}");
    }

    #[test]
    fn time_brings_crashes_restarts_and_longer_pauses() {
        let engine = Simulated::open(None, "gw-1").unwrap();
        let control = engine.control();
        control.load_image("cam:1", &BTreeMap::new()).unwrap();
        control.behave("cam:1", Behaviour::Ends { code: 5, after: 1000 }).unwrap();
        let secrets = SecretValues::default();
        block(engine.execute(&create("cam"), &secrets)).unwrap();
        let cam = crate::plan::ContainerRef::Name("cam".to_owned());
        block(engine.execute(&Step::Start { container: cam }, &secrets)).unwrap();
        let mut seen = Vec::new();
        for _ in 0..6 {
            control.advance(Duration { millis: 1000 }).unwrap();
            let wanted = Wanted { details: &|_| true, ..Wanted::list_only() };
            let found = block(engine.observe(&wanted)).unwrap().containers.remove(0);
            seen.push((found.state, found.detail.unwrap().restart_count));
        }
        use ContainerState::{Restarting, Running};
        assert_eq!(
            seen,
            [
                (Restarting, 0),
                (Running, 1),
                (Running, 2),
                (Running, 3),
                (Restarting, 3),
                (Running, 4)
            ]
        );
    }

    #[test]
    fn the_list_shows_the_id_of_an_image_whose_tag_moved() {
        let engine = Simulated::open(None, "gw-1").unwrap();
        let control = engine.control();
        let secrets = SecretValues::default();
        let image = crate::model::ImageReference::parse("cam:1").unwrap();
        let pull = Step::Pull { image, credentials: None, if_present_is_enough: false };
        block(engine.execute(&pull, &secrets)).unwrap();
        block(engine.execute(&create("cam"), &secrets)).unwrap();
        let look = || block(engine.observe(&Wanted::list_only())).unwrap().containers.remove(0);
        assert_eq!(look().image, "cam:1");
        block(engine.execute(&pull, &secrets)).unwrap();
        assert_eq!(look().image, "cam:1");
        control.publish("cam:1").unwrap();
        block(engine.execute(&pull, &secrets)).unwrap();
        assert_eq!(look().image, look().image_id);
    }
}
