//! What a command does to a scope.

use super::limits::LimitsChange;
use super::state::ScopeState;
use super::subject::Scope;
use crate::command::{ScopeCommand, ScopeWish};
use crate::decide::{Answer, Decision};
use crate::event::Event;
use crate::execution::ErrorText;
use crate::id::Actor;
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// Decides a command about a scope, as [`decide`](fn@crate::decide::decide) does for a task.
///
/// # Errors
/// [`Rejection`] says why the command is not allowed. Nothing has happened then.
pub fn decide(
    state: Option<&ScopeState>,
    command: &ScopeCommand,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let scope = &command.scope;
    debug_assert!(
        state.is_none_or(|state| state.scope == *scope),
        "the state belongs to the command's scope"
    );
    match &command.wish {
        ScopeWish::ChangeLimits { change, by } => change_limits(state, scope, *change, by),
        ScopeWish::Pause { reason, by, until } => pause(state, scope, reason, by, *until, now),
        ScopeWish::Resume { by } => Ok(resume(state, scope, by)),
        ScopeWish::EndPause => Ok(end_pause(state, scope, now)),
    }
}

fn change_limits(
    state: Option<&ScopeState>,
    scope: &Scope,
    change: LimitsChange,
    by: &Actor,
) -> Result<Decision, Rejection> {
    let declared = state.map(|state| state.declared).unwrap_or_default();
    let set = state.and_then(|state| state.set);
    let (limits, changes) = match change {
        LimitsChange::Declared(limits) => (limits, limits != declared),
        LimitsChange::Set(limits) => (limits, set != Some(limits)),
        LimitsChange::Cleared => (declared, set.is_some()),
    };
    limits.check(scope).map_err(|error| Rejection::Limits { scope: scope.clone(), error })?;
    if !changes {
        return Ok(Decision::kept());
    }
    let event = Event::LimitsChanged { scope: scope.clone(), change, by: by.clone() };
    Ok(Decision::one(event, Answer::Recorded))
}

fn pause(
    state: Option<&ScopeState>,
    scope: &Scope,
    reason: &ErrorText,
    by: &Actor,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    if let Some(until) = until.filter(|until| *until <= now) {
        return Err(Rejection::PauseIsOver { until, now });
    }
    let pause = state.and_then(|state| state.pause.as_ref());
    if pause.is_some_and(|pause| (&pause.reason, &pause.by, pause.until) == (reason, by, until)) {
        return Ok(Decision::kept());
    }
    let (scope, reason, by) = (scope.clone(), reason.clone(), by.clone());
    Ok(Decision::one(Event::ScopePaused { scope, reason, by, until }, Answer::Recorded))
}

fn resume(state: Option<&ScopeState>, scope: &Scope, by: &Actor) -> Decision {
    if state.is_none_or(|state| state.pause.is_none()) {
        return Decision::kept();
    }
    let event = Event::ScopeResumed { scope: scope.clone(), by: by.clone() };
    Decision::one(event, Answer::Recorded)
}

/// A pause whose end was said when it began ends by the word of the one who said it.
fn end_pause(state: Option<&ScopeState>, scope: &Scope, now: Timestamp) -> Decision {
    let pause = state.and_then(|state| state.pause.as_ref());
    match pause.filter(|pause| pause.is_over(now)) {
        Some(pause) => resume(state, scope, &pause.by),
        None => Decision::kept(),
    }
}
