//! The ledger finds what a log loses or tells twice, and nothing else.

use std::sync::Arc;

use azoth_scheduler_core::command::{AbandonReason, OnConflict, Wish};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::evolve;
use azoth_scheduler_core::ledger::{Asks, Imbalance, Ledger};
use azoth_scheduler_core::schedule::{CronSpec, Fate, MisfirePolicy, Miss, Overlap, Schedule, Timing};
use azoth_scheduler_core::state::{Progress, TaskState};
use azoth_scheduler_core::testing::{
    Given, actor, at, claim, complete, given, given_nothing, schedule, succeeded, text, wish,
};
use azoth_scheduler_core::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::history::histories;

type Told = (Timestamp, Event);

/// Enters all events, or says which one cannot follow.
fn balance(asks: Asks, events: &[Told]) -> Result<(), Imbalance> {
    let mut ledger = Ledger::new(asks);
    let mut state: Option<TaskState> = None;
    for (position, (at, event)) in (1..).zip(events) {
        let after = evolve(state.clone(), event, *at)
            .map_err(|error| Imbalance { position, what: format!("out of order: {error}") })?;
        ledger.enter(position, *at, state.as_ref(), event, &after)?;
        state = Some(after);
    }
    ledger.close()
}

fn passed_without_consequence(event: &Event) -> bool {
    matches!(event, Event::OccurrencesPassed { then: None, .. })
}

/// The places of the events for which this holds.
fn places(events: &[Told], wanted: impl Fn(&Event) -> bool) -> Vec<usize> {
    events.iter().enumerate().filter(|(_, (_, event))| wanted(event)).map(|(place, _)| place).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// I17
    #[test]
    fn every_history_balances(history in histories()) {
        let events = history.tell().events;
        prop_assert_eq!(balance(Asks::All, &events), Ok(()));
        prop_assert_eq!(balance(Asks::Intervals, &events), Ok(()));
    }

    #[test]
    fn record_of_what_passed_that_is_lost_or_told_twice_is_found(history in histories(), which in any::<Index>()) {
        let events = history.tell().events;
        let passed = places(&events, passed_without_consequence);
        prop_assume!(!passed.is_empty());
        let place = passed[which.index(passed.len())];
        let mut lost = events.clone();
        lost.remove(place);
        let found = balance(Asks::All, &lost);
        prop_assert!(found.is_err(), "without event {}: {:#?}", place, events);
        let mut twice = events.clone();
        twice.insert(place, events[place].clone());
        let found = balance(Asks::Intervals, &twice).unwrap_err();
        prop_assert!(found.position > place as u64, "{}, and event {} is told twice", found, place);
    }

    #[test]
    fn range_that_is_cut_short_is_found(history in histories(), which in any::<Index>()) {
        let mut events = history.tell().events;
        let long = places(&events, |event| {
            matches!(event, Event::OccurrencesPassed { passed, .. } if passed.from < passed.to)
        });
        prop_assume!(!long.is_empty());
        let place = long[which.index(long.len())];
        if let Event::OccurrencesPassed { passed, .. } = &mut events[place].1 {
            passed.from = passed.from.saturating_add_ms(1);
        }
        prop_assert!(balance(Asks::All, &events).is_err(), "event {}: {:#?}", place, events);
    }

    #[test]
    fn execution_of_another_occurrence_is_found(history in histories(), which in any::<Index>(), later in any::<bool>()) {
        let mut events = history.tell().events;
        let starts = places(&events, |event| matches!(event, Event::ExecutionStarted { .. }));
        prop_assume!(!starts.is_empty());
        let place = starts[which.index(starts.len())];
        if let Event::ExecutionStarted { occurrence, .. } = &mut events[place].1 {
            *occurrence = occurrence.saturating_add_ms(if later { 1 } else { -1 });
        }
        prop_assert!(balance(Asks::All, &events).is_err(), "event {}: {:#?}", place, events);
    }

    /// I11
    #[test]
    fn decision_that_is_taken_back_is_found(history in histories(), which in any::<Index>()) {
        let mut events = history.tell().events;
        let starts = places(&events, |event| matches!(event, Event::ExecutionStarted { attempt, .. } if attempt.get() == 1));
        prop_assume!(!starts.is_empty());
        let place = starts[which.index(starts.len())];
        if let Event::ExecutionStarted { progress, .. } = &mut events[place].1 {
            progress.decided_through = Timestamp::MIN;
        }
        let found = balance(Asks::Intervals, &events).unwrap_err();
        prop_assert_eq!(found.position, 1 + place as u64, "{}", found);
    }
}

/// A task of every minute under a cron expression, whose own reading the ledger of a store does not ask.
fn every_minute(overlap: Overlap) -> Schedule {
    Schedule { overlap, ..Schedule::cron("0 * * * * *").unwrap() }
}

fn first_fault(given: &Given, change: impl FnOnce(&mut Vec<Told>)) -> Imbalance {
    let mut events = given.events().to_vec();
    assert_eq!(balance(Asks::Intervals, &events), Ok(()));
    change(&mut events);
    balance(Asks::Intervals, &events).unwrap_err()
}

#[test]
fn what_an_outage_merged_is_missed_although_the_expression_is_not_asked() {
    let told = given_nothing()
        .and(schedule("task", every_minute(Overlap::Skip), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(600))
        .and(complete("task", 1, succeeded(), at(600)), at(601));
    let found = first_fault(&told, |events| drop(events.remove(1)));
    assert_eq!(
        (found.position, found.what.as_str()),
        (2, "nothing says what became of 2025-01-01T00:01:00Z, which was to come")
    );
}

#[test]
fn what_was_skipped_while_one_ran_is_missed_although_the_expression_is_not_asked() {
    let told = given_nothing()
        .and(schedule("task", every_minute(Overlap::Skip), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(60))
        .and(complete("task", 1, succeeded(), at(60)), at(330))
        .and(claim("task", 2), at(360));
    assert_eq!(told.events()[4].1.name(), "OccurrencesPassed");
    let found = first_fault(&told, |events| drop(events.remove(4)));
    assert_eq!(
        (found.position, found.what.as_str()),
        (3, "nothing says what became of 2025-01-01T00:05:00Z")
    );
}

#[test]
fn end_that_leaves_out_what_was_to_run_is_found() {
    let (reason, by) = (text("why"), actor("ops"));
    let told = given_nothing()
        .and(schedule("task", every_minute(Overlap::BufferOne), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(60))
        .and(complete("task", 1, succeeded(), at(60)), at(130))
        .and(wish("task", Wish::Cancel { reason, by }), at(131));
    let missed = told.events().len() - 2;
    assert!(passed_without_consequence(&told.events()[missed].1));
    let found = first_fault(&told, |events| drop(events.remove(missed)));
    let what = "nothing says what became of 2025-01-01T00:02:00Z to 2025-01-01T00:02:00Z, which was to run";
    assert_eq!((found.position, found.what.as_str()), (missed as u64 + 1, what));
}

#[test]
fn occurrence_that_is_started_a_second_time_is_found() {
    let told = given_nothing()
        .and(schedule("task", every_minute(Overlap::Skip), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(60))
        .and(complete("task", 1, succeeded(), at(60)), at(61))
        .and(claim("task", 2), at(120));
    let found = first_fault(&told, |events| {
        let Some((_, Event::ExecutionStarted { occurrence, .. })) = events.last_mut() else {
            panic!("it started")
        };
        *occurrence = at(60);
    });
    assert_eq!(
        (found.position, found.what.as_str()),
        (5, "2025-01-01T00:01:00Z is to run, and was decided before")
    );
}

#[test]
fn clock_that_was_right_cannot_be_corrected() {
    let told = given_nothing()
        .and(schedule("task", every_minute(Overlap::Skip), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(60));
    let progress = Progress { decided_through: at(0), backlog: None, buffered: None };
    let forged = Event::ClockCorrected { ahead: at(60), defined_at: at(0), then: None, progress };
    let found = first_fault(&told, |events| events.push((at(61), forged)));
    assert_eq!(found.position, 3, "{found}");
}

/// What newer zone data does to a task that waits: the schedule as it is read now has another occurrence than the one
/// that was promised. That one was lost without a word.
#[test]
fn occurrence_that_newer_zone_data_takes_away_is_recorded_as_withdrawn() {
    let hourly = schedule("task", Schedule::cron("0 30 * * * *").unwrap(), OnConflict::Redefine);
    let mut events = given_nothing().and(hourly, at(0)).events().to_vec();
    // As it was recorded, the schedule fired at other minutes.
    if let Event::TaskScheduled { work, .. } = &mut events[0].1 {
        (work.occurrence, work.run_at) = (at(600), at(600));
    }
    let (reason, by) = (text("why"), actor("ops"));
    let late = given(events.clone()).and(claim("task", 1), at(7_300));
    let (_, Event::OccurrencesPassed { passed, .. }) = &late.events()[1] else { panic!("it is recorded") };
    assert_eq!((passed.from, passed.to, passed.fate), (at(600), at(600), Fate::Missed(Miss::Withdrawn)));
    assert_eq!(balance(Asks::Intervals, late.events()), Ok(()));

    let cancelled = given(events.clone())
        .and(wish("task", Wish::Cancel { reason: reason.clone(), by: by.clone() }), at(700));
    assert_eq!(cancelled.events().len(), 3);
    assert_eq!(balance(Asks::Intervals, cancelled.events()), Ok(()));

    let paused =
        given(events.clone()).and(wish("task", Wish::Pause { reason, by: by.clone(), until: None }), at(100));
    let resumed = paused.and(wish("task", Wish::Resume { misfire: MisfirePolicy::Skip, by }), at(7_300));
    assert_eq!(balance(Asks::Intervals, resumed.events()), Ok(()));

    let on_time = given(events).and(claim("task", 1), at(601));
    assert_eq!(on_time.events().len(), 2, "what has come due runs as it was promised");
    assert_eq!(balance(Asks::Intervals, on_time.events()), Ok(()));
}

/// What was lost: a task whose schedule could not be read any more was disabled, and what was to run vanished.
#[test]
fn schedule_that_cannot_be_read_any_more_says_what_it_leaves_behind() {
    let wanted = every_minute(Overlap::BufferOne);
    let mut events = given_nothing()
        .and(schedule("task", wanted, OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(60))
        .and(
            wish(
                "task",
                Wish::Abandon {
                    execution: azoth_scheduler_core::testing::execution(1),
                    why: AbandonReason::ShutDown,
                    last_seen: at(130),
                },
            ),
            at(130),
        )
        .and(claim("task", 2), at(131))
        .events()
        .to_vec();
    for (_, event) in &mut events {
        if let Event::TaskScheduled { definition, .. } = event {
            Arc::make_mut(definition).schedule.timing =
                Timing::Cron(CronSpec::from_stored("garbage", "Nowhere/Zone"));
        }
    }
    let told = given(events).and(complete("task", 2, succeeded(), at(131)), at(132));
    let (_, Event::OccurrencesPassed { passed, .. }) = &told.events()[told.events().len() - 1] else {
        panic!("what was buffered is recorded")
    };
    assert_eq!((passed.from, passed.fate), (at(120), Fate::Missed(Miss::Ended)));
    assert_eq!(balance(Asks::Intervals, told.events()), Ok(()));
}
