//! The state table: what a module should be, what it is seen to be, what is done about it, and which code
//! that means. It is design 6's table, row by row, tried from the top; a crash loop is tried first.

use super::memory::ModuleMemory;
use super::moments::PACED;
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
    /// When there is more to do, where it is only a matter of time; in seconds since 1970.
    pub due: Option<i64>,
    /// Whether it fails for good, as far as can be seen: a container kept from before then takes its place.
    pub failing: bool,
}

/// Ends within ten minutes from which on a module counts as crash-looping.
const CRASH_LOOP: usize = 3;

/// Starts within ten minutes after which one more is a failure.
const FAILING: u32 = 2;

/// The verdict on a module and its container. `memory` has taken the container in.
pub fn judge(
    module: &Module,
    seen: Option<&ObservedContainer>,
    memory: &ModuleMemory,
    now: i64,
) -> Verdict {
    let Some(container) = seen else {
        return Verdict::new(Repair::Create, 202, "not there yet");
    };
    let is_up = matches!(container.state, ContainerState::Running | ContainerState::Restarting);
    let ends = memory.exits.recent(now);
    if module.status == Status::Running && is_up && ends >= CRASH_LOOP {
        // Without the number, which grows: a plan that was looked at stays the same.
        let words = "crash loop: the engine restarted it three times or more within 10 minutes";
        return Verdict { failing: true, ..Verdict::new(Repair::None, 500, words) };
    }
    match module.status {
        Status::Running => judge_running(module, container, memory, now),
        Status::Stopped => judge_stopped(container),
    }
}

impl Verdict {
    fn new(repair: Repair, code: u16, words: &str) -> Self {
        Self { repair, code, words: words.to_owned(), due: None, failing: false }
    }

    /// It did not end by itself, whatever its policy says of one that does.
    pub(super) fn of_one_stopped(memory: &ModuleMemory, now: i64) -> Self {
        Self::new(Repair::Start, 202, "it was stopped, and is not started again yet")
            .paced(memory, now)
    }

    /// It is as somebody else has it.
    pub(super) fn of_one_as_it_was() -> Self {
        Self::new(Repair::None, 200, "as it was")
    }

    /// Whether it is down and is to run, now or after a pause.
    pub(super) fn is_to_run(&self) -> bool {
        self.repair == Repair::Start || self.due.is_some()
    }

    /// Once more after a pause; where it was done before in vain it is a failure.
    fn paced(self, memory: &ModuleMemory, now: i64) -> Self {
        let failing = memory.starts.recent(now) >= FAILING;
        let code = if failing { 500 } else { self.code };
        let Some(due) = memory.starts.not_before(now) else {
            return Self { code, failing, ..self };
        };
        let at = Timestamp { seconds: due }.clock();
        let words = format!("{}{PACED}{at}", self.words);
        Self { repair: Repair::None, code, words, due: Some(due), failing }
    }
}

fn judge_stopped(container: &ObservedContainer) -> Verdict {
    match container.state {
        ContainerState::Running | ContainerState::Restarting => {
            Verdict::new(Repair::Stop, 202, "runs and should be stopped")
        }
        ContainerState::Paused => {
            Verdict::new(Repair::UnpauseAndStop, 202, "paused and should be stopped")
        }
        ContainerState::Created | ContainerState::Exited(_) | ContainerState::Dead => {
            Verdict::new(Repair::None, 200, "stopped")
        }
        ContainerState::Removing | ContainerState::Unknown => {
            Verdict::new(Repair::None, 202, "the engine is busy with it")
        }
    }
}

fn judge_running(
    module: &Module,
    container: &ObservedContainer,
    memory: &ModuleMemory,
    now: i64,
) -> Verdict {
    use RestartPolicy::{Always, Never, OnFailure, OnUnhealthy};
    match (container.state, module.restart_policy) {
        (ContainerState::Running, policy) => match (container.health, policy) {
            (Health::None, _) => Verdict::new(Repair::None, 200, "running"),
            (Health::Healthy, _) => Verdict::new(Repair::None, 200, "running, healthy"),
            (Health::Starting, _) => Verdict::new(Repair::None, 202, "running, not yet healthy"),
            (Health::Unhealthy, OnUnhealthy) => {
                Verdict::new(Repair::Restart, 500, "unhealthy").paced(memory, now)
            }
            (Health::Unhealthy, Always | OnFailure | Never) => {
                Verdict { failing: true, ..Verdict::new(Repair::None, 500, "unhealthy") }
            }
        },
        (ContainerState::Created, _) => Verdict::new(Repair::Start, 202, "never started"),
        (ContainerState::Exited(0), Never | OnFailure) => {
            Verdict::new(Repair::None, 200, "it ran and ended with code 0")
        }
        (ContainerState::Exited(code), Never) => {
            Verdict::new(Repair::None, 500, &format!("it ran and ended with code {code}"))
        }
        (ContainerState::Exited(code), policy) => {
            let result = if policy == OnFailure { 500 } else { 202 };
            Verdict::new(Repair::Start, result, &format!("it ended with code {code}"))
                .paced(memory, now)
        }
        (ContainerState::Dead, Never) => Verdict::new(Repair::None, 500, "dead"),
        (ContainerState::Dead, policy) => {
            let result = if policy == OnFailure { 500 } else { 202 };
            Verdict::new(Repair::Start, result, "dead").paced(memory, now)
        }
        (ContainerState::Paused, _) => Verdict::new(Repair::Unpause, 202, "paused"),
        (ContainerState::Restarting, _) => {
            Verdict::new(Repair::None, 202, "the engine is restarting it")
        }
        (ContainerState::Removing | ContainerState::Unknown, _) => {
            Verdict::new(Repair::None, 202, "the engine is busy with it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerDetail, ModuleSettings, Table};
    use crate::plan::without_moment;
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
            network_ids: Default::default(),
            up_for: None,
        }
    }

    fn detail(restart_count: u64, started_at: &str) -> ContainerDetail {
        ContainerDetail {
            image: "a:1".to_owned(),
            image_labels: BTreeMap::new(),
            restart_policy: "always".to_owned(),
            memory: 0,
            memory_swap: 0,
            nano_cpus: 0,
            restart_count,
            started_at: started_at.to_owned(),
            finished_at: String::new(),
            out_of_memory: false,
            error: String::new(),
            made_with: None,
            twin: Default::default(),
        }
    }

    #[test]
    fn a_crash_loop_is_one_of_now() {
        let (minute, started_at) = (60, "2026-01-05T09:00:00.5Z");
        let start = Timestamp::parse(started_at).unwrap().seconds;
        let always = module(Status::Running, RestartPolicy::Always);
        for (state, later, code, repair) in [
            (ContainerState::Running, minute, 500, Repair::None),
            (ContainerState::Restarting, minute, 500, Repair::None),
            (ContainerState::Running, 11 * minute, 200, Repair::None),
            (ContainerState::Paused, minute, 202, Repair::Unpause),
            (ContainerState::Exited(1), minute, 202, Repair::Start),
        ] {
            let mut seen = container(state, Health::None);
            seen.detail = Some(detail(5, started_at));
            let mut memory = ModuleMemory::default();
            memory.notice(&seen, start + later);
            let verdict = judge(&always, Some(&seen), &memory, start + later);
            assert_eq!((verdict.code, verdict.repair), (code, repair), "{state:?} after {later} s");
            assert_eq!(verdict.failing, code == 500);
        }
    }

    /// A control host's clock that is a day off hides no crash loop, and makes none.
    #[test]
    fn a_crash_loop_is_told_by_the_engines_own_clock() {
        let started_at = "2026-01-05T09:00:00.5Z";
        let start = Timestamp::parse(started_at).unwrap().seconds;
        let always = module(Status::Running, RestartPolicy::Always);
        for (state, up_for, finished_at, code) in [
            (ContainerState::Running, Some(1), "", 500),
            (ContainerState::Running, Some(11 * 60), "", 200),
            (ContainerState::Restarting, None, "2026-01-05T09:00:01Z", 500),
            (ContainerState::Restarting, None, "2026-01-05T09:11:01Z", 202),
        ] {
            for off in [-86_400, 86_400] {
                let mut seen = ObservedContainer { up_for, ..container(state, Health::None) };
                let finished_at = finished_at.to_owned();
                seen.detail = Some(ContainerDetail { finished_at, ..detail(5, started_at) });
                let mut memory = ModuleMemory::default();
                memory.notice(&seen, start + off);
                let verdict = judge(&always, Some(&seen), &memory, start + off);
                assert_eq!(verdict.code, code, "{state:?}, up for {up_for:?}, {off} s off");
            }
        }
    }

    /// One restart now and then is no loop, however many there were in a year.
    #[test]
    fn ends_of_long_ago_do_not_count() {
        let at = |minute: i64| format!("2026-01-05T{:02}:{:02}:00Z", minute / 60, minute % 60);
        let moment = |minute: i64| Timestamp::parse(&at(minute)).unwrap().seconds;
        let always = module(Status::Running, RestartPolicy::Always);
        let mut memory = ModuleMemory::default();
        let mut codes = Vec::new();
        // Restarted every 20 minutes, then three times within 4.
        for (count, minute) in
            [(1, 20), (2, 40), (3, 60), (4, 80), (5, 82), (6, 84), (6, 93), (6, 95)]
        {
            let mut seen = container(ContainerState::Running, Health::None);
            seen.detail = (minute != 93).then(|| detail(count, &at(minute.min(84))));
            memory.notice(&seen, moment(minute));
            codes.push(judge(&always, Some(&seen), &memory, moment(minute)).code);
        }
        assert_eq!(codes, [200, 200, 200, 200, 200, 500, 200, 200]);
        let mut other = container(ContainerState::Running, Health::None);
        other.id = "2".to_owned();
        memory.notice(&other, moment(84));
        assert_eq!(memory.exits, Default::default(), "another container begins anew");
    }

    #[test]
    fn what_ends_is_started_at_once_then_with_pauses_and_fails_from_the_third_time() {
        use RestartPolicy::{Always, OnFailure, OnUnhealthy};
        for (policy, state, health, repair, codes) in [
            (Always, ContainerState::Exited(1), Health::None, Repair::Start, [202, 202, 500]),
            (OnUnhealthy, ContainerState::Exited(0), Health::None, Repair::Start, [202, 202, 500]),
            (OnFailure, ContainerState::Exited(3), Health::None, Repair::Start, [500, 500, 500]),
            (OnUnhealthy, ContainerState::Running, Health::Unhealthy, Repair::Restart, [500; 3]),
            (Always, ContainerState::Dead, Health::None, Repair::Start, [202, 202, 500]),
        ] {
            let module = module(Status::Running, policy);
            let seen = container(state, health);
            let mut memory = ModuleMemory::default();
            let mut now = 1_000;
            for (round, code) in codes.into_iter().enumerate() {
                let verdict = judge(&module, Some(&seen), &memory, now);
                assert_eq!((verdict.repair, verdict.code), (repair, code), "{policy} {round}");
                assert_eq!(verdict.failing, round == 2, "{policy} {round}");
                memory.starts = memory.starts.again(now);
                let waits = judge(&module, Some(&seen), &memory, now + 1);
                assert_eq!(waits.repair, Repair::None);
                let due = waits.due.unwrap();
                assert_eq!(due - now, 10 << round);
                assert!(waits.words.contains("not before 00:1"), "{}", waits.words);
                assert!(!without_moment(&waits.words).contains(" UTC"), "{}", waits.words);
                now = due;
            }
            let calm = judge(&module, Some(&seen), &memory, now + 600);
            assert_eq!((calm.repair, calm.code), (repair, codes[0]), "ten minutes later");
        }
    }

    #[test]
    fn every_row_of_the_table() {
        use ContainerState as S;
        use RestartPolicy::{Always, Never, OnFailure, OnUnhealthy};
        use Status::{Running, Stopped};
        let none = ModuleMemory::default();
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
            let verdict = judge(&module(status, policy), Some(&container(state, health)), &none, 0);
            assert_eq!(
                (verdict.repair, verdict.code),
                (repair, code),
                "{status} {policy} {state:?} {health:?}"
            );
        }
        for status in [Running, Stopped] {
            let verdict = judge(&module(status, Always), None, &none, 0);
            assert_eq!((verdict.repair, verdict.code), (Repair::Create, 202));
        }
    }
}
