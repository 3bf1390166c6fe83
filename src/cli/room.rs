//! Room on disks, as `df` tells it.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a daemon writes of a look and its works, and more.
const NEEDED: u64 = 64 << 10;

/// That nothing can be written down in a store's folder, as its disk is full: what it says of devices may be old then.
pub(super) fn full_store(folder: &Path) -> Option<String> {
    let output = df(folder)?;
    // What is kept for root counts as free here: the daemon may be root, and nobody shall be told of what is not so.
    let (size, used) = (bytes(&output, 1)?, bytes(&output, 2)?);
    (size > 0 && size.saturating_sub(used) < NEEDED).then(|| {
        format!(
            "the disk of {} is full: what happens can't be written down, and what is said of devices may be old; a daemon goes \
             on by itself once there is room",
            folder.display()
        )
    })
}

/// Bytes that are free, and all, where a folder of this machine lies.
pub(super) fn room(folder: &Path) -> Option<(u64, u64)> {
    let output = df(folder)?;
    Some((bytes(&output, 3)?, bytes(&output, 1)?))
}

/// The line that `df` has of a folder.
fn df(folder: &Path) -> Option<String> {
    let output = Command::new("df")
        .args(["-Pk", "--"])
        .arg(folder)
        .env("LC_ALL", "C")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().nth(1).map(str::to_owned)
}

/// A field of it, in bytes.
fn bytes(line: &str, field: usize) -> Option<u64> {
    line.split_whitespace().nth(field)?.parse::<u64>().ok()?.checked_mul(1024)
}
