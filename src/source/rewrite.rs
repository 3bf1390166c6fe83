//! One commit that makes a fleet's files equal to those of a revision: the only thing that is ever written to a repository,
//! on request, by the user's own `git`, so that hooks, signatures and identity are as they are for each of their commits.

use super::interest::is_of_a_fleet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The files of a fleet that differ between HEAD and a revision, from the fleet folder.
///
/// # Errors
/// What git said.
pub fn files_that_differ(folder: &Path, revision: &str) -> Result<Vec<String>, String> {
    let arguments =
        ["diff", "--name-only", "-z", "--no-renames", "--relative", "HEAD", revision, "--", "."];
    let listed = git(folder, &arguments, &[])?;
    let paths = listed.split('\0').filter(|path| !path.is_empty() && is_of_a_fleet(path));
    Ok(paths.map(str::to_owned).collect())
}

/// Commits these files as they are at a revision; those that it does not have go. What else is changed or staged stays as it
/// is. The new commit, with all digits.
///
/// # Errors
/// What git said.
pub fn commit_files_of(
    folder: &Path,
    revision: &str,
    files: &[String],
    message: &str,
) -> Result<String, String> {
    const FILES: [&str; 2] = ["--pathspec-from-file=-", "--pathspec-file-nul"];
    let [from, nul] = FILES;
    git(folder, &["restore", "--staged", "--worktree", "--source", revision, from, nul], files)?;
    let commit = ["commit", "--quiet", "--only", "--message", message, from, nul];
    if let Err(words) = git(folder, &commit, files) {
        // Without an author, or where a hook says no: what was put there would be in the way of the next try.
        git(folder, &["restore", "--staged", "--worktree", "--source", "HEAD", from, nul], files)?;
        return Err(words);
    }
    git(folder, &["rev-parse", "HEAD"], &[]).map(|id| id.trim().to_owned())
}

/// Pushes the branch to where it comes from.
///
/// # Errors
/// What git said.
pub fn push(folder: &Path) -> Result<(), String> {
    git(folder, &["push", "--quiet"], &[]).map(drop)
}

fn git(folder: &Path, arguments: &[&str], files: &[String]) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("can't run git: {error}");
    let mut child = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        // A file's name is no pattern.
        .env("GIT_LITERAL_PATHSPECS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let names = files.iter().flat_map(|file| [file.as_bytes(), b"\0"]).collect::<Vec<_>>().concat();
    // Git that does not read them says why itself.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(&names));
    let output = child.wait_with_output().map_err(cannot)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("git {}: {}", arguments[0], said.trim()))
}
