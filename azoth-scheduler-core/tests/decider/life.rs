//! The life of a task: due, running, paused, cancelled; and what becomes of occurrences meanwhile.

use std::num::NonZeroU32;

use azoth_scheduler_core::command::{OnConflict, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::FailureClass;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::{
    Count, Fate, Misfire, MisfirePolicy, Miss, Overlap, Passed, Schedule, Skip,
};
use azoth_scheduler_core::state::{Counts, PhaseKind};
use azoth_scheduler_core::testing::{
    Given, actor, at, audit, claim, complete, failed, given_nothing, schedule, succeeded, task_id, text, wish,
};

/// Known from an earlier scheduler: a due task was dispatched again while it still ran.
#[test]
fn a_task_is_not_claimed_before_it_is_due_nor_again_while_it_runs() {
    let not_due = |phase, now| Rejection::NotDue { task: task_id("task"), phase, now };
    every_minute()
        .when(claim("task", 1), at(59))
        .then_rejected(not_due(PhaseKind::Waiting, at(59)))
        .and(claim("task", 1), at(60))
        .when(claim("task", 2), at(61))
        .then_rejected(not_due(PhaseKind::Running, at(61)));
}

/// Known from an earlier scheduler: a one-time task that succeeded jammed the projection.
#[test]
fn a_one_time_task_that_succeeds_finishes_and_can_be_scheduled_again() {
    let given = given_nothing()
        .and(schedule("task", Schedule::one_time(at(-100)), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(0))
        .and(complete("task", 1, succeeded(), at(0)), at(1));
    assert_eq!(given.state().unwrap().phase.kind(), PhaseKind::Finished);
    let again = schedule("task", Schedule::one_time(at(-100)), OnConflict::Redefine);
    given.when(again, at(2)).then_answered(Answer::Created);
}

#[test]
fn an_interval_is_anchored_to_its_definition_and_not_to_the_end_of_a_run() {
    let given =
        every_minute().and(claim("task", 1), at(60)).and(complete("task", 1, succeeded(), at(60)), at(90));
    assert_eq!(given.state().unwrap().waiting().unwrap().run_at, at(120));
}

#[test]
fn after_an_outage_one_run_stands_for_all_that_were_missed() {
    let given = every_minute().and(claim("task", 1), at(605));
    assert_eq!(passed(&given), [(at(60), at(540), 9, Fate::Merged { into: at(600) })]);
    assert_eq!(given.state().unwrap().running().unwrap().occurrence, at(600));
}

#[test]
fn skip_runs_none_and_catch_up_runs_the_newest() {
    let late = |policy| Misfire { policy, grace_ms: 0 };
    let skip = with(|schedule| schedule.misfire = late(MisfirePolicy::Skip));
    let given = skip.when(claim("task", 1), at(610)).then_answered(Answer::Passed);
    assert_eq!(passed(&given), [(at(60), at(600), 10, Fate::Missed(Miss::Late))]);
    assert_eq!(given.state().unwrap().waiting().unwrap().occurrence, at(660));

    let limit = NonZeroU32::new(2).unwrap();
    let catch_up = with(|schedule| schedule.misfire = late(MisfirePolicy::CatchUp { limit }));
    let given = catch_up.and(claim("task", 1), at(610));
    assert_eq!(passed(&given), [(at(60), at(480), 8, Fate::Missed(Miss::OverLimit))]);
    let given = given.and(complete("task", 1, succeeded(), at(610)), at(611));
    let work = *given.state().unwrap().waiting().unwrap();
    assert_eq!((work.occurrence, work.run_at), (at(600), at(611)));
}

#[test]
fn what_comes_due_while_one_is_open_is_skipped_or_one_waits() {
    let end = complete("task", 1, succeeded(), at(60));
    let given = every_minute().and(claim("task", 1), at(60)).and(end.clone(), at(200));
    assert_eq!(passed(&given), [(at(120), at(180), 2, Fate::Skipped(Skip::Overlap))]);

    let given = with(|schedule| schedule.overlap = Overlap::BufferOne);
    let given = given.and(claim("task", 1), at(60)).and(end, at(200));
    assert_eq!(passed(&given), [(at(120), at(120), 1, Fate::Merged { into: at(180) })]);
    let work = *given.state().unwrap().waiting().unwrap();
    assert_eq!((work.occurrence, work.run_at), (at(180), at(200)));
}

#[test]
fn a_task_that_was_paused_while_it_ran_rests_when_it_ends() {
    let (reason, by) = (text("holiday"), actor("ops"));
    let given = every_minute()
        .and(claim("task", 1), at(60))
        .and(wish("task", Wish::Pause { reason, by: by.clone(), until: None }), at(61))
        .and(complete("task", 1, succeeded(), at(60)), at(62));
    assert_eq!(given.state().unwrap().phase.kind(), PhaseKind::Paused);
    let resume = wish("task", Wish::Resume { misfire: MisfirePolicy::Skip, by });
    let given = given.and(resume, at(700));
    assert_eq!(passed(&given), [(at(120), at(600), 9, Fate::Missed(Miss::Paused))]);
    assert_eq!(given.state().unwrap().waiting().unwrap().occurrence, at(660));
}

#[test]
fn a_task_that_rested_with_its_scope_goes_on_under_the_policy_that_is_chosen_for_it() {
    let resume = |misfire| wish("task", Wish::ResumeWithScope { misfire, by: actor("ops") });
    let late = |policy| Misfire { policy, grace_ms: 0 };

    // Its own policy would run one that stands for all.
    let given = every_minute().and(resume(MisfirePolicy::Skip), at(630));
    assert_eq!(passed(&given), [(at(60), at(540), 9, Fate::Missed(Miss::Paused))]);
    assert_eq!(given.state().unwrap().waiting().unwrap().occurrence, at(600), "within its grace period");
    let again = given.when(resume(MisfirePolicy::Skip), at(630));
    let given = again.then_answered(Answer::Unchanged(PhaseKind::Waiting));

    // Its own policy would run none.
    let skip = with(|schedule| schedule.misfire = late(MisfirePolicy::Skip));
    let skip = skip.and(resume(MisfirePolicy::RunOnce), at(630)).and(claim("task", 1), at(631));
    assert_eq!(passed(&skip), [(at(60), at(540), 9, Fate::Merged { into: at(600) })]);
    assert_eq!(skip.state().unwrap().running().unwrap().occurrence, at(600));

    // One alone is judged too, although nothing passes.
    let skip = with(|schedule| schedule.misfire = late(MisfirePolicy::Skip));
    let skip = skip.and(resume(MisfirePolicy::RunOnce), at(100)).and(claim("task", 1), at(101));
    assert_eq!((passed(&skip), skip.state().unwrap().running().unwrap().occurrence), (vec![], at(60)));
    drop(given);
}

#[test]
fn a_task_to_which_nothing_came_due_or_that_does_not_wait_is_not_resumed_with_its_scope() {
    let (reason, by) = (text("holiday"), actor("ops"));
    let resume = || wish("task", Wish::ResumeWithScope { misfire: MisfirePolicy::Skip, by: actor("ops") });
    let unchanged = |given: Given, phase, second| {
        drop(given.when(resume(), at(second)).then_answered(Answer::Unchanged(phase)));
    };
    unchanged(every_minute(), PhaseKind::Waiting, 59);
    unchanged(every_minute().and(claim("task", 1), at(60)), PhaseKind::Running, 700);
    let paused = every_minute().and(wish("task", Wish::Pause { reason, by, until: None }), at(1));
    unchanged(paused, PhaseKind::Paused, 700);
    let retried = every_minute().and(claim("task", 1), at(60));
    let retried = retried.and(complete("task", 1, failed(FailureClass::Retryable), at(60)), at(61));
    unchanged(retried, PhaseKind::Waiting, 700);
}

#[test]
fn a_retry_is_kept_over_a_pause_and_its_count_starts_again_with_the_next_occurrence() {
    let (reason, by) = (text("holiday"), actor("ops"));
    let given = every_minute()
        .and(claim("task", 1), at(60))
        .and(complete("task", 1, failed(FailureClass::Retryable), at(60)), at(61))
        .and(wish("task", Wish::Pause { reason, by: by.clone(), until: None }), at(62))
        .and(wish("task", Wish::Resume { misfire: MisfirePolicy::Skip, by }), at(70));
    let state = given.state().unwrap();
    let work = state.waiting().unwrap();
    assert_eq!((work.attempt.get(), work.run_at, state.counts.failures), (2, at(121), 1));
    let given = given.and(claim("task", 2), at(121)).and(complete("task", 2, succeeded(), at(121)), at(122));
    assert_eq!(given.state().unwrap().counts, Counts::default());
}

#[test]
fn what_was_due_and_had_not_started_is_missed_when_the_task_is_cancelled() {
    let cancel = wish("task", Wish::Cancel { reason: text("no more"), by: actor("ops") });
    let given = every_minute().when(cancel.clone(), at(130)).then_answered(Answer::Recorded);
    assert_eq!(passed(&given), [(at(60), at(120), 2, Fate::Missed(Miss::Ended))]);
    given.when(cancel, at(131)).then_nothing();
}

#[test]
fn max_runs_finishes_a_recurring_task() {
    let given = with(|schedule| schedule.max_runs = NonZeroU32::new(2));
    let given = given
        .and(claim("task", 1), at(60))
        .and(complete("task", 1, succeeded(), at(60)), at(61))
        .and(claim("task", 2), at(120))
        .and(complete("task", 2, succeeded(), at(120)), at(121));
    assert_eq!(given.state().unwrap().phase.kind(), PhaseKind::Finished);
    assert_eq!(given.state().unwrap().runs, 2);
}

#[test]
fn a_clock_that_was_set_back_repeats_no_occurrence() {
    let given =
        every_minute().and(claim("task", 1), at(605)).and(complete("task", 1, succeeded(), at(605)), at(30));
    assert_eq!(given.state().unwrap().waiting().unwrap().occurrence, at(660));
}

#[test]
fn an_unknown_task_is_named_in_the_refusal() {
    let unknown = Rejection::UnknownTask { task: task_id("task") };
    given_nothing().when(claim("task", 1), at(0)).then_rejected(unknown);
}

/// The passed occurrences of a history: from, to, how many, and their fate.
/// Found when the rules were read again: what came due in an outage in the middle of catching up was recorded as skipped
/// by overlap, although nothing was open.
#[test]
fn an_outage_in_the_middle_of_catching_up_is_caught_up_with_too() {
    let limit = NonZeroU32::new(100).unwrap();
    let every = with(|schedule| schedule.misfire.policy = MisfirePolicy::CatchUp { limit });
    let mut given =
        every.and(claim("task", 1), at(300)).and(complete("task", 1, succeeded(), at(300)), at(301));
    assert_eq!(given.state().unwrap().waiting().unwrap().occurrence, at(120));
    for (number, second) in (2..=10).zip(900..) {
        given = given.and(claim("task", number), at(second));
        assert_eq!(given.state().unwrap().running().unwrap().occurrence, at(60 * number as i64));
        given = given.and(complete("task", number, succeeded(), at(second)), at(second));
    }
    assert_eq!(passed(&given), []);
    audit(given.events()).unwrap();
}

#[test]
fn what_passed_during_a_pause_in_the_middle_of_catching_up_is_skipped_on_resuming() {
    let limit = NonZeroU32::new(100).unwrap();
    let misfire = Misfire { policy: MisfirePolicy::CatchUp { limit }, grace_ms: 0 };
    let given = with(|schedule| schedule.misfire = misfire)
        .and(claim("task", 1), at(190))
        .and(complete("task", 1, succeeded(), at(190)), at(191))
        .and(wish("task", Wish::Pause { reason: text("rest"), by: actor("operator"), until: None }), at(192))
        .and(wish("task", Wish::Resume { misfire: MisfirePolicy::Skip, by: actor("operator") }), at(370));
    assert_eq!(passed(&given), [(at(240), at(360), 3, Fate::Missed(Miss::Paused))]);
    assert_eq!(given.state().unwrap().waiting().unwrap().occurrence, at(120));
    audit(given.events()).unwrap();
}

fn passed(
    given: &Given,
) -> Vec<(azoth_scheduler_core::time::Timestamp, azoth_scheduler_core::time::Timestamp, u64, Fate)> {
    let events = given.events().iter().filter_map(|(_, event)| match event {
        Event::OccurrencesPassed {
            passed: Passed { from, to, count: Count { number, .. }, fate }, ..
        } => Some((*from, *to, *number, *fate)),
        _ => None,
    });
    events.collect()
}

fn every_minute() -> Given {
    with(|_| {})
}

fn with(change: impl FnOnce(&mut Schedule)) -> Given {
    let mut wanted = Schedule::interval_secs(60).unwrap();
    change(&mut wanted);
    given_nothing().and(schedule("task", wanted, OnConflict::Redefine), at(0))
}
