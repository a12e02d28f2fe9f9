//! Occurrences that passed while nobody could run them.

use alloc::vec::Vec;

use super::bounds::CATCH_UP_LIMIT_MAX;
use super::calendar::{Calendar, Count};
use super::definition::{Misfire, MisfirePolicy};
use crate::time::Timestamp;

/// What a wake-up decides about the occurrences in `(last, now]`: each of them is either to run or has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reckoning {
    /// The newest due occurrence: the new `last`.
    pub newest: Timestamp,
    /// Those that are to run.
    pub run: Option<Run>,
    /// Those that do not run, in order of instant.
    pub passed: Vec<Passed>,
}

/// Occurrences that are to run one by one, oldest first: `next`, and all of the calendar after it up to and including
/// `through`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first one.
    pub next: Timestamp,
    /// The last one.
    pub through: Timestamp,
}

/// Occurrences that do not run: all of the calendar from `from` to `to`, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The first one.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
    /// How many.
    pub count: Count,
    /// What became of them.
    pub fate: Fate,
}

/// What became of an occurrence that does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody could run it in time.
    Missed(Miss),
    /// Another occurrence stands for it.
    Merged {
        /// That one.
        into: Timestamp,
    },
    /// It came at a moment at which it was not wanted.
    Skipped(Skip),
}

/// Why an occurrence was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It was later than the grace period allows, and the policy is to skip such.
    Late,
    /// It came while the task was paused, and the policy on resuming is to skip such.
    Paused,
    /// There were more late ones than the policy catches up with, and it was not among the newest.
    OverLimit,
    /// It was due, but had not started when its schedule was replaced by another.
    Redefined,
    /// It was due, but had not started when the task was cancelled or disabled, or had made its last run.
    Ended,
    /// The task waited for it, but newer zone data or a newer library reads the schedule otherwise and has no such
    /// occurrence.
    Withdrawn,
}

/// Why an occurrence was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// An earlier occurrence was still open.
    Overlap,
}

/// Why occurrences are late: it becomes the reason of those that the policy skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateCause {
    /// No process was there, or none had a free slot.
    Late,
    /// The task was paused.
    Paused,
}

impl From<LateCause> for Miss {
    fn from(cause: LateCause) -> Self {
        match cause {
            LateCause::Late => Self::Late,
            LateCause::Paused => Self::Paused,
        }
    }
}

impl Reckoning {
    /// The oldest occurrence that it decides.
    pub(crate) fn oldest(&self) -> Timestamp {
        let passed = self.passed.first().map(|passed| passed.from);
        passed.or(self.run.map(|run| run.next)).unwrap_or(self.newest)
    }

    /// The ranges lie within `(last, now]`, apart from each other and in order; the last one ends with the newest.
    pub(super) fn check(&self, last: Timestamp, now: Timestamp) {
        debug_assert!(last < self.newest && self.newest <= now, "{self:?} outside ({last}, {now}]");
        let passed = self.passed.iter().map(|passed| (passed.from, passed.to));
        let run = self.run.iter().map(|run| (run.next, run.through));
        let ranges = passed.chain(run);
        debug_assert!(ranges.clone().all(|(from, to)| from <= to), "{self:?} has a range turned round");
        let next = ranges.clone().skip(1);
        debug_assert!(ranges.clone().zip(next).all(|(a, b)| a.1 < b.0), "{self:?} overlaps");
        debug_assert_eq!(ranges.last().map(|range| range.1), Some(self.newest), "{self:?} has a rest");
    }
}

impl Passed {
    /// A single occurrence.
    pub(crate) fn one(at: Timestamp, fate: Fate) -> Self {
        Self { from: at, to: at, count: Count { number: 1, exact: true }, fate }
    }

    /// All occurrences in `(after, through]`, or `None` when there are none.
    pub(crate) fn all(calendar: &Calendar, after: Timestamp, through: Timestamp, fate: Fate) -> Option<Self> {
        let from = calendar.next(after).filter(|from| *from <= through)?;
        let to = calendar.newest_through(after, through)?;
        Some(Self { from, to, count: calendar.count(after, through), fate })
    }
}

/// Decides the occurrences in `(last, now]`; `None` when there are none.
///
/// One is late when `now` is more than the grace period after it and the spread of its jitter (`jitter_ms`). Those that
/// are not late run, oldest first. With late ones the policy decides:
///
/// - [`MisfirePolicy::Skip`]: none runs.
/// - [`MisfirePolicy::RunOnce`]: one stands for all: the oldest due one that is not late, else the newest late one.
/// - [`MisfirePolicy::CatchUp`]: the newest `limit` run, but at most [`CATCH_UP_LIMIT_MAX`], oldest first; older ones
///   are missed.
///
/// A single instant is never late.
///
/// ```
/// use azoth_scheduler_core::schedule::{LateCause, Misfire, Schedule, reckon};
/// use azoth_scheduler_core::time::Timestamp;
///
/// let calendar = Schedule::interval_secs(3_600)?.calendar(Timestamp::UNIX_EPOCH)?;
/// let now = Timestamp::from_unix_seconds(3 * 3_600 + 120)?; // 03:02, after a stop of three hours
/// let reckoning = reckon(&calendar, &Misfire::default(), 0, calendar.start(), now, LateCause::Late);
/// let reckoning = reckoning.ok_or("nothing is due")?;
/// assert_eq!(reckoning.run.map(|run| run.next.to_string()).as_deref(), Some("1970-01-01T03:00:00Z"));
/// assert_eq!(reckoning.passed[0].count.number, 2); // 01:00 and 02:00 are merged into it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn reckon(
    calendar: &Calendar,
    policy: &Misfire,
    jitter_ms: u32,
    last: Timestamp,
    now: Timestamp,
    cause: LateCause,
) -> Option<Reckoning> {
    let newest = calendar.newest_through(last, now)?;
    let late = match calendar.is_single() {
        true => None,
        false => calendar.newest_through(last, late_until(policy, jitter_ms, now)),
    };
    let (next, passed) = match late {
        Some(late) => divide(calendar, policy.policy, last, late, newest, cause),
        None => (calendar.next(last), None),
    };
    let reckoning = Reckoning {
        newest,
        run: next.map(|next| Run { next, through: newest }),
        passed: passed.into_iter().collect(),
    };
    reckoning.check(last, now);
    Some(reckoning)
}

/// The newest instant at which an occurrence would be late.
fn late_until(policy: &Misfire, jitter_ms: u32, now: Timestamp) -> Timestamp {
    let allowed_ms = policy.grace_ms.saturating_add(u64::from(jitter_ms)).saturating_add(1);
    now.saturating_add_ms(i64::try_from(allowed_ms).unwrap_or(i64::MAX).saturating_neg())
}

/// Of the occurrences in `(last, newest]`, those up to `late` are late: the first one that runs, and those that do not.
fn divide(
    calendar: &Calendar,
    policy: MisfirePolicy,
    last: Timestamp,
    late: Timestamp,
    newest: Timestamp,
    cause: LateCause,
) -> (Option<Timestamp>, Option<Passed>) {
    let on_time = calendar.next(late).filter(|next| *next <= newest);
    let (first, fate) = match policy {
        MisfirePolicy::Skip => (on_time, Fate::Missed(cause.into())),
        MisfirePolicy::RunOnce => {
            let into = on_time.unwrap_or(late);
            (Some(into), Fate::Merged { into })
        }
        MisfirePolicy::CatchUp { limit } => {
            // A resumption brings a limit that no schedule has checked.
            let limit = limit.get().min(CATCH_UP_LIMIT_MAX);
            let newest_late = calendar.nth_newest(last, late, u64::from(limit));
            (newest_late.or_else(|| calendar.next(last)), Fate::Missed(Miss::OverLimit))
        }
    };
    let before = first.map_or(late, |first| first.saturating_add_ms(-1).min(late));
    (first, Passed::all(calendar, last, before, fate))
}

#[cfg(test)]
mod tests;
