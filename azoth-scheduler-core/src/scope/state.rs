//! How a scope stands, and whether it lets another claim through.

use super::limits::Limits;
use super::rate::Spent;
use super::subject::Scope;
use crate::state::Pause;
use crate::time::Timestamp;

/// What the events of a scope add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeState {
    /// Which tasks are meant.
    pub scope: Scope,
    /// The limits that a program declared for it.
    pub declared: Limits,
    /// The limits that somebody set; they hold instead of those that were declared.
    pub set: Option<Limits>,
    /// Who paused it, when and why; `None` while it is not paused.
    pub pause: Option<Pause>,
    /// What is used up of its rate. Claims add to it, so it changes with the events of tasks.
    pub spent: Option<Spent>,
}

/// Whether a scope lets another claim through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It does.
    Open,
    /// Not before this instant, when its rate allows the next one.
    Until(Timestamp),
    /// Not until something happens: an execution ends, or somebody resumes it or changes its limits.
    Shut,
}

impl Gate {
    /// Both of two gates.
    pub fn and(self, other: Gate) -> Gate {
        match (self, other) {
            (Gate::Shut, _) | (_, Gate::Shut) => Gate::Shut,
            (Gate::Open, gate) | (gate, Gate::Open) => gate,
            (Gate::Until(one), Gate::Until(other)) => Gate::Until(one.max(other)),
        }
    }
}

impl ScopeState {
    /// A scope of which nothing was said yet.
    pub fn new(scope: Scope) -> Self {
        let declared = Limits::default();
        Self { scope, declared, set: None, pause: None, spent: None }
    }

    /// The limits that hold.
    pub fn limits(&self) -> &Limits {
        self.set.as_ref().unwrap_or(&self.declared)
    }

    /// The instant from which its rate allows the next claim; `None` where it allows one at once.
    pub fn free_at(&self, now: Timestamp) -> Option<Timestamp> {
        let (rate, spent) = (self.limits().rate?, self.spent?);
        Some(rate.free_at(spent, now)).filter(|free_at| *free_at > now)
    }

    /// Whether it lets another claim through while so many of its tasks run.
    pub fn gate(&self, running: u64, now: Timestamp) -> Gate {
        let full = self.limits().max_running.is_some_and(|limit| running >= u64::from(limit.get()));
        if full || self.pause.is_some() {
            return Gate::Shut;
        }
        self.free_at(now).map_or(Gate::Open, Gate::Until)
    }

    /// Counts a claim at this instant against its rate.
    pub fn spend(&mut self, at: Timestamp) {
        if let Some(rate) = self.limits().rate {
            self.spent = Some(rate.spend(self.spent, at));
        }
    }
}
