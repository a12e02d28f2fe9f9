//! A schedule as a task's definition holds it.

use alloc::vec::Vec;
use core::num::{NonZeroU32, NonZeroU64};
use core::time::Duration;

use super::bounds::{
    CATCH_UP_LIMIT_MAX, INTERVAL_MS_MAX, JITTER_MS_MAX, MISFIRE_GRACE_MS_DEFAULT, UPCOMING_MAX,
};
use super::calendar::{Calendar, Interval, Occurrences};
use super::error::ScheduleError;
use super::spec::CronSpec;
use crate::time::Timestamp;

/// When a task runs, and what becomes of occurrences that cannot run when they come due.
///
/// ```
/// use azoth_scheduler_core::schedule::{Overlap, Schedule};
///
/// let schedule = Schedule { overlap: Overlap::BufferOne, jitter_ms: 30_000, ..Schedule::cron("@hourly")? };
/// schedule.validate()?;
/// assert_eq!(schedule.describe(), "at minute 0 of every hour");
/// # Ok::<(), azoth_scheduler_core::schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// At which instants.
    pub timing: Timing,
    /// Occurrences before this instant do not exist.
    pub not_before: Option<Timestamp>,
    /// Occurrences at or after this instant do not exist.
    pub not_after: Option<Timestamp>,
    /// After so many runs the task is finished.
    pub max_runs: Option<NonZeroU32>,
    /// What becomes of late occurrences.
    pub misfire: Misfire,
    /// What becomes of occurrences that come due while an earlier one is open.
    pub overlap: Overlap,
    /// Runs start up to so many milliseconds after their occurrence; at most [`JITTER_MS_MAX`], and less than
    /// the period of an interval.
    pub jitter_ms: u32,
}

/// The instants of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Those that a cron expression names in a time zone.
    Cron(CronSpec),
    /// `anchor + k * period`, in elapsed time.
    Interval {
        /// The period in milliseconds.
        period_ms: NonZeroU64,
        /// The occurrence with k = 0. `None`: the instant of definition, which is itself no occurrence.
        anchor: Option<Timestamp>,
    },
    /// One instant; due at once when it lies in the past.
    OneTime {
        /// That instant.
        at: Timestamp,
    },
    /// The instant of definition.
    Immediate,
}

/// What becomes of occurrences that are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfire {
    /// Which of them run.
    pub policy: MisfirePolicy,
    /// An occurrence is late from so many milliseconds after it (and its jitter) on; 60,000 by default.
    pub grace_ms: u64,
}

/// Which of the late occurrences run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisfirePolicy {
    /// One run stands for all of them.
    RunOnce,
    /// None; they are recorded as missed.
    Skip,
    /// Each, oldest first, but at most the newest `limit`.
    CatchUp {
        /// At most [`CATCH_UP_LIMIT_MAX`]; [`CATCH_UP_LIMIT_DEFAULT`](super::CATCH_UP_LIMIT_DEFAULT) is 100.
        limit: NonZeroU32,
    },
}

impl Default for Misfire {
    /// One run for all, from a minute on.
    fn default() -> Self {
        Self { policy: MisfirePolicy::RunOnce, grace_ms: MISFIRE_GRACE_MS_DEFAULT }
    }
}

/// What becomes of occurrences that come due while an earlier one is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// They are skipped.
    #[default]
    Skip,
    /// The newest waits and runs next.
    BufferOne,
}

impl Schedule {
    /// A cron expression of six fields (second minute hour day-of-month month day-of-week) in UTC.
    ///
    /// # Errors
    /// As [`CronSpec::new`].
    pub fn cron(expression: &str) -> Result<Self, ScheduleError> {
        Self::cron_in(expression, "UTC")
    }

    /// A cron expression in a time zone, by its IANA name such as `Europe/Berlin`.
    ///
    /// # Errors
    /// As [`CronSpec::new`].
    pub fn cron_in(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        Ok(Self::of(Timing::Cron(CronSpec::new(expression, zone)?)))
    }

    /// Every so many seconds, counted from the definition.
    ///
    /// # Errors
    /// As [`every`](Self::every).
    pub fn interval_secs(seconds: u64) -> Result<Self, ScheduleError> {
        Self::every(Duration::from_secs(seconds))
    }

    /// Every such period, counted from the definition: a whole number of milliseconds, from 1 to [`INTERVAL_MS_MAX`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use azoth_scheduler_core::schedule::Schedule;
    ///
    /// assert!(Schedule::every(Duration::from_millis(1_500)).is_ok());
    /// assert!(Schedule::every(Duration::from_micros(1_500)).is_err());
    /// ```
    ///
    /// # Errors
    /// [`ScheduleError::IntervalZero`], [`IntervalFraction`](ScheduleError::IntervalFraction) or
    /// [`IntervalTooLong`](ScheduleError::IntervalTooLong).
    pub fn every(period: Duration) -> Result<Self, ScheduleError> {
        let milliseconds = period.as_millis();
        let period_ms = u64::try_from(milliseconds).ok().filter(|ms| *ms <= INTERVAL_MS_MAX);
        let period_ms = period_ms.ok_or(ScheduleError::IntervalTooLong { milliseconds })?;
        if !period.subsec_nanos().is_multiple_of(NANOSECONDS_OF_MILLISECOND) {
            return Err(ScheduleError::IntervalFraction { nanoseconds: period.as_nanos() });
        }
        let period_ms = NonZeroU64::new(period_ms).ok_or(ScheduleError::IntervalZero)?;
        Ok(Self::of(Timing::Interval { period_ms, anchor: None }))
    }

    /// Once, at an instant; at once when it has passed.
    pub fn one_time(at: Timestamp) -> Self {
        Self::of(Timing::OneTime { at })
    }

    /// Once, as soon as it is defined.
    pub fn immediate() -> Self {
        Self::of(Timing::Immediate)
    }

    fn of(timing: Timing) -> Self {
        Self {
            timing,
            not_before: None,
            not_after: None,
            max_runs: None,
            misfire: Misfire::default(),
            overlap: Overlap::default(),
            jitter_ms: 0,
        }
    }

    /// Whether it may have more than one occurrence: cron and interval.
    pub fn is_recurring(&self) -> bool {
        match self.timing {
            Timing::Cron(_) | Timing::Interval { .. } => true,
            Timing::OneTime { .. } | Timing::Immediate => false,
        }
    }

    /// Checks what the public fields could hold but no schedule may.
    ///
    /// # Errors
    /// [`ScheduleError::EmptyWindow`], [`JitterTooLong`](ScheduleError::JitterTooLong),
    /// [`CatchUpLimit`](ScheduleError::CatchUpLimit), [`NoOccurrence`](ScheduleError::NoOccurrence), and what
    /// [`calendar`](Self::calendar) says.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        self.validate_window()?;
        self.validate_interval()?;
        self.validate_jitter()?;
        if let MisfirePolicy::CatchUp { limit } = self.misfire.policy
            && limit.get() > CATCH_UP_LIMIT_MAX
        {
            return Err(ScheduleError::CatchUpLimit { limit: limit.get() });
        }
        self.validate_occurrence()
    }

    fn validate_window(&self) -> Result<(), ScheduleError> {
        match (self.not_before, self.not_after) {
            (Some(not_before), Some(not_after)) if not_before >= not_after => {
                Err(ScheduleError::EmptyWindow { not_before, not_after })
            }
            _ => Ok(()),
        }
    }

    fn period_ms(&self) -> Option<u64> {
        match &self.timing {
            Timing::Interval { period_ms, .. } => Some(period_ms.get()),
            Timing::Cron(_) | Timing::OneTime { .. } | Timing::Immediate => None,
        }
    }

    fn validate_interval(&self) -> Result<(), ScheduleError> {
        match self.period_ms() {
            Some(period_ms) if period_ms > INTERVAL_MS_MAX => {
                Err(ScheduleError::IntervalTooLong { milliseconds: period_ms.into() })
            }
            _ => Ok(()),
        }
    }

    /// Jitter must not change the order of the runs of an interval.
    fn validate_jitter(&self) -> Result<(), ScheduleError> {
        let day = (u64::from(JITTER_MS_MAX), "a day");
        let period = self.period_ms().map(|ms| (ms.saturating_sub(1), "less than the period"));
        let (limit_ms, limit) = period.unwrap_or(day).min(day);
        if u64::from(self.jitter_ms) > limit_ms {
            return Err(ScheduleError::JitterTooLong { jitter_ms: self.jitter_ms, limit_ms, limit });
        }
        Ok(())
    }

    /// Whether the window holds an occurrence, as far as that does not depend on the instant of definition.
    fn validate_occurrence(&self) -> Result<(), ScheduleError> {
        let calendar = self.calendar(Timestamp::MIN)?;
        let depends = match self.timing {
            Timing::Interval { anchor, .. } => anchor.is_none(),
            Timing::Immediate => true,
            Timing::Cron(_) | Timing::OneTime { .. } => false,
        };
        if depends || calendar.next(calendar.start()).is_some() {
            return Ok(());
        }
        Err(ScheduleError::NoOccurrence { not_before: self.not_before, not_after: self.not_after })
    }

    /// The occurrences of this schedule as defined at an instant, ready to be searched.
    ///
    /// # Errors
    /// What reading a stored cron expression or looking up a stored zone says.
    pub fn calendar(&self, defined_at: Timestamp) -> Result<Calendar, ScheduleError> {
        let occurrences = match &self.timing {
            Timing::Cron(cron) => Occurrences::Cron(cron.search()?),
            Timing::Interval { period_ms, anchor } => {
                let first = match anchor {
                    Some(anchor) => Some(*anchor),
                    None => i64::try_from(period_ms.get()).ok().and_then(|ms| defined_at.checked_add_ms(ms)),
                };
                Occurrences::Interval(Interval { first, period_ms: *period_ms })
            }
            Timing::OneTime { at } => Occurrences::Single(*at),
            Timing::Immediate => Occurrences::Single(defined_at),
        };
        let start = match &occurrences {
            Occurrences::Single(at) => at.saturating_add_ms(-1).min(defined_at),
            Occurrences::Cron(_) | Occurrences::Interval(_) => defined_at,
        };
        Ok(Calendar { occurrences, start, not_before: self.not_before, not_after: self.not_after })
    }

    /// The next `n` occurrences strictly after an instant, for a schedule defined at that instant; at most
    /// [`UPCOMING_MAX`]. An immediate schedule has that instant itself.
    ///
    /// The instant is a [`time::OffsetDateTime`] (of any offset; the answers are in UTC) or a [`Timestamp`], and so are the
    /// answers.
    ///
    /// ```
    /// use azoth_scheduler_core::schedule::Schedule;
    /// use azoth_scheduler_core::time::Timestamp;
    /// use time::OffsetDateTime;
    ///
    /// let schedule = Schedule::cron("0 0 12 L * *")?;
    /// let upcoming = schedule.upcoming(OffsetDateTime::UNIX_EPOCH, 2)?;
    /// assert_eq!(upcoming[0].unix_timestamp(), (30 * 24 + 12) * 3_600);
    ///
    /// let upcoming = schedule.upcoming(Timestamp::UNIX_EPOCH, 2)?;
    /// assert_eq!(upcoming[1].to_string(), "1970-02-28T12:00:00Z");
    /// # Ok::<(), azoth_scheduler_core::schedule::ScheduleError>(())
    /// ```
    ///
    /// # Errors
    /// [`ScheduleError::TooManyUpcoming`], [`OutsideYears`](ScheduleError::OutsideYears) for an instant outside the years
    /// 0001 to 9999, and what [`calendar`](Self::calendar) says.
    pub fn upcoming<T>(&self, after: T, n: usize) -> Result<Vec<T>, ScheduleError>
    where
        Timestamp: TryFrom<T>,
        T: From<Timestamp>,
    {
        if n > UPCOMING_MAX {
            return Err(ScheduleError::TooManyUpcoming { n });
        }
        let after = Timestamp::try_from(after).map_err(|_| ScheduleError::OutsideYears)?;
        let runs_max = self.max_runs.map_or(usize::MAX, |n| usize::try_from(n.get()).unwrap_or(usize::MAX));
        let calendar = self.calendar(after)?;
        let after = match self.timing {
            Timing::Immediate => calendar.start(),
            Timing::Cron(_) | Timing::Interval { .. } | Timing::OneTime { .. } => after,
        };
        Ok(calendar.occurrences_after(after).take(n.min(runs_max)).map(T::from).collect())
    }
}

const NANOSECONDS_OF_MILLISECOND: u32 = 1_000_000;

#[cfg(test)]
mod tests;
