//! Application code in the transaction of its cursor.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use azoth_scheduler_core::id::ConsumerName;
use azoth_scheduler_faults::{Call, Effect, Fault, FaultyVfs, Part};
use azoth_scheduler_store::sqlite::{HandlerError, RunningEventHandler, TransactionalEventHandler, rusqlite};
use azoth_scheduler_store::{Health, LogPosition, RecordedEvent, SqliteStore, StartFrom, Store, StoreError};
use rusqlite::Transaction;

use crate::support::*;

type Handle = Box<dyn Fn(&Transaction<'_>, &[RecordedEvent]) -> Result<(), HandlerError> + Send + Sync>;

/// Does what the test wants, with short waits.
struct TestHandler {
    handle: Handle,
    time_limit: Duration,
}

impl TransactionalEventHandler for TestHandler {
    fn name(&self) -> &str {
        "test"
    }

    fn handle(&self, tx: &Transaction<'_>, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        (self.handle)(tx, events)
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }

    fn attempts(&self) -> NonZeroU32 {
        NonZeroU32::new(2).unwrap()
    }

    fn backoff(&self) -> Duration {
        Duration::from_millis(1)
    }
}

fn handler(
    handle: impl Fn(&Transaction<'_>, &[RecordedEvent]) -> Result<(), HandlerError> + Send + Sync + 'static,
) -> TestHandler {
    TestHandler { handle: Box::new(handle), time_limit: Duration::from_secs(60) }
}

fn name() -> ConsumerName {
    ConsumerName::new("test").unwrap()
}

/// Notes each event in the application's table, which refuses to take one twice.
fn note(tx: &Transaction<'_>, events: &[RecordedEvent]) -> Result<(), HandlerError> {
    for event in events {
        tx.execute("INSERT INTO noted (position) VALUES (?1)", [event.position.number() as i64])?;
    }
    Ok(())
}

/// A store, and the application's table beside it.
fn store_with_table(folder: &Folder) -> SqliteStore {
    let store = folder.open();
    folder.raw().execute_batch("CREATE TABLE IF NOT EXISTS noted (position INTEGER PRIMARY KEY)").unwrap();
    store
}

fn noted(folder: &Folder) -> Vec<i64> {
    let raw = folder.raw();
    let mut statement = raw.prepare("SELECT position FROM noted ORDER BY position").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

async fn handled_through(running: &RunningEventHandler, position: u64) {
    let mut cursor = running.watch_cursor();
    cursor.wait_for(|cursor| cursor.number() >= position).await.unwrap();
}

#[tokio::test]
async fn each_event_is_handled_once_although_the_handler_fails_halfway() {
    let folder = Folder::new();
    let store = store_with_table(&folder);
    apply(&store, at(0), (0..300).map(|number| job(&format!("task-{number}")))).await;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let running = store.add_event_handler(handler(move |tx, events| {
        note(tx, events)?;
        // Every other call fails after it has written, once by an error and once by a panic.
        match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Err("the first time it fails".into()),
            2 => panic!("the third time it panics"),
            _ => Ok(()),
        }
    }));
    let running = running.unwrap();
    handled_through(&running, 300).await;
    assert_eq!(noted(&folder), (1..=300).collect::<Vec<_>>());
    assert_eq!(calls.load(Ordering::Relaxed), 4, "two batches, each tried twice");
    assert!(store.dead_letters(&name(), 10).await.unwrap().is_empty());
    drop(running);
    assert_sound(&store).await;
}

#[tokio::test]
async fn dead_letter_that_is_requeued_is_handled_in_one_transaction() {
    let folder = Folder::new();
    let store = store_with_table(&folder);
    apply(&store, at(7), (0..4).map(|number| job(&format!("task-{number}")))).await;
    let mended = Arc::new(AtomicU32::new(0));
    let state = Arc::clone(&mended);
    let running = store.add_event_handler(handler(move |tx, events| {
        note(tx, events)?;
        let poison = events.iter().any(|event| event.position.number() == 3);
        if poison && state.load(Ordering::Relaxed) == 0 { Err("poison".into()) } else { Ok(()) }
    }));
    let running = running.unwrap();
    handled_through(&running, 4).await;
    let third = LogPosition::from_number(3);
    let attempts = async |store: &SqliteStore| store.dead_letters(&name(), 10).await.unwrap()[0].attempts;
    let before = attempts(&store).await;

    // It still fails, and is a dead letter again.
    assert!(store.requeue(&name(), third).await.unwrap());
    while store.dead_letters(&name(), 10).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(attempts(&store).await, before + 1);
    assert_eq!(noted(&folder), [1, 2, 4]);
    mended.store(1, Ordering::Relaxed);
    assert!(store.requeue(&name(), third).await.unwrap());
    while !store.requeued(&name(), 10).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(noted(&folder), [1, 2, 3, 4]);
    assert!(store.dead_letters(&name(), 10).await.unwrap().is_empty());
    drop(running);
    assert_sound(&store).await;
}

#[tokio::test]
async fn each_event_is_handled_once_over_restarts() {
    let folder = Folder::new();
    for round in 1..=3 {
        let store = store_with_table(&folder);
        let running = store.add_event_handler(handler(note)).unwrap();
        apply(&store, at(0), (0..10).map(|number| job(&format!("task-{round}-{number}")))).await;
        handled_through(&running, round * 10).await;
        drop(running);
        assert_sound(&store).await;
    }
    assert_eq!(noted(&folder), (1..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn event_that_always_fails_becomes_a_dead_letter_and_the_others_are_handled() {
    let folder = Folder::new();
    let store = store_with_table(&folder);
    apply(&store, at(7), (0..5).map(|number| job(&format!("task-{number}")))).await;
    let running = store.add_event_handler(handler(|tx, events| {
        note(tx, events)?;
        match events.iter().any(|event| event.position.number() == 3) {
            true => Err("poison".into()),
            false => Ok(()),
        }
    }));
    let running = running.unwrap();
    handled_through(&running, 5).await;
    assert_eq!(noted(&folder), [1, 2, 4, 5]);
    let dead = store.dead_letters(&name(), 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].position.number(), dead[0].attempts, dead[0].at), (3, 4, at(7)));
    assert_eq!(dead[0].error, "poison");
    let stats = store.stats(at(7)).await.unwrap();
    assert_eq!((stats.consumers[0].events_behind, stats.consumers[0].dead_letters), (0, 1));
    drop(running);
    assert_sound(&store).await;
}

#[tokio::test]
async fn sql_that_hangs_is_interrupted_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let store = store_with_table(&folder);
    apply(&store, at(0), [job("a")]).await;
    let hanging = TestHandler {
        time_limit: Duration::from_millis(20),
        ..handler(|tx, events| {
            note(tx, events)?;
            let endless = "INSERT INTO noted WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n)
                           SELECT i FROM n";
            let error = tx.execute(endless, []).unwrap_err();
            // The engine has rolled the transaction back by now; what follows must not commit by itself.
            let _ = tx.execute("INSERT INTO noted VALUES (77)", []);
            Err(error.into())
        })
    };
    let running = store.add_event_handler(hanging).unwrap();
    handled_through(&running, 1).await;
    assert_eq!(noted(&folder), [0_i64; 0]);
    let dead = store.dead_letters(&name(), 10).await.unwrap();
    assert!(dead[0].error.contains("longer than 20ms"), "{}", dead[0].error);
    apply(&store, at(0), [job("b")]).await;
    drop(running);
    assert_sound(&store).await;
}

#[tokio::test]
async fn handler_can_neither_write_our_tables_nor_end_its_transaction() {
    let folder = Folder::new();
    let store = store_with_table(&folder);
    apply(&store, at(0), [job("a")]).await;
    let running = store.add_event_handler(handler(|tx, events| {
        for forbidden in [
            "UPDATE azoth_p_tasks SET runs = 9",
            "DELETE FROM azoth_o_consumers",
            "INSERT INTO Azoth_o_consumers VALUES ('x', 1)",
            "DROP TABLE azoth_p_tasks",
            "DROP TRIGGER azoth_log_loses_nothing",
            "CREATE TRIGGER mine AFTER INSERT ON azoth_log BEGIN SELECT 1; END",
            "COMMIT",
            "ROLLBACK",
            "ATTACH ':memory:' AS other",
        ] {
            if tx.execute_batch(forbidden).is_ok() {
                return Err(format!("allowed: {forbidden}").into());
            }
        }
        let tasks: i64 = tx.query_row("SELECT count(*) FROM azoth_p_tasks", [], |row| row.get(0))?;
        assert_eq!(tasks, 1, "reading is allowed");
        tx.execute_batch("SAVEPOINT mine; CREATE TABLE also_mine (n); RELEASE mine")?;
        note(tx, events)
    }));
    let running = running.unwrap();
    handled_through(&running, 1).await;
    assert_eq!(store.dead_letters(&name(), 10).await.unwrap(), []);
    assert_eq!(noted(&folder), [1]);
    drop(running);
    assert_sound(&store).await;
}

#[tokio::test]
async fn commits_of_another_process_reach_the_handler() {
    let folder = Folder::new();
    let store = store_with_table(&folder);
    let running = store.add_event_handler(handler(note)).unwrap();
    let other = folder.open();
    apply(&other, at(0), [job("a")]).await;
    handled_through(&running, 1).await;
    assert_eq!(noted(&folder), [1]);
    drop(running);
    assert_sound(&store).await;
}

#[tokio::test]
async fn two_handlers_of_one_name_share_the_work() {
    let folder = Folder::new();
    let store = store_with_table(&folder);
    let running = [(); 2].map(|()| store.add_event_handler(handler(note)).unwrap());
    for round in 0..20 {
        apply(&store, at(0), (0..10).map(|number| job(&format!("task-{round}-{number}")))).await;
    }
    for running in &running {
        handled_through(running, 200).await;
    }
    assert_eq!(noted(&folder), (1..=200).collect::<Vec<_>>());
    drop(running);
    assert_sound(&store).await;
}

#[tokio::test]
async fn new_handler_may_start_behind_what_is_there() {
    struct Late;
    impl TransactionalEventHandler for Late {
        fn name(&self) -> &str {
            "late"
        }
        fn start_from(&self) -> StartFrom {
            StartFrom::Now
        }
        fn handle(&self, tx: &Transaction<'_>, events: &[RecordedEvent]) -> Result<(), HandlerError> {
            note(tx, events)
        }
    }
    let folder = Folder::new();
    let store = store_with_table(&folder);
    apply(&store, at(0), [job("a"), job("b")]).await;
    let running = store.add_event_handler(Late).unwrap();
    apply(&store, at(0), [job("c")]).await;
    handled_through(&running, 3).await;
    assert_eq!(noted(&folder), [3]);
    drop(running);
    assert_sound(&store).await;
}

#[tokio::test]
async fn handler_ends_at_an_event_that_cannot_be_decoded() {
    let folder = Folder::new();
    let store = store_with_table(&folder);
    apply(&store, at(0), [job("a"), job("b")]).await;
    folder
        .raw()
        .execute_batch(
            "DROP TRIGGER azoth_log_keeps_events; UPDATE azoth_log SET record = x'FF' WHERE position = 2",
        )
        .unwrap();
    let running = store.add_event_handler(handler(note)).unwrap();
    let mut cursor = running.watch_cursor();
    // The sender goes with the thread.
    while cursor.changed().await.is_ok() {}
    let error = running.ended_by().unwrap();
    assert!(matches!(&error, StoreError::Undecodable { position, .. } if position.number() == 2), "{error}");
    assert_eq!(*cursor.borrow(), LogPosition::START);
}

#[tokio::test]
async fn name_that_is_none_is_refused() {
    struct Nameless;
    impl TransactionalEventHandler for Nameless {
        fn name(&self) -> &str {
            " "
        }
        fn handle(&self, _: &Transaction<'_>, _: &[RecordedEvent]) -> Result<(), HandlerError> {
            Ok(())
        }
    }
    let folder = Folder::new();
    let store = folder.open();
    let error = store.add_event_handler(Nameless).unwrap_err();
    assert!(matches!(error, StoreError::InvalidName { .. }), "{error}");
    assert_sound(&store).await;
}

#[tokio::test]
async fn commit_of_a_handler_that_fails_is_a_trouble_of_the_store_until_one_succeeds() {
    let (folder, vfs) = (Folder::new(), FaultyVfs::register());
    let store = SqliteStore::open_with(folder.path(), options().vfs(vfs.name())).unwrap();
    folder.raw().execute_batch("CREATE TABLE noted (position INTEGER PRIMARY KEY)").unwrap();
    apply(&store, at(0), [job("a")]).await;
    let running = store.add_event_handler(handler(note)).unwrap();
    handled_through(&running, 1).await;
    // The next sync is that of the task, the one behind it that of the handler.
    vfs.inject(Fault::at(Call::Sync, Part::Wal, Effect::IoError).nth(2).lasting());
    apply(&store, at(1), [job("b")]).await;
    while store.health() == Health::Working {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let Health::Troubled { detail, .. } = store.health() else { panic!("{:?}", store.health()) };
    assert!(detail.contains("failed"), "{detail}");
    vfs.heal();
    handled_through(&running, 2).await;
    assert_eq!((noted(&folder), store.health()), (vec![1, 2], Health::Working));
    drop(running);
    assert_sound(&store).await;
}

/// What it had written was in the file before it was found that the name is another's.
#[cfg(unix)]
#[tokio::test]
async fn handler_commits_nothing_to_a_file_that_loses_its_name_while_it_runs() {
    let folder = Folder::new();
    let store = store_with_table(&folder);
    apply(&store, at(0), [job("a")]).await;
    let (path, aside) = (folder.path().to_owned(), folder.path().with_file_name("aside"));
    let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let running = {
        let (path, aside) = (path.clone(), aside.clone());
        store.add_event_handler(handler(move |tx, events| {
            note(tx, events)?;
            std::fs::rename(&path, &aside)?;
            called.send(())?;
            Ok(())
        }))
    };
    let running = running.unwrap();
    calls.recv().await.unwrap();
    // It ends when what it does at the moment is done.
    drop(running);
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(noted(&folder), [0; 0]);
    let running = store.add_event_handler(handler(note)).unwrap();
    handled_through(&running, 1).await;
    assert_eq!(noted(&folder), [1]);
}
