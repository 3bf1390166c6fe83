//! Who is targeted, which deployment is the base, which are layers, and what became of the others.

use super::answers::Answers;
use crate::fleet::Fleet;
use crate::language::{Bitmap, Condition, Query, Subject, Truth};
use crate::model::{Cohort, Deployment, DeploymentId, DeploymentKind};
use std::sync::Arc;

/// A deployment that targets a device, and what became of it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targeting {
    /// Which.
    pub deployment: DeploymentId,
    /// What became of it.
    pub standing: Standing,
}

/// What became of a deployment on a device that it targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is the base.
    Base,
    /// It is a layer.
    Layer {
        /// From 1, from the base upwards.
        number: usize,
        /// How many layers there are.
        of: usize,
    },
    /// Another base won.
    Lost {
        /// The winner.
        to: DeploymentId,
        /// By what.
        by: LostBy,
    },
    /// A layer whose priority is not above the base's.
    NotAboveBase {
        /// The base.
        base: DeploymentId,
        /// Its priority.
        base_priority: i32,
    },
    /// A layer on a device without base.
    WithoutBase,
}

/// Why a base lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostBy {
    /// The winner's priority is higher.
    Priority {
        /// The winner's.
        winner: i32,
        /// The loser's.
        loser: i32,
    },
    /// Equal priority; the winner is newer.
    Created,
    /// Nothing decides; the ids do, for the moment. The revision is refused for it.
    Nothing,
    /// The device has a deployment of its own.
    Device,
}

impl Standing {
    /// Whether the deployment takes part in the merge.
    pub fn is_applied(&self) -> bool {
        matches!(self, Self::Base | Self::Layer { .. })
    }
}

/// What becomes of deployments that target the same devices.
#[derive(Debug)]
pub(super) struct Selected {
    /// In the order of [`select`].
    pub(super) targeted: Arc<[Targeting]>,
    /// Those that apply; `None` without a base.
    pub(super) cohort: Option<Cohort>,
}

/// By deployment, in the order of their ids, the devices that it hits.
pub(super) fn hits(fleet: &Fleet, answers: &Answers) -> Vec<Arc<Bitmap>> {
    let hits = |deployment: &Arc<Deployment<Condition, Query>>| match &deployment.kind {
        DeploymentKind::Device { device, .. } => answers.only(fleet.devices.number(device)),
        DeploymentKind::Automatic(target) | DeploymentKind::Layered(target) => {
            match &target.condition {
                Some(condition) => answers.matches(condition),
                None => answers.only(None),
            }
        }
    };
    fleet.deployments.values().map(hits).collect()
}

/// What becomes of deployments that all target one device: base, layers and those not applied, in order.
pub fn select<'a>(
    hits: impl IntoIterator<Item = &'a Deployment<Condition, Query>>,
) -> (Vec<Targeting>, Option<Cohort>) {
    let (mut layers, mut bases): (Vec<_>, Vec<_>) =
        hits.into_iter().partition(|deployment| deployment.kind.is_layer());
    bases.sort_by(|a, b| rank(b).cmp(&rank(a)));
    layers.sort_by(|a, b| rank(a).cmp(&rank(b)));

    let Some((base, losers)) = bases.split_first() else {
        let targeted = layers.iter().map(|layer| targeting(layer, Standing::WithoutBase)).collect();
        return (targeted, None);
    };
    let (applied, below): (Vec<_>, Vec<_>) =
        layers.into_iter().partition(|layer| layer.priority > base.priority || is_own(base));
    let mut targeted = vec![targeting(base, Standing::Base)];
    for (i, layer) in applied.iter().enumerate() {
        targeted.push(targeting(layer, Standing::Layer { number: i + 1, of: applied.len() }));
    }
    for loser in losers {
        let standing = Standing::Lost { to: base.id.clone(), by: lost_by(base, loser) };
        targeted.push(targeting(loser, standing));
    }
    for layer in below {
        let standing =
            Standing::NotAboveBase { base: base.id.clone(), base_priority: base.priority };
        targeted.push(targeting(layer, standing));
    }
    let layers = applied.iter().map(|layer| layer.id.clone()).collect();
    (targeted, Some(Cohort { base: base.id.clone(), layers }))
}

/// Whether a deployment targets a device.
pub fn is_hit(deployment: &Deployment<Condition, Query>, subject: Subject<'_>) -> bool {
    match &deployment.kind {
        DeploymentKind::Device { device, .. } => *device == subject.device.id,
        DeploymentKind::Automatic(target) | DeploymentKind::Layered(target) => target
            .condition
            .as_ref()
            .is_some_and(|condition| condition.evaluate(subject) == Truth::True),
    }
}

fn is_own(deployment: &Deployment<Condition, Query>) -> bool {
    matches!(deployment.kind, DeploymentKind::Device { .. })
}

/// Whether two versions of a deployment are selected alike, whatever else there is.
pub(super) fn is_ranked_alike(
    one: &Deployment<Condition, Query>,
    other: &Deployment<Condition, Query>,
) -> bool {
    one.kind.is_layer() == other.kind.is_layer() && rank(one) == rank(other)
}

/// What decides between two bases, or the order of two layers; larger wins. The id is only there so that
/// the order never depends on anything else: a tie that it decides is refused.
fn rank(deployment: &Deployment<Condition, Query>) -> impl Ord + use<'_> {
    (is_own(deployment), deployment.priority, deployment.created, &deployment.id)
}

fn lost_by(winner: &Deployment<Condition, Query>, loser: &Deployment<Condition, Query>) -> LostBy {
    if is_own(winner) {
        LostBy::Device
    } else if winner.priority != loser.priority {
        LostBy::Priority { winner: winner.priority, loser: loser.priority }
    } else if winner.created.is_some() && loser.created.is_some() && winner.created != loser.created
    {
        LostBy::Created
    } else {
        LostBy::Nothing
    }
}

fn targeting(deployment: &Deployment<Condition, Query>, standing: Standing) -> Targeting {
    Targeting { deployment: deployment.id.clone(), standing }
}
