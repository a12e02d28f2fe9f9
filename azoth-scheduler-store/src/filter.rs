//! Questions one may ask of the tasks in a store.

use azoth_scheduler_core::id::{GroupName, TaskId, TaskType};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::time::Timestamp;

/// Which tasks to list. Without any condition: all of them, up to the limit.
///
/// ```
/// use azoth_scheduler_core::state::PhaseKind;
/// use azoth_scheduler_store::TaskFilter;
///
/// let filter = TaskFilter::new().enabled(true).limit(10);
/// assert!(filter.accepts_phase(PhaseKind::Waiting) && !filter.accepts_phase(PhaseKind::Disabled));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TaskFilter {
    phases: [bool; PhaseKind::ALL.len()],
    task_type: Option<TaskType>,
    group: Option<GroupName>,
    ahead_of: Option<Timestamp>,
    after: Option<TaskId>,
    limit: usize,
}

impl TaskFilter {
    /// So many tasks are listed at most, unless the filter asks for fewer or for more (up to ten times as many).
    pub const LIMIT_DEFAULT: usize = 1_000;
    /// No listing gives more tasks at once than this; the next page starts [`after`](Self::after) the last one.
    pub const LIMIT_MAX: usize = 10_000;

    /// All tasks.
    pub fn new() -> Self {
        Self {
            phases: [true; PhaseKind::ALL.len()],
            task_type: None,
            group: None,
            ahead_of: None,
            after: None,
            limit: Self::LIMIT_DEFAULT,
        }
    }

    /// Only tasks that will still run (`true`: waiting, running, paused), or only those that will not (`false`).
    pub fn enabled(mut self, enabled: bool) -> Self {
        for (accepted, phase) in self.phases.iter_mut().zip(PhaseKind::ALL) {
            *accepted &= phase.is_live() == enabled;
        }
        self
    }

    /// Only tasks in this phase.
    pub fn phase(mut self, phase: PhaseKind) -> Self {
        for (accepted, other) in self.phases.iter_mut().zip(PhaseKind::ALL) {
            *accepted &= phase == other;
        }
        self
    }

    /// Only tasks of this type.
    pub fn task_type(mut self, task_type: TaskType) -> Self {
        self.task_type = Some(task_type);
        self
    }

    /// Only tasks that were declared with this group.
    pub fn group(mut self, group: GroupName) -> Self {
        self.group = Some(group);
        self
    }

    /// Only tasks that live and were decided by a clock that was beyond this instant
    /// ([`TaskState::is_ahead_of`](azoth_scheduler_core::state::TaskState::is_ahead_of)): where it lies well ahead of now,
    /// that clock was wrong. All tasks are looked through, unless no event was ever recorded beyond that instant.
    pub fn ahead_of(mut self, instant: Timestamp) -> Self {
        self.ahead_of = Some(instant);
        self
    }

    /// Only tasks that were created after this one: the next page of a listing.
    pub fn after(mut self, task: TaskId) -> Self {
        self.after = Some(task);
        self
    }

    /// At most so many tasks, itself at most [`LIMIT_MAX`](Self::LIMIT_MAX).
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.min(Self::LIMIT_MAX);
        self
    }

    /// Whether tasks in this phase are wanted.
    pub fn accepts_phase(&self, phase: PhaseKind) -> bool {
        PhaseKind::ALL.iter().zip(self.phases).any(|(other, accepted)| *other == phase && accepted)
    }

    /// The type that is wanted, if only one is.
    pub fn wanted_type(&self) -> Option<&TaskType> {
        self.task_type.as_ref()
    }

    /// The group whose tasks are wanted, if only one is.
    pub fn wanted_group(&self) -> Option<&GroupName> {
        self.group.as_ref()
    }

    /// The instant that the clock which decided the wanted tasks was beyond, if only such are wanted.
    pub fn decided_beyond(&self) -> Option<Timestamp> {
        self.ahead_of
    }

    /// The task after which the listing starts.
    pub fn starts_after(&self) -> Option<&TaskId> {
        self.after.as_ref()
    }

    /// The most tasks that are wanted.
    pub fn at_most(&self) -> usize {
        self.limit
    }
}

impl Default for TaskFilter {
    fn default() -> Self {
        Self::new()
    }
}
