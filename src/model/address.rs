//! Where a device's engine is.

use std::fmt;

/// The address of a container engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EngineAddress {
    /// `unix:///var/run/docker.sock`.
    Unix {
        /// Absolute path of the socket.
        path: String,
    },
    /// `tcp://host:port`.
    Tcp {
        /// Host name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `ssh://user@host[:port]`.
    Ssh {
        /// User, if one is given.
        user: Option<String>,
        /// Host name or address.
        host: String,
        /// Port; 22 if none is given.
        port: u16,
    },
}

/// Why a text is no engine address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineAddressError(pub String);

impl fmt::Display for EngineAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl EngineAddress {
    /// Parses `unix://…`, `tcp://…` or `ssh://…`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, EngineAddressError> {
        let fail = |reason: &str| {
            Err(EngineAddressError(format!("`{text}` is no engine address: {reason}")))
        };
        let parts = text.split_once(':');
        let parts = parts.and_then(|(scheme, rest)| Some((scheme, rest.strip_prefix("//")?)));
        let Some((scheme, rest)) = parts else {
            return fail("it begins with unix://, tcp:// or ssh://");
        };
        match scheme {
            "unix" if rest.starts_with('/') && rest.len() > 1 && !rest.contains('\0') => {
                Ok(Self::Unix { path: rest.to_owned() })
            }
            "unix" => fail("write unix:/// and an absolute path"),
            "tcp" => match host_and_port(rest) {
                Some((host, Some(port))) => Ok(Self::Tcp { host, port }),
                Some((_, None)) => fail("tcp needs a port: tcp://host:2376"),
                None => fail("write tcp://host:port"),
            },
            "ssh" => {
                let (user, place) = match rest.split_once('@') {
                    Some((user, place)) => (Some(user), place),
                    None => (None, rest),
                };
                if user
                    .is_some_and(|u| u.is_empty() || u.starts_with('-') || !u.bytes().all(is_good))
                {
                    return fail("the user has characters that ssh does not take");
                }
                match host_and_port(place) {
                    Some((host, port)) => Ok(Self::Ssh {
                        user: user.map(str::to_owned),
                        host,
                        port: port.unwrap_or(22),
                    }),
                    None => fail("write ssh://user@host or ssh://user@host:port"),
                }
            }
            _ => fail("it begins with unix://, tcp:// or ssh://"),
        }
    }

    /// Whether it can only mean this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix { .. } => true,
            Self::Tcp { host, .. } | Self::Ssh { host, .. } => {
                host == "localhost"
                    || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return None,
        }
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        if host.is_empty() || host.starts_with('-') || !host.bytes().all(is_good) {
            return None;
        }
        (host, port)
    };
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|p| *p > 0)?),
        None => None,
    };
    Some((host.to_owned(), port))
}

/// What users and hosts are made of.
fn is_good(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed =
            |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match self {
            Self::Unix { path } => write!(f, "unix://{path}"),
            Self::Tcp { host, port } => write!(f, "tcp://{}:{port}", bracketed(host)),
            Self::Ssh { user, host, port } => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&bracketed(host))?;
                if *port == 22 { Ok(()) } else { write!(f, ":{port}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_what_they_parse_and_refuse_the_rest() {
        for text in [
            "unix:///var/run/docker.sock",
            "tcp://10.3.0.11:2376",
            "tcp://[::1]:2375",
            "ssh://hoist@gw-1.example",
            "ssh://gw-1.example:2299",
        ] {
            assert_eq!(EngineAddress::parse(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "unix://",
            "unix://relative",
            "tcp://host",
            "tcp://:1",
            "tcp://h:0",
            "tcp://h:99999",
            "ssh://-oProxyCommand=x@h",
            "ssh://u@-x",
            "http://x:1",
            "ssh://u@h:x",
        ] {
            assert!(EngineAddress::parse(bad).is_err(), "{bad}");
        }
        assert!(EngineAddress::parse("tcp://127.0.0.1:1").unwrap().is_local());
        assert!(!EngineAddress::parse("tcp://10.0.0.1:1").unwrap().is_local());
    }
}
