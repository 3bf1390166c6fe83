//! Waiting for a container: until it runs steadily or is healthy, until it is gone.
//!
//! Enters: a container and limits. Leaves: that it came true, or why it will not, with the exit code and the
//! last lines that the module wrote. It asks again and again, as events can be lost with a connection.

use super::Docker;
use super::failure::tidied;
use super::observe::REMOVING;
use super::wire::Inspected;
use crate::engine::{Cause, EngineError, EngineErrorKind, SecretValues};
use crate::plan::{ContainerRef, module_in};
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::Instant;

const FIRST_LOOK: Duration = Duration::from_millis(100);
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
const GONE_LIMIT: Duration = Duration::from_secs(60);
const LOG_LIMIT: Duration = Duration::from_secs(2);

/// What a wait goes by.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// How long it must have run without ending.
    pub(super) steady: Duration,
    /// From the beginning of the wait.
    pub(super) deadline: Duration,
    /// Whether ending with code 0 is as good as running.
    pub(super) may_end: bool,
}

/// What one look says of a wait.
enum Verdict {
    Good,
    NotYet,
    Failed(String),
}

impl Docker {
    /// Until it has run for `steady` without ending, or is healthy if it has a check.
    pub(super) async fn wait_running(
        &self,
        waited_for: &ContainerRef,
        limits: Limits,
        secrets: &SecretValues,
    ) -> Result<(), EngineError> {
        let container = waited_for.as_str();
        let Limits { steady, deadline, may_end } = limits;
        let begun = Instant::now();
        let mut first: Option<FirstLook> = None;
        let mut pause = FIRST_LOOK;
        loop {
            let seen = self.inspect(container).await?;
            let Some(seen) = seen.filter(|seen| seen.state.status != REMOVING) else {
                // What was there when the wait began, somebody else took away.
                return Err(match &first {
                    Some(FirstLook { name, .. }) => {
                        let words =
                            format!("{name} was removed by somebody else while it was tried");
                        EngineError::new(EngineErrorKind::Conflict, words)
                            .because(Cause::StoppedByAnother)
                    }
                    None => {
                        let words = format!("{waited_for} is gone");
                        EngineError::new(EngineErrorKind::NotFound, words)
                    }
                });
            };
            let name = module_in(seen.name.trim_start_matches('/'));
            let first = first.get_or_insert_with(|| FirstLook::at(&seen));
            let began_again = first.began_again(&seen);
            let told = |text: &str| tidied(&secrets.masked(text));
            let was_stopped = first.was_stopped(&seen);
            let long_enough = begun.elapsed() >= steady;
            // Who is stopped and ends well for that did not come to its end.
            match judge(&seen, began_again, long_enough, may_end && !was_stopped, &told) {
                Verdict::Good => return Ok(()),
                Verdict::Failed(words) => {
                    if was_stopped {
                        let message = format!("{name} was stopped by somebody else: it {words}");
                        return Err(EngineError::new(EngineErrorKind::Conflict, message)
                            .because(Cause::StoppedByAnother));
                    }
                    let lines = self.last_lines(container, secrets).await;
                    let message = format!("{name} {words}{lines}");
                    return Err(EngineError::new(EngineErrorKind::ModuleFailed, message));
                }
                Verdict::NotYet => {}
            }
            let left = deadline.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let health = seen.state.health.map_or_else(String::new, |health| {
                    format!(", its health is `{}`", health.status)
                });
                let message = format!(
                    "{name} did not come up within {}: it is {}{health}",
                    crate::model::Duration { millis: millis(deadline) },
                    seen.state.status
                );
                return Err(EngineError::new(EngineErrorKind::TimedOut, message));
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = BETWEEN_LOOKS;
        }
    }

    /// That a module does not stay up, where its engine is just restarting it.
    pub(super) async fn ends_again_and_again(
        &self,
        seen: &Inspected,
        secrets: &SecretValues,
    ) -> Option<EngineError> {
        let Verdict::Failed(words) = judge(seen, false, false, false, &tidied) else { return None };
        if seen.state.status != "restarting" {
            return None;
        }
        let name = module_in(seen.name.trim_start_matches('/'));
        let lines = self.last_lines(&seen.id, secrets).await;
        let message = format!("{name} {words}{lines}");
        Some(EngineError::new(EngineErrorKind::ModuleFailed, message))
    }

    /// Until no container has that name or id.
    pub(super) async fn wait_gone(&self, container: &str) -> Result<(), EngineError> {
        let begun = Instant::now();
        while self.inspect(container).await?.is_some() {
            if begun.elapsed() >= GONE_LIMIT {
                let words = format!("the engine does not finish the removal of {container}");
                return Err(EngineError::new(EngineErrorKind::TimedOut, words));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }

    /// `: last words: …`, as far as they can be had at once; secrets of the step are masked.
    async fn last_lines(&self, container: &str, secrets: &SecretValues) -> String {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("5").build();
        let mut text = String::new();
        let read = async {
            let mut lines = std::pin::pin!(self.client.logs(container, Some(options)));
            while let Some(Ok(line)) = lines.next().await {
                let (LogOutput::StdErr { message }
                | LogOutput::StdOut { message }
                | LogOutput::StdIn { message }
                | LogOutput::Console { message }) = line;
                text.push_str(String::from_utf8_lossy(&message).trim_end());
                text.push_str(" | ");
                if text.len() > 4000 {
                    break;
                }
            }
        };
        // What could be read until then is shown.
        let _ = tokio::time::timeout(LOG_LIMIT, read).await;
        let text: String = secrets.masked(&text).chars().filter(|c| !c.is_control()).collect();
        match text.trim_end_matches([' ', '|']) {
            "" => String::new(),
            lines => format!("; its last words: {}", tidied(lines)),
        }
    }
}

/// What a container was when the wait began.
struct FirstLook {
    name: String,
    restarts: u64,
    started_at: String,
    policy: String,
}

impl FirstLook {
    fn at(seen: &Inspected) -> Self {
        Self {
            name: module_in(seen.name.trim_start_matches('/')).to_owned(),
            restarts: seen.restart_count,
            started_at: seen.state.started_at.clone(),
            policy: seen.host_config.restart_policy.name.clone(),
        }
    }

    fn began_again(&self, seen: &Inspected) -> bool {
        seen.restart_count > self.restarts || seen.state.started_at != self.started_at
    }

    /// Whoever stops a container for good takes its restart policy away first, as Hoist does: else its engine would start it
    /// again. A container that ends by itself keeps its policy.
    fn was_stopped(&self, seen: &Inspected) -> bool {
        let is_none = |policy: &str| matches!(policy, "" | "no");
        let is_down = matches!(seen.state.status.as_str(), "exited" | "stopped" | "dead");
        is_down && is_none(&seen.host_config.restart_policy.name) && !is_none(&self.policy)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `told` makes words fit to be shown of what the engine and a health check say.
fn judge(
    seen: &Inspected,
    began_again: bool,
    long_enough: bool,
    may_end: bool,
    told: &dyn Fn(&str) -> String,
) -> Verdict {
    let state = &seen.state;
    let killed = if state.out_of_memory { " (killed for memory)" } else { "" };
    let ended =
        |word: &str| Verdict::Failed(format!("{word} with code {}{killed}", state.exit_code));
    match state.status.as_str() {
        "exited" | "stopped" if may_end && state.exit_code == 0 => return Verdict::Good,
        "exited" | "stopped" => return ended("ended"),
        "restarting" => return ended("ends again and again, last"),
        "dead" | REMOVING => return Verdict::Failed(format!("is {}", state.status)),
        "created" if !state.error.is_empty() => {
            return Verdict::Failed(format!("did not start: {}", told(&state.error)));
        }
        "created" => return Verdict::Failed("was never started".to_owned()),
        _ if began_again => {
            return Verdict::Failed(format!("ended and was started again by the engine{killed}"));
        }
        "running" => {}
        _ => return Verdict::NotYet,
    }
    match state.health.as_ref().map(|health| (health.status.as_str(), health)) {
        None | Some(("none" | "", _)) if long_enough => Verdict::Good,
        Some(("healthy", _)) => Verdict::Good,
        Some(("unhealthy", health)) => {
            let output = health.log.last().map_or("", |probe| probe.output.trim());
            let said =
                if output.is_empty() { String::new() } else { format!(": {}", told(output)) };
            Verdict::Failed(format!("is unhealthy{said}"))
        }
        _ => Verdict::NotYet,
    }
}
