//! Files that are far too deep are errors, and large ones are read in a time that grows with their size.

#![expect(clippy::disallowed_methods, reason = "how long reading takes is what is asked")]

use hoist::diagnostic::{Code, Diagnostics, render};
use hoist::fleet::{FileTree, load};
use hoist::language::Condition;
use std::time::Instant;

const DEEP: usize = 10_000;

fn problems(path: &str, text: &str) -> Diagnostics {
    let mut files = vec![(path, text)];
    if path != "fleet.toml" {
        files.push(("fleet.toml", "name = \"towers\"\n"));
    }
    load(&FileTree::from_texts(files)).diagnostics.sorted()
}

#[test]
fn ten_thousand_levels_are_an_error_and_no_overflow() {
    let nested = |open: &str, inside: &str, close: &str| {
        format!("{}{inside}{}", open.repeat(DEEP), close.repeat(DEEP))
    };
    let dotted = format!("a{}", ".a".repeat(DEEP));
    for (what, text) in [
        ("lists", format!("x = {}\n", nested("[", "", "]"))),
        ("lists that are never closed", format!("x = {}", "[".repeat(DEEP))),
        ("closing brackets", format!("x = {}", "]".repeat(DEEP))),
        ("inline tables", format!("x = {}\n", nested("{ a = ", "1", " }"))),
        ("inline tables that are never closed", format!("x = {}", "{ a = ".repeat(DEEP))),
        ("both in turn", format!("x = {}\n", nested("[{ a = ", "1", " }]"))),
        ("a dotted key", format!("{dotted} = 1\n")),
        ("a header", format!("[{dotted}]\nb = 1\n")),
        ("a header of tags", format!("[tags.{dotted}]\nb = 1\n")),
        ("a header of a list", format!("[[{dotted}]]\nb = 1\n")),
        ("a dotted key in an inline table", format!("x = {{ {dotted} = 1 }}\n")),
        (
            "headers, each below the last",
            (1..400).fold(String::new(), |text, n| format!("{text}[a{}]\nb = 1\n", ".a".repeat(n))),
        ),
    ] {
        for path in ["fleet.toml", "devices/d.toml", "deployments/d.toml"] {
            let found = problems(path, &text);
            assert!(found.has_errors(), "{what} in {path}");
            let said = render::all(&found, |_, text| text.to_owned());
            assert!(said.len() < 20_000, "{what} in {path}: {} bytes are said", said.len());
        }
    }
}

#[test]
fn conditions_that_are_too_deep_are_errors() {
    for text in [
        format!("{}tags.a = 1{}", "(".repeat(DEEP), ")".repeat(DEEP)),
        "(".repeat(DEEP),
        ")".repeat(DEEP),
        "[".repeat(DEEP),
        format!("{} tags.a = 1", "NOT ".repeat(DEEP)),
        format!("tags{} = 1", ".a".repeat(DEEP)),
        format!("tags{} = 1", "['a']".repeat(DEEP)),
        format!("{}tags.a = 1{}", "(".repeat(4000), ")".repeat(4000)),
        format!("{} tags.a = 1", "NOT ".repeat(2000)),
        format!("{}tags.a = 1{}", "NOT (".repeat(1300), ")".repeat(1300)),
    ] {
        assert!(Condition::parse(&text).is_err(), "{}…", &text[..20]);
    }
    // As long as may be, and flat.
    assert!(Condition::parse("tags.a = 1 OR ".repeat(580).trim_end_matches(" OR ")).is_ok());
}

#[test]
fn reading_takes_time_in_proportion() {
    // A quarter of what is read at most: a test should not take half a minute.
    let largest = usize::try_from(FileTree::LARGEST_FILE / 4).expect("4 MiB fit");
    let mut times = Vec::new();
    for size in [largest / 16, largest] {
        let mut text = String::with_capacity(size);
        let mut n = 0;
        while text.len() + 200 < size {
            n += 1;
            text.push_str(&format!(
                "[[device]]\nid = \"gw-{n}\"\nengine = \"ssh://hoist@gw-{n}.sites.example\"\n\
                 tags = {{ ring = \"canary\", location = {{ floor = {n} }} }}\n\n"
            ));
        }
        let begin = Instant::now();
        let found = problems("devices/list.toml", &text);
        times.push((n, text.len(), begin.elapsed()));
        assert!(found.is_empty(), "{:?}", found.iter().next());
    }
    println!("devices, bytes, time: {times:?}");
    // Sixteen times as much takes about sixteen times as long; far more is something else than noise.
    assert!(times[1].2 < times[0].2 * 16 * 6, "{times:?}");
}

#[test]
fn a_file_full_of_mistakes_is_read() {
    let mut times = Vec::new();
    for mistakes in [2_000, 20_000] {
        let text: String = (0..mistakes).map(|n| format!("key-{n} = {n}\n")).collect();
        let begin = Instant::now();
        let found = problems("devices/d.toml", &text);
        let said = render::all(&found, |_, text| text.to_owned());
        times.push((found.len(), said.len(), begin.elapsed()));
        assert_eq!(found.len(), 201, "so many are shown, and how many more there are");
        assert_eq!(found.iter().last().map(|d| d.code), Some(Code::TooLarge));
    }
    println!("diagnostics, bytes, time: {times:?}");
    assert!(times[1].2.as_secs() < 60, "{times:?}");
}
