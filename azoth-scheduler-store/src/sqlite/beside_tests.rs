//! What is let go while somebody reads the whole log: each test stops the reader between two pages.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use azoth_scheduler_core::command::{NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::testing::{definition, wish};
use azoth_scheduler_core::time::Timestamp;
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use super::export::Export;
use super::group::Group;
use super::log_check::LogCheck;
use super::place::Place;
use super::readers::{self, in_snapshot};
use super::upkeep::{Upkeep, Work};
use super::verify::Verification;
use super::{CutOptions, SqliteOptions, SqliteStore, log, log_check, survey};
use crate::record::LogPosition;
use crate::store::{Batch, Store};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds).unwrap()
}

/// A task with the words for its payload.
fn want(number: u64, words: &str) -> TaskCommand {
    let payload = Payload::new(format!("{words} {number}").into_bytes());
    let every_minute = definition(Schedule::interval_secs(60).unwrap());
    let new = NewTask::new(every_minute, payload, OnConflict::Redefine);
    wish(&format!("task-{number}"), Wish::Schedule(new))
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

/// Retention dropped payloads behind the page that an export stood at, and the event that says so was not in the export: an
/// import of it was refused.
#[tokio::test]
async fn export_beside_which_payloads_are_dropped_says_so_and_can_be_imported() {
    let folder = tempfile::tempdir().unwrap();
    let store = twice_defined(&folder).await;
    let path = folder.path().join("export.jsonl");
    File::create(&path).unwrap();
    let conn = readers::connect(&store.shared.place).unwrap();
    let mut export = Export::begin(&conn, &path).unwrap();
    assert!(export.page(&conn).unwrap());

    // What task 1,099 was given at first is behind that page, and the export has yet to come to what it is given now.
    store.apply(Batch::new(vec![want(TASKS - 1, "third")], at(5))).await.unwrap();
    assert_eq!(drop_payloads(&store).await, TASKS + 1);
    while export.page(&conn).unwrap() {}
    let report = export.end(&conn).unwrap();
    assert_eq!((report.events, report.head), (2 * TASKS + 2, store.head().await.unwrap()));
    let options = SqliteOptions::new().allow_old_sqlite(true);
    let copy = SqliteStore::import(folder.path().join("copy.db"), [&path], options).await.unwrap();
    assert_eq!(copy.verify().await.unwrap(), store.verify().await.unwrap());
}

/// A salvage called payloads lost that retention dropped while it looked the log over.
#[tokio::test]
async fn payload_that_is_dropped_beside_a_salvage_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = twice_defined(&folder).await;
    let conn = readers::connect(&store.shared.place).unwrap();
    let row = log::row_known_at(&conn, 1).unwrap();
    let dropped_before = 0;
    assert_eq!(drop_payloads(&store).await, TASKS);
    let content = survey::read(&conn, &row, dropped_before).unwrap().unwrap();
    assert_eq!(content.payload, Ok(None));
}

/// Whoever gave up waiting for a cut let its lock go while the writer still moved the beginning of the log.
#[tokio::test]
async fn cut_that_nobody_waits_for_any_more_keeps_others_away_until_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let store = twice_defined(&folder).await;
    let (reached, mut at_commit) = unbounded_channel();
    let (go_on, told) = mpsc::channel::<()>();
    let is_armed = Arc::new(AtomicBool::new(false));
    let mut hook = Some({
        let is_armed = Arc::clone(&is_armed);
        move || {
            if is_armed.load(Ordering::Relaxed) {
                reached.send(()).unwrap();
                // Once nobody is there to tell it any more, each commit goes through.
                let _ = told.recv();
            }
            false
        }
    });
    let set = move |group: &mut Group<'_>| {
        // Older drivers answer nothing here.
        let _ = group.conn().commit_hook(hook.take());
        Ok(())
    };
    store.write(set).await.unwrap();
    is_armed.store(true, Ordering::Relaxed);
    let cut = tokio::spawn({
        let (store, archive) = (store.clone(), folder.path().join("1.jsonl"));
        async move { store.cut_log(CutOptions::archive_to(archive), at(9)).await }
    });
    at_commit.recv().await.unwrap();
    cut.abort();
    assert!(cut.await.unwrap_err().is_cancelled());
    let impatient = SqliteOptions::new().allow_old_sqlite(true).busy_wait(Duration::ZERO);
    let place = Place::find(store.path(), impatient).unwrap();
    assert!(Upkeep::take(&place, Work::Verify).is_err(), "the beginning of the log is being moved");
    drop(go_on);
    assert!(store.verify().await.unwrap().is_sound());
    assert_eq!(store.stats(at(10)).await.unwrap().cut, LogPosition::from_number(2 * TASKS));
}

/// More than a page of the log, and more payloads than are dropped in one transaction.
const TASKS: u64 = 1_100;
