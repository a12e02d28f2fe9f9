//! Which derived tables a statement means: those in use, or others like them that are in the making.

use rusqlite::{CachedStatement, Connection};

/// A connection, and the derived tables that statements mean there.
pub(super) trait Tables {
    /// The connection, for all that is not derived.
    fn conn(&self) -> &Connection;

    /// A statement over derived tables, which it calls as those in use are called.
    fn derived(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>>;
}

/// The tables in use.
impl Tables for Connection {
    fn conn(&self) -> &Connection {
        self
    }

    fn derived(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.prepare_cached(sql)
    }
}
