//! Image references, as `NAME[:TAG][@sha256:…]`.

use std::fmt;

/// A parsed image reference. Its text is kept as written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageReference {
    text: String,
    name_end: usize,
    tag: Option<(usize, usize)>,
    digest: Option<usize>,
}

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReferenceError(pub String);

impl fmt::Display for ImageReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ImageReference {
    /// Parses one by the rules of the OCI distribution's reference grammar.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, ImageReferenceError> {
        let fail =
            |reason: &str| Err(ImageReferenceError(format!("`{text}` is no image: {reason}")));
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let hex = digest.strip_prefix("sha256:").unwrap_or_default();
                if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    return fail("a digest is `@sha256:` and 64 of 0-9 a-f");
                }
                (rest, Some(rest.len() + 1))
            }
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |i| i + 1);
        let name_end = rest[slash..].find(':').map_or(rest.len(), |i| slash + i);
        let tag = (name_end < rest.len()).then_some((name_end + 1, rest.len()));
        if let Some((start, end)) = tag {
            let tag = &rest[start..end];
            let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            if tag.is_empty()
                || tag.len() > 128
                || !tag.chars().all(good)
                || tag.starts_with(['.', '-'])
            {
                return fail("a tag is 1 to 128 of A-Z a-z 0-9 _ . -");
            }
        }
        let name = &rest[..name_end];
        if text.contains("://") {
            return fail("it is a name, not an address: leave out what stands before `//`");
        }
        if name.is_empty() {
            return fail("the name is empty");
        }
        let mut parts: Vec<&str> = name.split('/').collect();
        if parts.len() > 1 && is_registry(parts[0]) {
            let registry = parts.remove(0);
            let good = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
            if !registry.chars().all(good) || registry.starts_with([':', '-', '.']) {
                return fail("a registry is a host name, with `:port` if it has one");
            }
        }
        for part in parts {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
            if part.is_empty() || !part.chars().all(good) || part.starts_with(['.', '-', '_']) {
                return fail(
                    "each part of a name is of a-z 0-9 . _ - and begins with a letter or digit",
                );
            }
        }
        Ok(Self { text: text.to_owned(), name_end, tag, digest })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without tag and digest.
    pub fn name(&self) -> &str {
        &self.text[..self.name_end]
    }

    /// The tag, if one is written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.map(|(start, end)| &self.text[start..end])
    }

    /// The digest with its `sha256:`, if one is written.
    pub fn digest(&self) -> Option<&str> {
        self.digest.map(|start| &self.text[start..])
    }

    /// The registry's host and port, if one is written.
    pub fn registry(&self) -> Option<&str> {
        let (first, _) = self.name().split_once('/')?;
        is_registry(first).then_some(first)
    }

    /// Whether the text may mean another image tomorrow although nobody asked for that: no tag, or `latest`.
    pub fn is_mutable(&self) -> bool {
        self.digest.is_none() && matches!(self.tag(), None | Some("latest"))
    }
}

fn is_registry(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':'])
}

impl fmt::Debug for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_reference() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let full = ImageReference::parse(&format!("r.example.com:5000/a/b:1.2@{digest}")).unwrap();
        assert_eq!(full.name(), "r.example.com:5000/a/b");
        assert_eq!(full.tag(), Some("1.2"));
        assert_eq!(full.digest(), Some(digest.as_str()));
        assert_eq!(full.registry(), Some("r.example.com:5000"));
        assert!(!full.is_mutable());
        let plain = ImageReference::parse("proxy").unwrap();
        assert_eq!((plain.tag(), plain.registry(), plain.is_mutable()), (None, None, true));
        for bad in ["", ":1", "Proxy:1", "a//b", "a:", "a@sha256:12", "a b", "a:1:2"] {
            assert!(ImageReference::parse(bad).is_err(), "{bad}");
        }
    }
}
