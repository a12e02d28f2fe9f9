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
            let order = order_of_turn(self.claim_turn);
            let Some(claim) = self.claim_one(&types, order, offer.worker, *execution, now)? else { break };
            self.claim_turn = self.claim_turn.wrapping_add(1);
            claimed.push(claim);
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

/// Every 16th claim goes to the oldest task, so that low levels are not starved. Turns are counted over all offers:
/// most have fewer slots than that.
fn order_of_turn(turn: u64) -> Order {
    if turn % OLDEST_EVERY == OLDEST_EVERY - 1 { Order::OldestFirst } else { Order::ByPriority }
}

const OLDEST_EVERY: u64 = 16;
