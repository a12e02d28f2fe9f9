//! Waking whoever waits for the log to grow: threads here, tasks through a watch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::record::LogPosition;

/// The newest position that this process knows of, told by the writer and by the [`Watch`](super::commits::Watch).
#[derive(Debug)]
pub(super) struct Wake {
    head: Mutex<LogPosition>,
    moved: Condvar,
    told: watch::Sender<LogPosition>,
    /// Commits of the writer; each tells of all that others had committed before it.
    rounds: AtomicU64,
}

impl Wake {
    /// The log ends here for now.
    pub(super) fn new(head: LogPosition) -> Self {
        Self {
            head: Mutex::new(head),
            moved: Condvar::new(),
            told: watch::Sender::new(head),
            rounds: AtomicU64::new(0),
        }
    }

    /// The log has grown up to here.
    pub(super) fn publish(&self, head: LogPosition) {
        let mut known = self.lock();
        *known = head.max(*known);
        drop(known);
        self.moved.notify_all();
        self.told.send_if_modified(|told| {
            let newer = head > *told;
            *told = head.max(*told);
            newer
        });
    }

    /// The writer has committed, and the log went up to here.
    pub(super) fn committed(&self, head: LogPosition) {
        self.publish(head);
        self.rounds.fetch_add(1, Ordering::Release);
    }

    /// So often has the writer committed.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Acquire)
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
