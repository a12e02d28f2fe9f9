//! Runs that somebody asked for: at once, or again after a task was disabled.

use core::num::NonZeroU32;

use super::decision::{Answer, Decision};
use super::ended::choose;
use super::operate::ended;
use super::plan::{calendar_of, passed_events};
use crate::event::{Event, MovedOn, Then};
use crate::id::Actor;
use crate::rejection::Rejection;
use crate::schedule::{Fate, Miss, Passed};
use crate::state::{Counts, Progress, TaskPhase, TaskState, Work};
use crate::time::Timestamp;

/// The next attempt comes at once. Where a recurring task only waits for its next occurrence, that stays where it is,
/// and a run that the schedule does not ask for comes before it.
pub(super) fn run_now(state: &TaskState, by: &Actor, now: Timestamp) -> Result<Decision, Rejection> {
    let work = match &state.phase {
        TaskPhase::Waiting(work) if work.run_at <= now => return Ok(Decision::unchanged(state)),
        TaskPhase::Waiting(work) | TaskPhase::Blocked(work) => *work,
        TaskPhase::Running(_) => return Ok(Decision::unchanged(state)),
        TaskPhase::Paused { .. } => return Err(Rejection::Paused { task: state.id.clone() }),
        TaskPhase::Finished { .. } | TaskPhase::Disabled { .. } | TaskPhase::Cancelled { .. } => {
            return Err(ended(state));
        }
    };
    let undecided = work.attempt.get() == 1 && work.occurrence > state.progress.decided_through;
    let off_schedule =
        state.definition.schedule.is_recurring() && undecided && !state.is_off_schedule(work.occurrence);
    let work = match off_schedule {
        true => Work { occurrence: now, attempt: NonZeroU32::MIN, run_at: now },
        false => Work { run_at: now, ..work },
    };
    Ok(Decision::one(Event::RunRequested { by: by.clone(), work, off_schedule }, Answer::Recorded))
}

/// A disabled task goes on as if nothing had gone wrong. What its schedule asked for since it was disabled is missed.
pub(super) fn retry(state: &TaskState, by: &Actor, now: Timestamp) -> Result<Decision, Rejection> {
    let disabled_at = match &state.phase {
        TaskPhase::Disabled { at, .. } => *at,
        TaskPhase::Waiting(_) | TaskPhase::Blocked(_) | TaskPhase::Running(_) | TaskPhase::Paused { .. } => {
            return Ok(Decision::unchanged(state));
        }
        TaskPhase::Finished { .. } | TaskPhase::Cancelled { .. } => return Err(ended(state)),
    };
    let calendar =
        calendar_of(state).map_err(|error| Rejection::Schedule { task: state.id.clone(), error })?;
    let by = by.clone();
    if !state.definition.schedule.is_recurring() {
        let occurrence = calendar.next(calendar.start()).unwrap_or(state.defined_at);
        let work = Work { occurrence, attempt: NonZeroU32::MIN, run_at: now };
        let then = Then::Retry { work, counts: Counts::default() };
        let then = MovedOn { then, progress: state.progress };
        return Ok(Decision::one(Event::TaskRetried { by, then }, Answer::Recorded));
    }
    // What was due when it was disabled was recorded then.
    let recorded = state.progress.decided_through.max(disabled_at);
    let passed = Passed::all(&calendar, recorded, now, Fate::Missed(Miss::Ended));
    let progress = Progress { decided_through: recorded.max(now), backlog: None, buffered: None };
    let (then, progress) = choose(state, &calendar, progress, now);
    let mut events = passed_events(passed);
    events.push(Event::TaskRetried { by, then: MovedOn { then, progress } });
    Ok(Decision { events, answer: Answer::Recorded })
}
