//! `hoist completions SHELL`: what a shell needs to complete commands and options.

use super::exit::{Exit, Failure};
use super::opened::format;
use super::output::print;
use super::{Format, Global};

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

pub(super) fn run(
    global: &Global,
    mut command: clap::Command,
    arguments: &Arguments,
) -> Result<Exit, Failure> {
    format(global, &[Format::Text])?;
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "hoist", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
