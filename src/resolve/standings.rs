//! How each device stands: by number, one of the signatures that all devices of a fleet have.

use super::target::Targeting;
use crate::model::{DeviceId, Devices};
use std::ops::Index;
use std::sync::Arc;

/// The devices that exactly the same deployments target.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The deployments, with what became of each; the base first, then the layers upwards, then those that are not
    /// applied.
    pub targeted: Arc<[Targeting]>,
    /// Index of their cohort; `None` where no base targets them: what they have stays in force.
    pub cohort: Option<usize>,
    /// How many devices.
    pub devices: usize,
}

/// Every device of a fleet with its signature. A device costs one number.
#[derive(Debug, Clone)]
pub struct Standings {
    pub(super) devices: Arc<Devices>,
    /// By the devices' numbers.
    pub(super) of_devices: Arc<Vec<u32>>,
    pub(super) signatures: Vec<Signature>,
}

impl Standings {
    /// How a device stands.
    pub fn get(&self, device: &DeviceId) -> Option<&Signature> {
        self.at(self.devices.number(device)?)
    }

    /// The same by the device's number.
    pub fn at(&self, number: usize) -> Option<&Signature> {
        Some(&self.signatures[*self.of_devices.get(number)? as usize])
    }

    /// How each device stands, in the order of their ids.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Signature> {
        self.of_devices.iter().map(|signature| &self.signatures[*signature as usize])
    }

    /// The same with the ids.
    pub fn iter(&self) -> impl Iterator<Item = (&DeviceId, &Signature)> {
        self.devices.keys().zip(self.values())
    }

    /// Every signature that a device has.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

impl Index<&DeviceId> for Standings {
    type Output = Signature;

    fn index(&self, device: &DeviceId) -> &Signature {
        self.get(device).unwrap_or_else(|| panic!("no device `{device}`"))
    }
}
