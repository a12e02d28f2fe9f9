//! The front desk: what a program asks of its scheduler.

use std::sync::Arc;

use azoth_scheduler_core::command::Wish;
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::id::{ConsumerName, GroupName, TaskId};
use azoth_scheduler_core::schedule::MisfirePolicy;
use azoth_scheduler_store::store::EVENTS_PAGE_MAX;
use azoth_scheduler_store::{
    DeadLetter, LogPosition, Prepared, RecordedEvent, StartFrom, Store, TaskFilter, VerifyReport,
};

use crate::bulk::{BulkAction, BulkMode, BulkReport};
use crate::declare::Declared;
use crate::error::Result;
use crate::handle::TaskHandle;
use crate::request::ScheduleTaskRequest;
use crate::shared::Shared;
use crate::subscribe::Subscription;
use crate::view::{Said, ScheduleOutcome, SchedulerStats, TaskInfo};

/// Schedules tasks, runs them, and tells what became of them. Clones are the same scheduler.
///
/// Everything may be called at any time, whether or not [`run`](Self::run) is under way here or in another process on
/// the same store. All that is acknowledged by `Ok` is durable.
///
/// ```
/// # use azoth_scheduler_runtime::{Result, ScheduleTaskRequest, Scheduler, TaskContext, TaskEvent, TaskHandler, TaskResult};
/// # use azoth_scheduler_store::MemoryStore;
/// # struct Greeter;
/// # #[async_trait::async_trait]
/// # impl TaskHandler for Greeter {
/// #     fn task_type(&self) -> &str { "greet" }
/// #     async fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
/// #         Ok(TaskEvent::new("greeted", [])?)
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let scheduler = Scheduler::builder(MemoryStore::new()).with_task_handler(Greeter).build()?;
/// scheduler
///     .schedule_task(ScheduleTaskRequest::builder("hello").task_type("greet").immediate().build()?)
///     .await?;
/// let running = tokio::spawn({ let scheduler = scheduler.clone(); async move { scheduler.run().await } });
/// scheduler.wait_until_idle().await?;
/// assert!(!scheduler.get_task("hello").await?.unwrap().enabled());
/// scheduler.shutdown().await;
/// running.await.unwrap()
/// # }
/// ```
#[derive(Clone)]
pub struct Scheduler {
    pub(crate) shared: Arc<Shared>,
}

impl Scheduler {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The store that it works on.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }
}

/// Scheduling.
impl Scheduler {
    /// Schedules a task, or redefines the one of the same id, as `on_conflict` says. The outcome tells which.
    ///
    /// # Errors
    /// [`SchedulerError::InvalidTask`](crate::SchedulerError::InvalidTask) and
    /// [`SchedulerError::HandlerNotFound`](crate::SchedulerError::HandlerNotFound) before anything was done,
    /// [`SchedulerError::Rejected`](crate::SchedulerError::Rejected) when a task of this id is in the way,
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn schedule_task(&self, request: ScheduleTaskRequest) -> Result<ScheduleOutcome> {
        let mut outcomes = self.shared.schedule(&[request]).await?;
        outcomes.pop().unwrap_or_else(|| unreachable!("one request was made, so one is answered"))
    }

    /// Schedules several tasks in one transaction, at most 10,000. Each is answered for itself, in order: one that its
    /// task rejects does not hinder the others.
    ///
    /// # Errors
    /// As [`schedule_task`](Self::schedule_task); if any request is invalid, or the store fails, none is scheduled.
    pub async fn schedule_tasks(
        &self,
        requests: Vec<ScheduleTaskRequest>,
    ) -> Result<Vec<Result<ScheduleOutcome>>> {
        self.shared.schedule(&requests).await
    }

    /// Checks requests and fills in every default, for a transaction of the application's own: `SqliteStore::schedule_in`
    /// then schedules them together with the application's rows, or not at all.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use azoth_scheduler_runtime::{ScheduleTaskRequest, Scheduler};
    /// use azoth_scheduler_store::sqlite::{SqliteStore, rusqlite};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("shop.db");
    /// let store = SqliteStore::open(&file)?;
    /// let scheduler = Scheduler::builder(store.clone()).build()?;
    ///
    /// let mut conn = rusqlite::Connection::open(&file)?;
    /// let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    /// tx.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (42)")?;
    /// let ship = ScheduleTaskRequest::builder("ship-42").task_type("ship").immediate().build()?;
    /// store.schedule_in(&tx, &scheduler.prepare(&[ship])?)?;
    /// tx.commit()?;
    /// scheduler.wake();
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::InvalidTask`](crate::SchedulerError::InvalidTask) and
    /// [`SchedulerError::HandlerNotFound`](crate::SchedulerError::HandlerNotFound).
    pub fn prepare(&self, requests: &[ScheduleTaskRequest]) -> Result<Prepared> {
        self.shared.prepare(requests)
    }

    /// Lets a scheduler that runs look for due tasks at once, for example after a commit that its store does not notice by
    /// itself. Needed only where its poll interval is too long to wait for.
    pub fn wake(&self) {
        self.shared.wake();
    }

    /// Makes a named group of tasks equal to what is declared here, for a program that says at every start which schedules
    /// it has. New ones are added, changed ones redefined, and those that the group declared before and does not declare
    /// now are cancelled with a reason that names the group. All that changes does so in one transaction (one per 10,000
    /// changes), and the same declaration again changes nothing: neither is a task revived that somebody cancelled or
    /// disabled, nor a one-time task run again, until its definition changes.
    ///
    /// The group is part of a task's definition. A task of another group, or of none, moves to this one; one that is
    /// then scheduled by [`schedule_task`](Self::schedule_task) leaves it. Of two processes that declare the same group
    /// differently the later one counts.
    ///
    /// ```
    /// # use azoth_scheduler_runtime::{Result, ScheduleTaskRequest, Scheduler};
    /// # use azoth_scheduler_store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let scheduler = Scheduler::builder(MemoryStore::new()).build()?;
    /// let cron = |id: &str, expression: &str| {
    ///     ScheduleTaskRequest::builder(id).task_type("report").cron(expression).build()
    /// };
    /// scheduler.declare("reports", vec![cron("daily", "0 0 6 * * *")?, cron("weekly", "0 0 7 * * MON")?]).await?;
    /// // The next release has no weekly report, and the daily one comes later.
    /// let declared = scheduler.declare("reports", vec![cron("daily", "0 0 8 * * *")?]).await?;
    /// assert_eq!((&declared.redefined[0], &declared.cancelled[0]), (&"daily".parse()?, &"weekly".parse()?));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`schedule_tasks`](Self::schedule_tasks); nothing is changed unless every request is accepted. Each needs an id
    /// of its own, and none may say `on_conflict`. [`SchedulerError::Name`](crate::SchedulerError::Name) for the group.
    pub async fn declare(
        &self,
        group: impl AsRef<str>,
        requests: Vec<ScheduleTaskRequest>,
    ) -> Result<Declared> {
        self.shared.declare(GroupName::new(group)?, &requests).await
    }

    /// Ends a task for good. If it runs in this process it is stopped at once, elsewhere within moments; what it still
    /// returns is refused. One that has ended already stays as it is.
    ///
    /// # Errors
    /// [`SchedulerError::TaskNotFound`](crate::SchedulerError::TaskNotFound),
    /// [`SchedulerError::Name`](crate::SchedulerError::Name), [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn cancel_task(&self, id: impl AsRef<str>, reason: impl AsRef<str>) -> Result<Said> {
        let (task, reason, by) = (TaskId::new(id)?, text(reason), self.shared.actor.clone());
        let said = self.shared.say(task.clone(), Wish::Cancel { reason, by }).await?;
        self.shared.running.stop_task(&task);
        Ok(said)
    }

    /// Lets a paused task go on. Occurrences that passed meanwhile are skipped, and recorded as such.
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task).
    pub async fn resume_task(&self, id: impl AsRef<str>) -> Result<Said> {
        self.resume_task_with(id, MisfirePolicy::Skip).await
    }

    /// Lets a paused task go on, and says what becomes of the occurrences that passed meanwhile.
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task).
    pub async fn resume_task_with(&self, id: impl AsRef<str>, misfire: MisfirePolicy) -> Result<Said> {
        let by = self.shared.actor.clone();
        self.shared.say(TaskId::new(id)?, Wish::Resume { misfire, by }).await
    }

    /// Lets a task run no more until it is scheduled again. A running execution of it goes on to its end.
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task).
    pub async fn disable_task(&self, id: impl AsRef<str>, reason: impl AsRef<str>) -> Result<Said> {
        let (reason, by) = (text(reason), self.shared.actor.clone());
        self.shared.say(TaskId::new(id)?, Wish::Disable { reason, by }).await
    }
}

/// Runs that somebody asks for.
impl Scheduler {
    /// Lets a task run at once, and records who asked. A recurring one runs once more than its schedule says, and the
    /// schedule goes on as it was; a retry, or the only run of a one-time task, comes at once; what waits for other tasks
    /// waits no more. One that is due or runs already stays as it is.
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task); a task that is paused has to be resumed first.
    pub async fn run_now(&self, id: impl AsRef<str>) -> Result<Said> {
        let by = self.shared.actor.clone();
        self.shared.say(TaskId::new(id)?, Wish::RunNow { by }).await
    }

    /// Lets a disabled task go on under its id, with nothing counted against it, and records who said so: a one-time task
    /// runs at once, a recurring one at its next occurrence.
    ///
    /// # Errors
    /// As [`pause_task`](Self::pause_task).
    pub async fn retry_task(&self, id: impl AsRef<str>) -> Result<Said> {
        let by = self.shared.actor.clone();
        self.shared.say(TaskId::new(id)?, Wish::Retry { by }).await
    }

    /// Says one thing about all tasks that match a filter, up to the filter's limit, or reports what it would touch. It
    /// goes through them in the order of their creation, 500 in a transaction; what it has done by then stays done when
    /// the store fails.
    ///
    /// ```
    /// # use azoth_scheduler_runtime::{BulkAction, BulkMode, Result, ScheduleTaskRequest, Scheduler};
    /// # use azoth_scheduler_store::{MemoryStore, TaskFilter};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let scheduler = Scheduler::builder(MemoryStore::new()).build()?;
    /// # scheduler.schedule_task(ScheduleTaskRequest::builder("mail-1").task_type("mail").interval(60).build()?).await?;
    /// let mails = TaskFilter::new().task_type("mail".parse()?);
    /// let pause = BulkAction::Pause("the mail server moves".into());
    /// let would = scheduler.bulk(&mails, &pause, BulkMode::DryRun).await?;
    /// assert_eq!((would.changed, would.tasks[0].as_str()), (1, "mail-1"));
    /// assert_eq!(scheduler.bulk(&mails, &pause, BulkMode::Apply).await?, would);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn bulk(&self, filter: &TaskFilter, action: &BulkAction, mode: BulkMode) -> Result<BulkReport> {
        self.shared.bulk(filter, action, mode).await
    }

    /// A task to wait for, whether or not it exists yet, in whatever process it runs.
    ///
    /// ```
    /// # use azoth_scheduler_runtime::{Result, ScheduleTaskRequest, Scheduler, TaskContext, TaskEvent, TaskHandler, TaskOutcome, TaskResult};
    /// # use azoth_scheduler_store::MemoryStore;
    /// # struct Adder;
    /// # #[async_trait::async_trait]
    /// # impl TaskHandler for Adder {
    /// #     fn task_type(&self) -> &str { "add" }
    /// #     async fn execute(&self, _ctx: &TaskContext, payload: &[u8]) -> TaskResult {
    /// #         let numbers: Vec<u32> = serde_json::from_slice(payload)?;
    /// #         Ok(TaskEvent::json("added", &numbers.iter().sum::<u32>())?)
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let scheduler = Scheduler::builder(MemoryStore::new()).with_task_handler(Adder).build()?;
    /// let request = ScheduleTaskRequest::builder("sum").task_type("add").payload_json(&[1, 2, 3]).immediate();
    /// let task = scheduler.schedule_task(request.build()?).await?.task;
    /// # let running = tokio::spawn({ let scheduler = scheduler.clone(); async move { scheduler.run().await } });
    /// let outcome: TaskOutcome<u32> = scheduler.handle(task)?.wait().await?;
    /// assert_eq!(outcome.value(), Some(6));
    /// # scheduler.shutdown().await;
    /// # running.await.unwrap()
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::Name`](crate::SchedulerError::Name).
    pub fn handle(&self, id: impl AsRef<str>) -> Result<TaskHandle> {
        Ok(TaskHandle::new(Arc::clone(&self.shared), TaskId::new(id)?))
    }
}

/// Asking.
impl Scheduler {
    /// One task with its payload; `None` when there is none of this id.
    ///
    /// # Errors
    /// [`SchedulerError::Name`](crate::SchedulerError::Name), [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn get_task(&self, id: impl AsRef<str>) -> Result<Option<TaskInfo>> {
        let task = self.shared.store.task(&TaskId::new(id)?).await?;
        Ok(task.map(TaskInfo::stored))
    }

    /// Tasks that match the filter, in the order in which they were created, without their payloads. At most as many as
    /// the filter says, 1,000 by default; the next page starts after the last one.
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn list_tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskInfo>> {
        let tasks = self.shared.store.tasks(filter).await?;
        Ok(tasks.into_iter().map(TaskInfo::listed).collect())
    }

    /// What happened to a task, oldest first: its newest 1,000 events.
    ///
    /// # Errors
    /// [`SchedulerError::Name`](crate::SchedulerError::Name), [`SchedulerError::Store`](crate::SchedulerError::Store). A
    /// task that never was has an empty history.
    pub async fn task_history(&self, id: impl AsRef<str>) -> Result<Vec<RecordedEvent>> {
        self.task_history_before(id, None, EVENTS_PAGE_MAX).await
    }

    /// What happened to a task before a position, oldest first: the newest `limit` of those events, at most 1,000. The
    /// page before this one ends before its first event.
    ///
    /// # Errors
    /// As [`task_history`](Self::task_history).
    pub async fn task_history_before(
        &self,
        id: impl AsRef<str>,
        before: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>> {
        let mut events = self.shared.store.history(&TaskId::new(id)?, before, limit).await?;
        events.reverse();
        Ok(events)
    }

    /// What happened behind a position, oldest first, at most `limit` events, itself at most 1,000.
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn events(&self, after: LogPosition, limit: usize) -> Result<Vec<RecordedEvent>> {
        Ok(self.shared.store.events(after, limit).await?)
    }

    /// The log from some place on, without end. Where its oldest part was cut, a subscription from the beginning is answered
    /// with [`SchedulerError::Gap`](crate::SchedulerError::Gap), which names the oldest event that there is: subscribe
    /// behind the one before it.
    ///
    /// ```
    /// # use azoth_scheduler_runtime::{Scheduler, SchedulerError};
    /// # use azoth_scheduler_store::{LogPosition, MemoryStore, RecordedEvent, StartFrom};
    /// /// The oldest event that is still in the log.
    /// async fn oldest(scheduler: &Scheduler) -> Result<RecordedEvent, SchedulerError> {
    ///     let mut log = scheduler.subscribe(StartFrom::Beginning).await?;
    ///     match log.next().await {
    ///         Err(SchedulerError::Gap { next, .. }) => {
    ///             let behind = LogPosition::from_number(next.number() - 1);
    ///             scheduler.subscribe(StartFrom::After(behind)).await?.next().await
    ///         }
    ///         first => first,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn subscribe(&self, from: StartFrom) -> Result<Subscription> {
        let after = match from {
            StartFrom::Beginning => LogPosition::START,
            StartFrom::Now => self.shared.store.head().await?,
            StartFrom::After(position) => position,
        };
        Ok(Subscription::new(Arc::clone(&self.shared), after))
    }

    /// What an event handler could not handle, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`SchedulerError::Name`](crate::SchedulerError::Name), [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn dead_letters(
        &self,
        event_handler: impl AsRef<str>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let name = ConsumerName::new(event_handler)?;
        Ok(self.shared.store.dead_letters(&name, limit).await?)
    }

    /// How the scheduler and its store are doing.
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub async fn stats(&self) -> Result<SchedulerStats> {
        let slots = &self.shared.slots;
        Ok(SchedulerStats {
            slots_taken: slots.taken(),
            slots_max: slots.max(),
            slots_set_aside: slots.set_aside(),
            store: self.shared.store.stats(self.shared.clock().now()).await?,
        })
    }

    /// Reads the whole log and compares the projection with it. Changes nothing.
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store). What is wrong with the data is in the report.
    pub async fn verify(&self) -> Result<VerifyReport> {
        Ok(self.shared.store.verify().await?)
    }
}

impl Scheduler {
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// What a simulation asks.
#[cfg(feature = "testing")]
impl Scheduler {
    pub(crate) fn is(&self, other: &Scheduler) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn has_work_under_way(&self) -> bool {
        !self.shared.running.ids().is_empty()
    }

    pub(crate) fn due_at(&self) -> Option<std::time::Duration> {
        self.shared.due_at()
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler")
            .field("running", &self.shared.is_running())
            .field("registry", &self.shared.registry)
            .finish_non_exhaustive()
    }
}

fn text(reason: impl AsRef<str>) -> ErrorText {
    ErrorText::new(reason.as_ref())
}
