//! The way to engines and secrets: what git may reach, the control host decides here.

use super::kept_engine::KeptEngine;
use crate::config::{Config, RecentSecrets, TlsFiles};
use crate::engine::docker::{Access, ClientIdentity, Docker};
use crate::engine::simulated::Simulated;
use crate::engine::{Engine, SecretValues};
use crate::fleet::Fleet;
use crate::language::{Subject, Truth};
use crate::model::{
    Device, DeviceId, EngineAddress, EnvValue, Hash, ImageReference, Manifest, SecretName, Table,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Opens engines, and hands out secrets to those that may have them.
pub struct Gate {
    config: Config,
    secrets: RecentSecrets,
    /// Folder of the simulated engines, if they stand behind every device.
    simulated: Option<PathBuf>,
    /// Key of the hashes by which a new value of a secret is noticed.
    key: [u8; 32],
    /// The engine of a device in place of the one that its file names: of the machine that this runs on.
    local: Option<(DeviceId, EngineAddress)>,
    /// Engines that are given, and not opened by an address.
    given: BTreeMap<DeviceId, Arc<dyn Engine>>,
    /// Engines that were opened, if they are kept, with what they were opened by.
    kept: Option<Mutex<BTreeMap<DeviceId, Kept>>>,
}

/// What decides how an engine is opened.
type Way = (Option<EngineAddress>, Option<SecretName>);

/// An open engine, and how it was opened.
type Kept = (Way, Arc<KeptEngine>);

/// Secrets for one device: values for the steps, digests for the plan.
#[derive(Default)]
pub(super) struct DeviceSecrets {
    pub(super) values: SecretValues,
    pub(super) digests: BTreeMap<SecretName, Result<Hash, String>>,
}

impl Gate {
    /// A gate by a configuration; `simulated` puts the simulated engine behind every device, whatever its
    /// address says.
    pub fn new(config: Config, simulated: Option<PathBuf>, key: [u8; 32]) -> Self {
        let secrets = RecentSecrets::new(config.secrets.clone());
        Self { config, secrets, simulated, key, local: None, given: BTreeMap::new(), kept: None }
    }

    /// From now on engines stay open from one look to the next.
    #[must_use]
    pub fn keep_engines(self) -> Self {
        Self { kept: Some(Mutex::default()), ..self }
    }

    /// These devices' engines are at hand, whatever their addresses say: for who measures.
    #[must_use]
    pub fn with_engines(self, given: BTreeMap<DeviceId, Arc<dyn Engine>>) -> Self {
        Self { given, ..self }
    }

    /// One device is the machine that this runs on: its engine is reached there, whatever its file says.
    #[must_use]
    pub fn with_local(self, device: DeviceId, address: EngineAddress) -> Self {
        Self { local: Some((device, address)), ..self }
    }

    /// The engine of a device: one that is open, or a new one.
    ///
    /// # Errors
    /// Why it is not reached, in words.
    pub(super) fn open(&self, device: &Device) -> Result<Arc<dyn Engine>, String> {
        let Some(kept) = &self.kept else { return self.open_anew(device) };
        let way = (device.engine.clone(), device.tls.clone());
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((by, engine)) = kept.get(&device.id)
            && *by == way
        {
            return Ok(Arc::clone(engine) as Arc<dyn Engine>);
        }
        let engine = Arc::new(KeptEngine::new(self.open_anew(device)?));
        kept.insert(device.id.clone(), (way, Arc::clone(&engine)));
        Ok(engine)
    }

    /// An engine that is kept open is asked anew what it is at the next look.
    pub(super) fn forget_facts(&self, device: &DeviceId) {
        if let Some(kept) = &self.kept
            && let Some((_, engine)) =
                kept.lock().unwrap_or_else(PoisonError::into_inner).get(device)
        {
            engine.forget_facts();
        }
    }

    /// The next look at a device opens its engine anew.
    pub(super) fn close(&self, device: &DeviceId) {
        if let Some(kept) = &self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).remove(device);
        }
    }

    fn open_anew(&self, device: &Device) -> Result<Arc<dyn Engine>, String> {
        if let Some(engine) = self.given.get(&device.id) {
            return Ok(Arc::clone(engine));
        }
        if let Some(folder) = &self.simulated {
            let file_of = |id: &DeviceId| folder.join(format!("{}.json", file_name(id.as_str())));
            let mut file = file_of(&device.id);
            // As a real engine does, it stays where it is when its device gets another id.
            if !file.exists()
                && let Some(former) = device.formerly.iter().map(file_of).find(|f| f.exists())
            {
                file = former;
            }
            return Simulated::open(Some(file), device.id.as_str())
                .map(|engine| Arc::new(engine) as Arc<dyn Engine>)
                .map_err(|error| error.to_string());
        }
        if let Some((id, address)) = &self.local
            && *id == device.id
        {
            return Docker::connect(address)
                .map(|engine| Arc::new(engine) as Arc<dyn Engine>)
                .map_err(|error| error.to_string());
        }
        let Some(address) = &device.engine else {
            return Err("it has no engine address".to_owned());
        };
        if !device.reachable {
            return Err("its file says that it is not reached by push".to_owned());
        }
        self.config.engines.allows(address)?;
        let tls = match &device.tls {
            None => None,
            Some(name) => {
                let files = self.config.tls.get(name).ok_or_else(|| {
                    format!("the control host's hoist.toml has no `[tls.{name}]`")
                })?;
                let TlsFiles { ca, cert, key } = files.clone();
                Some(ClientIdentity { ca, cert, key })
            }
        };
        let access = Access { tls, ssh_config: self.config.ssh_config.clone() };
        Docker::connect_with(address, access)
            .map(|engine| Arc::new(engine) as Arc<dyn Engine>)
            .map_err(|error| error.to_string())
    }

    /// Whether it depends on what a device reports which secrets it may have. Nothing else of a look does.
    pub fn asks_for_facts(&self) -> bool {
        self.config.secrets.values().any(|secret| secret.devices.is_some())
    }

    /// The secrets that a manifest names, for this device.
    pub(super) async fn secrets(
        &self,
        fleet: &Fleet,
        device: &Device,
        reported: &Table,
        manifest: Option<&Manifest>,
    ) -> DeviceSecrets {
        let mut secrets = DeviceSecrets::default();
        let Some(manifest) = manifest else { return secrets };
        let mut names: BTreeSet<&SecretName> = BTreeSet::new();
        let registries: BTreeSet<String> = manifest
            .modules
            .values()
            .filter_map(|module| ImageReference::parse(&module.image).ok())
            .filter_map(|image| image.registry().map(str::to_owned))
            .collect();
        for module in manifest.modules.values() {
            names.extend(module.env.values().filter_map(|value| match value {
                EnvValue::Secret(name) => Some(name),
                EnvValue::Text(_) => None,
            }));
        }
        for name in names {
            let value = self.secret(name, device, reported, None).await.map(|(_, text)| text);
            let digest = value.as_ref().map(|text| self.digest(text)).map_err(Clone::clone);
            secrets.digests.insert(name.clone(), digest);
            secrets.values.insert(name, value);
        }
        for registry in &registries {
            // A pull that lacks them says so; nobody else needs them.
            let Some(name) = fleet.registries.get(registry) else { continue };
            let credentials = self.secret(name, device, reported, Some(registry)).await;
            let credentials = credentials.map(|(user, text)| (user.unwrap_or_default(), text));
            secrets.values.insert_credentials(registry, credentials);
        }
        secrets
    }

    /// A secret's user name and value.
    async fn secret(
        &self,
        name: &SecretName,
        device: &Device,
        reported: &Table,
        registry: Option<&str>,
    ) -> Result<(Option<String>, String), String> {
        let secret = self
            .secrets
            .get(name)
            .ok_or_else(|| format!("the control host's hoist.toml has no secret `{name}`"))?;
        let subject = Subject { device, reported };
        let may =
            secret.devices.as_ref().is_none_or(|d| d.condition.evaluate(subject) == Truth::True);
        if !may {
            return Err(format!("secret `{name}` is not for this device, says the control host"));
        }
        if registry.is_none() && secret.registries.is_some() {
            return Err(format!(
                "secret `{name}` is for registries only, says the control host; no module gets it"
            ));
        }
        let listed = |registry| secret.registries.iter().flatten().any(|r| r == registry);
        if registry.is_some_and(|registry| !listed(registry)) {
            return Err(format!("secret `{name}` is not for this registry, says the control host"));
        }
        let password = self.secrets.value(name).await.map_err(|error| error.to_string())?;
        Ok((secret.username.clone(), password.expose().to_owned()))
    }

    fn digest(&self, value: &str) -> Hash {
        let key: String = self.key.iter().map(|byte| format!("{byte:02x}")).collect();
        Hash::of_texts("hoist secret", [key.as_str(), value])
    }
}

/// A device's id as the name of a file: ids may hold characters that file systems don't like.
fn file_name(id: &str) -> String {
    id.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "_-.".contains(c) {
                c.to_string()
            } else {
                format!("%{:02x}", u32::from(c))
            }
        })
        .collect()
}
