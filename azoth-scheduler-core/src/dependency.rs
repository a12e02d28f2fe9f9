//! Tasks that wait for other tasks.

use alloc::vec::Vec;

use crate::id::TaskId;

/// The tasks that must have succeeded before a task runs.
///
/// A task is met by its first success from then on: for a one-time task that is its end, for a recurring one its next
/// run that succeeds. It has failed when it ends without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    tasks: Vec<TaskId>,
    on_failure: OnDependencyFailure,
}

/// What becomes of a task when one that it waits for fails for good, is disabled, or is cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDependencyFailure {
    /// It is cancelled, and so are those that wait for it, unless they say otherwise.
    #[default]
    Cancel,
    /// It runs all the same once all of them have ended.
    RunAnyway,
}

/// How a task ended that others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyEnd {
    /// A run of it succeeded.
    Succeeded,
    /// It was disabled, by its failures or by somebody, or its schedule ended without a success.
    Failed,
    /// Somebody cancelled it, or it waited itself for one that failed.
    Cancelled,
}

/// So many tasks cannot be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AfterError {
    /// None at all.
    #[error("a task that waits for others names at least one: name one, or leave it out")]
    None,
    /// Too many.
    #[error("a task may wait for {limit} others, not for {count}: let one task gather some of them", limit = After::TASKS_MAX)]
    TooMany {
        /// How many were named.
        count: usize,
    },
}

impl After {
    /// The most tasks that one may wait for.
    pub const TASKS_MAX: usize = 64;

    /// Waits for these, whatever their order; one that is named twice counts once.
    ///
    /// # Errors
    /// [`AfterError`] for none, or for more than [`TASKS_MAX`](Self::TASKS_MAX).
    pub fn new(
        tasks: impl IntoIterator<Item = TaskId>,
        on_failure: OnDependencyFailure,
    ) -> Result<Self, AfterError> {
        let mut tasks: Vec<TaskId> = tasks.into_iter().collect();
        tasks.sort_unstable();
        tasks.dedup();
        match tasks.len() {
            0 => Err(AfterError::None),
            1..=Self::TASKS_MAX => Ok(Self { tasks, on_failure }),
            count => Err(AfterError::TooMany { count }),
        }
    }

    /// The tasks, ordered by their ids.
    pub fn tasks(&self) -> &[TaskId] {
        &self.tasks
    }

    /// What becomes of the waiting task when one of them fails.
    pub fn on_failure(&self) -> OnDependencyFailure {
        self.on_failure
    }
}

impl DependencyEnd {
    /// The end's word, as messages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            DependencyEnd::Succeeded => "succeeded",
            DependencyEnd::Failed => "failed",
            DependencyEnd::Cancelled => "was cancelled",
        }
    }
}

impl core::fmt::Display for DependencyEnd {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}
