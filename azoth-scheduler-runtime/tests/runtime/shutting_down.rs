//! Coming to an end: in good order, in a hurry, and without being asked.

use std::time::Duration;

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_runtime::{BlockingTaskHandler, Result, Scheduler, TaskContext, TaskEvent};
use azoth_scheduler_store::{MemoryStore, Store};

use crate::support::{
    Fixture, Gate, SECOND, clock, done, due_in_a_second, handler, immediate, waits_at, within,
};

async fn abandoned(fixture: &Fixture, task: &str) -> Vec<AbandonReason> {
    let why = |event| if let Event::ExecutionAbandoned { why, .. } = event { Some(why) } else { None };
    fixture.events(task).await.into_iter().filter_map(why).collect()
}

#[tokio::test]
async fn shutdown_waits_for_what_runs_and_starts_nothing_new() {
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    let ended = fixture.scheduler.shutdown();
    fixture.schedule(immediate("late")).await;
    tokio::task::yield_now().await;
    gate.open();
    within(ended).await;
    assert_eq!(fixture.history("a").await.len(), 4);
    assert_eq!(fixture.history("late").await, ["TaskScheduled"]);
    fixture.end().await;
}

#[tokio::test]
async fn what_outlasts_the_grace_is_given_back_and_the_next_process_takes_it_at_once() {
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    let ended = fixture.scheduler.shutdown_with_grace(SECOND * 5);
    fixture.clock.advance(SECOND * 4);
    tokio::task::yield_now().await;
    assert!(!fixture.running.is_finished());
    fixture.clock.advance(SECOND);
    within(ended).await;
    assert_eq!(abandoned(&fixture, "a").await, [AbandonReason::ShutDown]);

    let open = Gate::new();
    open.open();
    let next = Fixture::on(fixture.store.clone(), fixture.clock.clone(), |builder| {
        builder.with_task_handler(waits_at(&open))
    });
    next.idle().await;
    let task = next.scheduler.get_task("a").await.unwrap().unwrap();
    assert_eq!((task.phase, task.losses), (PhaseKind::Finished, 0));
    next.end().await;
    fixture.end().await;
}

#[tokio::test]
async fn what_was_claimed_while_the_end_was_asked_for_is_given_back_without_a_start() {
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    let client =
        Scheduler::builder(fixture.store.inner.clone()).with_clock(fixture.clock.clone()).build().unwrap();
    fixture.idle().await;
    client.schedule_task(due_in_a_second("a").build().unwrap()).await.unwrap();
    let scheduler = fixture.scheduler.clone();
    fixture.store.meanwhile(move || drop(scheduler.shutdown()));
    fixture.clock.advance(SECOND);
    within(async {
        while !fixture.running.is_finished() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(gate.arrived(), 0);
    assert_eq!(abandoned(&fixture, "a").await, [AbandonReason::NotStarted]);
    fixture.end().await;
}

#[tokio::test]
async fn second_shutdown_hurries() {
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    drop(fixture.scheduler.shutdown());
    tokio::task::yield_now().await;
    assert!(!fixture.running.is_finished());
    // No time passes, and yet it ends.
    within(fixture.scheduler.shutdown()).await;
    assert_eq!(abandoned(&fixture, "a").await, [AbandonReason::ShutDown]);
    fixture.end().await;
}

/// Never comes back.
struct Hangs(Gate);

impl BlockingTaskHandler for Hangs {
    fn task_type(&self) -> &str {
        "work"
    }

    fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> Result<TaskEvent> {
        self.0.pass_blocking(Duration::from_millis(5), || false);
        TaskEvent::new("done", [])
    }
}

#[tokio::test]
async fn shutdown_ends_although_a_blocking_handler_hangs() {
    let gate = Gate::new();
    let hangs = Hangs(gate.clone());
    let fixture = Fixture::building(|builder| builder.with_task_handler(hangs));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    let ended = fixture.scheduler.shutdown_with_grace(SECOND);
    fixture.clock.advance(SECOND);
    within(ended).await;
    assert_eq!(abandoned(&fixture, "a").await, [AbandonReason::ShutDown]);
    gate.open();
    fixture.end().await;
}

/// The machine's own clock, and a runtime of its own: what is tested is that ending them does not wait for the handler.
#[test]
fn runtime_can_be_dropped_although_a_blocking_handler_hangs() {
    let (gate, runtime) = (Gate::new(), tokio::runtime::Runtime::new().unwrap());
    let hangs = Hangs(gate.clone());
    let scheduler = Scheduler::builder(MemoryStore::new()).with_task_handler(hangs).build().unwrap();
    runtime.block_on(async {
        tokio::spawn(crate::support::run(scheduler.clone()));
        scheduler.schedule_task(immediate("a").build().unwrap()).await.unwrap();
        gate.wait_for(1).await;
    });
    drop(runtime);
    drop(scheduler);
    gate.open();
}

#[tokio::test]
async fn dropping_a_run_tells_its_handlers_and_hangs_nowhere() {
    let (gate, told) = (Gate::new(), tokio::sync::watch::Sender::new(false));
    let telling = handler({
        let (gate, told) = (gate.clone(), told.clone());
        move |ctx, _| {
            let (gate, told) = (gate.clone(), told.clone());
            tokio::spawn(async move {
                ctx.cancelled().await;
                told.send_replace(true);
            });
            async move {
                gate.pass().await;
                done()
            }
        }
    });
    let fixture = Fixture::with(telling);
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    fixture.running.abort();
    within(told.subscribe().wait_for(|told| *told)).await.unwrap();
    // The store still says that it runs: another one takes it when the lease has lapsed.
    let task = fixture.scheduler.get_task("a").await.unwrap().unwrap();
    assert_eq!(task.phase, PhaseKind::Running);
    within(fixture.scheduler.shutdown()).await;
    assert!(fixture.scheduler.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn what_ran_or_waited_when_a_scheduler_was_dropped_is_done_by_the_next_one() {
    let gate = Gate::new();
    let fixture =
        Fixture::building(|builder| builder.with_task_handler(waits_at(&gate)).with_max_concurrent_tasks(2));
    for task in ["runs", "runs-too", "waits"] {
        fixture.schedule(immediate(task)).await;
    }
    fixture.schedule(due_in_a_second("later")).await;
    gate.wait_for(2).await;
    let Fixture { store, clock, scheduler, running } = fixture;
    // Its heart stops with it, and nobody tells the store.
    running.abort();
    assert!(within(running).await.unwrap_err().is_cancelled());
    drop(scheduler);

    let open = Gate::new();
    open.open();
    let next = Fixture::on(store, clock, |builder| builder.with_task_handler(waits_at(&open)));
    // Its lease lapses, at the latest after another one that was renewed as it ended.
    for _ in 0..8 {
        next.pass(SECOND * 5).await;
    }
    for (task, losses) in [("runs", 1), ("runs-too", 1), ("waits", 0), ("later", 0)] {
        let view = next.scheduler.get_task(task).await.unwrap().unwrap();
        assert_eq!(view.phase, PhaseKind::Finished, "{task}");
        let why = abandoned(&next, task).await;
        assert_eq!(why, vec![AbandonReason::WorkerLost; losses], "{task}");
    }
    next.end().await;
}

#[tokio::test]
async fn scheduler_that_was_shut_down_before_it_ran_does_not_run() {
    let scheduler = Scheduler::builder(MemoryStore::new()).with_clock(clock()).build().unwrap();
    within(scheduler.shutdown()).await;
    within(scheduler.run()).await.unwrap();
}

#[tokio::test]
async fn worker_is_ended_by_shutdown() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.idle().await;
    assert_eq!(fixture.store.workers().await.unwrap().len(), 1);
    let store = fixture.store.clone();
    fixture.end().await;
    assert!(store.workers().await.unwrap().is_empty());
}
