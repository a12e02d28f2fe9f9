//! What a handler schedules while it runs: kept until it has succeeded, and recorded with its success.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use azoth_scheduler_core::execution::{Child, Success};
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::trace::TraceParent;

use crate::desk::Desk;
use crate::error::{CHILDREN_BYTES_MAX, RequestError, Result, SchedulerError};
use crate::request::ScheduleTaskRequest;

/// The outbox of one execution.
pub(crate) struct Outbox {
    /// `None` for a context that belongs to no scheduler.
    desk: Option<Weak<dyn Desk>>,
    /// Where in a trace the task of this execution was scheduled.
    trace: Option<TraceParent>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    children: Vec<Child>,
    requests: Vec<ScheduleTaskRequest>,
    payload_bytes: usize,
    closed: bool,
}

impl Outbox {
    /// For an execution of this scheduler, whose task was scheduled there in a trace.
    pub(crate) fn of(desk: Weak<dyn Desk>, trace: Option<TraceParent>) -> Self {
        Self { desk: Some(desk), trace, kept: Mutex::default() }
    }

    /// For a context that belongs to no scheduler: what is scheduled is kept for whoever looks.
    pub(crate) fn detached() -> Self {
        Self { desk: None, trace: None, kept: Mutex::default() }
    }

    /// Keeps a task that is to be scheduled, once it is known that it could be.
    pub(crate) fn add(&self, request: ScheduleTaskRequest) -> Result<TaskId> {
        let child = self.desk()?.map(|desk| desk.child(&request, self.trace)).transpose()?;
        let mut kept = self.kept();
        if kept.closed {
            return Err(SchedulerError::ExecutionOver);
        }
        let payload_bytes = kept.payload_bytes.saturating_add(request.payload().len());
        if kept.requests.len() >= Success::CHILDREN_MAX || payload_bytes > CHILDREN_BYTES_MAX {
            let (tasks, bytes) = (kept.requests.len() + 1, payload_bytes);
            return Err(RequestError::TooMuchScheduled { tasks, bytes }.into());
        }
        let task = match (&child, request.task_id()) {
            (Some(child), _) => child.task.clone(),
            (None, Some(task)) => task.clone(),
            (None, None) => TaskId::new(format!("unnamed-{}", kept.requests.len() + 1))?,
        };
        kept.children.extend(child);
        kept.requests.push(request);
        kept.payload_bytes = payload_bytes;
        Ok(task)
    }

    /// The scheduler whose execution this is, as long as that has not ended; `None` for a context that belongs to none.
    pub(crate) fn desk(&self) -> Result<Option<Arc<dyn Desk>>> {
        let Some(desk) = &self.desk else { return Ok(None) };
        if self.kept().closed {
            return Err(SchedulerError::ExecutionOver);
        }
        desk.upgrade().map(Some).ok_or(SchedulerError::ExecutionOver)
    }

    /// What is kept so far.
    pub(crate) fn requests(&self) -> Vec<ScheduleTaskRequest> {
        self.kept().requests.clone()
    }

    /// Takes what is kept: the handler has ended, and nothing can be added any more.
    pub(crate) fn close(&self) -> Vec<Child> {
        let mut kept = self.kept();
        kept.closed = true;
        kept.requests.clear();
        std::mem::take(&mut kept.children)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outbox({} tasks)", self.kept().requests.len())
    }
}
