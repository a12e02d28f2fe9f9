//! What operators and programs say about a task: cancel, pause, resume, disable.

use alloc::vec::Vec;

use super::decision::{Answer, Decision};
use super::ended::{choose, judge_late};
use super::left::left_events;
use super::plan::{calendar_of, passed_events, withdrawn};
use crate::event::{Event, MovedOn, Then};
use crate::execution::ErrorText;
use crate::id::Actor;
use crate::rejection::Rejection;
use crate::schedule::{LateCause, Misfire, MisfirePolicy, Miss, Passed, reckon};
use crate::state::{Afterwards, Progress, TaskPhase, TaskState, Work};
use crate::time::Timestamp;

pub(super) fn cancel(state: &TaskState, reason: &ErrorText, by: &Actor, now: Timestamp) -> Decision {
    let execution = match &state.phase {
        TaskPhase::Running(running) => Some(running.execution),
        TaskPhase::Waiting(_) | TaskPhase::Blocked(_) | TaskPhase::Paused { .. } => None,
        TaskPhase::Finished { .. } | TaskPhase::Disabled { .. } | TaskPhase::Cancelled { .. } => {
            return Decision::unchanged(state);
        }
    };
    let mut events = left_events(state, now, Miss::Ended);
    events.push(Event::TaskCancelled { reason: reason.clone(), by: by.clone(), execution });
    Decision { events, answer: Answer::Recorded }
}

pub(super) fn pause(
    state: &TaskState,
    reason: &ErrorText,
    by: &Actor,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if let Some(until) = until.filter(|until| *until <= now) {
        return Err(Rejection::PauseIsOver { until, now });
    }
    // A pause that is said again with the same end is the same pause, whoever says it.
    let takes_hold = match &state.phase {
        TaskPhase::Waiting(_) | TaskPhase::Blocked(_) => true,
        TaskPhase::Running(running) => match &running.afterwards {
            Afterwards::GoOn => true,
            Afterwards::Pause(pause) => pause.until != until,
            Afterwards::Disable { .. } => false,
        },
        TaskPhase::Paused { pause, .. } => pause.until != until,
        TaskPhase::Finished { .. } | TaskPhase::Disabled { .. } | TaskPhase::Cancelled { .. } => {
            return Err(ended(state));
        }
    };
    if !takes_hold {
        return Ok(Decision::unchanged(state));
    }
    let event = Event::TaskPaused { reason: reason.clone(), by: by.clone(), until };
    Ok(Decision::one(event, Answer::Recorded))
}

pub(super) fn disable(
    state: &TaskState,
    reason: &ErrorText,
    by: &Actor,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    // What a running execution leaves behind is recorded when it ends, since only then the task does.
    let mut events = match &state.phase {
        TaskPhase::Waiting(_) | TaskPhase::Blocked(_) | TaskPhase::Paused { .. } => {
            left_events(state, now, Miss::Ended)
        }
        TaskPhase::Running(running) => match running.afterwards {
            Afterwards::GoOn | Afterwards::Pause(_) => Vec::new(),
            Afterwards::Disable { .. } => return Ok(Decision::unchanged(state)),
        },
        TaskPhase::Disabled { .. } => return Ok(Decision::unchanged(state)),
        TaskPhase::Finished { .. } | TaskPhase::Cancelled { .. } => return Err(ended(state)),
    };
    events.push(Event::TaskDisabled { reason: reason.clone(), by: by.clone() });
    Ok(Decision { events, answer: Answer::Recorded })
}

pub(super) fn resume(
    state: &TaskState,
    policy: MisfirePolicy,
    by: &Actor,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let (then, passed) = match &state.phase {
        TaskPhase::Paused { work, .. } => {
            let (moved_on, passed) = resumed(state, *work, policy, now);
            (Some(moved_on), passed)
        }
        TaskPhase::Running(running) if matches!(running.afterwards, Afterwards::Pause(_)) => {
            (None, Vec::new())
        }
        TaskPhase::Running(_) | TaskPhase::Waiting(_) | TaskPhase::Blocked(_) => {
            return Ok(Decision::unchanged(state));
        }
        TaskPhase::Finished { .. } | TaskPhase::Disabled { .. } | TaskPhase::Cancelled { .. } => {
            return Err(ended(state));
        }
    };
    let mut events = passed_events(passed);
    events.push(Event::TaskResumed { by: by.clone(), then });
    Ok(Decision { events, answer: Answer::Recorded })
}

/// A task that was not paused itself, but rested with its scope.
pub(super) fn resume_with_scope(
    state: &TaskState,
    policy: MisfirePolicy,
    by: &Actor,
    now: Timestamp,
) -> Decision {
    let TaskPhase::Waiting(work) = &state.phase else { return Decision::unchanged(state) };
    let (moved_on, passed) = resumed(state, *work, policy, now);
    let stays = match &moved_on.then {
        Then::Next(next) | Then::Retry { work: next, .. } => next == work,
        Then::Finish | Then::Disable(_) => false,
    };
    if stays && passed.is_empty() && moved_on.progress == state.progress {
        return Decision::unchanged(state);
    }
    let mut events = passed_events(passed);
    events.push(Event::TaskResumed { by: by.clone(), then: Some(moved_on) });
    Decision { events, answer: Answer::Recorded }
}

/// A paused schedule is like a machine that stood still: what passed meanwhile goes to a misfire policy. What was
/// decided before the pause (a retry, a backlog) and what has yet to come due stays as it is.
fn resumed(state: &TaskState, work: Work, policy: MisfirePolicy, now: Timestamp) -> (MovedOn, Vec<Passed>) {
    let schedule = &state.definition.schedule;
    let mut progress = state.progress;
    if work.attempt.get() > 1 || state.checkpoint.is_some() {
        let then = Then::Retry { work, counts: state.counts };
        return (MovedOn { then, progress }, Vec::new());
    }
    let then = Then::Next(work);
    let Some(calendar) = calendar_of(state).ok().filter(|_| schedule.is_recurring()) else {
        return (MovedOn { then, progress }, Vec::new());
    };
    let misfire = Misfire { policy, ..schedule.misfire };
    let last = progress.decided_through;
    if work.occurrence <= last || state.is_off_schedule(work.occurrence) {
        let passed = judge_late(schedule, &misfire, &calendar, LateCause::Paused, (last, now), &mut progress);
        return (MovedOn { then, progress }, passed);
    }
    let Some(late) = reckon(&calendar, &misfire, schedule.jitter_ms, last, now, LateCause::Paused) else {
        return (MovedOn { then, progress }, Vec::new());
    };
    let decided = Progress { decided_through: late.newest, backlog: late.run, ..progress };
    let (then, progress) = choose(state, &calendar, decided, now);
    let withdrawn = withdrawn(work, late.oldest());
    (MovedOn { then, progress }, withdrawn.into_iter().chain(late.passed).collect())
}

pub(super) fn ended(state: &TaskState) -> Rejection {
    Rejection::Ended { task: state.id.clone(), phase: state.phase.kind() }
}
