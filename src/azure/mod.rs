//! The way over from Azure IoT Edge, and back.
//!
//! [`import`]: manifests and exports of a hub go in as JSON; files of a fleet and a report come out. Nothing
//! is lost without a word: what has no place in fleet files goes to `[azure]`, or is named in the report.
//! [`export`]: a device's manifest goes in; `modulesContent` for IoT Edge comes out.
//!
//! Not here: reading and writing files, and judging what was imported; `validate` does that.

mod credentials;
mod deployment;
mod devices;
mod edge_hub;
mod envelope;
mod export;
mod export_options;
mod head;
mod import;
mod json;
mod module;
mod names;
mod option_forms;
mod options;
mod placeholder;
mod report;
mod verdict;

pub use export::{Export, export};
pub use import::{ImportRequest, Imported, InputFile, Mistake, import};
pub use placeholder::LeftPlaceholder;
pub use report::{DeploymentReport, Remark, Report, Weight};
