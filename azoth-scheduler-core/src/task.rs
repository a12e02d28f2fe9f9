//! A task's definition: what it is, when it runs and under which policies, with every default filled in.

use core::num::NonZeroU64;

use crate::dependency::After;
use crate::id::{ConcurrencyKey, GroupName, TaskType};
use crate::payload::PayloadDigest;
use crate::retry::RetryPolicy;
use crate::schedule::Schedule;
use crate::unique::Unique;

/// All that was asked for. Two equal definitions are the same wish, so comparing them tells a repetition from a
/// redefinition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDefinition {
    /// The kind of work; names the handler.
    pub task_type: TaskType,
    /// What the handler is given.
    pub payload: PayloadDigest,
    /// When it runs.
    pub schedule: Schedule,
    /// What follows a failure.
    pub retry: RetryPolicy,
    /// How long one attempt may take from its handler's start, in milliseconds.
    pub timeout_ms: NonZeroU64,
    /// Which of several due tasks of a type goes first.
    pub priority: Priority,
    /// The group with which it was declared, if it was: the group is part of the wish, so it is in the log.
    pub group: Option<GroupName>,
    /// With which other tasks it takes turns.
    pub concurrency_key: Option<ConcurrencyKey>,
    /// The tasks that must have succeeded before it runs; only for tasks that run once.
    pub after: Option<After>,
    /// The name by which the same wish again is known.
    pub unique: Option<Unique>,
}

/// Which of several due tasks goes first. Within a level the earlier `run_at` wins, then the older task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before all others.
    Critical,
    /// Before normal work.
    High,
    /// The default.
    #[default]
    Normal,
    /// When nothing else is due.
    Low,
}

impl Priority {
    /// All levels, the first one first.
    pub const ALL: [Priority; 4] = [Priority::Critical, Priority::High, Priority::Normal, Priority::Low];
}
