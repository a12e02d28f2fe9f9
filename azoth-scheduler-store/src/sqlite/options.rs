//! How a SQLite store is opened.

use std::time::Duration;

use super::wal::Limits;
use crate::record::LogPosition;

/// Settings of a [`SqliteStore`](super::SqliteStore). The defaults lose nothing that was acknowledged.
///
/// ```
/// use azoth_scheduler_store::sqlite::{SqliteOptions, Synchronous};
///
/// let options = SqliteOptions::new().synchronous(Synchronous::Normal).readers(2);
/// assert_ne!(options, SqliteOptions::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct SqliteOptions {
    synchronous: Synchronous,
    readers: u32,
    busy_wait: Duration,
    allow_old_sqlite: bool,
    wal_limits: Limits,
    vfs: Option<String>,
    known_head: Option<(LogPosition, [u8; 32])>,
    /// Small in tests, which have small logs.
    pub(super) tasks_folded_at_once: usize,
}

/// When the write-ahead log is synced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// With every commit: what was answered `Ok` survives a power cut.
    #[default]
    Full,
    /// With checkpoints only. A power cut or a crash of the operating system may lose the commits of the last seconds,
    /// also those that were answered `Ok`; a crash of the process loses nothing, and the file stays sound. Work that
    /// was done may so be done again.
    Normal,
}

impl SqliteOptions {
    /// So many readers run at the same time unless [`readers`](Self::readers) says otherwise.
    pub const READERS_DEFAULT: u32 = 4;
    /// No store has more readers than this.
    pub const READERS_MAX: u32 = 64;
    /// So long a write waits for other processes unless [`busy_wait`](Self::busy_wait) says otherwise.
    pub const BUSY_WAIT_DEFAULT: Duration = Duration::from_secs(30);
    /// The write-ahead log is warned of from so many bytes on, unless [`wal_limits`](Self::wal_limits) says otherwise.
    pub const WAL_SOFT_LIMIT_DEFAULT: u64 = 64 * 1024 * 1024;
    /// No new work is taken in while the write-ahead log holds more bytes than this, unless
    /// [`wal_limits`](Self::wal_limits) says otherwise.
    pub const WAL_HARD_LIMIT_DEFAULT: u64 = 1024 * 1024 * 1024;

    /// The defaults.
    pub fn new() -> Self {
        Self {
            synchronous: Synchronous::Full,
            readers: Self::READERS_DEFAULT,
            busy_wait: Self::BUSY_WAIT_DEFAULT,
            allow_old_sqlite: false,
            wal_limits: Limits { soft: Self::WAL_SOFT_LIMIT_DEFAULT, hard: Self::WAL_HARD_LIMIT_DEFAULT },
            vfs: None,
            known_head: None,
            tasks_folded_at_once: TASKS_FOLDED_AT_ONCE,
        }
    }

    /// When the write-ahead log is synced. Default [`Synchronous::Full`].
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How many reads may run at the same time, each on a connection and a thread of its own; 1 to
    /// [`READERS_MAX`](Self::READERS_MAX), default [`READERS_DEFAULT`](Self::READERS_DEFAULT).
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers.clamp(1, Self::READERS_MAX);
        self
    }

    /// How long a write waits while another process holds the write lock; then it is answered with
    /// [`StoreError::Busy`](crate::StoreError::Busy). Default [`BUSY_WAIT_DEFAULT`](Self::BUSY_WAIT_DEFAULT).
    pub fn busy_wait(mut self, busy_wait: Duration) -> Self {
        self.busy_wait = busy_wait;
        self
    }

    /// Opens the file also with an SQLite that can lose commits when two connections write and checkpoint at the same
    /// time (3.7.0 to 3.51.2, but for 3.44.6 and 3.50.7). A warning is logged. Default `false`.
    pub fn allow_old_sqlite(mut self, allow: bool) -> Self {
        self.allow_old_sqlite = allow;
        self
    }

    /// How long the write-ahead log may become, in bytes; defaults
    /// [`WAL_SOFT_LIMIT_DEFAULT`](Self::WAL_SOFT_LIMIT_DEFAULT) and
    /// [`WAL_HARD_LIMIT_DEFAULT`](Self::WAL_HARD_LIMIT_DEFAULT).
    ///
    /// From a sixteenth of the soft limit on it is copied into the database file and starts again; from a quarter on it is
    /// cut when nobody writes. It becomes longer only while somebody keeps a read transaction open: a warning is logged
    /// over the soft limit; over the hard one, which is never taken to be below the soft one, scheduling is refused with
    /// [`StoreError::WalFull`](crate::StoreError::WalFull) and nothing is claimed, while what runs can still be recorded.
    pub fn wal_limits(mut self, soft: u64, hard: u64) -> Self {
        self.wal_limits = Limits { soft, hard: hard.max(soft) };
        self
    }

    /// Opens the file through a VFS of SQLite's that was registered under this name, such as one that encrypts. Default:
    /// the one of the operating system.
    pub fn vfs(mut self, name: impl Into<String>) -> Self {
        self.vfs = Some(name.into());
        self
    }

    /// Position and hash of an event that the log must hold, as [`VerifyReport`](crate::VerifyReport) gave them and
    /// somebody has kept them elsewhere: from the file alone one cannot tell that its end is missing. A log that does not
    /// hold it is refused with [`StoreError::HeadLost`](crate::StoreError::HeadLost).
    pub fn known_head(mut self, position: LogPosition, hash: [u8; 32]) -> Self {
        self.known_head = Some((position, hash));
        self
    }

    pub(super) fn head_that_is_known(&self) -> Option<(LogPosition, [u8; 32])> {
        self.known_head
    }

    pub(super) fn tasks_folded_at_once(&self) -> usize {
        self.tasks_folded_at_once
    }

    pub(super) fn wal_limits_in_bytes(&self) -> Limits {
        self.wal_limits
    }

    pub(super) fn vfs_name(&self) -> Option<&str> {
        self.vfs.as_deref()
    }

    pub(super) fn sync_level(&self) -> Synchronous {
        self.synchronous
    }

    pub(super) fn reader_count(&self) -> u32 {
        self.readers
    }

    pub(super) fn longest_wait(&self) -> Duration {
        self.busy_wait
    }

    pub(super) fn allows_old_sqlite(&self) -> bool {
        self.allow_old_sqlite
    }
}

/// About a kilobyte each: more of them would not stay in the caches of a processor until they are written.
const TASKS_FOLDED_AT_ONCE: usize = 2_048;

impl Default for SqliteOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Synchronous {
    pub(super) fn word(self) -> &'static str {
        match self {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        }
    }
}
