//! The loop of one webhook: waits for news, gathers what happens together, sends it, writes down what was told.
//!
//! It only reads snapshots: the daemon never waits for it. While a webhook does not answer, what is news is found anew
//! at each try.

use super::news::{News, Seen, news};
use super::post::{PostError, Remedy, post};
use super::told::Told;
use super::words::{Context, json, slack};
use crate::config::{Webhook, WebhookFormat};
use crate::model::Timestamp;
use crate::reconcile::Snapshot;
use crate::store::{Store, fleet_key};
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as latest;
use tokio::time::Instant;

/// What happens together is told together: until nothing new has come for so long …
const QUIET: Duration = Duration::from_secs(5);
/// … but not later than this.
const GATHERED: Duration = Duration::from_secs(60);
/// Snapshots are compared with what was told no more often.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Some things become news by time alone.
const BY_TIME: Duration = Duration::from_secs(10);
/// The first pause after a try that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// And the longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Tells a webhook what is news, until there are no more snapshots.
pub async fn tell(
    webhook: Webhook,
    store: Arc<Store>,
    mut snapshots: latest::Receiver<Arc<Snapshot>>,
    is_simulated: bool,
) {
    let mut teller = Teller::take_up(webhook, store, is_simulated);
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        // The first is empty: nothing is known yet.
        if snapshot.sequence > 0 {
            teller.take(&snapshot).await;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let wait = if teller.waits() { BETWEEN_LOOKS } else { BY_TIME };
        if let Ok(Err(_)) = tokio::time::timeout(wait, snapshots.changed()).await {
            return;
        }
    }
}

struct Teller {
    webhook: Webhook,
    store: Arc<Store>,
    is_simulated: bool,
    told: Told,
    /// What the store has of that.
    written: Told,
    gathering: Option<Gathering>,
    tries: u32,
    not_before: Option<Instant>,
    /// Whether it was said that what was told can't be written down.
    has_warned: bool,
}

/// News that wait for others like them.
struct Gathering {
    began: Instant,
    changed: Instant,
    news: Vec<News>,
}

impl Teller {
    fn take_up(webhook: Webhook, store: Arc<Store>, is_simulated: bool) -> Self {
        let key = fleet_key::told(webhook.name.as_str());
        let text = store.fleet_state(&key).unwrap_or_else(|error| {
            tracing::warn!(%error, webhook = %webhook.name, "what was told can't be read");
            None
        });
        let json = text.and_then(|text| serde_json::from_str::<Json>(&text).ok());
        let told = json.as_ref().map(Told::from_json).unwrap_or_default();
        let written = told.clone();
        Self {
            webhook,
            store,
            is_simulated,
            told,
            written,
            gathering: None,
            tries: 0,
            not_before: None,
            has_warned: false,
        }
    }

    fn waits(&self) -> bool {
        self.gathering.is_some() || self.not_before.is_some()
    }

    async fn take(&mut self, snapshot: &Snapshot) {
        let paused = snapshot.paused();
        let seen = Seen { snapshot, paused: &paused, now: wall_now() };
        self.told.forget_what_is_gone(&seen);
        let (wanted, unwanted): (Vec<News>, Vec<News>) =
            news(&self.told, &seen).into_iter().partition(|one| self.webhook.wants(one.kind()));
        unwanted.iter().for_each(|one| self.told.take(one));
        if self.is_gathered(&wanted) {
            self.send(&wanted, snapshot, seen.now).await;
        }
        self.write();
    }

    /// Whether nothing more is to be waited for.
    fn is_gathered(&mut self, wanted: &[News]) -> bool {
        let now = Instant::now();
        if wanted.is_empty() {
            (self.gathering, self.not_before, self.tries) = (None, None, 0);
            return false;
        }
        let gathering = self.gathering.get_or_insert_with(|| Gathering {
            began: now,
            changed: now,
            news: wanted.to_vec(),
        });
        if gathering.news != wanted {
            gathering.news = wanted.to_vec();
            gathering.changed = now;
        }
        let is_quiet = now - gathering.changed >= QUIET || now - gathering.began >= GATHERED;
        is_quiet && self.not_before.is_none_or(|at| now >= at)
    }

    async fn send(&mut self, wanted: &[News], snapshot: &Snapshot, at: Timestamp) {
        let accepted = snapshot.accepted.as_ref();
        let context = Context {
            fleet: accepted.map_or(&snapshot.source.repository, |a| a.fleet.name.as_str()),
            revision: accepted.map(|accepted| accepted.revision.as_str()),
            at,
            is_simulated: self.is_simulated,
        };
        for one in wanted {
            let body = match self.webhook.format {
                WebhookFormat::Json => json(one, &context),
                WebhookFormat::Slack => slack(one, &context),
            };
            match post(&self.webhook, &body).await {
                Ok(_) => {}
                Err(PostError { words, remedy: Remedy::Nothing }) => {
                    let kind = one.kind().as_str();
                    tracing::warn!(webhook = %self.webhook.name, kind, error = words, "it does not take a message");
                }
                Err(PostError { words, remedy: Remedy::Later(wish) }) => {
                    self.try_later(&words, wish);
                    return;
                }
            }
            self.told.take(one);
            // At once: who is told twice after a crash is told one message twice, not all.
            self.write();
        }
        (self.gathering, self.not_before, self.tries) = (None, None, 0);
    }

    fn try_later(&mut self, words: &str, wish: Option<Duration>) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(LONGEST_PAUSE);
        let pause = wish.unwrap_or(pause).max(pause);
        if self.tries == 0 {
            tracing::warn!(webhook = %self.webhook.name, error = words, "it can't be told; tried again");
        }
        self.tries = self.tries.saturating_add(1);
        self.not_before = Some(Instant::now() + pause);
    }

    fn write(&mut self) {
        if self.told == self.written {
            return;
        }
        let text = self.told.to_json().to_string();
        let key = fleet_key::told(self.webhook.name.as_str());
        match self.store.set_fleet_state(&key, Some(&text)) {
            Ok(()) => {
                self.written = self.told.clone();
                self.has_warned = false;
            }
            Err(error) if !self.has_warned => {
                self.has_warned = true;
                tracing::warn!(%error, webhook = %self.webhook.name, "what was told can't be written down");
            }
            Err(_) => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "pauses, pins and absence become news by time alone")]
fn wall_now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    Timestamp { seconds: i64::try_from(seconds).unwrap_or(i64::MAX) }
}
