//! Tasks that somebody cancels or disables.

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::{Fate, MisfirePolicy, Miss, Schedule};
use azoth_scheduler_core::state::{DisabledReason, PhaseKind, TaskPhase};
use azoth_scheduler_core::testing::{actor, at, claim, succeeded, task_id, text, wish};

use super::bench::{Bench, cancel, ends, every, want};

pub(super) async fn a_waiting_task_is_cancelled_and_not_claimed_any_more(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::one_time(at(60))), at(0)).await;
    assert_eq!(bench.does(cancel("task"), at(5)).await, Answer::Recorded);
    let cancelled = TaskPhase::Cancelled { at: at(5), reason: text("no more"), by: actor("ops") };
    assert_eq!(bench.state("task").await.phase, cancelled);
    let claims = bench.claim(worker, &["work"], 5, at(100)).await;
    assert!(claims.claimed.is_empty() && claims.next_due.is_none(), "{claims:?}");
}

pub(super) async fn a_running_task_is_cancelled_and_its_result_refused(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    let claimed = bench.claim_one(worker, at(60)).await;
    assert_eq!(bench.does(cancel("task"), at(61)).await, Answer::Recorded);
    let Event::TaskCancelled { execution, reason, by } = bench.newest("task").await else {
        panic!("it was cancelled");
    };
    assert_eq!(execution, Some(claimed.execution), "the cancellation ends the execution");
    assert_eq!((reason.as_str(), by.as_str()), ("no more", "ops"));
    assert_eq!(bench.store().held_by(worker).await, Ok(Vec::new()), "its worker is to stop it");
    let late = bench.say(ends(&claimed, succeeded()), at(62)).await;
    assert!(matches!(late, Err(Rejection::StaleExecution { current: None, .. })), "I8: {late:?}");
    assert_eq!(bench.phase("task").await, PhaseKind::Cancelled);
}

/// Known from an earlier scheduler: cancelling a task that had run failed.
pub(super) async fn a_task_that_has_run_before_can_be_cancelled(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    bench.run(worker, succeeded(), at(60)).await;
    assert_eq!(bench.does(cancel("task"), at(70)).await, Answer::Recorded);
    assert_eq!(bench.phase("task").await, PhaseKind::Cancelled);
}

pub(super) async fn what_has_ended_is_not_cancelled_again(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    for task in ["finished", "cancelled", "disabled"] {
        bench.does(want(task, Schedule::immediate()), at(0)).await;
    }
    bench.does(cancel("cancelled"), at(1)).await;
    bench.does(disable("disabled"), at(1)).await;
    bench.run(worker, succeeded(), at(1)).await;
    for (task, phase) in [
        ("finished", PhaseKind::Finished),
        ("cancelled", PhaseKind::Cancelled),
        ("disabled", PhaseKind::Disabled),
    ] {
        let events = bench.history(task).await.len();
        assert_eq!(bench.does(cancel(task), at(9)).await, Answer::Unchanged(phase));
        assert_eq!((bench.phase(task).await, bench.history(task).await.len()), (phase, events));
    }
}

pub(super) async fn what_was_due_is_recorded_as_missed(bench: &mut Bench) {
    bench.does(want("cancelled", every(60)), at(0)).await;
    bench.does(cancel("cancelled"), at(130)).await;
    assert_eq!(bench.passed("cancelled").await, [(at(60), at(120), 2, Fate::Missed(Miss::Ended))]);
    bench.does(want("redefined", every(60)), at(0)).await;
    bench.does(want("redefined", every(90)), at(130)).await;
    assert_eq!(bench.passed("redefined").await, [(at(60), at(120), 2, Fate::Missed(Miss::Redefined))]);
}

pub(super) async fn a_disabled_task_runs_no_more_until_it_is_scheduled_again(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    let claimed = bench.claim_one(worker, at(60)).await;
    assert_eq!(bench.does(disable("task"), at(61)).await, Answer::Recorded);
    assert_eq!(bench.phase("task").await, PhaseKind::Running, "a running execution goes on to its end");
    bench.does(ends(&claimed, succeeded()), at(62)).await;
    let because = DisabledReason::Said { by: actor("ops"), reason: text("broken") };
    assert_eq!(bench.state("task").await.phase, TaskPhase::Disabled { at: at(62), because });
    assert!(bench.claim(worker, &["work"], 1, at(600)).await.claimed.is_empty());
    bench.does(want("task", every(90)), at(600)).await;
    assert_eq!(bench.claim_one(worker, at(690)).await.occurrence, at(690));
    // Scheduled again while it still runs, it is not disabled any more when it ends.
    bench.does(disable("task"), at(691)).await;
    bench.does(want("task", every(30)), at(692)).await;
    let execution = bench.state("task").await.held_by().map_or(0, |execution| execution.as_u128());
    let end = azoth_scheduler_core::testing::complete("task", execution, succeeded(), at(690));
    bench.does(end, at(693)).await;
    assert_eq!(bench.run_at("task").await, at(722));
}

pub(super) async fn unknown_tasks_are_named(bench: &mut Bench) {
    let (reason, by) = (text("why"), actor("ops"));
    let wishes = [
        Wish::Cancel { reason: reason.clone(), by: by.clone() },
        Wish::Pause { reason: reason.clone(), by: by.clone(), until: None },
        Wish::Resume { misfire: MisfirePolicy::Skip, by: by.clone() },
        Wish::Disable { reason, by },
    ];
    let unknown = Rejection::UnknownTask { task: task_id("nobody") };
    for command in wishes.map(|asked| wish("nobody", asked)).into_iter().chain([claim("nobody", 1)]) {
        assert_eq!(bench.say(command, at(0)).await, Err(unknown.clone()));
    }
    assert!(unknown.to_string().contains("nobody"));
}

fn disable(task: &str) -> TaskCommand {
    wish(task, Wish::Disable { reason: text("broken"), by: actor("ops") })
}
