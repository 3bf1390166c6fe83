//! Which properties there are, and where: in target conditions, in `devices`, in `devices.modules`.
//!
//! Words of a path enter; the root that they start with leaves, or the property that was probably meant.

use super::ast::{Root, is_plain_key, quoted};
use super::syntax::{Word, WordForm};
use crate::diagnostic::closest;

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The devices of a deployment.
    Target,
    /// The rows of `devices`.
    Devices,
    /// The rows of `devices.modules`.
    Modules,
}

impl Scope {
    /// All that it knows, in one sentence.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Target => {
                "a target condition knows `deviceId`, `tags.…` and `properties.reported.…`"
            }
            Self::Devices => {
                "`devices` knows `deviceId`, `tags.…`, `properties.reported.…`, \
                 `configurations.[[ID]].status` and `connectionState`"
            }
            Self::Modules => {
                "`devices.modules` knows `deviceId`, `moduleId`, `tags.…`, `properties.desired.…`, \
                 `properties.reported.…`, `runtimeStatus`, `exitCode`, `restartCount` and \
                 `configurations.[[ID]].status`"
            }
        }
    }

    /// What its rows are.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Target | Self::Devices => "device",
            Self::Modules => "module",
        }
    }

    /// Whether it has what lies at a root.
    pub(super) fn knows(self, root: Root) -> bool {
        match root {
            Root::DeviceId | Root::Tags | Root::Reported => true,
            Root::Configurations => self != Self::Target,
            Root::ConnectionState | Root::IotEdge => self == Self::Devices,
            Root::ModuleId
            | Root::Desired
            | Root::RuntimeStatus
            | Root::ExitCode
            | Root::RestartCount => self == Self::Modules,
        }
    }

    /// The root that a path starts with, if it is known here, and how many words it takes.
    pub(super) fn root_of(self, words: &[Word]) -> Option<(Root, usize)> {
        root_of(words).filter(|(root, _)| self.knows(*root))
    }

    /// The property that was probably meant by a path without a known root.
    pub(super) fn suggestion(self, words: &[Word]) -> Option<String> {
        let first = words[0].text.to_ascii_lowercase();
        let has_rest = words.len() > 1;
        match first.as_str() {
            "device" | "devices" | "twin" | "thing" if has_rest => {
                let inner = &words[1..];
                match self.root_of(inner) {
                    Some((Root::DeviceId, _)) => Some("deviceId".to_owned()),
                    Some(_) => Some(keys(inner)[1..].to_owned()),
                    None => self.suggestion(inner),
                }
            }
            "id" | "name" | "device" | "deviceid" | "device_id" | "device-id" | "devicename" => {
                Some("deviceId".to_owned())
            }
            "module" | "moduleid" | "module_id" | "modulename" if self == Self::Modules => {
                Some("moduleId".to_owned())
            }
            "reported" if has_rest => Some(format!("properties.reported{}", keys(&words[1..]))),
            "desired" if has_rest && self == Self::Modules => {
                Some(format!("properties.desired{}", keys(&words[1..])))
            }
            "lastdesiredstatus" if self != Self::Target => {
                Some("properties.reported.lastDesiredStatus.code".to_owned())
            }
            "properties" | "property" if has_rest => {
                let second = words[1].text.to_ascii_lowercase();
                match closest(&second, ["reported"]) {
                    Some(_) if words.len() > 2 => {
                        Some(format!("properties.reported{}", keys(&words[2..])))
                    }
                    _ => Some(format!("properties.reported{}", keys(&words[1..]))),
                }
            }
            _ if has_rest => match closest(&first, ["tags", "reported"]) {
                Some("tags") => Some(format!("tags{}", keys(&words[1..]))),
                Some(_) => Some(format!("properties.reported{}", keys(&words[1..]))),
                None => None,
            },
            _ => {
                let known = SINGLE.into_iter().filter(|(_, root)| self.knows(*root));
                closest(&words[0].text, known.map(|(name, _)| name)).map(str::to_owned)
            }
        }
    }
}

/// Roots of one word that only queries know.
const SINGLE: [(&str, Root); 5] = [
    ("connectionState", Root::ConnectionState),
    ("moduleId", Root::ModuleId),
    ("runtimeStatus", Root::RuntimeStatus),
    ("exitCode", Root::ExitCode),
    ("restartCount", Root::RestartCount),
];

/// The root that a path starts with, wherever it is known, and how many words it takes.
pub(super) fn root_of(words: &[Word]) -> Option<(Root, usize)> {
    let plain = |at: usize| {
        words.get(at).filter(|word| word.form == WordForm::Plain).map(|word| word.text.as_str())
    };
    match (plain(0)?, plain(1)) {
        ("deviceId" | "deviceid", _) => Some((Root::DeviceId, 1)),
        ("tags", _) => Some((Root::Tags, 1)),
        ("properties", Some("reported")) => Some((Root::Reported, 2)),
        ("properties", Some("desired")) => Some((Root::Desired, 2)),
        ("capabilities", Some("iotEdge")) => Some((Root::IotEdge, 2)),
        ("configurations", _) => Some((Root::Configurations, 1)),
        ("moduleid", _) => Some((Root::ModuleId, 1)),
        (word, _) => SINGLE.into_iter().find(|(name, _)| *name == word).map(|(_, root)| (root, 1)),
    }
}

/// Keys as they stand behind a root.
fn keys(words: &[Word]) -> String {
    words
        .iter()
        .map(|word| {
            if is_plain_key(&word.text) {
                format!(".{}", word.text)
            } else {
                format!("[{}]", quoted(&word.text))
            }
        })
        .collect()
}
