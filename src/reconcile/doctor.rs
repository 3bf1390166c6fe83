//! What stands in the way of one device, looked for step by step, and what helps.
//!
//! Enters: a device, the way to its engine, what is recorded of it, the plan for it. Leaves: [`Finding`]s in the order in
//! which they were looked for: who does not reach an engine is not told of its ports. Nothing is changed. Not here: how
//! findings look.

use super::gate::Gate;
use super::help::help_of;
use crate::engine::{EngineError, EngineErrorKind, EngineHealth};
use crate::model::{Device, EngineAddress, EngineReport, Timestamp};
use crate::plan::{Block, DevicePlan, DeviceState};
use crate::store::StoredDevice;
use std::time::Duration;

/// Clocks may differ by so many seconds.
const CLOCKS: i64 = 5;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, in a word.
    pub about: String,
    /// Whether it is as it should be; `None` for what is only worth knowing.
    pub good: Option<bool>,
    /// How it is.
    pub words: String,
    /// What to do.
    pub help: Option<String>,
}

/// What was found before the device's modules are looked at.
#[derive(Debug, Clone, Default)]
pub struct Examined {
    /// In the order in which it was looked for.
    pub findings: Vec<Finding>,
    /// How the engine fares, if it answered.
    pub health: Option<EngineHealth>,
}

impl Finding {
    /// Something as it should be.
    pub fn good(about: &str, words: impl Into<String>) -> Self {
        Self { about: about.to_owned(), good: Some(true), words: words.into(), help: None }
    }

    /// Something that is not.
    pub fn bad(about: &str, words: impl Into<String>, help: Option<String>) -> Self {
        Self { about: about.to_owned(), good: Some(false), words: words.into(), help }
    }

    /// Something worth knowing.
    pub fn note(about: &str, words: impl Into<String>) -> Self {
        Self { about: about.to_owned(), good: None, words: words.into(), help: None }
    }
}

/// Looks at the way to a device's engine, and at the engine. `now` is asked for once the engine has answered.
pub async fn examine(
    gate: &Gate,
    device: &Device,
    stored: Option<&StoredDevice>,
    now: impl Fn() -> Timestamp,
) -> Examined {
    let mut examined = Examined::default();
    let findings = &mut examined.findings;
    let way = device.engine.as_ref().map_or("no address".to_owned(), ToString::to_string);
    let engine = match gate.open(device) {
        Ok(engine) => engine,
        Err(words) => {
            let help = "the device's file and `[engines]` and `[tls]` of the control host's hoist.toml decide that";
            findings.push(Finding::bad("way", format!("{way}: {words}"), Some(help.to_owned())));
            return examined;
        }
    };
    findings.push(Finding::good("way", way));
    let report = match engine.facts().await {
        Ok(report) => report,
        Err(error) => {
            findings.push(not_reached(&error));
            return examined;
        }
    };
    let how = match &device.engine {
        Some(EngineAddress::Tcp { .. }) if device.tls.is_some() => {
            "it answers, and both certificates are accepted"
        }
        Some(EngineAddress::Ssh { .. }) => "ssh lets us in, and the engine behind it answers",
        _ => "it answers",
    };
    findings.push(Finding::good("answer", how));
    findings.push(Finding::good(
        "version",
        format!("{} {}, spoken to in API {}", report.name, report.version, report.api_version),
    ));
    findings.push(which_engine(device, &report, stored));
    match engine.health().await {
        Ok(health) => {
            findings.extend(health.time.map(|time| clock(time, now())));
            let warnings = health.warnings.iter();
            findings.extend(warnings.map(|warning| Finding::note("engine", warning.as_str())));
            examined.health = Some(health);
        }
        Err(error) => findings.push(not_reached(&error)),
    }
    examined
}

/// What the plan for it and what was recorded say of its modules.
pub fn modules(plan: &DevicePlan, stored: Option<&StoredDevice>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let apply = || Some(format!("`hoist plan --device {}` shows the steps", plan.device));
    match &plan.state {
        DeviceState::Observed => {}
        DeviceState::Pending(words) => findings.push(Finding::bad("modules", words, None)),
        DeviceState::Paused(words) | DeviceState::Held { words, .. } => {
            findings.push(Finding::bad("held", words, None));
        }
    }
    findings.extend(plan.held.as_ref().map(|words| Finding::bad("held", words, None)));
    for (module, block) in &plan.blocked {
        let words = format!("{} {}", block.code(), block);
        let help = match block {
            Block::FailedBefore(failed) if failed.given_up => Some(
                "the rollout halted on it: `hoist rollout retry` tries it again, `promote` goes on without it, `abort` \
                 goes back; or a commit that mends it"
                    .to_owned(),
            ),
            // What failed is gone with its log, and what is there is the container before it.
            Block::FailedBefore(failed) if failed.code == 500 => Some(format!(
                "what it wrote last stands there, if it wrote anything; `hoist apply --retry --device {}` tries it now",
                plan.device
            )),
            block => help_for(block.code()),
        };
        findings.push(Finding::bad(module.as_str(), words, help));
    }
    for (module, standing) in stored.into_iter().flat_map(|stored| &stored.modules) {
        if standing.code >= 400 && !plan.blocked.contains_key(module) {
            let words = format!("{} {}", standing.code, standing.description);
            let help = match standing.code {
                500 => Some(format!(
                    "`hoist logs {} {module}` says what it wrote before it ended",
                    plan.device
                )),
                code => help_for(code),
            };
            findings.push(Finding::bad(module.as_str(), words, help));
        }
    }
    if plan.state == DeviceState::Observed && findings.is_empty() {
        findings.push(match plan.works.len() {
            0 => Finding::good("modules", "all run as they should"),
            n => {
                let words = match n {
                    1 => "one thing differs from what it should be".to_owned(),
                    n => format!("{n} things differ from what they should be"),
                };
                Finding { help: apply(), ..Finding::note("modules", words) }
            }
        });
    }
    findings
}

fn not_reached(error: &EngineError) -> Finding {
    let help = match (error.kind, error.cause) {
        (_, Some(cause)) => help_of(cause),
        (EngineErrorKind::TimedOut, None) => Some(
            "it takes connections and says nothing: look at that machine's load and disk, or restart dockerd there",
        ),
        _ => None,
    };
    let help = help.map(str::to_owned);
    Finding::bad("answer", error.message.as_str(), help)
}

fn which_engine(device: &Device, report: &EngineReport, stored: Option<&StoredDevice>) -> Finding {
    let known = stored.and_then(|stored| stored.engine_id.as_deref());
    let accepted = stored.and_then(|stored| stored.accepted_engine.as_deref());
    match known {
        None => Finding::note("engine", "it was never worked with before"),
        Some(known) if known == report.id || accepted == Some(report.id.as_str()) => {
            Finding::good("engine", "the same as before")
        }
        Some(_) => Finding::bad(
            "engine",
            "another engine than before answers there",
            Some(format!("if that is right: `hoist accept-engine {}`", device.id)),
        ),
    }
}

fn clock(theirs: Timestamp, ours: Timestamp) -> Finding {
    let off = theirs.seconds.saturating_sub(ours.seconds);
    if off.abs() <= CLOCKS {
        return Finding::good("clock", format!("within {CLOCKS} s of this machine's"));
    }
    let size = Duration::from_secs(off.unsigned_abs());
    let side = if off < 0 { "behind" } else { "ahead of" };
    Finding::bad(
        "clock",
        format!("{size:?} {side} this machine's"),
        Some("set both by NTP: certificates, registries and logs go by them".to_owned()),
    )
}

fn help_for(code: u16) -> Option<String> {
    let help = match code {
        409 => {
            "something that is not ours is in the way: stop or rename it on the device, or `hoist adopt`"
        }
        422 => "the engine refuses what the manifest asks: `hoist explain` says who set it",
        424 => {
            "the image: its name, the registry, its credentials in hoist.toml, or the device's way to it"
        }
        500 => "`hoist logs` says what the module wrote before it ended",
        504 => "it takes longer than its limit: look at the device's load and disk",
        _ => return None,
    };
    Some(help.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceId, Hash, ModuleName};
    use crate::plan::FailedChange;

    /// The log of what failed went with it; that of the container in its place says nothing of the failure.
    #[test]
    fn nobody_is_sent_to_the_log_of_a_container_that_works() {
        let mut plan = DevicePlan::idle(DeviceId::parse("d1").unwrap(), DeviceState::Observed);
        let spec = Hash::of_texts("a specification", []);
        let reason = "it ended with code 3".to_owned();
        let failed = FailedChange {
            spec,
            at: 0,
            count: 1,
            code: 500,
            reason,
            given_up: false,
            is_alone: false,
        };
        let web = ModuleName::parse("web").unwrap();
        plan.blocked.insert(web, Block::FailedBefore(failed));
        let findings = modules(&plan, None);
        let help = findings[0].help.clone().unwrap();
        assert!(help.contains("apply --retry") && !help.contains("logs"), "{help}");
    }

    #[test]
    fn who_halted_a_rollout_is_told_what_goes_on() {
        let mut plan = DevicePlan::idle(DeviceId::parse("d1").unwrap(), DeviceState::Observed);
        let spec = Hash::of_texts("a specification", []);
        let reason = "it ended with code 3".to_owned();
        let failed = FailedChange {
            spec,
            at: 0,
            count: 1,
            code: 500,
            reason,
            given_up: true,
            is_alone: false,
        };
        plan.blocked.insert(ModuleName::parse("web").unwrap(), Block::FailedBefore(failed));
        let finding = &modules(&plan, None)[0];
        assert!(!finding.words.contains("before"), "{}", finding.words);
        let help = finding.help.as_deref().unwrap();
        assert!(help.contains("hoist rollout retry") && !help.contains("apply"), "{help}");
    }

    #[test]
    fn of_an_engine_that_hangs_it_is_said_what_helps() {
        let hangs = EngineError::new(EngineErrorKind::TimedOut, "no end within 20s");
        let help = not_reached(&hangs).help.unwrap();
        assert!(help.contains("restart dockerd"), "{help}");
    }

    #[test]
    fn clocks_may_differ_a_little() {
        let at = |seconds| Timestamp { seconds };
        assert_eq!(clock(at(100), at(104)).good, Some(true));
        assert_eq!(clock(at(100), at(420)).words, "320s behind this machine's");
        assert_eq!(clock(at(420), at(100)).words, "320s ahead of this machine's");
    }
}
