//! The counts of deployments: what is targeted, applied, a success, a failure, pending, stale.

use crate::passes::House;
use hoist::engine::simulated::Behaviour;
use hoist::reconcile::{Counts, fleet_status, label_groups};

const FIRST: &str = "[tags]\nenvironment = \"prod\"\n[[device]]\nid = \"a0\"\n[[device]]\nid = \"a1\"\n\
    [[device]]\nid = \"a2\"\n[[device]]\nid = \"a3\"\n[[device]]\nid = \"a4\"\n[[device]]\nid = \"a5\"\n\
    [[device]]\nid = \"a6\"\n[[device]]\nid = \"a7\"\n[[device]]\nid = \"a8\"\n[[device]]\nid = \"a9\"\n";
/// Tagged as the first ten, and not reached yet.
const LATER: &str = "[tags]\nenvironment = \"prod\"\n[[device]]\nid = \"b0\"\n\
    [[device]]\nid = \"b1\"\n[[device]]\nid = \"b2\"\n[[device]]\nid = \"b3\"\n[[device]]\nid = \"b4\"\n";
const BASE: &str = "target = \"tags.environment = 'prod'\"\npriority = 10\n[labels]\nteam = \"lifts\"\n\
    [modules.web]\nimage = \"web:1\"\n";

fn house() -> House {
    let mut house = House::new();
    house.write("devices/d1.toml", "[tags]\nenvironment = \"test\"\n");
    house.write("devices/d2.toml", FIRST);
    house.write("deployments/base.toml", BASE);
    house
}

fn counts(house: &House, stale_after: Option<i64>, id: &str) -> Counts {
    let status = house.with_status_input(stale_after, fleet_status);
    status.deployments.iter().find(|d| d.id.as_str() == id).expect("a deployment").counts
}

fn crashes(house: &mut House, device: &str, image: &str, module: &str) {
    let control = house.control(device);
    control.behave(image, Behaviour::Ends { code: 3, after: 2_000 }).expect("told");
    control.kill(module, 3).expect("it ran");
    control.advance(hoist::model::Duration::seconds(30)).expect("time goes on");
    // The clock of the simulated engines began at another time than this one.
    house.now = control.now().expect("a moment").seconds;
    house.apply(0);
}

/// Ten devices are tagged prod, then five more that are not reached yet.
#[test]
fn fifteen_are_targeted_ten_succeed_none_fails_and_five_are_pending() {
    let mut house = house();
    house.apply(0);
    house.apply(5);
    let ten = Counts { targeted: 10, applied: 10, success: 10, ..Counts::default() };
    assert_eq!(counts(&house, None, "base"), ten);
    house.write("devices/later.toml", LATER);
    let fifteen =
        Counts { targeted: 15, applied: 15, success: 10, failure: 0, pending: 5, stale: 0 };
    assert_eq!(counts(&house, None, "base"), fifteen, "before anybody looked");
    ["b0", "b1", "b2", "b3", "b4"].iter().for_each(|device| house.take_away(device));
    house.apply(60);
    assert_eq!(counts(&house, Some(900), "base"), fifteen, "nor when somebody did");
}

#[test]
fn a_module_that_crashes_again_and_again_is_a_failure() {
    let mut house = house();
    house.apply(0);
    house.apply(5);
    crashes(&mut house, "a3", "web:1", "web");
    let counts = counts(&house, None, "base");
    assert_eq!((counts.success, counts.failure, counts.pending), (9, 1, 0), "{counts:?}");
}

#[test]
fn who_was_not_seen_lately_is_neither_a_success_nor_a_failure() {
    let mut house = house();
    house.apply(0);
    house.apply(5);
    house.take_away("a0");
    for _ in 0..3 {
        house.apply(200);
    }
    let all = |house: &House, stale_after| {
        let Counts { success, failure, pending, stale, .. } = counts(house, stale_after, "base");
        (success, failure, pending, stale)
    };
    assert_eq!(all(&house, Some(900)), (9, 0, 1, 0), "not yet");
    assert_eq!(all(&house, Some(300)), (9, 0, 0, 1));
    let status = house.with_status_input(Some(300), fleet_status);
    let stale: Vec<&str> =
        status.devices.iter().filter(|d| d.stale).map(|d| d.id.as_str()).collect();
    assert_eq!(stale, ["a0"]);
    house.now += 10_000;
    assert_eq!(all(&house, Some(300)), (0, 0, 0, 10), "nobody looked for long");
    assert_eq!(all(&house, None), (9, 0, 1, 0), "nobody promised to look");
}

/// By a label a device counts once, as what is gravest there.
#[test]
fn a_device_counts_once_in_the_group_of_a_label() {
    let mut house = house();
    house.write(
        "deployments/extra.toml",
        "kind = \"layered\"\ntarget = \"deviceId = 'a1' OR deviceId = 'a2'\"\npriority = 20\n\
         [labels]\nteam = \"lifts\"\n[modules.extra]\nimage = \"extra:1\"\n",
    );
    house.write(
        "deployments/test.toml",
        "target = \"tags.environment = 'test'\"\npriority = 5\n[modules.web]\nimage = \"web:1\"\n",
    );
    house.apply(0);
    house.apply(5);
    crashes(&mut house, "a1", "extra:1", "extra");
    let groups = house.with_status_input(None, |input| label_groups(input, "team", &|_| true));
    let shown: Vec<_> =
        groups.iter().map(|g| (g.value.as_deref(), g.deployments.len(), g.counts)).collect();
    let lifts = Counts { targeted: 10, applied: 10, success: 9, failure: 1, ..Counts::default() };
    let others = Counts { targeted: 1, applied: 1, success: 1, ..Counts::default() };
    assert_eq!(shown, [(Some("lifts"), 2, lifts), (None, 1, others)]);
}
