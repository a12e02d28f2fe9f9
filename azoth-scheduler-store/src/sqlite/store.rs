//! What a store promises, kept by one SQLite file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use azoth_scheduler_core::command::{Command, Wish};
use azoth_scheduler_core::id::{ConsumerName, ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::scope::ScopeState;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;
use tokio::sync::watch;

use super::commits::Watch;
use super::group::Group;
use super::handle::SqliteStore;
use super::head::Head;
use super::upkeep::in_background;
use super::{consumer, files, past, read, rebuild, retain, stats, verify, worker};
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::record::{LogPosition, RecordedEvent};
use crate::report::{Health, RebuildProgress, RebuildReport, RetentionReport, StoreStats, VerifyReport};
use crate::standing::StandingOffer;
use crate::store::{
    Applied, AsOf, Batch, ClaimOffer, DeadLetter, Orphan, Past, Renewal, StartFrom, Store, StoredTask,
    WorkerInfo, WorkerRow,
};

#[async_trait]
impl Store for SqliteStore {
    async fn apply(&self, batch: Batch) -> Result<Applied, StoreError> {
        batch.check()?;
        let wal = Arc::clone(&self.shared.place.wal);
        let files = Arc::clone(&self.shared.place.files);
        self.write(move |group| match wal.hard_limit() {
            None => group.apply(&batch).map(Ok),
            // A refusal is an answer, not a failure of the transaction that others share.
            Some(limit) => match without_new_work(&batch, files.wal_bytes(), limit) {
                Ok(batch) => group.apply(&batch).map(Ok),
                Err(full) => Ok(Err(full)),
            },
        })
        .await?
    }

    fn stand(&self, offer: ClaimOffer, seen: LogPosition) -> StandingOffer {
        self.shared.writer.standing().leave(offer, seen)
    }

    async fn task(&self, id: &TaskId) -> Result<Option<StoredTask>, StoreError> {
        let id = id.clone();
        self.read(move |conn| read::task(conn, &id)).await
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskState>, StoreError> {
        let filter = filter.clone();
        self.read(move |conn| read::tasks(conn, &filter)).await
    }

    async fn scopes(&self) -> Result<Vec<ScopeState>, StoreError> {
        self.read(read::scopes).await
    }

    async fn events(&self, after: LogPosition, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.read(move |conn| read::events(conn, after, limit, usize::MAX)).await
    }

    async fn history(
        &self,
        task: &TaskId,
        before: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let task = task.clone();
        self.read(move |conn| read::history(conn, &task, before, limit)).await
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        self.read(|conn| Ok(LogPosition::from_number(Head::read(conn)?.position))).await
    }

    fn watch_head(&self) -> watch::Receiver<LogPosition> {
        self.wake().listen()
    }

    fn watch_task(&self, id: &TaskId) -> watch::Receiver<LogPosition> {
        self.wake().listen_for(id)
    }

    fn hears_every_commit(&self) -> bool {
        self.shared.watch.get().and_then(Option::as_ref).is_some_and(Watch::hears)
    }

    async fn register_worker(&self, worker: WorkerInfo, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |group| {
            group.memory().came(worker.worker);
            worker::register(group.conn(), &worker, now)
        })
        .await
    }

    async fn renew_worker(&self, worker: WorkerId, now: Timestamp) -> Result<Renewal, StoreError> {
        self.write(move |group| {
            let renewal = worker::renew(group.conn(), worker, now)?;
            if renewal == Renewal::Ended {
                group.memory().went(worker);
            }
            Ok(renewal)
        })
        .await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.read(worker::all).await
    }

    async fn end_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.write(move |group| {
            group.flush()?;
            group.memory().went(worker);
            worker::end(group.conn(), worker)
        })
        .await
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>, StoreError> {
        self.read(move |conn| worker::orphans(conn, limit)).await
    }

    async fn held_by(&self, worker: WorkerId) -> Result<Vec<ExecutionId>, StoreError> {
        self.read(move |conn| worker::held_by(conn, worker)).await
    }

    async fn cursor(&self, name: &ConsumerName, start: StartFrom) -> Result<LogPosition, StoreError> {
        let known = name.clone();
        if let Some(cursor) = self.read(move |conn| consumer::find(conn, &known)).await? {
            return Ok(cursor);
        }
        let name = name.clone();
        self.write(move |group| {
            let head = LogPosition::from_number(group.head().position);
            // A position that is none is an answer, not a failure of the transaction that others share.
            match consumer::find_or_make(group.conn(), &name, start, head) {
                Err(none @ (StoreError::NoSuchPosition { .. } | StoreError::LogCut { .. })) => Ok(Err(none)),
                other => other.map(Ok),
            }
        })
        .await?
    }

    async fn move_cursor(
        &self,
        name: &ConsumerName,
        from: LogPosition,
        to: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError> {
        let name = name.clone();
        // A cursor that is found elsewhere is an answer, not a failure of the transaction that others share.
        self.write(move |group| match consumer::advance(group.conn(), &name, from, to, dead.as_ref()) {
            Err(moved @ StoreError::CursorMoved { .. }) => Ok(Err(moved)),
            other => other.map(Ok),
        })
        .await?
    }

    async fn dead_letters(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let name = name.clone();
        self.read(move |conn| consumer::dead_letters(conn, &name, false, limit)).await
    }

    async fn requeue(&self, name: &ConsumerName, position: LogPosition) -> Result<bool, StoreError> {
        let name = name.clone();
        // An event that was cut is an answer, not a failure of the transaction that others share.
        self.write(move |group| match consumer::requeue(group.conn(), &name, position) {
            Err(cut @ StoreError::LogCut { .. }) => Ok(Err(cut)),
            other => other.map(Ok),
        })
        .await?
    }

    async fn requeued(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let name = name.clone();
        self.read(move |conn| consumer::dead_letters(conn, &name, true, limit)).await
    }

    async fn settle_requeued(
        &self,
        name: &ConsumerName,
        position: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError> {
        let name = name.clone();
        let settle = move |group: &mut Group<'_>| {
            consumer::settle_requeued(group.conn(), &name, position, dead.as_ref()).map(drop)
        };
        self.write(settle).await
    }

    async fn as_of(&self, then: AsOf) -> Result<Box<dyn Past>, StoreError> {
        let place = self.shared.place.clone();
        let past = in_background("past", move || past::SqlitePast::open(&place, then)).await?;
        Ok(Box::new(past))
    }

    async fn task_as_of(&self, id: &TaskId, then: AsOf) -> Result<Option<StoredTask>, StoreError> {
        let wanted = id.clone();
        match self.read(move |conn| past::task(conn, &wanted, then)).await? {
            past::Walked::Found(task) => Ok(task.map(|task| *task)),
            past::Walked::NotWalkable => self.as_of(then).await?.task(id).await,
        }
    }

    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError> {
        let counters = self.shared.writer.counters();
        let stats = self.read(move |conn| stats::stats(conn, now)).await?;
        Ok(StoreStats {
            file_bytes: stats::file_bytes(self.path()),
            wal_bytes: stats::file_bytes(&files::wal_of(self.path())),
            commits: counters.commits.load(Ordering::Relaxed),
            events_committed: counters.events.load(Ordering::Relaxed),
            largest_commit: counters.largest.load(Ordering::Relaxed),
            ..stats
        })
    }

    async fn unhandled_due(&self, now: Timestamp) -> Result<BTreeMap<TaskType, Timestamp>, StoreError> {
        self.read(move |conn| stats::unhandled_due(conn, now)).await
    }

    fn health(&self) -> Health {
        self.shared.place.vitals.health()
    }

    async fn retain(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<RetentionReport, StoreError> {
        retain::retain(self, policy, now).await
    }

    async fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.shared.place.files.check_process()?;
        let place = self.shared.place.clone();
        in_background("verify", move || verify::verify(&place)).await
    }

    async fn rebuild_projection_with(
        &self,
        progress: watch::Sender<RebuildProgress>,
    ) -> Result<RebuildReport, StoreError> {
        let place = self.shared.place.clone();
        in_background("rebuild", move || rebuild::rebuild(&place, &progress)).await
    }
}

/// What can still be done while the write-ahead log is over its hard limit: what runs ends, nothing more begins.
fn without_new_work(batch: &Batch, bytes: u64, limit: u64) -> Result<Batch, StoreError> {
    let schedules = |command: &Command| match command {
        Command::Task(command) => matches!(command.wish, Wish::Schedule(_)),
        Command::Scope(_) => false,
    };
    if batch.commands.iter().any(schedules) {
        return Err(StoreError::WalFull { bytes, limit });
    }
    let offer = batch.offer.clone().map(|offer| ClaimOffer { executions: Vec::new(), ahead: None, ..offer });
    Ok(Batch { commands: batch.commands.clone(), now: batch.now, offer })
}
