//! Where files come from: a folder as it lies, or a commit of a git repository.
//!
//! Enters: a folder, and the name of a revision. Leaves: a [`FileTree`](crate::fleet::FileTree) and, for
//! commits, a [`Revision`]. Only this layer knows git. A repository that exists is never written: not its working
//! tree, not its index, not its object database (merges happen in memory). Not here: what the files mean, and
//! fetching.

mod compare;
mod create;
mod error;
mod folder;
mod interest;
mod repository;
#[cfg(test)]
mod sandbox;

pub use compare::{DefaultBase, Trailer, Trailers};
pub use create::create_repository;
pub use error::SourceError;
pub use folder::{find_fleet_folder, read_folder};
pub use repository::{Cleanliness, Repository, Revision};
