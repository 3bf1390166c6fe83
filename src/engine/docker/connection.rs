//! The first words with an engine: which API version both speak, and what it says of itself.
//!
//! Enters: the answers of `/version` and `/info`. Leaves: the version in every later path; [`EngineReport`].

use super::failure::Call;
use super::transport::Exchange;
use super::wire::{self, InfoAnswer, VersionAnswer};
use super::{Docker, NEWEST};
use crate::engine::{EngineError, EngineErrorKind};
use crate::model::EngineReport;
use bollard::ClientVersion;
use std::time::Duration;

const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
const LIMIT: Duration = Duration::from_secs(20);

impl Docker {
    /// Agrees on an API version, once until a connection breaks.
    pub(super) async fn negotiate(&self) -> Result<(), EngineError> {
        if self.transport.version().is_some() {
            return Ok(());
        }
        let _one_at_a_time = self.negotiation.lock().await;
        if self.transport.version().is_some() {
            return Ok(());
        }
        let answer = self.ask_version("/version").await?;
        let version = agreed(&answer).map_err(|words| {
            EngineError::new(
                EngineErrorKind::Unreachable,
                format!("{}: {words}", self.transport.address()),
            )
        })?;
        self.transport.set_version(Some(version));
        Ok(())
    }

    async fn ask_version(&self, path: &str) -> Result<VersionAnswer, EngineError> {
        let tried = format!("ask {} for its version", self.transport.address());
        let bytes = self
            .transport
            .ask(Exchange::get(path), LIMIT)
            .await
            .map_err(|trouble| trouble.during(Call::Ask, &tried))?;
        wire::parse(&bytes).map_err(|trouble| trouble.during(Call::Ask, &tried))
    }

    /// What the engine says of itself now.
    pub(super) async fn ask_facts(&self) -> Result<EngineReport, EngineError> {
        self.negotiate().await?;
        let version = self.ask_version("/version").await?;
        let tried = format!("ask {} what it is", self.transport.address());
        let info: InfoAnswer = self
            .transport
            .ask(Exchange::get("/info"), LIMIT)
            .await
            .and_then(|bytes| wire::parse(&bytes))
            .map_err(|trouble| trouble.during(Call::Ask, &tried))?;
        let labels = info.labels.unwrap_or_default();
        let label = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        };
        Ok(EngineReport {
            id: info.id,
            name: version.engine_name(),
            api_version: self.transport.version().unwrap_or_default(),
            version: version.version,
            os: info.operating_system,
            kernel: info.kernel_version,
            architecture: info.architecture,
            cpus: info.cpus,
            memory: info.memory,
            labels: labels.iter().map(label).collect(),
        })
    }
}

/// The newest version that both speak.
fn agreed(answer: &VersionAnswer) -> Result<String, String> {
    let server = parse_version(&answer.api_version)
        .ok_or_else(|| format!("the engine names no API version (`{}`)", answer.api_version))?;
    if server < OLDEST {
        return Err(format!(
            "the engine speaks API {server}; Hoist needs {OLDEST} (Docker 20.10) or newer"
        ));
    }
    let ours = if server < NEWEST { server } else { NEWEST };
    match answer.min_api_version.as_deref().and_then(parse_version) {
        Some(least) if ours < least => Err(format!(
            "the engine speaks API {least} and newer; this version of Hoist knows {NEWEST} at most"
        )),
        _ => Ok(ours.to_string()),
    }
}

fn parse_version(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    Some(ClientVersion { major_version: major, minor_version: minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_both_speak() {
        let answer = |api: &str, min: Option<&str>| {
            agreed(&VersionAnswer {
                api_version: api.to_owned(),
                min_api_version: min.map(str::to_owned),
                ..VersionAnswer::default()
            })
        };
        assert_eq!(answer("1.41", Some("1.12")).unwrap(), "1.41");
        assert_eq!(answer("1.53", Some("1.44")).unwrap(), "1.47");
        assert_eq!(answer("1.47", None).unwrap(), "1.47");
        insta::assert_snapshot!(
            answer("1.40", None).unwrap_err(),
            @"the engine speaks API 1.40; Hoist needs 1.41 (Docker 20.10) or newer"
        );
        insta::assert_snapshot!(
            answer("1.60", Some("1.50")).unwrap_err(),
            @"the engine speaks API 1.50 and newer; this version of Hoist knows 1.47 at most"
        );
        answer("x", None).unwrap_err();
    }
}
