//! What time does to a simulated engine: modules end, are started again, become healthy.
//!
//! Enters: a moment to come. Leaves: the world as it is then. The back-off is Docker's: 100 ms doubling to a
//! minute, from the beginning again after a run of more than 10 s.

use super::world::{Behaviour, Container, Process, World};
use crate::engine::EventKind;
use crate::model::Health;

const FIRST_PAUSE: u64 = 100;
const LONGEST_PAUSE: u64 = 60_000;
const LONG_RUN: u64 = 10_000;
/// So long an engine needs to come back.
const RESTARTS_IN: u64 = 5_000;

impl World {
    /// Lets the clock go on to a moment.
    pub(super) fn advance_to(&mut self, moment: u64) {
        while let Some((at, id)) = self.next_event().filter(|(at, _)| *at <= moment) {
            self.now = self.now.max(at);
            let code =
                match self.containers.get(&id).map(|c| (&c.process, self.behaviour(&c.image))) {
                    Some((Process::Running, Behaviour::Ends { code, .. })) => Some(code),
                    _ => None,
                };
            match code {
                Some(code) => self.end(&id, code),
                None => self.revive(&id),
            }
        }
        self.now = self.now.max(moment);
    }

    /// The next thing that happens by itself.
    fn next_event(&self) -> Option<(u64, String)> {
        self.containers
            .values()
            .filter_map(|container| {
                let at = match (&container.process, self.behaviour(&container.image)) {
                    (Process::Running, Behaviour::Ends { after, .. }) => {
                        container.started.unwrap_or(0) + after
                    }
                    (Process::Restarting { at, .. }, _) => *at,
                    _ => return None,
                };
                Some((at, container.id.clone()))
            })
            .min()
    }

    /// Its process ends; the policy says whether it is started again.
    pub(super) fn end(&mut self, id: &str, code: i64) {
        let now = self.now;
        let Some(container) = self.containers.get_mut(id) else { return };
        let ran = now.saturating_sub(container.started.unwrap_or(now));
        container.finished = Some(now);
        let again = match container.policy.as_str() {
            "always" | "unless-stopped" => true,
            "on-failure" => code != 0,
            _ => false,
        };
        let pause = if ran > LONG_RUN || container.restart_count == 0 {
            FIRST_PAUSE
        } else {
            let doublings = u32::try_from(container.restart_count.min(16)).unwrap_or(16);
            (FIRST_PAUSE << doublings).min(LONGEST_PAUSE)
        };
        container.process = if again {
            Process::Restarting { code, at: now + pause, pause }
        } else {
            Process::Exited { code }
        };
        self.happened(id, EventKind::Died { code });
    }

    fn revive(&mut self, id: &str) {
        let now = self.now;
        if let Some(container) = self.containers.get_mut(id) {
            container.restart_count += 1;
            container.started = Some(now);
            container.process = Process::Running;
        }
        self.speak(id);
    }

    /// What it writes when it starts.
    pub(super) fn speak(&mut self, id: &str) {
        let Some(container) = self.containers.get(id) else { return };
        let image = container.image.clone();
        self.happened(id, EventKind::Started);
        if let Behaviour::Speaks { stdout, stderr } = self.behaviour(&image) {
            self.says(id, false, &stdout);
            self.says(id, true, &stderr);
        } else {
            self.says(id, false, &format!("{image} started (simulated)"));
        }
    }

    /// The engine ends at once, with all that runs, and comes back. It starts again what ran and has a policy,
    /// and what has one and was stopped by somebody: only `unless-stopped` remembers that.
    pub(super) fn restart(&mut self) {
        /// The code of a process that is killed with its machine.
        const KILLED: i64 = 137;
        self.leaked.clear();
        let ids: Vec<String> = self.containers.keys().cloned().collect();
        let mut revived = Vec::new();
        for id in ids {
            let now = self.now;
            let Some(container) = self.containers.get_mut(&id) else { continue };
            let was_up = !matches!(
                container.process,
                Process::Created | Process::Exited { .. } | Process::Dead
            );
            if was_up {
                container.process = Process::Exited { code: KILLED };
                container.finished = Some(now);
            }
            let code = match container.process {
                Process::Exited { code } => code,
                _ => 0,
            };
            let again = match container.policy.as_str() {
                _ if container.process == Process::Dead => false,
                "always" => container.process != Process::Created,
                "unless-stopped" => was_up,
                "on-failure" => container.process != Process::Created && code != 0,
                _ => false,
            };
            if again {
                revived.push((!was_up, id));
            }
        }
        self.advance_to(self.now + RESTARTS_IN);
        // What ran before comes first, so that it has its ports.
        revived.sort();
        for (_, id) in revived {
            // One that can't be started stays down, as with a real engine.
            let _ = self.start(&id);
        }
    }

    /// What its health check says now.
    pub(super) fn health(&self, container: &Container) -> Health {
        let (Some(interval), true) = (container.health_interval, container.is_up()) else {
            return Health::None;
        };
        if self.now < container.started.unwrap_or(0) + interval {
            Health::Starting
        } else if self.behaviour(&container.image) == Behaviour::Unhealthy {
            Health::Unhealthy
        } else {
            Health::Healthy
        }
    }
}

/// 2026-01-01T00:00:00Z
const EPOCH: i64 = 1_767_225_600;

/// A moment of the engine's clock in seconds since 1970.
pub(super) fn seconds(moment: u64) -> i64 {
    EPOCH.saturating_add(i64::try_from(moment / 1000).unwrap_or(i64::MAX))
}

/// A moment of the engine's clock, as engines write moments.
pub(super) fn written(moment: Option<u64>) -> String {
    let Some(moment) = moment else { return "0001-01-01T00:00:00Z".to_owned() };
    let millis = i64::try_from(moment).unwrap_or(0);
    jiff::Timestamp::from_millisecond(EPOCH * 1000 + millis)
        .map_or_else(|_| String::new(), |moment| moment.to_string())
}
