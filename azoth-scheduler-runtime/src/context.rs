//! What a handler knows about the execution that it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use azoth_scheduler_core::headway::Headway;
use azoth_scheduler_core::id::{ExecutionId, NameError, TaskId, TaskType};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::trace::TraceParent;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::desk::Desk;
use crate::error::Result as SchedulerResult;
use crate::outbox::Outbox;
use crate::request::ScheduleTaskRequest;
use crate::state::{MissingState, State, StateMap};

/// Which task a handler runs, for which instant, for the how-manyth time, and whether it is still wanted.
///
/// Task id and attempt, or the execution id, make a good idempotency key for what the handler does outside.
///
/// ```
/// use azoth_scheduler_runtime::TaskContext;
///
/// let ctx = TaskContext::detached("daily-report", "generate_report")?;
/// assert_eq!(ctx.task_id().as_str(), "daily-report");
/// assert_eq!(ctx.attempt(), 1);
/// assert!(!ctx.is_cancelled());
/// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TaskContext {
    facts: Arc<Facts>,
    states: Arc<StateMap>,
    outbox: Arc<Outbox>,
    notes: Arc<Mutex<Notes>>,
    cancellation: watch::Receiver<bool>,
}

/// What the handler has said of itself so far.
#[derive(Default)]
struct Notes {
    said: Option<Headway>,
    checkpoint: Option<Arc<[u8]>>,
}

/// What does not change while a handler runs.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) task: TaskId,
    pub(crate) task_type: TaskType,
    pub(crate) execution: ExecutionId,
    pub(crate) occurrence: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) trace: Option<TraceParent>,
    /// Whether the handler has a thread of its own.
    pub(crate) may_block: bool,
}

impl TaskContext {
    pub(crate) fn new(
        facts: Facts,
        states: Arc<StateMap>,
        outbox: Arc<Outbox>,
        checkpoint: Option<Arc<[u8]>>,
        cancellation: watch::Receiver<bool>,
    ) -> Self {
        let notes = Arc::new(Mutex::new(Notes { said: None, checkpoint }));
        Self { facts: Arc::new(facts), states, outbox, notes, cancellation }
    }

    /// A context that belongs to no scheduler, for tests of a handler: first attempt, scheduled for the start of 1970,
    /// no state, never cancelled.
    ///
    /// # Errors
    /// [`NameError`] for an id or a type that breaks a rule.
    pub fn detached(task_id: impl AsRef<str>, task_type: impl AsRef<str>) -> Result<Self, NameError> {
        let facts = Facts {
            task: TaskId::new(task_id)?,
            task_type: TaskType::new(task_type)?,
            execution: ExecutionId::from_u128(0),
            occurrence: Timestamp::UNIX_EPOCH,
            attempt: 1,
            trace: None,
            may_block: true,
        };
        let outbox = Arc::new(Outbox::detached());
        Ok(Self::new(facts, Arc::default(), outbox, None, watch::channel(false).1))
    }

    /// The same context with these values, for tests of a handler.
    #[must_use]
    pub fn with_states(mut self, states: StateMap) -> Self {
        self.states = Arc::new(states);
        self
    }

    /// The task.
    pub fn task_id(&self) -> &TaskId {
        &self.facts.task
    }

    /// The task's type, as it was scheduled; may be one of the handler's aliases.
    pub fn task_type(&self) -> &TaskType {
        &self.facts.task_type
    }

    /// This execution. No other run of any task has the same.
    pub fn execution_id(&self) -> ExecutionId {
        self.facts.execution
    }

    /// The instant for which the schedule asked for this run, in UTC. A retry has the same as the first attempt.
    pub fn scheduled_at(&self) -> OffsetDateTime {
        self.facts.occurrence.into()
    }

    /// The number of this attempt within its occurrence, from 1. An attempt whose process died counts too.
    pub fn attempt(&self) -> u32 {
        self.facts.attempt
    }

    /// The `traceparent` of the span within which the task was scheduled, where the program told the scheduler how to find
    /// it: [`with_trace_parent`](crate::SchedulerBuilder::with_trace_parent). For a link from this execution's span.
    pub fn trace_parent(&self) -> Option<TraceParent> {
        self.facts.trace
    }

    /// Whether what the handler does will not count any more: it was cancelled, its time is up, or the scheduler
    /// stops. A blocking handler should look now and then, and return.
    pub fn is_cancelled(&self) -> bool {
        *self.cancellation.borrow()
    }

    /// Waits until [`is_cancelled`](Self::is_cancelled). An async handler needs this only for what it has spawned: it
    /// is itself dropped at its next `.await`.
    pub async fn cancelled(&self) {
        let mut cancellation = self.cancellation.clone();
        if cancellation.wait_for(|cancelled| *cancelled).await.is_err() {
            // Nobody is left who could cancel it.
            std::future::pending::<()>().await;
        }
    }

    /// Schedules a task together with this execution's success: in the same transaction, or not at all. Nothing is
    /// scheduled when the handler fails, is stopped, or its result is refused since the task was taken from it. The id is
    /// the task's; with an unnamed request, the one that was made for it.
    ///
    /// Should the store refuse the task (its id is taken and it says `Reject`, a task that it waits for is not there), none
    /// of this execution's tasks is scheduled, and the attempt fails with the refusal as its error. At most 1,000 tasks,
    /// and 16 MiB of payloads. The trace goes on: a task carries the span that is current where it is scheduled, or else the
    /// [`trace_parent`](Self::trace_parent) of this execution.
    ///
    /// It works in async and in blocking handlers. A task that the work itself needs at once is scheduled by a clone of the
    /// [`Scheduler`](crate::Scheduler) instead, for example one registered by `with_state`.
    ///
    /// ```
    /// use azoth_scheduler_runtime::{ScheduleTaskRequest, TaskContext};
    ///
    /// let ctx = TaskContext::detached("order-42", "order")?;
    /// for step in ["pack-42", "bill-42"] {
    ///     ctx.schedule(ScheduleTaskRequest::builder(step).task_type("step").immediate().build()?)?;
    /// }
    /// let ship = ScheduleTaskRequest::builder("ship-42").task_type("ship").immediate();
    /// ctx.schedule(ship.after(["pack-42", "bill-42"]).build()?)?;
    /// assert_eq!(ctx.scheduled().len(), 3);
    /// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::InvalidTask`](crate::SchedulerError::InvalidTask) and
    /// [`HandlerNotFound`](crate::SchedulerError::HandlerNotFound) as in
    /// [`Scheduler::schedule_task`](crate::Scheduler::schedule_task),
    /// [`ExecutionOver`](crate::SchedulerError::ExecutionOver) once the handler has returned.
    pub fn schedule(&self, request: ScheduleTaskRequest) -> SchedulerResult<TaskId> {
        self.outbox.add(request)
    }

    /// What was scheduled so far, for tests of a handler.
    pub fn scheduled(&self) -> Vec<ScheduleTaskRequest> {
        self.outbox.requests()
    }

    /// The scheduler, `None` where the context belongs to none.
    pub(crate) fn desk(&self) -> SchedulerResult<Option<Arc<dyn Desk>>> {
        self.outbox.desk()
    }

    pub(crate) fn may_block(&self) -> bool {
        self.facts.may_block
    }

    pub(crate) fn say(&self, headway: Headway) {
        self.notes().said = Some(headway);
    }

    pub(crate) fn said(&self) -> Option<Headway> {
        self.notes().said.clone()
    }

    pub(crate) fn kept(&self) -> Option<Arc<[u8]>> {
        self.notes().checkpoint.clone()
    }

    pub(crate) fn set_kept(&self, bytes: Arc<[u8]>) {
        self.notes().checkpoint = Some(bytes);
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value registered by `with_state`.
    ///
    /// # Errors
    /// [`MissingState`] when no value of this type was registered; it names those that were.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<State<T>, MissingState> {
        self.states.require()
    }
}

impl std::fmt::Debug for Notes {
    /// Never shows the bytes themselves: they may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let checkpoint = self.checkpoint.as_ref().map(|bytes| bytes.len());
        f.debug_struct("Notes").field("said", &self.said).field("checkpoint_bytes", &checkpoint).finish()
    }
}
