//! One look at the repository: is there something new, and may it go out?
//!
//! Enters: where commits come from, what was let through, what people approved. Leaves: a [`Considered`]. It runs
//! beside the looks at devices. Not here: what the loop does with a revision that is let through.

use super::broken::FAULT;
use super::judge::{Judgement, LetThrough, judge, what_is_in_force};
use super::loaded::{LoadError, Loaded};
use super::reading::Reader;
use super::shape::{Left, Shape};
use crate::model::{Facts, Timestamp};
use crate::reconcile::facts::held_facts;
use crate::reconcile::snapshot::HeldRevision;
use crate::source::{Fetched, Remote, RemoteError, Repository, Revision};
use crate::store::{Approval, StoredDevices};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

/// What a look needs.
pub(super) struct Consider {
    pub(super) remote: Arc<Remote>,
    pub(super) reader: Arc<Reader>,
    /// What came of a fetch; `None` if orders or facts are the reason to look, and a fetch may be under way.
    pub(super) fetched: Option<Result<Fetched, RemoteError>>,
    /// Keys whose signatures are accepted, if commits must be signed.
    pub(super) signers: Option<PathBuf>,
    pub(super) accepted: Option<Arc<Loaded>>,
    /// What had gone through last.
    pub(super) proven: Option<Arc<Loaded>>,
    /// Devices that were left behind, and where.
    pub(super) left: Vec<Left>,
    /// The revision that was held last: it is not read again as long as nothing else has changed.
    pub(super) held: Option<HeldRevision>,
    pub(super) approvals: Vec<Approval>,
    pub(super) devices: Arc<StoredDevices>,
    /// Whether what devices report may have changed what they should be.
    pub(super) facts_changed: bool,
    /// Whether orders changed, so that what was held is judged again.
    pub(super) again: bool,
    pub(super) now: Timestamp,
}

/// What came of it.
pub(super) struct Considered {
    /// The branch's newest commit, or why it can't be had; `None` if nobody asked for it.
    pub(super) fetched: Option<Result<Fetched, RemoteError>>,
    pub(super) verdict: Verdict,
    /// What is known of devices, also what was found on them where the store knows nothing.
    pub(super) devices: Arc<StoredDevices>,
}

/// What becomes of what was found.
pub(super) enum Verdict {
    /// There is nothing new.
    Same,
    /// This counts from now on.
    Accept {
        loaded: Arc<Loaded>,
        shape: Shape,
        /// What had gone through last, with the facts of now.
        proven: Option<Arc<Loaded>>,
    },
    /// This waits.
    Hold(HeldRevision),
}

/// Looks at the repository.
pub(super) async fn consider(mut consider: Consider) -> Considered {
    let head = consider.find_head().await;
    let devices = Arc::clone(&consider.devices);
    let fetched = consider.fetched.take();
    consider.drop_unsigned_approvals(head.as_ref()).await;
    if let Some(signers) = &consider.signers
        && let Some(head) = &head
        && consider.is_new(head)
        && let Err(words) = consider.remote.verify(head, signers).await
    {
        let reasons = vec![format!("its signature is not accepted: {words}")];
        let verdict = Verdict::Hold(consider.hold(head, reasons, BTreeMap::new()));
        return Considered { fetched, verdict, devices };
    }
    let judge = move || {
        let verdict = catch_unwind(AssertUnwindSafe(|| consider.judge(head.clone())));
        verdict.unwrap_or_else(|_| consider.hold_what_broke(head))
    };
    // It is only lost where the daemon ends.
    let verdict = tokio::task::spawn_blocking(judge).await.unwrap_or(Verdict::Same);
    Considered { fetched, verdict, devices }
}

impl Consider {
    /// The newest commit, as far as it is known: people's orders don't wait for a repository that hangs.
    pub(super) async fn find_head(&mut self) -> Option<Revision> {
        if self.fetched.is_none() && self.remote.is_here() {
            self.fetched = Some(self.remote.fetch().await);
        }
        match &self.fetched {
            Some(Ok(fetched)) => Some(fetched.head.clone()),
            // What was fetched before may be approved, whatever the repository does now.
            Some(Err(_)) if self.again && !self.remote.is_here() => self.remote.newest_here(),
            // Paused, not gone: what was let through is still looked at with the facts of now.
            Some(Err(_)) => None,
            None => self.remote.newest_here(),
        }
    }

    /// An approval lets numbers through, not a commit that bears no accepted signature: not below a head that bears one either.
    async fn drop_unsigned_approvals(&mut self, head: Option<&Revision>) {
        let (Some(signers), Some(head)) = (self.signers.clone(), head) else { return };
        while let Some(approved) = self.approved_before(head) {
            let Err(words) = self.remote.verify(&approved, &signers).await else { return };
            tracing::warn!(
                revision = approved.id,
                "approved, and its signature is not accepted: {words}"
            );
            self.approvals.retain(|approval| approval.revision != approved.id);
        }
    }

    fn is_accepted(&self, revision: &Revision) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| accepted.revision.id == revision.id)
    }

    fn is_held(&self, revision: &Revision) -> bool {
        self.held.as_ref().is_some_and(|held| held.revision == revision.id)
    }

    fn is_new(&self, revision: &Revision) -> bool {
        !self.is_accepted(revision) && (self.again || !self.is_held(revision))
    }

    fn hold(
        &self,
        revision: &Revision,
        reasons: Vec<String>,
        numbers: BTreeMap<String, u64>,
    ) -> HeldRevision {
        let same = self.held.as_ref().filter(|held| held.revision == revision.id);
        let since = same.map_or(self.now, |held| held.since);
        HeldRevision { revision: revision.id.clone(), reasons, since, numbers }
    }

    /// A revision that can't be judged for a fault of ours is not used, and people are told.
    fn hold_what_broke(&self, head: Option<Revision>) -> Verdict {
        let revision = head.or_else(|| Some(self.accepted.as_ref()?.revision.clone()));
        let Some(revision) = revision else { return Verdict::Same };
        tracing::error!(revision = revision.short, "judging it broke down: {FAULT}");
        let reason = format!("judging it broke down, which is {FAULT}");
        Verdict::Hold(self.hold(&revision, vec![reason], BTreeMap::new()))
    }

    fn judge(&self, head: Option<Revision>) -> Verdict {
        let candidate = match head {
            Some(head) => self.approved_before(&head).unwrap_or(head),
            None => match &self.accepted {
                Some(accepted) => accepted.revision.clone(),
                None => return Verdict::Same,
            },
        };
        let is_accepted = self.is_accepted(&candidate);
        let has_changed = self.facts_changed || !is_accepted && self.is_new(&candidate);
        if !has_changed {
            return Verdict::Same;
        }
        let facts = held_facts(&self.devices, self.now);
        let loaded = match (&self.accepted, is_accepted) {
            (Some(accepted), true) => self.reader.with_facts(accepted, &facts),
            (accepted, _) => match self.read(&candidate, &facts, accepted.as_deref()) {
                Ok(loaded) => loaded,
                Err(LoadError::Invalid(lines)) => {
                    return Verdict::Hold(self.hold(&candidate, lines, BTreeMap::new()));
                }
                Err(LoadError::Unreadable(words)) => {
                    return Verdict::Hold(self.hold(&candidate, vec![words], BTreeMap::new()));
                }
            },
        };
        if let Some(accepted) = self.accepted.as_ref().filter(|_| is_accepted)
            && accepted.wants == loaded.wants
        {
            return Verdict::Same;
        }
        let (judgement, shape) = self.judgement(&loaded, &facts);
        if judgement.lets_through() {
            let phased = loaded.fleet.rollout.is_some();
            let proven = self.proven.as_ref().filter(|_| phased && !facts.0.is_empty());
            let proven = proven.map(|proven| Arc::new(self.reader.with_facts(proven, &facts)));
            return Verdict::Accept { loaded: Arc::new(loaded), shape, proven };
        }
        let mut reasons = judgement.reasons;
        if is_accepted {
            reasons.push("because of what devices report, not of a commit".to_owned());
        }
        Verdict::Hold(self.hold(&candidate, reasons, judgement.numbers))
    }

    fn read(
        &self,
        candidate: &Revision,
        facts: &Facts,
        former: Option<&Loaded>,
    ) -> Result<Loaded, LoadError> {
        self.reader.load(self.remote.folder(), &candidate.id, facts, former)
    }

    fn judgement(&self, loaded: &Loaded, facts: &Facts) -> (Judgement, Shape) {
        let base = match &self.accepted {
            Some(accepted) => LetThrough::Revision(Arc::clone(accepted)),
            None => LetThrough::InForce(what_is_in_force(&self.devices)),
        };
        let approval =
            self.approvals.iter().find(|approval| approval.revision == loaded.revision.id);
        let left = self.left_with(facts);
        judge(self.remote.folder(), &base, loaded, facts, approval, &left)
    }

    /// What devices were left at, with the facts of now.
    fn left_with(&self, facts: &Facts) -> Vec<Left> {
        let with_facts = |at: &Arc<Loaded>| match facts.0.is_empty() {
            true => Arc::clone(at),
            false => Arc::new(self.reader.with_facts(at, facts)),
        };
        let left = self.left.iter();
        left.map(|left| Left { at: with_facts(&left.at), devices: left.devices.clone() }).collect()
    }

    /// A revision on the way to the head that somebody approved while the head is another: it goes first.
    fn approved_before(&self, head: &Revision) -> Option<Revision> {
        let repository = Repository::open(self.remote.folder()).ok()?;
        let comes_after =
            |former: &str, later: &str| former != later && repository.is_in_history(former, later);
        let approved = self.approvals.iter().rev().find(|approval| {
            let is_ahead = self
                .accepted
                .as_ref()
                .is_none_or(|accepted| comes_after(&accepted.revision.id, &approval.revision));
            is_ahead && comes_after(&approval.revision, &head.id)
        })?;
        repository.resolve(&approved.revision).ok()
    }
}
