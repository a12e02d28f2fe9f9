//! Whatever a text or a schedule holds: no panic, no search without end, no allocation without bound.
//!
//! `exercise` makes every call with it; here are texts that were mutated from valid ones, and texts of no kind. To
//! look for longer, in a release build:
//!
//! ```text
//! PROPTEST_CASES=1000000 cargo test --release -p azoth-scheduler-core --test hostile
//! ```
//!
//! or with a fuzzer that follows the branches taken, as `fuzz/README.md` says.
#![cfg(feature = "engine")]

mod exercise;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use self::exercise::{exercise, exercise_bytes};

const EXPRESSIONS: &[&str] = &[
    "* * * * * *",
    "*/30 * * * * *",
    "0 0 9 * * 1-5",
    "50-10/5 22-2 */5 28-3 NOV-FEB FRI-MON",
    "0 0 12 L,15W,LW,L-3,1-7 * MON#1,5L,SAT",
    "0 0 0 29 2 *",
    "0 0 0 31W * ?",
    "0 0 0 L-30 * *",
    "0 0 0 * 2 MON#5",
    "0 0 0 30 2 *",
    "59 59 23 31 12 7",
    "@yearly",
    "1h30m",
];

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Africa/Casablanca",
    "EST5EDT",
    "../../etc/passwd",
];

/// One edit of a text's bytes, at a place that is scaled to its length.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, Index, u8),
}

/// What the grammar is made of, and any byte.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![4 => select(&b"0123456789*/-,?#LW@ \tJANFEBMONSUN"[..]), 1 => any::<u8>()]
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        (place(), byte()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (place(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        place().prop_map(Edit::Remove),
        (place(), place(), any::<u8>()).prop_map(|(from, to, times)| Edit::Repeat(from, to, times)),
    ]
}

fn mutated(text: &str, edits: &[Edit]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for edit in edits.iter().filter(|_| bytes.len() < BYTES_MAX).cloned().collect::<Vec<_>>() {
        let length = bytes.len();
        match edit {
            Edit::Insert(at, byte) => bytes.insert(at.index(length + 1), byte),
            _ if length == 0 => {}
            Edit::Replace(at, byte) => bytes[at.index(length)] = byte,
            Edit::Remove(at) => drop(bytes.remove(at.index(length))),
            Edit::Repeat(a, b, times) => {
                let (from, to) = (a.index(length).min(b.index(length)), a.index(length).max(b.index(length)));
                let piece = bytes[from..=to].repeat(usize::from(times % 16));
                bytes.splice(to..to, piece);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A valid text, or one that was some edits ago.
fn near(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let edits = prop_oneof![1 => Just(Vec::new()), 3 => vec(edit(), 1..6)];
    (select(texts), edits).prop_map(|(text, edits)| mutated(text, &edits))
}

fn numbers() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..80)
}

/// A quarter of the usual number: a case makes dozens of searches, each up to the limits of what one may do.
fn few_cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases / 4, failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn expressions_near_valid_ones_are_harmless(
        expression in near(EXPRESSIONS),
        zone in select(ZONES),
        numbers in numbers(),
    ) {
        exercise(&expression, zone, &numbers);
    }

    #[test]
    fn zones_near_valid_ones_are_harmless(
        expression in select(EXPRESSIONS),
        zone in near(ZONES),
        numbers in numbers(),
    ) {
        exercise(expression, &zone, &numbers);
    }

    #[test]
    fn texts_of_no_kind_are_harmless(
        expression in vec(any::<char>(), 0..200),
        zone in vec(any::<char>(), 0..200),
        numbers in numbers(),
    ) {
        exercise(&String::from_iter(expression), &String::from_iter(zone), &numbers);
    }

    #[test]
    fn bytes_of_no_kind_are_harmless(bytes in vec(any::<u8>(), 0..500)) {
        exercise_bytes(&bytes);
    }

    #[test]
    fn schedules_of_any_values_are_harmless(
        (expression, zone) in (select(EXPRESSIONS), select(ZONES)),
        numbers in numbers(),
    ) {
        exercise(expression, zone, &numbers);
    }
}

#[test]
fn texts_of_megabytes_are_refused_without_a_copy_of_them() {
    for piece in ["9", "1,", "* ", "*/", "L", "\u{1f980}", "-1/", "@", "1h"] {
        let long = piece.repeat(1 << 20);
        exercise(&long, &long, &[]);
    }
}

/// Where a text is long enough: doubling it again teaches nothing new.
const BYTES_MAX: usize = 1 << 16;
