//! Examples: the original's own, the user's reference, and conditions found in the field.

use super::{condition, errors, query, query_errors};
use crate::language::{Condition, Query};
use std::path::{Path, PathBuf};

/// "Examples of target conditions"; its tenth is `[none]`, an absent one.
#[test]
fn the_originals_examples_parse_and_print_back() {
    let examples = [
        ("deviceId ='linuxprod1'", "deviceId = 'linuxprod1'"),
        ("tags.environment ='prod'", "tags.environment = 'prod'"),
        ("tags.environment = 'prod' AND tags.location = 'westus'", ""),
        ("tags.environment = 'prod' OR tags.location = 'westus'", ""),
        (
            "tags.operator = 'John' AND tags.environment = 'prod' AND NOT deviceId = 'linuxprod1'",
            "",
        ),
        ("properties.reported.devicemodel = '4000x'", ""),
        ("IS_DEFINED(tags.remote)", ""),
        ("NOT IS_DEFINED(tags.location.building)", ""),
        ("tags.environment != null", ""),
        ("deviceId='operator''sDevice'", "deviceId = 'operator''sDevice'"),
    ];
    for (text, printed) in examples {
        let expected = if printed.is_empty() { text } else { printed };
        assert_eq!(condition(text).to_string(), expected);
    }
    for absent in ["", " \n", "[none]"] {
        errors(absent);
    }
}

/// Lines of fenced blocks in the user's reference, by the word that marks the fence.
fn reference(mark: &str) -> Vec<&'static str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in include_str!("../../../grammar/README.md").lines() {
        if let Some(fence) = line.strip_prefix("```") {
            inside = fence == mark;
        } else if inside && !line.trim().is_empty() {
            found.push(line);
        }
    }
    found
}

#[test]
fn every_example_of_the_reference_is_what_it_says() {
    let (right, wrong) = (reference("condition"), reference("error"));
    assert!(right.len() >= 20 && wrong.len() >= 10, "{} and {}", right.len(), wrong.len());
    for text in right {
        condition(text);
    }
    for text in wrong {
        for error in errors(text) {
            assert!(error.help.is_some(), "{text}: {error}");
        }
    }
}

#[test]
fn every_query_of_the_reference_is_what_it_says() {
    let (right, wrong) = (reference("query"), reference("query-error"));
    assert!(right.len() >= 15 && wrong.len() >= 10, "{} and {}", right.len(), wrong.len());
    for text in right {
        query(text);
    }
    for text in wrong {
        for error in query_errors(text) {
            assert!(error.help.is_some(), "{text}: {error}");
        }
    }
}

/// Where data shared between checkouts lies: `HOIST_SHARED`, or `shared` beside this checkout.
fn shared_folder() -> PathBuf {
    let folder = match std::env::var_os("HOIST_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    folder.join("data")
}

fn shared(file: &str) -> Option<String> {
    std::fs::read_to_string(shared_folder().join(file)).ok()
}

/// All texts in JSON that are queries.
fn queries_in(json: &serde_json::Value, found: &mut Vec<String>) {
    match json {
        serde_json::Value::String(text) if text.to_lowercase().starts_with("select ") => {
            found.push(text.clone());
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| queries_in(item, found)),
        serde_json::Value::Object(map) => map.values().for_each(|item| queries_in(item, found)),
        _ => {}
    }
}

fn queries_below(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            queries_below(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path)
            && let Ok(json) = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        {
            queries_in(&json, found);
        }
    }
}

/// Metric queries in deployments collected from public repositories. A query over messages, which routes
/// have, says so by its collection.
#[test]
fn metric_queries_from_the_field_parse_and_print_back() {
    let mut found = Vec::new();
    queries_below(&shared_folder(), &mut found);
    if found.is_empty() {
        eprintln!("skipped: no JSON below shared/data; HOIST_SHARED names another folder");
        return;
    }
    found.sort();
    found.dedup();
    let (metrics, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|text| text.to_lowercase().contains(" from devices"));
    for text in &metrics {
        let read = Query::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}"));
        assert_eq!(Query::parse(&read.to_string()), Ok(read), "{text}");
    }
    for text in &others {
        assert!(Query::parse(text).is_err(), "{text}");
    }
    eprintln!("{} metric queries taken, {} others refused", metrics.len(), others.len());
    assert!(metrics.len() >= 10);
}

/// Conditions collected from public repositories, `condition<TAB>where it was found` a line.
#[test]
fn conditions_from_the_field_parse_or_say_what_to_write() {
    let Some(lines) = shared("target-conditions.txt") else {
        eprintln!(
            "skipped: no shared/data/target-conditions.txt; HOIST_SHARED names another folder"
        );
        return;
    };
    let (mut taken, mut refused) = (0, 0);
    for line in lines.lines().filter(|line| !line.starts_with('#')) {
        let (text, source) = line.split_once('\t').unwrap();
        if text.is_empty() {
            continue;
        }
        let lower = text.to_lowercase();
        let listed = lower.contains(" in [") || lower.contains(" nin [");
        let is_wrong = lower.starts_with("from devices.modules")
            || text.contains("tags.{")
            || (source.contains("REFUSED") && !listed)
            || source.contains("unterminated")
            || source.contains("syntax error");
        match (Condition::parse(text), is_wrong) {
            (Ok(read), false) => {
                assert_eq!(condition(&read.to_string()), read, "{text}");
                taken += 1;
            }
            (Err(errors), true) => {
                assert!(errors.iter().all(|error| error.help.is_some()), "{text}: {errors:#?}");
                refused += 1;
            }
            (read, _) => panic!("{line}: {read:#?}"),
        }
    }
    eprintln!("{taken} conditions taken, {refused} refused");
    assert!(taken > 30 && refused > 5);
}
