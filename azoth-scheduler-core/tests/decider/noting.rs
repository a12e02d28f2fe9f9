//! What an execution says while it runs: progress, and checkpoints.

use azoth_scheduler_core::command::{AbandonReason, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::FailureClass;
use azoth_scheduler_core::headway::{Checkpoint, Headway, Note, Reported, Share};
use azoth_scheduler_core::payload::{Payload, PayloadDigest};
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::testing::{
    Given, at, claim, complete, execution, failed, given_nothing, schedule, succeeded, task_id, wish,
};

fn headway(done: f64) -> Headway {
    Headway { done: Share::of(done), note: Note::new("so far") }
}

fn progress(number: u128, done: f64) -> TaskCommand {
    wish("task", Wish::ReportProgress { execution: execution(number), headway: headway(done) })
}

fn checkpoint(number: u128, bytes: &[u8]) -> TaskCommand {
    let checkpoint = Payload::new(bytes);
    wish("task", Wish::SaveCheckpoint { execution: execution(number), checkpoint })
}

/// The first execution runs since second 60.
fn running() -> Given {
    let every_minute = Schedule::interval_secs(60).unwrap();
    given_nothing()
        .and(schedule("task", every_minute, OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(60))
}

#[test]
fn what_an_execution_says_is_an_event_and_the_same_again_is_none() {
    let given = running()
        .when(progress(1, 0.4), at(61))
        .then([Event::ProgressReported { execution: execution(1), headway: headway(0.4) }]);
    let given = given.when(progress(1, 0.4), at(62)).then_answered(Answer::Unchanged(PhaseKind::Running));
    let saved = Event::CheckpointSaved { execution: execution(1), checkpoint: PayloadDigest::of(b"half") };
    let given = given.when(checkpoint(1, b"half"), at(63)).then([saved]);
    let given = given.when(checkpoint(1, b"half"), at(64)).then_nothing();
    let state = given.state().unwrap();
    let reported = Reported { headway: headway(0.4), at: at(61) };
    assert_eq!(state.running().unwrap().reported, Some(reported));
    assert_eq!(state.checkpoint, Some(Checkpoint { payload: PayloadDigest::of(b"half"), at: at(63) }));
}

#[test]
fn checkpoint_lives_as_long_as_its_occurrence_and_progress_as_long_as_its_execution() {
    let given = running().and(checkpoint(1, b"half"), at(61)).and(progress(1, 0.5), at(61));
    let lost = Wish::Abandon { execution: execution(1), why: AbandonReason::WorkerLost, last_seen: at(62) };
    let given = given.and(wish("task", lost), at(80)).and(claim("task", 2), at(81));
    let state = given.state().unwrap();
    assert_eq!((state.running().unwrap().reported.clone(), state.checkpoint.is_some()), (None, true));
    let given = given.and(complete("task", 2, failed(FailureClass::Retryable), at(81)), at(82));
    assert!(given.state().unwrap().checkpoint.is_some(), "for the retry");
    let given = given.and(claim("task", 3), at(600)).and(complete("task", 3, succeeded(), at(600)), at(601));
    assert_eq!(given.state().unwrap().checkpoint, None);
}

/// I8.
#[test]
fn late_word_of_an_execution_that_lost_its_task_is_refused() {
    let shut_down =
        Wish::Abandon { execution: execution(1), why: AbandonReason::ShutDown, last_seen: at(61) };
    let given = running().and(wish("task", shut_down), at(61));
    let stale =
        |current| Rejection::StaleExecution { task: task_id("task"), execution: execution(1), current };
    let given = given.when(checkpoint(1, b"late"), at(62)).then_rejected(stale(None));
    let given = given.and(claim("task", 2), at(63));
    let given = given.when(progress(1, 1.0), at(64)).then_rejected(stale(Some(execution(2))));
    assert_eq!(given.state().unwrap().checkpoint, None);
}

#[test]
fn checkpoint_of_an_old_definition_ends_with_it() {
    let other = Schedule::interval_secs(90).unwrap();
    let given = running().and(checkpoint(1, b"old"), at(61));
    let given = given.and(schedule("task", other, OnConflict::Redefine), at(62));
    assert_eq!(given.state().unwrap().checkpoint, None);
    let given = given.and(checkpoint(1, b"older"), at(63));
    let given = given.and(complete("task", 1, failed(FailureClass::Retryable), at(60)), at(64));
    assert_eq!(given.state().unwrap().checkpoint, None, "what runs next is of the new one");
}
