//! A task's row in `azoth_p_tasks`: plain columns for what is asked for often; the definition and the words of an
//! operator stay in the log, at positions that the row holds.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::{GroupName, TaskId};
use azoth_scheduler_core::schedule::Run;
use azoth_scheduler_core::state::{
    Afterwards, Counts, PhaseKind, Progress, Running, TaskPhase, TaskState, Work,
};
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params_from_iter};

use super::cell::{self, IdCell, filled};
use super::entry::{Entry, cancelling_in, disabled_in, disabling_in, pause_in};
use super::log;
use crate::error::StoreError;

/// The cells of a row, in the order of the columns. Two rows are the same when these are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cells {
    pub(super) key: i64,
    pub(super) id: String,
    type_key: i64,
    priority: i64,
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
    losses: i64,
    runs: i64,
    moved_at: i64,
    group: Option<String>,
}

/// All columns, in order.
pub(super) const COLUMNS: &str = "key, id, type, priority, phase, run_at_ms, occurrence_ms, attempt, execution, worker, \
     claimed_at_ms, superseded, afterwards, said, ended_at_ms, defined, last_position, created_at_ms, \
     defined_at_ms, decided_ms, backlog_next_ms, backlog_through_ms, buffered_ms, failures, losses, runs, \
     moved_at_ms, group_name";

const WRITE: &str = "INSERT INTO azoth_p_tasks (key, id, type, priority, phase, run_at_ms, occurrence_ms, attempt,
    execution, worker, claimed_at_ms, superseded, afterwards, said, ended_at_ms, defined, last_position,
    created_at_ms, defined_at_ms, decided_ms, backlog_next_ms, backlog_through_ms, buffered_ms, failures,
    losses, runs, moved_at_ms, group_name)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
    ?23, ?24, ?25, ?26, ?27, ?28)
  ON CONFLICT (key) DO UPDATE SET type = ?3, priority = ?4, phase = ?5, run_at_ms = ?6, occurrence_ms = ?7,
    attempt = ?8, execution = ?9, worker = ?10, claimed_at_ms = ?11, superseded = ?12, afterwards = ?13,
    said = ?14, ended_at_ms = ?15, defined = ?16, last_position = ?17, defined_at_ms = ?19, decided_ms = ?20,
    backlog_next_ms = ?21, backlog_through_ms = ?22, buffered_ms = ?23, failures = ?24, losses = ?25, runs = ?26,
    moved_at_ms = ?27, group_name = ?28";

pub(super) const PLACE: &str = "SELECT key, last_position FROM azoth_p_tasks WHERE id = ?1";

impl Cells {
    /// The cells of a task.
    pub(super) fn of(entry: &Entry) -> Self {
        let state = &entry.state;
        let progress = &state.progress;
        let mut cells = Cells {
            key: cell::int(entry.key),
            id: state.id.as_str().to_owned(),
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
            group: state.definition.group.as_ref().map(|group| group.as_str().to_owned()),
            ..Cells::default()
        };
        cells.fill_phase(&state.phase);
        cells
    }

    fn fill_phase(&mut self, phase: &TaskPhase) {
        match phase {
            TaskPhase::Waiting(work) | TaskPhase::Paused { work, .. } => {
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
        })
    }

    /// Writes the row, over the one with the same key.
    pub(super) fn write(&self, conn: &Connection) -> Result<(), StoreError> {
        let cells: [&dyn ToSql; 28] = [
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
        ];
        let rows = conn.prepare_cached(WRITE)?.execute(params_from_iter(cells))?;
        assert_eq!(rows, 1, "a task is one row");
        Ok(())
    }

    /// The task of these cells; reads its definition and words from the log.
    pub(super) fn entry(self, conn: &Connection) -> Result<Entry, StoreError> {
        let definition = definition_at(conn, cell::number(self.defined, "azoth_p_tasks.defined")?)?;
        self.entry_with(conn, definition)
    }

    fn entry_with(self, conn: &Connection, definition: Box<TaskDefinition>) -> Result<Entry, StoreError> {
        let id =
            TaskId::new(&self.id).map_err(|error| cell::corrupt(format!("azoth_p_tasks.id: {error}")))?;
        if priority_code(definition.priority) != self.priority {
            return Err(cell::unlawful("azoth_p_tasks.priority", self.priority));
        }
        if definition.group.as_ref().map(GroupName::as_str) != self.group.as_deref() {
            return Err(cell::corrupt("azoth_p_tasks.group_name is not the group of the definition"));
        }
        let said = self.said.map(|cell| cell::number(cell, "azoth_p_tasks.said")).transpose()?;
        let state = TaskState {
            id,
            definition,
            defined_at: cell::instant(self.defined_at, "azoth_p_tasks.defined_at_ms")?,
            created_at: cell::instant(self.created_at, "azoth_p_tasks.created_at_ms")?,
            phase: self.task_phase(conn, said)?,
            progress: self.progress()?,
            counts: Counts {
                failures: cell::small(self.failures, "azoth_p_tasks.failures")?,
                losses: cell::small(self.losses, "azoth_p_tasks.losses")?,
            },
            runs: cell::small(self.runs, "azoth_p_tasks.runs")?,
            moved_at: cell::instant(self.moved_at, "azoth_p_tasks.moved_at_ms")?,
        };
        Ok(Entry {
            key: cell::number(self.key, "azoth_p_tasks.key")?,
            type_key: cell::number(self.type_key, "azoth_p_tasks.type")?,
            defined: cell::number(self.defined, "azoth_p_tasks.defined")?,
            last: cell::number(self.last, "azoth_p_tasks.last_position")?,
            said,
            state,
        })
    }

    fn progress(&self) -> Result<Progress, StoreError> {
        let optional = |cell: Option<i64>, what| cell.map(|cell| cell::instant(cell, what)).transpose();
        let next = optional(self.backlog_next, "azoth_p_tasks.backlog_next_ms")?;
        let through = optional(self.backlog_through, "azoth_p_tasks.backlog_through_ms")?;
        Ok(Progress {
            decided_through: cell::instant(self.decided, "azoth_p_tasks.decided_ms")?,
            backlog: next.zip(through).map(|(next, through)| Run { next, through }),
            buffered: optional(self.buffered, "azoth_p_tasks.buffered_ms")?,
        })
    }

    fn task_phase(&self, conn: &Connection, said: Option<u64>) -> Result<TaskPhase, StoreError> {
        let ended_at = || cell::instant(filled(self.ended_at, "azoth_p_tasks.ended_at_ms")?, "ended_at_ms");
        Ok(match phase_of(self.phase)? {
            PhaseKind::Waiting => TaskPhase::Waiting(self.work()?),
            PhaseKind::Running => TaskPhase::Running(self.running(conn, said)?),
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

    fn running(&self, conn: &Connection, said: Option<u64>) -> Result<Running, StoreError> {
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

pub(super) fn by_id_sql() -> String {
    format!("SELECT {COLUMNS} FROM azoth_p_tasks WHERE id = ?1")
}

/// How many tasks there are.
pub(super) fn count(conn: &Connection) -> Result<u64, StoreError> {
    let count = conn.query_row("SELECT count(*) FROM azoth_p_tasks", [], |row| row.get(0))?;
    cell::number(count, "a count")
}

pub(super) fn by_key_sql() -> String {
    format!("SELECT {COLUMNS} FROM azoth_p_tasks WHERE key = ?1")
}

/// The task of this key, by the primary key.
pub(super) fn by_key(conn: &Connection, key: u64) -> Result<Option<Entry>, StoreError> {
    let mut statement = conn.prepare_cached(&by_key_sql())?;
    let cells = statement.query_row([cell::int(key)], Cells::read).optional()?;
    cells.map(|cells| cells.entry(conn)).transpose()
}

/// The task of this id, by the unique index of `id`.
pub(super) fn by_id(conn: &Connection, id: &TaskId) -> Result<Option<Entry>, StoreError> {
    let cells = conn.prepare_cached(&by_id_sql())?.query_row([id.as_str()], Cells::read).optional()?;
    cells.map(|cells| cells.entry(conn)).transpose()
}

/// The key and the newest position of the task of this id, by the unique index of `id`.
pub(super) fn place_of(conn: &Connection, id: &TaskId) -> Result<Option<(u64, u64)>, StoreError> {
    let place = conn.prepare_cached(PLACE)?.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((key, last)) = place.optional()? else { return Ok(None) };
    Ok(Some((cell::number(key, "azoth_p_tasks.key")?, cell::number(last, "azoth_p_tasks.last_position")?)))
}

/// The definition in the `TaskScheduled` at this position.
pub(super) fn definition_at(conn: &Connection, position: u64) -> Result<Box<TaskDefinition>, StoreError> {
    let event = log::row_known_at(conn, position)?.event()?;
    let name = event.name();
    if let Event::TaskScheduled { definition, .. } = event {
        return Ok(definition);
    }
    Err(cell::corrupt(format!("event {position} should define a task and is a {name}")))
}

fn words<T>(
    conn: &Connection,
    said: Option<u64>,
    pick: impl Fn(Event, Timestamp) -> Option<T>,
) -> Result<T, StoreError> {
    let position = filled(said, "azoth_p_tasks.said")?;
    let row = log::row_known_at(conn, position)?;
    let event = row.event()?;
    let name = event.name();
    pick(event, row.at).ok_or_else(|| {
        cell::corrupt(format!("event {position} should say why a task rests or ended, and is a {name}"))
    })
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

fn afterwards_code(afterwards: &Afterwards) -> i64 {
    match afterwards {
        Afterwards::GoOn => GO_ON,
        Afterwards::Pause(_) => PAUSE,
        Afterwards::Disable { .. } => DISABLE,
    }
}

const GO_ON: i64 = 0;
const PAUSE: i64 = 1;
const DISABLE: i64 = 2;
