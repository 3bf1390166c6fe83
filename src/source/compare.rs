//! What a change is compared with when nobody says, merging in memory, and the trailers on the way.

use super::error::SourceError;
use super::read::Objects;
use super::repository::{Repository, Revision};
use crate::fleet::FileTree;
use git2::{ErrorCode, Oid};

/// What HEAD is compared with when nobody says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultBase {
    /// HEAD is on its way into a target branch: compare its tip with what lands, the merge of both.
    Target {
        /// The branch, as people write it: `origin/main`.
        name: String,
        /// Its tip.
        tip: Revision,
        /// HEAD.
        head: Revision,
    },
    /// HEAD is the tip of the target branch: compare with its parent.
    Parent {
        /// The first parent; the first commit has none and is compared with nothing.
        parent: Option<Revision>,
        /// HEAD.
        head: Revision,
    },
}

/// A trailer in a commit message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// The commit.
    pub revision: Revision,
    /// What stands before the colon, as written.
    pub key: String,
    /// What stands after it.
    pub value: String,
}

/// The trailers of some commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailers {
    /// They, newest first.
    pub found: Vec<Trailer>,
    /// Whether commits were left out, as a shallow clone does not show whether they belong here.
    pub cut: bool,
}

/// Where the target branch may be found, best first, below `refs/`.
const TARGETS: [&str; 5] = [
    "refs/remotes/origin/HEAD",
    "refs/heads/main",
    "refs/remotes/origin/main",
    "refs/heads/master",
    "refs/remotes/origin/master",
];

impl Repository {
    /// What HEAD is compared with when nobody says.
    ///
    /// # Errors
    /// There is no target branch, or its history is not here.
    pub fn default_base(&self) -> Result<DefaultBase, SourceError> {
        let head = self.resolve("HEAD")?;
        let target =
            TARGETS.iter().find_map(|name| self.git().find_reference(name).ok()?.resolve().ok());
        let Some(target) = target else {
            if self.is_proposed_merge(&head) {
                let parent = self.parent(&head)?;
                return Ok(DefaultBase::Parent { parent, head });
            }
            return Err(SourceError::NoTargetBranch { command: self.command_for_a_target() });
        };
        let name = target.shorthand().unwrap_or_default().to_owned();
        let tip = target
            .peel_to_commit()
            .map_err(|error| self.missing_or(&name, "find", &error))
            .and_then(|commit| self.revision(&commit))?;
        let on_target = match self.git().head() {
            Ok(reference) if reference.is_branch() => {
                reference.shorthand().ok() == Some(name.strip_prefix("origin/").unwrap_or(&name))
            }
            // Detached, as CI leaves it: at a commit of the target, or at a merge into it.
            _ => {
                let (target, id) = (self.commit(&tip)?.id(), self.commit(&head)?.id());
                self.contains(target, id)
                    || self.is_proposed_merge(&head)
                    || self.is_merge_into(target, &head)?
            }
        };
        if on_target {
            let parent = self.parent(&head)?;
            return Ok(DefaultBase::Parent { parent, head });
        }
        Ok(DefaultBase::Target { name, tip, head })
    }

    /// Whether a forge made this commit to show what a proposal's merge would be: its first parent is the
    /// target branch.
    fn is_proposed_merge(&self, head: &Revision) -> bool {
        let Ok(references) = self.git().references_glob("refs/*/merge") else { return false };
        references.flatten().any(|reference| {
            let of_a_proposal =
                |name: &str| name.contains("/pull/") || name.contains("/merge-requests/");
            reference.name().is_ok_and(of_a_proposal)
                && reference.target().is_some_and(|id| id.to_string() == head.id)
        })
    }

    /// Whether a commit merges something new into the target branch: its first parent is in the target, its
    /// second is not.
    fn is_merge_into(&self, target: Oid, head: &Revision) -> Result<bool, SourceError> {
        let merge = self.commit(head)?;
        let mut parents = merge.parent_ids();
        Ok(match (parents.next(), parents.next()) {
            (Some(first), Some(second)) => {
                self.contains(target, first) && !self.contains(target, second)
            }
            _ => false,
        })
    }

    /// Whether a commit is in a branch. Where history is cut off, what can't be seen is not.
    fn contains(&self, branch: Oid, commit: Oid) -> bool {
        commit == branch || self.git().graph_descendant_of(branch, commit).unwrap_or(false)
    }

    /// The fleet's files as they are after `head` is merged into `target`, whose files are at hand. Nothing is
    /// written.
    ///
    /// # Errors
    /// They conflict, have no common history, or objects are missing.
    pub fn merge_tree(
        &self,
        (target, files): (&Revision, &FileTree),
        head: &Revision,
    ) -> Result<FileTree, SourceError> {
        let base = self.merge_base(target, head)?;
        if base == target.id {
            return self.read_beside((target, files), head);
        }
        if base == head.id {
            return Ok(files.clone());
        }
        // A repository of its own, whose new objects stay in memory.
        let failed = |error: &git2::Error| {
            let words = format!("{} and {}", target.short, head.short);
            self.missing_or(&words, "merge", error)
        };
        let git = git2::Repository::open(self.git().path()).map_err(|error| failed(&error))?;
        let odb = git.odb().map_err(|error| failed(&error))?;
        let _in_memory =
            odb.add_new_mempack_backend(MEMORY_FIRST).map_err(|error| failed(&error))?;
        let commit =
            |revision: &Revision| Oid::from_str(&revision.id).and_then(|id| git.find_commit(id));
        let ours = commit(target).map_err(|error| failed(&error))?;
        let theirs = commit(head).map_err(|error| failed(&error))?;
        let mut index = git
            .merge_commits(&ours, &theirs, Some(&git2::MergeOptions::new()))
            .map_err(|error| failed(&error))?;
        let paths = conflicting_paths(&index).map_err(|error| failed(&error))?;
        if !paths.is_empty() {
            let (target, head) = (target.short.clone(), head.short.clone());
            return Err(SourceError::Conflict { target, head, paths });
        }
        let id = index.write_tree_to(&git).map_err(|error| failed(&error))?;
        let tree = git.find_tree(id).map_err(|error| failed(&error))?;
        let known = ours.tree().map_err(|error| failed(&error))?;
        let words = format!("{} and {}", target.short, head.short);
        let objects = Objects { repository: self, git: &git, wanted: &words };
        objects.files_beside((&known, files), &tree)
    }

    /// Whether a commit is in the history of another one, itself included. Of ids that are not here: no.
    pub fn is_in_history(&self, id: &str, of: &str) -> bool {
        let ids = Oid::from_str(id).and_then(|id| Ok((id, Oid::from_str(of)?)));
        ids.is_ok_and(|(id, of)| {
            self.git().find_commit(id).is_ok()
                && (id == of || self.git().graph_descendant_of(of, id).unwrap_or(false))
        })
    }

    /// All trailers with this key (in any case) in commits that `head` has and `base` lacks, newest first.
    ///
    /// In a shallow clone only commits that build on `base` are certainly not in it; others are left out.
    ///
    /// # Errors
    /// Objects are missing.
    pub fn trailers(
        &self,
        base: Option<&Revision>,
        head: &Revision,
        key: &str,
    ) -> Result<Trailers, SourceError> {
        let failed = |error: &git2::Error| {
            self.missing_or(&format!("the commits up to {}", head.short), "read", error)
        };
        let mut walk = self.git().revwalk().map_err(|error| failed(&error))?;
        let id_of = |revision: &Revision| Oid::from_str(&revision.id);
        id_of(head).and_then(|id| walk.push(id)).map_err(|error| failed(&error))?;
        let base = base.map(id_of).transpose().map_err(|error| failed(&error))?;
        if let Some(base) = base {
            walk.hide(base).map_err(|error| failed(&error))?;
        }
        let shallow = self.git().is_shallow();
        let mut trailers = Trailers { found: Vec::new(), cut: false };
        for id in walk {
            let id = id.map_err(|error| failed(&error))?;
            if let (true, Some(base)) = (shallow, base)
                && !self.git().graph_descendant_of(id, base).unwrap_or(false)
            {
                trailers.cut = true;
                continue;
            }
            let commit = self.git().find_commit(id).map_err(|error| failed(&error))?;
            let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
            let Ok(all) = git2::message_trailers_strs(&message) else { continue };
            for (name, value) in all.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key)) {
                trailers.found.push(Trailer {
                    revision: self.revision(&commit)?,
                    key: name.to_owned(),
                    value: value.trim().to_owned(),
                });
            }
        }
        Ok(trailers)
    }

    /// The first parent; the first commit has none.
    fn parent(&self, revision: &Revision) -> Result<Option<Revision>, SourceError> {
        let commit = self.commit(revision)?;
        let shallow =
            || SourceError::Shallow { wanted: format!("the parent of {}", revision.short) };
        if commit.parent_count() == 0 {
            // At the edge of a shallow clone a commit only looks like the first; its own text tells.
            let mut lines = commit.raw_header_bytes().split(|byte| *byte == b'\n');
            let is_cut = lines.any(|line| line.starts_with(b"parent "));
            return if is_cut { Err(shallow()) } else { Ok(None) };
        }
        match commit.parent(0) {
            Ok(parent) => self.revision(&parent).map(Some),
            Err(_) if self.git().is_shallow() => Err(shallow()),
            Err(error) => Err(self.missing_or(&revision.short, "find the parent of", &error)),
        }
    }

    fn merge_base(&self, one: &Revision, other: &Revision) -> Result<String, SourceError> {
        let (first, second) = (self.commit(one)?.id(), self.commit(other)?.id());
        let wanted = || format!("the common ancestor of {} and {}", one.short, other.short);
        match self.git().merge_base(first, second) {
            Ok(base) => Ok(base.to_string()),
            Err(_) if self.git().is_shallow() => Err(SourceError::Shallow { wanted: wanted() }),
            Err(error) if error.code() == ErrorCode::NotFound => {
                let (one, other) = (one.short.clone(), other.short.clone());
                Err(SourceError::NoCommonHistory { one, other })
            }
            Err(error) => Err(SourceError::git(format!("find {}", wanted()), &error)),
        }
    }
}

/// Above every backend on disk.
const MEMORY_FIRST: i32 = 1000;

fn conflicting_paths(index: &git2::Index) -> Result<Vec<String>, git2::Error> {
    if !index.has_conflicts() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let entry = conflict.our.or(conflict.their).or(conflict.ancestor);
        paths.extend(entry.map(|entry| String::from_utf8_lossy(&entry.path).into_owned()));
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::TreeEntry;
    use crate::source::sandbox::Sandbox;

    fn open(sandbox: &Sandbox) -> Repository {
        Repository::open(sandbox.path()).unwrap()
    }

    fn merge(
        repository: &Repository,
        target: &Revision,
        head: &Revision,
    ) -> Result<FileTree, SourceError> {
        repository.merge_tree((target, &repository.read(target)?), head)
    }

    #[test]
    fn the_target_branch_is_compared_with_its_parent() {
        let sandbox = Sandbox::with_fleet();
        let DefaultBase::Parent { parent, head } = open(&sandbox).default_base().unwrap() else {
            panic!("main is the target");
        };
        assert_eq!((parent, head.subject.as_str()), (None, "the fleet"));
        sandbox.commit("second");
        let DefaultBase::Parent { parent, .. } = open(&sandbox).default_base().unwrap() else {
            panic!("main is the target");
        };
        assert_eq!(parent.unwrap().subject, "the fleet");
        sandbox.make_shallow();
        let error = open(&sandbox).default_base().unwrap_err();
        assert!(matches!(error, SourceError::Shallow { .. }), "{error}");
    }

    #[test]
    fn a_branch_is_compared_with_what_lands_and_nothing_is_written() {
        let sandbox = Sandbox::with_fleet();
        sandbox.write("deployments/base.toml", "a\nb\nc\nd\ne\nf\ng\n");
        sandbox.commit("base");
        sandbox.branch("feature");
        sandbox.write("deployments/base.toml", "a\nb\nc\nd\ne\nf\nG\n");
        sandbox.commit("main goes on");
        sandbox.checkout("feature");
        sandbox.write("deployments/base.toml", "A\nb\nc\nd\ne\nf\ng\n");
        sandbox.commit("feature");
        let repository = open(&sandbox);
        let DefaultBase::Target { name, tip, head } = repository.default_base().unwrap() else {
            panic!("feature is a branch");
        };
        assert_eq!((name.as_str(), tip.subject.as_str()), ("main", "main goes on"));
        let objects = sandbox.object_count();
        let merged = merge(&repository, &tip, &head).unwrap();
        let expected = "A\nb\nc\nd\ne\nf\nG\n";
        assert_eq!(merged.0["deployments/base.toml"], TreeEntry::File(expected.into()));
        assert_eq!(sandbox.object_count(), objects);
        // What is contained is not merged again.
        assert_eq!(merge(&repository, &tip, &tip).unwrap(), repository.read(&tip).unwrap());
    }

    #[test]
    fn the_remote_head_comes_first_and_detached_heads_work() {
        let sandbox = Sandbox::with_fleet();
        sandbox.reference("refs/remotes/origin/trunk", "HEAD");
        sandbox.symbolic("refs/remotes/origin/HEAD", "refs/remotes/origin/trunk");
        sandbox.commit("ahead of origin");
        let base = open(&sandbox).default_base().unwrap();
        assert!(matches!(base, DefaultBase::Target { name, .. } if name == "origin/trunk"));
        sandbox.detach("refs/remotes/origin/trunk");
        let base = open(&sandbox).default_base().unwrap();
        assert!(matches!(base, DefaultBase::Parent { parent: None, .. }));
    }

    #[test]
    fn conflicts_foreign_histories_and_absent_targets_are_told() {
        let sandbox = Sandbox::with_fleet();
        sandbox.branch("feature");
        sandbox.write("fleet.toml", "name = \"one\"");
        sandbox.commit("main");
        sandbox.checkout("feature");
        sandbox.write("fleet.toml", "name = \"other\"");
        sandbox.commit("feature");
        let repository = open(&sandbox);
        let (main, feature) =
            (repository.resolve("main").unwrap(), repository.resolve("feature").unwrap());
        insta::assert_snapshot!(merge(&repository, &main, &feature).unwrap_err(), @"3539230 does not merge into 310fff7: conflict in fleet.toml");
        sandbox.orphan("refs/heads/orphan");
        let orphan = repository.resolve("orphan").unwrap();
        insta::assert_snapshot!(merge(&repository, &main, &orphan).unwrap_err(), @"310fff7 and 7d67e2f have no commit in common");

        let lonely = Sandbox::with_fleet();
        lonely.rename_main("lonely");
        let error = open(&lonely).default_base().unwrap_err();
        assert!(matches!(error, SourceError::NoTargetBranch { command: None }), "{error}");
    }

    #[test]
    fn trailers_between_two_commits_are_found() {
        let sandbox = Sandbox::with_fleet();
        sandbox.commit("old\n\nHoist-Allow: modules-removed=1");
        let repository = open(&sandbox);
        let base = repository.resolve("HEAD").unwrap();
        sandbox.commit("new\n\nWords.\n\nHoist-allow: modules-removed=120, devices-disrupted=9\nSigned-off-by: x");
        sandbox.commit("not at the end\n\nHoist-Allow: x=1\n\nMore words.");
        let head = repository.resolve("HEAD").unwrap();
        let found = repository.trailers(Some(&base), &head, "Hoist-Allow").unwrap().found;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].value, "modules-removed=120, devices-disrupted=9");
        assert_eq!(found[0].revision.subject, "new");
        assert_eq!(repository.trailers(None, &head, "hoist-allow").unwrap().found.len(), 2);
    }
}
