//! The line that shows on a terminal what a run is doing; elsewhere there is none.
//!
//! It stands on stderr, is drawn anew with every step, and makes way for each line that stays.

use super::Format;
use crate::apply::Event;
use crate::diagnostic::render::visible;
use crate::model::DeviceId;
use crate::plan::{Plan, When};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

/// No terminal is narrower.
const WIDTH: usize = 79;

/// What a run is doing.
pub(super) struct Progress {
    is_drawn: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    works: usize,
    ended: usize,
    steps: BTreeMap<DeviceId, String>,
}

impl Progress {
    /// Of a run of this plan: drawn where people look at it.
    pub(super) fn of(plan: &Plan, format: Format) -> Self {
        let works = plan.devices.values().flat_map(|device| &device.works);
        let works = works.filter(|work| matches!(work.when, When::AllPassed(_))).count();
        Self {
            is_drawn: works > 0 && format == Format::Text && std::io::stderr().is_terminal(),
            state: Mutex::new(State { works, ..State::default() }),
        }
    }

    /// Takes in what happens.
    pub(super) fn take(&self, device: &DeviceId, event: &Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::StepBegins { step, .. } => {
                state.steps.insert(device.clone(), step.to_string());
            }
            Event::StepEnded { .. } => {
                state.steps.remove(device);
            }
            Event::WorkEnded { .. } => state.ended = (state.ended + 1).min(state.works),
        }
        self.draw(&state);
    }

    /// Prints what stays; the line makes way.
    pub(super) fn beside(&self, print: impl FnOnce()) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
        print();
        self.draw(&state);
    }

    fn draw(&self, state: &State) {
        if self.is_drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[2K{}", state.line());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}

impl State {
    /// `3 of 12 done   till-1: pull web:1.0   (+2 devices)`.
    fn line(&self) -> String {
        let mut line = format!("{} of {} done", self.ended, self.works);
        if let Some((device, step)) = self.steps.first_key_value() {
            line.push_str(&visible(&format!("   {device}: {step}")));
        }
        let more = match self.steps.len().saturating_sub(1) {
            0 => String::new(),
            n => format!("   (+{n})"),
        };
        let room = WIDTH.saturating_sub(more.chars().count());
        if line.chars().count() > room {
            line = line.chars().take(room.saturating_sub(1)).collect();
            line.push('…');
        }
        line + &more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_and_says_what_is_done() {
        let device = |id: &str| DeviceId::parse(id).unwrap();
        let mut state = State { works: 12, ended: 3, ..State::default() };
        assert_eq!(state.line(), "3 of 12 done");
        state.steps.insert(device("till-1"), "pull web:1.0".to_owned());
        state.steps.insert(device("till-2"), "start web".to_owned());
        assert_eq!(state.line(), "3 of 12 done   till-1: pull web:1.0   (+1)");
        state.steps.insert(device("door"), format!("pull {}\u{1b}", "x".repeat(200)));
        let line = state.line();
        assert_eq!(line.chars().count(), WIDTH);
        assert!(line.ends_with("…   (+2)") && !line.contains('\u{1b}'), "{line}");
    }
}
