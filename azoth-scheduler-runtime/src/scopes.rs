//! What is said of a task type, a concurrency key, or everything: limits and pauses, the same for every process on one
//! store. And pauses of a single task, which are said in the same way.

use std::future::IntoFuture;
use std::pin::Pin;

use azoth_scheduler_core::command::{ScopeCommand, ScopeWish, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::schedule::MisfirePolicy;
use azoth_scheduler_core::scope::{LimitsChange, Scope, ScopeState};
use azoth_scheduler_core::state::{PhaseKind, TaskState};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{Batch, TaskFilter};
use time::OffsetDateTime;

use crate::error::{RequestError, Result, SchedulerError};
use crate::limits::Limits;
use crate::scheduler::Scheduler;
use crate::shared::Shared;
use crate::view::Said;

/// A pause of a task or a scope that is about to be said: await it. By default it lasts until somebody resumes.
#[must_use = "nothing is paused before it is awaited"]
pub struct Pausing<'a, What> {
    shared: &'a Shared,
    what: Result<What>,
    reason: ErrorText,
    until: Option<OffsetDateTime>,
}

/// What saying something of a scope came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeChange {
    /// It was recorded.
    Recorded,
    /// It was so already.
    Kept,
}

/// Limits and pauses.
impl Scheduler {
    /// Sets the limits of a task type, a concurrency key or everything, for every process on this store, from now on. They
    /// take the place of those that were set before, and of those that a handler declares. What runs goes on to its end.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use azoth_scheduler_core::scope::Scope;
    /// # use azoth_scheduler_runtime::{Limits, Result, Scheduler};
    /// # use azoth_scheduler_store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let scheduler = Scheduler::builder(MemoryStore::new()).build()?;
    /// let mails = Scope::task_type("send_email")?;
    /// scheduler.set_limits(mails, Limits::new().max_running(4).rate(100, Duration::from_secs(1))).await?;
    /// scheduler.set_limits(Scope::key("tenant-7")?, Limits::new().max_running(2)).await?;
    /// assert_eq!(scheduler.scopes().await?.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::InvalidTask`] for a limit outside its range, [`SchedulerError::Rejected`] for one that makes no sense
    /// for the scope, [`SchedulerError::Store`].
    pub async fn set_limits(&self, scope: Scope, limits: Limits) -> Result<ScopeChange> {
        let change = LimitsChange::Set(limits.checked()?);
        self.change_limits(scope, change).await
    }

    /// Gives up the limits that were set; those that are declared hold again.
    ///
    /// # Errors
    /// [`SchedulerError::Store`].
    pub async fn clear_limits(&self, scope: Scope) -> Result<ScopeChange> {
        self.change_limits(scope, LimitsChange::Cleared).await
    }

    /// Lets a task type, a concurrency key or everything rest: no process on this store starts one of its tasks until
    /// somebody resumes it or, with [`until`](Pausing::until), that instant comes. What runs goes on to its end.
    ///
    /// Saying it again changes reason and end. A program that starts again resumes nothing.
    ///
    /// ```
    /// # use azoth_scheduler_core::scope::Scope;
    /// # use azoth_scheduler_runtime::{Result, Scheduler};
    /// # use azoth_scheduler_store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let scheduler = Scheduler::builder(MemoryStore::new()).build()?;
    /// let new_year = time::OffsetDateTime::from_unix_timestamp(4_102_444_800).expect("2100 is within the range");
    /// scheduler.pause(Scope::task_type("send_email")?, "the provider is down").until(new_year).await?;
    /// scheduler.resume(Scope::task_type("send_email")?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When awaited: [`SchedulerError::Rejected`] for an end that has passed, [`SchedulerError::Store`].
    pub fn pause(&self, scope: Scope, reason: impl AsRef<str>) -> Pausing<'_, Scope> {
        Pausing::new(self.shared(), Ok(scope), reason.as_ref())
    }

    /// Lets a scope that was paused go on. What came due meanwhile is late: the misfire policy of each schedule says what
    /// becomes of it. The same holds where a pause ends by itself.
    ///
    /// # Errors
    /// [`SchedulerError::Store`].
    pub async fn resume(&self, scope: Scope) -> Result<ScopeChange> {
        let by = self.shared().actor.clone();
        let wish = ScopeWish::Resume { by };
        self.shared().say_of_scope(ScopeCommand { scope, wish }).await
    }

    /// Lets a scope that was paused go on, and says what becomes of the occurrences that passed meanwhile, whatever the policies
    /// of their schedules. The waiting tasks of the type, and otherwise all that wait, are looked through in bounded batches
    /// while the scope still rests. What comes due after that is late as ever. If this fails on the way the scope stays
    /// paused, and what was decided for its first tasks holds.
    ///
    /// ```
    /// # use azoth_scheduler_core::schedule::MisfirePolicy;
    /// # use azoth_scheduler_core::scope::Scope;
    /// # use azoth_scheduler_runtime::{Result, Scheduler};
    /// # use azoth_scheduler_store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let scheduler = Scheduler::builder(MemoryStore::new()).build()?;
    /// scheduler.pause(Scope::Everything, "the disk is replaced").await?;
    /// // Nobody needs the reports of last night any more.
    /// scheduler.resume_with(Scope::Everything, MisfirePolicy::Skip).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::Store`].
    pub async fn resume_with(&self, scope: Scope, misfire: MisfirePolicy) -> Result<ScopeChange> {
        let rests = |state: &ScopeState| state.scope == scope && state.pause.is_some();
        if self.scopes().await?.iter().any(rests) {
            self.shared().resume_tasks_with(&scope, misfire).await?;
        }
        self.resume(scope).await
    }

    /// Lets a task rest until it is resumed or, with [`until`](Pausing::until), that instant comes. A running execution of it
    /// goes on to its end.
    ///
    /// # Errors
    /// When awaited: as [`cancel_task`](Self::cancel_task), and [`SchedulerError::Rejected`] for a task that has ended or an
    /// end that has passed.
    pub fn pause_task(&self, id: impl AsRef<str>, reason: impl AsRef<str>) -> Pausing<'_, TaskId> {
        let task = TaskId::new(id).map_err(SchedulerError::from);
        Pausing::new(self.shared(), task, reason.as_ref())
    }

    /// Every scope of which anything was said: its limits, and whether it is paused.
    ///
    /// # Errors
    /// [`SchedulerError::Store`].
    pub async fn scopes(&self) -> Result<Vec<ScopeState>> {
        Ok(self.shared().store.scopes().await?)
    }

    async fn change_limits(&self, scope: Scope, change: LimitsChange) -> Result<ScopeChange> {
        let by = self.shared().actor.clone();
        self.shared().say_of_scope(ScopeCommand { scope, wish: ScopeWish::ChangeLimits { change, by } }).await
    }
}

impl<'a, What> Pausing<'a, What> {
    fn new(shared: &'a Shared, what: Result<What>, reason: &str) -> Self {
        Self { shared, what, reason: ErrorText::new(reason), until: None }
    }

    /// The pause ends by itself at this instant. The next claim of any process from then on records it.
    pub fn until(mut self, until: OffsetDateTime) -> Self {
        self.until = Some(until);
        self
    }

    fn end(&self) -> Result<Option<Timestamp>> {
        let until = self.until.map(Timestamp::try_from).transpose();
        Ok(until.map_err(|error| RequestError::Instant { option: "until", error })?)
    }
}

impl Pausing<'_, TaskId> {
    async fn say(self) -> Result<Said> {
        let (until, by) = (self.end()?, self.shared.actor.clone());
        self.shared.say(self.what?, Wish::Pause { reason: self.reason, by, until }).await
    }
}

impl Pausing<'_, Scope> {
    async fn say(self) -> Result<ScopeChange> {
        let (until, by) = (self.end()?, self.shared.actor.clone());
        let wish = ScopeWish::Pause { reason: self.reason, by, until };
        self.shared.say_of_scope(ScopeCommand { scope: self.what?, wish }).await
    }
}

impl<'a> IntoFuture for Pausing<'a, TaskId> {
    type Output = Result<Said>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.say())
    }
}

impl<'a> IntoFuture for Pausing<'a, Scope> {
    type Output = Result<ScopeChange>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.say())
    }
}

impl<What> std::fmt::Debug for Pausing<'_, What> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pausing")
            .field("reason", &self.reason)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Says something of a scope.
    async fn say_of_scope(&self, command: ScopeCommand) -> Result<ScopeChange> {
        let answers = self.store.apply(Batch::new([command], self.clock().now())).await?.answers;
        match answers.into_iter().next() {
            Some(Ok(Answer::Kept)) | None => Ok(ScopeChange::Kept),
            Some(Ok(_)) => Ok(ScopeChange::Recorded),
            Some(Err(rejection)) => Err(SchedulerError::rejected(rejection)),
        }
    }

    /// Has what came due to the tasks of a scope judged by a policy.
    async fn resume_tasks_with(&self, scope: &Scope, misfire: MisfirePolicy) -> Result<()> {
        let waiting = TaskFilter::new().phase(PhaseKind::Waiting).limit(BATCH_TASKS);
        let filter = match scope {
            Scope::TaskType(name) => waiting.task_type(name.clone()),
            Scope::Everything | Scope::Key(_) => waiting,
        };
        let mut page = filter.clone();
        loop {
            let states = self.store.tasks(&page).await?;
            let now = self.clock().now();
            let is_late = |state: &&TaskState| {
                let due = state.waiting().is_some_and(|work| work.run_at <= now);
                due && Scope::all_of(&state.definition).any(|of_task| of_task == *scope)
            };
            let resume = |state: &TaskState| {
                let wish = Wish::ResumeWithScope { misfire, by: self.actor.clone() };
                TaskCommand { task: state.id.clone(), wish }
            };
            let commands: Vec<_> = states.iter().filter(is_late).map(resume).collect();
            if !commands.is_empty() {
                // One that is refused was let go meanwhile.
                self.store.apply(Batch::new(commands, now)).await?;
            }
            match states.last().filter(|_| states.len() == BATCH_TASKS) {
                Some(last) => page = filter.clone().after(last.id.clone()),
                None => return Ok(()),
            }
        }
    }
}

/// So many tasks are looked at, and changed, in one transaction.
const BATCH_TASKS: usize = 500;
