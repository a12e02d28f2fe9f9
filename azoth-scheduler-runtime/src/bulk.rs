//! One thing said about all tasks that match a filter, in bounded batches; or only asked what it would touch.

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::decide::{Answer, decide};
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::id::{Actor, TaskId};
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::MisfirePolicy;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{Batch, TaskFilter};

use crate::error::Result;
use crate::shared::Shared;

/// What is said about each task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkAction {
    /// As [`cancel_task`](crate::Scheduler::cancel_task), for this reason.
    Cancel(String),
    /// As [`pause_task`](crate::Scheduler::pause_task), for this reason.
    Pause(String),
    /// As [`resume_task_with`](crate::Scheduler::resume_task_with).
    Resume(MisfirePolicy),
    /// As [`disable_task`](crate::Scheduler::disable_task), for this reason.
    Disable(String),
    /// As [`retry_task`](crate::Scheduler::retry_task).
    Retry,
    /// As [`run_now`](crate::Scheduler::run_now).
    RunNow,
}

/// Whether anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkMode {
    /// It is done.
    Apply,
    /// Nothing is done; the report says what would be, as the tasks stand now.
    DryRun,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkReport {
    /// Tasks that match the filter.
    pub matched: u64,
    /// Tasks that were changed, or would be.
    pub changed: u64,
    /// Tasks about which nothing had to be done, since they are so already.
    pub unchanged: u64,
    /// Tasks whose state does not allow it.
    pub refused: u64,
    /// The first of those that were changed or would be, at most [`NAMED_MAX`](Self::NAMED_MAX), oldest first.
    pub tasks: Vec<TaskId>,
    /// The first refusals, at most [`NAMED_MAX`](Self::NAMED_MAX).
    pub refusals: Vec<Rejection>,
}

impl BulkReport {
    /// So many tasks and refusals are named at most; all are counted.
    pub const NAMED_MAX: usize = 1_000;

    fn note(&mut self, task: &TaskId, answer: Result<bool, Rejection>) {
        self.matched += 1;
        match answer {
            Ok(true) => {
                self.changed += 1;
                if self.tasks.len() < Self::NAMED_MAX {
                    self.tasks.push(task.clone());
                }
            }
            Ok(false) => self.unchanged += 1,
            Err(rejection) => {
                self.refused += 1;
                if self.refusals.len() < Self::NAMED_MAX {
                    self.refusals.push(rejection);
                }
            }
        }
    }
}

impl BulkAction {
    fn wish(&self, by: &Actor) -> Wish {
        let by = by.clone();
        match self {
            BulkAction::Cancel(reason) => Wish::Cancel { reason: ErrorText::new(reason), by },
            BulkAction::Pause(reason) => Wish::Pause { reason: ErrorText::new(reason), by, until: None },
            BulkAction::Resume(misfire) => Wish::Resume { misfire: *misfire, by },
            BulkAction::Disable(reason) => Wish::Disable { reason: ErrorText::new(reason), by },
            BulkAction::Retry => Wish::Retry { by },
            BulkAction::RunNow => Wish::RunNow { by },
        }
    }
}

impl Shared {
    /// Goes through the tasks in the order of their creation; each is looked at once, whatever happens to it.
    pub(crate) async fn bulk(
        &self,
        filter: &TaskFilter,
        action: &BulkAction,
        mode: BulkMode,
    ) -> Result<BulkReport> {
        let mut report = BulkReport::default();
        let mut left = filter.at_most();
        let mut page = filter.clone();
        while left > 0 {
            let size = left.min(BATCH_TASKS);
            let states = self.store.tasks(&page.clone().limit(size)).await?;
            let last = states.last().map(|state| state.id.clone());
            let is_last_page = states.len() < size;
            left -= states.len().min(left);
            let now = self.clock().now();
            let commands: Vec<TaskCommand> =
                states.iter().map(|state| said_of(state, action.wish(&self.actor))).collect();
            match mode {
                BulkMode::DryRun => would(&mut report, &states, &commands, now),
                BulkMode::Apply => self.said(&mut report, commands, now).await?,
            }
            match last {
                Some(last) if !is_last_page => page = page.after(last),
                _ => break,
            }
        }
        Ok(report)
    }

    /// Says it about a page of tasks, in one transaction.
    async fn said(&self, report: &mut BulkReport, commands: Vec<TaskCommand>, now: Timestamp) -> Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        let batch = Batch::new(commands.iter().cloned(), now);
        let answers = self.store.apply(batch).await?.answers;
        for (command, answer) in commands.iter().zip(answers) {
            let changed = answer.map(|answer| !matches!(answer, Answer::Unchanged(_)));
            if let (Ok(true), Wish::Cancel { .. }) = (&changed, &command.wish) {
                self.running.stop_task(&command.task);
            }
            report.note(&command.task, changed);
        }
        Ok(())
    }
}

fn said_of(state: &TaskState, wish: Wish) -> TaskCommand {
    TaskCommand { task: state.id.clone(), wish }
}

/// The store would decide the same.
fn would(report: &mut BulkReport, states: &[TaskState], commands: &[TaskCommand], now: Timestamp) {
    for (state, command) in states.iter().zip(commands) {
        let decided = decide(Some(state), command, now);
        report.note(&state.id, decided.map(|decision| !decision.events.is_empty()));
    }
}

/// So many tasks are changed in one transaction.
const BATCH_TASKS: usize = 500;
