//! Mutual TLS: the control host shows its certificate, and the engine's is checked by the one authority that
//! `[tls.NAME]` names; those of the system are not trusted.
//!
//! Enters: files, a tcp stream. Leaves: a stream that is safe, or [`Trouble`] with the exact cause.

use super::certificate::validity;
use super::failure::Trouble;
use crate::engine::Cause;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, RootCertStore, crypto,
};

/// The files with which the control host shows who it is, and checks who the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The authority of the engines' certificates, PEM.
    pub ca: PathBuf,
    /// Our certificate, with those between it and its authority, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// What a handshake needs, from the files as they are now.
pub(super) fn client(identity: &ClientIdentity) -> Result<Arc<ClientConfig>, Trouble> {
    let ClientIdentity { ca, cert, key } = identity;
    let mut roots = RootCertStore::empty();
    for authority in certificates(ca)? {
        roots.add(authority).map_err(|error| wrong_file(ca, &error))?;
    }
    let chain = certificates(cert)?;
    check_dates(cert, &chain[0])?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|error| wrong_file(key, &format!("no private key in PEM: {error}")))?;
    ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots))
        .and_then(|builder| builder.with_client_auth_cert(chain, private))
        .map(Arc::new)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Trouble::NoConnection {
                cause: Some(Cause::KeyMismatch),
                words: format!(
                    "the private key {} does not belong to the certificate {}",
                    key.display(),
                    cert.display()
                ),
            },
            other => match made_wrong(&other) {
                Some(words) => wrong_file(cert, &words),
                None => wrong_file(key, &other),
            },
        })
}

/// What is wrong with how a certificate was made, where rustls has only names of its library for it.
pub fn made_wrong(error: &rustls::Error) -> Option<&'static str> {
    let rustls::Error::InvalidCertificate(CertificateError::Other(inner)) = error else {
        return None;
    };
    // Only its text says which of webpki's errors it is.
    let text = format!("{inner:?}");
    let is = |name| text.contains(name);
    if is("UnsupportedCertVersion") {
        return Some(
            "it is an X.509 certificate of version 1, which TLS does not take; one made with extensions \
             (`openssl x509 -req … -extfile FILE`) is of version 3",
        );
    }
    is("CaUsedAsEndEntity").then_some(
        "it is the certificate of an authority (`openssl req -x509` makes such), which can't be shown as one's own; \
         it can sign one that can",
    )
}

/// The handshake.
pub(super) async fn secure(
    client: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Trouble::NoConnection {
        cause: Some(Cause::EngineNameMismatch),
        words: format!("no certificate can be for the name {host}: {error}"),
    })?;
    TlsConnector::from(client).connect(name, stream).await.map_err(|error| {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(refused) => trouble(refused),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Trouble::NoConnection {
                cause: None,
                words: "the engine closed the connection during the TLS handshake".to_owned(),
            },
            None => Trouble::NoConnection { cause: None, words: format!("TLS: {error}") },
        }
    })
}

/// What a TLS error means. Some come only with the first answer: an engine looks at our certificate when the
/// handshake has ended for us.
pub(super) fn trouble(error: &rustls::Error) -> Trouble {
    use AlertDescription as Alert;
    use CertificateError as Wrong;
    use rustls::Error as E;
    let (cause, words) = match error {
        E::InvalidCertificate(Wrong::UnknownIssuer | Wrong::BadSignature) => (
            Some(Cause::EngineUntrusted),
            "the engine's certificate is not of the authority in `ca`".to_owned(),
        ),
        E::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. }) => {
            (Some(Cause::EngineExpired), "the engine's certificate has expired".to_owned())
        }
        E::InvalidCertificate(Wrong::NotValidYet | Wrong::NotValidYetContext { .. }) => (
            Some(Cause::EngineNotYetValid),
            "the engine's certificate is not yet valid, or a clock is wrong".to_owned(),
        ),
        E::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. }) => (
            Some(Cause::EngineNameMismatch),
            "the engine's certificate is for another name or address (its subjectAltName counts)"
                .to_owned(),
        ),
        E::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::CertificateRequired),
        ) => (
            Some(Cause::ClientRefused),
            format!("the engine does not accept our client certificate (it says {alert:?})"),
        ),
        E::InvalidMessage(_) => {
            (Some(Cause::NotTls), "what listens there speaks no TLS".to_owned())
        }
        other => match made_wrong(other) {
            Some(words) => (
                Some(Cause::EngineUntrusted),
                format!("the engine's certificate is not usable: {words}"),
            ),
            None => (None, format!("TLS: {other}")),
        },
    };
    Trouble::NoConnection { cause, words }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong_file(path, &"no certificate in PEM")),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong_file(path, &error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    std::fs::read(path).map_err(|error| wrong_file(path, &error))
}

fn wrong_file(path: &Path, error: &dyn std::fmt::Display) -> Trouble {
    Trouble::NoConnection {
        cause: Some(Cause::ClientFiles),
        words: format!("{}: {error}", path.display()),
    }
}

/// The engine would say no more than "bad certificate" about a date.
fn check_dates(path: &Path, certificate: &[u8]) -> Result<(), Trouble> {
    let now = jiff::Timestamp::now().as_second();
    let Some((since, until)) = validity(certificate) else { return Ok(()) };
    let words = if now > until {
        "expired"
    } else if now < since {
        "is valid only from"
    } else {
        return Ok(());
    };
    let moment = if now > until { until } else { since };
    let moment = crate::model::Timestamp { seconds: moment };
    Err(Trouble::NoConnection {
        cause: Some(Cause::ClientExpired),
        words: format!("our client certificate {} {words} {moment}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_what_they_should_be_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let identity = ClientIdentity { ca: path("ca"), cert: path("cert"), key: path("key") };
        let say = || match client(&identity).unwrap_err() {
            Trouble::NoConnection { cause: Some(Cause::ClientFiles), words } => words,
            other => panic!("{other:?}"),
        };
        assert!(say().ends_with("ca: No such file or directory (os error 2)"), "{}", say());
        std::fs::write(path("ca"), "no PEM").unwrap();
        assert!(say().ends_with("ca: no certificate in PEM"), "{}", say());
        std::fs::write(
            path("ca"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(say().contains("ca: invalid peer certificate"), "{}", say());
    }
}
