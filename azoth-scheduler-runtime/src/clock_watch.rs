//! Whether the wall clock was set, and whether it was far ahead before: then it led tasks astray.

use azoth_scheduler_core::decide::CLOCK_AHEAD_MS_MAX;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::time::Timestamp;

use crate::clock::Clock;
use crate::observe;

/// What the wall clock has shown, and how far the search for tasks that it led astray has come.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    latest: Timestamp,
    pub(crate) search: Option<Search>,
}

/// How the wall clock stands to the monotonic one.
#[derive(Debug)]
pub(crate) struct Dial {
    /// So many milliseconds the one is ahead of the other; `None` where that could not be read.
    ahead_ms: Option<i64>,
}

/// Where the search for tasks that were led astray goes on.
#[derive(Clone, Debug)]
pub(crate) enum Search {
    FromTheFirst,
    After(TaskId),
}

impl ClockWatch {
    /// A watch that searches at once: the clock may have been wrong in a run before this one.
    pub(crate) fn new() -> Self {
        Self { latest: Timestamp::MIN, search: Some(Search::FromTheFirst) }
    }

    /// Looks at the clock. What is to be searched for next, if anything is.
    pub(crate) fn look(&mut self, now: Timestamp) -> Option<Search> {
        if now.saturating_add_ms(CLOCK_AHEAD_MS_MAX) < self.latest {
            observe::clock_went_back(self.latest, now);
            self.search = Some(Search::FromTheFirst);
            self.latest = now;
        }
        self.latest = self.latest.max(now);
        self.search.clone()
    }
}

impl Dial {
    pub(crate) fn read(clock: &dyn Clock) -> Self {
        Self { ahead_ms: ahead_ms(clock) }
    }

    /// Whether the wall clock was set since this was asked last. Going on after the machine has slept is like that too.
    pub(crate) fn was_set(&mut self, clock: &dyn Clock) -> bool {
        let Some(now) = ahead_ms(clock) else { return false };
        let was_set = self.ahead_ms.is_some_and(|before| now.abs_diff(before) >= SET_MS);
        if was_set || self.ahead_ms.is_none() {
            self.ahead_ms = Some(now);
        }
        was_set
    }
}

/// `None` where time passed between the looks at the two clocks.
fn ahead_ms(clock: &dyn Clock) -> Option<i64> {
    let before = clock.elapsed();
    let now = clock.now();
    let passed = clock.elapsed().saturating_sub(before);
    let elapsed_ms = i64::try_from(before.as_millis()).unwrap_or(i64::MAX);
    let at_once = passed.as_millis() < u128::from(SET_MS / 2);
    at_once.then(|| now.unix_ms().saturating_sub(elapsed_ms))
}

/// A wall clock that moves by so many milliseconds against the monotonic one was set; by less it is steered.
const SET_MS: u64 = 100;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn clock_that_is_set_is_told_once_and_one_that_goes_on_or_is_steered_is_not() {
        let clock = ManualClock::starting_at(Timestamp::UNIX_EPOCH.saturating_add_ms(1_000_000));
        let mut dial = Dial::read(&clock);
        clock.advance(Duration::from_millis(3_600_000));
        clock.set(clock.now().saturating_add_ms(99));
        assert!(!dial.was_set(&clock));
        for by_ms in [-86_400_000, 100] {
            clock.set(clock.now().saturating_add_ms(by_ms));
            assert!(dial.was_set(&clock) && !dial.was_set(&clock));
        }
    }
}
