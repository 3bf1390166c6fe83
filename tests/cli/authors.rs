//! What helps an author before a commit: schemas, completions, manual pages, policies.

use crate::stage::Stage;
use std::path::Path;
use std::process::Command;

#[test]
fn a_policy_can_not_be_undone_by_the_repository() {
    let mut stage = Stage::loose();
    stage.edit("deployments/base.toml", "meter:2.0", "meter");
    stage.write("fleet.toml", "name = \"shop\"\n[lints]\nmutable-image = \"allow\"\n");
    stage.write("../policy.toml", "[lints]\nmutable-image = \"error\"\n");
    stage.hoist(&["validate"]);
    stage.hoist(&["validate", "--policy", "../policy.toml"]);
    // Where the repository says more, that stays; where it says nothing, the policy's word counts.
    stage.write("fleet.toml", "name = \"shop\"\n[lints]\nmutable-image = \"error\"\n");
    stage.write(
        "../policy.toml",
        "[lints]\nmutable-image = \"warn\"\npublished-everywhere = \"allow\"\n",
    );
    stage.hoist(&["validate", "--policy", "../policy.toml"]);
    stage.write("fleet.toml", "name = \"shop\"\n");
    stage.hoist(&["validate", "--policy", "../policy.toml", "--deny-warnings"]);
    // Also a fleet that can't be read is judged by it.
    stage.write("../policy.toml", "[lints]\nignored-file = \"error\"\n");
    stage.write("fleet.toml", "name = \n");
    stage.write("device/a.toml", "");
    stage.hoist(&["validate", "--policy", "../policy.toml"]);
    stage.done("authors_policy");
}

#[test]
fn a_wrong_policy_judges_nothing() {
    let mut stage = Stage::loose();
    stage.write("../policy.toml", "[lint]\nmutable-image = \"error\"\n");
    stage.hoist(&["validate", "--policy", "../policy.toml"]);
    stage.write("../policy.toml", "[lints]\nmutable-imag = \"error\"\nsyntax = \"warn\"\n");
    stage.hoist(&["validate", "--policy", "../policy.toml", "--format", "json"]);
    stage.hoist(&["validate", "--policy", "../nowhere.toml"]);
    stage.done("authors_wrong_policy");
}

#[test]
fn annotations_name_files_from_the_top_of_the_repository() {
    let mut stage = Stage::empty();
    for path in ["fleet.toml", "devices/list.toml", "deployments/base.toml"] {
        let text = Stage::loose().read(path);
        stage.put(&format!("ops/shop/{path}"), &text);
    }
    stage.begin();
    stage.hoist(&["-C", "ops/shop", "validate", "--format", "github"]);
    stage.done("authors_annotations");
}

#[test]
fn schemas_are_printed_and_written() {
    let stage = Stage::loose();
    for kind in ["fleet", "device", "deployment"] {
        let answer = stage.quiet_hoist(&["schema", kind]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        assert_eq!(answer.json()["$schema"], "http://json-schema.org/draft-07/schema#");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{kind}.json"));
        assert_eq!(answer.stdout, std::fs::read_to_string(path).expect("it is kept"));
    }
    let answer = stage.quiet_hoist(&["schema", "--write"]);
    assert_eq!(answer.stdout.lines().count(), 3, "{}", answer.stdout);
    assert_eq!(
        stage.read(".hoist/schema/fleet.json"),
        stage.quiet_hoist(&["schema", "fleet"]).stdout
    );
    assert_eq!(stage.quiet_hoist(&["schema"]).code, 1);
    assert_eq!(stage.quiet_hoist(&["schema", "module"]).code, 1);
    // What editors keep beside the files is no business of Hoist's.
    assert_eq!(stage.quiet_hoist(&["validate"]).code, 0);
}

#[test]
fn the_files_that_init_writes_name_schemas_that_are_there() {
    let stage = Stage::empty();
    assert_eq!(stage.quiet_hoist(&["init", "."]).code, 0);
    for (path, schema) in [
        ("fleet.toml", "fleet"),
        ("devices/this-host.toml", "device"),
        ("deployments/base.toml", "deployment"),
    ] {
        let text = stage.read(path);
        let line = text.lines().next().and_then(|line| line.strip_prefix("#:schema "));
        let folder = Path::new(path).parent().expect("a file is in a folder");
        let named = folder.join(line.expect("the first line names it"));
        let text = stage.read(named.to_str().expect("a plain path"));
        assert_eq!(text, stage.quiet_hoist(&["schema", schema]).stdout);
    }
    assert_eq!(stage.quiet_hoist(&["validate"]).code, 0);
}

/// What bash offers for the last of these words.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _hoist hoist \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" ")
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().expect("bash is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let stage = Stage::empty();
    let script = stage.quiet_hoist(&["completions", "bash"]).stdout;
    assert_eq!(offered(&script, &["hoist", "va"]), ["validate"]);
    assert_eq!(offered(&script, &["hoist", "schema", "de"]), ["device", "deployment"]);
    let options = offered(&script, &["hoist", "validate", "--"]);
    for option in ["--deny-warnings", "--policy", "--format", "--revision"] {
        assert!(options.iter().any(|offered| offered == option), "{option}: {options:?}");
    }
    assert_eq!(
        offered(&script, &["hoist", "validate", "--format", ""]),
        ["text", "json", "github"]
    );
    assert_eq!(offered(&script, &["hoist", "help", "rou"]), ["routes"]);
    for shell in ["zsh", "fish"] {
        let script = stage.quiet_hoist(&["completions", shell]).stdout;
        for word in commands(&stage) {
            assert!(script.contains(&word), "{shell} lacks {word}");
        }
    }
    assert_eq!(stage.quiet_hoist(&["completions", "csh"]).code, 1);
}

/// The generator leaves values of arguments that are no options out for fish.
#[test]
fn fish_completes_values_of_arguments() {
    let stage = Stage::empty();
    let script = stage.quiet_hoist(&["completions", "fish"]).stdout;
    for line in [
        "complete -c hoist -n \"__fish_hoist_using_subcommand schema\" -f -a 'device' -d 'Files in devices/'\n",
        "complete -c hoist -n \"__fish_hoist_using_subcommand completions\" -f -a 'zsh'\n",
        "complete -c hoist -n \"__fish_hoist_using_subcommand help\" -f -a 'conditions'\n",
    ] {
        assert!(script.contains(line), "{line}");
    }
    let ask =
        format!("{script}\ncomplete -C 'hoist schema de'; complete -C 'hoist validate --format '");
    // Not every machine has one.
    let Ok(output) = Command::new("fish").args(["--no-config", "-c", &ask]).output() else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let offered: Vec<&str> = said.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(offered, ["deployment", "device", "github", "json", "text"], "{output:?}");
}

/// A command takes, offers and explains the forms of output that it has, and no others.
#[test]
fn a_form_that_a_command_does_not_have_is_neither_offered_nor_taken() {
    let stage = Stage::empty();
    for command in commands(&stage) {
        let help = stage.quiet_hoist(&[&command, "--help"]).stdout;
        let some = help.split("--format <FORMAT>").nth(1).expect("the option");
        let some = some.split("--color").next().expect("a part");
        for form in ["text", "json", "markdown", "toml", "github", "azure"] {
            if some.contains(&format!("- {form}:")) {
                continue;
            }
            let answer = stage.quiet_hoist(&[&command, "--format", form]);
            let words = format!("invalid value '{form}' for '--format <FORMAT>'");
            let stderr = answer.stderr;
            assert!(answer.code == 1 && stderr.contains(&words), "{command}: {stderr}");
        }
    }
    let answer = stage.quiet_hoist(&["--format", "toml", "validate"]);
    assert_eq!(answer.stderr, "error: `validate` has no such format; it has text, json, github\n");
    assert_eq!(answer.code, 1);
}

fn commands(stage: &Stage) -> Vec<String> {
    let help = stage.quiet_hoist(&["--help"]).stdout;
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    list.take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn every_command_has_a_manual_page_that_renders() {
    let stage = Stage::empty();
    let answer = stage.quiet_hoist(&["man", "man1"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let has_groff = Command::new("groff").arg("--version").output().is_ok();
    let commands = commands(&stage);
    assert!(commands.len() > 10);
    let pages =
        commands.iter().map(|command| format!("hoist-{command}")).chain(["hoist".to_owned()]);
    for page in pages {
        let text = stage.read(&format!("man1/{page}.1"));
        assert!(text.contains(&format!(".TH {page} 1")), "{page}");
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert!(text.contains(&format!(".SH {section}")), "{page} lacks {section}");
        }
        if has_groff {
            let mut groff = Command::new("groff");
            let groff = stage.cleared(&mut groff).args(["-man", "-Tutf8", "-ww", "-z"]);
            let output = groff.arg(format!("man1/{page}.1")).output().expect("groff runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && said.is_empty(), "{page}: {said}");
        }
    }
}
