//! Devices that somebody wants to be brought to what counts, over ends of the daemon, days, and changes of the fleet.

use crate::by_hand::done;
use crate::place::Place;
use crate::simulated::{TILLS, all_have, shop};
use hoist::model::{DeviceId, Timestamp};
use hoist::store::{BringWish, Store};
use std::time::Duration;

pub(crate) fn id(name: &str) -> DeviceId {
    DeviceId::parse(name).expect("an id")
}

/// As after a day on which another control host undid everything again and again.
pub(crate) fn left_to_another(store: &Store, device: &DeviceId) {
    let mut memory = store.memory(device).expect("read");
    (memory.control.stopped, memory.control.by) = (true, Some("00ff".to_owned()));
    store.remember(device, &memory).expect("written");
}

fn is_stopped(store: &Store, device: &DeviceId) -> bool {
    store.memory(device).expect("read").control.stopped
}

/// What was taken over, and what became of that.
fn taken_over(store: &Store) -> Vec<(String, String)> {
    let history = store.history(&Default::default()).expect("read");
    let entries = history.into_iter().filter(|entry| entry.action == "take over");
    entries.map(|entry| (entry.who, entry.outcome)).collect()
}

fn take_over(device: &str, said: Timestamp) -> BringWish {
    let (device, who) = (id(device), "ada".to_owned());
    BringWish { device, take_over: true, named: true, who, said, told: false }
}

/// A shop in which the first commit has gone out, and no daemon works.
fn shop_at_rest() -> (Place, Store) {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(daemon.stop(), 0);
    let store = place.store_to_write();
    (place, store)
}

/// The look that does it is still about to find out what the device runs: then nothing is done, and nothing forgotten.
#[test]
fn what_a_daemon_was_about_to_do_when_it_was_ended_the_next_one_does() {
    let (place, store) = shop_at_rest();
    let till = id("till-1");
    left_to_another(&store, &till);
    let (asked, hold) = (place.path("asked"), place.path("hold"));
    let command = format!(
        "touch {}; while [ -e {} ]; do sleep 0.05; done; echo sesame",
        asked.display(),
        hold.display()
    );
    let secret = format!("[secrets.word]\npassword = {{ command = \"{command}\" }}\n");
    std::fs::write(place.path("hoist.toml"), secret).expect("written");
    std::fs::write(&hold, "").expect("written");
    done(&place, &["pause", "till-1", "--reason", "a lift is serviced"]);
    let door = "target = \"deviceId = 'till-1'\"\npriority = 20\n[modules.door]\nimage = \"door:1\"\n\
                env = { WORD = { secret = \"word\" } }\n[modules.web]\nimage = \"web:1\"\n";
    let revision = place.commit(&[("deployments/door.toml", door)]);
    let daemon = place.watch(&[]);
    place.until("it counts", || place.accepted().as_ref() == Some(&revision));
    let status = || place.device("till-1").map(|device| device.status).expect("known");
    place.until("it is paused", || status().description.contains("a lift is serviced"));
    done(&place, &["apply", "--take-over", "--device", "till-1", "--yes"]);
    place.until("the daemon heard of it", || !taken_over(&store).is_empty());
    assert!(!asked.exists());
    done(&place, &["resume", "till-1"]);
    place.until("a look has begun", || asked.exists());
    let ended = std::thread::scope(|scope| {
        let ended = scope.spawn(|| daemon.stop());
        let log = || std::fs::read_to_string(place.path("log")).unwrap_or_default();
        place.until("it is ending", || log().matches("ending: steps in flight").count() == 2);
        std::fs::remove_file(&hold).expect("removed");
        ended.join().expect("it ended")
    });
    assert_eq!(ended, 0);
    assert!(is_stopped(&store, &till), "it was not done");
    assert_eq!(store.brings().expect("read").len(), 1, "and is wanted still");

    let _daemon = place.watch(&[]);
    place.until("it is looked after again", || place.has("till-1", "door:1"));
    place.until("nothing is left to do", || store.brings().is_ok_and(|brings| brings.is_empty()));
    assert!(!is_stopped(&store, &till));
    assert_eq!(taken_over(&store).len(), 1);
}

/// Whoever said it may have handed the device over on purpose since.
#[test]
fn what_could_not_be_done_for_a_day_is_not_done() {
    let (place, store) = shop_at_rest();
    let till = id("till-1");
    left_to_another(&store, &till);
    let said = Timestamp { seconds: Place::now().seconds - 86_400 };
    store.wish_brought(&[take_over("till-1", said)]).expect("written");
    let _daemon = place.watch(&[]);
    place
        .until("it is left alone", || place.device("till-1").is_some_and(|d| d.status.code == 409));
    place.until("it is told", || !taken_over(&store).is_empty());
    assert_eq!(taken_over(&store), [("ada".to_owned(), "not done within 24 h".to_owned())]);
    assert_eq!(store.brings().expect("read"), []);
    std::thread::sleep(Duration::from_secs(1));
    assert!(is_stopped(&store, &till));
}

/// What is wanted of a device that is not reached goes with it: to its new id, and away with it.
#[test]
fn what_is_wanted_of_a_device_goes_where_the_device_goes() {
    let (place, store) = shop_at_rest();
    for name in ["till-1", "till-2"] {
        left_to_another(&store, &id(name));
        done(&place, &["pause", name, "--reason", "a lift is serviced"]);
    }
    let _daemon = place.watch(&[]);
    for name in ["till-1", "till-2"] {
        done(&place, &["apply", "--take-over", "--device", name, "--yes"]);
    }
    place.until("the daemon heard of it", || taken_over(&store).len() == 2);
    let renamed = TILLS.replace("id = \"till-1\"", "id = \"front\"\nformerly = [\"till-1\"]");
    let revision = place.commit(&[("devices/tills.toml", &renamed)]);
    place.until("it counts", || place.accepted().as_ref() == Some(&revision));
    let wanted = || {
        let brings = store.brings().expect("read");
        brings.into_iter().map(|wish| wish.device.to_string()).collect::<Vec<_>>()
    };
    place.until("by its new id", || wanted() == ["front", "till-2"]);
    store.forget_device(&id("till-2")).expect("written");
    assert_eq!(wanted(), ["front"]);
    done(&place, &["resume", "front"]);
    done(&place, &["resume", "till-2"]);
    place.until("it is looked after again", || {
        place.device("front").is_some_and(|device| device.status.code == 200)
    });
    place.until("nothing is left to do", || wanted().is_empty());
    assert!(!is_stopped(&store, &id("front")));
    assert_eq!(taken_over(&store).len(), 2);
}

/// Without a daemon it is done at once, and nobody does it once more.
#[test]
fn what_is_done_without_a_daemon_is_wanted_no_more() {
    let (place, store) = shop_at_rest();
    for name in ["till-1", "till-2"] {
        left_to_another(&store, &id(name));
    }
    let both = [take_over("till-1", Place::now()), take_over("till-2", Place::now())];
    store.wish_brought(&both).expect("written");
    let fleet = place.fleet().display().to_string();
    done(&place, &["-C", &fleet, "apply", "--take-over", "--device", "till-1", "--yes"]);
    assert!(!is_stopped(&store, &id("till-1")));
    let brings = store.brings().expect("read");
    assert_eq!(brings.iter().map(|wish| wish.device.as_str()).collect::<Vec<_>>(), ["till-2"]);
}
