//! What a task leaves behind when it is redefined or ends: occurrences that were due and have not started.

use alloc::vec::Vec;

use super::plan::{calendar_of, passed_events};
use crate::event::Event;
use crate::schedule::{Calendar, Count, Fate, Miss, Passed};
use crate::state::{Progress, TaskState};
use crate::time::Timestamp;

/// Records as missed what came due up to `now`, or was decided to run, and will not start any more.
///
/// A one-shot task leaves nothing: the event that ends it tells of its only occurrence.
pub(super) fn left_behind(state: &TaskState, now: Timestamp, why: Miss) -> Vec<Passed> {
    if !state.definition.schedule.is_recurring() {
        return Vec::new();
    }
    let (progress, fate) = (state.progress, Fate::Missed(why));
    let one = |at| Passed { from: at, to: at, count: Count { number: 1, exact: true }, fate };
    let mut passed: Vec<Passed> = state.chosen().into_iter().chain(progress.buffered).map(one).collect();
    if let Ok(calendar) = calendar_of(state) {
        passed.extend(undone(&calendar, progress, now, fate));
    }
    passed
}

/// The same as events.
pub(super) fn left_events(state: &TaskState, now: Timestamp, why: Miss) -> Vec<Event> {
    passed_events(left_behind(state, now, why))
}

/// The backlog, and what has come due since the newest decision.
fn undone(
    calendar: &Calendar,
    progress: Progress,
    now: Timestamp,
    fate: Fate,
) -> impl Iterator<Item = Passed> {
    let backlog = progress.backlog.and_then(|run| {
        let before = run.next.saturating_add_ms(-1);
        Passed::all(calendar, before, run.through, fate)
    });
    let undecided = Passed::all(calendar, progress.decided_through, now, fate);
    backlog.into_iter().chain(undecided)
}
