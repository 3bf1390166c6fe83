//! The pure core, from files to manifests, hashes and diffs: small fleets in, whole outputs out.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod determinism;
mod examples;
mod harness;
mod hashes;
mod incremental;
mod lints;
mod merge;
mod precedence;
mod provenance;
mod review;
mod review_causes;
mod review_hostile;
mod review_random;
mod review_scenarios;
mod review_state;
mod review_views;
mod targets;
