//! Task types as rows: a name, and as its key the position of the event that first named it.

use azoth_scheduler_core::id::TaskType;
use rusqlite::{Connection, OptionalExtension, params};

use super::cell;
use super::tables::Tables;
use crate::error::StoreError;

/// The key of a type, by the unique index of `name`.
pub(super) fn key_of(tables: &dyn Tables, name: &TaskType) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT type FROM azoth_p_types WHERE name = ?1";
    let cell = tables.derived(sql)?.query_row([name.as_str()], |row| row.get(0)).optional()?;
    cell.map(|cell| cell::number(cell, "azoth_p_types.type")).transpose()
}

/// Adds a type.
pub(super) fn add(tables: &dyn Tables, key: u64, name: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO azoth_p_types (type, name) VALUES (?1, ?2)";
    tables.derived(sql)?.execute(params![cell::int(key), name])?;
    Ok(())
}

/// All types, the oldest first.
pub(super) fn all(conn: &Connection) -> Result<Vec<(u64, String)>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT type, name FROM azoth_p_types ORDER BY type")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| {
        let (key, name) = row?;
        Ok((cell::number(key, "azoth_p_types.type")?, name))
    })
    .collect()
}

/// A stored name as the type that it was.
pub(super) fn parse(name: &str) -> Result<TaskType, StoreError> {
    TaskType::new(name).map_err(|error| cell::corrupt(format!("azoth_p_types.name: {error}")))
}
