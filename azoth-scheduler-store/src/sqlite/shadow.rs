//! Derived tables that are made beside those in use, and then take a place: that of the projection, or of a snapshot.

use rusqlite::{CachedStatement, Connection};

use super::schema::{self, PROJECTION};
use super::tables::Tables;
use crate::error::StoreError;

/// The shadows of the derived tables. Their names differ from those of the tables in use by the first letters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shadow<'a> {
    conn: &'a Connection,
    letters: &'static str,
}

impl<'a> Shadow<'a> {
    /// Makes them, empty, in place of those that somebody left behind. Inside a write transaction.
    pub(super) fn create(conn: &'a Connection, letters: &'static str) -> Result<Self, StoreError> {
        let shadow = Self { conn, letters };
        for object in schema::derived_tables() {
            let name = shadow.renamed(object.name);
            conn.execute_batch(&format!("DROP TABLE IF EXISTS {name}; {}", shadow.renamed(object.sql)))?;
        }
        for index in schema::indexes_for_folding() {
            conn.execute_batch(&shadow.renamed(index.sql))?;
        }
        Ok(shadow)
    }

    /// What is said of the tables in use, said of the shadows.
    pub(super) fn renamed(&self, text: &str) -> String {
        text.replace(PROJECTION, self.letters)
    }

    /// Drops what only folding needs. Inside a write transaction.
    pub(super) fn finish(&self) -> Result<(), StoreError> {
        for index in schema::indexes_for_folding() {
            self.conn.execute_batch(&format!("DROP INDEX {}", self.renamed(index.name)))?;
        }
        Ok(())
    }

    /// Puts them in the place of the projection. Inside a write transaction.
    pub(super) fn adopt(&self) -> Result<(), StoreError> {
        self.finish()?;
        for name in schema::derived_tables().map(|object| object.name) {
            replace(self.conn, &self.renamed(name), name)?;
        }
        for object in schema::derived_beside_tables() {
            self.conn.execute_batch(object.sql)?;
        }
        Ok(())
    }
}

impl Tables for Shadow<'_> {
    fn conn(&self) -> &Connection {
        self.conn
    }

    fn derived(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.conn.prepare_cached(&self.renamed(sql))
    }
}

/// Gives a table the name of another one, which goes. Inside a write transaction.
pub(super) fn replace(conn: &Connection, table: &str, place: &str) -> Result<(), StoreError> {
    // Else the engine looks for the name in every view of the application, and fails where one is broken.
    conn.execute_batch(&format!(
        "PRAGMA legacy_alter_table = ON;
         DROP TABLE IF EXISTS {place}; ALTER TABLE {table} RENAME TO {place};
         PRAGMA legacy_alter_table = OFF;"
    ))?;
    Ok(())
}
