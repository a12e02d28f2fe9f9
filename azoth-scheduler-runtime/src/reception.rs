//! What a scheduler does with what its executions say while they run.

use async_trait::async_trait;
use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::execution::Child;
use azoth_scheduler_core::headway::Headway;
use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_core::trace::TraceParent;
use azoth_scheduler_store::{Batch, StoreError};

use crate::desk::Desk;
use crate::error::{Result, SchedulerError};
use crate::request::ScheduleTaskRequest;
use crate::shared::Shared;

#[async_trait]
impl Desk for Shared {
    fn child(&self, request: &ScheduleTaskRequest, of: Option<TraceParent>) -> Result<Child> {
        let command = self.command(request, self.clock().now())?;
        match command.wish {
            Wish::Schedule(new) => {
                let trace = new.trace().or(of);
                Ok(Child { task: command.task, new: new.traced(trace) })
            }
            other => unreachable!("a request becomes a wish to schedule, not {other:?}"),
        }
    }

    fn hear(&self, execution: ExecutionId, headway: Headway) {
        if self.running.say(execution, headway) {
            self.progress.notify_one();
        }
    }

    async fn keep(&self, command: TaskCommand) -> Result<()> {
        let ask = || self.store.apply(Batch::new([command.clone()], self.clock().now()));
        let applied = self.insist(ask).await.ok_or_else(unanswered)??;
        match applied.answers.into_iter().next() {
            Some(Err(rejection)) => Err(SchedulerError::rejected(rejection)),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn keep_blocking(&self, command: TaskCommand) -> Result<()> {
        let mut kept = Err(unanswered());
        let keeping = async { kept = self.keep(command).await };
        self.workshop.host.block_on(Box::pin(keeping));
        kept
    }
}

fn unanswered() -> SchedulerError {
    let detail = "the scheduler ended before the store answered".to_owned();
    SchedulerError::Store(StoreError::Unknown { detail })
}
