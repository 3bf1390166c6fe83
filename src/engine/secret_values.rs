//! Values of secrets on their way into a step, and out of every text that comes back.

use crate::model::{ImageReference, SecretName};
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

/// A part of a secret that is shorter would blot out words that have nothing to do with it.
const SHORTEST_MASKED: usize = 4;

/// Values of secrets for the steps of one device. Never printed.
///
/// What goes into environments and what goes to registries is kept apart, and credentials are kept for the
/// registry that may have them: git, which names secrets, can't lead one anywhere else.
#[derive(Default, Clone)]
pub struct SecretValues {
    /// By the secret's name; else why there is none.
    values: BTreeMap<String, Result<String, String>>,
    /// By the registry's host and port; else why there are none.
    credentials: BTreeMap<String, Result<Credentials, String>>,
}

#[derive(Clone)]
struct Credentials {
    username: String,
    password: String,
}

impl SecretValues {
    /// Adds the value of a secret for environments, or why there is none.
    pub fn insert(&mut self, name: &SecretName, value: Result<String, String>) {
        self.values.insert(name.to_string(), value);
    }

    /// Adds user name and password for a registry, or why there are none.
    pub fn insert_credentials(
        &mut self,
        registry: &str,
        credentials: Result<(String, String), String>,
    ) {
        let credentials =
            credentials.map(|(username, password)| Credentials { username, password });
        self.credentials.insert(registry.to_owned(), credentials);
    }

    /// A value for an environment.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn value(&self, name: &SecretName) -> Result<&str, String> {
        match self.values.get(name.as_str()) {
            Some(Ok(value)) => Ok(value),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(format!(
                "the secret `{name}` is not known to this control host, or not for this device"
            )),
        }
    }

    /// User name and password for the registry of an image.
    ///
    /// # Errors
    /// Words that name the secret, never its value.
    pub fn credentials(
        &self,
        image: &ImageReference,
        name: &SecretName,
    ) -> Result<(&str, &str), String> {
        match image.registry().and_then(|registry| self.credentials.get(registry)) {
            Some(Ok(Credentials { username, password })) => Ok((username, password)),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(format!(
                "the registry credentials `{name}` are not known to this control host, \
                 or not for this device"
            )),
        }
    }

    /// A text without any value, or any line of a value, as it is or in the disguises in which texts carry
    /// each other: a module, an engine or a registry may repeat what it was given, and not always whole.
    pub fn masked(&self, text: &str) -> String {
        let mut mask = self.mask_for_data();
        mask.0.extend(self.all().filter(|value| !value.is_empty()).map(str::to_owned));
        mask.applied_to(text)
    }

    /// The same for data that somebody goes by, made once for all of it. A value that is too short for its parts to be
    /// taken out stays there: `on` says nothing, and without it nobody could tell what a module reports.
    pub fn mask_for_data(&self) -> Mask {
        let mut parts: Vec<String> = self
            .all()
            .flat_map(|value| std::iter::once(value).chain(value.lines()))
            .map(str::trim)
            .filter(|part| part.len() >= SHORTEST_MASKED)
            .flat_map(disguises)
            .collect();
        for Credentials { username, password } in self.credentials.values().flatten() {
            // As HTTP's basic authentication has them.
            parts.extend(disguises(&format!("{username}:{password}")));
        }
        Mask(parts)
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        let passwords = self.credentials.values().flatten().map(|c| c.password.as_str());
        self.values.values().flatten().map(String::as_str).chain(passwords)
    }
}

/// What is taken out of texts. Never printed.
pub struct Mask(Vec<String>);

impl Mask {
    /// A text without it; the longest first, so that of no part a rest is left.
    pub fn applied_to(&self, text: &str) -> String {
        let mut parts: Vec<&String> = self.0.iter().filter(|part| text.contains(*part)).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts.into_iter().fold(text.to_owned(), |text, part| text.replace(part, "…"))
    }
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValues({} hidden)", self.values.len() + self.credentials.len())
    }
}

/// A text as it is, in JSON, in a URL, in base64 of both alphabets.
fn disguises(text: &str) -> [String; 5] {
    let json = serde_json::Value::from(text).to_string();
    let mut url = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    let base64 = base64_url(text.as_bytes());
    let base64 = base64.trim_end_matches('=');
    [
        text.to_owned(),
        json[1..json.len() - 1].to_owned(),
        url,
        base64.to_owned(),
        base64.replace('-', "+").replace('_', "/"),
    ]
}

/// Base64 in the URL alphabet, padded.
pub(super) fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = 0_u32;
        for at in 0..3 {
            group = group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            if at <= chunk.len() {
                let index = (group >> (18 - 6 * at)) & 63;
                out.push(char::from(ALPHABET[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_the_url_alphabet_and_padding() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"\xfb\xff\xfe", "-__-"),
        ] {
            assert_eq!(base64_url(bytes), text);
        }
    }

    #[test]
    fn values_are_masked_in_every_disguise() {
        let mut secrets = SecretValues::default();
        secrets.insert(&SecretName::parse("api").unwrap(), Ok("s3\"cr/et?>~".to_owned()));
        let credentials = ("hoist".to_owned(), "pässwörd".to_owned());
        secrets.insert_credentials("r.example:5000", Ok(credentials));
        let text = "a s3\"cr/et?>~ b s3\\\"cr/et?>~ c s3%22cr%2Fet%3F%3E~ d czMiY3IvZXQ_Pn4= \
                    e czMiY3IvZXQ/Pn4= f pässwörd g hoist:pässwörd h p%C3%A4ssw%C3%B6rd";
        insta::assert_snapshot!(secrets.masked(text), @"a … b … c … d …= e …= f … g … h …");
        assert_eq!(format!("{secrets:?}"), "SecretValues(2 hidden)");
    }

    #[test]
    fn git_leads_no_secret_to_another_registry() {
        let name = SecretName::parse("puller").unwrap();
        let mut secrets = SecretValues::default();
        secrets.insert(&name, Ok("postgres://user:password@db".to_owned()));
        let credentials = ("hoist".to_owned(), "password".to_owned());
        secrets.insert_credentials("r.example:5000", Ok(credentials));
        let of = |image: &str| {
            secrets.credentials(&ImageReference::parse(image).unwrap(), &name).map_err(|_| ())
        };
        assert_eq!(of("r.example:5000/cam:1"), Ok(("hoist", "password")));
        for other in ["evil.example/cam:1", "r.example/cam:1", "cam:1"] {
            assert_eq!(of(other), Err(()), "{other}");
        }
    }
}
