//! What the end of a task means to one that waits for it.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use crate::dependency::{DependencyEnd, OnDependencyFailure};
use crate::event::Event;
use crate::execution::ErrorText;
use crate::id::{Actor, TaskId};
use crate::state::{TaskPhase, TaskState, Work};
use crate::time::Timestamp;

/// What happens to a task when this one, for which it waits, ends. Nothing where it does not wait for it.
pub fn dependency_ended(
    state: &TaskState,
    dependency: &TaskId,
    end: DependencyEnd,
    now: Timestamp,
) -> Vec<Event> {
    let work = match &state.phase {
        TaskPhase::Blocked(work) | TaskPhase::Paused { work, .. } => *work,
        TaskPhase::Waiting(_)
        | TaskPhase::Running(_)
        | TaskPhase::Finished { .. }
        | TaskPhase::Disabled { .. }
        | TaskPhase::Cancelled { .. } => return Vec::new(),
    };
    if !state.waits_for.contains(dependency) {
        return Vec::new();
    }
    let (dependency, is_last) = (dependency.clone(), state.waits_for.len() == 1);
    if end != DependencyEnd::Succeeded && rule(state) == OnDependencyFailure::Cancel {
        let reason = ErrorText::new(format!("it waited for task {dependency:?}, which {end}"));
        let cancelled = Event::TaskCancelled { reason, by: Actor::library(), execution: None };
        return vec![Event::DependencyEnded { dependency, end, then: None }, cancelled];
    }
    let then = is_last.then(|| Work { run_at: work.run_at.max(now), ..work });
    vec![Event::DependencyEnded { dependency, end, then }]
}

fn rule(state: &TaskState) -> OnDependencyFailure {
    state.definition.after.as_ref().map(crate::dependency::After::on_failure).unwrap_or_default()
}
