//! Tasks that may be what kills their processes, and claims beyond the free slots, which those never are.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::command::{AbandonReason, OnConflict};
use azoth_scheduler_core::decide::SUSPECT_LOSSES;
use azoth_scheduler_core::id::WorkerId;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::scope::{Limits, LimitsChange, Rate, Scope};
use azoth_scheduler_core::testing::{at, succeeded, task_type};

use super::bench::{Bench, ends, ok, some, want, want_with};
use super::claiming::names;
use super::fencing::taken;
use super::scopes::{limit, pause, resume, running, work};
use crate::store::{Ahead, Batch, CLAIM_BATCH_MAX, ClaimOffer, Claims, Suspects};

pub(super) async fn a_suspect_is_claimed_by_an_idle_worker_alone(bench: &mut Bench) {
    // I29
    let owner = bench.worker(at(0)).await;
    suspect(bench, owner, "suspect").await;
    bench.does(want("innocent", Schedule::immediate()), at(10)).await;
    bench.does(want("innocent-too", Schedule::immediate()), at(10)).await;
    let busy = offered(bench, owner, Suspects::Refused, 1).await;
    assert_eq!((names(&busy), busy.next_suspect), (vec!["innocent".to_owned()], Some(at(0))));
    let idle = offered(bench, owner, Suspects::IfNothingElse, 5).await;
    assert_eq!(names(&idle), ["innocent-too"], "what is no suspect goes first");
    let refused = offered(bench, owner, Suspects::Refused, 5).await;
    assert!(refused.claimed.is_empty() && refused.next_due.is_none(), "{refused:?}");
    assert_eq!(refused.next_suspect, Some(at(0)));
    let alone = offered(bench, owner, Suspects::IfNothingElse, 5).await;
    let claimed = some(alone.claimed.first());
    assert_eq!((names(&alone), claimed.suspect), (vec!["suspect".to_owned()], true));
    assert_eq!((claimed.attempt, alone.next_suspect), (SUSPECT_LOSSES + 1, None));
    bench.does(ends(claimed, succeeded()), at(11)).await;
    assert!(!bench.state("suspect").await.counts.is_suspect(), "it is cleared");
}

pub(super) async fn a_suspect_goes_first_where_room_was_made_for_it(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    suspect(bench, owner, "one").await;
    suspect(bench, owner, "two").await;
    bench.does(want("innocent", Schedule::immediate()), at(10)).await;
    let claims = offered(bench, owner, Suspects::First, 5).await;
    assert_eq!((claims.claimed.len(), some(claims.claimed.first()).suspect), (1, true), "{claims:?}");
    assert_eq!((claims.next_due, claims.next_suspect), (Some(at(10)), Some(at(0))));
    let claims = offered(bench, owner, Suspects::First, 5).await;
    assert_eq!((claims.claimed.len(), claims.next_suspect), (1, None));
    assert_eq!(names(&offered(bench, owner, Suspects::First, 5).await), ["innocent"]);
}

pub(super) async fn only_tasks_without_a_loss_are_claimed_ahead(bench: &mut Bench) {
    // I27
    let owner = bench.worker(at(0)).await;
    bench.does(want("hurt", Schedule::immediate()), at(0)).await;
    let claimed = bench.claim_one(owner, at(0)).await;
    bench.does(taken(&claimed, AbandonReason::WorkerLost, at(0)), at(0)).await;
    for (task, kind) in [("a", "work"), ("b", "work"), ("c", "slow"), ("d", "work"), ("e", "work")] {
        let new = want_with(task, Schedule::immediate(), OnConflict::Redefine, |new| {
            new.task_type = task_type(kind);
        });
        bench.does(new, at(1)).await;
    }
    // Nothing is claimed ahead of what the free slots can take, and nothing from behind a task that has a loss.
    assert!(ahead(bench, owner, 0, 5).await.claimed.is_empty());
    assert_eq!(names(&ahead(bench, owner, 1, 2).await), ["hurt", "a", "b"]);
    assert_eq!(names(&ahead(bench, owner, 0, 5).await), ["d", "e"], "types that are not quick are not");
    assert_eq!(names(&ahead(bench, owner, 5, 5).await), ["c"]);
}

pub(super) async fn no_more_is_claimed_ahead_than_the_limit(bench: &mut Bench) {
    // I27
    let owner = bench.worker(at(0)).await;
    let tasks = (0..=CLAIM_BATCH_MAX).map(|number| want(&format!("task-{number}"), Schedule::immediate()));
    bench.say_all(tasks.collect(), at(0)).await;
    assert_eq!(ahead(bench, owner, 10, CLAIM_BATCH_MAX + 10).await.claimed.len(), CLAIM_BATCH_MAX);
}

pub(super) async fn what_a_limit_or_a_key_holds_together_is_not_claimed_ahead(bench: &mut Bench) {
    // I27: what waits for a slot would use up what others could run.
    let owner = bench.worker(at(0)).await;
    bench.does(want("free", Schedule::immediate()), at(1)).await;
    let keyed = want_with("keyed", Schedule::immediate(), OnConflict::Redefine, |new| {
        new.concurrency_key = Some(ok("tenant".parse()));
    });
    bench.does(keyed, at(1)).await;
    bench.does(want("behind", Schedule::immediate()), at(1)).await;
    assert_eq!(names(&ahead(bench, owner, 0, 5).await), ["free"]);
    assert_eq!(names(&ahead(bench, owner, 1, 5).await), ["keyed", "behind"]);

    let (hundred, second) = (some(NonZeroU32::new(100)), some(NonZeroU64::new(1_000)));
    let rate = Limits { rate: Rate::new(hundred, second, hundred), ..Limits::default() };
    let limits = [(Scope::Everything, running(100)), (work(), running(100)), (work(), rate)];
    for (number, (scope, limits)) in limits.into_iter().enumerate() {
        bench.does(want(&format!("task-{number}"), Schedule::immediate()), at(2)).await;
        bench.does(limit(scope.clone(), LimitsChange::Set(limits)), at(3)).await;
        let held = ahead(bench, owner, 0, 5).await;
        assert!(held.claimed.is_empty(), "{scope} with {limits:?}: {held:?}");
        assert!(held.held_back.contains(&task_type("work")), "what waits is to be given back: {held:?}");
        bench.does(limit(scope.clone(), LimitsChange::Set(Limits::default())), at(4)).await;
        let free = ahead(bench, owner, 0, 5).await;
        assert!(free.claimed.len() == 1 && free.held_back.is_empty(), "{scope} without {limits:?}: {free:?}");
        bench.does(pause(scope.clone(), None), at(5)).await;
        let held = ahead(bench, owner, 0, 5).await;
        assert!(held.held_back.contains(&task_type("work")), "{scope} is paused: {held:?}");
        bench.does(resume(scope), at(6)).await;
    }
    bench.does(limit(work(), LimitsChange::Set(running(100))), at(7)).await;
    let claims = bench.claim(owner, &["work"], 1, at(10)).await;
    assert!(claims.held_back.is_empty(), "nothing was offered ahead: {claims:?}");
}

/// A task that was lost as often as makes it a suspect.
async fn suspect(bench: &mut Bench, worker: WorkerId, task: &str) {
    bench.does(want(task, Schedule::immediate()), at(0)).await;
    for _ in 0..SUSPECT_LOSSES {
        let claims = offered(bench, worker, Suspects::Refused, 1).await;
        assert_eq!(names(&claims), [task]);
        let lost = taken(some(claims.claimed.first()), AbandonReason::WorkerLost, at(0));
        bench.does(lost, at(0)).await;
    }
}

async fn offered(bench: &mut Bench, worker: WorkerId, suspects: Suspects, slots: usize) -> Claims {
    let offer = ClaimOffer { suspects, ..bench.offer(worker, &["work"], slots) };
    some(bench.apply(Batch::claiming(offer, at(10))).await.claims)
}

/// What is claimed for slots, and then ahead for the type `work`.
async fn ahead(bench: &mut Bench, worker: WorkerId, slots: usize, more: usize) -> Claims {
    let executions = bench.offer(worker, &[], more).executions;
    let ahead = Some(Ahead { task_types: [task_type("work")].into(), executions });
    let offer = bench.offer(worker, &["work", "slow"], slots);
    let offer = ClaimOffer { ahead, suspects: Suspects::Refused, ..offer };
    some(bench.apply(Batch::claiming(offer, at(10))).await.claims)
}
