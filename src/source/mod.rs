//! Where files come from: a folder as it lies, or a commit of a git repository.
//!
//! Enters: a folder, and the name of a revision. Leaves: a [`FileTree`](crate::fleet::FileTree) and, for
//! commits, a [`Revision`]. Only this layer knows git. A repository that exists is never written: not its working
//! tree, not its index, not its object database (merges happen in memory), but for the commit that `hoist rollback` is
//! asked for; one elsewhere is mirrored into a folder of our own. Not here: what the files mean.

mod bulk;
mod command;
mod compare;
mod create;
mod database;
mod error;
mod folder;
mod interest;
mod mirror;
mod packed;
mod read;
mod refs;
mod refusal;
mod remote;
mod repository;
mod rewrite;
#[cfg(test)]
mod sandbox;

pub use compare::{DefaultBase, Trailer, Trailers};
pub use create::create_repository;
pub use error::SourceError;
pub use folder::{find_fleet_folder, read_folder};
pub use refs::{Telling, tell_of_file, tell_of_refs};
pub use remote::{Fetched, Remote, RemoteError, RemoteErrorKind, is_address, without_credentials};
pub use repository::{Cleanliness, Repository, Revision};
pub use rewrite::{commit_files_of, files_that_differ, push};
