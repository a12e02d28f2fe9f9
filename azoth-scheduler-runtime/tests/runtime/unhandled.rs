//! Types that nobody handles: reported, named once, never touched.

use std::time::Duration;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_runtime::{Clock, ManualClock, ScheduleTaskRequest, Scheduler};
use azoth_scheduler_store::UnhandledType;

use crate::observing::Listener;
use crate::support::{FaultyStore, Fixture, MINUTE, SECOND, clock, done, handler, start, within};

async fn schedule(scheduler: &Scheduler, id: &str, task_type: &str) {
    let request = ScheduleTaskRequest::builder(id).task_type(task_type).immediate().build().unwrap();
    within(scheduler.schedule_task(request)).await.unwrap();
}

async fn unhandled(scheduler: &Scheduler) -> Vec<UnhandledType> {
    within(scheduler.stats()).await.unwrap().store.unhandled
}

/// Lets time pass in steps of a second, so that the scheduler looks around meanwhile.
async fn pass(clock: &ManualClock, fixture: &Fixture, span: Duration) {
    let end = clock.elapsed() + span;
    while clock.elapsed() < end {
        clock.advance(SECOND);
        fixture.idle().await;
    }
}

/// I13: what nobody handles is never claimed, and no attempt of it is used up.
#[tokio::test]
async fn tasks_that_nobody_handles_are_counted_and_named_once_and_wait_for_their_handler() {
    let listener = Listener::default();
    let _listens = tracing::subscriber::set_default(listener.clone());
    let (store, clock) = (FaultyStore::default(), clock());
    let handles = |task_type| handler(|_, _| async { done() }).of_type(task_type);
    let first =
        Fixture::on(store.clone(), clock.clone(), |builder| builder.with_task_handler(handles("mail")));
    let client = Scheduler::builder(store.clone()).with_clock(clock.clone()).build().unwrap();
    schedule(&client, "a", "report").await;
    schedule(&client, "b", "report").await;
    schedule(&client, "c", "mail").await;
    first.idle().await;
    let found = unhandled(&client).await;
    let counted: Vec<_> = found.iter().map(|of| (of.task_type.as_str(), of.tasks, of.oldest_due)).collect();
    assert_eq!(counted, [("report", 2, Some(start()))]);

    let warnings = || listener.events("nobody handles a task type");
    pass(&clock, &first, SECOND * 10).await;
    assert_eq!(warnings().len(), 0, "those who handle it may be on their way");
    pass(&clock, &first, MINUTE * 2).await;
    assert_eq!(warnings().len(), 1, "once");
    assert_eq!(warnings()[0].field("task_type"), Some("\"report\""));
    assert_eq!(warnings()[0].field("due_since"), Some(&*start().to_string()));

    let second = Fixture::on(store, clock.clone(), |builder| builder.with_task_handler(handles("report")));
    second.idle().await;
    assert_eq!(unhandled(&client).await, []);
    for task in ["a", "b"] {
        let events = second.events(task).await;
        let attempts = events.iter().filter_map(|event| match event {
            Event::ExecutionStarted { attempt, .. } => Some(attempt.get()),
            _ => None,
        });
        assert_eq!(attempts.collect::<Vec<_>>(), [1], "nobody touched it before");
        let info = within(client.get_task(task)).await.unwrap().unwrap();
        assert_eq!(info.phase, PhaseKind::Finished);
    }
    first.end().await;
    second.end().await;
}

#[tokio::test]
async fn producer_without_handlers_may_schedule_any_type() {
    let client = Scheduler::builder(FaultyStore::default()).with_clock(clock()).build().unwrap();
    schedule(&client, "a", "of nobody").await;
    let found = unhandled(&client).await;
    assert_eq!((found.len(), found[0].task_type.as_str()), (1, "of nobody"));
    assert_eq!((found[0].tasks, found[0].oldest_due), (1, Some(start())));
}
