//! What a user asks to be scheduled.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use azoth_scheduler_core::command::OnConflict;
use azoth_scheduler_core::dependency::{After, OnDependencyFailure};
use azoth_scheduler_core::id::{ConcurrencyKey, IdempotencyKey, TaskId, TaskType};
use azoth_scheduler_core::retry::{Backoff, OnExhausted};
use azoth_scheduler_core::schedule::{MisfirePolicy, Overlap, Schedule, Timing};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::unique::{Holds, Unique};
use serde::Serialize;
use time::OffsetDateTime;

use crate::error::{RequestError, Result};
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

impl ScheduleTaskRequestBuilder {
    /// Checks the request.
    ///
    /// # Errors
    /// [`InvalidTask`](crate::SchedulerError::InvalidTask) with a [`RequestError`] that names what was given, what is
    /// allowed and what to write instead.
    pub fn build(self) -> Result<ScheduleTaskRequest> {
        Ok(self.checked()?)
    }

    fn checked(self) -> Result<ScheduleTaskRequest, RequestError> {
        let task = self.task.as_ref().map(TaskId::new).transpose()?;
        let shown = self.task.clone().unwrap_or_else(|| "(unnamed)".to_owned());
        let task_type = self.task_type.as_ref().ok_or(RequestError::NoTaskType { task: shown.clone() })?;
        let task_type = TaskType::new(task_type)?;
        let schedule = self.schedule(shown)?;
        if let Some(timeout) = self.policies.timeout {
            timeout_ms("timeout", timeout)?;
        }
        let payload = self.payload.map_err(|problem| RequestError::PayloadNotJson { problem })?;
        let concurrency_key = self.concurrency_key.map(ConcurrencyKey::new).transpose()?;
        let policies = Policies { concurrency_key, ..self.policies };
        let after = self.after.map(|(tasks, rule)| checked_after(&tasks, rule)).transpose()?;
        let unique = self.unique.map(|(key, period)| checked_unique(&key, period)).transpose()?;
        Ok(ScheduleTaskRequest { task, task_type, schedule, payload, policies, after, unique })
    }

    fn schedule(&self, task: String) -> Result<Schedule, RequestError> {
        let timing = match (&self.timing, self.second_timing) {
            (None, _) => return Err(RequestError::NoSchedule { task }),
            (Some(first), Some(second)) => {
                return Err(RequestError::TwoSchedules { task, first: first.name(), second });
            }
            (Some(timing), None) => timing,
        };
        self.check_place(timing)?;
        let mut schedule = self.plain_schedule(timing)?;
        schedule.not_before = instant("not_before", self.not_before)?;
        schedule.not_after = instant("not_after", self.not_after)?;
        if let Some(runs) = self.max_runs {
            schedule.max_runs = Some(NonZeroU32::new(runs).ok_or(RequestError::Zero { option: "max_runs" })?);
        }
        if let Some(policy) = self.misfire {
            schedule.misfire.policy = policy;
        }
        if let Some(grace) = self.misfire_grace {
            schedule.misfire.grace_ms = span_ms("misfire_grace", grace)?;
        }
        if let Some(overlap) = self.overlap {
            schedule.overlap = overlap;
        }
        if let Some(spread) = self.jitter {
            schedule.jitter_ms = jitter_ms(spread)?;
        }
        schedule.validate()?;
        Ok(schedule)
    }

    /// Refuses what belongs to another kind of schedule, rather than ignore it.
    fn check_place(&self, timing: &GivenTiming) -> Result<(), RequestError> {
        let is_cron = matches!(timing, GivenTiming::Cron(_));
        let is_interval = matches!(timing, GivenTiming::Every(_));
        let misplaced =
            |option, belongs_to| RequestError::Misplaced { option, belongs_to, schedule: timing.name() };
        if self.time_zone.is_some() && !is_cron {
            return Err(misplaced("time_zone", "cron"));
        }
        if self.anchor.is_some() && !is_interval {
            return Err(misplaced("anchored_at", "interval and every"));
        }
        if self.after.is_some() && (is_cron || is_interval) {
            return Err(misplaced("after", "one_time, at and immediate"));
        }
        if self.max_runs.is_some() && !is_cron && !is_interval {
            return Err(misplaced("max_runs", "cron, interval and every"));
        }
        Ok(())
    }

    fn plain_schedule(&self, timing: &GivenTiming) -> Result<Schedule, RequestError> {
        let one_time = |at| Ok(Schedule::one_time(at));
        match timing {
            GivenTiming::Cron(expression) => {
                let zone = self.time_zone.as_deref().unwrap_or("UTC");
                Ok(Schedule::cron_in(expression, zone)?)
            }
            GivenTiming::Every(period) => {
                let mut schedule = Schedule::every(*period)?;
                if let Timing::Interval { anchor, .. } = &mut schedule.timing {
                    *anchor = instant("anchored_at", self.anchor)?;
                }
                Ok(schedule)
            }
            GivenTiming::UnixSeconds(seconds) => Timestamp::from_unix_seconds(*seconds)
                .map_err(|error| RequestError::Instant { option: "one_time", error })
                .and_then(one_time),
            GivenTiming::At(at) => Timestamp::try_from(*at)
                .map_err(|error| RequestError::Instant { option: "at", error })
                .and_then(one_time),
            GivenTiming::Immediate => Ok(Schedule::immediate()),
        }
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

fn instant(option: &'static str, at: Option<OffsetDateTime>) -> Result<Option<Timestamp>, RequestError> {
    at.map(Timestamp::try_from).transpose().map_err(|error| RequestError::Instant { option, error })
}

fn span_ms(option: &'static str, span: Duration) -> Result<u64, RequestError> {
    u64::try_from(span.as_millis()).map_err(|_| RequestError::Span {
        option,
        span,
        allowed: "the supported years",
    })
}

fn jitter_ms(spread: Duration) -> Result<u32, RequestError> {
    let too_long = |_| RequestError::Span { option: "jitter", span: spread, allowed: "0 to 24 hours" };
    u32::try_from(spread.as_millis()).map_err(too_long)
}

fn checked_after(tasks: &[String], on_failure: OnDependencyFailure) -> Result<After, RequestError> {
    let tasks: Result<Vec<TaskId>, _> = tasks.iter().map(TaskId::new).collect();
    Ok(After::new(tasks?, on_failure)?)
}

fn checked_unique(key: &str, period: Option<Duration>) -> Result<Unique, RequestError> {
    let key = IdempotencyKey::new(key)?;
    let holds = match period {
        None => Holds::WhilePending,
        Some(period) => Holds::For { ms: timeout_ms("unique_for", period)? },
    };
    Ok(Unique { key, holds })
}

/// A timeout in whole milliseconds.
pub(crate) fn timeout_ms(option: &'static str, timeout: Duration) -> Result<NonZeroU64, RequestError> {
    let ms = span_ms(option, timeout)?;
    NonZeroU64::new(ms).filter(|ms| ms.get() <= TIMEOUT_MS_MAX).ok_or(RequestError::Span {
        option,
        span: timeout,
        allowed: "1 ms to 365 days",
    })
}

/// No attempt may take longer than this: 365 days.
const TIMEOUT_MS_MAX: u64 = 365 * 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests;
