//! Where keys belong, for those that were written elsewhere.

/// The keys of a module, in the order of the documentation.
pub(super) const MODULE_KEYS: [&str; 36] = [
    "image",
    "version",
    "status",
    "restart-policy",
    "image-pull-policy",
    "startup-order",
    "stop-timeout",
    "probation",
    "keep-previous",
    "command",
    "entrypoint",
    "user",
    "hostname",
    "ports",
    "volumes",
    "tmpfs",
    "host-devices",
    "networks",
    "network-mode",
    "extra-hosts",
    "memory",
    "cpus",
    "shm-size",
    "gpus",
    "privileged",
    "cap-add",
    "cap-drop",
    "read-only",
    "init",
    "log",
    "health",
    "labels",
    "env",
    "create-options",
    "router",
    "desired",
];

/// The keys that `[defaults]` takes.
pub(in crate::fleet) const DEFAULT_KEYS: [&str; 11] = [
    "restart-policy",
    "image-pull-policy",
    "stop-timeout",
    "probation",
    "memory",
    "cpus",
    "env",
    "labels",
    "log",
    "networks",
    "create-options",
];

/// What a key of other tools is called here, and what is to be said beside it.
pub(super) fn called_elsewhere(key: &str) -> Option<(&'static str, &'static str)> {
    Some(match key {
        "depends_on" | "depends-on" | "dependsOn" => {
            ("startup-order", ": smaller numbers start first")
        }
        "devices" => ("host-devices", ""),
        "mem_limit" | "memory_limit" | "mem-limit" => ("memory", ""),
        "healthcheck" | "health-check" | "livenessProbe" => ("health", ""),
        "environment" => ("env", ""),
        "logging" => ("log", ""),
        "restart" => ("restart-policy", ""),
        "network_mode" => ("network-mode", ""),
        "shm_size" => ("shm-size", ""),
        "stop_grace_period" => ("stop-timeout", ""),
        "pull_policy" => ("image-pull-policy", ""),
        "test" => ("command", ""),
        "deviceId" | "device-id" | "name" => ("id", ", or the file's name"),
        "host" | "address" | "docker-host" => ("engine", ": `engine = \"ssh://user@host\"`"),
        "targetCondition" | "target-condition" | "condition" => ("target", ""),
        _ => return None,
    })
}

/// Where a key of the fleet's files stands, if it is one.
pub(super) fn home_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "defaults" | "registries" | "reported-properties" | "lints" | "guards" | "network" => {
            "at the top of fleet.toml"
        }
        "max-devices-disrupted" | "max-modules-removed" | "allow-empty" => {
            "in `[guards]` of fleet.toml"
        }
        "subnet" => "in `[network]` of fleet.toml",
        "credentials" => "in `[registries.\"HOST\"]` of fleet.toml",
        "on-failure" | "max-failures" | "min-success" | "max-unavailable" | "soak" => {
            "in `[rollout]` of fleet.toml or of a deployment"
        }
        "phases" => "as `[[rollout.phases]]` in fleet.toml",
        "engine" | "tls" | "reachable" | "tags" | "reported" => "in a file in devices/",
        "kind" | "target" | "priority" | "created" | "modules" | "routes" | "metrics"
        | "phased" => "at the top of a file in deployments/",
        "azure" => "at the top of a file in deployments/",
        "desired-at" | "patch" | "unset" => "in `[modules.NAME]` of a layered deployment",
        "interval" | "retries" | "start-period" => "in `health` of a module",
        "driver" | "max-size" | "max-file" => "in `log` of a module",
        "time-to-live" => "in a route",
        _ if MODULE_KEYS.contains(&key) => "in `[modules.NAME]` of a deployment",
        _ => return None,
    })
}
