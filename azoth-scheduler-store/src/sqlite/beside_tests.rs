//! What is let go while somebody reads the whole log: each test stops the reader between two pages.

use std::num::NonZeroU64;
use std::time::Duration;

use azoth_scheduler_core::command::{NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::id::{TaskId, TaskType};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::retry::RetryPolicy;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::time::Timestamp;
use tempfile::TempDir;

use super::log_check::LogCheck;
use super::readers::{self, in_snapshot};
use super::verify::Verification;
use super::{SqliteOptions, SqliteStore, log_check};
use crate::store::{Batch, Store};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds).unwrap()
}

/// A task with the words for its payload.
fn want(number: u64, words: &str) -> TaskCommand {
    let definition = TaskDefinition {
        task_type: TaskType::new("work").unwrap(),
        payload: Payload::empty().digest(),
        schedule: Schedule::interval_secs(60).unwrap(),
        retry: RetryPolicy::default(),
        timeout_ms: NonZeroU64::new(60_000).unwrap(),
        priority: Priority::Normal,
        group: None,
        concurrency_key: None,
        after: None,
        unique: None,
    };
    let payload = Payload::new(format!("{words} {number}").into_bytes());
    let new = NewTask::new(definition, payload, OnConflict::Redefine);
    TaskCommand { task: TaskId::new(format!("task-{number}")).unwrap(), wish: Wish::Schedule(new) }
}

async fn say(store: &SqliteStore, words: &str, now: Timestamp) {
    let commands: Vec<_> = (0..TASKS).map(|number| want(number, words)).collect();
    store.apply(Batch::new(commands, now)).await.unwrap();
}

/// Tasks that are all defined twice: the payloads of the first half of the log may go.
async fn twice_defined(folder: &TempDir) -> SqliteStore {
    let options = SqliteOptions::new().allow_old_sqlite(true);
    let store = SqliteStore::open_with(folder.path().join("scheduler.db"), options).unwrap();
    say(&store, "first", at(0)).await;
    say(&store, "second", at(1)).await;
    store
}

/// Drops all payloads that nobody needs: so many.
async fn drop_payloads(store: &SqliteStore) -> u64 {
    let policy = RetentionPolicy::new().keep_payloads_for(Duration::ZERO);
    store.retain(&policy, at(10)).await.unwrap().payloads
}

/// Payloads that retention dropped between two pages were reported as missing: how far they were dropped had been read once,
/// before the first page.
#[tokio::test]
async fn payloads_that_are_dropped_between_two_pages_are_not_missing() {
    let folder = tempfile::tempdir().unwrap();
    let store = twice_defined(&folder).await;
    let mut verification = Verification::start(&store.shared.place).unwrap();
    assert!(verification.page().unwrap());
    let conn = readers::connect(&store.shared.place).unwrap();
    let mut check = LogCheck::start(&conn, "main").unwrap();
    assert!(in_snapshot(&conn, |conn| log_check::page(conn, &mut check)).unwrap());

    assert_eq!(drop_payloads(&store).await, TASKS);
    while verification.page().unwrap() {}
    let report = verification.end().unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
    assert_eq!(report.events, 2 * TASKS + 1);
    while in_snapshot(&conn, |conn| log_check::page(conn, &mut check)).unwrap() {}
    let report = in_snapshot(&conn, |conn| log_check::rest(conn, check)).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
    assert_eq!(report.events, 2 * TASKS + 1);
}

/// More than a page of the log, and more payloads than are dropped in one transaction.
const TASKS: u64 = 1_100;
