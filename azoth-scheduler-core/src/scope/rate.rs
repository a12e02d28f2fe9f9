//! Rates, by the generic cell rate algorithm: one number says what is used up.

use core::num::{NonZeroU32, NonZeroU64};

use crate::time::Timestamp;

/// So many starts per span, of which some may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    per_ms: NonZeroU64,
    burst: NonZeroU32,
}

/// What is used up of a rate: the instant, in microseconds since 1970, at which all of it is free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spent(i64);

/// The longest span of a rate, in milliseconds: 366 days.
pub const RATE_PER_MS_MAX: u64 = 366 * 24 * 60 * 60 * 1000;

impl Rate {
    /// So many starts per span of at most [`RATE_PER_MS_MAX`], of which `burst` may come at once. `None` for a longer
    /// span.
    pub const fn new(count: NonZeroU32, per_ms: NonZeroU64, burst: NonZeroU32) -> Option<Self> {
        if per_ms.get() > RATE_PER_MS_MAX { None } else { Some(Self { count, per_ms, burst }) }
    }

    /// So many starts.
    pub const fn count(self) -> NonZeroU32 {
        self.count
    }

    /// In so many milliseconds.
    pub const fn per_ms(self) -> NonZeroU64 {
        self.per_ms
    }

    /// So many of them may come at once.
    pub const fn burst(self) -> NonZeroU32 {
        self.burst
    }

    /// When the next start is allowed; `now` or before where it is allowed at once.
    pub fn free_at(self, spent: Spent, now: Timestamp) -> Timestamp {
        self.free_of(self.within_reach(spent, now))
    }

    /// When the next start is allowed, by a clock that was never set back.
    pub(super) fn free_of(self, spent: Spent) -> Timestamp {
        let free_us = spent.0.saturating_sub(self.interval_us().saturating_mul(self.burst_less_one()));
        let rounded_up = free_us.saturating_add(US_PER_MS - 1).div_euclid(US_PER_MS);
        Timestamp::UNIX_EPOCH.saturating_add_ms(rounded_up)
    }

    /// What is used up after a start at this instant.
    pub fn spend(self, spent: Option<Spent>, at: Timestamp) -> Spent {
        let from = spent.map_or(micros(at), |spent| self.within_reach(spent, at).0.max(micros(at)));
        Spent(from.saturating_add(self.interval_us()))
    }

    /// What is used up when this rate takes the place of another one: at most all of it.
    pub fn take_over(self, spent: Spent, at: Timestamp) -> Spent {
        spent.min(self.all_of_it(at))
    }

    /// More than all of it can be used up only when the clock was set back; it starts again then.
    fn within_reach(self, spent: Spent, now: Timestamp) -> Spent {
        if spent > self.all_of_it(now) { Spent(micros(now)) } else { spent }
    }

    fn all_of_it(self, at: Timestamp) -> Spent {
        let all = self.interval_us().saturating_mul(i64::from(self.burst.get()));
        Spent(micros(at).saturating_add(all))
    }

    /// From one start to the next, rounded up so that the rate is never exceeded; at least a microsecond.
    fn interval_us(self) -> i64 {
        let per_us = self.per_ms.get().saturating_mul(US_PER_MS.unsigned_abs());
        let interval = per_us.div_ceil(u64::from(self.count.get()));
        i64::try_from(interval).unwrap_or(i64::MAX)
    }

    fn burst_less_one(self) -> i64 {
        i64::from(self.burst.get()).saturating_sub(1)
    }
}

impl Spent {
    /// What is used up, by its number.
    pub const fn from_unix_us(unix_us: i64) -> Self {
        Self(unix_us)
    }

    /// Its number: microseconds since 1970.
    pub const fn unix_us(self) -> i64 {
        self.0
    }
}

fn micros(at: Timestamp) -> i64 {
    at.unix_ms().saturating_mul(US_PER_MS)
}

const US_PER_MS: i64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn rate(count: u32, per_ms: u64, burst: u32) -> Rate {
        let (count, burst) = (NonZeroU32::new(count).unwrap(), NonZeroU32::new(burst).unwrap());
        Rate::new(count, NonZeroU64::new(per_ms).unwrap(), burst).unwrap()
    }

    /// How many starts the rate allows between two instants when one is tried every millisecond.
    fn starts(rate: Rate, from: Timestamp, ms: i64) -> usize {
        let mut spent = None;
        let tries = (0..ms).map(|ms| from.saturating_add_ms(ms));
        let allowed = tries.filter(|now| {
            let free = spent.is_none_or(|spent| rate.free_at(spent, *now) <= *now);
            if free {
                spent = Some(rate.spend(spent, *now));
            }
            free
        });
        allowed.count()
    }

    #[test]
    fn rate_allows_its_burst_at_once_and_then_its_count_per_span() {
        assert_eq!(starts(rate(10, 1000, 1), at(0), 1000), 10);
        assert_eq!(starts(rate(10, 1000, 5), at(0), 1000), 14);
        assert_eq!(starts(rate(3, 1000, 1), at(0), 30_000), 90);
    }

    #[test]
    fn rate_of_more_than_one_per_millisecond_is_kept_by_its_burst() {
        let rate = rate(5_000, 1000, 5);
        let spent = (0..5).fold(None, |spent, _| Some(rate.spend(spent, at(0)))).unwrap();
        assert_eq!(rate.free_at(spent, at(0)), at(0).saturating_add_ms(1));
    }

    #[test]
    fn clock_that_is_set_back_does_not_block_a_rate() {
        let rate = rate(1, 1000, 1);
        let spent = rate.spend(None, at(86_400));
        assert!(rate.free_at(spent, at(0)) <= at(0));
        assert_eq!(rate.free_at(rate.spend(Some(spent), at(0)), at(0)), at(1));
    }

    #[test]
    fn slower_rate_counts_for_no_longer_than_its_burst_when_a_faster_one_takes_over() {
        let spent = rate(1, 86_400_000, 1).spend(None, at(0));
        let fast = rate(1, 1000, 2);
        assert_eq!(fast.free_at(fast.take_over(spent, at(10)), at(10)), at(11));
    }
}
