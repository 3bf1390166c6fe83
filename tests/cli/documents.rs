//! What the documents tell people to type is typed here.
//!
//! Enters: `README.md` and the examples' READMEs. Every `hoist …` line in a fenced block of `sh` is run;
//! the blocks of one document build on each other, as a reader would go on.

use crate::stage::Stage;
use std::fs;
use std::path::Path;
use std::process::Command;

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks whose first line is exactly this.
fn blocks(text: &str, fence: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == fence {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(format!("{}\n", block.join("\n")));
        }
    }
    blocks
}

/// Runs a script in which `hoist` is the built program; its 2 ("there are changes") is no failure.
fn play(stage: &Stage, script: &str) {
    let folder = Path::new(env!("CARGO_BIN_EXE_hoist")).parent().expect("it lies in a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let hoist = "hoist() { command hoist \"$@\" || [ $? = 2 ]; }";
    let script = format!("set -ex\n{hoist}\n{script}");
    let mut command = Command::new("bash");
    let command = stage.cleared(&mut command).env("PATH", &path).args(["-c", &script]);
    let output = command.output().expect("bash is there");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
}

#[test]
fn the_readme_can_be_typed() {
    let stage = Stage::empty();
    let scripts = blocks(&document("README.md"), "```sh");
    assert!(scripts.len() >= 2, "the README has blocks to run");
    play(&stage, &scripts.concat());
}

#[test]
fn the_ways_of_a_change_can_be_typed() {
    let stage = Stage::empty();
    let scripts = blocks(&document("docs/rollouts.md"), "```sh");
    assert!(scripts.len() >= 5, "the walk-through has blocks to run");
    play(&stage, &scripts.concat());
}

#[test]
fn the_examples_can_be_typed() {
    for example in ["buildings", "layered-twin", "one-host"] {
        let path = format!("fleet-examples/{example}");
        let mut stage = Stage::copy_of(&path);
        stage.begin();
        let scripts = blocks(&document(&format!("{path}/README.md")), "```sh");
        assert!(!scripts.is_empty(), "{example} has blocks to run");
        play(&stage, &scripts.concat().replace(&format!("-C {path} "), ""));
    }
}

#[test]
fn the_reference_of_fleet_files_is_a_fleet() {
    let mut stage = Stage::empty();
    for block in blocks(&document("docs/fleet-files.md"), "```toml") {
        let path = block.lines().next().and_then(|line| line.strip_prefix("# "));
        let path = path.expect("the first line of a block says which file it is").to_owned();
        stage.put(&path, &block);
    }
    stage.put("devices/lobby-kiosk.toml", "");
    let answer = stage.hoist(&["validate"]);
    assert_eq!(answer.code, 0, "{}", answer.stdout);
}

#[test]
fn the_reference_of_the_control_host_is_read() {
    let stage = Stage::loose();
    let of = |path: &str| blocks(&document(path), "```toml").concat();
    let all = ["docs/control-host.md", "docs/notifications.md"].map(of).concat();
    stage.put("../hoist.toml", &all);
    let answer = stage.quiet_hoist(&["plan", "--worktree", "--simulate"]);
    assert_eq!(answer.code, 2, "{}", answer.stderr);
}

#[test]
fn the_guide_for_azure_can_be_typed() {
    let stage = Stage::empty();
    let text = document("docs/azure.md");
    for block in blocks(&text, "```json") {
        let (first, rest) = block.split_once('\n').expect("more than one line");
        let path = first.strip_prefix("// ").expect("the first line says which file it is");
        stage.put(path, rest);
    }
    let scripts = blocks(&text, "```sh");
    assert!(!scripts.is_empty(), "the guide has blocks to run");
    play(&stage, &scripts.concat());
}

#[test]
fn the_table_of_commands_is_whole() {
    let readme = document("README.md");
    let help = Stage::empty().quiet_hoist(&["--help"]).stdout;
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next());
    for command in commands {
        assert!(readme.contains(&format!("| `hoist {command}")), "the README lacks `{command}`");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for path in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/pull-requests.md"] {
        let text = document(path);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let folder = folder.parent().expect("it is in a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !target.contains("://") && !target.starts_with('#') {
                let file = target.split('#').next().unwrap_or(target);
                assert!(folder.join(file).exists(), "{path} points to {target}");
            }
        }
    }
}
