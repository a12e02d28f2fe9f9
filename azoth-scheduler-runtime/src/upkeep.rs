//! What looks after the store: the projection made anew.

use azoth_scheduler_store::{RebuildProgress, RebuildReport};
use tokio::sync::watch;

use crate::error::Result;
use crate::scheduler::Scheduler;

/// Looking after the store.
impl Scheduler {
    /// Makes the projection anew from the log, while tasks are scheduled and run as ever. Not needed unless
    /// [`verify`](Self::verify) finds that it differs: a store that is opened with one of an older layout makes it anew by
    /// itself.
    ///
    /// `progress` is told how many events were read, and of how many; drop the receiver where nobody wants to know.
    ///
    /// ```
    /// # use azoth_scheduler_runtime::Scheduler;
    /// # use azoth_scheduler_store::MemoryStore;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let scheduler = Scheduler::builder(MemoryStore::new()).build()?;
    /// let (progress, _) = tokio::sync::watch::channel(Default::default());
    /// let report = scheduler.rebuild_projection(progress).await?;
    /// assert_eq!(report.tasks, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store): the log is damaged, and the projection stays as it is.
    pub async fn rebuild_projection(
        &self,
        progress: watch::Sender<RebuildProgress>,
    ) -> Result<RebuildReport> {
        Ok(self.store().rebuild_projection_with(progress).await?)
    }
}
