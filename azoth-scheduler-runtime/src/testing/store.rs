//! A store whose calls take place in steps, and may fail as they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::id::{ConsumerName, ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::scope::ScopeState;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::standing::StandingOffers;
use azoth_scheduler_store::{
    Applied, AsOf, Batch, ClaimOffer, DeadLetter, LogPosition, Orphan, Past, ProcessIdentity,
    RebuildProgress, RebuildReport, RecordedEvent, Renewal, RetentionReport, StandingOffer, StartFrom, Store,
    StoreError, StoreStats, StoredTask, TaskFilter, VerifyReport, WorkerInfo, WorkerRow,
};
use tokio::sync::watch;

use super::executor::yield_once;
use crate::clock::{Clock, ManualClock};
pub(super) use crate::host::at_once;

/// What befalls a call of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// Nothing is done, and this is the answer.
    Refused(StoreError),
    /// All is done, and this is the answer.
    Lost(StoreError),
    /// The answer takes so long.
    Slow(Duration),
}

/// Which call of the store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreCall {
    /// Commands, claims.
    Apply,
    /// The registration or the end of a worker.
    Worker,
    /// A sign of life.
    Renew,
    /// A consumer's cursor.
    Cursor,
    /// A read.
    Read,
}

/// Where commits are told of.
pub(super) type Head = Arc<watch::Sender<LogPosition>>;

/// Decides what befalls each call.
pub(super) type Fate = Box<dyn FnMut(StoreCall) -> Option<StoreFault> + Send>;

/// One scheduler's way to the store.
#[derive(Clone)]
pub(super) struct SteppedStore {
    inner: Arc<dyn Store>,
    clock: ManualClock,
    /// What it knows of commits: all of them, or its own.
    head: Head,
    hears_others: bool,
    fate: Arc<Mutex<Option<Fate>>>,
    registered: Arc<Mutex<BTreeSet<WorkerId>>>,
    standing: Arc<StandingOffers>,
    /// Workers whose process is gone, for all schedulers of the simulation.
    gone: Arc<Mutex<BTreeSet<WorkerId>>>,
}

impl SteppedStore {
    pub(super) fn new(
        inner: Arc<dyn Store>,
        clock: ManualClock,
        head: Head,
        hears_others: bool,
        gone: Arc<Mutex<BTreeSet<WorkerId>>>,
    ) -> Self {
        Self {
            inner,
            clock,
            head,
            hears_others,
            fate: Arc::default(),
            registered: Arc::default(),
            standing: Arc::default(),
            gone,
        }
    }

    pub(super) fn set_fate(&self, fate: Option<Fate>) {
        *lock(&self.fate) = fate;
    }

    /// Its process is gone, and its workers with it: others can see that.
    pub(super) fn is_gone(&self) {
        lock(&self.gone).append(&mut lock(&self.registered));
    }

    /// Others may get their turn before the call takes place, and before its answer arrives.
    async fn call<T>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fault = lock(&self.fate).as_mut().and_then(|fate| fate(call));
        yield_once().await;
        if let Some(StoreFault::Slow(span)) = &fault {
            self.clock.sleep(*span).await;
        }
        let answer = match fault {
            Some(StoreFault::Refused(error)) => Err(error),
            Some(StoreFault::Lost(error)) => at_once(work).and(Err(error)),
            Some(StoreFault::Slow(_)) | None => at_once(work),
        };
        if call == StoreCall::Apply
            && let Ok(head) = at_once(self.inner.head())
        {
            self.head.send_if_modified(|seen| std::mem::replace(seen, head) != head);
        }
        yield_once().await;
        answer
    }
}

#[async_trait]
impl Store for SteppedStore {
    /// Offers that stand are those of one process, so only its own commits take them up.
    async fn apply(&self, mut batch: Batch) -> Result<Applied, StoreError> {
        if batch.offer.is_some() {
            return self.call(StoreCall::Apply, self.inner.apply(batch)).await;
        }
        let in_hand = self.standing.take().into_iter().next();
        batch.offer = in_hand.as_ref().map(|in_hand| in_hand.offer().clone());
        let mut applied = self.call(StoreCall::Apply, self.inner.apply(batch)).await;
        let claims = applied.as_mut().map(|applied| applied.claims.take()).map_err(|error| error.clone());
        match (in_hand, claims) {
            (Some(in_hand), Ok(Some(claims))) if !claims.claimed.is_empty() || claims.worker_ended => {
                in_hand.bring(claims);
            }
            (Some(in_hand), Err(error)) if error.is_unknown() => in_hand.fail(error),
            // It stands again.
            _ => {}
        }
        applied
    }

    fn stand(&self, offer: ClaimOffer, seen: LogPosition) -> StandingOffer {
        self.standing.leave(offer, seen)
    }

    async fn task(&self, id: &TaskId) -> Result<Option<StoredTask>, StoreError> {
        self.call(StoreCall::Read, self.inner.task(id)).await
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskState>, StoreError> {
        self.call(StoreCall::Read, self.inner.tasks(filter)).await
    }

    async fn scopes(&self) -> Result<Vec<ScopeState>, StoreError> {
        self.call(StoreCall::Read, self.inner.scopes()).await
    }

    async fn events(&self, after: LogPosition, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.call(StoreCall::Read, self.inner.events(after, limit)).await
    }

    async fn history(
        &self,
        task: &TaskId,
        before: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.call(StoreCall::Read, self.inner.history(task, before, limit)).await
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        self.call(StoreCall::Read, self.inner.head()).await
    }

    fn watch_head(&self) -> watch::Receiver<LogPosition> {
        self.head.subscribe()
    }

    fn hears_every_commit(&self) -> bool {
        self.hears_others
    }

    async fn register_worker(&self, worker: WorkerInfo, now: Timestamp) -> Result<(), StoreError> {
        lock(&self.registered).insert(worker.worker);
        self.call(StoreCall::Worker, self.inner.register_worker(worker, now)).await
    }

    async fn renew_worker(&self, worker: WorkerId, now: Timestamp) -> Result<Renewal, StoreError> {
        self.call(StoreCall::Renew, self.inner.renew_worker(worker, now)).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        let mut workers = self.call(StoreCall::Read, self.inner.workers()).await?;
        let gone = lock(&self.gone);
        for row in workers.iter_mut().filter(|row| gone.contains(&row.info.worker)) {
            // A process of that number which was started at another time: the one that is meant has ended.
            let process = &row.info.process;
            row.info.process =
                ProcessIdentity { started: process.started.wrapping_sub(1), ..process.clone() };
        }
        Ok(workers)
    }

    async fn end_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.call(StoreCall::Worker, self.inner.end_worker(worker)).await
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>, StoreError> {
        self.call(StoreCall::Read, self.inner.orphans(limit)).await
    }

    async fn held_by(&self, worker: WorkerId) -> Result<Vec<ExecutionId>, StoreError> {
        self.call(StoreCall::Read, self.inner.held_by(worker)).await
    }

    async fn cursor(&self, name: &ConsumerName, start: StartFrom) -> Result<LogPosition, StoreError> {
        self.call(StoreCall::Cursor, self.inner.cursor(name, start)).await
    }

    async fn move_cursor(
        &self,
        name: &ConsumerName,
        from: LogPosition,
        to: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError> {
        self.call(StoreCall::Cursor, self.inner.move_cursor(name, from, to, dead)).await
    }

    async fn dead_letters(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.call(StoreCall::Read, self.inner.dead_letters(name, limit)).await
    }

    async fn retain(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<RetentionReport, StoreError> {
        self.call(StoreCall::Apply, self.inner.retain(policy, now)).await
    }

    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError> {
        self.call(StoreCall::Read, self.inner.stats(now)).await
    }

    async fn unhandled_due(&self, now: Timestamp) -> Result<BTreeMap<TaskType, Timestamp>, StoreError> {
        self.call(StoreCall::Read, self.inner.unhandled_due(now)).await
    }

    async fn requeue(&self, name: &ConsumerName, position: LogPosition) -> Result<bool, StoreError> {
        self.call(StoreCall::Apply, self.inner.requeue(name, position)).await
    }

    async fn requeued(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.call(StoreCall::Read, self.inner.requeued(name, limit)).await
    }

    async fn settle_requeued(
        &self,
        name: &ConsumerName,
        position: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError> {
        self.call(StoreCall::Apply, self.inner.settle_requeued(name, position, dead)).await
    }

    async fn as_of(&self, then: AsOf) -> Result<Box<dyn Past>, StoreError> {
        self.call(StoreCall::Read, self.inner.as_of(then)).await
    }

    async fn task_as_of(&self, id: &TaskId, then: AsOf) -> Result<Option<StoredTask>, StoreError> {
        self.call(StoreCall::Read, self.inner.task_as_of(id, then)).await
    }

    async fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.call(StoreCall::Read, self.inner.verify()).await
    }

    async fn rebuild_projection_with(
        &self,
        progress: watch::Sender<RebuildProgress>,
    ) -> Result<RebuildReport, StoreError> {
        self.call(StoreCall::Apply, self.inner.rebuild_projection_with(progress)).await
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
