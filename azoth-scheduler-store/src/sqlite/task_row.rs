//! A task's row in `azoth_p_tasks`: plain columns for what is asked for often; the definition and the words of an
//! operator stay in the log, at positions that the row holds.

use std::sync::{Arc, LazyLock};

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::{ConcurrencyKey, GroupName, IdempotencyKey, TaskId};
use azoth_scheduler_core::schedule::Run;
use azoth_scheduler_core::state::{
    Afterwards, Counts, PhaseKind, Progress, Running, TaskPhase, TaskState, Work,
};
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::trace::TraceParent;
use rusqlite::{Connection, OptionalExtension};

use super::cell::{self, filled};
use super::entry::{Entry, cancelling_in, checkpoint_in, disabled_in, disabling_in, pause_in, reported_in};
use super::tables::Tables;
pub(super) use super::task_cells::{COLUMNS, Cells, IdText, WIDTH, phase_code, phase_of, priority_code};
use super::task_cells::{DISABLE, GO_ON, PAUSE};
use super::{log, wait_row};
use crate::error::StoreError;

static BY_KEY: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {COLUMNS} FROM azoth_p_tasks WHERE key = ?1"));
/// One seek in `azoth_p_unique`.
pub(super) const NEWEST_WITH_KEY: &str = "SELECT id FROM azoth_p_tasks INDEXED BY azoth_p_unique
    WHERE unique_key = ?1 ORDER BY defined DESC LIMIT 1";

/// One seek in the unique index of `id`, which holds the key too: for a task that is not there nothing else is read.
pub(super) const KEY: &str = "SELECT key FROM azoth_p_tasks WHERE id = ?1";

pub(super) const PLACE: &str = "SELECT key, last_position FROM azoth_p_tasks WHERE id = ?1";

impl Cells {
    /// The task of these cells; reads its definition and words from the log.
    pub(super) fn entry(&self, tables: &dyn Tables) -> Result<Entry, StoreError> {
        let defined = cell::number(self.defined, "azoth_p_tasks.defined")?;
        self.defined_as(defined_at(tables.conn(), defined)?, tables)
    }

    /// The same, where its definition is at hand.
    pub(super) fn defined_as(
        &self,
        (definition, trace): Defined,
        tables: &dyn Tables,
    ) -> Result<Entry, StoreError> {
        let conn = tables.conn();
        if priority_code(definition.priority) != self.priority {
            return Err(cell::unlawful("azoth_p_tasks.priority", self.priority));
        }
        if definition.group.as_ref().map(GroupName::as_str) != self.group.as_deref() {
            return Err(cell::corrupt("azoth_p_tasks.group_name is not the group of the definition"));
        }
        if definition.concurrency_key.as_ref().map(ConcurrencyKey::as_str) != self.concurrency_key.as_deref()
        {
            return Err(cell::corrupt("azoth_p_tasks.concurrency_key is not the key of the definition"));
        }
        let key = definition.unique.as_ref().map(|unique| unique.key.as_str());
        if key != self.unique.as_deref() {
            return Err(cell::corrupt("azoth_p_tasks.unique_key is not the key of the definition"));
        }
        let position = |cell: Option<i64>, what| cell.map(|cell| cell::number(cell, what)).transpose();
        let said = position(self.said, "azoth_p_tasks.said")?;
        let reported = position(self.reported, "azoth_p_tasks.reported")?;
        let checkpoint = position(self.checkpoint, "azoth_p_tasks.checkpoint")?;
        let state = TaskState {
            id: self.id.id().clone(),
            definition,
            defined_at: cell::instant(self.defined_at, "azoth_p_tasks.defined_at_ms")?,
            created_at: cell::instant(self.created_at, "azoth_p_tasks.created_at_ms")?,
            phase: self.task_phase(conn, said, reported)?,
            progress: self.progress()?,
            counts: Counts {
                failures: cell::small(self.failures, "azoth_p_tasks.failures")?,
                losses: cell::small(self.losses, "azoth_p_tasks.losses")?,
            },
            runs: cell::small(self.runs, "azoth_p_tasks.runs")?,
            moved_at: cell::instant(self.moved_at, "azoth_p_tasks.moved_at_ms")?,
            waits_for: self.waits_for(tables, wait_row::WAITS)?,
            checkpoint: checkpoint
                .map(|at| told(conn, at, "hold a checkpoint", checkpoint_in))
                .transpose()?,
            off_schedule: optional(self.off_schedule, "azoth_p_tasks.off_schedule_ms")?,
            trace,
        };
        Ok(Entry {
            key: cell::number(self.key, "azoth_p_tasks.key")?,
            type_key: cell::number(self.type_key, "azoth_p_tasks.type")?,
            defined: cell::number(self.defined, "azoth_p_tasks.defined")?,
            last: cell::number(self.last, "azoth_p_tasks.last_position")?,
            said,
            reported,
            checkpoint,
            state,
        })
    }

    fn progress(&self) -> Result<Progress, StoreError> {
        let next = optional(self.backlog_next, "azoth_p_tasks.backlog_next_ms")?;
        let through = optional(self.backlog_through, "azoth_p_tasks.backlog_through_ms")?;
        Ok(Progress {
            decided_through: cell::instant(self.decided, "azoth_p_tasks.decided_ms")?,
            backlog: next.zip(through).map(|(next, through)| Run { next, through }),
            buffered: optional(self.buffered, "azoth_p_tasks.buffered_ms")?,
        })
    }

    fn task_phase(
        &self,
        conn: &Connection,
        said: Option<u64>,
        reported: Option<u64>,
    ) -> Result<TaskPhase, StoreError> {
        let ended_at = || cell::instant(filled(self.ended_at, "azoth_p_tasks.ended_at_ms")?, "ended_at_ms");
        Ok(match phase_of(self.phase)? {
            PhaseKind::Waiting => TaskPhase::Waiting(self.work()?),
            PhaseKind::Blocked => TaskPhase::Blocked(self.work()?),
            PhaseKind::Running => TaskPhase::Running(self.running(conn, said, reported)?),
            PhaseKind::Paused => {
                let pause = words(conn, said, pause_in)?;
                TaskPhase::Paused { work: self.work()?, pause }
            }
            PhaseKind::Finished => TaskPhase::Finished { at: ended_at()? },
            PhaseKind::Disabled => {
                let because = words(conn, said, |event, _| disabled_in(event))?;
                TaskPhase::Disabled { at: ended_at()?, because }
            }
            PhaseKind::Cancelled => {
                let (by, reason) = words(conn, said, |event, _| cancelling_in(event))?;
                TaskPhase::Cancelled { at: ended_at()?, reason, by }
            }
        })
    }

    /// Only what is blocked, or was when it was paused, waits for others.
    fn waits_for(&self, tables: &dyn Tables, sql: &str) -> Result<Vec<TaskId>, StoreError> {
        match phase_of(self.phase)? {
            PhaseKind::Blocked | PhaseKind::Paused => wait_row::waits(tables, sql, self.key),
            PhaseKind::Waiting
            | PhaseKind::Running
            | PhaseKind::Finished
            | PhaseKind::Disabled
            | PhaseKind::Cancelled => Ok(Vec::new()),
        }
    }

    fn work(&self) -> Result<Work, StoreError> {
        Ok(Work {
            occurrence: self.occurrence()?,
            attempt: self.attempt()?,
            run_at: cell::instant(
                filled(self.run_at, "azoth_p_tasks.run_at_ms")?,
                "azoth_p_tasks.run_at_ms",
            )?,
        })
    }

    fn running(
        &self,
        conn: &Connection,
        said: Option<u64>,
        reported: Option<u64>,
    ) -> Result<Running, StoreError> {
        let claimed_at = filled(self.claimed_at, "azoth_p_tasks.claimed_at_ms")?;
        let afterwards = match filled(self.afterwards, "azoth_p_tasks.afterwards")? {
            GO_ON => Afterwards::GoOn,
            PAUSE => Afterwards::Pause(words(conn, said, pause_in)?),
            DISABLE => words(conn, said, |event, _| disabling_in(event))?,
            other => return Err(cell::unlawful("azoth_p_tasks.afterwards", other)),
        };
        Ok(Running {
            execution: cell::execution(filled(self.execution, "azoth_p_tasks.execution")?),
            worker: cell::worker(filled(self.worker, "azoth_p_tasks.worker")?),
            claimed_at: cell::instant(claimed_at, "azoth_p_tasks.claimed_at_ms")?,
            occurrence: self.occurrence()?,
            attempt: self.attempt()?,
            superseded: filled(self.superseded, "azoth_p_tasks.superseded")? != 0,
            afterwards,
            reported: reported.map(|at| told(conn, at, "tell of progress", reported_in)).transpose()?,
        })
    }

    fn occurrence(&self) -> Result<Timestamp, StoreError> {
        let cell = filled(self.occurrence, "azoth_p_tasks.occurrence_ms")?;
        cell::instant(cell, "azoth_p_tasks.occurrence_ms")
    }

    fn attempt(&self) -> Result<std::num::NonZeroU32, StoreError> {
        let cell = filled(self.attempt, "azoth_p_tasks.attempt")?;
        let attempt = cell::small(cell, "azoth_p_tasks.attempt")?;
        attempt.try_into().map_err(|_| cell::unlawful("azoth_p_tasks.attempt", cell))
    }
}

fn optional(cell: Option<i64>, what: &'static str) -> Result<Option<Timestamp>, StoreError> {
    cell.map(|cell| cell::instant(cell, what)).transpose()
}

/// The task of this key as the snapshot has it that the log begins with.
pub(super) fn in_snapshot(conn: &Connection, key: u64) -> Result<Option<Entry>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM azoth_s_tasks WHERE key = ?1");
    let cells = conn.prepare_cached(&sql)?.query_row([cell::int(key)], Cells::read).optional()?;
    let Some(cells) = cells else { return Ok(None) };
    let waits_for = cells.waits_for(conn, wait_row::WAITS_IN_SNAPSHOT)?;
    let mut entry = cells.entry(conn)?;
    entry.state.waits_for = waits_for;
    Ok(Some(entry))
}

/// How many tasks there are.
pub(super) fn count(conn: &Connection) -> Result<u64, StoreError> {
    let count = conn.query_row("SELECT count(*) FROM azoth_p_tasks", [], |row| row.get(0))?;
    cell::number(count, "a count")
}

pub(super) fn by_key_sql() -> &'static str {
    &BY_KEY
}

/// The task of this key, by the primary key.
pub(super) fn by_key(tables: &dyn Tables, key: u64) -> Result<Option<Entry>, StoreError> {
    let cells = tables.derived(by_key_sql())?.query_row([cell::int(key)], Cells::read).optional()?;
    cells.map(|cells| cells.entry(tables)).transpose()
}

/// The task of this id, by the unique index of `id`.
pub(super) fn by_id(tables: &dyn Tables, id: &TaskId) -> Result<Option<Entry>, StoreError> {
    let key: Option<i64> = tables.derived(KEY)?.query_row([id.as_str()], |row| row.get(0)).optional()?;
    let Some(key) = key else { return Ok(None) };
    by_key(tables, cell::number(key, "azoth_p_tasks.key")?)
}

/// The task that was last defined with this idempotency key.
pub(super) fn newest_with_key(conn: &Connection, key: &IdempotencyKey) -> Result<Option<TaskId>, StoreError> {
    let mut statement = conn.prepare_cached(NEWEST_WITH_KEY)?;
    let id: Option<String> = statement.query_row([key.as_str()], |row| row.get(0)).optional()?;
    id.map(|id| TaskId::new(id).map_err(|error| cell::corrupt(format!("azoth_p_tasks.id: {error}"))))
        .transpose()
}

/// The key and the newest position of the task of this id, by the unique index of `id`.
pub(super) fn place_of(tables: &dyn Tables, id: &TaskId) -> Result<Option<(u64, u64)>, StoreError> {
    let place = tables.derived(PLACE)?.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((key, last)) = place.optional()? else { return Ok(None) };
    Ok(Some((cell::number(key, "azoth_p_tasks.key")?, cell::number(last, "azoth_p_tasks.last_position")?)))
}

/// A definition, and where in a trace it was made.
pub(super) type Defined = (Arc<TaskDefinition>, Option<TraceParent>);

/// What the `TaskScheduled` at this position defines.
pub(super) fn defined_at(conn: &Connection, position: u64) -> Result<Defined, StoreError> {
    let event = log::row_known_at(conn, position)?.event()?;
    let name = event.name();
    if let Event::TaskScheduled { definition, trace, .. } = event {
        return Ok((definition, trace));
    }
    Err(cell::corrupt(format!("event {position} should define a task and is a {name}")))
}

fn words<T>(
    conn: &Connection,
    said: Option<u64>,
    pick: impl Fn(Event, Timestamp) -> Option<T>,
) -> Result<T, StoreError> {
    let position = filled(said, "azoth_p_tasks.said")?;
    told(conn, position, "say why a task rests or ended", pick)
}

/// What the event at this position, which should do this, tells.
fn told<T>(
    conn: &Connection,
    position: u64,
    what: &str,
    pick: impl Fn(Event, Timestamp) -> Option<T>,
) -> Result<T, StoreError> {
    let row = log::row_known_at(conn, position)?;
    let event = row.event()?;
    let name = event.name();
    pick(event, row.at)
        .ok_or_else(|| cell::corrupt(format!("event {position} should {what}, and is a {name}")))
}
