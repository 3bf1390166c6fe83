//! Room on disks, as `df` tells it.

use crate::store::Store;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a daemon writes of a look and its works, and more.
const NEEDED: u64 = 64 << 10;

/// That nothing can be written down in a store, as its disk is full: what it says of devices may be old then.
pub(super) fn full_store(store: &Store) -> Option<String> {
    let folder = store.folder();
    let (free, _) = room(folder)?;
    (free < NEEDED).then(|| {
        format!(
            "the disk of {} is full: what happens can't be written down, and what is said of devices may be old; a daemon goes \
             on by itself once there is room",
            folder.display()
        )
    })
}

/// Bytes that are free, and all, where a folder of this machine lies.
pub(super) fn room(folder: &Path) -> Option<(u64, u64)> {
    let output = Command::new("df")
        .args(["-Pk", "--"])
        .arg(folder)
        .env("LC_ALL", "C")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let fields: Vec<&str> = text.lines().nth(1)?.split_whitespace().collect();
    let kib = |field: usize| fields.get(field)?.parse::<u64>().ok()?.checked_mul(1024);
    Some((kib(3)?, kib(1)?))
}
