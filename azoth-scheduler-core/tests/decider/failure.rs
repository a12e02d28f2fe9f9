//! What follows attempts that went wrong.

use std::num::NonZeroU32;

use azoth_scheduler_core::command::{AbandonReason, NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::decide::LOSSES_MAX;
use azoth_scheduler_core::event::{Event, Then};
use azoth_scheduler_core::execution::{FailureClass, Outcome};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::retry::{OnExhausted, RetryPolicy};
use azoth_scheduler_core::schedule::{Fate, Overlap, Schedule};
use azoth_scheduler_core::state::{Counts, DisabledReason, PhaseKind, Progress, TaskPhase, Work};
use azoth_scheduler_core::testing::{
    Account, Given, at, audit, claim, complete, definition, execution, failed, given_nothing, schedule,
    succeeded, task_id, wish,
};

/// Known from an earlier scheduler: the delays were 2, 4 and 8 minutes, and three retries were two.
#[test]
fn three_retries_come_after_one_two_and_four_minutes_and_the_fourth_failure_disables() {
    let mut given = given_nothing().and(schedule("task", Schedule::immediate(), OnConflict::Redefine), at(0));
    let mut now = at(0);
    for (number, minutes) in [(1, 1), (2, 2), (3, 4)] {
        given = given
            .and(claim("task", number), now)
            .and(complete("task", number, failed(FailureClass::Retryable), now), now);
        let work = *given.state().unwrap().waiting().unwrap();
        assert_eq!(work.run_at.ms_since(now), minutes * 60_000);
        assert_eq!((work.occurrence, u128::from(work.attempt.get())), (at(0), number + 1));
        now = work.run_at;
    }
    let given =
        given.and(claim("task", 4), now).and(complete("task", 4, failed(FailureClass::Retryable), now), now);
    let because = DisabledReason::Exhausted { failures: 4 };
    assert_eq!(given.state().unwrap().phase, TaskPhase::Disabled { at: now, because });
}

#[test]
fn a_recurring_task_may_go_on_with_the_next_occurrence_instead() {
    let retry = RetryPolicy { max_retries: 0, on_exhausted: OnExhausted::Continue, ..RetryPolicy::default() };
    let given = given_nothing()
        .and(schedule_with(retry, Schedule::interval_secs(60).unwrap()), at(0))
        .and(claim("task", 1), at(60))
        .and(complete("task", 1, failed(FailureClass::Retryable), at(60)), at(61));
    assert_eq!(given.state().unwrap().waiting().unwrap().occurrence, at(120));
    assert_eq!(given.state().unwrap().counts, Counts::default());
}

#[test]
fn a_snooze_uses_up_neither_a_failure_nor_a_loss_but_an_attempt() {
    let given = given_nothing()
        .and(schedule("task", Schedule::immediate(), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(0))
        .and(complete("task", 1, Outcome::Snoozed { for_ms: 5_000 }, at(0)), at(1));
    let work = Work { occurrence: at(0), attempt: NonZeroU32::new(2).unwrap(), run_at: at(6) };
    assert_eq!(given.state().unwrap().phase, TaskPhase::Waiting(work));
    assert_eq!(given.state().unwrap().counts, Counts::default());
}

#[test]
fn retry_after_is_one_failure_with_a_wait_of_its_own() {
    let retry_after = failed(FailureClass::RetryAfter { delay_ms: 7_000 });
    let given = given_nothing()
        .and(schedule("task", Schedule::immediate(), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(0))
        .and(complete("task", 1, retry_after, at(0)), at(1));
    assert_eq!(given.state().unwrap().waiting().unwrap().run_at, at(8));
    assert_eq!(given.state().unwrap().counts, Counts { failures: 1, losses: 0 });
}

#[test]
fn a_permanent_failure_is_not_retried() {
    let given = running().and(complete("task", 1, failed(FailureClass::Permanent), at(0)), at(1));
    let because = DisabledReason::Permanent;
    assert_eq!(given.state().unwrap().phase, TaskPhase::Disabled { at: at(1), because });
}

#[test]
fn the_fifth_loss_disables_and_giving_back_is_none() {
    let mut given = running();
    for number in 2..=u128::from(LOSSES_MAX) {
        given = given.and(abandon(number - 1, AbandonReason::WorkerLost), at(0));
        assert_eq!(given.state().unwrap().phase.kind(), PhaseKind::Waiting);
        given = given.and(claim("task", number), at(0));
        given =
            given.and(abandon(number, AbandonReason::NotStarted), at(0)).and(claim("task", number), at(0));
    }
    let given = given.and(abandon(5, AbandonReason::WorkerLost), at(1));
    let because = DisabledReason::Losses { losses: 5 };
    assert_eq!(given.state().unwrap().phase, TaskPhase::Disabled { at: at(1), because });
}

/// I10: what the first absence decided to run is not forgotten by the second one: the newest that came due while an
/// execution was open stands for it.
#[test]
fn an_occurrence_that_waits_behind_the_open_one_outlives_a_second_loss() {
    let wanted = Schedule { overlap: Overlap::BufferOne, ..Schedule::interval_secs(60).unwrap() };
    let lost = |number, last_seen| {
        wish(
            "task",
            Wish::Abandon { execution: execution(number), why: AbandonReason::WorkerLost, last_seen },
        )
    };
    let given = given_nothing()
        .and(schedule("task", wanted, OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(60))
        .and(lost(1, at(130)), at(150))
        .and(claim("task", 2), at(150))
        .and(lost(2, at(250)), at(250));
    assert_eq!(given.state().unwrap().progress.buffered, Some(at(240)));
    let given = given.and(claim("task", 3), at(250)).and(complete("task", 3, succeeded(), at(250)), at(260));
    let accounts = audit(given.events()).unwrap().accounts;
    let merged = Account::Passed(Fate::Merged { into: at(240) });
    let expected = [Account::Ran, merged, merged, Account::Pending];
    assert!(accounts.into_values().eq(expected), "{given:?}");
}

/// I8: the result of an execution that was taken away changes nothing.
#[test]
fn a_late_result_is_refused() {
    let given = running().and(abandon(1, AbandonReason::WorkerLost), at(5)).and(claim("task", 2), at(6));
    given.when(complete("task", 1, succeeded(), at(0)), at(7)).then_rejected(Rejection::StaleExecution {
        task: task_id("task"),
        execution: execution(1),
        current: Some(execution(2)),
    });
}

#[test]
fn events_of_a_success_are_its_end_and_what_the_handler_gave_back() {
    let given = running();
    let emitted = Event::TaskEventEmitted {
        execution: execution(1),
        emitted: azoth_scheduler_core::execution::Emitted {
            event_type: "done".parse().unwrap(),
            payload: Payload::empty().digest(),
        },
    };
    let ended = Event::TaskExecuted {
        execution: execution(1),
        outcome: Outcome::Succeeded(()),
        started_at: at(0),
        then: Then::Finish,
        progress: Progress { decided_through: at(0), backlog: None, buffered: None },
    };
    given.when(complete("task", 1, succeeded(), at(0)), at(1)).then([ended, emitted]);
}

fn running() -> Given {
    given_nothing()
        .and(schedule("task", Schedule::immediate(), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(0))
}

fn abandon(number: u128, why: AbandonReason) -> TaskCommand {
    wish("task", Wish::Abandon { execution: execution(number), why, last_seen: at(0) })
}

fn schedule_with(retry: RetryPolicy, wanted: Schedule) -> TaskCommand {
    let definition = azoth_scheduler_core::task::TaskDefinition { retry, ..definition(wanted) };
    wish("task", Wish::Schedule(NewTask::new(definition, Payload::empty(), OnConflict::Redefine)))
}
