//! Scheduling a task: creating it, redefining it, or leaving it as it is.

use alloc::boxed::Box;

use super::left::left_events;
use super::plan::first_attempt;
use super::{Answer, Decision};
use crate::command::{NewTask, OnConflict};
use crate::event::{Change, Event};
use crate::id::TaskId;
use crate::rejection::Rejection;
use crate::schedule::{Miss, Schedule, ScheduleError};
use crate::state::{Progress, TaskState, Work};
use crate::time::Timestamp;

pub(super) fn schedule(
    state: Option<&TaskState>,
    task: &TaskId,
    new: &NewTask,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let Some(state) = state else {
        return define(task, new, Change::Created, now);
    };
    let phase = state.phase.kind();
    match new.on_conflict() {
        OnConflict::Reject => Err(Rejection::AlreadyExists { task: task.clone(), phase }),
        OnConflict::Keep => Ok(Decision::unchanged(state)),
        OnConflict::Redefine if stays(state, new) => Ok(Decision::unchanged(state)),
        OnConflict::Redefine | OnConflict::Replace => redefine(state, task, new, now),
    }
}

/// Whether the same wish again changes nothing: while the task lives, and when it is a recurring one that has ended,
/// so that a program may declare its schedules at every start without reviving what an operator cancelled.
fn stays(state: &TaskState, new: &NewTask) -> bool {
    let lasting = state.phase.kind().is_live() || state.definition.schedule.is_recurring();
    lasting && *state.definition == *new.definition()
}

/// A task that lives goes on under the new definition, one that has ended starts anew. What the old one has left
/// undone is recorded as missed.
fn redefine(state: &TaskState, task: &TaskId, new: &NewTask, now: Timestamp) -> Result<Decision, Rejection> {
    if !state.phase.kind().is_live() {
        return define(task, new, Change::Anew, now);
    }
    let mut decision = define(task, new, Change::Redefined, now)?;
    let mut events = left_events(state, now, Miss::Redefined);
    events.append(&mut decision.events);
    Ok(Decision { events, ..decision })
}

fn define(task: &TaskId, new: &NewTask, change: Change, now: Timestamp) -> Result<Decision, Rejection> {
    let (work, progress) = first(task, new.schedule(), now)
        .map_err(|error| Rejection::Schedule { task: task.clone(), error })?;
    let answer = match change {
        Change::Created | Change::Anew => Answer::Created,
        Change::Redefined => Answer::Redefined,
    };
    let definition = Box::new(new.definition().clone());
    Ok(Decision::one(Event::TaskScheduled { task: task.clone(), change, definition, work, progress }, answer))
}

/// What a schedule that is defined at `now` waits for first.
fn first(task: &TaskId, schedule: &Schedule, now: Timestamp) -> Result<(Work, Progress), ScheduleError> {
    schedule.validate()?;
    let calendar = schedule.calendar(now)?;
    let occurrence = calendar.next(calendar.start()).ok_or(ScheduleError::NoOccurrence {
        not_before: schedule.not_before,
        not_after: schedule.not_after,
    })?;
    let progress = Progress { decided_through: calendar.start(), backlog: None, buffered: None };
    Ok((first_attempt(task, schedule, occurrence), progress))
}
