//! The files of an open store as the file system sees them: whether they are still those that were opened, and how long
//! the write-ahead log is.
//!
//! They are looked at by their names and never opened here: closing any descriptor of a file drops all locks that this
//! process holds on it. Nor is it asked when they were changed: Linux notes the next change of a file whose times were asked
//! for in finer steps, and each sync of the log would have to write those down too, which takes a third longer.
//!
//! To look takes five times as long as to ask whether there is a reason to. So once some commits had to look the files are
//! watched, from before a look on that finds all in order, and that look holds for a second, or until the watch tells of
//! something. What it tells is a doubt, which only a look that finds all in order ends. Everybody asks and looks under one
//! lock: a look that began before a doubt cannot end it, and whoever is told first keeps nothing from those who ask after
//! him.

#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fate::Fate;
use crate::error::StoreError;

/// Shared by everything that works on one opening of a file.
#[derive(Debug)]
pub(super) struct Files {
    database: PathBuf,
    wal: PathBuf,
    opened_by: u32,
    opened: Mutex<Option<Opened>>,
    wal_bytes: AtomicU64,
}

/// The files of the open connections; an id is `None` where the system does not tell files from each other.
#[derive(Debug)]
struct Opened {
    database: Option<FileId>,
    wal: Option<FileId>,
    /// `None` where nothing is told of them, or not yet.
    fate: Option<Fate>,
    /// So many commits had to look.
    looks: u32,
    /// When the newest look began, where it found all in order, the files were watched before, and nothing was told since.
    in_order_at: Option<Instant>,
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
        let opened = opened.get_or_insert(Opened { database, wal, fate: None, looks: 0, in_order_at: None });
        if opened.database != database {
            return Err(StoreError::Replaced { path: self.database.clone() });
        }
        (opened.wal, opened.in_order_at) = (wal, None);
        self.look(opened, Instant::now())
    }

    /// Looks whether the files are still those that were opened, and may be written.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] or [`StoreError::ReadOnly`].
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let mut opened = self.lock();
        let Some(opened) = &mut *opened else { return Ok(()) };
        self.look(opened, Instant::now())
    }

    /// The same for those who ask before each commit: looks only where the last look does not hold any more.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub(super) fn recheck(&self) -> Result<(), StoreError> {
        self.recheck_at(Instant::now())
    }

    fn recheck_at(&self, now: Instant) -> Result<(), StoreError> {
        let mut opened = self.lock();
        let Some(opened) = &mut *opened else { return Ok(()) };
        if opened.is_in_order(now) {
            return Ok(());
        }
        opened.count_look();
        self.look(opened, now)
    }

    fn look(&self, opened: &mut Opened, now: Instant) -> Result<(), StoreError> {
        // What happens after this look has to be told, so whoever has no look that holds watches first.
        let is_watched = opened.in_order_at.take().is_some() || opened.watch([&self.database, &self.wal]);
        look_as_opened(&self.database, opened.database)?;
        let wal = look_as_opened(&self.wal, opened.wal)?;
        self.wal_bytes.store(wal.bytes, Ordering::Relaxed);
        opened.in_order_at = is_watched.then_some(now);
        Ok(())
    }

    /// Measures the write-ahead log, in bytes. One that is gone is as long as it was: whoever commits next learns of it.
    pub(super) fn measure_wal(&self) -> u64 {
        if let Ok(found) = look(&self.wal) {
            self.wal_bytes.store(found.bytes, Ordering::Relaxed);
        }
        self.wal_bytes()
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

    /// How long the write-ahead log was when it was last looked at, in bytes.
    pub(super) fn wal_bytes(&self) -> u64 {
        self.wal_bytes.load(Ordering::Relaxed)
    }
}

impl Opened {
    /// Whether the last look holds. What is told now is told to nobody else, so it ends here.
    fn is_in_order(&mut self, now: Instant) -> bool {
        if self.fate.as_mut().is_some_and(Fate::is_told) {
            self.in_order_at = None;
        }
        self.in_order_at.is_some_and(|at| now.saturating_duration_since(at) < LOOK_HOLDS)
    }

    /// A commit has to look. Once some had to, it is worth it to be told.
    fn count_look(&mut self) {
        self.looks = self.looks.saturating_add(1);
        if self.looks == LOOKS_UNWATCHED {
            self.fate = Fate::new().ok();
        }
    }

    /// Watches the files that have these names. Whether all of them are watched.
    fn watch(&self, files: [&Path; 2]) -> bool {
        self.fate.as_ref().is_some_and(|fate| files.iter().all(|file| fate.watch(file).is_ok()))
    }
}

/// The write-ahead log of a database.
pub(super) fn wal_of(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push("-wal");
    name.into()
}

/// A file that is still the one that was opened, and may be written.
fn look_as_opened(path: &Path, opened: Option<FileId>) -> Result<Seen, StoreError> {
    let found = look(path)?;
    if found.id != opened {
        return Err(StoreError::Replaced { path: path.to_owned() });
    }
    if found.readonly {
        let detail = "nobody may write it any more".to_owned();
        return Err(StoreError::ReadOnly { path: path.to_owned(), detail });
    }
    Ok(found)
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

/// So many commits look before the files are watched. It takes the system some 10 ms to end a watch, and whoever opens a
/// store, commits once and closes it would wait for that.
const LOOKS_UNWATCHED: u32 = 8;
/// So long a look holds while nothing is told. What the watch cannot tell is found when it is over: a folder that was moved,
/// a link in the path that leads elsewhere, what another machine did to files that are shared.
const LOOK_HOLDS: Duration = Duration::from_secs(1);
/// The bits of a mode that let anybody write.
#[cfg(target_os = "linux")]
const WRITABLE: u16 = 0o222;
