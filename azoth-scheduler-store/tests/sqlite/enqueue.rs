//! Scheduling inside the application's own transaction: both together, or neither.

use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_store::sqlite::rusqlite::{Connection, TransactionBehavior};
use azoth_scheduler_store::{Prepared, SqliteStore, Store, StoreError};

use crate::support::*;

/// A connection of the application's, with a table of its own.
fn shop(folder: &Folder) -> Connection {
    let conn = folder.raw();
    conn.execute_batch("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY) STRICT").unwrap();
    conn
}

fn orders(conn: &Connection) -> i64 {
    conn.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap()
}

/// An order and its job, in one transaction that commits or not.
fn order(store: &SqliteStore, conn: &mut Connection, name: &str, commit: bool) {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    tx.execute("INSERT INTO orders VALUES (?1)", [name]).unwrap();
    let answers = store.schedule_in(&tx, &Prepared::new(vec![job(name)], at(0))).unwrap();
    assert_eq!(answers, [Ok(Answer::Created)]);
    if commit { tx.commit().unwrap() } else { tx.rollback().unwrap() }
}

#[tokio::test]
async fn task_and_row_commit_together_and_are_rolled_back_together() {
    let folder = Folder::new();
    let store = folder.open();
    let mut conn = shop(&folder);
    apply(&store, at(0), [job("before")]).await;
    order(&store, &mut conn, "kept", true);
    let head = store.head().await.unwrap();
    order(&store, &mut conn, "dropped", false);
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(orders(&conn), 1);
    assert!(store.task(&id("kept")).await.unwrap().is_some());
    assert!(store.task(&id("dropped")).await.unwrap().is_none());
    // The writer notices that somebody else wrote, and goes on behind that.
    apply(&store, at(1), [job("after"), job("kept")]).await;
    assert_eq!(store.tasks(&Default::default()).await.unwrap().len(), 3);
    assert_sound(&store).await;
}

#[tokio::test]
async fn refusal_undoes_what_was_prepared_and_leaves_the_transaction_usable() {
    let folder = Folder::new();
    let store = folder.open();
    let mut conn = shop(&folder);
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    tx.execute("INSERT INTO orders VALUES ('a')", []).unwrap();
    let many = Prepared::new(vec![job("x"); 10_001], at(0));
    assert!(matches!(store.schedule_in(&tx, &many), Err(StoreError::BatchTooLarge { .. })));
    tx.commit().unwrap();
    assert_eq!(orders(&conn), 1);
    assert!(store.task(&id("x")).await.unwrap().is_none());
    assert_sound(&store).await;
}

#[tokio::test]
async fn transaction_on_another_file_is_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    let (store, elsewhere) = (folder.open(), other.open());
    for mut conn in [shop(&other), Connection::open_in_memory().unwrap()] {
        let tx = conn.transaction().unwrap();
        let refusal = store.schedule_in(&tx, &Prepared::new(vec![job("a")], at(0))).unwrap_err();
        assert!(matches!(refusal, StoreError::AnotherDatabase { .. }), "{refusal}");
    }
    assert!(elsewhere.task(&id("a")).await.unwrap().is_none());
}

#[tokio::test]
async fn deferred_transaction_that_another_writer_overtook_is_told_so() {
    let folder = Folder::new();
    let store = folder.open();
    let mut conn = shop(&folder);
    let tx = conn.transaction().unwrap();
    assert_eq!(orders(&tx), 0);
    apply(&store, at(0), [job("faster")]).await;
    let refusal = store.schedule_in(&tx, &Prepared::new(vec![job("slower")], at(1))).unwrap_err();
    assert!(matches!(refusal, StoreError::Busy { .. }), "{refusal}");
    drop(tx);
    order(&store, &mut conn, "slower", true);
    assert_eq!(store.tasks(&Default::default()).await.unwrap().len(), 2);
    assert_sound(&store).await;
}

#[tokio::test]
async fn savepoint_that_is_rolled_back_takes_its_tasks_with_it_and_nothing_else() {
    let folder = Folder::new();
    let store = folder.open();
    let mut conn = shop(&folder);
    apply(&store, at(0), [job("before")]).await;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    store.schedule_in(&tx, &Prepared::new(vec![job("kept")], at(1))).unwrap();
    for name in ["dropped", "dropped-too"] {
        tx.execute_batch("SAVEPOINT theirs").unwrap();
        store.schedule_in(&tx, &Prepared::new(vec![job(name)], at(1))).unwrap();
        tx.execute_batch("ROLLBACK TO theirs; RELEASE theirs").unwrap();
    }
    let again = store.schedule_in(&tx, &Prepared::new(vec![job("kept"), job("last")], at(1))).unwrap();
    assert_eq!(again, [Ok(Answer::Unchanged(PhaseKind::Waiting)), Ok(Answer::Created)]);
    tx.commit().unwrap();
    // What the writer remembers is what was committed.
    apply(&store, at(2), [job("dropped"), job("after")]).await;
    let names: Vec<_> = store.tasks(&Default::default()).await.unwrap();
    let names: Vec<_> = names.iter().map(|state| state.id.as_str()).collect();
    assert_eq!(names, ["before", "kept", "last", "dropped", "after"]);
    assert_sound(&store).await;
}

#[tokio::test]
async fn transaction_that_is_rolled_back_wakes_nobody() {
    let folder = Folder::new();
    let store = folder.open();
    let mut conn = shop(&folder);
    apply(&store, at(0), [job("before")]).await;
    let mut head = store.watch_head();
    head.wait_for(|head| head.number() == 1).await.unwrap();
    order(&store, &mut conn, "dropped", false);
    assert!(!head.has_changed().unwrap());
    order(&store, &mut conn, "kept", true);
    head.wait_for(|head| head.number() == 2).await.unwrap();
}

/// How long the row of the application lasts is its own choice, and the task's with it. The store's own commits stay as they are.
#[tokio::test]
async fn connection_that_syncs_nothing_writes_a_log_that_is_sound() {
    let folder = Folder::new();
    let store = folder.open();
    let mut conn = shop(&folder);
    conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
    order(&store, &mut conn, "fast", true);
    apply(&store, at(1), [job("after")]).await;
    drop(store);
    assert_sound(&folder.open()).await;
}
