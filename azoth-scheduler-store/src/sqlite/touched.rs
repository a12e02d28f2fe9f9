//! Which tasks the commits of others have touched: by the log, since nobody tells.

use azoth_scheduler_core::id::TaskId;
use rusqlite::{Connection, params};

use super::cell;
use crate::codec::EventKind;
use crate::error::StoreError;

/// How many events there are behind a position and up to another one, and whether one of them lets tasks go.
pub(super) const FOUND: &str =
    "SELECT count(*), total(kind = ?3) FROM azoth_log WHERE position > ?1 AND position <= ?2";
/// Their tasks. By the primary keys of both tables.
pub(super) const TASKS: &str = "SELECT id FROM azoth_p_tasks WHERE key IN
    (SELECT subject FROM azoth_log WHERE position > ?1 AND position <= ?2)";

/// The tasks to which something happened behind a position and up to another one; `None` where the log does not tell.
pub(super) fn between(
    conn: &Connection,
    after: u64,
    through: u64,
) -> Result<Option<Vec<TaskId>>, StoreError> {
    let events = through.saturating_sub(after);
    if events > EVENTS_MAX {
        return Ok(None);
    }
    let cells = params![cell::int(after), cell::int(through), EventKind::TasksForgotten.code()];
    let (found, forget): (i64, f64) =
        conn.prepare_cached(FOUND)?.query_row(cells, |row| Ok((row.get(0)?, row.get(1)?)))?;
    // Of tasks that have left no row tells, nor of events that were cut meanwhile.
    if found != cell::int(events) || forget > 0.0 {
        return Ok(None);
    }
    let mut statement = conn.prepare_cached(TASKS)?;
    let mut rows = statement.query(params![cell::int(after), cell::int(through)])?;
    let mut tasks = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        tasks.push(TaskId::new(id).map_err(|error| cell::corrupt(format!("azoth_p_tasks.id: {error}")))?);
    }
    Ok(Some(tasks))
}

/// So many events at most are looked at.
const EVENTS_MAX: u64 = 4_096;
