//! The same thousand devices as in [`rollout_large`](crate::rollout_large), under a process that is killed again and again:
//! its engines are files, which outlive it. Whatever a kill leaves behind stands still, so that it can be counted to the last device.

use crate::place::{Daemon, Place};
use crate::rollout_large::{
    DEVICES, UNAVAILABLE, base, devices, fails, fleet, id, is_away, is_done, runs, violation,
};
use hoist::engine::simulated::{Behaviour, Control, Simulated};
use hoist::reconcile::kept_rollout;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

const KILLS: usize = 20;
const BETWEEN: Duration = Duration::from_millis(300);
/// At so many kills at least the change was under way: else they would show nothing.
const UNDER_WAY: usize = 5;
/// So long a daemon is given to change anything: it may have to wait for a soak.
const PATIENCE: Duration = Duration::from_secs(8);
/// A step takes so long where a kill is to meet the middle of many replaces.
const PACE: Duration = Duration::from_millis(300);
const KILLS_IN_THE_MIDDLE: usize = 3;
/// So many down at a time are near enough to the limit for their count to say something of it.
const MANY: usize = UNAVAILABLE * 3 / 4;
/// A limit against hanging.
const LONGEST: Duration = Duration::from_secs(600);

fn file(place: &Place, number: usize) -> PathBuf {
    place.state_folder().join("engines").join(format!("{}.json", id(number)))
}

/// A device that is away has a file that is none of an engine's: nobody reaches it, and nothing is lost.
fn take_away(place: &Place, number: usize) {
    let file = file(place, number);
    fs::rename(&file, file.with_extension("away")).expect("put aside");
    fs::write(&file, "away").expect("a file");
}

fn bring_back(place: &Place, number: usize) {
    let file = file(place, number);
    fs::rename(file.with_extension("away"), &file).expect("put back");
}

/// The engines that are here.
fn present(controls: &[Control]) -> impl Iterator<Item = (usize, &Control)> {
    controls.iter().enumerate().filter(|(number, _)| !is_away(*number))
}

/// Devices that are not at their work, or in the middle of a replace, by their engines' own word.
fn unavailable(controls: &[Control]) -> usize {
    let in_a_replace =
        |control: &Control| control.observed().expect("an engine").containers.len() != 1;
    let is_so = |control: &Control| runs(control).is_none() || in_a_replace(control);
    present(controls).filter(|(_, control)| is_so(control)).count()
}

/// How many devices have a commit.
fn have(controls: &[Control], newest: usize) -> usize {
    present(controls).filter(|(_, control)| runs(control) == Some(newest)).count()
}

/// Whether the rollout was under way, and how many devices were down or in a replace.
fn kill_and_count(
    place: &Place,
    daemon: Daemon,
    controls: &[Control],
    newest: usize,
) -> (bool, usize) {
    daemon.kill();
    let all: Vec<Option<usize>> = (0..DEVICES)
        .map(|number| if is_away(number) { Some(1) } else { runs(&controls[number]) })
        .collect();
    assert_eq!(violation(place, &all, newest), None, "what the kill left behind");
    let down = unavailable(controls);
    assert!(down <= UNAVAILABLE, "{down} devices are down or in a replace");
    (have(controls, newest) > 0 && !is_done(place), down)
}

/// A replace takes time here, and what is killed is in the middle of many: else nobody would see how many there are at once.
/// Between the look at how many there are and the kill some may end, so it is done until one met enough of them.
fn kill_in_the_middle(place: &Place, controls: &[Control], newest: usize) {
    let set_pace = |pace: Duration| {
        present(controls).for_each(|(_, control)| control.set_pace(pace).expect("simulated"));
    };
    set_pace(PACE);
    let begun = Instant::now();
    let (mut most, mut kills) = (0, 0);
    while most < MANY || kills < KILLS_IN_THE_MIDDLE && !is_done(place) {
        let before = have(controls, newest);
        let daemon = place.watch(&[]);
        while !is_done(place) && (have(controls, newest) == before || unavailable(controls) < MANY)
        {
            assert!(begun.elapsed() < LONGEST, "{MANY} replaces at once never came, {most} did");
            std::thread::sleep(Duration::from_millis(50));
        }
        most = most.max(kill_and_count(place, daemon, controls, newest).1);
        kills += 1;
        let goes_on = most >= MANY || !is_done(place);
        assert!(goes_on, "{most} at once of {kills} kills say nothing of the limit");
    }
    set_pace(Duration::ZERO);
}

#[test]
fn a_process_that_is_killed_twenty_times_keeps_every_limit() {
    let place = Place::new(&[
        ("fleet.toml", &fleet()),
        ("devices/all.toml", &devices()),
        ("deployments/base.toml", &base(1)),
    ]);
    let begun = Instant::now();
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        while !holds() {
            assert!(begun.elapsed() < LONGEST, "it never came: {what}");
            std::thread::sleep(BETWEEN);
        }
    };
    let daemon = place.watch(&[]);
    let last = file(&place, DEVICES - 1);
    until("the engines", &|| last.exists());
    let controls: Vec<Control> = (0..DEVICES)
        .map(|n| {
            Simulated::open(Some(file(&place, n)), id(n).as_str()).expect("an engine").control()
        })
        .collect();
    until("the first commit", &|| controls.iter().all(|control| runs(control) == Some(1)));
    daemon.kill();
    for (number, control) in controls.iter().enumerate() {
        for tag in 2..=5 {
            if fails(number) {
                control.behave(&format!("web:{tag}"), Behaviour::BadCommand).expect("simulated");
            }
        }
        if is_away(number) {
            take_away(&place, number);
        }
    }

    let (mut newest, mut under_way) = (2, 0);
    place.commit(&[("deployments/base.toml", &base(newest))]);
    for kill in 1..=KILLS {
        let before = have(&controls, newest);
        let daemon = place.watch(&[]);
        // A kill is to meet a change, however fast the machine is.
        let patience = Instant::now();
        while have(&controls, newest) == before && patience.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(37 * (kill as u64 % 7)));
        // Commits come to a daemon that is at work.
        if kill % 7 == 0 {
            newest += 1;
            place.commit(&[("deployments/base.toml", &base(newest))]);
            std::thread::sleep(Duration::from_millis(300));
        }
        under_way += usize::from(kill_and_count(&place, daemon, &controls, newest).0);
    }
    assert_eq!(newest, 4);
    assert!(under_way >= UNDER_WAY, "{under_way} kills met a change under way");
    newest += 1;
    place.commit(&[("deployments/base.toml", &base(newest))]);
    kill_in_the_middle(&place, &controls, newest);
    let daemon = place.watch(&[]);
    let has = |number: usize| {
        let wanted = if fails(number) { 1 } else { newest };
        runs(&controls[number]) == Some(wanted)
    };
    until("the end", &|| (0..DEVICES).all(|n| is_away(n) || has(n)) && is_done(&place));
    kill_and_count(&place, daemon, &controls, newest);

    // Those that were away get it when they are back.
    (0..DEVICES).filter(|number| is_away(*number)).for_each(|number| bring_back(&place, number));
    let daemon = place.watch(&[]);
    until("who was away", &|| (0..DEVICES).all(has));
    let rollout = place.store().and_then(|store| kept_rollout(&store).ok()?).expect("a rollout");
    assert_eq!(rollout.standing().state, "done");
    assert_eq!(daemon.stop(), 0);
}

/// Who was in the middle of a replace when the daemon was killed is still there when the next one lets in others.
#[test]
fn a_kill_and_a_newer_commit_keep_the_limit() {
    const LIMIT: usize = 2;
    let ids = ["c1", "c2", "w1", "w2", "w3", "w4"];
    let devices: Vec<String> = ids
        .iter()
        .map(|id| format!("[[device]]\nid = \"{id}\"\ntags.ring = \"{}\"\n", &id[..1]))
        .collect();
    let fleet = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-devices-disrupted = \"100%\"\n\
                 [rollout]\nsoak = \"0s\"\nmax-unavailable = 2\n\
                 [[rollout.phases]]\nname = \"canary\"\ntarget = \"tags.ring = 'c'\"\n";
    let place = Place::new(&[
        ("fleet.toml", fleet),
        ("devices/all.toml", &devices.concat()),
        ("deployments/base.toml", &base(1)),
    ]);
    let folder = place.state_folder().join("engines");
    let daemon = place.watch(&[]);
    place.until("the engines", || ids.iter().all(|id| folder.join(format!("{id}.json")).exists()));
    let control = |id: &&str| {
        let file = folder.join(format!("{id}.json"));
        Simulated::open(Some(file), id).expect("an engine").control()
    };
    let controls: Vec<Control> = ids.iter().map(control).collect();
    let all_run = |image: usize| controls.iter().all(|control| runs(control) == Some(image));
    place.until("the first commit", || all_run(1));
    controls.iter().for_each(|control| control.set_pace(PACE).expect("simulated"));
    let in_a_replace = || {
        let containers =
            |control: &Control| control.observed().expect("an engine").containers.len();
        controls.iter().filter(|control| containers(control) != 1).count()
    };
    place.commit(&[("deployments/base.toml", &base(2))]);
    place.until("the rest", || controls[2..].iter().any(|control| runs(control).is_none()));
    let newest = place.commit(&[("deployments/base.toml", &base(3))]);
    place.until("the newer commit", || place.accepted().as_ref() == Some(&newest));
    daemon.kill();
    assert!(in_a_replace() > 0, "the kill met nobody");
    let _daemon = place.watch(&[]);
    let most = std::cell::Cell::new(0);
    place.until("the end", || {
        most.set(most.get().max(in_a_replace()));
        all_run(3)
    });
    assert!(most.get() <= LIMIT, "{} were in a replace at once", most.get());
}
