//! A real engine over its HTTP API (Docker Engine API 1.41 and newer; Podman as far as it goes).
//!
//! Enters: an address, steps, what is wanted of an observation. Leaves: observations, outcomes, and errors in
//! our own words. bollard, hyper and TLS are named in this folder only. Not here: any decision about what
//! should run.

mod archive;
mod certificate;
mod connection;
mod failure;
mod listen;
mod networks;
mod observe;
mod pull;
mod ssh;
mod steps;
mod stream;
mod tls;
mod transport;
mod wait;
mod wire;

pub use certificate::validity;
pub use tls::{ClientIdentity, made_wrong};

use super::{
    Engine, EngineError, EngineErrorKind, EngineFuture, EngineHealth, EventStream, FileSeen,
    LogStream, LogsWanted, SecretValues, Wanted,
};
use crate::model::{EngineAddress, EngineReport, Observation};
use crate::plan::{Step, StepOutput};
use bollard::{BollardRequest, ClientVersion};
use failure::Trouble;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stream::Place;
use transport::Transport;

/// The newest API version whose answers this client was written for.
const NEWEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 47 };

/// A container engine that speaks the Docker Engine API.
pub struct Docker {
    transport: Arc<Transport>,
    /// bollard over our transport: for calls whose body and answer its types carry without loss.
    client: bollard::Docker,
    /// Held while a version is negotiated, so that parallel calls ask once.
    negotiation: tokio::sync::Mutex<()>,
}

/// What the control host has for the way to an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// For tcp: mutual TLS. Without it tcp is plain, and refused beyond loopback.
    pub tls: Option<ClientIdentity>,
    /// For ssh: a file to take in place of the user's own settings.
    pub ssh_config: Option<PathBuf>,
}

impl Docker {
    /// The engine at an address that needs nothing of the control host.
    ///
    /// # Errors
    /// As [`Docker::connect_with`].
    pub fn connect(address: &EngineAddress) -> Result<Self, EngineError> {
        Self::connect_with(address, Access::default())
    }

    /// The engine at an address. Nothing is sent before the first call.
    ///
    /// # Errors
    /// Where there is no safe way to that address.
    pub fn connect_with(address: &EngineAddress, access: Access) -> Result<Self, EngineError> {
        let refuse = |words: String| EngineError::new(EngineErrorKind::Unreachable, words);
        let Access { tls, ssh_config } = access;
        let place = match (address, tls) {
            (EngineAddress::Tcp { host, port }, Some(identity)) => {
                Place::Tls(host.clone(), *port, identity)
            }
            (EngineAddress::Unix { path }, None) => Place::Unix(path.into()),
            (EngineAddress::Tcp { host, port }, None) if address.is_local() => {
                Place::Tcp(host.clone(), *port)
            }
            (EngineAddress::Tcp { .. }, None) => {
                return Err(refuse(format!(
                    "{address}: plain tcp is refused beyond loopback; give the device \
                     `tls = \"NAME\"`, and the control host `[tls.NAME]`"
                )));
            }
            (EngineAddress::Ssh { .. }, None) => {
                Place::Ssh(Box::new(ssh::Ssh::new(address, ssh_config).map_err(refuse)?))
            }
            (EngineAddress::Unix { .. } | EngineAddress::Ssh { .. }, Some(_)) => {
                return Err(refuse(format!("{address}: `tls` is for tcp only")));
            }
        };
        let transport = Arc::new(Transport::new(place, address.to_string()));
        let carrier = Arc::clone(&transport);
        let client = bollard::Docker::connect_with_custom_transport(
            move |request: BollardRequest| {
                let transport = Arc::clone(&carrier);
                async move { transport.carry(request).await }
            },
            Some("http://engine"),
            // Our own limits are around every call; this one only must not be shorter.
            24 * 3600,
            &NEWEST,
        )
        .map_err(|error| {
            EngineError::new(EngineErrorKind::Unreachable, format!("{address}: {error}"))
        })?;
        Ok(Self { transport, client, negotiation: tokio::sync::Mutex::new(()) })
    }

    /// Runs a bollard call within a time limit.
    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, bollard::errors::Error>> + Send,
    ) -> Result<T, Trouble> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Trouble::from_bollard(error)),
            Err(_) => Err(Trouble::TimedOut(limit)),
        }
    }
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Docker({})", self.transport.address())
    }
}

impl Engine for Docker {
    fn facts(&self) -> EngineFuture<'_, EngineReport> {
        Box::pin(self.ask_facts())
    }

    fn answers(&self) -> EngineFuture<'_, ()> {
        Box::pin(self.ask_for_a_sign())
    }

    fn health(&self) -> EngineFuture<'_, EngineHealth> {
        Box::pin(self.ask_health())
    }

    fn observe<'a>(&'a self, wanted: &'a Wanted) -> EngineFuture<'a, Observation> {
        Box::pin(self.look(wanted))
    }

    fn execute<'a>(
        &'a self,
        step: &'a Step,
        secrets: &'a SecretValues,
    ) -> EngineFuture<'a, StepOutput> {
        Box::pin(self.run(step, secrets))
    }

    fn look_at<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> EngineFuture<'a, Option<FileSeen>> {
        Box::pin(async move {
            self.negotiate().await?;
            self.seen_at(container, path).await
        })
    }

    fn read_file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
        limit: usize,
    ) -> EngineFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            self.negotiate().await?;
            self.read_plain_file(container, path, limit).await
        })
    }

    fn events<'a>(&'a self, fleets: &'a [String]) -> EngineFuture<'a, EventStream> {
        Box::pin(self.listen_to_events(fleets))
    }

    fn logs<'a>(
        &'a self,
        container: &'a str,
        wanted: &'a LogsWanted,
    ) -> EngineFuture<'a, LogStream> {
        Box::pin(self.read_logs(container, wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_a_safe_way_are_refused_in_words() {
        let refused = |text| {
            let error = Docker::connect(&EngineAddress::parse(text).unwrap()).unwrap_err();
            assert_eq!(error.kind, EngineErrorKind::Unreachable);
            error.message
        };
        insta::assert_snapshot!(
            refused("tcp://192.0.2.9:2375"),
            @r#"tcp://192.0.2.9:2375: plain tcp is refused beyond loopback; give the device `tls = "NAME"`, and the control host `[tls.NAME]`"#
        );
        let identity =
            ClientIdentity { ca: "/ca".into(), cert: "/cert".into(), key: "/key".into() };
        let access = Access { tls: Some(identity), ssh_config: None };
        let ssh = EngineAddress::parse("ssh://hoist@gw.example").unwrap();
        insta::assert_snapshot!(
            Docker::connect_with(&ssh, access).unwrap_err(),
            @"ssh://hoist@gw.example: `tls` is for tcp only"
        );
        Docker::connect(&EngineAddress::parse("tcp://127.0.0.1:2375").unwrap()).unwrap();
    }
}
