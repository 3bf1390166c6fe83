//! Devices and what is known of them.

use super::address::EngineAddress;
use super::name::{DeviceId, SecretName};
use super::table::Table;
use crate::diagnostic::Place;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A machine with a container engine, as one revision describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Where its engine is; `None` is valid, it is only not reached by push.
    pub engine: Option<EngineAddress>,
    /// `false` says aloud that it is not reached by push.
    pub reachable: bool,
    /// Name of client certificate and CA on the control host.
    pub tls: Option<SecretName>,
    /// Former ids whose containers are still this device's.
    pub formerly: Vec<DeviceId>,
    /// Facts written in git.
    pub tags: Table,
    /// What it is taken to report until it does.
    pub reported: Table,
    /// Where it is declared.
    pub place: Place,
}

/// Live reported properties: what devices said themselves. A live value replaces the declared one of
/// the same path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts(pub BTreeMap<DeviceId, Table>);

impl Facts {
    /// No live facts: everything up to the plan can be had from files alone.
    pub fn none() -> Self {
        Self::default()
    }

    /// The device's declared reported properties with the live ones over them.
    pub fn reported<'d>(&self, device: &'d Device) -> Cow<'d, Table> {
        match self.0.get(&device.id) {
            None => Cow::Borrowed(&device.reported),
            Some(live) => {
                let mut merged = device.reported.clone();
                merged.overlay(live);
                Cow::Owned(merged)
            }
        }
    }
}
