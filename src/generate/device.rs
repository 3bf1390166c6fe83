//! Devices: what they are for, where they stand, and their files.

use super::seed::Seed;

/// What devices are for, as shares of a hundred.
const ROLES: [(&str, u64); 5] =
    [("gateway", 35), ("camera", 25), ("meter", 20), ("lift", 12), ("kiosk", 8)];

/// Where buildings stand: country and the region that it belongs to.
pub(super) const COUNTRIES: [(&str, &str); 24] = [
    ("at", "dach"),
    ("au", "pacific"),
    ("be", "benelux"),
    ("br", "latam"),
    ("ca", "america"),
    ("ch", "dach"),
    ("cz", "east"),
    ("de", "dach"),
    ("dk", "nordic"),
    ("es", "south"),
    ("fi", "nordic"),
    ("fr", "france"),
    ("gr", "south"),
    ("in", "asia"),
    ("it", "south"),
    ("jp", "asia"),
    ("lu", "benelux"),
    ("mx", "latam"),
    ("nl", "benelux"),
    ("no", "nordic"),
    ("pl", "east"),
    ("pt", "south"),
    ("se", "nordic"),
    ("us", "america"),
];

/// How many devices a building has, on average.
const PER_SITE: u64 = 40;

/// One device, as the files say it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Device {
    number: u32,
    seed: Seed,
    country: (&'static str, &'static str),
    site: u64,
    environment: &'static str,
    ring: &'static str,
    role: &'static str,
}

impl Device {
    pub(super) fn of(number: u32, fleet: u64) -> Self {
        let seed = Seed::of(fleet, "device", u64::from(number));
        let site = u64::from(number) / PER_SITE;
        // All of a building is in one country, one environment and one ring.
        let building = Seed::of(fleet, "site", site);
        let (environment, ring) = match building.below(0, 100) {
            0..3 => ("test", "canary"),
            3..5 => ("prod", "canary"),
            5..14 => ("prod", "early"),
            _ => ("prod", "broad"),
        };
        Self {
            number,
            seed,
            country: building.one_of(1, &COUNTRIES),
            site,
            environment,
            ring,
            role: role(seed.below(0, 100)),
        }
    }

    /// The building's name.
    pub(super) fn site(&self) -> String {
        format!("{}-{:05}", self.country.0, self.site)
    }

    /// The hardware follows from what it is for and from where it was bought.
    fn model(&self) -> String {
        let generation = 1 + Seed::of(0, self.country.1, 0).below(0, 3);
        format!("{}-{generation}00", self.role)
    }

    fn tags(&self) -> String {
        let Self { number: _, seed, country: (country, region), site: _, environment, ring, role } =
            self;
        let arch = if matches!(*role, "gateway" | "kiosk") { "amd64" } else { "arm64" };
        format!(
            "environment = \"{environment}\"\nring = \"{ring}\"\nrole = \"{role}\"\nmodel = \"{}\"\narch = \"{arch}\"\n\
             serial = \"{:012x}\"\n\
             location = {{ country = \"{country}\", region = \"{region}\", site = \"{}\", floor = {} }}\n",
            self.model(),
            seed.below(1, 1 << 48),
            self.site(),
            seed.below(2, 30),
        )
    }

    fn engine(&self) -> String {
        format!("engine = \"ssh://hoist@{}.fleet.example\"\n", device_id(self))
    }

    /// Its file, where it has one of its own.
    pub(super) fn own_file(&self) -> String {
        format!("{}\n[tags]\n{}", self.engine(), self.tags())
    }

    /// Its part of a list of devices.
    pub(super) fn list_item(&self) -> String {
        let id = device_id(self);
        format!("[[device]]\nid = \"{id}\"\n{}[device.tags]\n{}", self.engine(), self.tags())
    }
}

/// Its id.
pub(super) fn device_id(device: &Device) -> String {
    format!("{}-{}-{:07}", device.country.0, device.role, device.number)
}

fn role(percent: u64) -> &'static str {
    let mut left = percent;
    for (role, share) in ROLES {
        if left < share {
            return role;
        }
        left -= share;
    }
    ROLES[0].0
}
