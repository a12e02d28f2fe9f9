//! What looks after the store, and what looks back: the projection made anew, dead letters requeued, tasks as they were, and
//! what is let go.

use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::id::{ConsumerName, TaskId};
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_store::{AsOf, LogPosition, Past, RebuildProgress, RebuildReport, RetentionReport};
use tokio::sync::watch;

use crate::error::Result;
use crate::observe;
use crate::scheduler::Scheduler;
use crate::shared::Shared;
use crate::view::TaskInfo;

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

    /// Has an event handler try an event again that it had given up: see [`dead_letters`](Self::dead_letters). It is tried
    /// after everything new, and is a dead letter again if that fails too. `false`: it is none.
    ///
    /// # Errors
    /// [`SchedulerError::Name`](crate::SchedulerError::Name), [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn requeue(&self, event_handler: impl AsRef<str>, position: LogPosition) -> Result<bool> {
        let found = self.store().requeue(&ConsumerName::new(event_handler)?, position).await?;
        self.wake();
        Ok(found)
    }

    /// One task with its payload as it was; `None` when there was none of this id. Costs as much as it has events.
    ///
    /// ```
    /// # use azoth_scheduler_runtime::{ScheduleTaskRequest, Scheduler};
    /// # use azoth_scheduler_store::{AsOf, MemoryStore};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let scheduler = Scheduler::builder(MemoryStore::new()).build()?;
    /// let request = ScheduleTaskRequest::builder("report").task_type("report").interval(60).build()?;
    /// scheduler.schedule_task(request).await?;
    /// let before = AsOf::Position(scheduler.store().head().await?);
    /// scheduler.cancel_task("report", "not needed any more").await?;
    /// let then = scheduler.get_task_as_of("report", before).await?;
    /// assert!(then.is_some_and(|task| task.enabled()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::Name`](crate::SchedulerError::Name), [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn get_task_as_of(&self, id: impl AsRef<str>, then: AsOf) -> Result<Option<TaskInfo>> {
        let task = self.store().task_as_of(&TaskId::new(id)?, then).await?;
        Ok(task.map(TaskInfo::stored))
    }

    /// All tasks as they were: look-ups, listings and counts of one moment. Costs as much as the log has events up to then.
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn as_of(&self, then: AsOf) -> Result<Box<dyn Past>> {
        Ok(self.store().as_of(then).await?)
    }

    /// Lets go what a policy lets go by now: tasks that have ended, bytes of old payloads. What an event handler has yet to
    /// see stays whole. [`with_retention`](crate::SchedulerBuilder::with_retention) does it now and then by itself.
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store). Called again it goes on where it was stopped.
    pub async fn retain(&self, policy: &RetentionPolicy) -> Result<RetentionReport> {
        Ok(self.shared.store.retain(policy, self.shared.clock().now()).await?)
    }
}

/// Lets go what a policy lets go, every so often until a shutdown is asked for.
pub(crate) async fn let_go(shared: Arc<Shared>, policy: RetentionPolicy, every: Duration) {
    while !shared.shutdown.is_requested() {
        let now = shared.clock().now();
        if let Err(error) = shared.in_time(shared.store.retain(&policy, now)).await {
            observe::retention_waits(&error);
        }
        let until = shared.clock().elapsed().saturating_add(every);
        tokio::select! {
            () = shared.clock().sleep_until(until) => {}
            () = shared.shutdown.requested() => {}
        }
    }
}
