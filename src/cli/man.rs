//! `hoist man DIR`: the manual pages, one a command.

use super::exit::{Exit, Failure};
use super::output::{count, print};
use std::fs;
use std::path::{Path, PathBuf};

/// What a page belongs to, at its foot.
const SOURCE: &str = concat!("hoist ", env!("CARGO_PKG_VERSION"));

/// Write the manual pages.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(command: clap::Command, arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
    let commands: Vec<&clap::Command> =
        std::iter::once(&command).chain(command.get_subcommands()).collect();
    for command in &commands {
        let path = folder.join(format!("{}.1", command.get_display_name().unwrap_or("hoist")));
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new((*command).clone()).source(SOURCE).render(&mut page);
        rendered.and_then(|()| fs::write(&path, page)).map_err(|error| unwritten(&path, &error))?;
    }
    print(&format!("wrote {} into {}\n", count(commands.len(), "manual page"), folder.display()));
    Ok(Exit::Done)
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("can't write {}: {error}", path.display()))
}
