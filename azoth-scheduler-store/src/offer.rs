//! What a worker offers a store, and what that brings.

use std::num::NonZeroU64;
use std::sync::Arc;

use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::trace::TraceParent;

use crate::record::LogPosition;

/// A worker that has room.
#[derive(Clone, Debug)]
pub struct ClaimOffer {
    /// The worker; it must be registered.
    pub worker: WorkerId,
    /// The task types that it handles.
    pub task_types: Arc<[TaskType]>,
    /// Ids for as many executions as there is room for. At most [`CLAIM_BATCH_MAX`] are used.
    pub executions: Vec<ExecutionId>,
    /// Whether the worker may be given a suspect.
    pub suspects: Suspects,
    /// What more it would take, to start it as soon as something ends.
    pub ahead: Option<Ahead>,
}

/// Whether a worker may be given a task that is a [suspect](azoth_scheduler_core::state::Counts::is_suspect). It is the only
/// claim then, and the worker claims nothing else until it has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suspects {
    /// No: it runs something.
    #[default]
    Refused,
    /// Yes, if nothing else is due.
    IfNothingElse,
    /// Yes, before all others: one has waited for long, and this worker has made room for it.
    First,
}

/// Claims beyond the free slots, for tasks that take hardly any time.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// Their types. Those with a limit or a rate are left out, and of the others each lane (a type at one priority) is claimed
    /// up to the first task that has a concurrency key or a loss: what waits for its turn when a process dies has lost an
    /// attempt without having run.
    pub task_types: Arc<[TaskType]>,
    /// Ids for as many executions as there is room for; with the others at most [`CLAIM_BATCH_MAX`] are used.
    pub executions: Vec<ExecutionId>,
}

impl ClaimOffer {
    /// Room for as many executions as there are ids; no suspects, and nothing beyond that.
    pub fn new(worker: WorkerId, task_types: Arc<[TaskType]>, executions: Vec<ExecutionId>) -> Self {
        Self { worker, task_types, executions, suspects: Suspects::Refused, ahead: None }
    }
}

/// What an offer brought.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The executions that the worker is to start.
    pub claimed: Vec<Claimed>,
    /// When the next task of the offered types is due; may lie in the past when there was no room for it. Suspects are told
    /// of apart.
    pub next_due: Option<Timestamp>,
    /// When the next suspect of the offered types is due; may lie in the past, since it waits for a worker that is idle.
    pub next_suspect: Option<Timestamp>,
    /// The worker is not registered (any more): it was declared dead and must end its executions.
    pub worker_ended: bool,
    /// Everything up to this position was looked at.
    pub seen: LogPosition,
    /// Where something was offered [`ahead`](ClaimOffer::ahead): those of the offered types that are paused or have a limit or a
    /// rate, of themselves or of everything. What was claimed ahead of them and waits for a slot is to be given back.
    pub held_back: Vec<TaskType>,
}

/// An execution that a worker is to start. Its claim is durable.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The task.
    pub task: TaskId,
    /// Its type.
    pub task_type: TaskType,
    /// The execution's id; what comes of it must be reported under this id.
    pub execution: ExecutionId,
    /// How urgent it is.
    pub priority: Priority,
    /// The occurrence that it serves.
    pub occurrence: Timestamp,
    /// Its number within the occurrence, from 1.
    pub attempt: u32,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// How long its handler may take, in milliseconds.
    pub timeout_ms: NonZeroU64,
    /// It is a suspect: the worker is to run nothing beside it.
    pub suspect: bool,
    /// What the handler is given.
    pub payload: Arc<[u8]>,
    /// Where in a trace the task was scheduled, if that was within one.
    pub trace: Option<TraceParent>,
    /// What an attempt before this one left for it.
    pub checkpoint: Option<Arc<[u8]>>,
}

/// One offer is answered with at most so many claims.
pub const CLAIM_BATCH_MAX: usize = 1_024;
