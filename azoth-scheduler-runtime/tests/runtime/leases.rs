//! Several workers on one store: who holds what, and who is dead.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::{ExecutionId, WorkerId};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_runtime::{TaskEvent, TaskHandler};
use azoth_scheduler_store::{Batch, ClaimOffer, ProcessIdentity, Store, WorkerInfo};

use crate::support::{FaultyStore, Fixture, Gate, SECOND, clock, done, handler, immediate, start, within};

/// A handler that says who ran it.
fn signing(name: &'static str, gate: &Gate) -> impl TaskHandler {
    let gate = gate.clone();
    handler(move |_, _| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Ok(TaskEvent::new(name, [])?)
        }
    })
}

async fn outcomes_and_losses(fixture: &Fixture, task: &str) -> (Vec<String>, usize) {
    let events = fixture.events(task).await;
    let emitted = events.iter().filter_map(|event| match event {
        Event::TaskEventEmitted { emitted, .. } => Some(emitted.event_type.to_string()),
        _ => None,
    });
    let lost =
        |event: &&Event| matches!(event, Event::ExecutionAbandoned { why: AbandonReason::WorkerLost, .. });
    (emitted.collect(), events.iter().filter(lost).count())
}

#[tokio::test]
async fn late_result_of_a_paused_process_is_refused_and_the_process_goes_on() {
    let store = FaultyStore::default();
    let (gate, open) = (Gate::new(), Gate::new());
    open.open();
    // Its clock stands still: this process is paused.
    let paused = Fixture::on(store.clone(), clock(), |builder| {
        let other = handler(|_, _| async { done() }).of_type("other");
        builder.with_task_handler(signing("paused", &gate)).with_task_handler(other)
    });
    paused.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    let awake =
        Fixture::on(store.clone(), clock(), |builder| builder.with_task_handler(signing("awake", &open)));
    awake.idle().await;
    for _ in 0..2 {
        awake.pass(SECOND * 5).await;
    }
    assert_eq!(outcomes_and_losses(&awake, "a").await, (vec![], 0), "its lease still holds");
    for _ in 0..2 {
        awake.pass(SECOND * 5).await;
    }
    assert_eq!(outcomes_and_losses(&awake, "a").await, (vec!["awake".to_owned()], 1));

    gate.open();
    paused.idle().await;
    assert_eq!(outcomes_and_losses(&awake, "a").await, (vec!["awake".to_owned()], 1), "and no result more");
    paused.clock.advance(SECOND * 5);
    paused.schedule(immediate("b").task_type("other")).await;
    within(async {
        while paused.scheduler.get_task("b").await.unwrap().unwrap().phase != PhaseKind::Finished {
            tokio::task::yield_now().await;
        }
    })
    .await;
    awake.end().await;
    paused.end().await;
}

#[tokio::test]
async fn handler_of_a_worker_that_was_declared_dead_is_stopped() {
    let gate = Gate::new();
    let fixture = Fixture::with(signing("first", &gate));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    let worker = fixture.store.workers().await.unwrap()[0].info.worker;
    fixture.store.end_worker(worker).await.unwrap();
    // The next renewal says so; the new incarnation takes the task from the old one at once and runs it again.
    fixture.clock.advance(SECOND * 5);
    gate.wait_for(2).await;
    gate.open();
    fixture.idle().await;
    assert_eq!(outcomes_and_losses(&fixture, "a").await, (vec!["first".to_owned()], 1));
    let workers = fixture.store.workers().await.unwrap();
    assert!(workers.len() == 1 && workers[0].info.worker != worker);
    fixture.end().await;
}

/// A task that a process claimed and then died.
async fn claimed_by(store: &FaultyStore, process: ProcessIdentity) {
    let worker = WorkerId::from_u128(7);
    let lease_ms = NonZeroU64::new(15_000).unwrap();
    let task_types: Arc<[_]> = ["work".parse().unwrap()].into();
    let info = WorkerInfo { worker, process, lease_ms, task_types: Arc::clone(&task_types) };
    store.register_worker(info, start()).await.unwrap();
    let client =
        azoth_scheduler_runtime::Scheduler::builder(store.clone()).with_clock(clock()).build().unwrap();
    client.schedule_task(immediate("a").build().unwrap()).await.unwrap();
    let executions = vec![ExecutionId::from_u128(8)];
    let offer = ClaimOffer::new(worker, task_types, executions);
    let batch = Batch::claiming(offer, start());
    assert_eq!(store.apply(batch).await.unwrap().claims.unwrap().claimed.len(), 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn task_of_a_process_that_is_gone_is_taken_at_once() {
    let store = FaultyStore::default();
    let here = {
        let fixture = Fixture::on(store.clone(), clock(), |builder| {
            builder.with_task_handler(handler(|_, _| async { done() }))
        });
        fixture.idle().await;
        let here = store.workers().await.unwrap()[0].info.process.clone();
        fixture.end().await;
        here
    };
    // The number is ours, the time of its start is not: that process has ended.
    claimed_by(&store, ProcessIdentity { started: here.started - 1, ..here }).await;
    let gate = Gate::new();
    gate.open();
    let fixture = Fixture::on(store, clock(), |builder| builder.with_task_handler(signing("second", &gate)));
    fixture.idle().await;
    assert_eq!(outcomes_and_losses(&fixture, "a").await, (vec!["second".to_owned()], 1));
    fixture.end().await;
}

#[tokio::test]
async fn task_of_a_process_that_cannot_be_judged_is_taken_after_its_lease() {
    let store = FaultyStore::default();
    claimed_by(&store, ProcessIdentity { pid: 1, started: 1, boot_id: "another machine".to_owned() }).await;
    let gate = Gate::new();
    gate.open();
    let fixture = Fixture::on(store, clock(), |builder| builder.with_task_handler(signing("second", &gate)));
    fixture.idle().await;
    for _ in 0..2 {
        fixture.pass(SECOND * 5).await;
        assert_eq!(outcomes_and_losses(&fixture, "a").await.1, 0);
    }
    fixture.pass(SECOND * 5).await;
    fixture.pass(Duration::from_millis(1)).await;
    assert_eq!(outcomes_and_losses(&fixture, "a").await, (vec!["second".to_owned()], 1));
    fixture.end().await;
}

/// The machine's own clock: what is tested is that a thread of its own goes on while the runtime is blocked.
#[tokio::test]
async fn lease_is_renewed_although_a_handler_blocks_the_runtime() {
    let store = FaultyStore::default();
    let renewals = {
        let store = store.clone();
        move || {
            let store = store.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async { store.workers().await.unwrap()[0].renewals })
            })
            .join()
            .unwrap()
        }
    };
    let rude = handler(move |_, _| {
        let renewals = renewals.clone();
        async move {
            let before = renewals();
            while renewals() < before + 3 {
                std::thread::sleep(Duration::from_millis(1));
            }
            done()
        }
    });
    let scheduler = azoth_scheduler_runtime::Scheduler::builder(store)
        .with_lease(Duration::from_millis(100))
        .with_task_handler(rude)
        .build()
        .unwrap();
    let running = tokio::spawn(crate::support::run(scheduler.clone()));
    scheduler.schedule_task(immediate("a").build().unwrap()).await.unwrap();
    within(scheduler.wait_until_idle()).await.unwrap();
    assert_eq!(scheduler.get_task("a").await.unwrap().unwrap().phase, PhaseKind::Finished);
    within(scheduler.shutdown()).await;
    within(running).await.unwrap().unwrap();
}
