//! Made-up fleets of any size, to measure with and to plan capacity.
//!
//! Enters: a [`FleetSize`]. Leaves: the files of a fleet folder, one after the other; the same size gives the
//! same bytes. The fleet is one of buildings in two dozen countries: what a device is for, where it stands and
//! how careful one has to be with it depend on each other as they do in life, so that a fleet of any size has
//! a few hundred combinations of deployments and not one a device. Not here: git, and writing files.

mod deployment;
mod device;
mod seed;

use deployment::deployment_file;
use device::{Device, device_id};

/// How large a fleet to make, and which one of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSize {
    /// How many devices.
    pub devices: u32,
    /// How many deployments.
    pub deployments: u32,
    /// How many devices share a file; with 1 each has a file of its own.
    pub devices_per_file: u32,
    /// Which of the many fleets of this size.
    pub seed: u64,
}

impl FleetSize {
    /// The fleet's files: their paths and texts, `fleet.toml` first.
    pub fn files(self) -> impl Iterator<Item = (String, String)> {
        let fleet = std::iter::once(("fleet.toml".to_owned(), fleet_file(self)));
        let deployments = (0..self.deployments).map(move |n| deployment_file(n, self.seed));
        fleet.chain(deployments).chain(device_files(self))
    }
}

fn fleet_file(size: FleetSize) -> String {
    let FleetSize { devices, deployments, devices_per_file: _, seed } = size;
    format!(
        "# A made-up fleet: {devices} devices, {deployments} deployments, seed {seed}.\n\
         name = \"generated\"\n\n\
         [defaults]\n\
         stop-timeout = \"10s\"\n\
         log = {{ max-size = \"10m\", max-file = 3 }}\n\n\
         [guards]\n\
         max-devices-disrupted = \"25%\"\n\
         max-modules-removed = 20\n"
    )
}

fn device_files(size: FleetSize) -> impl Iterator<Item = (String, String)> {
    let per_file = size.devices_per_file.max(1);
    (0..size.devices.div_ceil(per_file)).map(move |file| {
        let first = file * per_file;
        let last = first.saturating_add(per_file).min(size.devices);
        let device = |n| Device::of(n, size.seed);
        if per_file == 1 {
            let device = device(first);
            (format!("devices/{}/{}.toml", device.site(), device_id(&device)), device.own_file())
        } else {
            let texts = (first..last).map(|n| device(n).list_item());
            (format!("devices/list-{file:05}.toml"), texts.collect::<Vec<_>>().join("\n"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::FleetSize;
    use crate::fleet::{FileTree, TreeEntry};
    use crate::resolve::check;
    use std::collections::BTreeSet;

    const SIZE: FleetSize =
        FleetSize { devices: 600, deployments: 60, devices_per_file: 1, seed: 7 };

    fn tree(size: FleetSize) -> FileTree {
        let entry = |(path, text): (String, String)| (path.into(), TreeEntry::File(text.into()));
        FileTree(size.files().map(entry).collect())
    }

    #[test]
    fn is_valid_and_every_device_has_a_manifest() {
        for deployments in [1, 2, 60] {
            let checked = check(&tree(FleetSize { deployments, ..SIZE }));
            let errors: Vec<_> = checked.diagnostics.iter().map(|d| d.message.clone()).collect();
            let (fleet, resolution) = checked.fleet.unwrap_or_else(|| panic!("{errors:#?}"));
            assert_eq!((fleet.devices.len(), fleet.deployments.len()), (600, deployments as usize));
            assert!(resolution.devices.values().all(|device| device.cohort.is_some()));
        }
    }

    #[test]
    fn one_file_or_many_is_the_same_fleet() {
        let digest = |devices_per_file| {
            let checked = check(&tree(FleetSize { devices_per_file, ..SIZE }));
            let (fleet, resolution) = checked.fleet.expect("a valid fleet");
            crate::review::fleet_digest(&fleet, &resolution)
        };
        assert_eq!(digest(1), digest(250));
    }

    #[test]
    fn a_seed_is_one_fleet() {
        let files = |seed| FleetSize { seed, ..SIZE }.files().collect::<Vec<_>>();
        assert_eq!(files(1), files(1));
        assert_ne!(files(1), files(2));
    }

    #[test]
    fn ten_times_the_devices_are_not_ten_times_the_combinations() {
        let cohorts = |devices| {
            let size = FleetSize { devices, devices_per_file: 1000, deployments: 100, seed: 1 };
            let checked = check(&tree(size));
            let (_, resolution) = checked.fleet.expect("a valid fleet");
            let all = resolution.devices.values().map(|device| device.cohort);
            all.collect::<BTreeSet<_>>().len()
        };
        let (small, large) = (cohorts(500), cohorts(5000));
        assert!(small > 40, "{small}");
        assert!(large < 600, "{large}");
    }
}
