//! The cells of a task's row in `azoth_p_tasks`: what its state is as columns, and which codes stand in them.

use std::sync::Arc;

use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::scope::Line;
use azoth_scheduler_core::state::{Afterwards, PhaseKind, TaskPhase};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use super::cell::{self, IdCell};
use super::entry::Entry;
use crate::error::StoreError;

/// The cells of a row, in the order of the columns. Two rows are the same when these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cells {
    pub(super) key: i64,
    pub(super) id: IdText,
    pub(super) type_key: i64,
    pub(super) priority: i64,
    pub(super) phase: i64,
    pub(super) run_at: Option<i64>,
    pub(super) occurrence: Option<i64>,
    pub(super) attempt: Option<i64>,
    pub(super) execution: Option<IdCell>,
    pub(super) worker: Option<IdCell>,
    pub(super) claimed_at: Option<i64>,
    pub(super) superseded: Option<i64>,
    pub(super) afterwards: Option<i64>,
    pub(super) said: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) defined: i64,
    pub(super) last: i64,
    pub(super) created_at: i64,
    pub(super) defined_at: i64,
    pub(super) decided: i64,
    pub(super) backlog_next: Option<i64>,
    pub(super) backlog_through: Option<i64>,
    pub(super) buffered: Option<i64>,
    pub(super) failures: i64,
    pub(super) losses: i64,
    pub(super) runs: i64,
    pub(super) moved_at: i64,
    pub(super) group: Option<Arc<str>>,
    pub(super) concurrency_key: Option<Arc<str>>,
    /// Where it stands in the line of its key.
    pub(super) line: Option<i64>,
    pub(super) paused_until: Option<i64>,
    /// From when it may be claimed; of a task with a key only its line knows.
    pub(super) ready: Option<i64>,
    pub(super) unique: Option<Arc<str>>,
    pub(super) off_schedule: Option<i64>,
    pub(super) reported: Option<i64>,
    pub(super) checkpoint: Option<i64>,
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

/// So many are they.
pub(super) const WIDTH: usize = 36;

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
pub(super) const GO_ON: i64 = 0;
pub(super) const PAUSE: i64 = 1;
pub(super) const DISABLE: i64 = 2;
