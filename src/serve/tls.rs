//! The certificate that we show, read again when its files change: it is renewed more often than the daemon is restarted.

use crate::config::warn_of_readers;
use crate::engine::docker::{made_wrong, validity};
use crate::model::Timestamp;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, ServerConfig, crypto};

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// Our certificate, with those between it and its authority, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Why a certificate can't be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityError {
    file: PathBuf,
    words: String,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.words)
    }
}

impl std::error::Error for IdentityError {}

/// When both files were written last, as far as that can be told.
type Written = [Option<SystemTime>; 2];

/// A certificate with its key, as they were good last.
pub(super) struct Identity {
    files: IdentityFiles,
    current: Mutex<(Arc<ServerConfig>, Written)>,
}

impl Identity {
    /// Reads both files.
    pub(super) fn read(files: &IdentityFiles) -> Result<Self, IdentityError> {
        let written = written(files);
        let config = config(files)?;
        Ok(Self { files: files.clone(), current: Mutex::new((config, written)) })
    }

    /// What takes up the next connection. Files that are half written or wrong change nothing.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written(&self.files);
        if written != current.1 {
            match config(&self.files) {
                Ok(config) => *current = (config, written),
                Err(error) => {
                    tracing::warn!(%error, "the renewed certificate is not usable yet");
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&current.0))
    }
}

fn written(files: &IdentityFiles) -> Written {
    [&files.cert, &files.key].map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())
}

fn config(files: &IdentityFiles) -> Result<Arc<ServerConfig>, IdentityError> {
    let IdentityFiles { cert, key } = files;
    let wrong = |file: &Path, words: &dyn fmt::Display| IdentityError {
        file: file.to_owned(),
        words: words.to_string(),
    };
    let pem = std::fs::read(cert).map_err(|error| wrong(cert, &error))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(cert, &error))?;
    let Some(first) = chain.first() else {
        return Err(wrong(cert, &"there is no certificate in it"));
    };
    warn_of_dates(cert, first);
    let pem = std::fs::read(key).map_err(|error| wrong(key, &error))?;
    warn_of_readers(key);
    let private = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| wrong(key, &"there is no private key in PEM in it"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let config = builder
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                wrong(key, &format!("it does not belong to the certificate {}", cert.display()))
            }
            other => match made_wrong(&other) {
                Some(words) => wrong(cert, &words),
                None => wrong(cert, &other),
            },
        })?;
    Ok(Arc::new(config))
}

/// Devices matter more than the page: one that nobody trusts any more is shown all the same, and said.
fn warn_of_dates(file: &Path, certificate: &[u8]) {
    let now = jiff::Timestamp::now().as_second();
    let Some((since, until)) = validity(certificate) else { return };
    let moment = |seconds| Timestamp { seconds };
    let file = file.display();
    if now > until {
        tracing::warn!(%file, expired = %moment(until), "the certificate that is shown has expired: nobody who checks it asks here");
    } else if now < since {
        tracing::warn!(%file, valid_from = %moment(since), "the certificate that is shown is not valid yet: nobody who checks it asks here");
    }
}
