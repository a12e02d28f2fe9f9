//! What an execution asks of the scheduler that runs it.

use async_trait::async_trait;
use azoth_scheduler_core::command::TaskCommand;
use azoth_scheduler_core::execution::Child;
use azoth_scheduler_core::headway::Headway;
use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_core::trace::TraceParent;

use crate::error::Result;
use crate::request::ScheduleTaskRequest;

/// The scheduler, as a handler's context sees it.
#[async_trait]
pub(crate) trait Desk: Send + Sync {
    /// What a request becomes that is scheduled with the success of an execution. The trace goes on from where the handler
    /// is now, or else from where its own task was scheduled.
    fn child(&self, request: &ScheduleTaskRequest, of: Option<TraceParent>) -> Result<Child>;

    /// Takes the last word of an execution on how far it has come.
    fn hear(&self, execution: ExecutionId, headway: Headway);

    /// Records what an execution says, however long a store that fails for a while takes.
    async fn keep(&self, command: TaskCommand) -> Result<()>;

    /// The same on the thread of a blocking handler.
    fn keep_blocking(&self, command: TaskCommand) -> Result<()>;
}
