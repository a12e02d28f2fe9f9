//! Several handles on one file, and callers that share a commit.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use azoth_scheduler_core::command::{ScopeCommand, ScopeWish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::scope::{Limits, LimitsChange, Scope};
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_store::{Batch, LogPosition, Renewal, Store, StoreError, Subject, TaskFilter};

use crate::support::*;

#[tokio::test]
async fn callers_that_wait_share_a_commit() {
    const CALLERS: u64 = 64;
    let folder = Folder::new();
    let store = folder.open();
    let blocker = folder.raw();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let store = store.clone();
        let commands = vec![job(&format!("task-{number}"))];
        callers.push(tokio::spawn(async move { store.apply(Batch::new(commands, at(0))).await }));
    }
    // All of them have run up to the point where they wait for the writer.
    for _ in 0..CALLERS {
        tokio::task::yield_now().await;
    }
    blocker.execute_batch("COMMIT").unwrap();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().answers, [Ok(Answer::Created)]);
    }
    let stats = store.stats(at(0)).await.unwrap();
    assert_eq!(stats.events_committed, CALLERS);
    // A group ends after its time, so a machine that is busy needs a few.
    assert!(stats.commits <= CALLERS / 4, "{} commits for {CALLERS} callers", stats.commits);
    assert_sound(&store).await;
}

#[tokio::test]
async fn refused_command_hinders_no_other_one() {
    let folder = Folder::new();
    let store = folder.open();
    let applied = apply(
        &store,
        at(0),
        [
            job("a"),
            succeed("a", execution(1), b"", at(0)),
            succeed("none", execution(1), b"", at(0)),
            job("b"),
        ],
    )
    .await;
    let went_well: Vec<_> = applied.answers.iter().map(Result::is_ok).collect();
    assert_eq!(went_well, [true, false, false, true]);
    assert_eq!(store.head().await.unwrap().number(), 2);
    assert_sound(&store).await;
}

#[tokio::test]
async fn batch_over_the_limit_is_refused_before_anything_is_written() {
    let folder = Folder::new();
    let store = folder.open();
    let commands = vec![job("a"); azoth_scheduler_store::store::BATCH_COMMANDS_MAX + 1];
    let error = store.apply(Batch::new(commands, at(0))).await.unwrap_err();
    assert!(matches!(error, StoreError::BatchTooLarge { commands: 10_001, limit: 10_000 }), "{error}");
    assert_eq!(store.head().await.unwrap(), LogPosition::START);
    assert_sound(&store).await;
}

#[tokio::test]
async fn two_stores_on_one_file_claim_each_task_once() {
    let folder = Folder::new();
    let stores = [folder.open(), folder.open()];
    for (store, number) in stores.iter().zip(1..) {
        store.register_worker(worker_info(number), at(0)).await.unwrap();
    }
    let mut claimed = BTreeSet::new();
    let mut next = 1;
    for round in 0..20 {
        let (giver, takers) = (&stores[round % 2], [&stores[(round + 1) % 2], &stores[round % 2]]);
        apply(giver, at(0), (0..5).map(|number| job(&format!("task-{round}-{number}")))).await;
        for (taker, by) in takers.into_iter().zip([2 - round as u128 % 2, 1 + round as u128 % 2]) {
            let ids = next..next + 3;
            next += 3;
            for claim in claim(taker, at(1), offer(by, ids)).await {
                assert!(claimed.insert(claim.task.clone()), "{} is claimed twice", claim.task);
                let done = succeed(claim.task.as_str(), claim.execution, b"", at(1));
                assert_eq!(apply(giver, at(2), [done]).await.answers, [Ok(Answer::Recorded)]);
            }
        }
    }
    assert_eq!(claimed.len(), 100);
    assert_sound(&stores[0]).await;
}

#[tokio::test]
async fn commands_of_two_stores_at_once_all_come_to_pass() {
    let folder = Folder::new();
    let stores = [folder.open(), folder.open()];
    let mut callers = Vec::new();
    for number in 0..100 {
        let store = stores[number % 2].clone();
        let commands = vec![job(&format!("task-{number}"))];
        callers.push(tokio::spawn(async move { store.apply(Batch::new(commands, at(0))).await }));
    }
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().answers, [Ok(Answer::Created)]);
    }
    assert_eq!(stores[1].head().await.unwrap().number(), 100);
    assert_sound(&stores[0]).await;
}

#[tokio::test]
async fn rebuild_by_one_store_is_seen_by_the_other() {
    let folder = Folder::new();
    let stores = [folder.open(), folder.open()];
    stores[0].register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&stores[0], at(0), [job("a")]).await;
    stores[1].rebuild_projection().await.unwrap();
    assert_eq!(claim(&stores[0], at(1), offer(1, [7])).await.len(), 1);
    apply(&stores[1], at(2), [succeed("a", execution(7), b"", at(1))]).await;
    assert_sound(&stores[0]).await;
}

#[tokio::test]
async fn worker_that_ended_claims_nothing_and_what_it_held_is_an_orphan() {
    let folder = Folder::new();
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [job("a"), job("b")]).await;
    claim(&store, at(1), offer(1, [7])).await;
    assert_eq!(store.renew_worker(worker(1), at(5)).await.unwrap(), Renewal::Renewed);
    assert_eq!(store.held_by(worker(1)).await.unwrap(), [execution(7)]);
    assert!(store.orphans(10).await.unwrap().is_empty());

    store.end_worker(worker(1)).await.unwrap();
    store.end_worker(worker(1)).await.unwrap();
    store.register_worker(worker_info(1), at(6)).await.unwrap();
    assert_eq!(store.renew_worker(worker(1), at(6)).await.unwrap(), Renewal::Ended);
    assert!(store.workers().await.unwrap().is_empty());
    let batch = Batch::claiming(offer(1, [8]), at(6));
    let claims = store.apply(batch).await.unwrap().claims.unwrap();
    assert!(claims.worker_ended && claims.claimed.is_empty());
    let orphans = store.orphans(10).await.unwrap();
    assert_eq!((orphans[0].execution, orphans[0].last_seen), (execution(7), at(5)));
    assert_sound(&store).await;
}

#[tokio::test]
async fn worker_that_another_store_has_ended_claims_nothing() {
    let folder = Folder::new();
    let stores = [folder.open(), folder.open()];
    stores[0].register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&stores[0], at(0), [job("a"), job("b")]).await;
    assert_eq!(claim(&stores[0], at(1), offer(1, [7])).await.len(), 1);
    stores[1].end_worker(worker(1)).await.unwrap();
    let claims = stores[0].apply(Batch::claiming(offer(1, [8]), at(1))).await.unwrap().claims.unwrap();
    assert!(claims.worker_ended && claims.claimed.is_empty());
    assert_sound(&stores[0]).await;
}

#[tokio::test]
async fn signs_of_life_are_kept_whole() {
    let folder = Folder::new();
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    store.renew_worker(worker(1), at(3)).await.unwrap();
    let workers = store.workers().await.unwrap();
    assert_eq!(workers[0].info, worker_info(1));
    assert_eq!((workers[0].renewals, workers[0].renewed_at), (1, at(3)));
    assert_sound(&store).await;
}

/// I22, over two stores that claim at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_file_together_keep_the_limits_of_types_and_keys() {
    let folder = Folder::new();
    let stores = [folder.open(), folder.open()];
    let limits = Limits { max_running: NonZeroU32::new(3), ..Limits::default() };
    let wish = ScopeWish::ChangeLimits { change: LimitsChange::Set(limits), by: actor() };
    let limit = ScopeCommand { scope: Scope::TaskType(kind("work")), wish };
    stores[0].apply(Batch::new([limit], at(0))).await.unwrap();
    let keyed = |number: usize| {
        let key = Some(format!("key-{}", number % 4).parse().unwrap());
        let definition = definition(Schedule::immediate());
        schedule(&format!("task-{number}"), TaskDefinition { concurrency_key: key, ..definition }, b"")
    };
    apply(&stores[1], at(0), (0..60).map(keyed)).await;
    let mut claimers = Vec::new();
    for (store, number) in stores.clone().into_iter().zip(1u128..) {
        store.register_worker(worker_info(number), at(0)).await.unwrap();
        claimers.push(tokio::spawn(async move {
            for round in 0..200u128 {
                let first = number << 64 | round << 8;
                let claimed = claim(&store, at(1), offer(number, first..first + 4)).await;
                for claim in claimed {
                    let done = succeed(claim.task.as_str(), claim.execution, b"", at(1));
                    apply(&store, at(1), [done]).await;
                }
            }
        }));
    }
    for claimer in claimers {
        claimer.await.unwrap();
    }
    let (mut running, mut most) = (BTreeSet::new(), 0);
    for event in stores[0].events(LogPosition::START, 1_000).await.unwrap() {
        let Subject::Task(task) = event.subject else { continue };
        let key = task.as_str().trim_start_matches("task-").parse::<usize>().unwrap() % 4;
        match event.event {
            Event::ExecutionStarted { .. } => assert!(running.insert(key), "two of one key run at once"),
            Event::TaskExecuted { .. } => assert!(running.remove(&key)),
            _ => {}
        }
        assert!(running.len() <= 3, "more run at once than may");
        most = most.max(running.len());
    }
    assert_eq!((running.len(), most), (0, 3));
    let left = TaskFilter::new().enabled(true);
    assert_eq!(stores[0].tasks(&left).await.unwrap(), []);
    assert_sound(&stores[0]).await;
}
