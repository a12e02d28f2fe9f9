//! Scheduling a task: creating it, redefining it, or leaving it as it is.

use alloc::vec;
use alloc::vec::Vec;

use super::decision::{Answer, Decision};
use super::dependency::dependency_ended;
use super::left::left_events;
use super::plan::first_attempt;
use super::surroundings::Surroundings;
use crate::dependency::DependencyEnd;
use crate::event::{Change, Event};
use crate::evolve::evolve;
use crate::id::TaskId;
use crate::new_task::{NewTask, OnConflict};
use crate::rejection::Rejection;
use crate::schedule::{Miss, Schedule, ScheduleError};
use crate::state::{Progress, TaskState, Work};
use crate::time::Timestamp;

pub(super) fn schedule(
    state: Option<&TaskState>,
    task: &TaskId,
    new: &NewTask,
    around: &Surroundings,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if let Some(holder) = around.key_held_by.as_ref().filter(|holder| *holder != task) {
        return Ok(Decision { events: Vec::new(), answer: Answer::Existing(holder.clone()) });
    }
    let Some(state) = state else {
        return define(None, task, new, Change::Created, around, now);
    };
    let phase = state.phase.kind();
    match new.on_conflict() {
        OnConflict::Reject => Err(Rejection::AlreadyExists { task: task.clone(), phase }),
        OnConflict::Keep => Ok(Decision::unchanged(state)),
        OnConflict::Redefine if stays(state, new) => Ok(Decision::unchanged(state)),
        OnConflict::Redefine | OnConflict::Replace => redefine(state, task, new, around, now),
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
fn redefine(
    state: &TaskState,
    task: &TaskId,
    new: &NewTask,
    around: &Surroundings,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if !state.phase.kind().is_live() {
        return define(Some(state), task, new, Change::Anew, around, now);
    }
    if state.held_by().is_some() && new.definition().after.is_some() {
        return Err(Rejection::RunsAlready { task: task.clone() });
    }
    let mut decision = define(Some(state), task, new, Change::Redefined, around, now)?;
    let mut events = left_events(state, now, Miss::Redefined);
    events.append(&mut decision.events);
    Ok(Decision { events, ..decision })
}

fn define(
    state: Option<&TaskState>,
    task: &TaskId,
    new: &NewTask,
    change: Change,
    around: &Surroundings,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let (work, progress) = first(task, new.schedule(), now)
        .map_err(|error| Rejection::Schedule { task: task.clone(), error })?;
    let answer = match change {
        Change::Created | Change::Anew => Answer::Created,
        Change::Redefined => Answer::Redefined,
    };
    let Waits { waits_for, failed } = waits(task, new, around)?;
    let definition = new.shared_definition();
    let (task_id, trace) = (task.clone(), new.trace());
    let mut events =
        vec![Event::TaskScheduled { task: task_id, change, definition, work, progress, waits_for, trace }];
    if !failed.is_empty() {
        let scheduled = events.iter().fold(state.cloned(), |state, event| evolve(state, event, now).ok());
        events.extend(scheduled.map_or_else(Vec::new, |scheduled| told(scheduled, failed, now)));
    }
    Ok(Decision { events, answer })
}

/// What a new definition waits for.
#[derive(Default)]
struct Waits {
    /// Those that have not succeeded, ordered by their ids.
    waits_for: Vec<TaskId>,
    /// Of these, those that have ended without a success.
    failed: Vec<(TaskId, DependencyEnd)>,
}

fn waits(task: &TaskId, new: &NewTask, around: &Surroundings) -> Result<Waits, Rejection> {
    let mut waits = Waits::default();
    let Some(after) = &new.definition().after else { return Ok(waits) };
    if new.schedule().is_recurring() {
        return Err(Rejection::RecurringAfter { task: task.clone() });
    }
    let in_circle = after.tasks().iter().find(|dependency| *dependency == task).or(around.circle.as_ref());
    if let Some(dependency) = in_circle {
        return Err(Rejection::DependencyCircle { task: task.clone(), dependency: dependency.clone() });
    }
    for dependency in after.tasks() {
        let phase = around.dependencies.get(dependency).copied().ok_or_else(|| {
            Rejection::UnknownDependency { task: task.clone(), dependency: dependency.clone() }
        })?;
        match DependencyEnd::of_phase(phase) {
            Some(DependencyEnd::Succeeded) => {}
            None => waits.waits_for.push(dependency.clone()),
            Some(end) => {
                waits.waits_for.push(dependency.clone());
                waits.failed.push((dependency.clone(), end));
            }
        }
    }
    Ok(waits)
}

/// What had failed before it was waited for is told at once, as if it failed now.
fn told(mut state: TaskState, failed: Vec<(TaskId, DependencyEnd)>, now: Timestamp) -> Vec<Event> {
    let mut told = Vec::new();
    for (dependency, end) in failed {
        for event in dependency_ended(&state, &dependency, end, now) {
            let after = evolve(Some(state.clone()), &event, now);
            debug_assert!(after.is_ok(), "{after:?} after {event:?}");
            state = after.unwrap_or(state);
            told.push(event);
        }
    }
    told
}

/// When a task that is new and waits for no other runs first, if it is scheduled at `now`. [`decide`](fn@super::decide)
/// writes the same into its event.
///
/// # Errors
/// [`ScheduleError`] for a schedule that is none, or that has no occurrence.
pub fn first_run_at(task: &TaskId, schedule: &Schedule, now: Timestamp) -> Result<Timestamp, ScheduleError> {
    first(task, schedule, now).map(|(work, _)| work.run_at)
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
