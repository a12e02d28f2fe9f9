//! Limits and pauses of a task type, a concurrency key, or everything: the same for every process on one store.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::num::{NonZeroU32, NonZeroU64};
use std::pin::Pin;
use std::time::Duration;

use azoth_scheduler_core::command::{ScopeCommand, ScopeWish, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::schedule::MisfirePolicy;
use azoth_scheduler_core::scope::{self, LimitsChange, RATE_PER_MS_MAX, Rate, Scope, ScopeState};
use azoth_scheduler_core::state::{PhaseKind, TaskState};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{Batch, TaskFilter};
use time::OffsetDateTime;

use crate::error::{RequestError, Result, SchedulerError};
use crate::scheduler::Scheduler;
use crate::shared::Shared;
use crate::view::Said;

/// How many tasks may run at once, and how often they may start. A limit that is not given does not hold, but for one: of
/// the tasks with one concurrency key one runs at a time unless something else is said.
///
/// ```
/// use std::time::Duration;
/// use azoth_scheduler_runtime::Limits;
///
/// let limits = Limits::new().max_running(4).rate(100, Duration::from_secs(1)).burst(20);
/// # let _ = limits;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    max_running: Option<u32>,
    max_running_per_key: Option<u32>,
    rate: Option<(u32, Duration)>,
    burst: Option<u32>,
}

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

impl Limits {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most so many run at once, over all processes; at least 1. For a concurrency key this is how many of its tasks may.
    pub fn max_running(mut self, at_most: u32) -> Self {
        self.max_running = Some(at_most);
        self
    }

    /// At most so many run at once for each concurrency key that has no limit of its own; at least 1, and 1 by default. Not
    /// for a single key.
    pub fn max_running_per_key(mut self, at_most: u32) -> Self {
        self.max_running_per_key = Some(at_most);
        self
    }

    /// At most so many start per span (1 ms to 366 days), spread evenly but for the [`burst`](Self::burst). Retries count too.
    pub fn rate(mut self, count: u32, per: Duration) -> Self {
        self.rate = Some((count, per));
        self
    }

    /// So many may start at once after a time in which fewer did than the rate allows; at least 1, by default a tenth of the
    /// rate's count.
    pub fn burst(mut self, at_once: u32) -> Self {
        self.burst = Some(at_once);
        self
    }

    /// The limits as core knows them.
    pub(crate) fn checked(&self) -> Result<scope::Limits, RequestError> {
        let max_running = at_least_one("max_running", self.max_running)?;
        let max_running_per_key = at_least_one("max_running_per_key", self.max_running_per_key)?;
        let burst = at_least_one("burst", self.burst)?;
        let rate = match (self.rate, burst) {
            (None, None) => None,
            (None, Some(_)) => {
                let (option, belongs_to, schedule) = ("burst", "a rate", "without `.rate(..)`");
                return Err(RequestError::Misplaced { option, belongs_to, schedule });
            }
            (Some((count, per)), burst) => Some(rate(count, per, burst)?),
        };
        Ok(scope::Limits { max_running, max_running_per_key, rate })
    }
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

    /// The wishes to declare limits: those of the handlers' types, and those of the builder, which go before them.
    pub(crate) fn declared_limits(&self) -> Vec<ScopeCommand> {
        let of_types = self.registry.limits().map(|(name, limits)| (Scope::TaskType(name), limits));
        let of_builder = self.config.limits.iter();
        // `build` has checked them.
        let of_builder =
            of_builder.filter_map(|(scope, limits)| Some((scope.clone(), limits.checked().ok()?)));
        let limits: BTreeMap<Scope, scope::Limits> = of_types.chain(of_builder).collect();
        let command = |(scope, limits)| {
            let by = self.actor.clone();
            let wish = ScopeWish::ChangeLimits { change: LimitsChange::Declared(limits), by };
            ScopeCommand { scope, wish }
        };
        limits.into_iter().map(command).collect()
    }
}

fn at_least_one(option: &'static str, number: Option<u32>) -> Result<Option<NonZeroU32>, RequestError> {
    number.map(|number| NonZeroU32::new(number).ok_or(RequestError::Zero { option })).transpose()
}

fn rate(count: u32, per: Duration, burst: Option<NonZeroU32>) -> Result<Rate, RequestError> {
    let count = NonZeroU32::new(count).ok_or(RequestError::Zero { option: "rate" })?;
    let burst = burst.or(NonZeroU32::new(count.get() / BURST_SHARE)).unwrap_or(NonZeroU32::MIN);
    let per_ms = u64::try_from(per.as_millis()).ok().and_then(NonZeroU64::new);
    let rate = per_ms.filter(|ms| ms.get() <= RATE_PER_MS_MAX).and_then(|ms| Rate::new(count, ms, burst));
    rate.ok_or(RequestError::Span { option: "rate", span: per, allowed: "1 ms to 366 days" })
}

/// So many tasks are looked at, and changed, in one transaction.
const BATCH_TASKS: usize = 500;
/// Of a rate's count this share may come at once.
const BURST_SHARE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_outside_their_range_are_named_with_what_to_do() {
        let refused = |limits: Limits| limits.checked().unwrap_err().to_string();
        assert_eq!(
            refused(Limits::new().max_running(0)),
            "max_running of 0: give at least 1, or leave it out for no limit"
        );
        assert!(refused(Limits::new().max_running_per_key(0)).starts_with("max_running_per_key of 0"));
        assert!(refused(Limits::new().rate(0, Duration::from_secs(1))).starts_with("rate of 0"));
        let long = Duration::from_secs(367 * 24 * 60 * 60);
        assert!(refused(Limits::new().rate(1, long)).contains("1 ms to 366 days"));
        assert!(refused(Limits::new().rate(1, Duration::ZERO)).contains("1 ms to 366 days"));
        assert!(refused(Limits::new().burst(2)).contains("without `.rate(..)`"));
    }
}
