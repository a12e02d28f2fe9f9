//! The other tasks on which a decision depends.

use alloc::collections::BTreeMap;

use crate::id::TaskId;
use crate::state::{PhaseKind, TaskState};
use crate::time::Timestamp;
use crate::unique::{Holds, Unique};

/// What a decision must know of other tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The phases of the tasks that are to be waited for, of those that exist.
    pub dependencies: BTreeMap<TaskId, PhaseKind>,
    /// One of them that waits, by itself or by others, for the task itself.
    pub circle: Option<TaskId>,
    /// The task for which the idempotency key stands.
    pub key_held_by: Option<TaskId>,
}

impl Unique {
    /// Whether the key still stands for this task, whose definition holds it.
    pub fn holds(&self, state: &TaskState, now: Timestamp) -> bool {
        match self.holds {
            Holds::WhilePending => state.phase.kind().is_live(),
            Holds::For { ms } => {
                let ms = i64::try_from(ms.get()).unwrap_or(i64::MAX);
                now < state.defined_at.saturating_add_ms(ms)
            }
        }
    }
}
