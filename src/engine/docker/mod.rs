//! A real engine over its HTTP API (Docker Engine API 1.41 and newer; Podman as far as it goes).
//!
//! Enters: an address, steps, what is wanted of an observation. Leaves: observations, outcomes, and errors in
//! our own words. bollard and hyper are named in this folder only. Not here: TLS and ssh, which later versions
//! add below `transport`; any decision about what should run.

mod archive;
mod connection;
mod failure;
mod observe;
mod pull;
mod steps;
mod transport;
mod wait;
mod wire;

use super::{Engine, EngineError, EngineErrorKind, EngineFuture, FileSeen, SecretValues, Wanted};
use crate::model::{EngineAddress, EngineReport, Observation};
use crate::plan::{Step, StepOutput};
use bollard::{BollardRequest, ClientVersion};
use failure::Trouble;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use transport::{Place, Transport};

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

impl Docker {
    /// The engine at an address. Nothing is sent before the first call.
    ///
    /// # Errors
    /// Where this version has no safe way to that address.
    pub fn connect(address: &EngineAddress) -> Result<Self, EngineError> {
        let refuse = |words: String| Err(EngineError::new(EngineErrorKind::Unreachable, words));
        let place = match address {
            EngineAddress::Unix { path } => Place::Unix(path.into()),
            EngineAddress::Tcp { host, port } if address.is_local() => {
                Place::Tcp(host.clone(), *port)
            }
            EngineAddress::Tcp { .. } => {
                return refuse(format!(
                    "{address}: plain tcp is refused beyond loopback; \
                     tcp with TLS is not supported by this version"
                ));
            }
            EngineAddress::Ssh { .. } => {
                return refuse(format!("{address}: ssh is not supported by this version"));
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
        assert_eq!(
            refused("tcp://192.0.2.9:2375"),
            "tcp://192.0.2.9:2375: plain tcp is refused beyond loopback; \
             tcp with TLS is not supported by this version"
        );
        assert_eq!(
            refused("ssh://hoist@gw.example"),
            "ssh://hoist@gw.example: ssh is not supported by this version"
        );
        Docker::connect(&EngineAddress::parse("tcp://127.0.0.1:2375").unwrap()).unwrap();
    }
}
