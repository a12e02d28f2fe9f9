//! The line of a concurrency key: which of its tasks may be claimed, and from when.
//!
//! In front stand the tasks of the key that run, then those between two attempts, then those that wait for their first
//! one, in the order in which they come due and were created. A task may be claimed while fewer stand before it than may
//! run at once.

use core::num::NonZeroU32;

use super::state::ScopeState;
use crate::state::{TaskPhase, TaskState};
use crate::time::Timestamp;

/// Where a task stands in the line of its key. The order of the variants is that of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// It runs.
    Running,
    /// It keeps its place between two attempts at an occurrence.
    BetweenAttempts,
    /// It waits for the first attempt.
    Waiting,
}

/// So many tasks of a key run at once when nothing else was said.
pub const PER_KEY_DEFAULT: NonZeroU32 = NonZeroU32::MIN;

impl Line {
    /// Where a task stands in the line of its key; `None` without a key, and for one that is paused or has ended.
    pub fn of(state: &TaskState) -> Option<Self> {
        state.definition.concurrency_key.as_ref()?;
        match &state.phase {
            TaskPhase::Running(_) => Some(Line::Running),
            TaskPhase::Waiting(work) if work.attempt.get() > 1 => Some(Line::BetweenAttempts),
            TaskPhase::Waiting(_) => Some(Line::Waiting),
            TaskPhase::Blocked(_)
            | TaskPhase::Paused { .. }
            | TaskPhase::Finished { .. }
            | TaskPhase::Disabled { .. }
            | TaskPhase::Cancelled { .. } => None,
        }
    }
}

/// How many tasks of a key may run at once, as a task of it is concerned: what was said of the key, else of its type's
/// keys, else of all keys, else [`PER_KEY_DEFAULT`].
pub fn per_key(
    key: Option<&ScopeState>,
    task_type: Option<&ScopeState>,
    everything: Option<&ScopeState>,
) -> NonZeroU32 {
    let own = key.and_then(|key| key.limits().max_running);
    let default = |scope: Option<&ScopeState>| scope.and_then(|scope| scope.limits().max_running_per_key);
    own.or_else(|| default(task_type)).or_else(|| default(everything)).unwrap_or(PER_KEY_DEFAULT)
}

impl ScopeState {
    /// From when a task of this key may be claimed: one that is to run at `run_at`, with so many before it in the line,
    /// of which `limit` may run at once. `None` while it may not.
    pub fn ready_at(&self, run_at: Timestamp, before: usize, limit: NonZeroU32) -> Option<Timestamp> {
        if self.pause.is_some() || before as u64 >= u64::from(limit.get()) {
            return None;
        }
        let free_at = self.limits().rate.zip(self.spent).map(|(rate, spent)| rate.free_of(spent));
        Some(free_at.map_or(run_at, |free_at| free_at.max(run_at)))
    }
}
