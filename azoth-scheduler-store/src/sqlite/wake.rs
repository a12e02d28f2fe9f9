//! Waking whoever waits for the log to grow: threads here, tasks through a watch.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::vigil::OwnWriter;
use crate::record::LogPosition;

/// The newest position that this process knows of, told by the writer and by the [`Watch`](super::commits::Watch).
#[derive(Debug)]
pub(super) struct Wake {
    known: Mutex<Known>,
    moved: Condvar,
    told: watch::Sender<LogPosition>,
}

#[derive(Debug)]
struct Known {
    head: LogPosition,
    writer: OwnWriter,
}

/// A commit of the writer that is under way.
pub(super) struct UnderWay<'a>(&'a Wake);

impl Wake {
    /// The log ends here for now.
    pub(super) fn new(head: LogPosition) -> Self {
        let known = Known { head, writer: OwnWriter::default() };
        Self { known: Mutex::new(known), moved: Condvar::new(), told: watch::Sender::new(head) }
    }

    /// The log has grown up to here.
    pub(super) fn publish(&self, head: LogPosition) {
        self.tell(head, 0);
    }

    /// The writer, which holds the lock, begins to commit.
    pub(super) fn committing(&self) -> UnderWay<'_> {
        self.lock().writer.committing = true;
        UnderWay(self)
    }

    /// The writer has committed, and the log went up to here.
    pub(super) fn committed(&self, head: LogPosition) {
        self.tell(head, 1);
    }

    fn tell(&self, head: LogPosition, rounds: u64) {
        let mut known = self.lock();
        known.head = head.max(known.head);
        known.writer.rounds += rounds;
        drop(known);
        self.moved.notify_all();
        self.told.send_if_modified(|told| {
            let newer = head > *told;
            *told = head.max(*told);
            newer
        });
    }

    /// What the writer does.
    pub(super) fn writer(&self) -> OwnWriter {
        self.lock().writer
    }

    /// The newest position, for those who wait without a thread.
    pub(super) fn listen(&self) -> watch::Receiver<LogPosition> {
        self.told.subscribe()
    }

    /// Wakes everybody, so that whoever is to stop looks whether it is.
    pub(super) fn nudge(&self) {
        // Under the lock, so that nobody is between looking and sleeping.
        let known = self.lock();
        drop(known);
        self.moved.notify_all();
    }

    /// Sleeps until the log goes beyond a position, `stopped` says so, or the time is up.
    pub(super) fn wait_beyond(&self, seen: LogPosition, at_most: Duration, stopped: impl Fn() -> bool) {
        self.wait_while(at_most, |known| known.head <= seen && !stopped());
    }

    /// Sleeps until the commit of the writer that is under way is over, `stopped` says so, or the time is up.
    pub(super) fn wait_for_commit(&self, at_most: Duration, stopped: impl Fn() -> bool) {
        self.wait_while(at_most, |known| known.writer.committing && !stopped());
    }

    /// Sleeps until `stopped` says so, or the time is up.
    pub(super) fn wait(&self, at_most: Duration, stopped: impl Fn() -> bool) {
        self.wait_while(at_most, |_| !stopped());
    }

    fn wait_while(&self, at_most: Duration, idle: impl Fn(&Known) -> bool) {
        // Nothing is done with what is known here: the log itself is asked next.
        drop(self.moved.wait_timeout_while(self.lock(), at_most, |known| idle(known)));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().writer.committing = false;
        self.0.moved.notify_all();
    }
}
