//! The occurrences of a schedule, ready to be searched.

use core::num::NonZeroU64;

use super::bounds::COUNT_MAX;
use super::search::CronSearch;
use super::zone::Segment;
use crate::time::Timestamp;

/// The occurrences of one schedule: parsed, with its zone, its window and the instant of its definition resolved.
///
/// Searching allocates nothing. Made by [`Schedule::calendar`](super::Schedule::calendar).
///
/// ```
/// use azoth_scheduler_core::schedule::Schedule;
/// use azoth_scheduler_core::time::Timestamp;
///
/// let calendar = Schedule::cron("0 */20 * * * *")?.calendar(Timestamp::UNIX_EPOCH)?;
/// let now = Timestamp::from_unix_seconds(3_000)?;
/// assert_eq!(calendar.next(now), Some(Timestamp::from_unix_seconds(3_600)?));
/// assert_eq!(calendar.newest_through(calendar.start(), now), Some(Timestamp::from_unix_seconds(2_400)?));
/// assert_eq!(calendar.count(calendar.start(), now).number, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Calendar {
    pub(super) occurrences: Occurrences,
    pub(super) start: Timestamp,
    pub(super) not_before: Option<Timestamp>,
    pub(super) not_after: Option<Timestamp>,
}

#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one calendar is held at a time, and a box would be one more allocation"
)]
pub(super) enum Occurrences {
    Cron(CronSearch),
    Interval(Interval),
    Single(Timestamp),
}

/// `first + k * period`, for k from 0 on. `first` is `None` beyond the supported years.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) first: Option<Timestamp>,
    pub(super) period_ms: NonZeroU64,
}

/// How many occurrences there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The number.
    pub number: u64,
    /// Whether that is all of them; counting those of a cron schedule stops at [`COUNT_MAX`](super::COUNT_MAX).
    pub exact: bool,
}

impl Calendar {
    /// The first occurrence strictly after `after` within the window; `None` when there is none, or none within 100 years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.occurrences_after(after).next()
    }

    /// What `last`, the newest occurrence decided, is at first: the instant of definition; for a single instant that has
    /// come by then, one millisecond before it, so that one in the past is due at once.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Whether there is at most one occurrence by nature: one-time and immediate schedules.
    pub fn is_single(&self) -> bool {
        matches!(self.occurrences, Occurrences::Single(_))
    }

    /// The newest occurrence in `(after, through]`.
    pub fn newest_through(&self, after: Timestamp, through: Timestamp) -> Option<Timestamp> {
        self.nth_newest(after, through, 1)
    }

    /// How many occurrences lie in `(after, through]`.
    pub fn count(&self, after: Timestamp, through: Timestamp) -> Count {
        if let Occurrences::Interval(interval) = &self.occurrences {
            let number = self.interval_count(interval, after, through);
            return Count { number, exact: true };
        }
        let number = self.count_up_to(after, through, COUNT_MAX.saturating_add(1));
        Count { number: number.min(COUNT_MAX), exact: number <= COUNT_MAX }
    }

    /// The occurrences strictly after `after`, one by one: cheaper than as many calls of [`next`](Self::next).
    pub fn occurrences_after(&self, after: Timestamp) -> Upcoming<'_> {
        let last = match self.not_before {
            Some(not_before) => after.max(not_before.saturating_add_ms(-1)),
            None => after,
        };
        Upcoming { calendar: self, last, known: None }
    }

    /// The `n`-th newest occurrence in `(after, through]`, counted from 1; `None` when there are fewer.
    pub(super) fn nth_newest(&self, after: Timestamp, through: Timestamp, n: u64) -> Option<Timestamp> {
        match &self.occurrences {
            Occurrences::Cron(_) => self.cron_nth_newest(after, through, n),
            Occurrences::Interval(interval) => self.interval_nth_newest(interval, after, through, n),
            Occurrences::Single(_) => self.next(after).filter(|at| n == 1 && *at <= through),
        }
    }

    /// Looks in windows that end at `through` and double in length until one holds enough.
    fn cron_nth_newest(&self, after: Timestamp, through: Timestamp, n: u64) -> Option<Timestamp> {
        let (mut span_ms, mut short) = (WINDOW_MS_MIN, through);
        loop {
            let from = through.saturating_add_ms(span_ms.saturating_neg()).max(after);
            if self.count_up_to(from, through, n) >= n {
                return self.narrow(from, short, through, n);
            }
            if from <= after {
                return None;
            }
            short = from;
            span_ms = span_ms.saturating_mul(2);
        }
    }

    /// The `n`-th newest up to `through`, known to lie in `(enough, short]`.
    ///
    /// That window may hold a burst of far more than `n`, so it is halved before its occurrences are walked through.
    fn narrow(&self, enough: Timestamp, short: Timestamp, through: Timestamp, n: u64) -> Option<Timestamp> {
        let (mut enough, mut short) = (enough, short);
        let burst = n.saturating_mul(BURST_FACTOR);
        loop {
            debug_assert!(enough < short, "{enough} to {short} is empty");
            let number = self.count_up_to(enough, through, burst);
            if number < burst {
                let skipped = usize::try_from(number.checked_sub(n)?).ok()?;
                return self.occurrences_after(enough).nth(skipped);
            }
            let middle = enough.saturating_add_ms(short.ms_since(enough).div_euclid(2));
            if self.count_up_to(middle, through, n) >= n {
                enough = middle;
            } else {
                short = middle;
            }
        }
    }

    /// Counts the occurrences in `(after, through]`, at most `limit` of them.
    fn count_up_to(&self, after: Timestamp, through: Timestamp, limit: u64) -> u64 {
        let due = self.occurrences_after(after).take_while(|at| *at <= through);
        (1..=limit).zip(due).last().map_or(0, |(number, _)| number)
    }

    fn interval_count(&self, interval: &Interval, after: Timestamp, through: Timestamp) -> u64 {
        let oldest = self.next(after).filter(|at| *at <= through);
        match (oldest, self.interval_nth_newest(interval, after, through, 1)) {
            (Some(oldest), Some(newest)) => interval.periods(oldest, newest).saturating_add(1),
            _ => 0,
        }
    }

    fn interval_nth_newest(
        &self,
        interval: &Interval,
        after: Timestamp,
        through: Timestamp,
        n: u64,
    ) -> Option<Timestamp> {
        let oldest = self.next(after).filter(|at| *at <= through)?;
        let through = match self.not_after {
            Some(not_after) => through.min(not_after.saturating_add_ms(-1)),
            None => through,
        };
        let back = n.checked_sub(1)?;
        let k = interval.periods(oldest, through).checked_sub(back)?;
        let ms = k.checked_mul(interval.period_ms.get())?;
        oldest.checked_add_ms(i64::try_from(ms).ok()?)
    }
}

impl Interval {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let first = self.first?;
        if after < first {
            return Some(first);
        }
        let k = self.periods(first, after).checked_add(1)?;
        let ms = k.checked_mul(self.period_ms.get())?;
        first.checked_add_ms(i64::try_from(ms).ok()?)
    }

    /// Whole periods from one instant to a later one.
    fn periods(&self, from: Timestamp, to: Timestamp) -> u64 {
        let ms = u64::try_from(to.ms_since(from)).unwrap_or(0);
        ms.checked_div(self.period_ms.get()).unwrap_or(0)
    }
}

/// The occurrences of a calendar after an instant, oldest first. Made by [`Calendar::occurrences_after`].
#[derive(Clone, Debug)]
pub struct Upcoming<'a> {
    calendar: &'a Calendar,
    last: Timestamp,
    /// The segment of the zone in which the last one was found.
    known: Option<Segment>,
}

impl Iterator for Upcoming<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        let at = match &self.calendar.occurrences {
            Occurrences::Cron(search) => {
                let at = search.next(self.last.unix_seconds(), &mut self.known)?;
                Timestamp::from_unix_seconds(at).ok()?
            }
            Occurrences::Interval(interval) => interval.next(self.last)?,
            Occurrences::Single(at) => Some(*at).filter(|at| *at > self.last)?,
        };
        debug_assert!(at > self.last, "occurrences are strictly increasing");
        if self.calendar.not_after.is_some_and(|not_after| at >= not_after) {
            return None;
        }
        self.last = at;
        Some(at)
    }
}

impl core::iter::FusedIterator for Upcoming<'_> {}

/// A window with so many times the occurrences looked for is a burst.
const BURST_FACTOR: u64 = 4;

/// The first window in which the newest occurrences are looked for, in milliseconds; it doubles from there.
const WINDOW_MS_MIN: i64 = 60_000;

#[cfg(test)]
mod tests;
