//! A lawful "no": the command is not allowed in the state that the task is in. Nothing was changed.

use crate::id::{ExecutionId, TaskId};
use crate::schedule::ScheduleError;
use crate::scope::{LimitsError, Scope};
use crate::state::PhaseKind;
use crate::time::Timestamp;

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// There is no such task.
    #[error("there is no task {task:?}")]
    UnknownTask {
        /// The name as given.
        task: TaskId,
    },
    /// The task exists and the caller asked for a new one ([`OnConflict::Reject`](crate::command::OnConflict)).
    #[error(
        "task {task:?} exists already and is {phase}: take another id, or another `on_conflict` than Reject"
    )]
    AlreadyExists {
        /// Its name.
        task: TaskId,
        /// Where it stands.
        phase: PhaseKind,
    },
    /// The result comes from an execution that does not hold the task any more.
    #[error("execution {execution} does not hold task {task:?} any more: its result is not recorded")]
    StaleExecution {
        /// The task.
        task: TaskId,
        /// The execution whose result this is.
        execution: ExecutionId,
        /// The execution that holds the task now.
        current: Option<ExecutionId>,
    },
    /// The task cannot be claimed now.
    #[error("task {task:?} is not due at {now}: it is {phase}")]
    NotDue {
        /// The task.
        task: TaskId,
        /// Where it stands.
        phase: PhaseKind,
        /// The instant of the claim.
        now: Timestamp,
    },
    /// The task is due and cannot be claimed now: a limit is reached, or its type, its key or everything is paused.
    #[error("task {task:?} is held back at {now} by a limit or a pause")]
    HeldBack {
        /// The task.
        task: TaskId,
        /// The instant of the claim.
        now: Timestamp,
    },
    /// The task has ended, and this makes sense only for one that has not.
    #[error("task {task:?} is {phase}: schedule it again to let it run")]
    Ended {
        /// The task.
        task: TaskId,
        /// Where it stands.
        phase: PhaseKind,
    },
    /// The limits make no sense for the scope.
    #[error("the limits of {scope} cannot be changed: {error}")]
    Limits {
        /// Whose limits.
        scope: Scope,
        /// What is wrong with them.
        error: LimitsError,
    },
    /// The pause would end before it begins.
    #[error("a pause until {until} would be over at {now} already: give a later instant, or none")]
    PauseIsOver {
        /// When it would end.
        until: Timestamp,
        /// The instant of the command.
        now: Timestamp,
    },
    /// The task is paused, and this makes sense only for one that is not.
    #[error("task {task:?} is paused: resume it first")]
    Paused {
        /// The task.
        task: TaskId,
    },
    /// A task that is to be waited for does not exist (any more: retention takes old tasks away).
    #[error("task {task:?} cannot wait for {dependency:?}, which is not there: schedule that one first")]
    UnknownDependency {
        /// The task.
        task: TaskId,
        /// The one that it was to wait for.
        dependency: TaskId,
    },
    /// The tasks would wait for each other for ever.
    #[error(
        "task {task:?} cannot wait for {dependency:?}, which waits for {task:?} itself: leave one of them out"
    )]
    DependencyCircle {
        /// The task.
        task: TaskId,
        /// The one that it was to wait for.
        dependency: TaskId,
    },
    /// A task that recurs cannot wait for others.
    #[error(
        "task {task:?} recurs and cannot wait for others: let it run once, or let its handler schedule what comes after"
    )]
    RecurringAfter {
        /// The task.
        task: TaskId,
    },
    /// A task that runs cannot be made to wait for others.
    #[error(
        "task {task:?} runs now and cannot be made to wait for others: schedule it again once it has ended"
    )]
    RunsAlready {
        /// The task.
        task: TaskId,
    },
    /// The schedule makes no occurrence.
    #[error("task {task:?} cannot be scheduled: {error}")]
    Schedule {
        /// The task.
        task: TaskId,
        /// What is wrong with it.
        error: ScheduleError,
    },
}
