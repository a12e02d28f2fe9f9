//! Cancelling, pausing, disabling: while a task waits, while it runs, here and elsewhere.

use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_runtime::{Said, ScheduleChange, ScheduleTaskRequest, SchedulerError};

use crate::support::{Fixture, Gate, MINUTE, SECOND, done, handler, immediate, waits_at, within};

fn hourly(id: &str) -> azoth_scheduler_runtime::ScheduleTaskRequestBuilder {
    ScheduleTaskRequest::builder(id).task_type("work").interval(3600)
}

#[tokio::test]
async fn waiting_task_that_is_cancelled_never_runs() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(hourly("a")).await;
    assert_eq!(fixture.scheduler.cancel_task("a", "not needed").await.unwrap(), Said::Recorded);
    fixture.pass(MINUTE * 180).await;
    assert_eq!(fixture.history("a").await, ["TaskScheduled", "TaskCancelled"]);
    let task = fixture.scheduler.get_task("a").await.unwrap().unwrap();
    assert_eq!((task.phase, task.reason.as_deref()), (PhaseKind::Cancelled, Some("not needed")));
    let again = fixture.scheduler.cancel_task("a", "again").await.unwrap();
    assert_eq!(again, Said::Unchanged(PhaseKind::Cancelled));
    fixture.end().await;
}

#[tokio::test]
async fn running_task_that_is_cancelled_here_is_stopped_at_once() {
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    fixture.scheduler.cancel_task("a", "changed my mind").await.unwrap();
    // No time passes: only a handler that was dropped lets the scheduler come to rest.
    fixture.idle().await;
    assert_eq!(fixture.history("a").await, ["TaskScheduled", "ExecutionStarted", "TaskCancelled"]);
    assert_eq!(fixture.scheduler.stats().await.unwrap().slots_taken, 0);
    fixture.end().await;
}

#[tokio::test]
async fn running_task_that_is_cancelled_elsewhere_is_stopped_within_a_second() {
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    let elsewhere = azoth_scheduler_runtime::Scheduler::builder(fixture.store.clone())
        .with_clock(fixture.clock.clone())
        .with_actor("operator")
        .build()
        .unwrap();
    elsewhere.cancel_task("a", "from another process").await.unwrap();
    // It has to be seen that somebody committed before the wait of a second starts.
    while fixture.clock.until_next_sleeper().is_none_or(|span| span > SECOND) {
        tokio::task::yield_now().await;
    }
    fixture.pass(SECOND).await;
    assert_eq!(fixture.scheduler.stats().await.unwrap().slots_taken, 0);
    fixture.end().await;
}

#[tokio::test]
async fn recurring_task_can_be_cancelled_after_it_has_run() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(hourly("a")).await;
    fixture.pass(MINUTE * 60).await;
    fixture.pass(MINUTE * 60).await;
    fixture.scheduler.cancel_task("a", "enough").await.unwrap();
    fixture.pass(MINUTE * 180).await;
    let starts = fixture.history("a").await.into_iter().filter(|name| *name == "ExecutionStarted").count();
    assert_eq!(starts, 2);
    fixture.end().await;
}

#[tokio::test]
async fn cancelled_recurring_task_is_not_revived_by_declaring_it_again() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(hourly("a")).await;
    fixture.scheduler.cancel_task("a", "enough").await.unwrap();
    let outcome = fixture.scheduler.schedule_task(hourly("a").build().unwrap()).await.unwrap();
    assert_eq!(outcome.change, ScheduleChange::Unchanged(PhaseKind::Cancelled));
    assert_eq!(outcome.next_run_at, None);
    fixture.end().await;
}

#[tokio::test]
async fn paused_task_rests_until_it_is_resumed() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(hourly("a")).await;
    fixture.scheduler.pause_task("a", "maintenance").await.unwrap();
    fixture.pass(MINUTE * 150).await;
    assert_eq!(fixture.history("a").await, ["TaskScheduled", "TaskPaused"]);
    fixture.scheduler.resume_task("a").await.unwrap();
    fixture.pass(MINUTE * 30).await;
    let expected = [
        "TaskScheduled",
        "TaskPaused",
        "OccurrencesPassed",
        "TaskResumed",
        "ExecutionStarted",
        "TaskExecuted",
        "TaskEventEmitted",
    ];
    assert_eq!(fixture.history("a").await, expected);
    fixture.end().await;
}

#[tokio::test]
async fn disabled_task_says_who_disabled_it_and_why() {
    let fixture = Fixture::building(|builder| {
        builder.with_actor("alice").with_task_handler(handler(|_, _| async { done() }))
    });
    fixture.schedule(hourly("a")).await;
    fixture.scheduler.disable_task("a", "it costs too much").await.unwrap();
    let task = fixture.scheduler.get_task("a").await.unwrap().unwrap();
    assert_eq!(task.reason.as_deref(), Some("alice said so: it costs too much"));
    fixture.end().await;
}

#[tokio::test]
async fn task_that_does_not_exist_cannot_be_cancelled() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    let refused = within(fixture.scheduler.cancel_task("nobody", "")).await;
    assert!(matches!(refused, Err(SchedulerError::TaskNotFound { task }) if task == "nobody"));
    fixture.end().await;
}

#[tokio::test]
async fn handler_may_cancel_its_own_task_and_ask_for_shutdown() {
    let slot: std::sync::Arc<std::sync::OnceLock<azoth_scheduler_runtime::Scheduler>> = Default::default();
    let fixture = Fixture::with(handler({
        let slot = slot.clone();
        move |ctx, _| {
            let scheduler = slot.get().unwrap().clone();
            async move {
                scheduler.cancel_task(ctx.task_id(), "by myself").await?;
                drop(scheduler.shutdown());
                done()
            }
        }
    }));
    slot.set(fixture.scheduler.clone()).unwrap();
    fixture.schedule(immediate("a")).await;
    let history = async {
        while !fixture.scheduler.get_task("a").await.unwrap().unwrap().phase.as_str().eq("cancelled") {
            tokio::task::yield_now().await;
        }
        fixture.history("a").await
    };
    assert_eq!(within(history).await, ["TaskScheduled", "ExecutionStarted", "TaskCancelled"]);
    fixture.end().await;
}
