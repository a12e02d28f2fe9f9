//! What a reckoning decides, by example.

use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::schedule::{CATCH_UP_LIMIT_DEFAULT, COUNT_MAX, Schedule, Timing};

const SKIP: Misfire = Misfire { policy: MisfirePolicy::Skip, grace_ms: 60_000 };
const RUN_ONCE: Misfire = Misfire { policy: MisfirePolicy::RunOnce, grace_ms: 60_000 };

fn catch_up(limit: u32) -> Misfire {
    let limit = NonZeroU32::new(limit).unwrap();
    Misfire { policy: MisfirePolicy::CatchUp { limit }, grace_ms: 60_000 }
}

/// What was lost: resuming a task takes a policy from its caller, and one with a limit of billions walked through that
/// many occurrences.
#[test]
fn limit_beyond_the_greatest_catches_up_with_the_greatest() {
    let now = minute(20_000, 0);
    let beyond = reckon_late(&every_minute(), &catch_up(u32::MAX), now);
    assert_eq!(beyond, reckon_late(&every_minute(), &catch_up(CATCH_UP_LIMIT_MAX), now));
    assert_eq!(beyond.unwrap().passed[0].to, minute(9_998, 0));
}

/// A multiple of a minute from the epoch, plus milliseconds.
fn minute(minutes: i64, ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(minutes * 60_000 + ms).unwrap()
}

fn every_minute() -> Calendar {
    Schedule::cron("0 * * * * *").unwrap().calendar(minute(0, 0)).unwrap()
}

fn reckon_late(calendar: &Calendar, policy: &Misfire, now: Timestamp) -> Option<Reckoning> {
    reckon(calendar, policy, 0, minute(0, 0), now, LateCause::Late)
}

fn run(next: Timestamp, through: Timestamp) -> Option<Run> {
    Some(Run { next, through })
}

fn exact(number: u64) -> Count {
    Count { number, exact: true }
}

#[test]
fn nothing_is_decided_before_the_first_occurrence() {
    assert_eq!(reckon_late(&every_minute(), &RUN_ONCE, minute(0, 59_999)), None);
    assert_eq!(reckon_late(&every_minute(), &RUN_ONCE, minute(-7, 0)), None);
}

#[test]
fn occurrences_within_the_grace_period_run_one_by_one_under_every_policy() {
    for policy in [SKIP, RUN_ONCE, catch_up(1)] {
        let expected =
            Reckoning { newest: minute(2, 0), run: run(minute(1, 0), minute(2, 0)), passed: vec![] };
        assert_eq!(reckon_late(&every_minute(), &policy, minute(2, 0)), Some(expected), "{policy:?}");
    }
}

#[test]
fn occurrence_is_late_from_the_first_millisecond_after_the_grace_period_and_its_jitter() {
    let calendar = every_minute();
    let is_late = |jitter_ms, now| {
        let reckoning = reckon(&calendar, &SKIP, jitter_ms, minute(0, 0), now, LateCause::Late).unwrap();
        !reckoning.passed.is_empty()
    };
    assert!(!is_late(0, minute(2, 0)));
    assert!(is_late(0, minute(2, 1)));
    assert!(!is_late(30_000, minute(2, 30_000)));
    assert!(is_late(30_000, minute(2, 30_001)));
}

#[test]
fn skipped_late_ones_are_one_record_with_the_cause() {
    for (cause, miss) in [(LateCause::Late, Miss::Late), (LateCause::Paused, Miss::Paused)] {
        let reckoning = reckon(&every_minute(), &SKIP, 0, minute(0, 0), minute(10, 30_000), cause);
        let missed =
            Passed { from: minute(1, 0), to: minute(9, 0), count: exact(9), fate: Fate::Missed(miss) };
        let expected =
            Reckoning { newest: minute(10, 0), run: run(minute(10, 0), minute(10, 0)), passed: vec![missed] };
        assert_eq!(reckoning, Some(expected));
    }
}

#[test]
fn one_that_is_not_late_stands_for_the_late_ones() {
    let into = minute(10, 0);
    let merged =
        Passed { from: minute(1, 0), to: minute(9, 0), count: exact(9), fate: Fate::Merged { into } };
    let expected = Reckoning { newest: into, run: run(into, into), passed: vec![merged] };
    assert_eq!(reckon_late(&every_minute(), &RUN_ONCE, minute(10, 30_000)), Some(expected));
}

#[test]
fn newest_late_one_stands_for_the_others_when_all_are_late() {
    let calendar = Schedule::cron("0 0 * * * *").unwrap().calendar(minute(0, 0)).unwrap();
    let into = minute(240, 0);
    let merged =
        Passed { from: minute(60, 0), to: minute(180, 0), count: exact(3), fate: Fate::Merged { into } };
    let expected = Reckoning { newest: into, run: run(into, into), passed: vec![merged] };
    assert_eq!(reckon_late(&calendar, &RUN_ONCE, minute(250, 0)), Some(expected));
    // A single late one stands for itself.
    let expected =
        Reckoning { newest: minute(60, 0), run: run(minute(60, 0), minute(60, 0)), passed: vec![] };
    assert_eq!(reckon_late(&calendar, &RUN_ONCE, minute(70, 0)), Some(expected));
}

#[test]
fn newest_late_ones_up_to_the_limit_run_and_the_older_are_missed() {
    let reckoning = reckon_late(&every_minute(), &catch_up(3), minute(10, 30_000));
    let fate = Fate::Missed(Miss::OverLimit);
    let missed = Passed { from: minute(1, 0), to: minute(6, 0), count: exact(6), fate };
    let expected =
        Reckoning { newest: minute(10, 0), run: run(minute(7, 0), minute(10, 0)), passed: vec![missed] };
    assert_eq!(reckoning, Some(expected));
    let all = Reckoning { newest: minute(10, 0), run: run(minute(1, 0), minute(10, 0)), passed: vec![] };
    assert_eq!(reckon_late(&every_minute(), &catch_up(9), minute(10, 30_000)), Some(all));
}

#[test]
fn single_instant_is_never_late() {
    let now = minute(1_000_000, 0);
    for schedule in [Schedule::one_time(minute(5, 0)), Schedule::immediate()] {
        let calendar = schedule.calendar(minute(5, 0)).unwrap();
        for policy in [SKIP, RUN_ONCE, catch_up(1)] {
            let reckoning = reckon(&calendar, &policy, 0, calendar.start(), now, LateCause::Paused);
            let expected =
                Reckoning { newest: minute(5, 0), run: run(minute(5, 0), minute(5, 0)), passed: vec![] };
            assert_eq!(reckoning, Some(expected));
            assert_eq!(reckon(&calendar, &policy, 0, minute(5, 0), now, LateCause::Late), None);
        }
    }
}

#[test]
fn years_of_seconds_are_counted_up_to_ten_thousand() {
    let calendar = Schedule::cron_in("* * * * * *", "Europe/Berlin").unwrap().calendar(minute(0, 0)).unwrap();
    let now = minute(10 * 365 * 24 * 60, 0);
    let reckoning = reckon_late(&calendar, &catch_up(100), now).unwrap();
    assert_eq!(reckoning.newest, now);
    assert_eq!(reckoning.run, run(now.saturating_add_ms(-160_000), now));
    assert_eq!(reckoning.passed[0].from, minute(0, 1_000));
    assert_eq!(reckoning.passed[0].to, now.saturating_add_ms(-161_000));
    assert_eq!(reckoning.passed[0].count, Count { number: 10_000, exact: false });
}

#[test]
fn millions_of_periods_are_counted_exactly() {
    let calendar = Schedule::every(Duration::from_millis(1)).unwrap().calendar(minute(0, 0)).unwrap();
    let reckoning = reckon_late(&calendar, &RUN_ONCE, minute(60 * 24, 0)).unwrap();
    assert_eq!(reckoning.passed[0].count, exact(86_400_000 - 60_001));
    assert_eq!(reckoning.run, run(minute(60 * 24 - 1, 0), minute(60 * 24, 0)));
}

#[test]
fn burst_years_ago_is_found_without_walking_there() {
    // Every second of 1 January: the newest hundred are those of the last minutes of the day.
    let calendar = Schedule::cron("* * * 1 1 *").unwrap().calendar(minute(0, 0)).unwrap();
    let december = minute(364 * 24 * 60, 0);
    let reckoning = reckon_late(&calendar, &catch_up(100), december).unwrap();
    let last = minute(24 * 60, -1_000);
    assert_eq!(reckoning.run, run(last.saturating_add_ms(-99_000), last));
    assert_eq!(reckoning.passed[0].count, Count { number: 10_000, exact: false });
}

/// What the rules say, from the list of all due occurrences.
fn expected(due: &[Timestamp], policy: &Misfire, jitter_ms: u32, now: Timestamp) -> Option<Reckoning> {
    let newest = *due.last()?;
    let allowed_ms = i64::try_from(policy.grace_ms).unwrap() + i64::from(jitter_ms);
    let (late, on_time) = due.split_at(due.partition_point(|at| now.ms_since(*at) > allowed_ms));
    let late_run = match policy.policy {
        MisfirePolicy::Skip => 0,
        MisfirePolicy::RunOnce => usize::from(on_time.is_empty()).min(late.len()),
        MisfirePolicy::CatchUp { limit } => late.len().min(limit.get().try_into().unwrap()),
    };
    let (gone, run) = due.split_at(late.len() - late_run);
    let fate = match policy.policy {
        MisfirePolicy::Skip => Fate::Missed(Miss::Late),
        MisfirePolicy::RunOnce => Fate::Merged { into: *run.first()? },
        MisfirePolicy::CatchUp { .. } => Fate::Missed(Miss::OverLimit),
    };
    let gone = gone.first().zip(gone.last());
    let passed = gone.map(|(from, to)| {
        let count = due.iter().filter(|at| *at >= from && *at <= to).count();
        Passed { from: *from, to: *to, count: exact(count.try_into().unwrap()), fate }
    });
    let run = run.first().zip(run.last()).map(|(next, through)| Run { next: *next, through: *through });
    Some(Reckoning { newest, run, passed: passed.into_iter().collect() })
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let crons = select(
        &[
            "0 */7 * * * *",
            "*/20 * * * * *",
            "0 0 2,3 * * *",
            "0-20 30 2 * * SUN",
            "0 0 12 L * *",
            "* 0 * * * *",
        ][..],
    );
    let zones = select(&["UTC", "Europe/Berlin", "Australia/Lord_Howe"][..]);
    prop_oneof![
        (crons, zones).prop_map(|(expression, zone)| Schedule::cron_in(expression, zone).unwrap()),
        (1_000u64..7_200_000).prop_map(|ms| Schedule::every(Duration::from_millis(ms)).unwrap()),
    ]
}

fn policies() -> impl Strategy<Value = Misfire> {
    let policy = prop_oneof![
        Just(MisfirePolicy::Skip),
        Just(MisfirePolicy::RunOnce),
        (1..200u32).prop_map(|limit| MisfirePolicy::CatchUp { limit: NonZeroU32::new(limit).unwrap() }),
        Just(MisfirePolicy::CatchUp { limit: CATCH_UP_LIMIT_DEFAULT }),
    ];
    (policy, prop_oneof![Just(60_000u64), Just(0), 0..4_000_000u64])
        .prop_map(|(policy, grace_ms)| Misfire { policy, grace_ms })
}

/// An instant near a change of the clocks in Berlin, or in summer.
fn lasts() -> impl Strategy<Value = Timestamp> {
    let day_ms = 86_400_000;
    prop_oneof![Just(1_711_846_800_000i64), Just(1_729_990_800_000), Just(1_720_000_000_123)]
        .prop_flat_map(move |around| around - day_ms..around + day_ms)
        .prop_map(|ms| Timestamp::from_unix_ms(ms).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_due_occurrence_is_decided_exactly_once(
        mut schedule in schedules(),
        policy in policies(),
        jitter_ms in prop_oneof![Just(0u32), 0..600_000u32],
        last in lasts(),
        late_ms in prop_oneof![0..200_000i64, 0..8_000_000i64, 0..200_000_000i64],
        window_ms in proptest::option::of((0..100_000_000i64, 1..100_000_000i64)),
    ) {
        if let Some((before, length)) = window_ms {
            schedule.not_before = last.checked_add_ms(before);
            schedule.not_after = last.checked_add_ms(before + length);
        }
        let calendar = schedule.calendar(last).unwrap();
        let now = last.saturating_add_ms(late_ms);
        let due: Vec<_> = calendar.occurrences_after(last).take_while(|at| *at <= now).take(9_000).collect();
        prop_assume!(due.len() < 9_000);
        let reckoning = reckon(&calendar, &policy, jitter_ms, last, now, LateCause::Late);
        prop_assert_eq!(&reckoning, &expected(&due, &policy, jitter_ms, now));
        if let Some(reckoning) = reckoning {
            let ran = reckoning.run.map_or(0, |run| calendar.count(run.next.saturating_add_ms(-1), run.through).number);
            let passed: u64 = reckoning.passed.iter().map(|passed| passed.count.number).sum();
            prop_assert_eq!(ran + passed, u64::try_from(due.len()).unwrap());
        }
    }

    #[test]
    fn newest_occurrences_and_their_number_are_those_of_the_list(
        schedule in schedules(),
        last in lasts(),
        late_ms in 0..100_000_000i64,
        n in 1..300usize,
    ) {
        let calendar = schedule.calendar(last).unwrap();
        let now = last.saturating_add_ms(late_ms);
        let due: Vec<_> = calendar.occurrences_after(last).take_while(|at| *at <= now).collect();
        prop_assert_eq!(calendar.newest_through(last, now), due.last().copied());
        let nth = due.len().checked_sub(n).map(|index| due[index]);
        prop_assert_eq!(calendar.nth_newest(last, now, n.try_into().unwrap()), nth);
        let (count, number) = (calendar.count(last, now), u64::try_from(due.len()).unwrap());
        prop_assert_eq!(count.number, if count.exact { number } else { COUNT_MAX });
        prop_assert!(count.exact || number > COUNT_MAX);
    }
}

#[test]
fn interval_near_the_end_of_time_is_reckoned_without_overflow() {
    let timing = Timing::Interval { period_ms: core::num::NonZeroU64::MAX, anchor: Some(Timestamp::MIN) };
    let schedule = Schedule { timing, ..Schedule::immediate() };
    let calendar = schedule.calendar(Timestamp::MIN).unwrap();
    assert_eq!(calendar.next(Timestamp::MIN), None);
    let policy = Misfire { policy: MisfirePolicy::RunOnce, grace_ms: u64::MAX };
    let every_ms = Schedule::every(Duration::from_millis(1)).unwrap().calendar(Timestamp::MIN).unwrap();
    let reckoning =
        reckon(&every_ms, &policy, u32::MAX, Timestamp::MIN, Timestamp::MAX, LateCause::Late).unwrap();
    assert_eq!(reckoning.run, run(Timestamp::MIN.saturating_add_ms(1), Timestamp::MAX));
}
