//! The projection made anew while others write, and what a verification sees beside the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use azoth_scheduler_core::id::ConsumerName;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_store::{LogPosition, StartFrom, Store};
use tokio::sync::watch;

use crate::support::*;

/// So many tasks, a thousand in each append.
async fn many(folder: &Folder, tasks: usize) -> azoth_scheduler_store::SqliteStore {
    let store = folder.open();
    for first in (0..tasks).step_by(1_000) {
        let jobs = (first..tasks.min(first + 1_000)).map(|number| job(&format!("task-{number}")));
        apply(&store, at(0), jobs).await;
    }
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projection_is_made_anew_while_others_write() {
    let folder = Folder::new();
    let store = many(&folder, 2_500).await;
    folder
        .raw()
        .execute_batch("UPDATE azoth_p_tasks SET runs = 9; DELETE FROM azoth_p_tasks WHERE key = 7")
        .unwrap();
    assert!(!store.verify().await.unwrap().is_sound());

    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        // Another handle: it remembers rows, and must forget those of the old tables.
        let (store, done) = (folder.open(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut written = 0_usize;
            while !done.load(Ordering::Relaxed) || written == 0 {
                apply(&store, at(1), [job(&format!("meanwhile-{written}"))]).await;
                written += 1;
                // A row that was copied already changes too.
                let again = definition(Schedule::interval_secs(60 + written as u64).unwrap());
                apply(&store, at(1), [schedule("task-5", again, b"again")]).await;
            }
            written
        })
    };
    let (told, progress) = watch::channel(Default::default());
    let report = store.rebuild_projection_with(told).await.unwrap();
    done.store(true, Ordering::Relaxed);
    let written: usize = writer.await.unwrap();

    // I5, though nobody was told to wait.
    assert_sound(&store).await;
    assert!(report.tasks >= 2_500 && report.tasks < report.events, "{report:?}");
    let progress = *progress.borrow();
    assert_eq!((progress.events, progress.of), (report.events, report.events));
    assert_eq!(store.verify().await.unwrap().tasks, 2_500 + written as u64);
    assert_eq!(store.task(&id("task-6")).await.unwrap().unwrap().state.runs, 0);
    assert_eq!(folder.files().len(), 3, "nothing but the database: {:?}", folder.files());
}

#[tokio::test]
async fn what_a_killed_rebuild_left_behind_is_no_hindrance() {
    let folder = Folder::new();
    let store = many(&folder, 3).await;
    let rows = folder.projection();
    folder
        .raw()
        .execute_batch("CREATE TABLE azoth_r_tasks (odd TEXT); INSERT INTO azoth_r_tasks VALUES ('x')")
        .unwrap();
    std::fs::write(folder.path().with_file_name("scheduler.db-upkeep"), "").unwrap();
    store.rebuild_projection().await.unwrap();
    assert_eq!(folder.projection(), rows);
    let left = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'azoth_r%'";
    assert_eq!(folder.raw().query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    assert_sound(&store).await;
}

#[tokio::test]
async fn views_and_tables_of_the_application_survive_a_rebuild() {
    let folder = Folder::new();
    let store = many(&folder, 3).await;
    folder
        .raw()
        .execute_batch(
            "CREATE VIEW names AS SELECT id FROM azoth_p_tasks; CREATE VIEW broken AS SELECT 1 FROM nowhere",
        )
        .unwrap();
    store.rebuild_projection().await.unwrap();
    let count: i64 = folder.raw().query_row("SELECT count(*) FROM names", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 3);
    assert_sound(&store).await;
}

#[tokio::test]
async fn rows_of_consumers_that_cannot_be_so_are_found() {
    for (edit, what) in [
        ("UPDATE azoth_o_consumers SET cursor = 9", "behind the newest event"),
        ("INSERT INTO azoth_o_dead_letters VALUES ('mail', 9, 5, 'no route', 0, 0)", "which is not there"),
        ("INSERT INTO azoth_o_dead_letters VALUES ('other', 1, 5, 'no route', 0, 0)", "which is not there"),
    ] {
        let folder = Folder::new();
        let store = many(&folder, 3).await;
        store
            .cursor(&ConsumerName::new("mail").unwrap(), StartFrom::After(LogPosition::from_number(2)))
            .await
            .unwrap();
        assert_sound(&store).await;
        folder.raw().execute_batch(edit).unwrap();
        let findings = store.verify().await.unwrap().findings;
        assert!(findings.len() == 1 && findings[0].what.contains(what), "{edit}: {findings:?}");
    }
}
