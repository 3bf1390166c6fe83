//! A new module beside one that goes may be its successor under another name: until it has come up, what goes stays.

use crate::back::lines;
use crate::block_on;
use crate::hanging::Hanging;
use crate::world::{Cut, World, manifest};
use hoist::apply::{Pace, run_device};
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::engine::{Engine as _, EngineError, EngineErrorKind, SecretValues};
use hoist::model::HashedManifest;
use hoist::plan::{ContainerRef, Step, StepKind};
use std::sync::{Arc, Mutex};

pub(crate) const SHARED: &str = "volumes = [\"data:/d\"]";
pub(crate) const PORT: &str = "ports = [\"8080:80\"]";
pub(crate) const CHECKED: &str =
    "health = { command = [\"CMD\", \"ok\"], interval = \"5s\", retries = 1 }";
pub(crate) const ENDS: Behaviour = Behaviour::Ends { code: 3, after: 2_000 };

pub(crate) fn only(module: &str, more: &[&str]) -> Arc<HashedManifest> {
    let more = more.join("\n");
    manifest(&format!("target = \"*\"\n[modules.{module}]\nimage = \"{module}:1\"\n{more}\n"))
}

pub(crate) fn policy_of(world: &World, name: &str) -> String {
    let seen = world.control().observed().unwrap();
    let id = &seen.containers.iter().find(|c| c.name == name).unwrap().id;
    world.control().restart_policy(id).unwrap()
}

/// What fails goes, what was there runs on alone, and stays however often it is tried.
#[test]
fn a_new_module_that_fails_leaves_what_it_would_follow() {
    let cases: [(&[&str], Behaviour); 5] = [
        (&[SHARED], ENDS),
        (&[PORT], ENDS),
        (&[SHARED, CHECKED], Behaviour::Unhealthy),
        (&[SHARED, "restart-policy = \"on-failure\""], ENDS),
        // They have nothing in common that could be seen.
        (&[], ENDS),
    ];
    block_on(async {
        for (more, behaviour) in cases {
            let mut world = World::new();
            world.pass(&only("former", &more[..more.len().min(1)]), None).await;
            let next = only("next", more);
            world.control().behave("next:1", behaviour.clone()).unwrap();
            for _ in 0..3 {
                let pass = world.pass(&next, None).await;
                assert!(pass.failed(), "{more:?} {behaviour:?}: {:#?}", pass.plan.works);
                assert_eq!(world.containers().await, ["former running former:1"], "{more:?}");
                // It is not tried over and over, and nothing goes meanwhile.
                let plan = world.plan(&next).await;
                assert!(plan.works.is_empty(), "{more:?}: {:#?}", plan.works);
                assert_eq!(plan.blocked.len(), 1, "{more:?}");
                assert_eq!(plan.held_back.len(), 1, "{more:?}");
                assert!(plan.due.is_some(), "{more:?}");
                world.wait(3700);
            }
            world.control().behave("next:1", Behaviour::Runs).unwrap();
            assert!(!world.pass(&next, None).await.failed());
            assert_eq!(world.containers().await, ["next running next:1"], "{more:?}");
            assert!(world.plan(&next).await.works.is_empty());
        }
    });
}

/// What was there already, stopped, and is started in the place of another goes down again if it does not come up.
#[test]
fn a_module_that_does_not_start_is_stopped_before_what_made_room_starts_again() {
    let both = |next: &str, former: &str| {
        manifest(&format!(
            "target = \"*\"\n[modules.next]\nimage = \"next:1\"\n{SHARED}\n{next}\n{former}"
        ))
    };
    let former = format!("[modules.former]\nimage = \"former:1\"\n{SHARED}\n");
    block_on(async {
        let mut world = World::new();
        world.pass(&both("status = \"stopped\"", &former), None).await;
        assert_eq!(world.containers().await, ["former running former:1", "next created next:1"]);
        world.control().behave("next:1", ENDS).unwrap();
        let next = both("", "");
        assert!(world.pass(&next, None).await.failed());
        assert_eq!(world.containers().await, ["former running former:1", "next exited next:1"]);
        assert_eq!(policy_of(&world, "next"), "no");
        // The former is not stopped for it over and over.
        let plan = world.plan(&next).await;
        let stops = plan.works.iter().flat_map(|work| &work.steps);
        assert!(
            !stops.into_iter().any(|step| matches!(step, Step::Stop { .. })),
            "{:?}",
            lines(&plan)
        );
        world.control().behave("next:1", Behaviour::Runs).unwrap();
        world.wait(3700);
        assert!(!world.pass(&next, None).await.failed());
        assert_eq!(world.containers().await, ["next running next:1"]);
    });
}

/// Also where the run is killed while it takes that back: a job that was stopped did not end by itself.
#[test]
fn a_job_that_made_way_again_runs_whenever_its_run_was_cut_off() {
    let never = "restart-policy = \"never\"";
    let former = format!("[modules.former]\nimage = \"former:1\"\n{SHARED}\n");
    let both = |next: &str, former: &str| {
        manifest(&format!(
            "target = \"*\"\n[modules.next]\nimage = \"next:1\"\n{SHARED}\n{CHECKED}\n{never}\n{next}\n{former}"
        ))
    };
    block_on(async {
        for call in 0.. {
            let mut world = World::new();
            world.pass(&both("status = \"stopped\"", &former), None).await;
            world.control().behave("next:1", Behaviour::Unhealthy).unwrap();
            let next = both("", "");
            let cut = Cut { call, after: true, gently: false };
            if !world.pass(&next, Some(cut)).await.was_cut {
                assert!(call > 6, "it was cut off while it took back too");
                return;
            }
            world.control().behave("next:1", Behaviour::Runs).unwrap();
            for _ in 0..3 {
                world.wait(700);
                world.pass(&next, None).await;
            }
            assert_eq!(world.containers().await, ["next running next:1"], "cut off at {call}");
        }
    });
}

/// The run that made it was killed before it had come up: nothing goes until it has.
#[test]
fn what_no_run_has_seen_come_up_takes_nobodys_place() {
    block_on(async {
        for behaviour in [ENDS, Behaviour::Unhealthy] {
            let mut world = World::new();
            world.pass(&only("former", &[SHARED]), None).await;
            let next = only("next", &[SHARED, CHECKED]);
            world.control().behave("next:1", behaviour).unwrap();
            let plan = world.plan(&next).await;
            let steps = plan.works.iter().flat_map(|work| &work.steps);
            let wait = steps.into_iter().position(|step| matches!(step, Step::WaitRunning { .. }));
            let cut = Cut { call: wait.unwrap(), after: false, gently: false };
            assert!(world.pass(&next, Some(cut)).await.was_cut);
            world.wait(20);
            for _ in 0..3 {
                assert!(world.pass(&next, None).await.failed());
                assert_eq!(world.containers().await, ["former running former:1"]);
                assert_eq!(policy_of(&world, "former"), "always");
                let plan = world.plan(&next).await;
                assert!(plan.works.is_empty(), "{:?}", lines(&plan));
                world.wait(3700);
            }
            world.control().behave("next:1", Behaviour::Runs).unwrap();
            world.wait(700);
            for _ in 0..2 {
                world.pass(&next, None).await;
                world.wait(700);
            }
            assert_eq!(world.containers().await, ["next running next:1"]);
        }
    });
}

/// A run that is killed at any call leaves what made room to the next one, which starts it again where what came fails; so
/// does one whose engine was not reached any more.
#[test]
fn what_a_run_that_was_cut_stopped_runs_again_where_what_came_fails() {
    block_on(async {
        for more in
            [&[SHARED][..], &[PORT], &[PORT, "restart-policy = \"never\""], &[PORT, CHECKED]]
        {
            for behaviour in [ENDS, Behaviour::BadCommand, Behaviour::Unhealthy] {
                for second in [false, true] {
                    cut_everywhere(more, &behaviour, second).await;
                }
            }
        }
    });
}

async fn cut_everywhere(more: &[&str], behaviour: &Behaviour, second: bool) {
    let (former, next) = (only("former", &more[..1]), only("next", more));
    for call in 0.. {
        let mut was_cut = false;
        for after in [false, true] {
            let mut world = World::new();
            world.pass(&former, None).await;
            world.control().behave("next:1", behaviour.clone()).unwrap();
            let cut = |call| Some(Cut { call, after, gently: false });
            was_cut |= world.pass(&next, cut(call)).await.was_cut;
            if second {
                world.wait(5);
                world.pass(&next, cut(call % 3)).await;
            }
            let about =
                format!("{more:?} {behaviour:?}, cut at {call}, after it: {after}, {second}");
            world.wait(20);
            let pass = world.pass(&next, None).await;
            let done = || format!("{:?}\n{:#?}", lines(&pass.plan), pass.outcomes);
            let there = world.containers().await;
            let fails = !matches!(behaviour, Behaviour::Unhealthy) || more.contains(&CHECKED);
            if fails {
                assert_eq!(there, ["former running former:1"], "{about}: {}", done());
                assert_eq!(policy_of(&world, "former"), "always", "{about}");
            }
            world.control().behave("next:1", Behaviour::Runs).unwrap();
            world.wait(3700);
            assert!(!world.pass(&next, None).await.failed(), "{about}");
            assert_eq!(world.containers().await, ["next running next:1"], "{about}");
            assert!(world.plan(&next).await.works.is_empty(), "{about}");
            assert!(world.memory.half_done == Default::default(), "{about}");
        }
        if !was_cut {
            assert!(call > 5, "only {call} calls");
            return;
        }
    }
}

/// What fails and can't be taken back at once is so by the next run, also in its pause.
#[test]
fn what_could_not_be_taken_back_is_so_by_the_next_run() {
    block_on(async {
        let mut world = World::new();
        world.pass(&only("former", &[PORT]), None).await;
        world.control().behave("next:1", ENDS).unwrap();
        let next = only("next", &[PORT]);
        let refusal = || Fault::Fail(EngineError::new(EngineErrorKind::Refused, "server error"));
        for _ in 0..2 {
            let control = world.control();
            control.fault_next(CallKind::Step(StepKind::Start), Fault::TimeOut { done: true });
            control.fault_next(CallKind::Step(StepKind::Remove), refusal());
            control.fault_next(CallKind::Step(StepKind::Start), refusal());
            assert!(world.pass(&next, None).await.failed());
            let there = world.containers().await;
            assert_eq!(there, ["former exited former:1", "next running next:1"]);
            let pass = world.pass(&next, None).await;
            let there = world.containers().await;
            assert_eq!(there, ["former running former:1"], "{:?}", lines(&pass.plan));
            assert_eq!(policy_of(&world, "former"), "always");
            world.wait(3700);
        }
    });
}

/// What stood stopped, or was stopped by somebody, is nothing that a run has to start.
#[test]
fn nobody_elses_stop_is_taken_back() {
    let former = |more: &[&str]| only("former", &[&[SHARED], more].concat());
    let next = only("next", &[SHARED]);
    block_on(async {
        // It was down before.
        let mut world = World::new();
        world.pass(&former(&["status = \"stopped\""]), None).await;
        world.control().behave("next:1", ENDS).unwrap();
        assert!(world.pass(&next, Some(Cut { call: 4, after: true, gently: false })).await.was_cut);
        world.wait(20);
        for _ in 0..3 {
            world.pass(&next, None).await;
            assert_eq!(world.containers().await, ["former created former:1"]);
            world.wait(700);
        }
        // It was started again, and then somebody stopped it.
        let mut world = World::new();
        world.pass(&former(&[]), None).await;
        world.control().behave("next:1", ENDS).unwrap();
        let cut = Some(Cut { call: 5, after: true, gently: false });
        assert!(world.pass(&next, cut).await.was_cut);
        world.wait(20);
        assert!(world.pass(&next, None).await.failed());
        assert_eq!(world.containers().await, ["former running former:1"]);
        world.stop("former").await;
        for _ in 0..3 {
            world.wait(700);
            world.pass(&next, None).await;
            assert_eq!(world.containers().await, ["former exited former:1"]);
        }
    });
}

/// What goes waits for one that is there and does not start, in its pauses too; not for one that ended and is not started.
#[test]
fn what_goes_waits_for_one_that_does_not_start_in_its_pauses_too() {
    let both = |next: &str, former: &str| {
        let text = "[modules.next]\nimage = \"next:1\"";
        manifest(&format!("target = \"*\"\n{text}\n{next}\n{former}"))
    };
    let former = "[modules.former]\nimage = \"former:1\"\n";
    block_on(async {
        let mut world = World::new();
        world.pass(&both("", former), None).await;
        world.control().behave("next:1", Behaviour::BadCommand).unwrap();
        world.stop("next").await;
        let mut in_pause = 0;
        for wait in [0, 1, 5, 20, 7, 100, 700, 1] {
            world.wait(wait);
            let pass = world.pass(&both("", ""), None).await;
            in_pause += usize::from(pass.plan.works.is_empty());
            let there = world.containers().await;
            assert_eq!(there, ["former running former:1", "next exited next:1"], "{wait}");
        }
        assert!(in_pause > 2, "{in_pause}");
        world.control().behave("next:1", Behaviour::Runs).unwrap();
        world.wait(3700);
        assert!(!world.pass(&both("", ""), None).await.failed());
        assert_eq!(world.containers().await, ["next running next:1"]);
        // By its policy it is not started any more.
        let mut world = World::new();
        let never = "restart-policy = \"never\"";
        world.control().behave("next:1", ENDS).unwrap();
        world.pass(&both(never, former), None).await;
        world.wait(20);
        world.pass(&both(never, ""), None).await;
        assert_eq!(world.containers().await, ["next exited next:1"]);
    });
}

/// One that is only started, in the same go in which another gives up its port, goes down again where that one fails.
#[test]
fn what_is_started_together_with_others_goes_down_again_with_them() {
    block_on(async {
        let mut world = World::new();
        world.pass(&only("web", &[PORT]), None).await;
        let next = only("next", &[PORT]);
        let plan = world.plan(&next).await;
        let mut steps = plan.works.iter().flat_map(|work| &work.steps);
        let start = steps.position(|step| matches!(step, Step::Start { .. })).unwrap();
        let cut = Cut { call: start, after: false, gently: false };
        assert!(world.pass(&next, Some(cut)).await.was_cut);
        assert_eq!(world.containers().await, ["next created next:1", "web exited web:1"]);
        world.control().behave("web:2", ENDS).unwrap();
        let both = manifest(&format!(
            "target = \"*\"\n[modules.next]\nimage = \"next:1\"\n{PORT}\n\
             [modules.web]\nimage = \"web:2\"\nports = [\"8081:80\"]\n"
        ));
        // It is up when both are changed over.
        let start = Step::Start { container: ContainerRef::Name("web".to_owned()) };
        world.engine.execute(&start, &SecretValues::default()).await.unwrap();
        let pass = world.pass(&both, None).await;
        assert!(pass.failed(), "{:?}", lines(&pass.plan));
        let there = world.containers().await;
        assert_eq!(there, ["next exited next:1", "web running web:1"], "{:?}", lines(&pass.plan));
        // An engine that restarts in between does not revive it.
        let joint = pass.plan.works.iter().find(|work| !work.undo.is_empty()).unwrap();
        let at = |wanted: &dyn Fn(&Step) -> bool| {
            joint.undo.iter().position(|undo| wanted(&undo.step)).unwrap()
        };
        let stop = at(&|step| matches!(step, Step::Stop { .. }));
        let no = Some("no".to_owned());
        let policy = at(
            &|step| matches!(step, Step::Update { restart_policy, .. } if *restart_policy == no),
        );
        assert!(policy < stop && joint.undo[stop].needs.contains(&policy), "{:#?}", joint.undo);
    });
}

/// Of an engine that hangs nobody knows whether what came is there: what made room for it is not started beside it.
#[test]
fn nothing_is_started_again_on_an_engine_that_hangs() {
    block_on(async {
        let mut after = 0;
        loop {
            let mut world = World::new();
            world.pass(&only("former", &[SHARED]), None).await;
            let plan = world.plan(&only("next", &[SHARED])).await;
            let hanging = Hanging { engine: &world.engine, after, asked: Mutex::default() };
            let (secrets, pace) = (SecretValues::default(), Pace::default());
            run_device(&hanging, &plan, &secrets, &pace, &|_| {}).await;
            let asked = hanging.asked.into_inner().unwrap();
            if asked.len() <= after {
                assert!(after >= 4, "it hung in the middle too: {asked:?}");
                return;
            }
            assert_eq!(asked.len(), after + 1, "{asked:?}");
            after += 1;
        }
    });
}
