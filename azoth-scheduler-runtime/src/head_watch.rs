//! Hearing that the log has grown, from whoever commits.

use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_store::LogPosition;
use tokio::sync::watch;

use crate::shared::Shared;

/// The end of the log, or the newest event of one task, as this process hears of it. Whoever waits for it also looks [now and
/// then](Shared::look_interval): a store may not tell of others' commits.
pub(crate) struct HeadWatch {
    /// `None` once the store's side is gone.
    told: Option<watch::Receiver<LogPosition>>,
}

impl HeadWatch {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self { told: Some(shared.store.watch_head()) }
    }

    /// The same for what may be about one task.
    pub(crate) fn of_task(shared: &Shared, task: &TaskId) -> Self {
        Self { told: Some(shared.store.watch_task(task)) }
    }

    /// Whether the log goes on behind a position that was read, as far as that was told. What was told so far is known.
    pub(crate) fn goes_beyond(&mut self, position: LogPosition) -> bool {
        self.told.as_mut().is_some_and(|told| *told.borrow_and_update() > position)
    }

    /// What was told so far is known. Said before the log is read, so that what comes meanwhile is heard behind it.
    pub(crate) fn mark_seen(&mut self) {
        if let Some(told) = &mut self.told {
            let _ = told.borrow_and_update();
        }
    }

    /// Waits until the log has grown beyond what was told so far; for ever once nobody tells any more. May be dropped and
    /// called again.
    pub(crate) async fn moved(&mut self) -> LogPosition {
        if let Some(told) = &mut self.told {
            if told.changed().await.is_ok() {
                return *told.borrow_and_update();
            }
            self.told = None;
        }
        std::future::pending().await
    }
}
