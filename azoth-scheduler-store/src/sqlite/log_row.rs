//! The log itself as a row of the projection: where its own events stand, and what they let go.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::OutOfOrder;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::retention::{Horizon, LogState, evolve};
use azoth_scheduler_core::state::TaskState;
use rusqlite::{Connection, OptionalExtension, params};

use super::tables::Tables;
use super::{cell, task_row};
use crate::error::StoreError;

const READ: &str = "SELECT key, last_position, payloads_dropped, cut FROM azoth_p_log WHERE one = 1";
const WRITE: &str =
    "INSERT INTO azoth_p_log (one, key, last_position, payloads_dropped, cut) VALUES (1, ?1, ?2, ?3, ?4)
    ON CONFLICT (one) DO UPDATE SET last_position = ?2, payloads_dropped = ?3, cut = ?4";
/// By the unique index of `id`.
const FORGET: &str = "DELETE FROM azoth_p_tasks WHERE id = ?1";

/// The log itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogEntry {
    /// Position of the first event that happened to it.
    pub(super) key: u64,
    /// Position of the newest one.
    pub(super) last: u64,
    /// What they add up to.
    pub(super) state: LogState,
}

impl LogEntry {
    /// `None` before anything happened to it.
    pub(super) fn read(tables: &dyn Tables) -> Result<Option<Self>, StoreError> {
        type Cells = (i64, i64, i64, i64);
        let mut statement = tables.derived(READ)?;
        let row = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        let Some((key, last, dropped, cut)): Option<Cells> = row.optional()? else { return Ok(None) };
        Ok(Some(Self {
            key: cell::number(key, "azoth_p_log.key")?,
            last: cell::number(last, "azoth_p_log.last_position")?,
            state: LogState {
                payloads_dropped: cell::number(dropped, "azoth_p_log.payloads_dropped")?,
                cut: cell::number(cut, "azoth_p_log.cut")?,
            },
        }))
    }

    /// The log after one more event.
    pub(super) fn after(entry: Option<Self>, event: &Event, position: u64) -> Result<Self, OutOfOrder> {
        let (key, state) = entry.map_or((position, LogState::default()), |entry| (entry.key, entry.state));
        Ok(Self { key, last: position, state: evolve(state, event)? })
    }

    pub(super) fn write(&self, tables: &dyn Tables) -> Result<(), StoreError> {
        let cells = params![
            cell::int(self.key),
            cell::int(self.last),
            cell::int(self.state.payloads_dropped),
            cell::int(self.state.cut)
        ];
        tables.derived(WRITE)?.execute(cells)?;
        Ok(())
    }
}

/// How far payloads were dropped, as the row in the database of this name says.
pub(super) fn payloads_dropped(conn: &Connection, database: &str) -> Result<u64, StoreError> {
    let sql = format!("SELECT payloads_dropped FROM {database}.azoth_p_log WHERE one = 1");
    let dropped: Option<i64> = conn.query_row(&sql, [], |row| row.get(0)).optional()?;
    dropped.map_or(Ok(0), |dropped| cell::number(dropped, "azoth_p_log.payloads_dropped"))
}

/// Lets tasks go whose rows are written; the first one that a horizon does not let go is an error.
pub(super) fn forget(
    tables: &dyn Tables,
    horizon: Horizon,
    tasks: &[TaskId],
) -> Result<Result<(), String>, StoreError> {
    for task in tasks {
        let Some(entry) = task_row::by_id(tables, task)? else {
            return Ok(Err(format!("task {task:?} leaves and is not there")));
        };
        if !horizon.lets_go(&entry.state) {
            return Ok(Err(format!("task {task:?} leaves and has not ended before the horizon")));
        }
        tables.derived(FORGET)?.execute([task.as_str()])?;
    }
    Ok(Ok(()))
}

/// The next tasks behind a key that a horizon lets go, at most `limit`, along the primary key.
pub(super) fn leaving(
    conn: &Connection,
    horizon: Horizon,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, TaskState)>, StoreError> {
    let sql = format!(
        "SELECT {} FROM azoth_p_tasks WHERE key > ?1 AND phase BETWEEN 3 AND 5
         AND ended_at_ms < CASE phase WHEN 3 THEN ?2 WHEN 4 THEN ?3 ELSE ?4 END ORDER BY key LIMIT ?5",
        task_row::COLUMNS
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let cells = params![
        cell::int(after),
        horizon.finished.map(|at| at.unix_ms()),
        horizon.disabled.map(|at| at.unix_ms()),
        horizon.cancelled.map(|at| at.unix_ms()),
        cell::int(limit as u64),
    ];
    let rows = statement.query_map(cells, task_row::Cells::read)?;
    rows.map(|cells| {
        let entry = cells?.entry(conn)?;
        Ok((entry.key, entry.state))
    })
    .collect()
}
