//! A file that changes its place, its rights or its process while it is open.

use std::fs;
use std::process::{Command, Stdio};

use azoth_scheduler_store::{Batch, SqliteStore, Store, StoreError};

use crate::support::*;

const CHILD_FILE: &str = "AZOTH_TEST_REPLACED_CHILD_FILE";

async fn refused(store: &SqliteStore) -> StoreError {
    let batch = Batch::new([job("refused")], at(1));
    store.apply(batch).await.unwrap_err()
}

/// Opens the file and closes it again, as another program would. Without its variable this is no test.
#[test]
fn child_that_opens_and_closes_a_file() {
    let Some(path) = std::env::var_os(CHILD_FILE) else { return };
    let conn = azoth_scheduler_store::sqlite::rusqlite::Connection::open(path).unwrap();
    conn.query_row("SELECT count(*) FROM azoth_log", [], |row| row.get::<_, i64>(0)).unwrap();
}

/// Lost was what a store had committed: opening the file a second time in the same process looked whether it may be
/// written by opening and closing it, which dropped the locks of the first one. The next process that closed the file
/// took itself for the last one and deleted the write-ahead log.
#[tokio::test]
async fn second_store_in_a_process_does_not_take_the_locks_of_the_first() {
    let folder = Folder::new();
    let store = folder.open();
    apply(&store, at(0), [job("a")]).await;
    drop(folder.open());
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "replaced::child_that_opens_and_closes_a_file"])
        .env(CHILD_FILE, folder.path())
        .stdout(Stdio::null())
        .status();
    assert!(child.unwrap().success());
    assert!(folder.files().contains(&"scheduler.db-wal".to_owned()));
    apply(&store, at(0), [job("b")]).await;
    assert_eq!(folder.open().head().await.unwrap().number(), 2);
    assert_sound(&store).await;
}

#[cfg(unix)]
#[tokio::test]
async fn file_that_is_deleted_or_replaced_is_not_written_any_more() {
    for name in ["scheduler.db", "scheduler.db-wal"] {
        let folder = Folder::new();
        let store = folder.open();
        apply(&store, at(0), [job("a")]).await;
        let (file, aside) = (folder.path().with_file_name(name), folder.path().with_file_name("aside"));
        fs::rename(&file, &aside).unwrap();
        let error = refused(&store).await;
        assert!(matches!(&error, StoreError::Replaced { path } if *path == file), "{error}");
        fs::copy(&aside, &file).unwrap();
        let error = refused(&store).await;
        assert!(matches!(&error, StoreError::Replaced { path } if *path == file), "{error}");

        // Nothing was written meanwhile, so the right file in its place is all that it takes.
        fs::rename(&aside, &file).unwrap();
        apply(&store, at(2), [job("b")]).await;
        assert_eq!(store.head().await.unwrap().number(), 2);
        assert_sound(&store).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn file_that_becomes_read_only_is_not_written_any_more() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let store = folder.open();
    apply(&store, at(0), [job("a")]).await;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o400)).unwrap();
    let error = refused(&store).await;
    assert!(matches!(&error, StoreError::ReadOnly { path, .. } if *path == folder.path()), "{error}");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o600)).unwrap();
    apply(&store, at(2), [job("b")]).await;
    assert_sound(&store).await;
}

#[tokio::test]
async fn older_backup_that_is_put_back_takes_no_result_of_an_execution_from_before() {
    let folder = Folder::new();
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [job("a")]).await;
    drop(store);
    let backup = fs::read(folder.path()).unwrap();
    let store = folder.open();
    assert_eq!(claim(&store, at(1), offer(1, [7])).await.len(), 1);
    drop(store);
    fs::write(folder.path(), backup).unwrap();

    let store = folder.open();
    let late = succeed("a", azoth_scheduler_core::id::ExecutionId::from_u128(7), b"late", at(1));
    // I8: before the task runs again, and when it runs as another execution at the same place of the log.
    assert!(apply(&store, at(2), [late.clone()]).await.answers[0].is_err());
    assert_eq!(claim(&store, at(2), offer(1, [8])).await.len(), 1);
    assert!(apply(&store, at(3), [late]).await.answers[0].is_err());
    assert!(apply(&store, at(3), [succeed("a", execution(8), b"done", at(2))]).await.answers[0].is_ok());
    assert_sound(&store).await;
}
