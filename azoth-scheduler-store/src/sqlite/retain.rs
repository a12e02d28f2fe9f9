//! Letting go: tasks that have ended, and bytes of old payloads. Each step is a small transaction, and what a process that is
//! killed leaves undone is done by the next call.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::retention::{self, FORGOTTEN_MAX, Horizon, LogState, RetentionPolicy};
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::group::Group;
use super::handle::SqliteStore;
use super::log_row::{self, LogEntry};
use super::{cell, consumer, past};
use crate::error::StoreError;
use crate::report::RetentionReport;

/// Of these payloads the first ones are dropped if nobody needs them.
const NEXT_PAYLOADS: &str = "SELECT count(*), max(position) FROM
    (SELECT position FROM azoth_payloads WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT ?3)";
/// A payload is needed by the task whose newest definition, or whose checkpoint, it belongs to.
const DROP: &str = "DELETE FROM azoth_payloads WHERE position > ?1 AND position <= ?2 AND NOT EXISTS
    (SELECT 1 FROM azoth_log AS event JOIN azoth_p_tasks AS task ON task.key = event.subject
     WHERE event.position = azoth_payloads.position AND event.position IN (task.defined, task.checkpoint)) AND NOT EXISTS
    (SELECT 1 FROM azoth_s_kept AS event JOIN azoth_p_tasks AS task ON task.key = event.subject
     WHERE event.position = azoth_payloads.position AND event.position IN (task.defined, task.checkpoint))";

/// Lets go what a policy lets go.
pub(super) async fn retain(
    store: &SqliteStore,
    policy: &RetentionPolicy,
    now: Timestamp,
) -> Result<RetentionReport, StoreError> {
    let tasks = forget(store, policy.horizon(now), now).await?;
    let payloads = match policy.payloads_before(now) {
        None => 0,
        Some(before) => drop_payloads(store, before, now).await?,
    };
    Ok(RetentionReport { tasks, payloads })
}

/// Whether a look at the tables is worth it.
async fn forget(store: &SqliteStore, horizon: Horizon, now: Timestamp) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    if horizon == Horizon::default() {
        return Ok(forgotten);
    }
    let mut after = 0;
    loop {
        let leaving = store.read(move |conn| log_row::leaving(conn, horizon, after, FORGOTTEN_MAX)).await?;
        let Some((last, _)) = leaving.last() else { return Ok(forgotten) };
        after = *last;
        let ids: Vec<_> = leaving.into_iter().map(|(_, state)| state.id).collect();
        forgotten += store.write(move |group| forget_some(group, horizon, &ids, now)).await?;
    }
}

/// Those of them that are still as they were found.
fn forget_some(
    group: &mut Group<'_>,
    horizon: Horizon,
    ids: &[azoth_scheduler_core::id::TaskId],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut states = Vec::new();
    for id in ids {
        states.extend(group.state(id)?);
    }
    let Some(event) = retention::forget(horizon, &states) else { return Ok(0) };
    let count = if let Event::TasksForgotten { tasks, .. } = &event { tasks.len() as u64 } else { 0 };
    group.happens_to_the_log(&event, now)?;
    Ok(count)
}

async fn drop_payloads(store: &SqliteStore, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
    let decided = store.write(move |group| decide_payloads(group, before, now)).await?;
    let (mut dropped, mut after) = (0, 0);
    while after < decided.payloads_dropped {
        let through = decided.payloads_dropped;
        let (next, gone) = store.write(move |group| drop_some(group, after, through)).await?;
        dropped += gone;
        after = next;
    }
    Ok(dropped)
}

/// Writes down how far payloads may be dropped: nothing that is needed by a reader that lags.
fn decide_payloads(group: &mut Group<'_>, before: Timestamp, now: Timestamp) -> Result<LogState, StoreError> {
    let conn = group.conn();
    let old = past::newest_before(conn, before)?;
    let through = consumer::confirmed(conn)?.map_or(old, |confirmed| confirmed.min(old));
    let state = LogEntry::read(conn)?.map_or_else(LogState::default, |entry| entry.state);
    match retention::drop_payloads(&state, through) {
        None => Ok(state),
        Some(event) => group.happens_to_the_log(&event, now),
    }
}

/// Drops what is not needed of the next payloads. Gives where they end, and how many went.
fn drop_some(group: &mut Group<'_>, after: u64, through: u64) -> Result<(u64, u64), StoreError> {
    group.flush()?;
    let conn = group.conn();
    let next = next_payloads(conn, after, through)?;
    let gone = conn.prepare_cached(DROP)?.execute(params![cell::int(after), cell::int(next)])?;
    Ok((next, gone as u64))
}

/// Where the next payloads end; `through` where there are no further ones.
pub(super) fn next_payloads(conn: &Connection, after: u64, through: u64) -> Result<u64, StoreError> {
    let cells = params![cell::int(after), cell::int(through), cell::int(PAYLOADS_AT_ONCE)];
    let (count, last): (i64, Option<i64>) =
        conn.prepare_cached(NEXT_PAYLOADS)?.query_row(cells, |row| Ok((row.get(0)?, row.get(1)?)))?;
    match last {
        Some(last) if count == cell::int(PAYLOADS_AT_ONCE) => cell::number(last, "azoth_payloads.position"),
        Some(_) | None => Ok(through),
    }
}

/// So many payloads are looked at in one transaction.
const PAYLOADS_AT_ONCE: u64 = 500;
