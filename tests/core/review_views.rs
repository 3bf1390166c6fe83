//! The views of a diff: nobody can fake a line in them, or read a secret.

use crate::harness::{compare, valid};
use hoist::review::{json, markdown, text};

fn plain(base: &str, head: &str) -> String {
    text(&compare(&valid(base), &valid(head)), &|_, text| text.to_owned())
}

const BASE: &str = r#"
    === devices/d.toml
    tags = { evil = "x" }
    === deployments/b.toml
    target = "*"
    [modules.mm]
    image = "m:1"
    env = { A = "1" }
"#;

#[test]
fn a_change_as_text() {
    insta::assert_snapshot!(plain(BASE, &BASE.replace("m:1", "m:2").replace("A = \"1\"", "B = \"2\"")), @r#"
    test  base → head
    digest d06f0d5913a8 → 16bc79437cbd

    1 of 1 device changes, in 1 way: 1 module recreated, 0 removed

    ● 1 device   d   because the content of "b" changed
      ± mm   recreate
          env.A taken away   deployments/b.toml:4 (base "b", priority 0)
          env.B added   deployments/b.toml:4 (base "b", priority 0)
          image changed   deployments/b.toml:3 (base "b", priority 0)
          [modules.mm]
        - image = "m:1"
        + image = "m:2"
          [modules.mm.env]
        - A = "1"
        + B = "2"
    "#);
}

#[test]
fn hostile_texts_add_neither_lines_nor_escape_codes() {
    let calm = plain(BASE, &BASE.replace("\"1\"", "\"calm\""));
    for evil in [
        r"a\n0 of 1 devices change, in 0 ways: 0 removed",
        r"a\r0 devices change",
        r"a\u001b[2J\u001b[1;1Hno device changes",
        r"a\u009b2Jx",
        r"a\u202eegnahc\u202c",
        r"a\u2066b\u2069\u061c",
        r"a\u2028b\u2029c\u0085d",
        r"a\u0007\u0008\u007f",
    ] {
        for head in [
            BASE.replace("A = \"1\"", &format!("A = \"{evil}\"")),
            BASE.replace("env = {", &format!("env = {{ \"E{}\" = \"1\",", evil.replace(' ', ""))),
            BASE.replace("\"1\"", "\"${device.tags.evil}\"")
                .replace("\"x\"", &format!("\"{evil}\"")),
            BASE.replace("env = {", &format!("labels = {{ \"{evil}\" = \"{evil}\" }}\nenv = {{")),
            BASE.replace(
                "env = {",
                &format!("desired = {{ \"{evil}\" = [\"{evil}\"] }}\nenv = {{"),
            ),
        ] {
            let checked = crate::harness::checked(&head);
            let Some(head) = checked.fleet else { continue };
            let diff = compare(&valid(BASE), &head);
            let shown = text(&diff, &|_, text| text.to_owned());
            let bad = |c: char| {
                (c.is_control() && c != '\n')
                    || ('\u{202a}'..='\u{202e}').contains(&c)
                    || ('\u{2066}'..='\u{2069}').contains(&c)
                    || matches!(c, '\u{2028}' | '\u{2029}' | '\u{61c}')
            };
            assert!(!shown.contains(bad), "{evil}: {shown:?}");
            // Only the one true summary begins a line with numbers.
            let summaries =
                shown.lines().filter(|l| l.contains("device") && l.starts_with(char::is_numeric));
            assert_eq!(summaries.count(), 1, "{shown}");
            assert!(shown.lines().count() <= calm.lines().count() + 6, "{shown}");
        }
    }
}

#[test]
fn hostile_device_ids_stay_on_their_line() {
    // The alphabet of ids has neither spaces nor controls; nothing else gets in.
    for evil in ["a b", "a\\nb", "a\\u001b[1m", "a\\u202eb"] {
        let text = format!("=== devices/d.toml\n[[device]]\nid = \"{evil}\"\n");
        assert!(crate::harness::checked(&text).fleet.is_none(), "{evil}");
    }
}

/// The word after `--password` says nothing by itself.
#[test]
fn credentials_on_command_lines_are_masked() {
    let with = |word: &str| {
        let command = format!(
            "command = [\"run\", \"--password\", \"{word}-a\", \"--token={word}-b\", \"-v\"]\n"
        );
        format!("{BASE}{command}")
    };
    let diff = compare(&valid(&with("hunter")), &valid(&with("mallet")));
    let shown = text(&diff, &|_, text| text.to_owned());
    for out in [&shown, &json(&diff).to_string(), &markdown(&diff)] {
        assert!(!out.contains("hunter") && !out.contains("mallet"), "{out}");
        assert!(out.contains("--password") && out.contains("(masked, changed)"), "{out}");
        assert!(out.contains("-v"), "{out}");
    }
}

#[test]
fn secrets_show_by_name_and_credentials_are_masked_in_text_and_json() {
    let secret = |name: &str, word: &str| {
        format!(
            "{}create-options = {{ Env = [\"API_TOKEN={word}-env-list\"] }}\ndesired = {{ auth = {{ Password = \"{word}-twin\" }} }}\n\
             labels = {{ \"my.secret\" = \"{word}-label\" }}\n",
            BASE.replace(
                "A = \"1\"",
                &format!(
                    "A = \"1\", S = {{ secret = \"{name}\" }}, DB_PASSWORD = \"{word}-plain\", URL = \"http://u:{word}-url@h/\", T = \"${{device.tags.token}}\""
                )
            )
            .replace("evil = \"x\"", &format!("token = \"ghp_{word}aaaaaaaaaaaaaaaaaaaa\"")),
        )
    };
    let (base, head) = (secret("one", "hunter"), secret("two", "mallet"));
    let diff = compare(&valid(&base), &valid(&head));
    let shown = text(&diff, &|_, text| text.to_owned());
    let json = json(&diff).to_string();
    for out in [&shown, &json, &markdown(&diff)] {
        assert!(!out.contains("hunter") && !out.contains("mallet"), "{out}");
        assert!(out.contains("(masked, changed)"), "{out}");
    }
    assert!(json.contains("(secret one)") && json.contains("(secret two)"), "{json}");
    // New modules are shown whole, and masked too.
    let new = compare(&valid(&base.replace("[modules.mm]", "[modules.nn]")), &valid(&head));
    let json = hoist::review::json(&new).to_string();
    assert!(!json.contains("mallet") && json.contains("(masked)"), "{json}");
    insta::assert_snapshot!(shown, @r#"
    test  base → head
    digest 97b12a32b370 → 30f0d940739a

    1 of 1 device changes, in 1 way: 1 module recreated, 0 removed

    ● 1 device   d   because tags.token of 1 device changed, the content of "b" changed
      ± mm   recreate
          create-options.Env changed   deployments/b.toml:5 (base "b", priority 0)
          desired.auth.Password changed   deployments/b.toml:6 (base "b", priority 0)
          env.DB_PASSWORD changed   deployments/b.toml:4 (base "b", priority 0)
          env.S changed   deployments/b.toml:4 (base "b", priority 0)
          env.T changed   deployments/b.toml:4 (base "b", priority 0)
          env.URL changed   deployments/b.toml:4 (base "b", priority 0)
          labels.my.secret changed   deployments/b.toml:7 (base "b", priority 0)
          [modules.mm]
        - labels = { "my.secret" = "(masked)" }
        + labels = { "my.secret" = "(masked, changed)" }
          [modules.mm.env]
        - DB_PASSWORD = "(masked)"
        - S = { secret = "one" }
        - T = "(masked)"
        - URL = "(masked)"
        + DB_PASSWORD = "(masked, changed)"
        + S = { secret = "two" }
        + T = "(masked, changed)"
        + URL = "(masked, changed)"
          [modules.mm.create-options]
        - Env = ["(masked)"]
        + Env = ["(masked, changed)"]
          [modules.mm.desired]
        - auth = { Password = "(masked)" }
        + auth = { Password = "(masked, changed)" }
    "#);
}
