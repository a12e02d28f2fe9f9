//! The reducer: what an event makes of a task. It copies what [`decide`](fn@crate::decide::decide) wrote and computes
//! nothing, so a replay gives the same states in ten years, under any clock, zone data or cron engine.

use crate::event::{Change, Event, MovedOn, Then};
use crate::headway::{Checkpoint, Reported};
use crate::id::{ExecutionId, TaskId};
use crate::state::{
    Afterwards, Counts, DisabledReason, Pause, PhaseKind, Progress, Running, TaskPhase, TaskState, Work,
};
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
    let Some(mut state) = state else { return begin(event.clone(), at) };
    apply(&mut state, event, at)?;
    Ok(state)
}

/// The state after the first event of a task, which gives up what it holds: a replay of a long log copies none of it.
///
/// # Errors
/// As [`evolve`] where there is no task before the event.
#[inline]
pub fn begin(event: Event, at: Timestamp) -> Result<TaskState, OutOfOrder> {
    let Event::TaskScheduled { task, change: Change::Created, definition, work, progress, waits_for, trace } =
        event
    else {
        return Err(OutOfOrder { event: event.name(), found: Found::NoTask });
    };
    Ok(TaskState {
        id: task,
        definition,
        defined_at: at,
        created_at: at,
        phase: waiting(work, &waits_for),
        progress,
        counts: Counts::default(),
        runs: 0,
        moved_at: at,
        waits_for,
        checkpoint: None,
        off_schedule: None,
        trace,
    })
}

/// What [`evolve`] does, to a state where it stands: a replay of a long log moves none.
///
/// # Errors
/// As [`evolve`]; the state is as it was then.
pub fn apply(state: &mut TaskState, event: &Event, at: Timestamp) -> Result<(), OutOfOrder> {
    match event {
        Event::TaskScheduled { .. } => scheduled_again(state, event, at)?,
        Event::ExecutionStarted { .. } => started(state, event, at)?,
        Event::TaskExecuted { execution, then, progress, .. }
        | Event::ExecutionAbandoned { execution, then, progress, .. } => {
            holds(state, *execution, event)?;
            move_on(state, then, *progress, at);
        }
        Event::TaskEventEmitted { .. } => {}
        Event::OccurrencesPassed { then, .. } => {
            if let Some(MovedOn { then, progress }) = then {
                waits(state, event)?;
                move_on(state, then, *progress, at);
            }
        }
        Event::TaskCancelled { reason, by, .. } => {
            lives(state, event)?;
            state.checkpoint = None;
            end(state, TaskPhase::Cancelled { at, reason: reason.clone(), by: by.clone() });
        }
        Event::TaskPaused { reason, by, until } => {
            lives(state, event)?;
            pause(state, Pause { at, reason: reason.clone(), by: by.clone(), until: *until });
        }
        Event::TaskResumed { then, .. } => {
            lives(state, event)?;
            resume(state, then.as_ref(), at);
        }
        Event::TaskDisabled { reason, by } => {
            lives(state, event)?;
            let said = DisabledReason::Said { by: by.clone(), reason: reason.clone() };
            disable(state, said, at);
        }
        Event::ProgressReported { execution, headway } => {
            let running = holder(state, *execution, event)?;
            running.reported = Some(Reported { headway: headway.clone(), at });
        }
        Event::CheckpointSaved { execution, checkpoint } => {
            holder(state, *execution, event)?;
            state.checkpoint = Some(Checkpoint { payload: *checkpoint, at });
        }
        Event::DependencyEnded { .. } => dependency_ended(state, event, at)?,
        Event::RunRequested { .. } => run_requested(state, event, at)?,
        Event::TaskRetried { then: MovedOn { then, progress }, .. } => {
            if state.phase.kind() != PhaseKind::Disabled {
                return Err(OutOfOrder { event: event.name(), found: Found::Phase(state.phase.kind()) });
            }
            move_on(state, then, *progress, at);
        }
        Event::ClockCorrected { defined_at, then, progress, .. } => {
            lives(state, event)?;
            state.defined_at = *defined_at;
            match then {
                Some(then) => move_on(state, then, *progress, at),
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
    Ok(())
}

fn scheduled_again(state: &mut TaskState, event: &Event, at: Timestamp) -> Result<(), OutOfOrder> {
    let Event::TaskScheduled { task, change, definition, work, progress, waits_for, trace } = event else {
        return Ok(());
    };
    if let Change::Created = change {
        return Err(OutOfOrder { event: event.name(), found: Found::Phase(state.phase.kind()) });
    }
    state.id = task.clone();
    state.definition = definition.clone();
    state.defined_at = at;
    state.phase = redefined(state.phase.clone(), waiting(*work, waits_for));
    state.progress = *progress;
    state.counts = Counts::default();
    state.runs = 0;
    state.moved_at = at;
    state.waits_for = waits_for.clone();
    state.checkpoint = None;
    state.off_schedule = None;
    state.trace = *trace;
    Ok(())
}

/// A running execution goes on under the old definition, a paused task stays paused, all else waits. What was to be
/// disabled when its execution ends is scheduled again by this, and so is not disabled any more.
fn redefined(phase: TaskPhase, waiting: TaskPhase) -> TaskPhase {
    match phase {
        TaskPhase::Running(running) => {
            let afterwards = match running.afterwards {
                Afterwards::Disable { .. } => Afterwards::GoOn,
                Afterwards::GoOn | Afterwards::Pause(_) => running.afterwards,
            };
            TaskPhase::Running(Running { superseded: true, afterwards, ..running })
        }
        TaskPhase::Paused { pause, .. } => paused(waiting, pause),
        TaskPhase::Waiting(_)
        | TaskPhase::Blocked(_)
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => waiting,
    }
}

/// What waits for other tasks is blocked.
fn waiting(work: Work, waits_for: &[TaskId]) -> TaskPhase {
    if waits_for.is_empty() { TaskPhase::Waiting(work) } else { TaskPhase::Blocked(work) }
}

/// What waits is paused; all else stays as it is.
fn paused(phase: TaskPhase, pause: Pause) -> TaskPhase {
    match phase {
        TaskPhase::Waiting(work) | TaskPhase::Blocked(work) => TaskPhase::Paused { work, pause },
        TaskPhase::Running(_)
        | TaskPhase::Paused { .. }
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => phase,
    }
}

fn started(state: &mut TaskState, event: &Event, at: Timestamp) -> Result<(), OutOfOrder> {
    waits(state, event)?;
    if let Event::ExecutionStarted { execution, worker, occurrence, attempt, run, progress, .. } = event {
        state.phase = TaskPhase::Running(Running {
            execution: *execution,
            worker: *worker,
            claimed_at: at,
            occurrence: *occurrence,
            attempt: *attempt,
            superseded: false,
            afterwards: Afterwards::GoOn,
            reported: None,
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
        | TaskPhase::Blocked(_)
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => None,
    };
    // What comes after an execution, other than a retry of it, is the schedule's, even at the instant that was asked for.
    let ran = matches!(state.phase, TaskPhase::Running(_));
    let next = |work| match pause {
        Some(pause) => TaskPhase::Paused { work, pause },
        None => waiting(work, &state.waits_for),
    };
    let (phase, counts, open) = match then {
        Then::Retry { work, counts } => (next(*work), *counts, Some(work.occurrence)),
        Then::Next(work) => (next(*work), Counts::default(), Some(work.occurrence).filter(|_| !ran)),
        Then::Finish => (TaskPhase::Finished { at }, Counts::default(), None),
        Then::Disable(because) => {
            (TaskPhase::Disabled { at, because: because.clone() }, Counts::default(), None)
        }
    };
    state.off_schedule = state.off_schedule.filter(|asked| open == Some(*asked));
    state.counts = counts;
    // What is disabled may be retried, and goes on then from where it was.
    if let Then::Next(_) | Then::Finish = then {
        state.checkpoint = None;
    }
    end(state, phase);
}

/// Comes into a phase; a task that has ended waits for nobody any more.
fn end(state: &mut TaskState, phase: TaskPhase) {
    if !phase.kind().is_live() {
        state.waits_for.clear();
        state.off_schedule = None;
    }
    state.phase = phase;
}

fn dependency_ended(state: &mut TaskState, event: &Event, at: Timestamp) -> Result<(), OutOfOrder> {
    let Event::DependencyEnded { dependency, then, .. } = event else { return Ok(()) };
    let blocked = match &state.phase {
        TaskPhase::Blocked(_) | TaskPhase::Paused { .. } => state.waits_for.contains(dependency),
        TaskPhase::Waiting(_)
        | TaskPhase::Running(_)
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => false,
    };
    if !blocked {
        return Err(OutOfOrder { event: event.name(), found: Found::Phase(state.phase.kind()) });
    }
    state.waits_for.retain(|other| other != dependency);
    if let Some(work) = then {
        state.moved_at = at;
        if let TaskPhase::Paused { work: kept, .. } = &mut state.phase {
            *kept = *work;
        } else {
            state.phase = TaskPhase::Waiting(*work);
        }
    }
    Ok(())
}

fn run_requested(state: &mut TaskState, event: &Event, at: Timestamp) -> Result<(), OutOfOrder> {
    let Event::RunRequested { work, off_schedule, .. } = event else { return Ok(()) };
    match &mut state.phase {
        phase @ (TaskPhase::Waiting(_) | TaskPhase::Blocked(_)) => *phase = TaskPhase::Waiting(*work),
        TaskPhase::Running(_)
        | TaskPhase::Paused { .. }
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => {
            return Err(OutOfOrder { event: event.name(), found: Found::Phase(state.phase.kind()) });
        }
    }
    state.waits_for.clear();
    state.moved_at = at;
    if *off_schedule {
        state.off_schedule = Some(work.occurrence);
    }
    Ok(())
}

fn pause(state: &mut TaskState, pause: Pause) {
    match &mut state.phase {
        TaskPhase::Running(running) => running.afterwards = Afterwards::Pause(pause),
        TaskPhase::Waiting(work) | TaskPhase::Blocked(work) | TaskPhase::Paused { work, .. } => {
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
        // It rested with its scope.
        (TaskPhase::Waiting(_), Some(MovedOn { then, progress })) => move_on(state, then, *progress, at),
        (_, _) => {}
    }
}

fn disable(state: &mut TaskState, because: DisabledReason, at: Timestamp) {
    match (&mut state.phase, &because) {
        (TaskPhase::Running(running), DisabledReason::Said { by, reason }) => {
            running.afterwards = Afterwards::Disable { by: by.clone(), reason: reason.clone() };
        }
        _ => end(state, TaskPhase::Disabled { at, because }),
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

fn holder<'a>(
    state: &'a mut TaskState,
    execution: ExecutionId,
    event: &Event,
) -> Result<&'a mut Running, OutOfOrder> {
    holds(state, execution, event)?;
    let found = Found::Phase(state.phase.kind());
    match &mut state.phase {
        TaskPhase::Running(running) => Ok(running),
        TaskPhase::Waiting(_)
        | TaskPhase::Blocked(_)
        | TaskPhase::Paused { .. }
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => Err(OutOfOrder { event: event.name(), found }),
    }
}
