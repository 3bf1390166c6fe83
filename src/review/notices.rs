//! What a reviewer should see although no module changes for it.

use super::diff::Pair;
use super::side::Side;
use super::{Notice, NoticeKind, guards};
use crate::diagnostic::{Code, Level};
use crate::fleet::Fleet;
use crate::model::EngineAddress;
use std::sync::Arc;

/// The engine address of a device without one.
pub(super) const NO_ENGINE: &str = "none";

/// The notices of a comparison: of devices by id, then of the fleet.
pub(super) fn notices(base: &Side<'_>, head: &Side<'_>, devices: &[Pair<'_>]) -> Vec<Notice> {
    let (Some((before, _)), Some((after, _))) = (base.fleet, head.fleet) else { return Vec::new() };
    let mut notices = Vec::new();
    for pair in devices {
        let Some(new) = pair.after.and_then(|member| member.device()) else { continue };
        let notice = |kind, before: String, after: String| Notice {
            kind,
            subject: pair.id.to_string(),
            before,
            after,
        };
        if let Some(former) = pair.former {
            let (old, new) = (former.to_string(), pair.id.to_string());
            notices.push(notice(NoticeKind::DeviceRenamed, old, new));
        }
        let old = pair.before.and_then(|member| member.device());
        if old.is_some_and(|old| Arc::ptr_eq(old, new)) {
            continue;
        }
        let old = old.and_then(|old| old.engine.as_ref());
        if old != new.engine.as_ref() {
            let words = |engine: Option<_>| {
                engine.map_or(NO_ENGINE.to_owned(), |e: &EngineAddress| e.to_string())
            };
            let (old, new) = (words(old), words(new.engine.as_ref()));
            notices.push(notice(NoticeKind::EngineChanged, old, new));
        }
    }
    if before.name != after.name {
        let is_known = after.formerly.contains(&before.name);
        notices.push(Notice {
            kind: if is_known { NoticeKind::FleetRenamed } else { NoticeKind::FleetForgotten },
            subject: after.name.to_string(),
            before: before.name.to_string(),
            after: after.name.to_string(),
        });
    }
    let total = after.devices.len() as u64;
    for loosened in guards::loosened(&before.guards, &after.guards, total) {
        notices.push(Notice {
            kind: NoticeKind::GuardLoosened,
            subject: loosened.name.to_owned(),
            before: loosened.before,
            after: loosened.after,
        });
    }
    notices.extend(loosened_lints(before, after));
    notices
}

fn loosened_lints(before: &Fleet, after: &Fleet) -> Vec<Notice> {
    let mut notices = Vec::new();
    for code in Code::ALL.iter().filter(|code| code.is_lint()) {
        let level =
            |fleet: &Fleet| fleet.lints.get(code).copied().unwrap_or(Some(code.default_level()));
        let (old, new) = (level(before), level(after));
        if new < old {
            let words = |level: Option<Level>| level.map_or("allow", Level::as_str).to_owned();
            notices.push(Notice {
                kind: NoticeKind::LintLoosened,
                subject: code.to_string(),
                before: words(old),
                after: words(new),
            });
        }
    }
    notices
}
