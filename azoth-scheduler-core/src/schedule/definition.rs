//! A schedule as a task's definition holds it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::{NonZeroU32, NonZeroU64};
use core::time::Duration;

use super::calendar::{Calendar, Interval, Occurrences};
use super::cron::CronExpression;
use super::error::{ScheduleError, excerpt};
use super::search::CronSearch;
use super::zone::{Zone, canonical_name};
use super::{CATCH_UP_LIMIT_MAX, INTERVAL_MS_MAX, JITTER_MS_MAX, MISFIRE_GRACE_MS_DEFAULT, UPCOMING_MAX};
use crate::time::Timestamp;

/// When a task runs, and what becomes of occurrences that cannot run when they come due.
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

/// A cron expression and its time zone, both as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronSpec {
    expression: Arc<str>,
    zone: Arc<str>,
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

impl CronSpec {
    /// Takes an expression that can fire, and the IANA name of a zone in any case.
    ///
    /// # Errors
    /// What [`CronExpression::parse`] says, [`ScheduleError::NeverFires`] or [`ScheduleError::UnknownZone`].
    pub fn new(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        let parsed = CronExpression::parse(expression)?;
        let expression = expression.trim_matches([' ', '\t']);
        if !parsed.can_fire() {
            return Err(ScheduleError::NeverFires { text: excerpt(expression) });
        }
        Ok(Self::from_stored(expression, canonical_name(zone)?))
    }

    /// What [`expression`](Self::expression) and [`zone`](Self::zone) gave when it was stored. Nothing is checked, so
    /// that a replay reads neither text; [`Schedule::calendar`] says what is wrong with them.
    pub fn from_stored(expression: &str, zone: &str) -> Self {
        Self { expression: Arc::from(expression), zone: Arc::from(zone) }
    }

    /// The expression as given, without blanks around it.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone's IANA name in canonical case.
    pub fn zone(&self) -> &str {
        &self.zone
    }
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
    /// # Errors
    /// [`ScheduleError::IntervalZero`], [`IntervalFraction`](ScheduleError::IntervalFraction) or
    /// [`IntervalTooLong`](ScheduleError::IntervalTooLong).
    pub fn every(period: Duration) -> Result<Self, ScheduleError> {
        let milliseconds = period.as_millis();
        if period.is_zero() {
            return Err(ScheduleError::IntervalZero);
        }
        if !period.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(ScheduleError::IntervalFraction { nanoseconds: period.as_nanos() });
        }
        let period_ms = u64::try_from(milliseconds).ok().filter(|ms| *ms <= INTERVAL_MS_MAX);
        let period_ms = period_ms.and_then(NonZeroU64::new);
        let period_ms = period_ms.ok_or(ScheduleError::IntervalTooLong { milliseconds })?;
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
        if let (Some(not_before), Some(not_after)) = (self.not_before, self.not_after)
            && not_before >= not_after
        {
            return Err(ScheduleError::EmptyWindow { not_before, not_after });
        }
        if self.jitter_ms > JITTER_MS_MAX {
            let (jitter_ms, limit_ms) = (self.jitter_ms, u64::from(JITTER_MS_MAX));
            return Err(ScheduleError::JitterTooLong { jitter_ms, limit_ms, limit: "a day" });
        }
        match self.misfire.policy {
            MisfirePolicy::CatchUp { limit } if limit.get() > CATCH_UP_LIMIT_MAX => {
                return Err(ScheduleError::CatchUpLimit { limit: limit.get() });
            }
            MisfirePolicy::CatchUp { .. } | MisfirePolicy::RunOnce | MisfirePolicy::Skip => {}
        }
        Ok(())
    }

    /// The occurrences of this schedule as defined at an instant, ready to be searched.
    ///
    /// # Errors
    /// What reading a stored cron expression or looking up a stored zone says.
    pub fn calendar(&self, defined_at: Timestamp) -> Result<Calendar, ScheduleError> {
        let occurrences = match &self.timing {
            Timing::Cron(cron) => {
                let expression = CronExpression::parse(cron.expression())?;
                Occurrences::Cron(CronSearch::new(expression, Zone::new(cron.zone())?))
            }
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
            Occurrences::Single(at) => at.saturating_add_ms(-1),
            Occurrences::Cron(_) | Occurrences::Interval(_) => defined_at,
        };
        Ok(Calendar { occurrences, start, not_before: self.not_before, not_after: self.not_after })
    }

    /// The next `n` instants at which it would run if it were defined at `after`, at most [`UPCOMING_MAX`].
    ///
    /// # Errors
    /// [`ScheduleError::TooManyUpcoming`], and what [`calendar`](Self::calendar) says.
    pub fn upcoming(&self, after: Timestamp, n: usize) -> Result<Vec<Timestamp>, ScheduleError> {
        if n > UPCOMING_MAX {
            return Err(ScheduleError::TooManyUpcoming { n });
        }
        let runs_max = self.max_runs.map_or(usize::MAX, |n| usize::try_from(n.get()).unwrap_or(usize::MAX));
        let calendar = self.calendar(after)?;
        Ok(calendar.occurrences_after(calendar.start()).take(n.min(runs_max)).collect())
    }

    /// The schedule in plain language.
    pub fn describe(&self) -> String {
        use alloc::format;
        match &self.timing {
            Timing::Cron(cron) => format!("cron {} in {}", cron.expression(), cron.zone()),
            Timing::Interval { period_ms, .. } => format!("every {period_ms} ms"),
            Timing::OneTime { at } => format!("once at {at}"),
            Timing::Immediate => "once, at once".into(),
        }
    }
}
