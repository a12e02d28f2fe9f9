//! Runs that somebody asked for.

use azoth_scheduler_core::command::{OnConflict, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::FailureClass;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::{MisfirePolicy, Schedule};
use azoth_scheduler_core::state::{Counts, PhaseKind, TaskState, Work};
use azoth_scheduler_core::testing::{
    Account, Given, actor, at, audit, claim, complete, failed, given_nothing, schedule, succeeded, task_id,
    text, wish,
};

fn run_now() -> azoth_scheduler_core::command::TaskCommand {
    wish("task", Wish::RunNow { by: actor("ops") })
}

fn retry() -> azoth_scheduler_core::command::TaskCommand {
    wish("task", Wish::Retry { by: actor("ops") })
}

fn given(wanted: Schedule) -> Given {
    given_nothing().and(schedule("task", wanted, OnConflict::Redefine), at(0))
}

fn every_minute() -> Schedule {
    Schedule::interval_secs(60).unwrap()
}

fn work(given: &Given) -> Work {
    *given.state().and_then(TaskState::waiting).unwrap()
}

#[test]
fn run_at_once_comes_before_the_next_occurrence_and_leaves_the_schedule_as_it_was() {
    let given = given(every_minute()).and(run_now(), at(10));
    let asked = work(&given);
    assert_eq!((asked.occurrence, asked.run_at), (at(10), at(10)));
    let given = given.and(claim("task", 1), at(11)).and(complete("task", 1, succeeded(), at(11)), at(12));
    assert_eq!((work(&given).occurrence, work(&given).run_at), (at(60), at(60)));
    assert_eq!(given.state().unwrap().runs, 0, "it is no run of the schedule");
    let given = given.and(claim("task", 2), at(60)).and(complete("task", 2, succeeded(), at(60)), at(61));
    assert_eq!(work(&given).occurrence, at(120));
    let accounts = audit(given.events()).unwrap().accounts;
    assert_eq!(accounts.into_iter().collect::<Vec<_>>(), [(at(60), Account::Ran)]);
}

/// The two could not be told apart in the log, and the second one was no run of the schedule either: it was not counted.
#[test]
fn run_that_was_asked_for_in_the_millisecond_of_an_occurrence_is_told_from_that_of_the_occurrence() {
    let spread = Schedule { jitter_ms: 30_000, ..every_minute() };
    let given = given(spread);
    let late = work(&given).run_at;
    assert!(late > at(60), "the task waits for its place behind the occurrence");
    let given = given.and(run_now(), at(60)).and(claim("task", 1), at(60));
    let given = given.and(complete("task", 1, failed(FailureClass::Retryable), at(60)), at(61));
    let given = given.and(claim("task", 2), at(200)).and(complete("task", 2, succeeded(), at(200)), at(200));
    let given = given.and(claim("task", 3), at(300));
    let started: Vec<_> = given
        .events()
        .iter()
        .filter_map(|(_, event)| match event {
            Event::ExecutionStarted { occurrence, attempt, off_schedule, .. } => {
                Some((*occurrence, attempt.get(), *off_schedule))
            }
            _ => None,
        })
        .collect();
    assert_eq!(started[..2], [(at(60), 1, true), (at(60), 2, true)]);
    assert_eq!(started[2..], [(at(60), 1, false)]);
    assert_eq!(given.state().unwrap().runs, 1);
    audit(given.events()).unwrap();
}

#[test]
fn what_came_due_before_a_run_at_once_could_start_runs_behind_it() {
    let given = given(every_minute()).and(run_now(), at(59)).and(claim("task", 1), at(70));
    let given = given.and(complete("task", 1, succeeded(), at(70)), at(71));
    assert_eq!((work(&given).occurrence, work(&given).run_at), (at(60), at(71)));
}

#[test]
fn failure_for_good_of_a_run_at_once_does_not_end_the_schedule() {
    let given = given(every_minute()).and(run_now(), at(10)).and(claim("task", 1), at(10));
    let given = given.and(complete("task", 1, failed(FailureClass::Permanent), at(10)), at(11));
    assert_eq!(work(&given).occurrence, at(60));
    assert_eq!(given.state().unwrap().counts, Counts::default());
}

#[test]
fn run_at_once_is_retried_and_kept_over_a_pause() {
    let given = given(every_minute()).and(run_now(), at(10)).and(claim("task", 1), at(10));
    let given = given.and(complete("task", 1, failed(FailureClass::Retryable), at(10)), at(11));
    assert_eq!((work(&given).occurrence, work(&given).attempt.get()), (at(10), 2));
    let given =
        given.and(wish("task", Wish::Pause { reason: text("wait"), by: actor("ops"), until: None }), at(12));
    let refused = Rejection::Paused { task: task_id("task") };
    let given = given.when(run_now(), at(13)).then_rejected(refused);
    let resume = wish("task", Wish::Resume { misfire: MisfirePolicy::Skip, by: actor("ops") });
    let given = given.and(resume, at(14)).and(run_now(), at(15));
    assert_eq!((work(&given).occurrence, work(&given).run_at), (at(10), at(15)), "the retry comes at once");
    assert!(given.state().unwrap().is_off_schedule(at(10)));
}

#[test]
fn one_time_task_that_is_run_at_once_has_had_its_run() {
    let given = given(Schedule::one_time(at(1000))).and(run_now(), at(5));
    let event = Event::RunRequested {
        by: actor("ops"),
        work: Work { run_at: at(5), ..work(&given) },
        off_schedule: false,
    };
    assert_eq!(given.events().last(), Some(&(at(5), event)));
    assert_eq!(work(&given).occurrence, at(1000));
    let given = given.and(claim("task", 1), at(5)).and(complete("task", 1, succeeded(), at(5)), at(6));
    assert_eq!(given.state().unwrap().phase.kind(), PhaseKind::Finished);
    let refused = Rejection::Ended { task: task_id("task"), phase: PhaseKind::Finished };
    given.when(run_now(), at(7)).then_rejected(refused);
}

#[test]
fn what_is_due_or_runs_already_is_left_alone() {
    let given = given(Schedule::immediate());
    let given = given.when(run_now(), at(1)).then_answered(Answer::Unchanged(PhaseKind::Waiting));
    let given = given.and(claim("task", 1), at(1));
    given.when(run_now(), at(2)).then_answered(Answer::Unchanged(PhaseKind::Running));
}

#[test]
fn disabled_one_time_task_is_retried_at_once_with_nothing_counted_against_it() {
    let mut given = given(Schedule::immediate());
    for (number, second) in [(1, 0), (2, 100), (3, 300), (4, 600)] {
        given = given.and(claim("task", number), at(second));
        given =
            given.and(complete("task", number, failed(FailureClass::Retryable), at(second)), at(second + 1));
    }
    assert_eq!(given.state().unwrap().phase.kind(), PhaseKind::Disabled);
    let given = given.and(retry(), at(5000));
    let state = given.state().unwrap();
    assert_eq!((work(&given).run_at, work(&given).attempt.get()), (at(5000), 1));
    assert_eq!((state.counts, work(&given).occurrence), (Counts::default(), at(0)));
    given.when(retry(), at(5001)).then_answered(Answer::Unchanged(PhaseKind::Waiting));
}

#[test]
fn disabled_recurring_task_goes_on_with_its_next_occurrence_and_says_what_it_missed() {
    let disable = wish("task", Wish::Disable { reason: text("broken"), by: actor("ops") });
    let given = given(every_minute()).and(disable, at(70)).and(retry(), at(200));
    assert_eq!(work(&given).occurrence, at(240));
    let accounts = audit(given.events()).unwrap().accounts;
    let accounted: Vec<_> = accounts.keys().copied().collect();
    assert_eq!(accounted, [at(60), at(120), at(180)], "each once: {accounts:?}");
}

#[test]
fn what_was_cancelled_or_has_finished_is_not_retried() {
    let cancel = wish("task", Wish::Cancel { reason: text("enough"), by: actor("ops") });
    let refused = Rejection::Ended { task: task_id("task"), phase: PhaseKind::Cancelled };
    given(every_minute()).and(cancel, at(1)).when(retry(), at(2)).then_rejected(refused);
}
