//! Reading the log as it grows.

use std::sync::Arc;

use azoth_scheduler_store::{LogPosition, RecordedEvent};

use crate::consumer::{PAGE, Page};
use crate::error::{Result, SchedulerError};
use crate::head_watch::HeadWatch;
use crate::shared::Shared;

/// The log from some position on, without end. Made by [`Scheduler::subscribe`](crate::Scheduler::subscribe).
///
/// It reads by position and keeps one page at a time, so a slow reader loses nothing and costs no memory. To go on
/// later, in another process too, keep [`position`](Self::position) and subscribe behind it.
pub struct Subscription {
    shared: Arc<Shared>,
    position: LogPosition,
    page: Page,
    head: HeadWatch,
}

impl Subscription {
    pub(crate) fn new(shared: Arc<Shared>, after: LogPosition) -> Self {
        let head = HeadWatch::new(&shared);
        Self { shared, position: after, page: Page::new(), head }
    }

    /// The position of the last event that was handed out: where to go on.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// The next event; waits until there is one.
    ///
    /// # Errors
    /// [`SchedulerError::Gap`](crate::SchedulerError::Gap) when the log has no event at the next position any more;
    /// [`SchedulerError::Store`](crate::SchedulerError::Store) when the store cannot be read. Nothing is skipped:
    /// calling again goes on at the same place.
    pub async fn next(&mut self) -> Result<RecordedEvent> {
        loop {
            if let Some(event) = self.page.pop_front() {
                if event.position.number() != self.position.number().saturating_add(1) {
                    let (after, next) = (self.position, event.position);
                    // Asked again, it says so again: nothing is ever skipped.
                    self.page.clear();
                    return Err(SchedulerError::Gap { after, next });
                }
                self.position = event.position;
                return Ok(event);
            }
            self.head.mark_seen();
            self.page = self.shared.store.events(self.position, PAGE).await?.into();
            if self.page.is_empty() {
                self.wait().await;
            }
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            biased;
            _ = self.head.moved() => {}
            () = self.shared.clock().sleep(self.shared.look_interval()) => {}
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription(behind {})", self.position)
    }
}
