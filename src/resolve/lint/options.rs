//! Keys of create-options: which ones engines know, and which have a key of their own in fleet files.

/// Options that a module has a key for: the key, and where the option stands.
pub(super) const NATIVE: [(&str, &[&str]); 25] = [
    ("env", &["Env"]),
    ("command", &["Cmd"]),
    ("entrypoint", &["Entrypoint"]),
    ("user", &["User"]),
    ("hostname", &["Hostname"]),
    ("stop-timeout", &["StopTimeout"]),
    ("labels", &["Labels"]),
    ("health", &["Healthcheck"]),
    ("ports", &["HostConfig", "PortBindings"]),
    ("volumes", &["HostConfig", "Binds"]),
    ("tmpfs", &["HostConfig", "Tmpfs"]),
    ("host-devices", &["HostConfig", "Devices"]),
    ("network-mode", &["HostConfig", "NetworkMode"]),
    ("networks", &["NetworkingConfig"]),
    ("extra-hosts", &["HostConfig", "ExtraHosts"]),
    ("memory", &["HostConfig", "Memory"]),
    ("cpus", &["HostConfig", "NanoCpus"]),
    ("shm-size", &["HostConfig", "ShmSize"]),
    ("gpus", &["HostConfig", "DeviceRequests"]),
    ("privileged", &["HostConfig", "Privileged"]),
    ("cap-add", &["HostConfig", "CapAdd"]),
    ("cap-drop", &["HostConfig", "CapDrop"]),
    ("read-only", &["HostConfig", "ReadonlyRootfs"]),
    ("init", &["HostConfig", "Init"]),
    ("log", &["HostConfig", "LogConfig"]),
];

/// By what a key and its option are joined; without that, the key replaces the option whole.
pub(super) fn joined_by(key: &str) -> Option<&'static str> {
    match key {
        "env" => Some("variable"),
        "labels" => Some("label"),
        "ports" => Some("port of the container"),
        "volumes" => Some("path of the container"),
        _ => None,
    }
}

/// Keys of the body of *create*, at its top and in `HostConfig`, from the engine API 1.41 to 1.47.
const TOP: &str = "Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty \
    OpenStdin StdinOnce Env Cmd Healthcheck ArgsEscaped Image Volumes WorkingDir Entrypoint \
    NetworkDisabled MacAddress OnBuild Labels StopSignal StopTimeout Shell HostConfig NetworkingConfig";
const HOST: &str = "CpuShares Memory CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps \
    BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod \
    CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests KernelMemory \
    KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness NanoCpus OomKillDisable Init PidsLimit \
    Ulimits CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth Binds ContainerIDFile LogConfig \
    NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom Mounts ConsoleSize \
    Annotations CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup \
    Links OomScoreAdj PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt Tmpfs \
    UTSMode UsernsMode ShmSize Sysctls Runtime Isolation MaskedPaths ReadonlyPaths";

/// What is odd about a key at a level; engines take unknown keys without a word.
pub(super) fn suspicion(level: &str, key: &str) -> Option<String> {
    let known = |list: &'static str| list.split_whitespace();
    let (here, there, other) = match level {
        "" => (TOP, HOST, "HostConfig"),
        _ => (HOST, TOP, "the top level"),
    };
    if known(here).any(|k| k == key) {
        return None;
    }
    if let Some(right) = known(here).find(|k| k.eq_ignore_ascii_case(key)) {
        return Some(format!("`{key}` is written `{right}`"));
    }
    if let Some(right) = known(there).find(|k| k.eq_ignore_ascii_case(key)) {
        return Some(format!("`{right}` belongs into {other}; engines ignore it here"));
    }
    Some(format!("`{key}` is no key that engines know; they ignore it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_at_the_wrong_level_are_told() {
        assert_eq!(suspicion("", "HostConfig"), None);
        assert!(suspicion("", "PortBindings").unwrap().contains("belongs into HostConfig"));
        assert!(suspicion("HostConfig", "ExposedPorts").unwrap().contains("the top level"));
        assert!(suspicion("HostConfig", "runtime").unwrap().contains("`Runtime`"));
        assert!(suspicion("HostConfig", "Frobnicate").unwrap().contains("no key"));
    }
}
