//! Orders whose time is over: that they ended stands in the history, once, by whoever comes to know of it first.
//!
//! An order that is over stays for a while: a clock that was set wrong and is set back lets it hold again.

use super::error::StoreError;
use super::history::append;
use super::open::Store;
use super::orders::{OrderKind, entry, scope_of};
use crate::model::{DeviceId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

/// So long, in seconds, is an order kept that is over.
const KEPT: i64 = 86_400;

struct Ended {
    kind: String,
    scope: String,
    reason: String,
    who: String,
    until: i64,
}

impl Store {
    /// Writes into the history which pauses and pins are over by now, each once and with the moment at which it ended.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub fn note_ended_orders(&self, now: Timestamp) -> Result<(), StoreError> {
        let is_any = self.read(|c| {
            c.prepare_cached("SELECT EXISTS (SELECT 1 FROM orders WHERE until <= ?1)")?
                .query_row([now.seconds], |row| row.get::<_, bool>(0))
        })?;
        if !is_any {
            return Ok(());
        }
        self.write(|t| note_ended(t, now))
    }
}

/// The same within a transaction.
pub(super) fn note_ended(t: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let over: Vec<Ended> = t
        .prepare_cached(
            "SELECT kind, scope, reason, who, until FROM orders WHERE until <= ?1 ORDER BY until, id",
        )?
        .query_map([now.seconds], |row| {
            Ok(Ended {
                kind: row.get(0)?,
                scope: row.get(1)?,
                reason: row.get(2)?,
                who: row.get(3)?,
                until: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for Ended { kind, scope, reason, who, until } in over {
        let Some(scope) = scope_of(&scope) else { continue };
        let kind = if kind == OrderKind::Pin.as_str() { OrderKind::Pin } else { OrderKind::Pause };
        let (reason, at) = (format!("its time was over: {reason}"), Timestamp { seconds: until });
        let entry = entry(&scope, kind.end(), None, &who, at, reason);
        let known = t
            .prepare_cached("SELECT 1 FROM history WHERE at = ?1 AND action = ?2 AND reason = ?3 AND device IS ?4")?
            .query_row(
                (until, &entry.action, &entry.reason, entry.device.as_ref().map(DeviceId::as_str)),
                |_| Ok(()),
            )
            .optional()?;
        if known.is_none() {
            append(t, &[entry])?;
        }
    }
    let long_over = now.seconds.saturating_sub(KEPT);
    t.execute("DELETE FROM orders WHERE until <= ?1", [long_over]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{HistoryFilter, Pause, Pin, Scope};

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds }
    }

    #[test]
    fn that_the_time_of_an_order_is_over_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let told = || -> Vec<(i64, String, Option<String>, String)> {
            let history = store.history(&HistoryFilter::default()).unwrap();
            let ends = history.into_iter().filter(|e| e.action != "pause" && e.action != "pin");
            let device = |id: Option<DeviceId>| id.map(|id| id.to_string());
            ends.map(|e| (e.at.seconds, e.action, device(e.device), e.reason)).collect()
        };
        let lift = Scope::Device(DeviceId::parse("lift-01").unwrap());
        let (reason, who) = ("serviced".to_owned(), "ada".to_owned());
        let pause = Pause { id: 0, scope: lift, reason, who, since: at(10), until: Some(at(20)) };
        store.pause(&pause).unwrap();
        let pin = Pin {
            id: 0,
            revision: "3f2a".to_owned(),
            scope: Scope::Where("tags.a = 1".to_owned()),
            reason: "a trial".to_owned(),
            who: "bo".to_owned(),
            since: at(11),
            until: Some(at(30)),
        };
        store.pin(&pin).unwrap();
        store.note_ended_orders(at(19)).unwrap();
        assert_eq!(told(), []);
        let resumed = (
            20,
            "resume".to_owned(),
            Some("lift-01".to_owned()),
            "its time was over: serviced".to_owned(),
        );
        for now in [20, 25, 20] {
            store.note_ended_orders(at(now)).unwrap();
            assert_eq!(told(), std::slice::from_ref(&resumed));
        }
        // The clock is set back: it holds again.
        assert_eq!(store.pauses(at(15)).unwrap().len(), 1);
        // Another order comes before anybody knew that the pin was over.
        let later = Pin { since: at(40), until: None, scope: Scope::All, ..pin };
        store.pin(&later).unwrap();
        let unpinned = (
            30,
            "unpin".to_owned(),
            None,
            "its time was over: a trial (where tags.a = 1)".to_owned(),
        );
        assert_eq!(told(), [resumed.clone(), unpinned.clone()]);
        store.note_ended_orders(at(20 + KEPT)).unwrap();
        assert_eq!(store.pauses(at(15)).unwrap(), [], "what is long over is forgotten");
        assert_eq!(told(), [resumed, unpinned]);
        assert_eq!(store.pins(at(50)).unwrap().len(), 1);
    }
}
