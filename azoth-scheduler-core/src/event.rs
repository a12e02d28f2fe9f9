//! Facts: what happened to a task or a scope, with its consequences written in.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use crate::abandonment::AbandonReason;
use crate::dependency::DependencyEnd;
use crate::execution::{Emitted, ErrorText, Outcome};
use crate::headway::Headway;
use crate::horizon::Horizon;
use crate::id::{Actor, ExecutionId, TaskId, WorkerId};
use crate::payload::PayloadDigest;
use crate::schedule::Passed;
use crate::scope::{LimitsChange, Scope};
use crate::state::{Counts, DisabledReason, Progress, Work};
use crate::task::TaskDefinition;
use crate::time::Timestamp;
use crate::trace::TraceParent;

/// Something that happened to a task or a scope. `at` in its envelope says when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The task was created, redefined, or scheduled anew after it had ended.
    TaskScheduled {
        /// Its name.
        task: TaskId,
        /// Which of the three.
        change: Change,
        /// The whole definition.
        definition: Arc<TaskDefinition>,
        /// What it waits for.
        work: Work,
        /// Which occurrences are decided.
        progress: Progress,
        /// The tasks that it waits for, those of its definition that have not succeeded yet.
        waits_for: Vec<TaskId>,
        /// Where in a trace this was wished, if it was within one.
        trace: Option<TraceParent>,
    },
    /// A worker claimed the task.
    ExecutionStarted {
        /// The execution's id.
        execution: ExecutionId,
        /// The worker that runs it.
        worker: WorkerId,
        /// The occurrence that it serves.
        occurrence: Timestamp,
        /// Its number within the occurrence, from 1.
        attempt: NonZeroU32,
        /// The how-manyth occurrence of this definition that is run, from 1.
        run: u32,
        /// Its schedule did not ask for this run: the [`RunRequested`](Event::RunRequested) before it says who did. So it is told
        /// from the run of an occurrence at the same instant.
        off_schedule: bool,
        /// Which occurrences are decided.
        progress: Progress,
    },
    /// An execution ended by itself.
    TaskExecuted {
        /// Which execution.
        execution: ExecutionId,
        /// How it ended.
        outcome: Outcome,
        /// When its handler started.
        started_at: Timestamp,
        /// What comes then.
        then: Then,
        /// Which occurrences are decided.
        progress: Progress,
    },
    /// A handler succeeded with this event; it stands right behind its [`TaskExecuted`](Event::TaskExecuted).
    TaskEventEmitted {
        /// The execution that gave it back.
        execution: ExecutionId,
        /// What the handler gave back.
        emitted: Emitted,
    },
    /// An execution was taken from a worker that is dead or gave it back.
    ExecutionAbandoned {
        /// Which execution.
        execution: ExecutionId,
        /// Why.
        why: AbandonReason,
        /// What comes then.
        then: Then,
        /// Which occurrences are decided.
        progress: Progress,
    },
    /// Occurrences passed without a run of their own.
    OccurrencesPassed {
        /// Which ones, how many, and why.
        passed: Passed,
        /// What comes then, where this is the reason that something else comes.
        then: Option<MovedOn>,
    },
    /// Somebody cancelled the task.
    TaskCancelled {
        /// Why.
        reason: ErrorText,
        /// By whom.
        by: Actor,
        /// The execution that this ended, if one was running.
        execution: Option<ExecutionId>,
    },
    /// Somebody paused the task.
    TaskPaused {
        /// Why.
        reason: ErrorText,
        /// By whom.
        by: Actor,
        /// When the pause ends by itself, if it does.
        until: Option<Timestamp>,
    },
    /// Somebody resumed the task, or a scope that it rested with.
    TaskResumed {
        /// By whom.
        by: Actor,
        /// What comes then. `None`: an execution still runs, and the task goes on when it ends.
        then: Option<MovedOn>,
    },
    /// Somebody disabled the task.
    TaskDisabled {
        /// Why.
        reason: ErrorText,
        /// By whom.
        by: Actor,
    },
    /// The clock had stood far ahead when the task was decided last: what was decided for instants that have yet to come
    /// is void, and the task goes on from now.
    ClockCorrected {
        /// How far it had been decided, or by when, under the clock that stood ahead.
        ahead: Timestamp,
        /// From when an anchor that defaulted to the definition counts: now, where the task was defined under that clock.
        defined_at: Timestamp,
        /// What comes then. `None`: an execution runs, and the task goes on when it ends.
        then: Option<Then>,
        /// Which occurrences are decided.
        progress: Progress,
    },
    /// The limits of a scope were declared, set, or cleared.
    LimitsChanged {
        /// Whose limits.
        scope: Scope,
        /// How they change.
        change: LimitsChange,
        /// By whom.
        by: Actor,
    },
    /// Somebody paused a scope, or changed what was said of its pause.
    ScopePaused {
        /// Which one.
        scope: Scope,
        /// Why.
        reason: ErrorText,
        /// By whom.
        by: Actor,
        /// When the pause ends by itself, if it does.
        until: Option<Timestamp>,
    },
    /// The pause of a scope ended: somebody said so, now or when it began.
    ScopeResumed {
        /// Which one.
        scope: Scope,
        /// By whom.
        by: Actor,
    },
    /// Tasks that had ended left. It happened to the log, as what follows.
    TasksForgotten {
        /// Before which instants they must have ended.
        horizon: Horizon,
        /// Which ones.
        tasks: Vec<TaskId>,
    },
    /// The bytes of old payloads may be dropped from here on.
    PayloadsDropped {
        /// Position of the last event whose bytes may be gone.
        through: u64,
    },
    /// The oldest events were cut, behind a snapshot of what they add up to.
    LogCut {
        /// Position of the last event that is gone.
        through: u64,
        /// The chain's hash at that event.
        hash: [u8; 32],
        /// The digest of the snapshot.
        snapshot: [u8; 32],
    },
    /// A task for which this one waits has ended.
    DependencyEnded {
        /// Which task.
        dependency: TaskId,
        /// How it ended.
        end: DependencyEnd,
        /// What comes then. `None`: it waits for others still, or is cancelled by the event behind this one.
        then: Option<Work>,
    },
    /// Somebody asked for a run at once.
    RunRequested {
        /// By whom.
        by: Actor,
        /// The run.
        work: Work,
        /// Whether it is one more than the schedule asks for.
        off_schedule: bool,
    },
    /// Somebody let the task, which was disabled, go on.
    TaskRetried {
        /// By whom.
        by: Actor,
        /// What comes then.
        then: MovedOn,
    },
    /// The execution that holds the task said how far it has come.
    ProgressReported {
        /// Which execution.
        execution: ExecutionId,
        /// How far.
        headway: Headway,
    },
    /// The execution that holds the task left what the next attempt goes on from, in the place of what was left before.
    CheckpointSaved {
        /// Which execution.
        execution: ExecutionId,
        /// Its content; the user's bytes, never looked into.
        checkpoint: PayloadDigest,
    },
}

/// What a `TaskScheduled` changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was no such task.
    Created,
    /// There was one, and it goes on under another definition.
    Redefined,
    /// There was one that had ended, or it was to be replaced.
    Anew,
}

/// What comes after an execution, or after occurrences that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// The same occurrence once more.
    Retry {
        /// The next attempt.
        work: Work,
        /// What went wrong so far within the occurrence.
        counts: Counts,
    },
    /// Another occurrence.
    Next(Work),
    /// Nothing: the schedule has no further occurrence.
    Finish,
    /// Nothing until the task is scheduled again.
    Disable(DisabledReason),
}

/// What comes then, and which occurrences are decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedOn {
    /// What comes then.
    pub then: Then,
    /// Which occurrences are decided.
    pub progress: Progress,
}

impl Event {
    /// The event's name, as listings and histories write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Event::TaskScheduled { .. } => "TaskScheduled",
            Event::ExecutionStarted { .. } => "ExecutionStarted",
            Event::TaskExecuted { .. } => "TaskExecuted",
            Event::TaskEventEmitted { .. } => "TaskEventEmitted",
            Event::ExecutionAbandoned { .. } => "ExecutionAbandoned",
            Event::OccurrencesPassed { .. } => "OccurrencesPassed",
            Event::TaskCancelled { .. } => "TaskCancelled",
            Event::TaskPaused { .. } => "TaskPaused",
            Event::TaskResumed { .. } => "TaskResumed",
            Event::TaskDisabled { .. } => "TaskDisabled",
            Event::ClockCorrected { .. } => "ClockCorrected",
            Event::LimitsChanged { .. } => "LimitsChanged",
            Event::ScopePaused { .. } => "ScopePaused",
            Event::ScopeResumed { .. } => "ScopeResumed",
            Event::TasksForgotten { .. } => "TasksForgotten",
            Event::PayloadsDropped { .. } => "PayloadsDropped",
            Event::LogCut { .. } => "LogCut",
            Event::DependencyEnded { .. } => "DependencyEnded",
            Event::RunRequested { .. } => "RunRequested",
            Event::TaskRetried { .. } => "TaskRetried",
            Event::ProgressReported { .. } => "ProgressReported",
            Event::CheckpointSaved { .. } => "CheckpointSaved",
        }
    }

    /// Whether it happened to the log itself, and to no task.
    pub const fn is_of_the_log(&self) -> bool {
        matches!(self, Event::TasksForgotten { .. } | Event::PayloadsDropped { .. } | Event::LogCut { .. })
    }

    /// The digest of the bytes that belong to this event, if it has any.
    pub fn payload(&self) -> Option<PayloadDigest> {
        match self {
            Event::TaskScheduled { definition, .. } => Some(definition.payload),
            Event::TaskEventEmitted { emitted, .. } => Some(emitted.payload),
            Event::CheckpointSaved { checkpoint, .. } => Some(*checkpoint),
            Event::ExecutionStarted { .. }
            | Event::TaskExecuted { .. }
            | Event::ExecutionAbandoned { .. }
            | Event::OccurrencesPassed { .. }
            | Event::TaskCancelled { .. }
            | Event::TaskPaused { .. }
            | Event::TaskResumed { .. }
            | Event::TaskDisabled { .. }
            | Event::ClockCorrected { .. }
            | Event::LimitsChanged { .. }
            | Event::ScopePaused { .. }
            | Event::ScopeResumed { .. }
            | Event::TasksForgotten { .. }
            | Event::PayloadsDropped { .. }
            | Event::LogCut { .. }
            | Event::DependencyEnded { .. }
            | Event::ProgressReported { .. }
            | Event::RunRequested { .. }
            | Event::TaskRetried { .. } => None,
        }
    }
}
