//! The scheduler's calls for threads without an async runtime.

use std::future::IntoFuture;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::schedule::MisfirePolicy;
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_store::{LogPosition, RecordedEvent, TaskFilter, VerifyReport};
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::bulk::{BulkAction, BulkMode, BulkReport};
use crate::declare::Declared;
use crate::error::{Result, SchedulerError};
use crate::handle::{TaskHandle, TaskOutcome};
use crate::limits::Limits;
use crate::request::ScheduleTaskRequest;
use crate::scheduler::Scheduler;
use crate::scopes::ScopeChange;
use crate::view::{Said, ScheduleOutcome, SchedulerStats, TaskInfo};

/// A [`Scheduler`] whose calls block the thread. It drives a small runtime of its own, made at the first call.
///
/// Every call fails with [`SchedulerError::BlockingInAsync`] on a thread that drives an async runtime, and otherwise
/// as its async twin does.
///
/// ```
/// use azoth_scheduler_runtime::{ScheduleTaskRequest, Scheduler};
/// use azoth_scheduler_store::MemoryStore;
///
/// let scheduler = Scheduler::builder(MemoryStore::new()).build()?.blocking();
/// let request = ScheduleTaskRequest::builder("later").task_type("greet").interval(300).build()?;
/// assert!(scheduler.schedule_task(request)?.is_created());
/// assert!(scheduler.get_task("later")?.unwrap().enabled());
/// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
/// ```
#[derive(Debug)]
pub struct BlockingScheduler {
    scheduler: Scheduler,
    runtime: Mutex<Option<Runtime>>,
}

impl Scheduler {
    /// The same calls for a thread without an async runtime.
    pub fn blocking(&self) -> BlockingScheduler {
        BlockingScheduler::new(self.clone())
    }
}

impl BlockingScheduler {
    fn new(scheduler: Scheduler) -> Self {
        Self { scheduler, runtime: Mutex::new(None) }
    }

    /// The scheduler itself, to shut it down from another thread for example.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// See [`Scheduler::schedule_task`].
    ///
    /// # Errors
    /// As there.
    pub fn schedule_task(&self, request: ScheduleTaskRequest) -> Result<ScheduleOutcome> {
        self.wait(self.scheduler.schedule_task(request))
    }

    /// See [`Scheduler::schedule_tasks`].
    ///
    /// # Errors
    /// As there.
    pub fn schedule_tasks(&self, requests: Vec<ScheduleTaskRequest>) -> Result<Vec<Result<ScheduleOutcome>>> {
        self.wait(self.scheduler.schedule_tasks(requests))
    }

    /// See [`Scheduler::declare`].
    ///
    /// # Errors
    /// As there.
    pub fn declare(&self, group: impl AsRef<str>, requests: Vec<ScheduleTaskRequest>) -> Result<Declared> {
        self.wait(self.scheduler.declare(group, requests))
    }

    /// See [`Scheduler::cancel_task`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel_task(&self, id: impl AsRef<str>, reason: impl AsRef<str>) -> Result<Said> {
        self.wait(self.scheduler.cancel_task(id, reason))
    }

    /// See [`Scheduler::pause_task`].
    ///
    /// # Errors
    /// As there.
    pub fn pause_task(&self, id: impl AsRef<str>, reason: impl AsRef<str>) -> Result<Said> {
        self.wait(self.scheduler.pause_task(id, reason).into_future())
    }

    /// See [`Scheduler::pause`].
    ///
    /// # Errors
    /// As there.
    pub fn pause(&self, scope: Scope, reason: impl AsRef<str>) -> Result<ScopeChange> {
        self.wait(self.scheduler.pause(scope, reason).into_future())
    }

    /// See [`Scheduler::resume_with`].
    ///
    /// # Errors
    /// As there.
    pub fn resume_with(&self, scope: Scope, misfire: MisfirePolicy) -> Result<ScopeChange> {
        self.wait(self.scheduler.resume_with(scope, misfire))
    }

    /// See [`Scheduler::resume`].
    ///
    /// # Errors
    /// As there.
    pub fn resume(&self, scope: Scope) -> Result<ScopeChange> {
        self.wait(self.scheduler.resume(scope))
    }

    /// See [`Scheduler::set_limits`].
    ///
    /// # Errors
    /// As there.
    pub fn set_limits(&self, scope: Scope, limits: Limits) -> Result<ScopeChange> {
        self.wait(self.scheduler.set_limits(scope, limits))
    }

    /// See [`Scheduler::resume_task`].
    ///
    /// # Errors
    /// As there.
    pub fn resume_task(&self, id: impl AsRef<str>) -> Result<Said> {
        self.wait(self.scheduler.resume_task(id))
    }

    /// See [`Scheduler::disable_task`].
    ///
    /// # Errors
    /// As there.
    pub fn disable_task(&self, id: impl AsRef<str>, reason: impl AsRef<str>) -> Result<Said> {
        self.wait(self.scheduler.disable_task(id, reason))
    }

    /// See [`Scheduler::run_now`].
    ///
    /// # Errors
    /// As there.
    pub fn run_now(&self, id: impl AsRef<str>) -> Result<Said> {
        self.wait(self.scheduler.run_now(id))
    }

    /// See [`Scheduler::retry_task`].
    ///
    /// # Errors
    /// As there.
    pub fn retry_task(&self, id: impl AsRef<str>) -> Result<Said> {
        self.wait(self.scheduler.retry_task(id))
    }

    /// See [`Scheduler::bulk`].
    ///
    /// # Errors
    /// As there.
    pub fn bulk(&self, filter: &TaskFilter, action: &BulkAction, mode: BulkMode) -> Result<BulkReport> {
        self.wait(self.scheduler.bulk(filter, action, mode))
    }

    /// See [`Scheduler::handle`]; its waits block the thread.
    ///
    /// ```
    /// # use azoth_scheduler_runtime::{Result, ScheduleTaskRequest, Scheduler, TaskContext, TaskEvent, TaskOutcome};
    /// # use azoth_scheduler_store::MemoryStore;
    /// # struct Adder;
    /// # impl azoth_scheduler_runtime::BlockingTaskHandler for Adder {
    /// #     fn task_type(&self) -> &str { "add" }
    /// #     fn execute(&self, _ctx: &TaskContext, payload: &[u8]) -> Result<TaskEvent> {
    /// #         TaskEvent::json("added", &payload.iter().copied().sum::<u8>())
    /// #     }
    /// # }
    /// let scheduler = Scheduler::builder(MemoryStore::new()).with_task_handler(Adder).build()?;
    /// let running = std::thread::spawn({
    ///     let scheduler = scheduler.blocking();
    ///     move || scheduler.run()
    /// });
    /// let blocking = scheduler.blocking();
    /// let sum = ScheduleTaskRequest::builder("sum").task_type("add").payload([1, 2, 3]).immediate();
    /// blocking.schedule_task(sum.build()?)?;
    /// let outcome: TaskOutcome<u8> = blocking.handle("sum")?.wait()?;
    /// assert_eq!(outcome.value(), Some(6));
    /// scheduler.shutdown();
    /// # running.join().unwrap()?;
    /// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn handle(&self, id: impl AsRef<str>) -> Result<BlockingTaskHandle<'_>> {
        Ok(BlockingTaskHandle { scheduler: self, handle: self.scheduler.handle(id)? })
    }

    /// See [`Scheduler::get_task`].
    ///
    /// # Errors
    /// As there.
    pub fn get_task(&self, id: impl AsRef<str>) -> Result<Option<TaskInfo>> {
        self.wait(self.scheduler.get_task(id))
    }

    /// See [`Scheduler::list_tasks`].
    ///
    /// # Errors
    /// As there.
    pub fn list_tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskInfo>> {
        self.wait(self.scheduler.list_tasks(filter))
    }

    /// See [`Scheduler::task_history`].
    ///
    /// # Errors
    /// As there.
    pub fn task_history(&self, id: impl AsRef<str>) -> Result<Vec<RecordedEvent>> {
        self.wait(self.scheduler.task_history(id))
    }

    /// See [`Scheduler::events`].
    ///
    /// # Errors
    /// As there.
    pub fn events(&self, after: LogPosition, limit: usize) -> Result<Vec<RecordedEvent>> {
        self.wait(self.scheduler.events(after, limit))
    }

    /// See [`Scheduler::stats`].
    ///
    /// # Errors
    /// As there.
    pub fn stats(&self) -> Result<SchedulerStats> {
        self.wait(self.scheduler.stats())
    }

    /// See [`Scheduler::verify`].
    ///
    /// # Errors
    /// As there.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.wait(self.scheduler.verify())
    }

    /// Runs tasks on this thread until [`Scheduler::shutdown`]. Other calls on this value wait until then: make another
    /// by [`Scheduler::blocking`] for them. See [`Scheduler::run`].
    ///
    /// # Errors
    /// As there.
    pub fn run(&self) -> Result<()> {
        self.wait(self.scheduler.run())
    }

    fn wait<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if Handle::try_current().is_ok() {
            return Err(SchedulerError::BlockingInAsync);
        }
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = match &mut *runtime {
            Some(runtime) => runtime,
            none => {
                let made = Builder::new_current_thread().enable_time().build();
                let system =
                    |source| SchedulerError::System { what: "the runtime of blocking calls", source };
                none.insert(made.map_err(system)?)
            }
        };
        runtime.block_on(call)
    }
}

/// A [`TaskHandle`] whose waits block the thread. Made by [`BlockingScheduler::handle`]. While one of them waits, the
/// other calls on that scheduler wait too: make another by [`Scheduler::blocking`] for them.
#[derive(Debug)]
pub struct BlockingTaskHandle<'a> {
    scheduler: &'a BlockingScheduler,
    handle: TaskHandle,
}

impl BlockingTaskHandle<'_> {
    /// The task's id.
    pub fn task_id(&self) -> &TaskId {
        self.handle.task_id()
    }

    /// See [`TaskHandle::wait`].
    ///
    /// # Errors
    /// As there.
    pub fn wait<T: DeserializeOwned>(&self) -> Result<TaskOutcome<T>> {
        self.scheduler.wait(self.handle.wait())
    }

    /// See [`TaskHandle::wait_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_timeout<T: DeserializeOwned>(&self, timeout: Duration) -> Result<Option<TaskOutcome<T>>> {
        self.scheduler.wait(self.handle.wait_timeout(timeout))
    }

    /// See [`TaskHandle::wait_raw`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_raw(&self) -> Result<TaskOutcome<Vec<u8>>> {
        self.scheduler.wait(self.handle.wait_raw())
    }
}

impl Drop for BlockingScheduler {
    /// It may be dropped anywhere, also where a runtime must not be waited for. Nothing is left running in it.
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use azoth_scheduler_store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn blocking_call_inside_a_runtime_is_refused() {
        let scheduler = Scheduler::builder(MemoryStore::new()).build().unwrap().blocking();
        assert!(matches!(scheduler.get_task("x"), Err(SchedulerError::BlockingInAsync)));
    }

    #[test]
    fn handle_waits_for_an_end_on_a_thread_without_a_runtime() {
        let scheduler = Scheduler::builder(MemoryStore::new()).build().unwrap().blocking();
        let later = ScheduleTaskRequest::builder("later").task_type("greet").interval(300).build().unwrap();
        scheduler.schedule_task(later).unwrap();
        let handle = scheduler.handle("later").unwrap();
        assert_eq!(handle.wait_timeout::<()>(Duration::ZERO).unwrap(), None);
        scheduler.cancel_task("later", "no longer needed").unwrap();
        let by = "program".to_owned();
        let cancelled = TaskOutcome::Cancelled { reason: "no longer needed".to_owned(), by };
        assert_eq!(handle.wait_raw().unwrap(), cancelled);
        let missing = scheduler.handle("nobody").unwrap().wait::<()>();
        assert!(matches!(missing, Err(SchedulerError::TaskNotFound { .. })), "{missing:?}");
    }

    #[test]
    fn it_may_be_dropped_inside_a_runtime() {
        let scheduler = Scheduler::builder(MemoryStore::new()).build().unwrap().blocking();
        assert_eq!(scheduler.get_task("x").unwrap(), None);
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { drop(scheduler) });
    }
}
