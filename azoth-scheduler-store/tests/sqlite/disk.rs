//! A disk that is full, or fails.

use azoth_scheduler_faults::{Call, Effect, Fault, FaultyVfs, Part};
use azoth_scheduler_store::sqlite::SqliteOptions;
use azoth_scheduler_store::{
    Applied, Batch, ClaimOffer, Health, LogPosition, SqliteStore, Store, StoreError,
};

use crate::support::*;

struct Disk {
    folder: Folder,
    vfs: FaultyVfs,
    store: SqliteStore,
}

/// A store with task `a` that runs as execution 7, and tasks `b` and `c` that wait.
async fn disk_with(configure: impl FnOnce(SqliteOptions) -> SqliteOptions) -> Disk {
    let folder = Folder::new();
    let vfs = FaultyVfs::register();
    let store = SqliteStore::open_with(folder.path(), configure(options().vfs(vfs.name()))).unwrap();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [job("a"), job("b"), job("c")]).await;
    claim(&store, at(1), offer(1, [7])).await;
    Disk { folder, vfs, store }
}

async fn disk() -> Disk {
    disk_with(|options| options).await
}

async fn try_apply(
    store: &SqliteStore,
    commands: Vec<azoth_scheduler_core::command::TaskCommand>,
    offer: Option<ClaimOffer>,
) -> Result<Applied, StoreError> {
    let commands = commands.into_iter().map(Into::into).collect();
    store.apply(Batch { commands, now: at(2), offer }).await
}

#[tokio::test]
async fn full_disk_refuses_everything_and_all_goes_on_once_there_is_room() {
    let Disk { folder, vfs, store } = disk().await;
    let head = store.head().await.unwrap();
    for nth in 1..=4 {
        vfs.inject(Fault::at(Call::Write, Part::Wal, Effect::Full).nth(nth).lasting());
        let done = || succeed("a", execution(7), b"result", at(2));
        assert_eq!(try_apply(&store, vec![job("d")], None).await.unwrap_err(), StoreError::Full);
        assert_eq!(try_apply(&store, vec![], Some(offer(1, [8]))).await.unwrap_err(), StoreError::Full);
        assert_eq!(try_apply(&store, vec![done()], None).await.unwrap_err(), StoreError::Full);
        assert_eq!(store.renew_worker(worker(1), at(2)).await, Err(StoreError::Full));
        // What can be read can be read, and nothing is there that was refused.
        assert_eq!(store.head().await.unwrap(), head);
        assert_eq!(store.task(&id("d")).await.unwrap(), None);
        assert_eq!(store.health(), Health::Working);
        vfs.heal();
    }
    let applied =
        try_apply(&store, vec![job("d"), succeed("a", execution(7), b"result", at(2))], Some(offer(1, [8])));
    let applied = applied.await.unwrap();
    assert!(applied.answers.iter().all(Result::is_ok));
    assert_eq!(applied.claims.unwrap().claimed.len(), 1);
    assert_sound(&store).await;
    drop(store);
    assert_sound(&folder.open()).await;
}

#[tokio::test]
async fn checkpoint_that_finds_no_room_or_a_broken_disk_loses_nothing_and_is_tried_again() {
    for (call, effect) in
        [(Call::Write, Effect::Full), (Call::Write, Effect::IoError), (Call::Sync, Effect::IoError)]
    {
        let Disk { folder, vfs, store } =
            disk_with(|options| options.wal_limits(64 * 1024, 1024 * 1024 * 1024)).await;
        vfs.inject(Fault::at(call, Part::Database, effect).lasting());
        let tried = |before| vfs.calls(call, Part::Database) > before;
        let mut tasks = 0;
        let mut until = async |done: &dyn Fn() -> bool| {
            for _ in 0..2_000 {
                if done() {
                    return;
                }
                apply(&store, at(2), [job(&format!("task-{tasks}"))]).await;
                tasks += 1;
            }
            panic!("no checkpoint: {call:?}, {effect:?}");
        };
        let before = vfs.calls(call, Part::Database);
        until(&|| tried(before + 1)).await;
        let long = store.stats(at(2)).await.unwrap().wal_bytes;
        vfs.heal();
        let synced = vfs.calls(Call::Sync, Part::Database);
        until(&|| vfs.calls(Call::Sync, Part::Database) > synced).await;
        assert_eq!(store.health(), Health::Working, "commits went on: {long} bytes");
        assert_eq!(store.tasks(&Default::default()).await.unwrap().len().min(100), (tasks + 3).min(100));
        assert_sound(&store).await;
        drop(store);
        let store = folder.open();
        assert_sound(&store).await;
        assert_eq!(store.head().await.unwrap().number(), tasks as u64 + 4);
    }
}

#[tokio::test]
async fn read_that_fails_fails_its_caller_and_nobody_else() {
    let Disk { folder, vfs, store } = disk_with(|options| options.readers(1)).await;
    for (part, task) in [(Part::Wal, "d"), (Part::Database, "e")] {
        let before = store.events(LogPosition::START, 10).await.unwrap();
        // What the reader has in its cache is void now.
        apply(&store, at(2), [job(task)]).await;
        if part == Part::Database {
            let _: i64 =
                folder.raw().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
        }
        vfs.inject(Fault::at(Call::Read, part, Effect::IoError).lasting());
        for _ in 0..2 {
            let error = store.events(LogPosition::START, 10).await.unwrap_err();
            assert!(matches!(error, StoreError::Io { .. }), "{error}");
        }
        vfs.heal();
        assert_eq!(store.events(LogPosition::START, 10).await.unwrap().len(), before.len() + 1);
    }
    assert_eq!(store.health(), Health::Working);
    assert_sound(&store).await;
}

#[tokio::test]
async fn store_that_cannot_read_says_so_and_guesses_nothing() {
    let Disk { folder, vfs, store } = disk().await;
    drop(store);
    vfs.inject(Fault::at(Call::Read, Part::Database, Effect::IoError).lasting());
    let error = SqliteStore::open_with(folder.path(), options().vfs(vfs.name())).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    vfs.heal();
    let store = SqliteStore::open_with(folder.path(), options().vfs(vfs.name())).unwrap();
    for nth in 1..=8 {
        vfs.inject(Fault::at(Call::Read, Part::Wal, Effect::IoError).nth(nth));
        // Whether the writer meets it depends on what it remembers; it answers for certain, or says that it cannot.
        match try_apply(&store, vec![job("a")], None).await {
            Ok(_) | Err(StoreError::Io { .. } | StoreError::Unknown { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        vfs.heal();
    }
    // Nothing of it was taken for another wish than the one that is there already.
    assert_eq!(store.head().await.unwrap().number(), 4);
    assert_sound(&store).await;
}

#[tokio::test]
async fn commit_that_fails_is_unknown_to_its_whole_group_and_the_next_one_stands_on_a_barrier() {
    for (call, nth) in [(Call::Write, 1), (Call::Write, 3), (Call::Sync, 1)] {
        let Disk { folder, vfs, store } = disk().await;
        let head = store.head().await.unwrap().number();
        let lock = folder.raw();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let callers = (0..5).map(|number| {
            let store = store.clone();
            tokio::spawn(
                async move { try_apply(&store, vec![job(&format!("unknown-{number}"))], None).await },
            )
        });
        let callers: Vec<_> = callers.collect();
        for _ in 0..callers.len() {
            tokio::task::yield_now().await;
        }
        vfs.inject(Fault::at(call, Part::Wal, Effect::IoError).nth(nth));
        lock.execute_batch("COMMIT").unwrap();
        let mut unknown = 0;
        for caller in callers {
            match caller.await.unwrap() {
                Err(error) => {
                    assert!(matches!(error, StoreError::Unknown { .. }) && error.is_unknown(), "{error}");
                    unknown += 1;
                }
                // It came in time for the next group only.
                Ok(applied) => assert!(applied.answers[0].is_ok()),
            }
        }
        assert!(unknown > 0, "{call:?} {nth}");
        let opened = vfs.calls(Call::Open, Part::Database);
        let synced = vfs.calls(Call::Sync, Part::Wal);

        // Repeating tells: each is there once, whatever became of the failed commit.
        let again: Vec<_> = (0..5).map(|number| job(&format!("unknown-{number}"))).collect();
        let applied = try_apply(&store, again, None).await.unwrap();
        assert!(applied.answers.iter().all(Result::is_ok));
        assert_eq!(store.head().await.unwrap().number(), head + 5, "{call:?} {nth}");
        if unknown == 5 {
            assert!(vfs.calls(Call::Open, Part::Database) > opened, "another connection");
            // The repeated one writes nothing where the failed commit has come back after all.
            assert!(vfs.calls(Call::Sync, Part::Wal) > synced, "a commit of its own comes first");
        }
        assert_eq!(store.health(), Health::Working);
        assert_sound(&store).await;
        drop(store);
        assert_sound(&folder.open()).await;
    }
}

#[tokio::test]
async fn disk_that_fails_over_and_over_ends_all_writing_and_can_still_be_read() {
    let Disk { folder, vfs, store } = disk().await;
    let head = store.head().await.unwrap();
    vfs.inject(Fault::at(Call::Sync, Part::Wal, Effect::IoError).lasting());
    let mut failures = 0;
    let failed = loop {
        match try_apply(&store, vec![job("d")], None).await.unwrap_err() {
            StoreError::Unknown { .. } => failures += 1,
            failed => break failed,
        }
        assert!(failures < 100);
        if failures == 1 {
            assert!(matches!(store.health(), Health::Troubled { failures: 1, .. }));
        }
    };
    assert!(matches!(failed, StoreError::Failed { .. }) && !failed.is_passing(), "{failed}");
    assert!(matches!(store.health(), Health::Failed { .. }));
    // For good, also when the disk seems to work again: what it lost meanwhile nobody knows.
    vfs.heal();
    assert_eq!(try_apply(&store, vec![job("d")], None).await.unwrap_err(), failed);
    assert_eq!(store.renew_worker(worker(1), at(2)).await, Err(failed));
    assert!(store.head().await.unwrap() >= head);
    assert_sound(&store).await;
    drop(store);
    let store = folder.open();
    apply(&store, at(3), [job("d")]).await;
    assert_eq!(store.health(), Health::Working);
    assert_sound(&store).await;
}

/// Its commits are those of a connection of its own.
#[tokio::test]
async fn rebuild_on_a_disk_that_fails_is_a_trouble_of_the_store_and_is_refused_in_the_end() {
    let Disk { folder, vfs, store } = disk().await;
    let rows = folder.projection();
    vfs.inject(Fault::at(Call::Sync, Part::Wal, Effect::IoError).lasting());
    let mut tried = 0;
    let refused = loop {
        match store.rebuild_projection().await.unwrap_err() {
            StoreError::Io { .. } => tried += 1,
            refused => break refused,
        }
        assert!(tried < 100);
        if tried == 1 {
            assert!(matches!(store.health(), Health::Troubled { failures: 1, .. }));
        }
    };
    assert!(matches!(refused, StoreError::Failed { .. }), "{refused}");
    assert!(tried > 1 && matches!(store.health(), Health::Failed { .. }), "{tried}");
    vfs.heal();
    assert_eq!(store.rebuild_projection().await.unwrap_err(), refused);
    assert_eq!(try_apply(&store, vec![job("d")], None).await.unwrap_err(), refused);
    drop(store);
    let store = folder.open();
    assert_eq!(folder.projection(), rows);
    store.rebuild_projection().await.unwrap();
    assert_eq!((folder.projection(), store.health()), (rows, Health::Working));
    assert_sound(&store).await;
}

#[test]
fn file_system_without_shared_memory_is_refused() {
    let folder = Folder::new();
    let vfs = FaultyVfs::register();
    vfs.take_shared_memory();
    let error = SqliteStore::open_with(folder.path(), options().vfs(vfs.name())).unwrap_err();
    assert!(matches!(error, StoreError::NoWal { .. }), "{error}");
}

#[test]
fn vfs_that_nobody_registered_is_refused_by_its_name() {
    let error = SqliteStore::open_with(Folder::new().path(), options().vfs("nobody's")).unwrap_err();
    assert!(error.to_string().contains("nobody's"), "{error}");
}
