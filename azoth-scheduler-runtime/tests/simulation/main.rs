//! Simulation of ourselves: several schedulers over one store in a world that follows from a seed, with crashes, pauses,
//! slow and failing handlers, clock jumps and store errors. After each step the log is held against what it promises.
//!
//! `cargo xtask simulate --seeds N` runs as many seeds as asked; a seed that fails prints its steps, and
//! `cargo xtask simulate --seed S` does them again, one line each.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its failure")]

mod deeds;
mod handlers;
mod herd;
mod ledger;
mod limits;
mod plan;

use std::collections::BTreeSet;
use std::sync::Once;

use azoth_scheduler_store::{LogPosition, RecordedEvent};

use crate::plan::{Simulation, Storage};

/// So many seeds are run where nothing else is asked for, on each of both stores. Those in memory are dealt out to several
/// tests, which run side by side.
const SEEDS: u64 = 320;
const PARTS: usize = 5;
const SEEDS_ON_SQLITE: u64 = 10;

/// The seeds that the environment asks for.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let from = number("AZOTH_SIMULATE_FROM").unwrap_or(0);
    from..from + number("AZOTH_SIMULATE_SEEDS").unwrap_or(usual)
}

/// The panics of handlers are part of the plan: they are not printed.
fn hush() {
    static HUSHED: Once = Once::new();
    HUSHED.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&handlers::PLANNED) {
                usual(info);
            }
        }));
    });
}

fn run(seed: u64, storage: Storage) -> Vec<RecordedEvent> {
    hush();
    let mut simulation = Simulation::of_seed(seed, storage);
    if let Err(fault) = simulation.run() {
        panic!("{}", simulation.report(&fault));
    }
    simulation.world.log(LogPosition::START).unwrap()
}

/// Every fifth seed, from this one on.
fn promises_hold_in_memory(part: usize) {
    let (mut kinds, mut ran) = (BTreeSet::new(), 0);
    for seed in seeds(SEEDS).skip(part).step_by(PARTS) {
        kinds.extend(run(seed, Storage::Memory).iter().map(|recorded| recorded.event.name()));
        ran += 1;
    }
    if ran >= 50 {
        let missing = HAPPENS.iter().filter(|kind| !kinds.contains(*kind)).collect::<Vec<_>>();
        assert!(missing.is_empty(), "in {ran} seeds these never happen: {missing:?}");
    }
}

/// What must happen somewhere among some dozens of seeds, or nothing is shown about it.
const HAPPENS: [&str; 16] = [
    "TaskScheduled",
    "ExecutionStarted",
    "TaskExecuted",
    "TaskEventEmitted",
    "ExecutionAbandoned",
    "OccurrencesPassed",
    "TaskCancelled",
    "TaskPaused",
    "TaskResumed",
    "TaskDisabled",
    "LimitsChanged",
    "ScopePaused",
    "ScopeResumed",
    "DependencyEnded",
    "RunRequested",
    "TaskRetried",
];

#[test]
fn promises_hold_in_memory_whatever_happens_first_part() {
    promises_hold_in_memory(0);
}

#[test]
fn promises_hold_in_memory_whatever_happens_second_part() {
    promises_hold_in_memory(1);
}

#[test]
fn promises_hold_in_memory_whatever_happens_third_part() {
    promises_hold_in_memory(2);
}

#[test]
fn promises_hold_in_memory_whatever_happens_fourth_part() {
    promises_hold_in_memory(3);
}

#[test]
fn promises_hold_in_memory_whatever_happens_fifth_part() {
    promises_hold_in_memory(4);
}

#[test]
fn promises_hold_on_sqlite_whatever_happens() {
    for seed in seeds(SEEDS_ON_SQLITE) {
        run(seed, Storage::Sqlite);
    }
}

/// I28: what happens follows from the seed, on every store.
#[test]
fn same_seed_gives_the_same_log_on_both_stores() {
    let log = run(3, Storage::Memory);
    assert!(log.len() > 50, "{} events", log.len());
    assert!(log == run(3, Storage::Memory), "the same seed, another log");
    assert!(log == run(3, Storage::Sqlite), "the same seed, another log on SQLite");
}
