//! How the cost of looking at a fleet grows with its size, each figure beside one of something else that was
//! measured in the same run, in turns with it: a machine that others use as well is not equally fast for minutes.
//! `cargo bench --bench fleet` prints the table that `docs/performance.md` keeps.
//! `HOIST_BENCH_SIZE` is the number of device files, 100000 where it is not set; `HOIST_BENCH_DEVICES=1000000` adds a
//! fleet of that size, in lists of 500 devices a file.
//!
//! Without `--bench`, as `cargo test` runs it, it takes a tiny fleet once and checks that everything works.

use hoist::fleet::{FileTree, Fleet, TreeEntry, load};
use hoist::generate::FleetSize;
use hoist::language::{Condition, Query, Subject, Truth};
use hoist::model::Facts;
use hoist::resolve::{CheckCache, Known, Rows, check_after, resolve};
use hoist::source::Repository;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// As the program has it: what the daemon does is measured in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let scale = if measured {
        Scale { devices: number("HOIST_BENCH_SIZE").unwrap_or(100_000), runs: 9 }
    } else {
        Scale { devices: 300, runs: 1 }
    };
    let mut table = Table::default();
    diff_against_git(scale, &mut table);
    next_revision(scale, &mut table);
    conditions_in_memory(scale, &mut table);
    growth(scale, &mut table);
    beyond_loading(scale, &mut table);
    inventory(scale, &mut table);
    print!("{}", table.0);
}

#[derive(Clone, Copy)]
struct Scale {
    devices: u32,
    runs: usize,
}

/// Lines of Markdown.
struct Table(String);

impl Default for Table {
    fn default() -> Self {
        Self("| what | takes | beside | ratio |\n| --- | --- | --- | --- |\n".to_owned())
    }
}

impl Table {
    fn line(&mut self, what: &str, takes: Duration, beside: &str, other: Duration) {
        let ratio = takes.as_secs_f64() / other.as_secs_f64();
        self.0.push_str(&format!(
            "| {what} | {} | {beside}: {} | {ratio:.2} |\n",
            shown(takes),
            shown(other)
        ));
    }

    fn note(&mut self, what: &str, takes: &str) {
        self.0.push_str(&format!("| {what} | {takes} | | |\n"));
    }
}

fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}

/// The medians of things that are timed in turns.
fn medians<const N: usize>(runs: usize, mut round: impl FnMut() -> [Duration; N]) -> [Duration; N] {
    let rounds: Vec<[Duration; N]> = (0..runs).map(|_| round()).collect();
    std::array::from_fn(|thing| {
        let mut times: Vec<Duration> = rounds.iter().map(|round| round[thing]).collect();
        times.sort();
        times[runs / 2]
    })
}

fn median(runs: usize, mut run: impl FnMut() -> Duration) -> Duration {
    let [time] = medians(runs, || [run()]);
    time
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has a clock")]
fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(run());
    start.elapsed()
}

/// One condition edited in a packed repository, against git printing all of its files.
fn diff_against_git(scale: Scale, table: &mut Table) {
    let devices = scale.devices;
    let (_folder, repository) = repository(devices, 1);
    edit_a_condition(&repository);
    let list = "git ls-tree -r HEAD | cut -d ' ' -f 3 | cut -f 1 | git cat-file --batch >/dev/null";
    let [git, diff, validate] = medians(scale.runs, || {
        [
            timed(|| shell(&repository, list)),
            timed(|| hoist(&repository, &DIFF, &DIFFERS)),
            timed(|| hoist(&repository, &["validate"], &[0])),
        ]
    });
    let what = format!("`hoist diff HEAD~1 HEAD`, {devices} device files, 200 deployments");
    table.line(&what, diff, "`git ls-tree -r` into `git cat-file --batch`", git);
    table.note("its peak memory", &format!("{} MiB", peak_of_diff(&repository) >> 10));
    table.line("`hoist validate` of the same", validate, "the same", git);
}

const DIFF: [&str; 3] = ["diff", "HEAD~1", "HEAD"];
const DIFFERS: [i32; 2] = [2, 3];

/// The index against one evaluation after the other, loading left out.
fn conditions_in_memory(scale: Scale, table: &mut Table) {
    let devices = scale.devices.min(10_000);
    let fleet = fleet(devices, 50);
    let [index, naive] = medians(scale.runs, || {
        [timed(|| resolve(&fleet, &Facts::none())), timed(|| evaluate_each(&fleet))]
    });
    let what = format!("targets of 50 deployments over {devices} devices, and the merge");
    table.line(&what, index, "each condition on each device", naive);
}

fn evaluate_each(fleet: &Fleet) -> usize {
    let conditions: Vec<&Condition> = fleet
        .deployments
        .values()
        .filter_map(|deployment| deployment.kind.target()?.condition.as_ref())
        .collect();
    let met = |condition: &Condition| {
        let devices = fleet.devices.values();
        devices
            .filter(|device| {
                let subject = Subject { device, reported: &device.reported };
                condition.evaluate(subject) == Truth::True
            })
            .count()
    };
    conditions.into_iter().map(met).sum()
}

/// The cost of a device in a small and in a large fleet.
fn growth(scale: Scale, table: &mut Table) {
    let sizes = [scale.devices / 10, large(scale)];
    let repositories = sizes.map(|devices| repository(devices, 500));
    for (_, repository) in &repositories {
        edit_a_condition(repository);
    }
    let times = medians(scale.runs, || {
        [0, 1].map(|size| timed(|| hoist(&repositories[size].1, &DIFF, &DIFFERS)))
    });
    let [small, large] =
        [0, 1].map(|size| times[size].as_secs_f64() * 1e6 / f64::from(sizes[size]));
    table.0.push_str(&format!(
        "| `hoist diff` a device, {} devices in lists | {large:.2} µs | {} devices: {small:.2} µs | {:.2} |\n",
        sizes[1],
        sizes[0],
        large / small,
    ));
    table.note("its peak memory", &format!("{} MiB", peak_of_diff(&repositories[1].1) >> 10));
}

/// Commits that touch one file, from fetched to checked, with what the daemon has of the revision before.
fn next_revision(scale: Scale, table: &mut Table) {
    let (_folder, path) = repository(scale.devices, 1);
    edit_a_condition(&path);
    next_commit(scale, &path, "a condition edited", table);
    edit_a_tag(&path);
    next_commit(scale, &path, "a device's tag edited", table);
    add_a_device(&path);
    next_commit(scale, &path, "a device added", table);
}

fn next_commit(scale: Scale, path: &Path, edited: &str, table: &mut Table) {
    let repository = Repository::open(path).expect("git made it");
    let [old, new] =
        ["HEAD~1", "HEAD"].map(|name| repository.resolve(name).expect("there are two commits"));
    let mut cache = CheckCache::default();
    let mut files = repository.read(&old).expect("it can be read");
    black_box(check_after(&files, &mut cache));
    let mut step = |from, to| {
        let reading = timed(|| {
            let changes = repository.changes(from, to).expect("it can be read");
            files.apply(changes.expect("all names are UTF-8"));
        });
        [reading, timed(|| check_after(&files, &mut cache))]
    };
    let [git, read, checked] = medians(scale.runs, || {
        let git = timed(|| shell(path, "git diff-tree -r --raw HEAD~1 HEAD >/dev/null"));
        let [read, checked] = step(&old, &new);
        // And back, so that each round has the same way.
        step(&new, &old);
        [git, read, checked]
    });
    table.line(&format!("files of the next commit, {edited}"), read, "`git diff-tree -r`", git);
    table.line("that loaded, resolved and linted", checked, "the same", git);
}

/// What a fleet costs that is in memory.
fn beyond_loading(scale: Scale, table: &mut Table) {
    let devices = large(scale);
    let size = FleetSize { devices, deployments: 1000, devices_per_file: 500, seed: 1 };
    let entry = |(path, text): (String, String)| (path.into(), TreeEntry::File(text.into()));
    let tree = FileTree(size.files().map(entry).collect());
    let mut fleet = None;
    let loading = timed(|| fleet = load(&tree).fleet);
    let fleet = fleet.expect("a made-up fleet is valid");
    drop(tree);
    let mut resolution = None;
    let resolving =
        median(scale.runs, || timed(|| resolution = Some(resolve(&fleet, &Facts::none()))));
    let what = format!("resolve of {devices} devices × 1000 deployments");
    table.line(&what, resolving, "loading them", loading);
    let (known, query) = (Known::default(), "tags.ring = 'canary' AND tags.role = 'meter'");
    let query = Query::parse_or_condition(query).expect("a condition");
    let resolution = resolution.expect("it was resolved");
    let rows = Rows { fleet: &fleet, resolution: &resolution, known: &known, only: None };
    let asking = median(scale.runs, || timed(|| rows.answer(&query)));
    table.line(&format!("a query over {devices} devices"), asking, "loading them", loading);
}

/// What Ansible needs to list the same hosts, if it is here.
fn inventory(scale: Scale, table: &mut Table) {
    let program =
        std::env::var("HOIST_BENCH_ANSIBLE").unwrap_or_else(|_| "ansible-inventory".to_owned());
    let is_there = Command::new(&program).arg("--version").stdout(Stdio::null()).status();
    if !is_there.is_ok_and(|status| status.success()) {
        table.note("`ansible-inventory --list` of the same hosts", "not here: left out");
        return;
    }
    let devices = scale.devices.min(10_000);
    let (folder, repository) = repository(devices, 1);
    let hosts = folder.path().join("hosts.yaml");
    fs::write(&hosts, ansible_hosts(&fleet(devices, 1))).expect("a file is written");
    let list = format!("{program} -i '{}' --list >/dev/null", hosts.display());
    let ansible = median(scale.runs.min(3), || timed(|| shell(folder.path(), &list)));
    let ours = median(scale.runs, || timed(|| hoist(&repository, &["query", "*"], &[0])));
    let what = format!("`hoist query '*'` of {devices} devices, 200 deployments");
    table.line(&what, ours, "`ansible-inventory --list` of the hosts alone", ansible);
}

/// The devices and their tags as an inventory; under one name, as Ansible warns of each variable that has a name it reserves.
fn ansible_hosts(fleet: &Fleet) -> String {
    let mut text = "all:\n  hosts:\n".to_owned();
    for (id, device) in fleet.devices.iter() {
        let tags = hoist::model::Value::Table(device.tags.clone()).to_json();
        text.push_str(&format!("    {id}: {{\"hoist\": {tags}}}\n"));
    }
    text
}

fn large(scale: Scale) -> u32 {
    number("HOIST_BENCH_DEVICES").unwrap_or(scale.devices)
}

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

fn fleet(devices: u32, deployments: u32) -> Fleet {
    let size = FleetSize { devices, deployments, devices_per_file: 1, seed: 1 };
    let files = size.files().map(|(path, text)| (path.into(), TreeEntry::File(text.into())));
    load(&FileTree(files.collect())).fleet.expect("a made-up fleet is valid")
}

fn repository(devices: u32, per_file: u32) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let repository = folder.path().join("fleet.git");
    let size = FleetSize { devices, deployments: 200, devices_per_file: per_file, seed: 1 };
    hoist::source::create_repository(&repository, true, "a fleet", size.files())
        .expect("git makes a repository");
    (folder, repository)
}

/// A commit in which one layer hits fewer devices.
fn edit_a_condition(repository: &Path) {
    let narrower = r#"s/^target = "\(.*\)"/target = "\1 AND tags.ring = 'canary'"/"#;
    edit(repository, "^deployments/.*-0001.toml$", narrower, "");
}

/// A commit in which one device has another tag.
fn edit_a_tag(repository: &Path) {
    edit(repository, "^devices/.*.toml$", r#"s/"[a-z0-9-]*"$/"edited"/"#, "");
}

/// A commit in which there is one device more.
fn add_a_device(repository: &Path) {
    edit(repository, "^devices/.*.toml$", "/^engine/d", "devices/an-added-one.toml");
}

/// A commit in which the first file of a path like this is edited, or its edited text is put elsewhere.
fn edit(repository: &Path, path: &str, how: &str, elsewhere: &str) {
    let script = r#"
        set -eu
        export GIT_INDEX_FILE="$PWD/edit-index" GIT_AUTHOR_NAME=b GIT_AUTHOR_EMAIL=b@fleet.example
        export GIT_COMMITTER_NAME=b GIT_COMMITTER_EMAIL=b@fleet.example
        path=$(git ls-tree -r --name-only HEAD | grep -m 1 -- "$EDITED")
        blob=$(git show "HEAD:$path" | sed "$HOW" | git hash-object -w --stdin)
        git read-tree HEAD
        git update-index --add --cacheinfo "100644,$blob,${ELSEWHERE:-$path}"
        commit=$(git commit-tree "$(git write-tree)" -p HEAD -m 'edit a file')
        test "$(git rev-parse 'HEAD^{tree}')" != "$(git rev-parse "$commit^{tree}")"
        git update-ref HEAD "$commit"
        rm "$GIT_INDEX_FILE"
    "#;
    shell_with(repository, script, &[("EDITED", path), ("HOW", how), ("ELSEWHERE", elsewhere)]);
}

fn shell(folder: &Path, script: &str) {
    shell_with(folder, script, &[]);
}

fn shell_with(folder: &Path, script: &str, variables: &[(&str, &str)]) {
    let status = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(variables.iter().copied())
        .status()
        .expect("bash runs");
    assert!(status.success(), "{script}");
}

fn hoist(repository: &Path, arguments: &[&str], good: &[i32]) {
    let code = program(repository, arguments).status().expect("the program runs").code();
    assert!(code.is_some_and(|code| good.contains(&code)), "{arguments:?}: {code:?}");
}

/// The peak memory of a diff in KiB; in a run of its own, as looking again and again takes time of it.
fn peak_of_diff(repository: &Path) -> u64 {
    let mut child = program(repository, &DIFF).spawn().expect("the program runs");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("it can be waited for").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    peak
}

fn program(repository: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hoist"));
    command.arg("-C").arg(repository).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
