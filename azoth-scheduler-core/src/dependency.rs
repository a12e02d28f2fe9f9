//! Tasks that wait for other tasks.

use alloc::vec::Vec;

use crate::event::{Event, MovedOn, Then};
use crate::execution::Outcome;
use crate::id::TaskId;
use crate::state::{PhaseKind, TaskState};

/// The tasks that must have succeeded before a task runs.
///
/// A task is met by its first success from then on: for a one-time task that is its end, for a recurring one its next
/// run that succeeds. It has failed when it ends without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    tasks: Vec<TaskId>,
    on_failure: OnDependencyFailure,
}

/// What becomes of a task when one that it waits for fails for good, is disabled, or is cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDependencyFailure {
    /// It is cancelled, and so are those that wait for it, unless they say otherwise.
    #[default]
    Cancel,
    /// It runs all the same once all of them have ended.
    RunAnyway,
}

/// How a task ended that others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyEnd {
    /// A run of it succeeded.
    Succeeded,
    /// It was disabled, by its failures or by somebody, or its schedule ended without a success.
    Failed,
    /// Somebody cancelled it, or it waited itself for one that failed.
    Cancelled,
}

/// So many tasks cannot be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AfterError {
    /// None at all.
    #[error("a task that waits for others names at least one: name one, or leave it out")]
    None,
    /// Too many.
    #[error("a task may wait for {limit} others, not for {count}: let one task gather some of them", limit = After::TASKS_MAX)]
    TooMany {
        /// How many were named.
        count: usize,
    },
}

impl After {
    /// The most tasks that one may wait for.
    pub const TASKS_MAX: usize = 64;

    /// Waits for these, whatever their order; one that is named twice counts once.
    ///
    /// # Errors
    /// [`AfterError`] for none, or for more than [`TASKS_MAX`](Self::TASKS_MAX).
    pub fn new(
        tasks: impl IntoIterator<Item = TaskId>,
        on_failure: OnDependencyFailure,
    ) -> Result<Self, AfterError> {
        let mut tasks: Vec<TaskId> = tasks.into_iter().collect();
        tasks.sort_unstable();
        tasks.dedup();
        match tasks.len() {
            0 => Err(AfterError::None),
            1..=Self::TASKS_MAX => Ok(Self { tasks, on_failure }),
            count => Err(AfterError::TooMany { count }),
        }
    }

    /// The tasks, ordered by their ids.
    pub fn tasks(&self) -> &[TaskId] {
        &self.tasks
    }

    /// What becomes of the waiting task when one of them fails.
    pub fn on_failure(&self) -> OnDependencyFailure {
        self.on_failure
    }
}

impl DependencyEnd {
    /// The end's word, as messages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            DependencyEnd::Succeeded => "succeeded",
            DependencyEnd::Failed => "failed",
            DependencyEnd::Cancelled => "was cancelled",
        }
    }

    /// How a task in this phase ended, `None` for one that lives.
    pub const fn of_phase(phase: PhaseKind) -> Option<Self> {
        match phase {
            PhaseKind::Waiting | PhaseKind::Blocked | PhaseKind::Running | PhaseKind::Paused => None,
            PhaseKind::Finished => Some(DependencyEnd::Succeeded),
            PhaseKind::Disabled => Some(DependencyEnd::Failed),
            PhaseKind::Cancelled => Some(DependencyEnd::Cancelled),
        }
    }

    /// What those that wait for a task are told after these events of it; `None`: nothing yet. `running` says whether an
    /// execution held the task before them.
    pub fn of_events(events: &[Event], running: bool) -> Option<Self> {
        let succeeded =
            |event: &Event| matches!(event, Event::TaskExecuted { outcome: Outcome::Succeeded(()), .. });
        if events.iter().any(succeeded) {
            return Some(DependencyEnd::Succeeded);
        }
        events.iter().find_map(|event| Self::of_event(event, running))
    }

    fn of_event(event: &Event, running: bool) -> Option<Self> {
        let then = match event {
            Event::TaskCancelled { .. } => return Some(DependencyEnd::Cancelled),
            // What runs goes on to its end, which tells then.
            Event::TaskDisabled { .. } => return (!running).then_some(DependencyEnd::Failed),
            Event::TaskExecuted { then, .. }
            | Event::ExecutionAbandoned { then, .. }
            | Event::OccurrencesPassed { then: Some(MovedOn { then, .. }), .. }
            | Event::TaskResumed { then: Some(MovedOn { then, .. }), .. }
            | Event::ClockCorrected { then: Some(then), .. }
            | Event::TaskRetried { then: MovedOn { then, .. }, .. } => then,
            Event::TaskScheduled { .. }
            | Event::ExecutionStarted { .. }
            | Event::TaskEventEmitted { .. }
            | Event::OccurrencesPassed { then: None, .. }
            | Event::TaskPaused { .. }
            | Event::TaskResumed { then: None, .. }
            | Event::ClockCorrected { then: None, .. }
            | Event::LimitsChanged { .. }
            | Event::ScopePaused { .. }
            | Event::ScopeResumed { .. }
            | Event::TasksForgotten { .. }
            | Event::PayloadsDropped { .. }
            | Event::LogCut { .. }
            | Event::DependencyEnded { .. }
            | Event::ProgressReported { .. }
            | Event::CheckpointSaved { .. }
            | Event::RunRequested { .. } => return None,
        };
        match then {
            Then::Finish | Then::Disable(_) => Some(DependencyEnd::Failed),
            Then::Retry { .. } | Then::Next(_) => None,
        }
    }
}

impl core::fmt::Display for DependencyEnd {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an execution holds the task.
pub(crate) fn is_running(state: Option<&TaskState>) -> bool {
    state.is_some_and(|state| state.held_by().is_some())
}
