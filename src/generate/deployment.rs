//! Deployments: a few bases, and layers of the kinds that people write.

use super::device::COUNTRIES;
use super::seed::Seed;
use std::fmt::Write as _;

const ROLES: [&str; 5] = ["gateway", "camera", "meter", "lift", "kiosk"];
const RINGS: [&str; 3] = ["canary", "early", "broad"];

/// The path and text of the `n`th deployment. The first is a base for everybody, so every device has one.
pub(super) fn deployment_file(n: u32, fleet: u64) -> (String, String) {
    let seed = Seed::of(fleet, "deployment", u64::from(n));
    let (country, region) = seed.one_of(0, &COUNTRIES);
    let role = seed.one_of(1, &ROLES);
    let ring = seed.one_of(2, &RINGS);
    let (name, text) = match n % 10 {
        0 if n == 0 => ("base".to_owned(), base(seed, n, "*")),
        0 => {
            let target = format!("tags.environment = 'prod' AND tags.location.region = '{region}'");
            (format!("base-{region}"), base(seed, n, &target))
        }
        1 => (format!("{role}s"), layer(n, &format!("tags.role = '{role}'"), &module(seed, n))),
        2 => {
            let target = format!("tags.ring = '{ring}' AND tags.role = '{role}'");
            (format!("agent-{ring}-{role}"), layer(n, &target, &image_patch(seed)))
        }
        3 => {
            let target = format!("tags.location.country = '{country}'");
            (format!("interval-{country}"), layer(n, &target, &twin(seed)))
        }
        4 => {
            let target = format!("tags.model IN ['{role}-100', '{role}-300']");
            (format!("drivers-{role}"), layer(n, &target, &env_patch(n)))
        }
        5 => {
            let target =
                format!("tags.location.region = '{region}' AND NOT tags.environment = 'test'");
            (format!("uplink-{region}"), layer(n, &target, &module(seed, n)))
        }
        6 => {
            let target = format!("STARTSWITH(deviceId, '{country}-{role}')");
            (format!("{country}-{role}"), layer(n, &target, &env_patch(n)))
        }
        7 => {
            let other = seed.one_of(3, &ROLES);
            let target = format!(
                "(tags.role = '{role}' OR tags.role = '{other}') AND tags.arch != 'riscv64'"
            );
            (format!("metrics-{role}"), layer(n, &target, &module(seed, n)))
        }
        8 => {
            let target = format!("tags.environment = 'test' OR tags.ring = '{ring}'");
            (format!("debug-{ring}"), layer(n, &target, &env_patch(n)))
        }
        _ => {
            let target = format!("tags.location.country NIN ['{country}', 'us', 'br']");
            (format!("except-{country}"), layer(n, &target, &twin(seed)))
        }
    };
    (format!("deployments/{name}-{n:04}.toml"), text)
}

fn version(seed: Seed) -> String {
    format!("{}.{}.{}", 1 + seed.below(10, 4), seed.below(11, 20), seed.below(12, 10))
}

fn head(kind: &str, priority: u32, target: &str) -> String {
    // Target conditions have no double quotes and no backslash: they are plain TOML strings.
    format!(
        "kind = \"{kind}\"\ntarget = \"{target}\"\npriority = {priority}\n\
         created = 2026-01-05T09:00:00Z\n\n[labels]\nteam = \"generated\"\n"
    )
}

fn base(seed: Seed, n: u32, target: &str) -> String {
    let mut text = head("automatic", 10 + n, target);
    let _ = write!(
        text,
        "\n[modules.agent]\nimage = \"registry.fleet.example/agent:{}\"\nstartup-order = 1\nmemory = \"128MiB\"\n\
         env = {{ DEVICE = \"${{device.id}}\", SITE = \"${{device.tags.location.site}}\", LEVEL = \"info\" }}\n\
         \n[modules.agent.desired]\nInterval = 60\nReport = {{ Level = \"info\", Batch = 100 }}\n",
        version(seed)
    );
    for (module, memory) in [("store", "256MiB"), ("sync", "64MiB")] {
        let _ = write!(
            text,
            "\n[modules.{module}]\nimage = \"registry.fleet.example/{module}:{}\"\nstartup-order = 2\nmemory = \"{memory}\"\n\
             volumes = [\"{module}:/var/lib/{module}\"]\nhealth = {{ command = [\"CMD\", \"/{module}\", \"ping\"], interval = \"30s\" }}\n",
            version(seed)
        );
    }
    text
}

/// Every layer is above every base.
fn layer(n: u32, target: &str, content: &str) -> String {
    format!("{}\n{content}", head("layered", 1_000_000 + n, target))
}

fn module(seed: Seed, n: u32) -> String {
    format!(
        "[modules.part-{n:04}]\nimage = \"registry.fleet.example/part-{n:04}:{}\"\nstartup-order = 3\n\
         restart-policy = \"on-failure\"\nenv = {{ DEVICE = \"${{device.id}}\", FLOOR = \"${{device.tags.location.floor}}\" }}\n",
        version(seed)
    )
}

fn image_patch(seed: Seed) -> String {
    format!(
        "[modules.agent]\npatch = true\nimage = \"registry.fleet.example/agent:{}\"\n",
        version(seed)
    )
}

fn env_patch(n: u32) -> String {
    format!("[modules.agent]\npatch = true\nenv = {{ OPTION_{n:04} = \"on\" }}\n")
}

fn twin(seed: Seed) -> String {
    format!(
        "[modules.agent.desired-at.\"Report\"]\nLevel = \"debug\"\nBatch = {}\n",
        1 + seed.below(13, 500)
    )
}
