//! Waking threads that wait for the log to grow.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::record::LogPosition;

/// The newest position that this process knows of, for threads that sleep until it moves.
#[derive(Debug, Default)]
pub(super) struct Wake {
    head: Mutex<LogPosition>,
    moved: Condvar,
}

impl Wake {
    /// The log has grown up to here.
    pub(super) fn publish(&self, head: LogPosition) {
        let mut known = self.lock();
        *known = head.max(*known);
        drop(known);
        self.moved.notify_all();
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
        let known = self.lock();
        let idle = |known: &mut LogPosition| *known <= seen && !stopped();
        // Nothing is done with what is known here: the log itself is asked next.
        drop(self.moved.wait_timeout_while(known, at_most, idle));
    }

    /// Sleeps until `stopped` says so, or the time is up.
    pub(super) fn wait(&self, at_most: Duration, stopped: impl Fn() -> bool) {
        let known = self.lock();
        drop(self.moved.wait_timeout_while(known, at_most, |_| !stopped()));
    }

    fn lock(&self) -> MutexGuard<'_, LogPosition> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
