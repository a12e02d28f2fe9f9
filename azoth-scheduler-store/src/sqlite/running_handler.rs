//! An event handler that runs, as the application holds it.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use azoth_scheduler_core::id::ConsumerName;
use tokio::sync::watch;

use super::delivery::{Control, Delivery};
use super::event_handler::TransactionalEventHandler;
use super::place::Place;
use super::wake::Wake;
use crate::error::StoreError;
use crate::record::LogPosition;

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
