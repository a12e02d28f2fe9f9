//! Task handlers: the user's code that runs a task.

use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::retry::Backoff;
use azoth_scheduler_core::task::Priority;

use crate::context::TaskContext;
use crate::error::{Result, SchedulerError};
use crate::event::TaskEvent;
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
        self.backoff_policy(doubling(base, cap))
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
}

/// Waits of `base`, twice that and so on, at most `cap`.
pub(crate) fn doubling(base: Duration, cap: Duration) -> Backoff {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let factor = NonZeroU32::MIN.saturating_add(1);
    Backoff { base_ms: ms(base), factor, cap_ms: ms(cap), jitter_percent: 0 }
}

/// A handler of either kind, as `with_task_handler` takes it. Made by [`IntoTaskHandler`].
#[derive(Clone)]
pub struct AnyTaskHandler(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Async(Arc<dyn TaskHandler>),
    Blocking(Arc<dyn BlockingTaskHandler<TaskError>>),
}

/// What can be registered as a task handler: a [`TaskHandler`], a [`BlockingTaskHandler`] with whatever error, or an
/// [`AnyTaskHandler`]. `Marker` only tells them apart; it is never written.
pub trait IntoTaskHandler<Marker>: sealed::Sealed<Marker> {
    /// The handler, whichever kind it is.
    fn into_task_handler(self) -> AnyTaskHandler;
}

impl<H: TaskHandler> IntoTaskHandler<marker::Async> for H {
    fn into_task_handler(self) -> AnyTaskHandler {
        AnyTaskHandler(Kind::Async(Arc::new(self)))
    }
}

impl<H, E> IntoTaskHandler<marker::Blocking<E>> for H
where
    H: BlockingTaskHandler<E>,
    E: Into<TaskError> + 'static,
{
    fn into_task_handler(self) -> AnyTaskHandler {
        AnyTaskHandler(Kind::Blocking(Arc::new(AnyError { handler: self, error: PhantomData })))
    }
}

impl IntoTaskHandler<marker::Any> for AnyTaskHandler {
    fn into_task_handler(self) -> AnyTaskHandler {
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

/// Both kinds have these; only the way in which they are run differs.
macro_rules! ask {
    ($handler:expr, $($question:tt)*) => {
        match &$handler.0 {
            Kind::Async(handler) => handler.$($question)*,
            Kind::Blocking(handler) => handler.$($question)*,
        }
    };
}

impl AnyTaskHandler {
    pub(crate) fn task_type(&self) -> &str {
        ask!(self, task_type())
    }

    pub(crate) fn validate(&self, payload: &[u8]) -> Result<()> {
        ask!(self, validate(payload))
    }

    pub(crate) fn aliases(&self) -> &[&str] {
        ask!(self, aliases())
    }

    pub(crate) fn options(&self) -> TaskOptions {
        ask!(self, options())
    }

    pub(crate) fn schedules(&self) -> Result<Vec<ScheduleTaskRequest>> {
        ask!(self, schedules())
    }

    pub(crate) fn check_state(&self, states: &StateMap) -> Result<(), MissingState> {
        ask!(self, check_state(states))
    }
}

impl std::fmt::Debug for AnyTaskHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AnyTaskHandler({:?})", self.task_type())
    }
}

/// A blocking handler whose error was made one that every other converts into.
struct AnyError<H, E> {
    handler: H,
    error: PhantomData<fn() -> E>,
}

impl<H: BlockingTaskHandler<E>, E: Into<TaskError> + 'static> BlockingTaskHandler<TaskError>
    for AnyError<H, E>
{
    fn task_type(&self) -> &str {
        self.handler.task_type()
    }

    fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        self.handler.execute(ctx, payload).map_err(Into::into)
    }

    fn validate(&self, payload: &[u8]) -> Result<()> {
        self.handler.validate(payload)
    }

    fn aliases(&self) -> &[&str] {
        self.handler.aliases()
    }

    fn options(&self) -> TaskOptions {
        self.handler.options()
    }

    fn schedules(&self) -> Result<Vec<ScheduleTaskRequest>> {
        self.handler.schedules()
    }

    fn check_state(&self, states: &StateMap) -> Result<(), MissingState> {
        self.handler.check_state(states)
    }
}

/// Tells the implementations of [`IntoTaskHandler`] apart.
pub mod marker {
    use std::marker::PhantomData;

    /// A [`TaskHandler`](super::TaskHandler).
    #[derive(Debug)]
    pub struct Async;
    /// A [`BlockingTaskHandler`](super::BlockingTaskHandler) with this error.
    #[derive(Debug)]
    pub struct Blocking<E>(PhantomData<E>);
    /// An [`AnyTaskHandler`](super::AnyTaskHandler).
    #[derive(Debug)]
    pub struct Any;
}

mod sealed {
    use super::{AnyTaskHandler, BlockingTaskHandler, TaskError, TaskHandler, marker};

    pub trait Sealed<Marker> {}

    impl<H: TaskHandler> Sealed<marker::Async> for H {}
    impl<H: BlockingTaskHandler<E>, E: Into<TaskError>> Sealed<marker::Blocking<E>> for H {}
    impl Sealed<marker::Any> for AnyTaskHandler {}
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain;
    struct WithAnyhow;
    struct Asynchronous;

    impl BlockingTaskHandler for Plain {
        fn task_type(&self) -> &str {
            "plain"
        }

        fn execute(&self, _ctx: &TaskContext, payload: &[u8]) -> Result<TaskEvent> {
            let number: u8 = std::str::from_utf8(payload)?.parse()?;
            TaskEvent::new("counted", [number])
        }
    }

    impl BlockingTaskHandler<anyhow::Error> for WithAnyhow {
        fn task_type(&self) -> &str {
            "anyhow"
        }

        fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> anyhow::Result<TaskEvent> {
            anyhow::bail!("no luck")
        }
    }

    #[async_trait]
    impl TaskHandler for Asynchronous {
        fn task_type(&self) -> &str {
            "async"
        }

        async fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
            Err(anyhow::anyhow!("no luck"))?
        }
    }

    fn type_of<M>(handler: impl IntoTaskHandler<M>) -> String {
        handler.into_task_handler().task_type().to_owned()
    }

    #[test]
    fn every_kind_of_handler_is_registered_the_same_way() {
        let shared: Arc<dyn TaskHandler> = Arc::new(Asynchronous);
        let types = [type_of(Plain), type_of(WithAnyhow), type_of(Asynchronous), type_of(shared)];
        assert_eq!(types, ["plain", "anyhow", "async", "async"]);
        assert_eq!(type_of(Plain.into_task_handler()), "plain");
    }
}
