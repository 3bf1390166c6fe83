//! Two control hosts at work on one device at the same moment: that is told as what it is, and is no fault of the change.

use crate::passes::House;
use hoist::apply::Outcome;
use hoist::engine::simulated::Behaviour;
use hoist::model::DeviceId;

fn base(image: &str) -> String {
    format!("target = \"*\"\n[modules.web]\nimage = \"web:{image}\"\n")
}

/// Both want the same of the device; the second one does it between the look and the first step of the first one.
fn crossed(house: &mut House, second: &mut House, image: &str) -> Vec<String> {
    house.write("deployments/base.toml", &base(image));
    second.write("deployments/base.toml", &base(image));
    let ran = house.apply_after(60, || {
        second.apply(60);
    });
    let run = &ran[&DeviceId::parse("d1").unwrap()].run;
    run.outcomes.values().filter_map(Outcome::failure).collect()
}

/// Two control hosts that know the same device: the one whose id comes first, and the other one.
fn two_houses() -> (House, House) {
    let mut one = House::new();
    one.apply(0);
    let mut two = one.beside();
    two.apply(0);
    let is_first = one.store().control() < two.store().control();
    if is_first { (one, two) } else { (two, one) }
}

/// Else both would leave the device alone.
#[test]
fn of_two_that_cross_each_other_the_first_goes_on_when_the_other_one_has_stopped() {
    let (mut first, mut second) = two_houses();
    let has_stopped = |house: &House| house.words("d1").1.contains("undid or crossed");
    for image in ["2", "3", "4"] {
        assert!(!crossed(&mut first, &mut second, image).is_empty());
        first.apply(5);
        assert_eq!(first.words("d1").0, 200, "{image}: {:?}", first.words("d1"));
    }
    for image in ["5", "6", "7"] {
        assert!(!crossed(&mut second, &mut first, image).is_empty());
        second.apply(5);
    }
    assert!(has_stopped(&second), "{:?}", second.words("d1"));
    first.write("deployments/base.toml", &base("8"));
    first.apply(60);
    assert_eq!(first.words("d1").0, 200);
}

#[test]
fn work_that_another_control_host_crosses_is_told_so_and_stops_after_the_third_time() {
    let (mut second, mut house) = two_houses();
    let by = second.store().control().to_owned();
    for image in ["2", "3", "4"] {
        let failures = crossed(&mut house, &mut second, image);
        let words = format!("another control host ({by}) works on this device at the same time: ");
        assert!(failures.iter().any(|failure| failure.starts_with(&words)), "{failures:?}");
        let (code, said) = house.words("d1");
        assert_eq!(code, 409, "no failure of the change: {said}");
        assert!(said.contains(&words), "{said}");
        let d1 = DeviceId::parse("d1").unwrap();
        let memory = house.store().memories().unwrap().remove(&d1).unwrap();
        assert!(memory.modules.values().all(|module| module.failed.is_none()), "{memory:?}");
        if image != "4" {
            house.apply(5);
            assert_eq!(house.words("d1").0, 200, "the other one did the same");
        }
    }
    house.apply(5);
    let (code, said) = house.words("d1");
    assert_eq!(code, 409);
    assert!(said.contains(&format!("another control host ({by}) undid or crossed")), "{said}");
    assert!(said.contains("hoist apply --take-over --device d1"), "{said}");
    let changes = house.control("d1").changes().len();
    house.write("deployments/base.toml", &base("5"));
    house.apply(60);
    assert_eq!(house.control("d1").changes().len(), changes, "it is left alone");
}

#[test]
fn what_fails_by_itself_beside_another_control_host_is_a_failure() {
    let mut house = House::new();
    house.apply(0);
    let mut second = house.beside();
    house.control("d1").behave("web:2", Behaviour::Ends { code: 3, after: 0 }).unwrap();
    let failures = crossed(&mut house, &mut second, "2");
    assert!(!failures.is_empty());
    house.apply(600);
    assert_eq!(house.words("d1").0, 500, "{:?}", house.words("d1"));
}

/// A store that was lost was another control host once: what it made is this one's, and who takes it away is anybody.
#[test]
fn what_a_lost_store_made_and_somebody_removes_is_no_other_control_hosts_work() {
    let mut lost = House::new();
    lost.apply(0);
    let mut house = lost.beside();
    house.apply(60);
    house.write("deployments/base.toml", &base("2"));
    let by_hand = lost.control("d1");
    let ran = house.apply_after(60, || {
        by_hand.remove("web").unwrap();
    });
    let d1 = DeviceId::parse("d1").unwrap();
    let failures: Vec<String> =
        ran[&d1].run.outcomes.values().filter_map(Outcome::failure).collect();
    assert!(!failures.is_empty(), "it was in the middle of a change");
    assert!(failures.iter().all(|words| !words.contains("another control host")), "{failures:?}");
    house.apply(600);
    assert_eq!(house.words("d1").0, 200, "{:?}", house.words("d1"));
    let memory = house.store().memory(&d1).unwrap();
    assert!(memory.control.crossed.is_empty(), "{memory:?}");
}
