//! Wishes: everything that may change a task or a scope.

pub use crate::abandonment::AbandonReason;
use crate::dependency::After;
use crate::execution::{ErrorText, Report, Success};
use crate::headway::Headway;
use crate::id::{Actor, ExecutionId, TaskId, WorkerId};
pub use crate::new_task::{NewTask, OnConflict};
use crate::payload::Payload;
use crate::schedule::MisfirePolicy;
use crate::scope::{LimitsChange, Scope};
use crate::time::Timestamp;

/// A wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// About one task.
    Task(TaskCommand),
    /// About many: their limits, or whether they rest.
    Scope(ScopeCommand),
}

/// A wish about one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskCommand {
    /// Which task.
    pub task: TaskId,
    /// What is wished.
    pub wish: Wish,
}

/// What may be wished of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Schedule it, or redefine it.
    Schedule(NewTask),
    /// Start an execution of it, since it is due.
    Claim {
        /// The execution's id.
        execution: ExecutionId,
        /// The worker that will run it.
        worker: WorkerId,
    },
    /// Record how an execution ended.
    Complete {
        /// Which execution.
        execution: ExecutionId,
        /// When its handler started.
        started_at: Timestamp,
        /// How it ended.
        report: Report,
    },
    /// Take an execution away from a worker that is dead or gives it back.
    Abandon {
        /// Which execution.
        execution: ExecutionId,
        /// Why.
        why: AbandonReason,
        /// When its worker was last known to be alive.
        last_seen: Timestamp,
    },
    /// End the task, a running execution of it included.
    Cancel {
        /// Why.
        reason: ErrorText,
        /// By whom.
        by: Actor,
    },
    /// Let it rest until it is resumed. A running execution goes on to its end.
    Pause {
        /// Why.
        reason: ErrorText,
        /// By whom.
        by: Actor,
        /// When the pause ends by itself; `None`: when it is resumed.
        until: Option<Timestamp>,
    },
    /// Let it go on.
    Resume {
        /// What becomes of the occurrences that passed meanwhile; by default they are skipped.
        misfire: MisfirePolicy,
        /// By whom.
        by: Actor,
    },
    /// Let it go on with a scope that is about to be resumed: what came due meanwhile goes to this policy, as after a pause
    /// of its own. Nothing changes where nothing came due, and for a task that does not wait.
    ResumeWithScope {
        /// What becomes of the occurrences that passed meanwhile.
        misfire: MisfirePolicy,
        /// By whom.
        by: Actor,
    },
    /// Let it run no more until it is scheduled again. A running execution goes on to its end.
    Disable {
        /// Why.
        reason: ErrorText,
        /// By whom.
        by: Actor,
    },
    /// Go on from now, since the clock had stood far ahead when the task was decided last. Nothing changes where it had not.
    CorrectClock,
    /// Run it at once. A recurring task runs once more than its schedule says, and the schedule goes on as it was; a
    /// retry, or the only run of a one-time task, comes at once; what waits for others waits no more.
    RunNow {
        /// By whom.
        by: Actor,
    },
    /// Note how far an execution says that it has come. Saying the same again changes nothing.
    ReportProgress {
        /// Which execution.
        execution: ExecutionId,
        /// How far.
        headway: Headway,
    },
    /// Keep what the next attempt is to go on from, in the place of what was kept before. The same again changes nothing.
    SaveCheckpoint {
        /// Which execution.
        execution: ExecutionId,
        /// Its content.
        checkpoint: Payload,
    },
    /// Let a disabled task go on, with nothing counted against it: a one-time task runs at once, a recurring one at its
    /// next occurrence.
    Retry {
        /// By whom.
        by: Actor,
    },
}

/// A wish about a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeCommand {
    /// Which tasks are meant.
    pub scope: Scope,
    /// What is wished.
    pub wish: ScopeWish,
}

/// What may be wished of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeWish {
    /// Change its limits.
    ChangeLimits {
        /// How.
        change: LimitsChange,
        /// By whom.
        by: Actor,
    },
    /// Claim none of its tasks until it is resumed. Running executions go on to their end.
    Pause {
        /// Why.
        reason: ErrorText,
        /// By whom.
        by: Actor,
        /// When the pause ends by itself; `None`: when it is resumed.
        until: Option<Timestamp>,
    },
    /// Let them go on. What came due meanwhile is late, and each schedule's own misfire policy says what becomes of it.
    Resume {
        /// By whom.
        by: Actor,
    },
    /// End a pause whose instant has come. Stores wish this by themselves before they claim.
    EndPause,
}

impl From<TaskCommand> for Command {
    fn from(command: TaskCommand) -> Self {
        Command::Task(command)
    }
}

impl From<ScopeCommand> for Command {
    fn from(command: ScopeCommand) -> Self {
        Command::Scope(command)
    }
}

impl Command {
    /// The bytes that an event of this wish refers to by their digest.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Command::Task(command) => command.wish.payload(),
            Command::Scope(_) => None,
        }
    }
}

impl TaskCommand {
    /// So many tasks are changed by it, those included that a handler scheduled with its success.
    pub fn weight(&self) -> usize {
        self.wish.success().map_or(1, |success| success.children.len().saturating_add(1))
    }
}

impl Wish {
    /// What a handler's success brings, if this wishes to record one.
    pub fn success(&self) -> Option<&Success> {
        if let Wish::Complete { report: Report::Succeeded(success), .. } = self {
            Some(success)
        } else {
            None
        }
    }

    /// The tasks that a wish to schedule names to wait for.
    pub(crate) fn dependencies(&self) -> &[TaskId] {
        let Wish::Schedule(new) = self else { return &[] };
        new.definition().after.as_ref().map_or(&[], After::tasks)
    }

    /// The bytes that an event of this wish refers to by their digest.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Wish::Schedule(new) => Some(new.payload()),
            Wish::Complete { report: Report::Succeeded(success), .. } => Some(&success.emitted.payload),
            Wish::SaveCheckpoint { checkpoint, .. } => Some(checkpoint),
            Wish::Complete { .. }
            | Wish::Claim { .. }
            | Wish::Abandon { .. }
            | Wish::Cancel { .. }
            | Wish::Pause { .. }
            | Wish::Resume { .. }
            | Wish::ResumeWithScope { .. }
            | Wish::Disable { .. }
            | Wish::CorrectClock
            | Wish::RunNow { .. }
            | Wish::ReportProgress { .. }
            | Wish::Retry { .. } => None,
        }
    }
}
