//! What a command comes to: events, and an answer.

use alloc::vec;
use alloc::vec::Vec;

use crate::event::Event;
use crate::id::TaskId;
use crate::state::{PhaseKind, TaskState};

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happened, in order. Empty: nothing had to.
    pub events: Vec<Event>,
    /// What the caller is told.
    pub answer: Answer,
}

/// What the caller of an accepted command is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The task is new, or was scheduled anew after it had ended.
    Created,
    /// The task goes on under another definition.
    Redefined,
    /// Nothing had to be done; the task stays in this phase.
    Unchanged(PhaseKind),
    /// The claim succeeded: the execution holds the task.
    Started,
    /// The claim found only occurrences that are not to run; they are recorded and the task has moved on.
    Passed,
    /// What was said is recorded.
    Recorded,
    /// Nothing had to be done: the scope is already as it was wished.
    Kept,
    /// The wish has been made before: its idempotency key stands for this task. Nothing was done.
    Existing(TaskId),
}

impl Decision {
    pub(crate) fn one(event: Event, answer: Answer) -> Self {
        Self { events: vec![event], answer }
    }

    pub(crate) fn kept() -> Self {
        Self { events: Vec::new(), answer: Answer::Kept }
    }

    pub(crate) fn unchanged(state: &TaskState) -> Self {
        Self { events: Vec::new(), answer: Answer::Unchanged(state.phase.kind()) }
    }
}
