//! Which devices are hit by exactly the same deployments.
//!
//! Enters: by deployment, the devices that it hits; both are numbers. Leaves: by device the number of its signature, and
//! by signature its deployments. It goes on from what hit devices before: a device gets another signature where a
//! deployment hits it that did not, or no more, and of the others nothing is asked.

use super::target::Selected;
use crate::language::{Bitmap, bits};
use crate::model::DeviceChanges;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Devices by what hits them.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    /// For every device the number of its signature.
    pub(super) of_devices: Arc<Vec<u32>>,
    /// Every signature that a device has, numbered as devices first have them.
    pub(super) all: Vec<Alike>,
}

/// Devices that the same deployments hit.
#[derive(Debug)]
pub(super) struct Alike {
    /// Ascending.
    pub(super) deployments: Vec<usize>,
    /// How many devices.
    pub(super) devices: usize,
    /// What becomes of the deployments, where that was asked already.
    pub(super) selected: Option<Selected>,
}

/// A deployment, the devices that it hit, and those that it hits now.
pub(super) type Change = (usize, Arc<Bitmap>, Arc<Bitmap>);

impl Signatures {
    /// From the devices that each deployment hits.
    pub(super) fn of(devices: usize, hits: &[Arc<Bitmap>]) -> Self {
        let width = hits.len().div_ceil(64);
        let mut known: BTreeMap<Box<[u64]>, u32> = BTreeMap::new();
        let (mut of_devices, mut all) = (Vec::with_capacity(devices), Vec::new());
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
                let signature = found.unwrap_or_else(|| {
                    let signature = number(all.len());
                    known.insert(row.into(), signature);
                    all.push(Alike::hit_by(deployments(row)));
                    signature
                });
                all[signature as usize].devices += 1;
                of_devices.push(signature);
                last = Some((device, signature));
            }
        }
        Self { of_devices: Arc::new(of_devices), all }
    }

    /// Gives devices other numbers; those that were not there are not hit by anything.
    pub(super) fn renumber(&mut self, changes: &DeviceChanges) {
        let not_hit = self.all.iter().position(|alike| alike.deployments.is_empty());
        let not_hit = not_hit.unwrap_or_else(|| {
            self.all.push(Alike::hit_by(Vec::new()));
            self.all.len() - 1
        });
        changes.renumber(Arc::make_mut(&mut self.of_devices), &number(not_hit));
        self.number_anew();
    }

    /// Goes over to the same devices, of which some deployments hit others than they did.
    pub(super) fn go_over_to(&mut self, changes: &[Change]) {
        let of_devices = Arc::make_mut(&mut self.of_devices);
        let all = &mut self.all;
        let known = all.iter().zip(0..).map(|(alike, number)| (alike.deployments.clone(), number));
        let mut known: BTreeMap<Vec<usize>, u32> = known.collect();
        for (deployment, before, after) in changes {
            // By signature the one that has this deployment too, or without it.
            let mut flipped: Vec<Option<u32>> = vec![None; all.len()];
            for device in before.differing(after) {
                let signature = of_devices[device] as usize;
                of_devices[device] = *flipped[signature].get_or_insert_with(|| {
                    let deployments = flip(&all[signature].deployments, *deployment);
                    *known.entry(deployments).or_insert_with_key(|deployments| {
                        all.push(Alike::hit_by(deployments.clone()));
                        number(all.len() - 1)
                    })
                });
            }
        }
        self.number_anew();
    }

    /// Numbers signatures as devices first have them, and counts their devices.
    fn number_anew(&mut self) {
        let mut former: Vec<Option<Alike>> = self.all.drain(..).map(Some).collect();
        let mut numbers: Vec<Option<u32>> = vec![None; former.len()];
        for signature in Arc::make_mut(&mut self.of_devices) {
            let at = *signature as usize;
            *signature = *numbers[at].get_or_insert_with(|| {
                let alike = former[at].take().map(|alike| Alike { devices: 0, ..alike });
                self.all.extend(alike);
                number(self.all.len() - 1)
            });
            self.all[*signature as usize].devices += 1;
        }
    }
}

impl Alike {
    fn hit_by(deployments: Vec<usize>) -> Self {
        Self { deployments, devices: 0, selected: None }
    }
}

/// Ascending numbers with one more, or without it.
fn flip(deployments: &[usize], deployment: usize) -> Vec<usize> {
    let mut flipped = deployments.to_vec();
    match flipped.binary_search(&deployment) {
        Ok(at) => {
            flipped.remove(at);
        }
        Err(at) => flipped.insert(at, deployment),
    }
    flipped
}

fn number(signature: usize) -> u32 {
    u32::try_from(signature).expect("a fleet has fewer devices than 2^32")
}

fn deployments(row: &[u64]) -> Vec<usize> {
    row.iter()
        .enumerate()
        .flat_map(|(at, word)| bits(*word).map(move |bit| at * 64 + bit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEVICES: usize = 150;

    proptest! {
        #[test]
        fn what_hits_others_gives_what_it_gives_from_nothing(
            revisions in prop::collection::vec(
                prop::collection::vec((0..4_usize, 2..9_usize), 5),
                1..6,
            ),
        ) {
            let hits = |revision: &[(usize, usize)]| -> Vec<Arc<Bitmap>> {
                let hit = |(rest, step): &(usize, usize)| {
                    Arc::new(Bitmap::where_true(DEVICES, |n| n * n % step == *rest))
                };
                revision.iter().map(hit).collect()
            };
            let mut former = hits(&revisions[0]);
            let mut signatures = Signatures::of(DEVICES, &former);
            for revision in &revisions {
                let new = hits(revision);
                let changes = former.into_iter().zip(&new).enumerate();
                let changes = changes.map(|(n, (before, after))| (n, before, Arc::clone(after)));
                signatures.go_over_to(&changes.collect::<Vec<_>>());
                prop_assert_eq!(
                    format!("{signatures:?}"),
                    format!("{:?}", Signatures::of(DEVICES, &new))
                );
                former = new;
            }
        }
    }
}
