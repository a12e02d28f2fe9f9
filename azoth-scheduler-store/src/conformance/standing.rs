//! Offers that stand: claims in the transaction that schedules.

use azoth_scheduler_core::id::WorkerId;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::testing::{at, succeeded};

use super::bench::{Bench, ends, ok, some, want};
use super::claiming::names;
use crate::record::LogPosition;
use crate::standing::StandingOffer;
use crate::store::Claims;

pub(super) async fn what_is_scheduled_while_an_offer_stands_is_claimed_in_the_same_transaction(
    bench: &mut Bench,
) {
    let owner = bench.worker(at(0)).await;
    let offer = bench.offer(owner, &["work"], 5);
    let ids = offer.executions.clone();
    let standing = bench.store().stand(offer, LogPosition::START);
    let before = ok(bench.store().stats(at(0)).await).commits;
    bench.does(want("task", Schedule::immediate()), at(3)).await;
    let commits = ok(bench.store().stats(at(0)).await).commits - before;
    assert_eq!((bench.story("task").await, commits), (vec!["TaskScheduled", "ExecutionStarted"], 1));
    standing.answered().await;
    let claims = some(ok(standing.withdraw().await));
    let claimed = some(claims.claimed.first());
    assert_eq!((claimed.execution, claimed.claimed_at), (some(ids.first().copied()), at(3)));
    assert_eq!((claims.claimed.len(), claims.seen), (1, ok(bench.store().head().await)), "I7");
    assert!(bench.claim(owner, &["work"], 5, at(9)).await.claimed.is_empty());
    bench.does(ends(claimed, succeeded()), at(9)).await;
    assert_eq!(bench.phase("task").await, PhaseKind::Finished);
}

pub(super) async fn an_offer_stands_until_something_of_its_types_is_due(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    let standing = stand(bench, owner, &["work", "other"], 5, LogPosition::START);
    bench.does(want("later", Schedule::one_time(at(60))), at(0)).await;
    bench.does(want("sooner", Schedule::one_time(at(30))), at(0)).await;
    assert_eq!((standing.next_due(), standing.seen()), (Some(at(30)), ok(bench.store().head().await)));
    bench.does(want("now", Schedule::immediate()), at(20)).await;
    let claims = some(ok(standing.withdraw().await));
    assert_eq!((names(&claims), claims.next_due), (vec!["now".to_owned()], Some(at(30))));

    let standing = stand(bench, owner, &["other"], 5, claims.seen);
    bench.does(want("not-of-its-type", Schedule::immediate()), at(40)).await;
    assert_eq!(standing.seen(), ok(bench.store().head().await));
    assert!(ok(standing.withdraw().await).is_none(), "I13");
    assert_eq!(bench.phase("not-of-its-type").await, PhaseKind::Waiting);
}

pub(super) async fn a_standing_offer_brings_no_more_than_it_has_ids_for(bench: &mut Bench) {
    // I27
    let (one, two) = (bench.worker(at(0)).await, bench.worker(at(0)).await);
    let first = stand(bench, one, &["work"], 2, LogPosition::START);
    let second = stand(bench, two, &["work"], 2, LogPosition::START);
    let tasks = ["a", "b", "c", "d", "e"].map(|task| want(task, Schedule::immediate()));
    bench.say_all(tasks.to_vec(), at(0)).await;
    let (first, second) = (some(ok(first.withdraw().await)), some(ok(second.withdraw().await)));
    assert_eq!((names(&first), names(&second)), (named(["a", "b"]), named(["c", "d"])));
    assert_eq!(second.next_due, Some(at(0)), "one is left");
    bench.does(want("f", Schedule::immediate()), at(1)).await;
    assert_eq!(bench.phase("f").await, PhaseKind::Waiting, "an offer is answered once");
}

pub(super) async fn an_offer_that_was_withdrawn_or_dropped_brings_nothing(bench: &mut Bench) {
    // I27
    let owner = bench.worker(at(0)).await;
    let standing = stand(bench, owner, &["work"], 5, LogPosition::START);
    assert!(ok(standing.withdraw().await).is_none());
    drop(stand(bench, owner, &["work"], 5, LogPosition::START));
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    assert_eq!(bench.story("task").await, ["TaskScheduled"]);
    assert_eq!(bench.store().held_by(owner).await, Ok(Vec::new()));
}

pub(super) async fn an_offer_of_a_worker_that_has_ended_claims_nothing(bench: &mut Bench) {
    // I13, I27
    let owner = bench.worker(at(0)).await;
    let standing = stand(bench, owner, &["work"], 5, LogPosition::START);
    ok(bench.store().end_worker(owner).await);
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    let Claims { claimed, worker_ended, .. } = some(ok(standing.withdraw().await));
    assert!(claimed.is_empty() && worker_ended, "{claimed:?}");
    assert_eq!(bench.story("task").await, ["TaskScheduled"]);
}

pub(super) async fn what_an_offer_may_have_missed_is_not_called_seen(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    let claimed = bench.claim_one(owner, at(0)).await;
    let seen = ok(bench.store().head().await);
    let standing = stand(bench, owner, &["work"], 5, seen);
    // The end of an execution may let others be claimed, whatever they waited for.
    bench.does(ends(&claimed, succeeded()), at(1)).await;
    assert_eq!(standing.seen(), seen);
    assert!(ok(standing.withdraw().await).is_none());
}

fn stand(
    bench: &mut Bench,
    worker: WorkerId,
    types: &[&str],
    slots: usize,
    seen: LogPosition,
) -> StandingOffer {
    let offer = bench.offer(worker, types, slots);
    bench.store().stand(offer, seen)
}

fn named<const N: usize>(tasks: [&str; N]) -> Vec<String> {
    tasks.map(str::to_owned).to_vec()
}
