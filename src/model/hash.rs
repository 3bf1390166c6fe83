//! The three hashes of a module, and the one of a whole manifest.
//!
//! Every field is destructured: a new one breaks the build until somebody decides in which hash it is.

use super::encoding::Encoder;
use super::manifest::Manifest;
use super::mapping::{HostDevice, Port, Volume};
use super::module::Module;
use super::name::{ModuleName, RouteName};
use super::route::Route;
use super::settings::{EnvValue, Gpus, HealthCheck, LogSettings, RestartPolicy};
use std::collections::BTreeMap;
use std::fmt;

/// A hash with the version of its encoding: `v1:` and 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Hash(String);

impl Hash {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(3..15).unwrap_or(&self.0)
    }

    /// A hash as it was stored; `None` if the text is none. Any version of the encoding is taken: hashes of
    /// an older one stay comparable with themselves.
    pub fn from_stored(text: &str) -> Option<Self> {
        let (version, digits) = text.strip_prefix('v')?.split_once(':')?;
        let number = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (number && digits.len() == 64 && digits.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    /// One hash over named texts, in the order given.
    pub fn of_texts<'a>(domain: &str, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = HashOfTexts::new(domain);
        texts.into_iter().for_each(|text| hash.add(text));
        hash.finish()
    }
}

/// One hash over texts that come one after the other.
pub struct HashOfTexts(Encoder);

impl HashOfTexts {
    /// Begins with what is hashed, so that equal texts of different kinds differ.
    pub fn new(domain: &str) -> Self {
        Self(Encoder::new(domain))
    }

    /// The next text.
    pub fn add(&mut self, text: &str) {
        self.0.text(text);
    }

    /// The hash of all of them.
    pub fn finish(self) -> Hash {
        Hash(self.0.finish())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The three hashes of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleHashes {
    /// Everything that only *create* can set; a difference recreates the container. A secret counts by
    /// its name.
    pub spec: Hash,
    /// What the engine changes in place.
    pub settings: Hash,
    /// Desired properties, version and routes.
    pub twin: Hash,
}

/// The hashes of a finished, filled module in a manifest with these routes.
pub fn module_hashes(module: &Module, routes: &BTreeMap<RouteName, Route>) -> ModuleHashes {
    let mut spec = Encoder::new("hoist spec");
    let mut settings = Encoder::new("hoist settings");
    let mut twin = Encoder::new("hoist twin");
    encode_hashed(module, &mut spec, &mut settings, &mut twin);
    encode_routes(&mut twin, routes);
    ModuleHashes {
        spec: Hash(spec.finish()),
        settings: Hash(settings.finish()),
        twin: Hash(twin.finish()),
    }
}

/// A manifest with its hashes, which many compare by: they are worked out once.
#[derive(Debug, Clone, PartialEq)]
pub struct HashedManifest {
    manifest: Manifest,
    modules: BTreeMap<ModuleName, ModuleHashes>,
    whole: Hash,
}

impl HashedManifest {
    /// Works out the hashes of a manifest.
    pub fn of(manifest: Manifest) -> Self {
        let modules = hashes_of_modules(&manifest);
        let whole = whole_hash(&manifest, &modules);
        Self { manifest, modules, whole }
    }

    /// The hash over everything that it says, as [`manifest_hash`] has it.
    pub fn hash(&self) -> &Hash {
        &self.whole
    }

    /// Its modules, each with its hashes.
    pub fn hashed_modules(&self) -> impl Iterator<Item = (&ModuleName, &Module, &ModuleHashes)> {
        let modules = self.manifest.modules.iter().zip(self.modules.values());
        modules.map(|((name, module), hashes)| (name, module, hashes))
    }
}

impl std::ops::Deref for HashedManifest {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        &self.manifest
    }
}

fn hashes_of_modules(manifest: &Manifest) -> BTreeMap<ModuleName, ModuleHashes> {
    let hashes = |module| module_hashes(module, &manifest.routes);
    manifest.modules.iter().map(|(name, module)| (name.clone(), hashes(module))).collect()
}

/// One hash over everything that a manifest says: two are equal exactly when nothing differs.
pub fn manifest_hash(manifest: &Manifest) -> Hash {
    whole_hash(manifest, &hashes_of_modules(manifest))
}

fn whole_hash(manifest: &Manifest, hashes: &BTreeMap<ModuleName, ModuleHashes>) -> Hash {
    let Manifest { device, cohort: _, modules, routes } = manifest;
    let mut e = Encoder::new("hoist manifest");
    e.text(device.as_str());
    e.number(modules.len() as u64);
    for ((name, module), hashes) in modules.iter().zip(hashes.values()) {
        e.text(name.as_str());
        for hash in [&hashes.spec, &hashes.settings, &hashes.twin] {
            e.text(hash.as_str());
        }
        encode_unhashed(module, &mut e);
    }
    encode_routes(&mut e, routes);
    Hash(e.finish())
}

/// One hash over everything that the manifests of a cohort have in common, its texts not yet filled. Two are
/// equal exactly when devices with equal facts get equal manifests.
pub fn cohort_hash(
    modules: &BTreeMap<ModuleName, Module>,
    routes: &BTreeMap<RouteName, Route>,
) -> Hash {
    let encoders = ["spec", "settings", "twin", "rest"];
    let [mut spec, mut settings, mut twin, mut rest] =
        encoders.map(|part| Encoder::new(&format!("hoist cohort {part}")));
    for (name, module) in modules {
        for e in [&mut spec, &mut settings, &mut twin, &mut rest] {
            e.text(name.as_str());
        }
        encode_hashed(module, &mut spec, &mut settings, &mut twin);
        encode_unhashed(module, &mut rest);
    }
    encode_routes(&mut rest, routes);
    let parts = [spec, settings, twin, rest].map(Encoder::finish);
    Hash::of_texts("hoist cohort", parts.iter().map(String::as_str))
}

/// The fields that are in none of the three hashes.
fn encode_unhashed(module: &Module, e: &mut Encoder) {
    let Module {
        status,
        restart_policy,
        image_pull_policy,
        startup_order,
        probation,
        keep_previous,
        router,
        ..
    } = module;
    e.text(status.as_str());
    // The engine is told the same for `always` and `on-unhealthy`; Hoist is not.
    e.text(restart_policy.as_str());
    e.text(image_pull_policy.as_str());
    e.number(u64::from(*startup_order));
    e.number(probation.millis);
    e.number(keep_previous.millis);
    e.flag(*router);
}

fn encode_hashed(module: &Module, spec: &mut Encoder, settings: &mut Encoder, twin: &mut Encoder) {
    let Module {
        image,
        version,
        status: _,
        restart_policy,
        image_pull_policy: _,
        startup_order: _,
        stop_timeout,
        probation: _,
        keep_previous: _,
        command,
        entrypoint,
        user,
        hostname,
        ports,
        volumes,
        tmpfs,
        host_devices,
        networks,
        network_mode,
        extra_hosts,
        memory,
        cpus,
        shm_size,
        gpus,
        privileged,
        cap_add,
        cap_drop,
        read_only,
        init,
        log,
        health,
        labels,
        env,
        create_options,
        router: _,
        desired,
    } = module;
    spec.text(image);
    spec.option(stop_timeout.as_ref(), |e, d| e.number(d.millis));
    spec.option(command.as_ref(), |e, list| e.texts(list));
    spec.option(entrypoint.as_ref(), |e, list| e.texts(list));
    spec.option(user.as_ref(), |e, text| e.text(text));
    spec.option(hostname.as_ref(), |e, text| e.text(text));
    spec.list(ports, encode_port);
    spec.list(volumes, encode_volume);
    spec.texts(tmpfs);
    spec.list(host_devices, encode_host_device);
    spec.texts(networks);
    spec.option(network_mode.as_ref(), |e, mode| e.text(mode.as_str()));
    spec.map(extra_hosts, |e, text| e.text(text));
    spec.option(shm_size.as_ref(), |e, n| e.number(*n));
    spec.option(gpus.as_ref(), |e, gpus| match gpus {
        Gpus::All => e.text("all"),
        Gpus::Count(n) => e.number(u64::from(*n)),
    });
    spec.flag(*privileged);
    spec.texts(cap_add);
    spec.texts(cap_drop);
    spec.flag(*read_only);
    spec.option(init.as_ref(), |e, flag| e.flag(*flag));
    spec.option(log.as_ref(), encode_log);
    spec.option(health.as_ref(), encode_health);
    spec.map(labels, |e, text| e.text(text));
    spec.map(env, |e, value| match value {
        EnvValue::Text(text) => e.text(text),
        EnvValue::Secret(name) => e.list(&[name], |e, name| e.text(name.as_str())),
    });
    spec.table(create_options);

    settings.text(match restart_policy {
        RestartPolicy::Always | RestartPolicy::OnUnhealthy => "always",
        RestartPolicy::OnFailure => "on-failure",
        RestartPolicy::Never => "no",
    });
    settings.option(memory.as_ref(), |e, n| e.number(*n));
    settings.option(cpus.as_ref(), |e, n| e.number(*n));

    twin.option(version.as_ref(), |e, text| e.text(text));
    twin.table(desired);
}

fn encode_port(e: &mut Encoder, port: &Port) {
    let Port { ip, host, container, protocol } = port;
    for text in [ip.as_str(), host, container, protocol.as_str()] {
        e.text(text);
    }
}

fn encode_volume(e: &mut Encoder, volume: &Volume) {
    let Volume { source, target, read_only } = volume;
    e.text(source);
    e.text(target);
    e.flag(*read_only);
}

fn encode_host_device(e: &mut Encoder, device: &HostDevice) {
    let HostDevice { host, container, permissions } = device;
    for text in [host, container, permissions] {
        e.text(text);
    }
}

fn encode_log(e: &mut Encoder, log: &LogSettings) {
    let LogSettings { driver, max_size, max_file } = log;
    e.text(driver);
    e.option(max_size.as_ref(), |e, text| e.text(text));
    e.option(max_file.as_ref(), |e, n| e.number(u64::from(*n)));
}

fn encode_health(e: &mut Encoder, health: &HealthCheck) {
    let HealthCheck { command, interval, timeout, retries, start_period } = health;
    e.texts(command);
    e.number(interval.millis);
    e.number(timeout.millis);
    e.number(u64::from(*retries));
    e.number(start_period.millis);
}

fn encode_routes(e: &mut Encoder, routes: &BTreeMap<RouteName, Route>) {
    e.number(routes.len() as u64);
    for (name, route) in routes {
        let Route { text, ends: _, priority, time_to_live, place: _ } = route;
        e.text(name.as_str());
        e.text(text);
        e.option(priority.as_ref(), |e, n| e.number(u64::from(*n)));
        e.option(time_to_live.as_ref(), |e, d| e.number(d.millis));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_comes_back_from_its_text_and_nothing_else_does() {
        let hash = Hash::of_texts("test", ["a"]);
        assert_eq!(Hash::from_stored(hash.as_str()), Some(hash));
        for bad in ["", "v1:", "v1:abc", "sha256:abc", &format!("v:{}", "a".repeat(64))] {
            assert_eq!(Hash::from_stored(bad), None, "{bad}");
        }
    }
}
