//! Derived tables that are made beside those in use, and then take their place.
//!
//! They are filled from a scratch in small transactions: what has yet to be copied stands in a table of the scratch, at first
//! every row, then those that changed meanwhile, which triggers note.

use rusqlite::Connection;

use super::schema::{self, Object};
use crate::error::StoreError;

/// So many rows are copied in one transaction.
pub(super) const COPY_ROWS: usize = 1_000;

/// A derived table and the one that is to take its place.
struct Pair {
    object: &'static Object,
    shadow: String,
    /// The columns of the primary key, in order.
    key: Vec<String>,
}

/// All derived tables, as a scratch has them, and their shadows in the file.
pub(super) struct Shadow {
    pairs: Vec<Pair>,
}

impl Shadow {
    /// Makes the shadows, empty, in place of those that somebody left behind. Inside a write transaction.
    pub(super) fn create(conn: &Connection, prefix: &str) -> Result<Self, StoreError> {
        // What the scratch holds was not checked, what is copied out of it is.
        conn.execute_batch("PRAGMA ignore_check_constraints = OFF")?;
        let mut pairs = Vec::new();
        for object in schema::derived_tables() {
            let shadow = object.name.replacen("azoth_p_", prefix, 1);
            let sql = object.sql.replacen(object.name, &format!("origin.{shadow}"), 1);
            conn.execute_batch(&format!("DROP TABLE IF EXISTS origin.{shadow}; {sql}"))?;
            pairs.push(Pair { object, shadow, key: schema::primary_key(conn, object.name)? });
        }
        Ok(Self { pairs })
    }

    /// Notes every row of the scratch, and from now on every one that changes. Inside a transaction.
    pub(super) fn track(&self, conn: &Connection) -> Result<(), StoreError> {
        for Pair { object: Object { name, .. }, key, .. } in &self.pairs {
            let columns = key.join(", ");
            // No conflict clause: that of the statement that fires the trigger would take its place.
            let note = |row: &str| {
                let of = key.iter().map(|column| format!("{row}.{column}")).collect::<Vec<_>>().join(", ");
                format!(
                    "INSERT INTO changed_{name} SELECT {of}
                     WHERE ({of}) NOT IN (SELECT {columns} FROM changed_{name})"
                )
            };
            let (new, old) = (note("NEW"), note("OLD"));
            conn.execute_batch(&format!(
                "CREATE TABLE changed_{name} ({columns}, PRIMARY KEY ({columns})) WITHOUT ROWID;
                 CREATE TABLE page_{name} ({columns}, PRIMARY KEY ({columns})) WITHOUT ROWID;
                 INSERT INTO changed_{name} SELECT {columns} FROM main.{name};
                 CREATE TRIGGER inserted_{name} AFTER INSERT ON {name} BEGIN {new}; END;
                 CREATE TRIGGER updated_{name} AFTER UPDATE ON {name} BEGIN {old}; {new}; END;
                 CREATE TRIGGER deleted_{name} AFTER DELETE ON {name} BEGIN {old}; END;"
            ))?;
        }
        Ok(())
    }

    /// Copies the next rows that were noted; says whether there may be more. Inside a write transaction.
    pub(super) fn copy_some(&self, conn: &Connection) -> Result<bool, StoreError> {
        let mut more = false;
        for Pair { object: Object { name, .. }, shadow, key } in &self.pairs {
            let key = key.join(", ");
            let page = format!(
                "INSERT INTO page_{name} SELECT {key} FROM changed_{name} ORDER BY {key} LIMIT {COPY_ROWS}"
            );
            more |= conn.execute(&page, [])? == COPY_ROWS;
            let these = format!("WHERE ({key}) IN (SELECT {key} FROM page_{name})");
            // A name that went from one row to another may meet the row that it has left.
            conn.execute_batch(&format!(
                "DELETE FROM origin.{shadow} {these};
                 INSERT OR REPLACE INTO origin.{shadow} SELECT * FROM main.{name} {these};
                 DELETE FROM changed_{name} {these};
                 DELETE FROM page_{name};"
            ))?;
        }
        Ok(more)
    }

    /// Puts the shadows in the place of the derived tables. Inside a write transaction.
    pub(super) fn adopt(&self, conn: &Connection) -> Result<(), StoreError> {
        for Pair { object: Object { name, .. }, shadow, .. } in &self.pairs {
            conn.execute_batch(&format!(
                "DROP TABLE IF EXISTS origin.{name}; ALTER TABLE origin.{shadow} RENAME TO {name};"
            ))?;
        }
        for object in schema::derived_beside_tables() {
            conn.execute_batch(&object.sql.replacen(object.name, &format!("origin.{}", object.name), 1))?;
        }
        Ok(())
    }
}
