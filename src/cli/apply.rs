//! `hoist apply`: brings the devices to what the fleet says.

use super::calling_off::CallingOff;
use super::exit::{Exit, Failure};
use super::left_to_daemon::leave_to_daemon;
use super::output::{count, print, print_json_line, say};
use super::plan::exit_of_blocks;
use super::progress::Progress;
use super::run::{
    APPLIED, Adopt, Intent, Prepared, RunArguments, block_on, keep_names, prepare, tripped, who,
};
use super::{Format, Global};
use crate::apply::{Event, Outcome};
use crate::diagnostic::render::visible;
use crate::model::DeviceId;
use crate::plan::{
    DevicePlan, DeviceState, Plan, Purpose, plan_json, plan_text, short_revision, work_json,
    work_subject,
};
use crate::reconcile::{Paces, PullsPer, Ran, RunInput, Writes, accept_by_hand, run_and_record};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// Bring the devices to what the fleet says
///
/// Shows the plan and asks; without a terminal, --yes or a saved plan is needed. A guard that is exceeded
/// stops it before anything is run (exit 3). With `--format json` each line is one JSON object: one a work
/// (`"event": "work"`), and at last one `"event": "summary"`. Ctrl-C and SIGTERM let it finish the call in progress,
/// take back what is half done and report; a second one leaves at once, and the next run goes on from what is there.
/// Beside a daemon on this control host, --device, --where, --retry and --take-over tell the daemon to do it; it goes by
/// what counts there.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A plan that `hoist plan --out` kept: exactly it is run, or nothing
    #[arg(conflicts_with_all = ["devices", "wanted"])]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) run: RunArguments,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// So many devices that share the value of a tag may pull at a time: 'tags.location.building=1'
    #[arg(long, value_name = "TAG=N", value_parser = PullsPer::parse)]
    pub(super) pulls_per: Option<PullsPer>,
    /// Go on where another control host undid this one's work again and again
    #[arg(long)]
    pub(super) take_over: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    if let Some(exit) = leave_to_daemon(global, arguments, format)? {
        return Ok(exit);
    }
    block_on(apply(global, arguments, format))?
}

async fn apply(global: &Global, arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let saved = arguments.file.as_deref().map(read_saved).transpose()?;
    let intent = Intent {
        runs: true,
        only: saved.as_ref().map(saved_devices).transpose()?,
        adopt: saved.as_ref().map_or(Adopt::Nowhere, |saved| Adopt::On(saved_adoptions(saved))),
        take_over: arguments.take_over,
    };
    let mut prepared = prepare(global, &arguments.run, &intent).await?;
    let mut refused = Exit::Done;
    let mut plan = prepared.plan();
    if let Some(saved) = &saved {
        refused = keep_only_saved(&mut plan, saved)?;
        prepared.keep_only(&plan);
    }
    let has_work = plan.devices.values().any(|device| !device.works.is_empty());
    if format == Format::Text {
        // Where nothing is to be done and nothing in the way the closing table alone says how things stand.
        let has_news = |device: &DevicePlan| !device.blocked.is_empty() || device.pinned.is_some();
        let is_worth = has_work || plan.devices.values().any(has_news);
        let head = || format!("{} @ {}\n", plan.fleet, short_revision(&plan.revision));
        print(&if is_worth { plan_text(&plan, false) } else { head() });
    }
    let tripped = tripped(&prepared.guards);
    if !tripped.is_empty() {
        for line in &tripped {
            say(line);
        }
        return Ok(nothing_run(&plan, format, Exit::Consent));
    }
    if has_work && saved.is_none() && !arguments.yes {
        let help = "give --yes; `hoist apply` also takes a plan that `hoist plan --out FILE` kept";
        if !asked("apply this?", help)? {
            return Ok(nothing_run(&plan, format, Exit::Changes));
        }
        // An answer may take its time: what was agreed to is what runs, or nothing.
        let agreed = plan_json(&plan);
        drop(prepared);
        prepared = prepare(global, &arguments.run, &intent).await?;
        plan = prepared.plan();
        refused = keep_only_saved(&mut plan, &agreed)?;
        prepared.keep_only(&plan);
    }
    let plan = &plan;
    if has_work && format == Format::Text {
        print("\n");
    }
    let progress = Progress::of(plan, format);
    let calling_off = CallingOff::listen();
    let call_off = calling_off.call_off.clone();
    let events = |device: &DeviceId, event: Event<'_>| {
        calling_off.take(device, &event);
        progress.take(device, &event);
        if let Event::WorkEnded { work, outcome } = event {
            progress.beside(|| show(plan, device, work, outcome, format));
        }
    };
    let paces = Paces::new(&prepared.fleet, arguments.pulls_per.as_ref(), call_off.clone());
    let who = who();
    keep_names(&prepared.store, &prepared.renamed, &who, prepared.now)?;
    let ran = run_all(&prepared, &who, &paces, &events).await?;
    if arguments.take_over {
        let is_done = |(id, one): &(&DeviceId, &Ran)| {
            plan.devices.get(*id).is_some_and(|plan| one.is_carried_out(plan))
        };
        prepared.store.end_brings(ran.iter().filter(is_done).map(|(id, _)| id))?;
    }
    if !plan.narrowed && refused == Exit::Done && !call_off.is_on() {
        if prepared.is_commit {
            accept_by_hand(&prepared.store, &plan.revision, &who, prepared.now)?;
        } else {
            prepared.store.set_fleet_state(APPLIED, Some(&plan.revision))?;
        }
    }
    Ok(close(plan, &ran, format, refused))
}

/// Runs the plan, on devices that are pinned to another revision as that says.
async fn run_all(
    prepared: &Prepared,
    who: &str,
    paces: &Paces,
    events: &(dyn Fn(&DeviceId, Event<'_>) + Send + Sync),
) -> Result<BTreeMap<DeviceId, Ran>, Failure> {
    let here = RunInput {
        fleet: &prepared.fleet,
        survey: &prepared.survey,
        store: &prepared.store,
        who,
        now: prepared.now,
        before: &prepared.stored,
        paces,
        writes: Writes::All,
        events,
    };
    let mut ran = run_and_record(&here).await?;
    for (pinned, survey) in &prepared.pinned {
        ran.extend(run_and_record(&RunInput { fleet: &pinned.fleet, survey, ..here }).await?);
    }
    Ok(ran)
}

/// Nothing was run, and the output says so in either form.
fn nothing_run(plan: &Plan, format: Format, exit: Exit) -> Exit {
    if format == Format::Json {
        print_json_line(&summary_json(plan, false, exit, &BTreeMap::new()));
    } else {
        say("nothing was run");
    }
    exit
}

/// Asks on a terminal; elsewhere `--yes` or a saved plan is needed.
pub(super) fn asked(question: &str, help: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "it asks before it changes anything, and there is no terminal to ask on",
        )
        .help(help));
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(format!("can't read the answer: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// One ended work. Reasons stood in the plan; a pull or a network is worth a line only if it went wrong.
fn show(plan: &Plan, device: &DeviceId, work: usize, outcome: &Outcome, format: Format) {
    let Some(device_plan) = plan.devices.get(device) else { return };
    let Some(work) = device_plan.works.get(work) else { return };
    let (word, words) = match outcome {
        Outcome::NotNeeded => return,
        Outcome::Passed { warnings } => ("done", warnings.join("; ")),
        Outcome::Failed { .. } => ("failed", outcome.failure_and_left_over().unwrap_or_default()),
        Outcome::CalledOff { .. } => ("called off", outcome.left_over().unwrap_or_default()),
        Outcome::Skipped { because } => {
            let cause = device_plan.works.get(*because).map(work_subject).unwrap_or_default();
            ("skipped", format!("because of: {cause}"))
        }
    };
    if format == Format::Json {
        let mut line = work_json(work);
        line["format"] = 1.into();
        line["event"] = "work".into();
        line["device"] = device.as_str().into();
        line["outcome"] = word.into();
        line["words"] = words.into();
        print_json_line(&line);
        return;
    }
    if word == "done" && words.is_empty() && !matches!(work.purpose, Purpose::Module { .. }) {
        return;
    }
    let width = plan.devices.keys().map(|id| id.as_str().len()).max().unwrap_or(0);
    let (sign, tail) = match (word, words.as_str()) {
        ("done", "") => ('✓', String::new()),
        ("called off", "") => ('…', "   called off".to_owned()),
        ("called off", words) => ('✗', format!("   called off; {words}")),
        ("done", words) => ('✓', format!("   warning: {words}")),
        (word, words) => ('✗', format!("   {word}: {words}")),
    };
    let subject = work_subject(work);
    print(&visible_line(&format!("{sign} {:width$}   {subject}{tail}", device.as_str())));
}

fn visible_line(text: &str) -> String {
    format!("{}\n", visible(text))
}

/// How a device stands after `apply`, in the words of the closing line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Desired,
    Retained,
    OnItsWay,
    Pending,
    Held,
    Failed,
}

impl Standing {
    fn of(plan: Option<&DevicePlan>, ran: &Ran) -> Self {
        let code = ran.stored.status.code;
        let blocked = plan.is_some_and(|plan| exit_of_blocks(plan) == Exit::Failed);
        match plan.map(|plan| &plan.state) {
            Some(DeviceState::Pending(_)) => Self::Pending,
            Some(DeviceState::Paused(_) | DeviceState::Held { code: 400, .. }) => Self::Held,
            Some(DeviceState::Held { .. }) => Self::Failed,
            // What was skipped because of that did not fail.
            _ if ran.run.was_called_off() && code < 400 && !blocked => Self::Pending,
            _ if ran.run.has_failures() || blocked => Self::Failed,
            _ if code == 400 => Self::Held,
            _ if code > 400 => Self::Failed,
            _ if plan.is_some_and(|plan| plan.retained) => Self::Retained,
            _ if code == 202 => Self::OnItsWay,
            _ => Self::Desired,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Desired => "as desired",
            Self::Retained => "retained",
            Self::OnItsWay => "on the way",
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Failed => "failed",
        }
    }

    /// What somebody paused waits for that somebody; what else is held asks for a change of the fleet.
    fn exit(self, is_paused: bool) -> Exit {
        match self {
            Self::Held if is_paused => Exit::Pending,
            Self::Desired | Self::Retained => Exit::Done,
            Self::OnItsWay | Self::Pending => Exit::Pending,
            Self::Held | Self::Failed => Exit::Failed,
        }
    }
}

/// The closing table, and the exit code.
fn close(plan: &Plan, ran: &BTreeMap<DeviceId, Ran>, format: Format, refused: Exit) -> Exit {
    let mut exit = refused;
    let mut counts: BTreeMap<Standing, usize> = BTreeMap::new();
    let mut lines = String::new();
    let width = ran.keys().map(|id| id.as_str().len()).max().unwrap_or(0);
    for (id, one) in ran {
        let planned = plan.devices.get(id);
        let standing = Standing::of(planned, one);
        let is_paused = planned.is_some_and(|one| matches!(one.state, DeviceState::Paused(_)));
        exit = exit.or(standing.exit(is_paused)).or(planned.map_or(Exit::Done, exit_of_blocks));
        *counts.entry(standing).or_default() += 1;
        if standing != Standing::Desired {
            let status = &one.stored.status;
            let id = id.as_str();
            lines.push_str(&visible_line(&format!(
                "  {id:width$}   {}   {}",
                status.code, status.description
            )));
        }
    }
    if format == Format::Json {
        print_json_line(&summary_json(plan, true, exit, ran));
        return exit;
    }
    let parts: Vec<String> =
        counts.iter().map(|(standing, n)| format!("{n} {}", standing.as_str())).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    print(&format!("\n{}{parts}\n{lines}", count(ran.len(), "device")));
    exit
}

/// The last line of the JSON stream.
fn summary_json(plan: &Plan, run: bool, exit: Exit, ran: &BTreeMap<DeviceId, Ran>) -> Json {
    let devices: serde_json::Map<String, Json> = ran
        .iter()
        .map(|(id, one)| {
            let status = &one.stored.status;
            let standing = Standing::of(plan.devices.get(id), one);
            let json = json!({
                "standing": standing.as_str(), "code": status.code, "description": status.description,
            });
            (id.to_string(), json)
        })
        .collect();
    json!({
        "format": 1,
        "event": "summary",
        "fleet": plan.fleet,
        "revision": plan.revision,
        "narrowed": plan.narrowed,
        "run": run,
        "exit": exit.code(),
        "devices": devices,
    })
}

fn read_saved(path: &Path) -> Result<Json, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("can't read {}: {error}", path.display())))?;
    let json: Json = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{} is no saved plan: {error}", path.display())))?;
    if json["format"] != 1 || !json["devices"].is_object() {
        return Err(Failure::new(format!("{} is no saved plan of this version", path.display())));
    }
    Ok(json)
}

/// The devices of a saved plan; no other engine is asked.
fn saved_devices(saved: &Json) -> Result<BTreeSet<DeviceId>, Failure> {
    let ids = saved["devices"].as_object().into_iter().flat_map(|devices| devices.keys());
    let devices: BTreeSet<DeviceId> =
        ids.map(|id| DeviceId::parse(id)).collect::<Result<_, _>>().map_err(|error| {
            Failure::new(format!("the saved plan names what is no device: {error}"))
        })?;
    if devices.is_empty() {
        return Err(Failure::new("the saved plan has no device"));
    }
    Ok(devices)
}

/// The devices of a saved plan on which it takes over foreign containers: nothing else may.
fn saved_adoptions(saved: &Json) -> BTreeSet<DeviceId> {
    let devices = saved["devices"].as_object().into_iter().flatten();
    devices
        .filter(|(_, device)| device["adopts"].as_array().is_some_and(|adopts| !adopts.is_empty()))
        .filter_map(|(id, _)| DeviceId::parse(id).ok())
        .collect()
}

/// What was approved is what runs: a device whose plan is not the saved one any more is refused.
fn keep_only_saved(plan: &mut Plan, saved: &Json) -> Result<Exit, Failure> {
    if saved["fleet"] != plan.fleet.as_str() {
        return Err(Failure::new("the saved plan is for another fleet"));
    }
    if saved["revision"] != plan.revision.as_str() {
        return Err(Failure::new(format!(
            "the saved plan is for revision {}, this is {}",
            short_revision(saved["revision"].as_str().unwrap_or("?")),
            short_revision(&plan.revision)
        ))
        .help("name that revision with --revision, or make a new plan"));
    }
    let fresh = plan_json(plan);
    let wanted: Vec<String> =
        saved["devices"].as_object().map(|d| d.keys().cloned().collect()).unwrap_or_default();
    let mut refused = 0;
    plan.devices.retain(|id, _| wanted.iter().any(|w| w == id.as_str()));
    plan.narrowed = saved["narrowed"] == true;
    for id in &wanted {
        let (old, new) = (&saved["devices"][id], &fresh["devices"][id]);
        if old != new {
            let why = if new.is_null() {
                "the fleet has no such device any more"
            } else if old["fingerprint"] != new["fingerprint"] {
                "its engine runs something else than when the plan was made"
            } else {
                "what would be done is not what the plan says"
            };
            say(&visible(&format!("{id}: refused: {why}")));
            plan.devices.retain(|device, _| device.as_str() != id);
            refused += 1;
        }
    }
    let has_work = plan.devices.values().any(|device| !device.works.is_empty());
    match refused {
        0 => Ok(Exit::Done),
        _ if has_work => Ok(Exit::Failed),
        _ => Err(Failure::new("no device of the saved plan could be run; nothing was run")
            .help("make a new plan")),
    }
}
