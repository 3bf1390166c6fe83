//! What is remembered of a module's containers: what was last written to them, and what was compared.

use super::module::{Draft, id, settings_to_remember};
use super::{ContainerRef, RememberedContainer};
use crate::model::ObservedContainer;
use std::collections::BTreeSet;

impl Draft<'_> {
    pub(super) fn remember(&mut self, container: ContainerRef, twin_version: u64) {
        let remembered = self.as_remembered(twin_version);
        self.out.remember.retain(|(known, _)| *known != container);
        self.out.remember.push((container, remembered));
    }

    pub(super) fn as_remembered(&self, twin_version: u64) -> RememberedContainer {
        RememberedContainer {
            settings: settings_to_remember(self.input.module, &self.input.hashes.settings),
            twin: self.input.hashes.twin.clone(),
            twin_version,
            replaced_at: None,
            policy: None,
            is_compared: true,
        }
    }

    pub(super) fn twin_version(&self, container: &ObservedContainer) -> u64 {
        let remembered = self.input.memory.containers.get(&container.id).map(|r| r.twin_version);
        let seen = container.detail.as_ref().and_then(|d| d.twin.ours()).map(|t| t.version);
        remembered.unwrap_or(0).max(seen.unwrap_or(0))
    }

    /// What is remembered of containers until a work says otherwise: by their ids alone it is known that they are ours, and that
    /// outlives a run which fails or is cut off.
    pub(super) fn kept(
        &self,
        current: Option<&ObservedContainer>,
    ) -> Vec<(String, RememberedContainer)> {
        let mut kept = Vec::new();
        let touched: BTreeSet<&ContainerRef> = self.out.remember.iter().map(|(c, _)| c).collect();
        let mut keep = |container: &ObservedContainer, version, replaced_at| {
            if self.is_adopted(container) {
                return;
            }
            let is_left = !self.removes(Some(container)) && !touched.contains(&id(container));
            let as_seen = self.as_remembered(version);
            let known = self.input.memory.containers.get(&container.id).cloned();
            let remembered = match known {
                // It was looked at, and nothing is done about it.
                Some(known) if is_left && container.detail.is_some() => {
                    RememberedContainer { settings: as_seen.settings, ..known }
                }
                Some(known) => known,
                None if is_left => as_seen,
                None => return,
            };
            let is_compared = self.is_compared(container);
            let replaced_at = remembered.replaced_at.or(replaced_at);
            kept.push((
                container.id.clone(),
                RememberedContainer { is_compared, replaced_at, ..remembered },
            ));
        };
        if let Some(current) = current {
            keep(current, self.twin_version(current), None);
        }
        if let Some(old) = self.input.owned.old {
            keep(old, 0, Some(self.input.now));
        }
        let strays = self.strays.iter().filter_map(|stray| {
            let known = self.input.memory.containers.get(&stray.id)?;
            Some((stray.id.clone(), known.clone()))
        });
        kept.extend(strays);
        kept
    }
}
