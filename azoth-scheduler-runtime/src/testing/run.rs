//! What ran, read from the log.

use std::collections::BTreeMap;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::{ErrorText, Outcome};
use azoth_scheduler_core::id::{ExecutionId, TaskId};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{RecordedEvent, Subject};

/// One execution.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The task.
    pub task: TaskId,
    /// The execution.
    pub execution: ExecutionId,
    /// The instant for which the schedule asked for it.
    pub scheduled_at: Timestamp,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// Its number within the occurrence, from 1.
    pub attempt: u32,
    /// Somebody asked for it, and its schedule did not.
    pub off_schedule: bool,
    /// How it ended; `None` while it runs.
    pub ended: Option<RunEnd>,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEnd {
    /// By itself.
    Ended {
        /// When that was recorded.
        at: Timestamp,
        /// Its outcome.
        outcome: Outcome,
    },
    /// It was taken from its worker.
    Abandoned {
        /// When.
        at: Timestamp,
    },
    /// Its task was cancelled.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Why.
        reason: ErrorText,
    },
}

impl Run {
    /// Whether its handler succeeded.
    pub fn succeeded(&self) -> bool {
        matches!(&self.ended, Some(RunEnd::Ended { outcome: Outcome::Succeeded(()), .. }))
    }
}

pub(super) fn runs(log: &[RecordedEvent]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut index = BTreeMap::new();
    for recorded in log {
        let at = recorded.at;
        let (execution, end) = match &recorded.event {
            Event::ExecutionStarted { execution, occurrence, attempt, off_schedule, .. } => {
                let Subject::Task(task) = &recorded.subject else { continue };
                index.insert(*execution, runs.len());
                runs.push(Run {
                    task: task.clone(),
                    execution: *execution,
                    scheduled_at: *occurrence,
                    started_at: at,
                    attempt: attempt.get(),
                    off_schedule: *off_schedule,
                    ended: None,
                });
                continue;
            }
            Event::TaskExecuted { execution, outcome, .. } => {
                (*execution, RunEnd::Ended { at, outcome: outcome.clone() })
            }
            Event::ExecutionAbandoned { execution, .. } => (*execution, RunEnd::Abandoned { at }),
            Event::TaskCancelled { execution: Some(execution), reason, .. } => {
                (*execution, RunEnd::Cancelled { at, reason: reason.clone() })
            }
            // Nothing else ends an execution.
            _ => continue,
        };
        if let Some(run) = index.get(&execution).and_then(|at| runs.get_mut(*at)) {
            run.ended = Some(end);
        }
    }
    runs
}
