//! Claims: due tasks for a worker that has room.

use std::collections::{BTreeMap, BTreeSet};

use azoth_scheduler_core::command::{ScopeCommand, ScopeWish, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::{Change, Event};
use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::schedule::MisfirePolicy;
use azoth_scheduler_core::scope::{Gate, Scope, ScopeState};
use azoth_scheduler_core::state::{Pause, TaskState};
use azoth_scheduler_core::time::Timestamp;

use super::due::{Order, Which};
use super::index::pause_of;
use super::tables::Tables;
use crate::error::StoreError;
use crate::record::{LogPosition, RecordedPayload, Subject};
use crate::standing::StandingOffers;
use crate::store::{CLAIM_BATCH_MAX, ClaimOffer, Claimed, Claims, Suspects};

impl Tables {
    /// Claims due tasks for an offer, as many as it has ids for.
    pub(super) fn claim(&mut self, offer: &ClaimOffer, now: Timestamp) -> Result<Claims, StoreError> {
        if !self.is_live(offer.worker) {
            return Ok(Claims { worker_ended: true, ..Claims::default() });
        }
        self.end_pauses(now)?;
        let types: BTreeSet<TaskType> = offer.task_types.iter().cloned().collect();
        let claimed = match offer.suspects {
            Suspects::First => {
                let suspect = self.claim_suspect(offer, &types, now)?;
                if suspect.is_empty() { self.claim_all(offer, &types, now)? } else { suspect }
            }
            Suspects::IfNothingElse => {
                let claimed = self.claim_all(offer, &types, now)?;
                if claimed.is_empty() { self.claim_suspect(offer, &types, now)? } else { claimed }
            }
            Suspects::Refused => self.claim_all(offer, &types, now)?,
        };
        let next_due = self.next_due(&types, now);
        let held_back = |kind: &TaskType| self.has_limits(kind) || self.gate_of(kind, now) != Gate::Open;
        let offered = types.iter().filter(|_| offer.ahead.is_some());
        let held_back = offered.filter(|kind| held_back(kind)).cloned().collect();
        let open = types.into_iter().filter(|kind| self.gate_of(kind, now) == Gate::Open).collect();
        let next_suspect = self.projection.indexes.due.next_due(&open, Which::Suspects);
        Ok(Claims { claimed, next_due, next_suspect, worker_ended: false, seen: self.head(), held_back })
    }

    /// Claims for the free slots, and then ahead.
    fn claim_all(
        &mut self,
        offer: &ClaimOffer,
        types: &BTreeSet<TaskType>,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        let free: Vec<ExecutionId> = offer.executions.iter().copied().take(CLAIM_BATCH_MAX).collect();
        let mut claimed = self.claim_several(types, Which::Any, offer.worker, &free, now)?;
        if let Some(ahead) = offer.ahead.as_ref().filter(|_| claimed.len() == free.len()) {
            let quick = types.iter().filter(|kind| ahead.task_types.contains(kind) && !self.has_limits(kind));
            let quick = quick.cloned().collect();
            let room = CLAIM_BATCH_MAX.saturating_sub(claimed.len());
            let more: Vec<ExecutionId> = ahead.executions.iter().copied().take(room).collect();
            claimed.extend(self.claim_several(&quick, Which::Ahead, offer.worker, &more, now)?);
        }
        Ok(claimed)
    }

    fn claim_suspect(
        &mut self,
        offer: &ClaimOffer,
        types: &BTreeSet<TaskType>,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        let one: Vec<ExecutionId> = offer.executions.iter().copied().take(1).collect();
        self.claim_several(types, Which::Suspects, offer.worker, &one, now)
    }

    fn claim_several(
        &mut self,
        types: &BTreeSet<TaskType>,
        which: Which,
        worker: WorkerId,
        executions: &[ExecutionId],
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        let mut claimed = Vec::new();
        for execution in executions {
            let order = match which {
                Which::Any | Which::Ahead => order_of_turn(self.claim_turn),
                Which::Suspects => Order::OldestFirst,
            };
            let Some(claim) = self.claim_one(types, which, order, worker, *execution, now)? else { break };
            self.claim_turn = self.claim_turn.wrapping_add(1);
            claimed.push(claim);
        }
        Ok(claimed)
    }

    /// Whether claims may come up against a limit of everything or of this type.
    fn has_limits(&self, kind: &TaskType) -> bool {
        let scopes = [Scope::Everything, Scope::TaskType(kind.clone())];
        let limits =
            scopes.iter().filter_map(|scope| self.projection.scopes.get(scope)).map(ScopeState::limits);
        limits.into_iter().any(|limits| limits.max_running.is_some() || limits.rate.is_some())
    }

    /// Claims for the offers that stand, as part of the transaction that led here from `before`.
    pub(super) fn take_up(&mut self, standing: &StandingOffers, before: LogPosition, now: Timestamp) {
        let head = self.head();
        if head == before {
            return;
        }
        let (waiting, by_scheduling_alone) = self.opened_since(before);
        for in_hand in standing.take() {
            let types = &in_hand.offer().task_types;
            let mut next_due = types.iter().filter_map(|wanted| waiting.get(wanted)).min().copied();
            if next_due.is_some_and(|due| due <= now) {
                let length = self.log.len();
                match self.claim(in_hand.offer(), now) {
                    Ok(claims) if !claims.claimed.is_empty() || claims.worker_ended => {
                        in_hand.bring(claims);
                        continue;
                    }
                    Ok(claims) => next_due = claims.next_due.filter(|due| *due > now),
                    // The offer stands again, and its worker meets the same error when it looks itself.
                    Err(_) => {
                        self.undo_to(length);
                        continue;
                    }
                }
            }
            if by_scheduling_alone {
                in_hand.stand_on(before, head, next_due);
            }
        }
    }

    /// The earliest `run_at`, by type, among the tasks that were made to wait since a position; and whether nothing else
    /// happened since that may let a task be claimed.
    fn opened_since(&self, before: LogPosition) -> (BTreeMap<TaskType, Timestamp>, bool) {
        let mut waiting = BTreeMap::<TaskType, Timestamp>::new();
        let mut by_scheduling_alone = true;
        let skipped = usize::try_from(before.number()).unwrap_or(usize::MAX);
        for recorded in self.log.iter().skip(skipped) {
            by_scheduling_alone &= matches!(
                recorded.event,
                Event::TaskScheduled { .. }
                    | Event::ExecutionStarted { .. }
                    | Event::OccurrencesPassed { .. }
                    | Event::ProgressReported { .. }
                    | Event::CheckpointSaved { .. }
            );
            let Subject::Task(task) = &recorded.subject else { continue };
            let state = self.projection.row(task).map(|row| &row.state);
            // Others of its key, or of the one that it had, may be claimed now.
            let has_key = state.is_some_and(|state| state.definition.concurrency_key.is_some());
            let had_key = matches!(recorded.event, Event::TaskScheduled { change: Change::Redefined, .. });
            let starts = matches!(
                recorded.event,
                Event::ExecutionStarted { .. }
                    | Event::ProgressReported { .. }
                    | Event::CheckpointSaved { .. }
            );
            by_scheduling_alone &= starts || !(has_key || had_key);
            let Some((state, work)) = state.and_then(|state| Some((state, state.waiting()?))) else {
                continue;
            };
            let earliest = waiting.entry(state.definition.task_type.clone()).or_insert(work.run_at);
            *earliest = work.run_at.min(*earliest);
        }
        (waiting, by_scheduling_alone)
    }

    /// Starts the execution on the first due task that runs. Those whose occurrences all passed have moved on by it.
    fn claim_one(
        &mut self,
        types: &BTreeSet<TaskType>,
        which: Which,
        order: Order,
        worker: WorkerId,
        execution: ExecutionId,
        now: Timestamp,
    ) -> Result<Option<Claimed>, StoreError> {
        while let Some(task) = self.first_due(types, which, order, now) {
            let command = TaskCommand { task: task.clone(), wish: Wish::Claim { execution, worker } };
            match self.command(&command, now)? {
                Ok(Answer::Started) => return self.claimed(&task, execution).map(Some),
                Ok(Answer::Passed) => {}
                answer => unreachable!("a due task was claimed, the answer was {answer:?}"),
            }
        }
        Ok(None)
    }

    fn first_due(
        &self,
        types: &BTreeSet<TaskType>,
        which: Which,
        order: Order,
        now: Timestamp,
    ) -> Option<TaskId> {
        let open = types.iter().filter(|kind| self.gate_of(kind, now) == Gate::Open).cloned().collect();
        let key = self.projection.indexes.due.first(&open, which, order, now)?;
        self.projection.rows.get(&key).map(|row| row.state.id.clone())
    }

    /// When to ask again: for the next task that nothing holds back, when a rate allows it, or when a pause ends.
    fn next_due(&self, types: &BTreeSet<TaskType>, now: Timestamp) -> Option<Timestamp> {
        let of_type = |kind: &TaskType| {
            let due = self.projection.indexes.due.next_due(&BTreeSet::from([kind.clone()]), Which::Any)?;
            match self.gate_of(kind, now) {
                Gate::Open => Some(due),
                Gate::Until(at) => Some(at.max(due)),
                Gate::Shut => None,
            }
        };
        let scopes = self.projection.scopes.values().filter_map(|state| state.pause.as_ref());
        let pauses =
            scopes.filter_map(|pause| pause.until).chain(self.projection.indexes.next_end_of_pause());
        types.iter().filter_map(of_type).chain(pauses).min()
    }

    /// Whether everything and this type let another claim through.
    fn gate_of(&self, kind: &TaskType, now: Timestamp) -> Gate {
        let gate = |scope: &Scope, of: Option<&TaskType>| {
            let state = self.projection.scopes.get(scope);
            state.map_or(Gate::Open, |state| {
                let counted = state.limits().max_running.is_some();
                state.gate(if counted { self.projection.indexes.count_running(of) } else { 0 }, now)
            })
        };
        gate(&Scope::Everything, None).and(gate(&Scope::TaskType(kind.clone()), Some(kind)))
    }

    /// Whether limits or pauses hold back a task that is due.
    pub(super) fn holds_back(&self, task: &TaskId, now: Timestamp) -> bool {
        let Some(row) = self.projection.row(task) else { return false };
        if row.state.waiting().is_none_or(|work| work.run_at > now) {
            return false;
        }
        let ready =
            self.projection.keys.get(task).is_some_and(|key| self.projection.indexes.due.is_ready(*key, now));
        !ready || self.gate_of(&row.state.definition.task_type, now) != Gate::Open
    }

    /// Ends the pauses whose instant has come.
    fn end_pauses(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let over = |pause: &Pause| pause.until.filter(|until| *until <= now);
        let paused =
            self.projection.scopes.values().filter_map(|state| Some((over(state.pause.as_ref()?)?, state)));
        let mut scopes: Vec<_> = paused.map(|(until, state)| (until, state.scope.clone())).collect();
        scopes.sort();
        for (_, scope) in scopes {
            let ended = self.scope_command(&ScopeCommand { scope, wish: ScopeWish::EndPause }, now)?;
            assert!(ended.is_ok(), "a pause that is over ends");
        }
        let paused = self.projection.indexes.pauses_over(now);
        let rows = paused.filter_map(|key| self.projection.rows.get(&key));
        let tasks: Vec<TaskState> = rows.map(|row| row.state.clone()).collect();
        for state in tasks {
            let Some(pause) = pause_of(&state) else { continue };
            let wish = Wish::Resume { misfire: MisfirePolicy::Skip, by: pause.by.clone() };
            let ended = self.command(&TaskCommand { task: state.id.clone(), wish }, now)?;
            assert!(ended.is_ok(), "a pause that is over ends");
        }
        Ok(())
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
        let checkpoint = match &row.checkpoint {
            None => None,
            Some((_, RecordedPayload::Held(bytes))) => Some(bytes.clone()),
            Some((position, _)) => {
                let what = format!("the checkpoint of task {task:?} at event {position} has no bytes");
                return Err(StoreError::Corrupt { what });
            }
        };
        Ok(Claimed {
            task: task.clone(),
            task_type: row.state.definition.task_type.clone(),
            priority: row.state.definition.priority,
            execution,
            occurrence: running.occurrence,
            attempt: running.attempt.get(),
            claimed_at: running.claimed_at,
            timeout_ms: row.state.definition.timeout_ms,
            suspect: row.state.counts.is_suspect(),
            payload: payload.clone(),
            trace: row.state.trace,
            checkpoint,
        })
    }
}

/// Every 16th claim goes to the oldest task, so that low levels are not starved. Turns are counted over all offers:
/// most have fewer slots than that.
fn order_of_turn(turn: u64) -> Order {
    if turn % OLDEST_EVERY == OLDEST_EVERY - 1 { Order::OldestFirst } else { Order::ByPriority }
}

const OLDEST_EVERY: u64 = 16;
