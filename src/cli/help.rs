//! `hoist help [TOPIC]`: a command's help, or the reference of target conditions.

use super::exit::{Exit, Failure};
use super::output::print;

/// The reference, as it stands beside the grammar.
const CONDITIONS: &str = include_str!("../../grammar/README.md");

/// Show what a command does, or how target conditions are written.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A command, or `conditions`
    topic: Option<String>,
}

pub(super) fn run(mut command: clap::Command, arguments: &Arguments) -> Result<Exit, Failure> {
    // Global options reach the commands only when clap has put itself together.
    command.build();
    let text = match arguments.topic.as_deref() {
        None => command.render_long_help().to_string(),
        Some("conditions") => CONDITIONS.to_owned(),
        Some(topic) => match command.find_subcommand_mut(topic) {
            Some(found) => found.render_long_help().to_string(),
            None => return Err(unknown(&command, topic)),
        },
    };
    print(&text);
    Ok(Exit::Done)
}

fn unknown(command: &clap::Command, topic: &str) -> Failure {
    let names = command.get_subcommands().map(clap::Command::get_name).chain(["conditions"]);
    let names: Vec<&str> = names.collect();
    let failure = Failure::new(format!("there is no help on `{topic}`"));
    match crate::diagnostic::did_you_mean(topic, names.iter().copied()) {
        Some(help) => failure.help(help),
        None => failure.help(format!("topics: {}", names.join(", "))),
    }
}
