//! A store that fails for a while: nothing is lost, nothing runs twice without a record, and the run goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_store::StoreError;

use crate::support::{Fault, Fixture, Gate, SECOND, done, due_in_a_second, handler, immediate};

fn counting(runs: &Arc<AtomicUsize>, gate: &Gate) -> impl azoth_scheduler_runtime::TaskHandler {
    let (runs, gate) = (Arc::clone(runs), gate.clone());
    handler(move |_, _| {
        let (runs, gate) = (Arc::clone(&runs), gate.clone());
        async move {
            runs.fetch_add(1, Ordering::SeqCst);
            gate.pass().await;
            done()
        }
    })
}

fn unknown() -> StoreError {
    StoreError::Unknown { detail: "the disk went away".to_owned() }
}

/// Lets time pass until all planned faults have happened and what follows is done.
async fn outlast(fixture: &Fixture) {
    for _ in 0..200 {
        if fixture.store.faults_left() == 0 {
            break;
        }
        fixture.pass(SECOND).await;
    }
    assert_eq!(fixture.store.faults_left(), 0);
    for _ in 0..10 {
        fixture.pass(SECOND).await;
    }
}

#[tokio::test]
async fn finished_result_outlives_a_full_disk() {
    let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Gate::new());
    let fixture = Fixture::with(counting(&runs, &gate));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    fixture.store.fail_next(20, &Fault::Before(StoreError::Full));
    gate.open();
    fixture.idle().await;
    let stats = fixture.scheduler.stats().await.unwrap();
    assert_eq!(stats.slots_taken, 1, "the result is kept, and its slot with it");
    outlast(&fixture).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(fixture.history("a").await.len(), 4);
    fixture.end().await;
}

#[tokio::test]
async fn result_of_a_commit_that_took_place_unknown_to_us_is_recorded_once() {
    let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Gate::new());
    let fixture = Fixture::with(counting(&runs, &gate));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    fixture.store.fail_next(1, &Fault::After(unknown()));
    gate.open();
    outlast(&fixture).await;
    let expected = ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"];
    assert_eq!(fixture.history("a").await, expected);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    fixture.end().await;
}

#[tokio::test]
async fn claim_of_a_commit_that_took_place_unknown_to_us_is_given_back_and_runs() {
    let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Gate::new());
    gate.open();
    let fixture = Fixture::with(counting(&runs, &gate));
    fixture.idle().await;
    fixture.schedule(due_in_a_second("a")).await;
    fixture.store.fail_next(1, &Fault::After(unknown()));
    fixture.pass(SECOND).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    outlast(&fixture).await;
    let events = fixture.events("a").await;
    let given_back =
        |event: &Event| matches!(event, Event::ExecutionAbandoned { why: AbandonReason::NotStarted, .. });
    assert_eq!(events.iter().filter(|event| given_back(event)).count(), 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let task = fixture.scheduler.get_task("a").await.unwrap().unwrap();
    assert_eq!((task.phase, task.losses, task.failures), (PhaseKind::Finished, 0, 0));
    fixture.end().await;
}

#[tokio::test]
async fn nothing_new_is_started_while_the_store_fails_and_it_is_not_hammered() {
    let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Gate::new());
    gate.open();
    let fixture = Fixture::with(counting(&runs, &gate));
    fixture.schedule(immediate("a")).await;
    fixture.idle().await;
    let requests = ["b", "c"].map(|id| due_in_a_second(id).build().unwrap()).to_vec();
    fixture.scheduler.schedule_tasks(requests).await.unwrap();
    fixture.store.fail_next(1000, &Fault::Before(StoreError::Busy { waited_ms: 5000 }));
    fixture.idle().await;
    let before = fixture.store.applies();
    for _ in 0..60 {
        fixture.pass(SECOND).await;
    }
    let asked = fixture.store.applies() - before;
    assert!((5..=40).contains(&asked), "{asked} times in a minute");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    fixture.store.heal();
    for _ in 0..10 {
        fixture.pass(SECOND).await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    fixture.end().await;
}

#[tokio::test]
async fn result_that_the_store_finds_too_large_becomes_a_failure_and_holds_up_nobody() {
    let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Gate::new());
    let fixture = Fixture::with(counting(&runs, &gate));
    for id in ["a", "b", "c"] {
        fixture.schedule(immediate(id)).await;
    }
    gate.wait_for(3).await;
    fixture.comes_to_rest().await;
    // The batch of three is refused, and then the first one of them alone.
    fixture.store.fail_next(2, &Fault::Before(StoreError::TooLarge { bytes: 9, limit: 8 }));
    gate.open();
    outlast(&fixture).await;
    let mut phases = Vec::new();
    for id in ["a", "b", "c"] {
        phases.push(fixture.scheduler.get_task(id).await.unwrap().unwrap().phase);
    }
    phases.sort_unstable();
    assert_eq!(phases, [PhaseKind::Finished, PhaseKind::Finished, PhaseKind::Disabled]);
    fixture.end().await;
}

#[tokio::test]
async fn shutdown_ends_soon_after_the_grace_although_the_store_fails() {
    let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Gate::new());
    let fixture = Fixture::with(counting(&runs, &gate));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    fixture.store.fail_next(100_000, &Fault::Before(StoreError::Full));
    gate.open();
    let ended = fixture.scheduler.shutdown_with_grace(SECOND);
    tokio::pin!(ended);
    let mut steps = 0;
    while !fixture.running.is_finished() {
        fixture.clock.advance(Duration::from_millis(50));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        steps += 1;
        assert!(steps <= 40, "it has not ended two seconds after a grace of one");
    }
    ended.await;
    fixture.store.heal();
    // The result is lost with the process, as if it had crashed; the task is not.
    assert_eq!(fixture.scheduler.get_task("a").await.unwrap().unwrap().phase, PhaseKind::Running);
    fixture.end().await;
}
