//! A spread of start times that needs no random number.

use crate::spread::{draw, scale};
use crate::time::Timestamp;

/// How long after its occurrence a task starts, in milliseconds: 0 to `spread_ms` inclusive.
///
/// A function of the task id and the occurrence alone, so that it is the same on every machine and in every replay, and
/// tasks of the same schedule do not start all at once.
///
/// ```
/// use azoth_scheduler_core::schedule::jitter_ms;
/// use azoth_scheduler_core::time::Timestamp;
///
/// let delay = jitter_ms("daily-report", Timestamp::UNIX_EPOCH, 30_000);
/// assert!(delay <= 30_000);
/// assert_eq!(delay, jitter_ms("daily-report", Timestamp::UNIX_EPOCH, 30_000));
/// ```
pub fn jitter_ms(task_id: &str, occurrence: Timestamp, spread_ms: u32) -> u32 {
    let delay_ms = scale(draw(task_id, occurrence.unix_ms().cast_unsigned()), u64::from(spread_ms));
    debug_assert!(delay_ms <= u64::from(spread_ms), "{delay_ms} is beyond {spread_ms}");
    u32::try_from(delay_ms).unwrap_or(spread_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_of_an_occurrence_never_changes() {
        let delay = |task, seconds| jitter_ms(task, Timestamp::from_unix_seconds(seconds).unwrap(), 60_000);
        assert_eq!(delay("daily-report", 1_700_000_000), 35_205);
        assert_eq!(delay("daily-report", 1_700_086_400), 42_179);
        assert_eq!(delay("weekly-report", 1_700_000_000), 59_760);
    }

    #[test]
    fn longest_spread_fits_and_none_delays_nothing() {
        for seconds in [-62_135_596_800, -1, 0, 253_402_300_799] {
            let at = Timestamp::from_unix_seconds(seconds).unwrap();
            assert_eq!(jitter_ms("task", at, 0), 0);
            let _ = jitter_ms("task", at, u32::MAX);
        }
    }
}
