//! The wait of the loop for its next deadline.

use std::time::Duration;

use crate::clock::{Clock, Sleep};

/// When the loop wakes by itself, by the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at: Duration,
    /// As exactly as the clock is able to.
    pub(super) exact: bool,
}

/// A wait that is kept while the deadline stays the same: to begin one may wake another thread of the async runtime.
#[derive(Default)]
pub(crate) struct Nap {
    kept: Option<(Deadline, Sleep)>,
}

impl Nap {
    /// The wait for exactly this deadline.
    pub(super) fn until(&mut self, deadline: Deadline, clock: &dyn Clock) -> &mut Sleep {
        self.keep(deadline, clock, |kept| kept == deadline)
    }

    /// A wait that ends with this deadline at the latest.
    pub(super) fn no_longer_than(&mut self, deadline: Deadline, clock: &dyn Clock) -> &mut Sleep {
        self.keep(deadline, clock, |kept| kept.at <= deadline.at && kept.exact >= deadline.exact)
    }

    fn keep(
        &mut self,
        deadline: Deadline,
        clock: &dyn Clock,
        may_stay: impl Fn(Deadline) -> bool,
    ) -> &mut Sleep {
        if !self.kept.as_ref().is_some_and(|(kept, _)| may_stay(*kept)) {
            // The old one goes first.
            self.kept = None;
        }
        let begin = || {
            let Deadline { at, exact } = deadline;
            let sleep = if exact { clock.wake_at(at) } else { clock.sleep_until(at) };
            (deadline, sleep)
        };
        &mut self.kept.get_or_insert_with(begin).1
    }

    /// The wait has ended.
    pub(super) fn is_over(&mut self) {
        self.kept = None;
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use azoth_scheduler_core::time::Timestamp;

    use super::*;
    use crate::clock::ManualClock;

    const fn at(seconds: u64) -> Deadline {
        Deadline { at: Duration::from_secs(seconds), exact: false }
    }

    fn is_over(sleep: &mut Sleep) -> bool {
        sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn wait_is_kept_for_the_same_deadline_and_made_anew_for_another() {
        let clock = ManualClock::starting_at(Timestamp::UNIX_EPOCH);
        let mut nap = Nap::default();
        for _ in 0..2 {
            assert!(!is_over(nap.until(at(10), &clock)));
            assert_eq!(clock.until_next_sleeper(), Some(Duration::from_secs(10)));
        }
        assert!(!is_over(nap.until(at(20), &clock)));
        assert_eq!(clock.until_next_sleeper(), Some(Duration::from_secs(20)), "the old one is gone");
        assert!(!is_over(nap.until(at(5), &clock)));
        clock.advance(Duration::from_secs(5));
        assert!(is_over(nap.until(at(5), &clock)));
        nap.is_over();
        assert!(!is_over(nap.until(at(6), &clock)));
    }

    #[test]
    fn wait_that_ends_sooner_is_good_enough_and_one_that_ends_later_is_not() {
        let clock = ManualClock::starting_at(Timestamp::UNIX_EPOCH);
        let mut nap = Nap::default();
        let ends = |nap: &mut Nap, deadline: Deadline| {
            assert!(!is_over(nap.no_longer_than(deadline, &clock)));
            clock.until_next_sleeper().unwrap().as_secs()
        };
        assert_eq!(ends(&mut nap, at(10)), 10);
        assert_eq!(ends(&mut nap, at(20)), 10);
        assert_eq!(ends(&mut nap, at(7)), 7);
        let exact = Deadline { exact: true, ..at(8) };
        assert_eq!(ends(&mut nap, exact), 8);
        assert_eq!(ends(&mut nap, at(9)), 8);
    }
}
