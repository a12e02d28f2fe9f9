//! How an attempt ends, and what follows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use azoth_scheduler_core::event::{Event, Then};
use azoth_scheduler_core::execution::{FailureClass, Outcome};
use azoth_scheduler_core::retry::OnExhausted;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_runtime::{
    BlockingTaskHandler, Permanent, RetryAfter, ScheduleTaskRequest, Snooze, TaskContext, TaskError,
    TaskEvent, TaskResult,
};

use crate::support::{Fixture, Gate, MINUTE, SECOND, done, handler, immediate};

/// The outcomes of a task's attempts, oldest first.
async fn outcomes(fixture: &Fixture, task: &str) -> Vec<Outcome> {
    let events = fixture.events(task).await;
    let outcome = |event| if let Event::TaskExecuted { outcome, .. } = event { Some(outcome) } else { None };
    events.into_iter().filter_map(outcome).collect()
}

async fn phase(fixture: &Fixture, task: &str) -> PhaseKind {
    fixture.scheduler.get_task(task).await.unwrap().unwrap().phase
}

#[tokio::test]
async fn failed_task_comes_back_after_one_two_and_four_minutes_and_is_then_disabled() {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let fixture = Fixture::with(handler({
        let starts = Arc::clone(&starts);
        move |ctx, _| {
            starts.lock().unwrap().push(ctx.attempt());
            async { Err("the printer is on fire")? }
        }
    }));
    fixture.schedule(immediate("report")).await;
    fixture.idle().await;
    for (minutes, attempts) in [(1, 2), (2, 3), (4, 4)] {
        fixture.pass(MINUTE * minutes - SECOND).await;
        assert_eq!(starts.lock().unwrap().len(), attempts - 1, "not before {minutes} minutes");
        fixture.pass(SECOND).await;
        assert_eq!(starts.lock().unwrap().len(), attempts, "after {minutes} minutes");
    }
    fixture.pass(MINUTE * 60).await;
    assert_eq!(*starts.lock().unwrap(), [1, 2, 3, 4], "three retries, and no more");

    let task = fixture.scheduler.get_task("report").await.unwrap().unwrap();
    assert_eq!(task.phase, PhaseKind::Disabled);
    assert_eq!(task.reason.as_deref(), Some("no retries left after 4 failures"));
    let events = fixture.events("report").await;
    let Some(Event::TaskExecuted { outcome: Outcome::Failed(failure), then, .. }) = events.last() else {
        panic!("the last event is the last failure, not {:?}", events.last());
    };
    assert_eq!(failure.message.as_str(), "the printer is on fire");
    assert!(matches!(then, Then::Disable(_)));
    fixture.end().await;
}

#[tokio::test]
async fn success_is_recorded_with_the_handlers_event() {
    let fixture = Fixture::with(handler(|ctx, payload| async move {
        assert_eq!(ctx.task_id().as_str(), "greeting");
        Ok(TaskEvent::new("greeted", payload)?)
    }));
    fixture.schedule(immediate("greeting").payload("Ada")).await;
    fixture.idle().await;
    let expected = ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"];
    assert_eq!(fixture.history("greeting").await, expected);
    let history = fixture.scheduler.task_history("greeting").await.unwrap();
    let emitted = history.last().unwrap();
    assert_eq!(emitted.payload.bytes(), Some(&b"Ada"[..]));
    assert!(
        matches!(&emitted.event, Event::TaskEventEmitted { emitted, .. } if emitted.event_type == "greeted")
    );
    assert_eq!(phase(&fixture, "greeting").await, PhaseKind::Finished);
    fixture.end().await;
}

#[tokio::test]
async fn payload_that_looks_like_an_event_of_ours_is_only_bytes() {
    let fixture =
        Fixture::with(handler(|_, payload| async move { Ok(TaskEvent::new("TaskCancelled", payload)?) }));
    fixture.schedule(immediate("trick").payload(r#"{"TaskCancelled":{"task":"trick"}}"#)).await;
    fixture.idle().await;
    assert_eq!(phase(&fixture, "trick").await, PhaseKind::Finished);
    fixture.end().await;
}

#[tokio::test]
async fn handler_sees_its_execution() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let fixture = Fixture::with(handler({
        let seen = Arc::clone(&seen);
        move |ctx, _| {
            seen.lock().unwrap().push(ctx.clone());
            async { Err("once more")? }
        }
    }));
    fixture.schedule(immediate("a")).await;
    fixture.idle().await;
    fixture.pass(MINUTE).await;
    let seen = seen.lock().unwrap().clone();
    let [first, second]: &[TaskContext; 2] = seen.as_slice().try_into().unwrap();
    assert_eq!((first.attempt(), second.attempt()), (1, 2));
    assert_eq!(first.scheduled_at().unix_timestamp(), 1_700_000_000);
    assert_eq!(first.scheduled_at(), second.scheduled_at());
    assert_ne!(first.execution_id(), second.execution_id());
    assert_eq!(first.task_type().as_str(), "work");
    fixture.end().await;
}

#[tokio::test]
async fn attempt_that_takes_too_long_is_dropped_and_fails() {
    let gate = Gate::new();
    let dropped = Arc::new(());
    let fixture = Fixture::with(handler({
        let (gate, dropped) = (gate.clone(), Arc::clone(&dropped));
        move |_, _| {
            let (gate, held) = (gate.clone(), Arc::clone(&dropped));
            async move {
                gate.pass().await;
                drop(held);
                done()
            }
        }
    }));
    fixture.schedule(immediate("slow").timeout_secs(5).max_retries(0)).await;
    gate.wait_for(1).await;
    assert_eq!(Arc::strong_count(&dropped), 3);
    fixture.pass(SECOND * 5).await;
    assert_eq!(Arc::strong_count(&dropped), 2, "the handler was dropped");
    assert_eq!(outcomes(&fixture, "slow").await, [Outcome::TimedOut { timeout_ms: 5000 }]);
    assert_eq!(phase(&fixture, "slow").await, PhaseKind::Disabled);
    fixture.end().await;
}

#[tokio::test]
async fn panic_is_a_failed_attempt_with_its_message_and_its_place() {
    let fixture = Fixture::building(|builder| {
        let explosive = handler(|ctx, _| async move { panic!("boom in {}", ctx.task_id()) });
        builder
            .with_task_handler(explosive)
            .with_task_handler(handler(|_, _| async { done() }).of_type("other"))
    });
    fixture.schedule(immediate("a").max_retries(0)).await;
    fixture.schedule(immediate("b").task_type("other")).await;
    fixture.idle().await;
    let ended = outcomes(&fixture, "a").await;
    let [Outcome::Panicked { message }] = ended.as_slice() else { panic!("one panic, not {ended:?}") };
    let (what, place) = message.as_str().split_once(", at ").unwrap();
    assert_eq!(what, "boom in a");
    assert!(place.contains("outcomes.rs:") && place.ends_with(char::is_numeric), "{place}");
    assert_eq!(outcomes(&fixture, "b").await, [Outcome::Succeeded(())], "its neighbour is unharmed");
    fixture.end().await;
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("boom on the way out");
    }
}

#[tokio::test]
async fn panic_of_what_a_handler_leaves_behind_is_a_failed_attempt_too() {
    let fixture = Fixture::with(handler(|_, _| async {
        let _bomb = PanicsWhenDropped;
        std::future::pending::<()>().await;
        done()
    }));
    fixture.schedule(immediate("a").max_retries(0).timeout_secs(1)).await;
    while fixture.scheduler.stats().await.unwrap().slots_taken == 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    fixture.pass(SECOND).await;
    let ended = outcomes(&fixture, "a").await;
    let [Outcome::Panicked { message }] = ended.as_slice() else { panic!("{ended:?}") };
    assert!(message.as_str().starts_with("boom on the way out, at "), "{message}");
    fixture.end().await;
}

#[tokio::test]
async fn snooze_uses_up_no_retry() {
    let fixture = Fixture::with(handler(|ctx, _| async move {
        match ctx.attempt() {
            1..=9 => Err(Snooze::new(SECOND * 10))?,
            _ => done(),
        }
    }));
    fixture.schedule(immediate("later").max_retries(0)).await;
    fixture.idle().await;
    for _ in 0..9 {
        fixture.pass(SECOND * 10).await;
    }
    let ended = outcomes(&fixture, "later").await;
    assert_eq!(ended.len(), 10);
    assert_eq!(ended.last(), Some(&Outcome::Succeeded(())));
    fixture.end().await;
}

#[tokio::test]
async fn permanent_failure_is_not_tried_again() {
    let fixture = Fixture::with(handler(|_, _| async { Err(Permanent::new("no such account"))? }));
    fixture.schedule(immediate("a")).await;
    fixture.idle().await;
    fixture.pass(MINUTE * 60).await;
    assert_eq!(outcomes(&fixture, "a").await.len(), 1);
    assert_eq!(phase(&fixture, "a").await, PhaseKind::Disabled);
    fixture.end().await;
}

fn ask_the_bank() -> anyhow::Result<()> {
    Err(RetryAfter::new(SECOND * 7, "too many requests")).context("asking the bank")
}

#[tokio::test]
async fn retry_after_is_found_through_anyhow_and_counts_as_one_failure() {
    let fixture = Fixture::with(handler(|_, _| async {
        ask_the_bank().context("paying")?;
        done()
    }));
    fixture.schedule(immediate("a").max_retries(1)).await;
    fixture.idle().await;
    fixture.pass(SECOND * 6).await;
    assert_eq!(outcomes(&fixture, "a").await.len(), 1);
    fixture.pass(SECOND).await;
    let ended = outcomes(&fixture, "a").await;
    let [Outcome::Failed(first), Outcome::Failed(_)] = ended.as_slice() else {
        panic!("two failures were expected, not {ended:?}");
    };
    assert_eq!(first.class, FailureClass::RetryAfter { delay_ms: 7000 });
    let sources: Vec<_> = first.sources.iter().map(|text| text.as_str()).collect();
    assert_eq!((first.message.as_str(), sources), ("paying", vec!["asking the bank", "too many requests"]));
    assert_eq!(phase(&fixture, "a").await, PhaseKind::Disabled);
    fixture.end().await;
}

#[tokio::test]
async fn recurring_task_may_go_on_with_its_next_occurrence_when_it_is_exhausted() {
    let fixture = Fixture::with(handler(|_, _| async { Err("no luck")? }));
    let request = ScheduleTaskRequest::builder("every-hour").task_type("work").interval(3600);
    fixture.schedule(request.max_retries(0).on_exhausted(OnExhausted::Continue)).await;
    fixture.pass(MINUTE * 60).await;
    fixture.pass(MINUTE * 60).await;
    assert_eq!(outcomes(&fixture, "every-hour").await.len(), 2);
    assert_eq!(phase(&fixture, "every-hour").await, PhaseKind::Waiting);
    fixture.end().await;
}

#[tokio::test]
async fn event_over_the_limit_fails_the_attempt_for_good() {
    let fixture = Fixture::building(|builder| {
        let large = handler(|_, _| async { Ok(TaskEvent::new("large", vec![0; 101])?) });
        builder.with_max_payload_bytes(100).with_task_handler(large)
    });
    fixture.schedule(immediate("a")).await;
    fixture.idle().await;
    let ended = outcomes(&fixture, "a").await;
    let [Outcome::Failed(failure)] = ended.as_slice() else { panic!("one failure, not {ended:?}") };
    assert_eq!(failure.class, FailureClass::Permanent);
    assert!(failure.message.as_str().contains("101 bytes is over the limit of 100"), "{}", failure.message);
    fixture.end().await;
}

/// Blocks its thread until it is told, and then returns its event.
struct Blocking {
    gate: Gate,
    heeds_cancellation: bool,
}

impl BlockingTaskHandler<TaskError> for Blocking {
    fn task_type(&self) -> &str {
        "work"
    }

    fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        assert!(payload != b"panic", "boom on a thread");
        let gave_up = || self.heeds_cancellation && ctx.is_cancelled();
        self.gate.pass_blocking(Duration::from_millis(1), gave_up);
        done()
    }
}

#[tokio::test]
async fn blocking_handler_runs_and_its_panic_is_a_failed_attempt() {
    let gate = Gate::new();
    gate.open();
    let blocking = Blocking { gate, heeds_cancellation: false };
    let fixture = Fixture::building(|builder| builder.with_task_handler(blocking));
    fixture.schedule(immediate("fine")).await;
    fixture.schedule(immediate("bad").payload("panic").max_retries(0)).await;
    fixture.idle().await;
    assert_eq!(outcomes(&fixture, "fine").await, [Outcome::Succeeded(())]);
    let bad = outcomes(&fixture, "bad").await;
    assert!(
        matches!(bad.as_slice(), [Outcome::Panicked { message }] if message.as_str().starts_with("boom on a thread, at "))
    );
    fixture.end().await;
}

#[tokio::test]
async fn late_result_of_a_blocking_handler_never_counts_and_its_thread_keeps_its_slot() {
    let gate = Gate::new();
    let blocking = Blocking { gate: gate.clone(), heeds_cancellation: false };
    let fixture =
        Fixture::building(|builder| builder.with_task_handler(blocking).with_max_concurrent_tasks(1));
    fixture.schedule(immediate("stuck").timeout_secs(5).max_retries(0)).await;
    fixture.schedule(immediate("next")).await;
    gate.wait_for(1).await;
    fixture.pass(SECOND * 5).await;
    assert_eq!(outcomes(&fixture, "stuck").await, [Outcome::TimedOut { timeout_ms: 5000 }]);
    let stats = fixture.scheduler.stats().await.unwrap();
    assert_eq!((stats.slots_taken, stats.slots_set_aside), (1, 1));
    assert_eq!(phase(&fixture, "next").await, PhaseKind::Waiting, "there is no slot for it");
    gate.open();
    gate.wait_for(2).await;
    fixture.idle().await;
    assert_eq!(outcomes(&fixture, "next").await, [Outcome::Succeeded(())]);
    assert_eq!(outcomes(&fixture, "stuck").await.len(), 1);
    fixture.end().await;
}

#[tokio::test]
async fn blocking_handler_is_told_that_its_time_is_up() {
    let gate = Gate::new();
    let blocking = Blocking { gate: gate.clone(), heeds_cancellation: true };
    let fixture = Fixture::building(|builder| builder.with_task_handler(blocking));
    fixture.schedule(immediate("stuck").timeout_secs(5).max_retries(0)).await;
    gate.wait_for(1).await;
    fixture.clock.advance(SECOND * 5);
    crate::support::within(async {
        while fixture.scheduler.stats().await.unwrap().slots_taken > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    fixture.idle().await;
    assert_eq!(outcomes(&fixture, "stuck").await, [Outcome::TimedOut { timeout_ms: 5000 }]);
    fixture.end().await;
}
