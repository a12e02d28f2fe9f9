//! The horizon behind which tasks that have ended leave.

use crate::state::{TaskPhase, TaskState};
use crate::time::Timestamp;

/// Tasks leave that ended before these instants; `None`: none of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// For tasks that finished.
    pub finished: Option<Timestamp>,
    /// For tasks that were cancelled.
    pub cancelled: Option<Timestamp>,
    /// For tasks that were disabled.
    pub disabled: Option<Timestamp>,
}

impl Horizon {
    /// Whether a task may leave.
    pub fn lets_go(&self, state: &TaskState) -> bool {
        let (ended, before) = match &state.phase {
            TaskPhase::Finished { at } => (*at, self.finished),
            TaskPhase::Cancelled { at, .. } => (*at, self.cancelled),
            TaskPhase::Disabled { at, .. } => (*at, self.disabled),
            TaskPhase::Waiting(_)
            | TaskPhase::Blocked(_)
            | TaskPhase::Running(_)
            | TaskPhase::Paused { .. } => return false,
        };
        before.is_some_and(|before| ended < before)
    }
}
