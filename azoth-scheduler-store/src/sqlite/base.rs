//! Where the log begins: behind the first event, or behind a snapshot of what the events that were cut add up to.

use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::cell;
use super::hash::Hash;
use super::schema::{self, PROJECTION};
use super::tables::Tables;
use crate::error::StoreError;
use crate::record::LogPosition;

/// Where the log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// The last event that was cut; 0 while none was.
    pub(super) position: u64,
    /// The chain's hash at that event.
    pub(super) hash: Hash,
    /// The greatest instant up to there.
    pub(super) ordered_at: Timestamp,
    /// The digest of the snapshot.
    pub(super) snapshot: Hash,
}

const READ: &str = "SELECT position, hash, ordered_at_ms, snapshot FROM azoth_base WHERE one = 1";

impl Base {
    pub(super) fn read(conn: &Connection) -> Result<Self, StoreError> {
        let (position, hash, ordered_at, snapshot): (i64, Hash, i64, Hash) = conn
            .prepare_cached(READ)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        Ok(Self {
            position: cell::number(position, "azoth_base.position")?,
            hash,
            ordered_at: cell::instant(ordered_at, "azoth_base.ordered_at_ms")?,
            snapshot,
        })
    }

    /// Whether what is behind a position is all there.
    ///
    /// # Errors
    /// [`StoreError::LogCut`] where it was cut.
    pub(super) fn holds_behind(&self, position: u64) -> Result<(), StoreError> {
        if position >= self.position {
            return Ok(());
        }
        let (asked, cut) = (LogPosition::from_number(position), LogPosition::from_number(self.position));
        Err(StoreError::LogCut { asked, cut })
    }

    /// Fills empty derived tables with the snapshot. Inside a transaction.
    pub(super) fn load(&self, tables: &dyn Tables) -> Result<(), StoreError> {
        self.load_some(tables, 0, u32::MAX).map(drop)
    }

    /// The same for the next tasks behind this key, at most so many, and before the first of them for all else. Gives the last
    /// key, if there may be more.
    pub(super) fn load_some(
        &self,
        tables: &dyn Tables,
        after: u64,
        tasks: u32,
    ) -> Result<Option<u64>, StoreError> {
        if self.position == 0 {
            return Ok(None);
        }
        let sql = "SELECT max(key) FROM (SELECT key FROM azoth_s_tasks WHERE key > ?1 ORDER BY key LIMIT ?2)";
        let mut statement = tables.conn().prepare_cached(sql)?;
        let last: Option<i64> = statement.query_row(params![cell::int(after), tasks], |row| row.get(0))?;
        for object in schema::derived_tables() {
            let (snapshot, name) = (snapshot_name(object.name), object.name);
            let copy = format!("INSERT INTO {name} SELECT * FROM {snapshot}");
            let key = match name {
                "azoth_p_tasks" => "key",
                "azoth_p_waits" => "task",
                _ if after == 0 => {
                    tables.derived(&copy)?.execute([])?;
                    continue;
                }
                _ => continue,
            };
            let copy = format!("{copy} WHERE {key} > ?1 AND {key} <= ?2 ORDER BY {key}");
            tables.derived(&copy)?.execute(params![cell::int(after), last])?;
        }
        last.map(|last| cell::number(last, "azoth_s_tasks.key")).transpose()
    }
}

/// The table in which the snapshot keeps the rows of a derived one.
pub(super) fn snapshot_name(derived: &str) -> String {
    derived.replacen(PROJECTION, "azoth_s_", 1)
}

/// The digest of a snapshot whose tables have these first letters: over every row of every table, in the order of their
/// keys. Each value is led by its class and its length.
pub(super) fn digest(conn: &Connection, database: &str, prefix: &str) -> Result<Hash, StoreError> {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    let tables = schema::derived_tables().map(|object| object.name.replacen(PROJECTION, prefix, 1));
    for table in tables.chain([format!("{prefix}kept")]) {
        hasher.update(table.trim_start_matches(prefix).as_bytes());
        let key = primary_key(conn, database, &table)?;
        let mut statement = conn.prepare(&format!("SELECT * FROM {database}.{table} ORDER BY {key}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                value(&mut hasher, row.get_ref(column)?);
            }
        }
    }
    Ok(*hasher.finalize().as_bytes())
}

fn primary_key(conn: &Connection, database: &str, table: &str) -> Result<String, StoreError> {
    let sql = "SELECT name FROM pragma_table_info(?1, ?2) WHERE pk > 0 ORDER BY pk";
    let mut statement = conn.prepare(sql)?;
    let names = statement.query_map([table, database], |row| row.get::<_, String>(0))?;
    let names = names.collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() {
        return Err(cell::corrupt(format!("{table} is missing: the log was cut behind it")));
    }
    Ok(names.join(", "))
}

fn value(hasher: &mut blake3::Hasher, value: rusqlite::types::ValueRef<'_>) {
    use rusqlite::types::ValueRef;
    let mut sized = |class: u8, bytes: &[u8]| {
        hasher.update(&[class]);
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    match value {
        ValueRef::Null => sized(0, &[]),
        ValueRef::Integer(number) => sized(1, &number.to_le_bytes()),
        ValueRef::Real(number) => sized(2, &number.to_bits().to_le_bytes()),
        ValueRef::Text(text) => sized(3, text),
        ValueRef::Blob(bytes) => sized(4, bytes),
    }
}

const CONTEXT: &str = "azoth-scheduler 2026-11 log snapshot 1";
