//! Hearing that the log has grown, from whoever commits.

use azoth_scheduler_store::LogPosition;
use tokio::sync::watch;

use crate::shared::Shared;

/// The end of the log, as this process hears of it. Whoever waits for it also looks once a poll interval: a store may not
/// tell of others' commits.
pub(crate) struct HeadWatch {
    /// `None` once the store's side is gone.
    told: Option<watch::Receiver<LogPosition>>,
}

impl HeadWatch {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self { told: Some(shared.store.watch_head()) }
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
