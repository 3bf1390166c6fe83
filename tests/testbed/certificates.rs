//! Authorities and certificates, made by `openssl` as people make them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// An authority with its folder.
pub(crate) struct Authority {
    dir: tempfile::TempDir,
}

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// What kind of key, as `openssl genpkey` wants it.
pub(crate) const EC: &[&str] = &["EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
pub(crate) const RSA: &[&str] = &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
pub(crate) const ED25519: &[&str] = &["ED25519"];

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let authority = Self { dir };
        let (key, cert) = (authority.path("ca.key"), authority.ca());
        make_key(&key, EC);
        openssl(&[
            "req",
            "-x509",
            "-new",
            "-key",
            text(&key),
            "-out",
            text(&cert),
            "-days",
            "30",
            "-subj",
            &format!("/CN={name}"),
        ]);
        authority
    }

    /// The authority's own certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A certificate for a name, with X.509 extensions, valid for so many days.
    pub(crate) fn issue(
        &self,
        name: &str,
        extensions: &str,
        days: i32,
        kind: &[&str],
    ) -> Certificate {
        let made = Certificate {
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        let (request, extension_file) =
            (self.path(&format!("{name}.csr")), self.path(&format!("{name}.ext")));
        std::fs::write(&extension_file, extensions).expect("a file");
        make_key(&made.key, kind);
        let subject = format!("/CN={name}");
        openssl(&[
            "req",
            "-new",
            "-key",
            text(&made.key),
            "-out",
            text(&request),
            "-subj",
            &subject,
        ]);
        openssl(&[
            "x509",
            "-req",
            "-in",
            text(&request),
            "-CA",
            text(&self.ca()),
            "-CAkey",
            text(&self.path("ca.key")),
            "-CAcreateserial",
            "-out",
            text(&made.cert),
            "-days",
            &days.to_string(),
            "-extfile",
            text(&extension_file),
        ]);
        made
    }

    /// A certificate as `openssl` makes it for who gives no extensions: of version 1.
    pub(crate) fn without_extensions(&self, name: &str) -> Certificate {
        let made = self.client(name);
        let request = self.path(&format!("{name}.csr"));
        let of_ours =
            ["-CA", text(&self.ca()), "-CAkey", text(&self.path("ca.key"))].map(str::to_owned);
        let of_ours = of_ours.each_ref().map(String::as_str);
        let asked =
            ["x509", "-req", "-in", text(&request), "-CAcreateserial", "-out", text(&made.cert)];
        openssl(&[&asked[..], &of_ours].concat());
        made
    }

    /// A certificate of an engine on loopback.
    pub(crate) fn server(&self, name: &str) -> Certificate {
        self.issue(name, "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n", 30, EC)
    }

    /// A certificate of a control host.
    pub(crate) fn client(&self, name: &str) -> Certificate {
        self.issue(name, "extendedKeyUsage=clientAuth\n", 30, EC)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn make_key(path: &Path, kind: &[&str]) {
    openssl(&[&["genpkey", "-out", text(path), "-algorithm"], kind].concat());
}

pub(crate) fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {words}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
