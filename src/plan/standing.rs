//! The state table: what a module should be, what it is seen to be, what is done about it, and which code
//! that means. It is design 6's table, row by row, tried from the top; a crash loop is tried first.

use crate::model::{
    ContainerState, Health, Module, ObservedContainer, RestartPolicy, Status, Timestamp,
};

/// What is done about a container whose specification is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    None,
    /// Make one.
    Create,
    /// Start it.
    Start,
    /// Restart it.
    Restart,
    /// Thaw it.
    Unpause,
    /// Stop it.
    Stop,
    /// Thaw it and stop it.
    UnpauseAndStop,
}

/// What the table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What is done.
    pub repair: Repair,
    /// The status code.
    pub code: u16,
    /// The words.
    pub words: String,
}

/// Ends within ten minutes from which on a module counts as crash-looping.
const CRASH_LOOP: u64 = 3;

/// Ten minutes, in seconds.
const RECENTLY: i64 = 600;

/// The verdict on a module and its container.
pub fn judge(module: &Module, seen: Option<&ObservedContainer>, now: i64) -> Verdict {
    let verdict = |repair, code, words: &str| Verdict { repair, code, words: words.to_owned() };
    let Some(container) = seen else {
        return verdict(Repair::Create, 202, "not there yet");
    };
    if let Some(restarts) = recent_restarts(container, now).filter(|n| *n >= CRASH_LOOP)
        && module.status == Status::Running
    {
        return Verdict {
            repair: Repair::None,
            code: 500,
            words: format!("crash loop: the engine restarted it {restarts} times"),
        };
    }
    match module.status {
        Status::Running => judge_running(module, container),
        Status::Stopped => match container.state {
            ContainerState::Running | ContainerState::Restarting => {
                verdict(Repair::Stop, 202, "runs and should be stopped")
            }
            ContainerState::Paused => {
                verdict(Repair::UnpauseAndStop, 202, "paused and should be stopped")
            }
            ContainerState::Created | ContainerState::Exited(_) | ContainerState::Dead => {
                verdict(Repair::None, 200, "stopped")
            }
            ContainerState::Removing | ContainerState::Unknown => {
                verdict(Repair::None, 202, "the engine is busy with it")
            }
        },
    }
}

/// How often the engine restarted a container that it started in the last ten minutes and that is up, or
/// between two restarts. The count itself has no age, so that of an older start says nothing.
fn recent_restarts(container: &ObservedContainer, now: i64) -> Option<u64> {
    let up = matches!(container.state, ContainerState::Running | ContainerState::Restarting);
    let detail = container.detail.as_ref().filter(|_| up)?;
    let started = Timestamp::parse(&detail.started_at).ok()?;
    (now.saturating_sub(started.seconds) < RECENTLY).then_some(detail.restart_count)
}

fn judge_running(module: &Module, container: &ObservedContainer) -> Verdict {
    use RestartPolicy::{Always, Never, OnFailure, OnUnhealthy};
    let verdict = |repair, code, words: String| Verdict { repair, code, words };
    match (container.state, module.restart_policy) {
        (ContainerState::Running, policy) => match (container.health, policy) {
            (Health::None, _) => verdict(Repair::None, 200, "running".to_owned()),
            (Health::Healthy, _) => verdict(Repair::None, 200, "running, healthy".to_owned()),
            (Health::Starting, _) => {
                verdict(Repair::None, 202, "running, not yet healthy".to_owned())
            }
            (Health::Unhealthy, OnUnhealthy) => {
                verdict(Repair::Restart, 500, "unhealthy".to_owned())
            }
            (Health::Unhealthy, Always | OnFailure | Never) => {
                verdict(Repair::None, 500, "unhealthy".to_owned())
            }
        },
        (ContainerState::Created, _) => verdict(Repair::Start, 202, "never started".to_owned()),
        (ContainerState::Exited(0), Never | OnFailure) => {
            verdict(Repair::None, 200, "it ran and ended with code 0".to_owned())
        }
        (ContainerState::Exited(code), Never) => {
            verdict(Repair::None, 500, format!("it ran and ended with code {code}"))
        }
        (ContainerState::Exited(code), OnFailure) => {
            verdict(Repair::Start, 500, format!("it ended with code {code}"))
        }
        (ContainerState::Exited(code), Always | OnUnhealthy) => {
            verdict(Repair::Start, 202, format!("it ended with code {code}"))
        }
        (ContainerState::Dead, Never) => verdict(Repair::None, 500, "dead".to_owned()),
        (ContainerState::Dead, OnFailure) => verdict(Repair::Start, 500, "dead".to_owned()),
        (ContainerState::Dead, Always | OnUnhealthy) => {
            verdict(Repair::Start, 202, "dead".to_owned())
        }
        (ContainerState::Paused, _) => verdict(Repair::Unpause, 202, "paused".to_owned()),
        (ContainerState::Restarting, _) => {
            verdict(Repair::None, 202, "the engine is restarting it".to_owned())
        }
        (ContainerState::Removing | ContainerState::Unknown, _) => {
            verdict(Repair::None, 202, "the engine is busy with it".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerDetail, ModuleSettings, Table};
    use std::collections::BTreeMap;

    fn module(status: Status, policy: RestartPolicy) -> Module {
        let settings = ModuleSettings {
            image: Some("a:1".to_owned()),
            status: Some(status),
            restart_policy: Some(policy),
            ..ModuleSettings::default()
        };
        Module::from_settings(settings, Table::new())
    }

    fn container(state: ContainerState, health: Health) -> ObservedContainer {
        ObservedContainer {
            id: "1".to_owned(),
            name: "a".to_owned(),
            image: "a:1".to_owned(),
            image_id: "i".to_owned(),
            labels: Default::default(),
            state,
            health,
            networks: Default::default(),
            network_mode: "default".to_owned(),
            ports: Vec::new(),
            mounts: Vec::new(),
            detail: None,
        }
    }

    #[test]
    fn a_crash_loop_is_one_of_now() {
        let (minute, started_at) = (60, "2026-01-05T09:00:00.5Z".to_owned());
        let start = Timestamp::parse(&started_at).unwrap().seconds;
        let detail = ContainerDetail {
            image: "a:1".to_owned(),
            image_labels: BTreeMap::new(),
            restart_policy: "always".to_owned(),
            memory: 0,
            memory_swap: 0,
            nano_cpus: 0,
            restart_count: 5,
            started_at,
            finished_at: String::new(),
            out_of_memory: false,
            error: String::new(),
            twin: None,
        };
        let always = module(Status::Running, RestartPolicy::Always);
        for (state, later, code, repair) in [
            (ContainerState::Running, minute, 500, Repair::None),
            (ContainerState::Restarting, minute, 500, Repair::None),
            (ContainerState::Running, 11 * minute, 200, Repair::None),
            (ContainerState::Paused, minute, 202, Repair::Unpause),
            (ContainerState::Exited(1), minute, 202, Repair::Start),
        ] {
            let mut seen = container(state, Health::None);
            seen.detail = Some(detail.clone());
            let verdict = judge(&always, Some(&seen), start + later);
            assert_eq!((verdict.code, verdict.repair), (code, repair), "{state:?} after {later} s");
        }
    }

    #[test]
    fn every_row_of_the_table() {
        use ContainerState as S;
        use RestartPolicy::{Always, Never, OnFailure, OnUnhealthy};
        use Status::{Running, Stopped};
        let rows = [
            (Running, Always, S::Running, Health::None, Repair::None, 200),
            (Running, Always, S::Running, Health::Healthy, Repair::None, 200),
            (Running, Always, S::Running, Health::Starting, Repair::None, 202),
            (Running, Never, S::Created, Health::None, Repair::Start, 202),
            (Running, Never, S::Exited(0), Health::None, Repair::None, 200),
            (Running, Never, S::Exited(1), Health::None, Repair::None, 500),
            (Running, OnFailure, S::Exited(0), Health::None, Repair::None, 200),
            (Running, OnFailure, S::Exited(2), Health::None, Repair::Start, 500),
            (Running, OnUnhealthy, S::Exited(0), Health::None, Repair::Start, 202),
            (Running, Always, S::Exited(1), Health::None, Repair::Start, 202),
            (Running, Always, S::Dead, Health::None, Repair::Start, 202),
            (Running, OnUnhealthy, S::Running, Health::Unhealthy, Repair::Restart, 500),
            (Running, Always, S::Running, Health::Unhealthy, Repair::None, 500),
            (Running, OnFailure, S::Running, Health::Unhealthy, Repair::None, 500),
            (Running, Never, S::Running, Health::Unhealthy, Repair::None, 500),
            (Running, Always, S::Paused, Health::None, Repair::Unpause, 202),
            (Running, Always, S::Restarting, Health::None, Repair::None, 202),
            (Stopped, Always, S::Running, Health::None, Repair::Stop, 202),
            (Stopped, Always, S::Restarting, Health::None, Repair::Stop, 202),
            (Stopped, Always, S::Paused, Health::None, Repair::UnpauseAndStop, 202),
            (Stopped, Always, S::Created, Health::None, Repair::None, 200),
            (Stopped, Always, S::Exited(137), Health::None, Repair::None, 200),
            (Stopped, Always, S::Dead, Health::None, Repair::None, 200),
        ];
        for (status, policy, state, health, repair, code) in rows {
            let verdict = judge(&module(status, policy), Some(&container(state, health)), 0);
            assert_eq!(
                (verdict.repair, verdict.code),
                (repair, code),
                "{status} {policy} {state:?} {health:?}"
            );
        }
        for status in [Running, Stopped] {
            let verdict = judge(&module(status, Always), None, 0);
            assert_eq!((verdict.repair, verdict.code), (Repair::Create, 202));
        }
    }
}
