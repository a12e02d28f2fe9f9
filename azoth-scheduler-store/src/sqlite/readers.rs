//! Readers: a few threads, each with a read-only connection out of an `r2d2` pool.
//!
//! A read takes a snapshot and never blocks the writer. It runs on a thread of the store's own, so the store needs no
//! runtime with a blocking pool, and a slow disk stalls no executor. Callers wait in a bounded queue without holding a
//! thread. The pool tests a connection before it hands it out and replaces broken ones.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};
use tokio::sync::{mpsc, oneshot};

use super::error::of_file;
use super::files::Files;
use super::place::{Place, settle};
use crate::error::StoreError;

type Read = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

/// The readers, as the store's handle holds them.
pub(super) struct Readers {
    files: Arc<Files>,
    queue: Option<mpsc::Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads. Connections are opened when they are first needed.
    pub(super) fn start(place: &Place) -> Result<Self, StoreError> {
        let pool = pool(place)?;
        let (queue, reads) = mpsc::channel(QUEUE_READS);
        let reads = Arc::new(Mutex::new(reads));
        let threads = (0..place.options.reader_count()).map(|number| {
            let (pool, place, reads) = (pool.clone(), place.clone(), Arc::clone(&reads));
            let thread = thread::Builder::new().name(format!("azoth-reader-{number}"));
            thread.spawn(move || serve(&pool, &place, &reads))
        });
        let threads = threads
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::Io { detail: format!("no thread for a reader: {error}") })?;
        Ok(Self { files: Arc::clone(&place.files), queue: Some(queue), threads })
    }

    /// Has something read in one snapshot.
    pub(super) async fn run<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.files.check_process()?;
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |conn| {
            let answer = conn.and_then(|conn| in_snapshot(conn, read));
            // Whoever gave up waiting needs no answer.
            let _ = reply.send(answer);
        });
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.send(read).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Readers {
    /// Lets the threads end and waits for them: each is at most one short read away from its end.
    fn drop(&mut self) {
        if self.files.check_process().is_err() {
            // The threads are those of another process.
            return;
        }
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a reader thread had panicked");
            }
        }
    }
}

/// Has something read in one snapshot of this connection.
pub(super) fn in_snapshot<T>(
    conn: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let answer = read(&snapshot)?;
    snapshot.rollback()?;
    Ok(answer)
}

/// A read-only connection outside the pool, for reads that take long.
pub(super) fn connect(place: &Place) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let (name, flags) = place.name(OpenFlags::SQLITE_OPEN_READ_ONLY);
        let conn = Connection::open_with_flags(name, flags)?;
        settle(&conn)?;
        Ok(conn)
    };
    open().map_err(|error| of_file(error.into(), &place.path))
}

fn serve(pool: &Pool<SqliteConnectionManager>, place: &Place, reads: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        let read = reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(read) = read else { return };
        let conn = pool
            .get()
            .map_err(|error| StoreError::CannotOpen { path: place.path.clone(), detail: error.to_string() });
        // A panic drops the answer's sender, so its caller is told; the thread goes on with the others.
        let done = catch_unwind(AssertUnwindSafe(|| match conn {
            Ok(conn) => read(Ok(&conn)),
            Err(error) => read(Err(error)),
        }));
        if done.is_err() {
            tracing::error!("a read panicked");
        }
    }
}

fn pool(place: &Place) -> Result<Pool<SqliteConnectionManager>, StoreError> {
    let (name, flags) = place.name(OpenFlags::SQLITE_OPEN_READ_ONLY);
    let manager = SqliteConnectionManager::file(name).with_flags(flags).with_init(|conn| settle(conn));
    Ok(Pool::builder()
        .max_size(place.options.reader_count())
        .min_idle(Some(0))
        .connection_timeout(CONNECT_WAIT)
        .thread_pool(housekeeping()?)
        .error_handler(Box::new(Log))
        .build_unchecked(manager))
}

/// The one thread that does the housekeeping of all pools, as long as there is one; `r2d2` would start three a pool.
fn housekeeping() -> Result<Arc<ScheduledThreadPool>, StoreError> {
    static SHARED: Mutex<Weak<ScheduledThreadPool>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = shared.upgrade() {
        return Ok(pool);
    }
    let pool = ScheduledThreadPool::builder()
        .num_threads(1)
        .thread_name_pattern("azoth-pool")
        .on_drop_behavior(OnPoolDropBehavior::DiscardPendingScheduled)
        .build();
    let pool = Arc::new(pool);
    *shared = Arc::downgrade(&pool);
    Ok(pool)
}

/// The pool's own troubles. They are told to the caller whose read fails, too.
#[derive(Debug)]
struct Log;

impl<E: fmt::Display> r2d2::HandleError<E> for Log {
    fn handle_error(&self, error: E) {
        tracing::warn!(%error, "a reader's connection failed");
    }
}

fn closed() -> StoreError {
    StoreError::Closed { detail: "its readers have stopped".to_owned() }
}

/// So long a read waits until its connection is open. Not the wait for the write lock, which no reader needs.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// So many reads wait in the queue at most; further callers wait before it.
const QUEUE_READS: usize = 256;
