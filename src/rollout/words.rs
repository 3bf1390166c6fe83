//! How a rollout stands, for people and programs.

use super::step::LONG;
use super::tally::{in_words, named};
use super::{Cause, Member, PhaseState, Place, Rollout, Stage, Wait};
use crate::model::{DeviceId, Timestamp};
use serde_json::{Value as Json, json};

/// What is said where nobody was left behind.
const ALL_PASSED: &str = "all phases have passed";
/// What is said of one that nobody takes further.
const LEFT_ALONE: &str = "no daemon works on this store: nothing goes on until `hoist watch` does";

/// A rollout as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The revision before.
    pub from: String,
    /// The revision that it leads to.
    pub to: String,
    /// `running`, `waiting`, `paused`, `halted`, `rolled back`, `done`.
    pub state: &'static str,
    /// The phase that is open.
    pub phase: Option<String>,
    /// Its phases.
    pub phases: Vec<PhaseStanding>,
    /// Why it stands where it stands.
    pub reason: String,
    /// What people may do about it, where it does not go on by itself.
    pub next: Option<&'static str>,
    /// Where it has stood still for a while: what tells the reason from others, however many devices it is about.
    pub stuck: Option<String>,
}

/// A phase as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseStanding {
    /// Its name.
    pub name: String,
    /// How many devices are in it; of a share that has not opened: about how many.
    pub devices: usize,
    /// How many were let in.
    pub admitted: usize,
    /// How many succeeded.
    pub success: usize,
    /// How many failed.
    pub failure: usize,
}

impl Rollout {
    /// How it stood at its last step.
    pub fn standing(&self) -> Standing {
        let open = self.phases.get(self.open).map(|phase| phase.name.clone());
        let is_over = matches!(self.stage, Stage::Done | Stage::RolledBack { .. });
        Standing {
            from: self.from.clone(),
            to: self.to.clone(),
            state: self.state(),
            phase: open.filter(|_| !is_over),
            phases: (0..self.phases.len()).map(|index| self.phase_standing(index)).collect(),
            reason: self.reason() + &self.who_is_withheld(),
            next: self.next(),
            stuck: self.cause_of_wait().filter(|_| self.stuck >= LONG),
        }
    }

    /// What it stands still for, without names and numbers; `None` where it goes on.
    pub(super) fn cause_of_wait(&self) -> Option<String> {
        let kinds = match (&self.stage, &self.wait) {
            (Stage::Running, Wait::Nobody { causes, .. } | Wait::TooFew { causes, .. }) => {
                let kind = |cause: &Cause| match cause {
                    Cause::Away => "away",
                    Cause::Held => "held",
                    Cause::Failed => "failed",
                };
                causes.iter().map(kind).collect::<Vec<_>>().join("+")
            }
            (Stage::Running, Wait::Full { .. }) => "full".to_owned(),
            (Stage::Running, Wait::CutOff) => "cut off".to_owned(),
            _ => return None,
        };
        Some(format!("{}: {kinds}", self.open_phase()))
    }

    /// The same at a later moment, as far as time alone makes a difference.
    pub fn standing_at(&self, now: Timestamp) -> Standing {
        let standing = self.standing();
        let (Stage::Running, Wait::Soak { left }) = (&self.stage, &self.wait) else {
            return standing;
        };
        let passed = now.seconds.saturating_sub(self.at.seconds).saturating_mul(1000);
        let left = left.saturating_sub(u64::try_from(passed).unwrap_or(0));
        let at = Timestamp { seconds: self.at.seconds.max(now.seconds) };
        Standing { reason: self.soaks(left, at) + &self.who_is_withheld(), ..standing }
    }

    fn soaks(&self, left: u64, at: Timestamp) -> String {
        let seconds = i64::try_from(left.div_ceil(1000)).unwrap_or(i64::MAX);
        let until = Timestamp { seconds: at.seconds.saturating_add(seconds) };
        format!("{} soaks until {until} ({} more)", self.open_phase(), in_words(left))
    }

    /// The same where no daemon works on it: no moment is said at which anything would happen.
    pub fn standing_left_alone(&self) -> Standing {
        let standing = self.standing();
        if !self.counts_time() && !matches!(self.wait, Wait::Back { .. }) {
            return standing;
        }
        let reason = match (&self.stage, &self.wait) {
            (Stage::Running, Wait::Soak { left }) => {
                format!("{} has to soak {} more", self.open_phase(), in_words(*left))
            }
            _ => self.reason(),
        } + &self.who_is_withheld();
        Standing { reason: format!("{reason}; {LEFT_ALONE}"), ..standing }
    }

    fn next(&self) -> Option<&'static str> {
        match (&self.stage, &self.wait) {
            (Stage::Paused { .. }, _) => {
                Some("`hoist rollout resume` goes on, `hoist rollout abort` goes back")
            }
            (Stage::Halted { .. }, _) => Some(
                "`hoist rollout promote` goes on without what failed, `hoist rollout retry` tries it again, \
                 `hoist rollout abort` goes back",
            ),
            (Stage::RolledBack { .. }, _) => Some(
                "the next commit that changes devices; `hoist rollout retry` tries this one again",
            ),
            (Stage::Running, Wait::TooFew { .. } | Wait::Nobody { .. })
                if self.has_something_to_retry() =>
            {
                Some(
                    "`hoist rollout retry` tries again what failed, `hoist rollout promote` goes on all the \
                     same, `hoist rollout abort` goes back",
                )
            }
            (Stage::Running, Wait::TooFew { .. } | Wait::Nobody { .. }) => Some(
                "it goes on by itself as soon as it can; `hoist rollout promote` goes on all the same, \
                 `hoist rollout abort` goes back",
            ),
            (Stage::Running | Stage::Done, _) => None,
        }
    }

    fn open_phase(&self) -> &str {
        self.phases.get(self.open).map_or("", |phase| phase.name.as_str())
    }

    fn state(&self) -> &'static str {
        match (&self.stage, &self.wait) {
            (
                Stage::Running,
                Wait::Nobody { .. } | Wait::TooFew { .. } | Wait::Full { .. } | Wait::CutOff,
            ) => "waiting",
            (Stage::Running, _) => "running",
            (Stage::Paused { .. }, _) => "paused",
            (Stage::Halted { .. }, _) => "halted",
            (Stage::RolledBack { .. }, _) => "rolled back",
            (Stage::Done, _) => "done",
        }
    }

    fn phase_standing(&self, index: usize) -> PhaseStanding {
        let PhaseState { name, .. } = &self.phases[index];
        let members = || self.members.values().filter(|m| m.phase == Some(index));
        let free = self.members.values().filter(|m| m.phase.is_none()).count();
        PhaseStanding {
            name: name.clone(),
            devices: members().count() + self.expected(index, free),
            admitted: members().filter(|member| member.is_moved()).count(),
            success: members().filter(|member| member.place == Place::Good).count(),
            failure: members().filter(|m| matches!(m.place, Place::Failed { .. })).count(),
        }
    }

    /// How many of those that are in no phase yet a phase will take.
    fn expected(&self, index: usize, free: usize) -> usize {
        let mut free = free;
        for (at, phase) in self.phases.iter().enumerate().filter(|(_, phase)| !phase.opened) {
            let taken = match phase.who {
                super::Who::Target => 0,
                super::Who::Rest => free,
                super::Who::Share(share) => {
                    let share = crate::model::Amount::Share(share);
                    super::rules::rounded_up(share, self.members.len()).min(free)
                }
            };
            if at == index {
                return taken;
            }
            free -= taken;
        }
        0
    }

    fn reason(&self) -> String {
        let back = match self.wait {
            Wait::Back { missing, ref who } => format!("; {missing} on the way back ({who})"),
            _ => String::new(),
        };
        let phase = self.open_phase();
        match (&self.stage, &self.wait) {
            (Stage::Done, _) => self.how_it_ended(),
            (Stage::RolledBack { words } | Stage::Halted { words }, _) => format!("{words}{back}"),
            (Stage::Paused { words }, _) => words.clone(),
            (Stage::Running, Wait::Nothing | Wait::Back { .. }) => format!("{phase} goes on"),
            (Stage::Running, Wait::Reports { missing, of, because }) => {
                let because = match because.as_str() {
                    "" => String::new(),
                    words => format!(" ({words})"),
                };
                format!("{missing} of {of} of {phase} not reported yet{because}")
            }
            (Stage::Running, Wait::Looks { has_soaked: false, missing, of, who }) => {
                format!(
                    "{phase} soaks on as soon as {missing} of {of} were looked at again ({who})"
                )
            }
            (Stage::Running, Wait::Looks { has_soaked: true, missing, of, who }) => format!(
                "{phase} has soaked: {missing} of {of} are looked at once more before it passes ({who})"
            ),
            (Stage::Running, Wait::CutOff) => {
                format!("{phase} waits: no engine answers, so that no time counts")
            }
            (Stage::Running, Wait::Soak { left }) => self.soaks(*left, self.at),
            (Stage::Running, Wait::TooFew { have, need, because, causes: _ }) => {
                format!("{phase} waits: {have} have succeeded, {need} are needed; {because}")
            }
            (Stage::Running, Wait::Nobody { because, causes: _ } | Wait::Full { because }) => {
                format!("{phase} waits: {because}")
            }
        }
    }
}

impl Rollout {
    /// Who waits for its turn although a deployment says that it waits for none.
    fn who_is_withheld(&self) -> String {
        let waits =
            |device: &&DeviceId| self.members.get(*device).is_some_and(|member| !member.is_moved());
        let devices: Vec<DeviceId> = self.withheld.iter().filter(waits).cloned().collect();
        match self.stage {
            Stage::Done => String::new(),
            _ if devices.is_empty() => String::new(),
            _ => format!(
                "; what says `phased = false` waits as well on {}, as what nobody has proven comes with it",
                named(&devices)
            ),
        }
    }

    /// Whom the end left behind, and why.
    fn how_it_ended(&self) -> String {
        let of = |is_so: &dyn Fn(&DeviceId, &Member) -> bool| -> Vec<DeviceId> {
            let members = self.members.iter().filter(|(device, member)| is_so(device, member));
            members.map(|(device, _)| device.clone()).collect()
        };
        let waits = |member: &Member| member.place == Place::Waiting;
        let failed = of(&|_, member| matches!(member.place, Place::Failed { .. }));
        let marked = of(&|device, member| waits(member) && self.is_marked(device, member));
        let away = of(&|device, member| waits(member) && !self.is_marked(device, member));
        let on_the_way = of(&|_, member| matches!(member.place, Place::Admitted { .. }));
        let mut words = ALL_PASSED.to_owned();
        let parts = [
            ("; failed: ", failed),
            ("; not tried again, as it failed before: ", marked),
            ("; to come when they can: ", away),
            ("; on the way: ", on_the_way),
        ];
        for (word, devices) in parts.into_iter().filter(|(_, devices)| !devices.is_empty()) {
            words.push_str(word);
            words.push_str(&named(&devices));
        }
        words
    }
}

impl Standing {
    /// Whether there is nothing to say of it: all phases have passed, and nobody was left behind.
    pub fn is_over_and_well(&self) -> bool {
        self.state == "done" && self.reason == ALL_PASSED
    }

    /// The shape of `"rollout"` in answers of the API and of `hoist status`.
    pub fn to_json(&self) -> Json {
        let Self { from, to, state, phase, phases, reason, next: _, stuck: _ } = self;
        let phases: Vec<Json> = phases
            .iter()
            .map(|phase| {
                let PhaseStanding { name, devices, admitted, success, failure } = phase;
                json!({
                    "name": name, "devices": devices, "admitted": admitted,
                    "success": success, "failure": failure,
                })
            })
            .collect();
        json!({
            "from": from, "to": to, "state": state, "phase": phase, "phases": phases,
            "reason": reason,
        })
    }
}
