//! Scopes as rows of `azoth_p_scopes`: what is looked up as plain columns, all of it as one record.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::OutOfOrder;
use azoth_scheduler_core::scope::{self, Scope, ScopeState};
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::cell;
use super::tables::Tables;
use crate::codec;
use crate::error::StoreError;

/// A scope, and where in the log it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScopeEntry {
    /// Position of its first event.
    pub(super) key: u64,
    /// Position of its newest event.
    pub(super) last: u64,
    /// What its events add up to.
    pub(super) state: ScopeState,
}

/// The cells of a row, in the order of the columns. Two rows are the same when these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScopeCells {
    pub(super) key: i64,
    kind: i64,
    pub(super) name: String,
    last: i64,
    paused_until: Option<i64>,
    state: Vec<u8>,
}

const COLUMNS: &str = "key, kind, name, last_position, paused_until_ms, state";
const WRITE: &str = "INSERT INTO azoth_p_scopes (key, kind, name, last_position, paused_until_ms, state)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (key) DO UPDATE SET last_position = ?4, paused_until_ms = ?5, state = ?6";

impl ScopeEntry {
    /// The scope after one more event: the one fold that the writer, a rebuild and a verification share.
    pub(super) fn after(
        entry: Option<ScopeEntry>,
        event: &Event,
        position: u64,
        at: Timestamp,
    ) -> Result<ScopeEntry, OutOfOrder> {
        let (key, state) = match entry {
            Some(entry) => (entry.key, Some(entry.state)),
            None => (position, None),
        };
        Ok(ScopeEntry { key, last: position, state: scope::evolve(state, event, at)? })
    }
}

impl ScopeCells {
    /// The cells of a scope.
    pub(super) fn of(entry: &ScopeEntry) -> Self {
        let (kind, name) = cells_of(&entry.state.scope);
        let until = entry.state.pause.as_ref().and_then(|pause| pause.until);
        Self {
            key: cell::int(entry.key),
            kind,
            name: name.to_owned(),
            last: cell::int(entry.last),
            paused_until: until.map(Timestamp::unix_ms),
            state: codec::encode_scope(&entry.state),
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            kind: row.get(1)?,
            name: row.get(2)?,
            last: row.get(3)?,
            paused_until: row.get(4)?,
            state: row.get(5)?,
        })
    }

    /// Writes the row, over the one with the same key.
    pub(super) fn write(&self, tables: &dyn Tables) -> Result<(), StoreError> {
        let cells = params![self.key, self.kind, self.name, self.last, self.paused_until, self.state];
        let rows = tables.derived(WRITE)?.execute(cells)?;
        assert_eq!(rows, 1, "a scope is one row");
        Ok(())
    }

    /// The scope of these cells.
    pub(super) fn entry(self) -> Result<ScopeEntry, StoreError> {
        let broken =
            |what: &str| cell::corrupt(format!("scope {:?} of kind {}: {what}", self.name, self.kind));
        let state = codec::decode_scope(&self.state).map_err(|error| broken(&error))?;
        if cells_of(&state.scope) != (self.kind, self.name.as_str()) {
            return Err(broken("its record is of another scope"));
        }
        let key = cell::number(self.key, "azoth_p_scopes.key")?;
        Ok(ScopeEntry { key, last: cell::number(self.last, "azoth_p_scopes.last_position")?, state })
    }
}

/// A scope, by the unique index of kind and name.
pub(super) fn by_scope(tables: &dyn Tables, scope: &Scope) -> Result<Option<ScopeEntry>, StoreError> {
    let cells = tables.derived(&by_scope_sql())?.query_row(cells_of(scope), ScopeCells::read).optional()?;
    cells.map(ScopeCells::entry).transpose()
}

pub(super) fn by_scope_sql() -> String {
    format!("SELECT {COLUMNS} FROM azoth_p_scopes WHERE kind = ?1 AND name = ?2")
}

/// The rows of all scopes, in the order of kinds and names.
pub(super) fn all(tables: &dyn Tables) -> Result<Vec<ScopeCells>, StoreError> {
    let mut statement =
        tables.derived(&format!("SELECT {COLUMNS} FROM azoth_p_scopes ORDER BY kind, name"))?;
    let rows = statement.query_map([], ScopeCells::read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Scopes whose pause is over, the first one first, along `azoth_p_scope_pauses`.
pub(super) fn pauses_over(conn: &Connection, now: Timestamp, limit: u64) -> Result<Vec<Scope>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM azoth_p_scopes INDEXED BY azoth_p_scope_pauses
         WHERE paused_until_ms <= ?1 ORDER BY paused_until_ms, kind, name LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params![now.unix_ms(), cell::int(limit)], ScopeCells::read)?;
    rows.map(|cells| Ok(cells?.entry()?.state.scope)).collect()
}

/// Kind and name of a scope. Everything has no name.
fn cells_of(scope: &Scope) -> (i64, &str) {
    match scope {
        Scope::Everything => (0, ""),
        Scope::TaskType(name) => (1, name.as_str()),
        Scope::Key(key) => (2, key.as_str()),
    }
}
