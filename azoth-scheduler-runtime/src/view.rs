//! What a user is shown of tasks and of the scheduler.

use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::headway::{Checkpoint, Headway, Reported, Share};
use azoth_scheduler_core::id::{ExecutionId, GroupName, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::retry::RetryPolicy;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::{Afterwards, PhaseKind, Running, TaskPhase, TaskState};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::unique::Unique;
use azoth_scheduler_store::{RecordedPayload, StoreStats, StoredTask};
use time::OffsetDateTime;

/// What scheduling a task came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleOutcome {
    /// The task; with a request without an id, the one that was made for it.
    pub task: TaskId,
    /// What it changed.
    pub change: ScheduleChange,
    /// When the task runs next, in UTC; `None` while it runs, and when it is paused or has ended.
    pub next_run_at: Option<OffsetDateTime>,
    /// Whether that had come already when this was answered: of an immediate task, and of a one-time task in the past, which
    /// runs at once.
    pub due_at_once: bool,
}

/// What scheduling a task changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleChange {
    /// The task is new, or was scheduled anew after it had ended.
    Created,
    /// The task goes on under another definition.
    Redefined,
    /// The same wish again: nothing was done, the task stays in this phase.
    Unchanged(PhaseKind),
    /// The idempotency key of the wish stands for another task, which is the one that the outcome names: nothing was done.
    Existing,
}

/// What cancelling, pausing, resuming or disabling a task came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// It is recorded.
    Recorded,
    /// It was so already: nothing was done, the task stays in this phase.
    Unchanged(PhaseKind),
}

/// A task as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its id.
    pub id: TaskId,
    /// Its type.
    pub task_type: TaskType,
    /// Where it stands.
    pub phase: PhaseKind,
    /// When it may be claimed next, in UTC; `None` while it runs, and when it is paused or has ended.
    pub next_run_at: Option<OffsetDateTime>,
    /// The instant for which the next or running attempt was asked for, in UTC; `None` when the task has ended.
    pub occurrence: Option<OffsetDateTime>,
    /// The number of the next or running attempt within its occurrence, from 1; `None` when the task has ended.
    pub attempt: Option<u32>,
    /// Attempts at the current occurrence that failed, timed out or panicked.
    pub failures: u32,
    /// Attempts at the current occurrence whose process died.
    pub losses: u32,
    /// Occurrences that were started since it was defined.
    pub runs: u32,
    /// The execution that holds it, if one does.
    pub running: Option<RunningInfo>,
    /// What an attempt at the current occurrence left for the next one.
    pub checkpoint: Option<CheckpointInfo>,
    /// Why it is paused, disabled or cancelled.
    pub reason: Option<String>,
    /// Since when it is paused or has ended, in UTC.
    pub since: Option<OffsetDateTime>,
    /// When it runs.
    pub schedule: Schedule,
    /// What follows a failure.
    pub retry: RetryPolicy,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// Which of several due tasks goes first.
    pub priority: Priority,
    /// The group with which it was declared, if it was.
    pub group: Option<GroupName>,
    /// The tasks that it waits for, those that have not succeeded yet.
    pub waits_for: Vec<TaskId>,
    /// The name by which the same wish again is known.
    pub unique: Option<Unique>,
    /// When it was first scheduled, in UTC.
    pub created_at: OffsetDateTime,
    /// When its definition was last changed, in UTC.
    pub defined_at: OffsetDateTime,
    payload: RecordedPayload,
}

/// The execution that holds a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningInfo {
    /// Its id.
    pub execution: ExecutionId,
    /// The worker that runs it.
    pub worker: WorkerId,
    /// When it was claimed, in UTC.
    pub claimed_at: OffsetDateTime,
    /// What is to happen when it ends.
    pub afterwards: Afterwards,
    /// How far it says that it has come, if it does.
    pub progress: Option<TaskProgress>,
}

/// How far an execution says that it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskProgress {
    /// What it says of it; may be empty.
    pub note: String,
    /// When that was recorded, in UTC.
    pub at: OffsetDateTime,
    done: Share,
}

impl TaskProgress {
    /// Which part of its work is done, 0 to 1, in steps of a hundredth of a percent.
    pub fn fraction(&self) -> f64 {
        self.done.fraction()
    }
}

/// What an attempt left for the next one. Its bytes are in the task's history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// How many bytes.
    pub bytes: u64,
    /// When it was saved, in UTC.
    pub at: OffsetDateTime,
}

/// How the scheduler and its store are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchedulerStats {
    /// Executions under way in this scheduler, those included whose end has yet to be recorded.
    pub slots_taken: usize,
    /// The most that may be, as `with_max_concurrent_tasks` said.
    pub slots_max: usize,
    /// Of those taken, the threads of blocking handlers that go on although their outcome is settled.
    pub slots_set_aside: usize,
    /// What the store says of itself.
    pub store: StoreStats,
}

impl ScheduleOutcome {
    /// Whether the task is new, or was scheduled anew after it had ended.
    pub fn is_created(&self) -> bool {
        self.change == ScheduleChange::Created
    }
}

impl TaskInfo {
    /// Whether the task still runs or will: it waits, runs or is paused.
    pub fn enabled(&self) -> bool {
        self.phase.is_live()
    }

    /// How far the execution that holds it says that it has come.
    pub fn progress(&self) -> Option<&TaskProgress> {
        self.running.as_ref().and_then(|running| running.progress.as_ref())
    }

    /// What its handler is given. Only [`Scheduler::get_task`](crate::Scheduler::get_task) reads it; `None` in listings,
    /// and once retention has dropped it.
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.bytes()
    }

    pub(crate) fn stored(task: StoredTask) -> Self {
        Self { payload: task.payload, ..Self::listed(task.state) }
    }

    pub(crate) fn listed(state: TaskState) -> Self {
        let standing = Standing::of(&state.phase);
        let definition = Arc::unwrap_or_clone(state.definition);
        Self {
            id: state.id,
            task_type: definition.task_type,
            phase: state.phase.kind(),
            next_run_at: state.phase.next_run_at(),
            occurrence: standing.occurrence,
            attempt: standing.attempt,
            failures: state.counts.failures,
            losses: state.counts.losses,
            runs: state.runs,
            reason: standing.reason,
            since: standing.since,
            schedule: definition.schedule,
            retry: definition.retry,
            timeout: Duration::from_millis(definition.timeout_ms.get()),
            priority: definition.priority,
            group: definition.group,
            waits_for: state.waits_for,
            checkpoint: state.checkpoint.map(CheckpointInfo::from),
            unique: definition.unique,
            created_at: state.created_at.into(),
            defined_at: state.defined_at.into(),
            payload: RecordedPayload::Absent,
            running: standing.running,
        }
    }
}

/// When a task may be claimed next.
pub(crate) trait NextRunAt {
    fn next_run_at(&self) -> Option<OffsetDateTime>;
}

impl NextRunAt for TaskPhase {
    fn next_run_at(&self) -> Option<OffsetDateTime> {
        if let TaskPhase::Waiting(work) = self { Some(work.run_at.into()) } else { None }
    }
}

/// What a phase says beyond its kind.
#[derive(Default)]
struct Standing {
    occurrence: Option<OffsetDateTime>,
    attempt: Option<u32>,
    running: Option<RunningInfo>,
    reason: Option<String>,
    since: Option<OffsetDateTime>,
}

impl Standing {
    fn of(phase: &TaskPhase) -> Self {
        let ended = |at: OffsetDateTime, reason| Self { since: Some(at), reason, ..Self::default() };
        match phase {
            TaskPhase::Waiting(work) | TaskPhase::Blocked(work) => Self {
                occurrence: Some(work.occurrence.into()),
                attempt: Some(work.attempt.get()),
                ..Self::default()
            },
            TaskPhase::Running(running) => Self {
                occurrence: Some(running.occurrence.into()),
                attempt: Some(running.attempt.get()),
                running: Some(RunningInfo::from(running)),
                ..Self::default()
            },
            TaskPhase::Paused { work, pause } => Self {
                occurrence: Some(work.occurrence.into()),
                attempt: Some(work.attempt.get()),
                reason: Some(pause.reason.to_string()),
                since: Some(pause.at.into()),
                running: None,
            },
            TaskPhase::Finished { at } => ended((*at).into(), None),
            TaskPhase::Disabled { at, because } => ended((*at).into(), Some(because.to_string())),
            TaskPhase::Cancelled { at, reason, .. } => ended((*at).into(), Some(reason.to_string())),
        }
    }
}

impl From<&Running> for RunningInfo {
    fn from(running: &Running) -> Self {
        Self {
            execution: running.execution,
            worker: running.worker,
            claimed_at: running.claimed_at.into(),
            afterwards: running.afterwards.clone(),
            progress: running.reported.as_ref().map(TaskProgress::from),
        }
    }
}

impl From<&Reported> for TaskProgress {
    fn from(reported: &Reported) -> Self {
        let Headway { done, note } = &reported.headway;
        Self { note: note.as_str().to_owned(), at: reported.at.into(), done: *done }
    }
}

impl From<Checkpoint> for CheckpointInfo {
    fn from(checkpoint: Checkpoint) -> Self {
        Self { bytes: checkpoint.payload.bytes, at: checkpoint.at.into() }
    }
}
