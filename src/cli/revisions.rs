//! Which two revisions `hoist diff` compares, and what the commits between them allow.
//!
//! Enters: what was typed. Leaves: the files of both sides, their names, and the trailers on the way. Not
//! here: what a missing revision or object means, which [`SourceError`](crate::source::SourceError) says.

use super::exit::Failure;
use super::opened::{WORKING_TREE, read_tree};
use super::output::say;
use crate::fleet::{FileTree, Seen};
use crate::review::Allowance;
use crate::source::{DefaultBase, Repository, Revision, read_folder};
use std::path::Path;

/// The files of one side, what it is called, and its commit if it is one.
pub(super) type SideFiles = (FileTree, String, Option<Revision>);

/// The files of both sides.
pub(super) struct BothFiles {
    /// `None` where there is nothing before: a first commit.
    pub(super) base: Option<SideFiles>,
    pub(super) head: SideFiles,
    /// What commits between them allow.
    pub(super) lifted: Lifted,
}

/// What the trailers of commits allow.
#[derive(Default)]
pub(super) struct Lifted {
    pub(super) allowances: Vec<Allowance>,
    /// Whether a shallow clone hides which commits lie between, so that some were left out.
    pub(super) history_is_cut: bool,
}

/// What was typed for the revisions.
#[derive(Debug, PartialEq, Eq)]
enum Asked<'a> {
    /// Nothing: what a merge would change, or what the last commit did.
    Default,
    /// `BASE...HEAD`: what merging HEAD into BASE would change.
    Merge(&'a str, &'a str),
    /// `BASE HEAD`, `BASE..HEAD`, or `BASE` and the working tree.
    Both(&'a str, Option<&'a str>),
}

impl<'a> Asked<'a> {
    fn of(base: Option<&'a str>, head: Option<&'a str>) -> Self {
        // As git reads ranges: a side that is left out is HEAD.
        let or_head = |side: &'a str| if side.is_empty() { "HEAD" } else { side };
        match (base, head) {
            (None, _) => Self::Default,
            (Some(base), Some(head)) => Self::Both(base, Some(head)),
            (Some(range), None) => {
                if let Some((base, head)) = range.split_once("...") {
                    Self::Merge(or_head(base), or_head(head))
                } else if let Some((base, head)) = range.split_once("..") {
                    Self::Both(or_head(base), Some(or_head(head)))
                } else {
                    Self::Both(range, None)
                }
            }
        }
    }
}

/// Finds and reads both sides. `base` and `head` are what was typed. `seen` is told of files as they are read, but for
/// those that the head has otherwise than a base that was read before.
pub(super) fn read_both(
    folder: &Path,
    base: Option<&str>,
    head: Option<&str>,
    seen: &Seen<'_>,
) -> Result<BothFiles, Failure> {
    let repository = Repository::open(folder)?;
    let mut sides = match Asked::of(base, head) {
        Asked::Default => default_sides(folder, &repository, seen)?,
        Asked::Merge(base, head) => {
            let (tip, head) = (repository.resolve(base)?, repository.resolve(head)?);
            merge_sides(&repository, base, tip, head, seen)?
        }
        Asked::Both(base, head) => {
            let base = read_tree(folder, Some(base), seen)?;
            let head = match head {
                Some(head) => beside(&repository, &base, repository.resolve(head)?, seen)?,
                None => read_head(folder, &repository, None, seen)?,
            };
            let tip = match &head.2 {
                Some(revision) => revision.clone(),
                None => repository.resolve("HEAD")?,
            };
            let lifted = lifted(&repository, base.2.as_ref(), &tip)?;
            BothFiles { base: Some(base), head, lifted }
        }
    };
    // A change that begins a fleet beside others is compared with nothing, as a first commit is.
    if let Some((_, name, _)) = sides.base.take_if(|(files, ..)| files.0.is_empty()) {
        say(&format!("note: there is no such fleet yet in {name}"));
    }
    Ok(sides)
}

/// A head that was typed; else the working tree, and in a bare repository what its HEAD is.
pub(super) fn read_head(
    folder: &Path,
    repository: &Repository,
    head: Option<&str>,
    seen: &Seen<'_>,
) -> Result<SideFiles, Failure> {
    match head {
        Some(head) => read_tree(folder, Some(head), seen),
        None if repository.is_bare() => read_tree(folder, Some("HEAD"), seen),
        None => Ok((read_folder(folder)?, WORKING_TREE.to_owned(), None)),
    }
}

/// On a branch: the target's tip against what would land. On the target branch itself: its parent;
/// uncommitted changes there are looked at first.
fn default_sides(
    folder: &Path,
    repository: &Repository,
    seen: &Seen<'_>,
) -> Result<BothFiles, Failure> {
    match repository.default_base()? {
        DefaultBase::Target { name, tip, head } => {
            if !repository.is_clean()?.is_clean() {
                say("note: this compares commits; `hoist diff HEAD` shows what is not committed");
            }
            merge_sides(repository, &name, tip, head, seen)
        }
        DefaultBase::Parent { parent, head } => {
            if !repository.is_clean()?.is_clean() {
                let tree = read_folder(folder)?;
                let base = Some(named(repository, head, seen)?);
                let head = (tree, WORKING_TREE.to_owned(), None);
                return Ok(BothFiles { base, head, lifted: Lifted::default() });
            }
            let lifted = lifted(repository, parent.as_ref(), &head)?;
            let base = parent.map(|parent| named(repository, parent, seen)).transpose()?;
            let head = match &base {
                Some(base) => beside(repository, base, head, seen)?,
                None => named(repository, head, seen)?,
            };
            Ok(BothFiles { base, head, lifted })
        }
    }
}

/// A target branch against the merge result of it and a head, merged in memory: what would land.
fn merge_sides(
    repository: &Repository,
    name: &str,
    tip: Revision,
    head: Revision,
    seen: &Seen<'_>,
) -> Result<BothFiles, Failure> {
    let files = repository.read_and_tell(&tip, seen)?;
    let merged = repository.merge_tree((&tip, &files), &head)?;
    let lifted = lifted(repository, Some(&tip), &head)?;
    let base = (files, format!("{name} ({})", tip.short), Some(tip));
    let head = (merged, format!("{} merged", head.short), Some(head));
    Ok(BothFiles { base: Some(base), head, lifted })
}

fn named(
    repository: &Repository,
    revision: Revision,
    seen: &Seen<'_>,
) -> Result<SideFiles, Failure> {
    let files = repository.read_and_tell(&revision, seen)?;
    Ok((files, revision.short.clone(), Some(revision)))
}

/// The same, beside another side of which much may be the same.
fn beside(
    repository: &Repository,
    (files, _, known): &SideFiles,
    revision: Revision,
    seen: &Seen<'_>,
) -> Result<SideFiles, Failure> {
    let Some(known) = known else { return named(repository, revision, seen) };
    let files = repository.read_beside((known, files), &revision)?;
    Ok((files, revision.short.clone(), Some(revision)))
}

/// What commits between two revisions allow.
pub(super) fn lifted(
    repository: &Repository,
    base: Option<&Revision>,
    head: &Revision,
) -> Result<Lifted, Failure> {
    let trailers = repository.trailers(base, head, "Hoist-Allow")?;
    let parse = |value: &String| Allowance::parse_all(value);
    let allowances = trailers.found.iter().map(|trailer| &trailer.value).flat_map(parse).collect();
    Ok(Lifted { allowances, history_is_cut: trailers.cut })
}

/// Why a guard may ask for consent although somebody gave it.
pub(super) fn say_history_is_cut() {
    say(
        "note: this clone is shallow, so which commits are new is not known, and `Hoist-Allow` trailers \
         of some were not counted\n  = help: run `git fetch --unshallow`",
    );
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn ranges_are_read_as_git_reads_them() {
        let of = Asked::of;
        assert_eq!(of(None, None), Asked::Default);
        assert_eq!(of(Some("a"), None), Asked::Both("a", None));
        assert_eq!(of(Some("a"), Some("b")), Asked::Both("a", Some("b")));
        assert_eq!(of(Some("a..b"), None), Asked::Both("a", Some("b")));
        assert_eq!(of(Some("a.."), None), Asked::Both("a", Some("HEAD")));
        assert_eq!(of(Some("..b"), None), Asked::Both("HEAD", Some("b")));
        assert_eq!(of(Some("a...b"), None), Asked::Merge("a", "b"));
        assert_eq!(of(Some("v1.0...v1.1"), None), Asked::Merge("v1.0", "v1.1"));
    }
}
