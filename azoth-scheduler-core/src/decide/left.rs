//! What a task leaves behind when it is redefined or ends: occurrences that were due and have not started.

use alloc::vec::Vec;

use super::plan::{calendar_of, passed_events};
use crate::event::Event;
use crate::schedule::{Calendar, Count, Fate, Miss, Passed};
use crate::state::{Progress, TaskPhase, TaskState};
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
    let mut passed: Vec<Passed> =
        chosen(state, progress).into_iter().chain(progress.buffered).map(one).collect();
    if let Ok(calendar) = calendar_of(state) {
        passed.extend(undone(&calendar, progress, now, fate));
    }
    passed
}

/// The same as events.
pub(super) fn left_events(state: &TaskState, now: Timestamp, why: Miss) -> Vec<Event> {
    passed_events(left_behind(state, now, why))
}

/// The occurrence that waits for its first attempt after it was decided that it is to run.
fn chosen(state: &TaskState, progress: Progress) -> Option<Timestamp> {
    let work = match &state.phase {
        TaskPhase::Waiting(work) | TaskPhase::Paused { work, .. } => work,
        TaskPhase::Running(_)
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => return None,
    };
    let chosen = work.attempt.get() == 1 && work.occurrence <= progress.decided_through;
    chosen.then_some(work.occurrence)
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
