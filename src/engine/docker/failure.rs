//! What went wrong with an engine call → an error with its class and words.
//!
//! Enters: a status and text, or how the exchange broke. Leaves: [`EngineError`]. Engines' status codes do not
//! classify errors (a missing command is 400, a taken port 500), so their texts decide. Ids are shortened and
//! paths of the engine's storage left out, as the words go to people and into the store.

use crate::engine::{Cause, EngineError, EngineErrorKind, SecretValues};
use std::fmt;
use std::io;
use std::time::Duration;

/// How a call failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The engine answered that it will not.
    Status {
        /// The HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The engine said so within a stream that had begun well.
    Stream(String),
    /// There is no connection to be had.
    NoConnection {
        /// What stands in the way, where it is known.
        cause: Option<Cause>,
        /// The same in words.
        words: String,
    },
    /// The connection broke.
    Cut(String),
    /// The answer went beyond its limit.
    TooLarge,
    /// No answer in time.
    TimedOut(Duration),
    /// The answer is none that an engine gives.
    Nonsense(String),
}

/// Which tables apply to the engine's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Asking without changing anything.
    Ask,
    /// Making a container.
    Create,
    /// Starting or restarting one.
    Start,
    /// Pulling an image.
    Pull,
    /// Networks.
    Network,
    /// Renaming.
    Rename,
    /// Everything else that changes a container.
    Change,
}

/// What a TLS port says, without TLS, to who comes without TLS.
const WANTS_TLS: &str = "HTTP request to an HTTPS server";

impl Trouble {
    pub(super) fn from_bollard(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Status { status: status_code, message: words_of(message.as_bytes()) }
            }
            Error::DockerStreamError { error } => Self::Stream(error),
            Error::IOError { err } => match err.downcast::<Self>() {
                Ok(trouble) => trouble,
                Err(error) => from_io(&error),
            },
            Error::HyperResponseError { err } => super::transport::from_hyper(err),
            other => Self::Nonsense(other.to_string()),
        }
    }

    /// Whether the engine says that the thing is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// The engine's words, if it is the engine that refused with this status.
    pub(super) fn refused_with(&self, wanted: u16) -> Option<&str> {
        match self {
            Self::Status { status, message } if *status == wanted => Some(message),
            _ => None,
        }
    }

    /// The same without values of secrets: an engine or a registry may repeat what it was sent.
    pub(super) fn masked(self, secrets: &SecretValues) -> Self {
        match self {
            Self::Status { status, message } => {
                Self::Status { status, message: secrets.masked(&message) }
            }
            Self::Stream(message) => Self::Stream(secrets.masked(&message)),
            other => other,
        }
    }

    /// The error, with what was tried.
    pub(super) fn during(self, call: Call, tried: impl fmt::Display) -> EngineError {
        let kind = self.kind(call);
        let (cause, words) = match (&self, call) {
            (Self::Status { message, .. } | Self::Stream(message), Call::Pull) => {
                pull_failure(message)
            }
            (Self::NoConnection { cause, .. }, _) => (*cause, self.to_string()),
            (Self::Status { status: 400, message }, _) if message.contains(WANTS_TLS) => {
                let words = "the engine is not reached: what listens there speaks TLS, and the device's file names none";
                (Some(Cause::WantsTls), words.to_owned())
            }
            (Self::Status { status: 500.., .. }, _) if kind == EngineErrorKind::Refused => {
                (Some(Cause::EngineItself), self.to_string())
            }
            (Self::Status { message, .. }, _) if self.goes_down() => {
                (None, format!("the engine goes down, or has to be restarted ({message})"))
            }
            _ => (None, self.to_string()),
        };
        EngineError::new(kind, format!("could not {tried}: {}", tidied(&words))).because(cause)
    }

    fn kind(&self, call: Call) -> EngineErrorKind {
        let (status, message) = match self {
            Self::Status { status, message } => (*status, message.as_str()),
            Self::Stream(message) => (200, message.as_str()),
            Self::TimedOut(_) => return EngineErrorKind::TimedOut,
            Self::NoConnection { .. } | Self::Cut(_) | Self::TooLarge | Self::Nonsense(_) => {
                return EngineErrorKind::Unreachable;
            }
        };
        let text = message.to_ascii_lowercase();
        if self.goes_down() {
            return EngineErrorKind::Unreachable;
        }
        if status == 503 || (status == 400 && text.contains("client version")) {
            return EngineErrorKind::Unreachable;
        }
        let no_container = status == 404 && text.contains("no such container");
        match call {
            Call::Pull => EngineErrorKind::NoImage,
            Call::Create if text.contains("already in use") => EngineErrorKind::Conflict,
            Call::Create if status == 404 && text.contains("no such image") => {
                EngineErrorKind::NoImage
            }
            Call::Start
                if text.contains("port is already allocated")
                    || text.contains("address already in use") =>
            {
                EngineErrorKind::Conflict
            }
            Call::Network if text.contains("overlap") => EngineErrorKind::Conflict,
            Call::Rename if text.contains("conflict") || text.contains("already in use") => {
                EngineErrorKind::Conflict
            }
            Call::Ask if status != 404 => EngineErrorKind::Unreachable,
            Call::Ask => EngineErrorKind::NotFound,
            Call::Network if status == 404 => EngineErrorKind::NotFound,
            _ if no_container => EngineErrorKind::NotFound,
            Call::Create | Call::Start | Call::Network | Call::Rename | Call::Change => {
                EngineErrorKind::Refused
            }
        }
    }

    /// Whether these are words of an engine that has closed what it needs, and takes calls until it ends: it may do so for many
    /// seconds, and answers pings.
    fn goes_down(&self) -> bool {
        let Self::Status { status: 500.., message } = self else { return false };
        let has_closed = ["open : no such file or directory", "database not open"];
        message.contains("failed to update store for object type")
            && has_closed.iter().any(|words| message.contains(words))
    }
}

fn from_io(error: &io::Error) -> Trouble {
    Trouble::Cut(error.to_string())
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, message } if message.is_empty() => {
                write!(f, "the engine answers {status} without a word")
            }
            Self::Status { message, .. } | Self::Stream(message) => f.write_str(message),
            Self::NoConnection { cause: _, words } => {
                write!(f, "the engine is not reached: {words}")
            }
            Self::Cut(words) => write!(f, "the connection broke: {words}"),
            Self::TooLarge => f.write_str("the engine's answer is larger than any should be"),
            Self::TimedOut(limit) => write!(f, "no end within {limit:?}"),
            Self::Nonsense(words) => write!(f, "the engine answers nonsense: {words}"),
        }
    }
}

impl std::error::Error for Trouble {}

/// What a failed pull means, then the engine's words.
fn pull_failure(message: &str) -> (Option<Cause>, String) {
    let text = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let (cause, meaning) = if has(&["no basic auth"]) {
        (Some(Cause::RegistryCredentials), "the registry wants credentials")
    } else if has(&["unauthorized", "denied", "authentication required"]) {
        (Some(Cause::RegistryCredentials), "the registry refuses the credentials")
    } else if has(&["verification failed", "unknown blob", "does not match digest"]) {
        (Some(Cause::RegistryContentBroken), "the registry's copy is broken")
    } else if has(&["not found", "manifest unknown", "no such image", "name unknown"]) {
        // Engines use one word for a name and a tag that are not there.
        let by_digest = text.contains("@sha256:");
        let meaning = if by_digest {
            "the registry has no image with this digest"
        } else {
            "the registry has no such image or tag"
        };
        (Some(Cause::NoSuchImage), meaning)
    } else if has(&["dial tcp", "lookup ", "timeout", "connection refused", "no such host", "eof"])
    {
        (Some(Cause::RegistryUnreachable), "the device does not reach the registry")
    } else {
        (None, "the engine refuses")
    };
    (cause, format!("{meaning} ({message})"))
}

/// The words of an error's body: `{"message": …}`, or text.
pub(super) fn words_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Words {
        message: String,
    }
    match serde_json::from_slice::<Words>(body) {
        Ok(words) => words.message,
        Err(_) => String::from_utf8_lossy(body.get(..2000).unwrap_or(body)).trim().to_owned(),
    }
}

/// Words without long ids, without paths of the engine's storage, on one line, not too long.
pub(super) fn tidied(words: &str) -> String {
    const STORAGE: [&str; 5] = ["/overlay2/", "/vfs/", "/containerd/", "/docker/", "/rootfs/"];
    const LONGEST: usize = 500;
    let mut out = String::new();
    let delimiter = |c: char| c.is_whitespace() || "\"'`()=,<>".contains(c);
    for piece in words.split_inclusive(delimiter) {
        let (body, end) = match piece.char_indices().next_back() {
            Some((at, last)) if delimiter(last) => (&piece[..at], &piece[at..]),
            _ => (piece, ""),
        };
        if body.starts_with('/') && STORAGE.iter().any(|part| body.contains(part)) {
            out.push('…');
            if body.ends_with(':') {
                out.push(':');
            }
        } else {
            shorten_ids(body, &mut out);
        }
        out.push_str(if end.starts_with(char::is_control) { " " } else { end });
    }
    if out.len() > LONGEST {
        let cut = (0..=LONGEST).rev().find(|i| out.is_char_boundary(*i)).unwrap_or(0);
        out.truncate(cut);
        out.push('…');
    }
    out
}

fn shorten_ids(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let run = rest[start..].bytes().take_while(u8::is_ascii_hexdigit).count();
        let shown = if run >= 64 { 12 } else { run };
        out.push_str(&rest[..start + shown]);
        rest = &rest[start + run..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, message: &str) -> Trouble {
        Trouble::Status { status, message: message.to_owned() }
    }

    #[test]
    fn texts_classify_where_statuses_do_not() {
        use EngineErrorKind::{Conflict, NoImage, NotFound, Refused, Unreachable};
        for (call, code, text, kind) in [
            (
                Call::Create,
                409,
                "Conflict. The container name \"/cam\" is already in use by",
                Conflict,
            ),
            (Call::Create, 404, "No such image: nope/nope:1", NoImage),
            (Call::Create, 500, "json: cannot unmarshal string into Go struct field", Refused),
            (Call::Create, 404, "plugin \"x\" not found", Refused),
            (Call::Start, 500, "Bind for 127.0.0.1:1 failed: port is already allocated", Conflict),
            (Call::Start, 403, "Address already in use", Conflict),
            (Call::Start, 500, "listen tcp4 127.0.0.1:1: bind: address already in use", Conflict),
            (Call::Start, 400, "OCI runtime create failed: … no such file or directory", Refused),
            (Call::Start, 404, "network 012 not found", Refused),
            (Call::Start, 404, "No such container: cam", NotFound),
            (Call::Start, 503, "busy", Unreachable),
            (
                Call::Start,
                500,
                "failed to update store for object type *libnetwork.endpoint: open : no such file or directory",
                Unreachable,
            ),
            (Call::Start, 500, "failed to update store: open /x/y.db: no such file", Refused),
            (Call::Rename, 409, "Error when allocating new name: Conflict. …", Conflict),
            (Call::Rename, 404, "sandbox 012 not found", Refused),
            (Call::Change, 409, "Cannot update container", Refused),
            (Call::Change, 404, "Not Found", Refused),
            (Call::Ask, 500, "oh", Unreachable),
            (Call::Ask, 400, "client version 1.50 is too new", Unreachable),
        ] {
            assert_eq!(status(code, text).kind(call), kind, "{call:?} {code} {text}");
        }
    }

    #[test]
    fn words_are_short_and_say_nothing_of_the_engines_storage() {
        let id = "ab12".repeat(16);
        insta::assert_snapshot!(
            tidied(&format!("Conflict. The name \"/cam\" is in use by container \"{id}\".\nYou")),
            @r#"Conflict. The name "/cam" is in use by container "ab12ab12ab12". You"#
        );
        insta::assert_snapshot!(
            tidied("lstat /data/overlay2/0123/merged/run/x: no such file"),
            @"lstat …: no such file"
        );
        insta::assert_snapshot!(
            status(500, "Head \"http://127.0.0.1:1/v2/cam/manifests/1\": no basic auth credentials")
                .during(Call::Pull, "pull cam:1"),
            @r#"could not pull cam:1: the registry wants credentials (Head "http://127.0.0.1:1/v2/cam/manifests/1": no basic auth credentials)"#
        );
        assert_eq!(tidied(&"é".repeat(400)).chars().count(), 251);
    }
}
