//! Commits of others, noticed without asking for them.

use std::time::Duration;

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_store::{LogPosition, Store};
use tokio::sync::watch;

use crate::support::*;

/// Waits until this process knows of that many events. A test that hangs fails, instead of holding up the gate.
async fn until(head: &mut watch::Receiver<LogPosition>, events: u64) {
    let known = head.wait_for(|head| head.number() >= events);
    tokio::time::timeout(Duration::from_secs(60), known).await.expect("the commit is noticed").unwrap();
}

#[tokio::test]
async fn commit_of_another_handle_is_told_though_nobody_asks() {
    // What is another process's is another connection here; both are seen in the file alone.
    let folder = Folder::new();
    let (here, there) = (folder.open(), folder.open());
    let mut head = here.watch_head();
    for number in 1..=20 {
        apply(&there, at(0), [job(&format!("task-{number}"))]).await;
        until(&mut head, number).await;
    }
    assert_eq!(here.stats(at(0)).await.unwrap().commits, 0, "it was the other one who committed");
    assert_sound(&here).await;
}

#[tokio::test]
async fn what_was_committed_before_anybody_waited_is_told() {
    let folder = Folder::new();
    let (here, there) = (folder.open(), folder.open());
    apply(&there, at(0), [job("task")]).await;
    until(&mut here.watch_head(), 1).await;
}

#[tokio::test]
async fn commits_are_told_also_once_the_write_ahead_log_was_cut_to_nothing() {
    let folder = Folder::new();
    let (here, there) = (folder.open(), folder.open());
    let mut head = here.watch_head();
    apply(&there, at(0), [job("a")]).await;
    until(&mut head, 1).await;
    // As after a large backlog.
    folder.raw().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    apply(&there, at(0), [job("b")]).await;
    until(&mut head, 2).await;
}

#[tokio::test]
async fn who_waits_for_a_task_hears_what_another_handle_does_to_it_and_to_no_other() {
    let folder = Folder::new();
    let (here, there) = (folder.open(), folder.open());
    apply(&there, at(0), [job("a"), job("b")]).await;
    let mut head = here.watch_head();
    until(&mut head, 2).await;
    let mut waits = here.watch_task(&id("a"));
    for number in 0..10 {
        apply(&there, at(1), [job(&format!("task-{number}"))]).await;
        until(&mut head, 3 + number).await;
    }
    assert!(!waits.has_changed().unwrap(), "tasks are told of before the head is");
    // A commit of this handle's own comes behind one of the other's that it may not have heard of yet.
    apply(&there, at(2), [cancel("a")]).await;
    apply(&here, at(2), [cancel("b")]).await;
    until(&mut waits, 13).await;
    assert!(here.task(&id("a")).await.unwrap().unwrap().state.phase.kind() == PhaseKind::Cancelled);
    until(&mut head, 14).await;
    let policy = RetentionPolicy::new().keep_cancelled_for(Duration::ZERO);
    assert_eq!(there.retain(&policy, at(9)).await.unwrap().tasks, 2);
    until(&mut waits, 15).await;
    assert!(here.task(&id("a")).await.unwrap().is_none(), "it has left");
    assert_sound(&here).await;
}

fn cancel(name: &str) -> TaskCommand {
    let wish = Wish::Cancel { reason: ErrorText::new("enough"), by: actor() };
    TaskCommand { task: id(name), wish }
}

#[tokio::test]
async fn store_that_is_dropped_ends_its_watch() {
    let folder = Folder::new();
    let other = folder.open();
    for _ in 0..20 {
        let store = folder.open();
        drop(store.watch_head());
        // Returns only once the thread that watches has ended.
        drop(store);
    }
    assert_sound(&other).await;
}

/// Where a file system tells of no writes, whoever waits has to ask.
#[tokio::test]
async fn store_says_that_it_hears_of_commits_only_once_it_has_heard_of_one() {
    let folder = Folder::new();
    let (here, there) = (folder.open(), folder.open());
    assert!(!here.hears_every_commit(), "nobody watches yet");
    let mut head = here.watch_head();
    for number in 1..=10 {
        apply(&there, at(0), [job(&format!("task-{number}"))]).await;
        until(&mut head, number).await;
        if here.hears_every_commit() {
            return;
        }
        // The first ones may have been seen as the watch began, before any hint.
    }
    panic!("ten commits were told and none was heard");
}
