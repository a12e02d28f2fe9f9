//! What an execution says while it runs: its progress, and checkpoints for the attempt after it.

use std::time::Duration;

use azoth_scheduler_core::command::{AbandonReason, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::FailureClass;
use azoth_scheduler_core::headway::{Headway, Note, Reported, Share};
use azoth_scheduler_core::payload::{Payload, PayloadDigest};
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::schedule::{MisfirePolicy, Schedule};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::testing::{actor, at, failed, succeeded, task_id, text, wish};

use super::bench::{Bench, assert_sound, cancel, ends, every, ok, some, want};
use super::fencing::taken;
use crate::store::Claimed;

/// The wish to note how far an execution has come.
pub(super) fn progress(claimed: &Claimed, done: f64, note: &str) -> TaskCommand {
    let headway = Headway { done: Share::of(done), note: Note::new(note) };
    let wish = Wish::ReportProgress { execution: claimed.execution, headway };
    TaskCommand { task: claimed.task.clone(), wish }
}

/// The wish to keep this for the next attempt.
pub(super) fn checkpoint(claimed: &Claimed, bytes: &[u8]) -> TaskCommand {
    let wish = Wish::SaveCheckpoint { execution: claimed.execution, checkpoint: Payload::new(bytes) };
    TaskCommand { task: claimed.task.clone(), wish }
}

fn bytes(claimed: &Claimed) -> Option<&[u8]> {
    claimed.checkpoint.as_deref()
}

async fn reported(bench: &Bench, task: &str) -> Option<Reported> {
    bench.state(task).await.running().and_then(|running| running.reported.clone())
}

pub(super) async fn progress_is_that_of_the_execution_that_holds_the_task(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("a", every(60)), at(0)).await;
    let first = bench.claim_one(worker, at(60)).await;
    assert_eq!(reported(bench, "a").await, None);
    assert_eq!(bench.does(progress(&first, 0.4, "two of five"), at(61)).await, Answer::Recorded);
    bench.reopen().await;
    let said = some(reported(bench, "a").await);
    let found = (said.headway.done.hundredths(), said.headway.note.as_str(), said.at);
    assert_eq!(found, (4_000, "two of five", at(61)));
    let again = bench.does(progress(&first, 0.4, "two of five"), at(62)).await;
    assert_eq!(again, Answer::Unchanged(PhaseKind::Running), "the same word again is none");
    bench.does(progress(&first, 0.2, "back"), at(63)).await;
    assert_eq!(some(reported(bench, "a").await).headway.note.as_str(), "back", "the last word counts");
    bench.does(ends(&first, failed(FailureClass::Retryable)), at(64)).await;
    bench.claim_one(worker, at(600)).await;
    assert_eq!(reported(bench, "a").await, None, "another attempt has said nothing yet");
    let told = ["ProgressReported", "ProgressReported", "TaskExecuted", "ExecutionStarted"];
    let story = bench.story("a").await;
    assert_eq!(story.get(story.len().saturating_sub(4)..), Some(&told[..]));
}

pub(super) async fn a_checkpoint_is_given_to_the_next_attempt_in_whatever_process(bench: &mut Bench) {
    let (worker, other) = (bench.worker(at(0)).await, bench.worker(at(0)).await);
    bench.does(want("a", every(60)), at(0)).await;
    let first = bench.claim_one(worker, at(60)).await;
    assert_eq!(bytes(&first), None);
    bench.does(checkpoint(&first, b"one"), at(61)).await;
    bench.does(checkpoint(&first, b"two"), at(62)).await;
    let again = bench.does(checkpoint(&first, b"two"), at(63)).await;
    assert_eq!(again, Answer::Unchanged(PhaseKind::Running), "the same again is kept once");
    let kept = some(bench.state("a").await.checkpoint);
    assert_eq!((kept.payload, kept.at), (PayloadDigest::of(b"two"), at(62)));
    bench.reopen().await;
    bench.does(taken(&first, AbandonReason::WorkerLost, at(63)), at(70)).await;
    let second = bench.claim_one(other, at(71)).await;
    assert_eq!((second.attempt, bytes(&second)), (2, Some(&b"two"[..])));
    bench.does(ends(&second, failed(FailureClass::Retryable)), at(72)).await;
    let third = bench.claim_one(worker, at(600)).await;
    assert_eq!(bytes(&third), Some(&b"two"[..]), "it stays until another one takes its place");
    bench.does(checkpoint(&third, b""), at(601)).await;
    bench.does(taken(&third, AbandonReason::ShutDown, at(602)), at(602)).await;
    assert_eq!(bytes(&bench.claim_one(other, at(602)).await), Some(&b""[..]), "also one without bytes");
    let held = bench.history("a").await;
    let held = held.iter().filter(|event| matches!(event.event, Event::CheckpointSaved { .. }));
    let held: Vec<_> = held.map(|event| event.payload.bytes()).collect();
    assert_eq!(held, [Some(&b"one"[..]), Some(&b"two"[..]), Some(&b""[..])]);
}

/// I8.
pub(super) async fn what_an_execution_says_once_its_task_was_taken_away_is_refused(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("a", Schedule::immediate()), at(0)).await;
    let first = bench.claim_one(worker, at(0)).await;
    bench.does(checkpoint(&first, b"early"), at(1)).await;
    bench.does(taken(&first, AbandonReason::WorkerLost, at(1)), at(20)).await;
    let second = bench.claim_one(worker, at(21)).await;
    let stale = Rejection::StaleExecution {
        task: task_id("a"),
        execution: first.execution,
        current: Some(second.execution),
    };
    let late = vec![checkpoint(&first, b"late"), progress(&first, 1.0, "done")];
    assert_eq!(bench.say_all(late, at(22)).await, [Err(stale.clone()), Err(stale)]);
    bench.does(taken(&second, AbandonReason::ShutDown, at(23)), at(23)).await;
    assert_eq!(bytes(&bench.claim_one(worker, at(23)).await), Some(&b"early"[..]));
    let unknown = TaskCommand { task: task_id("nobody"), ..checkpoint(&first, b"late") };
    let refused = bench.say(unknown, at(24)).await;
    assert_eq!(refused, Err(Rejection::UnknownTask { task: task_id("nobody") }));
}

pub(super) async fn another_occurrence_starts_without_a_checkpoint(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("a", every(60)), at(0)).await;
    let first = bench.claim_one(worker, at(60)).await;
    bench.does(checkpoint(&first, b"half"), at(61)).await;
    bench.does(ends(&first, succeeded()), at(62)).await;
    assert_eq!(bench.state("a").await.checkpoint, None);
    assert_eq!(bytes(&bench.claim_one(worker, at(120)).await), None);
}

pub(super) async fn a_disabled_task_that_is_retried_goes_on_from_its_checkpoint(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let by = actor("ops");
    bench.does(want("a", Schedule::immediate()), at(0)).await;
    let first = bench.claim_one(worker, at(0)).await;
    bench.does(checkpoint(&first, b"half"), at(1)).await;
    bench.does(ends(&first, failed(FailureClass::Permanent)), at(2)).await;
    assert_eq!(bench.phase("a").await, PhaseKind::Disabled);
    bench.does(wish("a", Wish::Retry { by: by.clone() }), at(10)).await;
    let (reason, misfire) = (text("wait"), MisfirePolicy::Skip);
    bench.does(wish("a", Wish::Pause { reason, by: by.clone(), until: None }), at(11)).await;
    bench.does(wish("a", Wish::Resume { misfire, by }), at(12)).await;
    assert_eq!(bytes(&bench.claim_one(worker, at(13)).await), Some(&b"half"[..]), "over a pause too");
}

pub(super) async fn what_ends_for_good_or_is_redefined_keeps_no_checkpoint(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    for task in ["finished", "cancelled", "redefined"] {
        bench.does(want(task, Schedule::immediate()), at(0)).await;
        let claimed = bench.claim_one(worker, at(0)).await;
        bench.does(checkpoint(&claimed, b"half"), at(1)).await;
        match task {
            "finished" => bench.does(ends(&claimed, succeeded()), at(2)).await,
            "cancelled" => bench.does(cancel(task), at(2)).await,
            _ => bench.does(want(task, Schedule::one_time(at(50))), at(2)).await,
        };
        assert_eq!(bench.state(task).await.checkpoint, None, "{task}");
    }
}

/// I20: retention drops the bytes of a checkpoint only once no attempt can ask for them.
pub(super) async fn the_bytes_of_a_checkpoint_stay_as_long_as_somebody_may_need_them(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("a", every(60)), at(0)).await;
    let first = bench.claim_one(worker, at(60)).await;
    bench.does(checkpoint(&first, b"old"), at(61)).await;
    bench.does(checkpoint(&first, b"new"), at(62)).await;
    bench.does(taken(&first, AbandonReason::ShutDown, at(63)), at(63)).await;
    let policy = RetentionPolicy::new().keep_payloads_for(Duration::ZERO);
    assert_eq!(ok(bench.store().retain(&policy, at(1_000)).await).payloads, 1, "that of the old one");
    assert_sound(bench.store()).await;
    let second = bench.claim_one(worker, at(1_000)).await;
    assert_eq!(bytes(&second), Some(&b"new"[..]));
    bench.does(ends(&second, succeeded()), at(1_001)).await;
    assert_eq!(ok(bench.store().retain(&policy, at(2_000)).await).payloads, 1);
    assert_sound(bench.store()).await;
}
