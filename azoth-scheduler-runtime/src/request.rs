//! What a user asks to be scheduled.

pub(crate) mod checked;
#[cfg(test)]
mod tests;

use std::time::Duration;

use azoth_scheduler_core::command::OnConflict;
use azoth_scheduler_core::dependency::{After, OnDependencyFailure};
use azoth_scheduler_core::id::{ConcurrencyKey, TaskId, TaskType};
use azoth_scheduler_core::retry::{Backoff, OnExhausted};
use azoth_scheduler_core::schedule::{MisfirePolicy, Overlap, Schedule};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::unique::Unique;
use serde::Serialize;
use time::OffsetDateTime;

use crate::error::Result;
use crate::redaction::without_json_values;

/// A task to be scheduled: checked as far as it can be without a scheduler.
///
/// ```
/// use azoth_scheduler_runtime::ScheduleTaskRequest;
///
/// let request = ScheduleTaskRequest::builder("daily-report")
///     .task_type("generate_report")
///     .cron("0 0 0 * * *") // second minute hour day-of-month month day-of-week
///     .build()?;
/// assert_eq!(request.task_type().as_str(), "generate_report");
/// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ScheduleTaskRequest {
    task: Option<TaskId>,
    task_type: TaskType,
    schedule: Schedule,
    payload: Vec<u8>,
    policies: Policies,
    after: Option<After>,
    unique: Option<Unique>,
}

/// Gathers a [`ScheduleTaskRequest`]. Whatever is wrong is said by [`build`](Self::build).
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ScheduleTaskRequestBuilder {
    task: Option<String>,
    task_type: Option<String>,
    timing: Option<GivenTiming>,
    second_timing: Option<&'static str>,
    time_zone: Option<String>,
    anchor: Option<OffsetDateTime>,
    not_before: Option<OffsetDateTime>,
    not_after: Option<OffsetDateTime>,
    max_runs: Option<u32>,
    misfire: Option<MisfirePolicy>,
    misfire_grace: Option<Duration>,
    overlap: Option<Overlap>,
    jitter: Option<Duration>,
    payload: Result<Vec<u8>, String>,
    concurrency_key: Option<String>,
    policies: Policies,
    after: Option<(Vec<String>, OnDependencyFailure)>,
    unique: Option<(String, Option<Duration>)>,
}

/// What is left to the handler's options, and then to the scheduler's defaults, where it is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policies {
    pub(crate) max_retries: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) on_exhausted: OnExhausted,
    pub(crate) timeout: Option<Duration>,
    pub(crate) priority: Option<Priority>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) concurrency_key: Option<ConcurrencyKey>,
}

#[derive(Clone)]
enum GivenTiming {
    Cron(String),
    Every(Duration),
    UnixSeconds(i64),
    At(OffsetDateTime),
    Immediate,
}

impl ScheduleTaskRequest {
    /// A request for a task of this id (1 to 255 bytes of UTF-8, no control characters).
    pub fn builder(id: impl Into<String>) -> ScheduleTaskRequestBuilder {
        ScheduleTaskRequestBuilder::new(Some(id.into()))
    }

    /// A request for a task whose id is a UUIDv7 that the library makes when it is scheduled; the outcome names it.
    /// Scheduling the same request twice makes two tasks.
    pub fn unnamed() -> ScheduleTaskRequestBuilder {
        ScheduleTaskRequestBuilder::new(None)
    }

    /// The task's id, unless the library is to make one.
    pub fn task_id(&self) -> Option<&TaskId> {
        self.task.as_ref()
    }

    /// The task's type.
    pub fn task_type(&self) -> &TaskType {
        &self.task_type
    }

    /// When the task runs.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// What its handler is given.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn after(&self) -> Option<&After> {
        self.after.as_ref()
    }

    pub(crate) fn unique(&self) -> Option<&Unique> {
        self.unique.as_ref()
    }

    pub(crate) fn policies(&self) -> &Policies {
        &self.policies
    }
}

impl std::fmt::Debug for ScheduleTaskRequest {
    /// Never shows the payload: it may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScheduleTaskRequest")
            .field("task", &self.task)
            .field("task_type", &self.task_type)
            .field("schedule", &self.schedule)
            .field("payload_bytes", &self.payload.len())
            .field("policies", &self.policies)
            .field("after", &self.after)
            .field("unique", &self.unique)
            .finish()
    }
}

impl std::fmt::Debug for ScheduleTaskRequestBuilder {
    /// Never shows the payload: it may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScheduleTaskRequestBuilder")
            .field("task", &self.task)
            .field("task_type", &self.task_type)
            .finish_non_exhaustive()
    }
}

/// What it is.
impl ScheduleTaskRequestBuilder {
    fn new(task: Option<String>) -> Self {
        Self {
            task,
            task_type: None,
            timing: None,
            second_timing: None,
            time_zone: None,
            anchor: None,
            not_before: None,
            not_after: None,
            max_runs: None,
            misfire: None,
            misfire_grace: None,
            overlap: None,
            jitter: None,
            payload: Ok(Vec::new()),
            concurrency_key: None,
            policies: Policies::default(),
            after: None,
            unique: None,
        }
    }

    /// The type that names the handler, 1 to 255 bytes. Required.
    pub fn task_type(mut self, task_type: impl Into<String>) -> Self {
        self.task_type = Some(task_type.into());
        self
    }

    /// What the handler is given; no bytes by default, at most 1 MiB unless the scheduler says otherwise.
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = Ok(payload.into());
        self
    }

    /// What the handler is given, as JSON.
    pub fn payload_json<T: Serialize + ?Sized>(mut self, payload: &T) -> Self {
        let problem = |error: serde_json::Error| without_json_values(error.to_string());
        self.payload = serde_json::to_vec(payload).map_err(problem);
        self
    }
}

/// When it runs: exactly one of `cron`, `interval`, `every`, `one_time`, `at`, `immediate`.
impl ScheduleTaskRequestBuilder {
    /// By a cron expression of six fields, `second minute hour day-of-month month day-of-week`; `1-5` is Monday to
    /// Friday. In UTC, unless a [`time_zone`](Self::time_zone) is given.
    pub fn cron(self, expression: impl Into<String>) -> Self {
        self.timing(GivenTiming::Cron(expression.into()))
    }

    /// Every so many seconds, at least 1, for the first time one period after it was scheduled.
    pub fn interval(self, seconds: u64) -> Self {
        self.every(Duration::from_secs(seconds))
    }

    /// Every `period`, whole milliseconds, at least one; for the first time one period after it was scheduled.
    pub fn every(self, period: Duration) -> Self {
        self.timing(GivenTiming::Every(period))
    }

    /// Once, so many seconds after 1970-01-01T00:00:00Z; at once if that has passed.
    pub fn one_time(self, unix_seconds: i64) -> Self {
        self.timing(GivenTiming::UnixSeconds(unix_seconds))
    }

    /// Once, at this instant; at once if it has passed.
    pub fn at(self, at: OffsetDateTime) -> Self {
        self.timing(GivenTiming::At(at))
    }

    /// Once, at once.
    pub fn immediate(self) -> Self {
        self.timing(GivenTiming::Immediate)
    }

    /// The IANA name of the zone whose local time a cron expression means, such as `Europe/Berlin`.
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = Some(name.into());
        self
    }

    /// The instant from which the periods of an interval are counted, instead of when it was scheduled.
    pub fn anchored_at(mut self, anchor: OffsetDateTime) -> Self {
        self.anchor = Some(anchor);
        self
    }

    /// No occurrence lies before this instant.
    pub fn not_before(mut self, at: OffsetDateTime) -> Self {
        self.not_before = Some(at);
        self
    }

    /// No occurrence lies at or after this instant.
    pub fn not_after(mut self, at: OffsetDateTime) -> Self {
        self.not_after = Some(at);
        self
    }

    /// The task is finished after so many occurrences were run, at least 1.
    pub fn max_runs(mut self, runs: u32) -> Self {
        self.max_runs = Some(runs);
        self
    }

    /// What becomes of occurrences that nobody could run in time; run once by default.
    pub fn misfire(mut self, policy: MisfirePolicy) -> Self {
        self.misfire = Some(policy);
        self
    }

    /// How late an occurrence may be before the misfire policy judges it; one minute by default.
    pub fn misfire_grace(mut self, grace: Duration) -> Self {
        self.misfire_grace = Some(grace);
        self
    }

    /// What becomes of occurrences that come due while one still runs; skipped by default.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = Some(overlap);
        self
    }

    /// Each run is delayed by up to this span, by task id and occurrence; none by default, at most a day.
    pub fn jitter(mut self, spread: Duration) -> Self {
        self.jitter = Some(spread);
        self
    }

    fn timing(mut self, timing: GivenTiming) -> Self {
        match &self.timing {
            None => self.timing = Some(timing),
            Some(_) => self.second_timing = Some(timing.name()),
        }
        self
    }
}

/// Under which policies. What is left out is said by the handler's options, and then by the scheduler.
impl ScheduleTaskRequestBuilder {
    /// Retries after the first attempt; 0 for none.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.policies.max_retries = Some(retries);
        self
    }

    /// Waits of `base`, twice that, four times that and so on between attempts, at most `cap`.
    pub fn backoff(self, base: Duration, cap: Duration) -> Self {
        self.backoff_policy(Backoff::doubling(base, cap))
    }

    /// The waits between attempts, in full: factor and jitter too.
    pub fn backoff_policy(mut self, backoff: Backoff) -> Self {
        self.policies.backoff = Some(backoff);
        self
    }

    /// What becomes of a recurring task whose retries are used up; disabled by default.
    pub fn on_exhausted(mut self, on_exhausted: OnExhausted) -> Self {
        self.policies.on_exhausted = on_exhausted;
        self
    }

    /// How long one attempt may take from its handler's start, at least 1 ms.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.policies.timeout = Some(timeout);
        self
    }

    /// How long one attempt may take, in seconds, at least 1.
    pub fn timeout_secs(self, seconds: u64) -> Self {
        self.timeout(Duration::from_secs(seconds))
    }

    /// Which of several due tasks of a type goes first.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.policies.priority = Some(priority);
        self
    }

    /// Tasks with the same key (1 to 255 bytes, such as `tenant-7`), of whatever type, run one at a time in the order in which
    /// they come due and were created; one that waits for a retry keeps its place. How many may run at once can be said of
    /// the key, or of the keys of a type: [`Limits`](crate::Limits).
    pub fn concurrency_key(mut self, key: impl Into<String>) -> Self {
        self.concurrency_key = Some(key.into());
        self
    }

    /// What to do when a task of this id exists; by default the same definition changes nothing and another one
    /// redefines.
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.policies.on_conflict = on_conflict;
        self
    }
}

/// After what, and whether again.
impl ScheduleTaskRequestBuilder {
    /// Only after each of these tasks (1 to 64) has succeeded; cancelled if one of them ends without.
    ///
    /// They must exist when this is scheduled; those that have succeeded by then are not waited for, and one that has
    /// failed by then counts as failing then. A recurring task is met by its next run that succeeds. Only a task that
    /// runs once can wait; it runs at the later of its instant and the last success.
    pub fn after(self, tasks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.after_with(tasks, OnDependencyFailure::Cancel)
    }

    /// As [`after`](Self::after), with a choice of what becomes of it when one of them is disabled, by its failures or by
    /// somebody, or cancelled.
    pub fn after_with(
        mut self,
        tasks: impl IntoIterator<Item = impl Into<String>>,
        on_failure: OnDependencyFailure,
    ) -> Self {
        self.after = Some((tasks.into_iter().map(Into::into).collect(), on_failure));
        self
    }

    /// While a task with this idempotency key (1 to 255 bytes, shared by all task types) is pending, the same wish is
    /// answered with that task ([`ScheduleChange::Existing`](crate::ScheduleChange)), in whatever process it is wished.
    pub fn unique_while_pending(mut self, key: impl Into<String>) -> Self {
        self.unique = Some((key.into(), None));
        self
    }

    /// For this long after a task with this idempotency key was scheduled, the same wish is answered with that task,
    /// whether or not it has ended; at least 1 ms.
    pub fn unique_for(mut self, key: impl Into<String>, period: Duration) -> Self {
        self.unique = Some((key.into(), Some(period)));
        self
    }
}

impl GivenTiming {
    fn name(&self) -> &'static str {
        match self {
            GivenTiming::Cron(_) => "cron",
            GivenTiming::Every(_) => "interval",
            GivenTiming::UnixSeconds(_) => "one_time",
            GivenTiming::At(_) => "at",
            GivenTiming::Immediate => "immediate",
        }
    }
}
