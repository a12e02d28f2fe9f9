//! What can go wrong between a program and its scheduler.

use std::error::Error;
use std::time::Duration;

use azoth_scheduler_core::dependency::AfterError;
use azoth_scheduler_core::execution::Success;
use azoth_scheduler_core::id::{GroupName, NameError, TaskId, TaskType};
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::ScheduleError;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::time::TimestampError;
use azoth_scheduler_store::{LogPosition, StoreError};

use crate::mark::{Permanent, RetryAfter, Snooze};
use crate::state::MissingState;

/// What the calls of this library return; the error is [`SchedulerError`] unless another one is named.
pub type Result<T, E = SchedulerError> = std::result::Result<T, E>;

/// Why a call was refused or failed.
///
/// Each message names the value, the limit and what to do, and never shows a payload. In a
/// [`BlockingTaskHandler`](crate::BlockingTaskHandler) and in `validate` it also carries the handler's own errors:
/// `?` turns text, JSON, I/O, number and UTF-8 errors and every boxed error into [`SchedulerError::Handler`];
/// `.map_err(SchedulerError::handler)` does so for all others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// What was to be scheduled makes no task. Nothing was changed.
    #[error("invalid task: {0}")]
    InvalidTask(#[from] RequestError),
    /// Nobody here runs tasks of this type. Nothing was changed.
    #[error(
        "there is no handler for task type {task_type:?}, known are {known:?}: register one by `with_task_handler`, or name the type by `with_remote_task_types` if another process runs it"
    )]
    HandlerNotFound {
        /// The type as given.
        task_type: TaskType,
        /// The types that are known here.
        known: Vec<TaskType>,
    },
    /// There is no such task.
    #[error("there is no task {task:?}: schedule it first")]
    TaskNotFound {
        /// The id as given.
        task: TaskId,
    },
    /// The state that the task is in does not allow this. Nothing was changed.
    #[error(transparent)]
    Rejected(Rejection),
    /// Two handlers answer to one task type.
    #[error("two handlers answer to task type {task_type:?}: rename one, or drop the alias")]
    DuplicateHandler {
        /// The type.
        task_type: TaskType,
    },
    /// Two event handlers share one name, so they would share one cursor.
    #[error("two event handlers are named {name:?}: each needs a name of its own, since its cursor bears it")]
    DuplicateEventHandler {
        /// The name.
        name: String,
    },
    /// A handler needs a value that was not registered.
    #[error("the handler of task type {task_type:?} cannot run: {missing}")]
    MissingState {
        /// The handler's type.
        task_type: TaskType,
        /// What is missing.
        missing: MissingState,
    },
    /// A name that breaks a rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A setting of the builder lies outside its range.
    #[error("{setting} is {value}, allowed are {allowed}: {remedy}")]
    InvalidSetting {
        /// The builder's method.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// This scheduler runs already.
    #[error(
        "this scheduler runs already: one `run` per scheduler is enough; build a second scheduler on the same store for a second worker"
    )]
    AlreadyRunning,
    /// The log lacks the events behind a position: they were removed since, or are lost.
    #[error(
        "the log goes on at {next} behind {after}, what stood between was removed: subscribe behind {}, and read the state of tasks anew",
        LogPosition::from_number(.next.number().saturating_sub(1))
    )]
    Gap {
        /// The last event that was handed out.
        after: LogPosition,
        /// The next one that there is.
        next: LogPosition,
    },
    /// `blocking()` was used on a thread that drives an async runtime, which it would block.
    #[error(
        "a blocking call inside an async runtime would block it: await the async method, or call it from `spawn_blocking`"
    )]
    BlockingInAsync,
    /// The operating system refused a thread or a runtime.
    #[error("{what} cannot be started: {source}")]
    System {
        /// What was to be started.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The execution has ended: nothing can be recorded with its success any more.
    #[error(
        "the execution has ended, so nothing can be scheduled, noted or kept with it any more: do so before the handler returns"
    )]
    ExecutionOver,
    /// What was to be kept for the next attempt is too large. Nothing was changed.
    #[error(
        "a checkpoint of {bytes} bytes is over the limit of {limit}: keep large content elsewhere and its name in the checkpoint"
    )]
    CheckpointTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A handler's own error.
    #[error(transparent)]
    Handler(Box<dyn Error + Send + Sync>),
    /// The store refused or failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

/// Why a request makes no task. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The id, the type or another name breaks a rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No task type was given.
    #[error("task {task:?} has no type: name its handler by `.task_type(..)`")]
    NoTaskType {
        /// The task.
        task: String,
    },
    /// No schedule was given.
    #[error(
        "task {task:?} has no schedule: give one of `.cron(..)`, `.interval(..)`, `.every(..)`, `.one_time(..)`, `.at(..)` and `.immediate()`"
    )]
    NoSchedule {
        /// The task.
        task: String,
    },
    /// Two schedules were given.
    #[error("task {task:?} has two schedules, {first} and {second}: keep one, or make two tasks of it")]
    TwoSchedules {
        /// The task.
        task: String,
        /// The first one.
        first: &'static str,
        /// The second one.
        second: &'static str,
    },
    /// Something was given that belongs to another kind of schedule.
    #[error("`.{option}(..)` belongs to {belongs_to}, but the schedule is {schedule}: drop it")]
    Misplaced {
        /// The builder's method.
        option: &'static str,
        /// The kind of schedule to which it belongs.
        belongs_to: &'static str,
        /// The schedule that was given.
        schedule: &'static str,
    },
    /// The schedule cannot be read or never fires.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// An instant outside the supported years.
    #[error("{option}: {error}")]
    Instant {
        /// The builder's method.
        option: &'static str,
        /// What is wrong with it.
        error: TimestampError,
    },
    /// A span of time outside its range.
    #[error("{option} of {span:?} lies outside {allowed}")]
    Span {
        /// The builder's method.
        option: &'static str,
        /// What was given.
        span: Duration,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A count of zero where at least one is needed.
    #[error("{option} of 0: give at least 1, or leave it out for no limit")]
    Zero {
        /// The builder's method.
        option: &'static str,
    },
    /// The payload is over the limit. It was neither copied nor stored.
    #[error(
        "a payload of {bytes} bytes is over the limit of {limit}: keep large content elsewhere and its name in the payload, or raise the limit by `with_max_payload_bytes`"
    )]
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The payload could not be written as JSON. The text names no content.
    #[error("the payload cannot be written as JSON: {problem}")]
    PayloadNotJson {
        /// What is wrong with it.
        problem: String,
    },
    /// So many tasks cannot be waited for.
    #[error(transparent)]
    After(#[from] AfterError),
    /// One execution schedules too much.
    #[error(
        "one execution cannot schedule {tasks} tasks with {bytes} bytes of payloads, at most {tasks_max} with {bytes_max}: schedule one that schedules the rest",
        tasks_max = Success::CHILDREN_MAX,
        bytes_max = CHILDREN_BYTES_MAX
    )]
    TooMuchScheduled {
        /// The tasks, the refused one included.
        tasks: usize,
        /// The bytes of their payloads.
        bytes: usize,
    },
    /// A declaration holds a task without an id, so it could not be found again.
    #[error(
        "group {group:?} declares a task of type {task_type:?} without an id: name it by `ScheduleTaskRequest::builder(..)`"
    )]
    DeclaredWithoutId {
        /// The group.
        group: GroupName,
        /// The task's type.
        task_type: TaskType,
    },
    /// A declaration holds two tasks of one id.
    #[error("group {group:?} declares task {task:?} twice: keep one, or rename the other")]
    DeclaredTwice {
        /// The group.
        group: GroupName,
        /// The id.
        task: TaskId,
    },
    /// A declaration says itself what becomes of tasks that exist.
    #[error(
        "group {group:?} declares task {task:?} with `.on_conflict(..)`: drop it, a declared task is redefined when it changes"
    )]
    DeclaredWithOnConflict {
        /// The group.
        group: GroupName,
        /// The task.
        task: TaskId,
    },
    /// The handler's `validate` refused the payload.
    #[error("the handler of {task_type:?} refuses the payload: {source}")]
    Refused {
        /// The handler's type.
        task_type: TaskType,
        /// What it said.
        source: Box<SchedulerError>,
    },
}

impl SchedulerError {
    /// A handler's own error, of whatever type: for `.map_err(SchedulerError::handler)`.
    pub fn handler(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Handler(error.into())
    }

    /// Whether what was asked for may have happened all the same. Repeating the call is safe, since the same wish
    /// changes nothing (with `OnConflict::Keep` not even for a task that has finished meanwhile).
    pub fn is_unknown(&self) -> bool {
        matches!(self, SchedulerError::Store(error) if error.is_unknown())
    }

    /// A refusal by the task's state, or the missing task that it names.
    pub(crate) fn rejected(rejection: Rejection) -> Self {
        match rejection {
            Rejection::UnknownTask { task } => Self::TaskNotFound { task },
            Rejection::Schedule { error, .. } => Self::InvalidTask(RequestError::Schedule(error)),
            other => Self::Rejected(other),
        }
    }

    /// The phase of the task that refused, where it was a task that did.
    pub fn phase(&self) -> Option<PhaseKind> {
        match self {
            Self::Rejected(
                Rejection::AlreadyExists { phase, .. }
                | Rejection::Ended { phase, .. }
                | Rejection::NotDue { phase, .. },
            ) => Some(*phase),
            _ => None,
        }
    }
}

impl From<ScheduleError> for SchedulerError {
    fn from(error: ScheduleError) -> Self {
        Self::InvalidTask(RequestError::Schedule(error))
    }
}

macro_rules! handler_errors {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for SchedulerError {
            fn from(error: $error) -> Self {
                Self::Handler(error.into())
            }
        }
    )*};
}

handler_errors![
    Box<dyn Error + Send + Sync>,
    Permanent,
    RetryAfter,
    Snooze,
    MissingState,
    String,
    &str,
    serde_json::Error,
    std::io::Error,
    std::num::ParseFloatError,
    std::num::ParseIntError,
    std::num::TryFromIntError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::time::SystemTimeError,
];

/// What one execution schedules may have so many bytes of payloads in all.
pub(crate) const CHILDREN_BYTES_MAX: usize = 16 * 1024 * 1024;
