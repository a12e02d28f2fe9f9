//! The write-ahead log: how long it becomes, and what a reader that keeps it long does to whom.

use azoth_scheduler_store::sqlite::CutOptions;
use azoth_scheduler_store::{Batch, LogPosition, SqliteStore, Store, StoreError};

use crate::support::*;

const KIB: u64 = 1024;

async fn wal_bytes(store: &SqliteStore) -> u64 {
    store.stats(at(0)).await.unwrap().wal_bytes
}

fn open_with_limits(folder: &Folder, soft: u64, hard: u64) -> SqliteStore {
    SqliteStore::open_with(folder.path(), options().wal_limits(soft, hard)).unwrap()
}

#[tokio::test]
async fn log_starts_again_while_commands_go_on() {
    const COMMITS: u64 = 1_500;
    let folder = Folder::new();
    let store = open_with_limits(&folder, 256 * KIB, 1024 * KIB * KIB);
    let mut longest = 0;
    for number in 0..COMMITS {
        apply(&store, at(0), [schedule(&format!("task-{number}"), anything(), &[7; 8_000])]).await;
        longest = longest.max(wal_bytes(&store).await);
    }
    // Each commit writes its payload at the least. How far the log grows until it starts again depends on how long the disk
    // takes to sync meanwhile, and not on the number of commits.
    assert!(longest < COMMITS * 8_000 / 2, "it became {longest} bytes long");
    assert_sound(&store).await;
}

#[tokio::test]
async fn snapshot_that_is_kept_stops_new_work_and_nothing_else_until_it_ends() {
    let folder = Folder::new();
    let store = open_with_limits(&folder, 64 * KIB, 256 * KIB);
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [job("first"), job("second")]).await;
    claim(&store, at(1), offer(1, [7])).await;
    let reader = folder.raw();
    reader.execute_batch("BEGIN; SELECT count(*) FROM azoth_log;").unwrap();

    let batch = |name: String| Batch::new([job(&name)], at(2));
    let mut refused = None;
    for number in 0..1_000 {
        if let Err(error) = store.apply(batch(format!("task-{number}"))).await {
            refused = Some((number, error));
            break;
        }
    }
    let (number, error) = refused.expect("the log cannot grow for ever");
    let StoreError::WalFull { bytes, limit } = error else { panic!("{error}") };
    assert!(bytes > limit && limit == 256 * KIB && error.is_passing() && !error.is_unknown());
    assert_eq!(store.task(&id(&format!("task-{number}"))).await.unwrap(), None);

    // What runs ends, and its worker lives on; nothing more is claimed, though much is due.
    let done = Batch {
        commands: vec![succeed("first", execution(7), b"", at(2)).into()],
        now: at(2),
        offer: Some(offer(1, [8, 9])),
    };
    let applied = store.apply(done).await.unwrap();
    assert!(applied.answers[0].is_ok() && applied.claims.unwrap().claimed.is_empty());
    store.renew_worker(worker(1), at(3)).await.unwrap();

    reader.execute_batch("ROLLBACK").unwrap();
    while store.apply(batch("last".into())).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(wal_bytes(&store).await < 256 * KIB);
    assert_eq!(claim(&store, at(4), offer(1, [10])).await.len(), 1);
    assert_sound(&store).await;
}

/// The cut is no new work, and what it deletes is there for the reader as long as he looks at it.
#[tokio::test]
async fn log_is_cut_beside_a_reader_who_keeps_the_write_ahead_log_over_its_limits() {
    const TASKS: u64 = 60;
    let folder = Folder::new();
    let store = open_with_limits(&folder, 512 * KIB, 2_048 * KIB);
    let tasks = (0..TASKS).map(|number| schedule(&format!("task-{number}"), anything(), &[7; 8_000]));
    apply(&store, at(0), tasks).await;
    let again = (0..TASKS).map(|number| schedule(&format!("task-{number}"), anything(), b"small"));
    apply(&store, at(1), again).await;
    let reader = folder.raw();
    reader.execute_batch("BEGIN").unwrap();
    let count = |sql: &str| reader.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64;
    let events = "SELECT count(*) FROM azoth_log";
    let bytes = "SELECT sum(length(bytes)) FROM azoth_payloads";
    let before = (count(events), count(bytes));
    assert_eq!(before.0, 2 * TASKS);
    let mut number = 0;
    while store.apply(Batch::new([job(&format!("more-{number}"))], at(2))).await.is_ok() {
        number += 1;
        assert!(number < 1_000, "the log cannot grow for ever");
    }

    let archive = folder.path().with_file_name("1.jsonl");
    let options = CutOptions::archive_to(&archive).through(LogPosition::from_number(2 * TASKS));
    let report = store.cut_log(options, at(3)).await.unwrap();
    assert_eq!(report.events, 2 * TASKS);
    assert_eq!((count(events), count(bytes)), before, "what the reader began to look at stays");
    let there: i64 = folder.raw().query_row(events, [], |row| row.get(0)).unwrap();
    assert_eq!(there as u64, store.head().await.unwrap().number() - 2 * TASKS);
    assert!(wal_bytes(&store).await > 2_048 * KIB, "nothing of it was copied");
    assert_sound(&store).await;

    reader.execute_batch("ROLLBACK").unwrap();
    while store.apply(Batch::new([job("last")], at(4))).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(wal_bytes(&store).await < 2_048 * KIB);
    assert_sound(&store).await;
    drop(store);
    assert_sound(&folder.open()).await;
}

fn anything() -> azoth_scheduler_core::task::TaskDefinition {
    definition(azoth_scheduler_core::schedule::Schedule::immediate())
}
