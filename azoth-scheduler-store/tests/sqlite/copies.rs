//! Copies of the file, and the log as lines of JSON.

use std::path::{Path, PathBuf};

use azoth_scheduler_store::sqlite::rusqlite;
use azoth_scheduler_store::{LogPosition, SqliteStore, Store, StoreError};

use crate::support::*;

/// A little of everything: text, bytes and nothing as payloads, a task that runs, one that ended.
async fn busy(folder: &Folder) -> SqliteStore {
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    let now = azoth_scheduler_core::schedule::Schedule::immediate;
    apply(&store, at(0), [schedule("text", definition(now()), "grüße \"\n\0".as_bytes())]).await;
    apply(
        &store,
        at(1),
        [schedule("bytes", definition(now()), &[0xff, 0, 1]), schedule("none", definition(now()), b"")],
    )
    .await;
    let claimed = claim(&store, at(2), offer(1, [7, 8])).await;
    apply(
        &store,
        at(3),
        [succeed(claimed[0].task.as_str(), claimed[0].execution, b"{\"done\":true}", at(2))],
    )
    .await;
    store
}

fn beside(folder: &Folder, name: &str) -> PathBuf {
    folder.path().with_file_name(name)
}

async fn head_of(store: &SqliteStore) -> (LogPosition, [u8; 32]) {
    let report = store.verify().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    (report.head, report.head_hash)
}

/// Every row of a table, as text.
fn dump(path: &Path, table: &str) -> Vec<String> {
    let raw = rusqlite::Connection::open(path).unwrap();
    let mut statement = raw.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        (0..columns).map(|index| row.get::<_, rusqlite::types::Value>(index)).collect::<Result<Vec<_>, _>>()
    };
    statement.query_map([], read).unwrap().map(|row| format!("{:?}", row.unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_made_while_others_write_is_one_instant_of_the_file() {
    let folder = Folder::new();
    let store = busy(&folder).await;
    folder.raw().execute_batch("CREATE TABLE app (n INTEGER); INSERT INTO app VALUES (42)").unwrap();
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..50 {
                apply(&store, at(4), [job(&format!("meanwhile-{number}"))]).await;
            }
        })
    };
    let copy = beside(&folder, "copy.db");
    let report = store.backup_to(&copy).await.unwrap();
    writer.await.unwrap();

    let restored = open(&copy);
    assert_eq!(head_of(&restored).await, (report.head, report.head_hash));
    assert!(report.head >= LogPosition::from_number(6) && report.bytes > 0);
    let events = restored.events(LogPosition::START, 1_000).await.unwrap();
    let theirs = store.events(LogPosition::START, events.len()).await.unwrap();
    assert_eq!(events, theirs, "the copy is a beginning of what went on");
    assert_eq!(dump(&copy, "app"), ["[Integer(42)]"]);
    // It goes on like any other.
    assert_eq!(claim(&restored, at(9), offer(1, [100])).await.len(), 1);
    assert_sound(&restored).await;
}

#[tokio::test]
async fn backup_never_takes_a_name_that_is_taken_nor_leaves_half_a_file() {
    let folder = Folder::new();
    let store = busy(&folder).await;
    let copy = beside(&folder, "copy.db");
    std::fs::write(&copy, "precious").unwrap();
    let error = store.backup_to(&copy).await.unwrap_err();
    assert_eq!(error, StoreError::AlreadyExists { path: copy.clone() });
    assert_eq!(std::fs::read(&copy).unwrap(), b"precious");
    std::fs::remove_file(&copy).unwrap();

    // What is left of one that was killed is in nobody's way.
    std::fs::write(beside(&folder, "copy.db.partial"), "half a file").unwrap();
    folder.raw().execute_batch("UPDATE azoth_p_tasks SET runs = 9").unwrap();
    // I19
    let error = store.backup_to(&copy).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "a copy of damage is no backup: {error}");
    let files = folder.files();
    assert!(!files.iter().any(|name| name.starts_with("copy")), "{files:?}");
    store.rebuild_projection().await.unwrap();
    store.backup_to(&copy).await.unwrap();
    let files = folder.files();
    assert_eq!(files.iter().filter(|name| name.starts_with("copy")).count(), 1, "{files:?}");
}

#[tokio::test]
async fn exported_log_that_is_imported_is_equal_to_the_last_hash() {
    let folder = Folder::new();
    let store = busy(&folder).await;
    let (lines, imported) = (beside(&folder, "log.jsonl"), beside(&folder, "imported.db"));
    let report = store.export_to(&lines).await.unwrap();
    assert_eq!((report.events, report.head), (7, LogPosition::from_number(7)));
    let text = std::fs::read_to_string(&lines).unwrap();
    assert_eq!(text.lines().count(), 8);
    assert!(text.contains(r#""text":"grüße \"\n\u0000""#) && text.contains(r#""hex":"ff0001""#), "{text}");
    assert!(
        text.contains(r#""name":"TaskExecuted""#) && text.contains(r#""task":"bytes""#),
        "readable: {text}"
    );

    let again = SqliteStore::import(&imported, [&lines], options()).await.unwrap();
    assert_eq!(head_of(&again).await, head_of(&store).await);
    assert_eq!(head_of(&again).await.1, report.head_hash);
    for table in ["azoth_log", "azoth_payloads", "azoth_p_tasks", "azoth_p_types"] {
        assert_eq!(dump(&imported, table), dump(&folder.path(), table), "{table}");
    }
    let lines_again = beside(&folder, "again.jsonl");
    again.export_to(&lines_again).await.unwrap();
    assert_eq!(std::fs::read_to_string(lines_again).unwrap(), text);
    // The chain goes on.
    apply(&again, at(9), [job("next")]).await;
    assert_sound(&again).await;
    let taken = SqliteStore::import(&imported, [&lines], options()).await.unwrap_err();
    assert!(matches!(taken, StoreError::AlreadyExists { .. }), "{taken}");
}

#[tokio::test]
async fn empty_log_is_exported_and_imported() {
    let folder = Folder::new();
    let store = folder.open();
    let lines = beside(&folder, "log.jsonl");
    store.export_to(&lines).await.unwrap();
    let again = SqliteStore::import(beside(&folder, "imported.db"), [&lines], options()).await.unwrap();
    assert_eq!(head_of(&again).await, (LogPosition::START, [0; 32]));
    assert_eq!(
        dump(again.path(), "azoth_head")[0].split(", ").nth(1),
        dump(store.path(), "azoth_head")[0].split(", ").nth(1)
    );
}

#[tokio::test]
async fn edited_or_truncated_export_is_refused_with_its_line() {
    let folder = Folder::new();
    let store = busy(&folder).await;
    let path = beside(&folder, "log.jsonl");
    store.export_to(&path).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = |number: usize| {
        let kept = lines.iter().enumerate().filter(|(index, _)| index + 1 != number);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let replaced = |number: usize, from: &str, to: &str| {
        assert!(lines[number - 1].contains(from), "{}", lines[number - 1]);
        let edited = lines.iter().enumerate().map(|(index, line)| {
            if index + 1 == number { line.replacen(from, to, 1) } else { (*line).to_owned() }
        });
        edited.map(|line| line + "\n").collect::<String>()
    };
    let link = lines[1].split(r#""link":""#).nth(1).unwrap();
    let cases = [
        (String::new(), 1, "empty"),
        ("{}\n".to_owned(), 1, "cannot be read"),
        (replaced(1, "azoth-scheduler log", "another log"), 1, "format"),
        (replaced(1, r#""version":1"#, r#""version":2"#), 1, "version 2"),
        (replaced(1, r#""after":0"#, r#""after":3"#), 1, "begins behind event 3"),
        (replaced(2, r#""at_ms":"#, r#""at_ms":1"#), 2, "ordered instant"),
        (replaced(2, "grüße", "grüsse"), 2, "another payload"),
        (replaced(2, r#""task":"text""#, r#""task":"test""#), 2, "tells another event"),
        (replaced(2, &link[..4], "0000"), 2, "does not fit"),
        (replaced(4, r#""subject":3"#, r#""subject":2"#), 4, "cannot be a row"),
        (replaced(3, r#""position":2"#, r#""position":9"#), 3, "event 2 should be here"),
        (without(3), 3, "event 2 should be here"),
        (without(8), 8, "is missing"),
        (text[..text.len() - 9].to_owned(), 8, "was cut short"),
        (format!("{text}{}\n", lines[7]), 9, "goes on behind the end"),
    ];
    for (edited, line, what) in cases {
        let (bad, imported) = (beside(&folder, "bad.jsonl"), beside(&folder, "imported.db"));
        std::fs::write(&bad, edited).unwrap();
        let error = SqliteStore::import(&imported, [&bad], options()).await.unwrap_err();
        let StoreError::BadExport { line: found, what: said, .. } = &error else { panic!("{what}: {error}") };
        assert_eq!(*found, line, "{what}: {error}");
        assert!(said.contains(what), "{what}: {error}");
        assert!(!imported.exists() && !beside(&folder, "imported.db.partial").exists());
    }
}
