//! The wall between the layers, and the house rules that a compiler does not check.
//!
//! A single package has no crates as walls, so these tests read the sources. Every rule is a function from
//! one file to its complaints, is run over all files, and is shown to bite on a bad snippet. A complaint
//! says what to do. Lines of comment don't count: documentation may point anywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, from the bottom up, each with its height. A layer names itself and what is lower; layers of
/// one height don't know each other.
const LAYERS: [(&str, u8); 19] = [
    ("diagnostic", 1),
    ("model", 2),
    ("language", 3),
    ("fleet", 4),
    ("resolve", 5),
    ("rollout", 5),
    ("review", 6),
    ("azure", 6),
    ("plan", 7),
    ("generate", 7),
    ("source", 8),
    ("engine", 8),
    ("store", 8),
    ("config", 8),
    ("apply", 9),
    ("reconcile", 10),
    ("notices", 11),
    ("serve", 11),
    ("cli", 12),
];

/// The last height that is sync, without IO, clock, randomness and unordered maps.
const BOUNDARY: u8 = 7;

/// Foreign crates that show only in one place: below these paths.
const FOREIGN: [(&str, &[&str]); 26] = [
    ("pest", &["src/language/parse/"]),
    ("pest_derive", &["src/language/parse/"]),
    ("toml", &["src/fleet/", "src/config/", "src/cli/"]),
    ("git2", &["src/source/"]),
    ("gix_hash", &["src/source/"]),
    ("gix_object", &["src/source/"]),
    ("gix_odb", &["src/source/"]),
    ("gix_pack", &["src/source/"]),
    ("sha1", &["src/source/"]),
    ("axum", &["src/serve/"]),
    ("maud", &["src/serve/page/"]),
    ("hmac", &["src/serve/", "src/notices/"]),
    ("notify", &["src/source/"]),
    ("bollard", &["src/engine/docker"]),
    ("hyper", &["src/engine/docker", "src/notices/", "src/serve/"]),
    ("hyper_util", &["src/engine/docker", "src/notices/", "src/serve/"]),
    ("http_body_util", &["src/engine/docker", "src/notices/", "src/serve/"]),
    ("tokio_rustls", &["src/engine/docker", "src/notices/", "src/serve/"]),
    ("tar", &["src/engine/"]),
    ("rusqlite", &["src/store/"]),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/"]),
    ("clap_mangen", &["src/cli/"]),
    ("similar", &["src/review/"]),
    ("tracing_subscriber", &["src/cli/"]),
    ("mimalloc", &["src/main.rs"]),
];

/// What the layers above the boundary don't name, and what to do instead.
const IMPURE: [(&str, &str); 15] = [
    ("tokio", "keep async below the boundary"),
    ("futures_util", "keep async below the boundary"),
    ("tracing", "return what there is to say; logging is for the layers below"),
    ("async fn", "keep async below the boundary"),
    ("async move", "keep async below the boundary"),
    (".await", "keep async below the boundary"),
    ("std::fs", "take the content as an argument"),
    ("std::io", "take the content as an argument"),
    ("std::process", "take the result as an argument"),
    ("std::thread", "the core is single-threaded"),
    ("std::env", "take the value as an argument"),
    ("Instant", "take the time as an argument"),
    ("SystemTime", "take the time as an argument"),
    ("HashMap", "use a BTreeMap: results must not depend on a hasher"),
    ("HashSet", "use a BTreeSet: results must not depend on a hasher"),
];

/// Words that are in no source.
const BANNED_WORDS: [(&str, &str); 6] = [
    ("todo!", "write it, or leave the feature out whole"),
    ("unimplemented!", "write it, or leave the feature out whole"),
    ("dbg!", "take it out"),
    ("FIXME", "fix it"),
    ("#[ignore", "a test that is not run is no test"),
    ("#[allow", "use #[expect(…, reason = \"…\")]"),
];

/// Names of files and folders that say nothing.
const BANNED_FILES: [&str; 13] = [
    "util", "utils", "helper", "helpers", "common", "manager", "managers", "handler", "handlers",
    "misc", "types", "shared", "info",
];

/// Ends of type names that say nothing.
const BANNED_TYPES: [&str; 8] =
    ["Manager", "Handler", "Helper", "Util", "Utils", "Service", "Common", "Info"];

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 80;

/// One source file.
struct Source {
    /// From the package's folder, with `/`.
    path: String,
    text: String,
}

type Rule = fn(&Source) -> Vec<String>;

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The folder or file below `src` that it belongs to.
    fn layer(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        let first = below.split('/').next()?;
        let first = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(first, "lib" | "main")).then_some(first)
    }

    /// Numbered lines without those that are comments, and without comments at their ends.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..)
            .zip(self.text.lines())
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(number, line)| (number, line.split_once(" // ").map_or(line, |(code, _)| code)))
    }

    /// Of those, the ones before the tests.
    fn production_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test_file() { 0 } else { self.production_lines() };
        self.code().take_while(move |(number, _)| *number <= end)
    }

    /// How many lines there are before `#[cfg(test)] mod tests {`.
    fn production_lines(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        lines
            .windows(2)
            .position(|pair| {
                pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
            })
            .unwrap_or(lines.len())
    }

    fn is_test_file(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    fn at(&self, line: usize, complaint: impl std::fmt::Display) -> String {
        format!("{}:{line}: {complaint}", self.path)
    }
}

fn height(layer: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == layer).map(|(_, height)| *height)
}

/// Where `word` stands in a line with no letter, digit or underscore on the sides where it has one.
fn word_at<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = line[..*at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let free = |side: Option<char>, edge: Option<char>| {
            !edge.is_some_and(part) || !side.is_some_and(part)
        };
        free(before, word.chars().next()) && free(after, word.chars().next_back())
    })
}

/// The modules that a file names by `crate::…`, with their lines.
fn named_layers(source: &Source) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    let code: Vec<(usize, &str)> = source.code().collect();
    for (index, (number, line)) in code.iter().enumerate() {
        for at in word_at(line, "crate").filter(|at| line[at + 5..].starts_with("::")) {
            let rest = &line[at + 7..];
            if !rest.starts_with('{') {
                named.push((*number, first_name(rest)));
                continue;
            }
            // A group may go on over several lines; names stand at its first level.
            let following = code[index + 1..].iter().map(|(_, line)| *line);
            let text: String = std::iter::once(rest).chain(following).collect::<Vec<_>>().join(" ");
            named.extend(group_names(&text).into_iter().map(|name| (*number, name)));
        }
    }
    named
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first names of the items of a group that begins with `{`.
fn group_names(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut begins) = (0, Vec::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '{' => (depth, begins) = (depth + 1, depth == 0),
            '}' => depth -= 1,
            ',' if depth == 1 => begins = true,
            c if depth == 1 && begins && !c.is_whitespace() => {
                names.push(first_name(&text[at..]));
                begins = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn names_only_lower_layers(source: &Source) -> Vec<String> {
    let Some(own) = source.layer() else { return Vec::new() };
    let Some(own_height) = height(own) else {
        return vec![
            source.at(1, format!("`{own}` is no layer: give it a height in tests/tidy.rs")),
        ];
    };
    named_layers(source)
        .into_iter()
        .filter(|(_, name)| name != own)
        .filter_map(|(line, name)| match height(&name) {
            Some(theirs) if theirs < own_height => None,
            Some(_) => Some(source.at(
                line,
                format!(
                    "`{own}` must not name `{name}`: move what both need into a lower layer, or pass \
                     it as an argument"
                ),
            )),
            // A macro or an item at the crate's top.
            None => Some(source.at(line, format!("`crate::{name}` is no layer: name its module"))),
        })
        .collect()
}

fn names_no_module_above_its_parent(source: &Source) -> Vec<String> {
    source
        .code()
        .filter(|(_, line)| line.contains("super::super"))
        .map(|(number, _)| {
            source.at(number, "write the path from `crate::` instead of super::super")
        })
        .collect()
}

fn keeps_foreign_crates_in_their_place(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (foreign, places) in FOREIGN {
        if !source.path.starts_with("src/") || places.iter().any(|p| source.path.starts_with(p)) {
            continue;
        }
        for (number, line) in source.code() {
            let named = word_at(line, foreign).any(|at| {
                let (before, after) = (&line[..at], &line[at + foreign.len()..]);
                let used = before.trim_end().ends_with("use")
                    && (after.starts_with(';') || after.starts_with(" as "));
                !before.ends_with("::") && (after.starts_with("::") || used)
            });
            if named {
                let place = places.join(" and ");
                complaints.push(source.at(
                    number,
                    format!("`{foreign}` is for {place} only: give it a type of ours there"),
                ));
            }
        }
    }
    complaints
}

fn keeps_the_core_pure(source: &Source) -> Vec<String> {
    if source.layer().and_then(height).is_none_or(|height| height > BOUNDARY) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (number, line) in source.production_code() {
        for (word, advice) in IMPURE {
            // What comes out of it is in the order of what went in.
            if source.path == "src/fleet/side_by_side.rs" && word == "std::thread" {
                continue;
            }
            if word_at(line, word).next().is_some() {
                complaints
                    .push(source.at(number, format!("`{word}` is not for the core: {advice}")));
            }
        }
    }
    complaints
}

fn has_no_banned_words(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(source.text.lines()) {
        for (word, advice) in BANNED_WORDS {
            if word_at(line, word).next().is_some() {
                complaints.push(source.at(number, format!("`{word}`: {advice}")));
            }
        }
    }
    complaints
}

fn prints_only_in_the_cli(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/") || source.path.starts_with("src/cli/") {
        return Vec::new();
    }
    let prints = ["println!", "print!", "eprintln!", "eprint!"];
    source
        .production_code()
        .filter(|(_, line)| prints.iter().any(|word| word_at(line, word).next().is_some()))
        .map(|(number, _)| source.at(number, "only src/cli prints: return the text"))
        .collect()
}

fn has_a_telling_path(source: &Source) -> Vec<String> {
    source
        .path
        .split('/')
        .map(|part| part.strip_suffix(".rs").unwrap_or(part))
        .filter(|part| BANNED_FILES.contains(part))
        .map(|part| {
            source.at(1, format!("`{part}` says nothing: name the file after what is in it"))
        })
        .collect()
}

fn has_telling_types(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in source.code() {
        for keyword in ["struct ", "enum ", "trait ", "type "] {
            for at in word_at(line, keyword) {
                let name = first_name(&line[at + keyword.len()..]);
                if BANNED_TYPES.iter().any(|end| name.ends_with(end)) {
                    complaints.push(
                        source.at(
                            number,
                            format!("`{name}`: use a noun of the domain (the glossary)"),
                        ),
                    );
                }
            }
        }
    }
    complaints
}

fn is_short(source: &Source) -> Vec<String> {
    let lines = source.production_lines();
    if source.is_test_file() || lines <= LONGEST_FILE {
        return Vec::new();
    }
    vec![source.at(
        LONGEST_FILE,
        format!("{lines} lines without tests: split it by what changes together"),
    )]
}

/// Trusts rustfmt: a function ends at the first `}` that stands as far right as its head.
fn has_short_functions(source: &Source) -> Vec<String> {
    let code: Vec<(usize, &str)> =
        source.code().filter(|(_, line)| !line.trim().is_empty()).collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut complaints = Vec::new();
    for (index, (number, line)) in code.iter().enumerate() {
        // Where clippy is told why, that stands for this rule, too.
        let excused = code[..index].iter().rev().take(3).any(|(_, l)| l.contains("too_many_lines"));
        if word_at(line, "fn ").next().is_none() || line.trim_end().ends_with(';') || excused {
            continue;
        }
        let body = code[index..].iter().map(|(_, line)| *line);
        let end = body.skip(1).position(|l| indent(l) <= indent(line) && l.trim_start() == "}");
        // Head and last line don't count, as in clippy.
        if let Some(lines) = end.filter(|lines| *lines > LONGEST_FUNCTION) {
            let complaint = format!("a function of {lines} lines: give its parts names");
            complaints.push(source.at(*number, complaint));
        }
    }
    complaints
}

fn begins_with_its_purpose(source: &Source) -> Vec<String> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.at(1, "begin with `//!`: what enters, what leaves, what is deliberately not here")]
}

fn all_sources() -> Vec<Source> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "tests"].map(|folder| package.join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the package's folders can be listed") {
            let path = entry.expect("the package's folders can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                let inside = path.strip_prefix(package).expect("it was found in there");
                let inside = inside.to_str().expect("sources have plain names").replace('\\', "/");
                // This file is full of the words that it forbids.
                if inside != "tests/tidy.rs" {
                    found.push(Source { path: inside, text });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Runs a rule over all files, after it has shown that it finds what it should and no more.
fn hold(rule: Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    for (path, text) in bad {
        assert!(!rule(&Source::new(path, text)).is_empty(), "missed in {path}: {text}");
    }
    for (path, text) in good {
        let complaints = rule(&Source::new(path, text));
        assert!(complaints.is_empty(), "false alarm: {complaints:?}");
    }
    let complaints: Vec<String> = all_sources().iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_layer_names_only_lower_layers() {
    hold(
        names_only_lower_layers,
        &[
            ("src/model/device.rs", "use crate::fleet::Fleet;"),
            ("src/review/mod.rs", "use crate::plan::Plan;"),
            ("src/store/open.rs", "fn f(e: &crate::engine::Wanted<'_>) {}"),
            ("src/fleet/load.rs", "use crate::{model::Device, plan::{Plan, Step}};"),
            ("src/fleet/load.rs", "use crate::{\n    model::Device,\n    cli,\n};"),
            ("src/misplaced/mod.rs", "//! A folder that the table lacks."),
            ("src/model/device.rs", "use crate::Something;"),
        ],
        &[
            ("src/plan/mod.rs", "use crate::review::FleetDiff;\nuse crate::plan::Step;"),
            ("src/engine/mod.rs", "use crate::{model::{Manifest, cli}, plan};"),
            ("src/model/device.rs", "//! See [`crate::fleet`]."),
            ("src/lib.rs", "pub use crate::cli::run;"),
        ],
    );
}

#[test]
fn the_library_lists_its_layers_from_the_bottom_up() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
        .expect("there is a library");
    let heights: Vec<u8> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(|layer| {
            height(layer).unwrap_or_else(|| panic!("`{layer}` is no layer of tests/tidy.rs"))
        })
        .collect();
    assert!(!heights.is_empty());
    assert!(heights.is_sorted(), "sort the modules of src/lib.rs by their height: {heights:?}");
    let by_name: BTreeMap<&str, u8> = LAYERS.into_iter().collect();
    assert_eq!(by_name.len(), LAYERS.len(), "a layer has one height");
}

#[test]
fn no_file_reaches_over_its_parent() {
    hold(
        names_no_module_above_its_parent,
        &[("src/model/device.rs", "use super::super::diagnostic::Code;")],
        &[("src/model/device.rs", "use super::name::DeviceId; // not super::\nuse crate::x;")],
    );
}

#[test]
fn foreign_crates_stay_in_their_place() {
    hold(
        keeps_foreign_crates_in_their_place,
        &[
            ("src/language/check.rs", "fn f(rule: pest::iterators::Pair<'_, Rule>) {}"),
            ("src/review/text.rs", "use toml::Table;"),
            ("src/apply/mod.rs", "use git2;"),
            ("src/engine/simulated.rs", "use bollard as docker;"),
            ("src/cli/status.rs", "let c = rusqlite::Connection::open(path);"),
        ],
        &[
            ("src/language/parse/condition.rs", "use pest::Parser as _;"),
            ("src/engine/docker/transport.rs", "use hyper::Request;"),
            ("src/model/manifest.rs", "let toml = 1; // toml::Table\nlet similar_ids = 2;"),
            ("src/model/manifest.rs", "// toml::Table\nuse self::toml::x;"),
        ],
    );
}

#[test]
fn the_core_is_sync_and_pure() {
    hold(
        keeps_the_core_pure,
        &[
            ("src/plan/planner.rs", "pub async fn plan() {}"),
            ("src/resolve/mod.rs", "let x = engine.observe().await;"),
            ("src/fleet/load.rs", "use std::fs;"),
            ("src/plan/planner.rs", "let now = Instant::now();"),
            ("src/resolve/merge.rs", "let m = HashMap::new();"),
            ("src/review/mod.rs", "use tokio::sync::Mutex;"),
        ],
        &[
            ("src/engine/docker.rs", "pub async fn observe() { tokio::spawn(x).await }"),
            ("src/plan/planner.rs", "// std::fs is for others\nlet instants = Instantly;"),
            ("src/fleet/load.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}"),
        ],
    );
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    hold(
        has_no_banned_words,
        &[
            ("src/plan/mod.rs", "fn f() { todo!() }"),
            ("src/plan/mod.rs", "    unimplemented!(\"later\")"),
            ("tests/cli.rs", "#[ignore = \"slow\"]"),
            ("src/plan/mod.rs", "// FIXME: later"),
            ("src/plan/mod.rs", "dbg!(x);"),
            ("src/plan/mod.rs", "#[allow(dead_code)]"),
        ],
        &[("src/plan/mod.rs", "let ignored = is_ignored(path); // [ignore]")],
    );
}

#[test]
fn only_the_cli_prints() {
    hold(
        prints_only_in_the_cli,
        &[
            ("src/apply/mod.rs", "    println!(\"done\");"),
            ("src/engine/docker.rs", "eprintln!(\"retry\");"),
        ],
        &[
            ("src/cli/plan.rs", "println!(\"done\");"),
            ("tests/cli.rs", "println!(\"done\");"),
            ("src/apply/mod.rs", "#[cfg(test)]\nmod tests {\n    println!(\"x\");\n}"),
        ],
    );
}

#[test]
fn files_are_named_after_what_is_in_them() {
    hold(
        has_a_telling_path,
        &[("src/plan/util.rs", ""), ("src/helpers/mod.rs", ""), ("src/model/types.rs", "")],
        &[("src/plan/order.rs", ""), ("src/cli/handlers_of_signals.rs", "")],
    );
}

#[test]
fn types_are_nouns_of_the_domain() {
    hold(
        has_telling_types,
        &[
            ("src/apply/mod.rs", "pub struct DeviceManager {"),
            ("src/apply/mod.rs", "    pub trait StepHandler: Send {"),
            ("src/model/device.rs", "pub(crate) enum DeviceInfo {"),
        ],
        &[("src/apply/mod.rs", "pub struct Information;\n// struct DeviceManager\nlet info = 1;")],
    );
}

#[test]
fn files_fit_in_the_head() {
    let long = format!("//! x\n{}", "let x = 1;\n".repeat(LONGEST_FILE));
    let tested = format!("//! x\n#[cfg(test)]\nmod tests {{\n{}}}\n", "let x = 1;\n".repeat(900));
    hold(
        is_short,
        &[("src/plan/order.rs", &long)],
        &[("src/plan/order.rs", &tested), ("src/plan/tests.rs", &long)],
    );
}

#[test]
fn functions_fit_on_a_screen() {
    let function = |lines: usize| {
        format!(
            "impl X {{\n    fn f() {{\n{}    }}\n}}\n",
            "        let x = {\n        };\n".repeat(lines / 2)
        )
    };
    let with_comments = format!("fn f() {{\n{}}}\n", "    // why\n\n".repeat(200));
    hold(
        has_short_functions,
        &[("src/plan/order.rs", &function(82))],
        &[("src/plan/order.rs", &function(80)), ("src/plan/order.rs", &with_comments)],
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    hold(
        begins_with_its_purpose,
        &[("src/plan/order.rs", "use crate::model::Module;\n"), ("src/plan/order.rs", "")],
        &[("src/plan/order.rs", "//! Steps in their order.\n")],
    );
}
