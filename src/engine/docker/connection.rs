//! The first words with an engine: which API version both speak, and what it says of itself.
//!
//! Enters: the answers of `/_ping`, `/version` and `/info`. Leaves: the version in every later path; [`EngineReport`].

use super::failure::{Call, Trouble};
use super::transport::Exchange;
use super::wire::{self, InfoAnswer, UsageAnswer, VersionAnswer};
use super::{Docker, NEWEST};
use crate::engine::{EngineError, EngineErrorKind, EngineHealth};
use crate::model::{EngineReport, Timestamp};
use bollard::ClientVersion;
use futures_util::future::join;
use std::time::Duration;

const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
const LIMIT: Duration = Duration::from_secs(20);
/// An engine that takes longer for a ping hangs.
const SIGN_LIMIT: Duration = Duration::from_secs(10);

impl Docker {
    /// Agrees on an API version, once until a connection breaks, and says which. A connection that breaks later makes the
    /// transport forget it, so whoever needs it takes it from here.
    pub(super) async fn negotiate(&self) -> Result<String, EngineError> {
        if let Some(version) = self.transport.version() {
            return Ok(version);
        }
        let _one_at_a_time = self.negotiation.lock().await;
        if let Some(version) = self.transport.version() {
            return Ok(version);
        }
        let version = match self.pinged_version().await? {
            Some(version) => version,
            None => agreed(&self.ask_version().await?).map_err(|words| {
                EngineError::new(
                    EngineErrorKind::Unreachable,
                    format!("{}: {words}", self.transport.address()),
                )
            })?,
        };
        self.transport.set_version(Some(version.clone()));
        Ok(version)
    }

    /// The engine's newest API version from its answer to a ping, if we speak it. A ping takes a tenth of a millisecond;
    /// for all that `/version` tells, an engine starts programs.
    async fn pinged_version(&self) -> Result<Option<String>, EngineError> {
        match self.transport.ask_whole(Exchange::get("/_ping"), LIMIT).await {
            Ok(answer) => {
                let version = answer.headers().get("api-version");
                let version = version.and_then(|text| parse_version(text.to_str().ok()?));
                let spoken = version.filter(|version| (OLDEST..=NEWEST).contains(version));
                Ok(spoken.map(|version| version.to_string()))
            }
            // What stands before an engine may let only some calls through.
            Err(Trouble::Status { .. }) => Ok(None),
            Err(trouble) => Err(trouble.during(Call::Ask, self.asks_version())),
        }
    }

    /// Whether it answers a ping; whatever it says is an answer.
    pub(super) async fn ask_for_a_sign(&self) -> Result<(), EngineError> {
        match self.transport.ask_whole(Exchange::get("/_ping"), SIGN_LIMIT).await {
            Ok(_) | Err(Trouble::Status { .. }) => Ok(()),
            Err(trouble) => {
                let tried = format!("ask {} for a sign of life", self.transport.address());
                Err(trouble.during(Call::Ask, tried))
            }
        }
    }

    async fn ask_version(&self) -> Result<VersionAnswer, EngineError> {
        let answer = self.transport.ask(Exchange::get("/version"), LIMIT).await;
        answer
            .and_then(|bytes| wire::parse(&bytes))
            .map_err(|trouble| trouble.during(Call::Ask, self.asks_version()))
    }

    fn asks_version(&self) -> String {
        format!("ask {} for its version", self.transport.address())
    }

    /// What the engine says of itself now.
    pub(super) async fn ask_facts(&self) -> Result<EngineReport, EngineError> {
        let api_version = self.negotiate().await?;
        let tried = format!("ask {} what it is", self.transport.address());
        let (version, info) =
            join(self.ask_version(), self.transport.ask(Exchange::get("/info"), LIMIT)).await;
        let version = version?;
        let info: InfoAnswer = info
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
            api_version,
            version: version.version,
            os: info.operating_system,
            kernel: info.kernel_version,
            architecture: info.architecture,
            cpus: info.cpus,
            memory: info.memory,
            labels: labels.iter().map(label).collect(),
        })
    }

    /// How the engine and its machine fare now. What images take is counted by the engine, which may take it long; then
    /// it is left out.
    pub(super) async fn ask_health(&self) -> Result<EngineHealth, EngineError> {
        self.negotiate().await?;
        let tried = format!("ask {} how it fares", self.transport.address());
        let info: InfoAnswer = self
            .transport
            .ask(Exchange::get("/info"), LIMIT)
            .await
            .and_then(|bytes| wire::parse(&bytes))
            .map_err(|trouble| trouble.during(Call::Ask, &tried))?;
        let usage = self.transport.ask(Exchange::get("/system/df"), LIMIT).await;
        let usage = usage.and_then(|bytes| wire::parse::<UsageAnswer>(&bytes)).ok();
        Ok(EngineHealth {
            time: Timestamp::parse(&info.system_time).ok(),
            folder: Some(info.docker_root_dir).filter(|folder| !folder.is_empty()),
            images: usage.and_then(|usage| u64::try_from(usage.layers_size).ok()),
            warnings: info.warnings.unwrap_or_default(),
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
