//! Tasks that may be what kills their processes: they run alone.

use std::num::NonZeroU64;
use std::sync::Arc;

use azoth_scheduler_core::command::{AbandonReason, TaskCommand, Wish};
use azoth_scheduler_core::decide::SUSPECT_LOSSES;
use azoth_scheduler_core::id::{ExecutionId, WorkerId};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_runtime::{Scheduler, TaskHandler};
use azoth_scheduler_store::{Batch, ClaimOffer, ProcessIdentity, Store, WorkerInfo};

use crate::support::{
    FaultyStore, Fixture, Gate, MINUTE, SECOND, clock, done, handler, immediate, start, within,
};

/// Each task waits at the gate of its own.
fn at_gates(gates: &[(&'static str, Gate)]) -> impl TaskHandler {
    let gates = gates.to_vec();
    handler(move |ctx, _| {
        let gate =
            gates.iter().find(|(task, _)| *task == ctx.task_id().as_str()).map(|(_, gate)| gate.clone());
        async move {
            if let Some(gate) = gate {
                gate.pass().await;
            }
            done()
        }
    })
}

/// A store with a task on which as many processes have died as make it a suspect.
async fn with_suspect() -> FaultyStore {
    let store = FaultyStore::default();
    let worker = WorkerId::from_u128(7);
    let process = ProcessIdentity { pid: 1, started: 1, boot_id: "another machine".to_owned() };
    let lease_ms = NonZeroU64::new(15_000).unwrap();
    store
        .register_worker(WorkerInfo { worker, process, lease_ms, task_types: [].into() }, start())
        .await
        .unwrap();
    let client = Scheduler::builder(store.clone()).with_clock(clock()).build().unwrap();
    client.schedule_task(immediate("suspect").build().unwrap()).await.unwrap();
    for number in 1..=SUSPECT_LOSSES {
        let execution = ExecutionId::from_u128(number.into());
        let offer = ClaimOffer::new(worker, Arc::from(vec!["work".parse().unwrap()]), vec![execution]);
        let claims = store.apply(Batch::claiming(offer, start())).await.unwrap().claims.unwrap();
        let task = claims.claimed[0].task.clone();
        let wish = Wish::Abandon { execution, why: AbandonReason::WorkerLost, last_seen: start() };
        let applied = store.apply(Batch::new([TaskCommand { task, wish }], start())).await.unwrap();
        assert!(applied.answers[0].is_ok());
    }
    store.end_worker(worker).await.unwrap();
    store
}

async fn phase(fixture: &Fixture, task: &str) -> PhaseKind {
    fixture.scheduler.get_task(task).await.unwrap().unwrap().phase
}

async fn until(fixture: &Fixture, task: &str, wanted: PhaseKind) {
    within(async {
        while phase(fixture, task).await != wanted {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_claimed_beside_a_suspect_until_it_ends() {
    // I29
    let gate = Gate::new();
    let fixture = Fixture::on(with_suspect().await, clock(), |builder| {
        builder.with_task_handler(at_gates(&[("suspect", gate.clone())]))
    });
    gate.wait_for(1).await;
    fixture.schedule(immediate("a")).await;
    for _ in 0..5 {
        fixture.clock.advance(SECOND);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(phase(&fixture, "a").await, PhaseKind::Waiting);
    gate.open();
    fixture.idle().await;
    assert_eq!(phase(&fixture, "a").await, PhaseKind::Finished);
    assert_eq!(phase(&fixture, "suspect").await, PhaseKind::Finished);
    fixture.end().await;
}

#[tokio::test]
async fn suspect_waits_while_something_runs_and_a_process_makes_room_for_it_after_a_minute() {
    // I29
    let (long, suspect, late) = (Gate::new(), Gate::new(), Gate::new());
    // Nothing is claimed before all is there.
    let store = with_suspect().await;
    let gates = [("long", long.clone()), ("suspect", suspect.clone()), ("late", late.clone())];
    let client = Scheduler::builder(store.clone()).with_clock(clock()).build().unwrap();
    client.schedule_task(immediate("long").build().unwrap()).await.unwrap();
    let fixture = Fixture::on(store, clock(), |builder| builder.with_task_handler(at_gates(&gates)));
    long.wait_for(1).await;
    fixture.schedule(immediate("soon")).await;
    until(&fixture, "soon", PhaseKind::Finished).await;
    assert_eq!(suspect.arrived(), 0, "something else runs");

    fixture.clock.advance(MINUTE);
    within(async {
        // The loop has looked again, and found that the suspect has waited for long.
        let before = fixture.store.applies();
        while fixture.store.applies() == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    fixture.schedule(immediate("late")).await;
    for _ in 0..5 {
        fixture.clock.advance(SECOND);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((suspect.arrived(), late.arrived()), (0, 0), "room is being made");
    long.open();
    suspect.wait_for(1).await;
    assert_eq!(late.arrived(), 0, "the suspect goes first, and alone");
    suspect.open();
    late.wait_for(1).await;
    late.open();
    fixture.idle().await;
    fixture.end().await;
}

#[tokio::test]
async fn process_goes_on_when_another_one_has_taken_the_suspect_for_which_it_made_room() {
    let (long, suspect) = (Gate::new(), Gate::new());
    let store = with_suspect().await;
    let client = Scheduler::builder(store.clone()).with_clock(clock()).build().unwrap();
    client.schedule_task(immediate("long").build().unwrap()).await.unwrap();
    let gates = [("long", long.clone()), ("suspect", suspect.clone())];
    let busy = Fixture::on(store.clone(), clock(), |builder| builder.with_task_handler(at_gates(&gates)));
    long.wait_for(1).await;
    busy.clock.advance(MINUTE);
    let idle = Fixture::on(store, busy.clock.clone(), |builder| builder.with_task_handler(at_gates(&gates)));
    suspect.wait_for(1).await;
    busy.schedule(immediate("next")).await;
    until(&busy, "next", PhaseKind::Finished).await;
    assert_eq!(phase(&busy, "long").await, PhaseKind::Running);
    suspect.open();
    long.open();
    idle.idle().await;
    idle.end().await;
    busy.end().await;
}
