//! What does not follow from the log: workers and consumers.

use std::collections::BTreeSet;

use azoth_scheduler_core::id::{ConsumerName, ExecutionId, TaskType, WorkerId};
use azoth_scheduler_core::state::{Running, TaskState};
use azoth_scheduler_core::time::Timestamp;

use super::parties::{Consumer, Worker};
use super::tables::Tables;
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::store::{DeadLetter, Orphan, Renewal, StartFrom, WorkerInfo, WorkerRow};

impl Tables {
    pub(super) fn register_worker(&mut self, info: WorkerInfo, now: Timestamp) {
        let row = WorkerRow { info, renewals: 0, renewed_at: now };
        match self.workers.get_mut(&row.info.worker) {
            // An incarnation that has ended never comes back.
            Some(Worker { ended: true, .. }) => {}
            Some(worker) => worker.row = WorkerRow { renewals: worker.row.renewals, ..row },
            None => {
                self.workers.insert(row.info.worker, Worker { row, ended: false });
            }
        }
    }

    pub(super) fn renew_worker(&mut self, worker: WorkerId, now: Timestamp) -> Renewal {
        match self.workers.get_mut(&worker) {
            Some(Worker { row, ended: false }) => {
                row.renewals = row.renewals.saturating_add(1);
                row.renewed_at = now;
                Renewal::Renewed
            }
            Some(Worker { ended: true, .. }) | None => Renewal::Ended,
        }
    }

    pub(super) fn end_worker(&mut self, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.ended = true;
        }
    }

    /// Whether the worker is registered and has not ended.
    pub(super) fn is_live(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|worker| !worker.ended)
    }

    pub(super) fn live_workers(&self) -> Vec<WorkerRow> {
        self.workers.values().filter(|worker| !worker.ended).map(|worker| worker.row.clone()).collect()
    }

    /// The types that live workers handle.
    pub(super) fn handled(&self) -> BTreeSet<TaskType> {
        let live = self.workers.values().filter(|worker| !worker.ended);
        live.flat_map(|worker| worker.row.info.task_types.iter().cloned()).collect()
    }

    pub(super) fn orphans(&self, limit: usize) -> Vec<Orphan> {
        let orphan = |(state, running): (&TaskState, &Running)| {
            let worker = self.workers.get(&running.worker);
            let last_seen = match worker {
                Some(Worker { ended: false, .. }) => return None,
                // A claim is a sign of life too.
                Some(Worker { row, .. }) => row.renewed_at.max(running.claimed_at),
                None => running.claimed_at,
            };
            let (task, execution) = (state.id.clone(), running.execution);
            Some(Orphan { task, execution, worker: running.worker, last_seen })
        };
        self.running().filter_map(orphan).take(limit).collect()
    }

    pub(super) fn held_by(&self, worker: WorkerId) -> Vec<ExecutionId> {
        let held = self.running().filter(|(_, running)| running.worker == worker);
        held.map(|(_, running)| running.execution).collect()
    }

    fn running(&self) -> impl Iterator<Item = (&TaskState, &Running)> {
        let rows = self.projection.indexes.running().filter_map(|key| self.projection.rows.get(&key));
        rows.filter_map(|row| Some((&row.state, row.state.running()?)))
    }

    pub(super) fn cursor(
        &mut self,
        name: &ConsumerName,
        start: StartFrom,
    ) -> Result<LogPosition, StoreError> {
        if let Some(consumer) = self.consumers.get(name) {
            return Ok(consumer.cursor);
        }
        let cursor = match start {
            StartFrom::Beginning => LogPosition::START,
            StartFrom::Now => self.head(),
            StartFrom::After(position) => self.known(position)?,
        };
        self.holds_behind(cursor)?;
        self.consumers.insert(name.clone(), Consumer { cursor, ..Consumer::default() });
        Ok(cursor)
    }

    /// The position, if the log has reached it.
    pub(super) fn known(&self, position: LogPosition) -> Result<LogPosition, StoreError> {
        let head = self.head();
        if position > head { Err(StoreError::NoSuchPosition { position, head }) } else { Ok(position) }
    }

    pub(super) fn requeue(&mut self, name: &ConsumerName, position: LogPosition) -> Result<bool, StoreError> {
        self.holds_behind(LogPosition::from_number(position.number().saturating_sub(1)))?;
        let Some(consumer) = self.consumers.get_mut(name) else { return Ok(false) };
        let letter = consumer.dead_letters.remove(&position);
        let found = letter.is_some();
        consumer.requeued.extend(letter.map(|letter| (position, letter)));
        Ok(found)
    }

    pub(super) fn requeued(&self, name: &ConsumerName, limit: usize) -> Vec<DeadLetter> {
        let letters = self.consumers.get(name).into_iter().flat_map(|consumer| consumer.requeued.values());
        letters.take(limit).cloned().collect()
    }

    pub(super) fn settle_requeued(
        &mut self,
        name: &ConsumerName,
        position: LogPosition,
        dead: Option<DeadLetter>,
    ) {
        let Some(consumer) = self.consumers.get_mut(name) else { return };
        if consumer.requeued.remove(&position).is_some() {
            consumer.dead_letters.extend(dead.map(|dead| (dead.position, dead)));
        }
    }

    pub(super) fn move_cursor(
        &mut self,
        name: &ConsumerName,
        from: LogPosition,
        to: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError> {
        let moved = |found| StoreError::CursorMoved { consumer: name.clone(), expected: from, found };
        let consumer = self.consumers.get_mut(name).ok_or_else(|| moved(LogPosition::START))?;
        if consumer.cursor != from {
            return Err(moved(consumer.cursor));
        }
        consumer.cursor = to;
        if let Some(dead) = dead {
            // It is not to be handled again, but was given up once more.
            consumer.requeued.remove(&dead.position);
            consumer.dead_letters.insert(dead.position, dead);
        }
        Ok(())
    }

    pub(super) fn dead_letters(&self, name: &ConsumerName, limit: usize) -> Vec<DeadLetter> {
        let letters =
            self.consumers.get(name).into_iter().flat_map(|consumer| consumer.dead_letters.values());
        letters.take(limit).cloned().collect()
    }
}
