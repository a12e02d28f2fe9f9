//! The files of an open store as the file system sees them: whether they are still those that were opened, and how long
//! the write-ahead log is.
//!
//! They are looked at by their names and never opened here: closing any descriptor of a file drops all locks that this
//! process holds on it. Nor is it asked when they were changed: Linux notes the next change of a file whose times were asked
//! for in finer steps, and each sync of the log would have to write those down too, which takes a third longer.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::StoreError;

/// Shared by everything that works on one opening of a file.
#[derive(Debug)]
pub(super) struct Files {
    database: PathBuf,
    wal: PathBuf,
    opened_by: u32,
    opened: Mutex<Option<Opened>>,
    wal_bytes: AtomicU64,
    made: Instant,
    /// When the newest look began that found everything in order, in nanoseconds since `made`.
    looked: AtomicU64,
}

/// The files of the open connections; `None` where the system does not tell files from each other.
#[derive(Clone, Copy, Debug)]
struct Opened {
    database: Option<FileId>,
    wal: Option<FileId>,
}

/// What is seen of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    id: Option<FileId>,
    bytes: u64,
    /// Nobody may write it.
    readonly: bool,
}

/// What a file is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl Files {
    pub(super) fn new(database: &Path) -> Self {
        Self {
            database: database.to_owned(),
            wal: wal_of(database),
            opened_by: process::id(),
            opened: Mutex::new(None),
            wal_bytes: AtomicU64::new(0),
            made: Instant::now(),
            looked: AtomicU64::new(0),
        }
    }

    /// Remembers the files that are there now: those of a connection that is open.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] where the database is not the one that was noted before. Another write-ahead log is
    /// lawful then: whoever closes a file last removes it.
    pub(super) fn note(&self) -> Result<(), StoreError> {
        let [database, wal] = [look(&self.database)?, look(&self.wal)?].map(|found| found.id);
        let mut opened = self.lock();
        if opened.is_some_and(|opened| opened.database != database) {
            return Err(StoreError::Replaced { path: self.database.clone() });
        }
        *opened = Some(Opened { database, wal });
        drop(opened);
        self.check()
    }

    /// Whether the files are still those that were opened, and may be written.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] or [`StoreError::ReadOnly`].
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let begun = self.nanos_of(Instant::now());
        let Some(Opened { database, wal }) = *self.lock() else { return Ok(()) };
        let found = look(&self.database)?;
        if found.id != database {
            return Err(StoreError::Replaced { path: self.database.clone() });
        }
        if found.readonly {
            let detail = "nobody may write it any more".to_owned();
            return Err(StoreError::ReadOnly { path: self.database.clone(), detail });
        }
        let found = look(&self.wal)?;
        if found.id != wal {
            return Err(StoreError::Replaced { path: self.wal.clone() });
        }
        self.wal_bytes.store(found.bytes, Ordering::Relaxed);
        self.looked.fetch_max(begun, Ordering::Relaxed);
        Ok(())
    }

    /// The same, where nobody has looked since this instant and found them so.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub(super) fn check_since(&self, asked: Instant) -> Result<(), StoreError> {
        if self.looked.load(Ordering::Relaxed) > self.nanos_of(asked) { Ok(()) } else { self.check() }
    }

    fn nanos_of(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.made);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether this is the process that opened the files. A forked one has the handles, but not the locks.
    ///
    /// # Errors
    /// [`StoreError::Forked`].
    pub(super) fn check_process(&self) -> Result<(), StoreError> {
        let (opened_by, here) = (self.opened_by, process::id());
        if here == opened_by { Ok(()) } else { Err(StoreError::Forked { opened_by, here }) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the write-ahead log was when the files were last looked at, in bytes.
    pub(super) fn wal_bytes(&self) -> u64 {
        self.wal_bytes.load(Ordering::Relaxed)
    }
}

/// The write-ahead log of a database.
pub(super) fn wal_of(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push("-wal");
    name.into()
}

/// A file that is gone was deleted or moved away.
fn look(path: &Path) -> Result<Seen, StoreError> {
    seen(path).or_else(|| seen_whole(path)).ok_or_else(|| StoreError::Replaced { path: path.to_owned() })
}

/// Asks for no more than is needed, where the system can be asked so.
#[cfg(target_os = "linux")]
fn seen(path: &Path) -> Option<Seen> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    let wanted = StatxFlags::INO | StatxFlags::MODE | StatxFlags::SIZE;
    let found = statx(CWD, path, AtFlags::empty(), wanted).ok()?;
    if found.stx_mask & wanted.bits() != wanted.bits() {
        return None;
    }
    let device = makedev(found.stx_dev_major, found.stx_dev_minor);
    let id = Some(FileId { device, inode: found.stx_ino });
    Some(Seen { id, bytes: found.stx_size, readonly: found.stx_mode & WRITABLE == 0 })
}

#[cfg(not(target_os = "linux"))]
fn seen(_path: &Path) -> Option<Seen> {
    None
}

/// As the standard library asks.
fn seen_whole(path: &Path) -> Option<Seen> {
    let found = fs::metadata(path).ok()?;
    Some(Seen { id: id_of(&found), bytes: found.len(), readonly: found.permissions().readonly() })
}

#[cfg(unix)]
fn id_of(found: &fs::Metadata) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    Some(FileId { device: found.dev(), inode: found.ino() })
}

/// Elsewhere an open file can be neither deleted nor replaced.
#[cfg(not(unix))]
fn id_of(_found: &fs::Metadata) -> Option<FileId> {
    None
}

/// The bits of a mode that let anybody write.
#[cfg(target_os = "linux")]
const WRITABLE: u16 = 0o222;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn look_counts_for_whoever_asked_before_it_began_and_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scheduler.db");
        fs::write(&path, []).unwrap();
        fs::write(wal_of(&path), []).unwrap();
        let files = Files::new(&path);
        files.note().unwrap();
        let asked = Instant::now();
        files.check().unwrap();
        fs::rename(&path, folder.path().join("aside")).unwrap();
        assert_eq!(files.check_since(asked), Ok(()));
        let replaced = Err(StoreError::Replaced { path });
        assert_eq!(files.check_since(Instant::now()), replaced);
        assert_eq!(files.check_since(asked), Ok(()), "what was found in vain is no look");
    }

    #[test]
    fn less_is_asked_of_a_file_and_the_same_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(seen(&path), None);
        fs::write(&path, [7; 5_000]).unwrap();
        for mode in [0o600, 0o444, 0o020] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let found = seen(&path).unwrap();
            assert_eq!((Some(found), found.bytes), (seen_whole(&path), 5_000));
            assert_eq!(found.readonly, mode == 0o444);
        }
        fs::write(folder.path().join("other"), []).unwrap();
        assert_ne!(seen(&path).unwrap().id, seen(&folder.path().join("other")).unwrap().id);
    }
}
