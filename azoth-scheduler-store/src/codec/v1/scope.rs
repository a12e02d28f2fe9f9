//! What is said of scopes, as it is stored.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::id::{Actor, ConcurrencyKey, TaskType};
use azoth_scheduler_core::scope;
use azoth_scheduler_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::into_event::IntoEvent;
use super::memory::Memory;
use super::stored::{Invalid, Stored, Unlawful};

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct LimitsChanged<'a> {
    #[serde(borrow)]
    scope: Scope<'a>,
    change: LimitsChange,
    by: &'a str,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct ScopePaused<'a> {
    #[serde(borrow)]
    scope: Scope<'a>,
    reason: &'a str,
    by: &'a str,
    until: Option<i64>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct ScopeResumed<'a> {
    #[serde(borrow)]
    scope: Scope<'a>,
    by: &'a str,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Scope<'a> {
    Everything,
    TaskType(&'a str),
    Key(&'a str),
}

#[derive(Serialize, Deserialize)]
enum LimitsChange {
    Declared(Limits),
    Set(Limits),
    Cleared,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Limits {
    max_running: Option<NonZeroU32>,
    max_running_per_key: Option<NonZeroU32>,
    rate: Option<Rate>,
}

#[derive(Serialize, Deserialize)]
struct Rate {
    count: NonZeroU32,
    per_ms: NonZeroU64,
    burst: NonZeroU32,
}

impl<'a> LimitsChanged<'a> {
    pub(super) fn of(scope: &'a scope::Scope, change: &scope::LimitsChange, by: &'a Actor) -> Self {
        Self { scope: Scope::store(scope), change: LimitsChange::store(change), by: by.as_str() }
    }
}

impl<'a> ScopePaused<'a> {
    pub(super) fn of(
        scope: &'a scope::Scope,
        reason: &'a ErrorText,
        by: &'a Actor,
        until: &'a Option<Timestamp>,
    ) -> Self {
        let (reason, by) = (reason.as_str(), by.as_str());
        Self { scope: Scope::store(scope), reason, by, until: Option::store(until) }
    }
}

impl<'a> ScopeResumed<'a> {
    pub(super) fn of(scope: &'a scope::Scope, by: &'a Actor) -> Self {
        Self { scope: Scope::store(scope), by: by.as_str() }
    }
}

impl IntoEvent for LimitsChanged<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        let (scope, change) = (self.scope.restore()?, self.change.restore()?);
        Ok(Event::LimitsChanged { scope, change, by: Actor::new(self.by)? })
    }
}

impl IntoEvent for ScopePaused<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        let (reason, by) = (self.reason.restore()?, Actor::new(self.by)?);
        Ok(Event::ScopePaused { scope: self.scope.restore()?, reason, by, until: self.until.restore()? })
    }
}

impl IntoEvent for ScopeResumed<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::ScopeResumed { scope: self.scope.restore()?, by: Actor::new(self.by)? })
    }
}

impl<'a> Stored<'a> for Scope<'a> {
    type Core = scope::Scope;

    fn store(core: &'a scope::Scope) -> Self {
        match core {
            scope::Scope::Everything => Scope::Everything,
            scope::Scope::TaskType(name) => Scope::TaskType(name.as_str()),
            scope::Scope::Key(key) => Scope::Key(key.as_str()),
        }
    }

    fn restore(self) -> Result<scope::Scope, Invalid> {
        Ok(match self {
            Scope::Everything => scope::Scope::Everything,
            Scope::TaskType(name) => scope::Scope::TaskType(TaskType::new(name)?),
            Scope::Key(key) => scope::Scope::Key(ConcurrencyKey::new(key)?),
        })
    }
}

impl Stored<'_> for LimitsChange {
    type Core = scope::LimitsChange;

    fn store(core: &scope::LimitsChange) -> Self {
        match core {
            scope::LimitsChange::Declared(limits) => LimitsChange::Declared(Limits::store(limits)),
            scope::LimitsChange::Set(limits) => LimitsChange::Set(Limits::store(limits)),
            scope::LimitsChange::Cleared => LimitsChange::Cleared,
        }
    }

    fn restore(self) -> Result<scope::LimitsChange, Invalid> {
        Ok(match self {
            LimitsChange::Declared(limits) => scope::LimitsChange::Declared(limits.restore()?),
            LimitsChange::Set(limits) => scope::LimitsChange::Set(limits.restore()?),
            LimitsChange::Cleared => scope::LimitsChange::Cleared,
        })
    }
}

impl Stored<'_> for Limits {
    type Core = scope::Limits;

    fn store(core: &scope::Limits) -> Self {
        let rate = Option::store(&core.rate);
        Self { max_running: core.max_running, max_running_per_key: core.max_running_per_key, rate }
    }

    fn restore(self) -> Result<scope::Limits, Invalid> {
        let rate = self.rate.restore()?;
        Ok(scope::Limits {
            max_running: self.max_running,
            max_running_per_key: self.max_running_per_key,
            rate,
        })
    }
}

impl Stored<'_> for Rate {
    type Core = scope::Rate;

    fn store(core: &scope::Rate) -> Self {
        Self { count: core.count(), per_ms: core.per_ms(), burst: core.burst() }
    }

    fn restore(self) -> Result<scope::Rate, Invalid> {
        let rate = scope::Rate::new(self.count, self.per_ms, self.burst);
        Ok(rate.ok_or(Unlawful::Rate { ms: self.per_ms.get() })?)
    }
}
