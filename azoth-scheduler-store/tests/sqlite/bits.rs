//! A bit that flips, anywhere.

use std::fs;

use azoth_scheduler_store::sqlite::rusqlite::types::Value;
use azoth_scheduler_store::{Batch, LogPosition, SqliteStore, Store, StoreError};

use crate::support::*;

/// Five events in four appends: the second holds two.
async fn log(folder: &Folder) -> SqliteStore {
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [job("a")]).await;
    apply(&store, at(1), [job("b"), job("c")]).await;
    claim(&store, at(2), offer(1, [7])).await;
    apply(&store, at(3), [succeed("a", execution(7), b"done", at(2))]).await;
    store
}

/// Where the append begins that an event belongs to: what only the chain can tell, it tells of the whole append.
fn append_of(links: &[bool], position: usize) -> usize {
    (1..position).rev().find(|before| links[before - 1]).map_or(1, |before| before + 1)
}

/// Set to 1 for every bit instead of some of each cell.
const STEP: &str = "AZOTH_TEST_BITS_STEP";

fn flips(cell: &Value) -> Vec<Value> {
    let step: Option<usize> = std::env::var(STEP).ok().and_then(|text| text.parse().ok());
    one_bit_off(cell, (0..63).step_by(step.unwrap_or(13)), step.unwrap_or(7))
}

#[tokio::test]
async fn flipped_bit_in_any_row_and_column_of_the_log_is_named_by_its_position() {
    let folder = Folder::new();
    let store = log(&folder).await;
    let raw = folder.raw();
    raw.execute_batch("DROP TRIGGER azoth_log_keeps_events").unwrap();
    let events = store.head().await.unwrap().number() as usize;
    let cell = |column: &str, position: usize| -> Value {
        let sql = format!("SELECT {column} FROM azoth_log WHERE position = {position}");
        raw.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let links: Vec<bool> = (1..=events).map(|position| cell("link", position) != Value::Null).collect();
    assert_eq!(links[..3], [true, false, true]);
    let mut flipped = 0;
    for position in 1..=events {
        for column in ["at_ms", "ordered_at_ms", "subject", "previous", "kind", "record", "link"] {
            let before = cell(column, position);
            for value in flips(&before) {
                let sql = format!("UPDATE azoth_log SET {column} = ?1 WHERE position = ?2");
                // The schema refuses some of them at once.
                if raw.execute(&sql, (&value, position as i64)).is_err() {
                    continue;
                }
                flipped += 1;
                let report = store.verify().await.unwrap();
                let first = report.findings.first().expect("it is found");
                let found = first.position.map_or(0, LogPosition::number) as usize;
                // I4: the chain covers every column.
                assert!(
                    (append_of(&links, position)..=position.max(found.min(position + 1))).contains(&found),
                    "{column} of event {position} as {value:?}: {:#?}",
                    report.findings
                );
                raw.execute(&sql, (&before, position as i64)).unwrap();
            }
        }
    }
    assert!(flipped > 50, "{flipped}");
    let report = store.verify().await.unwrap();
    assert!(report.findings.iter().all(|finding| finding.what.contains("azoth_log_keeps_events")));
}

/// Flips bits of the file itself: tables, indexes, free pages, the engine's own bookkeeping.
#[tokio::test]
async fn flipped_bit_of_the_file_is_found_or_does_no_harm() {
    const FLIPS: usize = 60;
    let original = Folder::new();
    let store = log(&original).await;
    let events = store.events(LogPosition::START, 100).await.unwrap();
    let tasks = store.tasks(&Default::default()).await.unwrap();
    drop(store);
    let file = fs::read(original.path()).unwrap();
    let mut noticed = 0;
    for flip in 0..FLIPS {
        let place = (flip * 7_919 + 13) * 8_191 % (file.len() * 8);
        let mut damaged = file.clone();
        damaged[place / 8] ^= 1 << (place % 8);
        let folder = Folder::new();
        fs::write(folder.path(), &damaged).unwrap();
        let Ok(store) = SqliteStore::open_with(folder.path(), options()) else {
            noticed += 1;
            continue;
        };
        match store.verify().await {
            Ok(report) if report.is_sound() => {
                assert_eq!(store.events(LogPosition::START, 100).await.unwrap(), events, "bit {place}");
                assert_eq!(store.tasks(&Default::default()).await.unwrap(), tasks, "bit {place}");
            }
            Ok(_) | Err(StoreError::Corrupt { .. } | StoreError::Undecodable { .. }) => noticed += 1,
            Err(StoreError::NotADatabase { .. } | StoreError::Engine { .. }) => noticed += 1,
            Err(error) => panic!("bit {place}: {error}"),
        }
        // A write ends, whatever it meets.
        let _ = store.apply(Batch { commands: vec![job("d").into()], now: at(4), offer: None }).await;
    }
    assert!(noticed > 0);
}
