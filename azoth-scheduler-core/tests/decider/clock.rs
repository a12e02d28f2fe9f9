//! A clock that stood far ahead and was set right.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::command::{OnConflict, Wish};
use azoth_scheduler_core::decide::{Answer, CLOCK_AHEAD_MS_MAX};
use azoth_scheduler_core::event::{Event, Then};
use azoth_scheduler_core::execution::FailureClass;
use azoth_scheduler_core::schedule::{Misfire, MisfirePolicy, Overlap, Run, Schedule, Timing};
use azoth_scheduler_core::state::{Counts, PhaseKind, Progress, TaskPhase, TaskState, Work};
use azoth_scheduler_core::testing::{
    Given, actor, at, audit, claim, complete, failed, given_nothing, schedule, succeeded, text, wish,
};
use azoth_scheduler_core::time::Timestamp;

/// Ten days ahead.
const AHEAD: i64 = 864_000;

fn every_minute() -> Schedule {
    Schedule::interval_secs(60).unwrap()
}

/// A task of every minute that ran at its first one.
fn given(schedule_: Schedule) -> Given {
    given_nothing()
        .and(schedule("task", schedule_, OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(60))
        .and(complete("task", 1, succeeded(), at(60)), at(61))
}

fn corrected(given: Given, now: i64) -> Given {
    let given = given.when(wish("task", Wish::CorrectClock), at(now)).then_answered(Answer::Recorded);
    audit(given.events()).unwrap();
    given
}

fn state(given: &Given) -> &TaskState {
    given.state().unwrap()
}

fn first(occurrence: i64, run_at: i64) -> Work {
    Work { occurrence: at(occurrence), attempt: NonZeroU32::MIN, run_at: at(run_at) }
}

fn decided(through: i64) -> Progress {
    Progress { decided_through: at(through), backlog: None, buffered: None }
}

#[test]
fn what_was_decided_for_instants_that_have_yet_to_come_is_void() {
    let ahead = given(every_minute())
        .and(claim("task", 2), at(AHEAD + 30))
        .and(complete("task", 2, succeeded(), at(AHEAD + 30)), at(AHEAD + 31));
    assert_eq!(state(&ahead).waiting(), Some(&first(AHEAD + 60, AHEAD + 60)), "it would wait ten days");
    let event = Event::ClockCorrected {
        ahead: at(AHEAD + 31),
        defined_at: at(0),
        then: Some(Then::Next(first(180, 180))),
        progress: decided(130),
    };
    let corrected = ahead.when(wish("task", Wish::CorrectClock), at(130)).then([event]);
    let ran =
        corrected.and(claim("task", 3), at(180)).and(complete("task", 3, succeeded(), at(180)), at(181));
    assert_eq!(state(&ran).waiting(), Some(&first(240, 240)));
    audit(ran.events()).unwrap();
}

#[test]
fn clock_that_went_back_by_three_hours_is_waited_for_and_by_more_is_corrected() {
    let ahead = given(every_minute()).and(claim("task", 2), at(AHEAD));
    let limit = at(AHEAD).saturating_add_ms(-CLOCK_AHEAD_MS_MAX);
    let command = || wish("task", Wish::CorrectClock);
    let unchanged = Answer::Unchanged(PhaseKind::Running);
    ahead.clone().when(command(), limit).then_answered(unchanged.clone());
    let before = limit.saturating_add_ms(-1);
    let corrected = ahead.when(command(), before).then_answered(Answer::Recorded);
    assert_eq!(state(&corrected).progress.decided_through, before);
    corrected.when(command(), before).then_answered(unchanged);
}

#[test]
fn running_execution_goes_on_and_the_schedule_after_it_from_the_right_time() {
    let corrected = corrected(given(every_minute()).and(claim("task", 2), at(AHEAD)), 130);
    assert_eq!(state(&corrected).held_by().map(|id| id.as_u128()), Some(2));
    let ended = corrected.and(complete("task", 2, succeeded(), at(131)), at(200));
    assert_eq!(state(&ended).waiting(), Some(&first(240, 240)), "180 was skipped, since another was open");
    audit(ended.events()).unwrap();
}

#[test]
fn paused_task_stays_paused_and_is_right_when_it_is_resumed() {
    let by = actor("ops");
    let ahead = given(every_minute()).and(claim("task", 2), at(AHEAD));
    let ahead = ahead.and(complete("task", 2, succeeded(), at(AHEAD)), at(AHEAD));
    let paused =
        ahead.and(wish("task", Wish::Pause { reason: text("why"), by: by.clone(), until: None }), at(AHEAD));
    let corrected = corrected(paused, 130);
    assert_eq!(state(&corrected).phase.kind(), PhaseKind::Paused);
    let resume = Wish::Resume { misfire: MisfirePolicy::Skip, by };
    let resumed = corrected.and(wish("task", resume), at(135));
    assert_eq!(state(&resumed).waiting(), Some(&first(180, 180)));
}

#[test]
fn backlog_keeps_what_has_come_due_and_no_more() {
    let limit = NonZeroU32::new(1_000).unwrap();
    let misfire = Misfire { policy: MisfirePolicy::CatchUp { limit }, grace_ms: 60_000 };
    let hourly = Schedule { misfire, ..Schedule::interval_secs(3_600).unwrap() };
    let ahead = given_nothing()
        .and(schedule("task", hourly, OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(AHEAD));
    let run = Run { next: at(7_200), through: at(AHEAD) };
    assert_eq!(state(&ahead).progress.backlog, Some(run));
    let corrected = corrected(ahead, 11_000);
    let run = Run { next: at(7_200), through: at(10_800) };
    assert_eq!(state(&corrected).progress, Progress { backlog: Some(run), ..decided(11_000) });
    let ended = corrected.and(complete("task", 1, succeeded(), at(11_000)), at(11_001));
    assert_eq!(state(&ended).waiting(), Some(&first(7_200, 11_001)));
}

#[test]
fn occurrence_that_was_buffered_for_later_comes_due_in_its_own_time() {
    let buffering = Schedule { overlap: Overlap::BufferOne, ..every_minute() };
    let ahead = given(buffering).and(claim("task", 2), at(120));
    let ahead = ahead.and(complete("task", 2, succeeded(), at(120)), at(AHEAD));
    assert_eq!(state(&ahead).waiting(), Some(&first(AHEAD, AHEAD)));
    let corrected = corrected(ahead, 130);
    assert_eq!(state(&corrected).waiting(), Some(&first(180, 180)));
}

#[test]
fn retry_waits_for_as_long_as_it_was_to_wait() {
    let ahead = given_nothing()
        .and(schedule("task", Schedule::immediate(), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(1))
        .and(complete("task", 1, failed(FailureClass::Retryable), at(1)), at(AHEAD));
    let corrected = corrected(ahead, 10);
    let retry = Work { attempt: NonZeroU32::MIN.saturating_add(1), ..first(0, 70) };
    assert_eq!(state(&corrected).waiting(), Some(&retry));
    assert_eq!(state(&corrected).counts, Counts { failures: 1, losses: 0 });
}

#[test]
fn tasks_that_were_defined_by_the_wrong_clock_count_from_the_right_one() {
    let defined = |wanted| given_nothing().and(schedule("task", wanted, OnConflict::Redefine), at(AHEAD));
    let waits = |wanted| state(&corrected(defined(wanted), 10)).waiting().copied();
    assert_eq!(waits(every_minute()), Some(first(70, 70)));
    assert_eq!(waits(Schedule::immediate()), Some(first(10, 10)));
    assert_eq!(waits(Schedule::cron("0 * * * * *").unwrap()), Some(first(60, 60)));
    assert_eq!(waits(Schedule::one_time(at(AHEAD - 100))), Some(first(AHEAD - 100, AHEAD - 100)));
    let timing = Timing::Interval { period_ms: NonZeroU64::MIN.saturating_add(59_999), anchor: Some(at(30)) };
    assert_eq!(waits(Schedule { timing, ..every_minute() }), Some(first(30, 30)));
}

#[test]
fn task_that_waits_for_a_day_far_away_is_not_touched() {
    let untouched = |given: Given, now: Timestamp| {
        let phase = state(&given).phase.kind();
        given.when(wish("task", Wish::CorrectClock), now).then_answered(Answer::Unchanged(phase));
    };
    let one_time = Schedule::one_time(at(AHEAD));
    untouched(given_nothing().and(schedule("task", one_time, OnConflict::Redefine), at(0)), at(1));
    let yearly = Schedule::cron("@yearly").unwrap();
    untouched(given_nothing().and(schedule("task", yearly, OnConflict::Redefine), at(0)), at(1));
    let class = FailureClass::RetryAfter { delay_ms: 864_000_000 };
    let retry = given_nothing()
        .and(schedule("task", Schedule::immediate(), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(0))
        .and(complete("task", 1, failed(class), at(0)), at(1));
    untouched(retry, at(2));
}

#[test]
fn task_that_has_ended_stays_as_it_ended() {
    let ended = given_nothing()
        .and(schedule("task", Schedule::immediate(), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(AHEAD))
        .and(complete("task", 1, succeeded(), at(AHEAD)), at(AHEAD));
    assert!(matches!(state(&ended).phase, TaskPhase::Finished { .. }));
    let unchanged = Answer::Unchanged(PhaseKind::Finished);
    ended.when(wish("task", Wish::CorrectClock), at(1)).then_answered(unchanged);
}
