//! Claims: due tasks for a worker that has room.

use std::collections::BTreeSet;

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::time::Timestamp;

use super::due::Order;
use super::tables::Tables;
use crate::error::StoreError;
use crate::record::RecordedPayload;
use crate::store::{CLAIM_BATCH_MAX, ClaimOffer, Claimed, Claims};

impl Tables {
    /// Claims due tasks for an offer, as many as it has ids for.
    pub(super) fn claim(&mut self, offer: &ClaimOffer, now: Timestamp) -> Result<Claims, StoreError> {
        if !self.is_live(offer.worker) {
            return Ok(Claims { worker_ended: true, ..Claims::default() });
        }
        let types: BTreeSet<TaskType> = offer.task_types.iter().cloned().collect();
        let mut claimed = Vec::new();
        for execution in offer.executions.iter().take(CLAIM_BATCH_MAX) {
            match self.claim_one(&types, order_of_slot(claimed.len()), offer.worker, *execution, now)? {
                Some(claim) => claimed.push(claim),
                None => break,
            }
        }
        let next_due = self.projection.due.next_due(&types);
        Ok(Claims { claimed, next_due, worker_ended: false })
    }

    /// Starts the execution on the first due task that runs. Those whose occurrences all passed have moved on by it.
    fn claim_one(
        &mut self,
        types: &BTreeSet<TaskType>,
        order: Order,
        worker: WorkerId,
        execution: ExecutionId,
        now: Timestamp,
    ) -> Result<Option<Claimed>, StoreError> {
        while let Some(task) = self.first_due(types, order, now) {
            let command = TaskCommand { task: task.clone(), wish: Wish::Claim { execution, worker } };
            match self.command(&command, now)? {
                Ok(Answer::Started) => return self.claimed(&task, execution).map(Some),
                Ok(Answer::Passed) => {}
                answer => unreachable!("a due task was claimed, the answer was {answer:?}"),
            }
        }
        Ok(None)
    }

    fn first_due(&self, types: &BTreeSet<TaskType>, order: Order, now: Timestamp) -> Option<TaskId> {
        let key = self.projection.due.first(types, order, now)?;
        self.projection.rows.get(&key).map(|row| row.state.id.clone())
    }

    fn claimed(&self, task: &TaskId, execution: ExecutionId) -> Result<Claimed, StoreError> {
        let row = self.projection.row(task);
        let Some((row, running)) = row.and_then(|row| Some((row, row.state.running()?))) else {
            return Err(StoreError::Corrupt { what: format!("task {task:?} was claimed and does not run") });
        };
        assert_eq!(running.execution, execution, "the claim took hold");
        let RecordedPayload::Held(payload) = &row.payload else {
            return Err(StoreError::Corrupt { what: format!("task {task:?} has no payload") });
        };
        Ok(Claimed {
            task: task.clone(),
            task_type: row.state.definition.task_type.clone(),
            execution,
            occurrence: running.occurrence,
            attempt: running.attempt.get(),
            claimed_at: running.claimed_at,
            timeout_ms: row.state.definition.timeout_ms,
            payload: payload.clone(),
        })
    }
}

/// The 16th claim of an offer, the 32nd and so on go to the oldest task, so that low levels are not starved.
fn order_of_slot(slot: usize) -> Order {
    if slot % OLDEST_EVERY == OLDEST_EVERY - 1 { Order::OldestFirst } else { Order::ByPriority }
}

const OLDEST_EVERY: usize = 16;
