//! The control host's own file, `hoist.toml`: what the fleet repository may reach, and what its names of
//! secrets mean.
//!
//! Enters: a path, or none. Leaves: a [`Config`]. Git names secrets and engines; only this file, on the
//! control host, says what they are and who may have them. Values of secrets are had on demand and never
//! kept or printed. Not here: connections, and files of the fleet.

mod blot;
mod decode;
mod engines;
mod load;
mod recent;
mod secret;
mod watch;
mod webhook;

pub use engines::{EnginePattern, EngineRules};
pub use load::{Config, ConfigError, TlsFiles};
pub use recent::RecentSecrets;
pub use secret::{
    Secret, SecretDevices, SecretError, SecretSource, SecretText, read_secret, warn_of_readers,
};
pub use watch::WatchDefaults;
pub use webhook::{Hidden, NewsKind, Webhook, WebhookFormat};
