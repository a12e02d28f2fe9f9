//! A write-ahead log that is cut, torn, flipped, deleted, or that of another file.

use std::fs;
use std::path::PathBuf;

use azoth_scheduler_store::{Batch, Health, LogPosition, RecordedEvent, SqliteStore, Store};

use crate::support::*;

/// Database and log as a killed process leaves them, and what they hold.
struct Left {
    database: Vec<u8>,
    log: Vec<u8>,
    events: Vec<RecordedEvent>,
}

fn log_of(folder: &Folder) -> PathBuf {
    folder.path().with_file_name("scheduler.db-wal")
}

/// Twelve commits, none of which has been copied into the database.
async fn left() -> Left {
    let folder = Folder::new();
    drop(folder.open());
    let store = folder.open();
    for number in 0..12 {
        apply(&store, at(number), [job(&format!("task-{number}"))]).await;
    }
    let events = store.events(LogPosition::START, 100).await.unwrap();
    let database = fs::read(folder.path()).unwrap();
    Left { database, log: fs::read(log_of(&folder)).unwrap(), events }
}

/// Opens a database with this log; what it holds must be sound, or it must not be written.
async fn found(database: &[u8], log: &[u8]) -> Option<Vec<RecordedEvent>> {
    let folder = Folder::new();
    fs::write(folder.path(), database).unwrap();
    fs::write(log_of(&folder), log).unwrap();
    let store = SqliteStore::open_with(folder.path(), options()).ok()?;
    let damaged = matches!(store.health(), Health::Failed { .. });
    let events = store.events(LogPosition::START, 100).await;
    let report = store.verify().await;
    let sound = report.is_ok_and(|report| report.is_sound());
    let wrote =
        store.apply(Batch { commands: vec![job("next").into()], now: at(99), offer: None }).await.is_ok();
    // I18
    assert!(sound || !wrote, "it was written on top of damage");
    assert!(!(damaged && wrote));
    events.ok().filter(|_| sound)
}

#[tokio::test]
async fn log_that_is_cut_anywhere_holds_the_commits_before() {
    let left = left().await;
    let mut lengths: Vec<usize> = (0..left.log.len()).step_by(FRAME + 7).collect();
    lengths.extend([1, HEADER - 1, HEADER, HEADER + 24, HEADER + FRAME, left.log.len() - 1]);
    lengths.sort_unstable();
    let mut before = 0;
    for length in lengths {
        let events = found(&left.database, &left.log[..length]).await.expect("a shorter log is no damage");
        assert_eq!(events, left.events[..events.len()], "cut to {length}");
        assert!(events.len() >= before, "a longer log holds no fewer commits");
        before = events.len();
    }
    assert!(before < left.events.len(), "the last byte belongs to the last commit");
    assert_eq!(found(&left.database, &left.log).await.unwrap(), left.events);
}

#[tokio::test]
async fn log_with_a_flipped_bit_anywhere_holds_the_commits_before() {
    let left = left().await;
    for at in (0..left.log.len()).step_by(FRAME + 11).chain((0..HEADER).step_by(3)) {
        let mut log = left.log.clone();
        log[at] ^= 1 << (at % 8);
        let events = found(&left.database, &log).await;
        let events = events.unwrap_or_else(|| panic!("the engine's checksums find a flip at {at}"));
        assert_eq!(events, left.events[..events.len()], "flipped at {at}");
    }
}

#[tokio::test]
async fn deleted_log_is_noticed_by_a_head_that_was_kept_elsewhere() {
    let folder = Folder::new();
    let store = folder.open();
    apply(&store, at(0), [job("a")]).await;
    drop(store);
    let store = folder.open();
    apply(&store, at(1), [job("b")]).await;
    let (known, hash) = {
        let report = store.verify().await.unwrap();
        (report.head, report.head_hash)
    };
    let copy = Folder::new();
    // What is left of a killed process whose log somebody has deleted.
    fs::copy(folder.path(), copy.path()).unwrap();
    let error = SqliteStore::open_with(copy.path(), options().known_head(known, hash)).unwrap_err();
    assert!(error.to_string().contains("does not hold event 2"), "{error}");
    let store = copy.open();
    assert_eq!(store.head().await.unwrap().number(), 1);
    assert_sound(&store).await;
    drop(store);
    fs::copy(log_of(&folder), log_of(&copy)).unwrap();
    let store = SqliteStore::open_with(copy.path(), options().known_head(known, hash)).unwrap();
    assert_eq!(store.head().await.unwrap(), known);
    let other = SqliteStore::open_with(copy.path(), options().known_head(known, [9; 32]));
    assert!(other.is_err(), "another event at the same place");
}

#[tokio::test]
async fn log_of_another_file_is_never_written_on_top_of() {
    let (one, other) = (left().await, left().await);
    assert_ne!(one.database, other.database, "each has an id of its own");
    // All frames of the other file's log, and only those of its later half.
    if let Some(events) = found(&one.database, &other.log).await {
        let known = |events: &[RecordedEvent], of: &Left| events == &of.events[..events.len()];
        assert!(known(&events, &one) || known(&events, &other));
    }
}

/// Bytes of the log's header, and of a frame with its page.
const HEADER: usize = 32;
const FRAME: usize = 24 + 4_096;
