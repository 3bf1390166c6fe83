//! What is remembered of a module's containers: what was last written to them, and what was compared.

use super::module::{Draft, id, settings_to_remember};
use super::{ContainerRef, RememberedContainer};
use crate::model::ObservedContainer;

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

    /// What is remembered of the module's containers until a work says otherwise: by their ids alone it is known that they are ours,
    /// and that outlives a run which fails or is cut off.
    pub(super) fn kept(
        &self,
        current: Option<&ObservedContainer>,
    ) -> Vec<(String, RememberedContainer)> {
        let all = self.input.owned.all().filter(|container| !self.is_adopted(container));
        let kept = all.map(|container| (container.id.clone(), self.kept_of(container, current)));
        kept.filter_map(|(id, kept)| Some((id, kept?))).collect()
    }

    fn kept_of(
        &self,
        container: &ObservedContainer,
        current: Option<&ObservedContainer>,
    ) -> Option<RememberedContainer> {
        let is = |other: Option<&ObservedContainer>| other.is_some_and(|o| o.id == container.id);
        let (is_current, is_old) = (is(current), is(self.input.owned.old) && !is(current));
        let is_touched = self.removes(Some(container))
            || self.out.remember.iter().any(|(touched, _)| *touched == id(container));
        let known = self.input.memory.containers.get(&container.id).cloned();
        let as_seen = || self.as_remembered(self.twin_version(container));
        let mut kept = known.or_else(|| (!is_touched && (is_current || is_old)).then(as_seen))?;
        if is_current && !is_touched && container.detail.is_some() {
            match self.settings_differ(container) {
                // What is not written now is looked at until it is.
                true => kept.doubt(),
                false => kept.settings = as_seen().settings,
            }
        }
        // One that was put aside by a run which was cut off right then is no former one yet.
        if is_old && self.input.owned.current.is_some() {
            kept.replaced_at = kept.replaced_at.or(Some(self.input.now));
        }
        // It has the place of its module again: what it lost when it was put aside is looked at.
        if is_current && self.strays.is_empty() && kept.replaced_at.take().is_some() {
            kept.doubt();
        }
        kept.is_compared = self.is_compared(container);
        Some(kept)
    }
}
