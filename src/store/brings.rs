//! Devices that people want to be brought to what counts, by the daemon: each wish is kept until it is done, or until it lapses.
//!
//! A wish may be said once more while the one before is being done. What is done then is the one before: whoever writes down
//! what became of a wish says which, and another one stays.

use super::error::StoreError;
use super::history::{HistoryEntry, append};
use super::open::Store;
use crate::model::{DeviceId, Timestamp};
use rusqlite::{Connection, Row, ToSql};

/// So long, in seconds, a wish holds: whoever said it knew how things were, and a month later they may be otherwise.
const HOLDS: i64 = 86_400;

/// A device that somebody wants to be brought to what counts, whatever was found on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BringWish {
    /// Which.
    pub device: DeviceId,
    /// Whether what another control host did there is replaced.
    pub take_over: bool,
    /// Whether it was named: only then is decided for it, where nobody knows the revision that it has.
    pub named: bool,
    /// Who said so.
    pub who: String,
    /// When.
    pub said: Timestamp,
    /// Whether the history has it: whoever heard of it ended before it was done.
    pub told: bool,
}

impl BringWish {
    /// Whether it was said too long ago; by a clock that was set back it was also.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        now.seconds.saturating_sub(self.said.seconds).saturating_abs() >= HOLDS
    }
}

impl Store {
    /// Asks whoever holds the lock to bring devices to what counts, all or none.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn wish_brought(&self, wishes: &[BringWish]) -> Result<(), StoreError> {
        self.write(|t| {
            // Who wanted more before still wants it.
            let mut insert = t.prepare_cached(
                "INSERT INTO brings (device, take_over, named, who, said, told)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (device) DO UPDATE
                 SET take_over = max(take_over, excluded.take_over), named = max(named, excluded.named),
                     who = excluded.who, said = excluded.said, told = excluded.told",
            )?;
            wishes.iter().try_for_each(|wish| {
                let BringWish { device, take_over, named, who, said, told } = wish;
                insert
                    .execute((device.as_str(), take_over, named, who, said.seconds, told))
                    .map(|_| ())
            })
        })?;
        self.wake();
        Ok(())
    }

    /// The devices that are to be brought to what counts: each until [`Store::end_bring`].
    ///
    /// # Errors
    /// The store can't be read.
    pub fn brings(&self) -> Result<Vec<BringWish>, StoreError> {
        let rows: Vec<(String, bool, bool, String, i64, bool)> = self.read(|c| {
            let mut statement =
                c.prepare_cached("SELECT device, take_over, named, who, said, told FROM brings")?;
            let row = |r: &Row<'_>| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?))
            };
            statement.query_map([], row)?.collect()
        })?;
        rows.into_iter()
            .map(|(device, take_over, named, who, seconds, told)| {
                let (device, said) = (self.device_id(&device)?, Timestamp { seconds });
                Ok(BringWish { device, take_over, named, who, said, told })
            })
            .collect()
    }

    /// Writes down that a device is brought to what counts, and that the history has it now.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn begin_bring(
        &self,
        wish: &BringWish,
        entries: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        self.write(|t| {
            change(t, "UPDATE brings SET told = 1", wish)?;
            append(t, entries)
        })
    }

    /// A device is brought to what counts, or never will be, which the history then says.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn end_bring(&self, wish: &BringWish, entries: &[HistoryEntry]) -> Result<(), StoreError> {
        self.write(|t| {
            change(t, "DELETE FROM brings", wish)?;
            append(t, entries)
        })
    }

    /// Devices were taken over without a daemon: nobody wants that any more.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn end_brings<'a>(
        &self,
        devices: impl IntoIterator<Item = &'a DeviceId>,
    ) -> Result<(), StoreError> {
        self.write(|t| devices.into_iter().try_for_each(|device| forget(t, device)))
    }
}

/// Changes this wish, unless it was said anew since it was read.
fn change(t: &Connection, what: &str, wish: &BringWish) -> rusqlite::Result<()> {
    let BringWish { device, take_over, named, who, said, told } = wish;
    let is_this =
        "device = ?1 AND take_over = ?2 AND named = ?3 AND who = ?4 AND said = ?5 AND told = ?6";
    let of: [&dyn ToSql; 6] = [&device.as_str(), take_over, named, who, &said.seconds, told];
    t.prepare_cached(&format!("{what} WHERE {is_this}"))?.execute(of).map(drop)
}

/// Nobody wants anything of this device any more.
pub(super) fn forget(t: &Connection, device: &DeviceId) -> rusqlite::Result<()> {
    t.prepare_cached("DELETE FROM brings WHERE device = ?1")?.execute([device.as_str()]).map(drop)
}

/// What is wanted of a device goes with it to its new id; by that one it may have been said already.
pub(super) fn rename(t: &Connection, former: &DeviceId, id: &DeviceId) -> rusqlite::Result<()> {
    t.execute(
        "INSERT INTO brings (device, take_over, named, who, said, told)
         SELECT ?2, take_over, named, who, said, told FROM brings WHERE device = ?1
         ON CONFLICT (device) DO UPDATE
         SET take_over = max(take_over, excluded.take_over), named = max(named, excluded.named)",
        (former.as_str(), id.as_str()),
    )?;
    forget(t, former)
}

/// The table: a migration of its own.
pub(super) const TABLE: &str = "
CREATE TABLE brings (
    device TEXT PRIMARY KEY, take_over INTEGER NOT NULL, named INTEGER NOT NULL, who TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// They are kept until it is done: a migration of its own.
pub(super) const ARE_KEPT: &str = "
ALTER TABLE brings ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
";

/// They lapse, also those from before it was known when they were said: a migration of its own.
pub(super) const LAPSE: &str = "
ALTER TABLE brings ADD COLUMN said INTEGER NOT NULL DEFAULT 0;
";

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(take_over: bool, seconds: i64) -> BringWish {
        let (device, who) = (DeviceId::parse("till-1").unwrap(), "ada".to_owned());
        let said = Timestamp { seconds };
        BringWish { device, take_over, named: true, who, said, told: false }
    }

    /// What is done was said before.
    #[test]
    fn what_is_said_while_something_else_is_done_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (first, second) = (wish(false, 10), wish(true, 20));
        let is_kept = |wish: &BringWish| {
            assert_eq!(store.brings().unwrap(), std::slice::from_ref(wish));
        };
        let told = |wish: &BringWish| BringWish { told: true, ..wish.clone() };
        store.wish_brought(std::slice::from_ref(&first)).unwrap();
        is_kept(&first);
        // Between hearing of it and writing that down, and once more until it is done.
        store.wish_brought(std::slice::from_ref(&second)).unwrap();
        store.begin_bring(&first, &[]).unwrap();
        is_kept(&second);
        store.end_bring(&told(&first), &[]).unwrap();
        is_kept(&second);
        store.begin_bring(&second, &[]).unwrap();
        is_kept(&told(&second));
        // The same, said in the same second, is said anew all the same.
        store.wish_brought(std::slice::from_ref(&second)).unwrap();
        store.end_bring(&told(&second), &[]).unwrap();
        is_kept(&second);
        store.end_bring(&second, &[]).unwrap();
        assert_eq!(store.brings().unwrap(), []);
    }

    #[test]
    fn what_is_wanted_of_a_device_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let id = |name: &str| DeviceId::parse(name).unwrap();
        let of = |device: &str, wish: BringWish| BringWish { device: id(device), ..wish };
        store.wish_brought(&[wish(true, 10)]).unwrap();
        store.rename_devices(&[(id("till-1"), id("front"))], &[]).unwrap();
        assert_eq!(store.brings().unwrap(), [of("front", wish(true, 10))]);
        // By the new id it was said before the new id counted.
        store.wish_brought(&[of("door", wish(false, 20))]).unwrap();
        store.rename_devices(&[(id("front"), id("door"))], &[]).unwrap();
        assert_eq!(store.brings().unwrap(), [of("door", wish(true, 20))]);
        store.forget_device(&id("door")).unwrap();
        assert_eq!(store.brings().unwrap(), []);
    }

    #[test]
    fn a_wish_holds_for_a_day_by_whatever_clock() {
        let lapses = |seconds| wish(true, 100_000).has_lapsed(Timestamp { seconds });
        assert!(!lapses(100_000) && !lapses(186_399) && lapses(186_400));
        assert!(!lapses(13_601) && lapses(13_600) && lapses(i64::MIN));
    }
}
