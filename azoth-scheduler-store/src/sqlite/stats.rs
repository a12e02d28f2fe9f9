//! Counts, sizes and lags.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use azoth_scheduler_core::id::TaskType;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::Connection;

use super::base::Base;
use super::cell;
use super::consumer;
use super::due;
use super::head::Head;
use super::task_row::phase_of;
use super::{type_row, worker};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::{StoreStats, TaskCount, UnhandledType};

/// What the database says of itself; what only the process knows is left at its default. Reads every task's row.
pub(super) fn stats(conn: &Connection, now: Timestamp) -> Result<StoreStats, StoreError> {
    let head = LogPosition::from_number(Head::read(conn)?.position);
    let kinds = type_row::all(conn)?;
    let types: Vec<u64> = kinds.iter().map(|(key, _)| *key).collect();
    let key_of = |task_type: &TaskType| kinds.iter().find(|(_, name)| name == task_type.as_str());
    let tasks = counts(conn)?;
    let unhandled = UnhandledType::all(&tasks, &worker::handled(conn)?, |task_type| {
        let Some((key, _)) = key_of(task_type) else { return Ok(None) };
        Ok(due::oldest(conn, &[*key])?.filter(|due| *due <= now))
    })?;
    Ok(StoreStats {
        head,
        unhandled,
        cut: LogPosition::from_number(Base::read(conn)?.position),
        tasks,
        oldest_due: due::oldest(conn, &types)?.filter(|due| *due <= now),
        consumers: consumer::lags(conn, head)?,
        engine: format!("SQLite {}", rusqlite::version()),
        ..StoreStats::default()
    })
}

/// The types with a due task that no living worker handles: a seek for each level of each type.
pub(super) fn unhandled_due(
    conn: &Connection,
    now: Timestamp,
) -> Result<BTreeMap<TaskType, Timestamp>, StoreError> {
    let handled = worker::handled(conn)?;
    let mut unhandled = BTreeMap::new();
    for (key, name) in type_row::all(conn)? {
        let task_type = type_row::parse(&name)?;
        if handled.contains(&task_type) {
            continue;
        }
        if let Some(due) = due::oldest(conn, &[key])?.filter(|due| *due <= now) {
            unhandled.insert(task_type, due);
        }
    }
    Ok(unhandled)
}

/// How many tasks of each type stand in each phase.
pub(super) fn counts(conn: &Connection) -> Result<Vec<TaskCount>, StoreError> {
    let sql = "SELECT kind.name, task.phase, count(*) FROM azoth_p_tasks AS task
               JOIN azoth_p_types AS kind ON kind.type = task.type
               GROUP BY kind.type, task.phase ORDER BY kind.name, task.phase";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (name, phase, tasks) = row?;
        Ok(TaskCount {
            task_type: type_row::parse(&name)?,
            phase: phase_of(phase)?,
            tasks: cell::number(tasks, "a count")?,
        })
    })
    .collect()
}

/// Bytes of a file; 0 where there is none.
pub(super) fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}
