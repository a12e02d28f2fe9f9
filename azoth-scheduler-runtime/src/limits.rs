//! Limits of a task type, a concurrency key, or everything, as a program writes them.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use azoth_scheduler_core::scope::{self, RATE_PER_MS_MAX, Rate};

use crate::error::{RequestError, Result};

/// How many tasks may run at once, and how often they may start. A limit that is not given does not hold, but for one: of
/// the tasks with one concurrency key one runs at a time unless something else is said.
///
/// ```
/// use std::time::Duration;
/// use azoth_scheduler_runtime::Limits;
///
/// let limits = Limits::new().max_running(4).rate(100, Duration::from_secs(1)).burst(20);
/// # let _ = limits;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    max_running: Option<u32>,
    max_running_per_key: Option<u32>,
    rate: Option<(u32, Duration)>,
    burst: Option<u32>,
}

impl Limits {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most so many run at once, over all processes; at least 1. For a concurrency key this is how many of its tasks may.
    pub fn max_running(mut self, at_most: u32) -> Self {
        self.max_running = Some(at_most);
        self
    }

    /// At most so many run at once for each concurrency key that has no limit of its own; at least 1, and 1 by default. Not
    /// for a single key.
    pub fn max_running_per_key(mut self, at_most: u32) -> Self {
        self.max_running_per_key = Some(at_most);
        self
    }

    /// At most so many start per span (1 ms to 366 days), spread evenly but for the [`burst`](Self::burst). Retries count too.
    pub fn rate(mut self, count: u32, per: Duration) -> Self {
        self.rate = Some((count, per));
        self
    }

    /// So many may start at once after a time in which fewer did than the rate allows; at least 1, by default a tenth of the
    /// rate's count.
    pub fn burst(mut self, at_once: u32) -> Self {
        self.burst = Some(at_once);
        self
    }

    /// The limits as core knows them.
    pub(crate) fn checked(&self) -> Result<scope::Limits, RequestError> {
        let max_running = at_least_one("max_running", self.max_running)?;
        let max_running_per_key = at_least_one("max_running_per_key", self.max_running_per_key)?;
        let burst = at_least_one("burst", self.burst)?;
        let rate = match (self.rate, burst) {
            (None, None) => None,
            (None, Some(_)) => {
                let (option, belongs_to, schedule) = ("burst", "a rate", "without `.rate(..)`");
                return Err(RequestError::Misplaced { option, belongs_to, schedule });
            }
            (Some((count, per)), burst) => Some(rate(count, per, burst)?),
        };
        Ok(scope::Limits { max_running, max_running_per_key, rate })
    }
}

fn at_least_one(option: &'static str, number: Option<u32>) -> Result<Option<NonZeroU32>, RequestError> {
    number.map(|number| NonZeroU32::new(number).ok_or(RequestError::Zero { option })).transpose()
}

fn rate(count: u32, per: Duration, burst: Option<NonZeroU32>) -> Result<Rate, RequestError> {
    let count = NonZeroU32::new(count).ok_or(RequestError::Zero { option: "rate" })?;
    let burst = burst.or(NonZeroU32::new(count.get() / BURST_SHARE)).unwrap_or(NonZeroU32::MIN);
    let per_ms = u64::try_from(per.as_millis()).ok().and_then(NonZeroU64::new);
    let rate = per_ms.filter(|ms| ms.get() <= RATE_PER_MS_MAX).and_then(|ms| Rate::new(count, ms, burst));
    rate.ok_or(RequestError::Span { option: "rate", span: per, allowed: "1 ms to 366 days" })
}

/// Of a rate's count this share may come at once.
const BURST_SHARE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_outside_their_range_are_named_with_what_to_do() {
        let refused = |limits: Limits| limits.checked().unwrap_err().to_string();
        assert_eq!(
            refused(Limits::new().max_running(0)),
            "max_running of 0: give at least 1, or leave it out for no limit"
        );
        assert!(refused(Limits::new().max_running_per_key(0)).starts_with("max_running_per_key of 0"));
        assert!(refused(Limits::new().rate(0, Duration::from_secs(1))).starts_with("rate of 0"));
        let long = Duration::from_secs(367 * 24 * 60 * 60);
        assert!(refused(Limits::new().rate(1, long)).contains("1 ms to 366 days"));
        assert!(refused(Limits::new().rate(1, Duration::ZERO)).contains("1 ms to 366 days"));
        assert!(refused(Limits::new().burst(2)).contains("without `.rate(..)`"));
    }
}
