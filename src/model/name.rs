//! Names and ids, parsed once; whoever holds one holds a good one.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Why a text is no name of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// What kind of name it should have been: `module name`.
    pub kind: &'static str,
    /// What is wrong with it and what is allowed.
    pub reason: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a {}: {}", self.kind, self.reason)
    }
}

impl std::error::Error for NameError {}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses one.
            ///
            /// # Errors
            /// Says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let rule: fn(&str) -> Result<(), String> = $rule;
                match rule(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(reason) => Err(NameError { kind: $kind, reason }),
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A device's id: 1–128 of Azure's set of characters, case-sensitive.
    DeviceId, "device id", |text| {
        length(text, 1, 128)?;
        characters(text, |c| c.is_ascii_alphanumeric() || "-_.:+%#*?!(),=@$'".contains(c),
            "A-Z a-z 0-9 and - _ . : + % # * ? ! ( ) , = @ $ '")
    }
);
name!(
    /// A deployment's id: the stem of its file.
    DeploymentId, "deployment id", |text| {
        length(text, 1, 128)?;
        first_alphanumeric(text)?;
        characters(text, |c| c.is_ascii_alphanumeric() || "_.-".contains(c), "A-Z a-z 0-9 _ . -")
    }
);
name!(
    /// A module's name, which is also its container's name and network alias. Engines refuse names of
    /// one character.
    ModuleName, "module name", |text| {
        length(text, 2, 63)?;
        first_alphanumeric(text)?;
        characters(text, |c| c.is_ascii_alphanumeric() || "_-".contains(c), "A-Z a-z 0-9 _ -")?;
        if matches!(text, "edgeAgent" | "edgeHub") || text.starts_with("hoist-") {
            return Err(format!("`{text}` is reserved (edgeAgent, edgeHub and hoist-…)"));
        }
        Ok(())
    }
);
name!(
    /// A route's name.
    RouteName, "route name", |text| {
        length(text, 2, 63)?;
        first_alphanumeric(text)?;
        characters(text, |c| c.is_ascii_alphanumeric() || "_-".contains(c), "A-Z a-z 0-9 _ -")
    }
);
name!(
    /// A fleet's name, part of every container's labels.
    FleetName, "fleet name", |text| {
        length(text, 1, 31)?;
        characters(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-', "a-z 0-9 -")?;
        if text.starts_with('-') {
            return Err("it must begin with a letter or a digit".to_owned());
        }
        Ok(())
    }
);
name!(
    /// The name of a secret, of a client certificate or of registry credentials on the control host.
    SecretName, "secret name", |text| {
        length(text, 1, 63)?;
        first_alphanumeric(text)?;
        characters(text, |c| c.is_ascii_alphanumeric() || "_.-".contains(c), "A-Z a-z 0-9 _ . -")
    }
);

fn length(text: &str, least: usize, most: usize) -> Result<(), String> {
    let n = text.chars().count();
    if n < least {
        return Err(if n == 0 {
            "it is empty".to_owned()
        } else {
            format!("it has {n} character, at least {least} are needed")
        });
    }
    if n > most {
        return Err(format!("it has {n} characters, at most {most} are allowed"));
    }
    Ok(())
}

fn first_alphanumeric(text: &str) -> Result<(), String> {
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err("it must begin with a letter or a digit".to_owned())
    }
}

fn characters(text: &str, allowed: impl Fn(char) -> bool, list: &str) -> Result<(), String> {
    match text.chars().find(|c| !allowed(*c)) {
        None => Ok(()),
        Some(c) => Err(format!("`{}` is not allowed, only {list}", c.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_rules() {
        assert!(DeviceId::parse("operator'sDevice").is_ok());
        assert!(DeviceId::parse("a/b").is_err());
        assert!(DeviceId::parse("").is_err());
        assert!(DeviceId::parse(&"d".repeat(129)).is_err());
        assert!(ModuleName::parse("x").is_err());
        assert!(ModuleName::parse("edgeHub").is_err());
        assert!(ModuleName::parse("hoist-new-x").is_err());
        assert!(ModuleName::parse("SimulatedTemperatureSensor").is_ok());
        assert!(FleetName::parse("Buildings").is_err());
        assert!(FleetName::parse(&"a".repeat(31)).is_ok());
        assert!(FleetName::parse(&"a".repeat(32)).is_err());
        assert_eq!(
            DeploymentId::parse("a b").unwrap_err().to_string(),
            "not a deployment id: ` ` is not allowed, only A-Z a-z 0-9 _ . -"
        );
    }
}
