//! What a scheduler asks of its store while there is nothing to do, and what it still notices.

use std::time::Duration;

use azoth_scheduler_runtime::{ScheduleTaskRequest, ScheduleTaskRequestBuilder, Scheduler};

use crate::support::{
    FaultyStore, Fixture, Gate, MINUTE, SECOND, clock, done, due_in_a_second, handler, immediate, start,
    waits_at,
};

fn waiting(store: FaultyStore) -> Fixture {
    Fixture::on(store, clock(), |builder| builder.with_task_handler(handler(|_, _| async { done() })))
}

async fn cron_tasks(fixture: &Fixture) {
    for number in 0..100 {
        let request = ScheduleTaskRequest::builder(format!("cron-{number}")).task_type("work");
        fixture.schedule(request.cron(format!("0 {} {} 1 1 *", number % 60, number % 24))).await;
    }
    fixture.idle().await;
}

/// Lets time pass in steps of a quarter second. The transactions and the reads of the store in it.
async fn asked_in(fixture: &Fixture, span: Duration) -> (usize, usize) {
    let before = (fixture.store.applies(), fixture.store.reads());
    let step = SECOND / 4;
    for _ in 0..span.as_millis() / step.as_millis() {
        fixture.clock.advance(step);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    (fixture.store.applies() - before.0, fixture.store.reads() - before.1)
}

#[tokio::test]
async fn idle_scheduler_asks_for_tasks_twice_a_minute_where_commits_are_heard_of() {
    // I16
    let fixture = waiting(FaultyStore::default());
    cron_tasks(&fixture).await;
    let (applies, reads) = asked_in(&fixture, 60 * MINUTE).await;
    assert!((118..=122).contains(&applies), "{applies} transactions in an hour");
    // Others' signs of life three times a lease, and what those left who ended unseen once a lease.
    assert!((958..=962).contains(&reads), "{reads} reads in an hour");
    fixture.end().await;
}

#[tokio::test]
async fn where_commits_are_not_heard_of_the_end_of_the_log_is_read_once_a_poll_interval() {
    // I16
    let fixture = waiting(FaultyStore::deaf());
    cron_tasks(&fixture).await;
    let (applies, reads) = asked_in(&fixture, 60 * MINUTE).await;
    assert!((118..=122).contains(&applies), "{applies} transactions in an hour");
    assert!((960 + 3_300..=960 + 3_600).contains(&reads), "{reads} reads in an hour");
    fixture.end().await;
}

/// Schedules a task as another process does.
async fn schedule_elsewhere(fixture: &Fixture, request: ScheduleTaskRequestBuilder) {
    let other =
        Scheduler::builder(fixture.store.inner.clone()).with_clock(fixture.clock.clone()).build().unwrap();
    other.schedule_task(request.build().unwrap()).await.unwrap();
}

/// Lets everything happen that needs no time. Waiting for the scheduler to be idle would have it look.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn commit_that_nobody_told_of_is_found_within_the_poll_interval() {
    let fixture = waiting(FaultyStore::deaf());
    fixture.idle().await;
    settle().await;
    schedule_elsewhere(&fixture, immediate("a")).await;
    settle().await;
    assert_eq!(fixture.history("a").await.len(), 1, "nobody told of it");
    fixture.clock.advance(SECOND);
    settle().await;
    assert_eq!(fixture.history("a").await.len(), 4);
    fixture.end().await;
}

#[tokio::test]
async fn commit_that_was_told_of_is_acted_on_though_no_time_passes() {
    let fixture = waiting(FaultyStore::shared());
    fixture.idle().await;
    settle().await;
    schedule_elsewhere(&fixture, immediate("a")).await;
    settle().await;
    assert_eq!(fixture.history("a").await.len(), 4);
    schedule_elsewhere(&fixture, due_in_a_second("b")).await;
    settle().await;
    fixture.clock.advance(SECOND);
    settle().await;
    assert_eq!(fixture.history("b").await.len(), 4);
    fixture.end().await;
}

#[tokio::test]
async fn wall_clock_that_is_set_ahead_is_noticed_within_the_poll_interval() {
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    let tomorrow = ScheduleTaskRequest::builder("a").task_type("work").one_time(1_700_000_000 + 86_400);
    fixture.schedule(tomorrow).await;
    fixture.idle().await;
    gate.open();
    fixture.clock.set(start().saturating_add_ms(86_400_000));
    fixture.clock.advance(SECOND);
    // The thread of the heartbeat looks at it.
    gate.wait_for(1).await;
    fixture.end().await;
}
