//! Claims: due tasks for a worker that has room.
//!
//! They go along the [lanes](super::due) of the offer for its free slots, then ahead for as much more as it says. A suspect
//! is the only claim that it is part of.

use std::sync::Arc;

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType};
use azoth_scheduler_core::payload::PayloadDigest;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::Connection;

use super::cell;
use super::due::{Lanes, Reach};
use super::due_task::Due;
use super::entry::Entry;
use super::gate::{self, Gates};
use super::group::Group;
use super::log;
use super::suspect;
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::store::{CLAIM_BATCH_MAX, ClaimOffer, Claimed, Claims, Suspects};

/// So many tasks whose occurrences all passed are moved on within one offer; more wait for the next one.
const PASSED_MAX: usize = 256;

/// Claims due tasks for an offer.
pub(super) fn claim(group: &mut Group<'_>, offer: &ClaimOffer, now: Timestamp) -> Result<Claims, StoreError> {
    let conn = group.conn();
    if !group.memory().lives(conn, offer.worker)? {
        return Ok(Claims { worker_ended: true, ..Claims::default() });
    }
    gate::end_pauses(group, now)?;
    Claim::new(group, offer, now)?.make()
}

/// A claim that is being made.
struct Claim<'a, 'g> {
    group: &'a mut Group<'g>,
    offer: &'a ClaimOffer,
    now: Timestamp,
    gates: Gates,
    lanes: Lanes,
    /// So many more tasks may be moved on.
    passes: usize,
}

impl<'a, 'g> Claim<'a, 'g> {
    fn new(group: &'a mut Group<'g>, offer: &'a ClaimOffer, now: Timestamp) -> Result<Self, StoreError> {
        let gates = Gates::of(group, &offer.task_types, now)?;
        let ahead = |name| offer.ahead.as_ref().is_some_and(|ahead| ahead.task_types.contains(name));
        let types: Vec<_> = gates.types().map(|(key, name)| (key, ahead(name))).collect();
        let mut lanes = Lanes::new(&types, now);
        lanes.foresee(group.conn(), group.memory())?;
        Ok(Self { group, offer, now, gates, lanes, passes: PASSED_MAX })
    }

    fn make(mut self) -> Result<Claims, StoreError> {
        let claimed = match self.offer.suspects {
            Suspects::First => {
                let suspect = self.take_suspect()?;
                if suspect.is_empty() { self.take_all()? } else { suspect }
            }
            Suspects::IfNothingElse => {
                let claimed = self.take_all()?;
                if claimed.is_empty() { self.take_suspect()? } else { claimed }
            }
            Suspects::Refused => self.take_all()?,
        };
        self.group.flush()?;
        // To ask again: for the next task, or since a pause ends.
        let conn = self.group.conn();
        let pause_end = gate::remembered_pause_end(conn, &mut self.group.memory().outlook)?;
        let next_due = [self.lanes.next_due(conn, &self.gates)?, pause_end].into_iter().flatten().min();
        let next_suspect = self.first_suspect()?;
        let next_suspect = next_suspect.as_ref().map(Due::instant).transpose()?;
        self.lanes.note(&mut self.group.memory().outlook);
        let seen = LogPosition::from_number(self.group.head().position);
        let ahead = self.offer.ahead.is_some();
        let held_back = if ahead { self.gates.held_back(&self.offer.task_types) } else { Vec::new() };
        Ok(Claims { claimed, next_due, next_suspect, worker_ended: false, seen, held_back })
    }

    /// Claims for the free slots, and then ahead.
    fn take_all(&mut self) -> Result<Vec<Claimed>, StoreError> {
        let offer = self.offer;
        let free = offer.executions.get(..CLAIM_BATCH_MAX).unwrap_or(&offer.executions);
        let mut claimed = Vec::new();
        self.take(free, Reach::Slots, &mut claimed)?;
        if let Some(ahead) = offer.ahead.as_ref().filter(|_| claimed.len() == free.len()) {
            let room = CLAIM_BATCH_MAX.saturating_sub(claimed.len());
            let more = ahead.executions.get(..room).unwrap_or(&ahead.executions);
            self.gates.look_ahead(true);
            self.take(more, Reach::Ahead, &mut claimed)?;
            self.gates.look_ahead(false);
        }
        Ok(claimed)
    }

    /// Claims along the lanes, one task for each of these executions.
    fn take(
        &mut self,
        executions: &[ExecutionId],
        reach: Reach,
        claimed: &mut Vec<Claimed>,
    ) -> Result<(), StoreError> {
        let mut executions = executions.iter().copied();
        let mut next = executions.next();
        while let Some(execution) = next {
            let (conn, turn) = (self.group.conn(), self.group.head().claims);
            let due = self.lanes.pop(conn, self.group.memory(), turn, &self.gates, reach)?;
            let Some((due, type_key)) = due else { break };
            let before = self.group.head().position;
            if self.start(&due.id, execution)? {
                claimed.push(claimed_task(self.group, due.id.clone(), execution)?);
                self.gates.passed(self.group, type_key, self.now)?;
                next = executions.next();
            } else if self.passes == 0 {
                break;
            }
            if due.has_key || self.group.told_others(before, due.key()?) {
                // Others of its key may be claimed now, or no more; and so may those that waited for its end.
                self.group.flush()?;
                self.lanes.start_again();
            }
        }
        Ok(())
    }

    /// Claims the suspect that has waited for longest.
    fn take_suspect(&mut self) -> Result<Vec<Claimed>, StoreError> {
        let Some(execution) = self.offer.executions.first().copied() else { return Ok(Vec::new()) };
        while self.passes > 0 {
            self.group.flush()?;
            let Some(due) = self.first_suspect()?.filter(|due| due.ready <= self.now.unix_ms()) else {
                break;
            };
            let task = due.id;
            // Others of its key may have their turn now.
            self.lanes.something_moved();
            if self.start(&task, execution)? {
                let claimed = claimed_task(self.group, task, execution)?;
                let conn = self.group.conn();
                if let Some(type_key) = self.group.memory().type_key(conn, &claimed.task_type)? {
                    self.gates.passed(self.group, type_key, self.now)?;
                }
                return Ok(vec![claimed]);
            }
        }
        Ok(Vec::new())
    }

    /// The suspect of an open type that is due first. All rows are written.
    fn first_suspect(&mut self) -> Result<Option<Due>, StoreError> {
        let conn = self.group.conn();
        let outlook = &mut self.group.memory().outlook;
        if outlook.has_no_suspects() {
            return Ok(None);
        }
        if !suspect::are_any(conn)? {
            outlook.saw_no_suspects();
            return Ok(None);
        }
        suspect::first(conn, self.gates.open())
    }

    /// Starts an execution of a task that stands in an index of due ones. `false`: its occurrences have all passed, and it
    /// has moved on.
    fn start(&mut self, task: &TaskId, execution: ExecutionId) -> Result<bool, StoreError> {
        let wish = Wish::Claim { execution, worker: self.offer.worker };
        match self.group.command(&TaskCommand { task: task.clone(), wish }, self.now)? {
            Ok(Answer::Started) => {
                self.group.count_claim();
                Ok(true)
            }
            Ok(Answer::Passed) => {
                self.passes = self.passes.saturating_sub(1);
                self.lanes.something_moved();
                Ok(false)
            }
            other => Err(cell::corrupt(format!("task {task:?} stands in the due index and is {other:?}"))),
        }
    }
}

/// What a transaction came to for an offer that stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// The claims are the worker's once it is committed.
    Brought(Claims),
    /// Nothing for this worker; when the first of its tasks comes due that were made to wait.
    Nothing { next_due: Option<Timestamp> },
    /// Something happened that may let tasks be claimed which waited before: the worker is to look itself.
    Unseen,
}

/// Claims for an offer that stands, if this transaction has made a task of its types due. One append to the chain.
pub(super) fn claim_for_standing(group: &mut Group<'_>, offer: &ClaimOffer) -> Result<Standing, StoreError> {
    let types = keys_of(group, &offer.task_types)?;
    let opened = group.opened();
    let next_due = types.iter().filter_map(|key| opened.waiting.get(key)).min().copied();
    let Some(now) = opened.now.filter(|now| next_due.is_some_and(|due| due <= *now)) else {
        return Ok(if opened.by_scheduling_alone {
            Standing::Nothing { next_due }
        } else {
            Standing::Unseen
        });
    };
    let by_scheduling_alone = opened.by_scheduling_alone;
    let claims = claim(group, offer, now)?;
    group.append()?;
    if claims.claimed.is_empty() && !claims.worker_ended {
        let next_due = claims.next_due.filter(|due| *due > now);
        return Ok(if by_scheduling_alone { Standing::Nothing { next_due } } else { Standing::Unseen });
    }
    Ok(Standing::Brought(claims))
}

/// The keys of these types; those that no task ever had are left out.
fn keys_of(group: &mut Group<'_>, names: &[TaskType]) -> Result<Vec<u64>, StoreError> {
    let conn = group.conn();
    let mut types = Vec::with_capacity(names.len());
    for name in names {
        types.extend(group.memory().type_key(conn, name)?);
    }
    Ok(types)
}

/// What the worker needs to know of a task that was just claimed.
fn claimed_task(group: &mut Group<'_>, task: TaskId, execution: ExecutionId) -> Result<Claimed, StoreError> {
    let conn = group.conn();
    if group.holds_payloads() && group.memory().remembered(&task).is_none_or(|(_, bytes)| bytes.is_none()) {
        group.flush_payloads()?;
    }
    let entry = group.memory().remembered(&task);
    let (entry, bytes) = entry.ok_or_else(|| cell::corrupt(format!("claimed task {task:?} is not there")))?;
    let running = entry.state.running().filter(|running| running.execution == execution);
    let running = running.ok_or_else(|| cell::corrupt(format!("claimed task {task:?} does not run")))?;
    Ok(Claimed {
        task_type: entry.state.definition.task_type.clone(),
        priority: entry.state.definition.priority,
        execution,
        occurrence: running.occurrence,
        attempt: running.attempt.get(),
        claimed_at: running.claimed_at,
        timeout_ms: entry.state.definition.timeout_ms,
        suspect: entry.state.counts.is_suspect(),
        trace: entry.state.trace,
        payload: match bytes {
            Some(bytes) => Arc::clone(bytes),
            None => bytes_of(conn, entry, entry.defined, entry.state.definition.payload)?,
        },
        checkpoint: match entry.checkpoint.zip(entry.state.checkpoint) {
            Some((position, checkpoint)) => Some(bytes_of(conn, entry, position, checkpoint.payload)?),
            None => None,
        },
        task,
    })
}

/// The bytes that an event of the task refers to.
fn bytes_of(
    conn: &Connection,
    entry: &Entry,
    position: u64,
    digest: PayloadDigest,
) -> Result<Arc<[u8]>, StoreError> {
    if digest.bytes == 0 {
        return Ok(Arc::from([]));
    }
    let bytes = log::payload(conn, position)?.unwrap_or_default();
    if bytes.len() as u64 == digest.bytes {
        return Ok(bytes.into());
    }
    Err(cell::corrupt(format!(
        "the payload of task {:?} at event {position} has {} bytes instead of {}",
        entry.state.id,
        bytes.len(),
        digest.bytes
    )))
}
