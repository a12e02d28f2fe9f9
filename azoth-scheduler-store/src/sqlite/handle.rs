//! The handle of a store, and what it opens and closes.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rusqlite::Connection;

use super::checkpoint::Checkpointer;
use super::commits::Watch;
use super::event_handler::TransactionalEventHandler;
use super::group::Group;
use super::options::SqliteOptions;
use super::place::Place;
use super::readers::Readers;
use super::running_handler::RunningEventHandler;
use super::wake::Wake;
use super::writer::Writer;
use crate::error::StoreError;

/// A store in one SQLite file. A clone is another handle on the same one; when the last is dropped the file is closed.
#[derive(Clone)]
pub struct SqliteStore {
    pub(super) shared: Arc<Shared>,
}

/// What all handles share. The fields are dropped in their order: the writer's connection is the last one, and sees to the write-ahead log.
pub(super) struct Shared {
    /// Started for the first one who waits for the log to grow.
    pub(super) watch: OnceLock<Option<Watch>>,
    pub(super) readers: Readers,
    _checkpointer: Checkpointer,
    pub(super) writer: Writer,
    pub(super) place: Place,
    pub(super) database: [u8; 16],
}

impl SqliteStore {
    /// Opens a file with the default settings; makes it where there is none, readable by its owner alone.
    ///
    /// # Errors
    /// [`StoreError`] says why not and what to do. Nothing was written then: the folder is missing
    /// ([`MissingFolder`](StoreError::MissingFolder)), the file is no database, may not be written, was written by a
    /// newer version of this library, lies where a write-ahead log cannot work, or the SQLite that is linked is too old.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteOptions::default())
    }

    /// Opens a file with settings of its own; see [`open`](Self::open).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        let place = Place::find(path.as_ref(), options)?;
        let (conn, head) = place.establish()?;
        let writer = Writer::start(place.clone(), conn, &head)?;
        let checkpointer = Checkpointer::start(&place)?;
        let readers = Readers::start(&place)?;
        let (watch, database) = (OnceLock::new(), head.database);
        let shared = Shared { watch, readers, _checkpointer: checkpointer, writer, place, database };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The file, as an absolute path; of a link that it was opened by, the file that it leads to.
    pub fn path(&self) -> &Path {
        &self.shared.place.path
    }

    /// Starts an event handler of the application's own: see [`TransactionalEventHandler`]. It runs until what this gives
    /// back is dropped.
    ///
    /// # Errors
    /// [`StoreError::InvalidName`], or why its connection could not be opened or its cursor not be made.
    pub fn add_event_handler(
        &self,
        handler: impl TransactionalEventHandler,
    ) -> Result<RunningEventHandler, StoreError> {
        let wake = Arc::clone(self.wake());
        RunningEventHandler::start(self.shared.place.clone(), wake, Arc::new(handler))
    }

    /// What tells of commits, other processes' too.
    pub(super) fn wake(&self) -> &Arc<Wake> {
        let Shared { watch, place, writer, .. } = &*self.shared;
        watch.get_or_init(|| Watch::start(place, writer.wake()));
        writer.wake()
    }

    /// Has the writer do something in a transaction.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Group<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.shared.writer.run(work).await
    }

    /// Has something read in one snapshot.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.shared.readers.run(read).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path()).finish_non_exhaustive()
    }
}
