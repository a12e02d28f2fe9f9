//! Noticing an async handler that blocks the runtime: one of its polls takes too long.
//!
//! It is seen from two sides: by whoever polls, once the poll has returned, and by the heartbeat, on its own thread, while
//! the poll goes on for ever. Each execution is named once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType};
use azoth_scheduler_store::Claimed;

use crate::clock::Clock;
use crate::observe;

/// The polls of one async handler.
pub(crate) struct Polls {
    task: TaskId,
    task_type: TaskType,
    execution: ExecutionId,
    /// Since when a poll goes on, in nanoseconds of the monotonic clock, plus one; 0 while none does.
    since: AtomicU64,
    told: AtomicBool,
}

impl Polls {
    pub(crate) fn of(claimed: &Claimed) -> Arc<Self> {
        Arc::new(Self {
            task: claimed.task.clone(),
            task_type: claimed.task_type.clone(),
            execution: claimed.execution,
            since: AtomicU64::new(0),
            told: AtomicBool::new(false),
        })
    }

    /// The same work, with an eye on how long each of its polls takes.
    pub(crate) async fn watch<T>(&self, clock: &dyn Clock, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let begun = clock.elapsed();
            self.since.store(nanos(begun).saturating_add(1), Ordering::Release);
            let _over = Over(self);
            let polled = work.as_mut().poll(cx);
            self.judge(clock.elapsed().saturating_sub(begun));
            polled
        })
        .await
    }

    /// Looks from outside whether a poll goes on for too long.
    pub(crate) fn look(&self, now: Duration) {
        if let Some(begun) = self.since.load(Ordering::Acquire).checked_sub(1) {
            self.judge(now.saturating_sub(Duration::from_nanos(begun)));
        }
    }

    fn judge(&self, took: Duration) {
        if took >= BLOCKED_AFTER && !self.told.swap(true, Ordering::AcqRel) {
            observe::handler_blocks(&self.task, &self.task_type, self.execution, took);
        }
    }
}

/// A poll that panics is over too.
struct Over<'a>(&'a Polls);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Release);
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX - 1)
}

/// A poll that takes this long keeps others from running.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);
