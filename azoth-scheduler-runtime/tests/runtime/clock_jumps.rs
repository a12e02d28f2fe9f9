//! Wall clocks that jump, while the scheduler runs and while it does not.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_runtime::{ManualClock, ScheduleTaskRequest};

use crate::support::{FaultyStore, Fixture, MINUTE, SECOND, clock, done, handler, immediate, start};

/// Ten days.
const FAR_MS: i64 = 864_000_000;

fn fixture(store: FaultyStore, clock: ManualClock) -> Fixture {
    Fixture::on(store, clock, |builder| builder.with_task_handler(handler(|_, _| async { done() })))
}

async fn every_minute(fixture: &Fixture) {
    fixture.schedule(ScheduleTaskRequest::builder("often").task_type("work").every(MINUTE)).await;
    fixture.idle().await;
}

fn after(seconds: i64) -> Timestamp {
    start().saturating_add_ms(seconds * 1_000)
}

/// The occurrences that were run so far, oldest first.
async fn ran(fixture: &Fixture) -> Vec<Timestamp> {
    let events = fixture.events("often").await;
    let started = events.iter().filter_map(|event| match event {
        Event::ExecutionStarted { occurrence, .. } => Some(*occurrence),
        _ => None,
    });
    started.collect()
}

async fn corrections(fixture: &Fixture, task: &str) -> usize {
    fixture.history(task).await.iter().filter(|name| **name == "ClockCorrected").count()
}

#[tokio::test]
async fn clock_that_jumps_ahead_is_like_an_outage_and_jumping_back_goes_on_at_once() {
    let fixture = fixture(FaultyStore::default(), clock());
    every_minute(&fixture).await;
    fixture.schedule(ScheduleTaskRequest::builder("far").task_type("work").one_time(1_900_000_000)).await;
    fixture.pass(MINUTE).await;
    assert_eq!(ran(&fixture).await, [after(60)]);

    fixture.clock.set(after(60).saturating_add_ms(FAR_MS + 30_000));
    fixture.pass(SECOND).await;
    assert_eq!(ran(&fixture).await, [after(60), after(60).saturating_add_ms(FAR_MS)], "one stands for all");

    fixture.clock.set(after(62));
    fixture.pass(SECOND).await;
    assert_eq!(corrections(&fixture, "often").await, 1);
    for _ in 0..2 {
        fixture.pass(MINUTE).await;
    }
    assert_eq!(ran(&fixture).await[2..], [after(120), after(180)]);
    assert_eq!((corrections(&fixture, "often").await, corrections(&fixture, "far").await), (1, 0));
    fixture.end().await;
}

#[tokio::test]
async fn clock_that_goes_back_by_an_hour_repeats_nothing() {
    let fixture = fixture(FaultyStore::default(), clock());
    every_minute(&fixture).await;
    fixture.pass(MINUTE).await;
    fixture.clock.set(after(60 - 3_600));
    for _ in 0..60 {
        fixture.pass(MINUTE).await;
    }
    assert_eq!(ran(&fixture).await, [after(60)]);
    fixture.pass(MINUTE).await;
    assert_eq!(ran(&fixture).await, [after(60), after(120)]);
    assert_eq!(corrections(&fixture, "often").await, 0);
    fixture.end().await;
}

#[tokio::test]
async fn clock_that_was_wrong_in_an_earlier_run_is_corrected_when_the_next_one_starts() {
    let store = FaultyStore::default();
    let wrong = ManualClock::starting_at(start().saturating_add_ms(FAR_MS));
    let before = fixture(store.clone(), wrong);
    every_minute(&before).await;
    before.pass(MINUTE).await;
    before.end().await;

    let fixture = fixture(store, clock());
    fixture.idle().await;
    assert_eq!(corrections(&fixture, "often").await, 1);
    fixture.pass(MINUTE).await;
    assert_eq!(ran(&fixture).await[1..], [after(60)]);
    fixture.end().await;
}

#[tokio::test]
async fn more_tasks_than_one_page_are_corrected() {
    let store = FaultyStore::default();
    let wrong = ManualClock::starting_at(start().saturating_add_ms(FAR_MS));
    let client = Fixture::on(store.clone(), wrong, |builder| builder);
    let requests = (0..1_200).map(|number| immediate(&format!("task-{number}")).build().unwrap());
    client.scheduler.schedule_tasks(requests.collect()).await.unwrap();
    client.end().await;

    let fixture = fixture(store, clock());
    fixture.idle().await;
    for task in ["task-0", "task-600", "task-1199"] {
        assert_eq!(fixture.history(task).await[1..3], ["ClockCorrected", "ExecutionStarted"], "{task}");
    }
    fixture.end().await;
}
