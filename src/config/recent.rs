//! Secrets' values for a whole run: each is had once, however many devices want it at the same time.

use super::secret::{Secret, SecretError, SecretText};
use crate::model::SecretName;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// So long a value, or that there is none, is taken to be still true: a vault is not asked for each of a
/// thousand devices, and a new value is noticed soon.
const KEPT: Duration = Duration::from_secs(30);

/// All secrets of the control host, with the values that were had a moment ago. Nothing of them is printed.
pub struct RecentSecrets {
    slots: BTreeMap<SecretName, Slot>,
    kept: Duration,
}

struct Slot {
    secret: Secret,
    had: tokio::sync::Mutex<Option<(Instant, Result<SecretText, SecretError>)>>,
}

impl RecentSecrets {
    /// Of these no value was had yet.
    pub fn new(secrets: BTreeMap<SecretName, Secret>) -> Self {
        let slot = |secret| Slot { secret, had: tokio::sync::Mutex::default() };
        let slots = secrets.into_iter().map(|(name, secret)| (name, slot(secret))).collect();
        Self { slots, kept: KEPT }
    }

    /// A secret, without its value.
    pub fn get(&self, name: &SecretName) -> Option<&Secret> {
        self.slots.get(name).map(|slot| &slot.secret)
    }

    /// The value of a secret. Whoever wants the same at the same time waits for it; nobody else does.
    ///
    /// # Errors
    /// It can't be had.
    pub async fn value(&self, name: &SecretName) -> Result<SecretText, SecretError> {
        let fail = |reason: &str| SecretError { secret: name.clone(), reason: reason.to_owned() };
        let slot = self.slots.get(name).ok_or_else(|| fail("there is no such secret"))?;
        let mut had = slot.had.lock().await;
        if let Some((moment, value)) =
            had.as_ref().filter(|(moment, _)| moment.elapsed() < self.kept)
        {
            tracing::trace!(secret = %name, age = ?moment.elapsed(), "value still known");
            return value.clone();
        }
        let secret = slot.secret.clone();
        // A command may take its time, and must not hold up the work on devices.
        let value = match tokio::task::spawn_blocking(move || secret.value()).await {
            Ok(value) => value,
            Err(_) => Err(fail("asking for it was cut off")),
        };
        *had = Some((Instant::now(), value.clone()));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretSource;

    #[test]
    fn many_devices_cost_one_look_and_a_new_value_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("asked");
        let name = SecretName::parse("api").unwrap();
        let script = format!("echo x >> {0}; wc -l < {0}", file.display());
        let secret = Secret {
            name: name.clone(),
            username: None,
            source: SecretSource::Command(["sh", "-c", &script].map(str::to_owned).to_vec()),
            registries: None,
            devices: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut recent = RecentSecrets::new([(name.clone(), secret)].into());
            let all = futures_util::future::join_all((0..20).map(|_| recent.value(&name))).await;
            assert!(all.iter().all(|value| value.as_ref().unwrap().expose() == "1"), "{all:?}");
            recent.kept = Duration::ZERO;
            assert_eq!(recent.value(&name).await.unwrap().expose(), "2");
        });
    }
}
