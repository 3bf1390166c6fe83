//! Random wishes for one device: which modules it should have, and how.

use crate::world::manifest;
use hoist::model::HashedManifest;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

pub(crate) const MODULES: [&str; 5] = ["alpha", "beta", "delta", "gamma", "omega"];

const STOPPED: &str = "status = \"stopped\"\n";

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    pub(crate) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    pub(crate) fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }
}

/// What is wanted of one module; `None`: it is not in the manifest.
#[derive(Clone)]
pub(crate) struct Wish(BTreeMap<&'static str, Option<String>>);

impl Wish {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let mut wish = Self(BTreeMap::new());
        let ports = shuffled_ports(dice);
        for (module, port) in MODULES.into_iter().zip(ports) {
            wish.0.insert(module, dice.roll(4).ne(&0).then(|| module_text(dice, module, port)));
        }
        wish
    }

    /// Some modules change; all ports may be dealt anew.
    pub(crate) fn change(&mut self, dice: &mut Dice) {
        let next = Self::random(dice);
        for (module, text) in next.0 {
            if dice.one_in(2) {
                self.0.insert(module, text);
            }
        }
        // Two may not publish one port.
        let mut taken = BTreeSet::new();
        for text in self.0.values_mut().flatten() {
            let port = text.lines().find(|line| line.starts_with("ports")).map(str::to_owned);
            if let Some(port) = port.filter(|port| !taken.insert(port.clone())) {
                *text = text.replace(&format!("{port}\n"), "");
            }
        }
    }

    pub(crate) fn stop_all(&mut self) {
        for text in self.0.values_mut().flatten().filter(|text| !text.contains(STOPPED)) {
            text.push_str(STOPPED);
        }
    }

    /// A module is to be stopped, or not any more.
    pub(crate) fn turn(&mut self, dice: &mut Dice) {
        if let Some(text) = self.0.get_mut(dice.pick(&MODULES)).and_then(Option::as_mut) {
            match text.contains(STOPPED) {
                true => *text = text.replace(STOPPED, ""),
                false => text.push_str(STOPPED),
            }
        }
    }

    /// A module gets the name of one that is not there, and all else that it had; its image.
    pub(crate) fn rename(&mut self, dice: &mut Dice) -> Option<String> {
        let there = |wanted: bool| self.0.iter().filter(move |(_, text)| text.is_some() == wanted);
        let (there, free): (Vec<&str>, Vec<&str>) =
            (there(true).map(|(m, _)| *m).collect(), there(false).map(|(m, _)| *m).collect());
        if there.is_empty() || free.is_empty() {
            return None;
        }
        let (from, to) = (dice.pick(&there), MODULES.into_iter().find(|m| *m == free[0])?);
        let text = self.0.get_mut(from)?.take()?.replace(from, to);
        let image = text.lines().find_map(|line| line.strip_prefix("image = "))?;
        let image = image.trim_matches('"').to_owned();
        self.0.insert(to, Some(text));
        Some(image)
    }

    pub(crate) fn manifest(&self) -> (Arc<HashedManifest>, String) {
        let mut text = "target = \"*\"\n".to_owned();
        for module in self.0.values().flatten() {
            text.push_str(module);
        }
        (manifest(&text), text)
    }
}

fn shuffled_ports(dice: &mut Dice) -> Vec<u64> {
    let mut ports: Vec<u64> = (8080..8085).collect();
    for at in (1..ports.len()).rev() {
        let other = usize::try_from(dice.roll(at as u64 + 1)).unwrap();
        ports.swap(at, other);
    }
    ports
}

fn module_text(dice: &mut Dice, module: &str, port: u64) -> String {
    let mut text = format!("[modules.{module}]\nimage = \"{module}:{}\"\n", 1 + dice.roll(3));
    let mut line = |words: String| {
        let _ = writeln!(text, "{words}");
    };
    if !dice.one_in(3) {
        line(format!("ports = [\"{port}:80\"]"));
    }
    line(format!("startup-order = {}", dice.roll(3)));
    line(format!(
        "restart-policy = \"{}\"",
        dice.pick(&["always", "always", "on-failure", "on-unhealthy", "never"])
    ));
    line(format!("keep-previous = \"{}\"", dice.pick(&["0s", "0s", "10m"])));
    if dice.one_in(5) {
        line(STOPPED.trim_end().to_owned());
    }
    if dice.one_in(3) {
        line(format!("networks = [\"{}\", \"net3\"]", dice.pick(&["net1", "net2"])));
    }
    if dice.one_in(4) {
        line("memory = \"64MiB\"".to_owned());
    }
    if dice.one_in(4) {
        line("health = { command = [\"CMD\", \"ok\"], interval = \"5s\", retries = 1 }".to_owned());
    }
    if !dice.one_in(3) {
        line(format!("volumes = [\"data-{}:/data\"]", dice.roll(2)));
    }
    line(format!("desired = {{ n = {} }}", dice.roll(3)));
    text
}
