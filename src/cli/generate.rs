//! `hoist generate DIR`: a made-up fleet of any size, as a git repository.

use super::exit::{Exit, Failure};
use super::output::{count, print};
use crate::generate::FleetSize;
use crate::source::create_repository;
use std::path::PathBuf;

/// Make up a fleet of any size, to measure with and to plan capacity.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder: new, or empty
    folder: PathBuf,
    /// How many devices
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    devices: u32,
    /// How many deployments
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=9_999))]
    deployments: u32,
    /// Which of the many fleets of this size
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many devices share a file
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    devices_per_file: u32,
    /// Without a working tree
    #[arg(long)]
    bare: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let Arguments { folder, devices, deployments, seed, devices_per_file, bare } = arguments;
    let size = FleetSize {
        devices: *devices,
        deployments: *deployments,
        devices_per_file: *devices_per_file,
        seed: *seed,
    };
    let what = format!(
        "{}, {}, seed {seed}",
        count(*devices as usize, "device"),
        count(*deployments as usize, "deployment")
    );
    create_repository(folder, *bare, &format!("A made-up fleet: {what}"), size.files())?;
    print(&format!(
        "made {} with {what}\nnext: hoist -C {0} validate; hoist -C {0} apply --simulate\n",
        folder.display()
    ));
    Ok(Exit::Done)
}
