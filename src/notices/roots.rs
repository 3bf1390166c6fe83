//! The authorities by which webhooks are checked: those of the system, or one that hoist.toml names.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Where systems keep the certificates that they trust.
const SYSTEM: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What a handshake needs, from the files as they are now. Blocking.
///
/// # Errors
/// No certificate can be had; in words.
pub(super) fn client(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let path = match ca {
        Some(path) => path.to_owned(),
        None => system()?,
    };
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read(&path).map_err(|error| wrong(&error))?;
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    // Systems hold certificates that are too odd to be used; the others are what counts.
    let (added, _) = roots.add_parsable_certificates(found);
    if added == 0 {
        return Err(wrong(&"no certificate in PEM"));
    }
    ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map(Arc::new)
        .map_err(|error| format!("TLS: {error}"))
}

fn system() -> Result<PathBuf, String> {
    let named = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty());
    let places = named.map(PathBuf::from).into_iter().chain(SYSTEM.map(PathBuf::from));
    let words = "this machine has no certificates of authorities: install ca-certificates, or name \
                 a file with `ca`";
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| words.to_owned())
}
