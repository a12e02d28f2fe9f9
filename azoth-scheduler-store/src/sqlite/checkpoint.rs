//! Checkpoints: copying the write-ahead log into the database file, so that the log can start again.
//!
//! The engine would do it in the thread that commits, once the log holds a thousand pages, and let the callers of that
//! commit wait for it. Here a thread of its own copies while the writer goes on. It cannot copy what is committed
//! meanwhile, and the log starts again only when nothing is left to copy; so the writer copies that little rest itself,
//! after it has answered its callers. A log that starts again is written over, which needs no more room in the file system
//! and so only half the time of a log that grows.
//!
//! - Nothing can be copied beyond the snapshot of the oldest reader. Over its soft limit the log is warned of, over its
//!   hard limit no new work is taken in, and both end by themselves once the reader has gone.
//! - A checkpoint that fails loses nothing: what it did not copy stays in the log. It is tried again.

#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::files::Files;
use super::place::{Place, wait_for_locks};
use super::wal::{Told, Wal};
use crate::error::StoreError;

/// The thread, as the store's handle holds it.
pub(super) struct Checkpointer {
    wal: Arc<Wal>,
    files: Arc<Files>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(place: &Place) -> Result<Self, StoreError> {
        let wal = Arc::clone(&place.wal);
        let files = Arc::clone(&place.files);
        let mut copier =
            Copier { place: place.clone(), conn: None, failing: false, held_back: false, warned: false };
        let thread = thread::Builder::new()
            .name("azoth-checkpoint".to_owned())
            .spawn(move || copier.serve())
            .map_err(|error| StoreError::Io { detail: format!("no thread for checkpoints: {error}") })?;
        Ok(Self { wal, files, thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    /// Lets the thread end and waits for it: it is at most one checkpoint away from its end.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take().filter(|_| self.files.check_process().is_ok()) else { return };
        self.wal.stop();
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the checkpoint thread had panicked");
        }
    }
}

struct Copier {
    place: Place,
    /// `None` before the first checkpoint, and after one that failed.
    conn: Option<Connection>,
    failing: bool,
    /// A reader's snapshot kept the last checkpoint from copying everything.
    held_back: bool,
    warned: bool,
}

/// What the engine says of the write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// Pages that it holds, and how many of them were copied. Both 0 where the engine cannot say.
    pages: u64,
    copied: u64,
}

impl Copier {
    fn serve(&mut self) {
        let wal = Arc::clone(&self.place.wal);
        let mut idle_since = Instant::now();
        let mut seen = 0;
        loop {
            let mut told = wal.lock();
            if !told.look && !told.stop {
                told = self.sleep(&wal, told);
            }
            if told.stop {
                return;
            }
            (told.look, told.weight) = (false, 0);
            if told.commits != seen {
                (seen, idle_since) = (told.commits, Instant::now());
            }
            drop(told);
            self.look(idle_since.elapsed() >= IDLE / 2);
        }
    }

    /// Sleeps until there is something to do: for good where the log is short and nothing fails.
    fn sleep<'a>(&self, wal: &Wal, told: MutexGuard<'a, Told>) -> MutexGuard<'a, Told> {
        let idle = |told: &mut Told| !told.look && !told.stop;
        let long = self.place.files.wal_bytes() >= wal.limits.cut_from();
        if !long && !self.failing {
            return wal.bell.wait_while(told, idle).unwrap_or_else(PoisonError::into_inner);
        }
        let waited = wal.bell.wait_timeout_while(told, IDLE, idle);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn look(&mut self, idle: bool) {
        match self.copy(idle) {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!(path = ?self.place.path, "checkpoints succeed again");
            }
            Ok(()) => {}
            Err(error) => {
                self.conn = None;
                if !self.failing {
                    tracing::warn!(%error, path = ?self.place.path, "a checkpoint failed; the log keeps what it holds");
                }
                self.failing = true;
            }
        }
        self.judge();
    }

    fn copy(&mut self, idle: bool) -> Result<(), StoreError> {
        self.place.files.check()?;
        let limits = self.place.wal.limits;
        let bytes = self.place.files.wal_bytes();
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect()?,
        };
        let page = page_bytes(&conn)?;
        let mut progress = checkpoint(&conn, "NOOP")?;
        let long = progress.left().saturating_mul(page) >= limits.copy_from();
        if long {
            progress = checkpoint(&conn, "PASSIVE")?;
        }
        // Where the engine cannot say, since somebody else copies, it is as it was.
        if progress.pages > 0 {
            self.held_back = progress.left() > 0;
        }
        if bytes >= limits.cut_from() && idle {
            // Nobody writes, so nobody is kept from it.
            checkpoint(&conn, "TRUNCATE")?;
        } else if (long && progress.left() == 0) || bytes >= limits.soft {
            self.place.wal.rest.store(true, Ordering::Relaxed);
        }
        self.conn = Some(conn);
        self.place.files.check()
    }

    /// A connection that never waits for a lock: it would hold others up with those that it has.
    fn connect(&self) -> Result<Connection, StoreError> {
        let conn = self.place.connect()?;
        conn.busy_handler(None)?;
        Ok(conn)
    }

    /// Warns of a log that is too long, and takes new work in again when it is not.
    fn judge(&mut self) {
        let (bytes, limits) = (self.place.files.wal_bytes(), self.place.wal.limits);
        self.place.wal.measured(bytes);
        let stuck = bytes > limits.soft && self.held_back;
        if stuck && !self.warned {
            tracing::warn!(
                bytes, soft = limits.soft, hard = limits.hard, path = ?self.place.path,
                "the write-ahead log is long and cannot be cut: somebody keeps a read transaction open"
            );
        }
        self.warned = stuck;
    }
}

impl Progress {
    fn left(self) -> u64 {
        self.pages.saturating_sub(self.copied)
    }
}

/// Copies what the writer's own commits have added meanwhile, and cuts a log that is over its soft limit. Never waits.
pub(super) fn copy_rest(conn: &Connection, place: &Place) -> Result<(), StoreError> {
    let progress = checkpoint(conn, "PASSIVE")?;
    if place.files.wal_bytes() < place.wal.limits.soft || progress.left() > 0 {
        return Ok(());
    }
    conn.busy_handler(None)?;
    let cut = checkpoint(conn, "TRUNCATE");
    wait_for_locks(conn)?;
    cut?;
    place.files.check()?;
    place.wal.measured(place.files.wal_bytes());
    Ok(())
}

/// One checkpoint in one of the engine's modes. That somebody else does one, or reads, is no error.
fn checkpoint(conn: &Connection, mode: &str) -> Result<Progress, StoreError> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let (pages, copied): (i64, i64) = conn.query_row(&sql, [], |row| Ok((row.get(1)?, row.get(2)?)))?;
    let count = |cell| u64::try_from(cell).unwrap_or(0);
    Ok(Progress { pages: count(pages), copied: count(copied) })
}

fn page_bytes(conn: &Connection) -> Result<u64, StoreError> {
    let bytes: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Without a commit for so long nobody is taken to write.
const IDLE: Duration = Duration::from_secs(1);
