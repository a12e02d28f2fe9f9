//! The lines of concurrency keys: which of their tasks stand in the due index.
//!
//! A task of a key has its `ready_ms` from here alone. So a claim never meets one that waits for its turn, and what it costs
//! does not depend on how many wait.

use std::collections::BTreeSet;

use azoth_scheduler_core::id::{ConcurrencyKey, TaskType};
use azoth_scheduler_core::scope::{Scope, ScopeState, per_key};
use azoth_scheduler_core::time::Timestamp;
use rusqlite::params;

use super::cell;
use super::tables::Tables;
use super::type_row;
use crate::error::StoreError;

/// One range of `azoth_p_line`, read only as far as tasks may be claimed.
pub(super) const LINE: &str = "SELECT task.key, task.run_at_ms, kind.name
    FROM azoth_p_tasks AS task INDEXED BY azoth_p_line CROSS JOIN azoth_p_types AS kind ON kind.type = task.type
    WHERE task.concurrency_key = ?1 AND task.line IS NOT NULL ORDER BY task.line, task.run_at_ms, task.key";
/// One range of `azoth_p_ready`: never more than may run at once.
pub(super) const READY: &str = "SELECT key, ready_ms FROM azoth_p_tasks INDEXED BY azoth_p_ready
    WHERE concurrency_key = ?1 AND ready_ms IS NOT NULL";
/// Every key of which a task waits or runs, along `azoth_p_line`.
const KEYS: &str =
    "SELECT DISTINCT concurrency_key FROM azoth_p_tasks INDEXED BY azoth_p_line WHERE line IS NOT NULL";
const LET: &str = "UPDATE azoth_p_tasks SET ready_ms = ?2 WHERE key = ?1";

/// Lets those tasks of a key into the due index that may be claimed, and the others out of it, by what was said of its scopes.
pub(super) fn settle(
    tables: &dyn Tables,
    key: &ConcurrencyKey,
    said_of: impl FnMut(Scope) -> Result<Option<ScopeState>, StoreError>,
) -> Result<(), StoreError> {
    let may = may_be_claimed(tables, key, said_of)?;
    let mut statement = tables.derived(READY)?;
    let rows = statement.query_map([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let are: BTreeSet<(i64, i64)> = rows.collect::<Result<_, _>>()?;
    let mut write = tables.derived(LET)?;
    for (task, _) in are.difference(&may) {
        write.execute(params![task, None::<i64>])?;
    }
    for (task, ready) in may.difference(&are) {
        write.execute(params![task, ready])?;
    }
    Ok(())
}

/// The keys of all lines.
pub(super) fn keys(tables: &dyn Tables) -> Result<Vec<ConcurrencyKey>, StoreError> {
    let mut statement = tables.derived(KEYS)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let parsed = |key: String| {
        ConcurrencyKey::new(key)
            .map_err(|error| cell::corrupt(format!("azoth_p_tasks.concurrency_key: {error}")))
    };
    rows.map(|key| parsed(key?)).collect()
}

/// The tasks of a key that may be claimed, each with the instant from which it may: those in front, up to the first one
/// that has to wait.
fn may_be_claimed(
    tables: &dyn Tables,
    key: &ConcurrencyKey,
    mut said_of: impl FnMut(Scope) -> Result<Option<ScopeState>, StoreError>,
) -> Result<BTreeSet<(i64, i64)>, StoreError> {
    let of_key = said_of(Scope::Key(key.clone()))?;
    let everything = said_of(Scope::Everything)?;
    let of_key = of_key.unwrap_or_else(|| ScopeState::new(Scope::Key(key.clone())));
    let mut kind: Option<(TaskType, Option<ScopeState>)> = None;
    let mut may = BTreeSet::new();
    let mut statement = tables.derived(LINE)?;
    let mut rows = statement.query([key.as_str()])?;
    let mut before = 0;
    while let Some(row) = rows.next()? {
        let (task, run_at, name): (i64, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if kind.as_ref().is_none_or(|(known, _)| *known != *name.as_str()) {
            let name = type_row::parse(&name)?;
            let state = said_of(Scope::TaskType(name.clone()))?;
            kind = Some((name, state));
        }
        if let Some(run_at) = run_at {
            let run_at = cell::instant(run_at, "azoth_p_tasks.run_at_ms")?;
            let of_type = kind.as_ref().and_then(|(_, state)| state.as_ref());
            let limit = per_key(Some(&of_key), of_type, everything.as_ref());
            match of_key.ready_at(run_at, before, limit) {
                Some(ready) => may.insert((task, Timestamp::unix_ms(ready))),
                None => break,
            };
        }
        before += 1;
    }
    Ok(may)
}
