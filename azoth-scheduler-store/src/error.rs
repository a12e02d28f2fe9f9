//! What can go wrong in a store.

use std::path::PathBuf;

use azoth_scheduler_core::id::{ConsumerName, NameError};

use crate::record::LogPosition;

/// What went wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder of the file does not exist.
    #[error(
        "folder {folder:?} of the database {path:?} does not exist: create it first, or name another file"
    )]
    MissingFolder {
        /// The file that was to be opened.
        path: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// The file exists and is no SQLite database.
    #[error("{path:?} is no SQLite database: name another file; this one was not changed")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file, or its folder, cannot be written.
    #[error(
        "{path:?} cannot be written ({detail}): give this process the right to write the file and its folder"
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What the engine said.
        detail: String,
    },
    /// A file was to be made under a name that is taken.
    #[error("{path:?} exists already: name another file; it was not changed")]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// An exported log is not as it was written.
    #[error("line {line} of {path:?} {what}; nothing was imported: take the export as it was written")]
    BadExport {
        /// The export.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The file cannot be opened for another reason.
    #[error("{path:?} cannot be opened: {detail}")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What the engine said.
        detail: String,
    },
    /// The file was written by a newer version of this library.
    #[error(
        "{path:?} has layout {found}, this library knows layouts up to {supported}: update the program; the file was not changed"
    )]
    NewerLayout {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u32,
        /// The newest layout that this library knows.
        supported: u32,
    },
    /// The SQLite that is linked can corrupt a file in WAL mode.
    #[error(
        "SQLite {found} can corrupt a database in WAL mode, {needed} is the first that cannot: link a newer one, or allow this one by `SqliteOptions::allow_old_sqlite`"
    )]
    SqliteTooOld {
        /// The version that is linked.
        found: String,
        /// The first version that is safe.
        needed: &'static str,
    },
    /// The file system of the file has no write-ahead log.
    #[error(
        "{path:?} cannot use a write-ahead log (journal mode is {found:?}): keep the file on a local disk"
    )]
    NoWal {
        /// The file.
        path: PathBuf,
        /// The journal mode that the engine answered with.
        found: String,
    },
    /// Another process held the database locked for too long. Nothing was changed.
    #[error("the database was locked by another process for {waited_ms} ms: nothing was changed, try again")]
    Busy {
        /// How long was waited.
        waited_ms: u64,
    },
    /// Somebody reads the whole file, or replaces or removes a part of it, and the work that was asked for cannot go on
    /// beside that. Nothing was changed.
    #[error("the store was in use for {waited_ms} ms: {by}; nothing was changed: {remedy}")]
    InUse {
        /// How long was waited.
        waited_ms: u64,
        /// Who does what.
        by: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The write-ahead log is over its hard limit, since somebody keeps a read transaction open. Nothing was changed.
    #[error(
        "the write-ahead log holds {bytes} bytes, over its limit of {limit}: nothing was changed; end the read transaction that keeps it from being cut, or raise `SqliteOptions::wal_limits`"
    )]
    WalFull {
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The file, or its write-ahead log, was deleted or replaced while it was open. Nothing was changed.
    #[error(
        "{path:?} was deleted or replaced while it was open: nothing more is written; put it back, or open the store again"
    )]
    Replaced {
        /// The file that is gone.
        path: PathBuf,
    },
    /// The store has stopped writing, see [`Health::Failed`](crate::Health::Failed). Nothing was changed.
    #[error("the store writes nothing any more ({detail}): mend the cause, then open the store again")]
    Failed {
        /// Why.
        detail: String,
    },
    /// The log does not hold an event that it held before: it was cut short, or an older copy has taken its place.
    #[error(
        "{path:?} does not hold event {known} as it was known, its newest is event {found}: it was cut short, or is an older copy"
    )]
    HeadLost {
        /// The file.
        path: PathBuf,
        /// The event that was known.
        known: LogPosition,
        /// The newest event that is there.
        found: LogPosition,
    },
    /// The store was opened by the process from which this one was forked. Nothing was changed.
    #[error(
        "the store was opened by process {opened_by}, this is process {here}: open it again after a fork"
    )]
    Forked {
        /// The process that opened the store.
        opened_by: u32,
        /// The process that used it.
        here: u32,
    },
    /// There is no room on the disk. Nothing was changed.
    #[error("the disk or the database is full: nothing was changed; make room and try again")]
    Full,
    /// Reading or writing failed. Nothing was acknowledged.
    #[error("reading or writing the database failed: {detail}")]
    Io {
        /// What the engine said.
        detail: String,
    },
    /// A commit failed in a way that leaves open whether it will be found after all.
    #[error(
        "it is unknown whether the commit took place ({detail}): repeat the call; the same wish changes nothing"
    )]
    Unknown {
        /// What the engine said.
        detail: String,
    },
    /// What was read cannot be right.
    #[error(
        "the database is damaged: {what}; restore a backup, or rebuild the projection if only that is damaged"
    )]
    Corrupt {
        /// What is wrong.
        what: String,
    },
    /// An event cannot be decoded, so nothing behind it can be read.
    #[error("event {position} ({kind}) cannot be decoded: {detail}")]
    Undecodable {
        /// The event.
        position: LogPosition,
        /// Its kind, as far as it is known.
        kind: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A record is larger than the store keeps. Nothing was changed.
    #[error(
        "a record of {bytes} bytes is over the limit of {limit}: nothing was changed; keep large content elsewhere and its name in the payload"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A batch holds more commands than one transaction may. Nothing was changed.
    #[error("a batch of {commands} commands is over the limit of {limit}: nothing was changed; split it")]
    BatchTooLarge {
        /// How many commands.
        commands: usize,
        /// The limit.
        limit: usize,
    },
    /// The name of an event handler is none.
    #[error("an event handler cannot have this name: {error}")]
    InvalidName {
        /// Which rule it breaks.
        error: NameError,
    },
    /// A transaction belongs to another file than the store. Nothing was changed.
    #[error("the transaction is not one on {path:?}: begin it on a connection to that file")]
    AnotherDatabase {
        /// The file of the store.
        path: PathBuf,
    },
    /// The cursor of a consumer is not where its reader left it.
    #[error("consumer {consumer:?} stands at {found}, not at {expected}: another process serves it too")]
    CursorMoved {
        /// The consumer.
        consumer: ConsumerName,
        /// Where the reader had left it.
        expected: LogPosition,
        /// Where it stands.
        found: LogPosition,
    },
    /// What was asked for was cut from the log.
    #[error(
        "events up to {cut} were cut from the log, and those behind {asked} were asked for: read them in the archive"
    )]
    LogCut {
        /// The events behind this position were asked for.
        asked: LogPosition,
        /// The last event that was cut.
        cut: LogPosition,
    },
    /// A position was named that the log has not reached.
    #[error("event {position} is not there yet, the newest is {head}: name one up to that")]
    NoSuchPosition {
        /// The position as given.
        position: LogPosition,
        /// The newest event.
        head: LogPosition,
    },
    /// The store was closed, or its writer has stopped.
    #[error("the store is closed: {detail}")]
    Closed {
        /// Why.
        detail: String,
    },
    /// A defect of this library: it panicked while it worked on the call, which was rolled back.
    #[error("a defect of this library, nothing was changed: {detail}")]
    Defect {
        /// The panic's message.
        detail: String,
    },
    /// The engine reported something that has no name here.
    #[error("the database engine reported: {detail}")]
    Engine {
        /// What it said.
        detail: String,
    },
}

impl StoreError {
    /// Whether what was asked for may have happened all the same. After every other error it has not.
    pub fn is_unknown(&self) -> bool {
        matches!(self, StoreError::Unknown { .. } | StoreError::Closed { .. })
    }

    /// Whether the same call may succeed a little later without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            StoreError::Busy { .. }
                | StoreError::InUse { .. }
                | StoreError::Full
                | StoreError::WalFull { .. }
                | StoreError::Io { .. }
                | StoreError::Unknown { .. }
        )
    }
}
