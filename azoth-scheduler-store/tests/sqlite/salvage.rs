//! What is left of a log once a file is damaged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_store::report::SalvageReport;
use azoth_scheduler_store::sqlite::CutOptions;
use azoth_scheduler_store::sqlite::rusqlite::types::Value;
use azoth_scheduler_store::{LogPosition, SqliteStore, Store, StoreError};

use crate::support::*;

fn beside(folder: &Folder, name: &str) -> PathBuf {
    folder.path().with_file_name(name)
}

/// Seven events in four appends: 1; 2 and 3; 4 and 5; 6 and 7.
async fn log(folder: &Folder) -> SqliteStore {
    let store = beginning(folder).await;
    rest(&store).await;
    store
}

async fn beginning(folder: &Folder) -> SqliteStore {
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [job("a")]).await;
    apply(&store, at(1), [job("b"), job("c")]).await;
    store
}

async fn rest(store: &SqliteStore) {
    claim(store, at(2), offer(1, [7, 8])).await;
    apply(store, at(3), [succeed("a", execution(7), b"done", at(2))]).await;
    assert_eq!(store.head().await.unwrap().number(), 7);
}

/// The append of [`log`] that an event belongs to.
fn append_of(position: u64) -> (u64, u64) {
    if position == 1 { (1, 1) } else { (position / 2 * 2, position / 2 * 2 + 1) }
}

/// Changes the log behind the store's back.
fn tamper(folder: &Folder, sql: &str) {
    let raw = folder.raw();
    raw.execute_batch(
        "DROP TRIGGER IF EXISTS azoth_log_keeps_events; DROP TRIGGER IF EXISTS azoth_log_loses_nothing;
         DROP TRIGGER IF EXISTS azoth_payloads_keep_bytes;",
    )
    .unwrap();
    raw.execute_batch(sql).unwrap();
}

/// Salvages into a folder that is gone afterwards. The report, and the lines of each file.
async fn salvaged(folder: &Folder) -> (SalvageReport, Vec<String>, Vec<String>) {
    let to = beside(folder, "salvaged");
    let report = SqliteStore::salvage(folder.path(), &to, options()).await.unwrap();
    let lines = |path: &Path| -> Vec<String> {
        fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    };
    let whole = report.parts.iter().flat_map(|part| lines(&part.path).split_off(1)).collect();
    let unproven = lines(&to.join("unproven.jsonl"));
    let account = lines(&to.join("damage.jsonl"));
    assert_eq!(account.len(), report.damage.len() + report.beside.len());
    fs::remove_dir_all(&to).unwrap();
    (report, whole, unproven)
}

/// The lines of all events, as an export has them.
async fn exported(folder: &Folder, store: &SqliteStore) -> Vec<String> {
    let path = beside(folder, "all.jsonl");
    store.export_to(&path).await.unwrap();
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

fn spans(report: &SalvageReport) -> Vec<(u64, u64, u64)> {
    let span = |damage: &azoth_scheduler_store::Damage| {
        (damage.from.number(), damage.through.number(), damage.readable)
    };
    report.damage.iter().map(span).collect()
}

fn parts(report: &SalvageReport) -> Vec<(u64, u64)> {
    report.parts.iter().map(|part| (part.after.number(), part.through.number())).collect()
}

#[tokio::test]
async fn log_is_salvaged_up_to_the_damage_and_behind_it_and_joins_what_a_backup_still_has() {
    let folder = Folder::new();
    let store = beginning(&folder).await;
    let known = beside(&folder, "known.jsonl");
    store.export_to(&known).await.unwrap();
    rest(&store).await;
    let whole = store.verify().await.unwrap();
    drop(store);
    tamper(&folder, "UPDATE azoth_log SET at_ms = at_ms - 1 WHERE position = 3");

    let to = beside(&folder, "salvaged");
    let report = SqliteStore::salvage(folder.path(), &to, options()).await.unwrap();
    assert_eq!(parts(&report), [(0, 1), (3, 7)]);
    assert_eq!(spans(&report), [(2, 3, 2)]);
    assert_eq!((report.events, report.is_whole()), (5, false));
    let account = fs::read_to_string(to.join("damage.jsonl")).unwrap();
    assert!(account.starts_with(r#"{"from":2,"through":3,"readable":2,"what":""#), "{account}");
    assert_eq!(fs::read_to_string(to.join("unproven.jsonl")).unwrap().lines().count(), 2);

    let import = async |exports: &[&Path], name: &str| {
        SqliteStore::import(beside(&folder, name), exports, options()).await
    };
    let (first, second) = (report.parts[0].path.as_path(), report.parts[1].path.as_path());
    // Up to the damage it is a store that goes on.
    let before = import(&[first], "before.db").await.unwrap();
    assert_eq!(before.head().await.unwrap().number(), 1);
    apply(&before, at(9), [job("next")]).await;
    assert_sound(&before).await;
    let refused = import(&[first, second], "both.db").await.unwrap_err();
    assert!(matches!(refused, StoreError::BadExport { .. }), "{refused}");
    // With the lost events from elsewhere it is the log as it was.
    let mended = import(&[&known, second], "mended.db").await.unwrap();
    let report = mended.verify().await.unwrap();
    assert_eq!((report.head, report.head_hash), (whole.head, whole.head_hash));
    assert!(report.is_sound());
}

#[tokio::test]
async fn flipped_bit_in_a_row_of_the_log_costs_its_append_alone_and_in_a_link_nothing() {
    let folder = Folder::new();
    let store = log(&folder).await;
    let all = exported(&folder, &store).await;
    drop(store);
    tamper(&folder, "");
    let raw = folder.raw();
    let mut flipped = 0;
    for position in 1..=7 {
        for column in ["at_ms", "ordered_at_ms", "subject", "previous", "kind", "record", "link"] {
            let sql = format!("SELECT {column} FROM azoth_log WHERE position = {position}");
            let before: Value = raw.query_row(&sql, [], |row| row.get(0)).unwrap();
            for value in one_bit_off(&before, [0, 11, 40], 9) {
                let sql = format!("UPDATE azoth_log SET {column} = ?1 WHERE position = ?2");
                // The schema refuses some of them at once.
                if raw.execute(&sql, (&value, position)).is_err() {
                    continue;
                }
                flipped += 1;
                let (report, whole, _) = salvaged(&folder).await;
                let (from, through) = append_of(position as u64);
                // I4: what the chain proves is what was written, to the last letter.
                let kept: Vec<_> = all
                    .iter()
                    .zip(1..)
                    .filter(|(_, at)| !(from..=through).contains(at))
                    .map(|(line, _)| line.clone())
                    .collect();
                if column == "link" && before != Value::Null {
                    assert_eq!((&whole, report.is_whole()), (&all, true), "{value:?} of event {position}");
                } else {
                    assert_eq!(whole, kept, "{column} of event {position} as {value:?}");
                    let [damage] = &report.damage[..] else { panic!("{report:#?}") };
                    assert_eq!((damage.from.number(), damage.through.number()), (from, through));
                }
                raw.execute(&sql, (&before, position)).unwrap();
            }
        }
    }
    assert!(flipped > 50, "{flipped}");
}

/// A log of some pages: events 1 to 300, one, two or three an append.
async fn long_log(folder: &Folder) -> SqliteStore {
    let store = folder.open();
    for first in (0..150).step_by(3) {
        let name = |number: u32| format!("task-{number:04}-{}", "x".repeat(60));
        apply(&store, at(0), [job(&name(first))]).await;
        apply(&store, at(0), [job(&name(first + 1)), job(&name(first + 2))]).await;
        let again =
            |number| schedule(&name(number), definition(Schedule::interval_secs(9).unwrap()), b"again");
        apply(&store, at(1), (first..first + 3).map(again)).await;
    }
    assert_eq!(store.head().await.unwrap().number(), 300);
    store
}

/// A salvage says nothing wrong, and forgets nothing.
fn assert_accounted(report: &SalvageReport, whole: &[String], all: &[String], about: &str) {
    let known: BTreeSet<&String> = all.iter().collect();
    assert!(whole.iter().all(|line| known.contains(line)), "{about}: a whole stretch holds what was written");
    assert_eq!(report.events as usize, whole.len(), "{about}");
    let mut spans = parts(report);
    spans.extend(report.damage.iter().map(|damage| (damage.from.number() - 1, damage.through.number())));
    spans.sort_unstable();
    let mut position = 0;
    for (after, through) in spans {
        assert_eq!(after, position, "{about}: {report:#?}");
        position = through;
    }
    if report.beside.is_empty() {
        assert!(position >= all.len() as u64, "{about}: {report:#?}");
    }
}

#[tokio::test]
async fn flipped_bit_anywhere_in_the_file_is_salvaged_around_and_accounted_for() {
    const FLIPS: usize = 24;
    let original = Folder::new();
    let store = long_log(&original).await;
    let all = exported(&original, &store).await;
    drop(store);
    let file = fs::read(original.path()).unwrap();
    let (mut whole_logs, mut cost_something) = (0, 0);
    for flip in 0..FLIPS {
        let place = (flip * 7_919 + 13) * 8_191 % (file.len() * 8);
        let mut damaged = file.clone();
        damaged[place / 8] ^= 1 << (place % 8);
        let folder = Folder::new();
        fs::write(folder.path(), &damaged).unwrap();
        let to = beside(&folder, "salvaged");
        match SqliteStore::salvage(folder.path(), &to, options()).await {
            Ok(report) => {
                let whole = report.parts.iter().flat_map(|part| {
                    let text = fs::read_to_string(&part.path).unwrap();
                    text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
                });
                let whole: Vec<_> = whole.collect();
                assert_accounted(&report, &whole, &all, &format!("bit {place}"));
                if report.is_whole() { whole_logs += 1 } else { cost_something += 1 }
            }
            Err(
                StoreError::Corrupt { .. }
                | StoreError::NotADatabase { .. }
                | StoreError::Engine { .. }
                | StoreError::CannotOpen { .. }
                | StoreError::NewerLayout { .. },
            ) => assert!(!to.exists()),
            Err(error) => panic!("bit {place}: {error}"),
        }
        assert_eq!(fs::read(folder.path()).unwrap(), damaged, "bit {place}: the file was changed");
    }
    assert!(whole_logs > 0 && cost_something > 0, "{whole_logs} and {cost_something}");
}

#[tokio::test]
async fn page_that_is_gone_costs_what_stood_on_it() {
    let folder = Folder::new();
    let store = long_log(&folder).await;
    let all = exported(&folder, &store).await;
    drop(store);
    let sql = "SELECT record FROM azoth_log WHERE position = 150";
    let record: Vec<u8> = folder.raw().query_row(sql, [], |row| row.get(0)).unwrap();
    let mut file = fs::read(folder.path()).unwrap();
    let found = file.windows(record.len()).position(|bytes| bytes == record).unwrap();
    file[found / 4_096 * 4_096..][..4_096].fill(0);
    fs::write(folder.path(), &file).unwrap();

    let (report, whole, unproven) = salvaged(&folder).await;
    assert_accounted(&report, &whole, &all, "a page");
    assert_eq!((report.parts.len(), report.damage.len()), (2, 1), "{report:#?}");
    let damage = &report.damage[0];
    assert!((damage.from..=damage.through).contains(&LogPosition::from_number(150)));
    assert!(damage.through.number() - damage.from.number() < 40, "{damage}");
    // At both ends a piece of an append whose rest is gone.
    assert_eq!(unproven.len() as u64, damage.readable);
    assert!(unproven.iter().all(|line| all.contains(line)), "{unproven:#?}");
}

#[tokio::test]
async fn without_its_head_a_log_can_be_read_and_not_proven() {
    let folder = Folder::new();
    let store = log(&folder).await;
    let all = exported(&folder, &store).await;
    drop(store);
    tamper(&folder, "DELETE FROM azoth_head");
    let (report, whole, unproven) = salvaged(&folder).await;
    assert_eq!((whole.len(), unproven), (0, all));
    assert_eq!((report.beside.len(), spans(&report)), (1, vec![(1, 7, 7)]), "{report:#?}");
}

#[tokio::test]
async fn tail_that_is_gone_is_told_by_the_head() {
    let folder = Folder::new();
    drop(log(&folder).await);
    tamper(&folder, "DELETE FROM azoth_log WHERE position > 3");
    let (report, ..) = salvaged(&folder).await;
    assert_eq!((parts(&report), spans(&report)), (vec![(0, 3)], vec![(4, 7, 0)]));
}

#[tokio::test]
async fn event_without_its_payload_is_no_part_of_a_whole_stretch() {
    for (edit, what) in [
        ("DELETE FROM azoth_payloads WHERE position = 2", "the payload of event 2 is missing"),
        ("UPDATE azoth_payloads SET bytes = x'99' WHERE position = 2", "the payload of event 2 was changed"),
    ] {
        let folder = Folder::new();
        drop(log(&folder).await);
        tamper(&folder, edit);
        let (report, _, unproven) = salvaged(&folder).await;
        assert_eq!((parts(&report), spans(&report)), (vec![(0, 1), (3, 7)], vec![(2, 3, 2)]));
        assert_eq!(report.damage[0].what, what);
        assert!(
            unproven[0].contains(r#""name":"TaskScheduled""#) && unproven[0].contains(r#""payload":"none""#)
        );
    }
}

#[tokio::test]
async fn what_is_left_of_a_log_that_was_cut_is_salvaged_behind_the_cut() {
    let folder = Folder::new();
    let store = log(&folder).await;
    let archive = beside(&folder, "archive.jsonl");
    store.cut_log(CutOptions::archive_to(&archive), at(9)).await.unwrap();
    apply(&store, at(10), [job("d")]).await;
    drop(store);
    // A projection in ruins is nothing to a salvage.
    tamper(&folder, "DELETE FROM azoth_p_tasks; DROP TABLE azoth_p_types");
    let to = beside(&folder, "salvaged");
    let report = SqliteStore::salvage(folder.path(), &to, options()).await.unwrap();
    assert!(report.is_whole(), "{report:#?}");
    assert_eq!(parts(&report), [(7, 9)]);
    let again = [archive.as_path(), report.parts[0].path.as_path()];
    let again = SqliteStore::import(beside(&folder, "again.db"), again, options()).await.unwrap();
    assert_sound(&again).await;
    assert!(again.task(&id("d")).await.unwrap().is_some());
}

#[tokio::test]
async fn salvage_takes_no_name_that_is_taken_and_makes_no_file_where_none_was() {
    let folder = Folder::new();
    drop(log(&folder).await);
    let to = beside(&folder, "salvaged");
    fs::create_dir(&to).unwrap();
    let taken = SqliteStore::salvage(folder.path(), &to, options()).await.unwrap_err();
    assert_eq!(taken, StoreError::AlreadyExists { path: to.clone() });
    fs::remove_dir(&to).unwrap();

    let nowhere = beside(&folder, "nowhere.db");
    let missing = SqliteStore::salvage(&nowhere, &to, options()).await.unwrap_err();
    assert!(matches!(missing, StoreError::CannotOpen { .. }), "{missing}");
    let text = beside(&folder, "text.db");
    fs::write(&text, "no database, but long enough to be one. ".repeat(200)).unwrap();
    let none = SqliteStore::salvage(&text, &to, options()).await.unwrap_err();
    assert!(matches!(none, StoreError::NotADatabase { .. }), "{none}");
    // I19: half a salvage is none.
    let files = folder.files();
    assert!(
        !files.iter().any(|name| name.starts_with("nowhere") || name.starts_with("salvaged")),
        "{files:?}"
    );
}
