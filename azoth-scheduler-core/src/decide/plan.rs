//! What several decisions need: the calendar of a task, its next attempt, and what passed as events.

use alloc::vec::Vec;
use core::num::NonZeroU32;

use crate::event::Event;
use crate::id::TaskId;
use crate::schedule::{Calendar, Fate, Miss, Passed, Schedule, ScheduleError, jitter_ms};
use crate::state::{TaskState, Work};
use crate::time::Timestamp;

/// The first attempt at an occurrence that has yet to come due.
pub(super) fn first_attempt(task: &TaskId, schedule: &Schedule, occurrence: Timestamp) -> Work {
    let spread = jitter_ms(task.as_str(), occurrence, schedule.jitter_ms);
    Work { occurrence, attempt: NonZeroU32::MIN, run_at: occurrence.saturating_add_ms(i64::from(spread)) }
}

/// The schedule of a task, ready to search.
pub(super) fn calendar_of(state: &TaskState) -> Result<Calendar, ScheduleError> {
    state.definition.schedule.calendar(state.defined_at)
}

/// Occurrences that passed, as events from which nothing follows.
pub(super) fn passed_events(passed: impl IntoIterator<Item = Passed>) -> Vec<Event> {
    passed.into_iter().map(|passed| Event::OccurrencesPassed { passed, then: None }).collect()
}

/// The occurrence for which a task waited, where the schedule as it is read now has a later one instead, its `oldest`.
pub(super) fn withdrawn(work: Work, oldest: Timestamp) -> Option<Passed> {
    (work.occurrence < oldest).then(|| Passed::one(work.occurrence, Fate::Missed(Miss::Withdrawn)))
}
