//! Routes.
#![no_main]

#[allow(dead_code)] // the replay calls all checks, a fuzzer one
#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::route(bytes));
