//! Which devices are hit by exactly the same deployments.

use crate::language::{Bitmap, bits};
use std::collections::BTreeMap;

/// Devices by what hits them; devices and deployments are numbers.
pub(super) struct Signatures {
    /// For every device the number of its signature.
    pub(super) of_devices: Vec<u32>,
    /// For every signature the deployments, ascending, and the number of devices.
    pub(super) all: Vec<(Vec<usize>, usize)>,
}

impl Signatures {
    /// From the devices that each deployment hits. Signatures are numbered as devices first have them.
    pub(super) fn of(devices: usize, hits: &[Bitmap]) -> Self {
        let width = hits.len().div_ceil(64);
        let mut known: BTreeMap<Box<[u64]>, u32> = BTreeMap::new();
        let mut signatures = Self { of_devices: Vec::with_capacity(devices), all: Vec::new() };
        // 64 devices at a time: one word of each bitmap makes one column of their rows.
        let mut rows = vec![0_u64; 64 * width];
        for block in 0..devices.div_ceil(64) {
            rows.fill(0);
            for (deployment, bitmap) in hits.iter().enumerate() {
                for device in bits(bitmap.word(block)) {
                    rows[device * width + deployment / 64] |= 1 << (deployment % 64);
                }
            }
            let mut last: Option<(usize, u32)> = None;
            for device in 0..64.min(devices - block * 64) {
                let row = &rows[device * width..][..width];
                // Devices with neighbouring ids are often alike.
                let as_before = last.filter(|(before, _)| rows[before * width..][..width] == *row);
                let found = as_before.map(|(_, n)| n).or_else(|| known.get(row).copied());
                let number = found.unwrap_or_else(|| {
                    let number = u32::try_from(signatures.all.len())
                        .expect("a fleet has fewer devices than 2^32");
                    known.insert(row.into(), number);
                    signatures.all.push((deployments(row), 0));
                    number
                });
                signatures.all[number as usize].1 += 1;
                signatures.of_devices.push(number);
                last = Some((device, number));
            }
        }
        signatures
    }
}

fn deployments(row: &[u64]) -> Vec<usize> {
    row.iter()
        .enumerate()
        .flat_map(|(at, word)| bits(*word).map(move |bit| at * 64 + bit))
        .collect()
}
