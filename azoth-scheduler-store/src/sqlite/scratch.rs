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

use super::base::Base;
use super::beside::{beside, io_error, private_file};
use super::error::of_file;
use super::fold::REPLAY_PAGE_EVENTS;
use super::place::{Place, settle};
use super::replay::Replay;
use super::schema;
use crate::error::StoreError;

/// The connection, and the file that goes with it.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Dropped before the file is removed.
    conn: Option<Connection>,
    path: PathBuf,
}

impl Scratch {
    /// Makes empty derived tables beside a file.
    pub(super) fn open(place: &Place) -> Result<Self, StoreError> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = beside(&place.path, &format!("-scratch-{}-{number}", std::process::id()));
        // One that is left is of a process of our number that was killed.
        let _ = fs::remove_file(&path);
        private_file(&path).map_err(|error| io_error(&path, &error))?;
        let mut scratch = Self { conn: None, path };
        let conn = scratch.connect(place).map_err(|error| of_file(error, &place.path))?;
        scratch.conn = Some(conn);
        Ok(scratch)
    }

    fn connect(&self, place: &Place) -> Result<Connection, StoreError> {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        settle(&conn)?;
        // Nobody needs the scratch after a crash, and nobody else opens it.
        conn.execute_batch(
            "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA main.locking_mode = EXCLUSIVE;
             PRAGMA ignore_check_constraints = ON;",
        )?;
        conn.execute("ATTACH ?1 AS origin", [place.uri()])?;
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

    /// Folds the log into it, up to this event.
    pub(super) fn fold(&self, through: u64) -> Result<(), StoreError> {
        let mut replay = self.within(|conn| {
            let base = Base::read(conn)?;
            base.load(conn)?;
            Replay::behind(base.position, conn)
        })?;
        while replay.position() < through {
            self.within(|conn| {
                let page = replay.position().saturating_add(REPLAY_PAGE_EVENTS as u64);
                replay.advance(conn, page.min(through))?;
                if replay.fold.is_full() { replay.fold.flush(conn) } else { Ok(()) }
            })?;
        }
        self.within(|conn| replay.fold.flush(conn))
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
