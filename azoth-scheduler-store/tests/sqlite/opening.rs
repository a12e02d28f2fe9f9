//! Opening a file, and every reason not to.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::Duration;

use azoth_scheduler_faults::{Call, FaultyVfs, Part};
use azoth_scheduler_store::sqlite::{CutOptions, SqliteOptions, rusqlite};
use azoth_scheduler_store::{AsOf, Batch, SqliteStore, Store, StoreError};

use crate::support::*;

const CHILD_FILE: &str = "AZOTH_TEST_OPENING_CHILD_FILE";

fn refused(path: impl AsRef<std::path::Path>) -> StoreError {
    SqliteStore::open_with(path, options()).unwrap_err()
}

#[test]
fn missing_folder_is_named_and_not_made() {
    let folder = Folder::new();
    let missing = folder.path().parent().unwrap().join("not").join("there");
    let error = refused(missing.join("scheduler.db"));
    assert!(matches!(&error, StoreError::MissingFolder { folder, .. } if *folder == missing), "{error}");
    assert!(!missing.exists());
}

#[test]
fn file_that_is_no_database_is_left_as_it_is() {
    for content in [&b"hello"[..], &[0x42; 10_000]] {
        let folder = Folder::new();
        fs::write(folder.path(), content).unwrap();
        let error = refused(folder.path());
        assert!(matches!(&error, StoreError::NotADatabase { path } if *path == folder.path()), "{error}");
        assert_eq!(fs::read(folder.path()).unwrap(), content);
        assert_eq!(folder.files(), ["scheduler.db"]);
    }
}

#[test]
fn folder_in_place_of_a_file_is_refused() {
    let folder = Folder::new();
    let error = refused(folder.path().parent().unwrap());
    assert!(matches!(error, StoreError::CannotOpen { .. }), "{error}");
}

#[test]
fn names_of_databases_in_memory_are_refused_with_the_store_to_use() {
    for name in ["", ":memory:"] {
        let error = refused(name);
        assert!(error.to_string().contains("MemoryStore"), "{error}");
    }
}

#[tokio::test]
async fn read_only_file_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    drop(folder.open());
    let before = fs::read(folder.path()).unwrap();
    let writable = fs::metadata(folder.path()).unwrap().permissions();
    let mut permissions = writable.clone();
    permissions.set_readonly(true);
    fs::set_permissions(folder.path(), permissions).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    assert_eq!(fs::read(folder.path()).unwrap(), before);
    fs::set_permissions(folder.path(), writable).unwrap();
    assert_sound(&folder.open()).await;
}

#[test]
fn file_of_a_newer_version_is_refused_and_not_one_byte_changes() {
    let folder = Folder::new();
    drop(folder.open());
    let newer = folder.raw();
    newer.execute("UPDATE azoth_head SET layout = 2", []).unwrap();
    // The update stays in the write-ahead log, as after a crash of the newer version.
    let wal = folder.path().with_file_name("scheduler.db-wal");
    let before = (fs::read(folder.path()).unwrap(), fs::read(&wal).unwrap());
    assert!(!before.1.is_empty());
    let error = refused(folder.path());
    assert!(matches!(error, StoreError::NewerLayout { found: 2, supported: 1, .. }), "{error}");
    assert_eq!((fs::read(folder.path()).unwrap(), fs::read(&wal).unwrap()), before);
    drop(newer);
}

#[tokio::test]
async fn file_that_becomes_newer_while_it_is_open_is_not_written_any_more() {
    let folder = Folder::new();
    let store = folder.open();
    apply(&store, at(0), [job("a")]).await;
    folder.raw().execute("UPDATE azoth_head SET layout = 2", []).unwrap();
    let batch = azoth_scheduler_store::Batch::new(vec![job("b")], at(0));
    let error = store.apply(batch).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerLayout { found: 2, .. }), "{error}");
    assert_eq!(store.head().await.unwrap().number(), 1);
    assert_sound(&store).await;
}

#[tokio::test]
async fn database_of_another_application_is_shared() {
    let folder = Folder::new();
    let theirs = folder.raw();
    theirs
        .execute_batch(
            "PRAGMA user_version = 17; PRAGMA application_id = 4711; CREATE TABLE customers (name TEXT);
             INSERT INTO customers VALUES ('Ada');",
        )
        .unwrap();
    let store = folder.open();
    apply(&store, at(0), [job("a")]).await;
    let number = |sql: &str| theirs.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA user_version"), 17);
    assert_eq!(number("PRAGMA application_id"), 4711);
    assert_eq!(number("SELECT count(*) FROM customers WHERE name = 'Ada'"), 1);
    assert_eq!(number("SELECT count(*) FROM azoth_log"), 1);
    theirs.execute("INSERT INTO customers VALUES ('Grace')", []).unwrap();
    apply(&store, at(0), [job("b")]).await;
    assert_sound(&store).await;
}

#[cfg(unix)]
#[test]
fn new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let _store = folder.open();
    for name in ["scheduler.db", "scheduler.db-wal"] {
        let mode = fs::metadata(folder.path().with_file_name(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn new_file_opened_by_several_at_once_is_made_once() {
    let folder = Folder::new();
    let start = Barrier::new(8);
    let stores: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    folder.open()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (number, store) in stores.iter().enumerate() {
        apply(store, at(0), [job(&format!("task-{number}"))]).await;
    }
    assert_eq!(stores[0].head().await.unwrap().number(), 8);
    assert_sound(&stores[0]).await;
}

/// Whoever makes the file holds all of it, for as long as the disk takes.
#[test]
fn store_waits_for_whoever_makes_the_file() {
    let (folder, vfs) = (Folder::new(), FaultyVfs::register());
    let maker = folder.raw();
    maker.execute_batch("BEGIN EXCLUSIVE").unwrap();
    std::thread::scope(|scope| {
        let store = scope.spawn(|| SqliteStore::open_with(folder.path(), options().vfs(vfs.name())));
        // When it opens the file again, the engine has told it once that the file is locked.
        while vfs.calls(Call::Open, Part::Database) < 2 && !store.is_finished() {
            std::thread::yield_now();
        }
        maker.execute_batch("COMMIT").unwrap();
        store.join().unwrap().unwrap();
    });
}

/// What each of several processes does. Without its variable this is no test.
#[tokio::test]
async fn child_that_opens_a_new_file() {
    let Some(path) = std::env::var_os(CHILD_FILE) else { return };
    let store = open(path.as_ref());
    apply(&store, at(0), [job(&format!("task-{}", std::process::id()))]).await;
}

#[tokio::test]
async fn new_file_opened_by_several_processes_at_once_is_made_once() {
    let folder = Folder::new();
    let child = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "opening::child_that_opens_a_new_file", "--test-threads=1"])
            .env(CHILD_FILE, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..6).map(|_| child()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let store = folder.open();
    assert_eq!(store.tasks(&Default::default()).await.unwrap().len(), 6);
    assert_sound(&store).await;
}

#[tokio::test]
async fn projection_that_is_missing_is_made_anew() {
    let folder = Folder::new();
    let store = folder.open();
    apply(&store, at(0), [job("a"), job("b")]).await;
    let tasks = store.tasks(&Default::default()).await.unwrap();
    drop(store);
    folder.raw().execute_batch("DROP TABLE azoth_p_tasks; DROP TABLE azoth_p_types;").unwrap();
    let store = folder.open();
    assert_eq!(store.tasks(&Default::default()).await.unwrap(), tasks);
    assert_sound(&store).await;
}

#[tokio::test]
async fn store_that_is_dropped_closes_its_file() {
    let folder = Folder::new();
    let store = folder.open();
    let clone = store.clone();
    apply(&store, at(0), [job("a")]).await;
    drop(store);
    apply(&clone, at(0), [job("b")]).await;
    assert_sound(&clone).await;
    drop(clone);
    // The write-ahead log goes with the last connection.
    assert_eq!(folder.files(), ["scheduler.db"]);
}

#[test]
fn store_is_opened_and_dropped_without_a_runtime() {
    let folder = Folder::new();
    let store = SqliteStore::open_with(folder.path(), options().readers(1)).unwrap();
    assert_eq!(store.path(), folder.path());
}

#[tokio::test]
async fn lock_that_is_held_for_too_long_is_an_error_and_nothing_happens() {
    let folder = Folder::new();
    let short: SqliteOptions = options().busy_wait(std::time::Duration::ZERO);
    let store = SqliteStore::open_with(folder.path(), short).unwrap();
    let other = folder.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let batch = azoth_scheduler_store::Batch::new(vec![job("a")], at(0));
    let error = store.apply(batch.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }) && error.is_passing() && !error.is_unknown(), "{error}");
    other.execute_batch("COMMIT").unwrap();
    store.apply(batch).await.unwrap();
    assert_eq!(store.head().await.unwrap().number(), 1);
    assert_sound(&store).await;
}

#[test]
fn connections_have_the_settings_that_losing_nothing_needs() {
    let folder = Folder::new();
    let _store = folder.open();
    let mode: String = folder.raw().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let _: &rusqlite::Connection = &folder.raw();
}

#[tokio::test]
async fn file_that_a_newer_version_migrates_while_it_is_open_is_written_no_more() {
    for newer in ["layout = 99", "projection_layout = 99"] {
        let folder = Folder::new();
        let store = folder.open();
        store.register_worker(worker_info(1), at(0)).await.unwrap();
        apply(&store, at(0), [job("a")]).await;
        folder.raw().execute_batch(&format!("UPDATE azoth_head SET {newer}")).unwrap();
        // It stops claiming, and everything else.
        let batch = Batch { commands: vec![], now: at(1), offer: Some(offer(1, [7])) };
        let error = store.apply(batch).await.unwrap_err();
        assert!(matches!(error, StoreError::NewerLayout { found: 99, supported: 1, .. }), "{newer}: {error}");
        assert!(store.renew_worker(worker(1), at(1)).await.is_err());
        assert_eq!(store.head().await.unwrap().number(), 1);
    }
}

/// The write-ahead log and the locks were looked for beside the link: the second store that was opened by one wrote nothing.
#[cfg(unix)]
#[tokio::test]
async fn store_that_is_opened_by_a_link_is_the_same_one() {
    let folder = Folder::new();
    let store = folder.open();
    apply(&store, at(0), [job("a")]).await;
    let beside = |name: &str| folder.path().with_file_name(name);
    std::os::unix::fs::symlink(folder.path(), beside("link.db")).unwrap();
    let linked = SqliteStore::open_with(beside("link.db"), options().busy_wait(Duration::ZERO)).unwrap();
    apply(&linked, at(1), [job("b")]).await;
    assert_eq!(linked.path(), folder.path().canonicalize().unwrap());
    assert!(linked.stats(at(1)).await.unwrap().wal_bytes > 0, "its write-ahead log is beside the file");
    let past = store.as_of(AsOf::Position(store.head().await.unwrap())).await.unwrap();
    let refused = linked.cut_log(CutOptions::archive_to(beside("1.jsonl")), at(9)).await.unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    drop(past);
    linked.cut_log(CutOptions::archive_to(beside("1.jsonl")), at(9)).await.unwrap();
    assert_sound(&store).await;
}
