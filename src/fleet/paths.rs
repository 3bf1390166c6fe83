//! What the paths of a revision say: which files are read, and which were surely meant to be.

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, Source, closest};
use crate::fleet::{FileTree, TreeEntry};
use std::collections::BTreeSet;

/// A file that is read.
pub(super) enum Role<'a> {
    /// `fleet.toml`.
    Fleet,
    /// A file in `devices/`, with its stem.
    Devices(&'a str),
    /// A file in `deployments/`, with its stem.
    Deployment(&'a str),
}

/// What a path is read as.
pub(super) fn role(path: &str) -> Option<Role<'_>> {
    if path == "fleet.toml" {
        return Some(Role::Fleet);
    }
    let (folder, rest) = path.split_once('/')?;
    let name = rest.bytes().rposition(|byte| byte == b'/').map_or(rest, |at| &rest[at + 1..]);
    let stem = name.strip_suffix(".toml")?;
    match folder {
        "devices" => Some(Role::Devices(stem)),
        "deployments" => Some(Role::Deployment(stem)),
        _ => None,
    }
}

/// The start of a file whose text nobody has.
pub(super) fn start_of(path: &str) -> Place {
    Place::new(&Source::new(path, ""), 0..0)
}

/// Whether a file is there to be read; what can't be read is reported.
pub(super) fn is_readable(path: &str, entry: &TreeEntry, found: &mut Diagnostics) -> bool {
    let mut refuse = |code, message: String, help: &str| {
        let help = (!help.is_empty()).then(|| help.to_owned());
        found.push(Diagnostic::new(code, message).at(start_of(path)).help_option(help));
    };
    let largest = FileTree::LARGEST_FILE;
    let too_large =
        |size: u64| format!("a file of {size} bytes; at most {largest} (16 MiB) are read");
    match entry {
        TreeEntry::File(text) if text.len() as u64 <= largest => return true,
        TreeEntry::NotText(bytes) if bytes.len() as u64 <= largest => return true,
        TreeEntry::File(text) => refuse(Code::TooLarge, too_large(text.len() as u64), ""),
        TreeEntry::NotText(bytes) => refuse(Code::TooLarge, too_large(bytes.len() as u64), ""),
        TreeEntry::TooLarge(size) => refuse(Code::TooLarge, too_large(*size), ""),
        TreeEntry::Link => refuse(
            Code::UnreadableFile,
            format!("`{path}` is a symbolic link, which is never followed"),
            "put the file itself there",
        ),
        TreeEntry::Submodule => refuse(
            Code::UnreadableFile,
            format!("`{path}` is a submodule, which is not part of the revision"),
            "put the files themselves there",
        ),
        TreeEntry::Unreadable(reason) => {
            refuse(Code::UnreadableFile, format!("`{path}` can't be read: {reason}"), "");
        }
        TreeEntry::OtherFile => {}
    }
    false
}

/// Whether nothing but a plain file may stand at a path.
pub(super) fn is_ours(path: &str) -> bool {
    path == "fleet.toml"
        || ["devices", "deployments"].iter().any(|folder| {
            path == *folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        })
}

/// Warns of files and folders that are near misses, each folder once.
#[derive(Default)]
pub(super) struct NearMisses<'t> {
    folders: BTreeSet<&'t str>,
}

impl<'t> NearMisses<'t> {
    /// Warns of one; what is read is none.
    pub(super) fn look_at(&mut self, path: &'t str, entry: &TreeEntry, found: &mut Diagnostics) {
        let is_file = matches!(
            entry,
            TreeEntry::File(_)
                | TreeEntry::NotText(_)
                | TreeEntry::OtherFile
                | TreeEntry::TooLarge(_)
        );
        if !is_file {
            return;
        }
        let Some((folder, rest)) = path.split_once('/') else {
            if path != "fleet.toml" && is_near(path, &["fleet.toml"]).is_some() {
                ignored(path, format!("`{path}` is ignored"), "did you mean `fleet.toml`?", found);
            } else if matches!(
                path,
                "devices.toml" | "deployments.toml" | "device.toml" | "deployment.toml"
            ) {
                let folder = format!("{}s", path.trim_end_matches(".toml").trim_end_matches('s'));
                let help = format!("files are read from the folder `{folder}/`");
                ignored(path, format!("`{path}` is ignored"), &help, found);
            }
            return;
        };
        if matches!(folder, "devices" | "deployments") {
            let name = rest.rsplit('/').next().unwrap_or(rest);
            let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
            let data = matches!(kind, "yaml" | "yml" | "json") || name.contains(".toml.");
            if kind != "toml" && (data || is_near(kind, &["toml"]).is_some()) {
                let help = "only files that end in `.toml` are read";
                ignored(path, format!("`{path}` is ignored"), help, found);
            }
        } else if path.ends_with(".toml")
            && let Some(close) = is_near(folder, &["devices", "deployments"])
            && self.folders.insert(folder)
        {
            let message = format!("the folder `{folder}/` is ignored");
            ignored(path, message, &format!("did you mean `{close}/`?"), found);
        }
    }
}

fn ignored(path: &str, message: String, help: &str, found: &mut Diagnostics) {
    found.push(
        Diagnostic::new(Code::IgnoredFile, message).at(start_of(path)).help(help).of_path(path),
    );
}

/// A word that is close to another and of about its length.
fn is_near(word: &str, candidates: &[&'static str]) -> Option<&'static str> {
    let close = closest(word, candidates.iter().copied())?;
    (close.len().abs_diff(word.len()) <= 2).then_some(close)
}
