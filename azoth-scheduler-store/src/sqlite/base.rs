//! Where the log begins: behind the first event, or behind a snapshot of what the events that were cut add up to.

use azoth_scheduler_core::time::Timestamp;
use rusqlite::Connection;

use super::cell;
use super::chain::Hash;
use super::schema;
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

    /// Fills the derived tables of a scratch with the snapshot. Inside a transaction.
    pub(super) fn load(&self, conn: &Connection) -> Result<(), StoreError> {
        if self.position == 0 {
            return Ok(());
        }
        for object in schema::derived_tables() {
            let snapshot = snapshot_name(object.name);
            conn.execute_batch(&format!("INSERT INTO main.{} SELECT * FROM origin.{snapshot}", object.name))?;
        }
        Ok(())
    }
}

/// The table in which the snapshot keeps the rows of a derived one.
pub(super) fn snapshot_name(derived: &str) -> String {
    derived.replacen("azoth_p_", "azoth_s_", 1)
}

/// The digest of a snapshot whose tables have these first letters: over every row of every table, in the order of their
/// keys. Each value is led by its class and its length.
pub(super) fn digest(conn: &Connection, database: &str, prefix: &str) -> Result<Hash, StoreError> {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    let tables = schema::derived_tables().map(|object| object.name.replacen("azoth_p_", prefix, 1));
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
