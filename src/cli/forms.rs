//! Which forms of output each command has. One table: what is parsed, and what help, completions and manual pages offer.

use super::Format;
use super::exit::Failure;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Command, ValueEnum as _};

/// The forms of a command, its default first.
fn forms_of(command: &str) -> &'static [Format] {
    match command {
        "validate" => &[Format::Text, Format::Json, Format::Github],
        "diff" | "what-if" => &[Format::Text, Format::Markdown, Format::Json],
        "manifest" => &[Format::Toml, Format::Json, Format::Azure],
        "schema" => &[Format::Json],
        "explain" | "query" | "import" | "plan" | "apply" | "adopt" | "rollout" | "status"
        | "doctor" | "history" | "restart" => &[Format::Text, Format::Json],
        _ => &[Format::Text],
    }
}

/// Has each command offer, and take, only the forms that it has.
pub(super) fn narrowed(mut command: Command) -> Command {
    // Global options reach the commands only when clap has put itself together.
    command.build();
    for command in command.get_subcommands_mut() {
        let forms = forms_of(command.get_name());
        narrow(command, forms);
    }
    command
}

fn narrow(command: &mut Command, forms: &'static [Format]) {
    let whole = std::mem::take(command).mut_args(|argument| {
        if argument.get_id() != "format" {
            return argument;
        }
        let values = forms.iter().filter_map(Format::to_possible_value);
        let parser = PossibleValuesParser::new(values);
        argument.value_parser(parser.try_map(|name| Format::from_str(&name, false)))
    });
    *command = whole;
    for command in command.get_subcommands_mut() {
        narrow(command, forms);
    }
}

/// The form that was asked for, or the command's default. One that was asked for before the command's name is checked here.
pub(super) fn chosen(wanted: Option<Format>, command: &str) -> Result<Format, Failure> {
    let known = forms_of(command);
    let wanted = wanted.unwrap_or(known[0]);
    if known.contains(&wanted) {
        return Ok(wanted);
    }
    let names: Vec<String> = known.iter().map(|f| format!("{f:?}").to_lowercase()).collect();
    Err(Failure::new(format!("`{command}` has no such format; it has {}", names.join(", "))))
}
