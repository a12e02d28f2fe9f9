//! Occurrences during an open one, by policy.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::schedule::Schedule;

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn every_10_seconds() -> Calendar {
    Schedule::interval_secs(10).unwrap().calendar(second(0)).unwrap()
}

fn passed(from: i64, to: i64, number: u64, fate: Fate) -> Passed {
    Passed { from: second(from), to: second(to), count: Count { number, exact: true }, fate }
}

#[test]
fn nothing_is_decided_when_nothing_came_due() {
    for overlap in [Overlap::Skip, Overlap::BufferOne] {
        assert_eq!(reckon_overlap(&every_10_seconds(), overlap, None, second(10), second(19)), None);
        assert_eq!(
            reckon_overlap(&every_10_seconds(), overlap, Some(second(10)), second(10), second(19)),
            None
        );
    }
}

#[test]
fn occurrences_that_come_while_one_is_open_are_skipped_by_default() {
    let reckoning = reckon_overlap(&every_10_seconds(), Overlap::default(), None, second(10), second(45));
    let skipped = passed(20, 40, 3, Fate::Skipped(Skip::Overlap));
    assert_eq!(reckoning, Some(Reckoning { newest: second(40), run: None, passed: vec![skipped] }));
}

#[test]
fn newest_waits_and_the_others_are_merged_into_it() {
    let reckoning = reckon_overlap(&every_10_seconds(), Overlap::BufferOne, None, second(10), second(45));
    let fate = Fate::Merged { into: second(40) };
    let run = Some(Run { next: second(40), through: second(40) });
    assert_eq!(reckoning, Some(Reckoning { newest: second(40), run, passed: vec![passed(20, 30, 2, fate)] }));
}

#[test]
fn one_that_was_waiting_is_merged_into_the_newest_too() {
    let buffered = Some(second(20));
    let reckoning = reckon_overlap(&every_10_seconds(), Overlap::BufferOne, buffered, second(20), second(45));
    let fate = Fate::Merged { into: second(40) };
    let run = Some(Run { next: second(40), through: second(40) });
    let expected = vec![passed(20, 20, 1, fate), passed(30, 30, 1, fate)];
    assert_eq!(reckoning, Some(Reckoning { newest: second(40), run, passed: expected }));
}

#[test]
fn single_instant_always_runs() {
    let calendar = Schedule::one_time(second(20)).calendar(second(100)).unwrap();
    for overlap in [Overlap::Skip, Overlap::BufferOne] {
        let reckoning = reckon_overlap(&calendar, overlap, None, calendar.start(), second(100));
        let run = Some(Run { next: second(20), through: second(20) });
        assert_eq!(reckoning, Some(Reckoning { newest: second(20), run, passed: vec![] }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_occurrence_that_came_due_is_decided_exactly_once(
        period_ms in 1..100_000u64,
        buffer in any::<bool>(),
        buffered in any::<bool>(),
        last_period in 0..50i64,
        open_ms in 0..1_000_000i64,
    ) {
        let calendar = Schedule::every(Duration::from_millis(period_ms)).unwrap().calendar(second(0)).unwrap();
        let last = second(0).saturating_add_ms(last_period * i64::try_from(period_ms).unwrap());
        let now = last.saturating_add_ms(open_ms);
        let overlap = if buffer { Overlap::BufferOne } else { Overlap::Skip };
        let buffered = (buffer && buffered).then_some(last);
        let due: Vec<_> = calendar.occurrences_after(last).take_while(|at| *at <= now).take(2_000).collect();
        prop_assume!(due.len() < 2_000);
        let Some(reckoning) = reckon_overlap(&calendar, overlap, buffered, last, now) else {
            prop_assert!(due.is_empty());
            return Ok(());
        };
        prop_assert_eq!(Some(&reckoning.newest), due.last());
        let passed: u64 = reckoning.passed.iter().map(|passed| passed.count.number).sum();
        let decided = passed + u64::from(reckoning.run.is_some()) - u64::from(buffered.is_some());
        prop_assert_eq!(decided, u64::try_from(due.len()).unwrap());
        prop_assert!(reckoning.passed.windows(2).all(|pair| pair[0].to < pair[1].from));
    }
}
