//! Any bytes as an expression, the name of a zone, and the values of a schedule.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/hostile/exercise.rs"]
#[allow(dead_code, reason = "the tests come in by another door")]
mod exercise;

fuzz_target!(|bytes: &[u8]| exercise::exercise_bytes(bytes));
