//! A task's row in `azoth_p_tasks`: plain columns for what is asked for often; the definition and the words of an
//! operator stay in the log, at positions that the row holds.

use std::sync::{Arc, LazyLock};

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::{ConcurrencyKey, GroupName, IdempotencyKey, TaskId};
use azoth_scheduler_core::schedule::Run;
use azoth_scheduler_core::scope::Line;
use azoth_scheduler_core::state::{
    Afterwards, Counts, PhaseKind, Progress, Running, TaskPhase, TaskState, Work,
};
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::trace::TraceParent;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use super::cell::{self, IdCell, filled};
use super::entry::{Entry, cancelling_in, checkpoint_in, disabled_in, disabling_in, pause_in, reported_in};
use super::tables::Tables;
use super::{log, wait_row};
use crate::error::StoreError;

/// The cells of a row, in the order of the columns. Two rows are the same when these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cells {
    pub(super) key: i64,
    pub(super) id: IdText,
    pub(super) type_key: i64,
    pub(super) priority: i64,
    phase: i64,
    run_at: Option<i64>,
    occurrence: Option<i64>,
    attempt: Option<i64>,
    execution: Option<IdCell>,
    worker: Option<IdCell>,
    claimed_at: Option<i64>,
    superseded: Option<i64>,
    afterwards: Option<i64>,
    said: Option<i64>,
    ended_at: Option<i64>,
    pub(super) defined: i64,
    last: i64,
    created_at: i64,
    defined_at: i64,
    decided: i64,
    backlog_next: Option<i64>,
    backlog_through: Option<i64>,
    buffered: Option<i64>,
    failures: i64,
    pub(super) losses: i64,
    runs: i64,
    moved_at: i64,
    group: Option<Arc<str>>,
    pub(super) concurrency_key: Option<Arc<str>>,
    /// Where it stands in the line of its key.
    line: Option<i64>,
    pub(super) paused_until: Option<i64>,
    /// From when it may be claimed; of a task with a key only its line knows.
    pub(super) ready: Option<i64>,
    unique: Option<Arc<str>>,
    off_schedule: Option<i64>,
    reported: Option<i64>,
    checkpoint: Option<i64>,
}

/// The id of a task as a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdText(TaskId);

impl IdText {
    pub(super) fn id(&self) -> &TaskId {
        &self.0
    }

    pub(super) fn into_id(self) -> TaskId {
        self.0
    }
}

impl ToSql for IdText {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_str().into())
    }
}

impl FromSql for IdText {
    fn column_result(cell: ValueRef<'_>) -> FromSqlResult<Self> {
        let unlawful = |error| FromSqlError::Other(format!("azoth_p_tasks.id: {error}").into());
        TaskId::new(cell.as_str()?).map(Self).map_err(unlawful)
    }
}

/// All columns, in order.
pub(super) const COLUMNS: &str = "key, id, type, priority, phase, run_at_ms, occurrence_ms, attempt, execution, worker, \
     claimed_at_ms, superseded, afterwards, said, ended_at_ms, defined, last_position, created_at_ms, \
     defined_at_ms, decided_ms, backlog_next_ms, backlog_through_ms, buffered_ms, failures, losses, runs, \
     moved_at_ms, group_name, concurrency_key, line, paused_until_ms, ready_ms, unique_key, off_schedule_ms, reported, \
     checkpoint";

static BY_KEY: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {COLUMNS} FROM azoth_p_tasks WHERE key = ?1"));
pub(super) const WIDTH: usize = 36;
/// One seek in `azoth_p_unique`.
pub(super) const NEWEST_WITH_KEY: &str = "SELECT id FROM azoth_p_tasks INDEXED BY azoth_p_unique
    WHERE unique_key = ?1 ORDER BY defined DESC LIMIT 1";

/// One seek in the unique index of `id`, which holds the key too: for a task that is not there nothing else is read.
pub(super) const KEY: &str = "SELECT key FROM azoth_p_tasks WHERE id = ?1";

pub(super) const PLACE: &str = "SELECT key, last_position FROM azoth_p_tasks WHERE id = ?1";

impl Cells {
    /// The cells of a task.
    pub(super) fn of(entry: &Entry) -> Self {
        let state = &entry.state;
        let progress = &state.progress;
        let mut cells = Cells {
            key: cell::int(entry.key),
            id: IdText(state.id.clone()),
            type_key: cell::int(entry.type_key),
            priority: priority_code(state.definition.priority),
            phase: phase_code(state.phase.kind()),
            said: entry.said.map(cell::int),
            defined: cell::int(entry.defined),
            last: cell::int(entry.last),
            created_at: state.created_at.unix_ms(),
            defined_at: state.defined_at.unix_ms(),
            decided: progress.decided_through.unix_ms(),
            backlog_next: progress.backlog.map(|run| run.next.unix_ms()),
            backlog_through: progress.backlog.map(|run| run.through.unix_ms()),
            buffered: progress.buffered.map(Timestamp::unix_ms),
            failures: i64::from(state.counts.failures),
            losses: i64::from(state.counts.losses),
            runs: i64::from(state.runs),
            moved_at: state.moved_at.unix_ms(),
            group: state.definition.group.as_ref().map(|group| group.as_str().into()),
            concurrency_key: state.definition.concurrency_key.as_ref().map(|key| key.as_str().into()),
            line: Line::of(state).map(line_code),
            unique: state.definition.unique.as_ref().map(|unique| unique.key.as_str().into()),
            off_schedule: state.off_schedule.map(Timestamp::unix_ms),
            reported: entry.reported.map(cell::int),
            checkpoint: entry.checkpoint.map(cell::int),
            run_at: None,
            occurrence: None,
            attempt: None,
            execution: None,
            worker: None,
            claimed_at: None,
            superseded: None,
            afterwards: None,
            ended_at: None,
            paused_until: None,
            ready: None,
        };
        cells.fill_phase(&state.phase);
        cells.ready = cells.run_at.filter(|_| cells.phase == WAITING && cells.concurrency_key.is_none());
        cells
    }

    fn fill_phase(&mut self, phase: &TaskPhase) {
        match phase {
            TaskPhase::Waiting(work) | TaskPhase::Blocked(work) | TaskPhase::Paused { work, .. } => {
                if let TaskPhase::Paused { pause, .. } = phase {
                    self.paused_until = pause.until.map(Timestamp::unix_ms);
                }
                self.run_at = Some(work.run_at.unix_ms());
                self.occurrence = Some(work.occurrence.unix_ms());
                self.attempt = Some(i64::from(work.attempt.get()));
            }
            TaskPhase::Running(running) => {
                self.occurrence = Some(running.occurrence.unix_ms());
                self.attempt = Some(i64::from(running.attempt.get()));
                self.execution = Some(cell::execution_cell(running.execution));
                self.worker = Some(cell::worker_cell(running.worker));
                self.claimed_at = Some(running.claimed_at.unix_ms());
                self.superseded = Some(i64::from(running.superseded));
                self.afterwards = Some(afterwards_code(&running.afterwards));
            }
            TaskPhase::Finished { at } | TaskPhase::Disabled { at, .. } | TaskPhase::Cancelled { at, .. } => {
                self.ended_at = Some(at.unix_ms());
            }
        }
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Cells {
            key: row.get(0)?,
            id: row.get(1)?,
            type_key: row.get(2)?,
            priority: row.get(3)?,
            phase: row.get(4)?,
            run_at: row.get(5)?,
            occurrence: row.get(6)?,
            attempt: row.get(7)?,
            execution: row.get(8)?,
            worker: row.get(9)?,
            claimed_at: row.get(10)?,
            superseded: row.get(11)?,
            afterwards: row.get(12)?,
            said: row.get(13)?,
            ended_at: row.get(14)?,
            defined: row.get(15)?,
            last: row.get(16)?,
            created_at: row.get(17)?,
            defined_at: row.get(18)?,
            decided: row.get(19)?,
            backlog_next: row.get(20)?,
            backlog_through: row.get(21)?,
            buffered: row.get(22)?,
            failures: row.get(23)?,
            losses: row.get(24)?,
            runs: row.get(25)?,
            moved_at: row.get(26)?,
            group: row.get(27)?,
            concurrency_key: row.get(28)?,
            line: row.get(29)?,
            paused_until: row.get(30)?,
            ready: row.get(31)?,
            unique: row.get(32)?,
            off_schedule: row.get(33)?,
            reported: row.get(34)?,
            checkpoint: row.get(35)?,
        })
    }

    /// The cells in the order of the columns, as the engine takes them.
    pub(super) fn values(&self) -> [&dyn ToSql; WIDTH] {
        [
            &self.key,
            &self.id,
            &self.type_key,
            &self.priority,
            &self.phase,
            &self.run_at,
            &self.occurrence,
            &self.attempt,
            &self.execution,
            &self.worker,
            &self.claimed_at,
            &self.superseded,
            &self.afterwards,
            &self.said,
            &self.ended_at,
            &self.defined,
            &self.last,
            &self.created_at,
            &self.defined_at,
            &self.decided,
            &self.backlog_next,
            &self.backlog_through,
            &self.buffered,
            &self.failures,
            &self.losses,
            &self.runs,
            &self.moved_at,
            &self.group,
            &self.concurrency_key,
            &self.line,
            &self.paused_until,
            &self.ready,
            &self.unique,
            &self.off_schedule,
            &self.reported,
            &self.checkpoint,
        ]
    }

    /// Which cells differ, a bit for each in the order of the columns.
    pub(super) fn differing(&self, other: &Cells) -> u64 {
        let differs: [bool; WIDTH] = [
            self.key != other.key,
            self.id != other.id,
            self.type_key != other.type_key,
            self.priority != other.priority,
            self.phase != other.phase,
            self.run_at != other.run_at,
            self.occurrence != other.occurrence,
            self.attempt != other.attempt,
            self.execution != other.execution,
            self.worker != other.worker,
            self.claimed_at != other.claimed_at,
            self.superseded != other.superseded,
            self.afterwards != other.afterwards,
            self.said != other.said,
            self.ended_at != other.ended_at,
            self.defined != other.defined,
            self.last != other.last,
            self.created_at != other.created_at,
            self.defined_at != other.defined_at,
            self.decided != other.decided,
            self.backlog_next != other.backlog_next,
            self.backlog_through != other.backlog_through,
            self.buffered != other.buffered,
            self.failures != other.failures,
            self.losses != other.losses,
            self.runs != other.runs,
            self.moved_at != other.moved_at,
            self.group != other.group,
            self.concurrency_key != other.concurrency_key,
            self.line != other.line,
            self.paused_until != other.paused_until,
            // Whoever stands in a line, or has left one, has been let out of it by the line.
            self.ready != other.ready || self.concurrency_key.is_some() || other.concurrency_key.is_some(),
            self.unique != other.unique,
            self.off_schedule != other.off_schedule,
            self.reported != other.reported,
            self.checkpoint != other.checkpoint,
        ];
        differs.iter().enumerate().fold(0, |bits, (at, differs)| bits | (u64::from(*differs) << at))
    }

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
            id: self.id.0.clone(),
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

/// The code of a phase, as column `phase` holds it.
pub(super) fn phase_code(kind: PhaseKind) -> i64 {
    match kind {
        PhaseKind::Waiting => 0,
        PhaseKind::Running => 1,
        PhaseKind::Paused => 2,
        PhaseKind::Finished => 3,
        PhaseKind::Disabled => 4,
        PhaseKind::Cancelled => 5,
        PhaseKind::Blocked => 6,
    }
}

/// The phase with this code.
pub(super) fn phase_of(code: i64) -> Result<PhaseKind, StoreError> {
    let kind = PhaseKind::ALL.into_iter().find(|kind| phase_code(*kind) == code);
    kind.ok_or_else(|| cell::unlawful("azoth_p_tasks.phase", code))
}

/// The code of a priority, as column `priority` holds it: the lower one goes first.
pub(super) fn priority_code(priority: Priority) -> i64 {
    match priority {
        Priority::Critical => 0,
        Priority::High => 1,
        Priority::Normal => 2,
        Priority::Low => 3,
    }
}

fn line_code(line: Line) -> i64 {
    match line {
        Line::Running => 0,
        Line::BetweenAttempts => 1,
        Line::Waiting => 2,
    }
}

fn afterwards_code(afterwards: &Afterwards) -> i64 {
    match afterwards {
        Afterwards::GoOn => GO_ON,
        Afterwards::Pause(_) => PAUSE,
        Afterwards::Disable { .. } => DISABLE,
    }
}

/// As [`phase_code`] gives it.
const WAITING: i64 = 0;
const GO_ON: i64 = 0;
const PAUSE: i64 = 1;
const DISABLE: i64 = 2;
