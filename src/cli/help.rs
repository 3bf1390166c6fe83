//! `hoist help [TOPIC]`: a command's help, or the reference of one of the languages.

use super::exit::{Exit, Failure};
use super::output::print;

/// The reference, as it stands beside the grammar.
const REFERENCE: &str = include_str!("../../grammar/README.md");

/// What else than commands can be asked for, with its section of the reference.
const LANGUAGES: [(&str, &str); 3] = [
    ("conditions", "## Target conditions\n"),
    ("queries", "## Queries\n"),
    ("routes", "## Routes\n"),
];

/// Show what a command does, or how target conditions, queries and routes are written.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A command, or `conditions`, `queries`, `routes`
    topic: Option<String>,
}

pub(super) fn run(mut command: clap::Command, arguments: &Arguments) -> Result<Exit, Failure> {
    // Global options reach the commands only when clap has put itself together.
    command.build();
    let text = match arguments.topic.as_deref() {
        None => command.render_long_help().to_string(),
        Some(topic) => match (section(topic), command.find_subcommand_mut(topic)) {
            (Some(section), _) => section.to_owned(),
            (None, Some(found)) => found.render_long_help().to_string(),
            (None, None) => return Err(unknown(&command, topic)),
        },
    };
    print(&text);
    Ok(Exit::Done)
}

/// The section of the reference on a language: up to the next of its height.
fn section(topic: &str) -> Option<&'static str> {
    let (_, title) = LANGUAGES.into_iter().find(|(name, _)| *name == topic)?;
    let section = &REFERENCE[REFERENCE.find(title)?..];
    Some(section.find("\n## ").map_or(section, |end| &section[..=end]))
}

fn unknown(command: &clap::Command, topic: &str) -> Failure {
    let names = command.get_subcommands().map(clap::Command::get_name);
    let names = names.chain(LANGUAGES.map(|(topic, _)| topic));
    let names: Vec<&str> = names.collect();
    let failure = Failure::new(format!("there is no help on `{topic}`"));
    match crate::diagnostic::did_you_mean(topic, names.iter().copied()) {
        Some(help) => failure.help(help),
        None => failure.help(format!("topics: {}", names.join(", "))),
    }
}
