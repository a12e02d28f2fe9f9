//! Tasks that rest for a while.

use std::num::NonZeroU32;

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::execution::FailureClass;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::{Fate, MisfirePolicy, Miss, Schedule};
use azoth_scheduler_core::state::{Counts, PhaseKind, TaskPhase};
use azoth_scheduler_core::testing::{actor, at, failed, succeeded, task_id, text, wish};

use super::bench::{Bench, cancel, ends, every, some, want};
use super::scopes;

pub(super) async fn a_paused_task_rests_and_skips_what_came_due_meanwhile(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    assert_eq!(bench.does(pause("task"), at(10)).await, Answer::Recorded);
    let TaskPhase::Paused { pause: paused, .. } = bench.state("task").await.phase else {
        panic!("it is paused");
    };
    assert_eq!((paused.at, paused.reason.as_str(), paused.by.as_str()), (at(10), "holiday", "ops"));
    let claims = bench.claim(worker, &["work"], 5, at(600)).await;
    assert!(claims.claimed.is_empty() && claims.next_due.is_none(), "{claims:?}");
    assert_eq!(bench.does(pause("task"), at(601)).await, Answer::Unchanged(PhaseKind::Paused));
    // Late by more than the grace period, but for the last one.
    assert_eq!(bench.does(resume("task", MisfirePolicy::Skip), at(630)).await, Answer::Recorded);
    assert_eq!(bench.passed("task").await, [(at(60), at(540), 9, Fate::Missed(Miss::Paused))]);
    assert_eq!(bench.claim_one(worker, at(630)).await.occurrence, at(600));
}

pub(super) async fn a_task_that_runs_is_paused_when_it_ends(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    let claimed = bench.claim_one(worker, at(60)).await;
    assert_eq!(bench.does(pause("task"), at(61)).await, Answer::Recorded);
    assert_eq!(bench.phase("task").await, PhaseKind::Running);
    bench.does(ends(&claimed, succeeded()), at(62)).await;
    assert_eq!(bench.phase("task").await, PhaseKind::Paused);
    bench.does(resume("task", MisfirePolicy::Skip), at(70)).await;
    assert_eq!(bench.run_at("task").await, at(120));
    // Resumed before it ends, it just goes on.
    let claimed = bench.claim_one(worker, at(120)).await;
    bench.does(pause("task"), at(121)).await;
    assert_eq!(bench.does(resume("task", MisfirePolicy::Skip), at(122)).await, Answer::Recorded);
    bench.does(ends(&claimed, succeeded()), at(123)).await;
    assert_eq!(bench.run_at("task").await, at(180));
}

pub(super) async fn a_retry_is_kept_over_a_pause(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    bench.run(worker, failed(FailureClass::Retryable), at(0)).await;
    bench.does(pause("task"), at(10)).await;
    bench.does(resume("task", MisfirePolicy::Skip), at(20)).await;
    let state = bench.state("task").await;
    let work = some(state.waiting());
    assert_eq!((work.attempt.get(), work.run_at, state.counts.failures), (2, at(61), 1));
    assert_eq!(state.counts, Counts { failures: 1, losses: 0 });
}

pub(super) async fn resuming_may_catch_up(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    bench.does(pause("task"), at(10)).await;
    let limit = NonZeroU32::MIN.saturating_add(1);
    bench.does(resume("task", MisfirePolicy::CatchUp { limit }), at(470)).await;
    // The one at 480 comes due while nothing is open and older ones wait for their turn, so it runs behind them.
    for (second, now) in [(300, 470), (360, 475), (420, 480), (480, 485)] {
        assert_eq!(bench.run(worker, succeeded(), at(now)).await.occurrence, at(second));
    }
    let expected = [(at(60), at(240), 4, Fate::Missed(Miss::OverLimit))];
    assert_eq!(bench.passed("task").await, expected);
    assert_eq!(bench.run_at("task").await, at(540));
}

pub(super) async fn what_came_due_in_a_paused_scope_goes_to_the_policy_that_is_chosen_for_it(
    bench: &mut Bench,
) {
    let worker = bench.worker(at(0)).await;
    for task in ["chosen", "own"] {
        bench.does(want(task, every(60)), at(0)).await;
    }
    bench.does(scopes::pause(scopes::work(), None), at(10)).await;
    let resume = || {
        let wish = Wish::ResumeWithScope { misfire: MisfirePolicy::Skip, by: actor("ops") };
        TaskCommand { task: task_id("chosen"), wish }
    };
    assert_eq!(bench.does(resume(), at(630)).await, Answer::Recorded);
    assert_eq!(bench.does(resume(), at(630)).await, Answer::Unchanged(PhaseKind::Waiting));
    assert!(bench.claim(worker, &["work"], 5, at(630)).await.claimed.is_empty(), "it is paused still");
    bench.does(scopes::resume(scopes::work()), at(630)).await;
    assert_eq!(bench.claim(worker, &["work"], 5, at(630)).await.claimed.len(), 2);
    assert_eq!(bench.passed("chosen").await, [(at(60), at(540), 9, Fate::Missed(Miss::Paused))]);
    assert_eq!(bench.passed("own").await, [(at(60), at(540), 9, Fate::Merged { into: at(600) })]);
    assert_eq!(bench.story("chosen").await.get(2), Some(&"TaskResumed"));
}

pub(super) async fn what_has_ended_is_neither_paused_nor_resumed(bench: &mut Bench) {
    bench.does(want("task", every(60)), at(0)).await;
    let unchanged = Answer::Unchanged(PhaseKind::Waiting);
    assert_eq!(bench.does(resume("task", MisfirePolicy::Skip), at(1)).await, unchanged);
    bench.does(cancel("task"), at(2)).await;
    let ended = Rejection::Ended { task: task_id("task"), phase: PhaseKind::Cancelled };
    assert_eq!(bench.say(pause("task"), at(3)).await, Err(ended.clone()));
    assert_eq!(bench.say(resume("task", MisfirePolicy::Skip), at(3)).await, Err(ended));
}

pub(super) fn pause(task: &str) -> TaskCommand {
    wish(task, Wish::Pause { reason: text("holiday"), by: actor("ops"), until: None })
}

fn resume(task: &str, misfire: MisfirePolicy) -> TaskCommand {
    wish(task, Wish::Resume { misfire, by: actor("ops") })
}
