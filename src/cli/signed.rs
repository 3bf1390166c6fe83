//! Signatures are asked for from now on: what counts already stays, and whether it bears one is said.

use super::exit::Failure;
use super::output::say;
use crate::diagnostic::render::visible;
use crate::plan::short_revision;
use crate::reconcile::keep_unsigned;
use crate::source::{Remote, Repository};
use crate::store::{Store, fleet_key};
use std::path::{Path, PathBuf};

/// The file of keys whose signatures are accepted, wherever git is started.
pub(super) fn signers(path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_file() {
        let why = if path.exists() { "is no plain file" } else { "does not exist" };
        return Err(Failure::new(format!("--require-signed: {} {why}", path.display())));
    }
    std::path::absolute(path).map_err(|error| {
        Failure::new(format!("--require-signed: can't read {}: {error}", path.display()))
    })
}

/// Says, and keeps for `hoist status`, that the revision in force bears no accepted signature.
pub(super) async fn look_at_what_counts(
    remote: &Remote,
    store: &Store,
    signers: Option<&Path>,
) -> Result<(), Failure> {
    let accepted = store.fleet_state(fleet_key::ACCEPTED)?;
    let (Some(signers), Some(accepted)) = (signers, accepted) else {
        return Ok(keep_unsigned(store, None)?);
    };
    let found = match Repository::open(remote.folder()).and_then(|r| r.resolve(&accepted)) {
        Ok(revision) => remote.verify(&revision, signers).await,
        // Then nothing of it is worked with either, and that is said.
        Err(_) => Ok(()),
    };
    let words = found.err();
    if let Some(words) = &words {
        let short = short_revision(&accepted);
        say(&visible(&format!(
            "warning: {short} is in force, and its signature is not accepted: {words}; it stays, and only commits after \
             it are held to --require-signed"
        )));
    }
    Ok(keep_unsigned(store, words.as_deref().map(|words| (accepted.as_str(), words)))?)
}
