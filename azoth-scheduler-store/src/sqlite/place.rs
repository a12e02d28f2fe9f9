//! The place of a store: its file, and the connections to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{is_busy, of_file};
use super::files::Files;
use super::head::Head;
use super::options::SqliteOptions;
use super::vitals::Vitals;
use super::wal::Wal;
use super::{packed, schema};
use crate::error::StoreError;

/// The file, the settings of every connection to it, and what all of them know of it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) options: SqliteOptions,
    pub(super) files: Arc<Files>,
    pub(super) wal: Arc<Wal>,
    pub(super) vitals: Arc<Vitals>,
}

impl Place {
    /// A connection that writes, to a file that was opened before, and by this process.
    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        self.files.check_process()?;
        let (name, flags) = self.name(OpenFlags::SQLITE_OPEN_READ_WRITE);
        let conn = Connection::open_with_flags(name, flags)?;
        settle(&conn)?;
        self.settle_writes(&conn)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        Ok(conn)
    }

    /// Settings of a connection that writes.
    fn settle_writes(&self, conn: &Connection) -> rusqlite::Result<()> {
        let level = self.options.sync_level().word();
        conn.execute_batch(&format!(
            "PRAGMA synchronous = {level}; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0;"
        ))?;
        if cfg!(target_os = "macos") {
            conn.execute_batch("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;")?;
        }
        Ok(())
    }

    /// What a connection is opened with: the path, or a URI where the options name a VFS.
    pub(super) fn name(&self, access: OpenFlags) -> (PathBuf, OpenFlags) {
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match self.options.vfs_name() {
            None => (self.path.clone(), flags),
            Some(vfs) => {
                let path = encoded(self.path.as_os_str().as_encoded_bytes());
                let uri = format!("file:{path}?vfs={}", encoded(vfs.as_bytes()));
                (uri.into(), flags | OpenFlags::SQLITE_OPEN_URI)
            }
        }
    }

    /// The URI of the file, for a connection that has another one as its main database and only reads this one.
    pub(super) fn uri(&self) -> String {
        let path = encoded(self.path.as_os_str().as_encoded_bytes());
        let vfs = self.options.vfs_name().map(|vfs| format!("&vfs={}", encoded(vfs.as_bytes())));
        format!("file:{path}?mode=ro{}", vfs.unwrap_or_default())
    }

    /// Somebody has committed so many events to the file.
    pub(super) fn committed(&self, events: u64) {
        self.wal.committed(events, self.files.measure_wal());
    }

    /// Begins a write transaction; waits for other processes as long as the options say, or until `stopped`.
    pub(super) fn begin(&self, conn: &Connection, stopped: impl Fn() -> bool) -> Result<(), StoreError> {
        let begun = Instant::now();
        loop {
            match run(conn, "BEGIN IMMEDIATE") {
                Ok(()) => return Ok(()),
                Err(error) if is_busy(&error) => {}
                Err(error) => return Err(of_file(error.into(), &self.path)),
            }
            if stopped() {
                return Err(StoreError::Closed {
                    detail: "it was closed while it waited for the lock".into(),
                });
            }
            if begun.elapsed() >= self.options.longest_wait() {
                return Err(busy_since(begun));
            }
        }
    }

    /// Whether this library may write to the file, which a newer one may have migrated while it is open.
    pub(super) fn check_head(&self, head: &Head) -> Result<(), StoreError> {
        self.check_layout(Some(head.layout))?;
        if head.projection_layout > schema::PROJECTION_LAYOUT {
            let (found, supported) = (head.projection_layout, schema::PROJECTION_LAYOUT);
            return Err(StoreError::NewerLayout { path: self.path.clone(), found, supported });
        }
        Ok(())
    }

    pub(super) fn check_layout(&self, found: Option<u32>) -> Result<(), StoreError> {
        match found {
            Some(found) if found > schema::LAYOUT => {
                let path = self.path.clone();
                Err(StoreError::NewerLayout { path, found, supported: schema::LAYOUT })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The lock was waited for since then, in vain.
pub(super) fn busy_since(begun: Instant) -> StoreError {
    StoreError::Busy { waited_ms: begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX) }
}

/// The text of a URI in which only letters, digits and what a path needs stand for themselves.
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Settings of every connection, readers too.
pub(super) fn settle(conn: &Connection) -> rusqlite::Result<()> {
    wait_for_locks(conn)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    packed::teach(conn)?;
    // Else the engine plans a statement with `LIMIT ?` anew each time that it is used.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch(
        "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;",
    )
}

/// Runs a statement that begins or ends a transaction; it is prepared once.
pub(super) fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Lets a connection wait a little for locks of others.
pub(super) fn wait_for_locks(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(wait_for_lock))
}

/// A constant short wait: the engine's own handler backs off to 100 ms a try, so that late comers win.
fn wait_for_lock(tries: i32) -> bool {
    if tries >= BUSY_TRIES {
        return false;
    }
    thread::sleep(BUSY_PAUSE);
    true
}

/// One wait for the lock.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(1);
/// So many waits before the engine says "busy", about a tenth of a second; [`Place::begin`] then asks again.
const BUSY_TRIES: i32 = 100;
/// Prepared statements that a connection keeps.
const STATEMENTS_KEPT: usize = 64;
