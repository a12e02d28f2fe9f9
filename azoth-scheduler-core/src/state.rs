//! What the events of a task add up to.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use crate::execution::ErrorText;
use crate::headway::{Checkpoint, Reported};
use crate::id::{Actor, ExecutionId, TaskId, WorkerId};
use crate::schedule::Run;
use crate::task::TaskDefinition;
use crate::time::Timestamp;
use crate::trace::TraceParent;

/// A task as it stands after its events. Built by [`evolve`](fn@crate::evolve::evolve) alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskState {
    /// Its name.
    pub id: TaskId,
    /// What was asked for last.
    pub definition: Arc<TaskDefinition>,
    /// When that was asked for; anchors and immediate tasks count from here.
    pub defined_at: Timestamp,
    /// When the task was first scheduled.
    pub created_at: Timestamp,
    /// Where it stands.
    pub phase: TaskPhase,
    /// Which occurrences are decided.
    pub progress: Progress,
    /// What went wrong within the current occurrence.
    pub counts: Counts,
    /// Occurrences of this definition that were started.
    pub runs: u32,
    /// When it was decided what it waits for or runs, by the clock of whoever decided. A pause does not count.
    pub moved_at: Timestamp,
    /// The tasks that it waits for, ordered by their ids; only while it is blocked, or was paused when it was.
    pub waits_for: Vec<TaskId>,
    /// What an attempt at the current occurrence left for the next one.
    pub checkpoint: Option<Checkpoint>,
    /// The instant at which somebody asked for a run that its schedule does not ask for, while that run waits or runs.
    pub off_schedule: Option<Timestamp>,
    /// Where in a trace it was defined, if that was within one. No part of the definition.
    pub trace: Option<TraceParent>,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskPhase {
    /// It waits for its next attempt, the first of an occurrence or a retry.
    Waiting(Work),
    /// It waits for other tasks; then for its first attempt.
    Blocked(Work),
    /// An execution holds it.
    Running(Running),
    /// Somebody paused it; what it would wait for is kept.
    Paused {
        /// What it waits for once it is resumed.
        work: Work,
        /// Who paused it, when and why.
        pause: Pause,
    },
    /// It has no further occurrence.
    Finished {
        /// Since when.
        at: Timestamp,
    },
    /// It runs no more until it is scheduled again.
    Disabled {
        /// Since when.
        at: Timestamp,
        /// Why.
        because: DisabledReason,
    },
    /// Somebody cancelled it.
    Cancelled {
        /// Since when.
        at: Timestamp,
        /// What was said.
        reason: ErrorText,
        /// By whom.
        by: Actor,
    },
}

/// The next attempt of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The occurrence that it serves.
    pub occurrence: Timestamp,
    /// Its number within the occurrence, from 1.
    pub attempt: NonZeroU32,
    /// It may be claimed from this instant on.
    pub run_at: Timestamp,
}

/// An execution that holds its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The execution.
    pub execution: ExecutionId,
    /// The worker that claimed it.
    pub worker: WorkerId,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// The occurrence that it serves.
    pub occurrence: Timestamp,
    /// Its number within the occurrence, from 1.
    pub attempt: NonZeroU32,
    /// The task was redefined meanwhile: this execution ends under the old definition and is not retried.
    pub superseded: bool,
    /// What happens to the task when it ends.
    pub afterwards: Afterwards,
    /// How far it last said that it has come.
    pub reported: Option<Reported>,
}

/// What happens to a task when its running execution ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It goes on.
    GoOn,
    /// It is paused.
    Pause(Pause),
    /// It is disabled, as somebody said while it ran.
    Disable {
        /// By whom.
        by: Actor,
        /// Why.
        reason: ErrorText,
    },
}

/// Who paused a task or a scope, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub at: Timestamp,
    /// What was said.
    pub reason: ErrorText,
    /// By whom.
    pub by: Actor,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
}

/// Why a task was disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisabledReason {
    /// An occurrence failed more often than it may be retried.
    Exhausted {
        /// So many failures.
        failures: u32,
    },
    /// Its handler said that trying again is of no use.
    Permanent,
    /// So many processes died while they ran it that it is not given to another one.
    Losses {
        /// So many losses.
        losses: u32,
    },
    /// Its schedule cannot be read or searched any more, for example because a newer library has no such time zone.
    Schedule {
        /// What is wrong with it.
        error: ErrorText,
    },
    /// Somebody said so.
    Said {
        /// By whom.
        by: Actor,
        /// Why.
        reason: ErrorText,
    },
}

/// Which occurrences are decided, and which of those have yet to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The newest occurrence whose fate is decided: never later than the clock that decided it. Under one definition it
    /// goes back only where that clock had stood far ahead ([`ClockCorrected`](crate::event::Event::ClockCorrected)).
    pub decided_through: Timestamp,
    /// Occurrences that are to run one by one, after the current one.
    pub backlog: Option<Run>,
    /// An occurrence that came due while another was open and runs as soon as that one and the backlog are done.
    pub buffered: Option<Timestamp>,
}

/// What went wrong within the current occurrence. Both start again with the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts that failed, timed out or panicked.
    pub failures: u32,
    /// Attempts whose process died.
    pub losses: u32,
}

/// A phase without what belongs to it: what filters, indexes and messages name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseKind {
    /// It waits for its next attempt.
    Waiting,
    /// It waits for other tasks.
    Blocked,
    /// An execution holds it.
    Running,
    /// Somebody paused it.
    Paused,
    /// It has no further occurrence.
    Finished,
    /// It runs no more until it is scheduled again.
    Disabled,
    /// Somebody cancelled it.
    Cancelled,
}

impl TaskState {
    /// The execution that holds the task: the only one whose result is recorded.
    pub fn held_by(&self) -> Option<ExecutionId> {
        self.running().map(|running| running.execution)
    }

    /// The running execution, if there is one.
    pub fn running(&self) -> Option<&Running> {
        match &self.phase {
            TaskPhase::Running(running) => Some(running),
            TaskPhase::Waiting(_)
            | TaskPhase::Blocked(_)
            | TaskPhase::Paused { .. }
            | TaskPhase::Finished { .. }
            | TaskPhase::Disabled { .. }
            | TaskPhase::Cancelled { .. } => None,
        }
    }

    /// Whether a run at this instant is one that its schedule does not ask for.
    pub fn is_off_schedule(&self, occurrence: Timestamp) -> bool {
        self.off_schedule == Some(occurrence)
    }

    /// What the task waits for, if it waits.
    pub fn waiting(&self) -> Option<&Work> {
        match &self.phase {
            TaskPhase::Waiting(work) => Some(work),
            TaskPhase::Blocked(_)
            | TaskPhase::Running(_)
            | TaskPhase::Paused { .. }
            | TaskPhase::Finished { .. }
            | TaskPhase::Disabled { .. }
            | TaskPhase::Cancelled { .. } => None,
        }
    }

    /// What the task waits for, or will once it is resumed.
    pub fn work(&self) -> Option<&Work> {
        match &self.phase {
            TaskPhase::Waiting(work) | TaskPhase::Blocked(work) | TaskPhase::Paused { work, .. } => {
                Some(work)
            }
            TaskPhase::Running(_)
            | TaskPhase::Finished { .. }
            | TaskPhase::Disabled { .. }
            | TaskPhase::Cancelled { .. } => None,
        }
    }

    /// The occurrence that waits for its first attempt after it was decided that it is to run: one of a backlog, one
    /// that was buffered, or one that stands for others.
    pub fn chosen(&self) -> Option<Timestamp> {
        let work = self.work().filter(|work| work.attempt == NonZeroU32::MIN)?;
        let decided = |occurrence: &Timestamp| *occurrence <= self.progress.decided_through;
        Some(work.occurrence).filter(decided).filter(|occurrence| !self.is_off_schedule(*occurrence))
    }

    /// Whether the task was decided by a clock that was beyond this instant: occurrences that have yet to come count as
    /// decided, or a wait was counted from there. It may be so only while the task lives.
    pub fn is_ahead_of(&self, instant: Timestamp) -> bool {
        let waits_from_there = self.moved_at > instant
            && self.work().is_some_and(|work| {
                work.attempt > NonZeroU32::MIN
                    || self.chosen().is_some()
                    || self.is_off_schedule(work.occurrence)
            });
        self.phase.kind().is_live() && (self.progress.decided_through > instant || waits_from_there)
    }
}

impl Pause {
    /// Whether it ends by itself and has by now.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl TaskPhase {
    /// Which phase this is.
    pub const fn kind(&self) -> PhaseKind {
        match self {
            TaskPhase::Waiting(_) => PhaseKind::Waiting,
            TaskPhase::Blocked(_) => PhaseKind::Blocked,
            TaskPhase::Running(_) => PhaseKind::Running,
            TaskPhase::Paused { .. } => PhaseKind::Paused,
            TaskPhase::Finished { .. } => PhaseKind::Finished,
            TaskPhase::Disabled { .. } => PhaseKind::Disabled,
            TaskPhase::Cancelled { .. } => PhaseKind::Cancelled,
        }
    }
}

impl PhaseKind {
    /// All phases.
    pub const ALL: [PhaseKind; 7] = [
        PhaseKind::Waiting,
        PhaseKind::Blocked,
        PhaseKind::Running,
        PhaseKind::Paused,
        PhaseKind::Finished,
        PhaseKind::Disabled,
        PhaseKind::Cancelled,
    ];

    /// Whether a task in this phase still runs, or will once it is due or resumed.
    pub const fn is_live(self) -> bool {
        match self {
            PhaseKind::Waiting | PhaseKind::Blocked | PhaseKind::Running | PhaseKind::Paused => true,
            PhaseKind::Finished | PhaseKind::Disabled | PhaseKind::Cancelled => false,
        }
    }

    /// The phase's word, as messages and listings write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            PhaseKind::Waiting => "waiting",
            PhaseKind::Blocked => "blocked",
            PhaseKind::Running => "running",
            PhaseKind::Paused => "paused",
            PhaseKind::Finished => "finished",
            PhaseKind::Disabled => "disabled",
            PhaseKind::Cancelled => "cancelled",
        }
    }
}

impl core::fmt::Display for PhaseKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::fmt::Display for DisabledReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            DisabledReason::Exhausted { failures } => write!(f, "no retries left after {failures} failures"),
            DisabledReason::Permanent => f.write_str("its handler failed for good"),
            DisabledReason::Losses { losses } => write!(f, "{losses} processes died while they ran it"),
            DisabledReason::Schedule { error } => write!(f, "its schedule cannot be used any more: {error}"),
            DisabledReason::Said { by, reason } => write!(f, "{by} said so: {reason}"),
        }
    }
}
