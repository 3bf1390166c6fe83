//! `hoist completions SHELL`: what a shell needs to complete commands, options and values.

use super::exit::{Exit, Failure};
use super::help;
use super::output::print;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};

/// Print the completions of a shell.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(command: Command, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut command = with_topics(command);
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "hoist", &mut script);
    print(&String::from_utf8_lossy(&script));
    if matches!(arguments.shell, Shell::Fish) {
        command.get_subcommands().for_each(|command| print(&values_for_fish(command)));
    }
    Ok(Exit::Done)
}

/// What help can be asked on is offered, though its own words say what is wrong with another topic.
fn with_topics(command: Command) -> Command {
    // What is leaked ends with the process, which is soon.
    let mut topics: Vec<&'static str> = help::languages().collect();
    topics.extend(command.get_subcommands().map(|c| &*c.get_name().to_owned().leak()));
    let topics = PossibleValuesParser::new(topics);
    command.mut_subcommand("help", |help| help.mut_arg("topic", |topic| topic.value_parser(topics)))
}

/// The values of a command's arguments that are no options, which the generator leaves out for fish.
fn values_for_fish(command: &Command) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', " ");
    let mut lines = String::new();
    for value in command.get_positionals().flat_map(Arg::get_possible_values) {
        let about = value.get_help().map(|help| format!(" -d '{}'", quoted(&help.to_string())));
        lines.push_str(&format!(
            "complete -c hoist -n \"__fish_hoist_using_subcommand {}\" -f -a '{}'{}\n",
            command.get_name(),
            quoted(value.get_name()),
            about.unwrap_or_default()
        ));
    }
    lines
}
