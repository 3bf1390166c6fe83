//! What of the device a module gets, as it is written with colons: ports, volumes, device nodes.
//!
//! Parsed before templates are filled, so that a tag cannot add a field.

use super::observation::ENGINE_FILES;
use super::settings::Protocol;
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// A published port, `[ip:]host:container[/tcp|udp]`, parsed before templates are filled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Address of the device; empty for all.
    pub ip: String,
    /// Port of the device.
    pub host: String,
    /// Port of the module.
    pub container: String,
    /// Protocol.
    pub protocol: Protocol,
}

impl Port {
    /// Parses the written form.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || format!("`{text}` is no port; write `8080:80`, `127.0.0.1:8080:80` or `53:53/udp`");
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, word)) if !word.contains('}') => {
                (rest, Protocol::parse(word).ok_or_else(expected)?)
            }
            _ => (text, Protocol::Tcp),
        };
        let (ip, rest) = match rest.strip_prefix('[').and_then(|r| r.split_once("]:")) {
            Some((ip, rest)) => (Some(ip), rest),
            None => (None, rest),
        };
        let parts = split_outside_templates(rest, ':');
        let port = match (ip, parts.as_slice()) {
            (Some(ip), &[host, container]) | (None, &[ip, host, container]) => {
                (ip, host, container)
            }
            (None, &[host, container]) => ("", host, container),
            _ => return Err(expected()),
        };
        let (ip, host, container) = port;
        let port = Self {
            ip: ip.to_owned(),
            host: host.to_owned(),
            container: container.to_owned(),
            protocol,
        };
        port.check().map_err(|reason| format!("{}: {reason}", expected()))?;
        Ok(port)
    }

    /// Checks the parts that hold no template.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn check(&self) -> Result<(), String> {
        for part in [&self.host, &self.container] {
            // A number may have a sign for Rust, but not for an engine.
            let digits = part.bytes().all(|b| b.is_ascii_digit());
            let is_port = digits && part.parse::<u16>().is_ok_and(|p| p > 0);
            if !part.contains("${") && !is_port {
                return Err(format!("`{part}` is no port number (1 to 65535)"));
            }
        }
        if !self.ip.is_empty()
            && !self.ip.contains("${")
            && self.ip.parse::<std::net::IpAddr>().is_err()
        {
            return Err(format!("`{}` is no IP address", self.ip));
        }
        Ok(())
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ip.contains(':') && !self.ip.contains("${") {
            write!(f, "[{}]:", self.ip)?;
        } else if !self.ip.is_empty() {
            write!(f, "{}:", self.ip)?;
        }
        write!(f, "{}:{}/{}", self.host, self.container, self.protocol)
    }
}

/// A volume or a path of the device in a module, `source:target[:ro|rw]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// Name of a volume, or an absolute path of the device.
    pub source: String,
    /// Absolute path in the module.
    pub target: String,
    /// Whether the module may only read it.
    pub read_only: bool,
}

impl Volume {
    /// Parses the written form.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!("`{text}` is no volume; write `name:/path`, `/path/of/device:/path` or `…:ro`")
        };
        let parts = split_outside_templates(text, ':');
        let (source, target, read_only) = match parts.as_slice() {
            [source, target] | [source, target, "rw"] => (*source, *target, false),
            [source, target, "ro"] => (*source, *target, true),
            _ => return Err(expected()),
        };
        let volume = Self { source: source.to_owned(), target: target.to_owned(), read_only };
        volume.check().map_err(|reason| format!("{}: {reason}", expected()))?;
        Ok(volume)
    }

    /// Checks the parts that hold no template.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn check(&self) -> Result<(), String> {
        if !self.target.contains("${") && !self.target.starts_with('/') {
            return Err(format!("`{}` is no absolute path", self.target));
        }
        let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let named = self.source.len() >= 2
            && self.source.starts_with(|c: char| c.is_ascii_alphanumeric())
            && self.source.chars().all(good);
        if !self.source.contains("${") && !self.source.starts_with('/') && !named {
            return Err(format!(
                "`{}` is neither a volume's name nor an absolute path",
                self.source
            ));
        }
        if self.source.contains(':') || self.target.contains(':') {
            return Err("a `:` in a path of a volume".to_owned());
        }
        if is_engine_files(&self.target) {
            return Err(ENGINE_FILES_TAKEN.to_owned());
        }
        Ok(())
    }

    /// Whether it is a path of the device.
    pub fn is_host_path(&self) -> bool {
        self.source.starts_with('/')
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.target)?;
        f.write_str(if self.read_only { ":ro" } else { "" })
    }
}

/// What is said of a mount where a module's twin lies.
pub const ENGINE_FILES_TAKEN: &str =
    "`/run/hoist` is where a module finds its twin; nothing else can be put there";

/// Whether a path in a module is that of the files that the engine holds for it, or below.
pub fn is_engine_files(path: &str) -> bool {
    real_path(path).starts_with(ENGINE_FILES)
}

/// A path in a module without detours, as engines write it.
pub fn real_path(path: &str) -> PathBuf {
    let mut real = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            Component::CurDir => {}
            part => real.push(part),
        }
    }
    real
}

/// Where in a module a bind of create-options lies: its second part, or the only one.
pub fn bind_target(bind: &str) -> &str {
    let parts = split_outside_templates(bind, ':');
    parts.get(1).or(parts.first()).copied().unwrap_or_default()
}

/// A device node of the device in a module, `/dev/x[:/dev/y[:rwm]]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostDevice {
    /// Path on the device.
    pub host: String,
    /// Path in the module.
    pub container: String,
    /// Of `r`, `w` and `m`.
    pub permissions: String,
}

impl HostDevice {
    /// Parses the written form.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || format!("`{text}` is no host device; write `/dev/video0` or `/dev/a:/dev/b:rwm`");
        let parts = split_outside_templates(text, ':');
        let (host, container, permissions) = match parts.as_slice() {
            [host] => (*host, *host, "rwm"),
            [host, container] => (*host, *container, "rwm"),
            [host, container, permissions] => (*host, *container, *permissions),
            _ => return Err(expected()),
        };
        let device = Self {
            host: host.to_owned(),
            container: container.to_owned(),
            permissions: permissions.to_owned(),
        };
        device.check().map_err(|reason| format!("{}: {reason}", expected()))?;
        Ok(device)
    }

    /// Checks the parts that hold no template.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn check(&self) -> Result<(), String> {
        for path in [&self.host, &self.container] {
            if !path.contains("${") && !path.starts_with('/') {
                return Err(format!("`{path}` is no absolute path"));
            }
            if path.contains(':') && !path.contains("${") {
                return Err("a `:` in a path of a host device".to_owned());
            }
        }
        if self.permissions.is_empty() || !self.permissions.chars().all(|c| "rwm".contains(c)) {
            return Err(format!("`{}` is not of r, w and m", self.permissions));
        }
        Ok(())
    }
}

impl fmt::Display for HostDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, container, permissions } = self;
        match (host == container, permissions == "rwm") {
            (true, true) => f.write_str(host),
            (false, true) => write!(f, "{host}:{container}"),
            (_, false) => write!(f, "{host}:{container}:{permissions}"),
        }
    }
}

/// Splits at a character, but not inside `${…}`.
fn split_outside_templates(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            '{' if text[..i].ends_with('$') => inside = true,
            '}' => inside = false,
            c if c == at && !inside => {
                parts.push(&text[start..i]);
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_volumes_and_devices_print_what_they_parse() {
        for text in [
            "8080:80/tcp",
            "127.0.0.1:53:53/udp",
            "[::1]:1:2/tcp",
            "${device.tags.port:-80}:80/tcp",
        ] {
            assert_eq!(Port::parse(text).unwrap().to_string(), text);
        }
        for bad in ["80", "0:1", "a:b", "1:2:3:4", "300.1.1.1:1:2", "1:2/sctp", "1:99999"] {
            assert!(Port::parse(bad).is_err(), "{bad}");
        }
        for text in ["data:/var/lib", "/dev/shm:/dev/shm:ro", "${device.id}-data:/d"] {
            assert_eq!(Volume::parse(text).unwrap().to_string(), text);
        }
        for bad in ["data", "a b:/x", "data:rel", "d:/x:z", "./x:/y"] {
            assert!(Volume::parse(bad).is_err(), "{bad}");
        }
        for text in ["/dev/video0", "/dev/a:/dev/b", "/dev/a:/dev/a:r"] {
            assert_eq!(HostDevice::parse(text).unwrap().to_string(), text);
        }
        assert!(HostDevice::parse("video0").is_err());
        assert!(HostDevice::parse("/dev/a:/dev/b:x").is_err());
    }
}
