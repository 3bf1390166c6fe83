//! A thousand devices, ten phases, some that fail, some that are away, a daemon that is cut off again and again, commits in
//! between. The limits are read off the engines, not off what the daemon says of itself.

use crate::place::Place;
use hoist::config::Config;
use hoist::engine::Engine;
use hoist::engine::simulated::{Behaviour, Control, Simulated};
use hoist::model::{ContainerState, DeviceId};
use hoist::reconcile::{
    Gate, Snapshot, Tally, WatchParts, WatchSettings, kept_rollout, machine_clock, watch,
};
use hoist::rollout::Stage;
use hoist::source::Remote;
use hoist::store::Store;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch as latest};
use tokio::time::Instant;

pub(crate) const DEVICES: usize = 1000;
pub(crate) const UNAVAILABLE: usize = 40;
const CUTS: usize = 20;
/// A limit against hanging.
const LONGEST: Duration = Duration::from_secs(600);

pub(crate) fn fleet() -> String {
    let mut text = format!(
        "name = \"large\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-devices-disrupted = \"100%\"\n\
         [rollout]\nsoak = \"0s\"\nmax-failures = \"20%\"\nmin-success = \"70%\"\nmax-unavailable = {UNAVAILABLE}\n\
         [[rollout.phases]]\nname = \"canary\"\ntarget = \"tags.ring = 'canary'\"\n"
    );
    for _ in 0..8 {
        text.push_str("[[rollout.phases]]\nshare = \"10%\"\n");
    }
    text
}

pub(crate) fn base(image: usize) -> String {
    format!("target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:{image}\"\n")
}

pub(crate) fn devices() -> String {
    (0..DEVICES).fold(String::new(), |mut text, number| {
        let ring = if number % 50 == 0 { "canary" } else { "wide" };
        let _ = writeln!(text, "[[device]]\nid = \"d{number:04}\"\ntags.ring = \"{ring}\"");
        text
    })
}

pub(crate) fn id(number: usize) -> DeviceId {
    DeviceId::parse(&format!("d{number:04}")).expect("an id")
}

/// Three in a hundred fail with every newer image.
pub(crate) fn fails(number: usize) -> bool {
    number % 33 == 7
}

/// Five in a hundred are away the whole time.
pub(crate) fn is_away(number: usize) -> bool {
    number % 20 == 13
}

/// Whether the newest commit's rollout has ended.
pub(crate) fn is_done(place: &Place) -> bool {
    let rollout = place.store().and_then(|store| kept_rollout(&store).ok()?);
    rollout.is_some_and(|r| r.stage == Stage::Done && r.to == place.head())
}

/// What runs on a device: the tag of its module's image, if it runs.
pub(crate) fn runs(control: &Control) -> Option<usize> {
    let observation = control.observed().expect("a simulated engine");
    let web = observation.containers.into_iter().find(|c| c.name == "web")?;
    let tag = web.image.rsplit(':').next()?.parse().ok()?;
    (web.state == ContainerState::Running).then_some(tag)
}

fn settings() -> WatchSettings {
    WatchSettings {
        poll: Duration::from_millis(200),
        resync: Duration::from_secs(600),
        wanted: None,
        only: None,
        signers: None,
        history: Duration::from_secs(86_400),
        side_by_side: 64,
        pulls_per: None,
        stop_limit: Duration::from_secs(5),
        who: "test".to_owned(),
    }
}

/// Runs a daemon for a while, and cuts it off wherever it is.
async fn run_for(place: &Place, engines: &BTreeMap<DeviceId, Arc<dyn Engine>>, time: Duration) {
    let store = Arc::new(Store::open(&place.state_folder()).expect("a store"));
    let lock = store.lock().expect("nobody else works on it");
    let (_wish, wishes) = mpsc::channel(8);
    let (snapshots, _seen) = latest::channel(Arc::new(Snapshot::default()));
    let (_stop, stop) = latest::channel(false);
    let parts = WatchParts {
        remote: Arc::new(Remote::here(&place.fleet(), "main")),
        gate: Gate::new(Config::built_in(), None, store.hash_key().0).with_engines(engines.clone()),
        store,
        lock,
        tally: Arc::new(Tally::default()),
        wishes,
        snapshots,
        stop,
        wall: machine_clock(),
    };
    let _ = tokio::time::timeout(time, watch(settings(), parts)).await;
}

/// What the engines say while the daemon works, held against the phase that the store says is open.
fn violation_now(place: &Place, controls: &[Control], newest: usize) -> Option<String> {
    let before = place.store().and_then(|store| kept_rollout(&store).ok()?)?;
    let all: Vec<Option<usize>> = controls.iter().map(runs).collect();
    let after = place.store().and_then(|store| kept_rollout(&store).ok()?)?;
    // A commit is on its way in.
    if before.to != after.to {
        return None;
    }
    violation(place, &all, newest)
}

/// What devices run, held against the phase that the store says is open.
pub(crate) fn violation(place: &Place, runs: &[Option<usize>], newest: usize) -> Option<String> {
    let after = place.store().and_then(|store| kept_rollout(&store).ok()?)?;
    if after.stage == Stage::Done {
        return None;
    }
    let down = runs.iter().filter(|tag| tag.is_none()).count();
    if down > UNAVAILABLE {
        return Some(format!("{down} devices are down at once"));
    }
    for (number, tag) in runs.iter().enumerate() {
        let member = after.members.get(&id(number))?;
        let is_ahead = member.phase.is_none_or(|phase| phase > after.open);
        if *tag == Some(newest) && is_ahead {
            return Some(format!("{} runs {newest} before phase {:?}", id(number), member.phase));
        }
    }
    None
}

#[test]
fn a_thousand_devices_in_ten_phases_stay_within_every_limit() {
    let place = Place::new(&[
        ("fleet.toml", &fleet()),
        ("devices/all.toml", &devices()),
        ("deployments/base.toml", &base(1)),
    ]);
    let simulated: Vec<Simulated> =
        (0..DEVICES).map(|n| Simulated::open(None, id(n).as_str()).expect("an engine")).collect();
    let controls: Vec<Control> = simulated.iter().map(Simulated::control).collect();
    let engines: BTreeMap<DeviceId, Arc<dyn Engine>> = simulated
        .into_iter()
        .enumerate()
        .map(|(number, engine)| (id(number), Arc::new(engine) as Arc<dyn Engine>))
        .collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let begun = Instant::now();
    while controls.iter().any(|control| runs(control) != Some(1)) {
        assert!(begun.elapsed() < LONGEST, "the first commit never came to all");
        // On a busy machine it takes longer to begin.
        runtime.block_on(run_for(&place, &engines, begun.elapsed() + Duration::from_secs(2)));
    }
    for (number, control) in controls.iter().enumerate() {
        for tag in 2..=4 {
            if fails(number) {
                control.behave(&format!("web:{tag}"), Behaviour::BadCommand).expect("simulated");
            }
        }
        control.set_unreachable(is_away(number));
    }
    let mut newest = 2;
    place.commit(&[("deployments/base.toml", &base(newest))]);
    let mut cuts = 0;
    let most_have = |newest: usize| {
        controls.iter().filter(|control| runs(control) == Some(newest)).count() > DEVICES / 2
    };
    while !(cuts >= CUTS && newest == 4 && is_done(&place) && most_have(newest)) {
        assert!(
            begun.elapsed() < LONGEST,
            "it never ended: {:?}",
            place.store().and_then(|s| kept_rollout(&s).ok()?).map(|r| r.standing())
        );
        let time =
            Duration::from_millis(if cuts < CUTS { 400 + 137 * (cuts as u64 % 7) } else { 20_000 });
        std::thread::scope(|scope| {
            let daemon = scope.spawn(|| runtime.block_on(run_for(&place, &engines, time)));
            while !daemon.is_finished() {
                let wrong = violation_now(&place, &controls, newest);
                assert_eq!(wrong, None);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        cuts += 1;
        if newest < 4 && cuts % 7 == 0 {
            newest += 1;
            place.commit(&[("deployments/base.toml", &base(newest))]);
        }
    }
    for (number, control) in controls.iter().enumerate() {
        control.set_unreachable(false);
        let expected = match (is_away(number), fails(number)) {
            (true, _) => 1,
            // What failed went back to the image that worked, on the device itself.
            (false, true) => 1,
            (false, false) => newest,
        };
        assert_eq!(runs(control), Some(expected), "{}", id(number));
    }
    // Those that were away get it when they are back.
    let has = |number: usize| fails(number) || runs(&controls[number]) == Some(newest);
    while !(0..DEVICES).all(has) {
        assert!(begun.elapsed() < LONGEST, "those that were away were forgotten");
        runtime.block_on(run_for(&place, &engines, Duration::from_secs(3) + begun.elapsed() / 10));
    }
}
