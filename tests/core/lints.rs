//! Every folder of `tests/core/lints` is a fleet that its lint is about, and `expected.txt` what is said.
//! `HOIST_BLESS=1` writes what is said; then read it.

use crate::harness::{checked, folder, lines, root};
use hoist::diagnostic::{Code, Level};
use hoist::resolve::check;
use std::fs;

#[test]
fn every_lint_says_what_is_expected() {
    let bless = std::env::var_os("HOIST_BLESS").is_some();
    let mut wrong = Vec::new();
    for code in Code::ALL.iter().filter(|code| code.is_lint()) {
        let path = root().join("tests/core/lints").join(code.as_str());
        assert!(path.is_dir(), "no fleet for {code}");
        let diagnostics = check(&folder(&path)).diagnostics;
        assert!(diagnostics.iter().any(|d| d.code == *code), "{code}: {}", lines(&diagnostics));
        let level = diagnostics.iter().find(|d| d.code == *code).unwrap().level;
        assert_eq!(level, code.default_level(), "{code}");
        let said = lines(&diagnostics);
        let expected = path.join("expected.txt");
        if bless {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).ok().as_ref() != Some(&said) {
            wrong.push(format!("{code}:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "other words than in expected.txt:\n{}", wrong.join("\n"));
}

#[test]
fn every_lint_is_documented_with_its_level() {
    let text = fs::read_to_string(root().join("docs/lints.md")).unwrap();
    for code in Code::ALL.iter().filter(|code| code.is_lint()) {
        let section = text.split("\n## ").find(|s| s.starts_with(&format!("`{code}`\n")));
        let section = section.unwrap_or_else(|| panic!("docs/lints.md has no section `{code}`"));
        let level = format!("Default: {}.", code.default_level());
        assert!(section.contains(&level), "{code}: {level}");
    }
}

#[test]
fn a_fleet_sets_the_levels() {
    let with = |level: &str| {
        let checked = checked(&format!(
            "=== fleet.toml\nname = \"t\"\n{level}\n=== devices/d.toml\n=== deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m\"\n"
        ));
        let levels: Vec<Level> = checked.diagnostics.iter().map(|d| d.level).collect();
        (checked.fleet.is_some(), levels)
    };
    assert_eq!(with(""), (true, vec![Level::Warn]));
    assert_eq!(with("[lints]\nmutable-image = \"allow\""), (true, vec![]));
    assert_eq!(with("[lints]\nmutable-image = \"warn\""), (true, vec![Level::Warn]));
    assert_eq!(with("[lints]\nmutable-image = \"error\""), (false, vec![Level::Error]));
}

#[test]
fn merged_desired_properties_are_limited() {
    let big = "x".repeat(20 << 10);
    let fleet = |second: &str| {
        checked(&format!(
            "=== devices/d.toml\n=== deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\ndesired = {{ a = \"{big}\" }}\n\
             === deployments/l.toml\nkind = \"layered\"\ntarget = \"*\"\npriority = 1\n[modules.mm.desired-at]\nb = \"{second}\"\n"
        ))
    };
    assert!(fleet("small").fleet.is_some());
    insta::assert_snapshot!(lines(&fleet(&big).diagnostics), @r#"error[too-large] deployments/l.toml:4:10 (1): the merged desired properties of module "mm" have 40975 bytes as JSON on 1 device; at most 32768 are allowed"#);
}

#[test]
fn defaults_are_looked_at_like_an_entry() {
    let checked = checked(
        "=== fleet.toml\nname = \"t\"\n[defaults]\nenv = { TOKEN = \"abcdefgh\" }\ncreate-options = { HostConfig = { Privileged = true } }\n\
         === devices/d.toml\n=== deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\n",
    );
    insta::assert_snapshot!(lines(&checked.diagnostics), @r#"
    warn[secret-in-text] fleet.toml:3:9 (1): `env.TOKEN` of every module ([defaults]) looks like a credential, readable in git
    warn[privileged] fleet.toml:4:35 (1): every module ([defaults]) is privileged: it can do anything on its device
    "#);
}

#[test]
fn credentials_in_command_lines_are_told() {
    let checked = checked(
        "=== devices/d.toml\n=== deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\n\
         command = [\"--password\", \"hunter2-hunter2\", \"--token=abc-defgh\", \"serve\"]\n\
         entrypoint = [\"/app\", \"--password\", \"--verbose\", \"--token\", \"${device.id}\"]\n",
    );
    insta::assert_snapshot!(lines(&checked.diagnostics), @r#"warn[secret-in-text] deployments/b.toml:4:1 (1): `command` of module "mm" looks like a credential, readable in git"#);
}
