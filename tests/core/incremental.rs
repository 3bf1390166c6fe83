//! A revision that is checked after others is what it is alone, however it came about and whatever was wrong with them.

use crate::harness::tree;
use hoist::fleet::FileTree;
use hoist::resolve::{CheckCache, check, check_after};
use proptest::prelude::*;
use std::fmt::Write as _;

/// By device its tags, by deployment its condition and whether it has a file.
type Wish = (Vec<(bool, u8, u8)>, Vec<(bool, u8)>);

const CONDITIONS: [&str; 8] = [
    "*",
    "tags.ring = 1",
    "tags.ring != 1 AND tags.place = 0",
    "STARTSWITH(deviceId, 'd1')",
    "NOT IS_DEFINED(tags.place)",
    "properties.reported.cpus > 1",
    "deviceId = 'd2'",
    "tags.gone = 1 OR tags.ring IN [0, 2]",
];

fn files((devices, deployments): &Wish) -> FileTree {
    let mut text = String::new();
    for (n, (is_there, ring, place)) in devices.iter().enumerate().filter(|(_, d)| d.0) {
        debug_assert!(is_there);
        let _ = writeln!(text, "=== devices/d{n}.toml\n[tags]\nring = {ring}");
        if *place < 2 {
            let _ = writeln!(text, "place = {place}\n[reported]\ncpus = {ring}");
        }
    }
    for (n, (is_there, condition)) in deployments.iter().enumerate() {
        let condition = CONDITIONS[usize::from(*condition)];
        if *is_there {
            let _ = writeln!(
                text,
                "=== deployments/l{n}.toml\nkind = \"layered\"\npriority = {}\ntarget = \"{condition}\"\n\
                 [modules.m{n}]\nimage = \"app:{n}\"\nenv = {{ P = \"${{device.tags.place:-none}}\" }}",
                n + 10
            );
        }
    }
    tree(&format!("{text}=== deployments/base.toml\ntarget = \"*\"\npriority = 1\n"))
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let device = (prop::bool::weighted(0.9), 0..3u8, 0..3u8);
    let deployment = (prop::bool::weighted(0.8), 0..8u8);
    let first = (prop::collection::vec(device, 12), prop::collection::vec(deployment, 4));
    // What follows differs in a little, as commits do.
    let edits =
        prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, 0..8u8, any::<bool>()), 1..8);
    (first, edits).prop_map(|(first, edits)| {
        let mut all = vec![first];
        for (at, value, condition, is_device) in edits {
            let mut next: Wish = all.last().cloned().unwrap();
            if is_device {
                let at = at.index(next.0.len());
                next.0[at] = (condition > 0, value, value);
            } else {
                let at = at.index(next.1.len());
                next.1[at] = (value > 0, condition);
            }
            all.push(next);
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn after_others_a_revision_is_what_it_is_alone(revisions in wishes()) {
        let mut cache = CheckCache::default();
        for revision in &revisions {
            let files = files(revision);
            let after = format!("{:?}", check_after(&files, &mut cache));
            prop_assert_eq!(after, format!("{:?}", check(&files)));
        }
    }
}

/// A fleet in which anything may be otherwise, or wrong.
#[derive(Debug, Clone)]
struct Fleet {
    /// 0 is in order, 1 has other defaults, 2 a policy and a lint level, 3 is no TOML, 4 is not there.
    file: u8,
    devices: Vec<DeviceFile>,
    deployments: Vec<DeploymentFile>,
    /// A file that is near one that would be read.
    near_miss: bool,
}

#[derive(Debug, Clone)]
struct DeviceFile {
    /// 0 is not there, 1 is in one folder, 2 in another, 3 in a list, 4 is there twice, 5 twice but for its letters'
    /// case, 6 is no TOML, 7 has a wrong key.
    state: u8,
    ring: u8,
    place: u8,
    /// 0 is none, 1 its own, others are shared.
    engine: u8,
}

#[derive(Debug, Clone)]
struct DeploymentFile {
    /// 0 is not there, 1 a layer, 2 a base, 3 for one device, 4 is no TOML, 5 has another one's id.
    state: u8,
    condition: u8,
    priority: u8,
    says: u8,
}

const SAYS: [&str; 6] = [
    "[modules.app]\nimage = \"app:1\"\nenv = { P = \"${device.tags.place:-none}\" }\n",
    "[modules.app]\nimage = \"app:${device.tags.place:-0}\"\nports = [\"80:80\"]\n",
    "[modules.app]\npatch = true\nenv = { R = \"${device.tags.ring}\" }\nunset = [\"env.P\"]\n",
    "[modules.hub]\nimage = \"hub:latest\"\nports = [\"80:80\"]\n[routes]\nup = \"FROM /messages/modules/hub/* INTO $upstream\"\n",
    "[modules.app]\ndesired-at = { \"a.b\" = 1 }\n[routes]\nup = \"FROM /messages/modules/app/* INTO BrokeredEndpoint(\\\"/modules/hub/inputs/in\\\")\"\n",
    "",
];

impl Fleet {
    fn files(&self) -> FileTree {
        let mut text = String::new();
        let mut list = String::new();
        for (n, device) in self.devices.iter().enumerate() {
            device.write(n, &mut text, &mut list);
        }
        if !list.is_empty() {
            let _ = writeln!(text, "=== devices/list.toml\n{list}");
        }
        for (n, deployment) in self.deployments.iter().enumerate() {
            deployment.write(n, &mut text);
        }
        if self.near_miss {
            text.push_str("=== devices/d9.yaml\n\n=== deployment/x.toml\n\n");
        }
        text.push_str(match self.file {
            0 => "=== fleet.toml\nname = \"towers\"\n",
            1 => {
                "=== fleet.toml\nname = \"towers\"\n[defaults]\nrestart-policy = \"never\"\nenv = { D = \"1\" }\n"
            }
            2 => {
                "=== fleet.toml\nname = \"towers\"\n[lints]\nmutable-image = \"allow\"\n[rollout]\n\
                 [[rollout.phases]]\ntarget = \"tags.ring = 1\"\n"
            }
            3 => "=== fleet.toml\nname = \n",
            _ => "",
        });
        text.push_str(
            "=== deployments/base.toml\ntarget = \"*\"\npriority = 1\n[modules.app]\nimage = \"app:0\"\n",
        );
        let mut files = tree(&text);
        if self.file == 4 {
            files.0.remove("fleet.toml");
        }
        files
    }
}

impl DeviceFile {
    fn write(&self, n: usize, text: &mut String, list: &mut String) {
        let mut says = match self.engine {
            0 => String::new(),
            1 => format!("engine = \"ssh://a@d{n}\"\n"),
            shared => format!("engine = \"ssh://a@shared{shared}\"\n"),
        };
        let tags = match self.place {
            0 => format!("{{ ring = {} }}", self.ring),
            1 => format!("{{ ring = {}, place = 1 }}", self.ring),
            // No image may have it in its name.
            _ => format!("{{ ring = {}, place = \"b c\" }}", self.ring),
        };
        let _ = writeln!(says, "tags = {tags}");
        let mut file = |folder: &str, says: &str| {
            let _ = writeln!(text, "=== devices/{folder}{n}.toml\n{says}");
        };
        match self.state {
            0 => {}
            1 => file("d", &says),
            2 => file("other/d", &says),
            3 => {
                let _ = writeln!(list, "[[device]]\nid = \"d{n}\"\n{says}");
            }
            4 => ["d", "other/d"].into_iter().for_each(|folder| file(folder, &says)),
            5 => ["d", "D"].into_iter().for_each(|folder| file(folder, "")),
            6 => file("d", "x = ["),
            _ => file("d", &format!("{says}engin = 1")),
        }
    }
}

impl DeploymentFile {
    fn write(&self, n: usize, text: &mut String) {
        let target = format!("target = \"{}\"", CONDITIONS[usize::from(self.condition)]);
        // Some tie, mostly they don't.
        let priority = match self.priority {
            0 => n + 2,
            1 => n + 12,
            _ => 5,
        };
        let head = match self.state {
            0 => return,
            1 => format!("kind = \"layered\"\n{target}\npriority = {priority}"),
            2 => format!("{target}\npriority = {priority}"),
            3 => format!("kind = \"device\"\ndevice = \"d{}\"", self.condition),
            4 => "x = [".to_owned(),
            _ => format!("{target}\npriority = {priority}"),
        };
        let says = match self.state {
            1 => SAYS[usize::from(self.says)],
            // Only layers have parts of modules.
            _ => SAYS[usize::from(self.says % 2)],
        };
        let path = if self.state < 5 { format!("l{n}") } else { "other/l0".to_owned() };
        let _ = writeln!(text, "=== deployments/{path}.toml\n{head}\n{says}");
    }
}

/// A fleet that is mostly in order, and what commits make of it, one thing after the other.
fn histories() -> impl Strategy<Value = Vec<Fleet>> {
    let device = (prop::sample::select(vec![1, 1, 1, 2, 3, 0]), 0..3u8, 0..2u8, 0..2u8)
        .prop_map(|(state, ring, place, engine)| DeviceFile { state, ring, place, engine });
    let deployment = (prop::sample::select(vec![1, 1, 2, 0]), 0..8u8, 0..3u8, 0..6u8).prop_map(
        |(state, condition, priority, says)| DeploymentFile { state, condition, priority, says },
    );
    let first =
        (prop::collection::vec(device, 8), prop::collection::vec(deployment, 5), 0..3u8).prop_map(
            |(devices, deployments, file)| Fleet { file, devices, deployments, near_miss: false },
        );
    let edit = (any::<prop::sample::Index>(), 0..12u8, 0..8u8);
    (first, prop::collection::vec(edit, 1..14)).prop_map(|(first, edits)| {
        let mut all = vec![first];
        for (at, what, value) in edits {
            let before = all.len().saturating_sub(2);
            let mut next = all[all.len() - 1].clone();
            next.edit(at, what, value);
            if what == 11 {
                // Taken back: what was wrong is repaired.
                next = all[before].clone();
            }
            all.push(next);
        }
        all
    })
}

impl Fleet {
    fn edit(&mut self, at: prop::sample::Index, what: u8, value: u8) {
        let device = &mut self.devices[at.index(8)];
        let deployment = &mut self.deployments[at.index(5)];
        match what {
            0 => device.ring = value % 3,
            1 => device.place = value % 3,
            2 => device.engine = value % 4,
            3 | 4 => device.state = value,
            5 => deployment.condition = value,
            6 => deployment.priority = value,
            7 => deployment.says = value % 6,
            8 => deployment.state = value % 6,
            9 => self.file = value % 5,
            _ => self.near_miss = value > 5,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_was_wrong_before_a_revision_is_what_it_is_alone(history in histories()) {
        let mut cache = CheckCache::default();
        for fleet in &history {
            let files = fleet.files();
            let after = format!("{:?}", check_after(&files, &mut cache));
            prop_assert_eq!(after, format!("{:?}", check(&files)));
        }
    }
}
