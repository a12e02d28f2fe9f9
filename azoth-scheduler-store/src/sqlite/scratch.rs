//! A database of our own beside the file, to fold the log into: derived tables that hold as many tasks as there are,
//! while memory holds a page of them.
//!
//! Its connection has the scratch as its main database and the file attached as `origin`. A name without a schema is looked
//! for in the main one first: so `azoth_p_tasks` is the table of the scratch, and `azoth_log` that of the file, and each
//! statement of the writer means here what it means there. It is a file in the folder of the database, since a payload must
//! not show up elsewhere, and it is gone with the connection.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OpenFlags};

use super::error::of_file;
use super::open::{Place, private_file, settle};
use super::schema;
use super::upkeep::{beside, io_error};
use crate::error::StoreError;

/// The connection, and the file that goes with it.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Dropped before the file is removed.
    conn: Option<Connection>,
    path: PathBuf,
}

/// What may be done with the file that is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    ReadOnly,
    Writable,
}

impl Scratch {
    /// Makes empty derived tables beside a file.
    pub(super) fn open(place: &Place, origin: Origin) -> Result<Self, StoreError> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = beside(&place.path, &format!("-scratch-{}-{number}", std::process::id()));
        // One that is left is of a process of our number that was killed.
        let _ = fs::remove_file(&path);
        private_file(&path).map_err(|error| io_error(&path, &error))?;
        let mut scratch = Self { conn: None, path };
        let conn = scratch.connect(place, origin).map_err(|error| of_file(error, &place.path))?;
        scratch.conn = Some(conn);
        Ok(scratch)
    }

    fn connect(&self, place: &Place, origin: Origin) -> Result<Connection, StoreError> {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        settle(&conn)?;
        // Nobody needs the scratch after a crash, and nobody else opens it. What is copied out of it is checked then.
        conn.execute_batch(
            "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA main.locking_mode = EXCLUSIVE;
             PRAGMA ignore_check_constraints = ON;",
        )?;
        let mode = match origin {
            Origin::ReadOnly => "ro",
            Origin::Writable => "rw",
        };
        conn.execute("ATTACH ?1 AS origin", [place.uri(mode)])?;
        if origin == Origin::Writable {
            place.settle_writes(&conn, "origin.")?;
            conn.execute_batch("PRAGMA legacy_alter_table = ON")?;
        }
        schema::create_for_folding(&conn)?;
        Ok(conn)
    }

    pub(super) fn conn(&self) -> &Connection {
        self.conn.as_ref().expect("it is there until the scratch is dropped")
    }

    /// Does something in one transaction: what it reads of the file is one snapshot.
    pub(super) fn within<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tx = self.conn().unchecked_transaction()?;
        let done = work(&tx)?;
        tx.commit()?;
        Ok(done)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.conn = None;
        for ending in ["", "-journal"] {
            // What cannot be removed here is removed by the next process of our number.
            let _ = fs::remove_file(beside(&self.path, ending));
        }
    }
}

static COUNT: AtomicU64 = AtomicU64::new(0);
