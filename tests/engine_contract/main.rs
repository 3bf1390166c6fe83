//! One contract suite for both engines: what only one of them passes is a bug in the other.

#![expect(clippy::unwrap_used, reason = "a test that can not go on fails")]

#[expect(dead_code, reason = "shared with other test binaries, each of which uses a part")]
#[path = "../testbed/mod.rs"]
mod testbed;

mod bench;
mod docker_only;
mod files;
mod lifecycle;
mod listening;
mod networks;
mod refusals;

use bench::{Bench, DockerBench, SimulatedBench};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

type CaseFuture<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One case of the contract, by its name.
struct Case {
    name: &'static str,
    run: for<'a> fn(&'a dyn Bench) -> CaseFuture<'a>,
}

macro_rules! cases {
    ($($place:ident :: $case:ident),* $(,)?) => {
        &[$(Case {
            name: stringify!($case),
            run: |bench| Box::pin($place::$case(bench)),
        }),*]
    };
}

const CASES: &[Case] = cases![
    lifecycle::a_container_from_create_to_remove,
    lifecycle::what_a_container_was_made_with_is_told,
    lifecycle::steps_may_be_repeated,
    lifecycle::a_module_that_ends_fails_the_wait,
    lifecycle::a_module_that_may_end_must_end_well,
    lifecycle::a_crash_loop_fails_the_wait_and_ends_with_its_policy,
    lifecycle::a_bad_command_fails_the_start,
    lifecycle::health_decides_where_there_is_a_check,
    lifecycle::a_wait_has_a_deadline,
    lifecycle::paused_by_somebody,
    lifecycle::killed_by_somebody,
    lifecycle::rename_running_repeated_and_taken,
    lifecycle::limits_and_policy_in_place,
    lifecycle::a_restart_keeps_the_container,
    lifecycle::a_stop_with_policy_no_stays_down,
    lifecycle::what_ends_again_and_again_is_told_so_where_it_is_renamed,
    lifecycle::an_engine_that_hangs_gives_no_sign_of_life,
    refusals::bad_bodies_are_refused,
    refusals::names_are_unique,
    refusals::a_create_that_is_made_again_finds_its_own_work,
    refusals::an_image_that_is_not_there,
    refusals::ports_conflict_only_at_start,
    refusals::nothing_is_found_where_nothing_is,
    refusals::secrets_are_put_in_and_never_told,
    refusals::pulls_that_fail,
    networks::networks_are_made_once_and_removed_when_unused,
    networks::more_networks_are_joined_before_and_after_the_start,
    networks::a_network_that_is_gone_fails_the_start,
    networks::a_network_made_again_is_another_one,
    networks::network_modes,
    files::twins_are_written_and_seen,
    files::only_plain_small_files_are_read,
    files::anonymous_volumes_can_be_carried_over,
    files::images_and_their_labels,
    listening::events_tell_what_happens_to_a_fleet,
    listening::events_of_ends_and_restarts,
    listening::logs_have_two_streams_and_an_end,
    listening::logs_are_followed_until_the_container_ends,
];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Runs every case, each on the bench that `make` gives, and tells of all that failed.
fn run_all<'a, B: Bench + 'a>(make: impl Fn(&Case) -> B) {
    let runtime = runtime();
    let mut failed = Vec::new();
    for case in CASES {
        let begun = tokio::time::Instant::now();
        let bench = make(case);
        let run = AssertUnwindSafe(|| runtime.block_on((case.run)(&bench)));
        let passed = std::panic::catch_unwind(run).is_ok();
        println!("{:>6} ms  {}", begun.elapsed().as_millis(), case.name);
        if !passed {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

#[test]
fn the_simulated_engine_keeps_the_contract() {
    run_all(|case| SimulatedBench::new(None, case.name));
}

#[test]
fn the_simulated_engine_keeps_the_contract_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    run_all(|case| {
        SimulatedBench::new(Some(dir.path().join(format!("{}.json", case.name))), case.name)
    });
}

#[test]
fn docker_keeps_the_contract() {
    let Some(engines) = testbed::dockerds(1) else { return };
    let runtime = runtime();
    let guard = runtime.enter();
    run_all(|_| DockerBench::new(&engines[0]));
    drop(guard);
}
