//! Task handlers: the user's code that runs a task.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::retry::Backoff;
use azoth_scheduler_core::task::Priority;

use crate::context::TaskContext;
use crate::error::{Result, SchedulerError};
use crate::event::TaskEvent;
use crate::limits::Limits;
use crate::request::ScheduleTaskRequest;
use crate::state::{MissingState, StateMap};
use crate::task_error::{TaskError, TaskResult};

/// Runs the tasks of one type, on the async runtime.
///
/// It may be called for many tasks at once. What it awaits must not block the thread; for blocking work there is
/// [`BlockingTaskHandler`]. Only `task_type` and `execute` have to be written.
///
/// ```
/// use azoth_scheduler_runtime::{Result, TaskContext, TaskEvent, TaskHandler, TaskResult};
///
/// struct Greeter;
///
/// #[async_trait::async_trait]
/// impl TaskHandler for Greeter {
///     fn task_type(&self) -> &str {
///         "greet"
///     }
///
///     async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
///         let name: String = serde_json::from_slice(payload)?;
///         Ok(TaskEvent::json("greeted", &format!("{name}, attempt {}", ctx.attempt()))?)
///     }
///
///     fn validate(&self, payload: &[u8]) -> Result<()> {
///         serde_json::from_slice::<String>(payload)?;
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait TaskHandler: Send + Sync + 'static {
    /// The type of the tasks that this runs, 1 to 255 bytes. It is asked once, when the scheduler is built.
    fn task_type(&self) -> &str;

    /// Runs one task. It may run more than once for the same attempt's worth of work (a process can die between the
    /// work and its record), so its effects should bear repetition.
    ///
    /// # Errors
    /// Any error fails the attempt; see [`TaskError`] for what follows.
    async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult;

    /// Judges a payload before it is scheduled. By default every payload is good.
    ///
    /// # Errors
    /// Any error refuses the task; nothing is scheduled.
    fn validate(&self, payload: &[u8]) -> Result<()> {
        let _ = payload;
        Ok(())
    }

    /// Other types that this runs too, for example the name that the type bore earlier. By default none.
    fn aliases(&self) -> &[&str] {
        &[]
    }

    /// What its tasks do unless their request says otherwise. By default what the scheduler says.
    fn options(&self) -> TaskOptions {
        TaskOptions::new()
    }

    /// Tasks that are scheduled whenever a scheduler with this handler starts to run. By default none.
    ///
    /// # Errors
    /// Any error fails `build`.
    fn schedules(&self) -> Result<Vec<ScheduleTaskRequest>> {
        Ok(Vec::new())
    }

    /// Asks whether every value that it needs was registered, so that a missing one is an error of `build` and not of
    /// the first run at night. By default it needs none.
    ///
    /// # Errors
    /// [`MissingState`] names what is missing, as [`StateMap::require`] does.
    fn check_state(&self, states: &StateMap) -> Result<(), MissingState> {
        let _ = states;
        Ok(())
    }
}

/// Runs the tasks of one type, on a thread where it may block. Registered by `with_task_handler` like the async one.
///
/// Its error is [`SchedulerError`] unless another is named: `impl BlockingTaskHandler<anyhow::Error> for ..` returns
/// `anyhow::Result<TaskEvent>`, `impl BlockingTaskHandler<TaskError> for ..` a [`TaskResult`], into which every error
/// converts.
///
/// A thread cannot be stopped from outside. When its time is up or its task is cancelled, its outcome is recorded and
/// its late result never counts, but it keeps its slot until it returns: look at [`TaskContext::is_cancelled`].
///
/// ```
/// use azoth_scheduler_runtime::{BlockingTaskHandler, Result, TaskContext, TaskEvent};
///
/// struct Checksum;
///
/// impl BlockingTaskHandler for Checksum {
///     fn task_type(&self) -> &str {
///         "checksum"
///     }
///
///     fn execute(&self, _ctx: &TaskContext, payload: &[u8]) -> Result<TaskEvent> {
///         let path = std::str::from_utf8(payload)?;
///         let bytes = std::fs::read(path)?;
///         TaskEvent::new("checksum_computed", [bytes.iter().fold(0, |sum, byte| sum ^ byte)])
///     }
/// }
/// ```
pub trait BlockingTaskHandler<E: Into<TaskError> = SchedulerError>: Send + Sync + 'static {
    /// The type of the tasks that this runs; see [`TaskHandler::task_type`].
    fn task_type(&self) -> &str;

    /// Runs one task; see [`TaskHandler::execute`].
    ///
    /// # Errors
    /// Any error fails the attempt; see [`TaskError`] for what follows.
    fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> Result<TaskEvent, E>;

    /// Judges a payload before it is scheduled; see [`TaskHandler::validate`].
    ///
    /// # Errors
    /// Any error refuses the task; nothing is scheduled.
    fn validate(&self, payload: &[u8]) -> Result<()> {
        let _ = payload;
        Ok(())
    }

    /// Other types that this runs too; see [`TaskHandler::aliases`].
    fn aliases(&self) -> &[&str] {
        &[]
    }

    /// What its tasks do unless their request says otherwise; see [`TaskHandler::options`].
    fn options(&self) -> TaskOptions {
        TaskOptions::new()
    }

    /// Tasks that are scheduled whenever a scheduler with this handler starts; see [`TaskHandler::schedules`].
    ///
    /// # Errors
    /// Any error fails `build`.
    fn schedules(&self) -> Result<Vec<ScheduleTaskRequest>> {
        Ok(Vec::new())
    }

    /// Asks whether every value that it needs was registered; see [`TaskHandler::check_state`].
    ///
    /// # Errors
    /// [`MissingState`] names what is missing.
    fn check_state(&self, states: &StateMap) -> Result<(), MissingState> {
        let _ = states;
        Ok(())
    }
}

/// What a handler's tasks do unless their request says otherwise. What is left out is said by the scheduler.
///
/// ```
/// use std::time::Duration;
/// use azoth_scheduler_runtime::TaskOptions;
///
/// let options = TaskOptions::new().max_retries(5).timeout(Duration::from_secs(30));
/// assert_eq!(options.max_retries, Some(5));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct TaskOptions {
    /// Retries after the first attempt.
    pub max_retries: Option<u32>,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// The waits between attempts.
    pub backoff: Option<Backoff>,
    /// Which of several due tasks goes first.
    pub priority: Option<Priority>,
    /// How many of the type may run at once over all processes, and how often they may start.
    pub limits: Option<Limits>,
}

impl TaskOptions {
    /// Leaves all to the scheduler.
    pub fn new() -> Self {
        Self::default()
    }

    /// Retries after the first attempt; 0 for none.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// How long an attempt may take from its start, at least 1 ms.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Waits of `base`, twice that, four times that and so on, at most `cap`.
    pub fn backoff(self, base: Duration, cap: Duration) -> Self {
        self.backoff_policy(Backoff::doubling(base, cap))
    }

    /// The waits between attempts, in full.
    pub fn backoff_policy(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Which of several due tasks goes first.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// At most so many tasks of the type run at once, over all processes on the store; at least 1. What
    /// [`set_limits`](crate::Scheduler::set_limits) says of the type holds instead.
    pub fn concurrency(mut self, at_most: u32) -> Self {
        self.limits = Some(self.limits.unwrap_or_default().max_running(at_most));
        self
    }

    /// The limits of the type, in full, for all processes on the store. They are declared when a scheduler with this handler
    /// starts; of two that declare different ones the later holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }
}

#[async_trait]
impl<H: TaskHandler + ?Sized> TaskHandler for Arc<H> {
    fn task_type(&self) -> &str {
        (**self).task_type()
    }

    async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        (**self).execute(ctx, payload).await
    }

    fn validate(&self, payload: &[u8]) -> Result<()> {
        (**self).validate(payload)
    }

    fn aliases(&self) -> &[&str] {
        (**self).aliases()
    }

    fn options(&self) -> TaskOptions {
        (**self).options()
    }

    fn schedules(&self) -> Result<Vec<ScheduleTaskRequest>> {
        (**self).schedules()
    }

    fn check_state(&self, states: &StateMap) -> Result<(), MissingState> {
        (**self).check_state(states)
    }
}
