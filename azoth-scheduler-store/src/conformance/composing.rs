//! Tasks that come of each other: waiting for others, children of a handler, idempotency keys, runs that were asked for.

use std::num::NonZeroU64;

use azoth_scheduler_core::command::{OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::dependency::{After, DependencyEnd, OnDependencyFailure};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::{Child, FailureClass, Outcome, Report};
use azoth_scheduler_core::id::IdempotencyKey;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::{Misfire, MisfirePolicy, Schedule};
use azoth_scheduler_core::state::{Counts, PhaseKind};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::testing::{actor, at, failed, succeeded, task_id, text, wish};
use azoth_scheduler_core::unique::{Holds, Unique};

use super::bench::{Bench, cancel, ends, every, ok, want, want_bytes, want_with};
use crate::filter::TaskFilter;

/// The wish for a task that runs once these have succeeded.
pub(super) fn after(task: &str, others: &[&str], on_failure: OnDependencyFailure) -> TaskCommand {
    let after = ok(After::new(others.iter().copied().map(task_id), on_failure));
    want_with(task, Schedule::immediate(), OnConflict::Redefine, |new| new.after = Some(after))
}

pub(super) async fn a_task_runs_once_all_that_it_waits_for_have_succeeded(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("a", Schedule::immediate()), at(0)).await;
    bench.does(want("b", Schedule::one_time(at(50))), at(0)).await;
    bench.does(after("c", &["a", "b"], OnDependencyFailure::Cancel), at(0)).await;
    assert_eq!(bench.phase("c").await, PhaseKind::Blocked);
    let blocked = TaskFilter::new().phase(PhaseKind::Blocked);
    assert_eq!(ok(bench.store().tasks(&blocked).await).len(), 1);
    bench.run(worker, succeeded(), at(0)).await;
    assert_eq!(bench.state("c").await.waits_for, [task_id("b")]);
    bench.reopen().await;
    let none = bench.claim(worker, &["work"], 9, at(40)).await;
    assert!(none.claimed.is_empty(), "{none:?}");
    bench.run(worker, succeeded(), at(50)).await;
    let Event::DependencyEnded { dependency, end, then: Some(work) } = bench.newest("c").await else {
        panic!("the last end lets it go on");
    };
    assert_eq!((dependency, end, work.run_at), (task_id("b"), DependencyEnd::Succeeded, at(51)));
    assert_eq!(bench.run_at("c").await, at(51));
    assert_eq!(bench.claim_one(worker, at(51)).await.task, task_id("c"));
}

/// I25: in the transaction in which the other ends.
pub(super) async fn an_end_is_told_to_those_that_wait_in_its_own_batch(bench: &mut Bench) {
    bench.does(want("a", Schedule::one_time(at(50))), at(0)).await;
    let chain = vec![
        after("b", &["a"], OnDependencyFailure::Cancel),
        after("c", &["b"], OnDependencyFailure::Cancel),
        after("d", &["c"], OnDependencyFailure::RunAnyway),
        cancel("a"),
    ];
    bench.say_all(chain, at(1)).await;
    let phases = [bench.phase("b").await, bench.phase("c").await, bench.phase("d").await];
    assert_eq!(phases, [PhaseKind::Cancelled, PhaseKind::Cancelled, PhaseKind::Waiting]);
    assert_eq!(bench.story("b").await, ["TaskScheduled", "DependencyEnded", "TaskCancelled"]);
    bench.does(after("e", &["b", "c"], OnDependencyFailure::Cancel), at(2)).await;
    assert_eq!(bench.phase("e").await, PhaseKind::Cancelled, "what had failed before is told at once");
}

/// I25: also where it is the claim itself that finds the last occurrence of the other to have passed.
pub(super) async fn an_end_that_a_claim_finds_lets_others_be_claimed_by_it(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let misfire = Misfire { policy: MisfirePolicy::Skip, grace_ms: 0 };
    bench.does(want("a", Schedule { misfire, not_after: Some(at(100)), ..every(60) }), at(0)).await;
    bench.does(want("b", Schedule::one_time(at(60))), at(0)).await;
    let waits = After::new([task_id("a")], OnDependencyFailure::RunAnyway);
    let urgent = want_with("urgent", Schedule::immediate(), OnConflict::Redefine, |new| {
        (new.after, new.priority) = (Some(ok(waits)), Priority::Critical);
    });
    bench.does(urgent, at(0)).await;
    let claims = bench.claim(worker, &["work"], 9, at(600)).await;
    let claimed: Vec<_> = claims.claimed.iter().map(|claimed| claimed.task.as_str()).collect();
    assert_eq!((claimed, claims.next_due), (vec!["urgent", "b"], None));
    assert_eq!(bench.story("a").await, ["TaskScheduled", "OccurrencesPassed"]);
}

pub(super) async fn unknown_tasks_and_circles_cannot_be_waited_for(bench: &mut Bench) {
    let unknown = Rejection::UnknownDependency { task: task_id("a"), dependency: task_id("b") };
    assert_eq!(bench.say(after("a", &["b"], OnDependencyFailure::Cancel), at(0)).await, Err(unknown));
    let chain = vec![
        want("a", every(60)),
        after("b", &["a"], OnDependencyFailure::Cancel),
        after("c", &["b"], OnDependencyFailure::Cancel),
    ];
    bench.say_all(chain, at(0)).await;
    let circle = Rejection::DependencyCircle { task: task_id("a"), dependency: task_id("c") };
    assert_eq!(bench.say(after("a", &["c"], OnDependencyFailure::Cancel), at(1)).await, Err(circle));
    assert_eq!(bench.story("a").await, ["TaskScheduled"]);
}

pub(super) async fn a_blocked_task_rests_and_goes_on_waiting(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("a", Schedule::one_time(at(50))), at(0)).await;
    bench.does(after("b", &["a"], OnDependencyFailure::Cancel), at(0)).await;
    let (reason, by) = (text("wait"), actor("ops"));
    bench.does(wish("b", Wish::Pause { reason, by: by.clone(), until: None }), at(1)).await;
    bench.reopen().await;
    assert_eq!(bench.state("b").await.waits_for, [task_id("a")]);
    let misfire = MisfirePolicy::Skip;
    bench.does(wish("b", Wish::Resume { misfire, by }), at(2)).await;
    assert_eq!(bench.phase("b").await, PhaseKind::Blocked);
    bench.does(after("b", &["a"], OnDependencyFailure::RunAnyway), at(3)).await;
    bench.does(want("b", Schedule::immediate()), at(4)).await;
    assert_eq!(bench.phase("b").await, PhaseKind::Waiting, "its new definition waits for nobody");
    assert_eq!(bench.claim_one(worker, at(4)).await.task, task_id("b"));
    assert_eq!(bench.run(worker, succeeded(), at(50)).await.task, task_id("a"));
    assert_eq!(bench.story("b").await.last(), Some(&"ExecutionStarted"), "and is told nothing");
}

fn success_with(children: &[TaskCommand]) -> Report {
    let Outcome::Succeeded(mut success) = succeeded() else { unreachable!("a success succeeds") };
    let child = |command: &TaskCommand| {
        let Wish::Schedule(new) = &command.wish else { unreachable!("a child is scheduled: {command:?}") };
        Child { task: command.task.clone(), new: new.clone() }
    };
    success.children = children.iter().map(child).collect();
    Outcome::Succeeded(success)
}

/// I24: what a handler scheduled happens with its success.
pub(super) async fn children_are_scheduled_with_the_success(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("parent", Schedule::immediate()), at(0)).await;
    let children = [
        want_bytes("left", Schedule::immediate(), b"for the left"),
        want_bytes("right", Schedule::one_time(at(90)), b"for the right"),
        after("gather", &["left", "right"], OnDependencyFailure::Cancel),
    ];
    bench.run(worker, success_with(&children), at(0)).await;
    assert_eq!(bench.phase("parent").await, PhaseKind::Finished);
    assert_eq!(bench.task("right").await.payload.bytes(), Some(&b"for the right"[..]));
    assert_eq!(&*bench.run(worker, succeeded(), at(2)).await.payload, b"for the left");
    bench.run(worker, succeeded(), at(90)).await;
    assert_eq!(bench.claim_one(worker, at(91)).await.task, task_id("gather"));
}

/// I24: fenced like the result itself.
pub(super) async fn a_result_that_is_refused_schedules_nothing(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("parent", Schedule::immediate()), at(0)).await;
    let claimed = bench.claim_one(worker, at(0)).await;
    bench.does(cancel("parent"), at(1)).await;
    let head = ok(bench.store().head().await);
    let late = bench.say(ends(&claimed, success_with(&[want("child", every(60))])), at(2)).await;
    assert!(matches!(late, Err(Rejection::StaleExecution { .. })), "{late:?}");
    assert_eq!(ok(bench.store().task(&task_id("child")).await), None);
    assert_eq!(ok(bench.store().head().await), head, "I15: nothing is written");
}

pub(super) async fn a_refused_child_fails_the_attempt_and_takes_the_others_with_it(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("parent", Schedule::immediate()), at(0)).await;
    bench.does(want("taken", every(60)), at(0)).await;
    let taken = want_with("taken", every(60), OnConflict::Reject, |_| {});
    let children = [want("fine", every(60)), taken];
    bench.run(worker, success_with(&children), at(0)).await;
    let state = bench.state("parent").await;
    assert_eq!((state.counts, state.phase.kind()), (Counts { failures: 1, losses: 0 }, PhaseKind::Waiting));
    assert_eq!(ok(bench.store().task(&task_id("fine")).await), None);
    let Event::TaskExecuted { outcome: Outcome::Failed(failure), .. } = bench.newest("parent").await else {
        panic!("the attempt failed");
    };
    assert_eq!(failure.class, FailureClass::Retryable);
    assert!(failure.message.as_str().contains("task \"taken\" exists already"), "{}", failure.message);
    bench.does(cancel("taken"), at(2)).await;
    bench.run(worker, success_with(&[want("fine", every(60))]), at(61)).await;
    assert_eq!(bench.phase("fine").await, PhaseKind::Waiting, "the next attempt may do better");
}

fn keyed(task: &str, holds: Holds) -> TaskCommand {
    let key = ok(IdempotencyKey::new("order-42"));
    want_with(task, Schedule::immediate(), OnConflict::Redefine, |new| {
        new.unique = Some(Unique { key, holds });
    })
}

/// I26: within one batch too, and after a reopening.
pub(super) async fn a_key_stands_for_one_task_while_that_is_pending(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let wishes = vec![keyed("first", Holds::WhilePending), keyed("second", Holds::WhilePending)];
    let answers = bench.say_all(wishes, at(0)).await;
    assert_eq!(answers, [Ok(Answer::Created), Ok(Answer::Existing(task_id("first")))]);
    bench.reopen().await;
    let existing = Answer::Existing(task_id("first"));
    assert_eq!(bench.does(keyed("third", Holds::WhilePending), at(1)).await, existing);
    assert_eq!(ok(bench.store().task(&task_id("third")).await), None);
    bench.run(worker, succeeded(), at(2)).await;
    assert_eq!(bench.does(keyed("third", Holds::WhilePending), at(4)).await, Answer::Created);
    let existing = Answer::Existing(task_id("third"));
    assert_eq!(bench.does(keyed("first", Holds::WhilePending), at(5)).await, existing);
}

pub(super) async fn a_key_stands_for_one_task_for_a_period(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let holds = Holds::For { ms: NonZeroU64::MIN.saturating_add(59_999) };
    bench.does(keyed("first", holds), at(0)).await;
    bench.run(worker, succeeded(), at(1)).await;
    assert_eq!(bench.does(keyed("second", holds), at(59)).await, Answer::Existing(task_id("first")));
    assert_eq!(bench.does(keyed("second", holds), at(60)).await, Answer::Created);
}

pub(super) async fn a_run_that_was_asked_for_leaves_the_schedule_as_it_was(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    bench.does(wish("task", Wish::RunNow { by: actor("ops") }), at(10)).await;
    bench.reopen().await;
    let claimed = bench.run(worker, failed(FailureClass::Permanent), at(10)).await;
    assert_eq!(claimed.occurrence, at(10));
    assert_eq!(bench.run_at("task").await, at(60));
    assert_eq!(bench.claim_one(worker, at(60)).await.occurrence, at(60));
    assert_eq!(bench.state("task").await.runs, 1, "the schedule's own runs are counted");
}

pub(super) async fn a_disabled_task_is_retried_under_its_id(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("once", Schedule::immediate()), at(0)).await;
    bench.run(worker, failed(FailureClass::Permanent), at(0)).await;
    assert_eq!(bench.phase("once").await, PhaseKind::Disabled);
    bench.does(wish("once", Wish::Retry { by: actor("ops") }), at(100)).await;
    let Event::TaskRetried { by, .. } = bench.newest("once").await else { panic!("it says by whom") };
    assert_eq!(by.as_str(), "ops");
    let claimed = bench.run(worker, succeeded(), at(100)).await;
    assert_eq!((claimed.occurrence, claimed.attempt), (at(0), 1));
    assert_eq!(bench.phase("once").await, PhaseKind::Finished);

    bench.does(want("often", every(60)), at(200)).await;
    bench.run(worker, failed(FailureClass::Permanent), at(260)).await;
    bench.does(wish("often", Wish::Retry { by: actor("ops") }), at(500)).await;
    assert_eq!(bench.run_at("often").await, at(560), "at its next occurrence");
}
