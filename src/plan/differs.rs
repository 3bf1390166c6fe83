//! Why a container can't be what its module should be, so that another one takes its place.

use super::PlanReason;
use super::module::Draft;
use crate::model::{
    ContainerState, MadeWith, ObservedContainer, PullPolicy, Status, label, mounts_of_body,
    real_path,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

impl Draft<'_> {
    pub(super) fn why_replace(&self, current: &ObservedContainer) -> Option<PlanReason> {
        if !self.bears_its_spec(current) {
            return Some(PlanReason::SpecDiffers);
        }
        // Who it is stands in its environment. What is only kept as it is keeps that too.
        let named = current.labels.get(label::DEVICE).map_or("", String::as_str);
        if named != self.input.device && !self.input.is_kept {
            return Some(PlanReason::DeviceRenamed(named.to_owned()));
        }
        if let Some(network) = self.remade_network(current) {
            return Some(PlanReason::NetworkRemade(network));
        }
        let module = self.input.module;
        // A list names an image by its id once its tag is another one's.
        let is_bare = current.image == current.image_id || current.image.starts_with("sha256:");
        if is_bare
            && module.image != current.image
            && module.image_pull_policy == PullPolicy::Always
        {
            return Some(PlanReason::TagMoved);
        }
        let detail = current.detail.as_ref()?;
        if let Some(seen) = self.runs_another_image(current) {
            return Some(PlanReason::OtherImage { seen: seen.to_owned() });
        }
        if let Some(what) = self.made_otherwise(current).filter(|_| !self.input.is_kept) {
            return Some(PlanReason::MadeOtherwise(what));
        }
        let options_limit = |key: &str| {
            crate::model::Value::lookup_option(&module.create_options, &["HostConfig", key])
                .is_some()
        };
        let lifted = (detail.memory > 0 && module.memory.is_none() && !options_limit("Memory"))
            || (detail.nano_cpus > 0 && module.cpus.is_none() && !options_limit("NanoCpus"));
        lifted.then_some(PlanReason::LimitLifted)
    }

    pub(super) fn bears_its_spec(&self, container: &ObservedContainer) -> bool {
        container.labels.get(label::SPEC).map(String::as_str) == Some(self.spec.as_str())
    }

    /// Whether it is known not to be one that only bears the labels. Once it is, it is not compared any more: an engine that writes
    /// something in other words costs one replacement, and not one after the other.
    pub(super) fn is_compared(&self, container: &ObservedContainer) -> bool {
        self.was_compared(container)
            || self.bears_its_spec(container)
                && container.detail.is_some()
                && self.made_otherwise(container).is_none()
                && self.runs_another_image(container).is_none()
    }

    pub(super) fn was_compared(&self, container: &ObservedContainer) -> bool {
        self.input.memory.containers.get(&container.id).is_some_and(|known| known.is_compared)
    }

    /// The image that somebody put in its place.
    fn runs_another_image<'o>(&self, current: &'o ObservedContainer) -> Option<&'o str> {
        let seen = &current.detail.as_ref()?.image;
        (*seen != self.input.module.image).then_some(seen)
    }

    /// What a container that bears the labels of this module has otherwise: labels can be copied. What was made
    /// from here, or compared once, is as it should be.
    fn made_otherwise(&self, current: &ObservedContainer) -> Option<&'static str> {
        let seen = current.detail.as_ref()?.made_with.as_ref()?;
        if self.was_compared(current) {
            return None;
        }
        let (body, secrets) = self.body(&BTreeMap::new());
        let is_there = |(path, volume): (PathBuf, String)| {
            let mut mounts = current.mounts.iter().filter(|m| real_path(&m.target) == path);
            mounts.any(|mount| volume.is_empty() || mount.volume == volume)
        };
        match mounts_of_body(&body).into_iter().all(is_there) {
            true => MadeWith::of_body(&body).and_secrets(secrets.keys()).is_lacking_in(seen),
            false => Some("volumes"),
        }
    }

    /// A network of a container that is down and should be started, which is not there any more: one made
    /// again has only its name, and the engine would not start the container.
    fn remade_network(&self, current: &ObservedContainer) -> Option<String> {
        let there = self.input.network_ids?;
        let down = matches!(current.state, ContainerState::Exited(_) | ContainerState::Dead);
        if !down || self.input.module.status != Status::Running {
            return None;
        }
        // The engine's own networks are new with every start of the engine.
        let own = |name: &str| matches!(name, "bridge" | "host" | "none");
        let mut ids = current.network_ids.iter().filter(|(name, _)| !own(name));
        ids.find(|(name, id)| there.get(*name) != Some(*id)).map(|(name, _)| name.clone())
    }
}
