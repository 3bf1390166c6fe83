//! Which engines the fleet repository may reach.

use crate::model::EngineAddress;
use std::net::IpAddr;

/// Which engines may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineRules {
    /// The patterns of `[engines] allow`; `None`: unix sockets and loopback only.
    allow: Option<Vec<EnginePattern>>,
    /// The file that says so, for the words.
    file: Option<String>,
}

/// One pattern of `[engines] allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnginePattern {
    /// Exactly this address.
    Exact(EngineAddress),
    /// `tcp://10.3.0.0/16:2376`: these addresses at this port. Host names never match, whatever they
    /// resolve to.
    Network {
        /// The network's address.
        address: IpAddr,
        /// How many of its bits count.
        bits: u8,
        /// The port; `None` is `*`.
        port: Option<u16>,
    },
    /// A text in which `*` stands for any run of characters without `/`.
    Wildcard(String),
}

impl EngineRules {
    /// Unix sockets and loopback only.
    pub fn built_in() -> Self {
        Self { allow: None, file: None }
    }

    pub(super) fn new(allow: Option<Vec<EnginePattern>>, file: &str) -> Self {
        Self { allow, file: Some(file.to_owned()) }
    }

    /// Whether an engine may be reached.
    ///
    /// # Errors
    /// It may not: in words, with what to write where.
    pub fn allows(&self, address: &EngineAddress) -> Result<(), String> {
        let allowed = match &self.allow {
            None => address.is_local(),
            Some(patterns) => patterns.iter().any(|pattern| pattern.matches(address)),
        };
        if allowed {
            return Ok(());
        }
        Err(match (&self.allow, &self.file) {
            (None, _) => format!(
                "{address} is not allowed: without `[engines] allow` in the control host's \
                 hoist.toml only unix sockets and loopback are"
            ),
            (Some(_), file) => format!(
                "{address} is not allowed by `[engines] allow` in {}",
                file.as_deref().unwrap_or("hoist.toml")
            ),
        })
    }
}

impl EnginePattern {
    /// Parses one.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(network) = text.strip_prefix("tcp://").filter(|rest| rest.contains('/')) {
            return parse_network(network).ok_or_else(|| {
                format!(
                    "`{text}` is no network: write tcp://10.3.0.0/16:2376 or tcp://10.3.0.0/16:*"
                )
            });
        }
        if !text.contains('*') {
            return EngineAddress::parse(text).map(Self::Exact).map_err(|error| error.to_string());
        }
        if ["unix:///", "tcp://", "ssh://"].iter().any(|scheme| text.starts_with(scheme)) {
            Ok(Self::Wildcard(text.to_owned()))
        } else {
            Err(format!("`{text}` is no pattern: it begins with unix:///, tcp:// or ssh://"))
        }
    }

    fn matches(&self, address: &EngineAddress) -> bool {
        match self {
            Self::Exact(exact) => exact == address,
            Self::Network { address: network, bits, port } => match address {
                EngineAddress::Tcp { host, port: theirs } => {
                    port.is_none_or(|port| port == *theirs)
                        && host
                            .parse::<IpAddr>()
                            .is_ok_and(|host| is_in(host.to_canonical(), *network, *bits))
                }
                EngineAddress::Unix { .. } | EngineAddress::Ssh { .. } => false,
            },
            Self::Wildcard(pattern) => {
                // `..` could lead a path out of the folder that the pattern means.
                let text = address.to_string();
                !text.contains("/../") && wildcard(pattern.as_bytes(), text.as_bytes())
            }
        }
    }
}

fn parse_network(text: &str) -> Option<EnginePattern> {
    let (address, rest) = text.split_once('/')?;
    let (bits, port) = rest.split_once(':')?;
    let address: IpAddr = match address.strip_prefix('[') {
        Some(inner) => IpAddr::V6(inner.strip_suffix(']')?.parse().ok()?),
        None => IpAddr::V4(address.parse().ok()?),
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
    let port = match port {
        "*" => None,
        port => Some(port.parse().ok().filter(|port| *port > 0)?),
    };
    Some(EnginePattern::Network { address, bits, port })
}

fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            (a.to_bits() ^ n.to_bits()).leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            (a.to_bits() ^ n.to_bits()).leading_zeros() >= u32::from(bits)
        }
        _ => false,
    }
}

/// Whether a text is what a pattern says. Takes time in proportion to the product of their lengths.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    // `reached[i]`: the pattern so far can stand for the first i bytes.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for &wanted in pattern {
        let mut next = vec![false; text.len() + 1];
        if wanted == b'*' {
            let mut open = false;
            for at in 0..=text.len() {
                open = reached[at] || (open && text[at - 1] != b'/');
                next[at] = open;
            }
        } else {
            for at in 1..=text.len() {
                next[at] = reached[at - 1] && text[at - 1] == wanted;
            }
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(pattern: &str, address: &str) -> bool {
        EnginePattern::parse(pattern).unwrap().matches(&EngineAddress::parse(address).unwrap())
    }

    #[test]
    fn patterns_match_what_they_say_and_no_more() {
        for (pattern, address, expected) in [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock", true),
            ("unix:///var/run/docker.sock", "unix:///var/run/other.sock", false),
            ("unix:///run/*.sock", "unix:///run/a.sock", true),
            ("unix:///run/*.sock", "unix:///run/a/b.sock", false),
            ("unix:///run/*/d.sock", "unix:///run/../d.sock", false),
            ("tcp://10.3.0.0/16:2376", "tcp://10.3.255.1:2376", true),
            ("tcp://10.3.0.0/16:2376", "tcp://10.4.0.1:2376", false),
            ("tcp://10.3.0.0/16:2376", "tcp://10.3.0.1:2375", false),
            ("tcp://10.3.0.0/16:*", "tcp://10.3.0.1:2375", true),
            ("tcp://10.3.0.0/16:2376", "tcp://10.3.evil.example:2376", false),
            ("tcp://10.3.0.0/16:2376", "tcp://[::ffff:10.3.0.1]:2376", true),
            ("tcp://0.0.0.0/0:2376", "tcp://9.9.9.9:2376", true),
            ("tcp://0.0.0.0/0:2376", "tcp://[fd00::1]:2376", false),
            ("tcp://[fd00::]/8:2376", "tcp://[fd12::1]:2376", true),
            ("tcp://10.3.0.1/32:2376", "tcp://10.3.0.1:2376", true),
            ("ssh://hoist@*.sites.example", "ssh://hoist@gw-1.sites.example", true),
            ("ssh://hoist@*.sites.example", "ssh://hoist@gw-1.sites.example:22", true),
            ("ssh://hoist@*.sites.example", "ssh://hoist@gw-1.sites.example:2222", false),
            ("ssh://hoist@*.sites.example", "ssh://root@gw-1.sites.example", false),
            ("ssh://hoist@*.sites.example", "ssh://hoist@sites.example", false),
            ("ssh://hoist@*.sites.example", "ssh://hoist@gw.sites.example.evil", false),
            ("ssh://h", "ssh://h:22", true),
        ] {
            assert_eq!(allowed(pattern, address), expected, "{pattern} {address}");
        }
        for bad in [
            "",
            "*",
            "10.3.0.0/16",
            "tcp://10.3.0.0/16",
            "tcp://10.3.0.0/33:1",
            "tcp://x/8:1",
            "http://*",
        ] {
            assert!(EnginePattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_rules_only_this_machine_may_be_reached() {
        let rules = EngineRules::built_in();
        let ask = |text: &str| rules.allows(&EngineAddress::parse(text).unwrap());
        assert!(ask("unix:///var/run/docker.sock").is_ok());
        assert!(ask("tcp://127.0.0.1:2375").is_ok());
        insta::assert_snapshot!(ask("tcp://10.3.0.1:2376").unwrap_err(), @"tcp://10.3.0.1:2376 is not allowed: without `[engines] allow` in the control host's hoist.toml only unix sockets and loopback are");
        let none = EngineRules::new(Some(Vec::new()), "/etc/hoist/hoist.toml");
        let local = EngineAddress::parse("unix:///var/run/docker.sock").unwrap();
        insta::assert_snapshot!(none.allows(&local).unwrap_err(), @"unix:///var/run/docker.sock is not allowed by `[engines] allow` in /etc/hoist/hoist.toml");
    }
}
