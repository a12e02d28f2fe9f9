//! What follows a failed attempt: the wait before the next one, or the end of trying.

use core::num::NonZeroU32;
use core::time::Duration;

/// How often, how late and to what end a failed occurrence is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries after the first attempt, so `max_retries + 1` failures exhaust an occurrence. Default 3.
    pub max_retries: u32,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// What becomes of a recurring task whose occurrence is exhausted. A one-shot task is always disabled.
    pub on_exhausted: OnExhausted,
}

/// What becomes of a recurring task when an occurrence has used up its retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExhausted {
    /// The task is disabled and its history says why.
    #[default]
    Disable,
    /// The occurrence is given up, the task goes on with the next one.
    Continue,
}

/// An exponential delay curve: after failure k the wait is `base · factor^(k-1)`, at most `cap`, plus jitter.
///
/// ```
/// use azoth_scheduler_core::retry::Backoff;
///
/// let minutes: Vec<u64> = (1..=4).map(|k| Backoff::default().delay_ms("report", k) / 60_000).collect();
/// assert_eq!(minutes, [1, 2, 4, 8]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure, in milliseconds. Default one minute.
    pub base_ms: u64,
    /// By how much each further wait is longer. Default 2; 1 keeps it constant.
    pub factor: NonZeroU32,
    /// The longest wait, in milliseconds. Default one day.
    pub cap_ms: u64,
    /// Up to so many percent of the wait are added, by task id and attempt. 0 to 100, default 0.
    pub jitter_percent: u8,
}

impl Backoff {
    /// Waits of `base`, twice that, four times that and so on, at most `cap`, both in whole milliseconds; no jitter.
    pub fn doubling(base: Duration, cap: Duration) -> Self {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self { base_ms: ms(base), factor: FACTOR_DEFAULT, cap_ms: ms(cap), jitter_percent: 0 }
    }

    /// The wait after the `failures`-th failure of an occurrence, in milliseconds. Failures count from 1.
    ///
    /// Saturates, so every count has an answer of at most `cap_ms` and its jitter.
    pub fn delay_ms(&self, task_id: &str, failures: u32) -> u64 {
        let steps = failures.saturating_sub(1);
        let factor = u64::from(self.factor.get()).saturating_pow(steps);
        let delay_ms = self.base_ms.saturating_mul(factor).min(self.cap_ms);
        delay_ms.saturating_add(self.jitter_ms(task_id, failures, delay_ms))
    }

    fn jitter_ms(&self, task_id: &str, failures: u32, delay_ms: u64) -> u64 {
        let widest = u128::from(delay_ms).saturating_mul(u128::from(self.jitter_percent.min(100))) / 100;
        let draw = crate::spread::draw(task_id, u64::from(failures));
        crate::spread::scale(draw, u64::try_from(widest).unwrap_or(u64::MAX))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base_ms: 60_000, factor: FACTOR_DEFAULT, cap_ms: 24 * 60 * 60 * 1000, jitter_percent: 0 }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_retries: 3, backoff: Backoff::default(), on_exhausted: OnExhausted::Disable }
    }
}

const FACTOR_DEFAULT: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_waits_are_one_two_and_four_minutes() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay_ms("a", 1), 60_000);
        assert_eq!(backoff.delay_ms("a", 2), 120_000);
        assert_eq!(backoff.delay_ms("a", 3), 240_000);
    }

    #[test]
    fn wait_is_capped_for_every_count() {
        for failures in [12, 63, 64, 65, u32::MAX] {
            assert_eq!(Backoff::default().delay_ms("a", failures), 24 * 60 * 60 * 1000);
        }
    }

    proptest::proptest! {
        #[test]
        fn jitter_only_lengthens_and_stays_within_its_share(base_ms in 1u64..10_000_000, failures in 1u32..50, percent in 0u8..=100) {
            let plain = Backoff { base_ms, ..Backoff::default() };
            let jittered = Backoff { jitter_percent: percent, ..plain };
            let (least, delay) = (plain.delay_ms("task", failures), jittered.delay_ms("task", failures));
            proptest::prop_assert!(delay >= least && delay - least <= least * u64::from(percent) / 100);
            proptest::prop_assert_eq!(delay, jittered.delay_ms("task", failures));
        }
    }

    #[test]
    fn tasks_that_fail_together_come_back_apart() {
        let backoff = Backoff { jitter_percent: 50, ..Backoff::default() };
        assert_ne!(backoff.delay_ms("a", 1), backoff.delay_ms("b", 1));
    }
}
