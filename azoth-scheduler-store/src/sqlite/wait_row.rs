//! Who waits for whom, as rows: an index from a task to those that wait for it.

use azoth_scheduler_core::id::TaskId;
use rusqlite::{Connection, params};

use super::cell;
use super::entry::Entry;
use super::tables::Tables;
use crate::error::StoreError;

/// One seek in `azoth_p_waits_by_dependency`, and one for each waiter.
pub(super) const WAITERS: &str =
    "SELECT task.id FROM azoth_p_waits AS wait INDEXED BY azoth_p_waits_by_dependency
    CROSS JOIN azoth_p_tasks AS task ON task.key = wait.task
    WHERE wait.dependency = ?1 ORDER BY wait.task";
/// One seek in the primary key.
pub(super) const WAITS: &str = "SELECT dependency FROM azoth_p_waits WHERE task = ?1 ORDER BY dependency";

/// The same in the snapshot that the log begins with.
pub(super) const WAITS_IN_SNAPSHOT: &str =
    "SELECT dependency FROM azoth_s_waits WHERE task = ?1 ORDER BY dependency";

/// Whether anybody waits: the first row, if there is one.
pub(super) fn are_any(conn: &Connection) -> Result<bool, StoreError> {
    let mut statement = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM azoth_p_waits)")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Writes for whom a task waits, in the place of what was there.
pub(super) fn write(tables: &dyn Tables, entry: &Entry) -> Result<(), StoreError> {
    let key = cell::int(entry.key);
    tables.derived("DELETE FROM azoth_p_waits WHERE task = ?1")?.execute([key])?;
    let mut insert = tables.derived("INSERT INTO azoth_p_waits (task, dependency) VALUES (?1, ?2)")?;
    for dependency in &entry.state.waits_for {
        insert.execute(params![key, dependency.as_str()])?;
    }
    Ok(())
}

/// For whom the task with this key waits, ordered by their ids: now by [`WAITS`], then by [`WAITS_IN_SNAPSHOT`].
pub(super) fn waits(tables: &dyn Tables, sql: &str, key: i64) -> Result<Vec<TaskId>, StoreError> {
    names(tables, sql, &key)
}

/// Those that wait for a task, the oldest first.
pub(super) fn waiters(conn: &Connection, dependency: &TaskId) -> Result<Vec<TaskId>, StoreError> {
    names(conn, WAITERS, &dependency.as_str())
}

fn names(tables: &dyn Tables, sql: &str, of: &dyn rusqlite::ToSql) -> Result<Vec<TaskId>, StoreError> {
    let mut statement = tables.derived(sql)?;
    let rows = statement.query_map([of], |row| row.get::<_, String>(0))?;
    rows.map(|name| {
        TaskId::new(name?).map_err(|error| cell::corrupt(format!("a row that says who waits: {error}")))
    })
    .collect()
}
