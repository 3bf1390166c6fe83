//! Fleets as they were at revisions, for what changed on a device: read from git when somebody asks, and a few are kept.
//!
//! Enters: the repository's folder, a commit. Leaves: its fleet, resolved, or why there is none. Blocking. Not here: what
//! differs.

use crate::fleet::Fleet;
use crate::model::Facts;
use crate::resolve::{Checked, Resolution, check, resolve};
use crate::source::Repository;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// So many are kept: devices that somebody looks at one after the other changed with the same commits. A large fleet takes
/// much room.
const KEPT: usize = 2;

/// A fleet at a revision.
#[derive(Clone)]
pub(super) struct Then {
    pub(super) fleet: Arc<Fleet>,
    pub(super) resolution: Arc<Resolution>,
}

/// Reads fleets of revisions that were.
pub(super) struct Past {
    folder: PathBuf,
    /// The newest first.
    kept: Mutex<VecDeque<(String, Then)>>,
}

impl Past {
    pub(super) fn of(folder: PathBuf) -> Self {
        Self { folder, kept: Mutex::default() }
    }

    /// The fleet at a commit, resolved with what devices report now. One is read at a time: nobody who asks for many
    /// devices makes more work than one who asks for one.
    ///
    /// # Errors
    /// Git can't give it, or it is not valid, in words.
    pub(super) fn at(&self, revision: &str, facts: &Facts) -> Result<Then, String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, then)) = kept.iter().find(|(of, _)| of == revision) {
            return Ok(then.clone());
        }
        let then = self.read(revision, facts)?;
        kept.push_front((revision.to_owned(), then.clone()));
        kept.truncate(KEPT);
        Ok(then)
    }

    fn read(&self, revision: &str, facts: &Facts) -> Result<Then, String> {
        let repository = Repository::open(&self.folder).map_err(|error| error.to_string())?;
        let commit = repository.resolve(revision).map_err(|error| error.to_string())?;
        let tree = repository.read(&commit).map_err(|error| error.to_string())?;
        let Checked { fleet, diagnostics } = check(&tree);
        match fleet {
            Some((fleet, by_files)) if !diagnostics.has_errors() => {
                let has_facts = !facts.0.is_empty();
                let resolution = if has_facts { resolve(&fleet, facts) } else { by_files };
                Ok(Then { fleet: Arc::new(fleet), resolution: Arc::new(resolution) })
            }
            _ => Err(format!("{} is not valid for this version of Hoist", commit.short)),
        }
    }
}
