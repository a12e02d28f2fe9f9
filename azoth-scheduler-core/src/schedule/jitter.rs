//! A spread of start times that needs no random number.

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
    let mut hasher = blake3::Hasher::new();
    hasher.update(&occurrence.unix_ms().to_le_bytes());
    hasher.update(task_id.as_bytes());
    let mut number = [0u8; 8];
    hasher.finalize_xof().fill(&mut number);
    let delay_ms = scale(u64::from_le_bytes(number), spread_ms);
    debug_assert!(delay_ms <= spread_ms, "{delay_ms} is beyond {spread_ms}");
    delay_ms
}

/// Spreads a number of 64 bits evenly over `0..=spread`.
#[expect(clippy::arithmetic_side_effects, reason = "64 bits times 33 bits fit 128")]
fn scale(number: u64, spread: u32) -> u32 {
    let scaled = (u128::from(number) * (u128::from(spread) + 1)) >> 64;
    u32::try_from(scaled).unwrap_or(spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    #[test]
    fn delay_of_an_occurrence_never_changes() {
        assert_eq!(jitter_ms("daily-report", at(1_700_000_000), 60_000), 35_205);
        assert_eq!(jitter_ms("daily-report", at(1_700_086_400), 60_000), 42_179);
        assert_eq!(jitter_ms("weekly-report", at(1_700_000_000), 60_000), 59_760);
    }

    #[test]
    fn delay_lies_within_the_spread_and_reaches_both_ends() {
        let mut seen = [0u32; 4];
        for occurrence in 0..1_000 {
            let delay = jitter_ms("task", at(occurrence), 3);
            seen[usize::try_from(delay).unwrap()] += 1;
        }
        assert!(seen.iter().all(|number| (200..300).contains(number)), "{seen:?}");
        assert_eq!(jitter_ms("task", at(0), 0), 0);
        assert_eq!(scale(u64::MAX, u32::MAX), u32::MAX);
        assert_eq!(scale(0, u32::MAX), 0);
    }
}
