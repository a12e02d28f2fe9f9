//! Opening the file: every reason to refuse is looked for before anything is written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::beside::private_file;
use super::error::{is_busy, of_file};
use super::files::{Files, wal_of};
use super::hash::GENESIS;
use super::head::Head;
use super::migrate::{self, MIGRATIONS};
use super::options::SqliteOptions;
use super::place::{BUSY_PAUSE, Place, busy_since};
use super::wal::Wal;
use super::{integrity, log, rebuild, schema};
use crate::error::StoreError;
use crate::record::LogPosition;

/// The first SQLite that cannot lose commits in WAL mode; two older branches were mended too.
pub(super) const SQLITE_NEEDED: &str = "3.51.3";

impl Place {
    /// Where this file is, after the checks that need no connection.
    pub(super) fn find(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        refuse_memory(path)?;
        check_version(rusqlite::version_number(), &options)?;
        let path = std::path::absolute(path).map_err(|error| cannot_open(path, &error))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        if !folder.is_dir() {
            return Err(StoreError::MissingFolder { folder: folder.to_owned(), path });
        }
        check_file(&path)?;
        let path = behind_links(path)?;
        let files = Arc::new(Files::new(&path));
        let wal = Arc::new(Wal::new(options.wal_limits_in_bytes()));
        Ok(Self { path, options, files, wal, vitals: Arc::default() })
    }

    /// Opens the file, makes our tables where there are none, and gives the connection that writes.
    pub(super) fn establish(&self) -> Result<(Connection, Head), StoreError> {
        let begun = Instant::now();
        loop {
            match self.try_establish() {
                // Whoever makes the file, or recovers its log, holds all of it for longer than the engine waits.
                Err(StoreError::Busy { .. }) if begun.elapsed() < self.options.longest_wait() => {
                    thread::sleep(BUSY_PAUSE);
                }
                Err(StoreError::Busy { .. }) => return Err(busy_since(begun)),
                opened => return opened.map_err(|error| of_file(error, &self.path)),
            }
        }
    }

    fn try_establish(&self) -> Result<(Connection, Head), StoreError> {
        // The last one who closes a file properly removes the log.
        let unclean = fs::metadata(wal_of(&self.path)).is_ok_and(|log| log.len() > 0);
        let conn = self.connect()?;
        // A file that is refused is left as it is, its write-ahead log included.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        self.check_layout(schema::layout(&conn)?)?;
        // Until a new file has its write-ahead log the engine uses a journal. If its deletion were lost with the power, it
        // would be taken for that of a transaction to be undone, and all that was written since would go with it.
        set_sync_level(&conn, "EXTRA")?;
        self.use_wal(&conn)?;
        set_sync_level(&conn, self.options.sync_level().word())?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        self.begin(&conn, || false)?;
        match schema::layout(&conn)? {
            Some(layout) => self.check_layout(Some(layout))?,
            None => schema::create(&conn)?,
        }
        let head = Head::read(&conn)?;
        self.check_known_head(&conn, &head)?;
        if let Some(damage) = integrity::damage(&conn, &head, unclean)? {
            tracing::error!(damage, path = ?self.path, "the file is damaged: it can be read and verified, not written");
            self.vitals.give_up(format!("the database is damaged: {damage}"));
        }
        conn.execute_batch("COMMIT")?;
        self.files.note()?;
        // Nothing is written on top of damage, not even a projection.
        if self.vitals.may_write().is_ok() {
            migrate::migrate(self, &conn, MIGRATIONS)?;
            rebuild::rebuild_if_needed(self)?;
        }
        let head = Head::read(&conn)?;
        Ok((conn, head))
    }

    fn check_known_head(&self, conn: &Connection, head: &Head) -> Result<(), StoreError> {
        let Some((known, hash)) = self.options.head_that_is_known() else { return Ok(()) };
        let link = match known.number() {
            0 => Some(GENESIS),
            number => log::row_at(conn, number)?.and_then(|row| row.link),
        };
        if link == Some(hash) {
            return Ok(());
        }
        let found = LogPosition::from_number(head.position);
        Err(StoreError::HeadLost { path: self.path.clone(), known, found })
    }

    /// Several processes may switch a new file at once, and the engine says "busy" at once then, whatever its handler.
    fn use_wal(&self, conn: &Connection) -> Result<(), StoreError> {
        let begun = Instant::now();
        loop {
            match conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
                Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
                Ok(found) => return Err(StoreError::NoWal { path: self.path.clone(), found }),
                Err(error) if is_busy(&error) && begun.elapsed() < self.options.longest_wait() => {
                    thread::sleep(BUSY_PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn set_sync_level(conn: &Connection, level: &str) -> rusqlite::Result<()> {
    conn.execute_batch(&format!("PRAGMA synchronous = {level}"))
}

fn refuse_memory(path: &Path) -> Result<(), StoreError> {
    let name = path.as_os_str();
    if !name.is_empty() && !name.to_string_lossy().starts_with(":memory:") {
        return Ok(());
    }
    let detail = "this store keeps a file: use `MemoryStore` for one that keeps nothing".to_owned();
    Err(StoreError::CannotOpen { path: path.to_owned(), detail })
}

fn check_version(found: i32, options: &SqliteOptions) -> Result<(), StoreError> {
    if is_safe(found) {
        return Ok(());
    }
    let found = rusqlite::version().to_owned();
    if options.allows_old_sqlite() {
        tracing::warn!(
            found,
            needed = SQLITE_NEEDED,
            "this SQLite can lose commits in WAL mode; it was allowed explicitly"
        );
        return Ok(());
    }
    Err(StoreError::SqliteTooOld { found, needed: SQLITE_NEEDED })
}

/// Versions are 1,000,000 · major + 1,000 · minor + patch.
fn is_safe(version: i32) -> bool {
    version >= 3_051_003
        || (3_050_007..3_051_000).contains(&version)
        || (3_044_006..3_045_000).contains(&version)
}

/// Makes a missing file, for its owner's eyes only; refuses what cannot be a database that we may write. A file that is
/// there is not opened: closing it again would drop the locks that this process may hold on it through another store, and
/// the next process would take the file for one that nobody uses. The engine says whether it may be written.
fn check_file(path: &Path) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let detail = "it is a folder".to_owned();
            Err(StoreError::CannotOpen { path: path.to_owned(), detail })
        }
        Ok(found) if found.permissions().readonly() => {
            let detail = "nobody may write it".to_owned();
            Err(StoreError::ReadOnly { path: path.to_owned(), detail })
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_file(path),
        Err(error) => Err(refused(path, &error)),
    }
}

/// What lies beside the file has the file's own name, not that of a link to it: its write-ahead log, and our locks.
fn behind_links(path: PathBuf) -> Result<PathBuf, StoreError> {
    if !path.is_symlink() {
        return Ok(path);
    }
    fs::canonicalize(&path).map_err(|error| cannot_open(&path, &error))
}

fn make_file(path: &Path) -> Result<(), StoreError> {
    match private_file(path) {
        Ok(_) => Ok(()),
        // Another process made it at the same moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(refused(path, &error)),
    }
}

fn refused(path: &Path, error: &io::Error) -> StoreError {
    if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
        return StoreError::ReadOnly { path: path.to_owned(), detail: error.to_string() };
    }
    cannot_open(path, error)
}

fn cannot_open(path: &Path, error: &io::Error) -> StoreError {
    StoreError::CannotOpen { path: path.to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::readers;

    /// A file may have been made by somebody else.
    #[test]
    fn no_connection_trusts_what_the_file_says_nor_puts_rows_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new().allow_old_sqlite(true);
        let place = Place::find(&folder.path().join("scheduler.db"), options).unwrap();
        let (writer, _) = place.establish().unwrap();
        assert!(writer.db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE).unwrap());
        let reader = readers::connect(&place).unwrap();
        for conn in [&writer, &reader] {
            let setting =
                |name| -> i64 { conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap() };
            let found = ["trusted_schema", "cell_size_check", "mmap_size", "temp_store"].map(setting);
            // The last one stands for memory.
            assert_eq!(found, [0, 1, 0, 2]);
        }
        let write = reader.execute("DELETE FROM azoth_o_workers", []).unwrap_err();
        assert_eq!(write.sqlite_error_code(), Some(rusqlite::ErrorCode::ReadOnly));
    }

    #[test]
    fn only_mended_versions_of_sqlite_are_safe() {
        for safe in [3_051_003, 3_053_002, 3_050_007, 3_044_006, 4_000_000] {
            assert!(is_safe(safe), "{safe}");
        }
        for unsafe_one in [3_051_002, 3_051_000, 3_050_006, 3_045_000, 3_049_002, 3_044_005] {
            assert!(!is_safe(unsafe_one), "{unsafe_one}");
        }
    }

    #[test]
    fn old_sqlite_is_refused_unless_it_is_allowed() {
        let error = check_version(3_045_001, &SqliteOptions::new()).unwrap_err();
        assert!(matches!(error, StoreError::SqliteTooOld { needed: SQLITE_NEEDED, .. }), "{error}");
        check_version(3_045_001, &SqliteOptions::new().allow_old_sqlite(true)).unwrap();
    }
}
