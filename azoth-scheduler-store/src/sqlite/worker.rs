//! Worker incarnations and their signs of life, in `azoth_o_workers`, and the types that living ones handle, in
//! `azoth_o_worker_types`.
//!
//! A worker that has ended leaves its row as a tombstone: it never comes back, and while it holds executions the instant
//! at which it was last seen is known. Old tombstones that hold nothing are removed.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::cell::{self, IdCell};
use crate::error::StoreError;
use crate::store::{Orphan, ProcessIdentity, Renewal, WorkerInfo, WorkerRow};

/// By the primary key; one that has ended stays ended.
const REGISTER: &str =
    "INSERT INTO azoth_o_workers (worker, pid, started, boot_id, lease_ms, renewals, renewed_at_ms, ended)
    VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, 0)
    ON CONFLICT (worker) DO UPDATE SET pid = ?2, started = ?3, boot_id = ?4, lease_ms = ?5, renewed_at_ms = ?6
    WHERE ended = 0";
/// By the primary key.
const RENEW: &str = "UPDATE azoth_o_workers SET renewals = renewals + 1, renewed_at_ms = ?2
    WHERE worker = ?1 AND ended = 0";
/// By the primary key.
const END: &str = "UPDATE azoth_o_workers SET ended = 1 WHERE worker = ?1";
/// By the primary key; one that has ended handles nothing.
const HANDLES: &str = "INSERT INTO azoth_o_worker_types (worker, task_type) VALUES (?1, ?2)";
/// Along the primary key.
const HANDLES_NOTHING: &str = "DELETE FROM azoth_o_worker_types WHERE worker = ?1";
/// The few rows of the table, and the running tasks once, along `azoth_p_running`. Ids are in the order of time.
pub(super) const BURY: &str = "DELETE FROM azoth_o_workers WHERE ended = 1
    AND worker < (SELECT worker FROM azoth_o_workers WHERE ended = 1 ORDER BY worker DESC LIMIT 1 OFFSET ?1)
    AND worker NOT IN (SELECT worker FROM azoth_p_tasks INDEXED BY azoth_p_running WHERE phase = 1)";
/// The running tasks along `azoth_p_running`, each with one seek by the worker's primary key.
pub(super) const ORPHANS: &str =
    "SELECT task.id, task.execution, task.worker, task.claimed_at_ms, owner.renewed_at_ms
    FROM azoth_p_tasks AS task INDEXED BY azoth_p_running
    LEFT JOIN azoth_o_workers AS owner ON owner.worker = task.worker
    WHERE task.phase = 1 AND coalesce(owner.ended, 1) = 1 ORDER BY task.key LIMIT ?1";
/// The running tasks along `azoth_p_running`: those of other workers are passed over, without a look at their rows.
pub(super) const HELD: &str = "SELECT execution FROM azoth_p_tasks INDEXED BY azoth_p_running
    WHERE phase = 1 AND worker = ?1";

/// Writes down that a worker lives. Tombstones that hold nothing any more go.
pub(super) fn register(conn: &Connection, info: &WorkerInfo, now: Timestamp) -> Result<(), StoreError> {
    bury(conn)?;
    let process = &info.process;
    let cells = params![
        cell::worker_cell(info.worker),
        process.pid,
        process.started.cast_signed(),
        process.boot_id,
        i64::try_from(info.lease_ms.get()).unwrap_or(i64::MAX),
        now.unix_ms(),
    ];
    if conn.prepare_cached(REGISTER)?.execute(cells)? > 0 {
        handles(conn, info)?;
    }
    Ok(())
}

fn handles(conn: &Connection, info: &WorkerInfo) -> Result<(), StoreError> {
    let worker = cell::worker_cell(info.worker);
    conn.prepare_cached(HANDLES_NOTHING)?.execute([worker])?;
    let mut statement = conn.prepare_cached(HANDLES)?;
    for task_type in info.task_types.iter() {
        statement.execute(params![worker, task_type.as_str()])?;
    }
    Ok(())
}

/// Notes a sign of life.
pub(super) fn renew(conn: &Connection, worker: WorkerId, now: Timestamp) -> Result<Renewal, StoreError> {
    let cells = params![cell::worker_cell(worker), now.unix_ms()];
    match conn.prepare_cached(RENEW)?.execute(cells)? {
        0 => Ok(Renewal::Ended),
        rows => {
            assert_eq!(rows, 1, "a worker is one row");
            Ok(Renewal::Renewed)
        }
    }
}

/// Ends a worker.
pub(super) fn end(conn: &Connection, worker: WorkerId) -> Result<(), StoreError> {
    conn.prepare_cached(END)?.execute([cell::worker_cell(worker)])?;
    conn.prepare_cached(HANDLES_NOTHING)?.execute([cell::worker_cell(worker)])?;
    Ok(())
}

/// The types that living workers handle: the few rows of the table.
pub(super) fn handled(conn: &Connection) -> Result<BTreeSet<TaskType>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT DISTINCT task_type FROM azoth_o_worker_types")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|row| handled_type(&row?)).collect()
}

/// The types that a worker handles, by the primary key.
fn types_of(conn: &Connection, worker: IdCell) -> Result<Arc<[TaskType]>, StoreError> {
    let sql = "SELECT task_type FROM azoth_o_worker_types WHERE worker = ?1 ORDER BY task_type";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([worker], |row| row.get::<_, String>(0))?;
    rows.map(|row| handled_type(&row?)).collect()
}

fn handled_type(name: &str) -> Result<TaskType, StoreError> {
    TaskType::new(name).map_err(|error| cell::corrupt(format!("azoth_o_worker_types.task_type: {error}")))
}

/// The workers that live, by whomever they were registered: the few rows of the table.
pub(super) fn living(conn: &Connection) -> Result<BTreeSet<WorkerId>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT worker FROM azoth_o_workers WHERE ended = 0")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.map(|row| Ok(cell::worker(row?))).collect()
}

/// All workers that have not ended.
pub(super) fn all(conn: &Connection) -> Result<Vec<WorkerRow>, StoreError> {
    let sql = "SELECT worker, pid, started, boot_id, lease_ms, renewals, renewed_at_ms
               FROM azoth_o_workers WHERE ended = 0 ORDER BY worker";
    type Cells = (IdCell, i64, i64, String, i64, i64, i64);
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
    })?;
    rows.map(|row| {
        let (worker, pid, started, boot_id, lease_ms, renewals, renewed_at): Cells = row?;
        let lease_ms = NonZeroU64::new(cell::number(lease_ms, "azoth_o_workers.lease_ms")?);
        let pid = cell::small(pid, "azoth_o_workers.pid")?;
        let process = ProcessIdentity { pid, started: started.cast_unsigned(), boot_id };
        let lease_ms = lease_ms.ok_or_else(|| cell::unlawful("azoth_o_workers.lease_ms", 0))?;
        let task_types = types_of(conn, worker)?;
        Ok(WorkerRow {
            info: WorkerInfo { worker: cell::worker(worker), process, lease_ms, task_types },
            renewals: cell::number(renewals, "azoth_o_workers.renewals")?,
            renewed_at: cell::instant(renewed_at, "azoth_o_workers.renewed_at_ms")?,
        })
    })
    .collect()
}

/// Executions whose worker has ended or is not known. A claim is a sign of life too.
pub(super) fn orphans(conn: &Connection, limit: usize) -> Result<Vec<Orphan>, StoreError> {
    type Cells = (String, IdCell, IdCell, i64, Option<i64>);
    let mut statement = conn.prepare_cached(ORPHANS)?;
    let rows = statement.query_map([cell::int(limit as u64)], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    rows.map(|row| {
        let (task, execution, worker, claimed_at, renewed_at): Cells = row?;
        let task = TaskId::new(task).map_err(|error| cell::corrupt(format!("azoth_p_tasks.id: {error}")))?;
        let seen = renewed_at.map_or(claimed_at, |renewed_at| renewed_at.max(claimed_at));
        Ok(Orphan {
            task,
            execution: cell::execution(execution),
            worker: cell::worker(worker),
            last_seen: cell::instant(seen, "azoth_o_workers.renewed_at_ms")?,
        })
    })
    .collect()
}

/// The executions that a worker holds.
pub(super) fn held_by(conn: &Connection, worker: WorkerId) -> Result<Vec<ExecutionId>, StoreError> {
    let mut statement = conn.prepare_cached(HELD)?;
    let rows = statement.query_map([cell::worker_cell(worker)], |row| row.get(0))?;
    rows.map(|row| Ok(cell::execution(row?))).collect()
}

fn bury(conn: &Connection) -> Result<(), StoreError> {
    conn.prepare_cached(BURY)?.execute([TOMBSTONES_KEPT])?;
    Ok(())
}

/// So many of the newest tombstones stay, so that none of those can be registered again.
const TOMBSTONES_KEPT: u32 = 256;
