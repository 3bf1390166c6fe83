//! Ctrl-C and SIGTERM while devices are worked on: the first lets engines finish the steps that they have begun, waits for
//! no module and takes back what is half done; the second leaves at once.

use super::exit::Exit;
use super::output::say;
use crate::apply::{CallOff, Event};
use crate::diagnostic::render::visible;
use crate::model::{DeviceId, Duration};
use crate::plan::Step;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Whether a run is called off, and the steps that are in progress.
#[derive(Clone, Default)]
pub(super) struct CallingOff {
    pub(super) call_off: CallOff,
    running: Arc<Mutex<Vec<Running>>>,
}

/// A step in progress.
struct Running {
    device: DeviceId,
    work: usize,
    words: String,
    /// How long it may take, as far as that can be said.
    limit: Option<Duration>,
    /// Whether it only waits for a module, which a run that is called off does no longer.
    is_wait: bool,
}

impl CallingOff {
    /// From now on Ctrl-C calls the run off; so does SIGTERM, by which schedulers and pipelines end what runs too long.
    pub(super) fn listen() -> Self {
        let calling_off = Self::default();
        let told = calling_off.clone();
        // Where the system refuses that, they end the process as they always do.
        let (Ok(mut int), Ok(mut term)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return calling_off;
        };
        tokio::spawn(async move {
            either(&mut int, &mut term).await;
            told.call_off.now();
            say(&told.words());
            either(&mut int, &mut term).await;
            say("left at once; the next run goes on from what is there");
            std::process::exit(Exit::Failed.code().into());
        });
        calling_off
    }

    /// Takes in what happens.
    pub(super) fn take(&self, device: &DeviceId, event: &Event<'_>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::StepBegins { work, step } => running.push(Running {
                device: device.clone(),
                work: *work,
                words: step.to_string(),
                limit: limit(step),
                is_wait: matches!(step, Step::WaitRunning { .. }),
            }),
            Event::StepEnded { work, .. } => {
                running.retain(|step| (&step.device, step.work) != (device, *work));
            }
            Event::WorkEnded { .. } => {}
        }
    }

    /// What happens now, and how long that may take.
    fn words(&self) -> String {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let once_more = "Ctrl-C once more leaves at once";
        // Of those that are finished the one without a limit, or with the longest.
        let last = running
            .iter()
            .max_by_key(|step| (!step.is_wait, step.limit.map_or(u64::MAX, |limit| limit.millis)));
        let Some(Running { device, words, is_wait, .. }) = last else {
            return format!("called off: nothing new begins; {once_more}");
        };
        let more = match running.len() - 1 {
            0 => String::new(),
            1 => ", and 1 more step".to_owned(),
            n => format!(", and {n} more steps"),
        };
        let first = match is_wait {
            true => "modules are not waited for any longer",
            false => "what is in progress is finished first",
        };
        format!(
            "called off: nothing new begins; {first}, and what is then half done is taken back ({device}: {}{more}); \
             {once_more}",
            visible(words)
        )
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! { _ = one.recv() => {}, _ = other.recv() => {} }
}

/// How long a step may take; its words say so too. Others take as long as the engine needs.
fn limit(step: &Step) -> Option<Duration> {
    match step {
        Step::Stop { timeout, .. } => *timeout,
        Step::Pull { .. } => None,
        _ => Some(Duration::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ContainerRef;

    #[test]
    fn it_says_what_is_waited_for_and_how_long() {
        let calling_off = CallingOff::default();
        assert_eq!(
            calling_off.words(),
            "called off: nothing new begins; Ctrl-C once more leaves at once"
        );
        let device = DeviceId::parse("till-1").expect("an id");
        let container = ContainerRef::Name("hoist-new-web".to_owned());
        let wait = Step::WaitRunning {
            container: container.clone(),
            steady: Duration::seconds(60),
            deadline: Duration::seconds(130),
            may_end: false,
        };
        let start = Step::Start { container };
        for (work, step) in [(0, &start), (1, &wait), (2, &start)] {
            calling_off.take(&device, &Event::StepBegins { work, step });
        }
        calling_off.take(&device, &Event::StepEnded { work: 2, step: &start, result: Ok(()) });
        insta::assert_snapshot!(calling_off.words(), @"called off: nothing new begins; what is in progress is finished first, and what is then half done is taken back (till-1: start web (as hoist-new-web), and 1 more step); Ctrl-C once more leaves at once");
        calling_off.take(&device, &Event::StepEnded { work: 0, step: &start, result: Ok(()) });
        insta::assert_snapshot!(calling_off.words(), @"called off: nothing new begins; modules are not waited for any longer, and what is then half done is taken back (till-1: wait until web (as hoist-new-web) has run 1m (at most 2m10s)); Ctrl-C once more leaves at once");
    }
}
