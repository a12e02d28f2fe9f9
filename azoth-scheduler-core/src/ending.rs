//! How a task ended for those that wait for it, by its phase or by its events.

use crate::dependency::DependencyEnd;
use crate::event::{Event, MovedOn, Then};
use crate::execution::Outcome;
use crate::state::PhaseKind;

impl DependencyEnd {
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
