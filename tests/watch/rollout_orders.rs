//! What people want of a rollout is done once, whatever becomes of the store or the daemon meanwhile.

use crate::by_hand::{done, hoist};
use crate::http::get;
use crate::place::Place;
use crate::rollouts::{ALL, REFUSED, actions, all_have, base, order, rollout, shop, state};
use crate::truth::engine;

/// Some of what the daemon writes can't be written.
pub(crate) fn refuse(place: &Place, action: &str) {
    let words = format!(
        "CREATE TRIGGER full BEFORE INSERT ON history WHEN NEW.action = '{action}' \
         BEGIN SELECT RAISE(FAIL, 'no room'); END"
    );
    on_the_store(place, &words);
}

pub(crate) fn on_the_store(place: &Place, words: &str) {
    let file = place.state_folder().join("state.db");
    let store = rusqlite::Connection::open(file).expect("the store");
    store.busy_timeout(std::time::Duration::from_secs(30)).expect("set");
    store.execute_batch(words).expect(words);
}

pub(crate) fn log(place: &Place) -> String {
    std::fs::read_to_string(place.path("log")).unwrap_or_default()
}

#[test]
fn an_order_that_can_not_be_written_down_is_obeyed_when_it_can() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    refuse(&place, "rollout abort");
    assert!(order(&place, "abort").0);
    place.until("the daemon can't", || log(&place).contains("no room"));
    assert_eq!(state(&place), "running");
    on_the_store(&place, "DROP TRIGGER full");
    place.until("it is obeyed", || all_have(&place, &ALL, "web:1"));
    assert_eq!(state(&place), "rolled back");

    // Nor is it lost with the daemon that was told.
    refuse(&place, "rollout retry");
    assert!(order(&place, "retry").0);
    let tries = || log(&place).matches("no room").count();
    place.until("the daemon can't", || tries() > 1);
    daemon.kill();
    on_the_store(&place, "DROP TRIGGER full");
    let _daemon = place.watch(&[]);
    place.until("the next one obeys", || place.has("canary-1", "web:2"));
    let told = |wanted: &str| actions(&place).iter().filter(|(a, _)| a == wanted).count();
    assert_eq!((told("rollout abort"), told("rollout retry")), (1, 1), "once each");
    assert!(place.store().expect("a store").rollout_orders().expect("readable").is_empty());
}

/// Whoever asks the store that came in its place would hear something else than what goes on, and order nothing.
#[test]
fn a_daemon_whose_store_is_taken_away_ends_and_says_why() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        std::fs::remove_file(place.state_folder().join(file)).expect("it is there");
    }
    let (code, words) = daemon.ends();
    assert_eq!(code, 1);
    assert!(words.contains("state.db was deleted or replaced while it was in use"), "{words}");
    let _daemon = place.watch(&[]);
    place.until("the next one knows what runs", || {
        state(&place) == "running" && place.has("canary-1", "web:2")
    });
}

/// What the daemon before wrote of moments to come is over when it was down meanwhile.
#[test]
fn no_moment_is_promised_that_nobody_keeps() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    let reason = || rollout(&place)["reason"].as_str().unwrap_or_default().to_owned();
    let soaks = || reason().starts_with("canary soaks until ");
    place.until("it soaks", soaks);
    let promised = reason();
    daemon.kill();
    assert!(reason().starts_with("canary has to soak "), "{}", reason());
    assert!(reason().contains("; no daemon works on this store: nothing goes on"), "{}", reason());
    std::thread::sleep(std::time::Duration::from_secs(2));
    let begun = Place::now().seconds;
    let _daemon = place.watch(&[]);
    place.until("another moment", || soaks() && reason() != promised);
    assert!(Place::now().seconds - begun < 12, "it is said as soon as it is known");
}

#[test]
fn a_rollout_that_does_not_begin_as_its_commit_is_held_is_not_called_no_change() {
    let place = shop("1h");
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    assert!(order(&place, "status").1.contains("nothing has changed yet"));
    place.commit(&[("deployments/base.toml", "target = 5\n")]);
    place.until("held", || place.held().is_some());
    let shown = order(&place, "status").1;
    assert_eq!(shown, "no rollout: the newest commit is held; `hoist status` says why\n");
}

/// What failed and is mended is nothing to worry about, and a retry of it would only begin the phases anew.
#[test]
fn what_is_mended_is_not_called_failed() {
    let place = shop("1h");
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2", REFUSED))]);
    place.until("back", || state(&place) == "rolled back" && place.has("canary-1", "web:1"));
    let shown = order(&place, "status").1;
    assert!(shown.contains("  not tried again until it changes"), "{shown}");
    assert!(shown.contains("  next: the next commit that changes devices; `hoist rollout retry`"));
    let address = crate::http::address(&place);
    let back = "<h1 class=\"standing\">The last change went back</h1>";
    place.until("the page says so", || get(&address, "/").body.contains(back));
    let page = get(&address, "/").body;
    let before = place.git(&["rev-parse", "HEAD~1"]);
    assert!(page.contains(&format!("in force <code>{}</code>", &before[..7])), "{page}");
    assert!(!page.contains("nobody let in yet"), "{page}");
    let (done, words) = order(&place, "promote");
    assert!(!done && words.contains("it has gone back already: `retry` tries it again"), "{words}");
    place.commit(&[("deployments/base.toml", &base("3", ""))]);
    place.until("the canary", || place.has("canary-1", "web:3") && state(&place) == "running");
    let shown = order(&place, "status").1;
    assert!(!shown.contains("not tried again"), "{shown}");
    let (done, words) = order(&place, "retry");
    assert!(!done && words.contains("nothing has failed or gone back"), "{words}");
    assert!(order(&place, "pause").0);
    place.until("paused", || state(&place) == "paused");
    let shown = order(&place, "status").1;
    assert!(shown.contains("  next: `hoist rollout resume` goes on"), "{shown}");
    let paused = "<h1 class=\"standing\">A change is paused: 1 of 4 devices have it</h1>";
    place.until("the page says so", || get(&address, "/").body.contains(paused));
}

/// What somebody pinned waits for nothing: what is wrong with it is wrong now.
#[test]
fn doctor_does_not_excuse_a_pinned_device_by_a_rollout() {
    let place = shop("1h");
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, &ALL, "web:1"));
    done(&place, &["pin", "HEAD", "--device", "shop-1"]);
    place.commit(&[("deployments/base.toml", &base("2", ""))]);
    place.until("the canary", || place.has("canary-1", "web:2"));
    daemon.stop();
    let fleet = place.fleet().display().to_string();
    let doctor = || hoist(&place, &["doctor", "shop-1", "--simulate", "-C", &fleet]);
    assert!(doctor().out.contains("all run as they should"), "{}", doctor().out);
    engine(&place, "shop-1").control().remove("web").expect("it is there");
    let said = doctor();
    assert!(said.out.contains(" from what ") && said.out.contains("pinned by"), "{}", said.out);
    assert!(!said.out.contains("its turn has not come"), "{}", said.out);

    // What git does not have can't be compared, and a pause is told all the same.
    done(&place, &["pause", "shop-1", "--reason", "new cables"]);
    let no_more = "0123456789012345678901234567890123456789";
    on_the_store(
        &place,
        &format!("UPDATE orders SET revision = '{no_more}' WHERE revision IS NOT NULL"),
    );
    let said = doctor();
    assert_eq!(said.code, 5, "{}", said.out);
    assert!(
        said.out.contains("which can't be had") && said.out.contains("new cables"),
        "{}",
        said.out
    );
}
