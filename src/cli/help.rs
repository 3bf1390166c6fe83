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
    topic: Vec<String>,
}

pub(super) fn run(mut command: clap::Command, arguments: &Arguments) -> Result<Exit, Failure> {
    if let [topic] = arguments.topic.as_slice()
        && let Some(section) = section(topic)
    {
        print(section);
        return Ok(Exit::Done);
    }
    let mut found = &mut command;
    for topic in &arguments.topic {
        if found.find_subcommand(topic).is_none() {
            return Err(unknown(found, topic));
        }
        found = found.find_subcommand_mut(topic).expect("just found");
    }
    print(&found.render_long_help().to_string());
    Ok(Exit::Done)
}

/// The languages that help can be asked on.
pub(super) fn languages() -> impl Iterator<Item = &'static str> {
    LANGUAGES.into_iter().map(|(topic, _)| topic)
}

/// The section of the reference on a language: up to the next of its height.
fn section(topic: &str) -> Option<&'static str> {
    let (_, title) = LANGUAGES.into_iter().find(|(name, _)| *name == topic)?;
    let section = &REFERENCE[REFERENCE.find(title)?..];
    Some(section.find("\n## ").map_or(section, |end| &section[..=end]))
}

fn unknown(command: &clap::Command, topic: &str) -> Failure {
    let names = command.get_subcommands().map(clap::Command::get_name);
    let mut names: Vec<&str> = names.collect();
    if command.get_name() == "hoist" {
        names.extend(LANGUAGES.map(|(topic, _)| topic));
    }
    let failure = Failure::new(format!("there is no help on `{topic}`"));
    match crate::diagnostic::did_you_mean(topic, names.iter().copied()) {
        Some(help) => failure.help(help),
        None => failure.help(format!("topics: {}", names.join(", "))),
    }
}
