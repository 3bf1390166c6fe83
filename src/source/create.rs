//! A new repository from files in memory, written by `git fast-import`: its objects come packed, however many
//! they are. The one place of this layer that writes, and only to a folder that was empty.

use super::error::SourceError;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a repository with one commit on `main`; author and date are fixed, so the same files give the same
/// commit. Without a working tree where `bare` says so.
///
/// # Errors
/// The folder is not empty, or `git` is missing or fails.
pub fn create_repository(
    folder: &Path,
    bare: bool,
    message: &str,
    files: impl Iterator<Item = (String, String)>,
) -> Result<(), SourceError> {
    let unreadable = |source| SourceError::Unreadable { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(unreadable)?;
    if fs::read_dir(folder).map_err(unreadable)?.next().is_some() {
        return Err(SourceError::NotEmpty { folder: folder.to_owned() });
    }
    // A template of the user's could bring hooks.
    let mut init = vec!["init", "--quiet", "--initial-branch=main", "--template="];
    init.extend(bare.then_some("--bare"));
    finish(git(folder, &init).spawn(), "git init")?;
    let mut import = git(folder, &["fast-import", "--quiet", "--done"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| not_run("git fast-import", &error))?;
    let input = import.stdin.take().expect("its input was asked for");
    let written = write_commit(BufWriter::new(input), message, files);
    // If it stopped reading, its own words say why better than a broken pipe.
    finish(Ok(import), "git fast-import")?;
    written.map_err(|error| not_run("git fast-import", &error))?;
    if !bare {
        finish(git(folder, &["reset", "--quiet", "--hard"]).spawn(), "git reset")?;
    }
    Ok(())
}

fn write_commit(
    mut out: impl Write,
    message: &str,
    files: impl Iterator<Item = (String, String)>,
) -> io::Result<()> {
    const WHO: &str = "Hoist <hoist@fleet.example> 1767603600 +0000";
    write!(out, "commit refs/heads/main\nauthor {WHO}\ncommitter {WHO}\n")?;
    write!(out, "data {}\n{message}\n", message.len())?;
    for (path, text) in files {
        write!(out, "M 100644 inline {path}\ndata {}\n{text}\n", text.len())?;
    }
    out.write_all(b"done\n")?;
    out.flush()
}

fn git(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).stderr(Stdio::piped());
    // Variables of a surrounding git, such as a hook, would lead it elsewhere.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
        command.env_remove(variable);
    }
    command
}

fn finish(child: io::Result<std::process::Child>, what: &str) -> Result<(), SourceError> {
    let output = child
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| not_run(what, &error))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SourceError::Git { doing: what.to_owned(), words })
}

fn not_run(what: &str, error: &io::Error) -> SourceError {
    SourceError::Git { doing: format!("run `{what}`"), words: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::create_repository;
    use crate::source::{Repository, SourceError, read_folder};

    fn files() -> impl Iterator<Item = (String, String)> {
        [("fleet.toml", "name = \"a\"\n"), ("devices/ü x.toml", "")]
            .into_iter()
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
    }

    #[test]
    fn a_repository_holds_the_files_and_the_working_tree_too() {
        let ids = [false, true].map(|bare| {
            let folder = tempfile::tempdir().unwrap();
            create_repository(folder.path(), bare, "a fleet", files()).unwrap();
            let repository = Repository::open(folder.path()).unwrap();
            let head = repository.resolve("HEAD").unwrap();
            let tree = repository.read(&head).unwrap();
            assert!(tree.0.contains_key("devices/ü x.toml"), "{:?}", tree.0.keys());
            if !bare {
                assert_eq!(read_folder(folder.path()).unwrap(), tree);
                assert!(repository.is_clean().unwrap().is_clean());
            }
            head.id
        });
        assert_eq!(ids[0], ids[1]);
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "").unwrap();
        let error = create_repository(folder.path(), false, "a fleet", files()).unwrap_err();
        assert!(matches!(error, SourceError::NotEmpty { .. }), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
