//! One module on its device, for who looks at it or restarts it by hand.
//!
//! Enters: a device and a module's name. Leaves: its engine and its container, if that is ours. Foreign
//! containers are no more shown than touched.

use super::gate::Gate;
use super::survey::names;
use crate::engine::{Engine, EngineError, EngineErrorKind, Wanted};
use crate::fleet::Fleet;
use crate::model::{Device, ModuleName, ObservedContainer, label};
use crate::plan::{DeviceMemory, Role, carries_our_labels, is_ours};
use std::sync::Arc;

/// A module's container, and the engine that runs it.
pub struct Reached {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The container.
    pub container: ObservedContainer,
}

impl Gate {
    /// The container of a module that is in one of these roles, the first role first.
    ///
    /// # Errors
    /// The engine is not reached, or there is no such container of ours.
    pub async fn reach(
        &self,
        fleet: &Fleet,
        device: &Device,
        module: &ModuleName,
        roles: &[Role],
        memory: &DeviceMemory,
    ) -> Result<Reached, EngineError> {
        let engine = self
            .open(device)
            .map_err(|words| EngineError::new(EngineErrorKind::Unreachable, words))?;
        let (fleets, devices) = names(fleet, device);
        let candidate = |container: &ObservedContainer| {
            container.labels.get(label::MODULE).is_some_and(|name| name == module.as_str())
                && carries_our_labels(container, &fleets, &devices)
        };
        let unknown = |container: &ObservedContainer| {
            candidate(container) && !memory.containers.contains_key(&container.id)
        };
        let wanted = Wanted { details: &unknown, ..Wanted::list_only() };
        let seen = engine.observe(&wanted).await?;
        let rank = |container: &ObservedContainer| {
            let (_, role) = is_ours(container, memory).filter(|_| candidate(container))?;
            roles.iter().position(|wanted| *wanted == role)
        };
        let is_named_so = |container: &ObservedContainer| container.name == module.as_str();
        let foreign = seen.containers.iter().any(|c| is_named_so(c) && !candidate(c));
        let found = seen
            .containers
            .into_iter()
            .filter_map(|container| Some((rank(&container)?, container)))
            .min_by_key(|(rank, _)| *rank);
        match found {
            Some((_, container)) => Ok(Reached { engine, container }),
            None => {
                let id = &device.id;
                let words = if roles == [Role::Old] {
                    format!("no replaced container of module {module} is kept on {id}")
                } else if foreign {
                    format!("the container {module} on {id} is not of this fleet")
                } else {
                    format!("there is no container of module {module} on {id}")
                };
                Err(EngineError::new(EngineErrorKind::NotFound, words))
            }
        }
    }
}
