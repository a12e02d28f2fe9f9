//! Workers, their signs of life, and what they leave behind.

use azoth_scheduler_core::command::{AbandonReason, OnConflict, Wish};
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::testing::{actor, at, succeeded, task_type, text, wish, worker};
use azoth_scheduler_core::time::Timestamp;

use super::bench::{Bench, ends, ok, some, want, want_with, worker_info};
use super::fencing::taken;
use crate::store::{Renewal, WorkerInfo};

pub(super) async fn a_worker_lives_from_its_registration_to_its_end(bench: &mut Bench) {
    let (one, two) = (bench.worker(at(0)).await, bench.worker(at(3)).await);
    assert_eq!(bench.store().renew_worker(one, at(5)).await, Ok(Renewal::Renewed));
    assert_eq!(bench.store().renew_worker(one, at(10)).await, Ok(Renewal::Renewed));
    let mut rows = ok(bench.store().workers().await);
    rows.sort_by_key(|row| row.renewals);
    let seen: Vec<_> = rows.iter().map(|row| (row.info.clone(), row.renewals, row.renewed_at)).collect();
    assert_eq!(seen, [(worker_info(two), 0, at(3)), (worker_info(one), 2, at(10))]);
    assert_eq!(bench.store().end_worker(one).await, Ok(()));
    assert_eq!(bench.store().end_worker(one).await, Ok(()), "ending it again changes nothing");
    assert_eq!(bench.store().renew_worker(one, at(11)).await, Ok(Renewal::Ended));
    assert_eq!(
        bench.store().renew_worker(worker(4_711), at(11)).await,
        Ok(Renewal::Ended),
        "never registered"
    );
    let rows = ok(bench.store().workers().await);
    assert_eq!(rows.iter().map(|row| row.info.worker).collect::<Vec<_>>(), [two]);
}

pub(super) async fn executions_of_a_worker_that_ended_are_orphans(bench: &mut Bench) {
    let (dead, alive) = (bench.worker(at(0)).await, bench.worker(at(0)).await);
    for task in ["a", "b", "c"] {
        bench.does(want(task, Schedule::immediate()), at(0)).await;
    }
    let held = bench.claim(dead, &["work"], 2, at(1)).await.claimed;
    let other = bench.claim(alive, &["work"], 1, at(1)).await.claimed;
    ok(bench.store().renew_worker(dead, at(7)).await);
    assert_eq!(bench.store().orphans(10).await, Ok(Vec::new()), "while it lives there are none");
    ok(bench.store().end_worker(dead).await);
    let mut orphans = ok(bench.store().orphans(10).await);
    orphans.sort_by_key(|orphan| orphan.execution);
    assert_eq!(ok(bench.store().orphans(1).await).len(), 1, "at most as many as asked for");
    for (orphan, claimed) in orphans.iter().zip(&held) {
        assert_eq!((&orphan.task, orphan.execution), (&claimed.task, claimed.execution));
        assert_eq!((orphan.worker, orphan.last_seen), (dead, at(7)));
        bench.does(taken(claimed, AbandonReason::WorkerLost, orphan.last_seen), at(30)).await;
    }
    assert_eq!(orphans.len(), held.len());
    assert_eq!(bench.store().orphans(10).await, Ok(Vec::new()));
    assert_eq!(bench.phase("a").await, PhaseKind::Waiting);
    let again = bench.claim(alive, &["work"], 5, at(31)).await.claimed;
    assert_eq!(again.iter().map(|claimed| claimed.attempt).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(some(other.first().cloned()).attempt, 1);
}

pub(super) async fn what_a_worker_holds_is_known(bench: &mut Bench) {
    let (one, two) = (bench.worker(at(0)).await, bench.worker(at(0)).await);
    for task in ["a", "b", "c"] {
        bench.does(want(task, Schedule::immediate()), at(0)).await;
    }
    let claimed = bench.claim(one, &["work"], 2, at(0)).await.claimed;
    let mut held = ok(bench.store().held_by(one).await);
    held.sort();
    assert_eq!(held, claimed.iter().map(|claimed| claimed.execution).collect::<Vec<_>>());
    assert_eq!(bench.store().held_by(two).await, Ok(Vec::new()));
    let (first, second) = (some(claimed.first()), some(claimed.last()));
    bench.does(ends(first, succeeded()), at(1)).await;
    assert_eq!(bench.store().held_by(one).await, Ok(vec![second.execution]));
    bench.does(taken(second, AbandonReason::NotStarted, at(1)), at(1)).await;
    assert_eq!(bench.store().held_by(one).await, Ok(Vec::new()));
}

pub(super) async fn workers_and_their_executions_survive_a_reopening(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    let claimed = bench.claim_one(owner, at(0)).await;
    bench.reopen().await;
    ok(bench.store().rebuild_projection().await);
    assert_eq!(ok(bench.store().workers().await).len(), 1);
    assert_eq!(bench.store().held_by(owner).await, Ok(vec![claimed.execution]));
    assert!(bench.claim(owner, &["work"], 1, at(9)).await.claimed.is_empty(), "it is not given out twice");
    bench.does(ends(&claimed, succeeded()), at(10)).await;
    assert_eq!(bench.phase("task").await, PhaseKind::Finished);
}

/// What is said of types that nobody handles.
async fn unhandled(bench: &Bench, now: Timestamp) -> Vec<(String, u64, Option<Timestamp>)> {
    let unhandled = ok(bench.store().stats(now).await).unhandled;
    let due = ok(bench.store().unhandled_due(now).await);
    let of_stats = unhandled.iter().filter_map(|found| Some((found.task_type.clone(), found.oldest_due?)));
    assert_eq!(due, of_stats.collect(), "both say the same");
    let found = unhandled.into_iter();
    found.map(|found| (found.task_type.as_str().to_owned(), found.tasks, found.oldest_due)).collect()
}

pub(super) async fn types_that_no_living_worker_handles_are_reported(bench: &mut Bench) {
    let of_type = |task: &str, name: &str, due: i64| {
        let kind = |definition: &mut TaskDefinition| definition.task_type = task_type(name);
        want_with(task, Schedule::one_time(at(due)), OnConflict::Redefine, kind)
    };
    for (task, name, due) in [("a", "mail", 5), ("b", "mail", 3), ("c", "report", 50), ("d", "work", 1)] {
        bench.does(of_type(task, name, due), at(0)).await;
    }
    let (mail, report, work) = ("mail".to_owned(), "report".to_owned(), "work".to_owned());
    let all = [(mail.clone(), 2, None), (report.clone(), 1, None), (work, 1, Some(at(1)))];
    assert_eq!(unhandled(bench, at(2)).await, all, "without a worker it is all of them");
    let one = bench.worker(at(2)).await;
    assert_eq!(unhandled(bench, at(10)).await, [(mail.clone(), 2, Some(at(3))), (report.clone(), 1, None)]);
    let newer =
        WorkerInfo { task_types: [task_type("mail"), task_type("report")].into(), ..worker_info(worker(77)) };
    ok(bench.store().register_worker(newer.clone(), at(10)).await);
    assert_eq!(unhandled(bench, at(10)).await, []);
    let rows = ok(bench.store().workers().await);
    assert!(rows.iter().any(|row| row.info == newer), "others see what it handles: {rows:?}");
    let fewer = WorkerInfo { task_types: [task_type("report")].into(), ..newer };
    ok(bench.store().register_worker(fewer, at(11)).await);
    assert_eq!(
        unhandled(bench, at(11)).await,
        [(mail.clone(), 2, Some(at(3)))],
        "it was registered again with less"
    );
    bench.does(wish("b", Wish::Cancel { reason: text("no more"), by: actor("ops") }), at(12)).await;
    assert_eq!(
        unhandled(bench, at(12)).await,
        [(mail.clone(), 1, Some(at(5)))],
        "what has ended waits for nobody"
    );
    ok(bench.store().end_worker(worker(77)).await);
    assert_eq!(unhandled(bench, at(60)).await, [(mail, 1, Some(at(5))), (report, 1, Some(at(50)))]);
    ok(bench.store().end_worker(one).await);
    assert_eq!(unhandled(bench, at(60)).await.len(), 3);
}
