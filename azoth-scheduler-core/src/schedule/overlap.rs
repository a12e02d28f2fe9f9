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
pub fn reckon_overlap(
    calendar: &Calendar,
    overlap: Overlap,
    buffered: Option<Timestamp>,
    last: Timestamp,
    now: Timestamp,
) -> Option<Reckoning> {
    let newest = calendar.newest_through(last, now)?;
    let mut passed = Vec::new();
    let run = Run { next: newest, through: newest };
    if calendar.is_single() {
        return Some(Reckoning { newest, run: Some(run), passed });
    }
    match overlap {
        Overlap::Skip => {
            passed.extend(Passed::all(calendar, last, newest, Fate::Skipped(Skip::Overlap)));
            Some(Reckoning { newest, run: None, passed })
        }
        Overlap::BufferOne => {
            let fate = Fate::Merged { into: newest };
            passed.extend(buffered.map(|at| Passed {
                from: at,
                to: at,
                count: Count { number: 1, exact: true },
                fate,
            }));
            passed.extend(Passed::all(calendar, last, newest.saturating_add_ms(-1), fate));
            Some(Reckoning { newest, run: Some(run), passed })
        }
    }
}

#[cfg(test)]
mod tests;
