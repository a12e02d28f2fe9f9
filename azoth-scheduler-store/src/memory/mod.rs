//! The reference store: plain maps behind a lock, gone with the process.
//!
//! It is meant to be obviously right, so that other stores can be compared with it: the log is a list, the projection is a
//! fold over it, and a transaction that fails is undone by folding again. What scheduling, claiming and recording look up they
//! find in ordered maps, so that a simulation of many tasks takes no longer for each. Use it in tests and wherever tasks need
//! not survive the process.

mod claim;
mod cut;
mod due;
mod index;
mod operation;
mod parties;
mod past;
mod projection;
mod retain;
mod tables;
mod verify;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use azoth_scheduler_core::id::{ConsumerName, ExecutionId, TaskId, WorkerId};
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::scope::ScopeState;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;
use tokio::sync::watch;

use self::tables::Tables;
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::record::{LogPosition, RecordedEvent};
use crate::report::{RebuildProgress, RebuildReport, RetentionReport, StoreStats, VerifyReport};
use crate::standing::{StandingOffer, StandingOffers};
use crate::store::{
    Applied, AsOf, Batch, ClaimOffer, DeadLetter, Orphan, Past, Renewal, StartFrom, Store, StoredTask,
    WorkerInfo, WorkerRow,
};
use crate::touched::Touched;

/// A store in memory. Clones share it; it is gone with the last of them.
///
/// ```
/// # use azoth_scheduler_store::{LogPosition, MemoryStore, Store};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = MemoryStore::new();
/// assert_eq!(store.head().await?, LogPosition::START);
/// assert!(store.verify().await?.is_sound());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    tables: Mutex<Tables>,
    standing: StandingOffers,
    head: watch::Sender<LogPosition>,
    touched: Touched,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        let head = watch::Sender::new(LogPosition::START);
        Self {
            shared: Arc::new(Shared {
                tables: Mutex::default(),
                standing: StandingOffers::default(),
                head,
                touched: Touched::default(),
            }),
        }
    }

    /// Tells who waits for it how far the log goes, and what happened since it went up to `before`.
    fn tell(&self, tables: &Tables, before: LogPosition) {
        let head = tables.head();
        if self.shared.touched.is_watched() {
            self.shared.touched.tell(Some(&tables.touched_since(before)), head);
        }
        self.shared.head.send_if_modified(|seen| std::mem::replace(seen, head) != head);
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // What a panic left behind is what the log and its fold say up to then; `verify` judges it as ever.
        self.shared.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    /// Shows where its log ends, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("head", &*self.shared.head.borrow()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn apply(&self, batch: Batch) -> Result<Applied, StoreError> {
        let mut tables = self.tables();
        let before = tables.head();
        let applied = tables.apply(&batch)?;
        tables.take_up(&self.shared.standing, before, batch.now);
        tables.end_transaction();
        self.tell(&tables, before);
        Ok(applied)
    }

    fn stand(&self, offer: ClaimOffer, seen: LogPosition) -> StandingOffer {
        self.shared.standing.leave(offer, seen)
    }

    async fn task(&self, id: &TaskId) -> Result<Option<StoredTask>, StoreError> {
        Ok(self.tables().projection.task(id))
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskState>, StoreError> {
        Ok(self.tables().projection.tasks(filter))
    }

    async fn scopes(&self) -> Result<Vec<ScopeState>, StoreError> {
        Ok(self.tables().projection.scopes.values().cloned().collect())
    }

    async fn events(&self, after: LogPosition, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.tables().events(after, limit)
    }

    async fn history(
        &self,
        task: &TaskId,
        before: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.tables().history(task, before, limit)
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        Ok(self.tables().head())
    }

    fn watch_head(&self) -> watch::Receiver<LogPosition> {
        self.shared.head.subscribe()
    }

    fn watch_task(&self, id: &TaskId) -> watch::Receiver<LogPosition> {
        self.shared.touched.listen(id, *self.shared.head.borrow())
    }

    /// There are no others.
    fn hears_every_commit(&self) -> bool {
        true
    }

    async fn register_worker(&self, worker: WorkerInfo, now: Timestamp) -> Result<(), StoreError> {
        self.tables().register_worker(worker, now);
        Ok(())
    }

    async fn renew_worker(&self, worker: WorkerId, now: Timestamp) -> Result<Renewal, StoreError> {
        Ok(self.tables().renew_worker(worker, now))
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        Ok(self.tables().live_workers())
    }

    async fn end_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.tables().end_worker(worker);
        Ok(())
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>, StoreError> {
        Ok(self.tables().orphans(limit))
    }

    async fn held_by(&self, worker: WorkerId) -> Result<Vec<ExecutionId>, StoreError> {
        Ok(self.tables().held_by(worker))
    }

    async fn cursor(&self, name: &ConsumerName, start: StartFrom) -> Result<LogPosition, StoreError> {
        self.tables().cursor(name, start)
    }

    async fn move_cursor(
        &self,
        name: &ConsumerName,
        from: LogPosition,
        to: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError> {
        self.tables().move_cursor(name, from, to, dead)
    }

    async fn dead_letters(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        Ok(self.tables().dead_letters(name, limit))
    }

    async fn requeue(&self, name: &ConsumerName, position: LogPosition) -> Result<bool, StoreError> {
        self.tables().requeue(name, position)
    }

    async fn requeued(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        Ok(self.tables().requeued(name, limit))
    }

    async fn settle_requeued(
        &self,
        name: &ConsumerName,
        position: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError> {
        self.tables().settle_requeued(name, position, dead);
        Ok(())
    }

    async fn as_of(&self, then: AsOf) -> Result<Box<dyn Past>, StoreError> {
        Ok(Box::new(self.tables().as_of(then)?))
    }

    async fn task_as_of(&self, id: &TaskId, then: AsOf) -> Result<Option<StoredTask>, StoreError> {
        Ok(self.tables().as_of(then)?.projection.task(id))
    }

    async fn retain(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<RetentionReport, StoreError> {
        let mut tables = self.tables();
        let before = tables.head();
        let report = tables.retain(policy, now)?;
        self.tell(&tables, before);
        Ok(report)
    }

    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError> {
        self.tables().stats(now)
    }

    async fn verify(&self) -> Result<VerifyReport, StoreError> {
        Ok(self.tables().verify())
    }

    async fn rebuild_projection_with(
        &self,
        progress: watch::Sender<RebuildProgress>,
    ) -> Result<RebuildReport, StoreError> {
        let report = self.tables().rebuild_projection()?;
        progress.send_replace(RebuildProgress { events: report.events, of: report.events });
        Ok(report)
    }
}
