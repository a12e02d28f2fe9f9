//! What is wrong is refused with the value, the limit and what to do, and nothing is written.

use azoth_scheduler::prelude::*;
use azoth_scheduler::store::sqlite::rusqlite;
use azoth_scheduler::{ScheduleTaskRequestBuilder, StoreError};

use crate::support::{House, Work, assert_sound, store_in, work};

/// Each request is refused, with these words, and leaves no event.
#[tokio::test]
async fn requests_that_make_no_task_write_nothing() {
    // I15
    let house =
        House::with(|builder| builder.with_task_handler(Work::default()).with_max_payload_bytes(100)).await;
    let before = house.scheduler.stats().await.unwrap().store.head;
    let cases: Vec<(ScheduleTaskRequestBuilder, &[&str])> = vec![
        (work("").immediate(), &["task id is empty", "1 to 255 bytes"]),
        (work(&"x".repeat(300)).immediate(), &["300 bytes", "at most 255"]),
        (work("a\u{0}b").immediate(), &["U+0000", "byte 1"]),
        (ScheduleTaskRequest::builder("a").task_type("").immediate(), &["task type is empty"]),
        (work("a").task_type("y".repeat(256)).immediate(), &["task type has 256 bytes", "at most 255"]),
        (ScheduleTaskRequest::builder("a").immediate(), &["has no type", "task_type"]),
        (work("a"), &["has no schedule", ".cron(..)"]),
        (work("a").immediate().interval(5), &["two schedules", "immediate", "interval"]),
        (
            work("a").payload(vec![0; 101]).immediate(),
            &["101 bytes", "limit of 100", "with_max_payload_bytes"],
        ),
        (work("a").interval(0), &["interval of 0 ms", "at least 1 ms"]),
        (work("a").interval(u64::MAX), &["over the limit of 315537897599999 ms"]),
        (work("a").every(Duration::from_nanos(1)), &["1 ns", "whole number of milliseconds"]),
        (work("a").one_time(i64::MAX), &["9223372036854775807 seconds", "0001 to 9999"]),
        (work("a").cron("0 0 25 * * *"), &["hour", "25", "byte 4", "0-23"]),
        (work("a").cron("0 9 * * 1-5"), &["has 5 field(s)", "exactly 6"]),
        (work("a").cron("0 0 0 30 2 *"), &["never fires"]),
        (work("a").cron("0 0 9 * * *").time_zone("Mars/Olympus"), &["Mars/Olympus", "IANA"]),
        (work("a").cron("@every 5m"), &["@every", "interval"]),
        (work("a").interval(5).time_zone("UTC"), &["time_zone", "cron"]),
        (work("a").interval(5).max_runs(0), &["max_runs of 0"]),
        (work("a").timeout_secs(0).immediate(), &["timeout"]),
    ];
    for (request, words) in cases {
        let refusal = match request.build() {
            Ok(request) => house.scheduler.schedule_task(request).await.unwrap_err(),
            Err(refusal) => refusal,
        };
        let text = refusal.to_string();
        assert!(matches!(refusal, SchedulerError::InvalidTask(_) | SchedulerError::Name(_)), "{refusal:?}");
        for word in words {
            assert!(text.contains(word), "{word:?} is missing in: {text}");
        }
    }
    assert_eq!(house.scheduler.stats().await.unwrap().store.head, before);
    house.close().await;
}

#[tokio::test]
async fn type_that_nobody_knows_is_refused_with_the_types_that_are_known() {
    let house = House::with(|builder| {
        builder.with_task_handler(Work::default()).with_remote_task_types(["elsewhere"])
    })
    .await;
    let request =
        |task_type| ScheduleTaskRequest::builder("a").task_type(task_type).immediate().build().unwrap();
    let refusal = house.scheduler.schedule_task(request("wrok")).await.unwrap_err();
    assert!(matches!(refusal, SchedulerError::HandlerNotFound { .. }), "{refusal:?}");
    let text = refusal.to_string();
    assert!(
        text.contains("\"wrok\"") && text.contains("\"work\"") && text.contains("\"elsewhere\""),
        "{text}"
    );
    house.scheduler.schedule_task(request("elsewhere")).await.unwrap();

    let client = Scheduler::builder(MemoryStore::new()).build().unwrap();
    client.schedule_task(request("wrok")).await.unwrap();
    house.close().await;
}

#[tokio::test]
async fn payload_that_its_handler_refuses_is_not_scheduled() {
    let house = House::with(|builder| builder.with_task_handler(Work::default())).await;
    let request = work("a").payload("refuse me").immediate().build().unwrap();
    let refusal = house.scheduler.schedule_task(request).await.unwrap_err();
    assert!(refusal.to_string().contains("such work is not done here"), "{refusal}");
    assert!(house.scheduler.get_task("a").await.unwrap().is_none());
    house.close().await;
}

#[tokio::test]
async fn second_run_is_refused_and_the_first_goes_on() {
    let work_done = Work::default();
    let house = House::with(|builder| builder.with_task_handler(work_done.clone())).await;
    assert!(matches!(house.scheduler.run().await, Err(SchedulerError::AlreadyRunning)));
    house.schedule(work("a").immediate()).await;
    assert_eq!(work_done.runs().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let content = "these are notes, and no database, however often they are opened as one\n".repeat(20);
    std::fs::write(&path, &content).unwrap();
    let refusal = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refusal, StoreError::NotADatabase { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("notes.txt"), "{refusal}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = SqliteStore::open(folder.path().join("no/such/folder/scheduler.db")).unwrap_err();
    assert!(matches!(refusal, StoreError::MissingFolder { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("create it first"), "{refusal}");
}

#[tokio::test]
async fn database_of_another_application_gets_our_tables_beside_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scheduler.db");
    let theirs = rusqlite::Connection::open(&path).unwrap();
    theirs
        .execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (7)")
        .unwrap();
    drop(theirs);
    let scheduler = Scheduler::builder(store_in(&folder)).build().unwrap();
    scheduler.schedule_task(work("a").immediate().build().unwrap()).await.unwrap();
    assert_sound(&scheduler).await;
    let theirs = rusqlite::Connection::open(&path).unwrap();
    let order: i64 = theirs.query_row("SELECT id FROM orders", [], |row| row.get(0)).unwrap();
    assert_eq!(order, 7);
}
