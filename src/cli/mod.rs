//! The command line: arguments in, calls down, texts and exit codes out.
//!
//! One file a command. Data goes to stdout, everything else to stderr. What exit codes mean stands in one
//! table ([`exit`]); what a user can do about an error is said here and nowhere below.

mod accept_engine;
mod adopt;
mod apply;
mod approve;
mod calling_off;
mod completions;
mod decommission;
mod diff;
mod doctor;
mod exit;
mod explain;
mod forms;
mod generate;
mod help;
mod history;
mod import;
mod init;
mod left_to_daemon;
mod logs;
mod man;
mod manifest;
mod notices;
mod one_module;
mod opened;
mod output;
mod pause;
mod pin;
mod pinned;
mod plan;
mod poke;
mod progress;
mod query;
mod remembered;
mod restart;
mod rollback;
mod rollout;
mod revisions;
mod room;
mod run;
mod schema;
mod scope;
mod seen;
mod signed;
mod sides;
mod stamp;
mod status;
mod status_text;
mod stored;
mod validate;
mod watch;
mod what_if;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use exit::Exit;
use std::path::PathBuf;
use std::process::ExitCode;

/// Keeps a fleet of container devices as a git repository says it should be.
#[derive(Parser)]
#[command(name = "hoist", version, max_term_width = 100, disable_help_subcommand = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
`hoist help COMMAND` says more about a command; `hoist help conditions`, `hoist help queries` and
`hoist help routes` say how these are written.

Exit codes: 0 nothing to do, done, valid; 1 wrong input, or the command could not do its job;
2 there are changes; 3 changes that need consent; 4 done, but some devices are pending or paused;
5 some devices failed or are blocked.";

/// Options of every command.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// The fleet folder [default: here, upwards to fleet.toml]
    #[arg(short = 'C', value_name = "DIR", global = true)]
    folder: Option<PathBuf>,
    /// The revision to look at [default: the working tree; where devices are reached: HEAD; status: what was applied last]
    #[arg(long, value_name = "REV", global = true)]
    revision: Option<String>,
    /// Form of the output
    #[arg(long, value_enum, global = true)]
    format: Option<Format>,
    /// When to colour
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, global = true)]
    color: ColorChoice,
    /// Folder of the store [env: HOIST_STATE] [default: $XDG_STATE_HOME/hoist/FLEET-NAME]
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// The control host's settings [env: HOIST_CONFIG] [default: /etc/hoist/hoist.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl Global {
    /// The form of the output, of those that the command has.
    fn format(&self) -> Format {
        self.format.unwrap_or(Format::Text)
    }
}

/// Forms of output; which command has which stands in [`forms`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs; versioned.
    Json,
    /// For a comment on a pull request.
    Markdown,
    /// Canonical TOML, as fleet files have it.
    Toml,
    /// Annotations for GitHub Actions.
    Github,
    /// `modulesContent` of Azure IoT Edge, as JSON.
    Azure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
enum Command {
    /// Show every error and warning of a fleet
    Validate(validate::Arguments),
    /// Show what a change would do on every device
    Diff(diff::Arguments),
    /// Show what other tags on a device would change
    WhatIf(what_if::Arguments),
    /// Show the merged manifest of a device
    Manifest(manifest::Arguments),
    /// Show which deployments hit a device, which do not, and who set each field
    Explain(explain::Arguments),
    /// List the devices that meet a condition, or run a query
    Query(query::Arguments),
    /// Begin a fleet repository
    Init(init::Arguments),
    /// Make up a fleet of any size, to measure with and to plan capacity
    Generate(generate::Arguments),
    /// Make fleet files from deployments of Azure IoT Edge
    Import(import::Arguments),
    /// Write the present moment into deployment files as `created`
    Stamp(stamp::Arguments),
    /// Look at the engines and show what apply would do
    Plan(plan::Arguments),
    /// Bring the devices to what the fleet says
    Apply(apply::Arguments),
    /// Plan to take over containers that somebody else started under modules' names
    Adopt(adopt::Arguments),
    /// Say that the engine behind a device's address is the right one
    AcceptEngine(accept_engine::Arguments),
    /// Remove what Hoist runs on a device that left the fleet, and forget the device
    Decommission(decommission::Arguments),
    /// Keep a fleet as its repository says, until it is stopped
    Watch(Box<watch::Arguments>),
    /// Leave devices alone for a while
    Pause(pause::PauseArguments),
    /// End pauses
    Resume(pause::ResumeArguments),
    /// Keep devices at a revision, whatever is accepted
    Pin(pin::PinArguments),
    /// End pins
    Unpin(pin::UnpinArguments),
    /// Let a revision through that a guard holds
    Approve(approve::Arguments),
    /// Have the daemon look at a device now
    Poke(poke::Arguments),
    Rollout(rollout::Arguments),
    Rollback(rollback::Arguments),
    /// Try a webhook that is told of failures
    Notify(notices::Arguments),
    /// Show how the fleet was last seen
    Status(status::Arguments),
    /// Look for what stands in the way of a device
    Doctor(doctor::Arguments),
    /// Show what was done, by whom and why
    History(history::Arguments),
    /// Show what a module wrote
    Logs(logs::Arguments),
    /// Restart a module on its device
    Restart(restart::Arguments),
    /// Print the JSON Schema of a kind of file, for editors
    Schema(schema::Arguments),
    /// Print the completions of a shell
    Completions(completions::Arguments),
    /// Write the manual pages
    Man(man::Arguments),
    /// Show what a command does, or how target conditions, queries and routes are written
    Help(help::Arguments),
}

/// The whole command line, as it is parsed, helped with and completed.
fn command_line() -> clap::Command {
    forms::narrowed(Arguments::command())
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let parsed = command_line().try_get_matches().and_then(|matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        Ok((Arguments::from_arg_matches(&matches)?, name))
    });
    let (arguments, name) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Asking for help or the version is no mistake.
            let code = if error.use_stderr() { Exit::Wrong } else { Exit::Done };
            let _ = error.print();
            return code.into();
        }
    };
    let Arguments { mut global, command } = arguments;
    if let Err(failure) = output::start_logging(matches!(command, Command::Watch(_))) {
        output::print_failure(&global, &failure);
        return Exit::Wrong.into();
    }
    // Read here and not by clap, which would show them in every usage line as if they had been typed.
    global.state = global.state.or_else(|| path_from("HOIST_STATE"));
    global.config = global.config.or_else(|| path_from("HOIST_CONFIG"));
    match forms::chosen(global.format, &name) {
        Ok(format) => global.format = Some(format),
        Err(failure) => {
            output::print_failure(&global, &failure);
            return Exit::Wrong.into();
        }
    }
    let result = match command {
        Command::Validate(arguments) => validate::run(&global, &arguments),
        Command::Diff(arguments) => diff::run(&global, &arguments),
        Command::WhatIf(arguments) => what_if::run(&global, &arguments),
        Command::Manifest(arguments) => manifest::run(&global, &arguments),
        Command::Explain(arguments) => explain::run(&global, &arguments),
        Command::Query(arguments) => query::run(&global, &arguments),
        Command::Init(arguments) => init::run(&global, &arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Import(arguments) => import::run(&global, &arguments),
        Command::Stamp(arguments) => stamp::run(&arguments),
        Command::Plan(arguments) => plan::run(&global, &arguments),
        Command::Apply(arguments) => apply::run(&global, &arguments),
        Command::Adopt(arguments) => adopt::run(&global, &arguments),
        Command::AcceptEngine(arguments) => accept_engine::run(&global, &arguments),
        Command::Decommission(arguments) => decommission::run(&global, &arguments),
        Command::Watch(arguments) => watch::run(&global, &arguments),
        Command::Pause(arguments) => pause::pause(&global, &arguments),
        Command::Resume(arguments) => pause::resume(&global, &arguments),
        Command::Pin(arguments) => pin::pin(&global, &arguments),
        Command::Unpin(arguments) => pin::unpin(&global, &arguments),
        Command::Approve(arguments) => approve::run(&global, &arguments),
        Command::Poke(arguments) => poke::run(&global, &arguments),
        Command::Rollback(arguments) => rollback::run(&global, &arguments),
        Command::Rollout(arguments) => rollout::run(&global, &arguments),
        Command::Notify(arguments) => notices::run(&global, &arguments),
        Command::Status(arguments) => status::run(&global, &arguments),
        Command::Doctor(arguments) => doctor::run(&global, &arguments),
        Command::History(arguments) => history::run(&global, &arguments),
        Command::Schema(arguments) => schema::run(&global, &arguments),
        Command::Completions(arguments) => completions::run(command_line(), &arguments),
        Command::Man(arguments) => man::run(command_line(), &arguments),
        Command::Logs(arguments) => logs::run(&global, &arguments),
        Command::Restart(arguments) => restart::run(&global, &arguments),
        Command::Help(arguments) => help::run(command_line(), &arguments),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::print_failure(&global, &failure);
            Exit::Wrong.into()
        }
    }
}

fn path_from(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
