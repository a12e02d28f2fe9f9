//! A file that was damaged or tampered with, and what finds it.

use std::time::Duration;

use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_store::{Batch, LogPosition, SqliteStore, Store, StoreError, VerifyReport};

use crate::support::*;

/// Two tasks, one of them running: events 1 to 4 in three appends.
async fn busy_store(folder: &Folder) -> SqliteStore {
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [job("a"), job("b")]).await;
    claim(&store, at(1), offer(1, [7])).await;
    apply(&store, at(2), [job("c")]).await;
    assert_sound(&store).await;
    store
}

/// Changes the file behind the store's back, past the triggers.
fn tamper(folder: &Folder, sql: &str) {
    let raw = folder.raw();
    let triggers = [
        "azoth_log_is_dense",
        "azoth_log_keeps_events",
        "azoth_log_loses_nothing",
        "azoth_payloads_keep_bytes",
    ];
    let definition = |name: &str| -> String {
        let sql = "SELECT sql FROM sqlite_master WHERE name = ?1";
        raw.query_row(sql, [name], |row| row.get(0)).unwrap()
    };
    let definitions = triggers.map(definition);
    for name in triggers {
        raw.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    raw.execute_batch(sql).unwrap();
    for definition in definitions {
        raw.execute_batch(&definition).unwrap();
    }
}

fn first(report: &VerifyReport) -> (Option<u64>, &str) {
    let finding = report.findings.first().expect("something is wrong");
    (finding.position.map(LogPosition::number), &finding.what)
}

/// What is wrong with the log: the whole verification finds it, and so does that of the log alone.
async fn damage_of_the_log(store: &SqliteStore) -> VerifyReport {
    let report = store.verify().await.unwrap();
    let of_the_log = store.verify_log().await.unwrap();
    assert_eq!(first(&of_the_log).0, first(&report).0, "{of_the_log:#?}");
    assert_eq!((of_the_log.events, of_the_log.head), (report.events, report.head));
    report
}

#[tokio::test]
async fn log_refuses_to_be_edited() {
    let folder = Folder::new();
    let store = busy_store(&folder).await;
    let raw = folder.raw();
    for sql in [
        "UPDATE azoth_log SET at_ms = at_ms - 1",
        "UPDATE azoth_log SET record = x'00' WHERE position = 1",
        "DELETE FROM azoth_log WHERE position = 4",
        "DELETE FROM azoth_log",
        "INSERT OR REPLACE INTO azoth_log SELECT * FROM azoth_log WHERE position = 2",
        "INSERT INTO azoth_log (position, at_ms, ordered_at_ms, subject, kind, record) VALUES (9, 0, 0, 9, 1, x'')",
        "UPDATE azoth_payloads SET bytes = x'00'",
    ] {
        assert!(raw.execute(sql, []).is_err(), "{sql}");
    }
    assert_sound(&store).await;
}

#[tokio::test]
async fn flipped_byte_of_a_record_is_found() {
    let folder = Folder::new();
    let store = busy_store(&folder).await;
    let raw = folder.raw();
    let sql = "SELECT record FROM azoth_log WHERE position = 3";
    let mut record: Vec<u8> = raw.query_row(sql, [], |row| row.get(0)).unwrap();
    // A byte of the execution's id: the event decodes and folds, and is not the one that was written.
    record[10] ^= 1;
    let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
    tamper(&folder, &format!("UPDATE azoth_log SET record = x'{hex}' WHERE position = 3"));
    let report = damage_of_the_log(&store).await;
    // I4: the chain names the event.
    assert_eq!(first(&report).0, Some(3), "{:#?}", report.findings);
}

#[tokio::test]
async fn event_that_was_removed_is_found() {
    let folder = Folder::new();
    let store = busy_store(&folder).await;
    tamper(&folder, "DELETE FROM azoth_log WHERE position = 2");
    let report = damage_of_the_log(&store).await;
    let found: Vec<_> = report.findings.iter().filter_map(|finding| finding.position).collect();
    assert!(found.contains(&LogPosition::from_number(2)), "{:#?}", report.findings);
    assert!(found.is_sorted());
    let error = store.events(LogPosition::START, 10).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn tail_that_was_removed_is_found_while_the_head_stays() {
    let folder = Folder::new();
    let store = busy_store(&folder).await;
    tamper(&folder, "DELETE FROM azoth_log WHERE position = 4");
    let report = damage_of_the_log(&store).await;
    assert_eq!(first(&report).0, Some(3), "{:#?}", report.findings);
}

#[tokio::test]
async fn changed_column_beside_the_record_is_found() {
    for change in ["at_ms = at_ms - 1", "subject = 1, previous = 1", "link = zeroblob(32)"] {
        let folder = Folder::new();
        let store = busy_store(&folder).await;
        tamper(&folder, &format!("UPDATE azoth_log SET {change} WHERE position = 4"));
        let report = damage_of_the_log(&store).await;
        assert_eq!(first(&report).0, Some(4), "{change}: {:#?}", report.findings);
    }
}

#[tokio::test]
async fn event_that_cannot_be_decoded_stops_its_reader_with_position_and_kind() {
    let folder = Folder::new();
    let store = busy_store(&folder).await;
    tamper(&folder, "UPDATE azoth_log SET record = x'FF' WHERE position = 3");
    let error = store.events(LogPosition::START, 10).await.unwrap_err();
    let StoreError::Undecodable { position, kind, .. } = &error else { panic!("{error}") };
    assert_eq!((position.number(), kind.as_str()), (3, "ExecutionStarted"));
    assert_eq!(store.events(LogPosition::START, 2).await.unwrap().len(), 2);
    assert_eq!(first(&damage_of_the_log(&store).await).0, Some(3));
}

#[tokio::test]
async fn other_bytes_in_place_of_a_payload_are_found() {
    let folder = Folder::new();
    let store = busy_store(&folder).await;
    tamper(&folder, "UPDATE azoth_payloads SET bytes = x'99' WHERE position = 2");
    let report = damage_of_the_log(&store).await;
    assert_eq!(first(&report), (Some(2), "its payload is not the one that it refers to"));
}

#[tokio::test]
async fn payload_that_is_missing_though_it_was_not_dropped_is_found_and_says_what_it_was() {
    let folder = Folder::new();
    let store = busy_store(&folder).await;
    tamper(&folder, "DELETE FROM azoth_payloads WHERE position = 2");
    let report = damage_of_the_log(&store).await;
    assert_eq!(first(&report), (Some(2), "its payload is missing and was not dropped"));
    let task = store.task(&id("b")).await.unwrap().unwrap();
    let digest = Payload::new(b"b".to_vec()).digest();
    assert_eq!(task.payload, azoth_scheduler_store::RecordedPayload::Dropped(digest));
}

/// Of four payloads the one that task `a` had first is dropped, as event 6 says.
async fn store_without_an_old_payload(folder: &Folder) -> SqliteStore {
    let store = busy_store(folder).await;
    apply(&store, at(3), [schedule("a", definition(Schedule::immediate()), b"again")]).await;
    let policy = RetentionPolicy::new().keep_payloads_for(Duration::ZERO);
    assert_eq!(store.retain(&policy, at(9)).await.unwrap().payloads, 1);
    assert_eq!(store.head().await.unwrap().number(), 6);
    assert_sound(&store).await;
    store
}

#[tokio::test]
async fn how_far_payloads_were_dropped_is_told_by_the_log_and_not_by_the_projection() {
    let folder = Folder::new();
    let store = store_without_an_old_payload(&folder).await;
    folder.raw().execute_batch("UPDATE azoth_p_log SET payloads_dropped = 0").unwrap();
    assert!(store.verify_log().await.unwrap().is_sound());
    let report = store.verify().await.unwrap();
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    assert!(report.findings[0].what.contains("azoth_p_log"), "{}", report.findings[0]);

    apply(&store, at(10), [job("d")]).await;
    tamper(&folder, "DELETE FROM azoth_payloads WHERE position = 7");
    folder.raw().execute_batch("UPDATE azoth_p_log SET payloads_dropped = 7").unwrap();
    let report = damage_of_the_log(&store).await;
    assert_eq!(first(&report), (Some(7), "its payload is missing and was not dropped"));
}

#[tokio::test]
async fn event_that_let_payloads_go_and_cannot_be_read_makes_none_of_them_missing() {
    for damage in
        ["UPDATE azoth_log SET record = x'FF' WHERE position = 6", "DELETE FROM azoth_log WHERE position = 6"]
    {
        let folder = Folder::new();
        let store = store_without_an_old_payload(&folder).await;
        apply(&store, at(10), [job("d")]).await;
        tamper(&folder, damage);
        let report = damage_of_the_log(&store).await;
        assert_eq!(first(&report).0, Some(6), "{damage}: {:#?}", report.findings);
        let of_the_log = store.verify_log().await.unwrap().findings;
        let missing = |what: &str| what.contains("payload");
        assert!(!of_the_log.iter().any(|found| missing(&found.what)), "{damage}: {of_the_log:#?}");
    }
}

#[tokio::test]
async fn edited_projection_is_found_and_a_rebuild_mends_it() {
    for edit in [
        "UPDATE azoth_p_tasks SET runs = 9 WHERE id = 'a'",
        "UPDATE azoth_p_tasks SET run_at_ms = run_at_ms + 1, ready_ms = ready_ms + 1 WHERE id = 'b'",
        "UPDATE azoth_p_tasks SET group_name = 'other' WHERE id = 'b'",
        "UPDATE azoth_p_tasks SET id = 'z' WHERE id = 'b'",
        "DELETE FROM azoth_p_tasks WHERE id = 'c'",
        "DELETE FROM azoth_p_tasks",
        "UPDATE azoth_p_types SET name = 'other'",
        "DROP INDEX azoth_p_due",
    ] {
        let folder = Folder::new();
        let store = busy_store(&folder).await;
        let rows = folder.projection();
        folder.raw().execute_batch(edit).unwrap();
        let report = store.verify().await.unwrap();
        assert!(!report.is_sound(), "{edit}");
        assert_eq!(report.findings[0].position, None, "{edit}: the log is whole");
        let of_the_log = store.verify_log().await.unwrap();
        assert!(of_the_log.is_sound(), "{edit}: {of_the_log:#?}");
        assert_eq!((of_the_log.events, of_the_log.tasks), (4, 0));
        let rebuilt = store.rebuild_projection().await.unwrap();
        assert_eq!((rebuilt.events, rebuilt.tasks), (4, 3));
        assert_eq!(folder.projection(), rows, "{edit}");
        assert_eq!(claim(&store, at(3), offer(1, [8, 9, 10])).await.len(), 2, "{edit}");
        assert_sound(&store).await;
    }
}

#[tokio::test]
async fn head_that_does_not_fit_the_log_is_found() {
    for edit in ["position = 3", "hash = zeroblob(32)", "ordered_at_ms = 0"] {
        let folder = Folder::new();
        let store = busy_store(&folder).await;
        folder.raw().execute_batch(&format!("UPDATE azoth_head SET {edit}")).unwrap();
        assert_eq!(first(&damage_of_the_log(&store).await).0, Some(4), "{edit}");
    }
}

#[tokio::test]
async fn nothing_is_written_on_top_of_a_log_that_does_not_fit_its_head() {
    for edit in ["position = 3", "hash = zeroblob(32)"] {
        let folder = Folder::new();
        let store = busy_store(&folder).await;
        folder.raw().execute_batch(&format!("UPDATE azoth_head SET {edit}")).unwrap();
        let batch = Batch::new(vec![job("d")], at(3));
        let error = store.apply(batch).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{edit}: {error}");
        assert_eq!(store.task(&id("d")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn payload_that_looks_like_an_event_of_ours_is_never_applied() {
    let folder = Folder::new();
    let store = busy_store(&folder).await;
    let sql = "SELECT record FROM azoth_log WHERE position = 1";
    let record: Vec<u8> = folder.raw().query_row(sql, [], |row| row.get(0)).unwrap();
    let hostile = [&record[..], br#"{"TaskCancelled":{"task":"c"}}"#].concat();
    apply(&store, at(3), [schedule("evil", definition(Schedule::immediate()), &hostile)]).await;
    apply(&store, at(3), [succeed("a", execution(7), &record, at(2))]).await;
    store.rebuild_projection().await.unwrap();

    let tasks = store.tasks(&Default::default()).await.unwrap();
    let phases: Vec<_> = tasks.iter().map(|task| (task.id.as_str(), task.phase.kind())).collect();
    use PhaseKind::{Finished, Waiting};
    assert_eq!(phases, [("a", Finished), ("b", Waiting), ("c", Waiting), ("evil", Waiting)]);
    assert_eq!(store.task(&id("evil")).await.unwrap().unwrap().payload.bytes(), Some(&hostile[..]));
    assert_sound(&store).await;
}
