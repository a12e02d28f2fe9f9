//! Executions that were taken from their worker, and results that come too late.

use azoth_scheduler_core::command::{AbandonReason, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::decide::LOSSES_MAX;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::{Fate, Misfire, MisfirePolicy, Miss, Schedule, Skip};
use azoth_scheduler_core::state::{Counts, DisabledReason, PhaseKind, TaskPhase};
use azoth_scheduler_core::testing::{at, succeeded};
use azoth_scheduler_core::time::Timestamp;

use super::bench::{Bench, ends, every, want, want_with};
use crate::store::Claimed;

pub(super) async fn a_result_of_an_execution_that_was_taken_away_is_refused(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    let first = bench.claim_one(worker, at(0)).await;
    bench.does(taken(&first, AbandonReason::WorkerLost, at(0)), at(20)).await;
    let refused =
        |current| Rejection::StaleExecution { task: first.task.clone(), execution: first.execution, current };
    assert_eq!(bench.say(ends(&first, succeeded()), at(21)).await, Err(refused(None)), "I8");
    let second = bench.claim_one(worker, at(22)).await;
    assert_eq!((second.attempt, second.occurrence), (2, first.occurrence));
    let (head, state) = (bench.store().head().await, bench.state("task").await);
    let late = bench.say(ends(&first, succeeded()), at(23)).await;
    assert_eq!(late, Err(refused(Some(second.execution))), "I8");
    let late = bench.say(taken(&first, AbandonReason::ShutDown, at(0)), at(23)).await;
    assert_eq!(late, Err(refused(Some(second.execution))));
    assert_eq!((bench.store().head().await, bench.state("task").await), (head, state), "I15");
    bench.does(ends(&second, succeeded()), at(24)).await;
    assert_eq!(bench.phase("task").await, PhaseKind::Finished);
}

pub(super) async fn a_result_is_recorded_once(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    let claimed = bench.run(worker, succeeded(), at(60)).await;
    let events = bench.history("task").await.len();
    let again = bench.say(ends(&claimed, succeeded()), at(62)).await;
    assert!(matches!(again, Err(Rejection::StaleExecution { current: None, .. })), "{again:?}");
    let twice = vec![ends(&claimed, succeeded()), taken(&claimed, AbandonReason::WorkerLost, at(60))];
    assert!(bench.say_all(twice, at(63)).await.iter().all(Result::is_err));
    assert_eq!(bench.history("task").await.len(), events);
}

pub(super) async fn five_losses_disable_a_task(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    for losses in 1..LOSSES_MAX {
        let claimed = bench.claim_one(worker, at(0)).await;
        assert_eq!(claimed.attempt, losses);
        bench.does(taken(&claimed, AbandonReason::WorkerLost, at(0)), at(0)).await;
        let state = bench.state("task").await;
        assert_eq!((state.phase.kind(), state.counts), (PhaseKind::Waiting, Counts { failures: 0, losses }));
    }
    let claimed = bench.claim_one(worker, at(1)).await;
    bench.does(taken(&claimed, AbandonReason::WorkerLost, at(1)), at(2)).await;
    let because = DisabledReason::Losses { losses: LOSSES_MAX };
    assert_eq!(bench.state("task").await.phase, TaskPhase::Disabled { at: at(2), because });
    assert!(bench.claim(worker, &["work"], 1, at(9)).await.claimed.is_empty(), "not one run more");
    assert!(matches!(bench.newest("task").await, Event::ExecutionAbandoned { .. }));
}

pub(super) async fn a_task_that_was_given_back_before_it_started_has_lost_nothing(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    for (attempt, why) in
        [AbandonReason::NotStarted, AbandonReason::ShutDown].into_iter().cycle().take(8).enumerate()
    {
        let claimed = bench.claim_one(worker, at(attempt as i64)).await;
        bench.does(taken(&claimed, why, at(attempt as i64)), at(attempt as i64)).await;
        assert_eq!(bench.run_at("task").await, at(attempt as i64), "others may take it at once");
        assert_eq!(bench.state("task").await.counts, Counts::default());
    }
    assert_eq!(bench.claim_one(worker, at(9)).await.attempt, 9, "but each claim counts");
}

pub(super) async fn an_absence_sends_what_came_due_to_the_misfire_policy(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let misfire = Misfire { policy: MisfirePolicy::Skip, grace_ms: 0 };
    let new = want_with("task", Schedule { misfire, ..every(60) }, OnConflict::Redefine, |_| {});
    bench.does(new, at(0)).await;
    let claimed = bench.claim_one(worker, at(60)).await;
    bench.does(taken(&claimed, AbandonReason::WorkerLost, at(190)), at(310)).await;
    let expected = [
        (at(120), at(180), 2, Fate::Skipped(Skip::Overlap)),
        (at(240), at(300), 2, Fate::Missed(Miss::Late)),
    ];
    assert_eq!(bench.passed("task").await, expected, "until its last sign of life it was busy, then absent");
    let claimed = bench.claim_one(worker, at(310)).await;
    assert_eq!((claimed.occurrence, claimed.attempt), (at(60), 2));
}

/// The execution is taken from its worker.
pub(super) fn taken(claimed: &Claimed, why: AbandonReason, last_seen: Timestamp) -> TaskCommand {
    let execution = claimed.execution;
    TaskCommand { task: claimed.task.clone(), wish: Wish::Abandon { execution, why, last_seen } }
}
