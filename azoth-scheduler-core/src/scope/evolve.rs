//! What an event makes of a scope.

use super::limits::LimitsChange;
use super::state::ScopeState;
use super::subject::Scope;
use crate::event::Event;
use crate::evolve::{Found, OutOfOrder};
use crate::state::Pause;
use crate::time::Timestamp;

/// The scope after an event that was recorded `at` this instant.
///
/// # Errors
/// [`OutOfOrder`] for an event of something else. That is damage, never a refusal.
pub fn evolve(state: Option<ScopeState>, event: &Event, at: Timestamp) -> Result<ScopeState, OutOfOrder> {
    let strange = || OutOfOrder { event: event.name(), found: Found::AnotherSubject };
    let scope = event.scope().ok_or_else(strange)?;
    let mut state = state.unwrap_or_else(|| ScopeState::new(scope.clone()));
    if state.scope != *scope {
        return Err(strange());
    }
    apply(&mut state, event, at);
    Ok(state)
}

fn apply(state: &mut ScopeState, event: &Event, at: Timestamp) {
    if let Event::LimitsChanged { change, .. } = event {
        match change {
            LimitsChange::Declared(limits) => state.declared = *limits,
            LimitsChange::Set(limits) => state.set = Some(*limits),
            LimitsChange::Cleared => state.set = None,
        }
        let rate = state.limits().rate;
        state.spent = rate.and_then(|rate| state.spent.map(|spent| rate.take_over(spent, at)));
    } else if let Event::ScopePaused { reason, by, until, .. } = event {
        // A pause that is said anew goes on from when it began.
        let at = state.pause.as_ref().map_or(at, |pause| pause.at);
        state.pause = Some(Pause { at, reason: reason.clone(), by: by.clone(), until: *until });
    } else if let Event::ScopeResumed { .. } = event {
        state.pause = None;
    }
}

impl Event {
    /// The scope that the event is about, `None` for one of a task.
    pub const fn scope(&self) -> Option<&Scope> {
        match self {
            Event::LimitsChanged { scope, .. }
            | Event::ScopePaused { scope, .. }
            | Event::ScopeResumed { scope, .. } => Some(scope),
            Event::TaskScheduled { .. }
            | Event::ExecutionStarted { .. }
            | Event::TaskExecuted { .. }
            | Event::TaskEventEmitted { .. }
            | Event::ExecutionAbandoned { .. }
            | Event::OccurrencesPassed { .. }
            | Event::TaskCancelled { .. }
            | Event::TaskPaused { .. }
            | Event::TaskResumed { .. }
            | Event::TaskDisabled { .. }
            | Event::ClockCorrected { .. }
            | Event::TasksForgotten { .. }
            | Event::PayloadsDropped { .. }
            | Event::LogCut { .. }
            | Event::DependencyEnded { .. }
            | Event::ProgressReported { .. }
            | Event::CheckpointSaved { .. }
            | Event::RunRequested { .. }
            | Event::TaskRetried { .. } => None,
        }
    }
}
