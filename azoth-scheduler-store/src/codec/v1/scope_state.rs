//! A whole scope, as a derived table keeps it.

use azoth_scheduler_core::id::Actor;
use azoth_scheduler_core::{scope, state};
use serde::{Deserialize, Serialize};

use super::scope::{Limits, Scope};
use super::stored::{Invalid, Stored};

/// A whole scope. It stands in a derived table, never in the log.
#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct ScopeState<'a> {
    #[serde(borrow)]
    scope: Scope<'a>,
    declared: Limits,
    set: Option<Limits>,
    #[serde(borrow)]
    pause: Option<Pause<'a>>,
    spent: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Pause<'a> {
    at: i64,
    reason: &'a str,
    by: &'a str,
    until: Option<i64>,
}

impl<'a> ScopeState<'a> {
    /// The stored form of a scope.
    pub(in crate::codec) fn of(state: &'a scope::ScopeState) -> Self {
        Self {
            scope: Scope::store(&state.scope),
            declared: Limits::store(&state.declared),
            set: Option::store(&state.set),
            pause: Option::store(&state.pause),
            spent: state.spent.map(scope::Spent::unix_us),
        }
    }

    /// The scope that was stored, if it can be one.
    pub(in crate::codec) fn restore(self) -> Result<scope::ScopeState, Invalid> {
        Ok(scope::ScopeState {
            scope: self.scope.restore()?,
            declared: self.declared.restore()?,
            set: self.set.restore()?,
            pause: self.pause.restore()?,
            spent: self.spent.map(scope::Spent::from_unix_us),
        })
    }
}

impl<'a> Stored<'a> for Pause<'a> {
    type Core = state::Pause;

    fn store(core: &'a state::Pause) -> Self {
        let (reason, by) = (core.reason.as_str(), core.by.as_str());
        Self { at: i64::store(&core.at), reason, by, until: Option::store(&core.until) }
    }

    fn restore(self) -> Result<state::Pause, Invalid> {
        Ok(state::Pause {
            at: self.at.restore()?,
            reason: self.reason.restore()?,
            by: Actor::new(self.by)?,
            until: self.until.restore()?,
        })
    }
}
