//! Texts that try to leave their place: in every form a diff has, they change no number and open no mark-up.

use crate::harness::{lines, tree};
use hoist::diagnostic::render;
use hoist::fleet::Fleet;
use hoist::model::Facts;
use hoist::resolve::{Checked, Resolution, check};
use hoist::review::{
    DiffOptions, FleetDiff, LONGEST_COMMENT, Side, diff, json, markdown, summary_line, text,
};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Each holds the word EVIL, which may show in code and nowhere else.
const CORPUS: &[&str] = &[
    "```\nEVIL\n```",
    "EVIL `````` EVIL",
    "`EVIL` ` ``",
    "~~~\nEVIL",
    "</code></pre></summary></details><h1>EVIL</h1>",
    "<script>alert('EVIL')</script>",
    "<img src=x onerror=EVIL>",
    "<!-- EVIL -->",
    "<details open><summary>EVIL",
    "\u{1b}[2J\u{1b}[1;1HEVIL",
    "\u{1b}]8;;http://EVIL.example\u{7}EVIL\u{1b}]8;;\u{7}",
    "\u{9b}2JEVIL",
    "EVIL\r0 of 1 device changes",
    "EVIL\n0 of 1 device changes, in 0 ways: 0 modules removed",
    "\u{202e}LIVE\u{202c} EVIL",
    "\u{2066}EVIL\u{2069}\u{200b}\u{feff}\u{2028}EVIL\u{2029}",
    "\n::error file=EVIL::EVIL",
    "::set-output name=EVIL::EVIL",
    "\n::stop-commands::EVIL\n",
    "##[error]EVIL",
    "EVIL ##vso[task.setvariable variable=EVIL]EVIL",
    "@EVIL @EVIL/team",
    "#123 EVIL GH-123 EVIL/EVIL#123 !123 ~EVIL &1 %EVIL $1",
    "https://EVIL.example www.EVIL.example EVIL@EVIL.example",
    "[EVIL](http://EVIL.example) ![EVIL](http://EVIL.example)",
    "[EVIL]: http://EVIL.example\n\n[EVIL]",
    "| EVIL | EVIL |\n|---|---|\n| EVIL | EVIL |",
    "# EVIL\n\n* EVIL\n\n- [ ] EVIL\n\n> EVIL",
    "**EVIL** *EVIL* ~~EVIL~~ __EVIL__",
    "\\` EVIL \\\\` &lt;EVIL&gt; &#96;EVIL&#96;",
    "$`EVIL`$ $$EVIL$$ :EVIL: [[EVIL]] {{EVIL}} <EVIL@EVIL>",
    "EVIL\n</details>\n\n**0 of 1 device changes**\n\n",
    "\u{0}EVIL\u{8}\u{7f}",
    " EVIL ",
    "EVIL\\",
    "EVIL\t\tEVIL",
];

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A fleet in which every text that can hold it holds `word`; `n` makes two of them differ.
fn fleet(word: &str, n: u8) -> String {
    let text = |suffix: &str| quoted(&format!("{word}{suffix}"));
    let key = text("");
    // An engine takes no NUL, and a template must be one.
    let safe = quoted(&format!("{}{n}", word.replace('\0', "").replace("${", "$ {")));
    let tag_key = quoted(&word.replace(['/', ';', '\0'], ""));
    let deep_key = quoted(&word.replace('\0', ""));
    format!(
        "=== fleet.toml\nname = \"test\"\n[defaults]\nlabels = {{ D = {safe} }}\n\
         === devices/d.toml\n[[device]]\nid = \"@evil#1!(x)\"\ntags = {{ evil = {value}, {tag_key} = {n}, many = [{value}] }}\n\
         reported = {{ {key} = {value} }}\n\
         === deployments/b.toml\ntarget = {target}\nlabels = {{ l = {value} }}\n\
         [modules.GH-123]\nimage = \"m:{n}\"\nversion = {safe}\ncommand = [{safe}]\nentrypoint = [{safe}]\n\
         labels = {{ {deep_key} = {safe} }}\nlog = {{ driver = {safe} }}\n\
         health = {{ command = [\"CMD\", {safe}] }}\n\
         env = {{ E = {safe}, T = \"${{device.tags.evil}}\", TOKEN = {safe} }}\n\
         [modules.GH-123.desired]\n{deep_key} = {{ {deep_key} = [{safe}] }}\n\
         [modules.GH-123.create-options]\n{deep_key} = {{ {deep_key} = {safe} }}\n\
         [routes]\nr = {route}\n\
         === deployments/twice.toml\nkind = \"layered\"\npriority = 1\ntarget = {target}\n\
         [modules.GH-123]\nunset = [\"env.NONE\"]\npatch = true\n",
        value = text(&n.to_string()),
        target = quoted(&format!(
            "tags.never != '{}' OR NOT IS_DEFINED(tags.none)",
            word.replace('\'', "''").replace('\0', "")
        )),
        route = quoted(&format!(
            "FROM /* WHERE a = '{}' INTO $upstream",
            word.replace(['\'', '\0'], "")
        )),
    )
}

fn loaded(text: &str) -> (Fleet, Resolution, Vec<hoist::diagnostic::Diagnostic>) {
    let Checked { fleet, diagnostics } = check(&tree(text));
    let shown = lines(&diagnostics);
    let (fleet, resolution) = fleet.unwrap_or_else(|| panic!("{shown}\n{text}"));
    (fleet, resolution, diagnostics.into_iter().collect())
}

/// The diff of two fleets full of `word`, between revisions that are called so.
fn hostile(word: &str) -> FleetDiff {
    // Not every field takes every text; those that refuse it can't carry it either.
    let pair = |n| fleet(word, n);
    let (old, new) = (loaded(&accepted(&pair(1))), loaded(&accepted(&pair(2))));
    let facts = Facts::none();
    diff(
        Side::of_files(word, Some((&old.0, &old.1)), &facts, &[]),
        Side::of_files(word, Some((&new.0, &new.1)), &facts, &new.2),
        &DiffOptions::default(),
    )
}

/// The fleet without the lines at which it is refused.
fn accepted(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..20 {
        let Checked { fleet, diagnostics } = check(&tree(&text));
        if fleet.is_some() {
            return text;
        }
        let errors = diagnostics.iter().filter(|d| d.level == hoist::diagnostic::Level::Error);
        let bad: Vec<String> =
            errors.filter_map(|d| Some(d.place.as_ref()?.line_text().trim().to_owned())).collect();
        let kept: Vec<&str> =
            text.lines().filter(|line| !bad.contains(&line.trim().to_owned())).collect();
        assert!(kept.len() < text.lines().count(), "{}", lines(&diagnostics));
        text = kept.join("\n") + "\n";
    }
    panic!("never valid: {text}")
}

#[test]
fn markdown_has_only_our_mark_up() {
    let calm = hostile("calm");
    for word in CORPUS {
        let diff = hostile(word);
        assert_eq!(summary_line(&diff), summary_line(&calm), "{word:?}");
        let shown = markdown(&diff);
        assert!(shown.starts_with(&format!("**{}**\n\n", summary_line(&calm))), "{word:?}");
        assert!(shown.matches("EVIL").count() > 3, "{word:?} is not even there:\n{shown}");
        only_ours(&shown, word);
        no_bad_characters(&shown, word);
    }
}

/// Parses it as CommonMark with GFM's and others' extensions.
fn only_ours(shown: &str, word: &str) {
    let mut options = Options::all();
    options.remove(Options::ENABLE_YAML_STYLE_METADATA_BLOCKS);
    let (mut open, mut in_code) = (0, false);
    for event in Parser::new_ext(shown, options) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => {
                for line in html.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    let summary = line
                        .strip_prefix("<summary>")
                        .and_then(|line| line.strip_suffix("</summary>"));
                    match (line, summary) {
                        ("<details>", _) => open += 1,
                        ("</details>", _) => open -= 1,
                        (_, Some(words)) => {
                            let plain = |c: char| c.is_ascii_alphanumeric() || " ,".contains(c);
                            assert!(words.chars().all(plain), "{words}");
                        }
                        _ => panic!("{word:?} is HTML: {line}"),
                    }
                }
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                in_code = true;
                let is_diff = matches!(&kind, CodeBlockKind::Fenced(of) if &**of == "diff");
                assert!(is_diff, "{word:?}: {kind:?}");
            }
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(text) if !in_code => {
                assert!(!text.contains("EVIL"), "{word:?} is text: {text}");
                for bad in ["@", "#", "://", "www.", "GH-", "evil"] {
                    assert!(!text.contains(bad), "{word:?}: {text}");
                }
            }
            Event::Start(
                Tag::Paragraph | Tag::Strong | Tag::List(None) | Tag::Item | Tag::HtmlBlock,
            )
            | Event::End(_)
            | Event::Text(_)
            | Event::Code(_)
            | Event::SoftBreak
            | Event::HardBreak => {}
            other => panic!("{word:?} is mark-up: {other:?}\n{shown}"),
        }
    }
    assert_eq!(open, 0, "{word:?}");
}

fn no_bad_characters(shown: &str, word: &str) {
    let bad = |c: char| {
        (c.is_control() && c != '\n')
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200b}' | '\u{feff}')
    };
    assert!(!shown.contains(bad), "{word:?}: {shown:?}");
    for line in shown.lines() {
        // What runners of CI take for commands.
        assert!(!line.trim_start().starts_with("::"), "{word:?}: {line}");
        assert!(!line.contains("##[") && !line.contains("##vso["), "{word:?}: {line}");
    }
}

#[test]
fn text_has_no_other_lines_and_no_other_numbers() {
    let calm = hostile("calm");
    let plain = |diff: &FleetDiff| text(diff, &|_, text| text.to_owned());
    for word in CORPUS {
        let diff = hostile(word);
        let shown = plain(&diff);
        no_bad_characters(&shown, word);
        let numbers: Vec<&str> =
            shown.lines().filter(|l| l.starts_with(char::is_numeric)).collect();
        assert_eq!(numbers, [summary_line(&calm)], "{word:?}: {shown}");
        assert!(shown.lines().count() <= plain(&calm).lines().count(), "{word:?}: {shown}");
    }
}

#[test]
fn json_has_the_same_numbers_and_the_true_texts() {
    let calm = json(&hostile("calm"));
    for word in CORPUS {
        let json = json(&hostile(word));
        assert_eq!(json["summary"], calm["summary"], "{word:?}");
        assert_eq!(json["base"]["revision"], *word);
        let printed = json.to_string();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), json);
    }
}

#[test]
fn diagnostics_for_people_stay_on_their_lines() {
    for word in CORPUS {
        let Checked { diagnostics, .. } = check(&tree(&fleet(word, 1)));
        no_bad_characters(&render::all(&diagnostics, |_, text| text.to_owned()), word);
    }
}

/// A fleet of many devices that all change, each in its own way.
fn many(devices: usize, lines_each: usize, n: u8) -> String {
    let mut out = String::from("=== devices/all.toml\n");
    for i in 0..devices {
        out.push_str(&format!("[[device]]\nid = \"device-{i:04}\"\ntags = {{ i = {i} }}\n"));
    }
    for i in 0..devices {
        out.push_str(&format!(
            "=== deployments/x{i}.toml\ntarget = \"tags.i = {i}\"\n[modules.m{i}]\nimage = \"m:{n}\"\n[modules.m{i}.env]\n"
        ));
        for line in 0..lines_each * (i + 1) {
            out.push_str(&format!(
                "V{line:05} = \"{n} and é some more ``` words to fill a line with\"\n"
            ));
        }
    }
    out
}

fn compared(devices: usize, lines_each: usize) -> FleetDiff {
    let fleet = |n| crate::harness::valid(&many(devices, lines_each, n));
    crate::harness::compare(&fleet(1), &fleet(2))
}

#[test]
fn what_is_too_long_is_cut_from_the_largest_diff_on_and_says_so() {
    let whole = markdown(&compared(3, 4));
    assert!(!whole.contains("Cut to fit"), "{whole}");

    // The largest diffs are shortened, the smaller ones whole.
    let diff = compared(8, 30);
    let shown = markdown(&diff);
    assert!((LONGEST_COMMENT - 2000..=LONGEST_COMMENT).contains(&shown.len()), "{}", shown.len());
    assert!(
        shown.starts_with("**8 of 8 devices change, in 8 ways: 8 modules recreated, 0 removed**\n")
    );
    assert!(shown.contains("⚠ Cut to fit into a comment: the largest diffs are shortened ("));
    assert!(shown.contains("lines of this diff left out"));
    assert_eq!(shown.matches("<details>").count(), 8);
    only_ours(&shown, "");
    let smallest =
        diff.groups.iter().map(|group| &group.diff).min_by_key(|diff| diff.len()).unwrap();
    assert!(smallest.lines().all(|line| shown.contains(line)));

    // So many groups that not even their headlines fit.
    let shown = markdown(&compared(400, 0));
    assert!((LONGEST_COMMENT - 2000..=LONGEST_COMMENT).contains(&shown.len()), "{}", shown.len());
    assert!(shown.contains(" devices are not shown. `hoist diff` shows all."), "{}", &shown[..600]);
    assert!(shown.starts_with("**400 of 400 devices change, in 400 ways:"));
    only_ours(&shown, "");
}

#[test]
fn one_endless_line_is_left_out_whole() {
    let fleet = |n: u8| {
        let long = "x".repeat(200_000);
        crate::harness::valid(&format!(
            "=== devices/d.toml\n=== deployments/b.toml\ntarget = \"*\"\n[modules.mm]\nimage = \"m:1\"\nenv = {{ A = \"{n}{long}\" }}\n"
        ))
    };
    let shown = markdown(&crate::harness::compare(&fleet(1), &fleet(2)));
    assert!(shown.len() < 2000 && shown.starts_with("**1 of 1 device changes"), "{shown}");
    assert!(shown.contains("Cut to fit") && shown.contains("left out"), "{shown}");
}
