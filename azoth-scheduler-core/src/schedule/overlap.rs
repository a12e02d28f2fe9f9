//! Occurrences that come due while an earlier one is still open.

use alloc::vec::Vec;

use super::calendar::{Calendar, Count};
use super::definition::Overlap;
use super::misfire::{Fate, Passed, Reckoning, Run, Skip};
use crate::time::Timestamp;

/// Decides the occurrences in `(last, now]`, which came due while one was open; `None` when there are none.
///
/// - [`Overlap::Skip`]: none runs.
/// - [`Overlap::BufferOne`]: the newest is to run once the open one has ended; the others, and `buffered` (the one that
///   was waiting so far and has not started), are merged into it.
///
/// A single instant (a one-time task that was redefined while it ran) always runs.
///
/// ```
/// use azoth_scheduler_core::schedule::{Overlap, Schedule, reckon_overlap};
/// use azoth_scheduler_core::time::Timestamp;
///
/// let calendar = Schedule::cron("0 * * * * *")?.calendar(Timestamp::UNIX_EPOCH)?;
/// let (last, now) = (Timestamp::from_unix_seconds(60)?, Timestamp::from_unix_seconds(200)?);
/// let reckoning = reckon_overlap(&calendar, Overlap::Skip, None, last, now).ok_or("nothing came due")?;
/// assert_eq!(reckoning.run, None);
/// assert_eq!(reckoning.passed[0].count.number, 2); // 00:02 and 00:03
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn reckon_overlap(
    calendar: &Calendar,
    overlap: Overlap,
    buffered: Option<Timestamp>,
    last: Timestamp,
    now: Timestamp,
) -> Option<Reckoning> {
    let newest = calendar.newest_through(last, now)?;
    let run = Run { next: newest, through: newest };
    let (run, passed) = match overlap {
        _ if calendar.is_single() => (Some(run), Vec::new()),
        Overlap::Skip => {
            let skipped = Passed::all(calendar, last, newest, Fate::Skipped(Skip::Overlap));
            (None, skipped.into_iter().collect())
        }
        Overlap::BufferOne => (Some(run), merged(calendar, buffered, last, newest)),
    };
    let reckoning = Reckoning { newest, run, passed };
    reckoning.check(last, now);
    Some(reckoning)
}

/// The one that was waiting so far, and all up to `newest` but itself.
fn merged(
    calendar: &Calendar,
    buffered: Option<Timestamp>,
    last: Timestamp,
    newest: Timestamp,
) -> Vec<Passed> {
    debug_assert!(buffered.is_none_or(|at| at <= last), "{buffered:?} came due after {last}");
    let fate = Fate::Merged { into: newest };
    let count = Count { number: 1, exact: true };
    let waiting = buffered.map(|at| Passed { from: at, to: at, count, fate });
    let others = Passed::all(calendar, last, newest.saturating_add_ms(-1), fate);
    waiting.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests;
