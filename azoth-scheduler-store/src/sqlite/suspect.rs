//! Suspects: tasks that may be what kills their processes. They stand in an index of their own, and are claimed alone.

use azoth_scheduler_core::decide::SUSPECT_LOSSES;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::cell;
use super::due_task::Due;
use super::task_row::IdText;
use crate::error::StoreError;

/// One look at the start of `azoth_p_suspects`, which is empty but for a short while after a crash.
const ANY: &str = "SELECT EXISTS (SELECT 1 FROM azoth_p_tasks INDEXED BY azoth_p_suspects
    WHERE ready_ms IS NOT NULL AND losses >= 2)";
/// One seek in `azoth_p_suspects`.
pub(super) const FIRST: &str = "SELECT ready_ms, key, id FROM azoth_p_tasks INDEXED BY azoth_p_suspects
    WHERE ready_ms IS NOT NULL AND losses >= 2 AND type = ?1 ORDER BY ready_ms, key LIMIT 1";
// The index says the number in its own words.
const _: () = assert!(SUSPECT_LOSSES == 2);

/// When the first suspect of these types is due.
pub(super) fn next_due(
    conn: &Connection,
    types: impl IntoIterator<Item = u64>,
) -> Result<Option<Timestamp>, StoreError> {
    if !are_any(conn)? {
        return Ok(None);
    }
    first(conn, types)?.as_ref().map(Due::instant).transpose()
}

/// Whether any task is a suspect and waits.
pub(super) fn are_any(conn: &Connection) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(ANY)?.query_row([], |row| row.get(0))?)
}

/// The suspect among these types that is due first.
pub(super) fn first(
    conn: &Connection,
    types: impl IntoIterator<Item = u64>,
) -> Result<Option<Due>, StoreError> {
    let mut statement = conn.prepare_cached(FIRST)?;
    let mut first: Option<Due> = None;
    for type_key in types {
        let read = |row: &Row<'_>| Ok(Due::new(row.get(0)?, row.get(1)?, row.get::<_, IdText>(2)?.into_id()));
        let due = statement.query_row([cell::int(type_key)], read);
        first = first.into_iter().chain(due.optional()?).min();
    }
    Ok(first)
}
