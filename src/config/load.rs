//! Finding and reading `hoist.toml`.

use super::decode::decode;
use super::engines::EngineRules;
use super::secret::Secret;
use super::watch::WatchDefaults;
use super::webhook::Webhook;
use crate::diagnostic::{Diagnostics, render};
use crate::model::SecretName;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What the control host decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which engines may be reached.
    pub engines: EngineRules,
    /// Its secrets.
    pub secrets: BTreeMap<SecretName, Secret>,
    /// Its client certificates.
    pub tls: BTreeMap<SecretName, TlsFiles>,
    /// Settings for ssh in place of the user's own.
    pub ssh_config: Option<PathBuf>,
    /// Who is told what people should know.
    pub webhooks: BTreeMap<SecretName, Webhook>,
    /// How the daemon works where nobody says otherwise.
    pub watch: WatchDefaults,
}

/// The files of one client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that engines are checked with.
    pub ca: PathBuf,
    /// Our certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The file can't be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is wrong.
    Wrong {
        /// Which.
        path: PathBuf,
        /// All that is wrong with it.
        problems: Diagnostics,
    },
}

/// Where the file is unless somebody says otherwise.
const DEFAULT_PATH: &str = "/etc/hoist/hoist.toml";

impl Config {
    /// What holds without any file: this machine may be reached, and there are no secrets.
    pub fn built_in() -> Self {
        Self {
            engines: EngineRules::built_in(),
            secrets: BTreeMap::new(),
            tls: BTreeMap::new(),
            ssh_config: None,
            webhooks: BTreeMap::new(),
            watch: WatchDefaults::default(),
        }
    }

    /// Reads the file that is named, else `/etc/hoist/hoist.toml` if it is there, else takes what is
    /// built in.
    ///
    /// # Errors
    /// The file can't be read, or is wrong.
    pub fn load(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        let path = explicit.unwrap_or(Path::new(DEFAULT_PATH));
        match std::fs::read_to_string(path) {
            Ok(text) => decode(&path.display().to_string(), &text)
                .map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems }),
            Err(source) if explicit.is_none() && source.kind() == io::ErrorKind::NotFound => {
                Ok(Self::built_in())
            }
            Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source: _ } => write!(f, "cannot read {}", path.display()),
            Self::Wrong { path, problems } => {
                write!(f, "{} has {}", path.display(), render::count(problems))
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Wrong { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Hidden, NewsKind, SecretSource, WebhookFormat};
    use crate::model::{Duration, EngineAddress};

    const GOOD: &str = r#"
[engines]
allow = ["unix:///var/run/docker.sock", "tcp://10.3.0.0/16:2376", "ssh://hoist@*.sites.example"]
[tls.site-a]
ca = "/etc/hoist/ca.pem"
cert = "/etc/hoist/cert.pem"
key = "/etc/hoist/key.pem"
[ssh]
config = "/etc/hoist/ssh_config"
[secrets.puller]
username = "puller"
password = { file = "/run/secrets/registry" }
registries = ["registry.example.com:5000"]
devices = "tags.environment = 'prod'"
[secrets.db-password]
password = { env = "DB_PASSWORD" }
[secrets.from-vault]
password = { command = ["vault", "read", "x"] }
[secrets.from-shell]
password = { command = "pass show x" }
[notify.ops]
url = { file = "/run/secrets/ops-hook" }
format = "slack"
events = ["failure", "held"]
[notify.archive]
url = "https://hooks.example/hunter2"
headers = { Authorization = { env = "ARCHIVE_TOKEN" }, X-Team = "lifts" }
secret = { file = "/run/secrets/archive" }
ca = "/etc/hoist/archive.pem"
[watch]
branch = "live"
poll = "10s"
at-once = 16
behind-tls-proxy = true
allow-host = ["hoist.example"]
"#;

    #[test]
    fn the_whole_file_is_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hoist.toml");
        std::fs::write(&path, GOOD).unwrap();
        let config = Config::load(Some(&path)).unwrap();
        let address = EngineAddress::parse("ssh://hoist@a.sites.example").unwrap();
        assert!(config.engines.allows(&address).is_ok());
        let puller = &config.secrets["puller"];
        assert_eq!(puller.username.as_deref(), Some("puller"));
        assert_eq!(puller.devices.as_ref().unwrap().text, "tags.environment = 'prod'");
        assert_eq!(
            puller.registries.as_deref(),
            Some(&["registry.example.com:5000".to_owned()][..])
        );
        let command = |words: &[&str]| {
            SecretSource::Command(words.iter().map(|word| (*word).to_owned()).collect())
        };
        assert_eq!(config.secrets["from-vault"].source, command(&["vault", "read", "x"]));
        assert_eq!(config.secrets["from-shell"].source, command(&["/bin/sh", "-c", "pass show x"]));
        assert_eq!(config.tls["site-a"].key, Path::new("/etc/hoist/key.pem"));
        assert_eq!(config.ssh_config.as_deref(), Some(Path::new("/etc/hoist/ssh_config")));
        let watch = &config.watch;
        assert_eq!((watch.branch.as_deref(), watch.at_once), (Some("live"), Some(16)));
        assert_eq!((watch.poll, watch.resync), (Some(Duration::seconds(10)), None));
        assert_eq!((watch.behind_tls_proxy, watch.device_metrics), (Some(true), None));
    }

    #[test]
    fn webhooks_are_decoded_and_never_shown() {
        let config = decode("hoist.toml", GOOD).unwrap();
        let (ops, archive) = (&config.webhooks["ops"], &config.webhooks["archive"]);
        assert_eq!(ops.format, WebhookFormat::Slack);
        assert!(ops.wants(NewsKind::Held) && !ops.wants(NewsKind::Recovery));
        assert_eq!(archive.format, WebhookFormat::Json);
        assert!(archive.wants(NewsKind::Recovery));
        assert_eq!(archive.url.value().unwrap().expose(), "https://hooks.example/hunter2");
        let Hidden::Asked(token) = &archive.headers["Authorization"] else { panic!("{archive:?}") };
        assert_eq!(token.name.as_str(), "notify.archive.Authorization");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn mistakes_in_webhooks_are_told_without_their_addresses() {
        let text = r#"
[notify.a]
url = "hooks.example/hunter2"
format = "xml"
events = ["failures", 1]
headers = { "X Y" = "hunter2", Host = "hunter2" }
[notify]
b = { url = "https://hunter2", fromat = "json", headers = { A = "hunter2" } }
c = { format = "json" }
[watch]
poll = "10ms"
history = "long"
at-once = 0
device-metrics = "yes"
"#;
        let found = problems(text);
        assert!(!found.contains("hunter2"), "{found}");
        insta::assert_snapshot!(found);
        for broken in ["url = \"https://hunter2\" x", "url = \"hunter2", "url = '''\nhunter2"] {
            let broken = problems(&format!("[notify.ops]\n{broken}\n"));
            assert!(broken.contains("error[syntax]") && !broken.contains("hunter2"), "{broken}");
        }
    }

    #[test]
    fn an_absent_file_is_an_error_only_if_it_was_named() {
        let error = Config::load(Some(Path::new("/no/such/hoist.toml"))).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /no/such/hoist.toml");
        assert_eq!(decode("hoist.toml", "").unwrap().secrets.len(), 0);
        let local = EngineAddress::parse("unix:///var/run/docker.sock").unwrap();
        assert!(decode("hoist.toml", "").unwrap().engines.allows(&local).is_ok());
    }

    fn problems(text: &str) -> String {
        let problems = decode("hoist.toml", text).unwrap_err();
        let mut shown = render::all(&problems, |_, text| text.to_owned());
        shown.push_str(&render::count(&problems));
        shown
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_place() {
        let text = r#"
[engine]
[engines]
alow = []
allow = ["10.3.0.0/16", 7, "tcp://10.3.0.0/16"]
[tls.site-a]
ca = "ca.pem"
cert = "/cert.pem"
"#;
        insta::assert_snapshot!(problems(text), @r#"
        error[unknown-key]: unknown key `engine`
         --> hoist.toml:2:2
          |
        2 | [engine]
          |  ^^^^^^
          = help: did you mean `engines`?
        
        error[unknown-key]: unknown key `alow`
         --> hoist.toml:4:1
          |
        4 | alow = []
          | ^^^^
          = help: did you mean `allow`?
        
        error[bad-value]: `10.3.0.0/16` is no engine address: it begins with unix://, tcp:// or ssh://
         --> hoist.toml:5:10
          |
        5 | allow = ["10.3.0.0/16", 7, "tcp://10.3.0.0/16"]
          |          ^^^^^^^^^^^^^
        
        error[wrong-type]: expected a string, found an integer
         --> hoist.toml:5:25
          |
        5 | allow = ["10.3.0.0/16", 7, "tcp://10.3.0.0/16"]
          |                         ^
        
        error[bad-value]: `tcp://10.3.0.0/16` is no network: write tcp://10.3.0.0/16:2376 or tcp://10.3.0.0/16:*
         --> hoist.toml:5:28
          |
        5 | allow = ["10.3.0.0/16", 7, "tcp://10.3.0.0/16"]
          |                            ^^^^^^^^^^^^^^^^^^^
        
        error[missing-key]: `[tls.site-a]` has no `key`
         --> hoist.toml:7:1
          |
        7 | ca = "ca.pem"
          | ^^
        
        error[bad-value]: the path must be absolute
         --> hoist.toml:7:6
          |
        7 | ca = "ca.pem"
          |      ^^^^^^^^
        
        7 errors
        "#);
        assert!(problems("[engines\nallow = [").contains("error[syntax]"));
    }

    #[test]
    fn mistakes_in_secrets_are_told_without_passwords() {
        let text = r#"
[secrets."a b"]
password = { env = "X" }
[secrets.plain]
password = "hunter2"
[secrets.none]
username = "x"
[secrets.both]
password = { env = "X", file = "/x" }
registries = "x"
"#;
        insta::assert_snapshot!(problems(text), @r#"
        error[bad-name]: not a secret name: ` ` is not allowed, only A-Z a-z 0-9 _ . -
         --> hoist.toml:2:10
          |
        2 | [secrets."a b"]
          |          ^^^^^
        
        error[wrong-type]: a password does not stand in this file, only where it is
         --> hoist.toml:5:12
          |
        5 | password = *********
          |            ^^^^^^^^^
          = help: write { file = "…" }, { env = "…" } or { command = "…" }
        
        error[missing-key]: secret `none` has no `password`
         --> hoist.toml:6:1
          |
        6 | [secrets.none]
          | ^^^^^^^^^^^^^^
        
        error[bad-value]: exactly one of `env`, `file` and `command` says where it is
         --> hoist.toml:9:12
          |
        9 | password = { env = "X", file = "/x" }
          |            ^^^^^^^^^^^^^^^^^^^^^^^^^^
        
        error[wrong-type]: expected a list of strings, found a string
          --> hoist.toml:10:14
           |
        10 | registries = "x"
           |              ^^^
        
        5 errors
        "#);
        for broken in ["password = \"hunter2\" x", "password = \"hunter2", "password = hunter2"] {
            let broken = problems(&format!("[secrets.plain]\n{broken}\n"));
            assert!(broken.contains("error[syntax]") && !broken.contains("hunter2"), "{broken}");
        }
    }
}
