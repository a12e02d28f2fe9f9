//! Claims: due tasks for a worker that has room, found along the due index.
//!
//! A lane is one task type at one priority level, and each lane is a seek in the index `azoth_p_due`. The slots of an
//! offer go to the first level that has a due task, within it to the one that is ready for longest, then to the oldest task;
//! every [`FAIR_TURN`]th slot goes to the one that is ready for longest at any level, so that no level starves. A lane whose
//! type is at a limit or paused is not looked at.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType};
use azoth_scheduler_core::scope::{Gate, Scope};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::cell;
use super::entry::Entry;
use super::gate;
use super::group::Group;
use super::log;
use super::task_row::priority_code;
use super::worker;
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::store::{CLAIM_BATCH_MAX, ClaimOffer, Claimed, Claims};

/// Every so many-th claim goes to the task that has been due for longest, whatever its priority.
const FAIR_TURN: u64 = 16;
/// The first page of a lane holds so many tasks, each further one twice as many.
const PAGE_FIRST: usize = 16;
/// No page of a lane holds more tasks.
const PAGE_MAX: usize = 256;
/// So many tasks whose occurrences all passed are moved on within one offer; more wait for the next one.
const PASSED_MAX: usize = 256;

/// One seek in `azoth_p_due`.
pub(super) const DUE: &str = "SELECT ready_ms, key, id, concurrency_key IS NOT NULL
    FROM azoth_p_tasks INDEXED BY azoth_p_due
    WHERE ready_ms IS NOT NULL AND type = ?1 AND priority = ?2 AND ready_ms <= ?3 AND (ready_ms, key) > (?4, ?5)
    ORDER BY ready_ms, key LIMIT ?6";
/// One seek in `azoth_p_due`.
pub(super) const EARLIEST: &str = "SELECT min(ready_ms) FROM azoth_p_tasks INDEXED BY azoth_p_due
    WHERE ready_ms IS NOT NULL AND type = ?1 AND priority = ?2";

/// Claims due tasks for an offer.
pub(super) fn claim(group: &mut Group<'_>, offer: &ClaimOffer, now: Timestamp) -> Result<Claims, StoreError> {
    group.flush()?;
    if !worker::is_live(group.conn(), offer.worker)? {
        return Ok(Claims { worker_ended: true, ..Claims::default() });
    }
    gate::end_pauses(group, now)?;
    group.flush()?;
    let mut gates = Gates::of(group, offer, now)?;
    let mut lanes = Lanes::new(gates.types.keys().copied(), now);
    let claimed = take(group, offer, (&mut lanes, &mut gates), now)?;
    group.flush()?;
    let next_due = gates.next_due(group.conn())?;
    let seen = LogPosition::from_number(group.head().position);
    Ok(Claims { claimed, next_due, worker_ended: false, seen })
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
    let mut types = Vec::with_capacity(offer.task_types.len());
    let conn = group.conn();
    for name in offer.task_types.iter() {
        types.extend(group.memory().type_key(conn, name)?);
    }
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

/// What holds back the types of an offer.
struct Gates {
    everything: Gate,
    types: BTreeMap<u64, (TaskType, Gate)>,
}

impl Gates {
    fn of(group: &mut Group<'_>, offer: &ClaimOffer, now: Timestamp) -> Result<Self, StoreError> {
        let everything = gate::gate(group, &Scope::Everything, None, now)?;
        let mut gates = Self { everything, types: BTreeMap::new() };
        let conn = group.conn();
        for name in offer.task_types.iter() {
            if let Some(key) = group.memory().type_key(conn, name)? {
                gates.types.insert(key, (name.clone(), Gate::Open));
            }
        }
        for (key, (name, gate)) in &mut gates.types {
            *gate = gate::gate(group, &Scope::TaskType(name.clone()), Some(*key), now)?;
        }
        Ok(gates)
    }

    fn is_open(&self, type_key: u64) -> bool {
        self.everything.and(self.types.get(&type_key).map_or(Gate::Shut, |(_, gate)| *gate)) == Gate::Open
    }

    /// A task of this type was claimed.
    fn passed(&mut self, group: &mut Group<'_>, type_key: u64, now: Timestamp) -> Result<(), StoreError> {
        self.everything = gate::gate(group, &Scope::Everything, None, now)?;
        if let Some((name, gate)) = self.types.get_mut(&type_key) {
            *gate = gate::gate(group, &Scope::TaskType(name.clone()), Some(type_key), now)?;
        }
        Ok(())
    }

    /// When to ask again: for the next task that no gate holds back, when a gate opens by itself, or when a pause ends.
    fn next_due(&self, conn: &Connection) -> Result<Option<Timestamp>, StoreError> {
        let mut earliest = gate::next_pause_end(conn)?;
        for (type_key, (_, gate)) in &self.types {
            let opens = match self.everything.and(*gate) {
                Gate::Shut => continue,
                Gate::Open => Timestamp::MIN,
                Gate::Until(at) => at,
            };
            let due = next_due(conn, &[*type_key])?.map(|due| due.max(opens));
            earliest = [earliest, due].into_iter().flatten().min();
        }
        Ok(earliest)
    }
}

fn take(
    group: &mut Group<'_>,
    offer: &ClaimOffer,
    (lanes, gates): (&mut Lanes, &mut Gates),
    now: Timestamp,
) -> Result<Vec<Claimed>, StoreError> {
    let mut claimed = Vec::new();
    let mut passed = 0;
    let mut executions = offer.executions.iter().copied().take(CLAIM_BATCH_MAX);
    let mut next = executions.next();
    while let Some(execution) = next {
        let turn = group.head().claims;
        let Some((due, type_key)) = lanes.pop(group.conn(), turn, gates)? else { break };
        let task = due.task()?;
        let wish = Wish::Claim { execution, worker: offer.worker };
        match group.command(&TaskCommand { task: task.clone(), wish }, now)? {
            Ok(Answer::Started) => {
                claimed.push(claimed_task(group, &task, execution)?);
                group.count_claim();
                gates.passed(group, type_key, now)?;
                next = executions.next();
            }
            Ok(Answer::Passed) if passed < PASSED_MAX => passed += 1,
            Ok(Answer::Passed) => break,
            other => {
                return Err(cell::corrupt(format!("task {task:?} stands in the due index and is {other:?}")));
            }
        }
        if due.has_key {
            // Others of its key may be claimed now, or no more.
            group.flush()?;
            lanes.start_again();
        }
    }
    assert!(claimed.len() <= offer.executions.len(), "an execution is claimed under an id of the offer");
    Ok(claimed)
}

/// What the worker needs to know of a task that was just claimed.
fn claimed_task(group: &mut Group<'_>, task: &TaskId, execution: ExecutionId) -> Result<Claimed, StoreError> {
    let conn = group.conn();
    let entry = group.memory().task(conn, task)?;
    let entry = entry.ok_or_else(|| cell::corrupt(format!("claimed task {task:?} is not there")))?;
    let running = entry.state.running().filter(|running| running.execution == execution);
    let running = running.ok_or_else(|| cell::corrupt(format!("claimed task {task:?} does not run")))?;
    Ok(Claimed {
        task: task.clone(),
        task_type: entry.state.definition.task_type.clone(),
        execution,
        occurrence: running.occurrence,
        attempt: running.attempt.get(),
        claimed_at: running.claimed_at,
        timeout_ms: entry.state.definition.timeout_ms,
        payload: payload_of(conn, entry)?,
        trace: entry.state.trace,
    })
}

fn payload_of(conn: &Connection, entry: &Entry) -> Result<Arc<[u8]>, StoreError> {
    let expected = entry.state.definition.payload.bytes;
    if expected == 0 {
        return Ok(Arc::from([]));
    }
    let bytes = log::payload(conn, entry.defined)?.unwrap_or_default();
    if bytes.len() as u64 == expected {
        return Ok(bytes.into());
    }
    Err(cell::corrupt(format!(
        "the payload of task {:?} at event {} has {} bytes instead of {expected}",
        entry.state.id,
        entry.defined,
        bytes.len()
    )))
}

/// When the next task of these types is due; two dozen tasks or a million, the cost is one seek a lane.
pub(super) fn next_due(conn: &Connection, types: &[u64]) -> Result<Option<Timestamp>, StoreError> {
    let mut earliest: Option<i64> = None;
    let mut statement = conn.prepare_cached(EARLIEST)?;
    for type_key in types {
        for priority in Priority::ALL {
            let lane = params![cell::int(*type_key), priority_code(priority)];
            let cell: Option<i64> = statement.query_row(lane, |row| row.get(0))?;
            earliest = [earliest, cell].into_iter().flatten().min();
        }
    }
    earliest.map(|cell| cell::instant(cell, "azoth_p_tasks.run_at_ms")).transpose()
}

/// All lanes of an offer, the first level first.
struct Lanes {
    lanes: Vec<Lane>,
    now: Timestamp,
}

/// One task type at one level.
struct Lane {
    type_key: u64,
    priority: Priority,
    ready: VecDeque<Due>,
    behind: (i64, i64),
    page: usize,
    dry: bool,
}

/// A due task. They compare by the instant from which they may be claimed, then by key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    ready: i64,
    key: i64,
    id: String,
    has_key: bool,
}

impl Due {
    fn task(&self) -> Result<TaskId, StoreError> {
        TaskId::new(&self.id).map_err(|error| cell::corrupt(format!("azoth_p_tasks.id: {error}")))
    }
}

impl Lanes {
    fn new(types: impl Iterator<Item = u64> + Clone, now: Timestamp) -> Self {
        let lanes = Priority::ALL.into_iter().flat_map(|priority| {
            types.clone().map(move |type_key| Lane {
                type_key,
                priority,
                ready: VecDeque::new(),
                behind: (i64::MIN, i64::MIN),
                page: PAGE_FIRST,
                dry: false,
            })
        });
        Self { lanes: lanes.collect(), now }
    }

    /// Takes the task that this turn goes to.
    fn pop(&mut self, conn: &Connection, turn: u64, gates: &Gates) -> Result<Option<(Due, u64)>, StoreError> {
        let fair = turn % FAIR_TURN == FAIR_TURN - 1;
        let mut best: Option<&mut Lane> = None;
        for lane in self.lanes.iter_mut().filter(|lane| gates.is_open(lane.type_key)) {
            let level_is_over = best.as_ref().is_some_and(|best| best.priority < lane.priority);
            if level_is_over && !fair {
                break;
            }
            lane.fill(conn, self.now)?;
            let first = lane.ready.front().map(Reverse);
            if first.is_some() && first > best.as_ref().and_then(|best| best.ready.front()).map(Reverse) {
                best = Some(lane);
            }
        }
        Ok(best.and_then(|lane| lane.ready.pop_front().map(|due| (due, lane.type_key))))
    }

    /// The due index has changed: all lanes are read anew, first one task of each.
    fn start_again(&mut self) {
        for lane in &mut self.lanes {
            lane.ready.clear();
            (lane.behind, lane.page, lane.dry) = ((i64::MIN, i64::MIN), 1, false);
        }
    }
}

impl Lane {
    /// Reads the next page when the last one is used up.
    fn fill(&mut self, conn: &Connection, now: Timestamp) -> Result<(), StoreError> {
        if self.dry || !self.ready.is_empty() {
            return Ok(());
        }
        let (ready, key) = self.behind;
        let lane = params![
            cell::int(self.type_key),
            priority_code(self.priority),
            now.unix_ms(),
            ready,
            key,
            cell::int(self.page as u64)
        ];
        let mut statement = conn.prepare_cached(DUE)?;
        let rows = statement.query_map(lane, |row| {
            Ok(Due { ready: row.get(0)?, key: row.get(1)?, id: row.get(2)?, has_key: row.get(3)? })
        })?;
        for due in rows {
            self.ready.push_back(due?);
        }
        self.dry = self.ready.len() < self.page;
        self.page = (self.page * 2).min(PAGE_MAX);
        if let Some(last) = self.ready.back() {
            self.behind = (last.ready, last.key);
        }
        Ok(())
    }
}
