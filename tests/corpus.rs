//! Replays what the fuzzers keep: every file of `fuzz/corpus` goes through the check of its folder's name.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::fs;
use std::path::Path;

#[test]
fn every_kept_input_keeps_the_promises() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, check) in checks::CHECKS {
        let folder = corpus.join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut replayed = 0;
        for file in files {
            let path = file.expect("the corpus can be listed").path();
            println!("{}", path.display());
            check(&fs::read(&path).expect("the corpus can be read"));
            replayed += 1;
        }
        assert!(replayed >= 20, "{name} has a corpus: {replayed}");
    }
}

#[test]
fn every_check_has_a_fuzzer() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in checks::CHECKS {
        let target = package.join(format!("fuzz/targets/{name}.rs"));
        let text = fs::read_to_string(&target).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains(&format!("checks::{name}(bytes)")), "{name}");
    }
    let targets = fs::read_dir(package.join("fuzz/targets")).expect("there are fuzzers").count();
    assert_eq!(targets, checks::CHECKS.len(), "a fuzzer without a check");
}
