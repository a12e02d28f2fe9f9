//! From what was given to a request that is accepted, or to what is wrong with it.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use azoth_scheduler_core::dependency::{After, OnDependencyFailure};
use azoth_scheduler_core::id::{ConcurrencyKey, IdempotencyKey, TaskId, TaskType};
use azoth_scheduler_core::schedule::{Schedule, Timing};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::unique::{Holds, Unique};
use time::OffsetDateTime;

use super::{GivenTiming, Policies, ScheduleTaskRequest, ScheduleTaskRequestBuilder};
use crate::error::{RequestError, Result};

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
