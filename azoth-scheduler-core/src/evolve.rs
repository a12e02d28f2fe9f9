//! The reducer: what an event makes of a task. It copies what [`decide`](fn@crate::decide::decide) wrote and computes
//! nothing, so a replay gives the same states in ten years, under any clock, zone data or cron engine.

use alloc::boxed::Box;

use crate::event::{Change, Event, MovedOn, Then};
use crate::id::{ExecutionId, TaskId};
use crate::state::{
    Afterwards, Counts, DisabledReason, Pause, PhaseKind, Progress, Running, TaskPhase, TaskState, Work,
};
use crate::task::TaskDefinition;
use crate::time::Timestamp;

/// An event that cannot follow the ones before it: the log is damaged or was forged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow: {found}")]
pub struct OutOfOrder {
    /// The event's name.
    pub event: &'static str,
    /// In which state it found its task.
    pub found: Found,
}

/// The state in which an event found its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was no such task.
    NoTask,
    /// The task stood in this phase.
    Phase(PhaseKind),
    /// Another execution held the task.
    HeldBy(ExecutionId),
    /// The event is of something else.
    AnotherSubject,
    /// As much or more was let go of before.
    LogBehind,
}

impl core::fmt::Display for Found {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Found::NoTask => f.write_str("there is no such task before it"),
            Found::Phase(phase) => write!(f, "the task is {phase}"),
            Found::AnotherSubject => f.write_str("it is of another subject"),
            Found::HeldBy(execution) => write!(f, "execution {execution} holds the task"),
            Found::LogBehind => f.write_str("as much was let go of before"),
        }
    }
}

/// The state after an event that was recorded `at` this instant.
///
/// # Errors
/// [`OutOfOrder`] where no decision could have led from this state to this event. That is damage, never a refusal.
pub fn evolve(state: Option<TaskState>, event: &Event, at: Timestamp) -> Result<TaskState, OutOfOrder> {
    if let Event::TaskScheduled { task, change, definition, work, progress } = event {
        return scheduled(state, task, *change, definition, *work, *progress, at);
    }
    let mut state = state.ok_or(OutOfOrder { event: event.name(), found: Found::NoTask })?;
    match event {
        Event::TaskScheduled { .. } => unreachable!("handled above"),
        Event::ExecutionStarted { .. } => started(&mut state, event, at)?,
        Event::TaskExecuted { execution, then, progress, .. }
        | Event::ExecutionAbandoned { execution, then, progress, .. } => {
            holds(&state, *execution, event)?;
            move_on(&mut state, then, *progress, at);
        }
        Event::TaskEventEmitted { .. } => {}
        Event::OccurrencesPassed { then, .. } => {
            if let Some(MovedOn { then, progress }) = then {
                waits(&state, event)?;
                move_on(&mut state, then, *progress, at);
            }
        }
        Event::TaskCancelled { reason, by, .. } => {
            lives(&state, event)?;
            state.phase = TaskPhase::Cancelled { at, reason: reason.clone(), by: by.clone() };
        }
        Event::TaskPaused { reason, by, until } => {
            lives(&state, event)?;
            pause(&mut state, Pause { at, reason: reason.clone(), by: by.clone(), until: *until });
        }
        Event::TaskResumed { then, .. } => {
            lives(&state, event)?;
            resume(&mut state, then.as_ref(), at);
        }
        Event::TaskDisabled { reason, by } => {
            lives(&state, event)?;
            let said = DisabledReason::Said { by: by.clone(), reason: reason.clone() };
            disable(&mut state, said, at);
        }
        Event::ClockCorrected { defined_at, then, progress, .. } => {
            lives(&state, event)?;
            state.defined_at = *defined_at;
            match then {
                Some(then) => move_on(&mut state, then, *progress, at),
                None => state.progress = *progress,
            }
        }
        Event::LimitsChanged { .. }
        | Event::ScopePaused { .. }
        | Event::ScopeResumed { .. }
        | Event::TasksForgotten { .. }
        | Event::PayloadsDropped { .. }
        | Event::LogCut { .. } => {
            return Err(OutOfOrder { event: event.name(), found: Found::AnotherSubject });
        }
    }
    Ok(state)
}

fn scheduled(
    state: Option<TaskState>,
    task: &TaskId,
    change: Change,
    definition: &TaskDefinition,
    work: Work,
    progress: Progress,
    at: Timestamp,
) -> Result<TaskState, OutOfOrder> {
    let out_of_order = |found| OutOfOrder { event: "TaskScheduled", found };
    let (created_at, phase) = match (change, state) {
        (Change::Created, None) => (at, TaskPhase::Waiting(work)),
        (Change::Created, Some(state)) => return Err(out_of_order(Found::Phase(state.phase.kind()))),
        (Change::Redefined | Change::Anew, None) => return Err(out_of_order(Found::NoTask)),
        (Change::Redefined | Change::Anew, Some(state)) => (state.created_at, redefined(state.phase, work)),
    };
    let definition = Box::new(definition.clone());
    let counts = Counts::default();
    Ok(TaskState {
        id: task.clone(),
        definition,
        defined_at: at,
        created_at,
        phase,
        progress,
        counts,
        runs: 0,
        moved_at: at,
    })
}

/// A running execution goes on under the old definition, a paused task stays paused, all else waits. What was to be
/// disabled when its execution ends is scheduled again by this, and so is not disabled any more.
fn redefined(phase: TaskPhase, work: Work) -> TaskPhase {
    match phase {
        TaskPhase::Running(running) => {
            let afterwards = match running.afterwards {
                Afterwards::Disable { .. } => Afterwards::GoOn,
                Afterwards::GoOn | Afterwards::Pause(_) => running.afterwards,
            };
            TaskPhase::Running(Running { superseded: true, afterwards, ..running })
        }
        TaskPhase::Paused { pause, .. } => TaskPhase::Paused { work, pause },
        TaskPhase::Waiting(_)
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => TaskPhase::Waiting(work),
    }
}

fn started(state: &mut TaskState, event: &Event, at: Timestamp) -> Result<(), OutOfOrder> {
    waits(state, event)?;
    if let Event::ExecutionStarted { execution, worker, occurrence, attempt, run, progress } = event {
        state.phase = TaskPhase::Running(Running {
            execution: *execution,
            worker: *worker,
            claimed_at: at,
            occurrence: *occurrence,
            attempt: *attempt,
            superseded: false,
            afterwards: Afterwards::GoOn,
        });
        state.progress = *progress;
        state.runs = *run;
        state.moved_at = at;
    }
    Ok(())
}

fn move_on(state: &mut TaskState, then: &Then, progress: Progress, at: Timestamp) {
    state.progress = progress;
    state.moved_at = at;
    let pause = match &mut state.phase {
        TaskPhase::Running(Running { afterwards: Afterwards::Pause(pause), .. })
        | TaskPhase::Paused { pause, .. } => Some(pause.clone()),
        TaskPhase::Running(_)
        | TaskPhase::Waiting(_)
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => None,
    };
    let waiting = |work| match pause {
        Some(pause) => TaskPhase::Paused { work, pause },
        None => TaskPhase::Waiting(work),
    };
    state.counts = Counts::default();
    state.phase = match then {
        Then::Retry { work, counts } => {
            state.counts = *counts;
            waiting(*work)
        }
        Then::Next(work) => waiting(*work),
        Then::Finish => TaskPhase::Finished { at },
        Then::Disable(because) => TaskPhase::Disabled { at, because: because.clone() },
    };
}

fn pause(state: &mut TaskState, pause: Pause) {
    match &mut state.phase {
        TaskPhase::Running(running) => running.afterwards = Afterwards::Pause(pause),
        TaskPhase::Waiting(work) | TaskPhase::Paused { work, .. } => {
            state.phase = TaskPhase::Paused { work: *work, pause };
        }
        TaskPhase::Finished { .. } | TaskPhase::Disabled { .. } | TaskPhase::Cancelled { .. } => {}
    }
}

fn resume(state: &mut TaskState, then: Option<&MovedOn>, at: Timestamp) {
    match (&mut state.phase, then) {
        (TaskPhase::Running(running), _) => running.afterwards = Afterwards::GoOn,
        (TaskPhase::Paused { work, .. }, Some(MovedOn { then, progress })) => {
            state.phase = TaskPhase::Waiting(*work);
            move_on(state, then, *progress, at);
        }
        (_, _) => {}
    }
}

fn disable(state: &mut TaskState, because: DisabledReason, at: Timestamp) {
    match (&mut state.phase, &because) {
        (TaskPhase::Running(running), DisabledReason::Said { by, reason }) => {
            running.afterwards = Afterwards::Disable { by: by.clone(), reason: reason.clone() };
        }
        _ => state.phase = TaskPhase::Disabled { at, because },
    }
}

fn waits(state: &TaskState, event: &Event) -> Result<(), OutOfOrder> {
    let phase = state.phase.kind();
    if phase == PhaseKind::Waiting {
        return Ok(());
    }
    Err(OutOfOrder { event: event.name(), found: Found::Phase(phase) })
}

fn lives(state: &TaskState, event: &Event) -> Result<(), OutOfOrder> {
    let phase = state.phase.kind();
    if phase.is_live() { Ok(()) } else { Err(OutOfOrder { event: event.name(), found: Found::Phase(phase) }) }
}

fn holds(state: &TaskState, execution: ExecutionId, event: &Event) -> Result<(), OutOfOrder> {
    let found = match state.held_by() {
        Some(holder) if holder == execution => return Ok(()),
        Some(holder) => Found::HeldBy(holder),
        None => Found::Phase(state.phase.kind()),
    };
    Err(OutOfOrder { event: event.name(), found })
}
