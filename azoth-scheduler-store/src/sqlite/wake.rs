//! Waking whoever waits for the log to grow: threads here, tasks through a watch.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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

/// A commit of the writer that is under way, until this is dropped.
pub(super) struct UnderWay {
    wake: Arc<Wake>,
    /// Where the log ends since the commit; `None` where nothing came of it.
    head: Option<LogPosition>,
}

impl Wake {
    /// The log ends here for now.
    pub(super) fn new(head: LogPosition) -> Self {
        let known = Known { head, writer: OwnWriter::default() };
        Self { known: Mutex::new(known), moved: Condvar::new(), told: watch::Sender::new(head) }
    }

    /// The log has grown up to here.
    pub(super) fn publish(&self, head: LogPosition) {
        self.tell_threads(|known| known.head = head.max(known.head));
        self.tell_tasks(head);
    }

    /// The writer, which holds the lock, begins to commit.
    pub(super) fn committing(self: &Arc<Self>) -> UnderWay {
        self.lock().writer.committing = true;
        UnderWay { wake: Arc::clone(self), head: None }
    }

    fn tell_threads(&self, news: impl FnOnce(&mut Known)) {
        news(&mut self.lock());
        self.moved.notify_all();
    }

    fn tell_tasks(&self, head: LogPosition) {
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

impl UnderWay {
    /// The log goes up to here now. Tasks hear of it at once; threads, which have to be woken one by one, when this is dropped:
    /// whoever waits for an answer comes first.
    pub(super) fn succeeded(&mut self, head: LogPosition) {
        self.head = Some(head);
        self.wake.tell_tasks(head);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let head = self.head;
        self.wake.tell_threads(|known| {
            known.writer.committing = false;
            if let Some(head) = head {
                known.head = head.max(known.head);
                known.writer.rounds += 1;
            }
        });
    }
}
