//! How HTTP is served, and what of it would be unsafe.

use super::tls::IdentityFiles;
use std::fmt;
use std::net::SocketAddr;

/// How HTTP is served.
#[derive(Clone)]
pub struct ServeOptions {
    /// Where.
    pub listen: SocketAddr,
    /// The token that is asked for, if one is.
    pub token: Option<String>,
    /// Where webhooks are taken; `None` for where everything else is.
    pub hooks_listen: Option<SocketAddr>,
    /// Where our own certificate is, if we do TLS.
    pub tls: Option<IdentityFiles>,
    /// Whether something in front of it does TLS.
    pub behind_tls_proxy: bool,
    /// Names by which it may be called, besides its address.
    pub hosts: Vec<String>,
    /// The secret that git hosters sign webhooks with, or send along.
    pub hook_secret: Option<String>,
    /// Whether metrics have a series for each device.
    pub device_metrics: bool,
}

/// Why options are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionsError {
    /// Others can reach it, and nothing asks who they are.
    NoToken(SocketAddr),
    /// Others can reach it, and the token would be read on the way.
    NoTls(SocketAddr),
    /// Webhooks have a place of their own, and nothing says by what they are known.
    NoHookSecret,
    /// The token is too short to be one.
    ShortToken,
}

/// A shorter token can be guessed.
const SHORTEST: usize = 16;

impl ServeOptions {
    /// On this machine alone, without a token.
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            token: None,
            hooks_listen: None,
            tls: None,
            behind_tls_proxy: false,
            hosts: Vec::new(),
            hook_secret: None,
            device_metrics: false,
        }
    }

    /// Whether it is safe to serve so.
    ///
    /// # Errors
    /// It is not, and what is missing.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.token.as_ref().is_some_and(|token| token.len() < SHORTEST) {
            return Err(OptionsError::ShortToken);
        }
        if self.hooks_listen.is_some() && self.hook_secret.is_none() {
            return Err(OptionsError::NoHookSecret);
        }
        let is_open = |address: &SocketAddr| !address.ip().is_loopback();
        if is_open(&self.listen) && self.token.is_none() {
            return Err(OptionsError::NoToken(self.listen));
        }
        // GitLab sends its secret along: it would be read on the way like a token.
        let open = [Some(self.listen), self.hooks_listen].into_iter().flatten().find(is_open);
        match open {
            Some(open) if !self.is_secure() => Err(OptionsError::NoTls(open)),
            _ => Ok(()),
        }
    }

    /// Whether browsers reach it by TLS.
    pub fn is_secure(&self) -> bool {
        self.behind_tls_proxy || self.tls.is_some()
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken(listen) => write!(
                f,
                "{listen} can be reached by others: --token-file FILE says by what they show who they are"
            ),
            Self::NoTls(listen) => write!(
                f,
                "{listen} can be reached by others, and what they show would be read on the way: give it --tls-cert and --tls-key, or put it behind a proxy that does TLS and say so with --behind-tls-proxy"
            ),
            Self::NoHookSecret => write!(
                f,
                "--hooks-listen takes webhooks, and nothing says by what they are known: give it --hook-secret-file"
            ),
            Self::ShortToken => write!(
                f,
                "the token is shorter than {SHORTEST} characters; `openssl rand -hex 32` makes one"
            ),
        }
    }
}

impl std::error::Error for OptionsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_reach_needs_a_token_and_tls() {
        let at = |address: &str| ServeOptions::on(address.parse().unwrap());
        assert_eq!(at("127.0.0.1:7400").check(), Ok(()));
        assert_eq!(at("[::1]:7400").check(), Ok(()));
        let open = at("0.0.0.0:7400");
        assert_eq!(open.check(), Err(OptionsError::NoToken(open.listen)));
        let with_token = ServeOptions { token: Some("0123456789abcdef".to_owned()), ..open };
        assert_eq!(with_token.check(), Err(OptionsError::NoTls(with_token.listen)));
        let behind = ServeOptions { behind_tls_proxy: true, ..with_token };
        assert_eq!(behind.check(), Ok(()));
        let own = ServeOptions {
            tls: Some(IdentityFiles { cert: "a".into(), key: "b".into() }),
            behind_tls_proxy: false,
            ..behind.clone()
        };
        assert_eq!(own.check(), Ok(()));
        let hooks = ServeOptions {
            hooks_listen: Some("0.0.0.0:7401".parse().unwrap()),
            ..at("127.0.0.1:7400")
        };
        assert_eq!(hooks.check(), Err(OptionsError::NoHookSecret));
        let known = ServeOptions { hook_secret: Some("hush".to_owned()), ..hooks };
        assert_eq!(known.check(), Err(OptionsError::NoTls("0.0.0.0:7401".parse().unwrap())));
        assert_eq!(ServeOptions { tls: own.tls, ..known }.check(), Ok(()));
        let short = ServeOptions { token: Some("short".to_owned()), ..behind.clone() };
        assert_eq!(short.check(), Err(OptionsError::ShortToken));
        assert!(!format!("{behind:?}").contains("0123456789abcdef"));
    }
}
