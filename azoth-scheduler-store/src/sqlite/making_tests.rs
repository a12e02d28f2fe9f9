//! Rebuilds and cuts with room for three tasks at a time.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::command::{Command, OnConflict, ScopeCommand, ScopeWish};
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::scope::{Limits, LimitsChange, Rate, Scope};
use azoth_scheduler_core::testing::{actor, at, claim, complete, definition, schedule, succeeded};
use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::conformance::random_walk;
use crate::{Batch, MemoryStore, Store, StoreError};

fn store(folder: &tempfile::TempDir) -> SqliteStore {
    store_with_room_for(folder, 3)
}

fn store_with_room_for(folder: &tempfile::TempDir, tasks: usize) -> SqliteStore {
    let mut options = SqliteOptions::new().synchronous(Synchronous::Normal).allow_old_sqlite(true);
    options.tasks_folded_at_once = tasks;
    SqliteStore::open_with(folder.path().join("scheduler.db"), options).expect("the file can be opened")
}

/// What the engine finds in the file when it looks at every row, among it each row that breaks a check of its table.
fn broken_checks(folder: &tempfile::TempDir) -> Vec<String> {
    let found = || -> rusqlite::Result<Vec<String>> {
        let conn = Connection::open(folder.path().join("scheduler.db"))?;
        let mut statement = conn.prepare("PRAGMA integrity_check")?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    let found = found().expect("the file can be read");
    found.into_iter().filter(|found| found != "ok").collect()
}

fn wait_for(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// I5: nor does it matter how many tasks are put aside.
    #[test]
    fn a_file_that_is_folded_in_small_parts_answers_like_the_reference(seed in any::<u64>(), steps in 50..250usize) {
        let folder = tempfile::tempdir().unwrap();
        wait_for(async {
            let store = store(&folder);
            random_walk(&MemoryStore::new(), &store, seed, steps).await;
            store.rebuild_projection().await.unwrap();
            assert_eq!(broken_checks(&folder), [""; 0]);
        });
    }
}

/// More tasks than there is room for start before a rate is set and after, and end later still.
#[tokio::test]
async fn starts_before_a_rate_was_set_do_not_count_against_it_though_their_tasks_were_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let names: Vec<String> = (0..12).map(|number| format!("task-{number}")).collect();
    let say = async |commands: Vec<Command>, now| {
        for answer in store.apply(Batch::new(commands, now)).await.unwrap().answers {
            answer.unwrap();
        }
    };
    let start = |tasks: &[String], first: u128| -> Vec<Command> {
        (first..).zip(tasks).map(|(number, task)| claim(task, number).into()).collect()
    };
    let new = |task: &String| schedule(task, Schedule::immediate(), OnConflict::Redefine).into();
    say(names.iter().map(new).collect(), at(0)).await;
    say(start(&names[..8], 0), at(5)).await;
    let scope = Scope::TaskType(definition(Schedule::immediate()).task_type);
    let (count, hour) = (NonZeroU32::new(100).unwrap(), NonZeroU64::new(3_600_000).unwrap());
    let change = LimitsChange::Set(Limits { rate: Rate::new(count, hour, count), ..Limits::default() });
    let wish = ScopeWish::ChangeLimits { change, by: actor("ops") };
    say(vec![ScopeCommand { scope, wish }.into()], at(10)).await;
    say(start(&names[8..], 8), at(20)).await;
    let ends = (0..).zip(&names).map(|(number, task)| complete(task, number, succeeded(), at(20)).into());
    say(ends.collect(), at(30)).await;

    let scopes = store.scopes().await.unwrap();
    store.rebuild_projection().await.unwrap();
    assert_eq!(store.scopes().await.unwrap(), scopes);
    let report = store.verify().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

/// There are enough of them to be written several at a time, and some over.
#[tokio::test]
async fn rebuilt_rows_meet_the_checks_of_their_tables_and_one_that_breaks_them_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_room_for(&folder, 1_000);
    let new = |number| -> Command {
        schedule(&format!("task-{number}"), Schedule::immediate(), OnConflict::Redefine).into()
    };
    let answers = store.apply(Batch::new((0..100).map(new), at(0))).await.unwrap().answers;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    store.rebuild_projection().await.unwrap();
    assert_eq!(broken_checks(&folder), [""; 0]);

    let conn = Connection::open(folder.path().join("scheduler.db")).unwrap();
    conn.execute_batch(
        "PRAGMA ignore_check_constraints = ON; UPDATE azoth_p_tasks SET runs = -1 WHERE key = 7",
    )
    .unwrap();
    assert_eq!(broken_checks(&folder), ["CHECK constraint failed in azoth_p_tasks"]);
    store.rebuild_projection().await.unwrap();
    assert_eq!(broken_checks(&folder), [""; 0]);
}

/// One among others on a page, and more than a page of them.
#[tokio::test]
async fn rebuild_names_the_first_event_that_is_missing() {
    for (last, told) in [(10, "event 11: event 10 is missing before it"), (290, "event 10 is missing")] {
        let folder = tempfile::tempdir().unwrap();
        let store = store_with_room_for(&folder, 1_000);
        let new = |number| -> Command {
            schedule(&format!("task-{number}"), Schedule::immediate(), OnConflict::Redefine).into()
        };
        store.apply(Batch::new((0..300).map(new), at(0))).await.unwrap();
        let conn = Connection::open(folder.path().join("scheduler.db")).unwrap();
        let gap = format!("DELETE FROM azoth_log WHERE position BETWEEN 10 AND {last}");
        conn.execute_batch(&format!("DROP TRIGGER azoth_log_loses_nothing; {gap}")).unwrap();
        let error = store.rebuild_projection().await.unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { what } if what == told), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_made_is_not_committed_to_a_file_that_has_lost_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, aside) = (folder.path().join("scheduler.db"), folder.path().join("aside"));
    let place = place::Place::find(&path, SqliteOptions::new().allow_old_sqlite(true)).unwrap();
    let (conn, _) = place.establish().unwrap();
    conn.execute_batch("CREATE TABLE theirs (row)").unwrap();
    let write = || making::written(&place, &conn, || Ok(conn.execute("INSERT INTO theirs VALUES (1)", [])?));
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(write(), Err(StoreError::Replaced { path: path.clone() }));
    std::fs::rename(&aside, &path).unwrap();
    let rows = || conn.query_row("SELECT count(*) FROM theirs", [], |row| row.get::<_, i64>(0));
    assert_eq!(rows(), Ok(0));
    assert_eq!((write(), rows()), (Ok(1), Ok(1)));
}
