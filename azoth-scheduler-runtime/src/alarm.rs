//! What the loop knows of when there will be work.

use std::time::Duration;

use azoth_scheduler_core::time::Timestamp;

/// When the loop is to wake by itself.
#[derive(Debug)]
pub(crate) struct Alarm {
    /// When the next task is due that may be given to this worker.
    pub(crate) due: Option<Timestamp>,
    /// Something may be due that it was not given. Whether it can be had shows when it is asked for.
    pub(crate) left_behind: bool,
    /// When to look whether anything was missed, and when to ask whatever is known; by the monotonic clock.
    pub(crate) poll_at: Duration,
    pub(crate) ask_at: Duration,
}

impl Alarm {
    /// Nothing is known yet.
    pub(crate) fn new(now: Duration) -> Self {
        Self { due: None, left_behind: true, poll_at: now, ask_at: now }
    }

    /// The store was asked for due tasks, and this is what it left.
    pub(crate) fn set(&mut self, due: Option<Timestamp>, left_behind: bool) {
        (self.due, self.left_behind) = (due, left_behind);
    }

    /// Another task comes due then.
    pub(crate) fn also(&mut self, due: Option<Timestamp>) {
        self.due = [self.due, due].into_iter().flatten().min();
    }
}
