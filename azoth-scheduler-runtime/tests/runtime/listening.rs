//! What waiters and event handlers read of the store while nothing happens that concerns them, and what they hear of.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_runtime::{EventHandler, ScheduleTaskRequest, Scheduler, TaskError, TaskOutcome};
use azoth_scheduler_store::RecordedEvent;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{
    FaultyStore, Fixture, Gate, MINUTE, SECOND, clock, done, handler, immediate, waits_at, within,
};

/// Lets everything happen that needs no time.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Lets a minute pass in steps of a quarter second.
async fn minute(fixture: &Fixture) {
    for _ in 0..MINUTE.as_millis() / 250 {
        fixture.clock.advance(SECOND / 4);
        settle().await;
    }
}

/// Another process on the same store, without handlers.
fn elsewhere(fixture: &Fixture) -> Scheduler {
    Scheduler::builder(fixture.store.inner.clone()).with_clock(fixture.clock.clone()).build().unwrap()
}

fn wait_for(fixture: &Fixture, task: &str) -> JoinHandle<TaskOutcome<()>> {
    let handle = fixture.scheduler.handle(task).unwrap();
    tokio::spawn(async move { within(handle.wait()).await.unwrap() })
}

fn waiting(store: FaultyStore, gate: &Gate) -> Fixture {
    let others = handler(|_, _| async { done() }).of_type("other");
    Fixture::on(store, clock(), |builder| builder.with_task_handler(waits_at(gate)).with_task_handler(others))
}

/// Every commit of anybody made each waiter read its task, and one with a schedule a page of its history too.
#[tokio::test]
async fn commits_to_other_tasks_cost_a_waiter_no_read() {
    let gate = Gate::new();
    let fixture = waiting(FaultyStore::shared(), &gate);
    fixture.schedule(immediate("slow")).await;
    gate.wait_for(1).await;
    let waits = [wait_for(&fixture, "slow"), wait_for(&fixture, "slow")];
    settle().await;
    let before = fixture.store.looks();
    assert!(before >= 2, "each has looked once: {before}");
    let elsewhere = elsewhere(&fixture);
    for number in 0..20 {
        let other = immediate(&format!("other-{number}")).task_type("other");
        fixture.schedule(other).await;
        elsewhere.cancel_task(format!("other-{number}"), "enough").await.ok();
        settle().await;
    }
    assert_eq!(fixture.store.looks(), before, "nothing happened to the task");
    minute(&fixture).await;
    let looks = fixture.store.looks() - before;
    assert!(looks <= 6, "nobody missed anything, and each looks for that twice a minute: {looks}");
    let before = fixture.store.looks();
    gate.open();
    for wait in waits {
        assert!(matches!(within(wait).await.unwrap(), TaskOutcome::Succeeded { .. }));
    }
    let looks = fixture.store.looks() - before;
    assert!(looks <= 4, "the task and its history once each: {looks}");
    fixture.end().await;
}

#[tokio::test]
async fn waiter_hears_what_another_process_does_to_its_task() {
    let gate = Gate::new();
    let fixture = waiting(FaultyStore::shared(), &gate);
    fixture.schedule(immediate("slow")).await;
    gate.wait_for(1).await;
    let wait = wait_for(&fixture, "slow");
    settle().await;
    elsewhere(&fixture).cancel_task("slow", "enough").await.unwrap();
    let outcome = within(wait).await.unwrap();
    assert!(matches!(&outcome, TaskOutcome::Cancelled { reason, .. } if reason == "enough"), "{outcome:?}");
    gate.open();
    fixture.end().await;
}

/// Each event of a recurring task made its waiter read the newest thousand of them.
#[tokio::test]
async fn waiter_for_a_recurring_task_reads_the_events_since_he_came_and_not_all_of_its_history() {
    let gate = Gate::new();
    gate.open();
    let fixture = waiting(FaultyStore::shared(), &gate);
    let request = ScheduleTaskRequest::builder("often").task_type("work").interval(1);
    fixture.schedule(request).await;
    for _ in 0..100 {
        fixture.pass(SECOND).await;
    }
    let events = fixture.history("often").await.len();
    assert!(events > 300, "{events}");
    let wait = wait_for(&fixture, "often");
    settle().await;
    let before = fixture.store.told();
    fixture.pass(SECOND).await;
    assert!(matches!(within(wait).await.unwrap(), TaskOutcome::Succeeded { .. }));
    let told = fixture.store.told() - before;
    assert!(told <= 40, "{told} of {events} events were read");
    fixture.end().await;
}

/// A task whose dependency failed is ended by an event of its own.
#[tokio::test]
async fn waiter_hears_of_an_end_that_comes_of_another_task() {
    let gate = Gate::new();
    let fixture = waiting(FaultyStore::shared(), &gate);
    fixture.schedule(immediate("slow")).await;
    let after = immediate("after").task_type("other").after(["slow"]);
    fixture.schedule(after).await;
    let wait = wait_for(&fixture, "after");
    settle().await;
    elsewhere(&fixture).cancel_task("slow", "enough").await.unwrap();
    assert!(matches!(within(wait).await.unwrap(), TaskOutcome::Cancelled { .. }));
    gate.open();
    fixture.end().await;
}

#[tokio::test]
async fn waiter_that_nobody_tells_of_others_looks_once_a_poll_interval() {
    let gate = Gate::new();
    let fixture = waiting(FaultyStore::deaf(), &gate);
    fixture.schedule(immediate("slow")).await;
    gate.wait_for(1).await;
    let wait = wait_for(&fixture, "slow");
    settle().await;
    elsewhere(&fixture).cancel_task("slow", "enough").await.unwrap();
    settle().await;
    assert!(!wait.is_finished(), "nobody told of it");
    fixture.clock.advance(SECOND);
    assert!(matches!(within(wait).await.unwrap(), TaskOutcome::Cancelled { .. }));
    gate.open();
    fixture.end().await;
}

/// Counts what it is given.
struct Counts(watch::Sender<usize>);

#[async_trait::async_trait]
impl EventHandler for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    fn max_attempts(&self) -> u32 {
        1
    }

    async fn handle(&self, event: &RecordedEvent) -> Result<(), TaskError> {
        let scheduled = matches!(&event.event, Event::TaskScheduled { task, .. } if task.as_str() == "fails");
        self.0.send_modify(|count| *count += 1);
        if scheduled { Err("no such column")? } else { Ok(()) }
    }
}

/// An event handler read the log and what was requeued once a poll interval each.
#[tokio::test]
async fn idle_event_handler_reads_twice_a_minute_where_commits_are_heard_of() {
    let count = watch::Sender::new(0);
    let fixture = Fixture::on(FaultyStore::shared(), clock(), |builder| {
        builder.with_remote_task_types(["work"]).with_event_handler(Counts(count.clone()))
    });
    fixture.schedule(immediate("a")).await;
    within(count.subscribe().wait_for(|count| *count == 1)).await.unwrap();
    minute(&fixture).await;
    let before = fixture.store.looks();
    for _ in 0..10 {
        minute(&fixture).await;
    }
    let looks = fixture.store.looks() - before;
    assert!(looks <= 2 * 2 * 10, "the log and what was requeued, twice a minute: {looks}");

    let before = fixture.store.looks();
    elsewhere(&fixture).schedule_task(immediate("b").build().unwrap()).await.unwrap();
    settle().await;
    assert_eq!(*count.borrow(), 2, "it hears of it at once");
    let looks = fixture.store.looks() - before;
    assert_eq!(looks, 1, "the page that has it");
    fixture.end().await;
}

#[tokio::test]
async fn event_that_is_requeued_here_is_handled_at_once_and_one_requeued_elsewhere_within_half_a_minute() {
    let count = watch::Sender::new(0);
    let fixture = Fixture::on(FaultyStore::shared(), clock(), |builder| {
        builder.with_remote_task_types(["work"]).with_event_handler(Counts(count.clone()))
    });
    fixture.schedule(immediate("fails")).await;
    within(count.subscribe().wait_for(|count| *count == 1)).await.unwrap();
    settle().await;
    let letter = fixture.scheduler.dead_letters("counts", 10).await.unwrap().remove(0);
    assert!(fixture.scheduler.requeue("counts", letter.position).await.unwrap());
    settle().await;
    assert_eq!(*count.borrow(), 2);
    assert!(elsewhere(&fixture).requeue("counts", letter.position).await.unwrap());
    settle().await;
    assert_eq!(*count.borrow(), 2, "no commit to the log tells of it");
    for _ in 0..30 {
        fixture.clock.advance(SECOND);
        settle().await;
    }
    assert_eq!(*count.borrow(), 3);
    fixture.end().await;
}

#[tokio::test]
async fn event_handler_that_nobody_tells_of_others_reads_once_a_poll_interval() {
    let count = watch::Sender::new(0);
    let fixture = Fixture::on(FaultyStore::deaf(), clock(), |builder| {
        builder.with_remote_task_types(["work"]).with_event_handler(Counts(count.clone()))
    });
    fixture.idle().await;
    elsewhere(&fixture).schedule_task(immediate("a").build().unwrap()).await.unwrap();
    settle().await;
    assert_eq!(*count.borrow(), 0);
    fixture.clock.advance(SECOND);
    within(count.subscribe().wait_for(|count| *count == 1)).await.unwrap();
    fixture.end().await;
}
