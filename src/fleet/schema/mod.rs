//! What the files of a fleet may hold, as JSON Schema, so that editors complete and check them.
//!
//! Enters: nothing but the kind of file. Leaves: its schema, in draft 7, which editors for TOML take best. The
//! words beside keys are those of `docs/fleet-files.md`, of lints those of `docs/lints.md`. A schema refuses
//! nothing that the decoder takes, and says as much of what the decoder refuses as a schema can. Not here:
//! what needs more than one value to be seen; `hoist validate` says that.
//!
//! Editors that complete by a schema look neither into `allOf` nor beside a `$ref`, so both are avoided where
//! keys are described.

mod deployment;
mod device;
mod fleet_file;
mod module;
mod parts;
#[cfg(test)]
mod tests;

use serde_json::{Value as Json, json};

/// A kind of file in a fleet repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `fleet.toml`.
    Fleet,
    /// A file in `devices/`.
    Device,
    /// A file in `deployments/`.
    Deployment,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Fleet, Self::Device, Self::Deployment];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Device => "device",
            Self::Deployment => "deployment",
        }
    }
}

/// The schema of a kind of file.
pub fn schema(kind: FileKind) -> Json {
    let (title, mut schema) = match kind {
        FileKind::Fleet => ("Hoist: fleet.toml", fleet_file::fleet()),
        FileKind::Device => ("Hoist: a file in devices/", device::devices()),
        FileKind::Deployment => ("Hoist: a file in deployments/", deployment::deployment()),
    };
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(title);
    schema
}
