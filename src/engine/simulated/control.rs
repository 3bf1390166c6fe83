//! What happens to engines from outside, for tests and demonstrations; and the log of calls that came.
//!
//! Enters: orders. Leaves: faults that the next calls meet, a changed world, what was called.

use super::Simulated;
use super::trouble::Trouble;
use super::world::{Behaviour, Image, Process, World, full_reference};
use crate::engine::{EngineError, EngineErrorKind, EventKind, LogSource};
use crate::plan::StepKind;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Which call of the port, or of those that an observation is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallKind {
    /// Facts.
    Facts,
    /// The question for a sign of life.
    Answers,
    /// The list of an observation.
    List,
    /// One inspect of an observation, with the twin.
    Inspect,
    /// The networks of an observation.
    Networks,
    /// One image of an observation.
    Image,
    /// What lies at a path.
    LookAt,
    /// A file.
    ReadFile,
    /// The beginning of a stream of events.
    Events,
    /// The beginning of a log.
    Logs,
    /// A step.
    Step(StepKind),
}

/// What becomes of one call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This error; nothing is done.
    Fail(EngineError),
    /// No answer, ever; nothing is done. The question for a sign of life ends at its limit, by the engine's own clock.
    Hang,
    /// No connection; nothing is done.
    Unreachable,
    /// The connection breaks before or after it is done.
    Cut {
        /// Whether it was done.
        done: bool,
    },
    /// The limit of the call passes; engines go on after that.
    TimeOut {
        /// Whether it was done.
        done: bool,
    },
    /// The engine ends before or after it is done, and comes back.
    Restart {
        /// Whether it was done.
        done: bool,
    },
}

/// Faults to come, and calls that came.
#[derive(Default)]
pub(super) struct Interference {
    next: BTreeMap<CallKind, VecDeque<Fault>>,
    trouble: Option<Trouble>,
    unreachable: bool,
    delay: Duration,
    calls: Vec<(CallKind, String)>,
}

impl Interference {
    /// A call came: which fault it meets, and how long it takes.
    pub(super) fn arrive(&mut self, kind: CallKind, subject: String) -> (Option<Fault>, Duration) {
        self.calls.push((kind, subject));
        let fault = if self.unreachable {
            Some(Fault::Unreachable)
        } else {
            let ordered = self.next.get_mut(&kind).and_then(VecDeque::pop_front);
            ordered.or_else(|| self.trouble.as_mut().and_then(|trouble| trouble.draw(kind)))
        };
        (fault, self.delay)
    }
}

/// The hands of a test on a simulated engine.
pub struct Control {
    engine: Simulated,
}

impl Control {
    pub(super) fn of(engine: Simulated) -> Self {
        Self { engine }
    }

    /// The next call of this kind meets a fault; several are met one after the other.
    pub fn fault_next(&self, kind: CallKind, fault: Fault) {
        self.engine.interference().next.entry(kind).or_default().push_back(fault);
    }

    /// From now on about so many of a thousand calls go wrong, each seed in its own way.
    pub fn trouble(&self, seed: u64, per_mille: u64) {
        self.engine.interference().trouble = Some(Trouble::new(seed, per_mille));
    }

    /// Nothing goes wrong any more.
    pub fn calm(&self) {
        let mut interference = self.engine.interference();
        interference.trouble = None;
        interference.next.clear();
    }

    /// The engine, or its machine, is ended at once and comes back: what ran is started again as the policies
    /// say, also what somebody had stopped without changing its policy.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn restart_engine(&self) -> Result<(), EngineError> {
        self.engine.change(World::restart)
    }

    /// What a list shows, past all faults, and no call is written down.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn observed(&self) -> Result<crate::model::Observation, EngineError> {
        self.engine.look(World::list)
    }

    /// Whether the engine has an image.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        self.engine.look(|w| w.image(image).is_some())
    }

    /// Whether no call gets through.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.engine.interference().unreachable = unreachable;
    }

    /// Every call takes so long, in real time.
    pub fn set_delay(&self, delay: Duration) {
        self.engine.interference().delay = delay;
    }

    /// Every step takes so long, in real time; also for whoever else opens the engine's file.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn set_pace(&self, pace: Duration) -> Result<(), EngineError> {
        self.engine.change(|w| w.pace = u64::try_from(pace.as_millis()).unwrap_or(u64::MAX))
    }

    /// All calls so far, with what they were about.
    pub fn calls(&self) -> Vec<(CallKind, String)> {
        self.engine.interference().calls.clone()
    }

    /// How many calls of a kind came so far.
    pub fn count(&self, kind: CallKind) -> usize {
        self.engine.interference().calls.iter().filter(|(k, _)| *k == kind).count()
    }

    /// The steps so far that change something: all but waits.
    pub fn changes(&self) -> Vec<String> {
        let changes =
            |kind: &CallKind| matches!(kind, CallKind::Step(step) if *step != StepKind::Wait);
        let calls = self.calls();
        calls.into_iter().filter(|(kind, _)| changes(kind)).map(|(_, words)| words).collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.engine.interference().calls.clear();
    }

    /// What modules of an image do from now on.
    ///
    /// # Errors
    /// Where the engine's file can't be written; so for all below.
    pub fn behave(&self, image: &str, behaviour: Behaviour) -> Result<(), EngineError> {
        self.engine.change(|w| {
            w.behaviours.insert(full_reference(image), behaviour);
            w.advance_to(w.now);
        })
    }

    /// The engine has an image, with labels of its own.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn load_image(
        &self,
        image: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let reference = full_reference(image);
        self.engine.change(|w| {
            let id = w.published_id(&reference);
            w.images.insert(reference, Image { id, labels: labels.clone() });
        })
    }

    /// The engine has an image no longer.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn drop_image(&self, image: &str) -> Result<(), EngineError> {
        self.engine.change(|w| {
            w.images.remove(&full_reference(image));
        })
    }

    /// Whether no registry has the image.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn set_missing(&self, image: &str, missing: bool) -> Result<(), EngineError> {
        let reference = full_reference(image);
        self.engine.change(|w| {
            if missing {
                w.missing.insert(reference)
            } else {
                w.missing.remove(&reference)
            };
        })
    }

    /// The registry has other content under the same reference from now on.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn publish(&self, image: &str) -> Result<(), EngineError> {
        self.engine.change(|w| {
            *w.published.entry(full_reference(image)).or_default() += 1;
        })
    }

    /// A process of the device takes or frees a port.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn set_occupied(&self, port: u16, occupied: bool) -> Result<(), EngineError> {
        self.engine.change(|w| {
            if occupied {
                w.occupied.insert(port)
            } else {
                w.occupied.remove(&port)
            };
        })
    }

    /// The engine crashed while it started a container, and takes a port for published that nobody publishes; until it
    /// is started again.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn leak_port(&self, port: u16) -> Result<(), EngineError> {
        self.engine.change(|w| {
            w.leaked.insert(port);
        })
    }

    /// The engine's clock goes on.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn advance(&self, by: crate::model::Duration) -> Result<(), EngineError> {
        self.engine.change(|w| w.advance_to(w.now + by.millis))
    }

    /// A container's process ends with a code.
    ///
    /// # Errors
    /// Where there is no such container, or it does not run.
    pub fn kill(&self, container: &str, code: i64) -> Result<(), EngineError> {
        self.engine.change(|w| {
            let found = w.container(container)?;
            let id = found.id.clone();
            if !found.is_up() {
                let words = format!("Container {container} is not running");
                return Err(EngineError::new(EngineErrorKind::Refused, words));
            }
            w.end(&id, code);
            Ok(())
        })?
    }

    /// The engine came no further with a removal than half of it, as where a file of the container is held by others.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn leave_half_removed(&self, container: &str) -> Result<(), EngineError> {
        self.engine.change(|w| {
            let found = w.container(container)?;
            let (id, was_up) = (found.id.clone(), found.is_up());
            if was_up {
                w.end(&id, 137);
            }
            w.container_mut(&id)?.process = Process::Dead;
            Ok(())
        })?
    }

    /// Somebody freezes a container.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn pause(&self, container: &str) -> Result<(), EngineError> {
        self.engine.change(|w| w.pause(container))?
    }

    /// Somebody renames a container.
    ///
    /// # Errors
    /// As the engine would refuse.
    pub fn rename(&self, container: &str, name: &str) -> Result<(), EngineError> {
        self.engine.change(|w| w.rename(container, name))?
    }

    /// A module writes a line.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn say(&self, container: &str, source: LogSource, line: &str) -> Result<(), EngineError> {
        self.engine.change(|w| {
            let id = w.container(container)?.id.clone();
            w.says(&id, source == LogSource::Stderr, line);
            Ok(())
        })?
    }

    /// Somebody removes a container.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn remove(&self, container: &str) -> Result<(), EngineError> {
        self.engine.change(|w| w.remove(container))
    }

    /// Somebody changes limits or policy of a container (`docker update`).
    ///
    /// # Errors
    /// As the engine would refuse.
    pub fn update(
        &self,
        container: &str,
        policy: Option<&str>,
        memory: Option<u64>,
        nano_cpus: Option<u64>,
    ) -> Result<(), EngineError> {
        self.engine.change(|w| w.update(container, policy, memory, nano_cpus))?
    }

    /// Somebody takes a container off a network.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn disconnect(&self, container: &str, network: &str) -> Result<(), EngineError> {
        self.engine.change(|w| {
            let found = w.container_mut(container)?;
            let (id, was_on) = (found.id.clone(), found.networks.remove(network).is_some());
            if was_on {
                w.happened(&id, EventKind::Disconnected { network: network.to_owned() });
            }
            Ok(())
        })?
    }

    /// Somebody makes a container that is none of ours, and starts it.
    ///
    /// # Errors
    /// As the engine would refuse.
    pub fn run_foreign(&self, name: &str, body: &serde_json::Value) -> Result<(), EngineError> {
        self.engine.change(|w| {
            w.create(name, body, &BTreeMap::new(), &crate::engine::SecretValues::default())?;
            w.start(name)
        })?
    }

    /// A module writes a file, as its process would.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn write_file(
        &self,
        container: &str,
        path: &str,
        content: &[u8],
    ) -> Result<(), EngineError> {
        self.engine.change(|w: &mut World| {
            w.container(container)?;
            if let Some((files, rest)) = w.files_at(container, path) {
                files.insert(rest, super::world::StoredFile::of(content));
            }
            Ok(())
        })?
    }

    /// A module puts something at a path that is no plain file.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn write_oddity(
        &self,
        container: &str,
        path: &str,
        form: crate::engine::FileForm,
    ) -> Result<(), EngineError> {
        use crate::engine::FileForm;
        self.engine.change(|w: &mut World| {
            w.container(container)?;
            let stored = match form {
                FileForm::Plain => super::world::StoredFile::Text(String::new()),
                FileForm::Link => super::world::StoredFile::Link("/etc/shadow".to_owned()),
                FileForm::Folder => super::world::StoredFile::Folder,
                FileForm::Pipe | FileForm::Device | FileForm::Other => {
                    super::world::StoredFile::Special
                }
            };
            if let Some((files, rest)) = w.files_at(container, path) {
                files.insert(rest, stored);
            }
            Ok(())
        })?
    }

    /// Somebody removes a network, with whatever is on it.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn remove_network(&self, network: &str) -> Result<(), EngineError> {
        self.engine.change(|w| {
            w.networks.remove(network);
        })
    }

    /// The present moment of the engine's own clock.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn now(&self) -> Result<crate::model::Timestamp, EngineError> {
        self.engine.look(|w| {
            let text = super::clock::written(Some(w.now));
            crate::model::Timestamp::parse(&text).unwrap_or(crate::model::Timestamp { seconds: 0 })
        })
    }

    /// Names of the volumes that the engine has.
    ///
    /// # Errors
    /// As [`Control::behave`].
    pub fn volumes(&self) -> Result<Vec<String>, EngineError> {
        self.engine.look(|w| w.volumes.keys().cloned().collect())
    }

    /// The environment of a container; of a secret only that it is one.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn environment(&self, container: &str) -> Result<BTreeMap<String, String>, EngineError> {
        self.engine.look(|w| w.container(container).map(|c| c.env.clone()))?
    }

    /// The restart policy of a container.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn restart_policy(&self, container: &str) -> Result<String, EngineError> {
        self.engine.look(|w| w.container(container).map(|c| c.policy.clone()))?
    }
}
