//! `apply` killed before and after every engine call of a plan, and at random moments: run again, it ends in
//! the same state, with nothing left over, and no module ever runs twice.

use crate::site::{OBEDIENT, Site};
use crate::testbed::proxy::{Request, Trap, When};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Two states; the way from one to the other replaces, creates, removes, starts, stops, joins and rewrites.
fn state(number: usize, port: u16) -> String {
    let next = port + 1;
    let (image, limits, network, status, last, n) = match number {
        0 => ("test/app:1", "", "three", "running", "gone", 1),
        _ => ("test/app:2", "memory = \"64MiB\"\n", "two", "stopped", "come", 2),
    };
    format!(
        "target = \"*\"\n\
         [modules.app]\nimage = \"{image}\"\ncommand = {OBEDIENT}\nstartup-order = 1\nports = [\"127.0.0.1:{port}:80\"]\n\
         [modules.joined]\nimage = \"test/layer:1\"\ncommand = {OBEDIENT}\nnetworks = [\"one\", \"{network}\"]\n\
         [modules.switched]\nimage = \"test/layer:1\"\ncommand = {OBEDIENT}\nstatus = \"{status}\"\n\
         [modules.twin]\nimage = \"test/layer:1\"\ncommand = {OBEDIENT}\n{limits}\
         [modules.twin.desired]\nn = {n}\n\
         [modules.{last}]\nimage = \"test/other:1\"\ncommand = {OBEDIENT}\nports = [\"127.0.0.1:{next}:80\"]\n"
    )
}

struct Cutting {
    site: Site,
    /// What remains of each state when nothing is cut.
    whole: [String; 2],
    /// How many calls that change something the way to each state takes.
    changes: [usize; 2],
    /// How many calls it takes in all.
    calls: [usize; 2],
    at: usize,
    /// The first of two ports that no other test uses: all engines share this machine's.
    port: u16,
}

impl Cutting {
    fn begin(port: u16) -> Option<Self> {
        let site = Site::new(1)?;
        let mut cutting = Self {
            site,
            whole: [String::new(), String::new()],
            changes: [0, 0],
            calls: [0, 0],
            at: 1,
            port,
        };
        // The limit that state 1 sets is lifted again by state 0: a replace on the way back.
        for number in [0, 1, 0, 1] {
            cutting.site.write("deployments/base.toml", &state(number, port));
            cutting.site.forget_requests();
            cutting.site.apply().expect(0);
            cutting.changes[number] = changes(&cutting.site);
            cutting.calls[number] = cutting.site.proxies[0].log().len();
            cutting.whole[number] = cutting.site.remains(1);
        }
        Some(cutting)
    }

    fn next(&mut self) -> usize {
        self.at = 1 - self.at;
        self.site.write("deployments/base.toml", &state(self.at, self.port));
        self.at
    }

    /// Goes the way to the other state, killed at one call, and then whole.
    fn cut(&mut self, nth: usize, when: When, matches: fn(&Request) -> bool) {
        self.next();
        let mut run = self.site.apply_on_signal(&[]);
        let kill = Some(run.pid());
        self.site.proxies[0].set_trap(Trap { nth, matches, when, kill });
        run.go();
        run.ended_by_itself();
        self.site.proxies[0].set_trap(Trap { nth: 0, matches: |_| false, when, kill: None });
        if nth.is_multiple_of(3) {
            self.site.forget_state();
        }
        self.mend_and_check(&format!("killed {when:?} call {nth}"));
    }

    #[track_caller]
    fn mend_and_check(&self, what: &str) {
        let said = self.site.apply();
        assert_eq!(said.code, 0, "{what}: {said:?}");
        assert_eq!(self.site.remains(1), self.whole[self.at], "{what}: {}", said.stdout);
        self.site.forget_requests();
        let again = self.site.apply().expect(0);
        assert_eq!(changes(&self.site), 0, "{what}: {}", again.stdout);
    }
}

fn changes(site: &Site) -> usize {
    site.proxies[0].log().iter().filter(|request| request.is_change()).count()
}

#[test]
fn killed_before_every_call() {
    let Some(mut cutting) = Cutting::begin(18_300) else { return };
    let watch = Watch::over(&cutting.site);
    for nth in 1..=cutting.calls.into_iter().max().unwrap() {
        cutting.cut(nth, When::Before, |_| true);
    }
    watch.end();
}

/// After a call that only looks is before the next one.
#[test]
fn killed_after_every_call_that_changes() {
    let Some(mut cutting) = Cutting::begin(18_330) else { return };
    let watch = Watch::over(&cutting.site);
    let changes = cutting.changes.into_iter().max().unwrap();
    assert!(changes > 20, "only {changes} changes");
    for nth in 1..=changes {
        cutting.cut(nth, When::After, Request::is_change);
    }
    watch.end();
}

#[test]
fn killed_at_fifty_moments() {
    let Some(mut cutting) = Cutting::begin(18_310) else { return };
    let watch = Watch::over(&cutting.site);
    let started = std::time::Instant::now();
    cutting.next();
    cutting.site.apply().expect(0);
    let whole = u64::try_from(started.elapsed().as_millis()).unwrap();
    for moment in 0..50 {
        cutting.next();
        let mut run = cutting.site.apply_on_signal(&[]);
        run.go();
        // Spread over the whole run, in an order that looks like none.
        std::thread::sleep(Duration::from_millis(whole * ((moment * 37) % 50) / 50));
        run.kill();
        run.ended_by_itself();
        cutting.mend_and_check(&format!("killed at moment {moment}"));
    }
    watch.end();
}

/// Looks at the engine again and again: two running containers of one module are told at the end.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<String>>,
}

impl Watch {
    fn over(site: &Site) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, socket) = (Arc::clone(&stop), site.engines[0].socket());
        let thread = std::thread::spawn(move || {
            let mut doubles = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let path = "/containers/json?filters=%7B%22status%22%3A%5B%22running%22%5D%7D";
                if let Ok(answer) = crate::testbed::raw::exchange(&socket, "GET", path, "", &[]) {
                    let mut running: BTreeMap<String, String> = BTreeMap::new();
                    for container in answer.json().as_array().into_iter().flatten() {
                        let name = container["Names"][0].to_string();
                        let Some(module) = container["Labels"]["hoist.module"].as_str() else {
                            continue;
                        };
                        if let Some(other) = running.insert(module.to_owned(), name.clone()) {
                            doubles.push(format!("{other} and {name}"));
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(15));
            }
            doubles
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let doubles = self.thread.join().unwrap();
        assert!(doubles.is_empty(), "ran twice: {doubles:?}");
    }
}
