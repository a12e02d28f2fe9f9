//! Application code that handles events in the transaction in which its cursor moves.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use azoth_scheduler_core::id::ConsumerName;
use rusqlite::Transaction;
use tokio::sync::watch;

use super::delivery::Delivery;
use super::place::Place;
use super::wake::Wake;
use crate::error::StoreError;
use crate::record::{LogPosition, RecordedEvent};
use crate::store::StartFrom;

/// Handles each event exactly once, in the transaction in which its cursor moves.
///
/// What it writes through `tx` into the application's own tables of the same file commits together with the cursor, or
/// not at all. It runs on a thread and a connection of its own, and while it runs it holds the write lock of every
/// process on the file: do little, and do nothing that waits for something else. What reaches outside the transaction
/// (a mail, a request) may happen more than once.
///
/// The handler may read our tables (`azoth_*`) and not write them, cannot end the transaction, and cannot attach other
/// files. SQL that runs beyond [`time_limit`](Self::time_limit) is interrupted; a handler that comes back too late, fails
/// or panics is rolled back.
///
/// A failed batch is tried [`attempts`](Self::attempts) times, each time after a longer wait. Then its events are
/// handled one by one; one that fails as often alone becomes a dead letter
/// ([`Store::dead_letters`](crate::Store::dead_letters)), and the handler goes on behind it.
///
/// ```
/// use azoth_scheduler_store::RecordedEvent;
/// use azoth_scheduler_store::sqlite::{HandlerError, TransactionalEventHandler, rusqlite};
///
/// struct CountEvents;
///
/// impl TransactionalEventHandler for CountEvents {
///     fn name(&self) -> &str {
///         "count-events"
///     }
///
///     fn handle(&self, tx: &rusqlite::Transaction<'_>, events: &[RecordedEvent]) -> Result<(), HandlerError> {
///         tx.execute("UPDATE counters SET n = n + ?1 WHERE name = 'events'", [events.len() as i64])?;
///         Ok(())
///     }
/// }
/// ```
pub trait TransactionalEventHandler: Send + Sync + 'static {
    /// The name of its cursor, as [`ConsumerName`] allows. Two handlers of one name share the work.
    fn name(&self) -> &str;

    /// Where it starts when there is no cursor of its name. Default: with the first event.
    fn start_from(&self) -> StartFrom {
        StartFrom::Beginning
    }

    /// Handles events, oldest first, at least one.
    ///
    /// # Errors
    /// Any error rolls the transaction back; the events are handled again.
    fn handle(&self, tx: &Transaction<'_>, events: &[RecordedEvent]) -> Result<(), HandlerError>;

    /// How long one call may take. Default 5 s; stay well below the lease of the workers, who cannot renew meanwhile.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// How often a batch, and then each event of it alone, is tried. Default 5.
    fn attempts(&self) -> NonZeroU32 {
        const FIVE: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");
        FIVE
    }

    /// The wait after a first failure; it doubles with each further one, up to half a minute. Default 100 ms.
    fn backoff(&self) -> Duration {
        Duration::from_millis(100)
    }
}

/// Why a handler failed.
pub type HandlerError = Box<dyn Error + Send + Sync>;

/// A running event handler. When this is dropped the handler stops: at once while it waits, else after its call.
///
/// It runs on when the [`SqliteStore`](super::SqliteStore) is dropped before it.
#[must_use = "the handler stops when this is dropped"]
pub struct RunningEventHandler {
    thread: Option<JoinHandle<()>>,
    control: Arc<Control>,
    wake: Arc<Wake>,
    cursor: watch::Receiver<LogPosition>,
}

/// What the handle and the thread share.
#[derive(Debug, Default)]
pub(super) struct Control {
    stopped: AtomicBool,
    ended_by: Mutex<Option<StoreError>>,
}

impl Control {
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn end_by(&self, error: StoreError) {
        *self.ended_by.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl RunningEventHandler {
    pub(super) fn start(
        place: Place,
        wake: Arc<Wake>,
        handler: Arc<dyn TransactionalEventHandler>,
    ) -> Result<Self, StoreError> {
        let name = ConsumerName::new(handler.name()).map_err(|error| StoreError::InvalidName { error })?;
        let control = Arc::new(Control::default());
        let mut delivery = Delivery::new(place, name, handler, Arc::clone(&wake), Arc::clone(&control))?;
        let cursor = delivery.watch_cursor();
        let thread = thread::Builder::new().name("azoth-handler".to_owned()).spawn(move || delivery.run());
        let thread =
            thread.map_err(|error| StoreError::Io { detail: format!("no thread for it: {error}") })?;
        Ok(Self { thread: Some(thread), control, wake, cursor })
    }

    /// The position of the last event that it has handled or given up, updated with each commit.
    pub fn watch_cursor(&self) -> watch::Receiver<LogPosition> {
        self.cursor.clone()
    }

    /// Why it has ended by itself: it met an event that cannot be decoded, or damage. It is started again by adding it
    /// again.
    pub fn ended_by(&self) -> Option<StoreError> {
        self.control.ended_by.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for RunningEventHandler {
    fn drop(&mut self) {
        self.control.stopped.store(true, Ordering::Relaxed);
        self.wake.nudge();
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread of an event handler had panicked");
        }
    }
}

impl fmt::Debug for RunningEventHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cursor = *self.cursor.borrow();
        f.debug_struct("RunningEventHandler").field("cursor", &cursor).finish_non_exhaustive()
    }
}
