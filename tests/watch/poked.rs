//! Somebody wants a device to be tried again at an awkward moment.

use crate::clock::{Shop, id};
use crate::simulated::base;
use hoist::engine::simulated::{Behaviour, CallKind};
use hoist::plan::StepKind;
use hoist::reconcile::Wish;
use std::time::Duration;

#[test]
fn what_is_wanted_during_a_look_is_done_after_it() {
    let shop = Shop::open();
    let Shop { place, two, .. } = &shop;
    let code = || place.device("till-2").map(|device| device.status.code);
    place.until("the first", || code() == Some(200));
    two.behave("web:2", Behaviour::BadCommand).expect("simulated");
    place.commit(&[("deployments/base.toml", &base("2"))]);
    shop.wish(Wish::Fetch);
    place.until("the second fails", || code().is_some_and(|code| code >= 400));
    let tries = || two.count(CallKind::Step(StepKind::Create));
    two.forget_calls();
    two.set_delay(Duration::from_secs(1));
    shop.wish(Wish::Poke(id("till-2")));
    place.until("it is tried once more", || tries() == 1);
    // It fails only after this has come.
    shop.wish(Wish::Poke(id("till-2")));
    std::thread::sleep(Duration::from_millis(500));
    two.set_delay(Duration::ZERO);
    // By itself it is tried again after a minute at the earliest.
    let is_tried = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        tries() == 2
    });
    assert!(is_tried, "what was wanted during the look was lost");
    shop.end();
}
