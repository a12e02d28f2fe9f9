//! Files of earlier layouts made into those of this one, step by step.
//!
//! Each step is a transaction of its own that ends with the layout it leads to, so a process that is killed between two of
//! them leaves a file of a layout between, and the next one goes on from there. Derived tables are not migrated: those of
//! another layout are made anew.

use rusqlite::{Connection, params};

use super::cell;
use super::place::Place;
use super::schema;
use crate::error::StoreError;

/// From one layout of the log and the operational tables to the next.
pub(super) struct Migration {
    /// The layout that it leads to, from the one before.
    pub(super) to: u32,
    /// Changes the tables. Inside a write transaction.
    pub(super) run: fn(&Connection) -> Result<(), StoreError>,
}

/// Every step from the first released layout on, in order. None was released before the one that there is.
pub(super) const MIGRATIONS: &[Migration] = &[];

/// Brings the file to the layout of this library.
pub(super) fn migrate(place: &Place, conn: &Connection, steps: &[Migration]) -> Result<(), StoreError> {
    while schema::layout(conn)? != Some(schema::LAYOUT) {
        place.begin(conn, || false)?;
        let done = step(place, conn, steps);
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = conn.execute_batch(end);
        done?;
        ended?;
    }
    Ok(())
}

/// The next step. Another process may have gone it meanwhile.
fn step(place: &Place, conn: &Connection, steps: &[Migration]) -> Result<(), StoreError> {
    let found = schema::layout(conn)?;
    place.check_layout(found)?;
    let found = found.ok_or_else(|| cell::corrupt("azoth_head is gone"))?;
    if found == schema::LAYOUT {
        return Ok(());
    }
    let next = found.saturating_add(1);
    let migration = steps.iter().find(|migration| migration.to == next);
    let migration = migration.ok_or_else(|| cell::corrupt(format!("layout {found} was never released")))?;
    tracing::info!(path = ?place.path, from = found, to = next, "the tables are migrated");
    (migration.run)(conn)?;
    let rows = conn.execute("UPDATE azoth_head SET layout = ?1", params![next])?;
    assert_eq!(rows, 1, "the head is one row");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use azoth_scheduler_faults::{Call, Effect, Fault, FaultyVfs, Part};

    use super::*;
    use crate::sqlite::{SqliteOptions, SqliteStore};
    use crate::store::Store;

    /// A file as it may have been before letters could be requeued: a layout that was never released.
    const BEFORE: &str = "ALTER TABLE azoth_o_dead_letters DROP COLUMN requeued;
        INSERT INTO azoth_o_consumers VALUES ('mail', 0);
        INSERT INTO azoth_o_dead_letters VALUES ('mail', 0, 5, 'no route', 0);
        UPDATE azoth_head SET layout = 0;";

    const STEPS: &[Migration] = &[Migration { to: 1, run: add_requeued }];

    fn add_requeued(conn: &Connection) -> Result<(), StoreError> {
        let table = schema::operational("azoth_o_dead_letters");
        conn.execute_batch(&format!(
            "ALTER TABLE azoth_o_dead_letters RENAME TO azoth_old; {table};
             INSERT INTO azoth_o_dead_letters SELECT *, 0 FROM azoth_old; DROP TABLE azoth_old;"
        ))?;
        Ok(())
    }

    fn earlier(folder: &tempfile::TempDir) -> (Place, Connection) {
        let options = SqliteOptions::new().allow_old_sqlite(true);
        let place = Place::find(&folder.path().join("scheduler.db"), options).unwrap();
        let (conn, _) = place.establish().unwrap();
        conn.execute_batch(BEFORE).unwrap();
        (place, conn)
    }

    #[tokio::test]
    async fn file_of_an_earlier_layout_is_brought_to_this_one_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let (place, conn) = earlier(&folder);
        migrate(&place, &conn, STEPS).unwrap();
        migrate(&place, &conn, STEPS).unwrap();
        assert_eq!(schema::layout(&conn).unwrap(), Some(schema::LAYOUT));
        assert!(schema::altered(&conn, "main").unwrap().is_empty(), "it is as if it had been made today");
        drop(conn);
        let store = SqliteStore::open_with(&place.path, place.options.clone()).unwrap();
        let letters = store.dead_letters(&"mail".parse().unwrap(), 10).await.unwrap();
        assert_eq!(letters.iter().map(|letter| letter.error.as_str()).collect::<Vec<_>>(), ["no route"]);
        assert!(store.verify().await.unwrap().is_sound());
    }

    #[test]
    fn step_that_fails_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (place, conn) = earlier(&folder);
        let fails: &[Migration] = &[Migration {
            to: 1,
            run: |conn| {
                conn.execute_batch("DROP TABLE azoth_o_dead_letters")?;
                Err(StoreError::Full)
            },
        }];
        assert_eq!(migrate(&place, &conn, fails), Err(StoreError::Full));
        assert_eq!(schema::layout(&conn).unwrap(), Some(0));
        migrate(&place, &conn, STEPS).unwrap();
        assert!(schema::altered(&conn, "main").unwrap().is_empty());
    }

    /// Where the child ends, at which call of this kind, and whether the step is durable then. A log that begins is synced
    /// once for its header, and then for the commit.
    const POINTS: [(Call, Part, Effect, u64, bool); 10] = [
        (Call::LockWrite, Part::Database, Effect::AbortBefore, 1, false),
        (Call::LockWrite, Part::Database, Effect::AbortAfter, 1, false),
        (Call::Write, Part::Wal, Effect::AbortBefore, 1, false),
        (Call::Write, Part::Wal, Effect::AbortAfter, 3, false),
        (Call::Sync, Part::Wal, Effect::AbortBefore, 1, false),
        (Call::Sync, Part::Wal, Effect::AbortAfter, 1, false),
        (Call::Sync, Part::Wal, Effect::AbortBefore, 2, false),
        (Call::Sync, Part::Wal, Effect::AbortAfter, 2, true),
        (Call::UnlockWrite, Part::Database, Effect::AbortBefore, 1, true),
        (Call::UnlockWrite, Part::Database, Effect::AbortAfter, 1, true),
    ];
    const CHILD_FOLDER: &str = "AZOTH_TEST_MIGRATING_CHILD_FOLDER";
    const CHILD_POINT: &str = "AZOTH_TEST_MIGRATING_CHILD_POINT";

    /// What the child does until it ends. Without its variables this is no test.
    #[test]
    fn child_that_aborts_while_it_migrates() {
        let Some(folder) = std::env::var_os(CHILD_FOLDER).map(std::path::PathBuf::from) else { return };
        let point: usize = std::env::var(CHILD_POINT).unwrap().parse().unwrap();
        let (call, part, effect, nth, _) = POINTS[point];
        let vfs = FaultyVfs::register();
        let options = SqliteOptions::new().allow_old_sqlite(true).vfs(vfs.name());
        let place = Place::find(&folder.join("scheduler.db"), options).unwrap();
        let conn = place.connect().unwrap();
        vfs.inject(Fault::at(call, part, effect).nth(nth));
        migrate(&place, &conn, STEPS).unwrap();
    }

    #[test]
    fn process_that_ends_anywhere_in_a_step_leaves_one_layout_or_the_next_and_the_next_process_goes_on() {
        for (point, (call, _, effect, nth, durable)) in POINTS.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let (place, conn) = earlier(&folder);
            drop(conn);
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sqlite::migrate::tests::child_that_aborts_while_it_migrates"])
                .env(CHILD_FOLDER, folder.path())
                .env(CHILD_POINT, point.to_string())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(
                !status.unwrap().success(),
                "{call:?} {nth}, {effect:?}: it ends at its point, and not before"
            );

            let conn = place.connect().unwrap();
            let layout = schema::layout(&conn).unwrap().unwrap();
            assert!(
                layout == schema::LAYOUT || (layout == 0 && !durable),
                "{call:?} {nth}, {effect:?}: {layout}"
            );
            migrate(&place, &conn, STEPS).unwrap();
            assert_eq!(schema::layout(&conn).unwrap(), Some(schema::LAYOUT));
            assert!(schema::altered(&conn, "main").unwrap().is_empty(), "{call:?} {nth}, {effect:?}");
            let sql = "SELECT count(*) FROM azoth_o_dead_letters WHERE requeued = 0";
            assert_eq!(conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        }
    }

    #[test]
    fn layout_that_no_step_leads_from_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (place, conn) = earlier(&folder);
        let error = migrate(&place, &conn, &[]).unwrap_err();
        assert!(error.to_string().contains("layout 0 was never released"), "{error}");
    }

    #[test]
    fn every_released_layout_has_its_step() {
        let steps: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.to).collect();
        assert!((2..).zip(&steps).all(|(to, step)| to == *step), "{steps:?}");
        assert_eq!(steps.len() + 1, schema::LAYOUT as usize);
    }
}
